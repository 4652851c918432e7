/* edits.c - the queue of changes, and the one order in which they are safe. */
#include <stdlib.h>

#include "edits.h"

static struct edit *edit_new(struct arena *a, struct edits *e, enum edit_kind kind)
{
    struct edit *edit = arena_zalloc(a, sizeof *edit);

    edit->kind = kind;
    if (e->last)
        e->last->next = edit;
    else
        e->first = edit;
    e->last = edit;
    return edit;
}

/* header_safe - a value that cannot end its field: no NUL, no bare CR, LF only before white space (folding). */
static struct str header_safe(struct arena *a, struct str value)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool folds = c == '\n' && i + 1 < value.n && (value.p[i + 1] == ' ' || value.p[i + 1] == '\t');

        if (c != '\0' && c != '\r' && (c != '\n' || folds))
            buf_addc(&b, c);
    }
    return buf_str(&b);
}

static void edit_header(struct arena *a, struct edits *e, enum edit_kind kind, struct str name, int index,
                        struct str value)
{
    struct edit *edit = edit_new(a, e, kind);

    edit->name = str_dup(a, name);
    edit->value = header_safe(a, value);
    edit->index = index;
}

void edit_add_header(struct arena *a, struct edits *e, struct str name, struct str value)
{
    edit_header(a, e, EDIT_ADD_HEADER, name, 0, value);
}

void edit_insert_header(struct arena *a, struct edits *e, struct str name, struct str value)
{
    edit_header(a, e, EDIT_INSERT_HEADER, name, 0, value);
}

void edit_change_header(struct arena *a, struct edits *e, struct str name, int index, struct str value)
{
    edit_header(a, e, EDIT_CHANGE_HEADER, name, index, value);
}

void edit_delete_header(struct arena *a, struct edits *e, struct str name, int index)
{
    edit_header(a, e, EDIT_DELETE_HEADER, name, index, STR_NONE);
}

void edit_add_rcpt(struct arena *a, struct edits *e, struct str address)
{
    edit_new(a, e, EDIT_ADD_RCPT)->name = str_dup(a, address);
}

void edit_replace_body(struct arena *a, struct edits *e, struct str body)
{
    struct edit *edit = e->first;

    while (edit && edit->kind != EDIT_REPLACE_BODY)
        edit = edit->next;
    if (!edit)
        edit = edit_new(a, e, EDIT_REPLACE_BODY);
    edit->value = body;
}

void edits_append(struct edits *e, const struct edits *more)
{
    if (!more->first)
        return;
    if (e->last)
        e->last->next = more->first;
    else
        e->first = more->first;
    e->last = more->last;
}

static bool apply_kind(const struct edits *e, enum edit_kind kind, const struct edit_target *target)
{
    for (const struct edit *edit = e->first; edit; edit = edit->next)
        if (edit->kind == kind && !target->apply(target->ctx, edit))
            return false;
    return true;
}

static int compare_nocase(struct str x, struct str y)
{
    size_t n = x.n < y.n ? x.n : y.n;

    for (size_t i = 0; i < n; i++) {
        int p = (unsigned char)x.p[i], q = (unsigned char)y.p[i];

        p += p >= 'A' && p <= 'Z' ? 'a' - 'A' : 0;
        q += q >= 'A' && q <= 'Z' ? 'a' - 'A' : 0;
        if (p != q)
            return p - q;
    }
    return (x.n > y.n) - (x.n < y.n);
}

static int by_name(const void *a, const void *b)
{
    return compare_nocase((*(const struct edit *const *)a)->name, (*(const struct edit *const *)b)->name);
}

static int by_index_down(const void *a, const void *b)
{
    int x = (*(const struct edit *const *)a)->index, y = (*(const struct edit *const *)b)->index;

    return x == y ? by_name(a, b) : (x < y) - (x > y);
}

static int by_name_up(const void *a, const void *b)
{
    int order = by_name(a, b);

    return order ? order : by_index_down(b, a);
}

/* deletions - sorted; two that name the same field are one. */
static const struct edit **deletions(struct arena *a, const struct edits *e,
                                     int (*order)(const void *, const void *), size_t *count)
{
    const struct edit **list;
    size_t n = 0;

    for (const struct edit *edit = e->first; edit; edit = edit->next)
        n += edit->kind == EDIT_DELETE_HEADER;
    list = arena_array(a, n + 1, sizeof *list);
    n = 0;
    for (const struct edit *edit = e->first; edit; edit = edit->next)
        if (edit->kind == EDIT_DELETE_HEADER)
            list[n++] = edit;
    qsort(list, n, sizeof *list, order);
    *count = 0;
    for (size_t i = 0; i < n; i++)
        if (*count == 0 || order(&list[*count - 1], &list[i]) != 0)
            list[(*count)++] = list[i];
    return list;
}

/* A deletion moves the later fields of its name up, so the highest index goes first. */
static bool apply_deletions(const struct edits *e, const struct edit_target *target)
{
    struct arena *a = arena_new(0);
    const struct edit **list;
    bool ok = true;
    size_t count;

    list = deletions(a, e, by_index_down, &count);
    for (size_t i = 0; i < count && ok; i++)
        ok = target->apply(target->ctx, list[i]);
    arena_free(&a);
    return ok;
}

bool edits_apply(const struct edits *e, const struct edit_target *target)
{
    return apply_kind(e, EDIT_CHANGE_HEADER, target) && apply_deletions(e, target) &&
           apply_kind(e, EDIT_INSERT_HEADER, target) && apply_kind(e, EDIT_ADD_HEADER, target) &&
           apply_kind(e, EDIT_ADD_RCPT, target) && apply_kind(e, EDIT_DELETE_RCPT, target) &&
           apply_kind(e, EDIT_REPLACE_BODY, target) && apply_kind(e, EDIT_QUARANTINE, target);
}

/* ---- what becomes of the message ---- */

struct viewing {
    struct arena *a;
    struct edited *view;
};

static void set_value(struct arena *a, struct header *h, const struct edit *edit)
{
    h->name = edit->name;
    h->raw = arena_printf(a, " %s", edit->value.p ? edit->value.p : "");
    h->value = str_slice(h->raw, 1, h->raw.n);
}

/* view_find - the link that leads to the field with that name and index (from 1); NULL: there is none. */
static struct header **view_find(struct headers *h, const struct edit *edit)
{
    int index = 0;

    for (struct header **at = &h->first; *at; at = &(*at)->next)
        if (str_is_nocase((*at)->name, edit->name) && ++index == edit->index)
            return at;
    return NULL;
}

static bool view_apply(void *ctx, const struct edit *edit)
{
    struct viewing *v = ctx;
    struct headers *h = &v->view->headers;
    struct header **at, *one;

    switch (edit->kind) {
    case EDIT_ADD_HEADER:
        set_value(v->a, header_append(v->a, h), edit);
        break;
    case EDIT_INSERT_HEADER:
        one = arena_zalloc(v->a, sizeof *one);
        set_value(v->a, one, edit);
        one->next = h->first;
        h->first = one;
        if (!h->last)
            h->last = one;
        h->count++;
        break;
    case EDIT_CHANGE_HEADER:
        at = view_find(h, edit);
        set_value(v->a, at ? *at : header_append(v->a, h), edit);
        break;
    case EDIT_REPLACE_BODY:
        v->view->body = edit->value;
        break;
    default:
        break;
    }
    return true;
}

/* view_delete - in one pass over the header, however many fields go. */
static void view_delete(struct arena *a, const struct edits *e, struct headers *h)
{
    size_t count, *next;
    int *seen;
    const struct edit **list = deletions(a, e, by_name_up, &count);
    struct header **at = &h->first;

    if (count == 0)
        return;
    next = arena_array(a, count, sizeof *next); /* of a name, held at its first place in the list */
    seen = arena_array(a, count, sizeof *seen);
    h->last = NULL;
    while (*at) {
        size_t from = 0, to = count;

        while (from < to) {
            size_t middle = from + (to - from) / 2;

            if (compare_nocase(list[middle]->name, (*at)->name) < 0)
                from = middle + 1;
            else
                to = middle;
        }
        if (from < count && str_is_nocase(list[from]->name, (*at)->name)) {
            size_t mine = from + next[from];

            seen[from]++;
            if (mine < count && str_is_nocase(list[mine]->name, (*at)->name) && list[mine]->index == seen[from]) {
                next[from]++;
                *at = (*at)->next;
                h->count--;
                continue;
            }
        }
        h->last = *at;
        at = &(*at)->next;
    }
}

void edits_view(struct arena *a, const struct edits *e, const struct headers *headers, struct str body,
                struct edited *view)
{
    struct viewing viewing = {a, view};
    struct edit_target target = {view_apply, &viewing};

    *view = (struct edited){.body = body};
    for (const struct header *h = headers->first; h; h = h->next) {
        struct header *copy = header_append(a, &view->headers);

        copy->name = h->name;
        copy->value = h->value;
        copy->raw = h->raw;
    }
    apply_kind(e, EDIT_CHANGE_HEADER, &target);
    view_delete(a, e, &view->headers);
    apply_kind(e, EDIT_INSERT_HEADER, &target);
    apply_kind(e, EDIT_ADD_HEADER, &target);
    apply_kind(e, EDIT_REPLACE_BODY, &target);
}

struct str edit_text(struct arena *a, const struct edit *edit)
{
    static const char *const words[] = {
        [EDIT_ADD_HEADER] = "add-header",   [EDIT_INSERT_HEADER] = "insert-header",
        [EDIT_CHANGE_HEADER] = "change-header", [EDIT_DELETE_HEADER] = "delete-header",
        [EDIT_ADD_RCPT] = "add-rcpt",       [EDIT_DELETE_RCPT] = "del-rcpt",
        [EDIT_REPLACE_BODY] = "replace-body", [EDIT_QUARANTINE] = "quarantine",
    };
    struct buf b = buf_in(a);

    buf_addf(&b, "%s", words[edit->kind]);
    if (edit->index)
        buf_addf(&b, " %d", edit->index);
    if (edit->name.n)
        buf_addc(&b, ' ');
    buf_add_escaped(&b, edit->name, "");
    if (edit->kind == EDIT_REPLACE_BODY)
        buf_addf(&b, " (%zu bytes)", edit->value.n);
    else if (edit->value.n) {
        buf_add(&b, STR(": "));
        buf_add_escaped(&b, edit->value, "");
    }
    return buf_str(&b);
}
