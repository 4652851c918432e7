/* cache.c - sixteen hash tables, each with a lock and a list from newest to oldest use. */
#include <errno.h>
#include <sys/random.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/waiting.h"
#include "cache.h"
#include "zone.h"

#define SHARDS 16
#define BUCKETS_FIRST 64
#define BYTES_EACH 4096
#define BYTES_MOST ((size_t)64 * 1024 * 1024)
#define ENTRIES_USUAL 10000
#define KEPT_OVER 32 /* entries of a shard that may be over its limit while many questions are in flight */
#define WAIT_MOST_MS (10 * 60 * 1000) /* no answer is waited for longer, whatever the deadline says */

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry **buckets;
    size_t bucket_count, count; /* entries in the table */
    struct entry *newest, *oldest; /* of the answered ones */
    size_t kept, bytes;
    size_t kept_most, bytes_most;
    uint64_t asked, cached, merged, answered, failed, timeouts;
    int64_t total_ms;
};

static struct shard shards[SHARDS];
static uint64_t hash_key[2];
static pthread_condattr_t monotonic;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void *dns_alloc(size_t size)
{
    void *p = malloc(size); /* calloc would go past the thread's own free chunks */

    if (!p)
        log_panic("out of memory for %zu bytes", size);
    return memset(p, 0, size);
}

static void shard_limit(struct shard *s, size_t entries)
{
    size_t bytes = entries > BYTES_MOST / BYTES_EACH ? BYTES_MOST : entries * BYTES_EACH;

    s->kept_most = entries / SHARDS + (entries % SHARDS != 0);
    s->bytes_most = bytes / SHARDS;
}

static void cache_begin(void)
{
    if (getrandom(hash_key, sizeof hash_key, 0) != sizeof hash_key)
        log_panic("the system gives no random bytes");
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&shards[i].lock, NULL);
        shard_limit(&shards[i], ENTRIES_USUAL);
    }
}

/* ---- hashing: SipHash-1-3, because strangers choose the names ---- */

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t hash_of(struct str name, enum dns_type type)
{
    uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575, hash_key[1] ^ 0x646f72616e646f6d,
                     hash_key[0] ^ 0x6c7967656e657261, hash_key[1] ^ 0x7465646279746573};

    for (size_t at = 0; at <= name.n; at += 8) {
        size_t part = name.n - at < 8 ? name.n - at : 8;
        uint64_t word = 0;

        memcpy(&word, name.p + at, part);
        if (part < 8)
            word |= (uint64_t)type << 56; /* the name has no NUL byte, so its length need not be told */
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- references ---- */

void entry_hold(struct entry *e)
{
    atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed);
}

void entry_drop(struct entry *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_cond_destroy(&e->wake);
    free(e->block);
    free(e);
}

static struct entry *entry_new(struct str name, enum dns_type type, enum dns_keep keep, uint64_t hash, struct shard *s,
                               int64_t now)
{
    struct entry *e = malloc(sizeof *e + name.n + 1);
    char *text = (char *)(e + 1);

    if (!e)
        log_panic("out of memory for a question");
    memset(e, 0, offsetof(struct entry, inside));
    memcpy(text, name.p, name.n);
    e->name = (struct str){text, name.n};
    e->type = type;
    e->keep = keep;
    e->asked = now;
    e->hash = hash;
    e->shard = s;
    e->bytes = sizeof *e + name.n + 1;
    atomic_init(&e->done, false);
    atomic_init(&e->references, 1);
    pthread_cond_init(&e->wake, &monotonic);
    return e;
}

/* ---- the table; under the shard's lock ---- */

static void table_grow(struct shard *s)
{
    size_t count = s->bucket_count ? s->bucket_count * 2 : BUCKETS_FIRST;
    struct entry **buckets = dns_alloc(count * sizeof *buckets);

    for (size_t i = 0; i < s->bucket_count; i++) {
        while (s->buckets[i]) {
            struct entry *e = s->buckets[i], **to = &buckets[e->hash / SHARDS % count];

            s->buckets[i] = e->chain;
            e->chain = *to;
            *to = e;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
}

static struct entry **table_bucket(struct shard *s, uint64_t hash)
{
    return &s->buckets[hash / SHARDS % s->bucket_count];
}

static void table_add(struct shard *s, struct entry *e)
{
    struct entry **bucket;

    if (s->count >= s->bucket_count)
        table_grow(s);
    bucket = table_bucket(s, e->hash);
    e->chain = *bucket;
    *bucket = e;
    e->in_table = true;
    s->count++;
    entry_hold(e);
}

static struct entry *table_find(struct shard *s, struct str name, enum dns_type type, uint64_t hash)
{
    struct entry *e = s->bucket_count ? *table_bucket(s, hash) : NULL;

    while (e && !(e->hash == hash && e->type == type && str_is(e->name, name)))
        e = e->chain;
    return e;
}

static void lru_remove(struct shard *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
    e->in_lru = false;
}

static void lru_add(struct shard *s, struct entry *e)
{
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    e->in_lru = true;
}

static void table_remove(struct shard *s, struct entry *e)
{
    struct entry **link = table_bucket(s, e->hash);

    while (*link != e)
        link = &(*link)->chain;
    *link = e->chain;
    e->chain = NULL;
    e->in_table = false;
    s->count--;
    if (e->in_lru) {
        lru_remove(s, e);
        s->kept--;
        s->bytes -= e->bytes;
    }
    entry_drop(e);
}

/* table_trim - down to the limits less `room` entries, which may also be negative. */
static void table_trim(struct shard *s, long room)
{
    while (s->oldest && ((long)s->kept > (long)s->kept_most - room || s->bytes > s->bytes_most))
        table_remove(s, s->oldest);
}

static int64_t lifetime_ms(const struct dns_answer *answer, enum dns_keep keep)
{
    static const uint32_t most[] = {[DNS_OK] = DNS_TTL_MOST, [DNS_NODATA] = DNS_TTL_NEGATIVE_MOST,
                                    [DNS_NXDOMAIN] = DNS_TTL_NEGATIVE_MOST, [DNS_FAIL] = DNS_TTL_FAIL_MOST};
    uint32_t ttl = answer->ttl < most[answer->status] ? answer->ttl : most[answer->status];
    uint32_t limit = UINT32_MAX;

    if (keep == DNS_KEEP_BRIEFLY)
        limit = DNS_TTL_FAIL_MOST;
    else if (keep == DNS_KEEP_LIST)
        limit = zone_answer_refuses(answer) ? DNS_TTL_REFUSED_MOST : DNS_TTL_LIST_MOST;
    if (ttl > limit)
        ttl = limit;
    return (int64_t)ttl * 1000;
}

/* ---- asking, answering, waiting ---- */

bool entry_is_done(const struct entry *e, int64_t now)
{
    return atomic_load_explicit(&e->done, memory_order_acquire) && e->due <= now;
}

struct entry *cache_ask(struct str name, enum dns_type type, int64_t now, bool *fresh)
{
    return cache_ask_kept(name, type, DNS_KEEP_TTL, now, fresh);
}

static bool is_over(const struct entry *e, enum dns_keep keep, int64_t now)
{
    return now >= e->expires || (keep > e->keep && now >= e->due + lifetime_ms(&e->answer, keep));
}

struct entry *cache_ask_kept(struct str name, enum dns_type type, enum dns_keep keep, int64_t now, bool *fresh)
{
    struct shard *s;
    struct entry *e;
    uint64_t hash;

    pthread_once(&once, cache_begin);
    hash = hash_of(name, type);
    s = &shards[hash % SHARDS];
    pthread_mutex_lock(&s->lock);
    s->asked++;
    e = table_find(s, name, type, hash);
    if (e && e->in_lru && is_over(e, keep, now)) {
        table_remove(s, e);
        e = NULL;
    }
    *fresh = !e;
    if (!e) {
        table_trim(s, 1); /* here rather than in cache_settle: the resolver's thread has enough to do */
        e = entry_new(name, type, keep, hash, s, now);
        table_add(s, e);
    } else {
        entry_hold(e);
        if (e->in_lru && s->newest != e) {
            lru_remove(s, e);
            lru_add(s, e);
        }
        if (e->in_lru && now >= e->due)
            s->cached++;
        else
            s->merged++;
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}

static struct str text_copy(char **to, struct str s)
{
    struct str copy = {*to, s.n};

    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return copy;
}

static size_t answer_bytes(const struct dns_answer *answer)
{
    size_t bytes = answer->count * sizeof *answer->records + answer->packet.n;

    for (size_t i = 0; i < answer->count; i++)
        bytes += answer->records[i].text.n;
    return bytes;
}

/* answer_copy - the answer with everything that it points to, but for `why`, a literal, in the block. */
static struct dns_answer answer_copy(const struct dns_answer *from, void *block)
{
    struct dns_record *records = block;
    struct dns_answer copy = *from;
    char *text = (char *)(records + from->count);

    for (size_t i = 0; i < from->count; i++) {
        records[i] = from->records[i];
        records[i].text = text_copy(&text, from->records[i].text);
    }
    copy.records = from->count ? records : NULL;
    copy.packet = text_copy(&text, from->packet);
    return copy;
}

static void count_answer(struct shard *s, const struct dns_answer *answer)
{
    if (answer->status == DNS_FAIL) {
        s->failed++;
        s->timeouts += str_is(str_of(answer->why), STR("timeout"));
    } else {
        s->answered++;
        s->total_ms += answer->took_ms;
    }
}

bool cache_settle(struct entry *e, const struct dns_answer *answer, int64_t now, int64_t due)
{
    struct shard *s = e->shard;
    size_t bytes = answer_bytes(answer);
    void *block = bytes > sizeof e->inside ? dns_alloc(bytes) : NULL;
    struct dns_answer copy = answer_copy(answer, block ? block : e->inside); /* nobody looks before it is done */
    bool waited_for;

    copy.took_ms = due - e->asked;
    pthread_mutex_lock(&s->lock);
    e->answer = copy;
    e->block = block;
    e->due = due;
    e->expires = due + lifetime_ms(answer, e->keep);
    e->bytes += block ? bytes : 0;
    atomic_store_explicit(&e->done, true, memory_order_release);
    count_answer(s, &copy);
    waited_for = e->waiters > 0;
    if (e->in_table && (e->expires <= now || e->bytes > s->bytes_most)) {
        table_remove(s, e);
    } else if (e->in_table) {
        lru_add(s, e);
        s->kept++;
        s->bytes += e->bytes;
        table_trim(s, s->kept_most ? -KEPT_OVER : 0);
    }
    pthread_mutex_unlock(&s->lock);
    return waited_for;
}

void cache_wake(struct entry *e)
{
    pthread_cond_broadcast(&e->wake);
}

void cache_answer(struct entry *e, const struct dns_answer *answer, int64_t now, int64_t due)
{
    if (cache_settle(e, answer, now, due))
        cache_wake(e);
}

static struct timespec after_ms(int64_t ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

/* wait_wake - until somebody has answered, so many milliseconds at most. */
static bool wait_wake(struct entry *e, int64_t left)
{
    int64_t slice = waiting_slice(left);
    struct timespec until = after_ms(slice);
    bool done;

    pthread_mutex_lock(&e->shard->lock);
    e->waiters++;
    while (!(done = atomic_load_explicit(&e->done, memory_order_relaxed)) && left > 0) {
        if (pthread_cond_timedwait(&e->wake, &e->shard->lock, &until) == 0)
            continue;
        left -= slice;
        pthread_mutex_unlock(&e->shard->lock);
        slice = waiting_slice(left > 0 ? left : 0);
        until = after_ms(slice);
        pthread_mutex_lock(&e->shard->lock);
    }
    e->waiters--;
    pthread_mutex_unlock(&e->shard->lock);
    return done;
}

bool cache_wait(struct entry *e, int64_t deadline)
{
    int64_t now = clock_ms(), left;
    struct timespec until;
    bool done;

    if (entry_is_done(e, now))
        return true;
    if (deadline <= now)
        return false;
    left = deadline - now > WAIT_MOST_MS ? WAIT_MOST_MS : deadline - now;
    waiting_begin();
    done = wait_wake(e, left);
    /* Only a script without a scripted clock has an answer that is known and not due. */
    if (done && e->due > clock_ms()) {
        left = (e->due < now + left ? e->due : now + left) - clock_ms();
        until = after_ms(left > 0 ? left : 0);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
    }
    waiting_end();
    return entry_is_done(e, clock_ms());
}

/* ---- set-up ---- */

void cache_limit(size_t entries)
{
    pthread_once(&once, cache_begin);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &shards[i];

        pthread_mutex_lock(&s->lock);
        shard_limit(s, entries);
        table_trim(s, 0);
        pthread_mutex_unlock(&s->lock);
    }
}

void cache_flush(void)
{
    pthread_once(&once, cache_begin);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &shards[i];

        pthread_mutex_lock(&s->lock);
        for (size_t b = 0; b < s->bucket_count; b++)
            while (s->buckets[b])
                table_remove(s, s->buckets[b]);
        free(s->buckets);
        s->buckets = NULL;
        s->bucket_count = 0;
        pthread_mutex_unlock(&s->lock);
    }
}

void cache_count(struct dns_counters *c)
{
    pthread_once(&once, cache_begin);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &shards[i];

        pthread_mutex_lock(&s->lock);
        c->asked += s->asked;
        c->cached += s->cached;
        c->merged += s->merged;
        c->answered += s->answered;
        c->failed += s->failed;
        c->timeouts += s->timeouts;
        c->total_ms += s->total_ms;
        c->entries += s->kept;
        c->bytes += s->bytes;
        pthread_mutex_unlock(&s->lock);
    }
}
