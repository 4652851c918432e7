/* dns_script.c - fuzz target: dns_script and what it answers: to the first word of each line, and to names below it. */
#include "../../milter/base/clock.h"
#include "../../milter/dns/dns.h"
#include "../../milter/dns/packet.h"
#include "fuzz.h"

#define PATIENCE (4 * 3600 * 1000) /* longer than any delay */

static const enum dns_type types[] = {DNS_A, DNS_NS, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA};

static void check(struct arena *a, struct str name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct dns_question *q = dns_ask(a, NULL, name, types[i]), *again;
        const struct dns_answer *answer = dns_harvest(q, clock_ms() + PATIENCE), *same;

        must((answer->status == DNS_OK) == (answer->count > 0));
        must((answer->status == DNS_FAIL) == (answer->why[0] != '\0'));
        must((answer->status == DNS_FAIL) == (answer->packet.n == 0));
        must(answer->count <= DNS_RECORDS_MOST);
        for (size_t k = 0; k < answer->count; k++)
            touch(answer->records[k].text);
        again = dns_ask(a, NULL, name, types[i]);
        same = dns_harvest(again, clock_ms() + PATIENCE);
        must(same->status == answer->status && same->count == answer->count);
        if (answer->status != DNS_FAIL) {
            struct dns_answer read = packet_read(a, answer->packet, dns_name(q), types[i]);

            must(read.status == answer->status && read.count == answer->count);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str text = {(const char *)data, size}, line, word, error = STR("");

    clock_script_wall(1767607200000);
    if (dns_script(STR("zone"), text, true, &error, a)) {
        for (unsigned i = 0; i < 20 && str_split(&text, '\n', &line); i++) {
            if (!str_token(&line, &word))
                continue;
            check(a, word);
            check(a, arena_printf(a, "below." STR_FMT, STR_ARG(str_slice(word, 0, 300))));
        }
        touch(dns_script_asked(a));
        touch(dns_script_unscripted(a));
        dns_script_end();
    } else {
        must(str_starts(error, STR("zone:")));
        touch(error);
    }
    arena_free(&a);
    clock_script_end();
    return 0;
}
