/* places.c - a list, as short as connections are few, and a line of who waits. */
#include <pthread.h>
#include <time.h>

#include "../base/clock.h"
#include "places.h"

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    pthread_cond_t change;
    unsigned changes;
    struct place *first;
    struct places_waiter *waiters; /* who came first is first */
} places = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void init(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&places.change, &attr);
    pthread_condattr_destroy(&attr);
}

/* ---- under the lock ---- */

static void changed(void)
{
    pthread_once(&places.once, init);
    places.changes++;
    pthread_cond_broadcast(&places.change);
}

static void remove_place(struct place *p)
{
    for (struct place **at = &places.first; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            return;
        }
}

static void leave_line(struct places_waiter *w)
{
    for (struct places_waiter **at = &places.waiters; w->waits && *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            w->waits = false;
            return;
        }
}

static void join_line(struct places_waiter *w, struct str server)
{
    struct places_waiter **at = &places.waiters;

    if (w->waits)
        return;
    while (*at)
        at = &(*at)->next;
    *w = (struct places_waiter){.server = server, .waits = true};
    *at = w;
}

static bool is_next(const struct places_waiter *w, struct str server)
{
    const struct places_waiter *first = places.waiters;

    while (first && !str_is(first->server, server))
        first = first->next;
    return !first || first == w;
}

static unsigned count(struct str server)
{
    unsigned n = 0;

    for (const struct place *p = places.first; p; p = p->next)
        n += !p->ended && str_is(p->server, server);
    return n;
}

/* idle - the owner's; of whom it may be, where owner is NULL. */
static struct place *idle(struct str server, const void *owner)
{
    for (struct place *p = places.first; p; p = p->next)
        if (p->idle && (!owner || p->owner == owner) && str_is(p->server, server))
            return p;
    return NULL;
}

static struct place *new_place(struct str server)
{
    struct arena *a = arena_new(0);
    struct place *p = arena_zalloc(a, sizeof *p);

    p->arena = a;
    p->server = str_dup(a, server);
    p->next = places.first;
    places.first = p;
    return p;
}

static struct place *take(struct str server, const void *owner, unsigned below, const struct places_waiter *w)
{
    struct place *p = idle(server, owner);

    if (p)
        return p;
    if (!is_next(w, server))
        return NULL;
    if (count(server) < (below < PLACES_MOST ? below : PLACES_MOST))
        return new_place(server);
    return idle(server, NULL);
}

/* ---- for everybody ---- */

struct place *places_take(struct str server, const void *owner, unsigned below, struct places_waiter *w)
{
    struct place *p;

    pthread_mutex_lock(&places.lock);
    p = take(server, owner, below, w);
    if (p) {
        p->owner = owner;
        p->idle = false;
        if (w->waits)
            changed(); /* there is another first one */
        leave_line(w);
    } else {
        join_line(w, server);
    }
    pthread_mutex_unlock(&places.lock);
    return p;
}

void places_give_up(struct places_waiter *w)
{
    pthread_mutex_lock(&places.lock);
    if (w->waits)
        changed();
    leave_line(w);
    pthread_mutex_unlock(&places.lock);
}

bool places_park(struct place *p)
{
    unsigned n = 0;

    pthread_mutex_lock(&places.lock);
    for (const struct place *other = places.first; other; other = other->next)
        n += other->idle;
    if (n < PLACES_IDLE_MOST) {
        p->is_talking = p->idle = true;
        changed();
    }
    pthread_mutex_unlock(&places.lock);
    return n < PLACES_IDLE_MOST;
}

void places_works(struct place *p)
{
    pthread_mutex_lock(&places.lock);
    p->works = true;
    pthread_mutex_unlock(&places.lock);
}

/* places_free - one that worked stays for a moment as the one of its server that has ended last. */
void places_free(struct place **place)
{
    struct place *p = *place, *gone = p;

    *place = NULL;
    pthread_mutex_lock(&places.lock);
    if (p->works) {
        for (gone = places.first; gone && !(gone->ended && str_is(gone->server, p->server)); gone = gone->next)
            continue;
        p->ended = clock_ms();
        p->ended += p->ended == 0;
    }
    if (gone)
        remove_place(gone);
    changed();
    pthread_mutex_unlock(&places.lock);
    if (gone)
        arena_free(&(struct arena *){gone->arena});
}

struct place *places_idle_of(const void *owner)
{
    struct place *p;

    pthread_mutex_lock(&places.lock);
    p = places.first;
    while (p && !(p->idle && p->owner == owner))
        p = p->next;
    if (p)
        p->idle = false;
    pthread_mutex_unlock(&places.lock);
    return p;
}

unsigned places_others(const struct place *p)
{
    unsigned n = 0;
    bool works = false;

    pthread_mutex_lock(&places.lock);
    for (const struct place *other = places.first; other; other = other->next) {
        if (other == p || !str_is(other->server, p->server))
            continue;
        n += !other->ended;
        works |= other->works && (!other->ended || clock_ms() - other->ended < PLACES_ENDED_MS);
    }
    pthread_mutex_unlock(&places.lock);
    return !works ? 0 : n ? n : 1;
}

unsigned places_changes(void)
{
    unsigned n;

    pthread_mutex_lock(&places.lock);
    n = places.changes;
    pthread_mutex_unlock(&places.lock);
    return n;
}

void places_changed(void)
{
    pthread_mutex_lock(&places.lock);
    changed();
    pthread_mutex_unlock(&places.lock);
}

void places_wait(unsigned seen, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&places.lock);
    pthread_once(&places.once, init);
    while (places.changes == seen && pthread_cond_timedwait(&places.change, &places.lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&places.lock);
}

void places_forget(void)
{
    pthread_mutex_lock(&places.lock);
    for (struct place **at = &places.first; *at;) {
        struct place *p = *at;

        if (!p->ended) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        arena_free(&(struct arena *){p->arena});
    }
    pthread_mutex_unlock(&places.lock);
}
