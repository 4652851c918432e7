/* journal_tidy.c - the journal stays as small as it shall be: the oldest rows go, in pieces that hold nobody up. */
#include "database_inside.h"
#include "journal_inside.h"

#define PIECE_MOST 1000   /* rows forgotten in one transaction */
#define VACUUM_PAGES 1000 /* given back to the system in one piece */
#define SPARE_PAGES 256   /* free ones that are kept for what comes: giving them back and taking them costs */
#define BUSY_MS 100       /* as database_writer.c has it */

struct sizes { /* bytes */
    int64_t file, free, log;
};

static int sizes_of(sqlite3 *db, struct sizes *s)
{
    const char *path = sqlite3_db_filename(db, "main");
    int64_t page, pages, free_pages = 0;
    int rc;

    page = file_number(db, "PRAGMA page_size", &rc);
    pages = rc == SQLITE_OK ? file_number(db, "PRAGMA page_count", &rc) : 0;
    if (rc == SQLITE_OK)
        free_pages = file_number(db, "PRAGMA freelist_count", &rc);
    *s = (struct sizes){pages * page, free_pages * page, path && *path ? (int64_t)file_wal_bytes(path) : 0};
    return rc;
}

/* shorten_log - write it into the file and begin it anew, unless somebody reads in it. */
static void shorten_log(sqlite3 *db)
{
    sqlite3_busy_timeout(db, 0); /* nobody waits for this */
    sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db, BUSY_MS);
}

/* rows_too_many - how many of the oldest go for the file to become small enough: a sixteenth at least, so that this is
 * not done again at once. */
static int64_t rows_too_many(sqlite3 *db, const struct journal_settings *settings, const struct sizes *s, int *rc)
{
    int64_t most = (int64_t)settings->max_size, log = s->log < most / 8 ? s->log : most / 8;
    int64_t used = s->file - s->free, goal = most - most / 8 - log, rows;

    *rc = SQLITE_OK;
    if (most == 0 || s->file + log <= most - most / 16 || used <= goal)
        return 0;
    rows = file_number(db, "SELECT coalesce(max(id) - min(id) + 1, 0) FROM message", rc);
    return (int64_t)((double)rows * (double)(used - goal) / (double)used) + 1;
}

/* those_to_go - rows that are too old, and the oldest where they are too many; *count of them. */
static int those_to_go(sqlite3 *db, int64_t before_ms, int64_t too_many, int most, int64_t *ids, int *count)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(db, "SELECT id, time FROM message ORDER BY time LIMIT ?1", -1, &s, NULL);

    *count = 0;
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int(s, 1, most);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && (sqlite3_column_int64(s, 1) < before_ms || *count < too_many))
        ids[(*count)++] = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int run_each(sqlite3 *db, const char *sql, const int64_t *values, int count)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    for (int i = 0; i < count && rc == SQLITE_OK; i++) {
        sqlite3_bind_int64(s, 1, values[i]);
        while ((rc = sqlite3_step(s)) == SQLITE_ROW)
            ;
        sqlite3_reset(s);
        rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    sqlite3_finalize(s);
    return rc;
}

static int forget(sqlite3 *db, const int64_t *ids, int count, int64_t before_ms)
{
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = run_each(db, "DELETE FROM finding WHERE message = ?1", ids, count);
    if (rc == SQLITE_OK)
        rc = run_each(db, "DELETE FROM recipient WHERE message = ?1", ids, count);
    if (rc == SQLITE_OK)
        rc = run_each(db, "DELETE FROM message WHERE id = ?1", ids, count);
    if (rc == SQLITE_OK)
        rc = run_each(db, "DELETE FROM gap WHERE to_time < ?1", &before_ms, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* is_loose - much of the file is free, or some of it where the file is too large. */
static bool is_loose(const struct sizes *s, const struct journal_settings *settings)
{
    int64_t most = (int64_t)settings->max_size, spare = s->file / 8;

    if (most && s->file + s->log > most - most / 16)
        return s->free > 0;
    return s->free > spare && s->free > SPARE_PAGES * 4096;
}

int journal_tidy(sqlite3 *db, const struct journal_settings *settings, int64_t now_ms, int most, bool *more)
{
    int64_t before = settings->keep_ms ? now_ms - settings->keep_ms : INT64_MIN, too_many = 0, ids[PIECE_MOST];
    struct sizes s;
    int count = 0, rc = sizes_of(db, &s);

    *more = false;
    if (rc == SQLITE_OK && settings->max_size && s.log > (int64_t)settings->max_size / 8) {
        shorten_log(db);
        rc = sizes_of(db, &s);
    }
    if (rc == SQLITE_OK)
        too_many = rows_too_many(db, settings, &s, &rc);
    if (rc == SQLITE_OK)
        rc = those_to_go(db, before, too_many, most < PIECE_MOST ? most : PIECE_MOST, ids, &count);
    if (rc == SQLITE_OK && count > 0) {
        rc = forget(db, ids, count, before);
        *more = rc == SQLITE_OK;
        return rc;
    }
    if (rc != SQLITE_OK || !is_loose(&s, settings))
        return rc;
    rc = sqlite3_exec(db, "PRAGMA incremental_vacuum(1000)", NULL, NULL, NULL);
    if (rc == SQLITE_OK && s.free <= VACUUM_PAGES * 4096)
        shorten_log(db); /* only then is the file itself shorter */
    *more = rc == SQLITE_OK && s.free > VACUUM_PAGES * 4096;
    return rc;
}
