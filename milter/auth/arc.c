/* arc.c - the chain: its structure first, which costs nothing, then the newest message signature, then every seal. */
#include "arc.h"
#include "arc_canon.h"
#include "arc_key.h"
#include "arc_tags.h"
#include "../authres.h"
#include "../base/clock.h"
#include "../message.h"
#include "../spool.h"

#define NAMES_MOST 512 /* in h= */

enum kind { AAR, AMS, SEAL, KINDS };

struct part {
    const struct header *field; /* NULL: not there */
    struct arc_tags *tags;      /* of AMS and SEAL */
};

struct arc {
    struct arena *arena;
    struct part sets[ARC_SETS_MOST][KINDS];
    unsigned count;
    struct str sealers[ARC_SETS_MOST], results[ARC_SETS_MOST];
    struct dns_question *seal_keys[ARC_SETS_MOST], *message_key;
    const char *problem; /* "" as long as nothing is wrong */
};

/* ---- gathering ---- */

static bool kind_of(struct str name, enum kind *kind)
{
    static const char *const names[KINDS] = {"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"};

    for (int i = 0; i < KINDS; i++)
        if (str_is_nocase(str_trim(name), str_of(names[i]))) {
            *kind = (enum kind)i;
            return true;
        }
    return false;
}

/* instance_of - i=, from 1; 0: none. For AAR, whose rest is no tag list, it is what stands before the first semicolon.
 */
static unsigned instance_of(const struct header *field, enum kind kind, const struct arc_tags *tags, struct str *rest)
{
    struct str value = STR_NONE, first;
    struct arc_tags one;
    struct arc_tag tag;
    long i;

    if (kind == AAR) {
        *rest = field->value;
        if (str_split(rest, ';', &first) && arc_tags_read(first, &one) && arc_tag_get(&one, "i", &tag))
            value = tag.value;
    } else if (arc_tag_get(tags, "i", &tag)) {
        value = tag.value;
    }
    return str_to_long(value, &i) && i >= 1 && i <= ARC_SETS_MOST ? (unsigned)i : 0;
}

/* take - false (and a problem) when the field spoils the chain. */
static bool take(struct arc *arc, const struct header *field, enum kind kind)
{
    struct arc_tags *tags = kind == AAR ? NULL : arena_alloc(arc->arena, sizeof *tags);
    struct str rest = STR_NONE;
    unsigned i;

    if (tags && !arc_tags_read(field->value, tags)) {
        arc->problem = "an ARC field is malformed";
        return false;
    }
    i = instance_of(field, kind, tags, &rest);
    if (i == 0 || arc->sets[i - 1][kind].field) {
        arc->problem = i ? "an ARC field is there twice" : "an ARC field has no valid instance";
        return false;
    }
    arc->sets[i - 1][kind] = (struct part){field, tags};
    if (kind == AAR)
        arc->results[i - 1] = rest;
    if (i > arc->count)
        arc->count = i;
    return true;
}

static struct str tag_of(const struct part *part, const char *name)
{
    struct arc_tag tag;

    arc_tag_get(part->tags, name, &tag);
    return tag.value;
}

/* structure - steps 2 and 3 of 5.2. */
static const char *structure(const struct arc *arc)
{
    struct arc_tag tag;

    for (unsigned i = 0; i < arc->count; i++)
        for (int kind = 0; kind < KINDS; kind++)
            if (!arc->sets[i][kind].field)
                return "an ARC set is incomplete";
    for (unsigned i = 0; i < arc->count; i++) {
        const struct part *seal = &arc->sets[i][SEAL];

        if (arc_tag_get(seal->tags, "h", &tag))
            return "a seal has h=";
        if (!str_is_nocase(tag_of(seal, "cv"), i == 0 ? STR("none") : STR("pass")))
            return "a seal says that the chain had failed";
    }
    return "";
}

static void ask_keys(struct arc *arc, struct dns_budget *budget)
{
    const struct part *message = &arc->sets[arc->count - 1][AMS];

    for (unsigned i = 0; i < arc->count; i++) {
        const struct part *seal = &arc->sets[i][SEAL];

        arc->sealers[i] = str_lower(arc->arena, tag_of(seal, "d"));
        arc->seal_keys[i] = arc_key_ask(arc->arena, budget, arc->sealers[i], tag_of(seal, "s"));
    }
    arc->message_key = arc_key_ask(arc->arena, budget, tag_of(message, "d"), tag_of(message, "s"));
}

struct arc *arc_begin(struct arena *a, struct dns_budget *budget, const struct headers *headers)
{
    struct arc *arc = NULL;
    size_t bytes = 0;
    enum kind kind;

    for (const struct header *field = headers->first; field; field = field->next) {
        if (!kind_of(field->name, &kind))
            continue;
        if (!arc) {
            arc = arena_zalloc(a, sizeof *arc);
            arc->arena = a;
            arc->problem = "";
        }
        bytes += field->value.n;
        if (bytes > ARC_BYTES_MOST)
            arc->problem = "the ARC fields are too large";
        if (bytes > ARC_BYTES_MOST || !take(arc, field, kind))
            break;
    }
    if (!arc)
        return NULL;
    if (!*arc->problem)
        arc->problem = structure(arc);
    if (*arc->problem)
        arc->count = 0;
    else
        ask_keys(arc, budget);
    return arc;
}

/* ---- the message signature ---- */

static bool read_canon(struct str c, bool *header_relaxed, bool *body_relaxed)
{
    struct str header = str_trim(str_slice(c, 0, str_find(c, '/')));
    struct str body = str_trim(str_slice(c, str_find(c, '/') + 1, c.n));

    *header_relaxed = str_is_nocase(header, STR("relaxed"));
    *body_relaxed = str_is_nocase(body, STR("relaxed"));
    return (*header_relaxed || header.n == 0 || str_is_nocase(header, STR("simple"))) &&
           (*body_relaxed || body.n == 0 || str_is_nocase(body, STR("simple")));
}

/* hash_named - the fields that h= names, each name taking its next one from below. */
static bool hash_named(struct arc *arc, EVP_MD_CTX *hash, const struct headers *headers, struct str h, bool relaxed)
{
    const struct header **fields = arena_array(arc->arena, headers->count + 1, sizeof *fields);
    struct str names[NAMES_MOST], part;
    size_t next[NAMES_MOST], count = 0, n = 0;
    bool from = false;

    for (const struct header *field = headers->first; field; field = field->next)
        fields[n++] = field;
    while (str_split(&h, ':', &part)) {
        struct str name = str_trim(part);
        size_t at = n;

        if (count == NAMES_MOST || str_is_nocase(name, STR("ARC-Seal")))
            return false;
        from |= str_is_nocase(name, STR("From"));
        for (size_t i = count; i-- > 0;)
            if (str_is_nocase(names[i], name)) {
                at = next[i];
                break;
            }
        while (at > 0 && !str_is_nocase(str_trim(fields[at - 1]->name), name))
            at--;
        if (at > 0)
            arc_hash_field(hash, arc->arena, fields[at - 1], STR_NONE, relaxed, false);
        names[count] = name;
        next[count++] = at > 0 ? at - 1 : 0;
    }
    return from;
}

static bool body_is_as_signed(struct arc *arc, struct str body, bool relaxed, struct str bh)
{
    unsigned char digest[ARC_DIGEST];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    struct str want;
    bool good = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

    if (good) {
        arc_hash_body(hash, body, relaxed);
        good = EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    }
    EVP_MD_CTX_free(hash);
    return good && arc_base64(arc->arena, bh, &want) && want.n == sizeof digest &&
           memcmp(want.p, digest, sizeof digest) == 0;
}

static bool is_expired(struct str x)
{
    long when;

    return x.n > 0 && (!str_to_long(x, &when) || when < clock_wall_ms() / 1000);
}

static enum auth_result check_message(struct arc *arc, const struct headers *headers, struct str body, int64_t deadline)
{
    const struct part *part = &arc->sets[arc->count - 1][AMS];
    unsigned char digest[ARC_DIGEST];
    bool header_relaxed, body_relaxed, good;
    struct str signature;
    struct arc_tag b, tag;
    EVP_MD_CTX *hash;

    arc_tag_get(part->tags, "b", &b);
    if (arc_tag_get(part->tags, "l", &tag) || is_expired(tag_of(part, "x")) ||
        !read_canon(tag_of(part, "c"), &header_relaxed, &body_relaxed) ||
        !arc_base64(arc->arena, b.value, &signature) || !body_is_as_signed(arc, body, body_relaxed, tag_of(part, "bh")))
        return AUTH_FAIL;
    hash = EVP_MD_CTX_new();
    good = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
           hash_named(arc, hash, headers, tag_of(part, "h"), header_relaxed);
    if (good) {
        arc_hash_field(hash, arc->arena, part->field, b.whole, header_relaxed, true);
        good = EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    }
    EVP_MD_CTX_free(hash);
    return good ? arc_key_check(arc->arena, arc->message_key, deadline, tag_of(part, "a"), digest, signature)
                : AUTH_FAIL;
}

/* ---- the seals ---- */

/* check_seals - each covers all sets up to its own; what they have in common is hashed once. */
static enum auth_result check_seals(struct arc *arc, int64_t deadline)
{
    EVP_MD_CTX *before = EVP_MD_CTX_new(), *hash = EVP_MD_CTX_new();
    enum auth_result result = AUTH_PASS;
    bool good = before && hash && EVP_DigestInit_ex(before, EVP_sha256(), NULL) == 1;

    for (unsigned i = 0; i < arc->count && good && result == AUTH_PASS; i++) {
        const struct part *set = arc->sets[i];
        unsigned char digest[ARC_DIGEST];
        struct str signature;
        struct arc_tag b;

        arc_hash_field(before, arc->arena, set[AAR].field, STR_NONE, true, false);
        arc_hash_field(before, arc->arena, set[AMS].field, STR_NONE, true, false);
        arc_tag_get(set[SEAL].tags, "b", &b);
        good = EVP_MD_CTX_copy_ex(hash, before) == 1 && arc_base64(arc->arena, b.value, &signature);
        if (!good)
            break;
        arc_hash_field(hash, arc->arena, set[SEAL].field, b.whole, true, true);
        good = EVP_DigestFinal_ex(hash, digest, NULL) == 1;
        if (good)
            result = arc_key_check(arc->arena, arc->seal_keys[i], deadline, tag_of(&set[SEAL], "a"), digest, signature);
        arc_hash_field(before, arc->arena, set[SEAL].field, STR_NONE, true, false);
    }
    EVP_MD_CTX_free(before);
    EVP_MD_CTX_free(hash);
    return good ? result : AUTH_FAIL;
}

static enum auth_result ended(struct arc *arc, enum auth_result result, const char *what)
{
    if (result != AUTH_PASS)
        arc->problem = result == AUTH_TEMPERROR ? "a key or the body could not be had" : what;
    return result;
}

enum auth_result arc_finish(struct arc *arc, const struct headers *headers, struct str body, int64_t deadline)
{
    enum auth_result result;

    if (arc->count == 0)
        return AUTH_FAIL;
    result = check_message(arc, headers, body, deadline);
    if (result != AUTH_PASS)
        return ended(arc, result, "the newest message signature does not hold");
    return ended(arc, check_seals(arc, deadline), "a seal does not hold");
}

const char *arc_problem(const struct arc *arc)
{
    return arc->problem;
}

unsigned arc_count(const struct arc *arc)
{
    return arc->count;
}

struct str arc_sealer(const struct arc *arc, unsigned i)
{
    return i >= 1 && i <= arc->count ? arc->sealers[i - 1] : STR_NONE;
}

struct str arc_results(const struct arc *arc, unsigned i)
{
    return i >= 1 && i <= arc->count ? arc->results[i - 1] : STR_NONE;
}

static bool is_trusted(const struct str *trusted, size_t count, struct str sealer)
{
    for (size_t i = 0; i < count; i++)
        if (str_is_nocase(trusted[i], sealer))
            return true;
    return false;
}

bool arc_vouches(const struct arc *arc, const struct str *trusted, size_t count, struct str author)
{
    for (unsigned i = 0; i < arc->count; i++)
        if (!is_trusted(trusted, count, arc->sealers[i]))
            return false;
    return arc->count > 0 && authres_says(arc->arena, arc->results[0], "dmarc", "pass", "header.from", author);
}

bool arc_might_vouch(const struct arc *arc, const struct str *trusted, size_t count, struct str author)
{
    return arc->count > 0 && is_trusted(trusted, count, tag_of(&arc->sets[arc->count - 1][AMS], "d")) &&
           arc_vouches(arc, trusted, count, author);
}

enum auth_result arc_finish_message(struct arc *arc, struct message *m, int64_t deadline)
{
    struct str body = STR_NONE;

    if (m->body_bytes > 0 && (!m->spool || !spool_view(m->spool, &body)))
        return ended(arc, AUTH_TEMPERROR, "");
    return arc_finish(arc, &m->headers, body, deadline);
}
