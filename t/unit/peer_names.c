/* peer_names.c - the names of a client, and which of them lead back. */
#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/dns/peer_names.h"
#include "../lib/tap.h"

static struct arena *a;

static const char *const words[] = {"pass", "fail", "none", "unsure"};

static const char zone[] =
    "mx.a.test A 192.0.2.1\n"
    "mx.a.test AAAA 2001:db8::1\n"
    "liar.a.test A 192.0.2.99\n"
    "broken.a.test ANY SERVFAIL\n"
    "slow.a.test A 192.0.2.8 after 3s\n"
    "1.2.0.192.in-addr.arpa PTR MX.A.test.\n"
    "2.2.0.192.in-addr.arpa PTR liar.a.test\n"
    "3.2.0.192.in-addr.arpa PTR gone.a.test\n"
    "4.2.0.192.in-addr.arpa PTR NODATA\n"
    "5.2.0.192.in-addr.arpa PTR SERVFAIL\n"
    "6.2.0.192.in-addr.arpa PTR broken.a.test\n"
    "7.2.0.192.in-addr.arpa PTR TIMEOUT\n"
    "8.2.0.192.in-addr.arpa PTR slow.a.test after 1s\n"
    "9.2.0.192.in-addr.arpa PTR .\n"
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mx.a.test\n"
    "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mx.a.test\n"
    "many1.a.test A 192.0.2.50\nmany11.a.test A 192.0.2.50\n"
    "50.2.0.192.in-addr.arpa PTR many2.a.test\n50.2.0.192.in-addr.arpa PTR many3.a.test\n"
    "50.2.0.192.in-addr.arpa PTR many4.a.test\n50.2.0.192.in-addr.arpa PTR many5.a.test\n"
    "50.2.0.192.in-addr.arpa PTR many6.a.test\n50.2.0.192.in-addr.arpa PTR many7.a.test\n"
    "50.2.0.192.in-addr.arpa PTR many8.a.test\n50.2.0.192.in-addr.arpa PTR many9.a.test\n"
    "50.2.0.192.in-addr.arpa PTR many10.a.test\n50.2.0.192.in-addr.arpa PTR many12.a.test\n"
    "50.2.0.192.in-addr.arpa PTR many11.a.test\n";

static struct peer_names *names_of(const char *address)
{
    struct ip ip = {0};

    if (!ip_parse(str_of(address), &ip))
        bail("%s is no address", address);
    return peer_names_ask(a, NULL, ip);
}

static const struct peer_names *harvest(struct peer_names *n, int64_t wait_ms)
{
    return peer_names_harvest(a, NULL, n, clock_ms() + wait_ms);
}

static void test_results(void)
{
    static const struct {
        const char *address;
        enum peer_names_result result;
        size_t count;
    } cases[] = {
        {"192.0.2.1", PEER_NAMES_PASS, 1},   {"192.0.2.2", PEER_NAMES_FAIL, 1},   {"192.0.2.3", PEER_NAMES_FAIL, 1},
        {"192.0.2.4", PEER_NAMES_NONE, 0},   {"192.0.2.44", PEER_NAMES_NONE, 0},  {"192.0.2.5", PEER_NAMES_UNSURE, 0},
        {"192.0.2.6", PEER_NAMES_UNSURE, 1}, {"192.0.2.7", PEER_NAMES_UNSURE, 0}, {"192.0.2.9", PEER_NAMES_NONE, 0},
        {"2001:db8::1", PEER_NAMES_PASS, 1}, {"2001:db8::2", PEER_NAMES_FAIL, 1}, {"192.0.2.50", PEER_NAMES_FAIL, 10},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct peer_names *n = harvest(names_of(cases[i].address), 5000);

        is_str(str_of(words[n->result]), str_of(words[cases[i].result]), "%s", cases[i].address);
        is_long((long)n->count, (long)cases[i].count, "%s: names", cases[i].address);
        for (size_t k = 0; k < n->count; k++)
            ok(n->verified[k] == (cases[i].result == PEER_NAMES_PASS), "%s: " STR_FMT, cases[i].address,
               STR_ARG(n->name[k]));
    }
    is_str(harvest(names_of("192.0.2.1"), 5000)->name[0], STR("mx.a.test"),
           "names are lower-case, without the last dot");
    is_str(str_of(harvest(names_of("192.0.2.5"), 5000)->why), STR("servfail"), "unsure says why");
}

static void test_waiting(void)
{
    int64_t before = clock_ms();
    struct peer_names *n = names_of("192.0.2.8");

    is_long(clock_ms() - before, 0, "asking does not wait");
    is_long(peer_names_ptr(a, n, clock_ms() + 5000), DNS_OK, "the names alone");
    is_long(clock_ms() - before, 1000, "cost their own question only");
    is_long((long)n->count, 1, "and are there");
    is_long(harvest(n, 5000)->result, PEER_NAMES_PASS, "where they lead");
    is_long(clock_ms() - before, 4000, "costs the next");
    harvest(n, 5000);
    is_long(clock_ms() - before, 4000, "a second time nothing");
    dns_script_asked(a);
    peer_names_ptr(a, n, clock_ms());
    is_str(dns_script_asked(a), STR(""), "and nothing is asked again");
    is_long((long)n->count, 1, "nor read again");
    n = names_of("192.0.2.6");
    harvest(n, 1000);
    dns_script_asked(a);
    is_long(harvest(n, 1000)->result, PEER_NAMES_UNSURE, "what is not known");
    is_str(dns_script_asked(a), STR(""), "is not asked again either");

    before = clock_ms();
    n = names_of("192.0.2.7");
    is_long(harvest(n, 700)->result, PEER_NAMES_UNSURE, "no answer at all");
    is_long(clock_ms() - before, 700, "is waited for until the deadline");
}

static void test_budget(void)
{
    struct dns_budget budget = {.left = 1};
    struct ip ip;
    struct peer_names *n;

    ip_parse(STR("192.0.2.1"), &ip);
    n = peer_names_ask(a, &budget, ip);
    is_long(peer_names_harvest(a, &budget, n, clock_ms() + 1000)->result, PEER_NAMES_UNSURE,
            "who may ask no more knows nothing");
}

static void test_has_address(void)
{
    struct dns_record records[2] = {{.preference = 0}, {.preference = 0}};
    struct dns_answer answer = {.status = DNS_OK, .records = records, .count = 2};
    struct ip ip;

    ip_parse(STR("192.0.2.1"), &records[0].ip);
    ip_parse(STR("2001:db8::1"), &records[1].ip);
    ip = records[1].ip;
    ok(dns_has_address(&answer, ip), "the second address");
    answer.count = 1;
    ok(!dns_has_address(&answer, ip), "is not there when there is one");
    answer.count = 2;
    answer.status = DNS_FAIL;
    ok(!dns_has_address(&answer, ip), "nor in a failure");
}

int main(void)
{
    struct str error;

    a = arena_new(0);
    clock_script_wall(1767607200000);
    if (!dns_script(STR("zone"), str_of(zone), true, &error, a))
        bail(STR_FMT, STR_ARG(error));
    test_results();
    test_waiting();
    test_budget();
    test_has_address();
    dns_script_end();
    clock_script_end();
    arena_free(&a);
    return tap_end();
}
