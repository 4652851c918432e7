/* journal_trouble.c - the journal stays small, survives what may happen to its file, and says what is missing. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_test.h"

/* ---- killed ---- */

struct shared {
    atomic_llong added, written;
};

static void add_until_killed(struct shared *shared)
{
    struct journal_message m = whole;
    struct database_status status;

    begin(&usual);
    for (int64_t i = 0;; i++) {
        m.at_ms = clock_wall_ms();
        atomic_fetch_add(&shared->added, 1);
        journal_add(&m);
        if (i % 16 == 0 && journal_status(&status))
            atomic_store(&shared->written, (long long)status.written);
        if (i % 64 == 0)
            nap();
    }
}

static void test_kill(void)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long long before = 0, after = 0;
    unsigned wrong = 0;

    for (int round = 0; round < 8; round++) {
        long long enough = 200 + 150 * round;
        int64_t until = now_ms() + SOON_MS;
        sqlite3 *db;
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
        db = open_file(true);
        after = number(db, "SELECT count(*) FROM message");
        if (atomic_load(&shared->written) < enough || after - before < atomic_load(&shared->written)
            || after - before > atomic_load(&shared->added)
            || number(db, "SELECT count(*) FROM finding") != 3 * after
            || number(db, "SELECT count(*) FROM recipient") != 2 * after)
            wrong++;
        sqlite3_close(db);
        before = after;
    }
    is_long(wrong, 0, "killed eight times: all that was written is there, and whole (%lld)", after);
    munmap(shared, sizeof *shared);
    clean_up();
}

/* ---- forgetting ---- */

static void test_keep(void)
{
    int64_t now = clock_wall_ms();
    bool more = true;
    int pieces = 0, rc = SQLITE_OK;
    sqlite3 *db;

    begin(&(struct journal_settings){.keep_ms = 60 * DAY_MS});
    add_numbered(0, 3000, now - 31 * DAY_MS, 1);
    add_numbered(3000, 3100, now - 29 * DAY_MS, 1);
    journal_stop(SOON_MS);
    db = open_file(true);
    is_long(number(db, "PRAGMA auto_vacuum"), 2, "the file can become smaller");
    while (more && rc == SQLITE_OK && pieces < 1000) {
        rc = journal_tidy(db, &usual, now, 500, &more);
        pieces++;
    }
    is_long(rc, SQLITE_OK, "tidied");
    ok(pieces >= 6, "in %d pieces", pieces);
    is_long(number(db, "SELECT count(*) FROM message"), 100, "what is old is gone");
    is_long(number(db, "SELECT min(ref = 'R00003000') + count(*) FROM message WHERE ref = 'R00003000'"), 2,
            "what is not stays");
    is_long(number(db, "SELECT count(*) FROM finding WHERE message NOT IN (SELECT id FROM message)"), 0, "and its findings");
    is_long(number(db, "SELECT count(*) FROM recipient WHERE message NOT IN (SELECT id FROM message)"), 0,
            "and its recipients");
    sqlite3_close(db);
    clean_up();
}

static int64_t disk_bytes(void)
{
    struct stat st;
    int64_t sum = 0;

    if (stat(test_path, &st) == 0)
        sum += st.st_size;
    if (stat(arena_printf(test_arena, "%s-wal", test_path).p, &st) == 0)
        sum += st.st_size;
    return sum;
}

/* The writer tidies between batches, and is told again when the settings change. */
static void test_size(void)
{
    struct journal_settings small = {.keep_ms = 30 * DAY_MS, .max_size = 2000000};
    int64_t most = 0, until = now_ms() + 2 * SOON_MS, now = clock_wall_ms(); /* for all of it */
    struct database_status status;
    sqlite3 *db;

    begin(&small);
    for (int i = 0; i < 40; i++) {
        add_numbered(i * 500, i * 500 + 500, now, 0);
        while (disk_bytes() > (int64_t)small.max_size && now_ms() < until)
            nap();
        most = disk_bytes() > most ? disk_bytes() : most;
    }
    ok(most <= (int64_t)small.max_size, "20000 messages, and never more than 2 MB when it rests (%lld)", (long long)most);
    db = open_file(false);
    is_long(number(db, "SELECT count(*) FROM message WHERE ref = 'R00019999'"), 1, "the newest is there");
    ok(number(db, "SELECT count(*) FROM message") > 500, "so are those before (%lld)",
       number(db, "SELECT count(*) FROM message"));
    is_long(number(db, "SELECT count(*) FROM message WHERE ref = 'R00000000'"), 0, "the oldest is not");
    sqlite3_close(db);
    journal_status(&status);
    is_long((long long)status.dropped, 0, "nothing was lost");
    small.keep_ms = 1;
    journal_configure(&small);
    until = now_ms() + SOON_MS;
    db = open_file(false);
    while (number(db, "SELECT count(*) FROM message") > 0 && now_ms() < until)
        nap();
    is_long(number(db, "SELECT count(*) FROM message"), 0, "other settings hold at once");
    sqlite3_close(db);
    until = now_ms() + SOON_MS;
    while (disk_bytes() > 1000000 && now_ms() < until)
        nap();
    ok(disk_bytes() < 1000000, "and the file has shrunk (%lld)", (long long)disk_bytes());
    journal_stop(SOON_MS);
    clean_up();
}

/* ---- what may happen to a file ---- */

static sqlite3_vfs *real_vfs;
static const sqlite3_io_methods *real_methods;
static sqlite3_io_methods faulty_methods;
static atomic_int fault; /* what writing says */

static int faulty_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    int rc = atomic_load(&fault);

    return rc ? rc : real_methods->xWrite(file, bytes, n, at);
}

/* Only files are written through this that have the same methods as the first one; all of ours do. */
static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int rc = real_vfs->xOpen(vfs, name, file, flags, out);

    if (rc != SQLITE_OK || !file->pMethods)
        return rc;
    pthread_mutex_lock(&lock);
    if (!real_methods) {
        real_methods = file->pMethods;
        faulty_methods = *real_methods;
        faulty_methods.xWrite = faulty_write;
    }
    if (file->pMethods == real_methods)
        file->pMethods = &faulty_methods;
    pthread_mutex_unlock(&lock);
    return rc;
}

static void install_faults(void)
{
    static sqlite3_vfs vfs;

    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "faulty";
    vfs.xOpen = faulty_open;
    sqlite3_vfs_register(&vfs, 1);
}

/* overflow - add until something is lost; how many were added. */
static long long overflow(void)
{
    struct journal_message m = whole;
    struct database_status status;
    long long added = 0;

    m.at_ms = clock_wall_ms();
    do {
        m.ref = arena_printf(test_arena, "O%lld", added);
        journal_add(&m);
        added++;
        journal_status(&status);
    } while (status.dropped < 10 && added < 1000000);
    return added;
}

/* check_loss - while `cause` holds more comes than can wait; afterwards all that waited is written, and the gap told. */
static void check_loss(const char *what, const char *why, void (*cause)(bool on))
{
    struct database_status status;
    struct journal_gap *gaps;
    struct journal_message now = whole;
    long long added = 10;
    size_t count;
    sqlite3 *db;

    now.at_ms = clock_wall_ms();
    begin(&usual);
    add_numbered(0, 10, now.at_ms, 1);
    cause(true);
    {
        int64_t until = now_ms() + SOON_MS;

        do { /* the state is known when something could not be written */
            journal_add(&now);
            added++;
            nap();
            journal_status(&status);
        } while (status.state == DATABASE_FINE && now_ms() < until);
    }
    ok(status.state != DATABASE_FINE, "%s: %s", what, database_state_words[status.state]);
    added += overflow();
    journal_status(&status);
    ok(status.waiting > 1000, "%s: %zu wait, then more are lost", what, status.waiting);
    cause(false);
    ok(journal_flush(SOON_MS), "%s: and are written when it is over", what);
    journal_add(&now);
    journal_flush(SOON_MS);
    journal_status(&status);
    db = open_file(false);
    is_long(number(db, "SELECT count(*) FROM message"), added + 1 - (long long)status.dropped, "%s: all of them", what);
    ok(journal_gaps(db, test_arena, 0, &gaps, &count) == SQLITE_OK && count == 2, "%s: there is a gap", what);
    if (count == 2) {
        is_long(gaps[1].lost, (long long)status.dropped, "%s: as many as were lost", what);
        ok(str_starts(gaps[1].why, str_of(why)), "%s: " STR_FMT, what, STR_ARG(gaps[1].why));
    }
    sqlite3_close(db);
    journal_stop(SOON_MS);
    clean_up();
}

static void full(bool on)
{
    atomic_store(&fault, on ? SQLITE_FULL : 0);
}

static void locked(bool on)
{
    static sqlite3 *db;

    if (on) {
        sqlite3_open(test_path, &db);
        sqlite3_busy_timeout(db, SOON_MS);
        execute(db, "BEGIN IMMEDIATE");
    } else {
        sqlite3_close(db);
    }
}

/* overwrite - by another process: to open and close the file here would drop SQLite's locks. */
static void overwrite(void)
{
    pid_t child = fork();

    if (child == 0)
        execlp("dd", "dd", "if=/dev/urandom", arena_printf(test_arena, "of=%s", test_path).p, "bs=4096", "seek=1", "count=40",
               "conv=notrunc", "status=none", (char *)NULL);
    waitpid(child, NULL, 0);
}

static void check_new_file(const char *what, const char *why)
{
    struct journal_gap *gaps;
    size_t count;
    sqlite3 *db;
    int64_t until = now_ms() + SOON_MS;
    bool there = false;

    while (!there && now_ms() < until) {
        journal_add(&whole);
        journal_flush(SOON_MS);
        db = open_file(false);
        there = journal_gaps(db, test_arena, 0, &gaps, &count) == SQLITE_OK && count == 1
                && str_starts(gaps[0].why, str_of(why)) && number(db, "SELECT count(*) FROM message") > 0;
        sqlite3_close(db);
        nap();
    }
    ok(there, "%s: a new file is begun, and says why", what);
}

static void test_files(void)
{
    struct database_status status;

    begin(&usual);
    add_numbered(0, 500, 1000, 1);
    unlink(test_path);
    check_new_file("removed", "the file was removed");
    journal_stop(SOON_MS);
    begin(&usual);
    add_numbered(0, 500, 1000, 1);
    journal_stop(SOON_MS);
    overwrite();
    begin(&usual);
    check_new_file("damaged", "the file was damaged");
    journal_status(&status);
    is_long(status.set_aside, 1, "set aside");
    journal_stop(SOON_MS);
    clean_up();
}

int main(void)
{
    test_begin();
    test_kill(); /* first: it forks, and SQLite should not have been used before */
    install_faults();
    test_keep();
    test_size();
    check_loss("a full disk", "the file was full", full);
    check_loss("a lock", "the file was locked", locked);
    test_files();
    return test_end();
}
