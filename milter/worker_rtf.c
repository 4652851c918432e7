/* worker_rtf.c - the text in an RTF document, as Outlook makes them.
 *
 * What is wanted is the words, so only what makes words is known: groups, destinations that hold none, characters in
 * hexadecimal and in Unicode, ends of lines. In HTML that was wrapped into RTF (\fromhtml) the parts between \htmlrtf
 * and \htmlrtf0 are for readers that know no HTML, and say everything twice.
 */
#include <string.h>

#include "worker_tnef.h"

#define DEPTH_MOST 100
#define WORD_MOST 32

struct group {
    bool skipped; /* nothing in it is text */
    bool doubled; /* between \htmlrtf and \htmlrtf0 */
    int unicode;  /* how many characters stand behind a \u for who does not know it */
};

struct rtf {
    struct arena *arena;
    struct str rest;
    struct buf out;
    struct group groups[DEPTH_MOST + 1];
    unsigned depth;
    int fallback; /* characters to leave out */
    bool ended;
};

static void add_char(struct rtf *r, unsigned long c)
{
    const struct group *g = &r->groups[r->depth];

    if (r->fallback > 0) {
        r->fallback--;
        return;
    }
    if (g->skipped || g->doubled || c == 0 || (c < 0x20 && c != '\n' && c != '\t'))
        return;
    if (c < 0x80) {
        buf_addc(&r->out, (char)c);
    } else if (c < 0x800) {
        buf_add(&r->out, (struct str){(char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, 2});
    } else if (c < 0xd800 || (c >= 0xe000 && c < 0x10000)) {
        buf_add(&r->out, (struct str){(char[]){(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)),
                                               (char)(0x80 | (c & 0x3f))}, 3});
    } else {
        buf_addc(&r->out, '?');
    }
}

static void add_byte(struct rtf *r, unsigned char c)
{
    struct str one;

    if (c < 0x80 || c >= 0xa0) {
        add_char(r, c);
        return;
    }
    one = tnef_utf8(r->arena, (struct str){(const char *)&c, 1});
    if (r->fallback > 0)
        r->fallback--;
    else if (!r->groups[r->depth].skipped && !r->groups[r->depth].doubled)
        buf_add(&r->out, one);
}

static void apply_word(struct rtf *r, struct str word, bool has_number, long number)
{
    static const char *const silent[] = {"fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "header",
                                         "footer", "footnote", "generator", "themedata", "listtable"};
    struct group *g = &r->groups[r->depth];

    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
        if (str_is(word, str_of(silent[i])))
            g->skipped = true;
    if (str_is(word, STR("par")) || str_is(word, STR("line")) || str_is(word, STR("row")))
        add_char(r, '\n');
    else if (str_is(word, STR("tab")) || str_is(word, STR("cell")))
        add_char(r, '\t');
    else if (str_is(word, STR("lquote")) || str_is(word, STR("rquote")))
        add_char(r, '\'');
    else if (str_is(word, STR("ldblquote")) || str_is(word, STR("rdblquote")))
        add_char(r, '"');
    else if (str_is(word, STR("bullet")))
        add_char(r, 0x2022);
    else if (str_is(word, STR("endash")) || str_is(word, STR("emdash")))
        add_char(r, '-');
    else if (str_is(word, STR("htmlrtf")))
        g->doubled = !has_number || number != 0;
    else if (str_is(word, STR("uc")) && number >= 0 && number <= 16)
        g->unicode = (int)number;
    else if (str_is(word, STR("u")) && has_number) {
        add_char(r, (unsigned long)(number < 0 ? number + 65536 : number) & 0xffff);
        r->fallback = g->unicode;
    }
}

static bool take(struct rtf *r, char *c)
{
    if (!r->rest.n)
        return false;
    *c = r->rest.p[0];
    r->rest = str_slice(r->rest, 1, r->rest.n);
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void control_word(struct rtf *r)
{
    size_t n = 0, digits;
    bool minus = false;
    struct str word;
    long number = 0;

    while (n < r->rest.n && is_letter(r->rest.p[n]))
        n++;
    word = str_slice(r->rest, 0, n < WORD_MOST ? n : WORD_MOST);
    r->rest = str_slice(r->rest, n, r->rest.n);
    if (r->rest.n > 1 && r->rest.p[0] == '-' && r->rest.p[1] >= '0' && r->rest.p[1] <= '9') {
        minus = true;
        r->rest = str_slice(r->rest, 1, r->rest.n);
    }
    for (digits = 0; digits < r->rest.n && r->rest.p[digits] >= '0' && r->rest.p[digits] <= '9'; digits++)
        if (number < 100000000)
            number = number * 10 + (r->rest.p[digits] - '0');
    r->rest = str_slice(r->rest, digits, r->rest.n);
    if (r->rest.n && r->rest.p[0] == ' ')
        r->rest = str_slice(r->rest, 1, r->rest.n);
    if (str_is(word, STR("bin")) && digits && !minus) { /* so many bytes of anything */
        r->rest = str_slice(r->rest, (size_t)number, r->rest.n);
        return;
    }
    apply_word(r, word, digits > 0, minus ? -number : number);
}

static void control(struct rtf *r)
{
    char c;

    if (r->rest.n && is_letter(r->rest.p[0])) {
        control_word(r);
        return;
    }
    if (!take(r, &c))
        return;
    if (c == '\'' && r->rest.n >= 2) {
        int high = str_hex(r->rest.p[0]), low = str_hex(r->rest.p[1]);

        r->rest = str_slice(r->rest, 2, r->rest.n);
        if (high >= 0 && low >= 0)
            add_byte(r, (unsigned char)(high << 4 | low));
    } else if (c == '*') {
        r->groups[r->depth].skipped = true;
    } else if (c == '~') {
        add_char(r, ' ');
    } else if (c == '\n' || c == '\r') {
        add_char(r, '\n');
    } else if (c == '\\' || c == '{' || c == '}') {
        add_char(r, (unsigned char)c);
    }
}

static bool step(struct rtf *r, char c)
{
    switch (c) {
    case '{':
        if (r->depth == DEPTH_MOST)
            return false;
        r->groups[r->depth + 1] = r->groups[r->depth];
        r->depth++;
        r->fallback = 0;
        return true;
    case '}':
        if (r->depth == 0)
            return false;
        r->ended = --r->depth == 0;
        r->fallback = 0;
        return true;
    case '\\':
        control(r);
        return true;
    case '\r':
    case '\n':
        return true;
    default:
        add_byte(r, (unsigned char)c);
        return true;
    }
}

bool tnef_rtf_text(struct arena *a, struct str rtf, struct str *text)
{
    struct rtf r = {.arena = a, .rest = rtf, .out = buf_in(a), .groups = {{.unicode = 1}}};
    char c;

    if (!str_starts(rtf, STR("{\\rtf")))
        return false;
    while (!r.ended && take(&r, &c))
        if (!step(&r, c))
            return false;
    *text = buf_str(&r.out);
    return r.ended;
}
