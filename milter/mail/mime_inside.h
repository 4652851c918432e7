/* mime_inside.h - what the files of mime.h share. */
#ifndef MAIL_MIME_INSIDE_H
#define MAIL_MIME_INSIDE_H

#include "mime.h"
#include "mime_header.h"

/* mime_read_inside - the strict reading under a header that was read before. */
struct mime *mime_read_inside(struct arena *a, const struct mime_header *top, struct str body, unsigned level);

void mime_part_fill(struct mime_part *p, const struct mime_header *h); /* what the header says of it */

#include "../base/banned.h"
#endif
