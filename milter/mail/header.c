/* header.c - a list of fields, and cutting a message in memory into it. */
#include <string.h>

#include "header.h"

struct header *header_append(struct arena *a, struct headers *h)
{
    struct header *one = arena_zalloc(a, sizeof *one);

    if (h->last)
        h->last->next = one;
    else
        h->first = one;
    h->last = one;
    h->count++;
    return one;
}

void header_add(struct arena *a, struct headers *h, struct str name, struct str value)
{
    struct header *one = header_append(a, h);

    one->name = str_dup(a, name);
    one->value = one->raw = str_dup(a, value);
    h->bytes += name.n + value.n;
}

const struct header *header_find(const struct headers *h, struct str name, size_t index)
{
    for (const struct header *one = h->first; one; one = one->next)
        if (str_is_nocase(one->name, name) && index-- == 0)
            return one;
    return NULL;
}

size_t header_count(const struct headers *h, struct str name)
{
    size_t count = 0;

    for (const struct header *one = h->first; one; one = one->next)
        count += str_is_nocase(one->name, name);
    return count;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* newline_at - the length of a line end at offset i: 2 for CRLF, 1 for LF, else 0. */
static size_t newline_at(struct str s, size_t i)
{
    if (s.p[i] == '\n')
        return 1;
    return s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n' ? 2 : 0;
}

struct str header_unfold(struct arena *a, struct str value)
{
    char *out;
    size_t n = 0;

    value = str_trim(value);
    out = arena_alloc(a, value.n + 1);
    for (size_t i = 0; i < value.n;) {
        size_t newline = newline_at(value, i);

        if (newline && is_blank(value.p[i + newline])) { /* trimmed: something follows */
            i += newline;
        } else if (newline || value.p[i] == '\r') {
            out[n++] = ' '; /* no folding, but what is promised is one line */
            i += newline ? newline : 1;
        } else {
            out[n++] = value.p[i++];
        }
    }
    out[n] = '\0';
    return (struct str){out, n};
}

/* field_end - the offset behind the line that begins at `from` and its continuation lines; *text is without the last
 * line end. */
static size_t field_end(struct str s, size_t from, struct str *text)
{
    size_t end = from;

    for (;;) {
        size_t lf = end + str_find(str_slice(s, end, s.n), '\n');
        size_t stop = lf > end && lf < s.n && s.p[lf - 1] == '\r' ? lf - 1 : lf;

        *text = str_slice(s, from, stop);
        if (lf == s.n)
            return s.n;
        end = lf + 1;
        if (end == s.n || !is_blank(s.p[end]))
            return end;
    }
}

/* field_split - the name and what follows the colon; blanks before the colon are an obsolete form (RFC 5322, 4.5). */
static bool field_split(struct str text, struct str *name, struct str *value)
{
    size_t colon = str_find(text, ':'), end = 0;

    while (end < colon && text.p[end] > ' ' && text.p[end] < 0x7f)
        end++;
    *name = str_slice(text, 0, end);
    *value = str_slice(text, colon + 1, text.n);
    while (end < colon && is_blank(text.p[end]))
        end++;
    return name->n > 0 && end == colon && colon < text.n;
}

void headers_split(struct arena *a, struct str message, struct headers *h, struct str *body)
{
    size_t at = 0;

    memset(h, 0, sizeof *h);
    while (at < message.n) {
        size_t newline = newline_at(message, at), next;
        struct str text, name, value;

        if (newline) {
            at += newline;
            break;
        }
        next = field_end(message, at, &text);
        if (!field_split(text, &name, &value))
            break;
        header_add(a, h, name, value);
        at = next;
    }
    *body = str_slice(message, at, message.n);
}
