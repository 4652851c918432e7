/* dkim.c - tests of verifying: every rule on signatures and keys made here, canonicalisation, floods, hostile bytes. */
#include "../../milter/auth/dkim.h"
#include "../../milter/base/clock.h"
#include "../lib/dkim_maker.h"
#include "../lib/tap.h"

static struct arena *a;
static struct str rsa, ed, record_rsa, record_ed;

static struct headers message(const char *const *lines)
{
    struct headers h = {.count = 0};

    for (; *lines; lines++) {
        struct str line = str_of(*lines);
        size_t colon = str_find(line, ':');

        header_add(a, &h, str_slice(line, 0, colon), str_slice(line, colon + 1, line.n));
    }
    return h;
}

static const char *const plain[] = {"Received: from x", "From: Joe <joe@a.test>", "To: me@here.test", "Subject: Hello",
                                    "Date: Mon, 05 Jan 2026 10:00:00 +0000", "Message-ID: <1@a.test>", NULL};
#define BODY STR("Hello,\r\n\r\nthis is  a text. \r\n\r\n")

static void put_first(struct headers *h, struct str name, struct str raw)
{
    struct headers one = {.count = 0};

    header_add(a, &one, name, raw);
    one.first->next = h->first;
    h->first = one.first;
    if (!h->last)
        h->last = one.first;
    h->count++;
    h->bytes += one.bytes;
}

static struct str key_line(const char *name, struct str record)
{
    return maker_txt(a, name, record);
}

static void zone(struct str text)
{
    struct dns_settings settings = {.cache_entries = 0};
    struct str error = STR_NONE;

    if (!dns_configure(&settings, &error, a) || !dns_script(STR("zone"), text, true, &error, a))
        bail(STR_FMT, STR_ARG(error));
}

static struct str record_of(const char *k, struct str p)
{
    return arena_printf(a, "v=DKIM1; k=%s; p=" STR_FMT, k, STR_ARG(p));
}

static struct auth_results verify(const struct headers *h, struct str body, long most)
{
    struct auth_results r = {.dkim_count = 0};
    struct dkim_check *check = dkim_ask(a, NULL, h, most);

    dkim_evaluate(a, check, h, body, 1024, clock_ms() + 5000, &r);
    ok(r.dkim_checked, "checked");
    return r;
}

static void one_result(const struct headers *h, struct str body, enum auth_result want, const char *problem,
                       const char *what)
{
    struct auth_results r = verify(h, body, 8);

    if (!is_long((long long)r.dkim_count, 1, "%s: one result", what))
        return;
    is_str(str_of(auth_words[r.dkim[0].result]), str_of(auth_words[want]), "%s: the result", what);
    is_str(r.dkim[0].problem, str_of(problem), "%s: why", what);
}

/* ---- what verifies, in every canonicalisation ---- */

static void test_canonicalisation(void)
{
    static const char *const odd[] = {
        "Received: from x", "FROM  :joe@a.test", "To:\tme@here.test,\n\t  you@here.test  ", "Subject:   a\n b\tc \t ",
        "Date:Mon, 05 Jan 2026 10:00:00 +0000", "X-Empty:", "X-Blank: ", "Message-ID: \n <1@a.test>", NULL};
    static const char *const odd_name[] = {"from:joe@a.test", "sUBJECT:\n\ta", NULL};
    static const char *const eight[] = {"From: J\xc3\xb6rg <joe@a.test>", "Subject: \xe4\xf6\xfc \xf0\x9f\x98\x80",
                                        NULL};
    static char text[20000];
    struct {
        const char *const *lines;
        struct str body;
        const char *what;
    } rows[] = {
        {plain, BODY, "plain"}, {odd_name, BODY, "odd names"}, {eight, STR("\xe4\xff\x80 x\r\n"), "8-bit"},
        {plain, STR(""), "empty body"}, {plain, STR("\r\n"), "one empty line"}, {plain, STR("\r\n\r\n\r\n"),
            "empty lines"},
        {plain, STR(" \t \r\n"), "blanks alone"}, {plain, STR("no line end"), "no line end"},
        {plain, STR("a\r\nno line end"), "no line end in the second"}, {plain, STR("a \t b  \r\n c\r\n \r\n"),
                                                                        "blanks"},
        {plain, STR("a\r\n.\r\n..\r\n"), "dots"}, {plain, {text, sizeof text}, "one long line"},
        {odd, BODY, "odd folding"},
    };

    memset(text, 'x', sizeof text);
    zone(arena_printf(a, STR_FMT STR_FMT, STR_ARG(key_line("s._domainkey.a.test", record_rsa)),
                      STR_ARG(key_line("e._domainkey.a.test", record_ed))));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned way = 0; way < 8; way++) {
            bool is_ed = way & 4;
            struct headers h = message(rows[i].lines);
            struct maker m = {.domain = "a.test", .selector = is_ed ? "e" : "s", .pem = is_ed ? ed : rsa,
                              .algorithm = is_ed ? "ed25519-sha256" : NULL, .simple_header = way & 1,
                              .simple_body = way & 2};
            struct str whole = rows[i].body;
            const char *what = arena_printf(a, "%s, %s/%s, %s", rows[i].what, way & 1 ? "simple" : "relaxed",
                                            way & 2 ? "simple" : "relaxed", is_ed ? "ed25519" : "rsa").p;

            /* libopendkim folds such a signature otherwise than it hashed it; t/e2e/dkim.t has them from another
             * maker. */
            if (is_ed && m.simple_header)
                continue;
            /* And of a long last line without end it hashes a part. */
            if (rows[i].body.p == text)
                whole = arena_printf(a, STR_FMT "\r\n", STR_ARG(whole));
            if (rows[i].lines == odd)
                h.first->next->name = STR("FROM"); /* Postfix does not tell the blanks before the colon */
            put_first(&h, STR("DKIM-Signature"), maker_sign(a, &m, &h, whole));
            one_result(&h, rows[i].body, AUTH_PASS, "", what);
        }
}

/* ---- each rule ---- */

/* replaced - the text with its first `from` replaced. */
static struct str replaced(struct str text, const char *from, const char *to)
{
    for (size_t i = 0; i + strlen(from) <= text.n; i++)
        if (memcmp(text.p + i, from, strlen(from)) == 0)
            return arena_printf(a, "%.*s%s%.*s", (int)i, text.p, to, (int)(text.n - i - strlen(from)),
                                text.p + i + strlen(from));
    bail("\"%s\" is not in the signature", from);
}

static void test_signatures(void)
{
    static const struct {
        const char *from, *to; /* in the signature */
        enum auth_result want;
        const char *problem, *what;
    } rows[] = {
        {"v=1", "v=2", AUTH_PERMERROR, "v= is not 1", "another version"},
        {"v=1;", "", AUTH_PERMERROR, "v= is not 1", "no version"},
        {"a=rsa-sha256", "a=rsa-md5", AUTH_PERMERROR, "a= is not known", "another algorithm"},
        {"a=rsa-sha256", "a=RSA-SHA256", AUTH_FAIL, "the signature does not fit the header",
         "capitals change the hash"},
        {"d=a.test", "d=a.test(.attacker.test", AUTH_PERMERROR, "d= is no domain", "a comment in d="},
        {"d=a.test", "d=", AUTH_PERMERROR, "d= is no domain", "an empty d="},
        {"d=a.test", "d=test", AUTH_PERMERROR, "d= is no domain", "a single label"},
        {"d=a.test", "d=a.test.", AUTH_PERMERROR, "d= is no domain", "a dot at the end"},
        {"d=a.test", "d=a..test", AUTH_PERMERROR, "d= is no domain", "an empty label"},
        {"d=a.test", "d=*.test", AUTH_PERMERROR, "d= is no domain", "a wildcard"},
        {"d=a.test", "d=a.test; d=b.test", AUTH_PERMERROR, "the signature is malformed", "d= twice"},
        {"s=s;", "s=;", AUTH_PERMERROR, "s= is no selector", "an empty selector"},
        {"s=s;", "s=s/../x;", AUTH_PERMERROR, "s= is no selector", "a path"},
        {"c=relaxed/relaxed", "c=nofws", AUTH_PERMERROR, "c= is not known", "another canonicalisation"},
        {"h=From", "h=Fr om", AUTH_PERMERROR, "h= is malformed", "a blank in h="},
        {"h=From", "h=Xrom", AUTH_PERMERROR, "From is not signed", "From is not signed"},
        {"bh=", "bh=AAAA; x-bh=", AUTH_PERMERROR, "the signature is malformed", "bh= and a strange tag name"},
        {"bh=", "bh=AAAA; xbh=", AUTH_PERMERROR, "bh= has the wrong length", "a short bh="},
        {"bh=", "xbh=", AUTH_PERMERROR, "bh= is missing", "no bh="},
        {"b=", "b=QUJD; xb=", AUTH_PERMERROR, "b= has the wrong length", "a short b="},
        {"\tb=", "\tb=; xb=", AUTH_PERMERROR, "b= has the wrong length", "an empty b="},
        {"\tb=", "\tb=!; xb=", AUTH_PERMERROR, "b= is not base64", "b= is no base64"},
        {"v=1", "i=@b.test; v=1", AUTH_PERMERROR, "i= is not of the domain", "i= of another domain"},
        {"v=1", "i=@xa.test; v=1", AUTH_PERMERROR, "i= is not of the domain", "i= of a longer domain"},
        {"v=1", "i=joe; v=1", AUTH_PERMERROR, "i= has no domain", "i= without domain"},
        {"v=1", "i=joe@x.a.test; v=1", AUTH_FAIL, "the signature does not fit the header",
         "i= below is fine, but was not signed"},
        {"v=1", "l=-1; v=1", AUTH_PERMERROR, "l= is no number", "l= negative"},
        {"v=1", "l=99999999999999999999999999; v=1", AUTH_PERMERROR, "l= is no number", "l= endless"},
        {"v=1", "q=http; v=1", AUTH_PERMERROR, "q= is not known", "another query"},
        {"v=1", "x=1; v=1", AUTH_PERMERROR, "x= is before t=", "x= before t="},
        {"v=1", "x=a; v=1", AUTH_PERMERROR, "t= or x= is no number", "x= no number"},
        {"v=1", ";v=1", AUTH_PERMERROR, "the signature is malformed", "an empty tag"},
        {"v=1", "\x01; v=1", AUTH_PERMERROR, "the signature is malformed", "a control byte"},
        {"v=1", "n=\xff; v=1", AUTH_NEUTRAL, "a signature in 8-bit bytes is not tried", "8-bit bytes"},
    };
    struct maker m = {.domain = "a.test", .selector = "s", .pem = rsa};
    struct headers signed_ = message(plain);
    struct str good = maker_sign(a, &m, &signed_, BODY);

    zone(key_line("s._domainkey.a.test", record_rsa));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct headers h = message(plain);
        struct str text = good;

        if (strncmp(rows[i].from, "h=From", 6) == 0) {
            size_t k = 0;

            while (!str_starts(str_slice(text, k, text.n), STR("h=")))
                k++;
            while (!str_starts_nocase(str_slice(text, k, text.n), STR("From")))
                k++;
            text = arena_printf(a, "%.*s%s%.*s", (int)k, text.p, rows[i].to + 2, (int)(text.n - k - 4), text.p + k + 4);
        } else {
            text = replaced(text, rows[i].from, rows[i].to);
        }
        put_first(&h, STR("DKIM-Signature"), text);
        one_result(&h, BODY, rows[i].want, rows[i].problem, rows[i].what);
    }
    {
        struct headers h = message(plain);
        struct str with_nul = str_dup(a, good);

        ((char *)with_nul.p)[6] = '\0';
        put_first(&h, STR("DKIM-Signature"), with_nul);
        one_result(&h, BODY, AUTH_PERMERROR, "the signature is malformed", "a NUL byte");
    }
}

/* U-labels: the key is asked for by A-labels. */
static void test_ulabels(void)
{
    struct maker m = {.domain = "a.test", .selector = "s", .pem = rsa};
    struct headers h = message(plain);
    struct auth_results r;

    put_first(&h, STR("DKIM-Signature"), replaced(maker_sign(a, &m, &h, BODY), "d=a.test", "d=b\xc3\xbc" "cher.test"));
    zone(STR("x TXT x\n"));
    r = verify(&h, BODY, 8);
    is_str(r.dkim[0].domain, STR("xn--bcher-kva.test"), "U-labels: the domain in A-labels");
    is_str(str_of(auth_words[r.dkim[0].result]), STR("neutral"), "U-labels: the library cannot read them");
    is_str(dkim_ascii(a, STR("B\xc3\x9c" "CHER.Test.")), STR("xn--bcher-kva.test"), "dkim_ascii: in capitals");
    is_str(dkim_ascii(a, STR("\xff.test")), STR(""), "dkim_ascii: no UTF-8");
    is_str(dkim_ascii(a, STR("")), STR(""), "dkim_ascii: nothing");
}

static void test_policy(void)
{
    struct str weak = maker_rsa(a, 512), weak_record = record_of("rsa", maker_public(a, weak));
    struct str strong = maker_rsa(a, 4096), strong_record = record_of("rsa", maker_public(a, strong));
    struct {
        struct maker m;
        struct str body; /* as delivered; empty: as signed */
        enum auth_result want;
        const char *problem, *what;
    } rows[] = {
        {{.selector = "s", .pem = rsa}, {NULL, 0}, AUTH_PASS, "", "rsa-sha256"},
        {{.selector = "big", .pem = strong}, {NULL, 0}, AUTH_PASS, "", "4096 bits"},
        {{.selector = "s", .pem = rsa, .algorithm = "rsa-sha1"}, {NULL, 0}, AUTH_POLICY, "rsa-sha1 proves nothing",
         "rsa-sha1"},
        {{.selector = "s", .pem = rsa, .algorithm = "rsa-sha1"}, STR("x\r\n"), AUTH_FAIL, "the body was changed",
         "rsa-sha1, changed"},
        {{.selector = "weak", .pem = weak}, {NULL, 0}, AUTH_POLICY, "the key has 512 bits only", "512 bits"},
        {{.selector = "weak", .pem = weak}, STR("x\r\n"), AUTH_FAIL, "the body was changed", "512 bits, changed"},
        {{.selector = "s", .pem = rsa}, STR("x\r\n"), AUTH_FAIL, "the body was changed", "another body"},
        {{.selector = "s", .pem = rsa, .simple_body = true}, STR("Hello,\r\n\r\nthis is a text. \r\n\r\n"), AUTH_FAIL,
         "the body was changed", "a blank less, simple"},
        {{.selector = "s", .pem = rsa}, STR("Hello,\r\n\r\nthis is a text. \r\n\r\n\r\n"), AUTH_PASS, "",
         "a blank less, relaxed"},
        {{.selector = "s", .pem = rsa, .length = 10}, {NULL, 0}, AUTH_POLICY, "a part of the body is not signed",
         "l= of less"},
        {{.selector = "s", .pem = rsa, .length = 100000}, {NULL, 0}, AUTH_PASS, "", "l= of the whole"},
        {{.selector = "s", .pem = rsa, .length = 100000}, STR("Hello,\r\n\r\nthis is  a text. \r\n\r\nand more\r\n"),
         AUTH_POLICY,
         "a part of the body is not signed", "text behind l="},
        {{.selector = "s", .pem = rsa, .length = 100000}, STR("Hello\r\n"), AUTH_FAIL, "the body is shorter than l=",
         "less than l="},
        {{.selector = "s", .pem = rsa, .ttl = 3600}, {NULL, 0}, AUTH_PASS, "", "x= to come"},
        {{.selector = "s", .pem = rsa, .at = 1000000000, .ttl = 3600}, {NULL, 0}, AUTH_FAIL,
         "the signature has expired", "x= gone by"},
        {{.selector = "s", .pem = rsa, .at = -1}, {NULL, 0}, AUTH_FAIL, "the signature is of the future",
         "t= tomorrow"},
        {{.selector = "s", .pem = rsa, .at = -2}, {NULL, 0}, AUTH_PASS, "", "t= in a minute"},
        {{.selector = "e", .pem = ed, .algorithm = "ed25519-sha256"}, {NULL, 0}, AUTH_PASS, "", "ed25519-sha256"},
        {{.selector = "e", .pem = ed, .algorithm = "ed25519-sha256"}, STR("x\r\n"), AUTH_FAIL, "the body was changed",
         "ed25519, changed"},
        {{.selector = "e", .pem = rsa}, {NULL, 0}, AUTH_PERMERROR, "the key is for another algorithm",
         "an rsa signature, an ed25519 key"},
        {{.selector = "s", .pem = ed, .algorithm = "ed25519-sha256"}, {NULL, 0}, AUTH_PERMERROR,
         "the key is for another algorithm",
         "an ed25519 signature, an rsa key"},
        {{.selector = "weak", .pem = rsa}, {NULL, 0}, AUTH_FAIL, "the signature does not fit the header",
         "by another key"},
    };

    zone(arena_printf(a, STR_FMT STR_FMT STR_FMT STR_FMT, STR_ARG(key_line("s._domainkey.a.test", record_rsa)),
                      STR_ARG(key_line("e._domainkey.a.test", record_ed)),
                      STR_ARG(key_line("weak._domainkey.a.test", weak_record)),
                      STR_ARG(key_line("big._domainkey.a.test", strong_record))));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct headers h = message(plain);
        struct maker m = rows[i].m;
        struct auth_results r;

        m.domain = "a.test";
        if (m.at < 0)
            m.at = clock_wall_ms() / 1000 + (m.at == -1 ? 86400 : 60);
        put_first(&h, STR("DKIM-Signature"), maker_sign(a, &m, &h, BODY));
        one_result(&h, rows[i].body.n ? rows[i].body : BODY, rows[i].want, rows[i].problem, rows[i].what);
        r = verify(&h, rows[i].body.n ? rows[i].body : BODY, 8);
        is_str(r.dkim[0].domain, STR("a.test"), "%s: d=", rows[i].what);
        is_str(r.dkim[0].selector, str_of(m.selector), "%s: s=", rows[i].what);
        is_str(r.dkim[0].identity, STR("@a.test"), "%s: i=", rows[i].what);
        is_str(r.dkim[0].algorithm, str_of(m.algorithm ? m.algorithm : "rsa-sha256"), "%s: a=", rows[i].what);
        is_long((long long)r.dkim[0].b.n, 8, "%s: eight bytes of b=", rows[i].what);
        if (rows[i].want == AUTH_POLICY && strstr(rows[i].what, "l="))
            ok(r.dkim[0].partly, "%s: partly signed", rows[i].what);
    }
}

static void test_keys(void)
{
    struct str p = maker_public(a, rsa);
    struct {
        struct str zone;
        enum auth_result want;
        const char *problem, *what;
    } rows[] = {
        {STR("s._domainkey.a.test NXDOMAIN\n"), AUTH_PERMERROR, "there is no key", "NXDOMAIN"},
        {STR("s._domainkey.a.test A 192.0.2.1\n"), AUTH_PERMERROR, "there is no key", "no TXT"},
        {STR("s._domainkey.a.test TXT SERVFAIL\n"), AUTH_TEMPERROR, "the key cannot be asked for: servfail",
         "SERVFAIL"},
        {STR("s._domainkey.a.test TXT TIMEOUT\n"), AUTH_TEMPERROR, "the key cannot be asked for: timeout", "no answer"},
        {STR("s._domainkey.a.test TXT \"v=DKIM1; p=\"\n"), AUTH_PERMERROR, "the key is revoked", "p= is empty"},
        {STR("s._domainkey.a.test TXT \"v=DKIM1; k=rsa\"\n"), AUTH_PERMERROR, "the key record has no key",
         "p= is missing"},
        {STR("s._domainkey.a.test TXT \"\"\n"), AUTH_PERMERROR, "the key record is malformed", "an empty record"},
        {STR("s._domainkey.a.test TXT \"p=AAAA\"\n"), AUTH_PERMERROR, "the key cannot be read", "p= is no key"},
        {STR("s._domainkey.a.test TXT \"p=*\"\n"), AUTH_PERMERROR, "the key is not base64", "p= is no base64"},
        {STR("s._domainkey.a.test TXT \"v=spf1 -all\"\n"), AUTH_PERMERROR, "the key record is of another version",
         "another record"},
        {STR("s._domainkey.a.test TXT \"p=A\\000A\"\n"), AUTH_PERMERROR, "the key record is malformed", "a NUL byte"},
        {key_line("s._domainkey.a.test", arena_printf(a, "p=" STR_FMT, STR_ARG(p))), AUTH_PASS, "", "p= alone"},
        {key_line("s._domainkey.a.test", arena_printf(a, "v=DKIM2; p=" STR_FMT, STR_ARG(p))), AUTH_PERMERROR,
         "the key record is of another version", "another version"},
        {key_line("s._domainkey.a.test", arena_printf(a, "p=" STR_FMT "; v=DKIM1", STR_ARG(p))), AUTH_PERMERROR,
         "the key record is of another version", "the version behind"},
        {key_line("s._domainkey.a.test", arena_printf(a, "k=dsa; p=" STR_FMT, STR_ARG(p))), AUTH_PERMERROR,
         "the key is for another algorithm", "k= unknown"},
        {key_line("s._domainkey.a.test", arena_printf(a, "h=sha1; p=" STR_FMT, STR_ARG(p))), AUTH_PERMERROR,
         "the key is for another hash", "h=sha1"},
        {key_line("s._domainkey.a.test", arena_printf(a, "h=sha1:sha256; p=" STR_FMT, STR_ARG(p))), AUTH_PASS, "",
         "h= with sha256"},
        {key_line("s._domainkey.a.test", arena_printf(a, "s=tlsrpt; p=" STR_FMT, STR_ARG(p))), AUTH_PERMERROR,
         "the key is not for mail", "s=tlsrpt"},
        {key_line("s._domainkey.a.test", arena_printf(a, "s=x:email; p=" STR_FMT, STR_ARG(p))), AUTH_PASS, "",
         "s=email"},
        {key_line("s._domainkey.a.test", arena_printf(a, "t=s; n=a b; p=" STR_FMT ";", STR_ARG(p))), AUTH_PASS, "",
         "t=s"},
        {arena_printf(a, STR_FMT STR_FMT, STR_ARG(key_line("s._domainkey.a.test", record_rsa)),
                      STR_ARG(key_line("s._domainkey.a.test", STR("other")))), AUTH_PASS, "", "another record beside"},
        {arena_printf(a, STR_FMT STR_FMT, STR_ARG(key_line("s._domainkey.a.test", record_rsa)),
                      STR_ARG(key_line("s._domainkey.a.test", record_of("rsa", STR("x"))))), AUTH_PERMERROR,
         "there are several key records", "two keys"},
        {key_line("s._domainkey.a.test", record_of("rsa", maker_huge_public(a, 16384))), AUTH_POLICY,
         "the key is too long",
         "16384 bits"},
        {key_line("s._domainkey.a.test", record_of("rsa", maker_huge_public(a, 8200))), AUTH_POLICY,
         "the key is too long",
         "8200 bits"},
        {key_line("s._domainkey.a.test", record_of("rsa", maker_huge_public(a, 4097))), AUTH_POLICY,
         "the key is too long",
         "4097 bits"},
    };
    struct maker m = {.domain = "a.test", .selector = "s", .pem = rsa};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct headers h = message(plain);

        zone(rows[i].zone);
        put_first(&h, STR("DKIM-Signature"), maker_sign(a, &m, &h, BODY));
        one_result(&h, BODY, rows[i].want, rows[i].problem, rows[i].what);
    }
    {
        struct headers h = message(plain);
        struct auth_results r;

        zone(key_line("s._domainkey.a.test", arena_printf(a, "t=y:s; p=" STR_FMT, STR_ARG(p))));
        put_first(&h, STR("DKIM-Signature"), maker_sign(a, &m, &h, BODY));
        r = verify(&h, BODY, 8);
        ok(r.dkim_count == 1 && r.dkim[0].result == AUTH_PASS && r.dkim[0].testing, "t=y: it passes, as a test");
    }
    {
        struct headers h = message(plain);
        char *large = arena_alloc(a, 60000);

        memset(large, 'A', 60000);
        memcpy(large, "p=", 2);
        zone(key_line("s._domainkey.a.test", (struct str){large, 60000}));
        put_first(&h, STR("DKIM-Signature"), maker_sign(a, &m, &h, BODY));
        one_result(&h, BODY, AUTH_PERMERROR, "the key record is malformed", "a record of 60 KB");
    }
}

/* ---- several ---- */

static void test_several(void)
{
    struct maker m = {.domain = "a.test", .selector = "s", .pem = rsa};
    struct headers h = message(plain);
    struct auth_results r;
    static const char *const want[] = {"pass", "permerror", "temperror", "fail", "pass", "permerror", "policy"};
    struct str sig = maker_sign(a, &m, &h, BODY);

    m.selector = "slow";
    put_first(&h, STR("DKIM-Signature"), sig);           /* 6: too many */
    put_first(&h, STR("DKIM-Signature"), STR(" v=1"));   /* 5 */
    put_first(&h, STR("DKIM-Signature"), sig);           /* 4 */
    put_first(&h, STR("DKIM-Signature"), replaced(sig, "t=1", "t=0")); /* 3 */
    put_first(&h, STR("DKIM-Signature"), replaced(sig, "s=s;", "s=slow;"));
    put_first(&h, STR("dkim-signature"), replaced(sig, "s=s;", "s=none;"));
    put_first(&h, STR("DKIM-Signature"), sig);
    zone(arena_printf(a, STR_FMT "none._domainkey.a.test NXDOMAIN\nslow._domainkey.a.test TXT SERVFAIL\n",
                      STR_ARG(key_line("s._domainkey.a.test", record_rsa))));
    r = verify(&h, BODY, 6);
    if (is_long((long long)r.dkim_count, 7, "seven signatures: seven results"))
        for (size_t i = 0; i < 7; i++)
            is_str(str_of(auth_words[r.dkim[i].result]), str_of(want[i]), "seven signatures: number %zu", i + 1);
    r = verify(&h, BODY, 1);
    if (is_long((long long)r.dkim_count, 2, "at most one: two results"))
        is_str(r.dkim[1].problem, STR("6 more signatures are too many"), "at most one: the others are told");
}

static void test_from(void)
{
    static const char *const over[] = {"From", NULL};
    struct maker m = {.domain = "a.test", .selector = "s", .pem = rsa};
    struct headers h = message(plain);

    zone(key_line("s._domainkey.a.test", record_rsa));
    put_first(&h, STR("DKIM-Signature"), maker_sign(a, &m, &h, BODY));
    put_first(&h, STR("From"), STR(" boss@bank.test"));
    one_result(&h, BODY, AUTH_POLICY, "not every From is signed", "another From on top");
    h = message(plain);
    m.oversign = over;
    put_first(&h, STR("DKIM-Signature"), maker_sign(a, &m, &h, BODY));
    put_first(&h, STR("From"), STR(" boss@bank.test"));
    one_result(&h, BODY, AUTH_FAIL, "the signature does not fit the header", "another From on top, oversigned");
    h = message(plain);
    m.oversign = NULL;
    {
        struct str sig = maker_sign(a, &m, &h, BODY);
        static const char *const without[] = {"To: me@here.test", NULL}, *const broken[] = {"From: nobody", NULL};

        h = message(without);
        put_first(&h, STR("DKIM-Signature"), sig);
        one_result(&h, BODY, AUTH_FAIL, "the signature does not fit the header", "no From at all");
        h = message(broken);
        put_first(&h, STR("DKIM-Signature"), sig);
        one_result(&h, BODY, AUTH_FAIL, "the signature does not fit the header", "a From that is none");
        h = message(broken);
        put_first(&h, STR("DKIM-Signature"), maker_sign(a, &(struct maker){.domain = "a.test", .selector = "s",
                                                                           .pem = rsa}, &h, BODY));
        one_result(&h, BODY, AUTH_PASS, "", "a From that is none, signed");
    }
}

static void test_flood(void)
{
    struct maker m = {.domain = "a.test", .selector = "s", .pem = rsa};
    struct headers h = message(plain);
    struct str sig = maker_sign(a, &m, &h, BODY);
    struct auth_results r;
    struct buf names = buf_in(a);
    long long began;

    zone(key_line("s._domainkey.a.test", record_rsa));
    for (int i = 0; i < 10000; i++)
        put_first(&h, STR("DKIM-Signature"), sig);
    began = tap_cpu_ms();
    r = verify(&h, BODY, 8);
    is_long((long long)r.dkim_count, 9, "10000 signatures: nine results");
    is_str(r.dkim[8].problem, STR("9992 more signatures are too many"), "10000 signatures: the rest is told");
    ok(r.dkim[0].result == AUTH_PASS && r.dkim[7].result == AUTH_PASS, "10000 signatures: eight pass");
    ok(tap_cpu_ms() - began < 1000, "10000 signatures: less than a second: %lld ms", tap_cpu_ms() - began);
    h = message(plain);
    for (int i = 0; i < 100000; i++)
        header_add(a, &h, STR("a"), STR(""));
    buf_add(&names, STR("h=from"));
    for (int i = 0; i < 1500; i++)
        buf_add(&names, STR(":a"));
    put_first(&h, STR("DKIM-Signature"), replaced(replaced(sig, "\th=", "\txh="), "v=1", arena_printf(a,
        "v=1; " STR_FMT, STR_ARG(buf_str(&names))).p));
    began = tap_cpu_ms();
    one_result(&h, BODY, AUTH_POLICY, "the list of signed fields is too long for so long a header",
               "1500 names, 100000 fields");
    ok(tap_cpu_ms() - began < 1000, "1500 names, 100000 fields: less than a second");
}

int main(void)
{
    a = arena_new(0);
    rsa = maker_rsa(a, 2048);
    ed = maker_ed25519(a);
    record_rsa = record_of("rsa", maker_public(a, rsa));
    record_ed = record_of("ed25519", maker_public(a, ed));
    test_canonicalisation();
    test_signatures();
    test_ulabels();
    test_policy();
    test_keys();
    test_several();
    test_from();
    test_flood();
    dns_script_end();
    arena_free(&a);
    return tap_end();
}
