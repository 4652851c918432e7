/* mime_replace.c - other parts in the place of one. */
#include "mime_edit_inside.h"

static void add_lines(struct mime_edit *e, struct buf *b, struct str lines)
{
    struct str line;

    while (str_split(&lines, '\n', &line)) {
        line.n -= line.n && line.p[line.n - 1] == '\r';
        buf_add(b, line);
        buf_add(b, str_of(e->eol));
    }
}

static void add_new(struct mime_edit *e, struct buf *b, const struct mime_new *part)
{
    add_lines(e, b, part->head);
    if (part->leaves) {
        buf_add(b, str_of(e->eol));
        add_lines(e, b, part->bytes);
        return;
    }
    buf_addf(b, "Content-Transfer-Encoding: base64%s%s", e->eol, e->eol);
    mime_add_base64(b, part->bytes, e->eol);
}

static void add_delimiter(struct mime_edit *e, struct buf *b, struct str boundary)
{
    buf_addf(b, "%s--" STR_FMT "%s", e->eol, STR_ARG(boundary), e->eol);
}

static void add_all(struct mime_edit *e, struct buf *b, struct str boundary, const struct mime_new *parts,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            add_delimiter(e, b, boundary);
        add_new(e, b, &parts[i]);
    }
}

/* replace_top - the part is the message. */
static bool replace_top(struct mime_edit *e, const struct mime_new *parts, size_t count, bool keep)
{
    struct str boundary = mime_boundary_new(e);
    struct buf b = buf_in(e->arena), rest = buf_in(e->arena);

    if (header_count(e->headers, STR("Content-Type")) > 1 ||
        header_count(e->headers, STR("Content-Transfer-Encoding")) > 1)
        return mime_refuse(e, "a field of its header is repeated");
    buf_addf(&b, "--" STR_FMT "%s", STR_ARG(boundary), e->eol);
    add_all(e, &b, boundary, parts, count);
    mime_move_fields(e, &rest);
    if (keep) {
        add_delimiter(e, &b, boundary);
        buf_add(&b, buf_str(&rest));
        buf_add(&b, str_of(e->eol));
    }
    mime_splice_add(e, 0, keep ? 0 : e->mime->body.n, buf_str(&b));
    mime_splice_add(e, e->mime->body.n, 0, arena_printf(e->arena, "%s--" STR_FMT "--%s", e->eol, STR_ARG(boundary),
                                                        e->eol));
    return mime_set_field(e, e->mime->first, STR("Content-Type"),
                          arena_printf(e->arena, "multipart/mixed; boundary=\"" STR_FMT "\"", STR_ARG(boundary)));
}

/* replace_inside - as parts of the same multipart/mixed, or as one that is a multipart/mixed. */
static bool replace_inside(struct mime_edit *e, const struct mime_part *part, const struct mime_new *parts,
                           size_t count, bool keep)
{
    const struct mime_header *around = part->inside->head;
    bool own = !str_is(part->inside->type, STR("multipart/mixed"));
    struct str boundary;
    struct buf b = buf_in(e->arena);
    size_t head, at, end;

    if (!mime_head_at(e, part, &head) || !mime_place(e, part, &at))
        return mime_refuse(e, "the place of a part is not known");
    end = at + part->raw.n;
    boundary = own ? mime_boundary_new(e) : around->boundaries.items[0];
    if (own)
        buf_addf(&b, "Content-Type: multipart/mixed; boundary=\"" STR_FMT "\"%s%s--" STR_FMT "%s", STR_ARG(boundary),
                 e->eol, e->eol, STR_ARG(boundary), e->eol);
    add_all(e, &b, boundary, parts, count);
    if (keep)
        add_delimiter(e, &b, boundary);
    mime_splice_add(e, head, keep ? 0 : end - head, buf_str(&b));
    if (own)
        mime_splice_add(e, end, 0, arena_printf(e->arena, "%s--" STR_FMT "--", e->eol, STR_ARG(boundary)));
    return true;
}

bool mime_edit_replace(struct mime_edit *e, const struct mime_part *part, const struct mime_new *parts, size_t count,
                       bool keep)
{
    if (e->why)
        return false;
    if (count == 0)
        return mime_refuse(e, "nothing can stand for it");
    if (!(part->inside ? replace_inside(e, part, parts, count, keep) : replace_top(e, parts, count, keep)))
        return false;
    if (!keep)
        mime_touch(e, part);
    for (size_t i = 0; i < count; i++)
        e->added += parts[i].leaves ? parts[i].leaves : 1;
    e->added -= keep ? 0 : 1;
    return true;
}
