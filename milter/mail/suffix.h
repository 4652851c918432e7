/* suffix.h - organisational domains by the public suffix list. */
#ifndef MAIL_SUFFIX_H
#define MAIL_SUFFIX_H

#include <stdbool.h>

#include "../base/str.h"

/* domain_organizational - the part of a name that one owner registered: mail.a.co.uk is a.co.uk. A public suffix, a single
 * label and an address literal are their own. A view into `name`. */
struct str domain_organizational(struct str name);

/* domain_same_organization - both below the same registered domain. */
bool domain_same_organization(struct str a, struct str b);

#include "../base/banned.h"
#endif
