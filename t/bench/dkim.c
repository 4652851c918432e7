/* dkim.c - how many messages a second are verified and signed, beside libopendkim alone.
 *
 *     dkim [SECONDS]     each measurement takes so long (0.3)
 *
 * Prints lines "name value": verify_per_s and bare_verify_per_s, sign_per_s and bare_sign_per_s for RSA of 2048 bits
 * and a body of 4 KB, relaxed/relaxed; verify_share and sign_share, the medians of the quotients of rounds that
 * alternate (0.85 is wanted of both); the same with "ed25519_" before; sign_leak_bytes, what a signature leaves
 * behind.
 */
#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include <dkim.h>

#include "../../milter/auth/dkim.h"
#include "../../milter/base/clock.h"
#include "../lib/dkim_maker.h"

#define ROUNDS 9
#define BODY_BYTES 4096

static double seconds = 0.3;
static struct arena *forever;
static struct headers plain, sealed; /* without and with a signature */
static struct str body, pem, record;
static const char *algorithm;
static DKIM_LIB *bare;
static struct dkim_domain domain;

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "dkim: %s\n", what);
        exit(1);
    }
}

/* ---- ours ---- */

static void verify_ours(void)
{
    struct arena *a = arena_new(8192);
    struct auth_results r = {.dkim_count = 0};

    dkim_evaluate(a, dkim_ask(a, NULL, &sealed, 8), &sealed, body, 1024, clock_ms() + 1000, &r);
    must(r.dkim_count == 1 && r.dkim[0].result == AUTH_PASS, "our verifying fails");
    arena_free(&a);
}

static void sign_ours(void)
{
    static const struct str oversign[] = {{"From", 4}, {"To", 2}, {"Subject", 7}, {"Date", 4}};
    struct dkim_signing how = {.domain = &domain, .algorithms = 3, .oversign = oversign, .oversign_count = 4,
                               .now_s = clock_wall_ms() / 1000};
    struct arena *a = arena_new(8192);
    struct str values[DKIM_ALGORITHMS];
    bool complete;

    must(dkim_make(a, &how, &plain, body, values, &complete) == 1 && complete, "our signing fails");
    arena_free(&a);
}

/* ---- the library alone ---- */

static DKIM_CBSTAT lookup(DKIM *d, DKIM_SIGINFO *sig, unsigned char *buf, size_t room)
{
    (void)d;
    (void)sig;
    snprintf((char *)buf, room, STR_FMT, STR_ARG(record));
    return DKIM_CBSTAT_CONTINUE;
}

static void give(DKIM *d, const struct headers *headers)
{
    char text[8192];

    for (const struct header *h = headers->first; h; h = h->next) {
        int n = snprintf(text, sizeof text, STR_FMT ":" STR_FMT, STR_ARG(h->name), STR_ARG(h->raw));

        dkim_header(d, (unsigned char *)text, (size_t)n);
    }
    must(dkim_eoh(d) == DKIM_STAT_OK && dkim_body(d, (unsigned char *)body.p, body.n) == DKIM_STAT_OK,
         "the library takes no message");
}

static void verify_bare(void)
{
    DKIM_STAT status;
    DKIM *d = dkim_verify(bare, (const unsigned char *)"b", NULL, &status);

    must(d, "the library gives no handle");
    give(d, &sealed);
    must(dkim_eom(d, NULL) == DKIM_STAT_OK, "the library does not verify");
    dkim_free(d);
}

static void sign_bare(void)
{
    DKIM_STAT status;
    DKIM *d = dkim_sign(bare, (const unsigned char *)"b", NULL, (unsigned char *)pem.p, (const unsigned char *)"s",
                        (const unsigned char *)"a.test", DKIM_CANON_RELAXED, DKIM_CANON_RELAXED,
                        *algorithm == 'r' ? DKIM_SIGN_RSASHA256 : DKIM_SIGN_ED25519SHA256, -1, &status);
    unsigned char *value;
    size_t n;

    must(d, "the library gives no handle");
    give(d, &plain);
    must(dkim_eom(d, NULL) == DKIM_STAT_OK && dkim_getsighdr_d(d, 16, &value, &n) == DKIM_STAT_OK,
         "the library does not sign");
    dkim_free(d);
}

/* ---- measuring ---- */

static double rate(void (*one)(void))
{
    int64_t began = clock_ms(), now;
    unsigned long count = 0;

    do {
        for (int i = 0; i < 10; i++)
            one();
        count += 10;
        now = clock_ms();
    } while (now - began < (int64_t)(seconds * 1000));
    return (double)count * 1000 / (double)(now - began);
}

static int compare(const void *x, const void *y)
{
    const double *a = x, *b = y;

    return *a < *b ? -1 : *a > *b;
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, compare);
    return v[ROUNDS / 2];
}

static void measure(const char *prefix, const char *what, void (*ours)(void), void (*theirs)(void))
{
    double a[ROUNDS], b[ROUNDS], share[ROUNDS];

    ours();
    theirs();
    for (int i = 0; i < ROUNDS; i++) {
        a[i] = rate(ours);
        b[i] = rate(theirs);
        share[i] = a[i] / b[i];
    }
    printf("%s%s_per_s %.0f\n%sbare_%s_per_s %.0f\n%s%s_share %.2f\n", prefix, what, median(a), prefix, what, median(b),
           prefix,
           what, median(share));
    fflush(stdout);
}

static void leak(const char *prefix)
{
    size_t before;

    for (int i = 0; i < 100; i++)
        sign_ours();
    before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++)
        sign_ours();
    printf("%ssign_leak_bytes %.1f\n", prefix, ((double)mallinfo2().uordblks - (double)before) / 1000);
}

static void set_up(const char *word, struct str key, enum dkim_algorithm kind)
{
    struct maker m = {.domain = "a.test", .selector = "s", .pem = key, .algorithm = word};
    struct dns_settings settings = {.cache_entries = 0};
    static struct dkim_key own;
    struct str error;
    BIO *bio = BIO_new_mem_buf(key.p, (int)key.n);

    algorithm = word;
    pem = key;
    record = arena_printf(forever, "v=DKIM1; k=%s; p=" STR_FMT, dkim_algorithm_words[kind],
                          STR_ARG(maker_public(forever, key)));
    own = (struct dkim_key){.selector = STR("s"), .file = STR("bench"), .algorithm = kind,
                            .pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)};
    BIO_free(bio);
    domain = (struct dkim_domain){.name = STR("a.test"), .signs_as = STR("a.test"), .all = &own, .count = 1};
    domain.key[kind] = &own;
    sealed = (struct headers){.count = 0};
    header_add(forever, &sealed, DKIM_FIELD, maker_sign(forever, &m, &plain, body));
    for (const struct header *h = plain.first; h; h = h->next)
        header_add(forever, &sealed, h->name, h->raw);
    must(dns_configure(&settings, &error, forever) &&
             dns_script(STR("zone"), maker_txt(forever, "s._domainkey.a.test", record), false, &error, forever),
                 "no DNS");
}

static void run(const char *prefix)
{
    measure(prefix, "verify", verify_ours, verify_bare);
    measure(prefix, "sign", sign_ours, sign_bare);
    leak(prefix);
}

int main(int argc, char **argv)
{
    static const char *const lines[][2] = {
        {"Received",
         " from mx.a.test (mx.a.test [192.0.2.7])\n\tby here.test (Postfix) with ESMTP id 4ZQueueId0"},
        {"From", " Joe <joe@a.test>"}, {"To", " me@here.test"}, {"Subject", " Hello"},
        {"Date", " Mon, 05 Jan 2026 10:00:00 +0000"}, {"Message-ID", " <1@a.test>"}, {"MIME-Version", " 1.0"},
        {"Content-Type", " text/plain; charset=utf-8"},
    };
    unsigned flags = 0;
    struct buf b;

    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    forever = arena_new(0);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        header_add(forever, &plain, str_of(lines[i][0]), str_of(lines[i][1]));
    b = buf_in(forever);
    while (b.len < BODY_BYTES)
        buf_add(&b, STR("The quick brown fox jumps over the lazy dog, and what then?\r\n"));
    body = buf_str(&b);
    bare = dkim_init(NULL, NULL);
    must(bare && dkim_options(bare, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof flags) == DKIM_STAT_OK &&
             dkim_set_key_lookup(bare, lookup) == DKIM_STAT_OK, "no library");
    set_up("rsa-sha256", maker_rsa(forever, 2048), DKIM_RSA);
    run("");
    set_up("ed25519-sha256", maker_ed25519(forever), DKIM_ED25519);
    run("ed25519_");
    return 0;
}
