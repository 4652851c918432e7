/* option_list.h - what option.c and option_list.c share: the reading of one value. */
#ifndef OPTION_LIST_H
#define OPTION_LIST_H

#include "option.h"

/* option_value - read one value into the field of a scalar, or add it to that of a list. False with *error, which says
 * what is needed ("needs yes or no"), and the field unchanged. */
bool option_value(struct arena *a, const struct option *o, struct str text, void *field, struct str *error);

/* option_list_add - the same for the types that are lists of struct; one of OPTION_STRINGS and behind it. */
bool option_list_add(struct arena *a, const struct option *o, struct str text, void *field, struct str *error);

/* option_is_dead_list - a DNS list that is known to be gone: named and left out, not an error. */
bool option_is_dead_list(struct arena *a, const struct option *o, struct str text);

void option_list_clear(const struct option *o, void *field);

/* option_list_file - add the entries of a list file, which the configuration names at `at`. */
void option_list_file(struct arena *a, const struct option *o, struct str path, struct place at, void *field,
                      struct problems *problems);

#define OPTION_SHOWN 20 /* entries that option_text() writes out */

/* option_list_text - write the entries, without braces; false when there are more than `most`, with *count. */
bool option_list_text(struct buf *b, const struct option *o, const void *field, size_t most, size_t *count);

/* option_quote - text as a string in the file. */
void option_quote(struct buf *b, struct str text);

#endif
