/* mime_tnef.h - what was found in a winmail.dat, as ordinary parts. */
#ifndef MAIL_MIME_TNEF_H
#define MAIL_MIME_TNEF_H

#include "mime_edit.h"

struct tnef_content; /* worker.h */

/* mime_is_tnef - a leaf that says it is one, by its type or by the name that Outlook gives it. */
bool mime_is_tnef(const struct mime_part *part);

/* mime_has_text - the message has a text that readers show, which is not empty. */
bool mime_has_text(struct arena *a, const struct mime *m);

/* mime_from_tnef - the parts to put in its place. With `has_text` its plain text is left out, since it is that of the
 * message, and a formatted one becomes an attachment. An embedded message is attached as a message, or as it is where
 * it could not be opened. *keep: it holds what no other part could be made of. */
struct mime_new *mime_from_tnef(struct arena *a, const struct tnef_content *content, bool has_text, size_t *count,
                                bool *keep);

#include "../base/banned.h"
#endif
