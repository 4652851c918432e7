/* mime.h - what a message is made of, in every way in which a reader might take it.
 *
 * The strict reading (RFC 2045-2047, 2231) is made once, keeps offsets only, and has caps. Where the message leaves a
 * doubt (two boundaries, two encodings, no end, odd header lines, ...) one reader shows a part that another one
 * does not have. So mime_each() then goes over the bytes again, without believing the structure: every
 * Content-... block and every run of base64 is a part, whatever stands around it.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/arena.h"
#include "../base/str.h"
#include "header.h"

#define MIME_PARTS_MOST 1000      /* that are kept; what lies beyond is read as raw bytes */
#define MIME_DEPTH_MOST 50
#define MIME_HEADER_MOST 65536    /* bytes of one part's header */
#define MIME_DECODED_MOST (16 << 20) /* bytes of one part that is decoded as a whole */

enum mime_coding { MIME_PLAIN, MIME_BASE64, MIME_QP, MIME_UU, MIME_YENC, MIME_CODINGS };

enum mime_found {
    MIME_DECLARED, /* the strict reading */
    MIME_HIDDEN,   /* before the first or behind the last boundary */
    MIME_INLINE,   /* a block in a text: uuencode, begin-base64, yEnc */
    MIME_WRAPPED,  /* inside a multipart or message that is itself encoded */
    MIME_RAW,      /* by going over the bytes */
    MIME_ADDED,    /* mime_add() */
};

enum mime_doubt {
    MIME_TWO_TYPES = 1,      /* Content-Type repeated */
    MIME_TWO_CODINGS = 2,    /* Content-Transfer-Encoding repeated, unknown, or of a multipart */
    MIME_TWO_BOUNDARIES = 4, /* the boundary can be read in several ways, or is missing */
    MIME_PREFIX = 8,         /* a line that only begins like a boundary */
    MIME_NO_END = 16,        /* the closing boundary is missing, or parts follow it */
    MIME_ODD_HEADER = 32,    /* a line of a part's header is no field, or a field's name is odd */
    MIME_ODD_LINES = 64,     /* bare CR, NUL */
    MIME_TOO_MUCH = 128,     /* beyond a cap */
};

struct mime_names {
    struct str *items; /* UTF-8 as far as the charset is known; may hold any byte */
    size_t count;
};

struct mime_header; /* private */

struct mime_part {
    struct mime_part *next;
    const struct mime_part *inside; /* NULL: the message itself */
    enum mime_found found;
    bool leaf;                      /* neither multipart nor message */
    bool text, html;                /* by any of its declared types or names */
    unsigned depth;
    struct str type;                /* "text/plain", lower-case; the first that was declared */
    struct str charset;             /* lower-case; empty: not told */
    enum mime_coding coding;
    struct str raw;                 /* encoded, a view into the body: its offset is raw.p - mime->body.p */
    struct mime_names names;        /* every reading of every file name */
    const struct mime_header *head;
    bool closed;                    /* of a multipart: its end was seen */
};

struct mime {
    struct arena *arena;
    struct str body;
    struct mime_part *first, *last; /* containers before what they contain */
    size_t count;
    unsigned doubts;                /* enum mime_doubt */
    bool truncated;                 /* something was not looked at at all: set by mime_each() */
    const struct mime_header *top;
    size_t work_left;               /* bytes that mime_each() may still go over */
    unsigned level;                 /* of wrapped messages around this one */
    struct winmail *winmails;       /* see winmail.h */
    bool winmails_known;
};

/* mime_read - the strict reading. `body` must outlive the arena's content. */
struct mime *mime_read(struct arena *a, const struct headers *headers, struct str body);

/* mime_add - one more leaf, with its decoded bytes: for what is found inside winmail.dat. */
void mime_add(struct mime *m, const struct mime_part *inside, struct str type, struct str name, struct str bytes);

/* mime_each - call fn for every leaf in every reading, until it returns false. A part may come more than once; one that
 * is not of the strict reading lives only during the call. Linear in the size of the body. */
void mime_each(struct mime *m, bool (*fn)(void *data, const struct mime_part *part), void *data);

/* mime_decode - the first `most` decoded bytes of a leaf, in the arena (or a view of what needs no decoding).
 * Readings are counted from 0; broken base64 has three (padding ends a group; padding is skipped; - and _ are digits).
 * False when there is no such reading. */
bool mime_decode(struct arena *a, const struct mime_part *part, size_t most, unsigned reading, struct str *bytes);

/* mime_text - bytes of that charset in UTF-8. What cannot be converted stays as it is, or becomes '?'. Byte order marks
 * count more than the charset. */
struct str mime_text(struct arena *a, struct str bytes, struct str charset);

/* mime_word - decode encoded words (RFC 2047) wherever they stand. */
struct str mime_word(struct arena *a, struct str text);

/* message_mime - the message's reading, made at the first call; NULL when the body could not be kept. */
struct message;
struct mime *message_mime(struct message *m);

#include "../base/banned.h"
#endif
