/* karma_store.c - karma in the daemon: a cache in front of the file, in which every event counts at once.
 *
 * What must stay true of an entry:
 * (1) With events that are not on disk yet it is "dirty": it stays, and is the row in the file plus these events.
 * (2) A dirty entry of which the row could not be read is not known; it only keeps others from reading a row that lacks
 *     its events.
 * (3) When somebody else changed the file, clean entries are dropped; dirty ones are "stale", and dropped once they are
 *     written.
 * (4) A row that was read from the file goes into the cache only if nothing happened in its shard meanwhile.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "karma_inside.h"

#define SHARDS 64
#define CLEAN_MOST (65536 / SHARDS) /* entries of a shard; dirty ones are bounded by the queue */
#define BUCKETS 1024
#define QUEUE_MOST 100000
#define READ_AGAIN 3

struct entry {
    struct entry *chain;
    struct entry *newer, *older; /* of the clean ones */
    struct karma_net net;
    bool known, seen, stale;
    unsigned dirty; /* events in the queue */
    struct karma_record record;
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
    struct entry *newest, *oldest;
    size_t clean;
    uint64_t generation;
};

static struct shard shards[SHARDS];
static _Atomic(struct database *) store;
static uint64_t hash_key[2];

/* ---- the table; under the shard's lock ---- */

/* hash_of - strangers choose their addresses, so the key is ours: multiply and fold, twice. */
static uint64_t hash_of(const struct karma_net *net)
{
    uint64_t part[2];
    __uint128_t product;

    memcpy(part, net->b + 1, sizeof part);
    product = (__uint128_t)(part[0] ^ hash_key[0]) * (part[1] ^ hash_key[1] ^ 0x9e3779b97f4a7c15);
    product = (__uint128_t)((uint64_t)product ^ (uint64_t)(product >> 64) ^ hash_key[1]) * (hash_key[0] | 1);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static struct shard *shard_of(uint64_t hash)
{
    return &shards[hash % SHARDS];
}

static struct entry **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->buckets[hash / SHARDS % BUCKETS];
}

static struct entry *find(struct shard *s, uint64_t hash, const struct karma_net *net)
{
    struct entry *e = *bucket_of(s, hash);

    while (e && memcmp(&e->net, net, sizeof e->net) != 0)
        e = e->chain;
    return e;
}

static void list_remove(struct shard *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
    s->clean--;
}

static void list_add(struct shard *s, struct entry *e)
{
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    s->clean++;
}

static void entry_remove(struct shard *s, struct entry *e)
{
    struct entry **link = bucket_of(s, hash_of(&e->net));

    while (*link != e)
        link = &(*link)->chain;
    *link = e->chain;
    if (!e->dirty)
        list_remove(s, e);
    free(e);
}

/* keep - a clean entry goes to the front, and the one that nobody asked for longest makes room. */
static void keep(struct shard *s, struct entry *e)
{
    list_add(s, e);
    if (s->clean > CLEAN_MOST) {
        e = s->oldest;
        entry_remove(s, e);
    }
}

/* entry_new - in the table, in no list. */
static struct entry *entry_new(struct shard *s, uint64_t hash, const struct karma_net *net)
{
    struct entry *e = calloc(1, sizeof *e), **bucket = bucket_of(s, hash);

    if (!e)
        log_panic("out of memory for a client's karma");
    e->net = *net;
    e->chain = *bucket;
    *bucket = e;
    return e;
}

/* drop - what is cached of the client is no longer what the file says. */
static void drop(struct shard *s, struct entry *e)
{
    if (e->dirty)
        e->stale = true;
    else
        entry_remove(s, e);
}

/* read_row - SQLITE_ROW, SQLITE_DONE (not there), or an error. */
static int read_row(struct database *db, const struct karma_net *net, struct karma_record *r)
{
    struct database_reader *reader = database_reader_borrow(db);
    sqlite3_stmt *s;
    int rc = SQLITE_ERROR;

    memset(r, 0, sizeof *r);
    if (!reader)
        return rc;
    s = database_reader_statement(reader, karma_read_sql);
    if (s)
        rc = karma_read(s, net, r);
    database_reader_return(reader, rc);
    return rc;
}

/* ---- what the writer calls ---- */

static void add_waiting(const void *item, void *ctx)
{
    const struct karma_event *event = item;
    struct entry *e = ctx;

    if (memcmp(&e->net, &event->net, sizeof e->net) == 0) {
        karma_apply(&e->record, event);
        e->seen = true;
    }
}

/* make_true - an entry that is stale or not known, of a client that is never quiet long enough to become clean: its row
 * and what still waits. On the writer's thread, so that none of that is written meanwhile. */
static void make_true(struct shard *s, uint64_t hash, const struct karma_net *net)
{
    struct database *db = atomic_load(&store);
    struct karma_record r;
    struct entry *e;
    int rc = db ? read_row(db, net, &r) : SQLITE_ERROR;

    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return;
    pthread_mutex_lock(&s->lock);
    e = find(s, hash, net);
    if (e && e->dirty) {
        e->record = r;
        e->seen = rc == SQLITE_ROW;
        e->known = true;
        e->stale = false;
        database_each_waiting(db, add_waiting, e);
    }
    pthread_mutex_unlock(&s->lock);
}

static void events_written(const void *items, size_t count, void *ctx)
{
    const struct karma_event *events = items;

    (void)ctx;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = hash_of(&events[i].net);
        struct shard *s = shard_of(hash);
        bool untrue = false;
        struct entry *e;

        pthread_mutex_lock(&s->lock);
        e = find(s, hash, &events[i].net);
        if (e && e->dirty) {
            untrue = e->stale || !e->known;
            if (--e->dirty == 0) {
                keep(s, e);
                if (untrue)
                    entry_remove(s, e);
                untrue = false;
            }
        }
        pthread_mutex_unlock(&s->lock);
        if (untrue)
            make_true(s, hash, &events[i].net);
    }
}

static void file_changed(void *ctx)
{
    (void)ctx;
    for (struct shard *s = shards; s < shards + SHARDS; s++) {
        pthread_mutex_lock(&s->lock);
        s->generation++;
        for (size_t i = 0; i < BUCKETS; i++) {
            struct entry *e = s->buckets[i], *next;

            for (; e; e = next) {
                next = e->chain;
                drop(s, e);
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void karma_forget(const struct karma_net *net)
{
    uint64_t hash = hash_of(net);
    struct shard *s = shard_of(hash);
    struct entry *e;

    pthread_mutex_lock(&s->lock);
    s->generation++;
    e = find(s, hash, net);
    if (e)
        drop(s, e);
    pthread_mutex_unlock(&s->lock);
}

/* ---- asking ---- */

static enum karma_known tell(const struct entry *e, struct karma_record *r)
{
    if (!e->known)
        return KARMA_UNKNOWN;
    *r = e->record;
    return e->seen ? KARMA_KNOWN : KARMA_UNSEEN;
}

/* entry_read - a new entry, neither dirty nor in the list yet, with what was read. */
static struct entry *entry_read(struct shard *s, uint64_t hash, const struct karma_net *net, int rc,
                                const struct karma_record *r)
{
    struct entry *e = entry_new(s, hash, net);

    e->known = rc == SQLITE_ROW || rc == SQLITE_DONE;
    e->seen = rc == SQLITE_ROW;
    e->record = *r;
    return e;
}

static sqlite3 *lent;

void karma_store_lend(sqlite3 *db)
{
    lent = db;
}

static enum karma_known lent_get(const struct karma_net *net, struct karma_record *r)
{
    int rc = lent ? karma_file_get(lent, net, r) : SQLITE_ERROR;

    return rc == SQLITE_OK ? KARMA_KNOWN : rc == SQLITE_DONE ? KARMA_UNSEEN : KARMA_UNKNOWN;
}

enum karma_known karma_get(const struct karma_net *net, struct karma_record *r)
{
    struct database *db = atomic_load(&store);
    uint64_t hash = hash_of(net), generation;
    struct shard *s = shard_of(hash);
    enum karma_known known;
    struct entry *e;
    int rc;

    memset(r, 0, sizeof *r);
    if (!db)
        return lent_get(net, r);
    pthread_mutex_lock(&s->lock);
    generation = s->generation;
    e = find(s, hash, net);
    if (e && !e->dirty && s->newest != e) {
        list_remove(s, e);
        list_add(s, e);
    }
    known = e ? tell(e, r) : KARMA_UNKNOWN;
    pthread_mutex_unlock(&s->lock);
    if (e)
        return known;

    rc = read_row(db, net, r);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        memset(r, 0, sizeof *r);
    pthread_mutex_lock(&s->lock);
    e = find(s, hash, net);
    if (e) { /* somebody was faster, and knows of events that we have not read */
        known = tell(e, r);
    } else {
        known = rc == SQLITE_ROW ? KARMA_KNOWN : rc == SQLITE_DONE ? KARMA_UNSEEN : KARMA_UNKNOWN;
        if (known != KARMA_UNKNOWN && s->generation == generation)
            keep(s, entry_read(s, hash, net, rc, r));
    }
    pthread_mutex_unlock(&s->lock);
    return known;
}

/* ---- learning ---- */

/* entry_to_learn - the client's entry, with its row read if there was none; the shard is locked then. Without a row, in
 * trouble or after three races for it, it is one of unknown content. */
static struct entry *entry_to_learn(struct database *db, struct shard *s, uint64_t hash, const struct karma_net *net)
{
    struct karma_record r;
    struct entry *e;

    pthread_mutex_lock(&s->lock);
    e = find(s, hash, net);
    for (unsigned i = 0; !e && i < READ_AGAIN; i++) {
        uint64_t generation = s->generation;
        int rc;

        pthread_mutex_unlock(&s->lock);
        rc = read_row(db, net, &r);
        pthread_mutex_lock(&s->lock);
        e = find(s, hash, net);
        if (!e && s->generation == generation) {
            e = entry_read(s, hash, net, rc, &r);
            list_add(s, e);
        }
    }
    if (!e) {
        e = entry_read(s, hash, net, SQLITE_BUSY, &(struct karma_record){0});
        list_add(s, e);
    }
    return e;
}

void karma_learn(const struct karma_event *event)
{
    struct database *db = atomic_load(&store);
    struct karma_event copy = *event;
    uint64_t hash = hash_of(&event->net);
    struct shard *s = shard_of(hash);
    struct entry *e;

    if (!db)
        return;
    memset(copy.reason, 0, sizeof copy.reason); /* also what stands behind its end */
    memcpy(copy.reason, event->reason, strnlen(event->reason, sizeof copy.reason - 1));
    e = entry_to_learn(db, s, hash, &event->net);
    s->generation++;
    /* Both under the lock: the writer must not be done with an event that is not yet counted here, and the events of a
     * client are to be written in the order in which they are counted. */
    if (database_add(db, &copy)) {
        if (e->dirty++ == 0)
            list_remove(s, e);
        karma_apply(&e->record, &copy);
        e->seen = true;
    } else if (!e->dirty && (!e->known || s->clean > CLEAN_MOST)) {
        entry_remove(s, e);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- the store ---- */

static const struct database_kind karma_kind = {
    .name = "karma",
    .schema = &karma_schema,
    .item_size = sizeof(struct karma_event),
    .items_most = QUEUE_MOST,
    .write = karma_write,
    .written = events_written,
    .changed = file_changed,
    .tidy = karma_tidy,
};

static void shards_begin(void)
{
    if (getrandom(hash_key, sizeof hash_key, 0) != sizeof hash_key)
        log_panic("the system gives no random bytes");
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&shards[i].lock, NULL);
}

void karma_store_start(struct str directory, int wait_ms)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (karma_store_running())
        return;
    pthread_once(&once, shards_begin);
    karma_tidy_begin();
    atomic_store(&store, database_start(&karma_kind, directory, NULL, wait_ms));
}

/* empty - after the end of the writer: what is dirty now never was written. */
static void empty(struct shard *s)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (s->buckets[i]) {
            struct entry *e = s->buckets[i];

            s->buckets[i] = e->chain;
            free(e);
        }
    }
    s->newest = s->oldest = NULL;
    s->clean = 0;
}

void karma_store_stop(int wait_ms)
{
    struct database *db = atomic_exchange(&store, NULL);

    database_stop(&db, wait_ms);
    for (size_t i = 0; i < SHARDS; i++)
        empty(&shards[i]);
}

bool karma_store_running(void)
{
    return atomic_load(&store) != NULL;
}

void karma_store_look(void)
{
    struct database *db = atomic_load(&store);

    if (db)
        database_look(db);
}

bool karma_store_flush(int wait_ms)
{
    struct database *db = atomic_load(&store);

    return db && database_flush(db, wait_ms);
}

bool karma_store_status(struct database_status *status)
{
    struct database *db = atomic_load(&store);

    if (db)
        database_status(db, status);
    return db != NULL;
}
