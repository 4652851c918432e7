/* waiting.c - a counter, a bell, and whom each thread tells. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "waiting.h"

static atomic_uint waiting;
static void (*_Atomic bell)(void);
static _Thread_local struct {
    void (*give)(void), (*take)(void); /* NULL: nothing */
    bool given;
} held;
static _Thread_local struct {
    void (*fn)(void *); /* NULL: nobody */
    void *ctx;
    int64_t every, due;
} told;

void waiting_begin(void)
{
    void (*fn)(void) = atomic_load(&bell);

    if (held.give && !held.given) {
        held.given = true;
        held.give();
    }
    if (atomic_fetch_add(&waiting, 1) >= 1 && fn)
        fn();
}

void waiting_end(void)
{
    void (*take)(void) = held.take;

    atomic_fetch_sub(&waiting, 1);
    if (take && held.given) {
        waiting_gives(NULL, NULL);
        take();
    }
}

unsigned waiting_now(void)
{
    return atomic_load(&waiting);
}

void waiting_on_begin(void (*fn)(void))
{
    atomic_store(&bell, fn);
}

void waiting_gives(void (*give)(void), void (*take)(void))
{
    held.give = give;
    held.take = take;
    held.given = false;
}

/* The machine's time: who is told knows nothing of a scripted clock. */
static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void waiting_tell(void (*fn)(void *), void *ctx, int64_t every_ms)
{
    told.fn = fn;
    told.ctx = ctx;
    told.every = every_ms;
    told.due = fn ? now_ms() + every_ms : 0;
}

int64_t waiting_slice(int64_t ms)
{
    int64_t now;

    if (!told.fn)
        return ms;
    now = now_ms();
    if (now >= told.due) {
        told.fn(told.ctx);
        told.due = now + told.every;
    }
    return ms < told.due - now ? ms : told.due - now;
}
