/* dkim_sign.c - making signatures: relaxed/relaxed, with keys that were read once. libopendkim would read a key again
 * for each signature, and lose memory with each Ed25519 one. */
#include <openssl/evp.h>
#include <string.h>

#include "../base/log.h"
#include "dkim.h"

#define INSTANCES_MOST 100 /* of one field that are signed */
#define LINE_MOST 76
#define HASH 32

/* What is signed when it is there (RFC 6376, 5.4.1): what a reader sees or a program obeys, and nothing that the way
 * changes: not Received, Return-Path, Authentication-Results, or Bcc. */
static const char *const signed_fields[] = {
    "From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To", "References",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Description",
    "Content-Disposition", "Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
    "List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner",
    "List-Archive", "Auto-Submitted", "Autocrypt",
};
#define SIGNED_FIELDS (sizeof signed_fields / sizeof signed_fields[0])

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ---- the body ---- */

struct hashing {
    EVP_MD_CTX *md;
    size_t lines;    /* empty ones, of which nobody knows yet whether more follows */
    size_t n;
    bool ok;
    char buf[8192];
};

static void flush(struct hashing *h)
{
    h->ok = h->ok && EVP_DigestUpdate(h->md, h->buf, h->n) == 1;
    h->n = 0;
}

static void put(struct hashing *h, const char *bytes, size_t n)
{
    if (n > sizeof h->buf - h->n)
        flush(h);
    if (n > sizeof h->buf) {
        h->ok = h->ok && EVP_DigestUpdate(h->md, bytes, n) == 1;
        return;
    }
    memcpy(h->buf + h->n, bytes, n);
    h->n += n;
}

/* put_line - runs of white space are one blank, and at the end none (3.4.4). */
static void put_line(struct hashing *h, struct str line)
{
    bool begun = false;

    while (line.n && is_blank(line.p[line.n - 1]))
        line.n--;
    for (size_t i = 0, from = 0; i < line.n;) {
        size_t word;

        while (i < line.n && is_blank(line.p[i]))
            i++;
        word = i;
        while (i < line.n && !is_blank(line.p[i]))
            i++;
        if (!begun) {
            for (; h->lines; h->lines--)
                put(h, "\r\n", 2);
            begun = true;
        }
        if (word > from)
            put(h, " ", 1);
        put(h, line.p + word, i - word);
        from = i;
    }
    if (begun)
        put(h, "\r\n", 2);
    else
        h->lines++;
}

static bool hash_body(struct str body, unsigned char hash[HASH])
{
    struct hashing h = {.md = EVP_MD_CTX_new(), .ok = true};

    h.ok = h.md && EVP_DigestInit_ex(h.md, EVP_sha256(), NULL) == 1;
    while (h.ok && body.n) {
        const char *end = memchr(body.p, '\n', body.n);
        size_t n = end ? (size_t)(end - body.p) : body.n;
        struct str line = {body.p, n};

        if (end && n && line.p[n - 1] == '\r')
            line.n--;
        put_line(&h, line);
        body = str_slice(body, n + 1, body.n);
    }
    flush(&h);
    h.ok = h.ok && EVP_DigestFinal_ex(h.md, hash, NULL) == 1;
    EVP_MD_CTX_free(h.md);
    return h.ok;
}

/* ---- the header ---- */

/* add_relaxed - a field as 3.4.2 has it, without the line end. */
static void add_relaxed(struct buf *b, struct str name, struct str raw)
{
    bool blank = false, begun = false;

    for (size_t i = 0; i < name.n; i++)
        buf_addc(b, name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 'a' - 'A') : name.p[i]);
    buf_addc(b, ':');
    for (size_t i = 0; i < raw.n;) {
        size_t from = i;

        if (is_blank(raw.p[i]) || raw.p[i] == '\n' || (raw.p[i] == '\r' && i + 1 < raw.n && raw.p[i + 1] == '\n')) {
            blank = blank || is_blank(raw.p[i]);
            i++;
            continue;
        }
        while (i < raw.n && !is_blank(raw.p[i]) && raw.p[i] != '\n' &&
               !(raw.p[i] == '\r' && i + 1 < raw.n && raw.p[i + 1] == '\n'))
            i++;
        if (blank && begun)
            buf_addc(b, ' ');
        buf_add(b, str_slice(raw, from, i));
        begun = true;
        blank = false;
    }
}

struct selection {
    struct buf h;    /* names, "from:to" */
    struct buf data; /* the fields in that order */
};

static void add_name(struct selection *s, struct str name)
{
    if (s->h.len)
        buf_addc(&s->h, ':');
    buf_add(&s->h, name);
}

/* add_field - all instances, the lowest first, as a verifier takes them (5.4.2); and one more that is not there, so
 * that none can be added, when it is oversigned. */
static void add_field(struct selection *s, const struct headers *headers, struct str name, bool oversign)
{
    const struct header *found[INSTANCES_MOST];
    size_t count = 0;

    for (const struct header *h = headers->first; h; h = h->next) {
        if (!str_is_nocase(h->name, name))
            continue;
        if (count == INSTANCES_MOST)
            memmove(found, found + 1, --count * sizeof *found);
        found[count++] = h;
    }
    for (size_t i = count; i-- > 0;) {
        add_name(s, name);
        add_relaxed(&s->data, found[i]->name, found[i]->raw);
        buf_add(&s->data, STR("\r\n"));
    }
    if (oversign)
        add_name(s, name);
}

static bool is_listed(const struct str *list, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_is_nocase(list[i], name))
            return true;
    return false;
}

static void select_fields(struct selection *s, const struct dkim_signing *how, const struct headers *headers)
{
    for (size_t i = 0; i < SIGNED_FIELDS; i++) {
        struct str name = str_of(signed_fields[i]);
        /* A second Content-Type would make another message of the same body. */
        bool content = str_is(name, STR("Content-Type")) && header_find(headers, name, 0);

        add_field(s, headers, name, content || is_listed(how->oversign, how->oversign_count, name));
    }
    for (size_t i = 0; i < how->oversign_count; i++) {
        bool known = is_listed(how->oversign, i, how->oversign[i]);

        for (size_t k = 0; k < SIGNED_FIELDS && !known; k++)
            known = str_is_nocase(str_of(signed_fields[k]), how->oversign[i]);
        if (!known)
            add_field(s, headers, how->oversign[i], true);
    }
}

/* ---- the signature ---- */

static struct str base64(struct arena *a, const unsigned char *bytes, size_t n)
{
    char *text = arena_alloc(a, (n + 2) / 3 * 4 + 1);

    return (struct str){text, (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)n)};
}

/* add_folded - text that may be broken after `at`, or anywhere for '\0'; *column is where the line is. */
static void add_folded(struct buf *b, struct str text, char at, size_t *column)
{
    while (text.n) {
        size_t n = at ? str_find(text, at) + 1 : LINE_MOST - *column;
        struct str part;

        part = str_slice(text, 0, n);
        if (*column + part.n > LINE_MOST && *column > 1) {
            buf_add(b, STR("\n\t"));
            *column = 1;
            part = at ? part : str_slice(text, 0, LINE_MOST - 1);
        }
        buf_add(b, part);
        *column += part.n;
        text = str_slice(text, part.n, text.n);
        if (!at && text.n) {
            buf_add(b, STR("\n\t"));
            *column = 1;
        }
    }
}

static bool sign_rsa(EVP_PKEY *key, struct str data, unsigned char *out, size_t *n)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(md, out, n, (const unsigned char *)data.p, data.n) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

/* sign_ed25519 - of the hash (RFC 8463, 3). */
static bool sign_ed25519(EVP_PKEY *key, struct str data, unsigned char *out, size_t *n)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char hash[HASH];
    bool ok = md && EVP_Digest(data.p, data.n, hash, NULL, EVP_sha256(), NULL) == 1 &&
              EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 && EVP_DigestSign(md, out, n, hash, sizeof hash) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

static bool sign_one(struct arena *a, const struct dkim_signing *how, const struct dkim_key *key,
                     const struct selection *s, struct str body_hash, struct str *value)
{
    unsigned char out[DKIM_RSA_BITS_MOST / 8];
    struct buf b = buf_in(a), data = buf_in(a);
    size_t n = sizeof out, column = 1;
    bool rsa = key->algorithm == DKIM_RSA;

    buf_addf(&b, "v=1; a=%s-sha256; c=relaxed/relaxed; d=" STR_FMT ";\n\ts=" STR_FMT "; t=%lld;\n\t",
             rsa ? "rsa" : "ed25519", STR_ARG(how->domain->signs_as), STR_ARG(key->selector), (long long)how->now_s);
    add_folded(&b, arena_printf(a, "h=" STR_FMT ";", STR_ARG(buf_str(&s->h))), ':', &column);
    buf_addf(&b, "\n\tbh=" STR_FMT ";\n\tb=", STR_ARG(body_hash));
    buf_add(&data, buf_str(&s->data));
    add_relaxed(&data, DKIM_FIELD, buf_str(&b));
    if (!(rsa ? sign_rsa : sign_ed25519)(key->pkey, buf_str(&data), out, &n))
        return false;
    column = 3;
    add_folded(&b, base64(a, out, n), '\0', &column);
    *value = buf_str(&b);
    return true;
}

size_t dkim_make(struct arena *a, const struct dkim_signing *how, const struct headers *headers, struct str body,
                 struct str values[DKIM_ALGORITHMS], bool *complete)
{
    struct selection s = {.h = buf_in(a), .data = buf_in(a)};
    unsigned char hash[HASH];
    size_t count = 0;

    *complete = hash_body(body, hash);
    if (!*complete)
        return 0;
    select_fields(&s, how, headers);
    for (int i = 0; i < DKIM_ALGORITHMS; i++) {
        const struct dkim_key *key = how->domain->key[i];

        if (!key || !(how->algorithms & 1u << i))
            continue;
        if (sign_one(a, how, key, &s, base64(a, hash, sizeof hash), &values[count])) {
            count++;
        } else {
            log_error("%s: OpenSSL cannot sign with this key", str_c(a, str_escaped(a, key->file)));
            *complete = false;
        }
    }
    return count;
}
