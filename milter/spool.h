/* spool.h - a message's body: in memory up to a cap, then in an unlinked temporary file. */
#ifndef SPOOL_H
#define SPOOL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

struct spool;

/* spool_new - goes with the arena, file and mapping included. Files are made in `dir`, or /tmp where it is not there;
 * nobody else ever sees a name. */
struct spool *spool_new(struct arena *a, size_t memory_most, const char *dir);

/* spool_add - append; false when it could not be written (a full disk): the spool is then useless and says so again. */
bool spool_add(struct spool *s, struct str bytes);

/* spool_view - everything so far; valid until the next spool_add or the arena's reset. False as above. */
bool spool_view(struct spool *s, struct str *bytes);
bool spool_in_file(const struct spool *s);

#endif
