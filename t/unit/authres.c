/* authres.c - tests of Authentication-Results: which fields are forged, and what our own says. */
#include "../../milter/auth/results.h"
#include "../../milter/authres.h"
#include "../../milter/config.h"
#include "../../milter/edits.h"
#include "../../milter/message.h"
#include "../lib/tap.h"

static struct arena *a;

#define ID "mx.here.test"

static bool contains_text(struct str s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static void test_claims(void)
{
    static const struct {
        bool ours;
        const char *value;
    } rows[] = {
        {true, "mx.here.test; spf=pass"},
        {true, " mx.here.test; none"},
        {true, "mx.here.test"},
        {true, "mx.here.test 1; spf=pass"},
        {true, "mx.here.test\t 99 ; spf=pass"},
        {true, "MX.Here.TEST; spf=pass"},
        {true, "mx.here.test.; spf=pass"},
        {true, "\r\n\tmx.here.test\r\n ;\r\n spf=pass"},
        {true, "(c) mx.here.test (d (e)) ; spf=pass"},
        {true, "(\\) ;) mx.here.test; spf=pass"},
        {true, "\"mx.here.test\"; spf=pass"},
        {true, "\"mx.here\\.test\" 1; spf=pass"},
        {true, "\"mx.he\r\n re.test\"; spf=pass"}, /* malformed enough */
        {true, "mx.(c)here.test; spf=pass"},
        {true, "mx. here . test; spf=pass"},
        {true, "mx.here.test/1; spf=pass"},
        {true, "mx.here.test, other.test; spf=pass"},
        {true, "other.test mx.here.test; spf=pass"},
        {true, "=?utf-8?q?mx.here.test?=; spf=pass"},
        {true, "(never closed mx.here.test; spf=pass"},
        {true, "\"never closed mx.here.test; spf=pass"},
        {true, "; mx.here.test; spf=pass"},
        {true, "spf=pass; mx.here.test"},
        {true, "\x01mx.here.\x7ftest; spf=pass"},
        {true, "<mx.here.test>; spf=pass"},
        {true, "m\\x.here.test; spf=pass"},
        {true, "\xc2\xa0mx.here.test; spf=pass"}, /* a blank that is none */
        {true, "mx.here.test\xe2\x80\x8b; spf=pass"},
        {true, "\xa0mx.here.test; spf=pass"},
        {true, "\xef\xbd\x8dx.here.test; spf=pass"}, /* a wide m */
        {true, "mx\xe3\x80\x82here.test; spf=pass"},
        {true, "mx\xe3\x80\x82here.test(; spf=pass"},
        {true, "mx.\xc2\xadhere.test, other.test; spf=pass"},
        {true, "mx..here.test; spf=pass"},
        {true, ".mx.here.test; spf=pass"},
        {true, "mx.here.test..; spf=pass"},
        {false, "m\xc3\xbcx.other.test; spf=pass"},
        {false, "other.test\xc2\xa0; spf=pass"},
        {false, "m..here.test; spf=pass"},
        {false, "other.test; spf=pass smtp.mailfrom=mx.here.test"},
        {false, "other.test 1; spf=pass (mx.here.test)"},
        {false, "(mx.here.test) other.test; spf=pass"},
        {false, "\"other.test\"; spf=pass"},
        {false, "mx.here.test.other.test; spf=pass"},
        {false, "amx.here.test; spf=pass"},
        {false, "here.test; spf=pass"},
        {false, "(never closed; spf=pass"},
        {false, "spf=pass smtp.mailfrom=a@b.test"},
        {false, ""},
        {false, ";"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ok(authres_claims(a, str_of(rows[i].value), STR(ID)) == rows[i].ours, "%s: %s",
           rows[i].ours ? "ours" : "not ours", rows[i].value);
    ok(authres_claims(a, (struct str){"mx.here\0.test; x", 16}, STR(ID)), "with a NUL byte inside");
}

/* Time grows with the length: comments within comments, quotes, backslashes, and very many results. */
static void test_length(void)
{
    static const char *const units[] = {"(", ")", "\"", "\\", "()", "; spf=pass smtp.mailfrom=a@b.test", "(\"", " "};
    long long spent[2];

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        for (unsigned round = 0; round < 2; round++) {
            struct arena *mine = arena_new(0);
            struct buf b = buf_in(mine);
            long long began = tap_cpu_ms();

            buf_add(&b, i % 2 ? STR(ID) : STR("other.test"));
            for (unsigned k = 0; k < (round ? 100000 : 10000); k++)
                buf_add(&b, str_of(units[i]));
            authres_claims(mine, buf_str(&b), STR(ID));
            authres_says(mine, buf_str(&b), "dkim", "pass", NULL, STR_NONE);
            spent[round] = tap_cpu_ms() - began;
            arena_free(&mine);
        }
        ok(spent[1] < 40 * (spent[0] + 10), "100 000 times '%s' in %lld ms", units[i], spent[1]);
    }
}

static void test_says(void)
{
    static const struct {
        bool says;
        const char *value, *method, *result, *property, *of;
    } rows[] = {
        {true, "a.test; dmarc=pass header.from=b.test", "dmarc", "pass", "header.from", "b.test"},
        {true, "a.test;\r\n dkim=fail;\r\n DMARC = PASS (p=NONE) header.from=B.test", "dmarc", "pass", "header.from",
         "b.test"},
        {true, "dmarc=pass", "dmarc", "pass", NULL, NULL},
        {true, "x; dmarc=pass reason=\"a;b\" header.from=\"b.test\"", "dmarc", "pass", "header.from", "b.test"},
        {false, "a.test; dmarc=pass header.from=c.test", "dmarc", "pass", "header.from", "b.test"},
        {false, "a.test; dmarc=pass (header.from=b.test)", "dmarc", "pass", "header.from", "b.test"},
        {false, "a.test; dmarc=fail header.from=b.test", "dmarc", "pass", "header.from", "b.test"},
        {false, "a.test; (dmarc=pass header.from=b.test)", "dmarc", "pass", NULL, NULL},
        {false, "a.test; x=\"; dmarc=pass\"", "dmarc", "pass", NULL, NULL},
        {false, "a.test; xdmarc=pass", "dmarc", "pass", NULL, NULL},
        {false, "a.test; dmarc=passed", "dmarc", "pass", NULL, NULL},
        {false, "", "dmarc", "pass", NULL, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ok(authres_says(a, str_of(rows[i].value), rows[i].method, rows[i].result, rows[i].property,
                        str_of(rows[i].of)) == rows[i].says,
           "%s: %s", rows[i].says ? "says so" : "does not", rows[i].value);
}

/* ---- our own ---- */

struct made {
    struct session session;
    struct message message;
    struct auth_results results;
    struct edits edits;
    struct profile profile;
    struct config config;
};

static struct made *made(void)
{
    struct made *m = arena_zalloc(a, sizeof *m);

    m->message = (struct message){.arena = a, .session = &m->session, .auth = &m->results, .edits = &m->edits};
    m->session.profile = &m->profile;
    m->config.global.hostname = STR(ID);
    return m;
}

static void check_shape(struct str text, const char *what)
{
    size_t line = sizeof "Authentication-Results: " - 1, longest = 0;
    bool plain = true;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        plain &= (c >= 0x20 && c < 0x7f) || (c == '\n' && i + 1 < text.n && text.p[i + 1] == ' ');
        line = c == '\n' ? 0 : line + 1;
        longest = line > longest ? line : longest;
    }
    ok(plain && longest <= 998, "%s: printable ASCII, properly folded, %zu bytes in the longest line", what, longest);
    ok(authres_claims(a, text, STR(ID)), "%s: and readable as ours", what);
}

static void test_text(void)
{
    static struct dkim_result dkim[] = {
        {AUTH_PASS, STR("a.test"), STR("s1"), STR("@a.test"), STR("rsa-sha256"), STR("aB+/cdef"), STR_NONE, false,
         false},
        {AUTH_FAIL, STR("b.test"), STR("s2"), STR("\"j s\"@b.test"), STR("ed25519-sha256"), STR("abcdefgh"),
         STR("body hash differs"), false, false},
    };
    struct made *m = made();

    is_str(authres_text(a, &m->message, STR(ID)), STR(ID "; none"), "nothing was checked");
    m->message.sender = address_parse(a, STR("<joe@a.test>"));
    m->results.spf_from = (struct spf_result){true, AUTH_PASS, STR("a.test"), STR_NONE};
    m->results.spf_helo = (struct spf_result){true, AUTH_FAIL, STR("mx.a.test"), STR_NONE};
    m->results.dkim = dkim;
    m->results.dkim_count = 2;
    m->results.dkim_checked = true;
    m->results.dmarc = (struct dmarc_result){.checked = true, .result = AUTH_FAIL, .author_domain = STR("a.test"),
                                             .published = DMARC_REJECT, .disposition = DMARC_QUARANTINE};
    m->results.arc_checked = true;
    m->results.arc = AUTH_PASS;
    ip_parse(STR("2001:db8::1"), &m->session.peer.ip);
    m->session.facts.items = &(struct fact_value){FACT_IPREV, STR("pass")};
    m->session.facts.count = 1;
    m->session.auth = STR("joe");
    is_str(authres_text(a, &m->message, STR(ID)),
           STR(ID ";\n"
               "    iprev=pass policy.iprev=\"2001:db8::1\";\n"
               "    auth=pass smtp.auth=joe;\n"
               "    spf=pass smtp.mailfrom=joe@a.test;\n"
               "    spf=fail smtp.helo=mx.a.test;\n"
               "    dkim=pass header.d=a.test header.i=@a.test header.s=s1\n"
               "    header.a=rsa-sha256 header.b=\"aB+/cdef\";\n"
               "    dkim=fail reason=\"body hash differs\" header.d=b.test\n"
               "    header.i=\"\\\"j s\\\"@b.test\" header.s=s2 header.a=ed25519-sha256\n"
               "    header.b=abcdefgh;\n"
               "    dmarc=fail header.from=a.test policy.dmarc=quarantine;\n"
               "    arc=pass"),
           "all methods");
    check_shape(authres_text(a, &m->message, STR(ID)), "all methods");
    m->results.dkim_count = 0;
    ok(contains_text(authres_text(a, &m->message, STR(ID)), "dkim=none"), "no signature is none");
}

/* Whatever strangers may have put in: nothing of it gets out raw, and nothing becomes a result of its own. */
static void test_hostile(void)
{
    static const char bytes[] = "a.test; dmarc=pass (\r\nX-Evil: \"yes\\ \x80\xff\x01(";
    struct str evil = {bytes, sizeof bytes}; /* with its NUL */
    struct dkim_result many[12];
    struct made *m = made();
    struct str text;
    char large[5000];

    memset(large, '(', sizeof large);
    for (int i = 0; i < 12; i++)
        many[i] = (struct dkim_result){.result = AUTH_FAIL,
                                       .domain = evil,
                                       .selector = evil,
                                       .identity = evil,
                                       .algorithm = evil,
                                       .b = evil,
                                       .problem = i ? evil : (struct str){large, sizeof large}};
    m->message.sender.text = evil;
    m->results.spf_from = (struct spf_result){true, AUTH_PERMERROR, evil, evil};
    m->results.spf_helo = (struct spf_result){true, AUTH_PERMERROR, {large, sizeof large}, evil};
    m->results.dkim = many;
    m->results.dkim_count = 12;
    m->results.dkim_checked = true;
    m->results.dmarc =
        (struct dmarc_result){.checked = true, .result = AUTH_NONE, .author_domain = evil, .problem = evil};
    m->session.auth = evil;
    text = authres_text(a, &m->message, STR(ID));
    check_shape(text, "hostile values");
    ok(!authres_says(a, text, "dmarc", "pass", NULL, STR_NONE), "they give no dmarc=pass");
    ok(authres_says(a, text, "dmarc", "none", NULL, STR_NONE), "but what was found");
    {
        unsigned n = 0;

        for (size_t i = 0; i + 6 < text.n; i++)
            n += memcmp(text.p + i, "\n    dkim=", 10) == 0;
        is_long(n, 10, "ten signatures are told of");
    }
}

static struct str edits_of(struct made *m)
{
    struct buf b = buf_in(a);

    for (const struct edit *e = m->edits.first; e; e = e->next) {
        buf_add(&b, edit_text(a, e));
        buf_addc(&b, '|');
    }
    return buf_str(&b);
}

static void test_finish(void)
{
    static const struct policy spf = {.name = "spf"};
    struct instance instance = {.policy = &spf};
    struct made *m = made();

    header_add(a, &m->message.headers, STR("Authentication-Results"), STR("other.test; spf=pass"));
    header_add(a, &m->message.headers, STR("authentication-RESULTS"), STR(ID "; spf=pass"));
    header_add(a, &m->message.headers, STR("Subject"), STR(ID "; spf=pass"));
    header_add(a, &m->message.headers, STR("Authentication-Results"), STR("third.test; spf=pass"));
    header_add(a, &m->message.headers, STR("Authentication-Results"), STR("(x) \"" ID "\"; spf=pass"));
    ok(authres_remove(&m->message, &m->config), "two forged fields: not too many");
    authres_finish(&m->message, &m->config);
    is_str(edits_of(m), STR("delete-header 2 Authentication-Results|delete-header 4 Authentication-Results|"),
           "a profile that verifies nothing: forged fields go, nothing is added");
    m->edits = (struct edits){0};
    m->profile.instances = &instance;
    m->profile.count = 1;
    authres_finish(&m->message, &m->config);
    is_str(edits_of(m), STR("insert-header Authentication-Results: " ID "; none|"),
           "one that does, and nothing was checked");
    m->edits = (struct edits){0};
    m->session.is_local = true;
    authres_finish(&m->message, &m->config);
    ok(!m->edits.last, "mail of our own: nothing is added");
    m->edits = (struct edits){0};
    m->session.auth = STR("joe");
    m->results.dkim_checked = true;
    authres_finish(&m->message, &m->config);
    ok(m->edits.last && m->edits.last->kind == EDIT_INSERT_HEADER, "but when something was checked");
    ok(m->edits.last && contains_text(m->edits.last->value, "auth=pass smtp.auth=joe"), "with the user");
}

static void test_many_fields(void)
{
    struct made *m = made();
    long long began;
    unsigned n = 0;

    for (int i = 0; i < 3 * AUTHRES_FORGED_MOST; i++)
        header_add(a, &m->message.headers, STR("Authentication-Results"),
                   i % 3 ? STR("o.test; none") : STR(ID "; spf=pass"));
    ok(authres_remove(&m->message, &m->config), "as many as may be");
    for (const struct edit *e = m->edits.first; e; e = e->next)
        n += e->kind == EDIT_DELETE_HEADER;
    is_long(n, AUTHRES_FORGED_MOST, "the forged ones go");
    for (int i = 0; i < 10000; i++)
        header_add(a, &m->message.headers, STR("Authentication-Results"), STR(ID "; spf=pass"));
    began = tap_cpu_ms();
    ok(!authres_remove(&m->message, &m->config), "10 000 are too many");
    ok(tap_cpu_ms() - began < 2000, "which takes %lld ms", tap_cpu_ms() - began);
}

int main(void)
{
    a = arena_new(0);
    test_claims();
    test_length();
    test_says();
    test_text();
    test_hostile();
    test_finish();
    test_many_fields();
    arena_free(&a);
    return tap_end();
}
