/* url_inside.h - what the files of url.h share. */
#ifndef MAIL_URL_INSIDE_H
#define MAIL_URL_INSIDE_H

#include "url.h"

void links_add_authority(struct links *l, struct str authority, bool bare);
void url_schemes(struct links *l, struct str text);  /* all that have a scheme, wherever they stand */
void url_decoded(struct links *l, struct str text);  /* the same behind percent encoding */
size_t url_mailto(struct links *l, struct str rest); /* what stands behind mailto: its length */
bool url_scheme_before(struct str text, size_t colon);

void url_add_utf8(struct buf *b, uint32_t c); /* a code point */

/* url_name_at - append what the name of an entity stands for; s begins behind its ampersand. The length taken, with the
 * semicolon; 0: it is none, or of no use in a link. */
size_t url_name_at(struct buf *b, struct str s);

/* url_authority_at - take the authority that begins behind slashes at `pos`; the offset behind it. In a text it ends
 * with a blank or a quote too, but not where the URL stands alone. */
size_t url_authority_at(struct links *l, struct str text, size_t pos, bool alone);

#include "../base/banned.h"
#endif
