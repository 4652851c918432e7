/* database_writer.c - the thread that writes: sees that the file is the right one, commits in batches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "database_inside.h"

#define GATHER_MS 20           /* an item waits so long for others, */
#define GATHER_LONG_MS 1000    /* and so long while a reader makes the log grow: items of one page then cost one */
#define TRANSACTION_MS 20      /* then the rest of the batch goes into the next transaction */
#define TRANSACTION_LONG_MS 500
#define HASTE_ITEMS 2048       /* so many do not wait at all, */
#define HASTE_LONG_ITEMS 20000 /* nor so many beside such a reader */
#define LOOK_MS 1000           /* between looks at a file that nobody told us about */
#define LOOK_STOP_MS 100       /* between attempts when it is to end */
#define PAUSE_TIDY_MS 2        /* between two pieces of housekeeping: others want the disk too */
#define TIDY_EVERY_MS 3600000
#define OTHER_VERSION SQLITE_NOTICE /* a code that SQLite never returns */

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
    writer_give_up(db);
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
        database_forget(db, b);
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
    int64_t until = database_real_ms() + (db->log_long ? TRANSACTION_LONG_MS : TRANSACTION_MS);
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
    enum database_state state = writer_state_of(db, rc);
    struct str why = file_words(db->writer.db, rc, a);

    roll_back(db);
    if (rc == OTHER_VERSION) {
        writer_give_up(db);
        db->at_once = true;
        return false;
    }
    if (file_is_damage(rc)) {
        writer_set_aside(db, why, a);
        return false;
    }
    writer_in_trouble(db, state, why);
    if (db->status.state != DATABASE_LOCKED && db->status.state != DATABASE_FULL)
        writer_close(db); /* and opened anew: perhaps something about this connection is wrong */
    return false;
}

/* ---- housekeeping ---- */

static int tidy(struct database *db)
{
    int rc;

    if (!db->kind->tidy || (!atomic_exchange(&db->tidy_soon, false) && !db->tidying && clock_ms() < db->next_tidy))
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
        writer_give_up(db);
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
        writer_watch_log(db);
    }
    look_for_changes(db, &rc);
    take_queue(db);
    while (rc == SQLITE_OK && db->batch) {
        if (writer_log_is_full(db) && (rc = writer_tend_log(db)) == SQLITE_OK && writer_log_is_full(db))
            return writer_in_trouble(db, DATABASE_LOCKED,
                                     STR("another process reads in the write-ahead log, which is as long as it may be"));
        if (rc == SQLITE_OK)
            rc = transact(db);
        if (rc == SQLITE_OK)
            rc = writer_tend_log(db);
    }
    if (rc == SQLITE_OK)
        rc = writer_tend_log(db);
    if (rc != SQLITE_OK)
        return writer_failed(db, rc, a);
    db->pause_ms = 0;
    database_set_state(db, DATABASE_FINE, STR_NONE);
    return true;
}

/* due - when there is something to do. Under the lock. */
static int64_t due(const struct database *db, int64_t now)
{
    size_t haste = db->log_long ? HASTE_LONG_ITEMS : HASTE_ITEMS;
    int64_t at = db->next_look, gather = db->log_long ? GATHER_LONG_MS : GATHER_MS;

    if (db->looks_asked > db->looks_done || db->at_once)
        return now;
    if (db->status.state != DATABASE_FINE)
        return db->stop && db->next_try > now + LOOK_STOP_MS ? now + LOOK_STOP_MS : db->next_try;
    if (db->stop || db->flush_to > db->settled || db->queued >= haste || atomic_load(&db->doubt))
        return now;
    if (db->first && db->first->first_ms + gather < at)
        at = db->first->first_ms + gather;
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
