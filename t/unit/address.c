/* address.c - paths of MAIL and RCPT. */
#include <stdlib.h>

#include "../../milter/base/arena.h"
#include "../../milter/mail/address.h"
#include "../lib/tap.h"

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct row {
    struct str path;
    bool good;
    struct str text, local, domain;
};

#define ROW(path, good, text, local, domain) {STR(path), good, STR(text), STR(local), STR(domain)}

static const struct row rows[] = {
    ROW("<a@b>", true, "a@b", "a", "b"),
    ROW("a@b", true, "a@b", "a", "b"),
    ROW("<Joe.Smith@EXAMPLE.Org>", true, "Joe.Smith@example.org", "Joe.Smith", "example.org"),
    ROW("<user+tag@x.example>", true, "user+tag@x.example", "user+tag", "x.example"),
    ROW("<!#$%&'*+-/=?^_`{|}~@x>", true, "!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "x"),
    /* null path and postmaster */
    ROW("<>", true, "", "", ""),
    ROW("", true, "", "", ""),
    ROW("<postmaster>", true, "postmaster", "postmaster", ""),
    ROW("<PostMaster>", true, "PostMaster", "PostMaster", ""),
    ROW("<user>", false, "user", "user", ""),
    /* source routes */
    ROW("<@r1:a@b>", true, "a@b", "a", "b"),
    ROW("<@r1,@r2.example:a@b>", true, "a@b", "a", "b"),
    ROW("<@[IPv6:2001:db8::1]:a@b>", true, "a@b", "a", "b"),
    ROW("<@r1,r2:a@b>", false, "a@b", "a", "b"),
    ROW("<@r1,:a@b>", false, "a@b", "a", "b"),
    ROW("<@:a@b>", false, "a@b", "a", "b"),
    ROW("<@r1:>", false, "", "", ""),
    ROW("<@r1>", false, "@r1", "", "r1"),
    /* quoted local parts */
    ROW("<\"joe smith\"@x>", true, "\"joe smith\"@x", "joe smith", "x"),
    ROW("<\"a@b\"@x>", true, "\"a@b\"@x", "a@b", "x"),
    ROW("<\"a>b\"@x>", true, "\"a>b\"@x", "a>b", "x"),
    ROW("<\"a\\\"b\\\\c\"@x>", true, "\"a\\\"b\\\\c\"@x", "a\"b\\c", "x"),
    ROW("<\"joe\"@x>", true, "\"joe\"@x", "joe", "x"),
    ROW("<\"\"@x>", true, "\"\"@x", "", "x"),
    ROW("<joe\\ smith@x>", false, "joe\\ smith@x", "joe smith", "x"),
    ROW("<a\\@b@x>", false, "a\\@b@x", "a@b", "x"),
    ROW("<\"joe\".smith@x>", false, "\"joe\".smith@x", "joe.smith", "x"),
    ROW("<\"a@b>", false, "\"a@b", "\"a", "b"),
    ROW("<\"a\tb\"@x>", false, "\"a\tb\"@x", "a\tb", "x"),
    ROW("<\"a\\\xc3\xa4\"@x>", false, "\"a\\\xc3\xa4\"@x", "a\xc3\xa4", "x"),
    /* SMTPUTF8 */
    ROW("<j\xc3\xb6rg@m\xc3\xbcnchen.example>", true, "j\xc3\xb6rg@m\xc3\xbcnchen.example", "j\xc3\xb6rg",
        "m\xc3\xbcnchen.example"),
    ROW("<\"j \xc3\xb6\"@x>", true, "\"j \xc3\xb6\"@x", "j \xc3\xb6", "x"),
    ROW("<j\xf6rg@x>", false, "j\xf6rg@x", "j\xf6rg", "x"),
    ROW("<a@\xff\xfe>", false, "a@\xff\xfe", "a", "\xff\xfe"),
    /* domain literals */
    ROW("<a@[192.0.2.1]>", true, "a@[192.0.2.1]", "a", "[192.0.2.1]"),
    ROW("<a@[IPv6:2001:DB8::1]>", true, "a@[ipv6:2001:db8::1]", "a", "[ipv6:2001:db8::1]"),
    ROW("<a@[192.0.2.1>", false, "a@[192.0.2.1", "a", "[192.0.2.1"),
    ROW("<a@[]>", false, "a@[]", "a", "[]"),
    ROW("<a@[x@y>z]>", false, "a@[x@y>z]", "a", "[x@y>z]"),
    ROW("<a@192.0.2.1>", true, "a@192.0.2.1", "a", "192.0.2.1"),
    /* domains */
    ROW("<a@b.>", false, "a@b", "a", "b"),
    ROW("<a@b...>", false, "a@b", "a", "b"),
    ROW("<a@b..c>", false, "a@b..c", "a", "b..c"),
    ROW("<a@.b>", false, "a@.b", "a", ".b"),
    ROW("<a@>", false, "a", "a", ""),
    ROW("<a@.>", false, "a", "a", ""),
    ROW("<a@b c>", false, "a@b c", "a", "b c"),
    ROW("<a@b_c.example>", true, "a@b_c.example", "a", "b_c.example"),
    ROW("<a@" LABEL63 ">", true, "a@" LABEL63, "a", LABEL63),
    ROW("<a@" LABEL63 "a>", false, "a@" LABEL63 "a", "a", LABEL63 "a"),
    ROW("<a@b@c>", false, "a@b@c", "a@b", "c"),
    ROW("<@b>", false, "@b", "", "b"),
    ROW("@", false, "", "", ""),
    /* dots in the local part */
    ROW("<.a@b>", false, ".a@b", ".a", "b"),
    ROW("<a.@b>", false, "a.@b", "a.", "b"),
    ROW("<a..b@c>", false, "a..b@c", "a..b", "c"),
    /* brackets */
    ROW("<a@b", false, "a@b", "a", "b"),
    ROW("a@b>", false, "a@b", "a", "b"),
    ROW("<<a@b>>", false, "<a@b", "<a", "b"),
    ROW("<a@b>x", false, "a@b", "a", "b"),
    ROW("<a@b> ", false, "a@b", "a", "b"),
    ROW("<", false, "", "", ""),
    ROW(">", false, "", "", ""),
    ROW("\\", false, "\\", "\\", ""),
    ROW("\"", false, "\"", "\"", ""),
    /* bytes that have no business here */
    ROW("<a\0b@c>", false, "a\0b@c", "a\0b", "c"),
    ROW("<a@b\0.example>", false, "a@b\0.example", "a", "b\0.example"),
    ROW("<a\r\nRCPT TO:<x>@b>", false, "a\r\nRCPT TO:<x", "a\r\nRCPT TO:<x", ""),
    ROW("<a\nb@c>", false, "a\nb@c", "a\nb", "c"),
    ROW("<a\x1b[31m@c>", false, "a\x1b[31m@c", "a\x1b[31m", "c"),
    ROW("<a@b\x7f>", false, "a@b\x7f", "a", "b\x7f"),
    ROW("<a b@c>", false, "a b@c", "a b", "c"),
};

static void test_rows(struct arena *a)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct str shown = str_escaped(a, row->path);
        struct address got = address_parse(a, row->path);

        ok(got.well_formed == row->good, STR_FMT " is %s", STR_ARG(shown), row->good ? "good" : "malformed");
        is_str(got.raw, row->path, STR_FMT ": raw", STR_ARG(shown));
        is_str(got.text, row->text, STR_FMT ": text", STR_ARG(shown));
        is_str(got.local, row->local, STR_FMT ": local part", STR_ARG(shown));
        is_str(got.domain, row->domain, STR_FMT ": domain", STR_ARG(shown));
    }
}

static void test_copies(struct arena *a)
{
    char path[] = "<joe@Example.org>";
    struct address got = address_parse(a, str_of(path));

    memset(path, 'x', sizeof path);
    is_str(got.raw, STR("<joe@Example.org>"), "raw is a copy");
    is_str(got.text, STR("joe@example.org"), "text is a copy");
    is_str(got.local, STR("joe"), "the local part is a copy");
}

static void test_large(struct arena *a)
{
    static const char *const fillers[] = {"a", "\"", "\\", "@", "<", "@[", "@a,", "\"\\", ">", ".", "a@[b", "\xc3"};
    size_t n = 65536;
    char *big = arena_alloc(a, n);
    struct address got;
    long long before;

    memset(big, 'a', n);
    memcpy(big + n - 3, "@b>", 3);
    big[0] = '<';
    got = address_parse(a, (struct str){big, n});
    ok(!got.well_formed, "64 KiB are malformed");
    is_long(got.raw.n, 2048, "and cut");
    is_long(got.domain.n, 0, "before the domain, which is then unknown");
    memcpy(big + 2048 - 3, "@b>", 3);
    got = address_parse(a, (struct str){big, 2048});
    ok(got.well_formed, "2048 bytes are read");
    is_str(got.domain, STR("b"), "to the end");
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        size_t length = strlen(fillers[i]);

        for (size_t k = 0; k < n; k++)
            big[k] = fillers[i][k % length];
        before = tap_cpu_ms();
        for (int k = 0; k < 5; k++)
            got = address_parse(a, (struct str){big, n});
        ok(!got.well_formed && tap_cpu_ms() - before < 250, "64 KiB of the %zuth filler, five times, in %lld ms", i,
           tap_cpu_ms() - before);
    }
}

int main(void)
{
    struct arena *a = arena_new(0);

    test_rows(a);
    test_copies(a);
    test_large(a);
    arena_free(&a);
    return tap_end();
}
