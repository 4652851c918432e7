/* arc_key.c - public keys from the DNS, and OpenSSL's word on a signature. */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "../mail/domain.h"
#include "arc_key.h"
#include "arc_tags.h"

#define RSA_BITS_LEAST 1024 /* RFC 8301 */
#define RSA_BITS_MOST 8192

struct dns_question *arc_key_ask(struct arena *a, struct dns_budget *budget, struct str domain, struct str selector)
{
    if (!domain_is_hostname(domain, false) || !domain_is_hostname(selector, false))
        return NULL;
    return dns_ask(a, budget, arena_printf(a, STR_FMT "._domainkey." STR_FMT, STR_ARG(selector), STR_ARG(domain)),
                   DNS_TXT);
}

static bool list_has(struct str list, const char *word)
{
    struct str one;

    while (str_split(&list, ':', &one))
        if (str_is_nocase(str_trim(one), str_of(word)))
            return true;
    return false;
}

static EVP_PKEY *rsa_of(struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.n);

    if (!key) {
        p = (const unsigned char *)der.p;
        key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.n); /* some publish the bare RSAPublicKey */
    }
    if (key && (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < RSA_BITS_LEAST ||
                EVP_PKEY_get_bits(key) > RSA_BITS_MOST)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* key_of - NULL: the record holds no usable key of that kind. The caller frees it. */
static EVP_PKEY *key_of(struct arena *a, struct str text, bool rsa)
{
    struct arc_tags tags;
    struct arc_tag tag;
    struct str bytes;

    if (!arc_tags_read(text, &tags))
        return NULL;
    if (arc_tag_get(&tags, "v", &tag) && !str_is(tag.value, STR("DKIM1")))
        return NULL;
    if (arc_tag_get(&tags, "h", &tag) && !list_has(tag.value, "sha256"))
        return NULL;
    if (arc_tag_get(&tags, "s", &tag) && !list_has(tag.value, "*") && !list_has(tag.value, "email"))
        return NULL;
    if (!arc_tag_get(&tags, "k", &tag))
        tag.value = STR("rsa");
    if (!str_is_nocase(tag.value, rsa ? STR("rsa") : STR("ed25519")))
        return NULL;
    if (!arc_tag_get(&tags, "p", &tag) || !arc_base64(a, tag.value, &bytes))
        return NULL;
    if (rsa)
        return rsa_of(bytes);
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)bytes.p, bytes.n);
}

static bool rsa_is_good(EVP_PKEY *key, const unsigned char *digest, struct str signature)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool good = ctx && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                EVP_PKEY_verify(ctx, (const unsigned char *)signature.p, signature.n, digest, ARC_DIGEST) == 1;

    EVP_PKEY_CTX_free(ctx);
    return good;
}

/* RFC 8463, 3: Ed25519 over the SHA-256 digest. */
static bool ed25519_is_good(EVP_PKEY *key, const unsigned char *digest, struct str signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n, digest, ARC_DIGEST) == 1;

    EVP_MD_CTX_free(ctx);
    return good;
}

enum auth_result arc_key_check(struct arena *a, struct dns_question *question, int64_t deadline, struct str algorithm,
                               const unsigned char digest[ARC_DIGEST], struct str signature)
{
    bool rsa = str_is_nocase(algorithm, STR("rsa-sha256")), good = false;
    const struct dns_answer *answer;

    if (!question || (!rsa && !str_is_nocase(algorithm, STR("ed25519-sha256"))))
        return AUTH_FAIL;
    answer = dns_harvest(question, deadline);
    if (answer->status == DNS_FAIL)
        return str_is(str_of(answer->why), STR("bad name")) ? AUTH_FAIL : AUTH_TEMPERROR;
    for (size_t i = 0; i < answer->count && i < 4 && !good; i++) {
        EVP_PKEY *key = key_of(a, answer->records[i].text, rsa);

        good = key && (rsa ? rsa_is_good(key, digest, signature) : ed25519_is_good(key, digest, signature));
        EVP_PKEY_free(key);
    }
    return good ? AUTH_PASS : AUTH_FAIL;
}
