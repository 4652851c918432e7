/* mapped.c - tests of large bodies' mappings: what is in memory of them, whose turn it is, and who is told of a wait. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../milter/base/clock.h"
#include "../../milter/base/waiting.h"
#include "../../milter/mapped.h"
#include "../lib/tap.h"

#define LARGE (48U * 1024 * 1024)
#define GENEROUS_MS 20000
#define THREADS 12

static int file_of(size_t size)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char block[65536];

    memset(block, 'x', sizeof block);
    for (size_t n = 0; fd >= 0 && n < size; n += sizeof block)
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
            bail("/tmp: %s", strerror(errno));
    if (fd < 0)
        bail("/tmp: %s", strerror(errno));
    return fd;
}

/* in_memory - kB of files that are mapped and in our memory. */
static long in_memory(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[200];
    long kb = -1;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssFile: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static size_t read_all(const struct mapped *m)
{
    const volatile char *p = mapped_bytes(m);
    size_t n = 0;

    for (size_t i = 0; i < mapped_size(m); i += 512)
        n += p[i] == 'x';
    return n * 512;
}

static void test_memory(int fd)
{
    struct mapped *first = mapped_open(fd, LARGE), *second;
    long before = in_memory();
    int64_t until;

    is_long((long)read_all(first), LARGE, "a mapping is read");
    ok(in_memory() - before > LARGE / 1024 / 2, "a single one stays in memory");
    mapped_seen((struct str){mapped_bytes(first), LARGE});
    ok(in_memory() - before > LARGE / 1024 / 2, "also when it was seen");
    second = mapped_open(fd, LARGE);
    until = clock_ms() + GENEROUS_MS;
    while (in_memory() - before > LARGE / 1024 / 4 && clock_ms() < until)
        usleep(5000);
    ok(in_memory() - before <= LARGE / 1024 / 4, "with two of them what was read is let go: %ld kB",
       in_memory() - before);
    is_long((long)(read_all(first) + read_all(second)), 2 * LARGE, "and can be read again");
    mapped_close(&first);
    ok(first == NULL, "closed");
    is_long((long)read_all(second), LARGE, "the other one stays");
    mapped_close(&second);
    mapped_close(&second);
    ok(mapped_open(-1, LARGE) == NULL, "no file, no mapping");
}

/* test_seen - memory that is no mapping is left alone. */
static void test_seen(int fd)
{
    struct mapped *m[2] = {mapped_open(fd, LARGE), mapped_open(fd, LARGE)};
    char *own = malloc(1 << 20);
    size_t left = 0;

    memset(own, 'o', 1 << 20);
    mapped_seen((struct str){own, 1 << 20});
    mapped_seen((struct str){NULL, 0});
    for (size_t i = 0; i < 1 << 20; i++)
        left += own[i] == 'o';
    is_long((long)left, 1 << 20, "memory that is no mapping stays as it is");
    mapped_seen((struct str){mapped_bytes(m[0]) + 100, LARGE - 300});
    is_long((long)read_all(m[0]), LARGE, "a mapping that was seen can be read again");
    mapped_close(&m[0]);
    mapped_close(&m[1]);
    free(own);
}

static atomic_int reading, most, waiters;

static void *reader(void *unused)
{
    (void)unused;
    mapped_turn();
    mapped_turn(); /* it has it */
    for (int round = 0; round < 5; round++) {
        int now = atomic_fetch_add(&reading, 1) + 1, before = atomic_load(&most);

        while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
            ;
        usleep(2000);
        atomic_fetch_sub(&reading, 1);
        waiting_begin();
        atomic_fetch_add(&waiters, 1);
        usleep(1000);
        waiting_end();
    }
    mapped_turn_end();
    mapped_turn_end();
    return NULL;
}

static void test_turns(int fd)
{
    struct mapped *m[2] = {mapped_open(fd, LARGE), mapped_open(fd, LARGE)};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, reader, NULL) != 0)
            bail("a thread: %s", strerror(errno));
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ok(atomic_load(&most) >= 1 && atomic_load(&most) <= (processors > 4 ? 4 : processors),
       "%d of %d read at once", atomic_load(&most), THREADS);
    is_long(atomic_load(&waiters), THREADS * 5, "all of them came to their end");
    mapped_close(&m[0]);
    mapped_close(&m[1]);
    mapped_turn();
    waiting_begin();
    waiting_end();
    mapped_turn_end();
    ok(true, "with few mappings there are no turns");
}

static void count(void *ctx)
{
    ++*(int *)ctx;
}

static void test_told(void)
{
    int told = 0;

    is_long((long)waiting_slice(12345), 12345, "nobody is to be told: no slices");
    waiting_tell(count, &told, 30);
    ok(waiting_slice(12345) <= 30, "a wait is cut into slices");
    is_long(told, 0, "nobody is told before it is time");
    is_long((long)waiting_slice(0), 0, "no wait, no slice");
    usleep(40000);
    ok(waiting_slice(1000) <= 30, "the next slice");
    is_long(told, 1, "told once");
    waiting_tell(NULL, NULL, 0);
    usleep(40000);
    is_long((long)waiting_slice(1000), 1000, "it is over");
    is_long(told, 1, "and nobody is told any more");
}

int main(void)
{
    int fd = file_of(LARGE);

    test_memory(fd);
    test_seen(fd);
    test_turns(fd);
    test_told();
    close(fd);
    return tap_end();
}
