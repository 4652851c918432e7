/* karma_test.c - clients, their events and what stands in the file. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "karma_test.h"

const struct karma_rules rules = {.negative = 2, .penalty_s = DAY, .max_penalty_s = 30 * DAY};

struct arena *arena;
static char made[] = "/tmp/sme-karma-XXXXXX";
const char *directory = made, *path;

void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct karma_net net_of(const char *text)
{
    struct karma_net net;

    if (!karma_net_parse(str_of(text), &net))
        bail("%s is no address", text);
    return net;
}

struct karma_net net_number(unsigned n)
{
    return net_of(arena_printf(arena, "198.18.%u.%u", n / 256 % 256, n % 256).p);
}

void learn(const struct karma_net *net, double at, bool nice, bool naughty, const char *reason)
{
    struct karma_event e = {.net = *net, .at = at, .nice = nice, .naughty = naughty, .rules = rules};

    snprintf(e.reason, sizeof e.reason, "%s", reason);
    karma_learn(&e);
}

double wall(void)
{
    return (double)clock_wall_ms() / 1000;
}

sqlite3 *open_file(void)
{
    struct str error;
    int status;
    sqlite3 *db = database_open_file(path, &karma_schema, true, true, arena, &error, &status);

    if (!db)
        bail("%s", error.p);
    return db;
}

struct karma_record in_file(sqlite3 *db, const struct karma_net *net)
{
    struct karma_record r = {0};

    karma_file_get(db, net, &r);
    return r;
}

struct karma_record cached(const struct karma_net *net)
{
    struct karma_record r;

    karma_get(net, &r);
    return r;
}

bool same(const struct karma_record *a, const struct karma_record *b)
{
    return a->nice == b->nice && a->naughty == b->naughty && a->connects == b->connects
           && a->penalty_until == b->penalty_until && a->first_seen == b->first_seen && a->last_seen == b->last_seen
           && a->cleared_at >= b->cleared_at && a->cleared_at <= b->cleared_at
           && strcmp(a->last_reason, b->last_reason) == 0;
}

void tell(const char *what, const struct karma_record *r)
{
    diag("%s: nice %lld naughty %lld connects %lld until %lld cleared %.1f seen %lld..%lld '%s'", what,
         (long long)r->nice, (long long)r->naughty, (long long)r->connects, (long long)r->penalty_until, r->cleared_at,
         (long long)r->first_seen, (long long)r->last_seen, r->last_reason);
}

void store_begin(void)
{
    karma_store_start(str_of(directory), SOON_MS);
}

void store_end(void)
{
    karma_store_stop(SOON_MS);
    unlink(path);
}

long long number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    long long n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static void quiet(int level, struct str line, void *ctx)
{
    (void)level, (void)line, (void)ctx;
}

void test_begin(void)
{
    arena = arena_new(0);
    if (!mkdtemp(made))
        bail("no directory");
    path = arena_printf(arena, "%s/karma.sqlite", directory).p;
    log_capture(quiet, NULL);
}

int test_end(void)
{
    ok(rmdir(directory) == 0, "no file is left");
    arena_free(&arena);
    return tap_end();
}
