/* mime_each.c - all leaves in all readings: what was declared, what hides in it, and the bytes alone. */
#include "mime_inside.h"

#define WORK_BASE (32U << 20)
#define LEVELS_MOST 3      /* of wrapped messages in each other */
#define RUN_LEAST 24       /* base64 digits in a row that are no word */
#define TEXT_MOST (4 << 20) /* bytes of an encoded text that are searched for blocks */
#define SCRATCH_MOST (1 << 20)

struct each {
    struct mime *m;
    bool (*fn)(void *data, const struct mime_part *part);
    void *data;
    struct arena *scratch;
    size_t *work;
    bool stopped;
    bool spent;
};

/* spend - false when the message has cost enough. */
static bool spend(struct each *e, size_t bytes)
{
    if (e->stopped)
        return false;
    if (bytes > *e->work) {
        *e->work = 0;
        e->spent = true;
        return false;
    }
    *e->work -= bytes;
    return true;
}

static void tell(struct each *e, const struct mime_part *part)
{
    struct mime_part wrapped = *part;

    if (e->m->level && part->found == MIME_DECLARED) {
        wrapped.found = MIME_WRAPPED;
        part = &wrapped;
    }
    if (!e->stopped && !e->fn(e->data, part))
        e->stopped = true;
}

/* fresh - throw away what the last part needed, before it becomes much. */
static void fresh(struct each *e)
{
    if (arena_bytes(e->scratch) > SCRATCH_MOST)
        arena_reset(e->scratch);
}

static struct str take_line(struct str text, size_t pos, size_t *next)
{
    size_t end = pos + str_find(str_slice(text, pos, text.n), '\n');
    struct str line = str_slice(text, pos, end);

    *next = end + 1 < text.n ? end + 1 : text.n;
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--;
    return line;
}

/* ---- blocks in a text ---- */

/* Where blocks end, as far as it was looked for: so that many that never end cost no more than one. */
struct ends {
    size_t base64, yenc;
};

/* next_mark - the offset of the next line from `pos` on that begins so, or text.n. */
static size_t next_mark(struct str text, size_t pos, struct str mark, size_t *known)
{
    const char *at;

    if (*known >= pos)
        return *known;
    at = memmem(text.p + pos - 1, text.n - pos + 1, mark.p, mark.n);
    *known = at ? (size_t)(at - text.p) : text.n;
    return *known;
}

/* uu_begins - "begin 644 name", "begin-base64 644 name". */
static bool uu_begins(struct str line, struct mime_part *part, struct str *name)
{
    size_t at = 5, digits = 0;

    part->coding = MIME_UU;
    if (str_starts_nocase(line, STR("begin-base64 "))) {
        part->coding = MIME_BASE64;
        at = 12;
    }
    if (at >= line.n || line.p[at] != ' ')
        return false;
    while (at < line.n && line.p[at] == ' ')
        at++;
    while (at < line.n && line.p[at] >= '0' && line.p[at] <= '7') {
        at++;
        digits++;
    }
    if (digits < 3 || digits > 5 || at >= line.n || line.p[at] != ' ')
        return false;
    *name = str_trim(str_slice(line, at, line.n));
    return name->n > 0;
}

/* yenc_begins - "=ybegin line=128 size=123 name=a name to the end of the line". */
static bool yenc_begins(struct str line, struct mime_part *part, struct str *name)
{
    const char *at = memmem(line.p, line.n, " name=", 6);

    part->coding = MIME_YENC;
    if (at)
        *name = str_trim(str_slice(line, (size_t)(at - line.p) + 6, line.n));
    return at && name->n > 0;
}

/* each_inline - what was encoded before there was MIME, and is unpacked by many readers still. */
static void each_inline(struct each *e, const struct mime_part *from, struct str text)
{
    struct ends ends = {0};
    size_t pos = 0;

    if (!text.n || !spend(e, text.n))
        return;
    while (pos < text.n && !e->stopped) {
        struct mime_part part = {.inside = from, .found = MIME_INLINE, .leaf = true,
                                 .type = STR("application/octet-stream"), .depth = from->depth + 1};
        const char *at = memmem(text.p + pos, text.n - pos, "begin", 5);
        size_t start, end = text.n;
        struct str line, name;
        bool yenc;

        if (!at)
            return;
        start = (size_t)(at - text.p);
        pos = start + 5;
        yenc = start >= 2 && at[-1] == 'y' && at[-2] == '=';
        start -= yenc ? 2 : 0;
        if (start && text.p[start - 1] != '\n' && text.p[start - 1] != '\r')
            continue;
        line = take_line(text, start, &pos);
        if (yenc ? !yenc_begins(line, &part, &name) : !uu_begins(line, &part, &name))
            continue;
        if (part.coding == MIME_BASE64)
            end = next_mark(text, pos, STR("\n===="), &ends.base64);
        else if (yenc)
            end = next_mark(text, pos, STR("\n=yend"), &ends.yenc);
        part.names = (struct mime_names){&name, 1};
        part.raw = str_slice(text, pos, end);
        tell(e, &part);
    }
}

/* ---- wrapped ---- */

static void each_in(struct each *e, struct mime *m);

/* each_wrapped - a multipart or message that is encoded as a whole, to those who decode it. */
static void each_wrapped(struct each *e, const struct mime_part *container)
{
    static const enum mime_coding codings[] = {MIME_BASE64, MIME_QP};
    unsigned level = e->m->level;
    struct mime *outer = e->m;

    if (level >= LEVELS_MOST) {
        e->spent = true;
        return;
    }
    for (size_t i = 0; i < sizeof codings / sizeof *codings && !e->stopped; i++) {
        struct mime_part part = *container;
        struct arena *a;
        struct str text;

        part.coding = codings[i];
        if (!(container->head->coding_set & 1u << part.coding) || !spend(e, container->raw.n))
            continue;
        a = arena_new(0);
        mime_decode(a, &part, MIME_DECODED_MOST, 0, &text);
        if (text.n == MIME_DECODED_MOST)
            e->spent = true;
        if (container->head->multipart) {
            struct mime_header *h = arena_zalloc(a, sizeof *h);

            *h = *container->head;
            h->coding_set = 1 << MIME_PLAIN;
            e->m = mime_read_inside(a, h, text, level + 1);
        } else {
            struct headers headers = {0};
            struct str body = STR_NONE;

            headers_split(a, text, &headers, &body);
            e->m = mime_read(a, &headers, body);
            e->m->level = level + 1;
        }
        each_in(e, e->m);
        e->m = outer;
        arena_free(&a);
    }
}

/* ---- raw ---- */

static bool is_digit64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
           c == '=' || c == '-' || c == '_';
}

static bool is_run(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (!is_digit64(line.p[i]))
            return false;
    return line.n > 0 && !str_starts(line, STR("--"));
}

/* A block of Content-... lines, while what follows it goes on. */
struct block {
    const struct mime_header *head; /* NULL: none is open */
    size_t from;                    /* its body */
};

/* block_close - its body goes up to here, in each of its encodings. */
static void block_close(struct each *e, struct str text, struct block *b, size_t end)
{
    const struct mime_header *h = b->head;
    struct mime_part part = {.found = MIME_RAW};

    if (!h)
        return;
    b->head = NULL;
    mime_part_fill(&part, h);
    part.leaf = true;
    part.raw = str_slice(text, b->from, end);
    for (unsigned coding = 0; coding < MIME_CODINGS; coding++) {
        if (!(h->coding_set & 1u << coding) || !spend(e, part.raw.n))
            continue;
        part.coding = (enum mime_coding)coding;
        tell(e, &part);
    }
    if ((h->message || h->multipart) && h->coding_set != 1 << MIME_PLAIN)
        each_wrapped(e, &part);
    fresh(e);
}

/* block_open - from the line at `pos` on, which begins with Content-. Where to go on: its body, or base64 in the middle
 * of the header, where the header ends to some. */
static size_t block_open(struct each *e, struct str text, struct block *b, size_t pos)
{
    struct mime_header *h = arena_zalloc(e->scratch, sizeof *h);
    size_t from = pos, behind = pos, run = 0;

    while (pos < text.n && pos - from < MIME_HEADER_MOST) {
        struct str line = take_line(text, pos, &behind);

        if (line.n == 0 || str_starts(line, STR("--")))
            break;
        if (!run && pos > from && is_run(line))
            run = pos;
        pos = behind;
    }
    mime_header_block(h, str_slice(text, from, pos));
    mime_header_finish(e->scratch, h, false);
    if (pos < text.n && text.p[pos] != '-')
        pos = behind;
    *b = (struct block){h, pos};
    return run ? run : pos;
}

/* raw_run - lines of nothing but base64. */
static void raw_run(struct each *e, struct str text, size_t pos, size_t *next)
{
    struct mime_part part = {.found = MIME_RAW, .leaf = true, .text = true, .html = true, .coding = MIME_BASE64,
                             .type = STR("application/octet-stream")};
    size_t from = pos, digits = 0;

    for (;;) {
        size_t behind;
        struct str line = take_line(text, pos, &behind);

        if (!is_run(line))
            break;
        digits += line.n;
        pos = behind;
        if (pos >= text.n)
            break;
    }
    *next = pos;
    part.raw = str_slice(text, from, pos);
    if (digits >= RUN_LEAST && spend(e, part.raw.n))
        tell(e, &part);
}

/* each_block - blocks and runs, line by line. */
static void each_block(struct each *e, struct str text)
{
    struct block block = {0};
    size_t pos = 0;

    while (pos < text.n && !e->stopped && !e->spent) {
        size_t next;
        struct str line = take_line(text, pos, &next);

        if (str_starts(line, STR("--"))) {
            block_close(e, text, &block, pos);
        } else if (line.n && (line.p[0] | 0x20) == 'c' && str_starts_nocase(line, STR("Content-"))) {
            block_close(e, text, &block, pos);
            next = block_open(e, text, &block, pos);
        } else if (is_run(line)) {
            raw_run(e, text, pos, &next);
        }
        pos = next > pos ? next : pos + 1;
    }
    block_close(e, text, &block, text.n);
}

/* plain_lines - a copy in which a bare CR ends a line and a NUL is nothing; NULL: no memory. */
static char *plain_lines(struct str text)
{
    char *copy = malloc(text.n + 1);

    for (size_t i = 0; copy && i < text.n; i++) {
        copy[i] = text.p[i];
        if (copy[i] == '\0')
            copy[i] = ' ';
        else if (copy[i] == '\r' && !(i + 1 < text.n && text.p[i + 1] == '\n'))
            copy[i] = '\n';
    }
    return copy;
}

/* each_raw - nothing of the structure is believed. */
static void each_raw(struct each *e, struct str text)
{
    struct mime_part whole = {.found = MIME_RAW, .leaf = true, .text = true, .html = true, .raw = text,
                              .type = STR("text/plain")};
    char *lines;

    if (!spend(e, text.n))
        return;
    for (unsigned coding = MIME_BASE64; e->m->top && coding < MIME_CODINGS; coding++) {
        whole.coding = (enum mime_coding)coding;
        if (e->m->top->coding_set & 1u << coding && spend(e, text.n))
            tell(e, &whole);
    }
    whole.coding = MIME_PLAIN;
    tell(e, &whole);
    each_inline(e, &whole, text);
    if (!(e->m->doubts & MIME_ODD_LINES)) {
        each_block(e, text);
        return;
    }
    lines = plain_lines(text);
    if (lines)
        each_block(e, (struct str){lines, text.n});
    else
        e->spent = true;
    free(lines);
}

/* ---- all of it ---- */

static bool may_hold_blocks(const struct mime_part *p)
{
    return p->raw.n && (p->text || (p->head && p->head->packed)) && p->coding <= MIME_QP;
}

static void each_in(struct each *e, struct mime *m)
{
    for (const struct mime_part *p = m->first; p && !e->stopped; p = p->next) {
        struct str text;

        if (p->leaf && (p->raw.n || p->names.count))
            tell(e, p);
        if (p->leaf && may_hold_blocks(p)) {
            struct arena *a = arena_new(0);

            if (p->coding == MIME_PLAIN || spend(e, p->raw.n)) {
                mime_decode(a, p, p->coding == MIME_PLAIN ? p->raw.n : TEXT_MOST, 0, &text);
                each_inline(e, p, text);
            }
            arena_free(&a);
        }
        if (!p->leaf && p->head && p->head->coding_set != 1 << MIME_PLAIN)
            each_wrapped(e, p);
    }
    if (m->doubts && !e->stopped)
        each_raw(e, m->body);
}

void mime_each(struct mime *m, bool (*fn)(void *data, const struct mime_part *part), void *data)
{
    struct each e = {.m = m, .fn = fn, .data = data, .work = &m->work_left};

    m->work_left = WORK_BASE + 6 * m->body.n;
    e.scratch = arena_new(0);
    each_in(&e, m);
    arena_free(&e.scratch);
    m->truncated |= e.spent && !e.stopped;
}
