/* mime_footer.c - into which parts of a message its footer goes. */
#include "mime_edit_inside.h"

static bool is_attachment(const struct mime_part *p)
{
    if (p->names.count)
        return true;
    for (size_t i = 0; i < p->head->dispositions.count; i++)
        if (str_starts_nocase(p->head->dispositions.items[i], STR("attachment")))
            return true;
    return false;
}

/* child_after - the next part right inside `container`; NULL as `child`: the first. */
static const struct mime_part *child_after(const struct mime_part *container, const struct mime_part *child)
{
    for (const struct mime_part *p = child ? child->next : container->next; p; p = p->next)
        if (p->inside == container && p->found == MIME_DECLARED)
            return p;
    return NULL;
}

/* root_of - the document of a multipart/related (RFC 2387): the first part, or that whose Content-ID is the parameter
 * start; NULL: none is. */
static const struct mime_part *root_of(struct mime_edit *e, const struct mime_part *related)
{
    const struct mime_part *first = child_after(related, NULL);
    struct mime_values start = {0};
    struct headers fields = {0};
    const struct header *id;
    struct str rest;
    bool odd = false;
    size_t at;

    mime_parameter(e->arena, related->head->types.items[0], STR("start"), &start, &odd);
    if (!first || start.count == 0)
        return first;
    for (const struct mime_part *p = first; p; p = child_after(related, p)) {
        if (!mime_head_at(e, p, &at))
            continue;
        fields = (struct headers){0};
        headers_split(e->arena, str_slice(e->mime->body, at, at + MIME_HEADER_MOST), &fields, &rest);
        id = header_find(&fields, STR("Content-ID"), 0);
        if (id && str_is(str_trim(id->value), start.items[0]))
            return p;
    }
    return NULL;
}

struct placing {
    struct mime_edit *e;
    const struct mime_footer *footer;
    bool done, there;
};

/* place_in - false: a reason to leave the message alone. No deeper than the reader allows. */
static bool place_in(struct placing *p, const struct mime_part *part)
{
    const struct mime_part *child = NULL;
    bool before = p->done || p->there;

    if (part->leaf) {
        if (is_attachment(part) || !(str_is(part->type, STR("text/plain")) || str_is(part->type, STR("text/html"))))
            return true;
        switch (mime_put_footer(p->e, part, p->footer)) {
        case PUT_NOT:
            return false;
        case PUT_DONE:
            p->done = true;
            break;
        case PUT_THERE:
            p->there = true;
            break;
        }
        return true;
    }
    if (str_is(part->type, STR("multipart/alternative"))) {
        while ((child = child_after(part, child)) != NULL)
            if (!place_in(p, child))
                return false;
    } else if (str_is(part->type, STR("multipart/related"))) {
        child = root_of(p->e, part);
        return !child || place_in(p, child);
    } else if (str_is(part->type, STR("multipart/mixed"))) {
        while ((p->done || p->there) == before && (child = child_after(part, child)) != NULL)
            if (!place_in(p, child))
                return false;
    }
    return true;
}

/* new_part - the footer as a part of its own. */
static struct str new_part(struct mime_edit *e, const struct mime_footer *footer)
{
    struct buf b = buf_in(e->arena);
    struct str text = str_slice(footer->text, 0, footer->text.n - 1);
    bool ascii = mime_is_ascii(text), plain = ascii && mime_longest_line(text) < 900;
    size_t column = 0;

    buf_addf(&b, "Content-Type: text/plain; charset=%s%s", ascii ? "us-ascii" : "utf-8", e->eol);
    buf_addf(&b, "Content-Transfer-Encoding: %s%s%s", plain ? "7bit" : "quoted-printable", e->eol, e->eol);
    text = mime_with_eol(e->arena, text, e->eol);
    if (plain)
        buf_add(&b, text);
    else
        mime_add_qp(&b, text, e->eol, &column);
    return buf_str(&b);
}

/* add_part - as the first of a multipart/mixed, else around everything. */
static bool add_part(struct mime_edit *e, const struct mime_footer *footer)
{
    const struct mime_part *top = e->mime->first, *first;
    struct str part = new_part(e, footer);
    size_t at;

    if (str_starts(top->type, STR("multipart/")) && !str_is(top->type, STR("multipart/mixed")) &&
        !str_is(top->type, STR("multipart/alternative")) && !str_is(top->type, STR("multipart/related")))
        return mime_refuse(e, "it is of a kind that has its own meaning");
    if (str_is(top->type, STR("text/calendar")) || str_starts(top->type, STR("message/")))
        return mime_refuse(e, "it is of a kind that has its own meaning");
    if (header_count(e->headers, STR("Content-Type")) > 1 ||
        header_count(e->headers, STR("Content-Transfer-Encoding")) > 1)
        return mime_refuse(e, "a field of its header is repeated");
    e->added++;
    if (!str_is(top->type, STR("multipart/mixed")))
        return mime_wrap(e, part);
    first = child_after(top, NULL);
    if (!first || !mime_head_at(e, first, &at))
        return mime_refuse(e, "the place of a part is not known");
    mime_splice_add(e, at, 0, arena_printf(e->arena, STR_FMT "%s--" STR_FMT "%s", STR_ARG(part), e->eol,
                                           STR_ARG(top->head->boundaries.items[0]), e->eol));
    return true;
}

bool mime_edit_footer(struct mime_edit *e, const struct mime_footer *footer)
{
    struct placing p = {.e = e, .footer = footer};

    if (e->why || !place_in(&p, e->mime->first))
        return false;
    if (p.done || p.there)
        return p.done;
    return add_part(e, footer);
}

/* ---- HTML of a footer ---- */

/* add_reference - the character at s.p[i], of UTF-8 that was checked, as a number. Its last byte. */
static size_t add_reference(struct buf *b, struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    size_t more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    unsigned long value = c & (0x3f >> more);

    for (size_t k = 1; k <= more && i + k < s.n; k++)
        value = value << 6 | ((unsigned char)s.p[i + k] & 0x3f);
    buf_addf(b, "&#%lu;", value);
    return i + more;
}

struct str mime_footer_ascii(struct arena *a, struct str html)
{
    struct buf b = buf_in(a);
    size_t end = mime_html_end(html, false);

    for (size_t i = 0; i + 5 < end; i++) {
        if (str_starts_nocase(str_slice(html, i, end), STR("<body")) && strchr("> \t\r\n", html.p[i + 5])) {
            html = str_slice(html, i + 1 + str_find(str_slice(html, i, end), '>'), end);
            break;
        }
    }
    html = str_trim(str_slice(html, 0, end));
    for (size_t i = 0; i < html.n; i++) {
        if ((unsigned char)html.p[i] >= 0x80)
            i = add_reference(&b, html, i);
        else if (html.p[i] != '\r')
            buf_addc(&b, html.p[i]);
    }
    buf_addc(&b, '\n');
    return buf_str(&b);
}

struct str mime_footer_html(struct arena *a, struct str text)
{
    struct buf b = buf_in(a);
    struct str line;

    buf_add(&b, STR("<p>"));
    for (bool first = true; str_split(&text, '\n', &line); first = false) {
        if (!first)
            buf_add(&b, STR("<br>\n"));
        for (size_t i = 0; i < line.n; i++) {
            char c = line.p[i];

            if (c == '<' || c == '>' || c == '&' || c == '"')
                buf_addf(&b, "&#%d;", c);
            else if (c == ' ' && (i == 0 || line.p[i - 1] == ' '))
                buf_add(&b, STR("&#160;"));
            else
                buf_addc(&b, c);
        }
    }
    buf_add(&b, STR("</p>"));
    return mime_footer_ascii(a, buf_str(&b));
}
