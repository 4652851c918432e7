/* arc.c - tests of ARC: chains that a signer of this test makes, what spoils them, and the word of another
 * implementation. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../milter/auth/arc.h"
#include "../../milter/auth/arc_tags.h"
#include "../../milter/base/clock.h"
#include "../lib/tap.h"

static struct arena *a;

/* ---- the signer ---- */

struct field {
    struct str name, value;
};

struct mail {
    struct field fields[400]; /* from the bottom of the header upwards */
    size_t count;
    struct str body;
};

static EVP_PKEY *rsa, *ed25519, *short_rsa;

static void add(struct mail *m, const char *name, struct str value)
{
    m->fields[m->count++] = (struct field){str_of(name), str_dup(a, value)};
}

/* canonical - RFC 6376, 3.4.2, once more and in another way. */
static void canonical(struct buf *b, struct str name, struct str value, const char *end)
{
    struct str word, rest = str_dup(a, value);
    const char *gap = "";

    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] == '\r' || rest.p[i] == '\n')
            ((char *)rest.p)[i] = ' ';
    buf_add(b, str_lower(a, name));
    buf_addc(b, ':');
    while (str_token(&rest, &word)) {
        buf_addf(b, "%s" STR_FMT, gap, STR_ARG(word));
        gap = " ";
    }
    buf_add(b, str_of(end));
}

static struct str base64(const unsigned char *p, size_t n)
{
    unsigned char *out = arena_alloc(a, 4 * (n / 3 + 1) + 1);

    return (struct str){(char *)out, (size_t)EVP_EncodeBlock(out, p, (int)n)};
}

static void sha256(struct str s, unsigned char digest[32])
{
    EVP_Digest(s.p, s.n, digest, NULL, EVP_sha256(), NULL);
}

static struct str signature(EVP_PKEY *key, struct str text)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char out[2048], digest[32];
    size_t n = sizeof out;
    bool plain = EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519;

    sha256(text, digest);
    if (EVP_DigestSignInit(ctx, NULL, plain ? EVP_sha256() : NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, out, &n, plain ? (const unsigned char *)text.p : digest, plain ? text.n : sizeof digest) !=
            1)
        bail("OpenSSL does not sign");
    EVP_MD_CTX_free(ctx);
    return base64(out, n);
}

static const struct field *newest(const struct mail *m, const char *name)
{
    for (size_t i = m->count; i-- > 0;)
        if (str_is_nocase(m->fields[i].name, str_of(name)))
            return &m->fields[i];
    return NULL;
}

struct seal {
    EVP_PKEY *key;
    const char *algorithm, *domain, *cv, *canon, *more, *results;
};

static const struct seal usual = {
    NULL, "rsa-sha256", "sealer.test", NULL, "relaxed/relaxed", "", "dmarc=pass header.from=a.test"};

static void sign_message(struct mail *m, int i, const struct seal *s, EVP_PKEY *key)
{
    static const char *const names[] = {"From", "Subject"};
    unsigned char digest[32];
    struct buf b = buf_in(a);
    struct str value;

    sha256(m->body, digest);
    value =
        arena_printf(a, "i=%d; a=%s; c=%s; d=%s; s=k; t=1767600000;\r\n\th=From : Subject;%s bh=" STR_FMT ";\r\n b=", i,
                     s->algorithm, s->canon, s->domain, s->more, STR_ARG(base64(digest, 32)));
    for (size_t k = 0; k < 2; k++) {
        const struct field *f = newest(m, names[k]);

        if (strncmp(s->canon, "simple", 6) == 0)
            buf_addf(&b, STR_FMT ": " STR_FMT "\r\n", STR_ARG(f->name), STR_ARG(f->value));
        else
            canonical(&b, f->name, f->value, "\r\n");
    }
    if (strncmp(s->canon, "simple", 6) == 0)
        buf_addf(&b, "ARC-Message-Signature: " STR_FMT, STR_ARG(value));
    else
        canonical(&b, STR("ARC-Message-Signature"), value, "");
    add(m, "ARC-Message-Signature",
        arena_printf(a, STR_FMT STR_FMT, STR_ARG(value), STR_ARG(signature(key, buf_str(&b)))));
}

/* seal - one more set. */
static void seal(struct mail *m, const struct seal *s)
{
    EVP_PKEY *key = s->key ? s->key : rsa;
    struct buf b = buf_in(a);
    struct str value;
    int i = 1;

    for (size_t k = 0; k < m->count; k++)
        i += str_is(m->fields[k].name, STR("ARC-Seal"));
    add(m, "ARC-Authentication-Results", arena_printf(a, "i=%d; %s; %s", i, s->domain, s->results));
    sign_message(m, i, s, key);
    for (size_t k = 0; k < m->count; k++)
        if (str_starts(m->fields[k].name, STR("ARC-")))
            canonical(&b, m->fields[k].name, m->fields[k].value, "\r\n");
    value = arena_printf(a, "i=%d; a=%s; cv=%s; d=%s; s=k; t=1767600000; b=", i, s->algorithm,
                         s->cv ? s->cv : i == 1 ? "none" : "pass", s->domain);
    canonical(&b, STR("ARC-Seal"), value, "");
    add(m, "ARC-Seal", arena_printf(a, STR_FMT STR_FMT, STR_ARG(value), STR_ARG(signature(key, buf_str(&b)))));
}

static struct mail *plain_mail(void)
{
    struct mail *m = arena_zalloc(a, sizeof *m);

    add(m, "Subject", STR("hello  world"));
    add(m, "From", STR("Joe <joe@a.test>"));
    m->body = STR("one\r\ntwo\r\n");
    return m;
}

static struct mail *chain(int sets)
{
    struct mail *m = plain_mail();

    while (sets-- > 0)
        seal(m, &usual);
    return m;
}

/* ---- checking ---- */

static struct arc *last_arc;

static enum auth_result checked(const struct mail *m)
{
    struct headers h = {0};

    for (size_t i = m->count; i-- > 0;)
        header_add(a, &h, m->fields[i].name, m->fields[i].value);
    last_arc = arc_begin(a, NULL, &h);
    return last_arc ? arc_finish(last_arc, &h, m->body, clock_ms() + 5000) : AUTH_NONE;
}

static void is_result(const struct mail *m, enum auth_result want, const char *what)
{
    enum auth_result got = checked(m);

    ok(got == want, "%s: %s%s%s", what, auth_words[got], last_arc && *arc_problem(last_arc) ? ", " : "",
       last_arc ? arc_problem(last_arc) : "");
}

static void test_good(void)
{
    static const struct str trusted[] = {STR("other.test"), STR("SEALER.test")};
    struct seal s = usual;
    struct mail *m;

    is_result(plain_mail(), AUTH_NONE, "no chain");
    is_result(chain(1), AUTH_PASS, "one set");
    is_str(arc_sealer(last_arc, 1), STR("sealer.test"), "its sealer");
    ok(arc_vouches(last_arc, trusted, 2, STR("a.test")), "a trusted sealer vouches");
    ok(!arc_vouches(last_arc, trusted, 1, STR("a.test")), "another one does not");
    ok(!arc_vouches(last_arc, trusted, 2, STR("b.test")), "nor for another author");
    is_result(chain(3), AUTH_PASS, "three sets");
    is_long(arc_count(last_arc), 3, "are three");
    is_result(chain(50), AUTH_PASS, "fifty sets");
    is_result(chain(51), AUTH_FAIL, "fifty-one sets");
    m = chain(1);
    s.domain = "stranger.test";
    seal(m, &s);
    is_result(m, AUTH_PASS, "a second sealer");
    ok(!arc_vouches(last_arc, trusted, 2, STR("a.test")), "whom nobody trusts");
    s = usual;
    s.results = "dmarc=fail header.from=a.test";
    m = plain_mail();
    seal(m, &s);
    is_result(m, AUTH_PASS, "a chain that began with dmarc=fail");
    ok(!arc_vouches(last_arc, trusted, 2, STR("a.test")), "vouches for nothing");
    s = usual;
    s.key = ed25519;
    s.algorithm = "ed25519-sha256";
    s.domain = "ed.test";
    m = chain(1);
    seal(m, &s);
    is_result(m, AUTH_PASS, "Ed25519");
    s = usual;
    s.canon = "simple/simple";
    m = plain_mail();
    seal(m, &s);
    is_result(m, AUTH_PASS, "simple canonicalisation");
    m->fields[0].value = STR("hello world");
    is_result(m, AUTH_FAIL, "under which a blank counts");
    m = chain(1);
    m->fields[0].value = STR(" hello \r\n\tworld ");
    m->body = STR("one \r\ntwo\t\r\n\r\n \r\n");
    is_result(m, AUTH_PASS, "under relaxed it does not");
    m->body = STR("one\r\n two\r\n");
    is_result(m, AUTH_FAIL, "but a new one does");
}

/* changed - the chain with the first `from` in the named field, counted from the bottom, replaced. */
static struct mail *changed(struct mail *m, const char *name, int nth, const char *from, const char *to)
{
    for (size_t i = 0; i < m->count; i++) {
        struct field *f = &m->fields[i];
        const char *at;

        if (!str_is(f->name, str_of(name)) || nth-- > 0)
            continue;
        at = memmem(f->value.p, f->value.n, from, strlen(from));
        if (!at)
            bail("no %s in %s", from, name);
        f->value = arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(str_slice(f->value, 0, (size_t)(at - f->value.p))), to,
                                STR_ARG(str_slice(f->value, (size_t)(at - f->value.p) + strlen(from), f->value.n)));
        return m;
    }
    bail("no %s", name);
}

static struct mail *without(struct mail *m, const char *name, int nth)
{
    for (size_t i = 0; i < m->count; i++)
        if (str_is(m->fields[i].name, str_of(name)) && nth-- == 0) {
            memmove(&m->fields[i], &m->fields[i + 1], (m->count - i - 1) * sizeof m->fields[0]);
            m->count--;
            return m;
        }
    bail("no %s", name);
}

static void test_spoilt(void)
{
    static const struct {
        const char *name;
        int nth;
        const char *from, *to;
    } rows[] = {
        {"Subject", 0, "hello", "hallo"},
        {"From", 0, "joe", "jim"},
        {"ARC-Seal", 0, "cv=none", "cv=pass"},
        {"ARC-Seal", 0, "cv=none", "cv=fail"},
        {"ARC-Seal", 1, "cv=pass", "cv=none"},
        {"ARC-Seal", 2, "cv=pass", "cv=fail"},
        {"ARC-Seal", 2, "cv=pass;", ""},
        {"ARC-Seal", 1, "t=17", "t=18"},
        {"ARC-Seal", 1, " t=", " h=from; t="},
        {"ARC-Seal", 0, "i=1", "i=4"},
        {"ARC-Seal", 0, "i=1", "i=0"},
        {"ARC-Seal", 0, "i=1", "i=-1"},
        {"ARC-Seal", 0, "i=1", "i=51"},
        {"ARC-Seal", 0, "i=1", "i=1x"},
        {"ARC-Seal", 0, "i=1", "i=1; i=1"},
        {"ARC-Seal", 0, "i=1;", ""},
        {"ARC-Seal", 0, "d=sealer.test", "d=ed.test"},
        {"ARC-Seal", 0, "d=sealer.test", "d="},
        {"ARC-Seal", 0, "d=sealer.test", "d=bad domain"},
        {"ARC-Seal", 0, "rsa-sha256", "rsa-sha1"},
        {"ARC-Seal", 0, "b=", "b=AAAA"},
        {"ARC-Seal", 2, "b=", "x="},
        {"ARC-Authentication-Results", 0, "dmarc=pass", "dmarc=fail"},
        {"ARC-Authentication-Results", 1, "i=2;", "j=2;"},
        {"ARC-Authentication-Results", 2, "i=3", "i=2"},
        {"ARC-Message-Signature", 2, "bh=", "bh=AAAA"},
        {"ARC-Message-Signature", 2, "From : Subject", "From"},
        {"ARC-Message-Signature", 2, "From : Subject", "Subject"},
        {"ARC-Message-Signature", 2, "From : Subject", "From : Subject : ARC-Seal"},
        {"ARC-Message-Signature", 2, "c=relaxed/relaxed", "c=strange"},
        {"ARC-Message-Signature", 2, "d=sealer.test", "d=nokey.test"},
        {"ARC-Message-Signature", 0, "t=17", "t=18"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        is_result(
            changed(chain(3), rows[i].name, rows[i].nth, rows[i].from, rows[i].to), AUTH_FAIL,
            str_c(a, arena_printf(a, "%s %d: %s for %s", rows[i].name, rows[i].nth + 1, rows[i].to, rows[i].from)));
    is_result(without(chain(3), "ARC-Seal", 0), AUTH_FAIL, "without the first seal");
    is_result(without(chain(3), "ARC-Message-Signature", 1), AUTH_FAIL, "without the second signature");
    is_result(without(chain(3), "ARC-Authentication-Results", 2), AUTH_FAIL, "without the last results");
    {
        struct mail *m = chain(2);

        add(m, "ARC-Seal", newest(m, "ARC-Seal")->value);
        is_result(m, AUTH_FAIL, "a seal twice");
        m = chain(2);
        add(m, "From", STR("x@b.test"));
        is_result(m, AUTH_PASS, "another From above the signed one, which is DMARC's business");
        m = plain_mail();
        for (int i = 0; i < 300; i++)
            add(m, "ARC-Seal", STR("i=1"));
        is_result(m, AUTH_FAIL, "300 seals");
        m = plain_mail();
        {
            char *large = arena_alloc(a, ARC_BYTES_MOST + 1);

            memset(large, 'x', ARC_BYTES_MOST + 1);
            add(m, "ARC-Seal", (struct str){large, ARC_BYTES_MOST + 1});
        }
        is_result(m, AUTH_FAIL, "a huge one");
    }
}

static void test_signature_options(void)
{
    static const struct {
        const char *more, *domain;
        enum auth_result want;
    } rows[] = {
        {" x=1999999999;", "sealer.test", AUTH_PASS}, {" x=1700000000;", "sealer.test", AUTH_FAIL},
        {" l=3;", "sealer.test", AUTH_FAIL},          {"", "slow.test", AUTH_TEMPERROR},
        {"", "broken.test", AUTH_TEMPERROR},          {"", "revoked.test", AUTH_FAIL},
        {"", "sha1.test", AUTH_FAIL},                 {"", "tls.test", AUTH_FAIL},
        {"", "version.test", AUTH_FAIL},              {"", "two.test", AUTH_PASS},
        {"", "plain.test", AUTH_PASS},                {"", "garbage.test", AUTH_FAIL},
        {"", "gone.test", AUTH_FAIL},
    };
    struct seal s = usual;
    struct mail *m;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        s.more = rows[i].more;
        s.domain = rows[i].domain;
        m = plain_mail();
        seal(m, &s);
        is_result(m, rows[i].want, str_c(a, arena_printf(a, "%s%s", s.domain, s.more)));
    }
    s = usual;
    s.domain = "short.test";
    s.key = short_rsa;
    m = plain_mail();
    seal(m, &s);
    is_result(m, AUTH_FAIL, "a key of 512 bits");
}

static void test_tags(void)
{
    static const char *const good[] = {"a=1", "a=1;", " a = 1 ; b=2;\r\n c_9=x=y ", "a=", "a=1; "};
    static const char *const wrong[] = {"",   ";",     "a",    "a=1;;b=2", "a=1;b",
                                        "=1", "a b=1", "1a=1", "a=1;a=2",  "a=1; \xc3\xa4=2"};
    struct arc_tags tags;
    struct str bytes;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ok(arc_tags_read(str_of(good[i]), &tags), "a tag list: %s", good[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ok(!arc_tags_read(str_of(wrong[i]), &tags), "none: %s", wrong[i]);
    ok(arc_base64(a, STR("aGVs\r\n bG8="), &bytes), "base64 with folding");
    is_str(bytes, STR("hello"), "is read");
    ok(!arc_base64(a, STR("aGVsbG8"), &bytes) && !arc_base64(a, STR("a==="), &bytes) &&
           !arc_base64(a, STR("aGV*"), &bytes) && !arc_base64(a, STR(""), &bytes) &&
           !arc_base64(a, STR("===="), &bytes),
       "what is none is not");
}

/* ---- another implementation: dkimpy (python3-dkim) ---- */

static struct str pem_of(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct str text;
    char *p;
    long n;

    if (PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        bail("no PEM");
    n = BIO_get_mem_data(bio, &p);
    text = str_dup(a, (struct str){p, (size_t)n});
    BIO_free(bio);
    return text;
}

static struct str text_of(const struct mail *m)
{
    struct buf b = buf_in(a);

    for (size_t i = m->count; i-- > 0;)
        buf_addf(&b, STR_FMT ": " STR_FMT "\r\n", STR_ARG(m->fields[i].name), STR_ARG(m->fields[i].value));
    buf_addf(&b, "\r\n" STR_FMT, STR_ARG(m->body));
    return buf_str(&b);
}

static const char python[] =
    "import sys, dkim\n"
    "try:\n"
    "    import authres\n"
    "except ImportError:\n"
    "    sys.exit(3)\n"
    "what, record, pem = sys.argv[1:4]\n"
    "message = sys.stdin.buffer.read()\n"
    "if what == 'verify':\n"
    "    cv, results, reason = dkim.arc_verify(message, dnsfunc=lambda name, timeout=5: record.encode())\n"
    "    sys.stdout.write((cv or b'none').decode())\n"
    "else:\n"
    "    for line in dkim.arc_sign(message, b'k', b'sealer.test', pem.encode(), b'sealer.test',\n"
    "                              include_headers=[b'from', b'subject', b'list-id', b'x-odd']):\n"
    "        sys.stdout.write(line.decode().rstrip() + '\\r\\n')\n"
    "    sys.stdout.buffer.flush()\n";

/* run_python - its exit code; what it writes goes to *out. */
static int run_python(const char *what, struct str record, struct str pem, struct str in, struct str *out)
{
    int to[2], from[2], status;
    struct buf b = buf_in(a);
    char chunk[4096];
    ssize_t n;
    pid_t pid;

    if (pipe(to) != 0 || pipe(from) != 0)
        bail("no pipe");
    pid = fork();
    if (pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        execl("/usr/bin/python3", "python3", "-c", python, what, str_c(a, record), str_c(a, pem), (char *)NULL);
        _exit(3);
    }
    close(to[0]);
    close(from[1]);
    if (write(to[1], in.p, in.n) != (ssize_t)in.n) /* less than a pipe holds */
        diag("python did not take the message");
    close(to[1]);
    while ((n = read(from[0], chunk, sizeof chunk)) > 0)
        buf_add(&b, (struct str){chunk, (size_t)n});
    close(from[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        bail("no process");
    *out = buf_str(&b);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct str rsa_record;

static void test_dkimpy(void)
{
    struct str out, body, message;
    struct headers h;
    struct arc *arc;
    int status;

    signal(SIGPIPE, SIG_IGN);
    status = run_python("verify", rsa_record, pem_of(rsa), text_of(chain(3)), &out);
    if (status == 3) {
        diag("python3-dkim and python3-authres are not there: not compared with dkimpy");
        return;
    }
    ok(status == 0 && str_is(out, STR("pass")), "dkimpy takes a chain of this test: " STR_FMT, STR_ARG(out));
    status =
        run_python("verify", rsa_record, pem_of(rsa), text_of(changed(chain(3), "Subject", 0, "hello", "hallo")), &out);
    ok(status == 0 && str_is(out, STR("fail")), "and not a spoilt one: " STR_FMT, STR_ARG(out));
    message = STR("Authentication-Results: sealer.test; arc=none;\r\n  dmarc=pass header.from=a.test\r\n"
                  "From:  Joe\r\n\t<joe@a.test>  \r\nSubject: a  b\t c \r\nList-Id:<x>\r\nX-Odd:\r\nX-odd:  2\r\n"
                  "\r\n  one  \r\n\r\n\ttwo \t\r\nthree\r\n \r\n\r\n");
    status = run_python("sign", rsa_record, pem_of(rsa), message, &out);
    ok(status == 0 && out.n > 0, "dkimpy seals");
    out = arena_printf(a, STR_FMT STR_FMT, STR_ARG(out), STR_ARG(message));
    headers_split(a, out, &h, &body);
    arc = arc_begin(a, NULL, &h);
    ok(arc && arc_finish(arc, &h, body, clock_ms() + 5000) == AUTH_PASS, "and we find it good: %s",
       arc ? arc_problem(arc) : "no chain");
    headers_split(a, arena_printf(a, STR_FMT "x\r\n", STR_ARG(out)), &h, &body);
    arc = arc_begin(a, NULL, &h);
    ok(arc && arc_finish(arc, &h, body, clock_ms() + 5000) == AUTH_FAIL, "and with another body not");
}

/* ---- keys ---- */

static struct str spki(EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    struct str text;

    if (n <= 0)
        bail("no public key");
    text = base64(der, (size_t)n);
    OPENSSL_free(der);
    return text;
}

/* zone_line - a TXT record in strings of 200 bytes. */
static void zone_line(struct buf *b, const char *domain, struct str text)
{
    buf_addf(b, "k._domainkey.%s TXT", domain);
    for (size_t i = 0; i < text.n; i += 200)
        buf_addf(b, " \"" STR_FMT "\"", STR_ARG(str_slice(text, i, i + 200)));
    buf_addc(b, '\n');
}

static void publish(void)
{
    struct dns_settings settings = {.cache_entries = 1000};
    struct str p = spki(rsa), error, public25519;
    struct buf b = buf_in(a);
    unsigned char raw[32];
    size_t n = sizeof raw;

    if (EVP_PKEY_get_raw_public_key(ed25519, raw, &n) != 1)
        bail("no Ed25519");
    public25519 = base64(raw, n);
    rsa_record = arena_printf(a, "v=DKIM1; k=rsa; p=" STR_FMT, STR_ARG(p));
    zone_line(&b, "sealer.test", rsa_record);
    zone_line(&b, "stranger.test", rsa_record);
    zone_line(&b, "ed.test", arena_printf(a, "v=DKIM1; k=ed25519; p=" STR_FMT, STR_ARG(public25519)));
    zone_line(&b, "short.test", arena_printf(a, "p=" STR_FMT, STR_ARG(spki(short_rsa))));
    zone_line(&b, "revoked.test", STR("v=DKIM1; p="));
    zone_line(&b, "sha1.test", arena_printf(a, "h=sha1; p=" STR_FMT, STR_ARG(p)));
    zone_line(&b, "tls.test", arena_printf(a, "s=tlsrpt; p=" STR_FMT, STR_ARG(p)));
    zone_line(&b, "version.test", arena_printf(a, "v=DKIM2; p=" STR_FMT, STR_ARG(p)));
    zone_line(&b, "two.test", STR("some words"));
    zone_line(&b, "two.test", rsa_record);
    zone_line(&b, "plain.test", arena_printf(a, "h=sha1 : sha256; s=email:other; t=y; p=" STR_FMT, STR_ARG(p)));
    zone_line(&b, "garbage.test", STR("p=AAAABBBBCCCC"));
    buf_add(&b, STR("k._domainkey.slow.test TXT TIMEOUT\nk._domainkey.broken.test TXT SERVFAIL\n"));
    if (!dns_configure(&settings, &error, a) || !dns_script(STR("zone"), buf_str(&b), false, &error, a))
        bail(STR_FMT, STR_ARG(error));
}

int main(void)
{
    a = arena_new(0);
    clock_script_wall(1767607200000);
    rsa = EVP_RSA_gen(2048);
    short_rsa = EVP_RSA_gen(512);
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!rsa || !short_rsa || !ed25519)
        bail("OpenSSL makes no keys");
    publish();
    test_tags();
    test_good();
    test_spoilt();
    test_signature_options();
    test_dkimpy();
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(short_rsa);
    EVP_PKEY_free(ed25519);
    arena_free(&a);
    dns_script_end();
    return tap_end();
}
