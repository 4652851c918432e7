/* winmail.c - finds the winmail.dats of a message, has them opened, and shows what is in them as parts. */
#include "winmail.h"

#include "../base/clock.h"
#include "../message.h"

#define FOUND_MOST 10                  /* in one message, not counting those inside others */
#define OPENED_MOST 20                 /* with those */
#define DEPTH_MOST 3
#define SIZE_MOST ((size_t)32 << 20)   /* decoded, of one */
#define SIZES_MOST ((size_t)64 << 20)  /* of all */
#define PARTS_MOST 1000                /* that are added to a message */
#define WAIT_MS 30000                  /* for all */
#define RAW_MOST 4096                  /* bytes of a file in one that cannot be opened */
#define SCRATCH_MOST (1 << 18)
#define HEAD 9                         /* of an attribute: level, number, length */

struct found {
    struct winmail *winmail;
    struct str bytes;
};

struct opening {
    struct message *message;
    struct mime *mime;
    struct arena *arena; /* of the decoded bytes, which only the worker needs */
    struct arena *scratch;
    struct found found[FOUND_MOST];
    size_t count, opened;
    size_t left;         /* of SIZES_MOST */
    int64_t deadline;
};

/* ---- finding ---- */

static bool is_in(struct str part, struct str all)
{
    return part.n && part.p >= all.p && part.p + part.n <= all.p + all.n;
}

static bool begins(struct opening *o, const struct mime_part *part, unsigned *reading)
{
    struct str bytes;

    if (arena_bytes(o->scratch) > SCRATCH_MOST)
        arena_reset(o->scratch);
    for (*reading = 0; mime_decode(o->scratch, part, WINMAIL_SIGNATURE.n, *reading, &bytes); ++*reading)
        if (str_is(bytes, WINMAIL_SIGNATURE))
            return true;
    return false;
}

static bool is_known(const struct opening *o, const struct mime_part *part)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->found[i].winmail->raw.p == part->raw.p && o->found[i].winmail->coding == part->coding)
            return true;
    return false;
}

static bool find(void *data, const struct mime_part *part)
{
    struct opening *o = data;
    unsigned reading;
    struct winmail *w;
    struct str bytes, other;
    bool inside = is_in(part->raw, o->mime->body);

    if (part->raw.n < WINMAIL_SIGNATURE.n || !begins(o, part, &reading) || is_known(o, part))
        return true;
    if (o->count == FOUND_MOST) {
        o->mime->truncated = true;
        return false;
    }
    w = arena_zalloc(o->message->arena, sizeof *w);
    w->raw = inside ? part->raw : STR_NONE;
    w->coding = part->coding;
    mime_decode(o->arena, part, SIZE_MOST + 1, reading, &bytes);
    w->size = bytes.n;
    w->odd = reading > 0 || mime_decode(o->arena, part, SIZE_MOST + 1, 1, &other);
    if (bytes.n > SIZE_MOST || bytes.n > o->left) {
        w->why = STR("it is too large");
        bytes = STR_NONE;
    }
    o->left -= bytes.n;
    /* what is not of the body is gone when this returns */
    o->found[o->count++] = (struct found){w, inside || part->coding != MIME_PLAIN ? bytes : str_dup(o->arena, bytes)};
    return true;
}

/* ---- what is in them ---- */

static void add(struct mime *mime, struct str type, struct str name, struct str bytes)
{
    if (mime->count < 2 * MIME_PARTS_MOST + PARTS_MOST)
        mime_add(mime, NULL, type, name, bytes);
    else
        mime->truncated = true;
}

/* attribute_at - the attribute of an attachment with that number, at or behind *pos, which moves behind its head. */
static bool attribute_at(struct str s, const char *mark, size_t *pos, struct str *data)
{
    const char *at = *pos < s.n ? memmem(s.p + *pos, s.n - *pos, mark, 5) : NULL;
    const unsigned char *length;

    if (!at || (size_t)(at - s.p) + HEAD > s.n)
        return false;
    length = (const unsigned char *)at + 5;
    *pos = (size_t)(at - s.p) + HEAD;
    *data = str_slice(s, *pos, *pos + (length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 |
                                       (size_t)length[3] << 24));
    return true;
}

void winmail_add_raw(struct mime *mime, struct str bytes)
{
    static const char data_mark[] = "\2\x0f\x80\6", title_mark[] = "\2\x10\x80\1";
    struct str data;
    size_t pos = 0, count = 0;

    while (count++ < TNEF_PARTS_MOST && attribute_at(bytes, data_mark, &pos, &data))
        add(mime, STR("application/octet-stream"), STR_NONE, str_dup(mime->arena, str_slice(data, 0, RAW_MOST)));
    for (pos = 0, count = 0; count++ < TNEF_PARTS_MOST && attribute_at(bytes, title_mark, &pos, &data);)
        add(mime, STR("application/octet-stream"),
            str_dup(mime->arena, str_slice(data, 0, str_find(str_slice(data, 0, TNEF_NAME_MOST), '\0'))), STR_NONE);
}

/* open_one - and those inside it. */
static void open_one(struct opening *o, struct winmail *w, struct str bytes, unsigned depth)
{
    struct arena *a = o->message->arena;
    struct str why;

    if (w->why.n)
        return;
    if (o->opened == OPENED_MOST) {
        w->why = STR("there are too many");
        winmail_add_raw(o->mime, bytes);
        return;
    }
    o->opened++;
    w->tried = true;
    if (!worker_tnef(a, bytes, o->deadline, &w->content, &why)) {
        w->why = str_escaped(a, why);
        winmail_add_raw(o->mime, bytes);
        return;
    }
    w->inside = arena_array(a, w->content.count + 1, sizeof *w->inside);
    for (size_t i = 0; i < w->content.count; i++) {
        struct tnef_part *p = &w->content.parts[i];
        bool is_file = p->kind == TNEF_FILE || p->kind == TNEF_OBJECT;

        if (p->kind != TNEF_FIELD)
            add(o->mime, p->type, is_file ? p->name : STR_NONE, p->data);
        if (!is_file || !str_starts(p->data, WINMAIL_SIGNATURE))
            continue;
        w->inside[i] = arena_zalloc(a, sizeof **w->inside);
        w->inside[i]->size = p->data.n;
        if (depth == DEPTH_MOST) {
            w->inside[i]->why = STR("it lies too deep");
            winmail_add_raw(o->mime, p->data);
        } else {
            open_one(o, w->inside[i], p->data, depth + 1);
            if (!w->inside[i]->why.n)
                p->inside = &w->inside[i]->content;
        }
    }
}

struct winmail *message_winmails(struct message *m)
{
    struct mime *mime = message_mime(m);
    struct winmail **last;
    struct opening *o;

    if (!mime || mime->winmails_known)
        return mime ? mime->winmails : NULL;
    mime->winmails_known = true;
    o = arena_zalloc(m->arena, sizeof *o);
    o->message = m;
    o->mime = mime;
    o->left = SIZES_MOST;
    o->arena = arena_new(0);
    o->scratch = arena_new(0);
    mime_each(mime, find, o);
    o->deadline = clock_ms() + WAIT_MS;
    last = &mime->winmails;
    for (size_t i = 0; i < o->count; i++) {
        *last = o->found[i].winmail;
        last = &o->found[i].winmail->next;
        open_one(o, o->found[i].winmail, o->found[i].bytes, 1);
    }
    arena_free(&o->arena);
    arena_free(&o->scratch);
    return mime->winmails;
}

const struct winmail *winmail_of(const struct winmail *list, const struct mime_part *part)
{
    for (const struct winmail *w = list; w; w = w->next)
        if (w->tried && w->raw.p == part->raw.p && w->raw.n == part->raw.n && w->coding == part->coding)
            return w;
    return NULL;
}

struct str winmail_trouble(const struct winmail *list)
{
    struct str why = STR_NONE;

    for (const struct winmail *w = list; w && !why.n; w = w->next) {
        why = w->why;
        for (size_t i = 0; i < w->content.count && !why.n; i++)
            if (w->inside[i])
                why = winmail_trouble(w->inside[i]);
    }
    return why;
}
