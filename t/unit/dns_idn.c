/* dns_idn.c - domain_to_ascii: names in UTF-8 as they stand in the DNS. */
#include <string.h>

#include "../../milter/base/arena.h"
#include "../../milter/mail/domain.h"
#include "../lib/tap.h"

static struct arena *a;

static struct str repeated(const char *text, size_t times)
{
    struct buf b = buf_in(a);

    while (times--)
        buf_add(&b, str_of(text));
    return buf_str(&b);
}

static void test_good(void)
{
    static const struct {
        struct str name, ascii;
    } rows[] = {
        {STR("mail.example.org"), STR("mail.example.org")},
        {STR("Mail.Example.ORG."), STR("mail.example.org")},
        {STR("_dmarc.a.test"), STR("_dmarc.a.test")},
        {STR("localhost"), STR("localhost")},
        {STR("xn--bcher-kva.test"), STR("xn--bcher-kva.test")},
        {STR("XN--BCHER-KVA.test"), STR("xn--bcher-kva.test")},
        {STR("b\xc3\xbc" "cher.test"), STR("xn--bcher-kva.test")},
        {STR("b\xc3\xbc" "cher.test."), STR("xn--bcher-kva.test")},
        {STR("B\xc3\x9c" "CHER.test"), STR("xn--bcher-kva.test")},
        {STR("bu\xcc\x88" "cher.test"), STR("xn--bcher-kva.test")},           /* not composed */
        {STR("stra\xc3\x9f" "e.test"), STR("xn--strae-oqa.test")},            /* not strasse.test */
        {STR("\xe4\xbe\x8b.\xe6\xb5\x8b\xe8\xaf\x95"), STR("xn--fsq.xn--0zwm56d")},
        {STR("_dmarc.b\xc3\xbc" "cher.test"), STR("_dmarc.xn--bcher-kva.test")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str out, escaped = str_escaped(a, rows[i].name);

        ok(domain_to_ascii(a, rows[i].name, &out), STR_FMT " has a form in the DNS", STR_ARG(escaped));
        is_str(out, rows[i].ascii, STR_FMT ": it is that", STR_ARG(escaped));
    }
}

static void test_bad(void)
{
    static const struct {
        struct str name;
        const char *what;
    } rows[] = {
        {STR(""), "nothing"},
        {STR("."), "the root"},
        {STR("a..test"), "an empty label"},
        {STR("a.."), "two dots at the end"},
        {STR("a b.test"), "a blank"},
        {STR("[192.0.2.1]"), "a literal"},
        {STR("a\0b.test"), "a NUL byte"},
        {STR("b\xfc" "cher.test"), "Latin-1"},
        {STR("\xff\xfe.test"), "no UTF-8"},
        {STR("\xc3\xbc.\0.test"), "a NUL byte behind 8-bit ones"},
        {STR("\xc3\xbc..test"), "an empty label behind 8-bit ones"},
        {STR("\xc3\xbc\xe3\x80\x82test"), "an ideographic full stop"},
        {STR("\xc3\xbc b.test"), "a blank behind 8-bit ones"},
        {STR("\xe2\x98\x83\xef\xbf\xbd.test"), "a replacement character"},
        {STR("\xd9\xa0" "a\xd8\xa7.test"), "directions mixed"},
    };
    struct str out;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        out = STR("x");
        ok(!domain_to_ascii(a, rows[i].name, &out) && out.n == 0, "%s has none", rows[i].what);
    }
    ok(!domain_to_ascii(a, repeated("a", 64), &out), "a label of 64 bytes");
    ok(domain_to_ascii(a, repeated("a", 63), &out), "one of 63 has");
    ok(!domain_to_ascii(a, arena_printf(a, STR_FMT ".test", STR_ARG(repeated("\xc3\xbc", 80))), &out),
       "a label whose A-label is too long");
    ok(!domain_to_ascii(a, arena_printf(a, STR_FMT "\xc3\xbc.test", STR_ARG(repeated("abcdefg.", 32))), &out),
       "a name that is too long as A-labels");
    ok(!domain_to_ascii(a, repeated("a.", 127), &out) || out.n <= 253, "254 bytes with the last dot are 253");
    ok(!domain_to_ascii(a, repeated("\xc3\xbc.", 4000), &out), "12000 bytes");
}

int main(void)
{
    a = arena_new(0);
    test_good();
    test_bad();
    arena_free(&a);
    return tap_end();
}
