/* zone.c - how lists are written, what is asked of them, and which answers are a listing. */
#include "../../milter/base/arena.h"
#include "../../milter/dns/zone.h"
#include "../lib/tap.h"

static struct arena *a;

static struct ip ip(const char *text)
{
    struct ip ip = {0};

    if (!ip_parse(str_of(text), &ip))
        bail("%s is no address", text);
    return ip;
}

static struct zone zone(enum zone_kind kind, const char *text)
{
    struct zone z;
    struct str error;
    bool dead;

    if (!zone_parse(a, kind, str_of(text), &z, &error, &dead))
        bail("%s: " STR_FMT, text, STR_ARG(error));
    return z;
}

static void test_parse(void)
{
    static const struct {
        const char *text, *name, *told;
        unsigned masks;
    } good[] = {
        {"bl.test", "bl.test", "", 0},
        {"BL.Test.", "bl.test", "", 0},
        {" bl.test ", "bl.test", "", 0},
        {"bl.test=127.0.0.2", "bl.test", "", 0},
        {"bl.test=127.0.0.[2;4..11]:see http://bl.test/", "bl.test", "see http://bl.test/", 0},
        {"bl.test:see: http://bl.test/?%IP%", "bl.test", "see: http://bl.test/?%IP%", 0},
        {"bl.test: 8-16-64-128 ", "bl.test", "", 216},
        {"bl.test:2", "bl.test", "", 2},
        {"bl.test:8,16", "bl.test", "", 24},
        {"bl.test:8-16-text", "bl.test", "8-16-text", 0},
        {"bl.test:0", "bl.test", "0", 0},
        {"bl.test:256", "bl.test", "256", 0},
        {"bl.test:", "bl.test", "", 0},
        {"multi.surbl.org", "multi.surbl.org", "", 216},
        {"multi.surbl.org:64", "multi.surbl.org", "", 64},
        {"multi.surbl.org=127.0.0.64", "multi.surbl.org", "", 0},
        {"multi.uribl.com", "multi.uribl.com", "", 2},
        {"bl.test = 127.0.0.2", "bl.test", "", 0},
        {"bl.test test=none", "bl.test", "", 0},
        {"bl.test=127.0.0.[2;4..11] test=192.0.2.1: text ", "bl.test", "text", 0},
        {"bl.test\tTEST=127.0.0.2/127.0.0.1:8-16", "bl.test", "", 24},
    };
    static const char *const wrong[] = {
        "", ".", "bl", "bl..test", "bl.test/24", "192.0.2.1", "bl test", "bl.test=", "bl.test=127.0.0",
        "bl.test=127.0.0.2.3", "bl.test=127.0.0.256", "bl.test=127.0.0.[2", "bl.test=127.0.0.[]",
        "bl.test=127.0.0.[4..2]",
        "bl.test=127.0.0.[2;]x", "bl.test=127.0.0.[2-4]", "bl.test=127.0.0.-1", "bl.test=127..0.2", "=127.0.0.2",
        ":text",
        "bl.test test", "bl.test test=", "bl.test test=x", "bl.test test=127.0.0.2/", "bl.test test=/127.0.0.1",
        "bl.test test=127.0.0.2/127.0.0.1/127.0.0.3", "bl.test test=none/127.0.0.1", "bl.test test=127.0.0.2 x",
        "bl.test test=none test=none", "bl.test tset=none", "test=none", "bl.test test=none=127.0.0.2",
        "bl.test=127.0.0.[2..4..6]", "bl.test=127.0.0.[2.4]",
    };
    struct zone z;
    struct str error;
    bool dead;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bool parsed = zone_parse(a, ZONE_OF_CLIENTS, str_of(good[i].text), &z, &error, &dead);

        if (!ok(parsed && !dead, "\"%s\" is a list", good[i].text))
            continue;
        is_str(z.name, str_of(good[i].name), "\"%s\": its name", good[i].text);
        is_str(z.text, str_of(good[i].told), "\"%s\": its text", good[i].text);
        is_long(z.masks, good[i].masks, "\"%s\": its masks", good[i].text);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ok(!zone_parse(a, ZONE_OF_CLIENTS, str_of(wrong[i]), &z, &error, &dead) && !dead && error.n,
           "\"%s\" is none", wrong[i]);
}

static void test_test_points(void)
{
    static const struct {
        enum zone_kind kind;
        const char *text, *listed, *unlisted;
    } rows[] = {
        {ZONE_OF_CLIENTS, "bl.test", "2.0.0.127.bl.test", "1.0.0.127.bl.test"},
        {ZONE_OF_CLIENTS, "bl.test test=none", "", ""},
        {ZONE_OF_CLIENTS, "bl.test=127.0.0.2 test=192.0.2.66", "66.2.0.192.bl.test", "1.0.0.127.bl.test"},
        {ZONE_OF_CLIENTS, "bl.test test=192.0.2.66/203.0.113.1:text", "66.2.0.192.bl.test", "1.113.0.203.bl.test"},
        {ZONE_OF_NAMES, "bl.test", "test.bl.test", "invalid.bl.test"},
        {ZONE_OF_NAMES, "bl.test test=Listed.Example/clean.example", "listed.example.bl.test", "clean.example.bl.test"},
        {ZONE_OF_NAMES, "bl.test test=2.0.0.127", "2.0.0.127.bl.test", "invalid.bl.test"},
        {ZONE_OF_NAMES, "multi.surbl.org", "surbl-org-permanent-test-point.com.multi.surbl.org",
         "invalid.multi.surbl.org"},
        {ZONE_OF_NAMES, "multi.uribl.com", "2.0.0.127.multi.uribl.com", "invalid.multi.uribl.com"},
        {ZONE_OF_NAMES, "black.uribl.com", "2.0.0.127.black.uribl.com", "invalid.black.uribl.com"},
        {ZONE_OF_NAMES, "multi.uribl.com test=other.example", "other.example.multi.uribl.com",
         "invalid.multi.uribl.com"},
    };
    struct zone z;
    struct str error, listed, unlisted;
    bool dead;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        z = zone(rows[i].kind, rows[i].text);
        zone_test_points(a, &z, &listed, &unlisted);
        is_str(listed, str_of(rows[i].listed), "\"%s\": what it must list", rows[i].text);
        is_str(unlisted, str_of(rows[i].unlisted), "\"%s\": what it must not", rows[i].text);
    }
    zone_parse(a, ZONE_OF_CLIENTS, STR("bl.test tset=none"), &z, &error, &dead);
    is_str(error, STR("has \"tset=none\" where only test= can follow"), "a wrong word is named");
    zone_parse(a, ZONE_OF_CLIENTS, STR("bl.test test=a.example"), &z, &error, &dead);
    is_str(error, STR("needs none or IPv4 addresses, LISTED or LISTED/CLEAN, after test="), "a wrong point too");
    zone_parse(a, ZONE_OF_NAMES, STR("bl.test test=a..example"), &z, &error, &dead);
    is_str(error, STR("needs none or domains, LISTED or LISTED/CLEAN, after test="), "of a list of names");
}

static enum zone_said said(const struct zone *z, const char *code)
{
    struct dns_record record = {.ip = ip(code)};
    struct dns_answer answer = {.status = DNS_OK, .why = "", .records = &record, .count = 1};
    struct str why;

    return zone_judge(a, z, &answer, &why);
}

static void test_trust(void)
{
    static const struct {
        const char *code;
        enum zone_said said;
    } rows[] = {
        {"127.0.5.0", ZONE_CLEAN},    {"127.0.5.1", ZONE_LISTED},   {"127.0.1.3", ZONE_LISTED},
        {"127.0.254.2", ZONE_LISTED}, {"127.0.5.4", ZONE_UNSURE},   {"127.0.5.255", ZONE_UNSURE},
        {"127.0.0.2", ZONE_LISTED},   {"127.0.0.10", ZONE_LISTED},  {"127.0.0.255", ZONE_UNSURE},
        {"127.0.0.1", ZONE_UNSURE},   {"127.0.0.0", ZONE_UNSURE},   {"127.1.5.1", ZONE_UNSURE},
        {"203.0.5.1", ZONE_UNSURE},   {"127.255.255.1", ZONE_UNSURE},
    };
    struct zone z = zone(ZONE_OF_CLIENTS, "wl.test"), own = zone(ZONE_OF_CLIENTS, "wl.test=127.0.0.2");

    is_long(said(&z, "127.0.5.1"), ZONE_UNSURE, "a block list does not tell trust");
    zone_by_trust(&z);
    zone_by_trust(&own);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        is_long(said(&z, rows[i].code), rows[i].said, "an allow list says %s", rows[i].code);
    is_long(said(&own, "127.0.5.1"), ZONE_UNSURE, "codes that are written hold");
    own = zone(ZONE_OF_CLIENTS, "wl.test:8-16");
    zone_by_trust(&own);
    is_long(said(&own, "127.0.5.8"), ZONE_LISTED, "bits too");
}

static void test_dead(void)
{
    static const char *const dead_ones[] = {
        "rhsbl.sorbs.net", "dnsbl.sorbs.net", "SPAM.dnsbl.sorbs.net.", "dnsbl.ahbl.org", "combined.njabl.org",
        "list.dsbl.org:text", "relays.ordb.org=127.0.0.2", "bl.spamcannibal.org",
    };
    struct zone z;
    struct str error;
    bool dead;

    for (size_t i = 0; i < sizeof dead_ones / sizeof dead_ones[0]; i++)
        ok(!zone_parse(a, ZONE_OF_NAMES, str_of(dead_ones[i]), &z, &error, &dead) && dead &&
           str_starts(error, STR("is dead since 20")), "%s is dead, and since when is told", dead_ones[i]);
    ok(zone_parse(a, ZONE_OF_NAMES, STR("notsorbs.net"), &z, &error, &dead), "notsorbs.net is another one");
}

static void test_keys(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "S3cret.zen.dq.spamhaus.net");

    is_str(z.name, STR("s3cret.zen.dq.spamhaus.net"), "the key is asked with");
    is_str(z.shown, STR("***.zen.dq.spamhaus.net"), "and not shown");
    is_str(zone_shown(a, &z, STR("2.0.0.127.s3cret.zen.dq.spamhaus.net")), STR("2.0.0.127.***.zen.dq.spamhaus.net"),
           "nor in a name below the list");
    is_str(zone_shown(a, &z, STR("other.test")), STR("other.test"), "other names stay");
    z = zone(ZONE_OF_NAMES, "s3cret.dbl.dq.spamhaus.net");
    is_str(z.shown, STR("***.dbl.dq.spamhaus.net"), "the same for lists of names");
    z = zone(ZONE_OF_CLIENTS, "zen.spamhaus.org");
    is_str(z.shown, STR("zen.spamhaus.org"), "the free one has none");
}

static void test_names(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "bl.test");
    struct str yes, no;

    is_str(zone_client_name(a, &z, ip("192.0.2.7")), STR("7.2.0.192.bl.test"), "octets backwards");
    is_str(zone_client_name(a, &z, ip("2001:db8:1:2:3:4:567:89ab")),
           STR("b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.test"), "nibbles backwards");
    is_str(zone_client_name(a, &z, ip("::ffff:192.0.2.7")), STR("7.2.0.192.bl.test"), "mapped IPv4 is IPv4");
    is_str(zone_name_name(a, &z, STR("a.test")), STR("a.test.bl.test"), "names forwards");
    zone_test_points(a, &z, &yes, &no);
    is_str(yes, STR("2.0.0.127.bl.test"), "RFC 5782: 127.0.0.2 is listed");
    is_str(no, STR("1.0.0.127.bl.test"), "RFC 5782: 127.0.0.1 is not");
    z = zone(ZONE_OF_NAMES, "rhs.test");
    zone_test_points(a, &z, &yes, &no);
    is_str(yes, STR("test.rhs.test"), "RFC 5782: TEST is listed");
    is_str(no, STR("invalid.rhs.test"), "RFC 5782: INVALID is not");
    z = zone(ZONE_OF_NAMES, "multi.surbl.org");
    zone_test_points(a, &z, &yes, &no);
    is_str(yes, STR("surbl-org-permanent-test-point.com.multi.surbl.org"), "a list with a test point of its own");
    z = zone(ZONE_OF_NAMES, "multi.uribl.com");
    zone_test_points(a, &z, &yes, &no);
    is_str(yes, STR("2.0.0.127.multi.uribl.com"), "another");
}

static void test_takes(void)
{
    static const char *const private[] = {
        "0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255", "192.168.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fdff::1", "fe80::1",
        "febf::1", "ff02::1", "::ffff:10.0.0.1",
    };
    static const char *const public[] = {"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
        "172.15.255.255", "172.32.0.0", "192.0.2.1", "192.167.255.255", "192.169.0.0", "223.255.255.255", "2001:db8::1",
        "2a00::1"};
    struct zone z = zone(ZONE_OF_CLIENTS, "bl.test"), v4 = zone(ZONE_OF_CLIENTS, "bl.spamcop.net"),
                zen = zone(ZONE_OF_CLIENTS, "zen.spamhaus.org");

    for (size_t i = 0; i < sizeof private / sizeof private[0]; i++)
        ok(!zone_takes(&z, ip(private[i])), "%s is never sent", private[i]);
    for (size_t i = 0; i < sizeof public / sizeof public[0]; i++)
        ok(zone_takes(&z, ip(public[i])), "%s is", public[i]);
    ok(!zone_takes(&z, (struct ip){0}), "nor an address that is not known");
    ok(!zone_takes(&v4, ip("2001:db8::1")) && v4.known, "IPv6 is not sent to a list that is known to have none");
    ok(zone_takes(&zen, ip("2001:db8::1")), "but to one that has it");
}

/* answer - of these addresses, with blanks between; an upper-case word is a failure. */
static const struct dns_answer *answer(const char *text)
{
    struct dns_answer *made = arena_zalloc(a, sizeof *made);
    struct dns_record *records = arena_array(a, 8, sizeof *records);
    struct str rest = str_of(text), word;

    made->why = "";
    made->records = records;
    made->status = DNS_OK;
    while (str_token(&rest, &word)) {
        if (str_is(word, STR("NXDOMAIN")) || str_is(word, STR("NODATA")))
            made->status = str_is(word, STR("NODATA")) ? DNS_NODATA : DNS_NXDOMAIN;
        else if (word.p[0] >= 'A') {
            made->status = DNS_FAIL;
            made->why = str_c(a, str_lower(a, word));
        } else
            records[made->count++].ip = ip(str_c(a, word));
    }
    return made;
}

static const char *const said_words[] = {"clean", "listed", "unsure"};

static void test_judge(void)
{
    static const struct {
        const char *zone, *answer;
        enum zone_said said;
        const char *why;
    } cases[] = {
        {"bl.test", "NXDOMAIN", ZONE_CLEAN, ""},
        {"bl.test", "NODATA", ZONE_CLEAN, ""},
        {"bl.test", "SERVFAIL", ZONE_UNSURE, "servfail"},
        {"bl.test", "TIMEOUT", ZONE_UNSURE, "timeout"},
        {"bl.test", "REFUSED", ZONE_UNSURE, "refused"},
        {"bl.test", "MALFORMED", ZONE_UNSURE, "malformed"},
        {"bl.test", "127.0.0.2", ZONE_LISTED, "127.0.0.2"},
        {"bl.test", "127.0.0.254", ZONE_LISTED, "127.0.0.254"},
        {"bl.test", "127.0.0.0", ZONE_UNSURE, "127.0.0.0"},
        {"bl.test", "127.0.0.1", ZONE_UNSURE, "127.0.0.1"},
        {"bl.test", "127.0.0.255", ZONE_UNSURE, "127.0.0.255"},
        {"bl.test", "127.0.1.2", ZONE_UNSURE, "127.0.1.2"},
        {"bl.test", "127.1.0.2", ZONE_UNSURE, "127.1.0.2"},
        {"bl.test", "127.255.255.252", ZONE_UNSURE, "127.255.255.252"},
        {"bl.test", "127.255.255.254", ZONE_UNSURE, "127.255.255.254"},
        {"bl.test", "127.255.255.255", ZONE_UNSURE, "127.255.255.255"},
        {"bl.test", "127.255.255.2", ZONE_UNSURE, "127.255.255.2"},
        {"bl.test", "0.0.0.0", ZONE_UNSURE, "0.0.0.0"},
        {"bl.test", "126.0.0.2", ZONE_UNSURE, "126.0.0.2"},
        {"bl.test", "192.0.2.1", ZONE_UNSURE, "192.0.2.1"},
        {"bl.test", "127.0.0.2 127.0.0.3", ZONE_LISTED, "127.0.0.2"},
        {"bl.test", "127.0.1.9 127.0.0.3", ZONE_LISTED, "127.0.0.3"},
        {"bl.test", "127.0.0.2 127.255.255.254", ZONE_UNSURE, "127.255.255.254"},
        {"bl.test", "127.0.0.2 192.0.2.1", ZONE_UNSURE, "192.0.2.1"},
        {"bl.test", "127.0.0.1 127.0.0.2", ZONE_UNSURE, "127.0.0.1"},
        {"bl.test", "127.0.0.2 127.0.0.255", ZONE_UNSURE, "127.0.0.255"},
        {"bl.test=127.0.0.[2..255]", "127.0.0.255", ZONE_UNSURE, "127.0.0.255"},
        {"dbl.spamhaus.org", "127.0.1.2 127.0.1.255", ZONE_UNSURE, "127.0.1.255"},
        /* whatever the administrator says */
        {"bl.test=127.255.255.254", "127.255.255.254", ZONE_UNSURE, "127.255.255.254"},
        {"bl.test=127.0.0.1", "127.0.0.1", ZONE_UNSURE, "127.0.0.1"},
        {"bl.test=192.0.2.1", "192.0.2.1", ZONE_UNSURE, "192.0.2.1"},
        {"bl.test=127.0.0.[2;4..11]", "127.0.0.2", ZONE_LISTED, "127.0.0.2"},
        {"bl.test=127.0.0.[2;4..11]", "127.0.0.3", ZONE_UNSURE, "127.0.0.3"},
        {"bl.test=127.0.0.[2;4..11]", "127.0.0.4", ZONE_LISTED, "127.0.0.4"},
        {"bl.test=127.0.0.[2;4..11]", "127.0.0.11", ZONE_LISTED, "127.0.0.11"},
        {"bl.test=127.0.0.[2;4..11]", "127.0.0.12", ZONE_UNSURE, "127.0.0.12"},
        {"bl.test=127.[0;2].[0..1].[4]", "127.2.1.4", ZONE_LISTED, "127.2.1.4"},
        {"bl.test=127.[0;2].[0..1].[4]", "127.1.1.4", ZONE_UNSURE, "127.1.1.4"},
        {"bl.test=127.[0;2].[0..1].[4]", "127.2.2.4", ZONE_UNSURE, "127.2.2.4"},
        {"bl.test:8-16", "127.0.0.8", ZONE_LISTED, "127.0.0.8"},
        {"bl.test:8-16", "127.0.0.48", ZONE_LISTED, "127.0.0.48"},
        {"bl.test:8-16", "127.0.0.36", ZONE_CLEAN, ""},
        {"bl.test:8-16", "127.0.9.16", ZONE_LISTED, "127.0.9.16"},
        {"bl.test:8-16", "127.0.0.9", ZONE_UNSURE, "127.0.0.9"},
        {"bl.test:8-16", "127.0.0.1", ZONE_UNSURE, "127.0.0.1"},
        {"bl.test:8-16", "127.255.255.8", ZONE_UNSURE, "127.255.255.8"},
        {"bl.test:8-16", "10.0.0.8", ZONE_UNSURE, "10.0.0.8"},
        {"zen.spamhaus.org", "127.0.0.2", ZONE_LISTED, "127.0.0.2"},
        {"zen.spamhaus.org", "127.0.0.11", ZONE_LISTED, "127.0.0.11"},
        {"zen.spamhaus.org", "127.0.0.30", ZONE_LISTED, "127.0.0.30"},
        {"zen.spamhaus.org", "127.0.0.12", ZONE_UNSURE, "127.0.0.12"},
        {"zen.spamhaus.org", "127.255.255.254", ZONE_UNSURE, "127.255.255.254"},
        {"zen.spamhaus.org=127.0.0.[10;11]", "127.0.0.2", ZONE_UNSURE, "127.0.0.2"},
        {"key.zen.dq.spamhaus.net", "127.0.0.4", ZONE_LISTED, "127.0.0.4"},
        {"bl.spamcop.net", "127.0.0.2", ZONE_LISTED, "127.0.0.2"},
        {"bl.spamcop.net", "127.0.0.3", ZONE_UNSURE, "127.0.0.3"},
        {"dbl.spamhaus.org", "127.0.1.2", ZONE_LISTED, "127.0.1.2"},
        {"dbl.spamhaus.org", "127.0.1.106", ZONE_LISTED, "127.0.1.106"},
        {"dbl.spamhaus.org", "127.0.1.107", ZONE_UNSURE, "127.0.1.107"},
        {"dbl.spamhaus.org", "127.0.1.255", ZONE_UNSURE, "127.0.1.255"},
        {"dbl.spamhaus.org", "127.0.0.2", ZONE_UNSURE, "127.0.0.2"},
        {"multi.surbl.org", "127.0.0.64", ZONE_LISTED, "127.0.0.64"},
        {"multi.surbl.org", "127.0.0.4", ZONE_CLEAN, ""},
        {"multi.surbl.org", "127.0.0.1", ZONE_UNSURE, "127.0.0.1"},
        {"black.uribl.com", "127.0.0.2", ZONE_LISTED, "127.0.0.2"},
        {"black.uribl.com", "127.0.0.1", ZONE_UNSURE, "127.0.0.1"},
        {"list.dnswl.org", "127.0.5.1", ZONE_LISTED, "127.0.5.1"},
        {"list.dnswl.org", "127.0.5.0", ZONE_UNSURE, "127.0.5.0"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zone z = zone(ZONE_OF_CLIENTS, cases[i].zone);
        struct str why;
        enum zone_said said = zone_judge(a, &z, answer(cases[i].answer), &why);

        is_str(str_of(said_words[said]), str_of(said_words[cases[i].said]), "%s: %s", cases[i].zone, cases[i].answer);
        is_str(why, str_of(cases[i].why), "%s: %s, why", cases[i].zone, cases[i].answer);
    }
}

/* test_judge_test - a test point is right with any code of a list. */
static void test_judge_test(void)
{
    static const struct {
        const char *answer;
        enum zone_said said;
    } cases[] = {
        {"127.0.0.2", ZONE_LISTED}, {"127.0.10.0", ZONE_LISTED}, {"127.0.0.254", ZONE_LISTED}, {"NXDOMAIN", ZONE_CLEAN},
        {"NODATA", ZONE_CLEAN}, {"127.0.0.1", ZONE_UNSURE}, {"127.255.255.254", ZONE_UNSURE},
        {"127.0.0.2 127.255.255.254", ZONE_UNSURE}, {"203.0.113.1", ZONE_UNSURE}, {"SERVFAIL", ZONE_UNSURE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str why;

        is_str(str_of(said_words[zone_judge_test(a, answer(cases[i].answer), &why)]), str_of(said_words[cases[i].said]),
               "a test point: %s", cases[i].answer);
    }
}

static void test_text(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "bl.test:%IP% 100% %ip% %%IP%% %I");

    is_str(zone_text(a, &z, ip("192.0.2.7")), STR("192.0.2.7 100% 192.0.2.7 %192.0.2.7% %I"), "%%IP%% is replaced");
    z = zone(ZONE_OF_CLIENTS, "bl.test");
    is_str(zone_text(a, &z, ip("192.0.2.7")), STR(""), "no text is no text");
}

int main(void)
{
    a = arena_new(0);
    test_parse();
    test_test_points();
    test_trust();
    test_dead();
    test_keys();
    test_names();
    test_takes();
    test_judge();
    test_judge_test();
    test_text();
    arena_free(&a);
    return tap_end();
}
