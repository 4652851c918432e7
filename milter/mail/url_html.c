/* url_html.c - links in HTML: one pass, in the states that a browser's tokenizer goes through. */
#include "url.h"
#include "url_inside.h"

#define COMMENT_DEPTH 4  /* comments in comments that are read as HTML */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- entities ---- */

void url_add_utf8(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_addc(b, (char)c);
    } else if (c < 0x800) {
        buf_addc(b, (char)(0xc0 | c >> 6));
        buf_addc(b, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        buf_addc(b, (char)(0xe0 | c >> 12));
        buf_addc(b, (char)(0x80 | (c >> 6 & 63)));
        buf_addc(b, (char)(0x80 | (c & 63)));
    } else {
        buf_addc(b, (char)(0xf0 | (c >> 18 & 7)));
        buf_addc(b, (char)(0x80 | (c >> 12 & 63)));
        buf_addc(b, (char)(0x80 | (c >> 6 & 63)));
        buf_addc(b, (char)(0x80 | (c & 63)));
    }
}

/* number_at - s begins with "&#". The length taken; 0: it is no reference. */
static size_t number_at(struct buf *b, struct str s)
{
    bool hexadecimal = s.n > 2 && (s.p[2] | 0x20) == 'x';
    size_t from = hexadecimal ? 3 : 2, i;
    uint32_t c = 0;

    for (i = from; i < s.n; i++) {
        uint32_t digit;

        if (s.p[i] >= '0' && s.p[i] <= '9')
            digit = (uint32_t)(s.p[i] - '0');
        else if (hexadecimal && (s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'f')
            digit = (uint32_t)((s.p[i] | 0x20) - 'a' + 10);
        else
            break;
        if (c <= 0x10ffff)
            c = c * (hexadecimal ? 16 : 10) + digit;
    }
    if (i == from)
        return 0;
    if (i < s.n && s.p[i] == ';')
        i++;
    if (c > 0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff))
        url_add_utf8(b, c);
    return i;
}

static size_t entity_at(struct buf *b, struct str s)
{
    size_t taken;

    if (s.n > 2 && s.p[1] == '#')
        return number_at(b, s);
    taken = url_name_at(b, str_slice(s, 1, s.n));
    return taken ? 1 + taken : 0;
}

/* add_decoded - append text with its entities resolved. */
static void add_decoded(struct buf *b, struct str s)
{
    size_t pos = 0;

    while (pos < s.n) {
        size_t amp = pos + str_find(str_slice(s, pos, s.n), '&'), taken;

        buf_add(b, str_slice(s, pos, amp));
        if (amp >= s.n)
            return;
        taken = entity_at(b, str_slice(s, amp, s.n));
        if (!taken) {
            buf_addc(b, '&');
            taken = 1;
        }
        pos = amp + taken;
    }
}

/* ---- values ---- */

/* links_relative - "//host" where a list or a function of CSS may hold one. */
static void links_relative(struct links *l, struct str value)
{
    for (size_t i = 0; i + 2 < value.n; i++) {
        char before = i ? value.p[i - 1] : ' ';

        if ((value.p[i] != '/' && value.p[i] != '\\') || (value.p[i + 1] != '/' && value.p[i + 1] != '\\') ||
            !(is_space(before) || before == '(' || before == ',' || before == '=' || before == '\'' || before == '"'))
            continue;
        i = url_authority_at(l, value, i, false);
    }
}

/* without_controls - as browsers read a URL: no tabs, no line ends, nothing before its first letter. */
static struct str without_controls(struct arena *a, struct str value)
{
    char *out = arena_alloc(a, value.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < value.n; i++)
        if (!memchr("\t\r\n", value.p[i], 3) && (n || (unsigned char)value.p[i] > ' '))
            out[n++] = value.p[i];
    return (struct str){out, n};
}

static void url_value(struct links *l, struct str value)
{
    static const struct str schemes[] = {{"http:", 5}, {"https:", 6}, {"ftp:", 4}};

    if (value.n > 1 && memchr("/\\", value.p[0], 2) && memchr("/\\", value.p[1], 2)) {
        url_authority_at(l, value, 0, true);
    } else if (str_starts_nocase(value, STR("mailto:"))) {
        url_mailto(l, str_slice(value, 7, value.n));
    } else {
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
            if (str_starts_nocase(value, schemes[i])) /* with any number of slashes, or none */
                url_authority_at(l, value, schemes[i].n, true);
    }
}

void links_from_value(struct links *l, struct str value, bool is_url)
{
    struct arena *a;

    if (value.n == 0)
        return;
    a = arena_new(0);
    if (is_url)
        url_value(l, without_controls(a, value));
    links_relative(l, value);
    url_schemes(l, value);
    url_decoded(l, value);
    arena_free(&a);
}

/* ---- tags ---- */

static bool is_one_of(struct str name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (str_is_nocase(name, str_of(names[i])))
            return true;
    return false;
}

static const char *const url_attributes[] = {
    "href", "src", "action", "formaction", "background", "cite", "data", "poster", "longdesc", "lowsrc", "dynsrc",
    "codebase", "manifest", "icon", "xlink:href", "ping", "profile", "usemap", "archive", "srcset", "imagesrcset", NULL,
};

/* Tags that do not break a word. */
static const char *const inline_tags[] = {
    "a", "abbr", "b", "bdi", "bdo", "big", "em", "font", "i", "ins", "mark", "s", "small", "span", "strong", "sub",
    "sup", "tt", "u", "wbr", "code", "acronym", "o:p", NULL,
};

struct html {
    struct links *links;
    struct str s;
    size_t pos;
    struct buf text;  /* what is shown */
    struct buf value; /* of the attribute at hand */
};

static struct str take_while_name(struct html *h)
{
    size_t from = h->pos;

    while (h->pos < h->s.n && !is_space(h->s.p[h->pos]) && !memchr("/>=", h->s.p[h->pos], 3))
        h->pos++;
    if (h->pos < h->s.n && h->pos == from && h->s.p[from] == '=') /* a name may begin with one */
        h->pos++;
    return str_slice(h->s, from, h->pos);
}

static struct str take_value(struct html *h)
{
    size_t from = ++h->pos, end;

    while (h->pos < h->s.n && is_space(h->s.p[h->pos]))
        from = ++h->pos;
    if (h->pos >= h->s.n)
        return STR_NONE;
    if (h->s.p[from] == '"' || h->s.p[from] == '\'') {
        end = from + 1 + str_find(str_slice(h->s, from + 1, h->s.n), h->s.p[from]);
        h->pos = end < h->s.n ? end + 1 : h->s.n;
        return str_slice(h->s, from + 1, end);
    }
    while (h->pos < h->s.n && !is_space(h->s.p[h->pos]) && h->s.p[h->pos] != '>')
        h->pos++;
    return str_slice(h->s, from, h->pos);
}

/* take_attributes - up to the end of the tag; pos is behind its name. */
static void take_attributes(struct html *h)
{
    while (h->pos < h->s.n) {
        struct str name, value;

        while (h->pos < h->s.n && (is_space(h->s.p[h->pos]) || h->s.p[h->pos] == '/'))
            h->pos++;
        if (h->pos >= h->s.n)
            return;
        if (h->s.p[h->pos] == '>') {
            h->pos++;
            return;
        }
        name = take_while_name(h);
        while (h->pos < h->s.n && is_space(h->s.p[h->pos]))
            h->pos++;
        if (h->pos >= h->s.n || h->s.p[h->pos] != '=')
            continue;
        value = take_value(h);
        h->value.len = 0;
        add_decoded(&h->value, value);
        if (h->value.len > 2)
            links_from_value(h->links, buf_str(&h->value), is_one_of(name, url_attributes));
    }
}

/* raw_text - what stands up to </name: style sheets and scripts have no tags. */
static void raw_text(struct html *h, struct str name)
{
    size_t from = h->pos;

    while (h->pos < h->s.n) {
        size_t at = h->pos + str_find(str_slice(h->s, h->pos, h->s.n), '<');

        h->pos = at;
        if (at >= h->s.n || (str_is(str_slice(h->s, at, at + 2), STR("</")) &&
                             str_is_nocase(str_slice(h->s, at + 2, at + 2 + name.n), name)))
            break;
        h->pos++;
    }
    links_from_value(h->links, str_slice(h->s, from, h->pos), false);
}

static void read_html(struct links *l, struct str html, int depth);

/* take_comment - pos is at "<!". Conditional comments hold HTML that some mail readers show. */
static void take_comment(struct html *h, int depth)
{
    const char *end;
    size_t from;

    if (!str_is(str_slice(h->s, h->pos, h->pos + 4), STR("<!--"))) {
        size_t close = str_find(str_slice(h->s, h->pos, h->s.n), '>');

        h->pos += close + 1;
        return;
    }
    from = h->pos + 4;
    if (str_is(str_slice(h->s, from, from + 1), STR(">")) || str_is(str_slice(h->s, from, from + 2), STR("->"))) {
        h->pos = from + str_find(str_slice(h->s, from, h->s.n), '>') + 1;
        return;
    }
    end = from < h->s.n ? memmem(h->s.p + from, h->s.n - from, "-->", 3) : NULL;
    h->pos = end ? (size_t)(end - h->s.p) + 3 : h->s.n;
    if (depth < COMMENT_DEPTH)
        read_html(h->links, str_slice(h->s, from, end ? h->pos - 3 : h->s.n), depth + 1);
    else
        links_from_text(h->links, str_slice(h->s, from, h->pos));
}

static void take_tag(struct html *h, int depth)
{
    char next = h->pos + 1 < h->s.n ? h->s.p[h->pos + 1] : '\0';
    bool closing = next == '/';
    struct str name;
    size_t from;

    if (next == '!' || next == '?') {
        take_comment(h, depth);
        return;
    }
    if (!is_letter(next) && !closing) {
        buf_addc(&h->text, '<');
        h->pos++;
        return;
    }
    from = h->pos += closing ? 2 : 1;
    while (h->pos < h->s.n && !is_space(h->s.p[h->pos]) && h->s.p[h->pos] != '>' && h->s.p[h->pos] != '/')
        h->pos++;
    name = str_slice(h->s, from, h->pos);
    if (!is_one_of(name, inline_tags))
        buf_addc(&h->text, '\n');
    take_attributes(h);
    if (closing)
        return;
    if (str_is_nocase(name, STR("style")) || str_is_nocase(name, STR("script")))
        raw_text(h, name);
}

static void read_html(struct links *l, struct str html, int depth)
{
    struct arena *a = arena_new(0);
    struct html h = {.links = l, .s = html, .text = buf_in(a), .value = buf_in(a)};

    while (h.pos < html.n) {
        size_t open = h.pos + str_find(str_slice(html, h.pos, html.n), '<');

        add_decoded(&h.text, str_slice(html, h.pos, open));
        h.pos = open;
        if (open < html.n)
            take_tag(&h, depth);
    }
    links_from_text(l, buf_str(&h.text));
    arena_free(&a);
}

void links_from_html(struct links *l, struct str html)
{
    read_html(l, html, 0);
}
