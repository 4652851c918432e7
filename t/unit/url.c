/* url.c - hosts out of texts and HTML, in every disguise. */
#include "../../milter/mail/url.h"
#include "../lib/tap.h"

static struct arena *a;

/* hosts_of - all, in order, with a blank between them; what is asked about behind a = where it differs. */
static struct str hosts_of(const struct links *l)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < l->count; i++) {
        buf_addf(&b, "%s" STR_FMT, i ? " " : "", STR_ARG(l->items[i].host));
        if (!str_is(l->items[i].asked, l->items[i].host))
            buf_addf(&b, "=" STR_FMT, STR_ARG(l->items[i].asked));
    }
    return buf_str(&b);
}

struct test {
    const char *text, *want;
};

static void test_authority(void)
{
    static const struct test cases[] = {
        {"Example.COM", "example.com"},
        {"example.com.", "example.com"},
        {"example.com:8080/path", "example.com"},
        {"good.com@evil.com", "evil.com"},
        {"user:pass@x@evil.com:80?a@b.com", "evil.com"},
        {"good.com%40x@evil.com", "evil.com"},
        {"evil.com\\@good.com", "evil.com"},
        {"evil%2ecom", "evil.com"},
        {"%65vil.com", "evil.com"},
        {"evil.com#@good.com", "evil.com"},
        {"b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
        {"b%c3%bccher.example", "xn--bcher-kva.example"},
        {"B\xc3\x9c" "CHER.example", "xn--bcher-kva.example"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"evil\xe3\x80\x82" "com", "evil.com"},
        {"\xef\xbd\x85\xef\xbd\x96il.com", "evil.com"},
        {"ev\xc2\xadil.com", "evil.com"},
        {"t.co", "t.co"},
        {"192.0.2.1", "192.0.2.1"},
        {"3221225985", "192.0.2.1"},
        {"0xC0000201", "192.0.2.1"},
        {"030000001001", "192.0.2.1"},
        {"0300.0.2.01", "192.0.2.1"},
        {"0xc0.0x0.0x2.0x1", "192.0.2.1"},
        {"0x", "0.0.0.0"},
        {"192.513", "192.0.2.1"},
        {"192.0.513", "192.0.2.1"},
        {"192.0.2.1.", "192.0.2.1"},
        {"%31%39%32.0.2.1", "192.0.2.1"},
        {"\xef\xbc\x91" "92.0.2.1", "192.0.2.1"},
        {"u@192.0.2.1:80", "192.0.2.1"},
        {"[2001:db8::1]:80", "2001:db8::1"},
        {"[::ffff:192.0.2.1]", "192.0.2.1"},
    };
    static const char *const none[] = {
        "", ".", "..", "localhost", "a..b", "256.1.1.1", "1.2.3.4.5", "192.0.2.256", "4294967296", "08.1.1.1.",
        "[", "[]", "[1]", "[2001:db8::1", "[IPv6:2001:db8::1]", "@", ":80", "%", "-", "%00",
        "a\xff\xff.com", "1.2.3.08",
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str host = STR_NONE;
        struct ip ip;

        if (ok(url_host(a, str_of(cases[i].text), &host, &ip), "%s is a host", cases[i].text))
            is_str(host, str_of(cases[i].want), "%s", cases[i].text);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct str host = STR_NONE;
        struct ip ip;

        ok(!url_host(a, str_of(none[i]), &host, &ip), "\"%s\" is none: " STR_FMT, none[i], STR_ARG(host));
    }
}

static void test_text(void)
{
    static const struct test cases[] = {
        {"nothing here. Nothing at all.", ""},
        {"see http://www.evil.co.uk/path, please", "www.evil.co.uk=evil.co.uk"},
        {"HTTPS://EVIL.COM:443", "evil.com"},
        {"<http://evil.com>", "evil.com"},
        {"(http://evil.com)", "evil.com"},
        {"http:\\\\evil.com", "evil.com"},
        {"http:////evil.com", "evil.com"},
        {"http:/evil.com", "evil.com"},
        {"ftp://evil.com http://other.example", "evil.com other.example"},
        {"http://good.com@evil.com/", "evil.com"},
        {"www.evil.com", "www.evil.com=evil.com"},
        {"Go to evil.com now", "evil.com"},
        {"evil.com. And more", "evil.com"},
        {"evil.com/path", "evil.com"},
        {"t.co/abc x.com", "t.co x.com"},
        {"a.ca b.co.uk c.jp", "a.ca b.co.uk c.jp"},
        {"report.zip main.py README.md libx.so v1.2.3 3.14 foo.cpp e.g. i.e. U.S.A.", ""},
        {"report.zip/x www.report.zip http://main.py", "main.py report.zip www.report.zip=report.zip"},
        {"192.0.2.1 is an address, 1.2.3.4 too", ""},
        {"http://192.0.2.1/ http://3221225986/", "192.0.2.1 192.0.2.2"},
        {"mail me: someone@example.com", ""},
        {"first.last@example.com", ""},
        {"mailto:someone@example.com?subject=x", "example.com"},
        {"http://a.com/?u=http://b.com/", "a.com b.com"},
        {"http://a.com/?u=http%3A%2F%2Fb.com%2f", "a.com b.com"},
        {"http://a.com/?u=http%253a%252F%252Fb.com", "a.com b.com"},
        {"\xe2\x80\x9c" "http://evil.com\xe2\x80\x9d \xe2\x80\x9c" "other.com\xe2\x80\x9d", "evil.com other.com"},
        {"http://evil.com\xef\xbc\x8c\xe8\xaf\xb7", "evil.com"},
        {"http://b\xc3\xbc" "cher.com/", "xn--bcher-kva.com"},
        {"http://evil.com http://EVIL.com http://evil.com.", "evil.com"},
        {"http://localhost/ http://intranet/", ""},
        {"http://a.b.c.example.org", "a.b.c.example.org=example.org"},
        {"http://x.github.io", "x.github.io"},
        {"http://good.com,evil.com http://good.com;then http://other.com!no.such", "evil.com good.com other.com"},
        {"http://", ""},
        {"://evil.com", ""},
        {"index.html style.css some.unknowntld", ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct links l = links_in(a);

        links_from_text(&l, str_of(cases[i].text));
        is_str(hosts_of(&l), str_of(cases[i].want), "%s", cases[i].text);
    }
}

static void test_html(void)
{
    static const struct test cases[] = {
        {"<a href=\"http://evil.com/x\">click</a>", "evil.com"},
        {"<a href='http://evil.com/x'>", "evil.com"},
        {"<A HREF=http://evil.com/x>", "evil.com"},
        {"<a\nhref\n=\nhttp://evil.com>", "evil.com"},
        {"<a/href=http://evil.com>", "evil.com"},
        {"<a href=//evil.com/x>", "evil.com"},
        {"<a href=\\\\evil.com/x>", "evil.com"},
        {"<a href=\"/\\evil.com/x\">", "evil.com"},
        {"<a href=\"https:evil.com\">", "evil.com"},
        {"<a href=\" \n http://evil.com\">", "evil.com"},
        {"<a href=\"ht\ntp://ev\til.c\rom\">", "evil.com"},
        {"<a href=\"&#104;ttp://evil&#46;com\">", "evil.com"},
        {"<a href=\"&#x68;ttp&colon;&sol;&sol;evil&period;com\">", "evil.com"},
        {"<a href=\"http&#58//evil.com\">", "evil.com"},
        {"<a href=\"&#0000000000000104;ttp://evil.com\">", "evil.com"},
        {"<a href=\"http://evil.com&#x2f;path\">", "evil.com"},
        {"<a href=\"http://ev&shy;il.com\">", "evil.com"},
        {"<a href=\"http://%65vil.com\">", "evil.com"},
        {"<a href=\"http://a*b.evil.com/x\">", "b.evil.com=evil.com"},
        {"<a href=\"http://u@a%2C.evil.com:80/x\">", "evil.com"},
        {"<a href=\"http://a'b.c(d).evil.com/x\">", "evil.com"},
        {"<a title=\">\" href=http://evil.com>", "evil.com"},
        {"<a x='\"' href=http://evil.com y='\"'>", "evil.com"},
        {"<a href=http://evil.com", "evil.com"},
        {"<a href=\"http://evil.com", "evil.com"},
        {"<a href=relative/path.html>", ""},
        {"<a href=evil.com>", ""},
        {"<base href=http://evil.com/><a href=x>", "evil.com"},
        {"<img src=http://evil.com/x.gif>", "evil.com"},
        {"<form action=http://evil.com>", "evil.com"},
        {"<button formaction=http://evil.com>", "evil.com"},
        {"<body background=http://evil.com/x>", "evil.com"},
        {"<div style=\"background:url(http://evil.com/x)\">", "evil.com"},
        {"<div style=\"background:url('//evil.com/x')\">", "evil.com"},
        {"<style>@import url(//evil.com/x); a{b:url(http://other.com)}</style>", "evil.com other.com"},
        {"<img srcset=\"//evil.com/a 1x, https://other.com/b 2x\">", "evil.com other.com"},
        {"<meta http-equiv=refresh content=\"0;url=http://evil.com\">", "evil.com"},
        {"<meta http-equiv=refresh content=\"0;url=//evil.com\">", "evil.com"},
        {"<script>location='http:\\/\\/evil.com'</script>", "evil.com"},
        {"<area href=mailto:x@evil.com>", "evil.com"},
        {"<!-- <a href=http://evil.com> -->", "evil.com"},
        {"<!--[if mso]><v:rect href=\"http://evil.com\"><![endif]-->", "evil.com"},
        {"<!--><a href=http://evil.com>", "evil.com"},
        {"<!-- <!-- <a href=http://evil.com>", "evil.com"},
        {"<!x><a href=http://evil.com>", "evil.com"},
        {"<?x ?><a href=http://evil.com>", "evil.com"},
        {"<p>visit <b>ev</b>il.com today</p>", "evil.com"},
        {"<td>one.</td><td>com</td>", ""},
        {"<p>http://<span>evil</span>.com</p>", "evil.com"},
        {"visit evil&#46;com", "evil.com"},
        {"ev<!-- x -->il.com", "evil.com"},
        {"1 < 2 http://evil.com", "evil.com"},
        {"<a class=\"a.com\">", ""},
        {"<a href=\"javascript:x('http://evil.com')\">", "evil.com"},
        {"<a href=\"http://g.com/url?q=http%3A%2F%2Fevil.com\">", "g.com evil.com"},
        {"<svg><a xlink:href=http://evil.com>", "evil.com"},
        {"<a href=http://good.com@evil.com>", "evil.com"},
        {"<a href=\"http://good.com'@evil.com\">", "evil.com good.com"},
        {"<a href=\"http://user:pa ss@evil.com/\">", "evil.com"},
        {"<a href=\"http://(x)<y>@evil.com/\">", "evil.com"},
        {"<a href=\"//evil.com\\@good.com\">", "evil.com"},
        {"<a href='http://evil.com&#12290;'>", "evil.com"},
        {"<a href=http://0xC0000201/>", "192.0.2.1"},
        {"<a href=http://b\xc3\xbc" "cher.de>", "xn--bcher-kva.de"},
        {"<a href=http://b&uuml;cher.com/>", "xn--bcher-kva.com"},
        {"<a href=http://b&Uuml;cher.com/>", "xn--bcher-kva.com"},
        {"<a href=http://b&uumlcher.com/>", "xn--bcher-kva.com"},
        {"see http://b&uuml;cher.com/ now", "xn--bcher-kva.com"},
        {"see ev&iopf;l.com now", "evil.com"},
        {"<a href=http://&eopf;v&ii;&lscr;.co&mfr;/>", "evil.com"},
        {"<a href=http://&Escr;vil.&copf;om/>", "evil.com"},
        {"<a href=http://&fjlig;ord.com/>", "fjord.com"},
        {"<a href=http://ev&ZeroWidthSpace;i&ic;l.com/>", "evil.com"},
        {"<a href=http://tm&trade;.com/>", "tmtm.com"},
        {"<a href=http://&AElig;vil.com/ title=&zwnj;>", "xn--vil-xla.com"},
        {"<a href=http://evil.com&hellip;> <a href=http://other.com&hearts;x>", "evil.com other.com"},
        {"http://evil.com&hellip; &nosuch; &uum; & &; x&zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz;", "evil.com"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct links l = links_in(a);

        links_from_html(&l, str_of(cases[i].text));
        is_str(hosts_of(&l), str_of(cases[i].want), "%s", cases[i].text);
    }
}

/* test_long_user - what stands before the @ may be longer than anything else. */
static void test_long_user(void)
{
    struct buf b = buf_in(a);
    struct links l = links_in(a);

    buf_add(&b, STR("http://good.com"));
    for (int i = 0; i < 5000; i++)
        buf_addc(&b, 'x');
    buf_add(&b, STR("@evil.com/"));
    links_from_text(&l, buf_str(&b));
    is_str(hosts_of(&l), STR("evil.com"), "a long user, in a text");
    l = links_in(a);
    links_from_value(&l, buf_str(&b), true);
    is_str(hosts_of(&l), STR("evil.com"), "and in an attribute");
}

static void test_bytes(void)
{
    static const struct str cases[] = {{"<a \0 \0b=c href=http://evil.com>", 32},
        {"<a href\0=x><a href=http://evil.com>", 36},
                                       {"\0\0http://evil.com\0", 18}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct links l = links_in(a);

        links_from_html(&l, cases[i]);
        is_str(hosts_of(&l), STR("evil.com"), "NUL bytes, case %zu", i);
    }
}

/* hostile - a megabyte of each; time per byte must not grow. */
static void test_time(void)
{
    static const char *const pieces[] = {
        "<", "&", "&#", "&#x", "&uuml", "&uuml;", "&CapitalDifferentialX", "<a", "<a ", "<a href=", "<!--", "<!", "</",
        "<b>", "<style>", "<script><", "<a href=\"",
        "http://", "http://a.b/http://", "%3A", "%253a", ".", "a.", "a.b@", "mailto:", ":", "://", "//", "/", "@",
        "\xc3\xbc",
        "\xc3\xbc.", "<!-->", "-->", "<div style=\"x:url(//", "=", "'", "www.", "http:\\/", "<a href=http://%",
        "[", "http://[", "\xef\xbc\x8e.",
    };

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct arena *own = arena_new(0);
        struct buf b = buf_in(own);
        struct links l = links_in(own);
        long long began = tap_cpu_ms();

        while (b.len < 1 << 20)
            buf_add(&b, str_of(pieces[i]));
        links_from_html(&l, buf_str(&b));
        links_from_text(&l, buf_str(&b));
        began = tap_cpu_ms() - began;
        ok(began < 4000, "1 MB of \"%s\": %lld ms", pieces[i], began);
        arena_free(&own);
    }
}

static void test_most(void)
{
    struct buf b = buf_in(a);
    struct links l = links_in(a);

    for (unsigned i = 0; i < 12000; i++)
        buf_addf(&b, "http://h%u.example\n", i);
    links_from_text(&l, buf_str(&b));
    is_long((long)l.count, LINKS_MOST, "so many hosts are kept");
    ok(l.more, "and that there are more is known");
    is_str(l.items[9999].host, STR("h9999.example"), "in order");
}

int main(void)
{
    a = arena_new(0);
    test_authority();
    test_text();
    test_html();
    test_bytes();
    test_long_user();
    test_time();
    test_most();
    arena_free(&a);
    return tap_end();
}
