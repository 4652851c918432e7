/* database_writer.c - the thread that writes: opens the file, sees that it is the right one, commits in batches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "database_inside.h"

#define BUSY_MS 100            /* how long SQLite itself waits for another writer */
#define GATHER_MS 20           /* an item waits so long for others */
#define TRANSACTION_MS 20      /* then the rest of the batch goes into the next transaction */
#define HASTE_ITEMS 2048       /* so many do not wait at all */
#define LOOK_MS 1000           /* between looks at a file that nobody told us about */
#define PAUSE_FIRST_MS 100     /* between attempts, growing */
#define PAUSE_LOCKED_MS 20
#define PAUSE_MOST_MS 5000
#define PAUSE_TIDY_MS 2        /* between two pieces of housekeeping: others want the disk too */
#define TIDY_EVERY_MS 3600000
#define WAL_PAGES 4096         /* then the log is written into the file: 16 MiB */
#define WAL_LONG_BYTES (64u * 1024 * 1024)
#define WAL_AGAIN_MS 200       /* between attempts while a reader holds it */
#define OTHER_VERSION SQLITE_NOTICE /* a code that SQLite never returns */
#define SET_ASIDE_MOST 8       /* files of one process: where all is damaged, the disk must not be filled */

sqlite3 *database_writer_db(struct database_writer *w)
{
    return w->db;
}

sqlite3_stmt *database_writer_statement(struct database_writer *w, const char *sql)
{
    return statements_get(&w->statements, w->db, sql);
}

uint64_t database_writer_opened(const struct database_writer *w)
{
    return w->opened;
}

/* ---- opening ---- */

static enum database_state state_of_errno(int error)
{
    return error == EROFS                       ? DATABASE_READ_ONLY
           : error == ENOSPC || error == EDQUOT ? DATABASE_FULL
                                                : DATABASE_BROKEN;
}

/* state_of - what cannot be made or made longer says little: the system's reason says more. */
static enum database_state state_of(const struct database *db, int rc)
{
    enum database_state state = state_of_errno(file_errno(db->writer.db, db->path, rc));

    if (state != DATABASE_BROKEN)
        return state;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DATABASE_LOCKED;
    case SQLITE_FULL:
        return DATABASE_FULL;
    case SQLITE_READONLY:
        return DATABASE_READ_ONLY;
    default:
        return DATABASE_BROKEN;
    }
}

static void writer_close(struct database *db)
{
    statements_free(&db->writer.statements);
    file_close(&db->writer.db);
}

/* in_trouble - the state, its words, and when it is tried again; always false. */
static bool in_trouble(struct database *db, enum database_state state, struct str why)
{
    if (state == DATABASE_LOCKED)
        db->pause_ms = PAUSE_LOCKED_MS;
    else
        db->pause_ms = db->pause_ms < PAUSE_FIRST_MS ? PAUSE_FIRST_MS : db->pause_ms * 2;
    if (db->pause_ms > PAUSE_MOST_MS)
        db->pause_ms = PAUSE_MOST_MS;
    db->next_try = database_real_ms() + db->pause_ms;
    database_set_state(db, state, why);
    return false;
}

static bool trouble_of_errno(struct database *db, int error)
{
    return in_trouble(db, state_of_errno(error), str_of(strerrordesc_np(error)));
}

/* give_up_file - nobody shall use it any more. */
static void give_up_file(struct database *db)
{
    readers_forbid(db);
    writer_close(db);
    db->id = db->checked = (struct file_id){.there = false};
}

/* set_aside - true: the name is free for another file. */
static bool set_aside(struct database *db, struct str why, struct arena *a)
{
    struct str name;
    int error;

    give_up_file(db);
    if (db->status.set_aside >= SET_ASIDE_MOST)
        return in_trouble(db, DATABASE_BROKEN, arena_printf(a, "damaged again and again: " STR_FMT, STR_ARG(why)));
    error = file_set_aside(db->path, a, &name);
    if (error)
        return in_trouble(db, state_of_errno(error),
                          arena_printf(a, "damaged (" STR_FMT "), and cannot be set aside: %s", STR_ARG(why),
                                       strerrordesc_np(error)));
    pthread_mutex_lock(&db->lock);
    db->status.set_aside++;
    pthread_mutex_unlock(&db->lock);
    db->at_once = true;
    log_error("%s: damaged (" STR_FMT "): set aside as " STR_FMT ", an empty one is begun", db->path, STR_ARG(why),
              STR_ARG(name));
    return true;
}

static int stop_asked(void *pointer)
{
    struct database *db = pointer;
    bool stop;

    pthread_mutex_lock(&db->lock);
    stop = db->stop && database_real_ms() >= db->stop_at;
    pthread_mutex_unlock(&db->lock);
    return stop;
}

static int check_through(struct database *db, struct arena *a, struct str *why)
{
    int rc;

    sqlite3_progress_handler(db->writer.db, 10000, stop_asked, db);
    rc = file_check(db->writer.db, a, why);
    sqlite3_progress_handler(db->writer.db, 0, NULL, NULL);
    return rc;
}

/* open_it - an SQLite result code with words; *state when the file is sound and still not to be used. */
static int open_it(struct database *db, struct arena *a, struct str *why, enum database_state *state)
{
    enum migrated migrated;
    int rc, moved = 0;

    *state = DATABASE_FINE;
    rc = file_open(db->path, SQLITE_OPEN_READWRITE, BUSY_MS, &db->writer.db);
    if (rc == SQLITE_OK) {
        db->id = file_id_of(db->path);
        migrated = migrate_code(db->writer.db, db->kind->schema, a, why, &rc);
        if (migrated == MIGRATE_NEWER || migrated == MIGRATE_FOREIGN)
            *state = migrated == MIGRATE_NEWER ? DATABASE_NEWER : DATABASE_BROKEN;
        if (*state != DATABASE_FINE)
            return SQLITE_OK;
    }
    if (rc == SQLITE_OK && sqlite3_db_readonly(db->writer.db, "main") != 1)
        rc = file_prepare(db->writer.db);
    if (rc == SQLITE_OK && !file_id_same(db->id, db->checked))
        rc = check_through(db, a, why);
    if (rc == SQLITE_OK)
        db->data_version = file_number(db->writer.db, "PRAGMA data_version", &rc);
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(db->writer.db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (rc == SQLITE_OK && moved)
        rc = SQLITE_BUSY; /* replaced in this moment: soon again */
    if (rc != SQLITE_OK && why->n == 0)
        *why = file_words(db->writer.db, rc, a);
    return rc;
}

/* use_it - what was opened is sound: let readers in; true when it can also be written. */
static bool use_it(struct database *db)
{
    db->checked = db->id;
    db->wal_id = file_id_beside(db->path, "-wal");
    db->shm_id = file_id_beside(db->path, "-shm");
    db->writer.opened++;
    readers_allow(db, db->id, false);
    if (db->kind->changed)
        db->kind->changed(db->ctx);
    if (sqlite3_db_readonly(db->writer.db, "main") == 1)
        return in_trouble(db, DATABASE_READ_ONLY, STR("the file cannot be written"));
    return true;
}

/* read_frozen - what cannot be written now, since even the log cannot be made, may well be read: who is in the penalty
 * box is known on a disk that is full or read-only. */
static void read_frozen(struct database *db, struct arena *a)
{
    struct file_id id = file_id_of(db->path);
    bool known = id.there && file_id_same(id, db->checked), sound = false;
    struct str why = STR_NONE;
    sqlite3 *sql = NULL;

    if (id.there && !file_has_log(db->path) && file_open_frozen(db->path, &sql) == SQLITE_OK)
        sound = migrate_is_current(sql, db->kind->schema) && (known || file_check(sql, a, &why) == SQLITE_OK);
    file_close(&sql);
    if (!sound || !file_id_same(id, file_id_of(db->path)))
        return;
    db->id = db->checked = id;
    db->wal_id = file_id_beside(db->path, "-wal");
    db->shm_id = file_id_beside(db->path, "-shm");
    readers_allow(db, id, true);
    if (!known && db->kind->changed)
        db->kind->changed(db->ctx);
}

/* open_failed - the state that follows from it, and who may read. Always false. */
static bool open_failed(struct database *db, int rc, enum database_state state, struct str why, struct arena *a)
{
    if (rc != SQLITE_OK)
        state = state_of(db, rc);
    if (rc == SQLITE_OK || !file_id_same(db->id, db->checked))
        give_up_file(db);
    else
        writer_close(db); /* readers go on: it was sound */
    if (rc != SQLITE_OK && state != DATABASE_LOCKED && !file_is_damage(rc))
        read_frozen(db, a);
    return in_trouble(db, state, why);
}

/* writer_open - true: open, sound, of our version, and it can be written as far as can be known. */
static bool writer_open(struct database *db, struct arena *a)
{
    for (unsigned attempt = 0;; attempt++) {
        struct str why = STR_NONE;
        enum database_state state;
        struct stat st;
        int rc;

        rc = file_create(db->path);
        if (rc)
            return trouble_of_errno(db, rc);
        if (lstat(db->path, &st) == 0 && !S_ISREG(st.st_mode))
            return in_trouble(db, DATABASE_BROKEN, STR("not a regular file"));
        file_mend(db->path);
        rc = open_it(db, a, &why, &state);
        if (rc == SQLITE_OK && state == DATABASE_FINE)
            return use_it(db);
        if (file_is_damage(rc) && attempt == 0) {
            if (set_aside(db, why, a))
                continue;
            return false;
        }
        return open_failed(db, rc, state, why, a);
    }
}

/* ---- is it still the same file, with the same content? ---- */

/* look_for_changes - OTHER_VERSION in *rc: what somebody else wrote is not ours to use as it is. */
static void look_for_changes(struct database *db, int *rc)
{
    int64_t version = file_number(db->writer.db, "PRAGMA data_version", rc);

    if (*rc != SQLITE_OK || version == db->data_version)
        return;
    db->data_version = version;
    if (!migrate_is_current(db->writer.db, db->kind->schema)) {
        *rc = sqlite3_extended_errcode(db->writer.db);
        if (*rc == SQLITE_OK || *rc == SQLITE_ROW || *rc == SQLITE_DONE)
            *rc = OTHER_VERSION;
        return;
    }
    if (db->kind->changed)
        db->kind->changed(db->ctx);
}

/* look_for_file - whether the name still leads to the file that is open. Of one that is gone the log may have been left
 * behind, and SQLite would write it into its successor. */
static void look_for_file(struct database *db)
{
    struct file_id now = file_id_of(db->path);

    if (!db->id.there || file_id_same(now, db->id))
        return;
    log_warn("%s: %s under us: %s", db->path, now.there ? "replaced by another file" : "removed",
             now.there ? "that one is used from now on" : "a new one is begun");
    give_up_file(db);
    file_remove_beside(db->path, "-wal", db->wal_id);
    file_remove_beside(db->path, "-shm", db->shm_id);
    db->pause_ms = 0;
}

/* ---- batches ---- */

static void take_queue(struct database *db)
{
    struct block **end = &db->batch;

    while (*end)
        end = &(*end)->next;
    pthread_mutex_lock(&db->lock);
    *end = db->first;
    db->first = db->last = NULL;
    db->taken += db->queued;
    db->queued = 0;
    pthread_mutex_unlock(&db->lock);
}

/* is_items_fault - that this item can never be written, whatever becomes of the file. */
static bool is_items_fault(int rc)
{
    rc &= 0xff;
    return rc == SQLITE_CONSTRAINT || rc == SQLITE_MISMATCH || rc == SQLITE_TOOBIG || rc == SQLITE_RANGE;
}

/* write_block - every item of it; *lost counts those that cannot be written. */
static int write_block(struct database *db, struct block *b, size_t *lost)
{
    int rc;

    for (size_t i = 0; i < b->count; i++) {
        rc = db->kind->write(&db->writer, b->items + i * db->kind->item_size, db->ctx);
        if (is_items_fault(rc) && !sqlite3_get_autocommit(db->writer.db))
            ++*lost;
        else if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

/* settle - the blocks up to `end` are on disk: forget them, and tell. */
static void settle(struct database *db, struct block *end, size_t lost)
{
    struct block *first = db->batch;
    size_t count = 0;

    if (lost && !db->lost_said)
        log_error("%s: what cannot be written is lost: %s", db->file, sqlite3_errmsg(db->writer.db));
    db->lost_said |= lost > 0;
    db->batch = end;
    while (first != end) {
        struct block *b = first;

        if (db->kind->written)
            db->kind->written(b->items, b->count, db->ctx);
        count += b->count;
        first = b->next;
        free(b);
    }
    if (lost && db->kind->changed) /* what was cached counts them */
        db->kind->changed(db->ctx);
    pthread_mutex_lock(&db->lock);
    db->taken -= count;
    db->settled += count;
    db->status.written += count - lost;
    db->status.dropped += lost;
    db->dropping = false;
    pthread_cond_broadcast(&db->done);
    pthread_mutex_unlock(&db->lock);
}

static void each_item(const struct database *db, const struct block *b, void (*fn)(const void *, void *), void *ctx)
{
    for (; b; b = b->next)
        for (size_t i = 0; i < b->count; i++)
            fn(b->items + i * db->kind->item_size, ctx);
}

void database_each_waiting(struct database *db, void (*fn)(const void *item, void *ctx), void *ctx)
{
    each_item(db, db->batch, fn, ctx);
    pthread_mutex_lock(&db->lock);
    each_item(db, db->first, fn, ctx);
    pthread_mutex_unlock(&db->lock);
}

/* transact - one transaction with the first blocks of the batch. */
static int transact(struct database *db)
{
    sqlite3 *sql = db->writer.db;
    int64_t until = database_real_ms() + TRANSACTION_MS;
    struct block *end = db->batch;
    size_t lost = 0;
    int rc = sqlite3_exec(sql, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        look_for_changes(db, &rc); /* nobody else can write now, so that what is cached afterwards is right */
    while (rc == SQLITE_OK && end && (end == db->batch || database_real_ms() < until)) {
        rc = write_block(db, end, &lost);
        end = end->next;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(sql, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        settle(db, end, lost);
    return rc;
}

static void roll_back(struct database *db)
{
    statements_rest(&db->writer.statements);
    if (!sqlite3_get_autocommit(db->writer.db))
        sqlite3_exec(db->writer.db, "ROLLBACK", NULL, NULL, NULL);
}

/* writer_failed - after any SQLite error of the writer. */
static bool writer_failed(struct database *db, int rc, struct arena *a)
{
    enum database_state state = state_of(db, rc);
    struct str why = file_words(db->writer.db, rc, a);

    roll_back(db);
    if (rc == OTHER_VERSION) {
        give_up_file(db);
        db->at_once = true;
        return false;
    }
    if (file_is_damage(rc)) {
        set_aside(db, why, a);
        return false;
    }
    in_trouble(db, state, why);
    if (db->status.state != DATABASE_LOCKED && db->status.state != DATABASE_FULL)
        writer_close(db); /* and opened anew: perhaps something about this connection is wrong */
    return false;
}

/* ---- the write-ahead log ---- */

static int note_wal(void *pointer, sqlite3 *sql, const char *name, int pages)
{
    (void)sql, (void)name;
    ((struct database *)pointer)->wal_pages = pages;
    return SQLITE_OK;
}

static void say_wal(struct database *db, uint64_t bytes)
{
    pthread_mutex_lock(&db->lock);
    db->status.wal_bytes = bytes;
    pthread_mutex_unlock(&db->lock);
    if (bytes > WAL_LONG_BYTES && !db->wal_long) {
        db->wal_long = true;
        log_warn("%s: another process has been reading for long, so that the write-ahead log grows: it has %llu MB",
                 db->file, (unsigned long long)bytes / 1000000);
    } else if (bytes < WAL_LONG_BYTES / 2 && db->wal_long) {
        db->wal_long = false;
        log_info("%s: the write-ahead log has shrunk again", db->file);
    }
}

/* tend_wal - write the log into the file when it is long; the next transaction then begins it anew, unless somebody
 * still reads in it. */
static int tend_wal(struct database *db)
{
    int64_t now = database_real_ms();
    int in_log = 0, in_file = 0, rc;

    if (db->wal_pages < WAL_PAGES || (db->wal_held && now < db->wal_tried + WAL_AGAIN_MS))
        return SQLITE_OK;
    db->wal_tried = now;
    rc = sqlite3_wal_checkpoint_v2(db->writer.db, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &in_file);
    db->wal_held = rc != SQLITE_OK || in_log != in_file;
    if (!db->wal_held)
        db->wal_pages = 0;
    if (!db->wal_held && file_wal_bytes(db->path) > WAL_LONG_BYTES / 2) {
        sqlite3_busy_timeout(db->writer.db, 0); /* nobody waits for this */
        rc = sqlite3_wal_checkpoint_v2(db->writer.db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        sqlite3_busy_timeout(db->writer.db, BUSY_MS);
    }
    say_wal(db, file_wal_bytes(db->path));
    return (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED ? SQLITE_OK : rc;
}

/* ---- housekeeping ---- */

static int tidy(struct database *db)
{
    int rc;

    if (!db->kind->tidy || (!db->tidying && clock_ms() < db->next_tidy))
        return SQLITE_OK;
    db->tidying = db->kind->tidy(&db->writer, db->ctx);
    rc = sqlite3_errcode(db->writer.db);
    if (!db->tidying)
        db->next_tidy = clock_ms() + TIDY_EVERY_MS;
    statements_rest(&db->writer.statements);
    return file_is_damage(rc) ? rc : SQLITE_OK;
}

/* ---- the thread ---- */

/* attend - the file as it is now, and everything that waits; false: something went wrong. */
static bool attend(struct database *db, struct arena *a)
{
    bool doubt = atomic_exchange(&db->doubt, false);
    int rc = SQLITE_OK;

    db->at_once = false;
    look_for_file(db);
    if (doubt && db->writer.db) {
        log_warn("%s: a reader met an error: it is checked again", db->file);
        give_up_file(db);
    }
    if (db->writer.db && sqlite3_db_readonly(db->writer.db, "main") == 1)
        writer_close(db);
    if (!db->writer.db) {
        bool open;

        readers_pause(db); /* what they have open of the log read-only, SQLite would not let us write */
        open = writer_open(db, a);
        readers_resume(db);
        if (!open)
            return false;
        sqlite3_wal_hook(db->writer.db, note_wal, db);
    }
    look_for_changes(db, &rc);
    take_queue(db);
    while (rc == SQLITE_OK && db->batch) {
        rc = transact(db);
        if (rc == SQLITE_OK)
            rc = tend_wal(db);
    }
    if (rc == SQLITE_OK)
        rc = tend_wal(db);
    if (rc != SQLITE_OK)
        return writer_failed(db, rc, a);
    db->pause_ms = 0;
    database_set_state(db, DATABASE_FINE, STR_NONE);
    return true;
}

/* due - when there is something to do. Under the lock. */
static int64_t due(const struct database *db, int64_t now)
{
    int64_t at = db->next_look;

    if (db->looks_asked > db->looks_done || db->at_once)
        return now;
    if (db->status.state != DATABASE_FINE)
        return db->stop && db->next_try > now + PAUSE_FIRST_MS ? now + PAUSE_FIRST_MS : db->next_try;
    if (db->stop || db->flush_to > db->settled || db->queued >= HASTE_ITEMS || atomic_load(&db->doubt))
        return now;
    if (db->first && db->first->first_ms + GATHER_MS < at)
        at = db->first->first_ms + GATHER_MS;
    if (db->tidying && now + PAUSE_TIDY_MS < at)
        at = now + PAUSE_TIDY_MS;
    return at;
}

/* wait_for_work - *look is the request to look that the coming round answers; false: the end. */
static bool wait_for_work(struct database *db, uint64_t *look)
{
    int64_t now, at, first = 0;
    struct timespec until;
    bool go_on;

    pthread_mutex_lock(&db->lock);
    for (;;) {
        now = database_real_ms();
        if (!first)
            first = now;
        go_on = !db->stop || (db->queued + db->taken > 0 && now < db->stop_at);
        at = due(db, first);
        if (!go_on || at <= now)
            break;
        until = database_real_time(at);
        pthread_cond_timedwait(&db->wake, &db->lock, &until);
    }
    *look = db->looks_asked;
    pthread_mutex_unlock(&db->lock);
    return go_on;
}

static void answer_look(struct database *db, uint64_t look)
{
    pthread_mutex_lock(&db->lock);
    db->looks_done = look;
    pthread_cond_broadcast(&db->done);
    pthread_mutex_unlock(&db->lock);
}

/* writer_end - leave one file, without a log, if it still is ours. */
static void writer_end(struct database *db)
{
    int no = 0;

    readers_forbid(db);
    if (db->writer.db && file_id_same(file_id_of(db->path), db->id)) {
        sqlite3_db_config(db->writer.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        sqlite3_file_control(db->writer.db, "main", SQLITE_FCNTL_PERSIST_WAL, &no);
    }
    writer_close(db);
}

void *database_writer_main(void *pointer)
{
    struct database *db = pointer;
    struct arena *a = arena_new(0);
    uint64_t look;

    while (wait_for_work(db, &look)) {
        if (attend(db, a)) {
            int rc = tidy(db);

            if (rc != SQLITE_OK)
                writer_failed(db, rc, a);
        }
        db->next_look = database_real_ms() + LOOK_MS;
        answer_look(db, look);
        arena_reset(a);
    }
    writer_end(db);
    arena_free(&a);
    return NULL;
}
