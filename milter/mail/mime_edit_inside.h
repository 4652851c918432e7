/* mime_edit_inside.h - what the files of mime_edit.h share. */
#ifndef MAIL_MIME_EDIT_INSIDE_H
#define MAIL_MIME_EDIT_INSIDE_H

#include "mime_edit.h"
#include "mime_header.h"

struct mime_splice { /* body[from .. from+length) becomes text */
    size_t from, length, order;
    struct str text;
};

void mime_splice_add(struct mime_edit *e, size_t from, size_t length, struct str text);

/* mime_set_field - Content-Type or Content-Transfer-Encoding of a part. False (and why): its place is not known. */
bool mime_set_field(struct mime_edit *e, const struct mime_part *part, struct str name, struct str value);
void mime_touch(struct mime_edit *e, const struct mime_part *part);

/* mime_place - where the part's bytes begin; mime_head_at - where its header does. False: not known. */
bool mime_place(const struct mime_edit *e, const struct mime_part *part, size_t *at);
bool mime_head_at(const struct mime_edit *e, const struct mime_part *part, size_t *at);

/* mime_refuse - false, with the reason. */
bool mime_refuse(struct mime_edit *e, const char *why);

/* mime_boundary_new - one that does not occur in the message. */
struct str mime_boundary_new(struct mime_edit *e);

/* mime_move_fields - what the message's header says of its content, to the header of a part; it goes from there. */
void mime_move_fields(struct mime_edit *e, struct buf *b);

/* mime_wrap - the message becomes the second part of a multipart/mixed, behind `first` (header and body of a part). */
bool mime_wrap(struct mime_edit *e, struct str first);

/* ---- mime_encode.c ---- */

void mime_add_base64(struct buf *b, struct str bytes, const char *eol);
/* mime_add_qp - column: where the output stands in its line, 0 at first. */
void mime_add_qp(struct buf *b, struct str bytes, const char *eol, size_t *column);

bool mime_is_ascii(struct str s);
size_t mime_longest_line(struct str s);
struct str mime_with_eol(struct arena *a, struct str lines, const char *eol); /* LF becomes eol */

/* ---- mime_charset.c ---- */

enum mime_alphabet {
    ALPHABET_ASCII,   /* bytes below 0x80 are ASCII, always */
    ALPHABET_ESCAPES, /* ISO-2022-JP: they are while no escape sequence says otherwise */
    ALPHABET_OTHER,   /* UTF-16 and the like */
    ALPHABET_UNKNOWN,
};

enum mime_alphabet mime_alphabet(struct str charset);

/* Exactly, or not at all. A charset that is not told is US-ASCII. */
bool mime_from_utf8(struct arena *a, struct str text, struct str charset, struct str *bytes);
bool mime_to_utf8(struct arena *a, struct str bytes, struct str charset, struct str *text);

/* mime_with_charset - a Content-Type field with that charset; empty when its own cannot be replaced. */
struct str mime_with_charset(struct arena *a, struct str field, struct str charset);

/* ---- mime_edit_text.c ---- */

enum mime_put { PUT_DONE, PUT_THERE, PUT_NOT };

enum mime_put mime_put_footer(struct mime_edit *e, const struct mime_part *part, const struct mime_footer *footer);
bool mime_is_pgp(struct str text); /* an armour of OpenPGP begins on one of its lines */

/* mime_html_end - the offset at which something can be put at the end of what is shown. */
size_t mime_html_end(struct str html, bool escapes);

#include "../base/banned.h"
#endif
