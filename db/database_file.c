/* database_file.c - one file and one connection to it: made, opened, checked, set aside; and what commands use. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "database_inside.h"

#define WAL_KEPT_BYTES "16777216"  /* what is left of the write-ahead log's file when it begins anew */
#define COMMAND_BUSY_MS 5000       /* the daemon writes for some milliseconds at a time */
#define COMMAND_CHECK_BYTES (32 * 1024 * 1024) /* a command does not read a larger file through: the daemon does */

#define OPEN_FLAGS (SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE)

/* ---- prepared statements ---- */

sqlite3_stmt *statements_get(struct statements *s, sqlite3 *db, const char *sql)
{
    struct statement *more;
    sqlite3_stmt *prepared;

    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].sql == sql)
            return s->items[i].prepared;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, NULL) != SQLITE_OK)
        return NULL;
    more = realloc(s->items, (s->count + 1) * sizeof *more);
    if (!more)
        log_panic("out of memory for a statement");
    s->items = more;
    s->items[s->count++] = (struct statement){sql, prepared};
    return prepared;
}

void statements_rest(struct statements *s)
{
    for (size_t i = 0; i < s->count; i++) {
        sqlite3_reset(s->items[i].prepared);
        sqlite3_clear_bindings(s->items[i].prepared);
    }
}

void statements_free(struct statements *s)
{
    for (size_t i = 0; i < s->count; i++)
        sqlite3_finalize(s->items[i].prepared);
    free(s->items);
    *s = (struct statements){NULL, 0};
}

/* ---- names and identities; the file itself is only ever opened by SQLite: closing another descriptor of it would drop
 * the locks of every connection in this process ---- */

static struct file_id id_of(const char *path, off_t *size)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return (struct file_id){.there = false};
    *size = st.st_size;
    return (struct file_id){.there = true, .dev = st.st_dev, .ino = st.st_ino};
}

struct file_id file_id_of(const char *path)
{
    off_t size;

    return id_of(path, &size);
}

bool file_id_same(struct file_id a, struct file_id b)
{
    return a.there == b.there && a.dev == b.dev && a.ino == b.ino;
}

static struct file_id id_beside(const char *path, const char *suffix, off_t *size)
{
    struct arena *a = arena_new(256);
    struct file_id id = id_of(arena_printf(a, "%s%s", path, suffix).p, size);

    arena_free(&a);
    return id;
}

struct file_id file_id_beside(const char *path, const char *suffix)
{
    off_t size;

    return id_beside(path, suffix, &size);
}

uint64_t file_wal_bytes(const char *path)
{
    off_t size = 0;

    id_beside(path, "-wal", &size);
    return (uint64_t)size;
}

void file_remove_beside(const char *path, const char *suffix, struct file_id id)
{
    struct arena *a = arena_new(256);
    const char *name = arena_printf(a, "%s%s", path, suffix).p;
    off_t size;

    if (id.there && file_id_same(id_of(name, &size), id) && unlink(name) != 0)
        log_warn("%s, which belongs to a file that is gone, cannot be removed: %s", name, strerrorname_np(errno));
    arena_free(&a);
}

int file_create(const char *path)
{
    struct arena *a = arena_new(256);
    const char *slash = strrchr(path, '/');
    const char *directory = slash ? str_c(a, (struct str){path, (size_t)(slash - path) + 1}) : ".";
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640), error = 0;

    if (fd < 0) {
        error = errno == EEXIST ? 0 : errno;
    } else {
        if (geteuid() == 0 && (stat(directory, &st) != 0 || fchown(fd, st.st_uid, st.st_gid) != 0))
            error = errno;
        if (error)
            unlink(path);
        close(fd);
    }
    arena_free(&a);
    return error;
}

/* mend_beside - SQLite makes its log with the rights that the file has at that moment. */
static void mend_beside(struct arena *a, const char *path, const char *suffix, mode_t rights)
{
    const char *name = arena_printf(a, "%s%s", path, suffix).p;
    struct stat st;

    if (lstat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & S_IWUSR)
        && chmod(name, rights) != 0)
        log_warn("%s cannot be made writable: %s", name, strerrorname_np(errno));
}

void file_mend(const char *path)
{
    struct arena *a = arena_new(256);
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & S_IWUSR)) {
        mend_beside(a, path, "-wal", st.st_mode & 0666);
        mend_beside(a, path, "-shm", st.st_mode & 0666);
    }
    arena_free(&a);
}

static bool move_beside(struct arena *a, const char *path, const char *to, const char *suffix)
{
    return rename(arena_printf(a, "%s%s", path, suffix).p, arena_printf(a, "%s%s", to, suffix).p) == 0
           || errno == ENOENT;
}

int file_set_aside(const char *path, struct arena *a, struct str *name)
{
    struct str date = clock_rfc3339(a, clock_wall_ms());
    struct buf to = buf_in(a);
    size_t base;

    buf_addf(&to, "%s.damaged-", path);
    for (size_t i = 0; i < date.n; i++)
        if (date.p[i] != '-' && date.p[i] != ':')
            buf_addc(&to, date.p[i]);
    base = to.len;
    for (unsigned n = 2; file_id_of(to.data).there && n < 1000; n++) { /* twice in one second */
        to.len = base;
        buf_addf(&to, "-%u", n);
    }
    *name = buf_str(&to);
    /* The log first: a database without its log is merely older, a log beside another database destroys it. */
    if (!move_beside(a, path, to.data, "-wal") || !move_beside(a, path, to.data, "-shm")
        || !move_beside(a, path, to.data, ""))
        return errno;
    return 0;
}

/* ---- connections ---- */

bool file_is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

static bool is_systems(int rc)
{
    return (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_FULL;
}

/* SQLite asks again in other ways before it gives up, so that what it has in the end may be the last attempt's ENOENT
 * for a log that could not be made. */
int file_errno(sqlite3 *db, const char *path, int rc)
{
    int error = db && is_systems(rc) ? sqlite3_system_errno(db) : 0;
    struct statvfs fs;

    if ((rc & 0xff) == SQLITE_FULL)
        return error == EDQUOT ? EDQUOT : ENOSPC;
    if ((!is_systems(rc) && (rc & 0xff) != SQLITE_READONLY) || (error && error != ENOENT) || !path
        || statvfs(path, &fs) != 0)
        return error;
    if (fs.f_flag & ST_RDONLY)
        return EROFS;
    if ((rc & 0xff) == SQLITE_CANTOPEN && (fs.f_bavail == 0 || (fs.f_files > 0 && fs.f_favail == 0)))
        return ENOSPC;
    return error;
}

struct str file_words(sqlite3 *db, int rc, struct arena *a)
{
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    int error = file_errno(db, path && *path ? path : NULL, rc);
    const char *words = error ? strerrordesc_np(error) : NULL;

    if (!words && rc > 0xff) /* the kind of trouble is only in the number: see <https://sqlite.org/rescode.html> */
        return arena_printf(a, "%s (SQLite's code %d)", sqlite3_errstr(rc), rc);
    return words ? arena_printf(a, "%s (%s)", sqlite3_errstr(rc), words) : str_of(sqlite3_errstr(rc));
}

int64_t file_number(sqlite3 *db, const char *sql, int *rc)
{
    sqlite3_stmt *s;
    int64_t number = 0;

    *rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (*rc != SQLITE_OK)
        return 0;
    *rc = sqlite3_step(s);
    if (*rc == SQLITE_ROW) {
        number = sqlite3_column_int64(s, 0);
        *rc = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return number;
}

int file_open(const char *path, int flags, int busy_ms, sqlite3 **db)
{
    int rc = sqlite3_open_v2(path, db, flags | OPEN_FLAGS, NULL), yes = 1;

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_busy_timeout(*db, busy_ms);
    /* By the time that a connection is closed its file may have been renamed: what SQLite then removes by name would be
     * the log of another file. */
    sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_file_control(*db, "main", SQLITE_FCNTL_PERSIST_WAL, &yes);
    sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL); /* whoever wrote the file */
    return SQLITE_OK;
}

bool file_has_log(const char *path)
{
    return file_wal_bytes(path) > 0 || file_id_beside(path, "-journal").there;
}

int file_open_frozen(const char *path, sqlite3 **db)
{
    struct arena *a = arena_new(512);
    struct buf uri = buf_in(a);
    int rc;

    buf_add(&uri, STR("file:"));
    for (const char *p = path; *p; p++)
        if (strchr("%?#", *p))
            buf_addf(&uri, "%%%02x", (unsigned)*p);
        else
            buf_addc(&uri, *p);
    buf_add(&uri, STR("?immutable=1"));
    rc = file_open(buf_str(&uri).p, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, 0, db);
    arena_free(&a);
    return rc;
}

void file_close(sqlite3 **db)
{
    sqlite3_close_v2(*db);
    *db = NULL;
}

int file_prepare(sqlite3 *db)
{
    return sqlite3_exec(db,
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
                        "PRAGMA journal_size_limit = " WAL_KEPT_BYTES "; PRAGMA cache_size = -8000;"
                        "PRAGMA temp_store = MEMORY",
                        NULL, NULL, NULL);
}

int file_check(sqlite3 *db, struct arena *a, struct str *why)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL);

    *why = STR_NONE;
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW && !str_is(str_of((const char *)sqlite3_column_text(s, 0)), STR("ok"))) {
            *why = str_escaped(a, str_of((const char *)sqlite3_column_text(s, 0)));
            rc = SQLITE_CORRUPT;
        } else if (rc == SQLITE_ROW) {
            rc = SQLITE_OK;
        }
        sqlite3_finalize(s);
    }
    if (rc != SQLITE_OK && why->n == 0)
        *why = file_words(db, rc, a);
    return rc;
}

/* ---- for commands ---- */

struct opening { /* of a command's file */
    const char *path;
    const struct schema *schema;
    struct arena *arena;
    struct str *error;
    int *status;
};

static sqlite3 *fail(struct opening *o, sqlite3 *db, int status, struct str why)
{
    sqlite3_close_v2(db);
    *o->status = status;
    *o->error = arena_printf(o->arena, "%s: " STR_FMT, o->path, STR_ARG(why));
    return NULL;
}

static sqlite3 *fail_errno(struct opening *o, int error, int usual)
{
    int status = error == EACCES || error == EPERM ? EX_NOPERM : usual;

    return fail(o, NULL, status, str_of(strerrordesc_np(error)));
}

static int status_of(sqlite3 *db, const char *path, int rc)
{
    int error = file_errno(db, path, rc);

    if (error == EROFS || error == ENOSPC || error == EDQUOT)
        return EX_IOERR;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return EX_TEMPFAIL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return EX_DATAERR;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN: /* the file is there: SQLite may not make its log beside it */
        return EX_NOPERM;
    default:
        return EX_IOERR;
    }
}

static sqlite3 *fail_sqlite(struct opening *o, sqlite3 *db, int rc)
{
    return fail(o, db, status_of(db, o->path, rc), file_words(db, rc, o->arena));
}

/* fail_to_write - it can be read: by whom is not the question where nobody can write. */
static sqlite3 *fail_to_write(struct opening *o, sqlite3 *db)
{
    if (file_errno(db, o->path, SQLITE_READONLY) == EROFS)
        return fail(o, db, EX_IOERR, STR("it can be read, but not written: the file system is read-only"));
    return fail(o, db, EX_NOPERM, STR("it can be read, but not written"));
}

/* bring_up - of the right kind and version, and not damaged. */
static sqlite3 *bring_up(struct opening *o, sqlite3 *db, off_t size, bool write)
{
    struct str why = STR_NONE;
    int rc = SQLITE_OK;

    switch (migrate_code(db, o->schema, o->arena, &why, &rc)) {
    case MIGRATED:
        break;
    case MIGRATE_NEWER:
        return fail(o, db, EX_CONFIG, why);
    case MIGRATE_FOREIGN:
        return fail(o, db, EX_DATAERR, why);
    case MIGRATE_FAILED:
        if (write && sqlite3_db_readonly(db, "main") == 1 && file_errno(db, o->path, rc) == EROFS)
            return fail(o, db, EX_IOERR, STR("it cannot be written: the file system is read-only"));
        return why.n ? fail(o, db, status_of(db, o->path, rc), why) : fail_sqlite(o, db, rc);
    }
    if (size <= COMMAND_CHECK_BYTES && (rc = file_check(db, o->arena, &why)) != SQLITE_OK)
        return fail(o, db, status_of(db, o->path, rc), why);
    if (write && sqlite3_db_readonly(db, "main") == 1)
        return fail_to_write(o, db);
    if (write)
        rc = sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    return rc == SQLITE_OK ? db : fail_sqlite(o, db, rc);
}

/* open_frozen - to read it where SQLite cannot make what it needs beside it; NULL: that does not help. */
static sqlite3 *open_frozen(struct opening *o)
{
    sqlite3 *db = NULL;

    if (!file_has_log(o->path) && file_open_frozen(o->path, &db) == SQLITE_OK && migrate_is_current(db, o->schema))
        return db;
    sqlite3_close_v2(db);
    return NULL;
}

static bool needs_frozen(int rc)
{
    return (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_READONLY;
}

sqlite3 *database_open_file(const char *path, const struct schema *schema, bool create, bool write, struct arena *a,
                            struct str *error, int *status)
{
    struct opening o = {path, schema, a, error, status};
    sqlite3 *db = NULL, *frozen;
    struct stat st;
    int rc;

    *status = EX_OK;
    if (create && (rc = file_create(path)) != 0)
        return fail_errno(&o, rc, EX_CANTCREAT);
    if (lstat(path, &st) != 0)
        return fail_errno(&o, errno, EX_NOINPUT);
    if (!S_ISREG(st.st_mode))
        return fail(&o, NULL, EX_NOINPUT, STR("not a regular file"));
    for (;;) { /* a second time when a file of an older version is only to be read: it has to be written for that */
        rc = sqlite3_open_v2(path, &db, OPEN_FLAGS | (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY), NULL);
        if (rc != SQLITE_OK)
            return fail_sqlite(&o, db, rc);
        sqlite3_busy_timeout(db, COMMAND_BUSY_MS);
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        if (write || migrate_is_current(db, schema))
            return bring_up(&o, db, st.st_size, write);
        frozen = needs_frozen(sqlite3_extended_errcode(db)) ? open_frozen(&o) : NULL;
        sqlite3_close_v2(db);
        if (frozen)
            return bring_up(&o, frozen, st.st_size, false);
        write = true;
    }
}
