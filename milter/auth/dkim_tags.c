/* dkim_tags.c - tag lists, signatures and key records: only what is exactly what the RFC says goes any further. */
#include <string.h>

#include "../mail/domain.h"
#include "dkim_tags.h"

#define SELECTOR_MOST 253
#define DIGITS_MOST 12 /* of a time: some 30 000 years */
#define LENGTH_DIGITS_MOST 18

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_tag_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alpha(s.p[i]) && (i == 0 || (!is_digit(s.p[i]) && s.p[i] != '_')))
            return false;
    return s.n > 0;
}

/* is_tag_value - printable bytes, blanks and folding between; also 8-bit ones (RFC 8616). */
static bool is_tag_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x21 && !is_blank(s.p[i])) || s.p[i] == 0x7f)
            return false;
    return true;
}

bool dkim_tags_parse(struct str text, struct dkim_tags *tags)
{
    struct str rest = str_trim(text), spec;

    tags->count = 0;
    if (rest.n == 0)
        return false;
    while (str_split(&rest, ';', &spec)) {
        size_t equals = str_find(spec, '=');
        struct str name = str_trim(str_slice(spec, 0, equals)), value = str_trim(str_slice(spec, equals + 1, spec.n));

        if (str_trim(spec).n == 0 && rest.n == 0 && tags->count)
            break; /* behind the last semicolon */
        if (equals == spec.n || !is_tag_name(name) || !is_tag_value(value) || tags->count == DKIM_TAGS_MOST)
            return false;
        for (size_t i = 0; i < tags->count; i++)
            if (str_is(tags->items[i].name, name))
                return false;
        tags->items[tags->count++] = (struct dkim_tag){name, value};
    }
    return tags->count > 0;
}

const struct str *dkim_tag(const struct dkim_tags *tags, const char *name)
{
    for (size_t i = 0; i < tags->count; i++)
        if (str_is(tags->items[i].name, str_of(name)))
            return &tags->items[i].value;
    return NULL;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool dkim_decode(struct arena *a, struct str text, struct str *bytes)
{
    unsigned char *out = arena_alloc(a, text.n / 4 * 3 + 4);
    size_t n = 0, digits = 0, padding = 0;
    unsigned bits = 0;

    for (size_t i = 0; i < text.n; i++) {
        int digit = base64_digit(text.p[i]);

        if (is_blank(text.p[i]))
            continue;
        if (text.p[i] == '=') {
            padding++;
            continue;
        }
        if (digit < 0 || padding)
            return false;
        bits = bits << 6 | (unsigned)digit;
        if (digits++ % 4)
            out[n++] = (unsigned char)(bits >> (6 - 2 * ((digits - 1) % 4)));
    }
    *bytes = (struct str){(char *)out, n};
    return digits % 4 != 1 && (digits + padding) % 4 == 0 && padding <= 2;
}

/* ---- domains ---- */

struct str dkim_ascii(struct arena *a, struct str domain)
{
    struct str ascii;

    return domain_to_ascii(a, domain, &ascii) && domain_is_fqdn(ascii) ? ascii : STR_NONE;
}

/* ---- signatures ---- */

static const char *permerror(struct dkim_signature *s, const char *problem)
{
    s->result = AUTH_PERMERROR;
    return problem;
}

static bool is_number(const struct str *s, size_t most)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (!is_digit(s->p[i]))
            return false;
    return !s || (s->n > 0 && s->n <= most);
}

static const char *read_algorithm(struct arena *a, const struct str *tag, struct dkim_signature *s)
{
    if (!tag)
        return "a= is missing";
    if (tag->n > 40)
        return "a= is not known";
    s->word = str_lower(a, *tag);
    if (str_is(s->word, STR("ed25519-sha256")))
        s->algorithm = DKIM_ED25519;
    else if (!str_is(s->word, STR("rsa-sha256")) && !str_is(s->word, STR("rsa-sha1")))
        return "a= is not known";
    s->sha1 = str_is(s->word, STR("rsa-sha1"));
    return NULL;
}

static const char *read_domain(struct arena *a, const struct dkim_tags *tags, struct dkim_signature *s)
{
    const struct str *d = dkim_tag(tags, "d"), *selector = dkim_tag(tags, "s");

    if (!d || !selector)
        return d ? "s= is missing" : "d= is missing";
    s->domain = dkim_ascii(a, *d);
    if (s->domain.n == 0 || d->p[d->n - 1] == '.') {
        s->domain = STR_NONE;
        return "d= is no domain";
    }
    s->written = *d;
    if (selector->n == 0 || selector->n > SELECTOR_MOST || selector->p[selector->n - 1] == '.' ||
        !domain_is_hostname(*selector, true))
        return "s= is no selector";
    s->selector = *selector;
    s->key_name = dkim_ascii(a, arena_printf(a, STR_FMT "._domainkey." STR_FMT, STR_ARG(*selector),
                                             STR_ARG(s->domain)));
    return s->key_name.n ? NULL : "the name of the key is too long";
}

/* read_identity - i= is of the domain or below (3.5). */
static const char *read_identity(struct arena *a, const struct str *i, struct dkim_signature *s)
{
    struct str domain;

    s->identity = arena_printf(a, "@" STR_FMT, STR_ARG(s->domain));
    if (!i)
        return NULL;
    if (str_rfind(*i, '@') == i->n)
        return "i= has no domain";
    domain = dkim_ascii(a, str_slice(*i, str_rfind(*i, '@') + 1, i->n));
    if (domain.n == 0 || !domain_is_or_below(domain, s->domain))
        return "i= is not of the domain";
    s->identity = str_dup(a, *i);
    return NULL;
}

static const char *read_names(const struct str *h, struct dkim_signature *s)
{
    struct str rest, name;

    if (!h || h->n == 0)
        return "h= is missing";
    rest = *h;
    while (str_split(&rest, ':', &name)) {
        name = str_trim(name);
        for (size_t i = 0; i < name.n; i++)
            if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
                return "h= is malformed";
        if (name.n == 0)
            return "h= is malformed";
        s->from += str_is_nocase(name, STR("From"));
        s->names++;
    }
    return s->from ? NULL : "From is not signed";
}

static bool is_canon(const struct str *c)
{
    static const char *const words[] = {"simple", "relaxed", "simple/simple", "simple/relaxed", "relaxed/simple",
                                        "relaxed/relaxed"};

    for (size_t i = 0; c && i < sizeof words / sizeof words[0]; i++)
        if (str_is_nocase(*c, str_of(words[i])))
            return true;
    return !c;
}

/* asks_dns - one of the query methods is the one there is. */
static bool asks_dns(const struct str *q)
{
    struct str rest, one;

    if (!q)
        return true;
    rest = *q;
    while (str_split(&rest, ':', &one))
        if (str_is_nocase(str_trim(one), STR("dns/txt")))
            return true;
    return false;
}

static const char *read_times(const struct dkim_tags *tags)
{
    const struct str *t = dkim_tag(tags, "t"), *x = dkim_tag(tags, "x");
    long from = 0, until = 0;

    if (!is_number(t, DIGITS_MOST) || !is_number(x, DIGITS_MOST))
        return "t= or x= is no number";
    if (t && x && str_to_long(*t, &from) && str_to_long(*x, &until) && until < from)
        return "x= is before t=";
    return NULL;
}

static const char *read_length(const struct str *l, struct dkim_signature *s)
{
    s->length = -1;
    return is_number(l, LENGTH_DIGITS_MOST) && (!l || str_to_long(*l, &s->length)) ? NULL : "l= is no number";
}

static const char *read_hashes(struct arena *a, const struct dkim_tags *tags, struct dkim_signature *s)
{
    const struct str *b = dkim_tag(tags, "b"), *bh = dkim_tag(tags, "bh");
    struct buf first = buf_in(a);
    struct str bytes;

    if (!b || !bh)
        return b ? "bh= is missing" : "b= is missing";
    if (!dkim_decode(a, *b, &bytes))
        return "b= is not base64";
    if (s->algorithm == DKIM_ED25519 ? bytes.n != 64 : bytes.n < 32 || bytes.n > 2048)
        return "b= has the wrong length";
    for (size_t i = 0; i < b->n && first.len < 8; i++)
        if (!is_blank(b->p[i]))
            buf_addc(&first, b->p[i]);
    s->b = buf_str(&first);
    if (!dkim_decode(a, *bh, &bytes))
        return "bh= is not base64";
    return bytes.n == (s->sha1 ? 20 : 32) ? NULL : "bh= has the wrong length";
}

static const char *read_rest(struct arena *a, const struct dkim_tags *tags, struct dkim_signature *s)
{
    const struct str *h = dkim_tag(tags, "h"), *c = dkim_tag(tags, "c");
    const char *problem = read_identity(a, dkim_tag(tags, "i"), s);

    if (!problem)
        problem = read_names(h, s);
    if (!problem && !is_canon(c))
        problem = "c= is not known";
    s->relaxed_body = c && str_ends_nocase(*c, STR("/relaxed"));
    if (!problem && !asks_dns(dkim_tag(tags, "q")))
        problem = "q= is not known";
    if (!problem)
        problem = read_times(tags);
    if (!problem)
        problem = read_length(dkim_tag(tags, "l"), s);
    if (!problem)
        problem = read_hashes(a, tags, s);
    return problem;
}

void dkim_signature_parse(struct arena *a, struct str value, struct dkim_signature *s)
{
    struct dkim_tags tags;
    const struct str *v;

    *s = (struct dkim_signature){.is_ascii = true};
    if (value.n > DKIM_FIELD_MOST) {
        s->problem = permerror(s, "the signature is too long");
        return;
    }
    if (!dkim_tags_parse(value, &tags)) {
        s->problem = permerror(s, "the signature is malformed");
        return;
    }
    for (size_t i = 0; i < value.n; i++)
        s->is_ascii = s->is_ascii && (unsigned char)value.p[i] < 0x80;
    s->problem = read_domain(a, &tags, s);
    v = dkim_tag(&tags, "v");
    if (!s->problem && (!v || !str_is(*v, STR("1"))))
        s->problem = "v= is not 1";
    if (!s->problem)
        s->problem = read_algorithm(a, dkim_tag(&tags, "a"), s);
    if (!s->problem)
        s->problem = read_rest(a, &tags, s);
    if (s->problem) {
        permerror(s, "");
    } else if (dkim_tag(&tags, "h")->n > DKIM_H_MOST) {
        s->problem = "the list of signed fields is too long";
        s->result = AUTH_POLICY;
    } else if (!s->is_ascii) {
        s->problem = "a signature in 8-bit bytes is not tried";
        s->result = AUTH_NEUTRAL;
    }
}

/* ---- keys ---- */

static bool list_has(const struct str *list, const char *word)
{
    struct str rest, one;

    if (!list)
        return false;
    rest = *list;
    while (str_split(&rest, ':', &one))
        if (str_is_nocase(str_trim(one), str_of(word)))
            return true;
    return false;
}

/* take_der - the content of the next element, which must have that tag, off *rest. Lengths in their shortest form
 * only. */
static bool take_der(struct str *rest, unsigned char tag, struct str *content)
{
    const unsigned char *p = (const unsigned char *)rest->p;
    size_t n, head = 2;

    if (rest->n < 2 || p[0] != tag)
        return false;
    n = p[1];
    if (n == 0x81 || n == 0x82) {
        head = n - 0x80 + 2;
        if (rest->n < head)
            return false;
        n = head == 3 ? p[2] : (size_t)p[2] << 8 | p[3];
        if (n < (head == 3 ? 0x80u : 0x100u))
            return false;
    } else if (n > 0x7f) {
        return false;
    }
    if (rest->n - head < n)
        return false;
    *content = str_slice(*rest, head, head + n);
    *rest = str_slice(*rest, head + n, rest->n);
    return true;
}

/* integer_bits - of a positive DER integer; 0 when it is none. */
static unsigned integer_bits(struct str bytes)
{
    unsigned bits = 0;

    if (bytes.n > 1 && bytes.p[0] == 0)
        bytes = str_slice(bytes, 1, bytes.n);
    else if (bytes.n == 0 || (bytes.p[0] & 0x80))
        return 0;
    for (unsigned first = (unsigned char)bytes.p[0]; first; first >>= 1)
        bits++;
    return bits ? bits + 8 * ((unsigned)bytes.n - 1) : 0;
}

/* rsa_bits - of a SubjectPublicKeyInfo (RFC 5280), which must be nothing but that; 0 when it is none, or one that
 * OpenSSL would not calculate with. Read here because OpenSSL's own reading costs more than verifying. */
static unsigned rsa_bits(struct str der)
{
    static const char rsa[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05";
    struct str key, algorithm, bits, numbers, n, e;

    if (!take_der(&der, 0x30, &key) || der.n || !take_der(&key, 0x30, &algorithm) || !take_der(&key, 0x03, &bits) ||
        key.n)
        return 0;
    if (!str_is(algorithm, (struct str){rsa, sizeof rsa}) && !str_is(algorithm, (struct str){rsa, sizeof rsa - 2}))
        return 0;
    if (bits.n < 1 || bits.p[0] != 0)
        return 0;
    bits = str_slice(bits, 1, bits.n);
    if (!take_der(&bits, 0x30, &numbers) || bits.n || !take_der(&numbers, 0x02, &n) || !take_der(&numbers, 0x02, &e) ||
        numbers.n)
        return 0;
    return integer_bits(e) >= 2 && integer_bits(e) <= 64 ? integer_bits(n) : 0;
}

static const char *read_p(struct arena *a, const struct str *p, enum dkim_algorithm algorithm, struct dkim_public *key)
{
    struct buf b = buf_in(a);
    struct str bytes;

    if (!p)
        return "the key record has no key";
    if (p->n == 0)
        return "the key is revoked";
    if (!dkim_decode(a, *p, &bytes))
        return "the key is not base64";
    for (size_t i = 0; i < p->n; i++)
        if (!is_blank(p->p[i]))
            buf_addc(&b, p->p[i]);
    key->p = buf_str(&b);
    if (algorithm == DKIM_ED25519)
        return bytes.n == 32 ? NULL : "the key has the wrong length";
    if (bytes.n > DKIM_RSA_BITS_MOST / 8 + 64) { /* not even looked at: OpenSSL would calculate with it */
        key->result = AUTH_POLICY;
        return "the key is too long";
    }
    key->bits = rsa_bits(bytes);
    if (key->bits > DKIM_RSA_BITS_MOST || key->p.n > DKIM_KEY_MOST) {
        key->result = AUTH_POLICY;
        return "the key is too long";
    }
    return key->bits ? NULL : "the key cannot be read";
}

void dkim_public_parse(struct arena *a, struct str record, enum dkim_algorithm algorithm, struct dkim_public *key)
{
    struct dkim_tags tags;
    const struct str *v, *k, *h, *s;

    *key = (struct dkim_public){.result = AUTH_PERMERROR};
    key->problem = "the key record is malformed";
    if (record.n > DKIM_RECORD_MOST || !dkim_tags_parse(record, &tags))
        return;
    v = dkim_tag(&tags, "v");
    k = dkim_tag(&tags, "k");
    h = dkim_tag(&tags, "h");
    s = dkim_tag(&tags, "s");
    key->testing = list_has(dkim_tag(&tags, "t"), "y");
    key->strict = list_has(dkim_tag(&tags, "t"), "s");
    if (v && (!str_is(*v, STR("DKIM1")) || !str_is(tags.items[0].name, STR("v"))))
        key->problem = "the key record is of another version";
    else if (!str_is_nocase(k ? *k : STR("rsa"), algorithm == DKIM_RSA ? STR("rsa") : STR("ed25519")))
        key->problem = "the key is for another algorithm";
    else if (h && !list_has(h, "sha256"))
        key->problem = "the key is for another hash";
    else if (s && !list_has(s, "email") && !list_has(s, "*"))
        key->problem = "the key is not for mail";
    else
        key->problem = read_p(a, dkim_tag(&tags, "p"), algorithm, key);
}
