/* database.c - a file that the daemon keeps, and everybody else who reads, writes, replaces and kills. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../db/database_inside.h"
#include "database_test.h"

/* ---- the usual ---- */

static void test_usual(void)
{
    struct database *db = start();
    int64_t began;

    is_long(status_of(db).state, DATABASE_FINE, "a new file is begun");
    is_long(sum_of(db, 1), -1, "and empty");
    add(db, 1, 5);
    add(db, 2, 7);
    add(db, 1, 6);
    ok(database_flush(db, SOON_MS), "three items are written");
    is_long(sum_of(db, 1), 11, "two of one key");
    is_long(sum_of(db, 2), 7, "one of another");
    is_long((long long)status_of(db).written, 3, "counted");
    is_long((long long)status_of(db).waiting, 0, "nothing waits");
    is_long(written_items, 3, "and told");
    began = now_ms();
    add(db, 1, 1);
    while (status_of(db).written < 4 && now_ms() < began + SOON_MS)
        nap();
    is_long((long long)status_of(db).written, 4, "nobody has to ask for it");
    diag("after %lld ms", (long long)(now_ms() - began));
    while (atomic_load(&tidied) < 4 && now_ms() < began + SOON_MS)
        nap();
    ok(atomic_load(&tidied) == 4, "housekeeping, until there is no more of it");
    add(db, 9, -2000);
    add(db, 9, 3);
    ok(database_flush(db, SOON_MS) && sum_of(db, 9) == 3, "what no file would take keeps nobody else out");
    is_long((long long)status_of(db).dropped, 1, "it is counted as lost");
    database_stop(&db, SOON_MS);
    ok(!db && files_like("*") == 1, "one file is left");
    db = start();
    is_long(sum_of(db, 1), 12, "everything is there again");
    database_stop(&db, SOON_MS);
    clean_up();
}

static void test_others(void)
{
    struct database *db = start();
    sqlite3 *other = other_process();
    int before = atomic_load(&changes);

    add(db, 1, 1);
    database_flush(db, SOON_MS);
    database_look(db);
    is_long(atomic_load(&changes), before, "what we write ourselves is no change");
    execute(other, "UPDATE sums SET sum = 100");
    database_look(db);
    is_long(atomic_load(&changes), before + 1, "what somebody else writes is one");
    database_look(db);
    is_long(atomic_load(&changes), before + 1, "told once");
    execute(other, "UPDATE sums SET sum = 200");
    for (int64_t until = now_ms() + SOON_MS; atomic_load(&changes) == before + 1 && now_ms() < until;)
        nap();
    is_long(atomic_load(&changes), before + 2, "and noticed also when nobody says so");
    add(db, 1, 1);
    database_flush(db, SOON_MS);
    is_long(sum_of(db, 1), 201, "both count");
    sqlite3_close(other);
    database_stop(&db, SOON_MS);
    clean_up();
}

/* ---- another file under the name ---- */

static void test_removed(void)
{
    struct database *db = start();

    add(db, 1, 1);
    database_flush(db, SOON_MS);
    unlink(path); /* its log stays */
    database_look(db);
    is_long(sum_of(db, 1), -1, "removed: a new one is begun");
    is_long(lines_with("removed under us"), 1, "said");
    add(db, 1, 5);
    ok(database_flush(db, SOON_MS) && sum_of(db, 1) == 5, "and written");
    unlink(path);
    add(db, 1, 6);
    for (int64_t until = now_ms() + SOON_MS; size_of(path) < 0 && now_ms() < until;)
        nap();
    ok(database_flush(db, SOON_MS) && size_of(path) >= 0, "noticed also when nobody says so");
    add(db, 1, 7);
    database_flush(db, SOON_MS);
    database_stop(&db, SOON_MS);
    db = start();
    ok(sum_of(db, 1) >= 7, "what was written then is in the file");
    is_long(status_of(db).set_aside, 0, "which is whole");
    database_stop(&db, SOON_MS);
    clean_up();
}

static void test_replaced(void)
{
    const char *aside = arena_printf(arena, "%s/aside", directory).p;
    struct database_reader *borrowed;
    struct database *db;
    int before;

    fill(100, 0);
    rename(path, aside);
    db = start();
    for (int i = 0; i < 100; i++)
        add(db, i, 1000);
    database_flush(db, SOON_MS);
    borrowed = database_reader_borrow(db);
    before = atomic_load(&changes);
    rename(aside, path); /* and the log of the one before is still there */
    database_look(db);
    ok(atomic_load(&changes) > before, "replaced: what was cached is forgotten");
    is_long(sum_of(db, 5), 1, "the other's content");
    is_long(lines_with("replaced by another file"), 1, "said");
    add(db, 5, 1);
    ok(database_flush(db, SOON_MS) && sum_of(db, 5) == 2, "is written on");
    ok(borrowed, "a reader was open");
    database_reader_return(borrowed, SQLITE_OK);
    add(db, 6, 1);
    ok(database_flush(db, SOON_MS) && sum_of(db, 6) == 2, "its end does no harm");
    database_stop(&db, SOON_MS);
    db = start();
    is_long(status_of(db).set_aside, 0, "the file is whole");
    is_long(sum_of(db, 6), 2, "with everything");
    database_stop(&db, SOON_MS);
    clean_up();
}

/* ---- files that are not for us ---- */

static uint64_t content(void)
{
    FILE *f = fopen(path, "r");
    uint64_t sum = 14695981039346656037u;
    int c;

    while (f && (c = fgetc(f)) != EOF)
        sum = (sum ^ (uint64_t)c) * 1099511628211u;
    if (f)
        fclose(f);
    return sum;
}

static void check_left_alone(const char *sql, enum database_state state, const char *word)
{
    sqlite3 *other;
    struct database *db;
    uint64_t before;

    fill(3, 0);
    other = other_process();
    execute(other, sql);
    sqlite3_close(other);
    before = content();
    db = start();
    ok(becomes(db, state), "%s: not used", database_state_words[state]);
    ok(strstr(status_of(db).why, word), "why: %s", status_of(db).why);
    add(db, 1, 1);
    database_look(db);
    is_long(sum_of(db, 1), -2, "not read");
    is_long((long long)status_of(db).waiting, 1, "not written");
    is_long(lines_with(word), 1, "said once");
    database_stop(&db, 0);
    ok(content() == before, "not a byte of it is changed");
    forget_lines();
    db = start();
    ok(becomes(db, state), "again");
    add(db, 1, 9);
    unlink(path);
    ok(database_flush(db, SOON_MS) && sum_of(db, 1) == 9, "when it is removed, one of our own is begun");
    database_stop(&db, SOON_MS);
    clean_up();
}

static void test_version_under_us(void)
{
    struct database *db = start();
    sqlite3 *other = other_process();

    add(db, 1, 1);
    database_flush(db, SOON_MS);
    execute(other, "PRAGMA user_version = 99");
    database_look(db);
    ok(becomes(db, DATABASE_NEWER), "a newer version, while it is open: noticed");
    is_long(sum_of(db, 1), -2, "it is not read any more");
    add(db, 1, 10);
    database_look(db);
    is_long((long long)status_of(db).waiting, 1, "nor written");
    execute(other, "PRAGMA user_version = 1");
    ok(database_flush(db, SOON_MS) && sum_of(db, 1) == 11, "ours again: written");
    execute(other, "PRAGMA application_id = 7");
    database_look(db);
    ok(becomes(db, DATABASE_BROKEN), "somebody else's, while it is open: noticed");
    sqlite3_close(other);
    database_stop(&db, 0);
    clean_up();
}

/* ---- the write-ahead log ---- */

static void test_long_reader(void)
{
    struct database *db = start();
    sqlite3 *other;
    uint64_t most = 0;
    int64_t until;

    for (int i = 0; i < 20000; i++) {
        database_add(db, &(struct item){i, 1, 3500});
        if (i % 1000 == 999) {
            database_flush(db, SOON_MS);
            most = status_of(db).wal_bytes > most ? status_of(db).wal_bytes : most;
        }
    }
    ok(most > 0 && most < 40000000, "80 MB are written through a log of at most %llu bytes", (unsigned long long)most);
    is_long(lines_with("log grows"), 0, "nothing to say");

    other = other_process();
    execute(other, "BEGIN; SELECT count(*) FROM sums");
    for (int i = 0; i < 22000; i++) {
        database_add(db, &(struct item){i % 20000, 1, 3500});
        if (i % 1000 == 999)
            database_flush(db, SOON_MS);
    }
    ok(status_of(db).state == DATABASE_FINE && sum_of(db, 1999) == 3, "beside a long reader everything is written");
    until = now_ms() + SOON_MS;
    while (lines_with("log grows") == 0 && now_ms() < until)
        nap();
    ok(status_of(db).wal_bytes > 64 * 1024 * 1024, "the log grows: %llu bytes",
       (unsigned long long)status_of(db).wal_bytes);
    is_long(lines_with("log grows"), 1, "that is said once");
    execute(other, "COMMIT");
    sqlite3_close(other);
    until = now_ms() + SOON_MS;
    while (status_of(db).wal_bytes > 1000000 && now_ms() < until)
        nap();
    ok(status_of(db).wal_bytes <= 1000000, "when he has gone it is small again: %llu bytes",
       (unsigned long long)status_of(db).wal_bytes);
    until = now_ms() + SOON_MS;
    while (lines_with("shrunk") == 0 && now_ms() < until)
        nap();
    is_long(lines_with("shrunk"), 1, "also said");
    database_stop(&db, SOON_MS);
    clean_up();
}

static void test_bounded_log(void)
{
    struct database *db = start();
    sqlite3 *other;

    for (int i = 0; i < 2000; i++)
        database_add(db, &(struct item){i, 1, 3500});
    database_flush(db, SOON_MS);
    database_log_most = 80 * 1024 * 1024;
    other = other_process();
    execute(other, "BEGIN; SELECT count(*) FROM sums");
    for (int i = 0; i < 40000 && status_of(db).state == DATABASE_FINE; i++) {
        database_add(db, &(struct item){i % 2000, 1, 3500});
        if (i % 1000 == 999)
            database_flush(db, 1000);
    }
    ok(becomes(db, DATABASE_LOCKED) && strstr(status_of(db).why, "reads in the write-ahead log"),
       "a reader that stays: %s", status_of(db).why);
    ok(size_of(arena_printf(arena, "%s-wal", path).p) < (off_t)database_log_most + 16 * 1024 * 1024,
       "the log ends at its bound: %lld bytes", (long long)size_of(arena_printf(arena, "%s-wal", path).p));
    add(db, 123456, 1);
    ok(!database_flush(db, 500) && sum_of(db, 123456) == -1, "nothing more is written");
    is_long((long long)status_of(db).dropped, 0, "nor lost");
    execute(other, "COMMIT");
    sqlite3_close(other);
    ok(database_flush(db, SOON_MS) && sum_of(db, 123456) == 1, "until he has gone");
    ok(becomes(db, DATABASE_FINE), "then all is fine");
    database_stop(&db, SOON_MS);
    clean_up();
}

/* ---- many threads, and kill -9 ---- */

static void *add_ones(void *pointer)
{
    for (int i = 0; i < 250; i++)
        while (!add(pointer, 1, 1))
            nap();
    return NULL;
}

static void test_threads(void)
{
    struct database *db = start();
    pthread_t threads[16];

    for (int i = 0; i < 16; i++)
        pthread_create(&threads[i], NULL, add_ones, db);
    for (int i = 0; i < 200; i++)
        (void)sum_of(db, 1);
    for (int i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    ok(database_flush(db, SOON_MS), "16 threads add");
    is_long(sum_of(db, 1), 16 * 250, "nothing is lost, nothing counted twice");
    database_stop(&db, SOON_MS);
    clean_up();
}

struct shared {
    atomic_llong added, written;
};

static void add_until_killed(struct shared *shared)
{
    struct database *db = start();

    for (int64_t i = 0;; i++) {
        atomic_fetch_add(&shared->added, 1); /* before: never more on disk than was said */
        while (!add(db, i % 50, 1))
            nap();
        if (i % 16 == 0)
            atomic_store(&shared->written, (long long)status_of(db).written);
        if (i % 64 == 0)
            nap();
    }
}

static void test_kill(void)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long long before = 0, after, added, said;
    unsigned wrong = 0;

    for (int round = 0; round < 10; round++) {
        long long enough = 200 + 150 * round;
        int64_t until = now_ms() + SOON_MS;
        sqlite3 *db;
        sqlite3_stmt *s;
        pid_t child;

        atomic_store(&shared->added, 0);
        atomic_store(&shared->written, 0);
        child = fork();
        if (child == 0)
            add_until_killed(shared);
        while (atomic_load(&shared->written) < enough && now_ms() < until)
            nap();
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        added = atomic_load(&shared->added);
        said = atomic_load(&shared->written);
        db = other_process();
        sqlite3_prepare_v2(db, "SELECT sum(sum) FROM sums", -1, &s, NULL);
        after = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
        sqlite3_finalize(s);
        sqlite3_close(db);
        if (said < enough || after - before < said || after - before > added) {
            wrong++;
            diag("added %lld, said to be written %lld, in the file %lld", added, said, after - before);
        }
        before = after;
    }
    is_long(wrong, 0, "killed ten times: all that was written is there (%lld), and no more than was added", before);
    munmap(shared, sizeof *shared);
    clean_up();
}

int main(void)
{
    test_begin();
    test_kill(); /* first: it forks, and SQLite should not have been used before */
    test_usual();
    test_others();
    test_removed();
    test_replaced();
    check_left_alone("PRAGMA user_version = 99", DATABASE_NEWER, "version 99");
    check_left_alone("PRAGMA application_id = 1", DATABASE_BROKEN, "another program");
    test_version_under_us();
    test_long_reader();
    test_bounded_log();
    test_threads();
    return test_end();
}
