/* pattern_entry.h - private to pattern.c: entries of a list as the administrator wrote them. */
#ifndef MAIL_PATTERN_ENTRY_H
#define MAIL_PATTERN_ENTRY_H

#include <stdbool.h>

#include "pattern.h"

enum pattern_kind { PATTERN_WHOLE, PATTERN_AT_DOMAIN, PATTERN_BELOW, PATTERN_BARE }; /* user@dom or a host, @dom, ... */

/* pattern_take_word - the first pattern of an entry off *rest: a regular expression with blanks and all, or a word, in
 * which a quoted local part may have blanks. False when it begins with a slash and none ends it. */
bool pattern_take_word(struct str *rest, struct str *word);

/* pattern_kind_of - of a word that is no regular expression; false with *error when it is no pattern of such a list. */
bool pattern_kind_of(struct arena *a, enum pattern_of of, bool allow_bare, struct str word, enum pattern_kind *kind,
                     struct str *error);

#include "../base/banned.h"
#endif
