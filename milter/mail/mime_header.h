/* mime_header.h - the fields of a part's header that say what it is. */
#ifndef MAIL_MIME_HEADER_H
#define MAIL_MIME_HEADER_H

#include "mime.h"

#define MIME_FIELDS_MOST 8 /* of one name */
#define MIME_VALUES_MOST 16

struct mime_values {
    struct str items[MIME_VALUES_MOST];
    size_t count;
};

struct mime_header {
    struct mime_values types, codings, dispositions; /* the fields as written */
    unsigned doubts;
    bool multipart, message, digest, text, html;
    bool packed;          /* its encoding is a block in a text, as uuencode is */
    unsigned coding_set;  /* bit (1 << enum mime_coding), never 0 */
    struct str type, charset;
    struct mime_values boundaries;
    struct mime_names names;
};

/* mime_header_field - take one field; others than the three are passed over. */
void mime_header_field(struct mime_header *h, struct str name, struct str value);

/* mime_header_block - the fields of a header in memory. Its end is the caller's business. */
void mime_header_block(struct mime_header *h, struct str block);

/* mime_header_finish - what the fields say. A part without Content-Type is a message in a digest, else text. */
void mime_header_finish(struct arena *a, struct mime_header *h, bool in_digest);

/* mime_values_add - unless it is there; false when there is no room. */
bool mime_values_add(struct mime_values *v, struct str value);

/* mime_parameter - every reading of a parameter: quoted or not, repeated, in pieces (RFC 2231), encoded (RFC 2047).
 * *odd when readers may disagree about it. */
void mime_parameter(struct arena *a, struct str field, struct str name, struct mime_values *values, bool *odd);

#include "../base/banned.h"
#endif
