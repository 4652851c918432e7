/* err.h - everything that is wrong with what an administrator wrote, collected so that one run names it all. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "str.h"

struct place {
    struct str file; /* empty: a built-in default */
    unsigned line;   /* from 1; 0 when the whole file is meant */
};

struct problem {
    struct place at;
    struct str text;
    bool warning; /* named and gone on; otherwise the configuration is refused */
};

struct problems {
    struct arena *arena; /* owns the texts */
    struct problem *items;
    size_t count;
    size_t errors; /* of them */
};

void problem_error(struct problems *p, struct place at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void problem_warning(struct problems *p, struct place at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* problems_sort - by file and line, keeping the order of what stands on one line; what is said there twice is kept
 * once. */
void problems_sort(struct problems *p);

/* problem_text - "FILE:LINE: what" with outside bytes escaped; warnings say so. */
struct str problem_text(struct arena *a, const struct problem *p);

/* nearest - the candidate that the word is most likely a misspelling of, or NULL when none is near enough. */
const char *nearest(struct str word, const char *const *candidates, size_t count);

#include "banned.h"
#endif
