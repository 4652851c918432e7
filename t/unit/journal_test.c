/* journal_test.c - what the tests of the journal share. */
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../milter/base/log.h"
#include "journal_test.h"

struct arena *test_arena;
const char *test_path;
const struct journal_settings usual = {.keep_ms = 30 * DAY_MS, .max_size = 1000000000};

static char directory[64] = "/tmp/sme-journal-XXXXXX";

void test_begin(void)
{
    test_arena = arena_new(0);
    if (!mkdtemp(directory))
        bail("no directory");
    test_path = arena_printf(test_arena, "%s/journal.sqlite", directory).p;
    log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR);
}

int test_end(void)
{
    rmdir(directory);
    arena_free(&test_arena);
    return tap_end();
}

/* ---- helpers ---- */

void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void clean_up(void)
{
    glob_t found;

    if (glob(arena_printf(test_arena, "%s/*", directory).p, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
    globfree(&found);
}

void begin(const struct journal_settings *settings)
{
    journal_start(str_of(directory), settings, SOON_MS);
}

sqlite3 *open_file(bool write)
{
    struct str error;
    int status;
    sqlite3 *db = database_open_file(test_path, &journal_schema, write, write, test_arena, &error, &status);

    if (!db)
        bail("%s", error.p);
    return db;
}

long long number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    long long n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        diag("%s: %s", sql, sqlite3_errmsg(db));
    else if (sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

void execute(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        diag("%s: %s", sql, sqlite3_errmsg(db));
}

/* ---- a message with something in every field ---- */

static struct journal_fact facts[] = {
    {{"spf.result", 10}, {"pass", 4}},
    {{"dkim.result", 11}, {"pass d=a.test s=x; fail d=\"q\\uote\"", 35}},
    {{"list", 4}, {"", 0}},
};
static struct journal_finding findings[] = {
    {.policy = {"spf", 3}, .stage = {"mail", 4}, .result = {"nothing", 7}, .judged = {"none", 4}, .rcpt = -1,
     .facts = facts, .fact_count = 3, .micros = 1234},
    {.policy = {"badrcptto", 9}, .stage = {"rcpt", 4}, .result = {"bad", 3}, .judged = {"now", 3},
     .status = {"5.1.1", 5}, .code = 553, .text = {"not here", 8}, .karma = -2, .permanent = true, .again = true,
     .rcpt = 1},
    {.policy = {"dnsbl", 5}, .stage = {"connect", 7}, .result = {"unsure", 6}, .judged = {"never", 5}, .temporary = true,
     .rcpt = -1},
};
static struct journal_rcpt rcpts[] = {
    {{"<me@here.test>", 14}, {NULL, 0}, {NULL, 0}},
    {{"<You@here.test>", 15}, {"badrcptto", 9}, {"553 5.1.1 not here (ref X1)", 27}},
};
const struct journal_message whole = {
    .message = true,
    .at_ms = 1767607200123,
    .host = {"mail.here.test", 14},
    .ref = {"1E9ABCDEFGH1", 12},
    .queue_id = {"4XyZ12", 6},
    .message_id = {"<id@a.test>", 11},
    .profile = {"smtp", 4},
    .client = {.b = {[10] = 0xff, 0xff, 192, 0, 2, 7}, .known = true},
    .client_port = 40000,
    .server_port = 25,
    .name = {"mx.a.test", 9},
    .helo = {"mx.a.test", 9},
    .auth = {"joe", 3},
    .tls_version = {"TLSv1.3", 7},
    .daemon_name = {"smtpd", 5},
    .sender = {"<Joe@A.test>", 12},
    .rcpt = rcpts,
    .rcpt_count = 2,
    .nrcpt = 2,
    .size = 12345,
    .declared_size = 13000,
    .body_bytes = 12000,
    .local = true,
    .whitelisted = true,
    .unknown_commands = 3,
    .verdict = {"accept", 6},
    .by = {"", 0},
    .stage = {"message", 7},
    .karma_before = -3,
    .karma = 4,
    .history = {"7", 1},
    .ms = 250,
    .subject = {"hello", 5},
    .ran = {"connect:dnsbl;mail:spf;rcpt:badrcptto", 37},
    .findings = findings,
    .finding_count = 3,
};

void add_numbered(int from, int to, int64_t time, int64_t step)
{
    struct journal_message m = whole;

    for (int i = from; i < to; i++) {
        m.at_ms = time + step * i;
        m.ref = arena_printf(test_arena, "R%08d", i);
        m.message_id = arena_printf(test_arena, "<%d.%d@a.test>", i, i * 7919);
        journal_add(&m);
        if (i % 4000 == 3999)
            journal_flush(SOON_MS);
    }
    journal_flush(SOON_MS);
}
