/* dns_cache.c - the table of questions: merging, lifetimes, bounds, and many threads at once. */
#include <pthread.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/waiting.h"
#include "../../milter/dns/cache.h"
#include "../lib/tap.h"

static struct arena *arena;

static struct entry *ask(const char *name, int64_t now, bool *fresh)
{
    return cache_ask(str_of(name), DNS_A, now, fresh);
}

/* is_fresh - ask, and whether it has to be answered. */
static bool is_fresh(const char *name, int64_t now)
{
    bool fresh;
    struct entry *e = ask(name, now, &fresh);

    if (fresh)
        cache_answer(e, &(struct dns_answer){.status = DNS_FAIL, .why = "test"}, now, now);
    entry_drop(e);
    return fresh;
}

static void answer(struct entry *e, enum dns_status status, uint32_t ttl, int64_t now)
{
    cache_answer(e, &(struct dns_answer){.status = status, .why = "", .ttl = ttl}, now, now);
}

static struct dns_counters counters(void)
{
    struct dns_counters c = {0};

    cache_count(&c);
    return c;
}

static void test_merging(void)
{
    struct dns_record record = {.text = STR("text")};
    struct dns_answer told = {.status = DNS_OK, .why = "", .records = &record, .count = 1, .ttl = 10,
                              .packet = STR("packet")};
    struct dns_counters before = counters(), after;
    struct entry *one, *two, *other;
    bool fresh;

    one = ask("a.test", 1000, &fresh);
    ok(fresh && !entry_is_done(one, 1000), "a new question is pending");
    two = ask("a.test", 1100, &fresh);
    ok(!fresh && two == one, "asked again it is the same");
    other = cache_ask(STR("a.test"), DNS_MX, 1100, &fresh);
    ok(fresh && other != one, "another type is another");
    answer(other, DNS_NODATA, 0, 1100);
    entry_drop(other);
    cache_answer(one, &told, 1500, 1500);
    ok(entry_is_done(one, 1500) && one->answer.status == DNS_OK && one->answer.took_ms == 500, "it is answered");
    ok(one->answer.records != &record && str_is(one->answer.records[0].text, STR("text"))
           && one->answer.records[0].text.p != record.text.p && str_is(one->answer.packet, STR("packet")),
       "by a copy");
    entry_drop(one);
    cache_flush();
    is_str(two->answer.records[0].text, STR("text"), "which lasts as long as somebody holds it");
    entry_drop(two);
    after = counters();
    is_long((long long)(after.merged - before.merged), 1, "one question was merged");
    is_long((long long)(after.entries), 0, "after a flush nothing is kept");
    is_long((long long)(after.bytes), 0, "not a byte");
}

static void test_lifetimes(void)
{
    static const struct {
        const char *name;
        enum dns_status status;
        uint32_t ttl;
        int64_t kept; /* ms */
    } rows[] = {
        {"ok.test", DNS_OK, 60, 60000},
        {"zero.test", DNS_OK, 0, 0},
        {"week.test", DNS_OK, 604800, 86400000},
        {"for-ever.test", DNS_OK, UINT32_MAX, 86400000},
        {"nodata.test", DNS_NODATA, 100, 100000},
        {"nxdomain.test", DNS_NXDOMAIN, 86400, 900000},
        {"fail.test", DNS_FAIL, 3600, 5000},
        {"fail0.test", DNS_FAIL, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool fresh;
        struct entry *e = ask(rows[i].name, 1000, &fresh);

        answer(e, rows[i].status, rows[i].ttl, 1000);
        entry_drop(e);
        if (rows[i].kept)
            ok(!is_fresh(rows[i].name, 1000 + rows[i].kept - 1), "%s is kept", rows[i].name);
        ok(is_fresh(rows[i].name, 1000 + rows[i].kept), "%s is asked anew after %lld ms", rows[i].name,
           (long long)rows[i].kept);
    }
    cache_flush();
}

/* what a block list says is kept for 15 minutes at most, its refusals for one; test points for seconds. */
static void test_lists(void)
{
    static const struct {
        const char *name, *ip;
        enum dns_keep keep;
        uint32_t ttl;
        int64_t kept; /* ms */
    } rows[] = {
        {"listed.test", "127.0.0.2", DNS_KEEP_LIST, 3600, 900000},
        {"short.test", "127.0.0.2", DNS_KEEP_LIST, 30, 30000},
        {"quota.test", "127.255.255.254", DNS_KEEP_LIST, 3600, 60000},
        {"parked.test", "203.0.113.1", DNS_KEEP_LIST, 86400, 60000},
        {"point.test", "127.0.0.2", DNS_KEEP_BRIEFLY, 3600, 5000},
        {"host.test", "127.255.255.254", DNS_KEEP_TTL, 3600, 3600000},
    };
    struct dns_record record;
    struct dns_answer told = {.status = DNS_OK, .why = "", .records = &record, .count = 1};
    bool fresh;
    struct entry *e;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        record = (struct dns_record){0};
        ip_parse(str_of(rows[i].ip), &record.ip);
        told.ttl = rows[i].ttl;
        e = cache_ask_kept(str_of(rows[i].name), DNS_A, rows[i].keep, 1000, &fresh);
        cache_answer(e, &told, 1000, 1000);
        entry_drop(e);
        ok(!is_fresh(rows[i].name, 1000 + rows[i].kept - 1), "%s is kept", rows[i].name);
        ok(is_fresh(rows[i].name, 1000 + rows[i].kept), "%s is asked anew after %lld ms", rows[i].name,
           (long long)rows[i].kept);
    }
    ip_parse(STR("127.0.0.2"), &record.ip);
    told.ttl = 86400;
    e = cache_ask_kept(STR("helo.test"), DNS_A, DNS_KEEP_TTL, 1000, &fresh);
    cache_answer(e, &told, 1000, 1000);
    entry_drop(e);
    e = cache_ask_kept(STR("helo.test"), DNS_A, DNS_KEEP_BRIEFLY, 5999, &fresh);
    ok(!fresh, "what somebody else asked holds for a test for as long as its own answer would");
    entry_drop(e);
    e = cache_ask_kept(STR("helo.test"), DNS_A, DNS_KEEP_BRIEFLY, 6000, &fresh);
    ok(fresh, "and no longer: nobody can make a test see what was");
    cache_answer(e, &told, 6000, 6000);
    entry_drop(e);
    e = cache_ask_kept(STR("helo.test"), DNS_A, DNS_KEEP_TTL, 10999, &fresh);
    ok(!fresh, "the newer answer is everybody's");
    entry_drop(e);
    cache_flush();
}

static void test_bounds(void)
{
    struct dns_record record;
    struct entry *e;
    char *big = calloc(1, 60000);
    struct dns_answer told = {.status = DNS_OK, .why = "", .records = &record, .count = 1, .ttl = 1000};
    bool fresh;

    if (!big)
        bail("out of memory");
    cache_limit(160);
    for (unsigned i = 0; i < 2000; i++) {
        e = ask(arena_printf(arena, "n%u.test", i).p, 1000, &fresh);
        answer(e, DNS_OK, 1000, 1000);
        entry_drop(e);
        entry_drop(ask("often.test", 1000, &fresh));
        if (fresh && i > 0)
            break;
        if (fresh) { /* dropped above: the table holds it */
            e = ask("often.test", 1000, &fresh);
            answer(e, DNS_OK, 1000, 1000);
            entry_drop(e);
        }
    }
    ok(!fresh, "what is used stays");
    ok(counters().entries <= 160 && counters().entries > 80, "of 2000 names %zu are kept", counters().entries);
    ok(is_fresh("n0.test", 1000), "the first is gone");
    record = (struct dns_record){.text = {big, 60000}};
    for (unsigned i = 0; i < 200; i++) {
        e = ask(arena_printf(arena, "b%u.test", i).p, 1000, &fresh);
        cache_answer(e, &told, 1000, 1000);
        entry_drop(e);
    }
    ok(counters().bytes <= 160 * 4096, "large answers: %zu bytes are kept", counters().bytes);
    cache_limit(100000);
    for (unsigned i = 0; i < 3000; i++) {
        e = ask(arena_printf(arena, "c%u.test", i).p, 1000, &fresh);
        cache_answer(e, &told, 1000, 1000);
        entry_drop(e);
    }
    ok(counters().bytes <= (size_t)64 * 1024 * 1024 && counters().bytes > (size_t)32 * 1024 * 1024,
       "64 MiB are the end: %zu", counters().bytes);
    cache_limit(0);
    is_long((long long)counters().entries, 0, "a limit of none drops everything");
    e = ask("none.test", 1000, &fresh);
    answer(e, DNS_OK, 1000, 1000);
    entry_drop(e);
    ok(is_fresh("none.test", 1000), "and nothing is kept");
    free(big);
    cache_limit(10000);
    cache_flush();
}

/* ---- waiting ---- */

static void *answer_later(void *entry)
{
    struct timespec soon = {.tv_nsec = 30000000};

    nanosleep(&soon, NULL);
    answer(entry, DNS_OK, 10, clock_ms());
    return NULL;
}

static void test_waiting(void)
{
    int64_t start = clock_ms();
    pthread_t thread;
    struct entry *e;
    bool fresh;

    e = ask("wait.test", start, &fresh);
    ok(!cache_wait(e, start), "a deadline that is over");
    ok(!cache_wait(e, start + 30) && clock_ms() >= start + 30, "a deadline that comes");
    is_long(waiting_now(), 0, "then nobody waits");
    pthread_create(&thread, NULL, answer_later, e);
    ok(cache_wait(e, INT64_MAX), "an answer comes");
    ok(cache_wait(e, 0), "and is there without waiting");
    pthread_join(thread, NULL);
    entry_drop(e);
    cache_flush();
}

/* ---- many threads ---- */

#define THREADS 24
#define NAMES 50
#define ROUNDS 3000

static atomic_uint wrong, answered_by[NAMES];
static atomic_bool stop;

/* work - each asks names in an order of its own, answers what is fresh, reads what is done. */
static void *work(void *number)
{
    unsigned seed = (unsigned)(uintptr_t)number * 2654435761u + 1;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct dns_record record = {.preference = 0};
        struct dns_answer told = {.status = DNS_OK, .why = "", .records = &record, .count = 1, .packet = STR("abc")};
        char name[16];
        unsigned n;
        struct entry *e;
        bool fresh;

        seed = seed * 1664525u + 1013904223u;
        n = (seed >> 16) % NAMES;
        snprintf(name, sizeof name, "t%02u.test", n);
        e = cache_ask(str_of(name), DNS_MX, i, &fresh);
        if (fresh) {
            record.preference = n;
            record.text = str_of(name);
            told.ttl = n % 3;
            atomic_fetch_add(&answered_by[n], 1);
            cache_answer(e, &told, i, i);
        }
        if (seed & 0x1000) {
            if (!cache_wait(e, clock_ms() + 60000) || e->answer.records[0].preference != n
                || !str_is(e->answer.records[0].text, str_of(name)) || !str_is(e->answer.packet, STR("abc")))
                atomic_fetch_add(&wrong, 1);
        }
        entry_drop(e);
    }
    return NULL;
}

static void *disturb(void *unused)
{
    struct timespec soon = {.tv_nsec = 200000};

    while (!atomic_load(&stop)) {
        cache_limit(16);
        cache_flush();
        cache_limit(1000);
        nanosleep(&soon, NULL);
    }
    return unused;
}

static void test_threads(void)
{
    pthread_t threads[THREADS], other;
    unsigned all = 0;

    pthread_create(&other, NULL, disturb, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    for (unsigned i = 0; i < NAMES; i++)
        all += atomic_load(&answered_by[i]);
    is_long(atomic_load(&wrong), 0, "%d threads, %u answers: all as they were made", THREADS, all);
    cache_flush();
    is_long((long long)counters().entries, 0, "and nothing is left");
}

int main(void)
{
    arena = arena_new(0);
    test_merging();
    test_lifetimes();
    test_lists();
    test_bounds();
    test_waiting();
    test_threads();
    arena_free(&arena);
    return tap_end();
}
