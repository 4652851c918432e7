/* reply.h - what an SMTP server says, read off the bytes that it sends. They are not trusted. */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stddef.h>

#include "../base/arena.h"
#include "../base/str.h"

#define SMTP_LINE_MOST 2048   /* bytes of a line with its end; RFC 5321, 4.5.3.1.5 says 512 */
#define SMTP_LINES_MOST 100   /* of one reply: those to EHLO are the longest */
#define SMTP_REPLY_MOST 16384 /* bytes of one reply */
#define SMTP_TEXT_MOST 300    /* bytes of its words that are kept */

enum smtp_offers { SMTP_OFFERS_TLS = 1, SMTP_OFFERS_UTF8 = 2 };

struct smtp_reply {
    int code;         /* 200 to 599 */
    char status[10];  /* RFC 3463, of the code's class: "5.1.1"; empty when the reply has none */
    struct str text;  /* the words of all lines, without codes, a blank between lines; outside bytes */
    unsigned offers;  /* enum smtp_offers, when it answers EHLO */
};

enum smtp_heard { SMTP_MORE, SMTP_WHOLE, SMTP_JUNK };

/* smtp_reply_read - the first reply of `heard`, and how many bytes it took. SMTP_MORE: it is not complete yet.
 * SMTP_JUNK: whatever may come, this is no reply. The text is a copy in the arena. */
enum smtp_heard smtp_reply_read(struct arena *a, struct str heard, struct smtp_reply *r, size_t *taken);

#include "../base/banned.h"
#endif
