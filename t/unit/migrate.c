/* migrate.c - schema versions: from every older one, not from a newer one, nobody else's, and killed in between. */
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "../../db/database.h"
#include "../../db/migrate.h"
#include "../../milter/base/arena.h"
#include "../lib/tap.h"

static const char *const steps[] = {
    "CREATE TABLE one (a); INSERT INTO one VALUES (1)",
    "ALTER TABLE one ADD COLUMN b DEFAULT 2",
    "CREATE TABLE two AS SELECT a + b AS c FROM one; DROP TABLE one",
    NULL,
};
/* The same, and in the middle of the third step, when the second is done, the process ends. */
static const char *const deadly_steps[] = {
    "CREATE TABLE one (a); INSERT INTO one VALUES (1)",
    "ALTER TABLE one ADD COLUMN b DEFAULT 2",
    "CREATE TABLE two AS SELECT a + b AS c FROM one; SELECT die(); DROP TABLE one",
    NULL,
};
static const char *const bad_steps[] = {
    "CREATE TABLE one (a); INSERT INTO one VALUES (1)",
    "ALTER TABLE one ADD COLUMN b DEFAULT 2; SELECT * FROM nowhere",
    NULL,
};

static struct arena *arena;
static char directory[64] = "/tmp/sme-migrate-XXXXXX";
static const char *path;

static struct schema schema_of(const char *const *of)
{
    return (struct schema){"test", 0x12345678, of, NULL};
}

static struct schema schema_until(const char **room, int version)
{
    for (int i = 0; i < version; i++)
        room[i] = steps[i];
    room[version] = NULL;
    return schema_of(room);
}

static sqlite3 *open_db(void)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        bail("%s: %s", path, sqlite3_errmsg(db));
    sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    return db;
}

static long long number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    long long n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static void forget(void)
{
    unlink(path);
    unlink(arena_printf(arena, "%s-wal", path).p);
    unlink(arena_printf(arena, "%s-shm", path).p);
}

static void test_every_version(void)
{
    struct schema newest = schema_of(steps);

    for (int from = 0; from <= 3; from++) {
        const char *room[4];
        struct schema old = schema_until(room, from);
        sqlite3 *db = open_db();
        struct str error = STR_NONE;

        if (from)
            ok(migrate(db, &old, arena, &error) == MIGRATED, "a file of version %d", from);
        ok(migrate(db, &newest, arena, &error) == MIGRATED, "is brought from %d to 3", from);
        is_long(number(db, "PRAGMA user_version"), 3, "which it then says");
        is_long(number(db, "PRAGMA application_id"), 0x12345678, "and whose it is");
        is_long(number(db, "SELECT c FROM two"), 3, "with its content");
        ok(migrate(db, &newest, arena, &error) == MIGRATED, "again: nothing to do");
        sqlite3_close(db);
        forget();
    }
}

static void test_newer(void)
{
    const char *room[4];
    struct schema old = schema_until(room, 2), newest = schema_of(steps);
    sqlite3 *db = open_db();
    struct str error = STR_NONE;

    migrate(db, &newest, arena, &error);
    ok(migrate(db, &old, arena, &error) == MIGRATE_NEWER, "version 3 is not for a program of version 2");
    ok(strstr(error.p, "version 3") && strstr(error.p, "up to 2") && strstr(error.p, "test"), "%s", error.p);
    is_long(number(db, "PRAGMA user_version"), 3, "it stays as it is");
    sqlite3_close(db);
    forget();
}

static void test_foreign(void)
{
    struct schema newest = schema_of(steps);
    sqlite3 *db = open_db();
    struct str error = STR_NONE;
    enum migrated foreign;

    sqlite3_exec(db, "CREATE TABLE mine (a)", NULL, NULL, NULL);
    foreign = migrate(db, &newest, arena, &error);
    ok(foreign == MIGRATE_FOREIGN, "tables of somebody else: %s", error.p);
    sqlite3_exec(db, "PRAGMA application_id = 77", NULL, NULL, NULL);
    ok(migrate(db, &newest, arena, &error) == MIGRATE_FOREIGN, "also with his name on them");
    is_long(number(db, "SELECT count(*) FROM sqlite_schema"), 1, "it stays as it is");
    sqlite3_close(db);
    forget();
}

static void die(sqlite3_context *c, int count, sqlite3_value **values)
{
    (void)c, (void)count, (void)values;
    kill(getpid(), SIGKILL);
}

static void test_killed(void)
{
    const char *room[4];
    struct schema old = schema_until(room, 1), deadly = schema_of(deadly_steps), newest = schema_of(steps);
    struct str error = STR_NONE;
    sqlite3 *db = open_db();
    int status = 0;
    pid_t child;

    migrate(db, &old, arena, &error);
    sqlite3_close(db);
    child = fork();
    if (child == 0) {
        db = open_db();
        sqlite3_create_function(db, "die", 0, SQLITE_UTF8, NULL, die, NULL, NULL);
        migrate(db, &deadly, arena, &error);
        _exit(0);
    }
    ok(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
       "a process is killed between two steps");
    db = open_db();
    is_long(number(db, "PRAGMA user_version"), 1, "the file is of the old version");
    is_long(number(db, "SELECT count(*) FROM pragma_table_info('one')"), 1, "with nothing of the new one");
    ok(migrate(db, &newest, arena, &error) == MIGRATED && number(db, "SELECT c FROM two") == 3,
       "and is brought to the newest");
    sqlite3_close(db);
    forget();
}

static void test_failed(void)
{
    const char *room[4];
    struct schema old = schema_until(room, 1), bad = schema_of(bad_steps), newest = schema_of(steps);
    struct str error = STR_NONE;
    sqlite3 *db = open_db(), *other;
    enum migrated verdict;
    int code = SQLITE_OK;

    migrate(db, &old, arena, &error);
    verdict = migrate_code(db, &bad, arena, &error, &code);
    ok(verdict == MIGRATE_FAILED && code == SQLITE_ERROR, "a step fails: %s", error.p);
    is_long(number(db, "SELECT count(*) FROM pragma_table_info('one')"), 1, "nothing of it is left");
    is_long(sqlite3_get_autocommit(db), 1, "nor is a transaction");
    other = open_db();
    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    verdict = migrate_code(db, &newest, arena, &error, &code);
    ok(verdict == MIGRATE_FAILED && code == SQLITE_BUSY, "another process writes: %s", error.p);
    sqlite3_close(other);
    sqlite3_close(db);
    forget();
}

/* ---- database_open_file, as commands use it ---- */

static void test_open_file(void)
{
    const char *room[4];
    struct schema old = schema_until(room, 2), newest = schema_of(steps);
    struct str error = STR_NONE;
    int status = -1;
    sqlite3 *db;

    db = database_open_file(path, &newest, false, false, arena, &error, &status);
    ok(!db, "no file: %s", error.p);
    is_long(status, EX_NOINPUT, "no input");
    db = database_open_file("/nonexistent/x.sqlite", &newest, true, true, arena, &error, &status);
    ok(!db && status == EX_CANTCREAT, "no directory: %s", error.p);
    db = database_open_file(directory, &newest, false, false, arena, &error, &status);
    ok(!db && status == EX_NOINPUT, "a directory: %s", error.p);

    db = database_open_file(path, &old, true, true, arena, &error, &status);
    ok(db && number(db, "PRAGMA user_version") == 2, "a file is made");
    sqlite3_close(db);
    db = database_open_file(path, &newest, false, false, arena, &error, &status);
    ok(db && number(db, "SELECT c FROM two") == 3, "an older version is brought up, also only to read it");
    ok(status == EX_OK, "fine");
    sqlite3_close(db);
    db = database_open_file(path, &newest, false, false, arena, &error, &status);
    ok(db && sqlite3_exec(db, "DELETE FROM two", NULL, NULL, NULL) == SQLITE_READONLY, "who reads does not write");
    sqlite3_close(db);
    db = database_open_file(path, &old, false, true, arena, &error, &status);
    ok(!db && status == EX_CONFIG && strstr(error.p, path), "newer: %s", error.p);
    if (geteuid() != 0) {
        chmod(path, 0);
        db = database_open_file(path, &newest, false, false, arena, &error, &status);
        ok(!db && status == EX_NOPERM, "no permission: %s", error.p);
        chmod(path, 0400);
        db = database_open_file(path, &newest, false, true, arena, &error, &status);
        ok(!db && status == EX_NOPERM, "not to be written: %s", error.p);
        chmod(path, 0600);
    }
    if (truncate(path, 5000) != 0)
        bail("truncate");
    db = database_open_file(path, &newest, false, true, arena, &error, &status);
    ok(!db && status == EX_DATAERR, "truncated: %s", error.p);
    forget();
    symlink("/etc/passwd", path);
    db = database_open_file(path, &newest, true, true, arena, &error, &status);
    ok(!db && status == EX_NOINPUT, "a symbolic link: %s", error.p);
    forget();
}

int main(void)
{
    arena = arena_new(0);
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) /* root sees no permissions */
        diag("root stays root");
    if (!mkdtemp(directory))
        bail("no directory");
    path = arena_printf(arena, "%s/test.sqlite", directory).p;
    test_every_version();
    test_newer();
    test_foreign();
    test_killed();
    test_failed();
    test_open_file();
    ok(rmdir(directory) == 0, "no file is left");
    arena_free(&arena);
    return tap_end();
}
