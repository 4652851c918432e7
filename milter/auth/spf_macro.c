/* spf_macro.c - macro strings: their grammar, and their expansion (RFC 7208, section 7). */
#include "spf_macro.h"

#include "../dns/packet.h"

#define KEEP_MOST 128 /* labels that can be asked for; more are all of them */
#define PARTS_MOST 1024

static const char domain_letters[] = "slodiphv";
static const char explanation_letters[] = "slodiphvcrt";

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

struct macro {
    char letter;
    unsigned keep; /* right-most parts; 0: all */
    bool reverse, escape;
    struct str delimiters;
    size_t length; /* of the source */
};

/* macro_read - "%{d2r.-}" at the beginning of s. */
static bool macro_read(struct str s, const char *letters, struct macro *m)
{
    size_t i = 3, from;

    *m = (struct macro){0};
    if (s.n < 4 || !is_one_of(lower(s.p[2]), letters))
        return false;
    m->letter = lower(s.p[2]);
    m->escape = s.p[2] != m->letter;
    for (from = i; i < s.n && is_digit(s.p[i]); i++)
        if (m->keep < KEEP_MOST)
            m->keep = m->keep * 10 + (unsigned)(s.p[i] - '0');
    if (i > from && m->keep == 0)
        return false;
    if (i < s.n && lower(s.p[i]) == 'r') {
        m->reverse = true;
        i++;
    }
    for (from = i; i < s.n && is_one_of(s.p[i], ".-+,/_="); i++)
        ;
    m->delimiters = str_slice(s, from, i);
    m->length = i + 1;
    return i < s.n && s.p[i] == '}';
}

struct shape {
    unsigned macros;
    bool ends_in_macro; /* the last thing is a macro-expand */
    bool peer;
};

/* shape_read - whether the whole text is a macro-string; with spaces when it is an explanation. */
static bool shape_read(struct str s, bool explanation, struct shape *shape)
{
    struct macro m;

    *shape = (struct shape){0};
    for (size_t i = 0; i < s.n;) {
        struct str rest = str_slice(s, i, s.n);

        shape->ends_in_macro = rest.p[0] == '%';
        if (rest.p[0] != '%') {
            if ((rest.p[0] < '!' || rest.p[0] > '~') && !(explanation && rest.p[0] == ' '))
                return false;
            i++;
            continue;
        }
        shape->macros++;
        if (rest.n >= 2 && is_one_of(rest.p[1], "%_-")) {
            i += 2;
            continue;
        }
        if (rest.n < 2 || rest.p[1] != '{' || !macro_read(rest, explanation ? explanation_letters : domain_letters, &m))
            return false;
        shape->peer |= m.letter == 'p';
        i += m.length;
    }
    return true;
}

/* is_toplabel - letters, digits and inner hyphens, and not digits alone. */
static bool is_toplabel(struct str s)
{
    bool only_digits = true;

    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.p[i]) && (s.p[i] != '-' || i == 0 || i + 1 == s.n))
            return false;
        only_digits &= is_digit(s.p[i]);
    }
    return s.n && !only_digits;
}

bool spf_spec_valid(struct str spec)
{
    struct shape shape;
    size_t dot;

    if (spec.n == 0 || spec.n > SPF_SOURCE_MOST || !shape_read(spec, false, &shape) || shape.macros > SPF_MACROS_MOST)
        return false;
    if (shape.ends_in_macro)
        return true;
    if (spec.p[spec.n - 1] == '.')
        spec.n--;
    dot = str_rfind(spec, '.');
    return dot < spec.n && is_toplabel(str_slice(spec, dot + 1, spec.n));
}

bool spf_macro_string_valid(struct str s)
{
    struct shape shape;

    return shape_read(s, false, &shape);
}

bool spf_explanation_valid(struct str text)
{
    struct shape shape;

    return text.n && text.n <= SPF_SOURCE_MOST && shape_read(text, true, &shape) && shape.macros <= SPF_MACROS_MOST;
}

bool spf_uses_peer(struct str s)
{
    struct shape shape;

    return shape_read(s, true, &shape) && shape.peer;
}

/* ---- expansion ---- */

static struct str dotted(struct arena *a, struct ip ip)
{
    struct buf b = buf_in(a);

    if (ip_is_v4(ip))
        return ip_text(a, ip);
    for (int i = 0; i < 16; i++)
        buf_addf(&b, "%s%X.%X", i ? "." : "", ip.b[i] >> 4, ip.b[i] & 15u);
    return buf_str(&b);
}

static struct str value_of(struct arena *a, char letter, const struct spf_macros *m)
{
    switch (letter) {
    case 's':
        return arena_printf(a, STR_FMT "@" STR_FMT, STR_ARG(m->local), STR_ARG(m->sender_domain));
    case 'l':
        return m->local;
    case 'o':
        return m->sender_domain;
    case 'd':
        return m->domain;
    case 'i':
        return dotted(a, m->client);
    case 'p':
        return m->peer.n ? m->peer : STR("unknown");
    case 'h':
        return m->helo;
    case 'v':
        return ip_is_v4(m->client) ? STR("in-addr") : STR("ip6");
    case 'c':
        return ip_text(a, m->client);
    case 'r':
        return m->receiver.n ? m->receiver : STR("unknown");
    default:
        return arena_printf(a, "%lld", (long long)m->seconds);
    }
}

static void add_value(struct buf *b, struct str value, bool escape)
{
    for (size_t i = 0; i < value.n; i++) {
        if (!escape || is_alnum(value.p[i]) || is_one_of(value.p[i], "-._~"))
            buf_addc(b, value.p[i]);
        else
            buf_addf(b, "%%%02X", (unsigned char)value.p[i]);
    }
}

/* add_parts - split, turn round, keep the right-most, join with dots. */
static void add_parts(struct buf *b, struct str value, const struct macro *m)
{
    const struct str delimiters = m->delimiters.n ? m->delimiters : STR(".");
    struct str part[PARTS_MOST];
    size_t count = 0, from = 0, first;

    for (size_t i = 0; i <= value.n && count < PARTS_MOST; i++) {
        if (i < value.n && (str_find(delimiters, value.p[i]) == delimiters.n || count == PARTS_MOST - 1))
            continue;
        part[count++] = str_slice(value, from, i);
        from = i + 1;
    }
    first = m->keep && m->keep < count ? count - m->keep : 0;
    for (size_t i = first; i < count; i++) {
        if (i > first)
            buf_addc(b, '.');
        add_value(b, part[m->reverse ? count - 1 - i : i], m->escape);
    }
}

struct str spf_expand(struct arena *a, struct str s, const struct spf_macros *m)
{
    struct buf b = buf_in(a);
    struct macro macro;

    buf_add(&b, STR(""));
    for (size_t i = 0; i < s.n;) {
        struct str rest = str_slice(s, i, s.n);

        if (rest.p[0] != '%' || rest.n < 2) {
            buf_addc(&b, rest.p[0]);
            i++;
        } else if (rest.p[1] == '{' && macro_read(rest, explanation_letters, &macro)) {
            add_parts(&b, value_of(a, macro.letter, m), &macro);
            i += macro.length;
        } else {
            buf_add(&b, rest.p[1] == '_' ? STR(" ") : rest.p[1] == '-' ? STR("%20") : STR("%"));
            i += 2;
        }
    }
    return buf_str(&b);
}

struct str spf_expand_domain(struct arena *a, struct str spec, const struct spf_macros *m)
{
    struct str name = spf_expand(a, spec, m);

    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    while (name.n > DNS_NAME_MOST) {
        size_t dot = str_find(name, '.');

        if (dot == name.n)
            break;
        name = str_slice(name, dot + 1, name.n);
    }
    return name;
}
