/* arena.c - chunks that double, a list of cleanups, nothing else. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#include "arena.h"
#include "log.h"

#define ARENA_FIRST 4096
#define ARENA_LARGEST (256 * 1024) /* doubling stops here */
#define ALIGNMENT _Alignof(max_align_t)

struct chunk {
    struct chunk *older;
    size_t size; /* bytes of data */
    _Alignas(max_align_t) char data[];
};

struct cleanup {
    struct cleanup *older;
    void (*fn)(void *);
    void *ptr;
};

struct arena {
    struct chunk *chunk;     /* the newest; the first one is kept over a reset */
    size_t used;             /* bytes of the newest */
    size_t total;            /* bytes of all chunks */
    struct cleanup *cleanup; /* the newest */
};

static struct chunk *chunk_new(size_t size, struct chunk *older)
{
    struct chunk *c = malloc(sizeof *c + size);

    if (!c)
        log_panic("out of memory for %zu bytes", size);
    c->older = older;
    c->size = size;
    ASAN_POISON_MEMORY_REGION(c->data, size);
    return c;
}

struct arena *arena_new(size_t first_chunk)
{
    struct arena *a = calloc(1, sizeof *a);

    if (!a)
        log_panic("out of memory for an arena");
    a->chunk = chunk_new(first_chunk ? first_chunk : ARENA_FIRST, NULL);
    a->total = a->chunk->size;
    return a;
}

void arena_reset(struct arena *a)
{
    while (a->cleanup) {
        struct cleanup *c = a->cleanup;

        a->cleanup = c->older;
        c->fn(c->ptr);
    }
    while (a->chunk->older) {
        struct chunk *c = a->chunk;

        a->chunk = c->older;
        free(c);
    }
    a->used = 0;
    a->total = a->chunk->size;
    ASAN_POISON_MEMORY_REGION(a->chunk->data, a->chunk->size);
}

/* The caller's pointer is often kept in the arena itself, so it is read and cleared first. */
void arena_free(struct arena **ap)
{
    struct arena *a = *ap;

    if (!a)
        return;
    *ap = NULL;
    arena_reset(a);
    free(a->chunk);
    free(a);
}

static void arena_add_chunk(struct arena *a, size_t need)
{
    size_t size = a->chunk->size < ARENA_LARGEST ? a->chunk->size * 2 : ARENA_LARGEST;

    if (size < need)
        size = need;
    a->chunk = chunk_new(size, a->chunk);
    a->used = 0;
    a->total += size;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *p;

    if (size > SIZE_MAX / 4)
        log_panic("an allocation of %zu bytes was asked for", size);
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (size > a->chunk->size - a->used)
        arena_add_chunk(a, size);
    p = a->chunk->data + a->used;
    a->used += size;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        log_panic("an array of %zu times %zu bytes was asked for", count, size);
    return arena_zalloc(a, bytes);
}

void *arena_grow(struct arena *a, void *items, size_t count, size_t size)
{
    void *more;

    /* The room is a power of two from 4 on, so it is full exactly when the count is one of these. */
    if (items && (count < 4 || (count & (count - 1)) != 0))
        return items;
    if (count > SIZE_MAX / 2)
        log_panic("an array of %zu items was asked to grow", count);
    more = arena_array(a, count < 4 ? 4 : count * 2, size);
    if (count)
        memcpy(more, items, count * size);
    return more;
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    struct buf b = buf_in(a);
    va_list ap;

    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    return buf_str(&b);
}

void arena_on_reset(struct arena *a, void (*fn)(void *), void *ptr)
{
    struct cleanup *c = arena_alloc(a, sizeof *c);

    *c = (struct cleanup){a->cleanup, fn, ptr};
    a->cleanup = c;
}

size_t arena_bytes(const struct arena *a)
{
    return a->total;
}
