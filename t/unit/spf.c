/* spf.c - checks of RFC 7208 rule by rule: records, mechanisms, macros, explanations. */
#include "spf_test.h"

static void test_selection(void)
{
    static const struct vector list[] = {
        {"b.test A 192.0.2.1\n", NULL, NULL, "none"},
        {"a.test A 192.0.2.1\n", NULL, NULL, "none"},
        {"a.test TXT \"hello\"\n", NULL, NULL, "none"},
        {"a.test TXT \"v=spf10 -all\"\n", NULL, NULL, "none"},
        {"a.test TXT \"v=spf1\"\n", NULL, NULL, "neutral default"},
        {"a.test TXT \"V=SPF1 -all\"\n", NULL, NULL, "fail -all"},
        {"a.test TXT \"v=spf\" \"1 -\" \"all\"\n", NULL, NULL, "fail -all"},
        {R("-all") R("-all"), NULL, NULL, "permerror (a.test: more than one record)"},
        {"a.test TXT \"v=spf2.0/pra +all\"\n" R("-all"), NULL, NULL, "fail -all"},
        {"a.test TXT SERVFAIL\n", NULL, NULL, "temperror (a.test TXT: servfail)"},
        {"a.test TXT TIMEOUT\n", NULL, NULL, "temperror (a.test TXT: timeout)"},
        {"a.test TXT REFUSED\n", NULL, NULL, "temperror (a.test TXT: refused)"},
        {"a.test TXT MALFORMED\n", NULL, NULL, "temperror (a.test TXT: malformed)"},
        {"a.test CNAME c.test\nc.test TXT \"v=spf1 +all\"\n", NULL, NULL, "pass +all"},
    };

    RUN(list);
}

static void test_identities(void)
{
    static const char zone[] = "mx.b.test TXT \"v=spf1 exists:%{l}.%{o}.%{d}.x.test -all\"\n"
                               "postmaster.mx.b.test.mx.b.test.x.test A 127.0.0.2\n" R("exists:%{l}.x.test -all")
                               "postmaster.x.test A 127.0.0.2\n";
    const struct spf_answer *answer;

    script(str_of(zone));
    answer = spf_finish(begin(CLIENT, "MX.b.test", ""), clock_ms());
    is_str(told(answer), STR("pass exists:%{l}.%{o}.%{d}.x.test"), "the null sender is postmaster of the HELO name");
    ok(answer->helo, "it is the HELO identity");
    is_str(answer->domain, STR("mx.b.test"), "and the domain is told");
    answer = spf_finish(begin(CLIENT, "mx.b.test", "@a.test"), clock_ms());
    is_str(told(answer), STR("pass exists:%{l}.x.test"), "no local part: postmaster");
    ok(!answer->helo, "it is the MAIL FROM identity");
    is_str(check(CLIENT, "mx.b.test", "x@y@A.TEST."), STR("fail -all"), "the last @ counts; case and last dot do not");
    is_str(check(CLIENT, "", ""), STR("none (there is no domain)"), "no HELO");
    is_str(check(CLIENT, "[192.0.2.7]", ""), STR("none (the domain is an address)"), "an address literal");
    is_str(check(CLIENT, "localhost", ""), STR("none (the domain is a single label)"), "a single label");
    is_str(check(CLIENT, "x", "a@b..test"), STR("none (the domain has a label that cannot be)"), "an empty label");
    is_str(check(CLIENT, "x", "a@.test"), STR("none (the domain has a label that cannot be)"), "at the beginning");
    is_str(check(CLIENT, "x", "a@test."), STR("none (the domain is a single label)"), "a single label and a dot");
    is_str(check(CLIENT, "x", "a@a23456789012345678901234567890123456789012345678901234567890123x.test"),
           STR("none (the domain has a label that cannot be)"), "a label of 64 bytes");
    is_str(check("", "mx.b.test", SENDER), STR("none (the client's address is not known)"), "no client address");
}

static void test_grammar(void)
{
    static const char *const wrong[] = {
        "foo", "-foo:bar.test", "all:x.test", "all.", "all/8", "-all=", "moo.cow:far_out", "moo.cow/far_out", "--all",
        "include", "include:", "include:x", "include:x.test/24", "exists", "exists:", "exists:x.test/24", "ptr:",
        "ptr/0",
        "a:", "a:test", "a:test.", "a:x.test/33", "a:x.test/024", "a:x.test/", "a:x.test//", "a:x.test//129",
        "a:x.test/24/64", "a:x.test//64/24", "a:/24", "a:x.123", "a:x.t-", "a:x.-t", "a:x..", "a:x.te_st", "a/",
        "mx:", "mx/33", "mx//", "mx:x.test:25", "a:x.test:25",
        "ip4", "ip4:", "ip4:192.0.2", "ip4:192.0.2.256", "ip4:192.0.2.1/33", "ip4:192.0.2.1/", "ip4:192.0.2.1/032",
        "ip4:192.0.2.1//32", "ip4:2001:db8::1", "ip4:192.0.2.1:25", "ip4:01.2.3.4",
        "ip6", "ip6:", "ip6:192.0.2.1", "ip6:2001:db8::1/129", "ip6:2001:db8::1/064", "ip6:2001:db8::1//64", "ip6::/x",
        "ip6:2001:db8:::1", "redirect=", "redirect=x", "redirect:x.test", "redirect=x.test redirect=x.test",
        "redirect=x.test/24", "exp=", "exp=x", "exp=x.test exp=x.test", "default=%", "default=%{", "x=%{c}", "1=x",
        "=x",
        "a:%{a}.test", "a:%{}.test", "a:%{d0}.test", "a:%{d.test", "a:%{dq}.test", "a:%{d1rr}.test", "a:%(d).test",
        "a:%d.test", "a:%{c}.test", "a:%{r}.test", "a:%{t}.test", "a:%{s}.123", "a:%{d},x.test/24,", "-redirect=x.test",
        "a:x\\009y.test", "a:\\195\\164.test", "a:x.test\\009-all", "\\000", "a:x\\000.test", "ip4:192.0.2.7\\000x",
    };
    static const char *const right[] = {
        "a", "A:x.test", "a/0", "a/0//0", "a:x.test.", "a:x.t3st", "a:x.t--t", "a:x_y.test/24//64", "a:a:b.test",
        "a:1.x1",
        "a:%{d}", "a:%{d2r.-+,/_=}", "a:%{D128}.test", "a:%%.%_.%-.test", "mx", "MX:%{o}", "ptr", "pTr:x.test",
        "a:%{ir}/8//8", "ip4:1.2.3.4/0", "IP6:::/0", "ip6:::1", "ip6:::ffff:1.2.3.4/96", "exists:%{p}", "x=",
        "x-y_z.0=%%",
        "redirect=%{d}", "exp=%{d}.test", "REDIRECT=x.test Exp=y.test", "?a +mx ~ptr -exists:x.test", "a  ",
        "  a    mx ",
        "a:x/24.test", "all redirect=x.test", "redirect=x.test -all", "ip4=192.0.2.1",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct str got;

        script(arena_printf(arena, "a.test TXT \"v=spf1 ip4:192.0.2.7 %s\"\n", wrong[i]));
        got = check(CLIENT, "mx.b.test", SENDER);
        ok(str_starts(got, STR("permerror (a.test: ")), "permerror even behind a match: %s (" STR_FMT ")", wrong[i],
           STR_ARG(got));
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        script(arena_printf(arena, "a.test TXT \"v=spf1 ip4:192.0.2.7 %s\"\n", right[i]));
        is_str(check(CLIENT, "mx.b.test", SENDER), STR("pass ip4:192.0.2.7"), "a record: %s", right[i]);
    }
}

static void test_mechanisms(void)
{
    static const struct vector list[] = {
        {R("+all"), NULL, NULL, "pass +all"},
        {R("all"), NULL, NULL, "pass all"},
        {R("-all"), NULL, NULL, "fail -all"},
        {R("~all"), NULL, NULL, "softfail ~all"},
        {R("?all"), NULL, NULL, "neutral ?all"},
        {R("ip4:192.0.2.8"), NULL, NULL, "neutral default"},
        {R("-all ip4:192.0.2.7"), NULL, NULL, "fail -all"},
        /* networks */
        {R("ip4:192.0.2.0/29 -all"), NULL, NULL, "pass ip4:192.0.2.0/29"},
        {R("ip4:192.0.2.8/29 -all"), NULL, NULL, "fail -all"},
        {R("~ip4:192.0.2.6/31 -all"), NULL, NULL, "softfail ~ip4:192.0.2.6/31"},
        {R("ip4:192.0.2.99/25 -all"), NULL, NULL, "pass ip4:192.0.2.99/25"},
        {R("ip4:1.2.3.4/0 -all"), NULL, NULL, "pass ip4:1.2.3.4/0"},
        {R("ip4:0.0.0.0/0 -all"), "2001:db8::7", NULL, "fail -all"},
        {R("ip6:::/0 -all"), NULL, NULL, "fail -all"},
        {R("ip6:::/0 -all"), "2001:db8::7", NULL, "pass ip6:::/0"},
        {R("ip6:2001:db8::/32 -all"), "2001:db8:1::7", NULL, "pass ip6:2001:db8::/32"},
        {R("ip6:2001:db8::/33 -all"), "2001:db8:8000::7", NULL, "fail -all"},
        {R("ip6:2001:db8:8000::/33 -all"), "2001:db8:8000::7", NULL, "pass ip6:2001:db8:8000::/33"},
        {R("ip6:::ffff:192.0.2.7 -all"), NULL, NULL, "fail -all"},
        {R("ip6:c000:207::1 -all"), NULL, NULL, "fail -all"}, /* its first bytes are the client's */
        {R("ip4:32.1.13.184 -all"), "2001:db8::", NULL, "fail -all"},
        {R("ip4:192.0.2.7 -all"), "::ffff:192.0.2.7", NULL, "pass ip4:192.0.2.7"},
        {R("-all"), "127.0.0.1", NULL, "fail -all"},
        {R("-all"), "::1", NULL, "fail -all"},
        {R("ip4:127.0.0.0/8 -all"), "127.1.2.3", NULL, "pass ip4:127.0.0.0/8"},
        /* a */
        {R("a -all") "a.test A 192.0.2.7\n", NULL, NULL, "pass a"},
        {R("a:%{d} -all") "a.test A 192.0.2.1\na.test A 192.0.2.7\n", NULL, NULL, "pass a:%{d}"},
        {R("a -all") "a.test A 192.0.2.8\n", NULL, NULL, "fail -all"},
        {R("a/24 -all") "a.test A 192.0.2.8\n", NULL, NULL, "pass a/24"},
        {R("a//24 -all") "a.test A 192.0.2.8\n", NULL, NULL, "fail -all"},
        {R("a/0 -all") "a.test A 10.0.0.1\n", NULL, NULL, "pass a/0"},
        {R("a/0 -all") "a.test MX 1 b.test\n", NULL, NULL, "fail -all"},
        {R("a//0 -all") "a.test AAAA ::1\n", "2001:db8::7", NULL, "pass a//0"},
        {R("a/0 -all") "a.test AAAA ::1\n", "2001:db8::7", NULL, "fail -all"},
        {R("a/8//64 -all") "a.test AAAA 2001:db8::1\n", "2001:db8::7", NULL, "pass a/8//64"},
        {R("a/8//64 -all") "a.test AAAA 2001:db8:0:1::1\n", "2001:db8::7", NULL, "fail -all"},
        {R("a -all") "a.test AAAA SERVFAIL\na.test A 192.0.2.7\n", NULL, NULL, "pass a"},
        {R("a -all") "a.test A SERVFAIL\n", NULL, NULL, "temperror a (a.test A: servfail)"},
        {R("a:b..test a:%{l}.test -all"), NULL, "a..b@a.test", "fail -all"},
        /* mx */
        {R("mx -all") "a.test MX 10 m.test\nm.test A 192.0.2.7\n", NULL, NULL, "pass mx"},
        {R("mx -all") "a.test MX 10 n.test\na.test MX 20 m.test\nm.test A 192.0.2.7\n", NULL, NULL, "pass mx"},
        {R("mx/29 -all") "a.test MX 10 m.test\nm.test A 192.0.2.1\n", NULL, NULL, "pass mx/29"},
        {R("mx/0 -all") "a.test MX 10 m.test\nm.test A 10.0.0.1\n", NULL, NULL, "pass mx/0"},
        {R("mx -all") "a.test MX 0 .\n", NULL, NULL, "fail -all"},
        {R("mx -all") "a.test A 192.0.2.7\n", NULL, NULL, "fail -all"},
        {R("mx//64 -all") "a.test MX 1 m.test\nm.test AAAA 2001:db8::1\n", "2001:db8::7", NULL, "pass mx//64"},
        {R("mx -all") "a.test MX 10 m.test\nm.test A TIMEOUT\n", NULL, NULL, "temperror mx (m.test A: timeout)"},
        {R("mx -all") "a.test MX REFUSED\n", NULL, NULL, "temperror mx (a.test MX: refused)"},
        /* exists: always A */
        {R("exists:%{i}.x.test -all") "192.0.2.7.x.test A 127.0.0.2\n", NULL, NULL, "pass exists:%{i}.x.test"},
        {R("exists:%{l}.x.test -all") "*.x.test A 127.0.0.2\n", NULL, "\xc3\xa9@a.test", "fail -all"},
        {R("a:b..%{d} a:b..%{d} a:b..%{d} ?all"), NULL, NULL, "neutral ?all"}, /* not asked: not missing */
        {R("exists:x.test -all") "x.test AAAA ::1\n", "2001:db8::7", NULL, "fail -all"},
        {R("exists:x.test -all") "x.test A 127.0.0.2\n", "2001:db8::7", NULL, "pass exists:x.test"},
        {R("exists:x.test -all") "x.test A TIMEOUT\n", NULL, NULL, "temperror exists:x.test (x.test A: timeout)"},
        /* ptr */
        {R("ptr -all") "7.2.0.192.in-addr.arpa PTR m.A.test\nm.a.test A 192.0.2.7\n", NULL, NULL, "pass ptr"},
        {R("ptr -all") "7.2.0.192.in-addr.arpa PTR a.test\na.test A 192.0.2.7\n", NULL, NULL, "pass ptr"},
        {R("ptr -all") "7.2.0.192.in-addr.arpa PTR ba.test\nba.test A 192.0.2.7\n", NULL, NULL, "fail -all"},
        {R("ptr -all") "7.2.0.192.in-addr.arpa PTR m.a.test\nm.a.test A 192.0.2.8\n", NULL, NULL, "fail -all"},
        {R("ptr:b.test -all") "7.2.0.192.in-addr.arpa PTR m.b.test\nm.b.test A 192.0.2.7\n", NULL, NULL,
         "pass ptr:b.test"},
        {R("ptr -all") "7.2.0.192.in-addr.arpa PTR SERVFAIL\n", NULL, NULL, "fail -all"},
        {R("ptr -all") "7.2.0.192.in-addr.arpa PTR x.a.test\n7.2.0.192.in-addr.arpa PTR y.a.test\n"
                       "x.a.test A TIMEOUT\ny.a.test A 192.0.2.7\n", NULL, NULL, "pass ptr"},
        {R("ptr -all")
         "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR a.test\n"
         "a.test AAAA 2001:db8::7\n",
         "2001:db8::7", NULL, "pass ptr"},
    };

    RUN(list);
}

static void test_includes(void)
{
    static const struct vector list[] = {
        {R("include:b.test -all") "b.test TXT \"v=spf1 ip4:192.0.2.7 -all\"\n", NULL, NULL, "pass include:b.test"},
        {R("~include:b.test -all") "b.test TXT \"v=spf1 ip4:192.0.2.7 -all\"\n", NULL, NULL,
         "softfail ~include:b.test"},
        {R("include:b.test ?all") "b.test TXT \"v=spf1 -all\"\n", NULL, NULL, "neutral ?all"},
        {R("include:b.test ?all") "b.test TXT \"v=spf1 ~all\"\n", NULL, NULL, "neutral ?all"},
        {R("include:b.test ~all") "b.test TXT \"v=spf1 ?all\"\n", NULL, NULL, "softfail ~all"},
        {R("include:b.test ~all") "b.test TXT \"v=spf1\"\n", NULL, NULL, "softfail ~all"},
        {R("include:b.test ~all") "b.test A 192.0.2.1\n", NULL, NULL, "permerror include:b.test (b.test: no record)"},
        {R("include:b.test ~all"), NULL, NULL, "permerror include:b.test (b.test: no record)"},
        {R("include:b.test ~all") "b.test TXT TIMEOUT\n", NULL, NULL, "temperror include:b.test (b.test TXT: timeout)"},
        {R("include:b.test ~all") "b.test TXT \"v=spf1 x\"\n", NULL, NULL,
         "permerror include:b.test (b.test: \"x\" is no valid term)"},
        {R("ip4:192.0.2.7 include:b.test ~all") "b.test TXT TIMEOUT\n", NULL, NULL, "pass ip4:192.0.2.7"},
        {R("include:b.test ~all") "b.test TXT \"v=spf1 a:%{d} a:%{o} -all\"\nb.test A 192.0.2.7\n", NULL, NULL,
         "pass include:b.test"},
        {R("include:%{d1r}.%{l}.test -all") "test.user.test TXT \"x\"\na.user.test TXT \"v=spf1 +all\"\n", NULL, NULL,
         "pass include:%{d1r}.%{l}.test"},
        {R("include:a.test -all"), NULL, NULL, "permerror include:a.test (more than 10 lookups)"},
        {R("redirect=b.test") "b.test TXT \"v=spf1 a -all\"\nb.test A 192.0.2.7\n", NULL, NULL, "pass a"},
        {R("redirect=b.test") "b.test TXT \"v=spf1 -all\"\n", NULL, NULL, "fail -all"},
        {R("redirect=b.test ip4:192.0.2.7") "b.test TXT \"v=spf1 -all\"\n", NULL, NULL, "pass ip4:192.0.2.7"},
        {R("redirect=b.test ~all") "b.test TXT \"v=spf1 +all\"\n", NULL, NULL, "softfail ~all"},
        {R("redirect=b.test"), NULL, NULL, "permerror redirect=b.test (b.test: no record)"},
        {R("redirect=b.test") "b.test TXT SERVFAIL\n", NULL, NULL, "temperror redirect=b.test (b.test TXT: servfail)"},
        {R("redirect=a.test"), NULL, NULL, "permerror redirect=a.test (more than 10 lookups)"},
        {R("redirect=%{l}..test"), NULL, NULL, "permerror redirect=%{l}..test (user..test: no record)"},
        {R("include:b.test ~all") "b.test TXT \"v=spf1 redirect=c.test\"\nc.test TXT \"v=spf1 +all\"\n", NULL, NULL,
         "pass include:b.test"},
        {R("include:b.test include:b.test -all") "b.test TXT \"v=spf1 ip4:192.0.2.1\"\n", NULL, NULL, "fail -all"},
    };

    RUN(list);
}

static void test_macros(void)
{
    struct spf_macros m = {.local = STR("strong-Bad"), .sender_domain = STR("email.a.test"), .helo = STR("mx.b.test"),
                           .receiver = STR("mx.here.test"), .domain = STR("sub.email.a.test"), .seconds = 1767607200};
    static const struct {
        const char *text, *want, *want6;
    } list[] = {
        {"%{s}", "strong-Bad@email.a.test", NULL},
        {"%{S}", "strong-Bad%40email.a.test", NULL},
        {"%{o}/%{d}/%{h}", "email.a.test/sub.email.a.test/mx.b.test", NULL},
        {"%{d4}", "sub.email.a.test", NULL},
        {"%{d3} %{d2} %{d1} %{d99999999999}", "email.a.test a.test test sub.email.a.test", NULL},
        {"%{dr} %{d2r}", "test.a.email.sub email.sub", NULL},
        {"%{l} %{l-} %{lr} %{lr-} %{l1r-} %{L}", "strong-Bad strong.Bad strong-Bad Bad.strong strong strong-Bad", NULL},
        {"%{ir}.%{v}", "7.2.0.192.in-addr",
         "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6"},
        {"%{c} %{r} %{t}", "192.0.2.7 mx.here.test 1767607200", "2001:db8::7 mx.here.test 1767607200"},
        {"%{p}", "unknown", NULL},
        {"%%%_%-x", "% %20x", NULL},
        {"%{s@}", NULL, NULL}, /* no delimiter: not expanded, see spf_explanation_valid */
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct str text = str_of(list[i].text);

        is_long(spf_explanation_valid(text), list[i].want != NULL, "%s: valid or not", list[i].text);
        for (int v6 = 0; v6 < 2 && list[i].want; v6++) {
            ip_parse(v6 ? STR("2001:db8::7") : STR(CLIENT), &m.client);
            is_str(spf_expand(arena, text, &m), str_of(v6 && list[i].want6 ? list[i].want6 : list[i].want), "%s: %s",
                   list[i].text, v6 ? "IPv6" : "IPv4");
        }
    }
    m.local = STR("a.b+c-d,e/f_g=h");
    is_str(spf_expand(arena, STR("%{l2.+}|%{lr,/_=-}|%{l1=}"), &m), STR("b.c-d,e/f_g=h|h.g.f.e.d.a.b+c|h"),
           "delimiters");
    m.local = STR("a\"\\%{d}\x01\xff");
    is_str(spf_expand(arena, STR("%{L}"), &m), STR("a%22%5C%25%7Bd%7D%01%FF"), "outside bytes are not expanded again");
}

static void test_peer_macro(void)
{
    static const char names[] = "7.2.0.192.in-addr.arpa PTR no.test\n7.2.0.192.in-addr.arpa PTR any.test\n"
                                "7.2.0.192.in-addr.arpa PTR m.a.test\nany.test A 192.0.2.7\nno.test A 192.0.2.1\n";
    static const struct {
        const char *more, *want;
    } list[] = {
        {"any.test.x.test A 127.0.0.2\n", "pass exists:%{p}.x.test"},
        {"m.a.test A 192.0.2.7\nm.a.test.x.test A 127.0.0.2\n", "pass exists:%{p}.x.test"},
        {"m.a.test A 192.0.2.7\nany.test.x.test A 127.0.0.2\n", "fail -all"},
        {"7.2.0.192.in-addr.arpa PTR a.test\na.test A 192.0.2.7\na.test.x.test A 127.0.0.2\n",
         "pass exists:%{p}.x.test"},
        {"7.2.0.192.in-addr.arpa PTR a.test\na.test A 192.0.2.7\nm.a.test A 192.0.2.7\na.test.x.test A 127.0.0.2\n",
         "pass exists:%{p}.x.test"},
        {"no.test.x.test A 127.0.0.2\n", "fail -all"},
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        script(arena_printf(arena, "%s" R("exists:%%{p}.x.test -all") "%s", names, list[i].more));
        is_str(check(CLIENT, "mx.b.test", SENDER), str_of(list[i].want), "%%{p}: %.40s", list[i].more);
    }
    script(STR(R("exists:%{p}.x.test -all") "unknown.x.test A 127.0.0.2\n"));
    is_str(check(CLIENT, "mx.b.test", SENDER), STR("pass exists:%{p}.x.test"), "%%{p} without any name");
}

static void test_long_names(void)
{
    char label[64];
    struct str local;

    memset(label, 'x', 63);
    label[63] = '\0';
    local = arena_printf(arena, "%s.%s.%s.%s", label, label, label, label);
    script(arena_printf(arena, R("exists:%%{l}.t.test -all") "%s.%s.%s.t.test A 127.0.0.2\n", label, label, label));
    is_str(check(CLIENT, "h.test", arena_printf(arena, STR_FMT "@a.test", STR_ARG(local)).p),
           STR("pass exists:%{l}.t.test"), "labels are cut at the left to 253 bytes");
    script(STR(R("exists:%{l}.t.test -all")));
    is_str(check(CLIENT, "h.test", arena_printf(arena, "%sx@a.test", label).p), STR("fail -all"),
           "a label of 64 bytes does not exist");
}

/* test_explanations - none of them changes the result. */
static void test_explanations(void)
{
    static const struct vector list[] = {
        {R("-all exp=e.%{d}") "e.a.test TXT \"%{i} is not one of %{d}'s, \" \"says %{r}%_at %{t}\"\n", NULL, NULL,
         "fail -all [192.0.2.7 is not one of a.test's, says mx.here.test at 1767607200]"},
        {R("~all exp=e.test") "e.test TXT \"x\"\n", NULL, NULL, "softfail ~all"},
        {R("-all exp=e.test"), NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT SERVFAIL\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"\"\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"one\"\ne.test TXT \"two\"\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"caf\\195\\169\"\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"a\\010b\"\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"a\\000b\"\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"%{x}\"\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"100% wrong\"\n", NULL, NULL, "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"%{l}\"\n", NULL, "\xc3\xa9@a.test", "fail -all"},
        {R("-all exp=e.test") "e.test TXT \"%{L}\"\n", NULL, "\xc3\xa9@a.test", "fail -all [%C3%A9]"},
        {R("redirect=b.test exp=e.test") "e.test TXT \"e\"\nb.test TXT \"v=spf1 -all\"\n", NULL, NULL, "fail -all"},
        {R("redirect=b.test exp=e.test") "e.test TXT \"e\"\nb.test TXT \"v=spf1 -all exp=f.test\"\nf.test TXT \"f\"\n",
         NULL, NULL, "fail -all [f]"},
        {R("include:b.test -all") "b.test TXT \"v=spf1 -all exp=f.test\"\nf.test TXT \"f\"\n", NULL, NULL, "fail -all"},
        {R("-include:b.test exp=e.test") "b.test TXT \"v=spf1 +all exp=f.test\"\ne.test TXT \"e\"\nf.test TXT \"f\"\n",
         NULL, NULL, "fail -include:b.test [e]"},
        {R("-all exp=%{p}.e.test") "unknown.e.test TXT \"%{p}\"\n", NULL, NULL, "fail -all [unknown]"},
    };

    clock_script_wall(1767607200000);
    RUN(list);
}

int main(void)
{
    arena = arena_new(0);
    clock_script_wall(1767607200000);
    test_selection();
    test_identities();
    test_grammar();
    test_mechanisms();
    test_includes();
    test_macros();
    test_peer_macro();
    test_long_names();
    test_explanations();
    dns_script_end();
    clock_script_end();
    arena_free(&arena);
    return tap_end();
}
