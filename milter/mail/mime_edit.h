/* mime_edit.h - changes inside a message, of which every byte that they do not concern stays as it is.
 *
 *   mime_edit_new --> mime_edit_footer, mime_edit_replace --> mime_edit_queue: made, read again, compared, queued
 *
 * A message whose structure leaves any doubt is not changed, nor is a signed or encrypted one; `why` then says so. What
 * was made is read again before it is queued: it must be as well-formed as before, and every part that was not meant
 * must be there with the same bytes.
 */
#ifndef MAIL_MIME_EDIT_H
#define MAIL_MIME_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "header.h"
#include "mime.h"

struct edits;
struct message;
struct mime_splice;

struct mime_field { /* of the message's own header; the newest of a name counts */
    struct str name, value;
    bool gone;
};

struct mime_edit {
    struct arena *arena;
    const struct headers *headers;
    const struct mime *mime;
    struct mime_splice *splices; /* of the body, in the order in which they were asked for */
    size_t splice_count;
    struct mime_field *fields;
    size_t field_count;
    const struct mime_part **touched; /* leaves whose bytes or headers change */
    size_t touched_count;
    size_t added;                /* leaves more than before, those that replace a touched one included */
    const char *eol;             /* how the body's lines end */
    const char *why;             /* not NULL: nothing can be changed, for this reason */
};

/* What stands at the end of a text. */
struct mime_footer {
    struct str text; /* UTF-8, lines end in LF, the last one too */
    struct str html; /* ASCII, lines end in LF, the last one too */
};

/* mime_footer_html - a text of UTF-8 as HTML; mime_footer_ascii - HTML of UTF-8 with references for all that is not
 * ASCII; of a whole document only its body. */
struct str mime_footer_html(struct arena *a, struct str text);
struct str mime_footer_ascii(struct arena *a, struct str html);

/* A part that is put in. `head`: fields without Content-Transfer-Encoding, each with CRLF; bytes not encoded yet. */
struct mime_new {
    struct str head;
    struct str bytes;
    size_t leaves; /* 0: the bytes are encoded; else they are a message of so many leaves, in 7 bits, lines with CRLF */
};

/* mime_edit_new - read the message. headers and body must outlive the arena's content. */
void mime_edit_new(struct mime_edit *e, struct arena *a, const struct headers *headers, struct str body);

/* mime_edit_footer - into the texts that readers show as the message; where there is none, as a new part. False:
 * nothing was changed, since it stands there already (why is NULL), or for the reason in why. */
bool mime_edit_footer(struct mime_edit *e, const struct mime_footer *footer);

/* mime_edit_replace - a leaf by others; `keep` leaves it there behind them. False as above. */
bool mime_edit_replace(struct mime_edit *e, const struct mime_part *part, const struct mime_new *parts, size_t count,
                       bool keep);

/* mime_edit_is_outer - the part is one of the message itself, not of one that it forwards. */
bool mime_edit_is_outer(const struct mime_part *part);

/* mime_edit_body - the new body in pieces, most of them views of the old one. NULL: two changes overlap. */
struct str *mime_edit_body(struct mime_edit *e, size_t *count);

/* mime_edit_fields - the changes of the header, queued to `edits`. */
void mime_edit_fields(const struct mime_edit *e, struct edits *edits);

/* mime_edit_holds - the new message, read again, is what was meant; otherwise false, and why says what is not. */
bool mime_edit_holds(struct mime_edit *e, const struct headers *headers, struct str body);

/* mime_edit_queue - the body and the fields, to the message's edits; they have one replacement of the body at most, so
 * e must have been made from what edits_view() gives of them. False: nothing was queued, and why says the reason. */
bool mime_edit_queue(struct mime_edit *e, struct message *m);

#include "../base/banned.h"
#endif
