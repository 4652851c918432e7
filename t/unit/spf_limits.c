/* spf_limits.c - SPF: limits of section 4.6.4, what overflows libspf2, how long a check takes and what it asks. */
#include "spf_test.h"

static void test_limits(void)
{
    struct buf b = buf_in(arena);
    static const struct vector list[] = {
        {R("a:n1.test a:n2.test -all"), NULL, NULL, "fail -all"},
        {R("a:n1.test a:n2.test a:n3.test -all"), NULL, NULL,
         "permerror a:n3.test (more than 2 names that do not exist)"},
        {R("mx:n1.test exists:n2.test ptr:n3.test -all"), NULL, NULL,
         "permerror ptr:n3.test (more than 2 names that do not exist)"},
        {R("include:b.test include:c.test -all")
         "b.test TXT \"v=spf1 a:n1.test a:n2.test\"\nc.test TXT \"v=spf1 a:n3.test\"\n", NULL, NULL,
         "permerror include:c.test (more than 2 names that do not exist)"},
    };

    RUN(list);
    for (unsigned terms = 10; terms <= 11; terms++) {
        b = buf_in(arena);
        buf_add(&b, STR("a.test A 192.0.2.1\na.test TXT \"v=spf1"));
        for (unsigned i = 0; i < terms; i++)
            buf_add(&b, STR(" a"));
        buf_add(&b, STR(" ip4:192.0.2.7\"\n"));
        script(buf_str(&b));
        is_str(check(CLIENT, "h.test", SENDER),
               terms == 10 ? STR("pass ip4:192.0.2.7") : STR("permerror a (more than 10 lookups)"),
               "%u lookups in one record", terms);
    }
    for (unsigned terms = 4; terms <= 5; terms++) {
        b = buf_in(arena);
        buf_add(&b, STR(R("include:b.test include:c.test ~all") "x.test A 192.0.2.1\n"));
        for (char name = 'b'; name <= 'c'; name++) {
            buf_addf(&b, "%c.test TXT \"v=spf1", name);
            for (unsigned i = 0; i < terms - (name == 'b' && terms == 5); i++)
                buf_add(&b, STR(" a:x.test"));
            buf_add(&b, STR("\"\n"));
        }
        script(buf_str(&b));
        is_str(check(CLIENT, "h.test", SENDER),
               terms == 4 ? STR("softfail ~all") : STR("permerror include:c.test (more than 10 lookups)"),
               "lookups are counted across includes: %u", terms);
    }
    for (unsigned names = 10; names <= 11; names++) {
        b = buf_in(arena);
        buf_add(&b, STR(R("mx ~all")));
        for (unsigned i = 0; i < names; i++)
            buf_addf(&b, "a.test MX 10 m%u.test\nm%u.test A 192.0.2.%u\n", i, i, i == 9 ? 7 : 100 + i);
        script(buf_str(&b));
        is_str(check(CLIENT, "h.test", SENDER),
               names == 10 ? STR("pass mx") : STR("permerror mx (a.test: more than 10 MX names)"), "%u MX names",
               names);
    }
    for (unsigned last = 10; last <= 11; last++) {
        b = buf_in(arena);
        buf_addf(&b, R("ptr ~all") "m%u.a.test A 192.0.2.7\n", last);
        for (unsigned i = 1; i <= 12; i++)
            buf_addf(&b, "7.2.0.192.in-addr.arpa PTR m%u.a.test\n", i);
        script(buf_str(&b));
        is_str(check(CLIENT, "h.test", SENDER), last == 10 ? STR("pass ptr") : STR("softfail ~all"), "PTR name %u",
               last);
    }
    script(STR(R("a:b.test a:c.test -all") "b.test A 192.0.2.1\nc.test A 192.0.2.2\n"));
    {
        struct spf_check *poor = begin(CLIENT, "h.test", SENDER);

        budget.left = 1;
        is_str(told(spf_finish(poor, clock_ms())), STR("temperror a:c.test (c.test A: too many questions)"),
               "no more questions to ask: temperror");
    }
}

/* test_overflows - records that overflow libspf2's stack, or would, if it saw them. */
static void test_overflows(void)
{
    static const char *const forms[] = {"a:%s",       "exists:%s", "redirect=%s", "unknown=%s",
                                        "include:%s", "ptr:%s",    "mx:%s/24"};

    for (unsigned macros = 18; macros <= 130; macros++) {
        struct buf source = buf_in(arena), zone = buf_in(arena);
        bool many = macros > SPF_MACROS_MOST;

        for (unsigned i = 0; i < macros; i++)
            buf_add(&source, STR("%{d}"));
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            struct str got;

            zone = buf_in(arena);
            buf_add(&zone, STR("a.test TXT \"v=spf1 "));
            for (const char *p = forms[i]; *p; p++) {
                if (*p == '%')
                    buf_add(&zone, buf_str(&source)), p++;
                else
                    buf_addc(&zone, *p);
            }
            buf_add(&zone, STR(" -all\"\n"));
            script(buf_str(&zone));
            got = check(CLIENT, "h.test", SENDER);
            if (macros < 22 || macros > 125)
                ok(str_starts(got, STR("permerror")) == (many ? forms[i][0] != 'u' : forms[i][0] == 'i'),
                   "%u macros, %s: " STR_FMT, macros, forms[i], STR_ARG(str_slice(got, 0, 60)));
        }
        zone = buf_in(arena);
        buf_addf(&zone, R("-all exp=e.test") "e.test TXT \"" STR_FMT "\" \"%0*d\"\n", STR_ARG(buf_str(&source)),
                 macros == 127 ? 200 : 30, 0);
        script(buf_str(&zone));
        ok(str_starts(check(CLIENT, "h.test", SENDER), STR("fail -all")) &&
               (str_find(check(CLIENT, "h.test", SENDER), '[') == 9) == many,
           "%u macros in an explanation", macros);
    }
    for (unsigned bytes = 255; bytes <= 256; bytes++) {
        script(arena_printf(arena, R("-all exp=e.test") "e.test TXT \"%0200u\" \"%0*u\"\n", 0u, bytes - 200, 0u));
        is_long(str_find(check(CLIENT, "h.test", SENDER), '['), bytes == 255 ? 10 : 9, "%u bytes of explanation",
                bytes);
        script(arena_printf(arena, R("a:%0*u.test -all"), bytes - 5, 0u));
        is_str(str_slice(check(CLIENT, "h.test", SENDER), 0, 9), bytes == 255 ? STR("fail -all") : STR("permerror"),
               "%u bytes of domain-spec", bytes);
    }
}

static void test_long_records(void)
{
    struct buf b = buf_in(arena);

    buf_add(&b, STR("a.test TXT \"v=spf1\""));
    for (unsigned i = 0; i < 300; i++)
        buf_addf(&b, "%s ip4:198.51.%u.0/24%s", i % 10 ? "" : " \"", i % 256, i % 10 == 9 ? "\"" : "");
    buf_add(&b, STR(" \" a:b.test -all\"\nb.test A 192.0.2.7\n"));
    script(buf_str(&b));
    is_str(check(CLIENT, "h.test", SENDER), STR("pass a:b.test"), "300 networks are no obstacle");
    b = buf_in(arena);
    buf_add(&b, STR("a.test TXT \"v=spf1\""));
    for (unsigned i = 0; i < 500; i++)
        buf_addf(&b, "%s ip4:198.51.%u.0/24%s", i % 10 ? "" : " \"", 100 + i % 100, i % 10 == 9 ? "\"" : "");
    buf_addc(&b, '\n');
    script(buf_str(&b));
    is_str(str_slice(check(CLIENT, "h.test", SENDER), 0, 34), STR("permerror (a.test: the record has "),
           "8192 bytes are enough");
}

/* test_time - questions go out together: what counts is how deep includes are, not how many. */
static void test_time(void)
{
    static const char flat[] = "$DELAY 20ms\n" R(
        "include:b.test include:c.test include:d.test include:e.test mx -all") "b.test TXT \"v=spf1 a:x.test\"\nc.test "
                                                                               "TXT \"v=spf1 a:x.test\"\nd.test TXT "
                                                                               "\"v=spf1 a:x.test\"\n"
                                                                               "e.test TXT \"v=spf1 a:y.test\"\nx.test "
                                                                               "A 192.0.2.1\ny.test A "
                                                                               "192.0.2.2\na.test MX 10 m.test\nm.test "
                                                                               "A 192.0.2.7\n";
    static const char deep[] = "$DELAY 20ms\n" R(
        "include:b.test include:x.test -all") "b.test TXT \"v=spf1 include:c.test\"\n"
                                              "c.test TXT \"v=spf1 include:d.test\"\nd.test TXT \"v=spf1 a\"\nd.test A "
                                              "192.0.2.7\nx.test TXT \"v=spf1 a:y.test\"\n";
    struct spf_check *c;
    int64_t began;

    script(str_of(flat));
    began = clock_ms();
    is_str(check(CLIENT, "h.test", SENDER), STR("pass mx"), "four includes and an mx");
    is_long(clock_ms() - began, 60, "take three times the latency");
    script(str_of(deep));
    began = clock_ms();
    is_str(check(CLIENT, "h.test", SENDER), STR("pass include:b.test"), "three includes below each other");
    is_long(clock_ms() - began, 100, "take five times");
    script(str_of(flat));
    began = clock_ms();
    c = begin(CLIENT, "h.test", SENDER);
    spf_advance(c);
    is_long(clock_ms() - began, 0, "neither begin nor advance waits");
    for (int i = 0; i < 3; i++) {
        clock_script_advance(20);
        spf_advance(c);
    }
    began = clock_ms();
    is_str(told(spf_finish(c, clock_ms())), STR("pass mx"), "what came in the meantime");
    is_long(clock_ms() - began, 0, "is not waited for");
    is_str(told(spf_finish(c, clock_ms())), STR("pass mx"), "the same answer again");
    script(STR("$DELAY 5s\n" R("include:b.test -all") "b.test TXT \"v=spf1 a\"\nb.test A 192.0.2.7\n"));
    began = clock_ms();
    is_str(told(spf_finish(begin(CLIENT, "h.test", SENDER), clock_ms() + 12000)),
           STR("temperror include:b.test (b.test A: timeout)"), "one deadline for all");
    is_long(clock_ms() - began, 12000, "which is kept");
    script(STR(R("a:b.test include:slow.test -all") "b.test A 192.0.2.7\nslow.test TXT TIMEOUT\n"));
    began = clock_ms();
    is_str(check(CLIENT, "h.test", SENDER), STR("pass a:b.test"), "what the evaluation does not come to");
    is_long(clock_ms() - began, 0, "is not waited for either");
}

/* test_fan_out - ten includes in each of ten includes, and so on: stopped by the tenth lookup, asked little more. */
static void test_fan_out(void)
{
    struct buf b = buf_in(arena);
    long long cpu = tap_cpu_ms();

    for (unsigned level = 0; level < 6; level++) {
        buf_addf(&b, "l%u.test TXT \"v=spf1\"", level);
        for (unsigned i = 0; i < 10; i++)
            buf_addf(&b, " \" include:l%u.test\"", level + 1);
        buf_addc(&b, '\n');
    }
    buf_add(&b, STR("l6.test TXT \"v=spf1 ip4:192.0.2.1\"\n"));
    script(buf_str(&b));
    is_str(check(CLIENT, "h.test", "user@l0.test"), STR("permerror include:l1.test (more than 10 lookups)"),
           "a fan of includes");
    ok(400 - budget.left <= 60, "%u questions", 400 - budget.left);
    b = buf_in(arena);
    for (unsigned i = 0; i < 200; i++)
        buf_addf(&b, "w%u.test TXT \"v=spf1 include:w%u.test include:w%u.test include:w%u.test -all exp=w%u.test\"\n",
                 i, (i * 7 + 1) % 200, (i * 11 + 3) % 200, i, i);
    script(buf_str(&b));
    for (unsigned i = 0; i < 200; i++) {
        struct str got = check(CLIENT, "h.test", arena_printf(arena, "user@w%u.test", i).p);

        if (!str_starts(got, STR("permerror include:w")))
            ok(false, "w%u: " STR_FMT, i, STR_ARG(got));
    }
    ok(tap_cpu_ms() - cpu < 2000, "all of it quickly");
}

int main(void)
{
    arena = arena_new(0);
    clock_script_wall(1767607200000);
    test_limits();
    test_overflows();
    test_long_records();
    test_time();
    test_fan_out();
    dns_script_end();
    clock_script_end();
    arena_free(&arena);
    return tap_end();
}
