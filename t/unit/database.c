/* database.c - a file that the daemon keeps, and everything that may happen to it while mail flows. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "../../db/database.h"
#include "../../milter/base/arena.h"
#include "../../milter/base/log.h"
#include "../lib/tap.h"

#define SOON_MS 20000 /* what is waited for comes much earlier, except on a very busy machine */
#define QUEUE_MOST 5000

static struct arena *arena;
static char directory[64] = "/tmp/sme-database-XXXXXX";
static const char *path;

/* ---- a kind of database: sums by key, with something to fill pages ---- */

struct item {
    int64_t key, amount;
    int padding; /* bytes */
};

static atomic_int changes, written_items, tidied;

static int item_write(struct database_writer *w, const void *pointer, void *ctx)
{
    const struct item *item = pointer;
    sqlite3_stmt *s = database_writer_statement(
        w, "INSERT INTO sums VALUES (?1, ?2, zeroblob(?3))"
           " ON CONFLICT (key) DO UPDATE SET sum = sum + ?2, padding = zeroblob(?3)");
    int rc;

    (void)ctx;
    if (!s)
        return sqlite3_extended_errcode(database_writer_db(w));
    sqlite3_bind_int64(s, 1, item->key);
    sqlite3_bind_int64(s, 2, item->amount);
    sqlite3_bind_int(s, 3, item->padding);
    rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void items_written(const void *items, size_t count, void *ctx)
{
    (void)items, (void)ctx;
    atomic_fetch_add(&written_items, (int)count);
}

static void file_changed(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&changes, 1);
}

static bool tidy(struct database_writer *w, void *ctx)
{
    (void)w, (void)ctx;
    return atomic_fetch_add(&tidied, 1) < 3;
}

static const char *const steps[] = {
    "CREATE TABLE sums (key INTEGER PRIMARY KEY, sum INTEGER NOT NULL CHECK (sum > -1000), padding)", NULL};
static const struct schema schema = {"test", 0x534d4574, steps};
static const struct database_kind kind = {
    "test", &schema, sizeof(struct item), QUEUE_MOST, item_write, items_written, file_changed, tidy};

static bool add(struct database *db, int64_t key, int64_t amount)
{
    return database_add(db, &(struct item){key, amount, 0});
}

/* sum_of - as a reader of the daemon sees it; -1: not there, -2: cannot be read. */
static long long sum_of(struct database *db, int64_t key)
{
    struct database_reader *r = database_reader_borrow(db);
    sqlite3_stmt *s;
    long long sum = -2;
    int rc = SQLITE_ERROR;

    if (!r)
        return sum;
    s = database_reader_statement(r, "SELECT sum FROM sums WHERE key = ?1");
    if (s) {
        sqlite3_bind_int64(s, 1, key);
        rc = sqlite3_step(s);
        sum = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : rc == SQLITE_DONE ? -1 : -2;
    }
    database_reader_return(r, rc);
    return sum;
}

/* ---- what it logged ---- */

static pthread_mutex_t logged_lock = PTHREAD_MUTEX_INITIALIZER;
static char logged[200][400];
static unsigned logged_count;

static void capture(int level, struct str line, void *ctx)
{
    (void)level, (void)ctx;
    pthread_mutex_lock(&logged_lock);
    if (logged_count < 200)
        snprintf(logged[logged_count++], sizeof logged[0], STR_FMT, STR_ARG(line));
    pthread_mutex_unlock(&logged_lock);
}

static unsigned lines_with(const char *word)
{
    unsigned count = 0;

    pthread_mutex_lock(&logged_lock);
    for (unsigned i = 0; i < logged_count; i++)
        count += strstr(logged[i], word) != NULL;
    pthread_mutex_unlock(&logged_lock);
    return count;
}

static void tell_lines(void)
{
    pthread_mutex_lock(&logged_lock);
    for (unsigned i = 0; i < logged_count; i++)
        diag("logged: %s", logged[i]);
    pthread_mutex_unlock(&logged_lock);
}

static void forget_lines(void)
{
    pthread_mutex_lock(&logged_lock);
    logged_count = 0;
    pthread_mutex_unlock(&logged_lock);
}

/* ---- a file system that fails when it is told to ---- */

static atomic_int fault;   /* what writing says */
static atomic_int no_logs; /* an errno: no log can be made */
static sqlite3_vfs *real_vfs;
static struct {
    const sqlite3_io_methods *real;
    sqlite3_io_methods ours;
} methods[8];

static int (*real_write)(sqlite3_file *, const void *, int, sqlite3_int64);

static int faulty_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    int rc = atomic_load(&fault);

    return rc ? rc : real_write(file, bytes, n, at);
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    size_t i = 0;
    int rc;

    if ((flags & SQLITE_OPEN_WAL) && atomic_load(&no_logs)) {
        file->pMethods = NULL;
        errno = atomic_load(&no_logs);
        return SQLITE_CANTOPEN;
    }
    rc = real_vfs->xOpen(vfs, name, file, flags, out);
    if (rc != SQLITE_OK || !file->pMethods)
        return rc;
    pthread_mutex_lock(&lock);
    while (i < 8 && methods[i].real && methods[i].real != file->pMethods)
        i++;
    if (i == 8)
        bail("too many kinds of files");
    if (!methods[i].real) {
        methods[i].real = file->pMethods;
        methods[i].ours = *file->pMethods;
        methods[i].ours.xWrite = faulty_write;
        real_write = file->pMethods->xWrite; /* the same for all of them */
    }
    file->pMethods = &methods[i].ours;
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

/* ---- helpers ---- */

static struct database_status status_of(struct database *db)
{
    struct database_status status;

    database_status(db, &status);
    return status;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool becomes(struct database *db, enum database_state state)
{
    int64_t until = now_ms() + SOON_MS;

    while (status_of(db).state != state && now_ms() < until)
        nap();
    return status_of(db).state == state;
}

static struct database *start(void)
{
    struct database *db = database_start(&kind, str_of(directory), NULL, SOON_MS);

    if (!db)
        bail("no thread");
    return db;
}

static sqlite3 *other_process(void)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        bail("%s: %s", path, sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, SOON_MS);
    return db;
}

static void execute(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        diag("%s: %s", sql, sqlite3_errmsg(db));
}

static unsigned files_like(const char *pattern)
{
    glob_t found;
    unsigned count = 0;

    if (glob(arena_printf(arena, "%s/%s", directory, pattern).p, 0, NULL, &found) == 0)
        count = (unsigned)found.gl_pathc;
    globfree(&found);
    return count;
}

static void clean_up(void)
{
    glob_t found;

    if (glob(arena_printf(arena, "%s/*", directory).p, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
    globfree(&found);
    forget_lines();
}

/* overwrite - by another process: to open and close the file here would drop SQLite's locks. */
static void overwrite(off_t from, off_t to)
{
    pid_t child = fork();
    char junk[512];
    int fd;

    if (child == 0) {
        memset(junk, 0xa5, sizeof junk);
        fd = open(path, O_WRONLY);
        for (off_t at = from; fd >= 0 && at < to; at += (off_t)sizeof junk)
            if (pwrite(fd, junk, sizeof junk, at) < 0)
                _exit(1);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static off_t size_of(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 ? st.st_size : -1;
}

/* fill - a file with `rows` rows of so many bytes, closed. */
static void fill(int rows, int padding)
{
    struct database *db = start();

    for (int i = 0; i < rows; i++) {
        if (i % 1000 == 999)
            database_flush(db, SOON_MS);
        database_add(db, &(struct item){i, 1, padding});
    }
    database_stop(&db, SOON_MS);
}

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

/* ---- trouble ---- */

static void test_no_directory(void)
{
    struct database *db;
    unsigned refused = 0;

    rmdir(directory);
    db = start();
    is_long(status_of(db).state, DATABASE_BROKEN, "no directory");
    ok(strstr(status_of(db).why, "No such file"), "why: %s", status_of(db).why);
    is_long(sum_of(db, 1), -2, "nothing can be read");
    for (int i = 0; i < QUEUE_MOST + 7; i++)
        refused += !add(db, 1, 1);
    is_long(refused, 7, "what is too much to wait is refused");
    is_long((long long)status_of(db).dropped, 7, "and counted");
    is_long(lines_with("further ones are lost"), 1, "said once");
    if (!is_long(lines_with("No such file"), 1, "as is the state"))
        tell_lines();
    mkdir(directory, 0700);
    ok(database_flush(db, SOON_MS), "when it is there, all that waits is written");
    is_long(sum_of(db, 1), QUEUE_MOST, "exactly");
    ok(becomes(db, DATABASE_FINE) && lines_with("written again") == 1, "and said");
    is_long(lines_with("in the mean time: 7"), 1, "with what was lost");
    database_stop(&db, SOON_MS);
    clean_up();
}

static void check_fault(int code, enum database_state state)
{
    const char *word = database_state_words[state];
    struct database *db = start();

    add(db, 1, 1);
    database_flush(db, SOON_MS);
    atomic_store(&fault, code);
    add(db, 1, 10);
    ok(becomes(db, state), "%s: noticed", word);
    add(db, 1, 100);
    is_long(sum_of(db, 1), 1, "%s: what was there can be read", word);
    database_look(db);
    database_look(db);
    is_long((long long)status_of(db).waiting, 2, "%s: the items wait", word);
    is_long(lines_with(word), 1, "%s: said once", word);
    atomic_store(&fault, 0);
    ok(database_flush(db, SOON_MS), "%s: over", word);
    is_long(sum_of(db, 1), 111, "%s: each is written once", word);
    ok(becomes(db, DATABASE_FINE) && lines_with("written again") == 1, "%s: and said", word);
    atomic_store(&fault, code);
    add(db, 1, 1000);
    ok(becomes(db, state), "%s: again", word);
    database_stop(&db, 300);
    is_long(lines_with("1 items could be written: they are lost"), 1, "%s: the end does not wait for ever", word);
    atomic_store(&fault, 0);
    db = start();
    is_long(sum_of(db, 1), 111, "%s: and the file is whole", word);
    database_stop(&db, SOON_MS);
    clean_up();
}

static void test_file_limit(void)
{
    struct rlimit before, small;
    struct database *db = start();

    signal(SIGXFSZ, SIG_IGN);
    add(db, 1, 1);
    database_flush(db, SOON_MS);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 256 * 1024;
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 200; i++)
        database_add(db, &(struct item){i, 1, 4000});
    ok(becomes(db, DATABASE_BROKEN), "the system refuses to let a file grow");
    ok(strstr(status_of(db).why, "I/O error"), "why: %s", status_of(db).why);
    setrlimit(RLIMIT_FSIZE, &before);
    ok(database_flush(db, SOON_MS), "then allows it");
    is_long(sum_of(db, 1), 2, "each is written once");
    is_long(sum_of(db, 199), 1, "all of them");
    database_stop(&db, SOON_MS);
    clean_up();
}

static void test_read_only(void)
{
    struct database *db;

    fill(10, 0);
    chmod(path, 0400);
    if (access(path, W_OK) == 0) {
        diag("not tested with the rights of root: read-only");
        clean_up();
        return;
    }
    db = start();
    ok(becomes(db, DATABASE_READ_ONLY), "a file that must not be written");
    is_long(sum_of(db, 3), 1, "is read");
    add(db, 3, 1);
    database_look(db);
    is_long(status_of(db).state, DATABASE_READ_ONLY, "still");
    is_long(lines_with("read-only"), 1, "said once");
    chmod(path, 0600);
    ok(database_flush(db, SOON_MS) && sum_of(db, 3) == 2, "until it may be written");
    database_stop(&db, SOON_MS);
    chmod(path, 0);
    db = start();
    ok(becomes(db, DATABASE_BROKEN), "nor read");
    ok(strstr(status_of(db).why, "Permission denied"), "why: %s", status_of(db).why);
    database_stop(&db, 0);
    clean_up();
}

static void copy_file(const char *from, const char *to)
{
    char block[4096];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n;

    while (in >= 0 && (n = read(in, block, sizeof block)) > 0)
        if (write(out, block, (size_t)n) != n)
            _exit(1);
    _exit(in >= 0 && out >= 0 ? 0 : 1);
}

/* crash - what a process leaves that was killed: the file, its log and the index of that. */
static void crash(void)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    struct database *db = start();

    add(db, 1, 5);
    database_flush(db, SOON_MS);
    for (int i = 0; i < 3; i++) { /* by another process: to open and close the file here would drop SQLite's locks */
        pid_t child = fork();

        if (child == 0)
            copy_file(arena_printf(arena, "%s%s", path, parts[i]).p, arena_printf(arena, "%s/copy%d", directory, i).p);
        waitpid(child, NULL, 0);
    }
    database_stop(&db, SOON_MS);
    for (int i = 0; i < 3; i++)
        rename(arena_printf(arena, "%s/copy%d", directory, i).p, arena_printf(arena, "%s%s", path, parts[i]).p);
}

static void test_read_only_log(void)
{
    struct database *db;

    crash();
    for (unsigned i = 0; i < 3; i++)
        chmod(arena_printf(arena, "%s%s", path, i == 0 ? "" : i == 1 ? "-wal" : "-shm").p, 0400);
    if (access(path, W_OK) == 0) {
        diag("not tested with the rights of root: a log that must not be written");
        clean_up();
        return;
    }
    db = start();
    ok(becomes(db, DATABASE_READ_ONLY), "a file and its log that must not be written");
    is_long(sum_of(db, 1), 5, "are read");
    add(db, 1, 1);
    for (unsigned i = 0; i < 3; i++)
        chmod(arena_printf(arena, "%s%s", path, i == 0 ? "" : i == 1 ? "-wal" : "-shm").p, 0600);
    ok(becomes(db, DATABASE_FINE), "the readers do not keep it so");
    ok(database_flush(db, SOON_MS) && sum_of(db, 1) == 6, "what waited is written");
    database_stop(&db, SOON_MS);
    clean_up();
}

/* check_no_log - a file system that takes nothing: SQLite cannot make the log without which it reads no file of ours. */
static void check_no_log(int error, enum database_state state)
{
    const char *word = database_state_words[state];
    struct str why = STR_NONE;
    struct database *db;
    sqlite3 *command;
    int status = -1;

    fill(3, 0);
    atomic_store(&no_logs, error);
    db = start();
    ok(becomes(db, state), "%s from the start", word);
    ok(strstr(status_of(db).why, strerrordesc_np(error)) && !strstr(status_of(db).why, "version"), "why: %s",
       status_of(db).why);
    is_long(sum_of(db, 1), 1, "%s: what is remembered is known", word);
    add(db, 1, 10);
    database_look(db);
    is_long((long long)status_of(db).waiting, 1, "%s: what is learned waits", word);
    is_long(sum_of(db, 1), 1, "%s: it is still known", word);
    command = database_open_file(path, &schema, false, false, arena, &why, &status);
    ok(command, "%s: a command reads it: " STR_FMT, word, STR_ARG(why));
    sqlite3_close(command);
    command = database_open_file(path, &schema, false, true, arena, &why, &status);
    ok(!command && status == EX_IOERR && strstr(why.p, strerrordesc_np(error)), "%s: and says why it cannot write: "
       STR_FMT, word, STR_ARG(why));
    is_long(status_of(db).set_aside, 0, "%s: nothing is set aside", word);
    atomic_store(&no_logs, 0);
    ok(database_flush(db, SOON_MS) && sum_of(db, 1) == 11, "%s: over, it is written", word);
    ok(becomes(db, DATABASE_FINE), "%s: and fine", word);
    database_stop(&db, SOON_MS);
    clean_up();
}

static void test_locked(void)
{
    struct database *db = start();
    sqlite3 *other = other_process();
    int64_t began;

    add(db, 1, 1);
    database_flush(db, SOON_MS);
    execute(other, "BEGIN IMMEDIATE; UPDATE sums SET sum = sum + 1000");
    began = now_ms();
    ok(add(db, 1, 10) && now_ms() - began < SOON_MS / 2, "whoever adds does not wait for the lock");
    ok(becomes(db, DATABASE_LOCKED), "another process writes for long");
    is_long(sum_of(db, 1), 1, "meanwhile it is read");
    is_long((long long)status_of(db).waiting, 1, "the item waits");
    is_long(status_of(db).set_aside, 0, "and nothing is set aside");
    ok(!database_flush(db, 50), "who asks for it to be written is told that it is not");
    execute(other, "COMMIT");
    ok(database_flush(db, SOON_MS), "then it is written");
    is_long(sum_of(db, 1), 1011, "on top of the other's change");
    is_long(lines_with("locked by another process"), 1, "said once");
    sqlite3_close(other);
    database_stop(&db, SOON_MS);
    clean_up();
}

/* ---- damage ---- */

static void check_set_aside(const char *what)
{
    struct database *db = start();

    is_long(status_of(db).state, DATABASE_FINE, "%s: does not matter", what);
    is_long(status_of(db).set_aside, 1, "%s: set aside", what);
    is_long(files_like("test.sqlite.damaged-????????T??????Z"), 1, "%s: with a dated name", what);
    is_long(lines_with("set aside as"), 1, "%s: said once", what);
    is_long(sum_of(db, 1), -1, "%s: an empty one instead", what);
    add(db, 1, 4);
    ok(database_flush(db, SOON_MS) && sum_of(db, 1) == 4, "%s: which works", what);
    database_stop(&db, SOON_MS);
    clean_up();
}

static void write_text(const char *text)
{
    FILE *f = fopen(path, "w");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        bail("%s cannot be written", path);
}

static void test_damage(void)
{
    fill(400, 1000);
    overwrite(8192, 40960);
    check_set_aside("overwritten pages");
    fill(400, 1000);
    if (truncate(path, size_of(path) / 2) != 0)
        bail("truncate");
    check_set_aside("half of a file");
    write_text("Dear database,\nthis is a letter as long as a header, or longer, but it is none. Yours sincerely.\n");
    check_set_aside("a letter");
}

/* read_all - every page, with a reader of the daemon. */
static int read_all(struct database *db)
{
    struct database_reader *r = database_reader_borrow(db);
    sqlite3_stmt *s;
    int rc = SQLITE_ERROR;

    if (!r)
        return SQLITE_OK;
    s = database_reader_statement(r, "SELECT sum(length(padding) + sum) FROM sums");
    if (s)
        rc = sqlite3_step(s);
    database_reader_return(r, rc);
    return rc;
}

static void test_damage_under_way(void)
{
    struct database *db;
    int64_t until = now_ms() + SOON_MS;
    int rc;

    fill(4000, 3500); /* more than any connection keeps in memory */
    db = start();
    overwrite(3 * 4096, size_of(path));
    rc = read_all(db);
    ok(rc == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_CORRUPT, "a reader meets damage");
    while (status_of(db).set_aside == 0 && now_ms() < until)
        nap();
    is_long(status_of(db).set_aside, 1, "the file is checked and set aside");
    add(db, 1, 4);
    ok(database_flush(db, SOON_MS) && sum_of(db, 1) == 4, "an empty one works");
    database_stop(&db, SOON_MS);
    clean_up();

    fill(4000, 3500);
    db = start();
    overwrite(3 * 4096, size_of(path));
    for (int i = 0; i < 4000; i += 7)
        add(db, i, 1);
    ok(database_flush(db, SOON_MS), "when the writer meets it, what waits is written nevertheless");
    is_long(status_of(db).set_aside, 1, "into a new file");
    is_long(sum_of(db, 7), 1, "which has nothing else");
    is_long(files_like("test.sqlite.damaged-*Z"), 1, "the old one is beside it");
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
    is_long(lines_with("shrunk"), 1, "also said");
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
    arena = arena_new(0);
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) /* root sees no permissions */
        diag("root stays root");
    if (!mkdtemp(directory))
        bail("no directory");
    path = arena_printf(arena, "%s/test.sqlite", directory).p;
    log_capture(capture, NULL);
    test_kill(); /* first: it forks, and SQLite should not have been used before */
    install_faults();
    test_usual();
    test_others();
    test_no_directory();
    check_fault(SQLITE_FULL, DATABASE_FULL);
    check_fault(SQLITE_IOERR_WRITE, DATABASE_BROKEN);
    test_file_limit();
    test_read_only();
    test_read_only_log();
    check_no_log(EROFS, DATABASE_READ_ONLY);
    check_no_log(ENOSPC, DATABASE_FULL);
    test_locked();
    test_damage();
    test_damage_under_way();
    test_removed();
    test_replaced();
    check_left_alone("PRAGMA user_version = 99", DATABASE_NEWER, "version 99");
    check_left_alone("PRAGMA application_id = 1", DATABASE_BROKEN, "another program");
    test_version_under_us();
    test_long_reader();
    test_threads();
    rmdir(directory);
    arena_free(&arena);
    return tap_end();
}
