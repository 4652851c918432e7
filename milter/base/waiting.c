/* waiting.c - a counter and a bell. */
#include <stdatomic.h>
#include <stddef.h>

#include "waiting.h"

static atomic_uint waiting;
static void (*_Atomic bell)(void);

void waiting_begin(void)
{
    void (*fn)(void) = atomic_load(&bell);

    if (atomic_fetch_add(&waiting, 1) >= 1 && fn)
        fn();
}

void waiting_end(void)
{
    atomic_fetch_sub(&waiting, 1);
}

unsigned waiting_now(void)
{
    return atomic_load(&waiting);
}

void waiting_on_begin(void (*fn)(void))
{
    atomic_store(&bell, fn);
}
