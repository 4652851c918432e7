/* mapped.h - large bodies lie in files and are read by mapping them. What was read stays in our memory until the mapping
 * ends, and a scanner may take a minute: forty messages of 25 MB would be a gigabyte that nobody looks at any more.
 *
 * So while all mappings together are larger than MAPPED_MOST, their pages are let go every few milliseconds: they are
 * the file's, in the kernel's cache, and whoever reads them again only has to look them up. Who reads a lot does it on
 * the way; a thread does it for the others. And no more messages are read at the same time then than there are
 * processors, which takes no longer: who waits for a scanner or the DNS lets another one read.
 */
#ifndef MAPPED_H
#define MAPPED_H

#include <stddef.h>

#include "base/str.h"

#define MAPPED_MOST (64U * 1024 * 1024)

struct mapped;

/* mapped_open - `size` bytes of a file, for reading. NULL: errno says why not. */
struct mapped *mapped_open(int fd, size_t size);
const char *mapped_bytes(const struct mapped *m);
size_t mapped_size(const struct mapped *m);
void mapped_close(struct mapped **m); /* NULL is well */

/* mapped_turn - before reading: waits for this thread's turn, if mappings are many. It ends with mapped_turn_end(), which
 * must come from the same thread; while it waits for something else it is another one's. */
void mapped_turn(void);
void mapped_turn_end(void);

/* mapped_seen - for who reads a lot: these bytes, which may lie in a mapping of his or elsewhere, are read. Costs nothing
 * while mappings are few. */
void mapped_seen(struct str bytes);

#include "base/banned.h"
#endif
