/* edits.c - the queue of changes, and the one order in which they are safe. */
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

static bool apply_kind(const struct edits *e, enum edit_kind kind, const struct edit_target *target)
{
    for (const struct edit *edit = e->first; edit; edit = edit->next)
        if (edit->kind == kind && !target->apply(target->ctx, edit))
            return false;
    return true;
}

/* A deletion moves the later fields of its name up, so the highest index goes first. */
static bool apply_deletions(const struct edits *e, const struct edit_target *target)
{
    int below = 0;

    for (;;) {
        int highest = 0;

        for (const struct edit *edit = e->first; edit; edit = edit->next)
            if (edit->kind == EDIT_DELETE_HEADER && edit->index > highest && (below == 0 || edit->index < below))
                highest = edit->index;
        if (highest == 0)
            return true;
        for (const struct edit *edit = e->first; edit; edit = edit->next)
            if (edit->kind == EDIT_DELETE_HEADER && edit->index == highest && !target->apply(target->ctx, edit))
                return false;
        below = highest;
    }
}

bool edits_apply(const struct edits *e, const struct edit_target *target)
{
    return apply_kind(e, EDIT_CHANGE_HEADER, target) && apply_deletions(e, target) &&
           apply_kind(e, EDIT_INSERT_HEADER, target) && apply_kind(e, EDIT_ADD_HEADER, target) &&
           apply_kind(e, EDIT_ADD_RCPT, target) && apply_kind(e, EDIT_DELETE_RCPT, target) &&
           apply_kind(e, EDIT_REPLACE_BODY, target) && apply_kind(e, EDIT_QUARANTINE, target);
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
