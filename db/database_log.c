/* database_log.c - the write-ahead log: written into the file while it is short, and bounded where a reader keeps that
 * from happening. */
#include "base/log.h"
#include "database_inside.h"

#define LOG_PAGES 4096         /* then the log is written into the file: 16 MiB */
#define LOG_LONG_BYTES (64u * 1024 * 1024)
#define LOG_AGAIN_MS 200       /* between attempts while a reader holds it */
#define LOG_BUSY_MS 100

/* SQLite begins the log anew only when nobody reads in it. A reader that stays makes it grow by every page that is
 * written, by some 80 MB/s in the worst load that was measured; here that ends. */
uint64_t database_log_most = UINT64_C(1024) * 1024 * 1024;

static int note_pages(void *pointer, sqlite3 *sql, const char *name, int pages)
{
    (void)sql, (void)name;
    ((struct database *)pointer)->log_pages = pages;
    return SQLITE_OK;
}

void writer_watch_log(struct database *db)
{
    int rc;

    sqlite3_wal_hook(db->writer.db, note_pages, db);
    db->page_bytes = (uint64_t)file_number(db->writer.db, "PRAGMA page_size", &rc);
}

static void say_long(struct database *db, uint64_t bytes)
{
    if (bytes > LOG_LONG_BYTES && !db->log_long) {
        db->log_long = true;
        log_warn("%s: another process has been reading for long, so that the write-ahead log grows: it has %llu MB, and"
                 " at %llu MB nothing more is written until it ends", db->file, (unsigned long long)bytes / 1000000,
                 (unsigned long long)database_log_most / 1000000);
    } else if (bytes < LOG_LONG_BYTES / 2 && db->log_long) {
        db->log_long = false;
        log_info("%s: the write-ahead log has shrunk again", db->file);
    }
}

int writer_tend_log(struct database *db)
{
    int64_t now = database_real_ms();
    int in_log = 0, in_file = 0, rc;

    if (db->log_pages < LOG_PAGES || (db->log_held && now < db->log_tried + LOG_AGAIN_MS))
        return SQLITE_OK;
    db->log_tried = now;
    rc = sqlite3_wal_checkpoint_v2(db->writer.db, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &in_file);
    db->log_held = rc != SQLITE_OK || in_log != in_file;
    if (!db->log_held)
        db->log_pages = 0;
    if (!db->log_held && file_wal_bytes(db->path) > LOG_LONG_BYTES / 2) {
        sqlite3_busy_timeout(db->writer.db, 0); /* nobody waits for this */
        rc = sqlite3_wal_checkpoint_v2(db->writer.db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        sqlite3_busy_timeout(db->writer.db, LOG_BUSY_MS);
    }
    say_long(db, file_wal_bytes(db->path));
    return (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED ? SQLITE_OK : rc;
}

bool writer_log_is_full(const struct database *db)
{
    return db->log_held && (uint64_t)db->log_pages * db->page_bytes > database_log_most;
}
