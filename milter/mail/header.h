/* header.h - the header fields of a message as they came, in order. */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/str.h"

struct header {
    struct header *next;
    struct str name;  /* as written */
    struct str value; /* as written after the colon, folding kept; of a message without its first blank */
    struct str raw;   /* the same with every byte after the colon: what signatures are made of */
};

struct headers {
    struct header *first, *last;
    size_t count;
    size_t bytes; /* names and values */
};

/* header_append - an empty field at the end, to be filled in; h->bytes is the caller's business. */
struct header *header_append(struct arena *a, struct headers *h);

/* header_add - keep a copy at the end. */
void header_add(struct arena *a, struct headers *h, struct str name, struct str value);

/* header_find - the index-th (from 0) field of that name, case-blind; NULL when there are fewer. */
const struct header *header_find(const struct headers *h, struct str name, size_t index);
size_t header_count(const struct headers *h, struct str name);

/* header_unfold - the value on one line, trimmed: CRLF before white space goes (RFC 5322, 2.2.3). */
struct str header_unfold(struct arena *a, struct str value);

/* headers_split - read the header of a message in memory (CRLF or LF lines) up to the empty line; *body is the rest.
 * Lines that are no field are ended before: they begin the body. For `sme-milterctl test` and tests. */
void headers_split(struct arena *a, struct str message, struct headers *h, struct str *body);

/* header_date - an RFC 5322 date (3.3, obsolete forms of 4.3 too), comments allowed; false when it is none. Milliseconds
 * since 1970 UTC. */
bool header_date(struct str value, int64_t *wall_ms);

#include "../base/banned.h"
#endif
