/* database_test.c - a kind of database, what it logged, and a file system that fails when it is told to. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../milter/base/log.h"
#include "database_test.h"

struct arena *arena;
static char made[] = "/tmp/sme-database-XXXXXX";
const char *directory = made, *path;

/* ---- a kind of database: sums by key, with something to fill pages ---- */

atomic_int changes, written_items, tidied;

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
const struct schema test_schema = {"test", 0x534d4574, steps, NULL};
static const struct database_kind kind = {
    "test", &test_schema, sizeof(struct item), QUEUE_MOST, item_write, items_written, file_changed, tidy, NULL};

bool add(struct database *db, int64_t key, int64_t amount)
{
    return database_add(db, &(struct item){key, amount, 0});
}

/* sum_of - as a reader of the daemon sees it; -1: not there, -2: cannot be read. */
long long sum_of(struct database *db, int64_t key)
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

unsigned lines_with(const char *word)
{
    unsigned count = 0;

    pthread_mutex_lock(&logged_lock);
    for (unsigned i = 0; i < logged_count; i++)
        count += strstr(logged[i], word) != NULL;
    pthread_mutex_unlock(&logged_lock);
    return count;
}

void tell_lines(void)
{
    pthread_mutex_lock(&logged_lock);
    for (unsigned i = 0; i < logged_count; i++)
        diag("logged: %s", logged[i]);
    pthread_mutex_unlock(&logged_lock);
}

void forget_lines(void)
{
    pthread_mutex_lock(&logged_lock);
    logged_count = 0;
    pthread_mutex_unlock(&logged_lock);
}

/* ---- a file system that fails when it is told to ---- */

atomic_int fault;   /* what writing says */
atomic_int no_logs; /* an errno: no log can be made */
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

void install_faults(void)
{
    static sqlite3_vfs vfs;

    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "faulty";
    vfs.xOpen = faulty_open;
    sqlite3_vfs_register(&vfs, 1);
}

/* ---- helpers ---- */

struct database_status status_of(struct database *db)
{
    struct database_status status;

    database_status(db, &status);
    return status;
}

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

bool becomes(struct database *db, enum database_state state)
{
    int64_t until = now_ms() + SOON_MS;

    while (status_of(db).state != state && now_ms() < until)
        nap();
    return status_of(db).state == state;
}

struct database *start(void)
{
    struct database *db = database_start(&kind, str_of(directory), NULL, SOON_MS);

    if (!db)
        bail("no thread");
    return db;
}

sqlite3 *other_process(void)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        bail("%s: %s", path, sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, SOON_MS);
    return db;
}

void execute(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        diag("%s: %s", sql, sqlite3_errmsg(db));
}

unsigned files_like(const char *pattern)
{
    glob_t found;
    unsigned count = 0;

    if (glob(arena_printf(arena, "%s/%s", directory, pattern).p, 0, NULL, &found) == 0)
        count = (unsigned)found.gl_pathc;
    globfree(&found);
    return count;
}

void clean_up(void)
{
    glob_t found;

    if (glob(arena_printf(arena, "%s/*", directory).p, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
    globfree(&found);
    forget_lines();
}

/* overwrite - by another process: to open and close the file here would drop SQLite's locks. */
void overwrite(off_t from, off_t to)
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

off_t size_of(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 ? st.st_size : -1;
}

/* fill - a file with `rows` rows of so many bytes, closed. */
void fill(int rows, int padding)
{
    struct database *db = start();

    for (int i = 0; i < rows; i++) {
        if (i % 1000 == 999)
            database_flush(db, SOON_MS);
        database_add(db, &(struct item){i, 1, padding});
    }
    database_stop(&db, SOON_MS);
}

void test_begin(void)
{
    arena = arena_new(0);
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        diag("root stays root");
    if (!mkdtemp(made))
        bail("no directory");
    path = arena_printf(arena, "%s/test.sqlite", directory).p;
    log_capture(capture, NULL);
}

int test_end(void)
{
    rmdir(directory);
    arena_free(&arena);
    return tap_end();
}
