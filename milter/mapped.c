/* mapped.c - a list of mappings, and the thread that goes through it when they are many. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/waiting.h"
#include "mapped.h"

#define ROUND_MS 5
#define WAIT_MS 500 /* in one piece */
#define TURNS_MOST 4 /* of 25 MB each */

struct mapped {
    struct mapped *next, **at;
    void *bytes;
    size_t size;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t many;
    struct mapped *first;
    atomic_size_t sum;
    bool runs; /* the thread; it stays once it was needed */
    pthread_cond_t turn;
    unsigned turns, reading; /* at most, now */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .many = PTHREAD_COND_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER};
static _Thread_local bool reads; /* it is this thread's turn */

/* let_go - the list is locked meanwhile, so that no mapping ends while we are at it. */
static void let_go(void)
{
    for (const struct mapped *m = all.first; m; m = m->next)
        madvise(m->bytes, m->size, MADV_DONTNEED);
}

/* holds - under the lock. */
static bool holds(const char *p)
{
    for (const struct mapped *m = all.first; m; m = m->next)
        if (p >= (const char *)m->bytes && p < (const char *)m->bytes + m->size)
            return true;
    return false;
}

void mapped_seen(struct str bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)bytes.p & ~(page - 1), to = ((uintptr_t)bytes.p + bytes.n) & ~(page - 1);
    bool ours;

    if (atomic_load(&all.sum) <= MAPPED_MOST || to <= from)
        return;
    pthread_mutex_lock(&all.lock);
    ours = holds(bytes.p);
    pthread_mutex_unlock(&all.lock);
    if (ours) /* and it stays so: it is the caller's own */
        madvise((void *)from, to - from, MADV_DONTNEED);
}

static void *keep_small(void *unused)
{
    const struct timespec pause = {.tv_nsec = ROUND_MS * 1000000};

    (void)unused;
    pthread_mutex_lock(&all.lock);
    for (;;) {
        while (all.sum <= MAPPED_MOST)
            pthread_cond_wait(&all.many, &all.lock);
        let_go();
        pthread_mutex_unlock(&all.lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&all.lock);
    }
    return NULL;
}

/* start - under the lock. Without a thread there is only more memory in use. */
static void start(void)
{
    sigset_t signals, before;
    pthread_t thread;

    if (all.runs)
        return;
    all.runs = true;
    sigfillset(&signals);
    pthread_sigmask(SIG_SETMASK, &signals, &before); /* signals are other threads' business */
    if (pthread_create(&thread, NULL, keep_small, NULL) != 0)
        log_warn("no thread can be started that keeps the memory for large messages small");
    else
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- turns ---- */

/* wait_turn - under the lock, which is given up meanwhile. */
static void wait_turn(void)
{
    while (all.reading >= all.turns) {
        struct timespec until;
        int64_t ms;

        pthread_mutex_unlock(&all.lock);
        ms = waiting_slice(WAIT_MS);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)ms * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&all.lock);
        if (all.reading >= all.turns)
            pthread_cond_timedwait(&all.turn, &all.lock, &until);
    }
}

static void pass_turn(void)
{
    reads = false;
    pthread_mutex_lock(&all.lock);
    all.reading--;
    pthread_cond_signal(&all.turn);
    pthread_mutex_unlock(&all.lock);
}

void mapped_turn(void)
{
    long processors;

    if (reads || atomic_load(&all.sum) <= MAPPED_MOST)
        return;
    waiting_begin();
    pthread_mutex_lock(&all.lock);
    if (!all.turns) {
        processors = sysconf(_SC_NPROCESSORS_ONLN);
        all.turns = processors < 1 ? 1 : processors > TURNS_MOST ? TURNS_MOST : (unsigned)processors;
    }
    wait_turn();
    all.reading++;
    pthread_mutex_unlock(&all.lock);
    waiting_end();
    reads = true;
    waiting_gives(pass_turn, mapped_turn);
}

void mapped_turn_end(void)
{
    if (!reads)
        return;
    waiting_gives(NULL, NULL);
    pass_turn();
}

/* ---- mappings ---- */

struct mapped *mapped_open(int fd, size_t size)
{
    struct mapped *m = calloc(1, sizeof *m);

    if (!m)
        log_panic("out of memory for a mapping");
    m->size = size;
    m->bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (m->bytes == MAP_FAILED) {
        int error = errno;

        free(m);
        errno = error;
        return NULL;
    }
    pthread_mutex_lock(&all.lock);
    m->next = all.first;
    m->at = &all.first;
    if (m->next)
        m->next->at = &m->next;
    all.first = m;
    all.sum += size;
    if (all.sum > MAPPED_MOST) {
        start();
        pthread_cond_signal(&all.many);
    }
    pthread_mutex_unlock(&all.lock);
    return m;
}

const char *mapped_bytes(const struct mapped *m)
{
    return m->bytes;
}

size_t mapped_size(const struct mapped *m)
{
    return m->size;
}

void mapped_close(struct mapped **m)
{
    struct mapped *gone = *m;

    if (!gone)
        return;
    pthread_mutex_lock(&all.lock);
    *gone->at = gone->next;
    if (gone->next)
        gone->next->at = gone->at;
    all.sum -= gone->size;
    pthread_mutex_unlock(&all.lock);
    munmap(gone->bytes, gone->size);
    free(gone);
    *m = NULL;
}
