/* dkim_maker.c - see dkim_maker.h. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include <dkim.h>

#include "../../milter/base/arena.h"
#include "dkim_maker.h"

#define must(condition)                                                                                               \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #condition);                                    \
            exit(1);                                                                                                  \
        }                                                                                                             \
    } while (0)

/* The library loses a key with each Ed25519 signature that it makes, which is no fault of what is tested. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static struct str to_pem(struct arena *a, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct str pem;
    char *text;
    long n;

    must(key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    n = BIO_get_mem_data(bio, &text);
    pem = str_dup(a, (struct str){text, (size_t)n});
    BIO_free(bio);
    EVP_PKEY_free(key);
    return pem;
}

struct str maker_rsa(struct arena *a, unsigned bits)
{
    return to_pem(a, EVP_RSA_gen(bits));
}

struct str maker_ed25519(struct arena *a)
{
    return to_pem(a, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}

static struct str base64(struct arena *a, const unsigned char *bytes, size_t n)
{
    char *text = arena_alloc(a, n * 2 + 8);

    return (struct str){text, (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)n)};
}

static struct str public_of(struct arena *a, EVP_PKEY *key)
{
    unsigned char raw[32], *der = NULL;
    size_t n = sizeof raw;
    struct str text;

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
        must(EVP_PKEY_get_raw_public_key(key, raw, &n) == 1);
        return base64(a, raw, n);
    }
    n = (size_t)i2d_PUBKEY(key, &der);
    must(der);
    text = base64(a, der, n);
    OPENSSL_free(der);
    return text;
}

struct str maker_public(struct arena *a, struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    struct str text;

    must(key);
    text = public_of(a, key);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return text;
}

struct str maker_huge_public(struct arena *a, unsigned bits)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *n = BN_new(), *e = BN_new();
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params;
    struct str text;

    must(build && ctx && n && e && BN_rand(n, (int)bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) && BN_set_word(e, 65537));
    must(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E,
        e));
    params = OSSL_PARAM_BLD_to_param(build);
    must(EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1);
    text = public_of(a, key);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return text;
}

struct str maker_txt(struct arena *a, const char *name, struct str text)
{
    struct buf b = buf_in(a);

    buf_addf(&b, "%s TXT", name);
    do {
        struct str part = str_slice(text, 0, 255);

        buf_addf(&b, " \"" STR_FMT "\"", STR_ARG(part));
        text = str_slice(text, part.n, text.n);
    } while (text.n);
    buf_addc(&b, '\n');
    return buf_str(&b);
}

/* crlf - with CRLF for each LF. */
static struct str crlf(struct arena *a, struct str name, struct str raw)
{
    struct buf b = buf_in(a);

    buf_addf(&b, STR_FMT ":", STR_ARG(name));
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '\n')
            buf_addc(&b, '\r');
        buf_addc(&b, raw.p[i]);
    }
    return buf_str(&b);
}

static void give(struct arena *a, DKIM *dkim, const struct headers *headers, struct str body)
{
    for (const struct header *h = headers->first; h; h = h->next) {
        struct str text = crlf(a, h->name, h->raw);

        must(dkim_header(dkim, (unsigned char *)text.p, text.n) == DKIM_STAT_OK);
    }
    must(dkim_eoh(dkim) == DKIM_STAT_OK);
    if (body.n)
        must(dkim_body(dkim, (unsigned char *)body.p, body.n) == DKIM_STAT_OK);
}

static dkim_alg_t algorithm_of(const char *word)
{
    if (!word || strcmp(word, "rsa-sha256") == 0)
        return DKIM_SIGN_RSASHA256;
    return strcmp(word, "rsa-sha1") == 0 ? DKIM_SIGN_RSASHA1 : DKIM_SIGN_ED25519SHA256;
}

struct str maker_sign(struct arena *a, const struct maker *m, const struct headers *headers, struct str body)
{
    DKIM_LIB *lib = dkim_init(NULL, NULL);
    uint64_t at = (uint64_t)m->at, ttl = m->ttl;
    unsigned flags = DKIM_LIBFLAGS_FIXCRLF | (m->length ? DKIM_LIBFLAGS_SIGNLEN : 0), no_bits = 0;
    unsigned char *value;
    struct str result;
    DKIM_STAT status;
    size_t n = 0;
    DKIM *dkim;

    must(lib && dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof flags) == DKIM_STAT_OK);
    must(dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_MINKEYBITS, &no_bits, sizeof no_bits) == DKIM_STAT_OK);
    if (m->at)
        must(dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FIXEDTIME, &at, sizeof at) == DKIM_STAT_OK);
    if (m->ttl)
        must(dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_SIGNATURETTL, &ttl, sizeof ttl) == DKIM_STAT_OK);
    if (m->oversign)
        must(dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_OVERSIGNHDRS, (void *)m->oversign, sizeof m->oversign) ==
             DKIM_STAT_OK);
    dkim = dkim_sign(lib, (const unsigned char *)"t", NULL, (unsigned char *)str_c(a, m->pem),
                     (const unsigned char *)m->selector, (const unsigned char *)m->domain,
                     m->simple_header ? DKIM_CANON_SIMPLE : DKIM_CANON_RELAXED,
                     m->simple_body ? DKIM_CANON_SIMPLE : DKIM_CANON_RELAXED, algorithm_of(m->algorithm),
                     m->length ? m->length : -1, &status);
    must(dkim);
    if (m->length)
        dkim_setpartial(dkim, true);
    give(a, dkim, headers, body);
    if (__lsan_disable && __lsan_enable)
        __lsan_disable();
    must(dkim_eom(dkim, NULL) == DKIM_STAT_OK);
    if (__lsan_disable && __lsan_enable)
        __lsan_enable();
    must(dkim_getsighdr_d(dkim, sizeof "DKIM-Signature: ", &value, &n) == DKIM_STAT_OK);
    result = arena_printf(a, " %.*s", (int)n, (char *)value);
    dkim_free(dkim);
    dkim_close(lib);
    /* The library folds with CRLF. */
    {
        struct buf b = buf_in(a);

        for (size_t i = 0; i < result.n; i++)
            if (result.p[i] != '\r')
                buf_addc(&b, result.p[i]);
        return buf_str(&b);
    }
}

static DKIM_CBSTAT lookup(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t room)
{
    const struct str *record = dkim_get_user_context(dkim);

    (void)sig;
    snprintf((char *)buf, room, STR_FMT, STR_ARG(*record));
    return DKIM_CBSTAT_CONTINUE;
}

bool maker_verify(struct arena *a, const struct headers *headers, struct str body, struct str record)
{
    DKIM_LIB *lib = dkim_init(NULL, NULL);
    unsigned flags = DKIM_LIBFLAGS_DELAYSIGPROC | DKIM_LIBFLAGS_FIXCRLF;
    DKIM_SIGINFO **sigs = NULL;
    bool good = false;
    DKIM_STAT status;
    DKIM *dkim;
    int n = 0;

    must(lib && dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof flags) == DKIM_STAT_OK);
    dkim_set_key_lookup(lib, lookup);
    dkim = dkim_verify(lib, (const unsigned char *)"t", NULL, &status);
    must(dkim);
    dkim_set_user_context(dkim, &record);
    give(a, dkim, headers, body);
    dkim_eom(dkim, NULL);
    if (dkim_getsiglist(dkim, &sigs, &n) == DKIM_STAT_OK && n > 0)
        good = DKIM_SIG_CHECK(sigs[0]) && dkim_sig_geterror(sigs[0]) == DKIM_SIGERROR_OK;
    dkim_free(dkim);
    dkim_close(lib);
    return good;
}
