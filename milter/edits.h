/* edits.h - queued changes to a message, applied once, at its end, after the last judgement. */
#ifndef EDITS_H
#define EDITS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"
#include "mail/header.h"

enum edit_kind {
    EDIT_ADD_HEADER,    /* at the end of the header */
    EDIT_INSERT_HEADER, /* at index 0, above Postfix's own Received */
    EDIT_CHANGE_HEADER, /* the index-th (from 1) of that name */
    EDIT_DELETE_HEADER,
    EDIT_ADD_RCPT,
    EDIT_DELETE_RCPT,
    EDIT_REPLACE_BODY,
    EDIT_QUARANTINE,
};

struct edit {
    struct edit *next;
    enum edit_kind kind;
    struct str name;  /* header name, recipient */
    struct str value; /* header value, body, reason */
    int index;
};

struct edits {
    struct edit *first, *last;
};

/* Where edits go: libmilter (callbacks.c) or a list (tests, `sme-milterctl test`). False: it was not done; the message is then
 * answered 451 rather than delivered half-edited. */
struct edit_target {
    bool (*apply)(void *ctx, const struct edit *edit);
    void *ctx;
};

/* Values lose what could not stand in a header: NUL, CR, LF not followed by white space. */
void edit_add_header(struct arena *a, struct edits *e, struct str name, struct str value);
void edit_insert_header(struct arena *a, struct edits *e, struct str name, struct str value);
void edit_change_header(struct arena *a, struct edits *e, struct str name, int index, struct str value);
void edit_delete_header(struct arena *a, struct edits *e, struct str name, int index);
void edit_add_rcpt(struct arena *a, struct edits *e, struct str address); /* without brackets */

/* edit_replace_body - the one replacement that a message has: a later one takes the place of an earlier. `body` must
 * live as long as the message. */
void edit_replace_body(struct arena *a, struct edits *e, struct str body);

void edits_append(struct edits *e, const struct edits *more); /* which are e's from then on */

/* edits_apply - in the order that keeps header indexes true: changes, deletions from the highest index, insertions,
 * additions, recipients, body last. False at the first that fails. */
bool edits_apply(const struct edits *e, const struct edit_target *target);

/* edits_view - header and body as they will be with these edits, by the rules of Postfix: what is changed but not there is
 * added at the end. `headers` is not touched; the view shares its strings. */
struct edited {
    struct headers headers;
    struct str body;
};
void edits_view(struct arena *a, const struct edits *e, const struct headers *headers, struct str body,
                struct edited *view);

struct str edit_text(struct arena *a, const struct edit *edit); /* one line, for `test` and scenarios */

#endif
