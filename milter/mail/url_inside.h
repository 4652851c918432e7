/* url_inside.h - what url.c and url_html.c share. */
#ifndef MAIL_URL_INSIDE_H
#define MAIL_URL_INSIDE_H

#include "url.h"

void links_add_authority(struct links *l, struct str authority, bool bare);
void url_schemes(struct links *l, struct str text);  /* all that have a scheme, wherever they stand */
void url_decoded(struct links *l, struct str text);  /* the same behind percent encoding */
size_t url_mailto(struct links *l, struct str rest); /* what stands behind mailto: its length */
bool url_scheme_before(struct str text, size_t colon);

/* url_authority_at - take the authority that begins behind slashes at `pos`; the offset behind it. In a text it ends
 * with a blank or a quote too, but not where the URL stands alone. */
size_t url_authority_at(struct links *l, struct str text, size_t pos, bool alone);

#include "../base/banned.h"
#endif
