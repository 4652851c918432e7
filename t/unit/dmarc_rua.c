/* dmarc_rua.c - who gets aggregate reports: the addresses of a rua, agreements of others; and what is not reported. */
#include "../../milter/auth/report_own.h"
#include "../../milter/auth/report_rua.h"
#include "../../milter/message.h"
#include "../lib/tap.h"

static struct arena *a;

/* ---- destinations ---- */

static void test_rua(void)
{
    static const struct {
        const char *value, *addresses;
        size_t ignored;
    } cases[] = {
        {"mailto:a@b.test", "a@b.test", 0},
        {"mailto:a@b.test!10m", "a@b.test", 0},
        {" MAILTO:A@B.Test , mailto:c@d.test ", "A@b.test c@d.test", 0},
        {"mailto:a@b.test,mailto:a@B.TEST", "a@b.test", 0},
        {"mailto:a%2Bx@b.test", "a+x@b.test", 0},
        {"mailto:a%21x@b.test!1g", "a!x@b.test", 0},
        {"mailto:a@b.test?subject=x", "a@b.test", 0},
        {"mailto:a%@b.test,mailto:a%4@b.test,mailto:a%zz@b.test", "", 3},
        {"mailto:a%00@b.test,mailto:a%0a@b.test,mailto:a%20b@b.test", "", 3},
        {"https://b.test/,a@b.test,mailto:", "", 3},
        {"mailto:-oQ/tmp@b.test,mailto:|sh@b.test,mailto:/etc/x@b.test", "", 3},
        {"mailto:a@b,mailto:a@127.0.0.1,mailto:a@[127.0.0.1],mailto:a@-b.test,mailto:a@b.test.", "", 5},
        {"mailto:\"a b\"@b.test,mailto:a..b@b.test,mailto:.a@b.test,mailto:a.@b.test,mailto:@b.test", "", 5},
        {"mailto:a@b@c.test,mailto:a@\xc3\xa4.test", "", 2},
        {"", "", 0},
        {",,,", "", 0},
    };
    struct rua rua;
    struct buf many = buf_in(a);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf got = buf_in(a);

        rua_parse(a, str_of(cases[i].value), &rua);
        for (size_t k = 0; k < rua.count; k++)
            buf_addf(&got, "%s" STR_FMT, k ? " " : "", STR_ARG(rua.addresses[k]));
        is_str(buf_str(&got), str_of(cases[i].addresses), "rua=%s", cases[i].value);
        is_long((long)rua.ignored, (long)cases[i].ignored, "ignored of rua=%s", cases[i].value);
    }
    for (int i = 0; i < 12; i++)
        buf_addf(&many, "mailto:a%d@b.test,", i);
    rua_parse(a, buf_str(&many), &rua);
    is_long((long)rua.count, RUA_MOST, "ten destinations are taken");
    is_long((long)rua.ignored, 2, "the others are ignored");
    for (int i = 0; i < 100000; i++)
        buf_add(&many, STR("mailto:x"));
    rua_parse(a, buf_str(&many), &rua);
    is_long((long)rua.count, RUA_MOST, "a rua of 800 KB is read as far as its cap");
}

static void test_external(void)
{
    static const struct {
        const char *policy, *org, *destination;
        bool external;
    } cases[] = {
        {"example.com", "example.com", "example.com", false},
        {"example.com", "example.com", "mail.example.com", false},
        {"a.example.com", "example.com", "example.com", false},
        {"a.example.com", "example.com", "b.example.com", false},
        {"example.com", "example.com", "example.net", true},
        {"example.com", "example.com", "notexample.com", true},
        {"example.com", "example.com", "example.com.other.test", true},
        {"a.example.com", "a.example.com", "example.com", true}, /* psd=n makes it an organisation of its own */
        {"co.uk", "victim.co.uk", "victim.co.uk", true},         /* a public suffix's policy */
        {"a.co.uk", "co.uk", "victim.co.uk", true},              /* a record makes a public suffix an organisation */
        {"example.com", "", "example.com", false},
        {"example.com", "", "mail.example.com", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ok(rua_is_external(str_of(cases[i].policy), str_of(cases[i].org), str_of(cases[i].destination))
               == cases[i].external,
           "%s (of %s) to %s: %s", cases[i].policy, cases[i].org, cases[i].destination,
           cases[i].external ? "must be agreed to" : "the same owner's");
}

static void test_agreement(void)
{
    static const struct {
        const char *text;
        bool agrees;
        const char *rua;
    } cases[] = {
        {"v=DMARC1", true, ""},
        {"v=DMARC1;", true, ""},
        {" v = DMARC1 ; rua = mailto:a@b.test ;", true, "mailto:a@b.test"},
        {"v=DMARC1; rua=mailto:a@b.test; rua=mailto:c@b.test", true, "mailto:a@b.test"},
        {"v=DMARC1; x=y", true, ""},
        {"v=DMARC1; rubbish", false, ""},
        {"v=DMARC2", false, ""},
        {"v=dmarc1", false, ""},
        {"v=DMARC1x", false, ""},
        {"p=none; v=DMARC1", false, ""},
        {"v=spf1 -all", false, ""},
        {"", false, ""},
        {";", false, ""},
    };
    struct str rua;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ok(rua_agreement(str_of(cases[i].text), &rua) == cases[i].agrees, "\"%s\" is %s agreement", cases[i].text,
           cases[i].agrees ? "an" : "no");
        if (cases[i].agrees)
            is_str(rua, str_of(cases[i].rua), "which names \"%s\"", cases[i].rua);
    }
}

/* ---- our own mail ---- */

static bool is_own(const char *sender, const char *from, const char *to, const char *subject, const char *automatic)
{
    struct recipient rcpt = {.address = address_parse(a, str_of(to))};
    struct message m = {.arena = a, .sender = address_parse(a, str_of(sender)), .rcpt = &rcpt, .rcpt_count = 1,
                        .rcpt_accepted = 1};

    header_add(a, &m.headers, STR("From"), str_of(from));
    if (subject)
        header_add(a, &m.headers, STR("Subject"), str_of(subject));
    if (automatic)
        header_add(a, &m.headers, STR("Auto-Submitted"), str_of(automatic));
    return report_is_own(&m, STR("reports@mx.here.test"));
}

static void test_own(void)
{
    const char *subject = " Report Domain: a.test\r\n Submitter: b.test\r\n Report-ID: <x@b.test>";

    is_str(report_email(a, STR_NONE, STR("mx.here.test")), STR("postmaster@mx.here.test"), "where reports come from");
    is_str(report_email(a, STR("r@x.test"), STR("mx.here.test")), STR("r@x.test"), "unless it is named");
    ok(!is_own("<a@a.test>", " a@a.test", "<bob@here.test>", " hello", NULL), "a usual message is reported");
    ok(!is_own("<a@a.test>", " a@a.test", "<bob@here.test>", subject, NULL), "a Subject alone makes no report");
    ok(!is_own("<a@a.test>", " a@a.test", "<bob@here.test>", subject, " no"), "nor when a person sent it");
    ok(!is_own("<>", " a@a.test", "<bob@here.test>", NULL, NULL), "nor is a bounce one");
    ok(is_own("<a@a.test>", " a@a.test", "<bob@here.test>", subject, " auto-generated"), "a report is not reported");
    ok(is_own("<reports@MX.here.test>", " a@a.test", "<bob@here.test>", NULL, NULL), "nor what we sent");
    ok(is_own("<>", " Us <Reports@mx.here.test>", "<bob@here.test>", NULL, NULL), "nor what says so");
    ok(is_own("<>", " a@a.test", "<reports@mx.here.test>", NULL, NULL), "nor answers to our reports");
}

int main(void)
{
    a = arena_new(0);
    test_rua();
    test_external();
    test_agreement();
    test_own();
    arena_free(&a);
    return tap_end();
}
