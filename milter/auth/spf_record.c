/* spf_record.c - the grammar of records (RFC 7208, section 12). */
#include "spf_record.h"

#include <arpa/inet.h>

#include "spf_macro.h"

static const struct {
    struct str word;
    enum spf_kind kind;
} mechanisms[] = {
    {STR("all"), SPF_ALL}, {STR("include"), SPF_INCLUDE}, {STR("a"), SPF_A},     {STR("mx"), SPF_MX},
    {STR("ptr"), SPF_PTR}, {STR("ip4"), SPF_IP4},         {STR("ip6"), SPF_IP6}, {STR("exists"), SPF_EXISTS},
};

bool spf_record_is(struct str txt)
{
    return str_starts_nocase(txt, STR("v=spf1")) && (txt.n == 6 || txt.p[6] == ' ');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* name_length - of the modifier's or mechanism's name at the beginning of a term. */
static size_t name_length(struct str s)
{
    size_t n = 0;

    if (s.n == 0 || !is_alpha(s.p[0]))
        return 0;
    while (n < s.n && (is_alpha(s.p[n]) || is_digit(s.p[n]) || s.p[n] == '-' || s.p[n] == '_' || s.p[n] == '.'))
        n++;
    return n;
}

/* take_bits - "/24" off the end of *s; 1: taken, 0: there is none, -1: it is wrong. */
static int take_bits(struct str *s, unsigned most, unsigned *bits)
{
    size_t i = s->n;
    unsigned value = 0;

    while (i > 0 && is_digit(s->p[i - 1]))
        i--;
    if (i == s->n || i == 0 || s->p[i - 1] != '/')
        return 0;
    if (s->n - i > 3 || (s->p[i] == '0' && s->n - i > 1))
        return -1;
    for (size_t k = i; k < s->n; k++)
        value = value * 10 + (unsigned)(s->p[k] - '0');
    if (value > most)
        return -1;
    *bits = value;
    s->n = i - 1;
    return 1;
}

/* read_prefixes - dual-cidr-length off the end: "/24", "//64", "/24//64". */
static bool read_prefixes(struct str *s, struct spf_term *t)
{
    struct str rest = *s;
    unsigned bits;

    switch (take_bits(&rest, 128, &bits)) {
    case -1:
        return false;
    case 0:
        return true;
    }
    if (rest.n && rest.p[rest.n - 1] == '/') {
        t->bits6 = bits;
        rest.n--;
        *s = rest;
        return take_bits(s, 32, &t->bits4) >= 0;
    }
    return take_bits(s, 32, &t->bits4) > 0;
}

/* read_network - what stands behind "ip4:" and "ip6:". */
static bool read_network(struct str s, struct spf_term *t)
{
    bool v4 = t->kind == SPF_IP4;
    char text[INET6_ADDRSTRLEN];

    if (take_bits(&s, v4 ? 32 : 128, v4 ? &t->bits4 : &t->bits6) < 0)
        return false;
    if (s.n == 0 || s.n >= sizeof text || str_find(s, '\0') < s.n)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(v4 ? AF_INET : AF_INET6, text, t->net) == 1;
}

static bool read_directive(struct str word, struct spf_term *t)
{
    struct str name, value;
    bool colon;
    size_t n;

    *t = (struct spf_term){.qualifier = '+', .bits4 = 32, .bits6 = 128, .text = word};
    if (word.n && str_find(STR("+-~?"), word.p[0]) < 4) {
        t->qualifier = word.p[0];
        word = str_slice(word, 1, word.n);
    }
    n = name_length(word);
    name = str_slice(word, 0, n);
    value = str_slice(word, n, word.n);
    colon = value.n && value.p[0] == ':';
    for (size_t i = 0;; i++) {
        if (i == sizeof mechanisms / sizeof mechanisms[0])
            return false;
        if (str_is_nocase(name, mechanisms[i].word)) {
            t->kind = mechanisms[i].kind;
            break;
        }
    }
    switch (t->kind) {
    case SPF_ALL:
        return value.n == 0;
    case SPF_IP4:
    case SPF_IP6:
        return colon && read_network(str_slice(value, 1, value.n), t);
    case SPF_A:
    case SPF_MX:
        if (!read_prefixes(&value, t))
            return false;
        break;
    default:
        break;
    }
    if (value.n == 0)
        return t->kind == SPF_A || t->kind == SPF_MX || t->kind == SPF_PTR;
    t->spec = str_slice(value, 1, value.n);
    return colon && spf_spec_valid(t->spec);
}

struct modifiers {
    struct spf_term redirect;
    bool has_redirect, has_exp;
    struct str exp;
};

/* read_modifier - "name=value"; *error says what is wrong with it. */
static bool read_modifier(struct str word, size_t n, struct modifiers *m, const char **error)
{
    struct str name = str_slice(word, 0, n), value = str_slice(word, n + 1, word.n);
    bool redirect = str_is_nocase(name, STR("redirect")), exp = str_is_nocase(name, STR("exp"));

    if ((redirect && m->has_redirect) || (exp && m->has_exp)) {
        *error = "is there twice";
        return false;
    }
    if (redirect || exp ? !spf_spec_valid(value) : !spf_macro_string_valid(value)) {
        *error = "has no valid value";
        return false;
    }
    if (redirect)
        m->redirect = (struct spf_term){.kind = SPF_REDIRECT, .qualifier = '+', .spec = value, .text = word};
    else if (exp)
        m->exp = value;
    m->has_redirect |= redirect;
    m->has_exp |= exp;
    return true;
}

/* bad_word - words are named in full: who reads the problem escapes and cuts it. */
static bool bad_word(struct arena *a, struct str *error, struct str word, const char *why)
{
    *error = arena_printf(a, "\"" STR_FMT "\" %s", STR_ARG(str_slice(word, 0, 80)), why);
    return false;
}

static void add_term(struct arena *a, struct spf_record *record, const struct spf_term *term)
{
    record->terms = arena_grow(a, record->terms, record->count, sizeof *record->terms);
    record->terms[record->count++] = *term;
}

bool spf_record_parse(struct arena *a, struct str txt, struct spf_record *record, struct str *error)
{
    struct modifiers m = {0};
    struct str rest = str_slice(txt, 6, txt.n), word;
    const char *why = "";
    struct spf_term term;
    bool all = false;

    *record = (struct spf_record){0};
    *error = STR("");
    if (txt.n > SPF_RECORD_MOST) {
        *error = arena_printf(a, "the record has %zu bytes", txt.n);
        return false;
    }
    while (rest.n) {
        size_t n, blank = str_find(rest, ' ');

        word = str_slice(rest, 0, blank);
        rest = str_slice(rest, blank + 1, rest.n);
        if (word.n == 0)
            continue;
        n = name_length(word);
        if (n && n < word.n && word.p[n] == '=') {
            if (!read_modifier(word, n, &m, &why))
                return bad_word(a, error, word, why);
            continue;
        }
        if (!read_directive(word, &term))
            return bad_word(a, error, word, "is no valid term");
        all |= term.kind == SPF_ALL;
        add_term(a, record, &term);
    }
    record->exp = m.exp;
    if (m.has_redirect && !all)
        add_term(a, record, &m.redirect);
    return true;
}

bool spf_term_has(const struct spf_term *term, struct ip client)
{
    bool v4 = ip_is_v4(client);
    const uint8_t *address = v4 ? client.b + 12 : client.b;
    unsigned bits = v4 ? term->bits4 : term->bits6;

    if (term->kind != (v4 ? SPF_IP4 : SPF_IP6))
        return false;
    if (bits / 8 && memcmp(address, term->net, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || ((address[bits / 8] ^ term->net[bits / 8]) >> (8 - bits % 8)) == 0;
}
