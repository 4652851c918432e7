/* dmarc.c - tests of DMARC: records, the walk, the author domain, alignment and results, rule by rule of RFC 9989. */
#include <netinet/in.h>
#include <sys/types.h>

#include <opendmarc/dmarc.h>

#include "../../milter/auth/dmarc.h"
#include "../../milter/base/clock.h"
#include "../lib/tap.h"

static struct arena *a;

/* ---- records ---- */

/* shown - "p sp np adkim aspf t psd rua": a dash for what is not there. */
static struct str shown(const char *text)
{
    static const char psd[] = "uyn";
    struct dmarc_record r;

    if (!dmarc_record_read(a, str_of(text), &r))
        return STR("no record");
    if (!r.usable)
        return arena_printf(a, "unusable: %s", r.problem);
    return arena_printf(a, "%s%s %s %s %c%c %c%c %zu", r.has_p ? "" : "~", dmarc_words[r.p],
                        r.has_sp ? dmarc_words[r.sp] : "-", r.has_np ? dmarc_words[r.np] : "-",
                        r.strict_dkim ? 's' : 'r', r.strict_spf ? 's' : 'r', r.testing ? 'y' : 'n', psd[r.psd],
                        r.rua.count);
}

static void test_records(void)
{
    static const char *const rows[][2] = {
        {"v=DMARC1; p=reject", "reject - - rr nu 0"},
        {"v=DMARC1;p=none", "none - - rr nu 0"},
        {"v = DMARC1 ; p = quarantine ; ", "quarantine - - rr nu 0"},
        {"v=DMARC1; P=Reject; ADKIM=S", "reject - - sr nu 0"},
        {"v=DMARC1; p=reject; sp=none; np=quarantine; adkim=s; aspf=s; t=y; psd=y; rua=mailto:a@b.test",
         "reject none quarantine ss yy 1"},
        {"v=DMARC1; p=reject; psd=n", "reject - - rr nn 0"},
        {"v=DMARC1; p=reject; psd=x; t=maybe; adkim=relaxed; aspf=", "reject - - rr nu 0"},
        {"v=DMARC1; p=reject; pct=0; rf=iodef; ri=abc; future=1; =; ;;junk", "reject - - rr nu 0"},
        /* no record at all */
        {"", "no record"},
        {"v=DMARC1", "unusable: the record has no valid p"},
        {"v=dmarc1; p=reject", "no record"},
        {"v=DMARC2; p=reject", "no record"},
        {"v=DMARC1 p=reject", "no record"},
        {"v=DMARC10; p=reject", "no record"},
        {" v=DMARC1; p=reject", "no record"},
        {"p=reject; v=DMARC1", "no record"},
        {"p=reject", "no record"},
        {"v=spf1 -all", "no record"},
        {"vv=DMARC1; p=reject", "no record"},
        /* p absent or invalid: none with a rua, otherwise DMARC does not apply */
        {"v=DMARC1; sp=reject", "unusable: the record has no valid p"},
        {"v=DMARC1; p=r", "unusable: the record has no valid p"},
        {"v=DMARC1; p=", "unusable: the record has no valid p"},
        {"v=DMARC1; p=reject\x01", "unusable: the record has no valid p"},
        {"v=DMARC1; p=reject p=none", "unusable: the record has no valid p"},
        {"v=DMARC1; p=rejected; rua=mailto:a@b.test", "~none - - rr nu 1"},
        {"v=DMARC1; rua=mailto:a@b.test", "~none - - rr nu 1"},
        {"v=DMARC1; rua=mailto:a@b.test; sp=reject; np=reject", "~none - - rr nu 1"},
        {"v=DMARC1; rua=nothing", "unusable: the record has no valid p"},
        {"v=DMARC1; p=reject; sp=x", "unusable: the record has an invalid sp or np"},
        {"v=DMARC1; p=reject; np=x", "unusable: the record has an invalid sp or np"},
        {"v=DMARC1; p=reject; sp=x; rua=mailto:a@b.test", "~none - - rr nu 1"},
        {"v=DMARC1; p=reject; np=; rua=mailto:a@b.test; t=y", "~none - - rr yu 1"},
        /* a tag twice says nothing */
        {"v=DMARC1; p=reject; p=none", "unusable: the record has no valid p"},
        {"v=DMARC1; p=reject; p=none; rua=mailto:a@b.test", "~none - - rr nu 1"},
        {"v=DMARC1; p=reject; adkim=s; adkim=r; psd=y; psd=n; x=1; x=2", "reject - - rr nu 0"},
        /* destinations */
        {"v=DMARC1; p=none; rua=mailto:a@b.test!10m , https://c.test/x!5,mailto:d@e.test", "none - - rr nu 3"},
        {"v=DMARC1; p=none; rua=mailto:nobody,x,:,mailto:,mailto:@b.test,mailto:a@,1a:b,mailto:a b@c.test",
         "none - - rr nu 0"},
        {"v=DMARC1; p=none; rua=mailto:a@b.test!10x", "none - - rr nu 0"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        is_str(shown(rows[i][0]), str_of(rows[i][1]), "%s", rows[i][0]);
}

static void test_record_caps(void)
{
    struct buf b = buf_in(a);
    struct dmarc_record r;

    buf_add(&b, STR("v=DMARC1; p=reject; rua="));
    for (int i = 0; i < 100; i++)
        buf_addf(&b, "mailto:a%d@b.test!1k,", i);
    ok(dmarc_record_read(a, buf_str(&b), &r) && r.usable, "a record with 100 addresses");
    is_long((long long)r.rua.count, DMARC_URIS_MOST, "so many are kept");
    is_str(r.rua.items[1], STR("mailto:a1@b.test"), "without their sizes");
    while (b.len <= DMARC_RECORD_MOST)
        buf_addc(&b, 'x');
    ok(dmarc_record_read(a, buf_str(&b), &r) && !r.usable, "a record of %zu bytes is one, and applies to nothing",
       b.len);
    ok(dmarc_record_read(a, STR("v=DMARC1; p=none; fo=1:d:s"), &r), "with fo");
    is_str(r.fo, STR("1:d:s"), "fo is kept");
    dmarc_record_read(a, STR("v=DMARC1; p=none; fo=0:1"), &r);
    is_str(r.fo, STR_NONE, "fo=0:1 is not valid");
    ok(dmarc_record_read(a, (struct str){"v=DMARC1; p=reject\0; sp=none", 28}, &r) && !r.usable,
       "a NUL byte in p spoils p");
}

/* Two readers, one opinion: libopendmarc itself over plain records of every combination. */
static void test_against_library(void)
{
    static const char *const words[] = {"none", "quarantine", "reject"};
    unsigned agreed = 0, count = 0;

    for (unsigned i = 0; i < 3 * 4 * 3 * 3; i++) {
        struct str text = arena_printf(a, "v=DMARC1; p=%s%s%s%s%s", words[i % 3], i / 3 % 4 < 3 ? "; sp=" : "",
                                       i / 3 % 4 < 3 ? words[i / 3 % 4] : "",
                                       i / 12 % 3 == 0 ? "" : i / 12 % 3 == 1 ? "; adkim=r" : "; adkim=s",
                                       i / 36 == 0 ? "" : i / 36 == 1 ? "; aspf=r" : "; aspf=s");
        DMARC_POLICY_T *policy = opendmarc_policy_connect_init((unsigned char *)"192.0.2.1", 4);
        int p = 0, sp = 0, adkim = 0, aspf = 0;
        struct dmarc_record r;

        if (!policy)
            bail("no memory");
        opendmarc_policy_parse_dmarc(policy, (unsigned char *)"a.test", (unsigned char *)str_c(a, text));
        opendmarc_policy_fetch_p(policy, &p);
        opendmarc_policy_fetch_sp(policy, &sp);
        opendmarc_policy_fetch_adkim(policy, &adkim);
        opendmarc_policy_fetch_aspf(policy, &aspf);
        opendmarc_policy_connect_shutdown(policy);
        count++;
        agreed += dmarc_record_read(a, text, &r) && p == words[r.p][0] && sp == (r.has_sp ? words[r.sp][0] : 0) &&
                  adkim == (r.strict_dkim ? 's' : 'r') && aspf == (r.strict_spf ? 's' : 'r') &&
                  r.has_sp == (i / 3 % 4 < 3);
    }
    is_long(agreed, count, "libopendmarc reads %u records as we do", count);
}

/* ---- the walk ---- */

static const char zone[] =
    "_dmarc.example.test TXT \"v=DMARC1; p=reject; sp=quarantine; np=none\"\n"
    "example.test A 192.0.2.1\n"
    "mail.example.test A 192.0.2.1\n"
    "below.example.test A NODATA\n"
    "_dmarc.own.example.test TXT \"v=DMARC1; p=none\"\n"
    "own.example.test A 192.0.2.1\n"
    "_dmarc.psdn.example.test TXT \"v=DMARC1; p=quarantine; psd=n\"\n"
    "x.psdn.example.test A 192.0.2.1\n"
    "_dmarc.bank TXT \"v=DMARC1; p=reject; sp=quarantine; np=reject; psd=y\"\n"
    "_dmarc.giant.bank TXT \"v=DMARC1; p=none\"\n"
    "giant.bank A 192.0.2.1\nmega.bank A 192.0.2.1\nsub.giant.bank A 192.0.2.1\n"
    "bank NS ns.bank\n"
    "_dmarc.mid.sub.giant.bank TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.many.test TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.many.test TXT \"v=DMARC1; p=none\"\n"
    "many.test A 192.0.2.1\n"
    "_dmarc.some.test TXT \"some words\"\n"
    "_dmarc.some.test TXT \"v=DMARC1; \" \"p=quarantine\"\n"
    "_dmarc.some.test TXT \"v=spf1 -all\"\n"
    "some.test A 192.0.2.1\n"
    "_dmarc.nothing.test TXT \"v=DMARC1; sp=reject\"\n"
    "_dmarc.below.nothing.test TXT NODATA\n"
    "nothing.test A 192.0.2.1\n"
    "_dmarc.broken.test TXT SERVFAIL\n"
    "_dmarc.good.broken.test TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.strict.broken.test TXT \"v=DMARC1; p=reject; aspf=s; adkim=s\"\n"
    "_dmarc.stop.broken.test TXT \"v=DMARC1; p=reject; psd=n\"\n"
    "_dmarc.slow.test TXT TIMEOUT\n"
    "_dmarc.strict.test TXT \"v=DMARC1; p=reject; adkim=s; aspf=s\"\n"
    "_dmarc.halfstrict.test TXT \"v=DMARC1; p=reject; adkim=s\"\n"
    "_dmarc.np.test TXT \"v=DMARC1; p=none; np=reject\"\n"
    "unknown.np.test ANY SERVFAIL\n"
    "there.np.test MX 10 mx.test\n"
    "_dmarc.a.one.test TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.b.one.test TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.test TXT NODATA\n"
    "_dmarc.co.uk TXT NODATA\n"
    "_dmarc.a.co.uk TXT \"v=DMARC1; p=reject\"\n"
    "_dmarc.x.a.co.uk TXT NODATA\n"
    "_dmarc.only TXT \"v=DMARC1; p=reject\"\n";

static int64_t soon(void)
{
    return clock_ms() + 5000;
}

/* walked - "record-domain org-domain" of an author; "?" where a temporary error stands in the way. */
static struct str walked(const char *domain, enum dmarc_discovery discovery)
{
    struct dmarc_asked *asked = dmarc_asked_new(a, NULL, discovery);
    struct dmarc_walk *w = dmarc_walk_ask(asked, str_of(domain), true);
    const struct dmarc_record *record;
    struct str at, org;
    enum dmarc_found found = dmarc_walk_policy(w, soon(), &record, &at);

    if (found != DMARC_FOUND)
        at = found == DMARC_FOUND_NONE ? STR("-") : STR("?");
    if (!dmarc_walk_org(w, soon(), &org))
        org = STR("?");
    return arena_printf(a, STR_FMT " " STR_FMT, STR_ARG(at), STR_ARG(org));
}

static void test_walk(void)
{
    static const char *const rows[][2] = {
        {"example.test", "example.test example.test"},
        {"mail.example.test", "example.test example.test"},
        {"own.example.test", "own.example.test example.test"},      /* rule 3: the fewest labels */
        {"psdn.example.test", "psdn.example.test psdn.example.test"}, /* rule 1 */
        {"x.psdn.example.test", "psdn.example.test psdn.example.test"},
        {"giant.bank", "giant.bank giant.bank"},                   /* rule 2 */
        {"sub.giant.bank", "giant.bank giant.bank"},
        {"mega.bank", "bank mega.bank"},                           /* the suffix's record, for want of another */
        {"a.b.mega.bank", "bank mega.bank"},
        {"bank", "bank bank"},                                     /* psd=y where the walk began does not count */
        {"mid.sub.giant.bank", "mid.sub.giant.bank giant.bank"},
        {"x.mid.sub.giant.bank", "giant.bank giant.bank"},
        {"many.test", "- many.test"},
        {"some.test", "some.test some.test"},
        {"nowhere.test", "- nowhere.test"},
        {"broken.test", "? ?"},
        {"x.broken.test", "? ?"},
        {"good.broken.test", "good.broken.test ?"},
        {"stop.broken.test", "stop.broken.test stop.broken.test"},
        {"x.stop.broken.test", "stop.broken.test stop.broken.test"},
        {"slow.test", "? ?"},
        {"only", "only only"},
        {"x.only", "only only"},
        {"a.b.c.d.e.f.g.h.i.j.mail.example.test", "example.test example.test"},
    };
    static const char *const psl[][2] = {
        {"a.co.uk", "a.co.uk a.co.uk"},
        {"x.a.co.uk", "a.co.uk a.co.uk"},
        {"a.b.c.a.co.uk", "a.co.uk a.co.uk"},
        {"b.co.uk", "- b.co.uk"},
        {"x.psdn.example.test", "example.test example.test"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        is_str(walked(rows[i][0], DMARC_TREEWALK), str_of(rows[i][1]), "the walk of %s", rows[i][0]);
    for (size_t i = 0; i < sizeof psl / sizeof psl[0]; i++)
        is_str(walked(psl[i][0], DMARC_PSL), str_of(psl[i][1]), "by the suffix list: %s", psl[i][0]);
}

static unsigned count_lines(struct str text)
{
    unsigned n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n + (text.n && text.p[text.n - 1] != '\n');
}

static void test_questions(void)
{
    struct dmarc_asked *asked = dmarc_asked_new(a, NULL, DMARC_TREEWALK);
    struct buf b = buf_in(a);
    struct str said;

    dns_script_asked(a);
    dmarc_walk_ask(asked, STR("a.b.c.d.e.f.g.h.i.j.mail.example.test"), false);
    said = dns_script_asked(a);
    is_str(str_trim(said),
           STR("_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.test TXT\n_dmarc.g.h.i.j.mail.example.test TXT\n"
               "_dmarc.h.i.j.mail.example.test TXT\n_dmarc.i.j.mail.example.test TXT\n_dmarc.j.mail.example.test TXT\n"
               "_dmarc.mail.example.test TXT\n_dmarc.example.test TXT\n_dmarc.test TXT"),
           "the eight questions of the RFC's example, all at once");
    dmarc_walk_ask(asked, STR("A.b.c.d.e.f.g.h.i.j.mail.example.test"), false);
    dmarc_walk_ask(asked, STR("mail.example.test"), false);
    is_long(count_lines(dns_script_asked(a)), 0, "walks share what was asked");
    dmarc_walk_ask(asked, STR("a.b.c.d.e.f.g.h"), true);
    is_long(count_lines(dns_script_asked(a)), 9, "eight labels: eight questions, and one whether it exists");
    for (int i = 0; i < 100; i++) {
        b.len = 0;
        buf_addf(&b, "x%d.a.b.c.d.e.f", i);
        dmarc_walk_ask(asked, buf_str(&b), false);
    }
    is_long(count_lines(dns_script_asked(a)), DMARC_QUESTIONS_MOST - 17, "and never more than the cap for one message");
    {
        struct dmarc_walk *w = dmarc_walk_ask(asked, STR("x99.a.b.c.d.e.f"), false);
        struct str org;

        ok(!dmarc_walk_org(w, soon(), &org), "what was not asked is not known");
    }
    {
        char label[64], name[256];

        memset(label, 'a', 63);
        label[63] = '\0';
        snprintf(name, sizeof name, "%.63s.%.63s.%.63s.%.40s.example.test", label, label, label, label);
        is_str(str_slice(walked(name, DMARC_TREEWALK), 0, 12), STR("example.test"),
               "a name of %zu bytes has no room for _dmarc, and falls under its organisation's record", strlen(name));
    }
}

/* ---- From ---- */

static struct str author(const char *from, const char *second)
{
    struct headers h = {0};
    struct str domain;
    const char *problem = "";

    if (from)
        header_add(a, &h, STR("From"), str_of(from));
    if (second)
        header_add(a, &h, STR("from"), str_of(second));
    return dmarc_author_of(a, &h, &domain, &problem) ? domain : arena_printf(a, "none: %s", problem);
}

static void test_author(void)
{
    static const char *const rows[][2] = {
        {"a@b.test", "b.test"},
        {" \"x@y.test\" <a@B.Test>", "b.test"},
        {"a@b.test, c@B.TEST", "b.test"},
        {"Group: a@b.test, c@b.test;", "b.test"},
        {"(c@d.test (nested)) a@b.test", "b.test"},
        {"a@b\xc3\xbc""cher.test", "xn--bcher-kva.test"},
        {"a@b\xc3\xbc""cher.test, c@XN--bcher-kva.TEST", "xn--bcher-kva.test"},
        {"a@b\xc3\x28.test", NULL},
        {"a@b.test, c@d.test", "none: From has addresses of several domains"},
        {"Group:;", "none: the From field has no address"},
        {"a@[192.0.2.1]", "none: an address in From has no valid domain"},
        {"a", NULL},
        {"", NULL},
        {"<a@b.test> x@", "b.test"},
        {"Smith, John <a@b.test>", "b.test"},
        {"Joe [x] <a@b.test>", "b.test"},
        {"a@b.test;", "b.test"},
        {"a@b.test.", "b.test"},
        {"Joe <a@b.test> (", "b.test"},
        {"Joe, c@d.test <a@b.test>", "none: From has addresses of several domains"},
        {"a@b.test, c@[192.0.2.1];", "none: an address in From has no valid domain"},
        {"Joe, Jim;", "none: the From field is malformed"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str got = author(rows[i][0], NULL);

        if (rows[i][1])
            is_str(got, str_of(rows[i][1]), "From: %s", rows[i][0]);
        else
            ok(str_starts(got, STR("none: ")), "From: %s has no author domain", rows[i][0]);
    }
    is_str(author(NULL, NULL), STR("none: there is no From field"), "no From");
    is_str(author("a@b.test", "a@b.test"), STR("none: there are several From fields"), "two From");
    {
        struct buf many = buf_in(a), words = buf_in(a);

        for (int i = 0; i < 300; i++) {
            buf_add(&many, STR("a@b.test, "));
            buf_add(&words, STR("a, "));
        }
        buf_add(&many, STR("c@d.test"));
        buf_add(&words, STR("a@b.test; c@d.test"));
        is_str(author(buf_str(&many).p, NULL), STR("none: the From field is malformed"), "more addresses than read");
        is_str(author(buf_str(&words).p, NULL), STR("none: the From field is malformed"), "more words than are read");
    }
}

/* ---- results ---- */

struct given {
    const char *author;
    const char *spf, *spf_domain;   /* word; NULL: not checked */
    const char *dkim, *dkim_domain; /* of one signature */
    const char *want;               /* "result published spf/dkim aligned" */
};

static enum auth_result result_of(const char *word)
{
    for (int i = 0; auth_words[i]; i++)
        if (strcmp(auth_words[i], word) == 0)
            return (enum auth_result)i;
    bail("no such result: %s", word);
}

static struct str evaluated(const struct given *g, bool null_sender, bool partly)
{
    struct dkim_result dkim = {.partly = partly};
    struct auth_results results = {0};
    struct dmarc_evaluation e;
    struct spf_result *spf = null_sender ? &results.spf_helo : &results.spf_from;

    if (g->spf)
        *spf = (struct spf_result){.checked = true, .result = result_of(g->spf), .domain = str_of(g->spf_domain)};
    if (g->dkim) {
        dkim.result = result_of(g->dkim);
        dkim.domain = str_of(g->dkim_domain);
        results.dkim = &dkim;
        results.dkim_count = 1;
    }
    e = dmarc_evaluate(dmarc_asked_new(a, NULL, DMARC_TREEWALK), str_of(g->author), &results, null_sender, soon());
    return arena_printf(a, "%s %s%s%s", auth_words[e.result], dmarc_words[e.published], e.spf_aligned ? " spf" : "",
                        e.dkim_aligned ? " dkim" : "");
}

static const struct given givens[] = {
    {"example.test", "pass", "example.test", NULL, NULL, "pass reject spf"},
    {"example.test", "pass", "EXAMPLE.test", NULL, NULL, "pass reject spf"},
    {"example.test", "pass", "mail.example.test", NULL, NULL, "pass reject spf"},
    {"mail.example.test", "pass", "example.test", NULL, NULL, "pass quarantine spf"},
    {"example.test", "pass", "own.example.test", NULL, NULL, "pass reject spf"},
    {"example.test", "pass", "psdn.example.test", NULL, NULL, "fail reject"},
    {"x.psdn.example.test", "pass", "example.test", NULL, NULL, "fail quarantine"},
    {"example.test", "fail", "example.test", NULL, NULL, "fail reject"},
    {"example.test", "softfail", "example.test", NULL, NULL, "fail reject"},
    {"example.test", "neutral", "example.test", NULL, NULL, "fail reject"},
    {"example.test", "permerror", "example.test", NULL, NULL, "fail reject"},
    {"example.test", "pass", "badexample.test", NULL, NULL, "fail reject"},
    {"example.test", "pass", "test", NULL, NULL, "fail reject"},
    {"example.test", "pass", "", NULL, NULL, "fail reject"},
    {"example.test", NULL, NULL, NULL, NULL, "fail reject"},
    {"example.test", NULL, NULL, "pass", "example.test", "pass reject dkim"},
    {"example.test", NULL, NULL, "pass", "x.example.test", "pass reject dkim"},
    {"example.test", NULL, NULL, "policy", "example.test", "fail reject"},
    {"example.test", "pass", "other.test", "pass", "example.test", "pass reject dkim"},
    {"example.test", "pass", "example.test", "pass", "example.test", "pass reject spf dkim"},
    /* siblings that libopendmarc takes for one organisation */
    {"a.one.test", "pass", "b.one.test", NULL, NULL, "fail reject"},
    {"a.co.uk", "pass", "co.uk", NULL, NULL, "fail reject"},
    /* strict */
    {"strict.test", "pass", "x.strict.test", "pass", "x.strict.test", "fail reject"},
    {"strict.test", "pass", "strict.test", NULL, NULL, "pass reject spf"},
    {"halfstrict.test", "pass", "x.halfstrict.test", "pass", "x.halfstrict.test", "pass reject spf"},
    /* sp, np, p */
    {"mail.example.test", NULL, NULL, NULL, NULL, "fail quarantine"},
    {"gone.example.test", NULL, NULL, NULL, NULL, "fail none"},
    {"below.example.test", NULL, NULL, NULL, NULL, "fail quarantine"},
    {"there.np.test", NULL, NULL, NULL, NULL, "fail none"},
    {"gone.np.test", NULL, NULL, NULL, NULL, "fail reject"},
    {"unknown.np.test", NULL, NULL, NULL, NULL, "temperror none"},
    {"unknown.np.test", "pass", "np.test", NULL, NULL, "pass none spf"},
    {"x.some.test", NULL, NULL, NULL, NULL, "fail quarantine"},
    /* psd */
    {"mega.bank", NULL, NULL, NULL, NULL, "fail quarantine"},
    {"gone.bank", NULL, NULL, NULL, NULL, "fail reject"},
    {"giant.bank", "pass", "mail.giant.bank", "pass", "mail.mega.bank", "pass none spf"},
    {"giant.bank", NULL, NULL, "pass", "mega.bank", "fail none"},
    {"giant.bank", NULL, NULL, "pass", "bank", "fail none"},
    /* no record, bad records */
    {"nowhere.test", "pass", "nowhere.test", NULL, NULL, "none none"},
    {"many.test", "pass", "many.test", NULL, NULL, "none none"},
    {"nothing.test", "pass", "nothing.test", NULL, NULL, "permerror none"},
    {"below.nothing.test", "pass", "below.nothing.test", NULL, NULL, "permerror none"},
    /* temporary errors: never a pass, and no policy */
    {"broken.test", "pass", "broken.test", NULL, NULL, "temperror none"},
    {"slow.test", "pass", "slow.test", NULL, NULL, "temperror none"},
    {"good.broken.test", "pass", "good.broken.test", NULL, NULL, "pass reject spf"},
    {"good.broken.test", "pass", "broken.test", NULL, NULL, "temperror reject"},
    {"good.broken.test", "pass", "elsewhere.org", NULL, NULL, "fail reject"},
    {"strict.broken.test", "pass", "broken.test", NULL, NULL, "fail reject"},
    {"stop.broken.test", "pass", "broken.test", NULL, NULL, "fail reject"},
    {"example.test", "temperror", "example.test", NULL, NULL, "temperror reject"},
    {"example.test", "temperror", "other.test", NULL, NULL, "fail reject"},
    {"example.test", "temperror", "other.test", "temperror", "mail.example.test", "temperror reject"},
    {"example.test", "temperror", "example.test", "pass", "example.test", "pass reject dkim"},
    {"example.test", NULL, NULL, "pass", "broken.test", "fail reject"}, /* a stranger's DNS makes no doubt */
    {"example.test", NULL, NULL, "temperror", "broken.test", "fail reject"},
};

static void test_results(void)
{
    for (size_t i = 0; i < sizeof givens / sizeof givens[0]; i++) {
        const struct given *g = &givens[i];

        is_str(evaluated(g, false, false), str_of(g->want), "%s with spf %s %s dkim %s %s", g->author,
               g->spf ? g->spf : "-", g->spf ? g->spf_domain : "", g->dkim ? g->dkim : "-",
               g->dkim ? g->dkim_domain : "");
    }
    is_str(evaluated(&givens[0], true, false), STR("pass reject spf"), "a null sender's domain is HELO's");
    is_str(evaluated(&givens[15], false, true), STR("fail reject"), "a signature over a part of the body is none");
    is_long(dmarc_lowered(DMARC_REJECT), DMARC_QUARANTINE, "t=y: reject is quarantine");
    is_long(dmarc_lowered(DMARC_QUARANTINE), DMARC_NONE, "t=y: quarantine is none");
    is_long(dmarc_lowered(DMARC_NONE), DMARC_NONE, "t=y: none is none");
}

/* A message's result is the same whatever was evaluated before it. */
static void test_no_leak(void)
{
    size_t n = sizeof givens / sizeof givens[0];
    unsigned same = 0, random = 12345;

    for (unsigned i = 0; i < 2000; i++) {
        const struct given *g;

        random = random * 1103515245 + 12345;
        g = &givens[(random >> 16) % n];
        same += str_is(evaluated(g, false, false), str_of(g->want));
        if (i % 100 == 0) {
            arena_reset(a);
        }
    }
    is_long(same, 2000, "2000 messages in any order");
}

static void test_likely(void)
{
    ok(dmarc_likely(STR("a.b.test"), STR("c.b.test")), "below the same two labels");
    ok(dmarc_likely(STR("b.test"), STR("c.b.test")), "below the author's domain");
    ok(dmarc_likely(STR("c.b.test"), STR("b.test")), "above it");
    ok(!dmarc_likely(STR("b.test"), STR("b.test")), "itself is asked anyway");
    ok(!dmarc_likely(STR("b.test"), STR("c.test")), "another");
    ok(!dmarc_likely(STR("b.test"), STR_NONE), "none");
    ok(dmarc_likely(STR("test"), STR("x.test")), "a single label");
}

int main(void)
{
    struct dns_settings settings = {.cache_entries = 10000};
    struct str error;

    a = arena_new(0);
    clock_script_wall(1767607200000);
    if (!dns_configure(&settings, &error, a) || !dns_script(STR("zone"), str_of(zone), false, &error, a))
        bail(STR_FMT, STR_ARG(error));
    test_records();
    test_record_caps();
    test_against_library();
    test_walk();
    test_questions();
    test_author();
    test_likely();
    test_results();
    test_no_leak();
    arena_free(&a);
    dns_script_end();
    return tap_end();
}
