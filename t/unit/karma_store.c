/* karma_store.c - karma in the daemon: exact counts, and a cache that tells the truth. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../db/database_inside.h"
#include "../../milter/base/clock.h"
#include "karma_test.h"

#define YEARS ((int64_t)10 * 365 * DAY)

/* ---- the usual ---- */

static void test_usual(void)
{
    struct karma_net net = net_of("192.0.2.1"), six = net_of("2001:db8:0:1::5"), none = net_of("192.0.2.99");
    struct karma_record r;
    double now = wall();
    sqlite3 *db;

    ok(karma_get(&net, &r) == KARMA_UNKNOWN, "without a store nobody is known");
    learn(&net, now, false, true, "test");
    store_begin();
    ok(karma_get(&net, &r) == KARMA_UNSEEN && r.connects == 0, "never seen");
    learn(&net, now, true, false, "");
    ok(karma_get(&net, &r) == KARMA_KNOWN && r.nice == 1 && r.connects == 1, "what is learned counts at once");
    learn(&six, now, false, true, "one");
    learn(&six, now, false, true, "two");
    r = cached(&six);
    ok(r.naughty == 2 && r.penalty_until == (int64_t)now + DAY, "also a box");
    is_str(str_of(r.last_reason), STR("two"), "with its reason");
    ok(karma_store_flush(SOON_MS), "it is written");
    db = open_file();
    r = in_file(db, &six);
    ok(r.naughty == 2 && r.connects == 2 && r.penalty_until == (int64_t)now + DAY, "as it was counted");
    ok(karma_get(&none, &r) == KARMA_UNSEEN, "never seen");
    karma_file_capture(db, &none, now, 3600);
    karma_store_look();
    r = cached(&none);
    ok(r.penalty_until == (int64_t)now + 3600, "captured by somebody else: known when he says so");
    karma_file_release(db, &six, now + 1);
    karma_store_look();
    r = cached(&six);
    ok(r.penalty_until == 0 && r.naughty == 0, "released too");
    sqlite3_close(db);
    karma_store_stop(SOON_MS);
    ok(karma_get(&net, &r) == KARMA_UNKNOWN, "stopped");
    store_begin();
    ok(karma_get(&net, &r) == KARMA_KNOWN && r.nice == 1, "and started again: still known");
    store_end();
}

/* ---- 16 threads, one address ---- */

static struct karma_net one_net;

static void *learn_one(void *number)
{
    for (int i = 0; i < 250; i++)
        learn(&one_net, 1000000 + i, i % 5 == 0, i % 5 != 0, "test");
    return number;
}

static void test_one_address(void)
{
    pthread_t threads[16];
    struct karma_record r, file;
    sqlite3 *db;

    one_net = net_of("192.0.2.16");
    store_begin();
    for (uintptr_t i = 0; i < 16; i++)
        pthread_create(&threads[i], NULL, learn_one, (void *)i);
    for (int i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    r = cached(&one_net);
    ok(r.connects == 4000 && r.nice == 800 && r.naughty == 3200, "16 threads, 4000 events of one address: exact");
    karma_store_flush(SOON_MS);
    db = open_file();
    file = in_file(db, &one_net);
    ok(file.connects == 4000 && file.nice == 800 && file.naughty == 3200, "in the file too");
    r = cached(&one_net);
    if (!ok(same(&r, &file), "which is what the cache says")) {
        tell("cache", &r);
        tell(" file", &file);
    }
    sqlite3_close(db);
    store_end();
}

/* ---- the same arithmetic in memory and in SQL ---- */

static unsigned seed = 4711;

static unsigned dice(unsigned sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static double random_time(double now)
{
    switch (dice(12)) {
    case 0:
        return now - (double)YEARS;
    case 1:
        return now + (double)YEARS;
    case 2:
        return now - dice(7200);
    default:
        return now + dice(1000) / 1000.0;
    }
}

static void random_change(sqlite3 *db, const struct karma_net *net, struct karma_record *model, double now)
{
    if (dice(2))
        karma_file_release(db, net, random_time(now));
    else
        karma_file_capture(db, net, now, (int64_t)dice(1000) * 3600);
    karma_store_look();
    *model = in_file(db, net);
}

#define NETS 20

static void test_same_arithmetic(void)
{
    static struct karma_record model[NETS];
    unsigned wrong = 0, events = 0;
    double now = 1767607200; /* 2026-01-05 */
    sqlite3 *db;

    store_begin();
    db = open_file();
    for (unsigned i = 0; i < 6000 && wrong < 5; i++, now += dice(50000)) {
        unsigned n = dice(NETS);
        struct karma_net net = net_number(n);
        struct karma_event e = {.net = net, .at = random_time(now), .rules = {dice(4), dice(3) * 40000, 15 * DAY}};
        struct karma_record file, memory;

        if (dice(10) == 0) {
            random_change(db, &net, &model[n], now);
            continue;
        }
        if (n > 3) /* the others never are nice */
            e.nice = dice(4) == 0;
        e.naughty = dice(3) != 0;
        snprintf(e.reason, sizeof e.reason, "reason %u", i);
        karma_learn(&e);
        karma_apply(&model[n], &e);
        events++;
        memory = cached(&net);
        if (dice(4) != 0)
            continue;
        karma_store_flush(SOON_MS);
        file = in_file(db, &net);
        if (!same(&file, &model[n]) || !same(&memory, &model[n])) {
            wrong++;
            tell("model", &model[n]);
            tell(" file", &file);
            tell("cache", &memory);
        }
    }
    is_long(wrong, 0, "%u random events: SQL and memory agree", events);
    karma_store_flush(SOON_MS);
    for (unsigned n = 0; n < NETS; n++) {
        struct karma_net net = net_number(n);
        struct karma_record file = in_file(db, &net);

        wrong += !same(&file, &model[n]);
        model[n] = (struct karma_record){0};
    }
    is_long(wrong, 0, "all clients, at the end");
    sqlite3_close(db);
    store_end();
}

/* ---- the cache while the file cannot be written ---- */

static void test_locked(void)
{
    struct karma_net net = net_of("192.0.2.7"), other_net = net_of("192.0.2.8");
    struct database_status status = {0};
    struct karma_record r;
    int64_t until = now_ms() + SOON_MS;
    sqlite3 *db;

    store_begin();
    db = open_file();
    learn(&net, 1000, false, true, "before");
    karma_store_flush(SOON_MS);
    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = 0; i < 3; i++)
        learn(&net, 2000 + i, false, true, "meanwhile");
    learn(&other_net, 2000, true, false, "");
    while (karma_store_status(&status) && status.state != DATABASE_LOCKED && now_ms() < until)
        nap();
    is_long(status.state, DATABASE_LOCKED, "the file is locked");
    r = cached(&net);
    ok(r.naughty == 4 && r.connects == 4, "the cache counts what waits");
    ok(karma_get(&other_net, &r) == KARMA_KNOWN && r.nice == 1, "of clients that were never seen before, too");
    r = in_file(db, &net);
    ok(r.naughty == 1, "the file does not have it yet");
    karma_file_release(db, &net, 2001.5);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    karma_store_look();
    ok(karma_store_flush(SOON_MS), "released, unlocked and written");
    r = cached(&net);
    ok(r.naughty == 1 && r.connects == 4, "the release wins over the events before it");
    if (!ok(r.cleared_at > 2001 && r.penalty_until == 0, "nobody is boxed"))
        tell("cache", &r);
    sqlite3_close(db);
    store_end();
}

static atomic_bool stop;

static void *hammer(void *net)
{
    while (!atomic_load(&stop)) {
        learn(net, 1000, true, false, "");
        nap();
    }
    return NULL;
}

/* test_never_quiet - a client of whom something always waits: what others change is seen all the same. */
static void test_never_quiet(void)
{
    struct karma_net net = net_of("192.0.2.9");
    pthread_t threads[4];
    struct karma_record r;
    int64_t until;
    sqlite3 *db;

    store_begin();
    db = open_file();
    sqlite3_busy_timeout(db, SOON_MS);
    atomic_store(&stop, false);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, hammer, &net);
    while (cached(&net).connects < 50)
        nap();
    karma_file_capture(db, &net, wall(), DAY);
    karma_store_look();
    until = now_ms() + SOON_MS;
    while ((r = cached(&net)).penalty_until == 0 && now_ms() < until)
        nap();
    ok(r.penalty_until > 0, "captured while it never is quiet");
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    karma_store_flush(SOON_MS);
    r = cached(&net);
    ok(r.connects == r.nice && r.connects == in_file(db, &net).connects, "and counted right");
    sqlite3_close(db);
    store_end();
}

/* ---- a slow reader: what it read is no longer true when it comes back ---- */

static _Thread_local bool slow;
static atomic_int slow_state; /* 1: it has read, and waits; 2: it may go on */
static sqlite3_vfs *real_vfs;
static const sqlite3_io_methods *real_methods;

static int slow_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    if (slow && flags == (SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED)) {
        slow = false;
        atomic_store(&slow_state, 1);
        while (atomic_load(&slow_state) == 1)
            nap();
    }
    return real_methods->xShmLock(file, offset, n, flags);
}

static int slow_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static sqlite3_io_methods ours;
    int rc = real_vfs->xOpen(vfs, name, file, flags, out);

    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB)) {
        if (!real_methods) { /* the first file is opened before there are threads */
            real_methods = file->pMethods;
            ours = *real_methods;
            ours.xShmLock = slow_shm_lock;
        }
        file->pMethods = &ours;
    }
    return rc;
}

static void *read_slowly(void *net)
{
    struct karma_record r;

    slow = true;
    karma_get(net, &r);
    return NULL;
}

static void test_slow_reader(void)
{
    static sqlite3_vfs vfs;
    struct karma_net net = net_of("192.0.2.10");
    int64_t until = now_ms() + SOON_MS;
    struct karma_record r;
    pthread_t thread;
    sqlite3 *db;

    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "slow";
    vfs.xOpen = slow_open;
    sqlite3_vfs_register(&vfs, 1);
    db = open_file();
    store_begin();
    cached(&one_net); /* opens the connection that is then used again, so that it reads nothing but the row */
    pthread_create(&thread, NULL, read_slowly, &net);
    while (atomic_load(&slow_state) != 1 && now_ms() < until)
        nap();
    is_long(atomic_load(&slow_state), 1, "a reader has read, and is slow");
    learn(&net, 1000, true, false, "");
    ok(karma_store_flush(SOON_MS), "meanwhile the client is learned");
    karma_file_capture(db, &net, wall(), DAY);
    karma_store_look();
    atomic_store(&slow_state, 2);
    pthread_join(thread, NULL);
    ok(karma_get(&net, &r) == KARMA_KNOWN && r.connects == 1 && r.penalty_until > 0,
       "what the reader saw is not what is cached");
    sqlite3_close(db);
    store_end();
    sqlite3_vfs_register(real_vfs, 1);
    sqlite3_vfs_unregister(&vfs);
}

/* ---- many threads, each with clients of its own and some in common, and another process that changes the file ---- */

#define OWN 8
#define ROUNDS 600

static atomic_uint lies, unknown, asked;

static void *use(void *pointer)
{
    unsigned number = (unsigned)(uintptr_t)pointer, mine[OWN] = {0}, dice_own = number * 7919 + 1;
    struct karma_net nets[OWN], neighbours;

    for (unsigned i = 0; i < OWN; i++) {
        nets[i] = (struct karma_net){{128, [11] = 0xff, [12] = 0xff, 198, 19}};
        nets[i].b[15] = (uint8_t)number;
        nets[i].b[16] = (uint8_t)i;
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct karma_net common = {{128, [11] = 0xff, [12] = 0xff, 198, 51, 100, (uint8_t)(i % 16)}};
        struct karma_record r;
        unsigned n;

        dice_own = dice_own * 1664525u + 1013904223u;
        n = (dice_own >> 16) % OWN;
        learn(&nets[n], 1000, true, false, "");
        mine[n]++;
        learn(&common, 1000, false, true, "common");
        n = (dice_own >> 20) % OWN;
        neighbours = nets[n]; /* who asks for what another one learns may read it too early, but not cache that */
        neighbours.b[15] = (uint8_t)((number + 1) % 16);
        karma_get(&neighbours, &r);
        atomic_fetch_add(&asked, 1);
        if (karma_get(&nets[n], &r) == KARMA_UNKNOWN)
            atomic_fetch_add(&unknown, 1);
        else if (r.connects != mine[n] || r.nice % 1000 != mine[n] % 1000)
            atomic_fetch_add(&lies, 1);
        if (i % 50 == 0)
            nap();
    }
    return NULL;
}

static void *change(void *pointer)
{
    sqlite3 *db = pointer;

    while (!atomic_load(&stop)) {
        sqlite3_exec(db, "UPDATE karma SET nice = nice + 1000 WHERE substr(net, 14, 2) = x'c613'", NULL, NULL, NULL);
        karma_store_look();
        nap();
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[16], changer;
    sqlite3 *db;

    store_begin();
    db = open_file();
    sqlite3_busy_timeout(db, SOON_MS);
    atomic_store(&stop, false);
    pthread_create(&changer, NULL, change, db);
    for (uintptr_t i = 0; i < 16; i++)
        pthread_create(&threads[i], NULL, use, (void *)i);
    for (int i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    pthread_join(changer, NULL);
    is_long(atomic_load(&lies), 0, "16 threads learn and ask while somebody changes the file: every answer is right");
    ok(atomic_load(&unknown) * 10 < atomic_load(&asked), "nearly every one is known: %u of %u are not",
       atomic_load(&unknown), atomic_load(&asked));
    karma_store_flush(SOON_MS);
    is_long(number(db, "SELECT sum(connects) FROM karma WHERE substr(net, 14, 2) = x'c613'"), 16 * ROUNDS,
            "each client of its own is counted");
    is_long(number(db, "SELECT sum(naughty) FROM karma WHERE substr(net, 14, 2) = x'c633'"), 16 * ROUNDS,
            "and those in common");
    sqlite3_close(db);
    store_end();
}

/* ---- more clients than the cache holds ---- */

static void test_many(void)
{
    unsigned wrong = 0;
    struct karma_net net = net_of("10.0.0.0");
    struct karma_record r;
    sqlite3 *db;

    store_begin();
    db = open_file();
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    for (unsigned i = 0; i < 80000; i++) {
        net.b[14] = (uint8_t)(i >> 16);
        net.b[15] = (uint8_t)(i >> 8);
        net.b[16] = (uint8_t)i;
        karma_file_put(db, &net, &(struct karma_record){.nice = i, .connects = 1});
    }
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    for (unsigned i = 0; i < 160000; i++) {
        net.b[14] = (uint8_t)(i % 80000 >> 16);
        net.b[15] = (uint8_t)(i % 80000 >> 8);
        net.b[16] = (uint8_t)(i % 80000);
        wrong += karma_get(&net, &r) != KARMA_KNOWN || r.nice != i % 80000;
    }
    is_long(wrong, 0, "80000 clients, twice");
    sqlite3_close(db);
    store_end();
}

/* ---- a file that is not for us ---- */

static void test_newer(void)
{
    struct karma_net net = net_of("192.0.2.1");
    struct database_status status;
    struct karma_record r;
    sqlite3 *db = open_file();

    sqlite3_exec(db, "PRAGMA user_version = 12", NULL, NULL, NULL);
    sqlite3_close(db);
    store_begin();
    ok(karma_store_status(&status) && status.state == DATABASE_NEWER, "a newer schema: %s", status.why);
    learn(&net, 1000, false, true, "test");
    ok(karma_get(&net, &r) == KARMA_UNKNOWN && r.naughty == 0, "nobody is known, nothing is invented");
    karma_store_stop(0);
    unlink(path);
    store_begin();
    ok(karma_get(&net, &r) == KARMA_UNSEEN, "in a file of our own nobody was seen");
    store_end();
}

/* ---- what people see with sqlite3 ---- */

static void test_view(void)
{
    static const char *const texts[] = {"192.0.2.1", "0.0.0.0", "255.255.255.255", "10.0.200.9"};
    sqlite3 *db = open_file();
    struct arena *a = arena_new(0);
    unsigned wrong = 0, count = 0;
    sqlite3_stmt *s;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct karma_net net = net_of(texts[i]);

        karma_file_put(db, &net, &(struct karma_record){.nice = 1});
    }
    for (unsigned i = 0; i < 300; i++) {
        struct karma_net net = {{64, 0x20, 0x01}};

        for (int k = 3; k < 9; k++)
            net.b[k] = (uint8_t)(dice(3) ? dice(256) : 0);
        karma_file_put(db, &net, &(struct karma_record){.nice = 1});
    }
    sqlite3_prepare_v2(db,
                       "SELECT net, network FROM karma"
                       " JOIN (SELECT row_number() OVER (ORDER BY net) AS n, net AS k FROM karma) ON k = net"
                       " JOIN (SELECT row_number() OVER () AS n, network FROM karma_list) USING (n)",
                       -1, &s, NULL);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct karma_net net;

        count++;
        wrong += !karma_net_parse(str_of((const char *)sqlite3_column_text(s, 1)), &net)
                 || memcmp(net.b, sqlite3_column_blob(s, 0), sizeof net.b) != 0
                 || !str_is(karma_net_text(a, &net), str_of((const char *)sqlite3_column_text(s, 1)));
    }
    sqlite3_finalize(s);
    arena_free(&a);
    is_long(count, number(db, "SELECT count(*) FROM karma"), "the view has all rows");
    is_long(wrong, 0, "with addresses as the commands print them");
    sqlite3_exec(db, "DELETE FROM karma", NULL, NULL, NULL);
    karma_file_put(db, &(struct karma_net){{64, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1}},
                   &(struct karma_record){3, 10, 14, 1767607200, 0, 0, 86400, "dnsbl"});
    is_long(number(db, "SELECT count(*) FROM karma_list WHERE network = '2001:db8:0:1::/64'"
                       " AND nice = 3 AND naughty = 10 AND history = -7 AND connects = 14"
                       " AND penalty_until = '2026-01-05 10:00:00'"
                       " AND last_seen = '1970-01-02 00:00:00' AND last_reason = 'dnsbl'"),
            1, "and readable columns");
    sqlite3_exec(db, "UPDATE karma SET penalty_until = 0", NULL, NULL, NULL);
    is_long(number(db, "SELECT count(*) FROM karma_list WHERE penalty_until IS NULL"), 1, "no time is NULL");
    sqlite3_exec(db, "UPDATE karma SET connects = 0", NULL, NULL, NULL);
    is_long(number(db, "SELECT count(*) FROM karma_list WHERE last_seen IS NULL"), 1, "nor one that never came");
    sqlite3_close(db);
    unlink(path);
}

int main(void)
{
    test_begin();
    test_usual();
    test_one_address();
    test_same_arithmetic();
    test_locked();
    test_never_quiet();
    test_slow_reader();
    test_threads();
    test_many();
    test_newer();
    test_view();
    return test_end();
}
