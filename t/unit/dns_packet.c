/* dns_packet.c - answers as they come, and as they should not: each is put together here, byte by byte. */
#include <stdlib.h>

#include "../../milter/base/arena.h"
#include "../../milter/dns/packet.h"
#include "../lib/tap.h"

static struct arena *arena;

/* ---- making packets ---- */

static struct buf out;

static void b1(unsigned v)
{
    buf_addc(&out, (char)v);
}

static void b2(unsigned v)
{
    b1(v >> 8 & 255);
    b1(v & 255);
}

static void b4(unsigned v)
{
    b2(v >> 16);
    b2(v & 0xffff);
}

/* name - "a.test" as labels; "" is the root. */
static void name(const char *text)
{
    struct str rest = str_of(text), label;

    while (str_split(&rest, '.', &label)) {
        b1((unsigned)label.n);
        buf_add(&out, label);
    }
    b1(0);
}

/* begin - header and question; the name stands at offset 12. flags: 0x8180 is a resolver's usual answer. */
static void begin(unsigned flags, unsigned answers, unsigned authorities, const char *asked, unsigned type)
{
    out = buf_in(arena);
    b2(0x1234);
    b2(flags);
    b2(1);
    b2(answers);
    b2(authorities);
    b2(0);
    name(asked);
    b2(type);
    b2(1);
}

static void rr(const char *owner, unsigned type, unsigned ttl, unsigned size)
{
    if (owner)
        name(owner);
    else
        b2(0xc00c); /* the question's */
    b2(type);
    b2(1);
    b4(ttl);
    b2(size);
}

static void rr_a(const char *owner, unsigned ttl, unsigned last)
{
    rr(owner, DNS_A, ttl, 4);
    b4(0xc0000200 | last);
}

static void rr_name(const char *owner, unsigned type, unsigned ttl, const char *target)
{
    rr(owner, type, ttl, (unsigned)strlen(target) + 2);
    name(target);
}

static void rr_soa(const char *owner, unsigned ttl, unsigned minimum)
{
    rr(owner, 6, ttl, 22);
    name("");
    name("");
    for (int i = 0; i < 4; i++)
        b4(1);
    b4(minimum);
}

static struct dns_answer read_as(const char *asked, enum dns_type type)
{
    char *exact = malloc(out.len ? out.len : 1); /* a sanitizer sees one byte too far */
    struct dns_answer answer;

    if (!exact)
        bail("out of memory");
    memcpy(exact, out.data, out.len);
    answer = packet_read(arena, (struct str){exact, out.len}, str_of(asked), type);
    answer.packet.p = NULL;
    free(exact); /* records and texts do not point into the packet */
    return answer;
}

static bool fails(const char *asked, enum dns_type type, const char *why)
{
    struct dns_answer answer = read_as(asked, type);

    return answer.status == DNS_FAIL && str_is(str_of(answer.why), str_of(why)) && answer.count == 0
           && answer.packet.n == 0;
}

/* ---- what is right ---- */

static void test_types(void)
{
    struct dns_answer answer;

    begin(0x8180, 2, 0, "A.Test", DNS_A);
    rr_a(NULL, 300, 1);
    rr_a("a.TEST", 60, 2);
    answer = read_as("a.test", DNS_A);
    ok(answer.status == DNS_OK && answer.count == 2, "two addresses");
    is_str(ip_text(arena, answer.records[0].ip), STR("192.0.2.1"), "the first");
    is_str(ip_text(arena, answer.records[1].ip), STR("192.0.2.2"), "the second");
    is_long(answer.ttl, 60, "the least TTL");
    is_long((long long)answer.packet.n, (long long)out.len, "and the packet as it came");

    begin(0x8180, 1, 0, "a.test", DNS_AAAA);
    rr(NULL, DNS_AAAA, 1, 16);
    b4(0x20010db8);
    b4(0);
    b4(0);
    b4(1);
    answer = read_as("a.test", DNS_AAAA);
    ok(answer.status == DNS_OK && answer.count == 1, "an IPv6 address");
    is_str(ip_text(arena, answer.records[0].ip), STR("2001:db8::1"), "which it is");

    begin(0x8180, 2, 0, "a.test", DNS_MX);
    rr(NULL, DNS_MX, 1, 7);
    b2(10);
    b1(2);
    buf_add(&out, STR("MX"));
    b2(0xc00c);
    rr(NULL, DNS_MX, 1, 3);
    b2(0);
    b1(0);
    answer = read_as("a.test", DNS_MX);
    ok(answer.status == DNS_OK && answer.count == 2, "two mail exchangers");
    is_str(answer.records[0].text, STR("mx.a.test"), "one by a compressed name, in lower case");
    is_long(answer.records[0].preference, 10, "its preference");
    is_str(answer.records[1].text, STR(""), "one is the root");

    begin(0x8180, 1, 0, "a.test", DNS_TXT);
    rr(NULL, DNS_TXT, 1, 9);
    b1(3);
    buf_add(&out, STR("v=x"));
    b1(0);
    b1(3);
    buf_add(&out, STR("\0\xff\n"));
    answer = read_as("a.test", DNS_TXT);
    ok(answer.status == DNS_OK && answer.count == 1, "a text");
    is_str(answer.records[0].text, STR("v=x\0\xff\n"), "its strings joined, as bytes");

    begin(0x8180, 3, 0, "1.2.0.192.in-addr.arpa", DNS_PTR);
    rr(NULL, 46, 1, 4); /* a signature before */
    b4(0);
    rr_name(NULL, DNS_PTR, 1, "Mx.a.test");
    rr_name("else.test", DNS_PTR, 1, "other.test"); /* of another name */
    answer = read_as("1.2.0.192.in-addr.arpa", DNS_PTR);
    ok(answer.status == DNS_OK && answer.count == 1, "one name of an address");
    is_str(answer.records[0].text, STR("mx.a.test"), "which it is");

    begin(0x8180, 2, 0, "a.test", DNS_NS);
    rr_name(NULL, DNS_NS, 0x80000001, "ns.a.test");
    rr_name(NULL, DNS_NS, 5, "ns2.a.test");
    answer = read_as("a.test", DNS_NS);
    ok(answer.status == DNS_OK && answer.count == 2 && answer.ttl == 0, "a TTL with its highest bit set is none");
}

static void test_aliases(void)
{
    struct dns_answer answer;
    char owner[32], target[32];

    begin(0x8180, 3, 0, "a.test", DNS_A);
    rr_a("c.test", 300, 3); /* any order */
    rr_name("b.test", 5, 20, "c.test");
    rr_name(NULL, 5, 100, "b.test");
    answer = read_as("a.test", DNS_A);
    ok(answer.status == DNS_OK && answer.count == 1 && answer.ttl == 20, "aliases are followed, with the least TTL");

    begin(0x8180, 1, 1, "a.test", DNS_MX);
    rr_name(NULL, 5, 100, "b.other");
    rr_soa("other", 40, 400);
    answer = read_as("a.test", DNS_MX);
    ok(answer.status == DNS_NODATA && answer.ttl == 40, "an alias of a name without the type");

    begin(0x8183, 1, 1, "a.test", DNS_MX);
    rr_name(NULL, 5, 100, "b.other");
    rr_soa("other", 400, 400);
    answer = read_as("a.test", DNS_MX);
    ok(answer.status == DNS_NXDOMAIN && answer.ttl == 100, "an alias of a name that does not exist");

    for (unsigned hops = DNS_CNAMES_MOST; hops <= DNS_CNAMES_MOST + 1; hops++) {
        begin(0x8180, hops + 1, 0, "n0.test", DNS_A);
        for (unsigned i = 0; i < hops; i++) {
            snprintf(owner, sizeof owner, "n%u.test", i);
            snprintf(target, sizeof target, "n%u.test", i + 1);
            rr_name(owner, 5, 1, target);
        }
        snprintf(owner, sizeof owner, "n%u.test", hops);
        rr_a(owner, 1, 1);
        answer = read_as("n0.test", DNS_A);
        ok((answer.status == DNS_OK) == (hops == DNS_CNAMES_MOST), "a chain of %u aliases", hops);
    }

    begin(0x8180, 2, 0, "a.test", DNS_A);
    rr_name(NULL, 5, 1, "b.test");
    rr_name("b.test", 5, 1, "a.test");
    ok(fails("a.test", DNS_A, "malformed"), "a loop of aliases");
    begin(0x8180, 1, 0, "a.test", DNS_A);
    rr_name(NULL, 5, 1, "a.test");
    ok(fails("a.test", DNS_A, "malformed"), "an alias of itself");
}

static void test_negative(void)
{
    struct dns_answer answer;

    begin(0x8183, 0, 1, "x.a.test", DNS_A);
    rr_soa("a.test", 900, 120);
    answer = read_as("x.a.test", DNS_A);
    ok(answer.status == DNS_NXDOMAIN && answer.ttl == 120, "no such name, for the SOA's minimum");
    begin(0x8180, 0, 1, "x.a.test", DNS_A);
    rr_soa("a.test", 90, 120);
    answer = read_as("x.a.test", DNS_A);
    ok(answer.status == DNS_NODATA && answer.ttl == 90, "no such type, for the SOA's TTL");
    begin(0x8180, 0, 0, "x.a.test", DNS_A);
    answer = read_as("x.a.test", DNS_A);
    ok(answer.status == DNS_NODATA && answer.ttl == DNS_NEGATIVE_TTL, "without SOA: not for long");
    begin(0x8183, 0, 1, "x.a.test", DNS_A);
    rr_soa("b.test", 90000, 90000);
    answer = read_as("x.a.test", DNS_A);
    ok(answer.status == DNS_NXDOMAIN && answer.ttl == DNS_NEGATIVE_TTL, "another zone's SOA does not count");
    begin(0x8183, 0, 1, "xa.test", DNS_A);
    rr_soa("a.test", 90000, 90000);
    answer = read_as("xa.test", DNS_A);
    ok(answer.ttl == DNS_NEGATIVE_TTL, "a zone ends at a dot");
    begin(0x8183, 0, 1, "nope", DNS_A);
    rr_soa("", 80, 90);
    answer = read_as("nope", DNS_A);
    ok(answer.status == DNS_NXDOMAIN && answer.ttl == 80, "the root is everybody's zone");
    begin(0x8100, 0, 1, "x.a.test", DNS_A);
    rr_name("a.test", DNS_NS, 90, "ns.a.test");
    ok(fails("x.a.test", DNS_A, "refused"), "a referral says nothing about the name");
    begin(0x8182, 0, 0, "a.test", DNS_A);
    ok(fails("a.test", DNS_A, "servfail"), "SERVFAIL");
    begin(0x8185, 0, 0, "a.test", DNS_A);
    ok(fails("a.test", DNS_A, "refused"), "REFUSED");
    begin(0x8184, 0, 0, "a.test", DNS_A);
    ok(fails("a.test", DNS_A, "servfail"), "NOTIMP");
    begin(0x8182, 1, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "servfail"), "SERVFAIL with an address is no address");
    begin(0x8183, 1, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "neither is one of a name that does not exist");
}

/* ---- what is wrong ---- */

static void test_not_ours(void)
{
    begin(0x0100, 0, 0, "a.test", DNS_A);
    ok(fails("a.test", DNS_A, "malformed"), "a question is no answer");
    begin(0x8980, 0, 0, "a.test", DNS_A);
    ok(fails("a.test", DNS_A, "malformed"), "another opcode");
    begin(0x8180, 1, 0, "b.test", DNS_A);
    rr_a("b.test", 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "an answer to another name");
    begin(0x8180, 1, 0, "a.test", DNS_MX);
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "to another type");
    begin(0x8180, 0, 0, "a.test", DNS_A);
    out.data[5] = 2;
    ok(fails("a.test", DNS_A, "malformed"), "to two questions");
    out.data[5] = 0;
    ok(fails("a.test", DNS_A, "malformed"), "to none");
    begin(0x8180, 0, 0, "a.test", DNS_A);
    out.data[out.len - 1] = 3;
    ok(fails("a.test", DNS_A, "malformed"), "of another class");
    begin(0x8380, 1, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "too large"), "cut off");
    begin(0x8180, 1, 0, "a.test", DNS_A);
    rr_a("b.test", 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "an address of another name is not taken, and no statement of this one");
    begin(0x8180, 1, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    out.data[out.len - 11] = 4;
    ok(fails("a.test", DNS_A, "malformed"), "nor one of another class");
    begin(0x8180, 0, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "no record by the count, but there is one: the count is damaged");
    begin(0x8183, 0, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "nor does such a name not exist");
}

static void test_malformed(void)
{
    char label[65];

    begin(0x8180, 1, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    for (size_t n = out.len; n-- > 0;) {
        out.len = n;
        if (!fails("a.test", DNS_A, "malformed"))
            break;
    }
    is_long((long long)out.len, 0, "cut at any byte");
    begin(0x8180, 1, 0, "a.test", DNS_A);
    rr(NULL, DNS_A, 1, 5);
    b4(1);
    b1(1);
    ok(fails("a.test", DNS_A, "malformed"), "an address of five bytes");
    begin(0x8180, 1, 0, "a.test", DNS_AAAA);
    rr(NULL, DNS_AAAA, 1, 4);
    b4(1);
    ok(fails("a.test", DNS_AAAA, "malformed"), "an IPv6 address of four");
    begin(0x8180, 1, 0, "a.test", DNS_TXT);
    rr(NULL, DNS_TXT, 1, 3);
    b1(3);
    b2(0);
    ok(fails("a.test", DNS_TXT, "malformed"), "a string beyond its record");
    begin(0x8180, 1, 0, "a.test", DNS_TXT);
    rr(NULL, DNS_TXT, 1, 0);
    ok(fails("a.test", DNS_TXT, "malformed"), "a text without a string");
    begin(0x8180, 1, 0, "a.test", DNS_MX);
    rr(NULL, DNS_MX, 1, 2);
    b2(10);
    ok(fails("a.test", DNS_MX, "malformed"), "a mail exchanger without a name");
    begin(0x8180, 1, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 4);
    b2(0xc00c);
    b2(0);
    ok(fails("a.test", DNS_PTR, "malformed"), "bytes behind a name");
    begin(0x8180, 2, 0, "a.test", DNS_A);
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "fewer records than it says");
    begin(0x8180, 1, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 2);
    b2(0xc000 | (unsigned)out.len);
    ok(fails("a.test", DNS_PTR, "malformed"), "a pointer to itself");
    begin(0x8180, 1, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 4);
    b1(1);
    b1('x');
    b2(0xc000 | (unsigned)(out.len - 2));
    ok(fails("a.test", DNS_PTR, "malformed"), "a loop of a label and a pointer");
    begin(0x8180, 1, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 2);
    b2(0xffff);
    ok(fails("a.test", DNS_PTR, "malformed"), "a pointer forwards");
    begin(0x8180, 1, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 3);
    b1(0x41);
    b2(0);
    ok(fails("a.test", DNS_PTR, "malformed"), "a label type that nobody knows");
    memset(label, 'a', sizeof label);
    begin(0x8180, 1, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 5 * 64 + 1);
    for (int i = 0; i < 5; i++) {
        b1(63);
        buf_add(&out, (struct str){label, 63});
    }
    b1(0);
    ok(fails("a.test", DNS_PTR, "malformed"), "a name over 255 bytes");
    begin(0x8180, 0, 1, "a.test", DNS_A);
    rr("test", 6, 1, 3);
    b1(0);
    b1(0);
    b1(0);
    ok(fails("a.test", DNS_A, "malformed"), "an SOA that is too short");
}

/* The pointer chain: each label points to the one before it, legal but long; and names that mean others as text. */
static void test_names(void)
{
    struct dns_answer answer;

    begin(0x8180, 2, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 15);
    b1(8);
    buf_add(&out, STR("www.good"));
    b1(4);
    buf_add(&out, STR("test"));
    b1(0);
    rr_name(NULL, DNS_PTR, 1, "real.test");
    answer = read_as("a.test", DNS_PTR);
    ok(answer.status == DNS_OK && answer.count == 1, "a label with a dot in it is left out");
    is_str(answer.records[0].text, STR("real.test"), "another record is not");
    begin(0x8180, 1, 0, "a.test", DNS_PTR);
    rr(NULL, DNS_PTR, 1, 5);
    b1(3);
    buf_add(&out, STR("a\0b"));
    b1(0);
    ok(fails("a.test", DNS_PTR, "malformed"), "nothing but a label with a NUL byte");
    begin(0x8180, 1, 0, "a.test", DNS_A);
    out.data[13] = '.';
    rr_a(NULL, 1, 1);
    ok(fails("a.test", DNS_A, "malformed"), "a question with a dot in a label is not ours");
    begin(0x8180, 1, 0, "\xc3\xa4_.test", DNS_A);
    rr_a(NULL, 1, 1);
    ok(read_as("\xc3\xa4_.test", DNS_A).status == DNS_OK, "8-bit bytes and underscores are fine");
}

static void test_many(void)
{
    struct dns_answer answer;

    begin(0x8180, 1000, 0, "a.test", DNS_A);
    for (unsigned i = 0; i < 1000; i++)
        rr_a(NULL, 1, i & 255);
    answer = read_as("a.test", DNS_A);
    ok(answer.status == DNS_OK && answer.count == DNS_RECORDS_MOST, "of 1000 addresses %d are read",
       DNS_RECORDS_MOST);
    begin(0x8180, 1, 0, "a.test", DNS_TXT);
    rr(NULL, DNS_TXT, 1, 255 * 256);
    for (unsigned i = 0; i < 255; i++) {
        b1(255);
        for (unsigned k = 0; k < 255; k++)
            b1('x');
    }
    answer = read_as("a.test", DNS_TXT);
    ok(answer.status == DNS_OK && answer.records[0].text.n == 255 * 255, "a text of 65 025 bytes");
    for (unsigned i = 0; i < 300; i++)
        b1(0);
    ok(fails("a.test", DNS_TXT, "malformed"), "more than 65535 bytes are no packet");
    begin(0x8180, 60000, 0, "a.test", DNS_A);
    ok(fails("a.test", DNS_A, "malformed"), "60000 records that are not there");
}

static void test_write(void)
{
    struct dns_record mx[] = {{.text = STR("mx.a.test"), .preference = 10}, {.text = STR("")}};
    struct dns_answer answer = {.status = DNS_OK, .why = "", .records = mx, .count = 2, .ttl = 77}, again;
    struct dns_record text = {.text = STR("")};
    uint8_t question[DNS_ASK_MOST];
    char bytes[600], lower[DNS_NAME_MOST];
    size_t n;

    again = packet_read(arena, packet_write(arena, STR("a.test"), DNS_MX, &answer), STR("a.test"), DNS_MX);
    ok(again.status == DNS_OK && again.count == 2 && again.ttl == 77, "what is written can be read");
    is_str(again.records[0].text, STR("mx.a.test"), "names too");
    memset(bytes, 'y', sizeof bytes);
    text.text = (struct str){bytes, sizeof bytes};
    answer.records = &text;
    answer.count = 1;
    again = packet_read(arena, packet_write(arena, STR("a.test"), DNS_TXT, &answer), STR("a.test"), DNS_TXT);
    ok(again.count == 1 && str_is(again.records[0].text, text.text), "and texts over 255 bytes");
    answer.count = 0;
    answer.status = DNS_NXDOMAIN;
    again = packet_read(arena, packet_write(arena, STR("a.test"), DNS_TXT, &answer), STR("a.test"), DNS_TXT);
    ok(again.status == DNS_NXDOMAIN && again.ttl == 77, "and that there is nothing");
    ok(packet_write(arena, STR("a..test"), DNS_A, &answer).n == 0, "a bad name cannot be written");

    n = packet_ask(question, 0xbeef, STR("a.test"), DNS_MX, true);
    is_str((struct str){(char *)question, n},
           STR("\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01"
               "a\x04test\x00\x00\x0f\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"),
           "a question with EDNS");
    n = packet_ask(question, 1, STR(""), DNS_NS, false);
    is_str((struct str){(char *)question, n},
           STR("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"), "one without, for the root");
    ok(packet_name(STR("A.Test."), lower, &n) && n == 6 && memcmp(lower, "a.test", 6) == 0, "names are made uniform");
}

int main(void)
{
    arena = arena_new(0);
    test_types();
    test_aliases();
    test_negative();
    test_not_ours();
    test_malformed();
    test_names();
    test_many();
    test_write();
    arena_free(&arena);
    return tap_end();
}
