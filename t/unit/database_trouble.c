/* database_trouble.c - disks that are full, broken or read-only, locks, damage: mail flows and nothing is invented. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "database_test.h"

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
    command = database_open_file(path, &test_schema, false, false, arena, &why, &status);
    ok(command, "%s: a command reads it: " STR_FMT, word, STR_ARG(why));
    sqlite3_close(command);
    command = database_open_file(path, &test_schema, false, true, arena, &why, &status);
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

int main(void)
{
    test_begin();
    install_faults();
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
    return test_end();
}
