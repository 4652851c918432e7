/* journal_text.c - text and facts as they stand in the file: safe to show, and what came can be had back. */
#include "journal_inside.h"

/* ---- text ---- */

/* shown - length of the character at the beginning of s when it is valid UTF-8 and shows as itself: no control
 * character, nothing that turns the direction of writing or takes no room. 0: not so. */
static size_t shown(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    uint32_t c;

    if (n < 2)
        return n && p[0] >= 0x20 && p[0] != 0x7f && p[0] != '\\';
    if (n > s.n)
        return 0;
    c = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < 0xa0 || (n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    if (c == 0xad || c == 0x061c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)
        || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xffff) || c >= 0xe0000)
        return 0;
    return n;
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '\\')
            return false;
    return true;
}

struct str journal_text(struct arena *a, struct str s)
{
    struct buf b;

    if (is_plain(s))
        return s;
    b = buf_in(a);
    while (s.n) {
        size_t n = shown(s);

        if (n)
            buf_add(&b, str_slice(s, 0, n));
        else if (*s.p == '\\')
            buf_add(&b, STR("\\\\"));
        else
            buf_addf(&b, "\\x%02X", (unsigned char)*s.p);
        s = str_slice(s, n ? n : 1, s.n);
    }
    return buf_str(&b);
}

struct str journal_untext(struct arena *a, struct str s)
{
    struct buf b;

    if (str_find(s, '\\') == s.n)
        return s;
    b = buf_in(a);
    while (s.n) {
        size_t taken = 1;

        if (str_starts(s, STR("\\\\"))) {
            buf_addc(&b, '\\');
            taken = 2;
        } else if (s.n >= 4 && str_starts(s, STR("\\x")) && str_hex(s.p[2]) >= 0 && str_hex(s.p[3]) >= 0) {
            buf_addc(&b, (char)(str_hex(s.p[2]) << 4 | str_hex(s.p[3])));
            taken = 4;
        } else {
            buf_addc(&b, *s.p);
        }
        s = str_slice(s, taken, s.n);
    }
    return buf_str(&b);
}

struct str journal_bare(struct str id)
{
    id = str_trim(id);
    return id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>' ? str_slice(id, 1, id.n - 1) : id;
}

/* ---- facts ---- */

/* add_string - of JSON; there are no control characters in it. */
static void add_string(struct buf *b, struct str s)
{
    buf_addc(b, '"');
    while (s.n) {
        size_t n = 0;

        while (n < s.n && s.p[n] != '"' && s.p[n] != '\\')
            n++;
        buf_add(b, str_slice(s, 0, n));
        if (n < s.n) {
            buf_addc(b, '\\');
            buf_addc(b, s.p[n++]);
        }
        s = str_slice(s, n, s.n);
    }
    buf_addc(b, '"');
}

struct str journal_facts_text(struct arena *a, const struct journal_fact *facts, size_t count)
{
    struct buf b;

    if (count == 0)
        return STR("{}"); /* so that json_each() can be asked of every row */
    b = buf_in(a);
    for (size_t i = 0; i < count; i++) {
        buf_addc(&b, i ? ',' : '{');
        add_string(&b, journal_text(a, facts[i].name));
        buf_addc(&b, ':');
        add_string(&b, journal_text(a, facts[i].value));
    }
    buf_addc(&b, '}');
    return buf_str(&b);
}

/* take_string - a string of the kind that add_string() writes; false: it is something else. */
static bool take_string(struct arena *a, struct str *s, struct str *found)
{
    struct buf b = {0};
    size_t from = 1, i = 1;

    if (s->n == 0 || *s->p != '"')
        return false;
    for (; i < s->n && s->p[i] != '"'; i++) {
        if (s->p[i] != '\\')
            continue;
        if (i + 1 == s->n)
            return false;
        if (!b.arena)
            b = buf_in(a);
        buf_add(&b, str_slice(*s, from, i));
        from = ++i; /* what is escaped stands for itself */
    }
    if (i == s->n)
        return false;
    *found = str_slice(*s, from, i);
    if (b.arena) {
        buf_add(&b, *found);
        *found = buf_str(&b);
    }
    *s = str_slice(*s, i + 1, s->n);
    return true;
}

void journal_facts_parse(struct arena *a, struct str text, const struct journal_fact **facts, size_t *count)
{
    struct journal_fact room[JOURNAL_FACTS_MOST];
    char before = '{';
    size_t n = 0;

    *facts = NULL;
    *count = 0;
    while (n < JOURNAL_FACTS_MOST && text.n && *text.p == before) {
        struct str name, value;

        text = str_slice(text, 1, text.n);
        if (!take_string(a, &text, &name) || text.n == 0 || *text.p != ':')
            break;
        text = str_slice(text, 1, text.n);
        if (!take_string(a, &text, &value))
            break;
        room[n++] = (struct journal_fact){journal_untext(a, name), journal_untext(a, value)};
        before = ',';
    }
    if (n == 0)
        return;
    *facts = memcpy(arena_array(a, n, sizeof room[0]), room, n * sizeof room[0]);
    *count = n;
}
