/* winmail.h - what is packed into the winmail.dats of a message, opened once for all policies. */
#ifndef MAIL_WINMAIL_H
#define MAIL_WINMAIL_H

#include "../worker.h"
#include "mime.h"

#define WINMAIL_SIGNATURE STR("\x78\x9f\x3e\x22")

struct message;

struct winmail {
    struct winmail *next;
    struct str raw;             /* a view into the message's body, encoded; of one that stands elsewhere empty */
    enum mime_coding coding;
    bool tried;                 /* false: left alone, since there are too many or it is too large */
    bool odd;                   /* it can be decoded in several ways, of which one was taken */
    size_t size;                /* decoded */
    struct str why;             /* not empty: it could not be opened; escaped */
    struct tnef_content content;
    struct winmail **inside;    /* by part of the content: one in it, or NULL */
};

/* message_winmails - all of them, wherever a reader might find one; NULL: there is none. Waits for the worker at the
 * first call, and adds what it finds to the message's reading (MIME_ADDED). Of one that cannot be opened that is what
 * stands where its files would begin. */
struct winmail *message_winmails(struct message *m);

/* winmail_of - the one that this part of the same body is; NULL: none was tried. */
const struct winmail *winmail_of(const struct winmail *list, const struct mime_part *part);

/* winmail_trouble - why one of them could not be opened; empty: all were. */
struct str winmail_trouble(const struct winmail *list);

/* winmail_add_raw - the beginnings of files, and their names, by going over the bytes. */
void winmail_add_raw(struct mime *mime, struct str bytes);

#include "../base/banned.h"
#endif
