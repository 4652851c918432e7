/* dns_packet.c - fuzz target: packet_read, packet_write. The first byte chooses the type; the rest is an answer to the
 * question for a.test. */
#include "../../milter/dns/packet.h"
#include "fuzz.h"

static const enum dns_type types[] = {DNS_A, DNS_NS, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA};

static void check(const struct dns_answer *answer, size_t size)
{
    must(answer->count <= DNS_RECORDS_MOST);
    must((answer->status == DNS_OK) == (answer->count > 0));
    must((answer->status == DNS_FAIL) == (answer->why[0] != '\0'));
    must(answer->packet.n == (answer->status == DNS_FAIL ? 0 : size));
    for (size_t i = 0; i < answer->count; i++)
        touch(answer->records[i].text);
}

/* check_again - what was read can be written, and reads the same. */
static void check_again(struct arena *a, enum dns_type type, const struct dns_answer *answer)
{
    struct str packet = packet_write(a, STR("a.test"), type, answer);
    struct dns_answer again;

    if (packet.n == 0) { /* compressed names may need more room than a packet has */
        must(answer->count > 1);
        return;
    }
    again = packet_read(a, packet, STR("a.test"), type);
    must(again.status == answer->status && again.count == answer->count && again.ttl == answer->ttl);
    for (size_t i = 0; i < answer->count; i++) {
        must(str_is(again.records[i].text, answer->records[i].text));
        must(memcmp(&again.records[i].ip, &answer->records[i].ip, sizeof(struct ip)) == 0);
        must(again.records[i].preference == answer->records[i].preference);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str packet = {(const char *)data + 1, size - 1};
    struct dns_answer answer;
    struct arena *a;
    enum dns_type type;

    if (size == 0)
        return 0;
    a = arena_new(0);
    type = types[data[0] % (sizeof types / sizeof types[0])];
    answer = packet_read(a, packet, STR("a.test"), type);
    check(&answer, packet.n);
    if (answer.status != DNS_FAIL)
        check_again(a, type, &answer);
    must(packet_is_truncated(packet) == (packet.n >= 12 && (data[3] & 2) != 0));
    arena_free(&a);
    return 0;
}
