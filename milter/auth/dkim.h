/* dkim.h - DKIM signatures (RFC 6376, 8301, 8463, 8616): verified by libopendkim, made with OpenSSL.
 *
 *   headers are complete ──▶ dkim_ask: strict reading, every key is asked for at once
 *   message is complete  ──▶ dkim_evaluate: keys judged by us; what can pass at all goes to the library
 *
 * The library sees no DNS packet and no signature or key that was not well-formed before: it is given the text of the
 * key record, again written, when it needs one.
 *
 * What the results mean, RFC 8601's words:
 *   pass       verified by a key that the domain publishes
 *   fail       it did not verify, or is outside of its time
 *   policy     it verified, but by rsa-sha1, with a short key, or covering only a part (l=, or one From of several); or
 *              it was not tried: too long an RSA key, more signatures than max_signatures, too long a list of fields
 *   neutral    not tried: written in 8-bit bytes, which the library does not read
 *   permerror  signature or key are malformed, revoked, or not there
 *   temperror  the key could not be asked for
 */
#ifndef AUTH_DKIM_H
#define AUTH_DKIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/err.h"
#include "../base/str.h"
#include "../dns/dns.h"
#include "../mail/header.h"
#include "results.h"

#define DKIM_FIELD STR("DKIM-Signature")
#define DKIM_RSA_BITS_MOST 4096 /* what RFC 8301 (3.2) wants to be read; larger ones cost more than they are worth */

/* ---- verifying ---- */

struct dkim_check; /* between the two calls */

/* dkim_ask - never blocks. At most max_signatures fields are looked at, from the top. */
struct dkim_check *dkim_ask(struct arena *a, struct dns_budget *budget, const struct headers *headers,
                            long max_signatures);

/* dkim_evaluate - one result for each signature, in the order of the fields, and one more for all that are too many;
 * written to results->dkim. Waits for keys until `deadline` (clock_ms()). */
void dkim_evaluate(struct arena *a, struct dkim_check *check, const struct headers *headers, struct str body,
                   long min_rsa_bits, int64_t deadline, struct auth_results *results);

/* dkim_verified - the results of the message of this context, at AT_MESSAGE: what the policy dkim of its profile finds,
 * also before its turn comes (policies/dkim.c). Nothing is checked where that policy is not, or has nothing to do. */
struct context;
const struct auth_results *dkim_verified(struct context *c);

/* dkim_ascii - the domain in lower-case A-labels (RFC 8616); empty when it is none. */
struct str dkim_ascii(struct arena *a, struct str domain);

/* ---- keys to sign with ---- */

enum dkim_algorithm { DKIM_RSA, DKIM_ED25519, DKIM_ALGORITHMS };
extern const char *const dkim_algorithm_words[]; /* "rsa" "ed25519"; NULL-terminated */

struct dkim_key {
    struct str selector;
    struct str file;
    enum dkim_algorithm algorithm;
    unsigned bits;  /* of RSA */
    void *pkey;     /* EVP_PKEY */
};

struct dkim_domain {
    struct str name;      /* of the directory or link, lower-case */
    struct str signs_as;  /* d=: the name, or what a link leads to */
    struct dkim_key *all; /* in the order of selectors */
    size_t count;
    const struct dkim_key *key[DKIM_ALGORITHMS]; /* the last of each in that order: these sign */
};

struct dkim_keys {
    struct dkim_domain *domains; /* in the order of names */
    size_t count;
};

/* dkim_keys_load - everything in key_dir: DOMAIN/SELECTOR.private, or DOMAIN/private with the selector's name in
 * DOMAIN/selector; PEM. A link DOMAIN -> OTHER signs with d=OTHER when both belong to one organisation. What cannot be
 * used is a warning. A directory that is not there holds no keys. */
struct dkim_keys *dkim_keys_load(struct arena *a, struct str key_dir, struct problems *problems);

/* dkim_keys_for - those of the domain or of its nearest parent that has any, but never of a public suffix; NULL:
 * none. */
const struct dkim_domain *dkim_keys_for(const struct dkim_keys *keys, struct str domain);

/* dkim_record - the TXT record to publish for a key; empty when OpenSSL fails. */
struct str dkim_record(struct arena *a, const struct dkim_key *key);

/* ---- signing ---- */

struct dkim_signing {
    const struct dkim_domain *domain;
    unsigned algorithms;       /* set of (1 << enum dkim_algorithm) */
    const struct str *oversign; /* fields of which none can be added later */
    size_t oversign_count;
    int64_t now_s;
};

/* dkim_make - values of DKIM-Signature fields, folded with LF, one for each algorithm; relaxed/relaxed. Returns how
 * many. False in *complete when OpenSSL failed for one. */
size_t dkim_make(struct arena *a, const struct dkim_signing *how, const struct headers *headers, struct str body,
                 struct str values[DKIM_ALGORITHMS], bool *complete);

#endif
