/* mime.c - the strict reading: one pass over the lines that begin with two hyphens. */
#include "mime.h"
#include "mime_header.h"
#include "mime_inside.h"

struct walk {
    struct mime *m;
    struct str buf;
    struct mime_part *open; /* the innermost part whose end has not come; NULL when all are closed */
    size_t open_from;       /* where its body begins */
    bool full;
    size_t compared;        /* lines with boundaries */
};

#define COMPARED_MOST 10000000

/* ---- parts ---- */

static struct mime_part *part_append(struct mime *m, const struct mime_part *inside)
{
    struct mime_part *p = arena_zalloc(m->arena, sizeof *p);

    if (m->last)
        m->last->next = p;
    else
        m->first = p;
    m->last = p;
    m->count++;
    p->inside = inside;
    p->depth = inside ? inside->depth + 1 : 0;
    return p;
}

void mime_part_fill(struct mime_part *p, const struct mime_header *h)
{
    p->head = h;
    p->type = h->type;
    p->charset = h->charset;
    p->names = h->names;
    p->text = h->text;
    p->html = h->html;
    p->leaf = !h->multipart && !h->message;
    p->coding = MIME_PLAIN;
    while (!(h->coding_set & 1u << p->coding))
        p->coding++;
}

/* part_close - its bytes are known now. A leaf whose encoding is in doubt comes once in each. */
static void part_close(struct mime *m, struct mime_part *p, struct str raw)
{
    unsigned rest;

    p->raw = raw;
    if (!p->leaf || !p->head)
        return;
    rest = p->head->coding_set & ~(1u << p->coding);
    for (unsigned coding = 0; coding < MIME_CODINGS; coding++) {
        struct mime_part *twin;

        if (!(rest & 1u << coding) || m->count >= 2 * MIME_PARTS_MOST)
            continue;
        twin = part_append(m, p->inside);
        mime_part_fill(twin, p->head);
        twin->raw = raw;
        twin->coding = (enum mime_coding)coding;
    }
}

/* close_to - everything inside `keep` ends at offset `end`, the beginning of a boundary's line. */
static void close_to(struct walk *w, struct mime_part *keep, size_t end)
{
    /* the line end before a boundary belongs to the boundary */
    if (end && end <= w->buf.n && w->buf.p[end - 1] == '\n' && end < w->buf.n)
        end--;
    if (end && end < w->buf.n && w->buf.p[end - 1] == '\r')
        end--;
    for (struct mime_part *p = w->open; p && p != keep; p = (struct mime_part *)p->inside) {
        size_t from = p->leaf ? w->open_from : (size_t)(p->raw.p - w->buf.p);

        if (p->head && p->head->multipart && !p->closed)
            w->m->doubts |= MIME_NO_END;
        part_close(w->m, p, str_slice(w->buf, from, end));
        if (p->leaf && p->found == MIME_HIDDEN && str_trim(p->raw).n == 0)
            p->raw = STR_NONE;
    }
    w->open = keep;
}

static void open_hidden(struct walk *w, size_t from)
{
    struct mime_part *p = part_append(w->m, w->open);

    p->found = MIME_HIDDEN;
    p->leaf = p->text = true;
    p->type = STR("text/plain");
    w->open = p;
    w->open_from = from;
}

/* ---- boundaries ---- */

/* boundary_is - text, the line behind the hyphens, is this boundary; *prefix when it only begins so. */
static bool boundary_is(struct str text, struct str boundary, bool *closing, bool *prefix)
{
    struct str rest;

    if (!str_starts(text, boundary))
        return false;
    rest = str_slice(text, boundary.n, text.n);
    *closing = str_starts(rest, STR("--"));
    rest = str_slice(rest, *closing ? 2 : 0, rest.n);
    if (str_trim(rest).n == 0)
        return true;
    *prefix = true;
    return false;
}

/* boundary_of - the innermost open multipart that this line delimits, or NULL. */
static struct mime_part *boundary_of(struct walk *w, struct str text, bool *closing)
{
    bool prefix = false;
    struct mime_part *match = NULL;

    for (struct mime_part *p = w->open; p && !match; p = (struct mime_part *)p->inside) {
        if (!p->head || !p->head->multipart)
            continue;
        w->compared += p->head->boundaries.count;
        for (size_t i = 0; i < p->head->boundaries.count && !match; i++)
            if (p->head->boundaries.items[i].n && boundary_is(text, p->head->boundaries.items[i], closing, &prefix))
                match = p;
    }
    if (prefix)
        w->m->doubts |= MIME_PREFIX;
    if (w->compared > COMPARED_MOST && !w->full) {
        w->m->doubts |= MIME_TOO_MUCH;
        w->full = true;
    }
    return match;
}

/* note_prefixes - a boundary that begins with one around it ends either of them, as the reader likes. */
static void note_prefixes(struct walk *w, const struct mime_header *h)
{
    for (const struct mime_part *p = w->open; p; p = p->inside)
        for (size_t i = 0; p->head && p->head->multipart && i < p->head->boundaries.count; i++)
            for (size_t k = 0; k < h->boundaries.count; k++)
                if (str_starts(h->boundaries.items[k], p->head->boundaries.items[i]) ||
                    str_starts(p->head->boundaries.items[i], h->boundaries.items[k]))
                    w->m->doubts |= MIME_PREFIX;
}

/* next_dashes - the next line from `pos`, itself the beginning of one, that begins with "--"; n: there is none. */
static size_t next_dashes(struct str buf, size_t pos)
{
    const char *at;

    if (pos >= buf.n)
        return buf.n;
    if (str_starts(str_slice(buf, pos, pos + 2), STR("--")))
        return pos;
    at = memmem(buf.p + pos, buf.n - pos, "\n--", 3);
    return at ? (size_t)(at - buf.p) + 1 : buf.n;
}

/* ---- headers ---- */

/* header_end - the offset of the empty line, or of the boundary, that ends the header at `pos`. */
static size_t header_end(struct walk *w, size_t pos)
{
    size_t start = pos;

    while (pos < w->buf.n) {
        size_t end = pos + str_find(str_slice(w->buf, pos, w->buf.n), '\n');
        struct str line = str_slice(w->buf, pos, end);
        bool closing;

        if (line.n == 0 || (line.n == 1 && line.p[0] == '\r'))
            return pos;
        if (str_starts(line, STR("--")) && boundary_of(w, str_slice(line, 2, line.n), &closing))
            return pos;
        if (end - start > MIME_HEADER_MOST) {
            w->m->doubts |= MIME_TOO_MUCH;
            return pos;
        }
        pos = end + 1;
    }
    return w->buf.n;
}

/* open_entity - the header at pos, and the part it begins. The offset of its body. */
static size_t open_entity(struct walk *w, const struct mime_header *h, size_t pos)
{
    for (;;) {
        struct mime_part *p;
        struct mime_header *inner;
        size_t end;

        if (w->m->count >= MIME_PARTS_MOST || (w->open && w->open->depth + 1 >= MIME_DEPTH_MOST)) {
            w->m->doubts |= MIME_TOO_MUCH;
            w->full = true;
            return pos;
        }
        if (h->multipart)
            note_prefixes(w, h);
        p = part_append(w->m, w->open);
        mime_part_fill(p, h);
        p->raw = (struct str){w->buf.p + pos, 0};
        w->m->doubts |= h->doubts;
        w->open = p;
        w->open_from = pos;
        if (h->multipart) {
            open_hidden(w, pos);
            return pos;
        }
        if (!h->message || !(h->coding_set & 1 << MIME_PLAIN))
            return pos;
        inner = arena_zalloc(w->m->arena, sizeof *inner);
        end = header_end(w, pos);
        mime_header_block(inner, str_slice(w->buf, pos, end));
        mime_header_finish(w->m->arena, inner, false);
        pos = end;
        if (pos < w->buf.n && w->buf.p[pos] != '-')
            pos += str_find(str_slice(w->buf, pos, w->buf.n), '\n') + 1;
        pos = pos < w->buf.n ? pos : w->buf.n;
        h = inner;
    }
}

static size_t open_part(struct walk *w, const struct mime_part *container, size_t pos)
{
    struct mime_header *h = arena_zalloc(w->m->arena, sizeof *h);
    size_t end = header_end(w, pos);

    mime_header_block(h, str_slice(w->buf, pos, end));
    mime_header_finish(w->m->arena, h, container->head->digest);
    if (end < w->buf.n && w->buf.p[end] != '-')
        end += str_find(str_slice(w->buf, end, w->buf.n), '\n') + 1;
    return open_entity(w, h, end < w->buf.n ? end : w->buf.n);
}

/* ---- the pass ---- */

static void walk(struct walk *w, const struct mime_header *top)
{
    size_t pos = open_entity(w, top, 0);

    while (!w->full) {
        size_t line = next_dashes(w->buf, pos), end;
        struct mime_part *container;
        bool closing = false;

        if (line >= w->buf.n)
            break;
        end = line + str_find(str_slice(w->buf, line, w->buf.n), '\n');
        container = boundary_of(w, str_slice(w->buf, line + 2, end), &closing);
        pos = end + 1;
        if (!container)
            continue;
        close_to(w, container, line);
        if (container->closed)
            w->m->doubts |= MIME_NO_END;
        if (closing) {
            container->closed = true;
            open_hidden(w, pos < w->buf.n ? pos : w->buf.n);
        } else {
            pos = open_part(w, container, pos);
        }
    }
    close_to(w, NULL, w->buf.n);
}

/* odd_lines - bare CR or NUL, which readers take for different things. */
static bool odd_lines(struct str s)
{
    const char *at = s.n ? memchr(s.p, '\0', s.n) : NULL;

    if (at)
        return true;
    for (size_t i = 0; i < s.n;) {
        i += str_find(str_slice(s, i, s.n), '\r') + 1;
        if (i < s.n && s.p[i] != '\n')
            return true;
    }
    return false;
}

struct mime *mime_read_inside(struct arena *a, const struct mime_header *top, struct str body, unsigned level)
{
    struct mime *m = arena_zalloc(a, sizeof *m);
    struct walk w = {.m = m, .buf = body};

    if (!body.p)
        w.buf = m->body = STR("");
    m->arena = a;
    m->body = w.buf;
    m->top = top;
    m->level = level;
    m->doubts = top->doubts;
    /* of one text the lines do not matter; what is binary on purpose is no structure */
    if ((top->multipart || top->message) && odd_lines(body))
        m->doubts |= MIME_ODD_LINES;
    walk(&w, top);
    return m;
}

struct mime *mime_read(struct arena *a, const struct headers *headers, struct str body)
{
    struct mime_header *top = arena_zalloc(a, sizeof *top);

    for (const struct header *h = headers->first; h; h = h->next)
        mime_header_field(top, h->name, h->value);
    mime_header_finish(a, top, false);
    return mime_read_inside(a, top, body, 0);
}

void mime_add(struct mime *m, const struct mime_part *inside, struct str type, struct str name, struct str bytes)
{
    struct mime_part *p = part_append(m, inside);

    p->found = MIME_ADDED;
    p->leaf = true;
    p->type = str_lower(m->arena, type);
    p->text = str_starts(p->type, STR("text/"));
    p->html = str_is(p->type, STR("text/html"));
    p->raw = bytes;
    p->names.items = arena_array(m->arena, 1, sizeof *p->names.items);
    p->names.items[0] = name;
    p->names.count = name.n ? 1 : 0;
}
