/* domain.c - host names and address literals. */
#include "../../milter/base/arena.h"
#include "../../milter/mail/domain.h"
#include "../../milter/mail/utf8.h"
#include "../lib/tap.h"

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME253 LABEL63 "." LABEL63 "." LABEL63 "." LABEL61

static void test_hostnames(void)
{
    static const struct {
        struct str name;
        bool ascii, utf8, fqdn;
    } rows[] = {
        {STR("mail.example.org"), true, true, true},
        {STR("mail.example.org."), true, true, true},
        {STR("MAIL-1.Example"), true, true, true},
        {STR("_dmarc.example.org"), true, true, true},
        {STR("localhost"), true, true, false},
        {STR("localhost."), true, true, false},
        {STR("192.0.2.1"), true, true, false},
        {STR("1.2.3.4a"), true, true, true},
        {STR("a.1"), true, true, false},
        {STR("xn--mnchen-3ya.example"), true, true, true},
        {STR("m\xc3\xbcnchen.example"), false, true, true},
        {STR("m\xfcnchen.example"), false, false, false},
        {STR(""), false, false, false},
        {STR("."), false, false, false},
        {STR(".example.org"), false, false, false},
        {STR("a..b"), false, false, false},
        {STR("a.b.."), false, false, false},
        {STR("a b.example"), false, false, false},
        {STR("a@b.example"), false, false, false},
        {STR("[192.0.2.1]"), false, false, false},
        {STR("a/b.example"), false, false, false},
        {STR("a\0b.example"), false, false, false},
        {STR("a\n.example"), false, false, false},
        {STR(LABEL63), true, true, false},
        {STR(LABEL63 "a"), false, false, false},
        {STR(LABEL63 ".b"), true, true, true},
        {STR(NAME253), true, true, true},
        {STR(NAME253 "."), true, true, true},
        {STR(NAME253 "a"), false, false, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ok(domain_is_hostname(rows[i].name, false) == rows[i].ascii, "host name '%.30s'", rows[i].name.p);
        ok(domain_is_hostname(rows[i].name, true) == rows[i].utf8, "host name '%.30s' with UTF-8", rows[i].name.p);
        ok(domain_is_fqdn(rows[i].name) == rows[i].fqdn, "full name '%.30s'", rows[i].name.p);
    }
    ok(!domain_is_hostname(STR_NONE, true) && !domain_is_fqdn(STR_NONE), "nothing is no name");
}

static void test_literals(struct arena *a)
{
    static const struct {
        const char *name, *ip; /* NULL: none */
    } rows[] = {
        {"[192.0.2.1]", "192.0.2.1"},
        {"[IPv6:2001:db8::1]", "2001:db8::1"},
        {"[ipv6:::1]", "::1"},
        {"[IPv6:::ffff:192.0.2.1]", "192.0.2.1"},
        {"192.0.2.1", NULL},
        {"[192.0.2.1", NULL},
        {"192.0.2.1]", NULL},
        {"[]", NULL},
        {"[", NULL},
        {"", NULL},
        {"[IPv6:]", NULL},
        {"[IPv6:192.0.2.1]", NULL},
        {"[IPv6:IPv6:::1]", NULL},
        {"[2001:db8::1]", NULL},
        {"[192.0.2.1].", NULL},
        {"[ 192.0.2.1]", NULL},
        {"[192.0.2.300]", NULL},
        {"[example.org]", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ip ip;
        bool good = domain_literal(str_of(rows[i].name), &ip);

        ok(good == (rows[i].ip != NULL) && ip.known == good, "'%s' is %s literal", rows[i].name, good ? "a" : "no");
        if (rows[i].ip)
            is_str(ip_text(a, ip), str_of(rows[i].ip), "'%s' is that address", rows[i].name);
    }
}

static void test_below(void)
{
    static const struct {
        const char *name, *domain;
        bool yes;
    } rows[] = {
        {"example.org", "example.org", true},
        {"EXAMPLE.org.", "example.ORG", true},
        {"mail.example.org", "example.org", true},
        {"a.b.example.org", "example.org.", true},
        {"badexample.org", "example.org", false},
        {"example.org", "mail.example.org", false},
        {"example.org.evil", "example.org", false},
        {"example.org", "", false},
        {"example.org", ".", false},
        {"", "example.org", false},
        {"", "", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ok(domain_is_or_below(str_of(rows[i].name), str_of(rows[i].domain)) == rows[i].yes, "'%s' %s '%s'",
           rows[i].name, rows[i].yes ? "is or is below" : "is not below", rows[i].domain);
}

static void test_utf8(void)
{
    ok(utf8_is_valid(STR("a\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")),
       "the ends of all ranges");
    ok(utf8_is_valid(STR_NONE), "nothing");
    ok(!utf8_is_valid(STR("\x80")) && !utf8_is_valid(STR("\xff")), "bytes that begin nothing");
    ok(!utf8_is_valid(STR("\xc3")) && !utf8_is_valid(STR("\xe2\x82")) && !utf8_is_valid(STR("\xf0\x9f\x98")),
       "cut short");
    ok(!utf8_is_valid(STR("\xc0\xaf")) && !utf8_is_valid(STR("\xe0\x80\xaf")) &&
           !utf8_is_valid(STR("\xf0\x80\x80\xaf")),
       "overlong forms");
    ok(!utf8_is_valid(STR("\xed\xa0\x80")), "a surrogate");
    ok(!utf8_is_valid(STR("\xf4\x90\x80\x80")) && !utf8_is_valid(STR("\xf5\x80\x80\x80")), "beyond U+10FFFF");
    ok(!utf8_is_valid(STR("\xc3(")) && !utf8_is_valid(STR("\xe2\x28\xa1")), "continued by something else");
}

int main(void)
{
    struct arena *a = arena_new(0);

    test_hostnames();
    test_literals(a);
    test_below();
    test_utf8();
    arena_free(&a);
    return tap_end();
}
