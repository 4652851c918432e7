/* dns_scripted.c - answers from a zone file: what it may say, delays under a scripted clock, what is remembered. */
#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/waiting.h"
#include "../../milter/dns/dns.h"
#include "../../milter/dns/packet.h"
#include "../lib/tap.h"

static struct arena *arena;
static unsigned rung; /* how often somebody waited beside another */

static const char *const status_names[] = {"OK", "NODATA", "NXDOMAIN", "FAIL"};

static void script(const char *text, bool strict)
{
    struct str error = STR("");

    if (!dns_script(STR("zone"), str_of(text), strict, &error, arena))
        bail(STR_FMT, STR_ARG(error));
}

static enum dns_type type_of(const char *word)
{
    static const struct {
        const char *word;
        enum dns_type type;
    } types[] = {{"A", DNS_A}, {"AAAA", DNS_AAAA}, {"MX", DNS_MX}, {"TXT", DNS_TXT}, {"PTR", DNS_PTR}, {"NS", DNS_NS}};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (str_is(str_of(word), str_of(types[i].word)))
            return types[i].type;
    bail("no such type: %s", word);
}

/* told - an answer in one line. */
static struct str told(const struct dns_answer *answer)
{
    struct buf b = buf_in(arena);

    buf_addf(&b, "%s", status_names[answer->status]);
    if (answer->why[0])
        buf_addf(&b, " %s", answer->why);
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];

        buf_addc(&b, ' ');
        if (r->ip.known)
            buf_add(&b, ip_text(arena, r->ip));
        else if (r->preference)
            buf_addf(&b, "%u/", r->preference);
        buf_add_escaped(&b, r->text, "");
    }
    return buf_str(&b);
}

static const struct dns_answer *harvest(const char *name, const char *type)
{
    return dns_harvest(dns_ask(arena, NULL, str_of(name), type_of(type)), clock_ms() + 5000);
}

static void test_answers(void)
{
    static const char zone[] = "; a comment\n"
                               "mx.a.test.  300 IN A 192.0.2.7   ; and more\n"
                               "mx.a.test   AAAA 2001:db8::7\n"
                               "a.test  MX 10 Mx.A.test\n"
                               "a.test  IN 60 MX 20 mx2.a.test.   # behind\n"
                               "b.test  TXT \"v=spf1 \" \"-all\"\n"
                               "t.test  TXT un\\034quoted \"a;b#c\\\"d\\\\\" x#y\n"
                               "k.test TXT ( \"one\"\n   \"two\" ) \n"
                               "7.2.0.192.in-addr.arpa PTR mx.a.test\n"
                               "*.wild.test A 127.0.0.2\n"
                               "there.wild.test TXT x\n"
                               "null.test MX 0 .\n"
                               "b.test MX SERVFAIL\n"
                               "r.test A REFUSED\nm.test A MALFORMED\nn.test A NXDOMAIN\nd.test A NODATA\n"
                               "any.test ANY SERVFAIL\nany.test A 192.0.2.1\n"
                               "bare.test SERVFAIL\nlow.test A servfail\n"
                               "cont.test A 192.0.2.5\n   60 IN AAAA 2001:db8::5\n"
                               "c.test CNAME d2.test\nd2.test CNAME mx.a.test\n"
                               "l.test CNAME l2.test\nl2.test CNAME l.test\n"
                               "dangling.test CNAME nowhere.test\n"
                               "_dmarc.a.test TXT \"v=DMARC1; p=none\"\n"
                               "\xc3\xa4.test A 192.0.2.9\n"
                               "soa.test SOA ns.test. root.test. 1 2 3 4 5\n"
                               "$ORIGIN o.test.\nwww A 192.0.2.11\n@ NS ns\n"
                               "last A 192.0.2.12";
    static const struct {
        const char *name, *type, *want;
    } rows[] = {
        {"bare.test", "A", "FAIL servfail"},
        {"low.test", "A", "FAIL servfail"},
        {"cont.test", "AAAA", "OK 2001:db8::5"},
        {"mx.a.test", "A", "OK 192.0.2.7"},
        {"MX.A.Test.", "A", "OK 192.0.2.7"},
        {"mx.a.test", "AAAA", "OK 2001:db8::7"},
        {"mx.a.test", "MX", "NODATA"},
        {"a.test", "MX", "OK 10/mx.a.test 20/mx2.a.test"},
        {"b.test", "TXT", "OK v=spf1 -all"},
        {"t.test", "TXT", "OK un\"quoteda;b#c\"d\\\\x#y"},
        {"k.test", "TXT", "OK onetwo"},
        {"7.2.0.192.in-addr.arpa", "PTR", "OK mx.a.test"},
        {"x.wild.test", "A", "OK 127.0.0.2"},
        {"x.y.wild.test", "A", "OK 127.0.0.2"},
        {"x.wild.test", "TXT", "NODATA"},
        {"wild.test", "A", "NXDOMAIN"},
        {"there.wild.test", "A", "NODATA"},
        {"below.there.wild.test", "A", "NXDOMAIN"},
        {"null.test", "MX", "OK "},
        {"b.test", "MX", "FAIL servfail"},
        {"r.test", "A", "FAIL refused"},
        {"m.test", "A", "FAIL malformed"},
        {"n.test", "A", "NXDOMAIN"},
        {"d.test", "A", "NODATA"},
        {"any.test", "A", "OK 192.0.2.1"},
        {"any.test", "MX", "FAIL servfail"},
        {"c.test", "A", "OK 192.0.2.7"},
        {"c.test", "TXT", "NODATA"},
        {"l.test", "A", "FAIL malformed"},
        {"dangling.test", "A", "NXDOMAIN"},
        {"nobody.test", "A", "NXDOMAIN"},
        {"_dmarc.a.test", "TXT", "OK v=DMARC1; p=none"},
        {"\xc3\xa4.test", "A", "OK 192.0.2.9"},
        {"soa.test", "A", "NODATA"},
        {"www.o.test", "A", "OK 192.0.2.11"},
        {"o.test", "NS", "OK ns.o.test"},
        {"last.o.test", "A", "OK 192.0.2.12"},
        {"", "A", "FAIL bad name"},
        {".", "A", "FAIL bad name"},
        {"a..test", "A", "FAIL bad name"},
        {".a.test", "A", "FAIL bad name"},
        {"a.test..", "A", "FAIL bad name"},
    };

    script(zone, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        is_str(told(harvest(rows[i].name, rows[i].type)), str_of(rows[i].want), "%s %s", rows[i].name, rows[i].type);
    is_long(harvest("mx.a.test", "A")->ttl, 300, "the TTL is the line's");
    is_long(harvest("a.test", "MX")->ttl, 60, "of several, the least");
    is_str(told(dns_harvest(dns_ask_ptr(arena, NULL, harvest("mx.a.test", "A")->records[0].ip), 0)),
           STR("OK mx.a.test"), "an address is asked backwards");
    is_str(told(dns_harvest(dns_ask_ptr(arena, NULL, (struct ip){.known = false}), 0)), STR("FAIL bad name"),
           "an unknown address is not asked");
    is_str(dns_name(dns_ask_ptr(arena, NULL, harvest("mx.a.test", "AAAA")->records[0].ip)),
           STR("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"), "IPv6 by nibbles");
    is_str(told(dns_harvest(NULL, 0)), STR("FAIL no server"), "no question, no answer");
}

static void test_long_names(void)
{
    char name[300];
    struct dns_answer answer;

    memset(name, 'a', sizeof name);
    for (size_t i = 63; i < sizeof name; i += 64)
        name[i] = '.';
    script("x.test A 192.0.2.1\n", false);
    answer = *dns_harvest(dns_ask(arena, NULL, (struct str){name, 253}, DNS_A), 0);
    is_str(told(&answer), STR("NXDOMAIN"), "253 bytes are a name");
    answer = *dns_harvest(dns_ask(arena, NULL, (struct str){name, 254}, DNS_A), 0);
    is_str(told(&answer), STR("FAIL bad name"), "254 are none");
    name[63] = 'a';
    answer = *dns_harvest(dns_ask(arena, NULL, (struct str){name, 100}, DNS_A), 0);
    is_str(told(&answer), STR("FAIL bad name"), "nor is a label of 64");
    answer = *dns_harvest(dns_ask(arena, NULL, STR("a\0b.test"), DNS_A), 0);
    is_str(told(&answer), STR("FAIL bad name"), "nor is one with a NUL byte");
}

static void test_packets(void)
{
    static const char *const names[] = {"p.test", "q.test", "n.test"};

    script("p.test MX 10 a.test\np.test MX 20 b.test\nq.test TXT \"x\"\n", false);
    for (size_t i = 0; i < 3; i++) {
        const struct dns_answer *answer = harvest(names[i], "MX");
        struct dns_answer again = packet_read(arena, answer->packet, str_of(names[i]), DNS_MX);

        ok(answer->packet.n > 0, "%s: there is a packet", names[i]);
        is_str(told(&again), told(answer), "%s: which says the same", names[i]);
        is_long(again.ttl, answer->ttl, "%s: for as long", names[i]);
    }
}

static void ring(void)
{
    rung++;
}

static void test_delays(void)
{
    struct dns_question *slow, *slower, *never, *now;
    int64_t start;

    clock_script_wall(1767607200000);
    waiting_on_begin(ring);
    waiting_begin(); /* one waits already, so that the next one rings */
    script("now.test A 192.0.2.1\n$DELAY 800ms\nslow.test A 192.0.2.2\nslow2.test A 192.0.2.2\n$DELAY 2s\n"
           "slower.test A 192.0.2.3\nnever.test A TIMEOUT\none.test A 192.0.2.4 after 100ms\n",
           false);
    start = clock_ms();
    now = dns_ask(arena, NULL, STR("now.test"), DNS_A);
    slow = dns_ask(arena, NULL, STR("slow.test"), DNS_A);
    slower = dns_ask(arena, NULL, STR("slower.test"), DNS_A);
    never = dns_ask(arena, NULL, STR("never.test"), DNS_A);
    ok(dns_is_done(now) && !dns_is_done(slow), "an answer without delay is there, another is not");
    is_str(told(dns_harvest(slow, start + 5000)), STR("OK 192.0.2.2"), "it comes");
    is_long(clock_ms() - start, 800, "when it is due");
    is_long(dns_harvest(slow, 0)->took_ms, 800, "and says how long it took");
    is_str(told(dns_harvest(slower, start + 5000)), STR("OK 192.0.2.3"), "so does a later one");
    is_long(clock_ms() - start, 2000, "asked at the same time: delays overlap");
    is_str(told(dns_harvest(never, start + 5000)), STR("FAIL timeout"), "one never comes");
    is_long(clock_ms() - start, 5000, "and is given up at the deadline");
    is_str(told(dns_harvest(never, start + 500000)), STR("FAIL timeout"), "for good");
    is_long(clock_ms() - start, 5000, "without more waiting");

    start = clock_ms();
    slow = dns_ask(arena, NULL, STR("slow.test"), DNS_A);
    ok(dns_is_done(slow), "asked again, the answer is there");
    is_str(told(dns_harvest(slow, start)), STR("OK 192.0.2.2"), "the same one");
    is_long(dns_harvest(slow, start)->took_ms, 0, "in no time");
    slow = dns_ask(arena, NULL, STR("slow2.test"), DNS_A);
    is_str(told(dns_harvest(slow, start + 300)), STR("FAIL timeout"), "a deadline before the answer is due");
    is_long(clock_ms() - start, 300, "is where waiting ends");
    slow = dns_ask(arena, NULL, STR("slow2.test"), DNS_A);
    is_str(told(dns_harvest(slow, start + 5000)), STR("OK 192.0.2.2"), "asked again while it is on its way");
    is_long(clock_ms() - start, 800, "it comes when the first one was due");
    start = clock_ms();
    harvest("one.test", "A");
    is_long(clock_ms() - start, 100, "a delay of one line");
    clock_script_advance(301 * 1000);
    start = clock_ms();
    harvest("slow.test", "A");
    is_long(clock_ms() - start, 800, "after its TTL it is asked anew");
    is_long(rung, 0, "nobody waited in truth");
    waiting_end();
    waiting_on_begin(NULL);
    clock_script_end();
}

static void test_real_clock(void)
{
    int64_t start = clock_ms(), took;

    script("slow.test A 192.0.2.2 after 60ms\nnever.test A TIMEOUT\n", false);
    is_str(told(dns_harvest(dns_ask(arena, NULL, STR("slow.test"), DNS_A), start + 10000)), STR("OK 192.0.2.2"),
           "without a scripted clock it comes too");
    took = clock_ms() - start;
    ok(took >= 60 && took < 5000, "after its delay (%lld ms)", (long long)took);
    start = clock_ms();
    is_str(told(dns_harvest(dns_ask(arena, NULL, STR("never.test"), DNS_A), start + 40)), STR("FAIL timeout"),
           "or not");
    took = clock_ms() - start;
    ok(took >= 40 && took < 5000, "at the deadline (%lld ms)", (long long)took);
}

static void test_notes(void)
{
    struct dns_budget budget = {3};

    script("a.test A 192.0.2.1\n*.w.test A 192.0.2.2\n", true);
    is_str(dns_script_asked(arena), STR(""), "nobody asked");
    harvest("A.test", "A");
    harvest("a.test", "MX");
    harvest("a.test", "A");
    harvest("x.w.test", "A");
    harvest("other.test", "A");
    harvest("bad..name", "A");
    harvest("b\nlank .test", "TXT");
    is_str(dns_script_asked(arena), STR("a.test A\na.test MX\nx.w.test A\nother.test A\nb\\x0alank\\x20.test TXT\n"),
           "what was asked, once each, in order");
    is_str(dns_script_asked(arena), STR(""), "and then forgotten");
    is_str(dns_script_unscripted(arena), STR("other.test A\nb\\x0alank\\x20.test TXT\n"),
           "what the script does not mention");
    for (int i = 0; i < 5; i++)
        dns_ask(arena, &budget, STR("a.test"), DNS_A);
    is_long(budget.left, 0, "a budget is used up");
    is_str(told(dns_harvest(dns_ask(arena, &budget, STR("a.test"), DNS_A), 0)), STR("FAIL too many questions"),
           "and then nothing is asked");
    harvest("a.test", "A");
    is_str(dns_script_asked(arena), STR("a.test A\n"), "a name of the cache is asked too");
}

static void test_errors(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a.test A 192.0.2.1\na.test B 1\n", "zone:2: this is no type: \"B\""},
        {"a.test", "zone:1: a type is missing"},
        {"\n\na.test A", "zone:3: data are missing"},
        {"a.test A 192.0.2.256", "zone:1: this is no IPv4 address: \"192.0.2.256\""},
        {"a.test A ::1", "zone:1: this is no IPv4 address: \"::1\""},
        {"a.test AAAA 192.0.2.1", "zone:1: this is no IPv6 address: \"192.0.2.1\""},
        {"a.test A 192.0.2.1 192.0.2.2", "zone:1: too few or too many words"},
        {"a.test MX mx.test", "zone:1: too few or too many words"},
        {"a.test MX 65536 mx.test", "zone:1: this is no preference: \"65536\""},
        {"a..test A 192.0.2.1", "zone:1: this is no name: \"a..test\""},
        {"a.test PTR x..y", "zone:1: this is no name: \"x..y\""},
        {"a.test TXT \"x", "zone:1: a quotation mark is missing"},
        {"a.test TXT ( x\ny", "zone:1: a closing parenthesis is missing"},
        {"a.test TXT x )", "zone:1: a closing parenthesis too many"},
        {"a.test ANY 192.0.2.1", "zone:1: ANY is only for verdicts (SERVFAIL, TIMEOUT, ...), not for \"192.0.2.1\""},
        {"$DELAY soon", "zone:1: this is no delay: \"soon\""},
        {"$DELAY 2h", "zone:1: this is no delay: \"2h\""},
        {"$INCLUDE x", "zone:1: no such directive: \"$INCLUDE\""},
        {"a.test TXT \\999", "zone:1: no byte has such a value"},
        {"a.test B\x1b[0m 1\n", "zone:1: this is no type: \"B\\x1b[0m\""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str error = STR("");

        ok(!dns_script(STR("zone"), str_of(rows[i].text), false, &error, arena), "refused: %s", rows[i].text);
        is_str(error, str_of(rows[i].want), "and it says why");
    }
    script("x.test A 192.0.2.1\n", false);
    ok(!dns_script(STR("zone"), STR("a"), false, &(struct str){NULL, 0}, arena), "a wrong script");
    is_str(told(harvest("x.test", "A")), STR("OK 192.0.2.1"), "leaves the one there was");
}

static void test_lifetimes(void)
{
    struct arena *message = arena_new(0);
    struct dns_counters before, after;
    const struct dns_answer *answer;
    struct dns_question *q;

    script("a.test TXT \"long enough to be seen\"\n", false);
    q = dns_ask(message, NULL, STR("a.test"), DNS_TXT);
    answer = dns_harvest(q, 0);
    script("a.test TXT \"another\"\n", false);
    is_str(told(answer), STR("OK long enough to be seen"), "an answer lives as long as its question");
    is_str(told(dns_harvest(q, 0)), STR("OK long enough to be seen"), "and stays the same");
    arena_free(&message);
    dns_count(&before);
    is_str(told(harvest("a.test", "TXT")), STR("OK another"), "a new script answers anew");
    harvest("a.test", "TXT");
    dns_count(&after);
    is_long((long long)(after.cached - before.cached), 1, "the second time from the cache");
    is_long((long long)after.entries, 1, "which has one entry");
    dns_script_end();
    is_str(told(harvest("a.test", "TXT")), STR("FAIL no server"), "after the script nobody answers");
    dns_count(&after);
    is_long((long long)after.entries, 0, "and nothing is kept");
}

int main(void)
{
    arena = arena_new(0);
    is_str(told(harvest("a.test", "A")), STR("FAIL no server"), "before the start nobody answers");
    test_answers();
    test_long_names();
    test_packets();
    test_delays();
    test_real_clock();
    test_notes();
    test_errors();
    test_lifetimes();
    arena_free(&arena);
    return tap_end();
}
