/* mime_edit.c - where the parts of a message stand, what is put there, and whether the result is what was meant. */
#include "mime_edit_inside.h"

#include "../edits.h"

bool mime_refuse(struct mime_edit *e, const char *why)
{
    if (!e->why)
        e->why = why;
    return false;
}

bool mime_edit_is_outer(const struct mime_part *part)
{
    for (const struct mime_part *p = part->inside; p; p = p->inside)
        if (!p->head || !p->head->multipart)
            return false;
    return part->found == MIME_DECLARED;
}

/* ---- what is never changed ---- */

bool mime_is_pgp(struct str text)
{
    static const char armour[] = "-----BEGIN PGP ";
    const char *at = text.p;

    while (text.n && (at = memmem(at, text.n - (size_t)(at - text.p), armour, sizeof armour - 1)) != NULL) {
        struct str rest = str_slice(text, (size_t)(at - text.p) + sizeof armour - 1, text.n);

        if ((at == text.p || at[-1] == '\n' || at[-1] == '>') &&
            (str_starts(rest, STR("MESSAGE")) || str_starts(rest, STR("SIGNED MESSAGE"))))
            return true;
        at++;
    }
    return false;
}

static bool is_sealed_type(struct str type)
{
    static const char *const types[] = {
        "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime",
        "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-encrypted",
        "application/pgp-signature", "application/pgp",
    };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_is(type, str_of(types[i])))
            return true;
    return false;
}

/* is_sealed - signed or encrypted, by its type or by a name that mail programs go by. */
static bool is_sealed(struct arena *a, const struct mime_part *p)
{
    struct str text;

    if (is_sealed_type(p->type))
        return true;
    for (size_t i = 0; i < p->names.count; i++)
        if (str_ends_nocase(p->names.items[i], STR(".p7m")) || str_ends_nocase(p->names.items[i], STR(".p7s")))
            return true;
    return p->leaf && p->text && mime_decode(a, p, MIME_DECODED_MOST, 0, &text) && mime_is_pgp(text);
}

static const char *reason_not_to(struct mime_edit *e)
{
    const struct mime *m = e->mime;

    if (m->doubts & MIME_TOO_MUCH)
        return "it has too many parts";
    if (m->doubts)
        return "its structure leaves doubts";
    for (const struct mime_part *p = m->first; p; p = p->next)
        if (mime_edit_is_outer(p) && is_sealed(e->arena, p))
            return "it is signed or encrypted";
    return NULL;
}

static const char *eol_of(struct str body)
{
    size_t end = str_find(body, '\n');

    return end < body.n && (end == 0 || body.p[end - 1] != '\r') ? "\n" : "\r\n";
}

void mime_edit_new(struct mime_edit *e, struct arena *a, const struct headers *headers, struct str body)
{
    *e = (struct mime_edit){.arena = a, .headers = headers, .mime = mime_read(a, headers, body), .eol = eol_of(body)};
    e->why = reason_not_to(e);
}

/* ---- places ---- */

/* blank_at - the offset of the empty line that ends right before `at`. */
static bool blank_at(struct str body, size_t at, size_t *blank)
{
    if (at == 0 || body.p[at - 1] != '\n')
        return false;
    *blank = at - (at >= 2 && body.p[at - 2] == '\r' ? 2 : 1);
    return *blank > 0 && body.p[*blank - 1] == '\n';
}

/* The reader keeps no place of a part without bytes: its header's fields tell it. */
static bool place_behind_fields(const struct mime_edit *e, const struct mime_part *part, size_t *at)
{
    struct str body = e->mime->body;
    const struct mime_values *all[] = {&part->head->types, &part->head->codings, &part->head->dispositions};
    size_t from = 0;

    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < all[i]->count; k++)
            if (all[i]->items[k].n && (size_t)(all[i]->items[k].p - body.p) > from)
                from = (size_t)(all[i]->items[k].p - body.p);
    while (from && from < body.n) {
        size_t end = from + str_find(str_slice(body, from, body.n), '\n');

        if (str_trim(str_slice(body, from, end)).n == 0) {
            *at = end + 1;
            return end < body.n;
        }
        if (str_starts(str_slice(body, from, end), STR("--"))) /* a boundary: the header has no end of its own */
            return false;
        from = end + 1;
    }
    return false;
}

bool mime_place(const struct mime_edit *e, const struct mime_part *part, size_t *at)
{
    *at = 0;
    if (!part->inside)
        return true;
    if (!part->raw.p)
        return part->head && place_behind_fields(e, part, at);
    *at = (size_t)(part->raw.p - e->mime->body.p);
    return true;
}

bool mime_head_at(const struct mime_edit *e, const struct mime_part *part, size_t *at)
{
    struct str body = e->mime->body, boundary;
    size_t blank, end;

    if (!part->inside || !part->inside->head || part->inside->head->boundaries.count != 1 ||
        !mime_place(e, part, at) || !blank_at(body, *at, &blank))
        return false;
    boundary = part->inside->head->boundaries.items[0];
    for (end = blank; end > 0;) { /* end: behind a line's end */
        size_t line = str_rfind(str_slice(body, 0, end - 1), '\n');

        line = line < end - 1 ? line + 1 : 0;
        if (str_starts(str_slice(body, line, end), STR("--")) &&
            str_is(str_trim(str_slice(body, line + 2, end)), boundary)) {
            *at = end;
            return true;
        }
        if (blank - line > MIME_HEADER_MOST)
            return false;
        end = line;
    }
    return false;
}

/* ---- changes ---- */

void mime_splice_add(struct mime_edit *e, size_t from, size_t length, struct str text)
{
    e->splices = arena_grow(e->arena, e->splices, e->splice_count, sizeof *e->splices);
    e->splices[e->splice_count] = (struct mime_splice){from, length, e->splice_count, text};
    e->splice_count++;
}

void mime_touch(struct mime_edit *e, const struct mime_part *part)
{
    e->touched = arena_grow(e->arena, e->touched, e->touched_count, sizeof *e->touched);
    e->touched[e->touched_count++] = part;
}

static void field_add(struct mime_edit *e, struct str name, struct str value, bool gone)
{
    e->fields = arena_grow(e->arena, e->fields, e->field_count, sizeof *e->fields);
    e->fields[e->field_count++] = (struct mime_field){name, value, gone};
}

bool mime_set_field(struct mime_edit *e, const struct mime_part *part, struct str name, struct str value)
{
    const struct mime_values *old;
    size_t at, blank;

    if (!part->inside) {
        if (!header_find(e->headers, STR("MIME-Version"), 0))
            field_add(e, STR("MIME-Version"), STR("1.0"), false);
        field_add(e, name, value, false);
        return true;
    }
    old = str_is(name, STR("Content-Type")) ? &part->head->types : &part->head->codings;
    if (old->count == 1 && old->items[0].n) {
        mime_splice_add(e, (size_t)(old->items[0].p - e->mime->body.p), old->items[0].n, value);
        return true;
    }
    if (old->count || !mime_place(e, part, &at) || !blank_at(e->mime->body, at, &blank))
        return mime_refuse(e, "the header of a part is odd");
    mime_splice_add(e, blank, 0, arena_printf(e->arena, STR_FMT ": " STR_FMT "%s", STR_ARG(name), STR_ARG(value),
                                              e->eol));
    return true;
}

struct str mime_boundary_new(struct mime_edit *e)
{
    struct str body = e->mime->body, boundary;
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < body.n && i < 4096; i++)
        hash = (hash ^ (unsigned char)body.p[i]) * 1099511628211u;
    do /* =_ stands in neither base64 nor quoted-printable */
        boundary = arena_printf(e->arena, "=_sme-%016llx", (unsigned long long)hash++);
    while (body.n && memmem(body.p, body.n, boundary.p, boundary.n));
    return boundary;
}

static bool is_content_field(struct str name)
{
    return str_starts_nocase(name, STR("Content-"));
}

void mime_move_fields(struct mime_edit *e, struct buf *b)
{
    bool coded = false;

    for (const struct header *h = e->headers->first; h; h = h->next) {
        struct str value = str_trim(h->value);

        if (!is_content_field(h->name))
            continue;
        buf_addf(b, STR_FMT ": ", STR_ARG(h->name));
        for (size_t i = 0; i < value.n; i++) {
            if (value.p[i] == '\n')
                buf_add(b, str_of(e->eol));
            else if (value.p[i] != '\r')
                buf_addc(b, value.p[i]);
        }
        buf_add(b, str_of(e->eol));
        if (str_is_nocase(h->name, STR("Content-Transfer-Encoding")))
            coded = true;
        else if (!str_is_nocase(h->name, STR("Content-Type")))
            field_add(e, h->name, STR_NONE, true);
    }
    if (coded && e->mime->first->coding != MIME_PLAIN)
        field_add(e, STR("Content-Transfer-Encoding"), STR("7bit"), false);
}

bool mime_wrap(struct mime_edit *e, struct str first)
{
    struct str boundary = mime_boundary_new(e), body = e->mime->body;
    struct buf b = buf_in(e->arena);

    buf_addf(&b, "This is a multi-part message in MIME format.%s--" STR_FMT "%s", e->eol, STR_ARG(boundary), e->eol);
    buf_add(&b, first);
    buf_addf(&b, "%s--" STR_FMT "%s", e->eol, STR_ARG(boundary), e->eol);
    mime_move_fields(e, &b);
    buf_add(&b, str_of(e->eol));
    mime_splice_add(e, 0, 0, buf_str(&b));
    mime_splice_add(e, body.n, 0, arena_printf(e->arena, "%s--" STR_FMT "--%s", e->eol, STR_ARG(boundary), e->eol));
    return mime_set_field(e, e->mime->first, STR("Content-Type"),
                          arena_printf(e->arena, "multipart/mixed; boundary=\"" STR_FMT "\"", STR_ARG(boundary)));
}

/* ---- the result ---- */

static int by_place(const void *x, const void *y)
{
    const struct mime_splice *a = x, *b = y;

    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

struct str *mime_edit_body(struct mime_edit *e, size_t *count)
{
    struct mime_splice *s = arena_array(e->arena, e->splice_count + 1, sizeof *s);
    struct str *pieces = arena_array(e->arena, 2 * e->splice_count + 1, sizeof *pieces);
    size_t at = 0;

    if (e->splice_count) {
        memcpy(s, e->splices, e->splice_count * sizeof *s);
        qsort(s, e->splice_count, sizeof *s, by_place);
    }
    *count = 0;
    for (size_t i = 0; i < e->splice_count; i++) {
        if (s[i].from < at || s[i].from + s[i].length > e->mime->body.n)
            return NULL;
        pieces[(*count)++] = str_slice(e->mime->body, at, s[i].from);
        pieces[(*count)++] = s[i].text;
        at = s[i].from + s[i].length;
    }
    pieces[(*count)++] = str_slice(e->mime->body, at, e->mime->body.n);
    return pieces;
}

void mime_edit_fields(const struct mime_edit *e, struct edits *edits)
{
    for (size_t i = 0; i < e->field_count; i++) {
        const struct mime_field *f = &e->fields[i];
        size_t count = header_count(e->headers, f->name);
        bool again = false;

        for (size_t k = 0; k < i; k++)
            again |= f->gone && str_is_nocase(e->fields[k].name, f->name);
        if (!f->gone)
            edit_change_header(e->arena, edits, f->name, 1, f->value);
        else if (!again)
            for (size_t k = count; k > 0; k--)
                edit_delete_header(e->arena, edits, f->name, (int)k);
    }
}

/* ---- the proof ---- */

/* next_leaf - the next one that counts; where nothing is hidden there is nothing to compare. */
static const struct mime_part *next_leaf(const struct mime_part *p)
{
    while (p && (!p->leaf || (p->found == MIME_HIDDEN && str_trim(p->raw).n == 0)))
        p = p->next;
    return p;
}

static bool is_touched(const struct mime_edit *e, const struct mime_part *part)
{
    for (size_t i = 0; i < e->touched_count; i++)
        if (e->touched[i] == part)
            return true;
    return false;
}

static bool same_part(const struct mime_part *a, const struct mime_part *b)
{
    if (a->names.count != b->names.count)
        return false;
    for (size_t i = 0; i < a->names.count; i++)
        if (!str_is(a->names.items[i], b->names.items[i]))
            return false;
    return a->coding == b->coding && str_is(a->type, b->type) && str_is(a->charset, b->charset) &&
           str_is(a->raw, b->raw);
}

bool mime_edit_holds(struct mime_edit *e, const struct headers *headers, struct str body)
{
    const struct mime *now = mime_read(e->arena, headers, body);
    const struct mime_part *old = next_leaf(e->mime->first), *new = next_leaf(now->first);
    size_t others = 0;

    if (now->doubts)
        return mime_refuse(e, "the changed message would leave doubts");
    while (new) {
        while (old && is_touched(e, old))
            old = next_leaf(old->next);
        if (old && same_part(old, new))
            old = next_leaf(old->next);
        else if (new->found != MIME_HIDDEN || new->inside != now->first)
            others++;
        new = next_leaf(new->next);
    }
    while (old && is_touched(e, old))
        old = next_leaf(old->next);
    if (old || others != e->touched_count + e->added)
        return mime_refuse(e, "the changed message would have other parts than meant");
    return true;
}
