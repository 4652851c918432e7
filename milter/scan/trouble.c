/* trouble.c - one line a minute. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "scan/trouble.h"

#define QUIET_MS 60000

void trouble_warn(struct trouble *t, const char *who, struct str problem)
{
    int64_t due = atomic_load(&t->next), now = clock_ms();
    struct arena *a;

    if (now < due || !atomic_compare_exchange_strong(&t->next, &due, now + QUIET_MS))
        return;
    a = arena_new(0);
    log_warn("%s: " STR_FMT " (told once a minute)", who, STR_ARG(str_escaped(a, problem)));
    arena_free(&a);
}
