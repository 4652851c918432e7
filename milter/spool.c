/* spool.c - one buffer, one file, one mapping. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "mapped.h"
#include "spool.h"

#define MEMORY_FIRST 16384

struct spool {
    char *memory;      /* malloc'd: a large body must not stay in an arena that is kept for the next message */
    size_t n, room;    /* of memory; n is the whole length in a file too */
    size_t memory_most;
    const char *dir;
    int fd;            /* -1: still in memory */
    struct mapped *map; /* NULL: not needed yet */
    bool broken;
};

static void spool_close(void *ptr)
{
    struct spool *s = ptr;

    mapped_close(&s->map);
    if (s->fd >= 0)
        close(s->fd);
    free(s->memory);
}

struct spool *spool_new(struct arena *a, size_t memory_most, const char *dir)
{
    struct spool *s = arena_zalloc(a, sizeof *s);

    s->fd = -1;
    s->memory_most = memory_most;
    s->dir = str_dup(a, str_of(dir)).p;
    arena_on_reset(a, spool_close, s);
    return s;
}

static int open_unlinked(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd >= 0 ? fd : open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static bool broken(struct spool *s, const char *what)
{
    if (!s->broken)
        log_error("a message body could not be %s in %s: %s", what, s->dir, strerror(errno));
    s->broken = true;
    return false;
}

static bool write_all(struct spool *s, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(s->fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return broken(s, "written");
        bytes = str_slice(bytes, (size_t)n, bytes.n);
    }
    return true;
}

static bool to_file(struct spool *s)
{
    s->fd = open_unlinked(s->dir);
    if (s->fd < 0)
        return broken(s, "opened");
    if (!write_all(s, (struct str){s->memory, s->n}))
        return false;
    free(s->memory);
    s->memory = NULL;
    s->room = 0;
    return true;
}

static void grow(struct spool *s, size_t need)
{
    size_t room = s->room ? s->room : MEMORY_FIRST;
    char *more;

    while (room < need)
        room *= 2;
    if (room == s->room)
        return;
    more = realloc(s->memory, room);
    if (!more)
        log_panic("out of memory for %zu bytes of a body", room);
    s->memory = more;
    s->room = room;
}

bool spool_add(struct spool *s, struct str bytes)
{
    if (s->broken || bytes.n == 0)
        return !s->broken;
    if (s->fd < 0 && s->n + bytes.n > s->memory_most && !to_file(s))
        return false;
    if (s->fd >= 0) {
        if (!write_all(s, bytes))
            return false;
    } else {
        grow(s, s->n + bytes.n);
        memcpy(s->memory + s->n, bytes.p, bytes.n);
    }
    s->n += bytes.n;
    return true;
}

bool spool_view(struct spool *s, struct str *bytes)
{
    *bytes = STR_NONE;
    if (s->broken)
        return false;
    if (s->fd < 0) {
        *bytes = (struct str){s->memory, s->n};
        return true;
    }
    if (!s->map || mapped_size(s->map) != s->n) {
        mapped_close(&s->map);
        s->map = mapped_open(s->fd, s->n);
        if (!s->map)
            return broken(s, "read");
    }
    mapped_turn();
    *bytes = (struct str){mapped_bytes(s->map), s->n};
    return true;
}

bool spool_in_file(const struct spool *s)
{
    return s->fd >= 0;
}
