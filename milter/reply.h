/* reply.h - what the client is told: SMTP code, enhanced status, safe text. */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>

#include "policy.h"

#define REPLY_LINE_MAX 512 /* RFC 5321, 4.5.3.1.5: with code and CRLF */

struct reply {
    int code;          /* 4xx or 5xx */
    char status[12];   /* "5.7.1"; its class is the code's */
    struct str text;   /* one line, printable ASCII, ends with "(ref REF)", fits the line limit */
};

/* reply_make - the reply for a bad finding of this instance. 421 and 521 make Postfix hang up. */
struct reply *reply_make(struct arena *a, const struct finding *f, enum reply_kind kind, struct str ref);

/* reply_line - "550 5.7.1 text", as the client sees it. */
struct str reply_line(struct arena *a, const struct reply *r);

#endif
