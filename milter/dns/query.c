/* query.c - one question on its way: whom to ask, when to ask again, what to take for an answer.
 *
 *    queries_add ──▶ query_step ──▶ attempt ──▶ an answer ──▶ cache_answer
 *                     ▲   ▲            │
 *                     │   └── again ───┤ servfail, refused, malformed, truncated: another server, or TCP, at once
 *                     └────── due ─────┘ nothing yet: asked again; the first attempt stays open
 *
 *  1. Attempts overlap: a late answer to the first one is as good as one to the last. The question is given up
 *     timeout_ms after it was asked; five attempts at most because nothing came, SENDS_MOST in all.
 *  2. A query lives until c-ares has let go of its attempts, which may be timeout_ms after the answer; it counts as in
 *     flight until then, so memory is bounded whatever servers do.
 *  3. A callback of c-ares may come while we are in ares_send: it puts the query into a list, and queries_work goes on.
 */
#include <errno.h>
#include <sys/random.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "query.h"
#include "resolver.h"

#define ATTEMPTS_MOST 5     /* because nothing came */
#define SENDS_MOST 12       /* for whatever reason */
#define RETRY_MOST_MS 1000  /* a lost packet costs no more */
#define TICK_MS 100         /* c-ares looks for its timeouts */
#define DEAD_PROBE_MS 30000 /* a dead server beside a live one is looked at so often */
#define ALL_DEAD_PROBE_MS 1000
#define UDP_CUT 512         /* what c-ares cuts answers to, once it has met a server without EDNS */
#define RCODE_FORMERR 1
#define WAKE_MOST 128
#define SPARES_MOST 256     /* queries kept for use */
#define BURST_MOST 100      /* questions sent before we look for answers */

struct attempt {
    struct query *query;
    struct upstream *upstream;
    int64_t sent;
    bool tcp;
    bool fresh; /* counts in the server's window */
};

struct query {
    struct entry *entry;  /* a reference; NULL once it is answered */
    uint64_t serial, set; /* its number; which set of servers the counts below are of */
    int64_t due, ends;    /* the next step; the last one */
    unsigned attempts;    /* for time */
    unsigned sends, open; /* in all; those that c-ares holds */
    unsigned spoilt;      /* answers that were none */
    unsigned tries[DNS_SERVERS_MOST];
    struct upstream *last, *bigger; /* asked last; who has more than fits into a packet */
    bool tcp, again, closing;
    const char *why;      /* if it fails now */
    struct list *list;
    struct query *before, *after;
    struct attempt attempt[SENDS_MOST];
};

struct list {
    struct query *first, *last;
};

static atomic_uint in_flight; /* queries there are */
static atomic_ullong sent;

static struct {
    struct upstreams *set;
    uint64_t set_serial;
    struct list ready, garbage, waiting[ATTEMPTS_MOST + 1]; /* those waiting: by attempts made, each in order of due */
    struct arena *scratch;
    uint64_t serial;
    struct attempt *sending; /* we are in ares_send */
    bool choked;             /* the system takes no more packets for now */
    int64_t passed;          /* the last question that was sent although all are dead */
    int64_t ticked;
    struct query *spare; /* to be used again, linked by `after` */
    size_t spares;
    struct entry *wake[WAKE_MOST]; /* answered, and their waiters not woken yet */
    size_t wake_count;
    uint16_t ids[512];
    size_t ids_left;
} own;

/* ---- lists ---- */

static void list_remove(struct query *q)
{
    if (!q->list)
        return;
    *(q->before ? &q->before->after : &q->list->first) = q->after;
    *(q->after ? &q->after->before : &q->list->last) = q->before;
    q->list = NULL;
    q->before = q->after = NULL;
}

/* list_add - in the order of due, which is nearly always at the end. */
static void list_add(struct list *list, struct query *q)
{
    struct query *before;

    list_remove(q);
    before = list->last;
    while (before && before->due > q->due)
        before = before->before;
    q->list = list;
    q->before = before;
    q->after = before ? before->after : list->first;
    *(q->before ? &q->before->after : &list->first) = q;
    *(q->after ? &q->after->before : &list->last) = q;
}

static void list_put_first(struct list *list, struct query *q)
{
    list_remove(q);
    q->list = list;
    q->after = list->first;
    *(q->after ? &q->after->before : &list->last) = q;
    list->first = q;
}

/* ---- answers ---- */

static uint16_t random_id(void)
{
    if (own.ids_left == 0) {
        if (getrandom(own.ids, sizeof own.ids, 0) != sizeof own.ids)
            log_panic("the system gives no random bytes");
        own.ids_left = sizeof own.ids / sizeof own.ids[0];
    }
    return own.ids[--own.ids_left];
}

static void attempt_stale(struct attempt *at)
{
    at->upstream->fresh -= at->fresh;
    at->fresh = false;
}

/* query_stale - its attempts are no longer waited for, or not so much that others should not be sent. */
static void query_stale(struct query *q)
{
    for (unsigned i = 0; i < q->sends; i++)
        if (q->attempt[i].fresh)
            attempt_stale(&q->attempt[i]);
}

static void wake_all(void)
{
    for (size_t i = 0; i < own.wake_count; i++) {
        cache_wake(own.wake[i]);
        entry_drop(own.wake[i]);
    }
    own.wake_count = 0;
}

static void query_finish(struct query *q, const struct dns_answer *answer)
{
    int64_t now = clock_ms();
    bool wake;

    query_stale(q);
    wake = cache_settle(q->entry, answer, now, now);
    if (atomic_load(&q->entry->follow))
        resolver_follow(q->entry);
    if (wake)
        own.wake[own.wake_count++] = q->entry;
    else
        entry_drop(q->entry);
    q->entry = NULL;
    if (own.wake_count == WAKE_MOST)
        wake_all();
    list_remove(q);
    if (q->open == 0)
        list_add(&own.garbage, q);
}

static void query_fail(struct query *q, const char *why, uint32_t ttl)
{
    query_finish(q, &(struct dns_answer){.status = DNS_FAIL, .why = why, .ttl = ttl});
}

static void query_again(struct query *q)
{
    q->again = true;
    q->due = 0;
    list_add(&own.ready, q);
}

static size_t index_of(const struct upstream *u)
{
    return (size_t)(u - own.set->items);
}

/* query_choose - whom to ask next: who is not doubted, then who was asked least, then who is named first. */
static struct upstream *query_choose(const struct query *q, int64_t now)
{
    struct upstream *best = NULL;
    unsigned best_score = UINT32_MAX;

    for (size_t i = 0; i < own.set->count; i++) {
        struct upstream *u = &own.set->items[i];
        unsigned score = upstream_is_doubted(u, now) * 2 * SENDS_MOST + q->tries[i];

        if (!u->dead && score < best_score) {
            best = u;
            best_score = score;
        }
    }
    return best;
}

static bool somebody_untried(const struct query *q)
{
    for (size_t i = 0; i < own.set->count; i++)
        if (!own.set->items[i].dead && q->tries[i] == 0)
            return true;
    return false;
}

/* query_spoilt - an answer that says nothing: the next server may know better; one packet may be damaged on its way.
 * When another attempt is open it gets a little longer. */
static void query_spoilt(struct query *q, const char *why, bool damaged, int64_t now)
{
    q->why = why;
    q->spoilt++;
    if (q->sends < SENDS_MOST && (somebody_untried(q) || (damaged && q->spoilt == 1))) {
        query_again(q);
    } else if (q->open == 0) {
        query_fail(q, why, DNS_TTL_FAIL_MOST);
    } else if (!q->closing) {
        q->closing = true;
        if (q->ends > now + RETRY_MOST_MS)
            q->ends = now + RETRY_MOST_MS;
        q->due = q->ends;
        list_add(&own.waiting[ATTEMPTS_MOST], q);
    }
}

static void query_answered(struct query *q, struct upstream *u, bool tcp, struct str packet)
{
    struct dns_answer answer;
    int64_t now = clock_ms();

    if (packet_rcode(packet) == RCODE_FORMERR && !u->plain && q->sends < SENDS_MOST) { /* it does not know EDNS */
        u->plain = true;
        query_again(q);
        return;
    }
    answer = packet_read(own.scratch, packet, q->entry->name, q->entry->type);
    if (answer.status != DNS_FAIL) {
        query_finish(q, &answer);
    } else if (!tcp && (packet_is_truncated(packet) || packet.n == UDP_CUT) && q->sends < SENDS_MOST) {
        q->tcp = true;
        q->bigger = u;
        q->why = "too large";
        query_again(q);
    } else {
        query_spoilt(q, answer.why, str_is(str_of(answer.why), STR("malformed")), now);
    }
    arena_reset(own.scratch);
}

/* query_lost - the attempt is over without an answer. */
static void query_lost(struct query *q, const struct attempt *at, int status, int64_t now)
{
    struct upstream *u = at->upstream;

    if (status == ARES_EDESTRUCTION) {
        if (q->entry)
            query_again(q); /* the servers have changed: ask the new ones */
    } else if (status == ARES_ETIMEOUT) {
        if (!at->tcp)
            upstream_missed(u, q->serial, at->sent, now);
    } else {
        if (!at->tcp)
            upstream_refused(u, q->serial, now);
        if (q->entry && q->tcp)
            query_spoilt(q, "too large", true, now);
        else if (q->entry && somebody_untried(q) && q->sends < SENDS_MOST)
            query_again(q);
    }
}

/* is_choked - whether it was not sent for a reason that is ours, not the server's. c-ares does not tell; errno does. */
static bool is_choked(const struct attempt *at, int status, int reason)
{
    return own.sending == at && status == ARES_ECONNREFUSED
           && (reason == EAGAIN || reason == ENOBUFS || reason == ENOMEM || reason == EMFILE || reason == ENFILE);
}

static void attempt_done(void *arg, int status, int timeouts, unsigned char *abuf, int alen)
{
    int reason = errno;
    struct attempt *at = arg;
    struct query *q = at->query;
    struct upstream *u = at->upstream;

    (void)timeouts;
    q->open--;
    (at->tcp ? &u->tcp : &u->udp)->open--;
    if (at->fresh)
        attempt_stale(at);
    if (is_choked(at, status, reason)) {
        own.choked = true;
        return;
    }
    if (abuf && alen > 0) {
        if (!at->tcp)
            upstream_heard(u);
        if (q->entry)
            query_answered(q, u, at->tcp, (struct str){(const char *)abuf, (size_t)alen});
    } else {
        query_lost(q, at, status, clock_ms());
    }
    if (!q->entry && q->open == 0)
        list_add(&own.garbage, q);
}

/* query_send - false: not now, the system takes no more. */
static bool query_send(struct query *q, struct upstream *u, int64_t now)
{
    struct attempt *at = &q->attempt[q->sends];
    uint8_t packet[DNS_ASK_MOST];
    size_t n = packet_ask(packet, random_id(), q->entry->name, q->entry->type, !u->plain);

    *at = (struct attempt){q, u, now, q->tcp, !q->tcp};
    u->fresh += at->fresh;
    q->sends++;
    q->open++;
    q->tries[index_of(u)]++;
    q->last = u;
    own.sending = at;
    errno = 0;
    upstream_send(u, q->tcp, packet, n, now, attempt_done, at);
    own.sending = NULL;
    if (own.choked) {
        q->sends--;
        q->tries[index_of(u)]--;
        return false;
    }
    atomic_fetch_add_explicit(&sent, 1, memory_order_relaxed);
    return true;
}

/* query_beside - with a new question, look whether those who do not answer do so again. */
static void query_beside(struct query *q, const struct upstream *chosen, int64_t now)
{
    for (size_t i = 0; i < own.set->count && q->entry && !own.choked; i++) {
        struct upstream *u = &own.set->items[i];
        bool wanted = u->dead ? now - u->probed >= (chosen ? DEAD_PROBE_MS : ALL_DEAD_PROBE_MS)
                              : upstream_is_doubted(u, now) && now - u->probed >= ALL_DEAD_PROBE_MS;

        if (!wanted)
            continue;
        upstream_probe(u, random_id(), now);
        if (u != chosen)
            query_send(q, u, now);
    }
}

static int64_t retry_ms(unsigned attempts, int64_t timeout)
{
    int64_t first = timeout / 4 < RETRY_MOST_MS ? timeout / 4 : RETRY_MOST_MS;

    return attempts <= 1 ? first : (timeout - first) / (ATTEMPTS_MOST - 1);
}

/* query_nobody - all servers are dead: it fails at once, but for one question a second, and that one soon. What was
 * asked before they died goes on waiting for one of them. */
static void query_nobody(struct query *q, int64_t now)
{
    if (q->sends == 0 && now - own.passed >= ALL_DEAD_PROBE_MS) {
        own.passed = now;
        q->ends = now + 2 * retry_ms(1, own.set->timeout_ms);
        q->why = "no server";
        query_beside(q, NULL, now);
    }
    for (size_t i = 0; i < own.set->count; i++)
        upstream_probe(&own.set->items[i], random_id(), now);
    if (q->sends == 0) {
        query_fail(q, "no server", 0);
    } else if (q->entry && !q->list) {
        q->due = now + retry_ms(1, own.set->timeout_ms) < q->ends ? now + retry_ms(1, own.set->timeout_ms) : q->ends;
        list_add(&own.waiting[ATTEMPTS_MOST], q);
    }
}

/* query_silence - nothing came until now. */
static void query_silence(struct query *q, int64_t now)
{
    query_stale(q);
    if (upstream_is_doubted(q->last, now))
        upstream_probe(q->last, random_id(), now);
}

/* query_step - it is new, due, or has to ask again. */
static void query_step(struct query *q, int64_t now)
{
    bool again = q->again;
    struct upstream *u;

    list_remove(q);
    q->again = false;
    if (now >= q->ends) {
        query_fail(q, q->why, DNS_TTL_FAIL_MOST);
        return;
    }
    if (q->set != own.set_serial) { /* other servers: what we know of theirs does not count */
        memset(q->tries, 0, sizeof q->tries);
        q->last = q->bigger = NULL;
        q->attempts = 0;
        q->tcp = q->closing = false;
        q->set = own.set_serial;
    }
    if (!again && q->last)
        query_silence(q, now);
    u = query_choose(q, now);
    if (!u) {
        query_nobody(q, now);
        return;
    }
    if (again && q->bigger) {
        u = q->bigger;
        q->bigger = NULL;
    }
    if (q->sends == 0)
        query_beside(q, u, now);
    if (q->entry && q->attempts < ATTEMPTS_MOST && q->sends < SENDS_MOST) {
        own.choked |= !upstream_has_room(u, now);
        if (!own.choked)
            q->attempts += query_send(q, u, now);
        if (own.choked && q->entry) {
            q->again = true;
            list_put_first(&own.ready, q);
        }
    }
    if (!q->entry || q->list)
        return; /* answered, or put where it belongs, before ares_send returned */
    q->due = q->attempts < ATTEMPTS_MOST ? now + retry_ms(q->attempts, own.set->timeout_ms) : q->ends;
    if (q->due > q->ends)
        q->due = q->ends;
    list_add(&own.waiting[q->attempts], q);
}

/* ---- for resolver.c ---- */

bool queries_reserve(void)
{
    if (atomic_fetch_add_explicit(&in_flight, 1, memory_order_relaxed) < DNS_IN_FLIGHT_MOST)
        return true;
    queries_unreserve();
    return false;
}

void queries_unreserve(void)
{
    atomic_fetch_sub_explicit(&in_flight, 1, memory_order_relaxed);
}

void queries_count(struct dns_counters *c)
{
    c->sent += atomic_load_explicit(&sent, memory_order_relaxed);
}

void queries_begin(struct upstreams *set)
{
    own.set = set;
    own.set_serial++;
    own.scratch = arena_new(0);
    own.ticked = clock_ms();
}

void queries_servers(struct upstreams *set)
{
    struct upstreams *old = own.set;

    own.set = set;
    own.set_serial++;
    upstreams_free(old);
}

void queries_add(struct entry *e)
{
    struct query *q = own.spare;

    if (q) {
        own.spare = q->after;
        own.spares--;
        memset(q, 0, offsetof(struct query, attempt));
    } else {
        q = dns_alloc(sizeof *q);
    }
    q->entry = e;
    q->serial = ++own.serial;
    q->set = own.set_serial;
    q->ends = e->asked + own.set->timeout_ms;
    q->why = "timeout";
    list_add(&own.ready, q);
}

void queries_event(uint64_t data, uint32_t events)
{
    upstreams_event(own.set, data, events);
}

static void garbage_free(void)
{
    unsigned freed = 0;

    while (own.garbage.first) {
        struct query *q = own.garbage.first;

        list_remove(q);
        freed++;
        if (own.spares < SPARES_MOST) {
            q->after = own.spare;
            own.spare = q;
            own.spares++;
        } else {
            free(q);
        }
    }
    if (freed)
        atomic_fetch_sub_explicit(&in_flight, freed, memory_order_relaxed);
}

void queries_work(void)
{
    int64_t now = clock_ms();

    if (now - own.ticked >= TICK_MS) {
        own.ticked = now;
        upstreams_tick(own.set);
    }
    wake_all();
    own.choked = false;
    for (unsigned i = 0; i <= ATTEMPTS_MOST; i++)
        while (own.waiting[i].first && own.waiting[i].first->due <= now)
            query_step(own.waiting[i].first, now);
    for (unsigned i = 0; i < BURST_MOST && own.ready.first && !own.choked; i++)
        query_step(own.ready.first, now);
    wake_all();
    garbage_free();
}

int queries_sleep_ms(void)
{
    int64_t now = clock_ms(), least = upstreams_busy(own.set) ? TICK_MS : 60000;

    if (own.choked)
        return 1;
    if (own.ready.first)
        return 0;
    for (unsigned i = 0; i <= ATTEMPTS_MOST; i++)
        if (own.waiting[i].first && own.waiting[i].first->due - now < least)
            least = own.waiting[i].first->due - now;
    return least > 0 ? (int)least : 0;
}

void queries_end(void)
{
    upstreams_free(own.set); /* puts what was on its way into `ready` */
    own.set = NULL;
    for (unsigned i = 0; i <= ATTEMPTS_MOST; i++)
        while (own.waiting[i].first)
            list_add(&own.ready, own.waiting[i].first);
    while (own.ready.first)
        query_fail(own.ready.first, "no server", 0);
    wake_all();
    garbage_free();
    while (own.spare) {
        struct query *q = own.spare;

        own.spare = q->after;
        free(q);
    }
    own.spares = 0;
    arena_free(&own.scratch);
}
