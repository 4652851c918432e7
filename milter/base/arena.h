/* arena.h - memory with a lifetime instead of an owner to remember.
 *
 * One arena lives with the configuration, one with each connection, one with each message; everything allocated in it
 * goes at once. Allocation never returns NULL: what a stranger can make large is capped before it is allocated, and
 * true exhaustion ends the process (the supervisor starts it again and Postfix still holds the mail).
 * An arena belongs to one thread at a time. Under ASan a reset arena is poisoned, so that a pointer that outlives its
 * message is found by every test.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "str.h"

struct arena;

struct arena *arena_new(size_t first_chunk); /* bytes set aside at once; 0 = a sensible size */
void arena_reset(struct arena *a);           /* run the cleanups, newest first, and forget everything */
void arena_free(struct arena **a);           /* reset, give the memory back, clear the pointer; NULL is fine */

void *arena_alloc(struct arena *a, size_t size);                /* aligned for any type, not cleared */
void *arena_zalloc(struct arena *a, size_t size);               /* cleared */
void *arena_array(struct arena *a, size_t count, size_t size);  /* cleared; an overflowing product ends the process */
struct str arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* arena_grow - give *items (of `size` bytes each, `count` used) room for one more; doubles, in the arena.
 * Returns the array, which may have moved: the old one stays until the reset. */
void *arena_grow(struct arena *a, void *items, size_t count, size_t size);

/* arena_on_reset - call fn(ptr) when the arena is reset: for descriptors, statements, library objects. */
void arena_on_reset(struct arena *a, void (*fn)(void *), void *ptr);

size_t arena_bytes(const struct arena *a); /* what it holds from the system */

#include "banned.h"
#endif
