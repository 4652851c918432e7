/* karma_tidy.c - housekeeping of karma.sqlite: who was not seen for long is forgotten, and the file stays bounded.
 *
 * A round counts all rows by the hour they were last seen in, then deletes; both in pieces of some rows, so that the
 * file is never locked for more than some milliseconds. There is no index by time: it would cost a third of the file.
 *
 * A clock that jumps must not cost anybody's memory. So there is no round in the first hour, none within a day of a
 * jump of the wall clock against the one that only grows, and one is skipped when the clients that were seen before
 * this process began are all very old: then perhaps it is the clock that is young.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "karma_inside.h"

#define HOUR_MS 3600000
#define DAY_MS (24 * (int64_t)HOUR_MS)
#define JUMP_MS 60000            /* an hour of correcting a clock slowly is not so much */
#define GAP_S (30 * 24 * 3600)
#define BUCKET_S 3600
#define BUCKETS (90 * 24 + 1)    /* the first: everything before */
#define PIECE_MOST 2000

struct karma_limits karma_limits = {.rows_most = 10 * 1000 * 1000, .keep_s = 90 * 24 * 3600, .piece_rows = 256};

static struct {
    enum { RESTING, COUNTING, DELETING } step;

    bool watching;                   /* the clocks, since: */
    int64_t started, offset, jumped; /* ms; jumped: clock_ms() of the last jump, 0: none */
    bool rested, skipped;            /* there was a round, at: */
    int64_t last_round;              /* clock_ms() */
    double rows_per_page;            /* as it found them */

    uint64_t opened; /* of the writer: in the middle of a round it may get another file */
    struct karma_net at;
    bool first_piece;
    int64_t now, forget_before; /* s */
    int64_t rows, forgotten, newest;
    int64_t buckets[BUCKETS];
    int64_t excess_before, excess_until, excess_most; /* s: all before, and so many of those up to */
    int64_t deleted;
} tidy;

void karma_tidy_begin(void)
{
    memset(&tidy, 0, sizeof tidy);
}

/* ---- may it be done now? ---- */

static void watch_clocks(void)
{
    int64_t now = clock_ms(), offset = clock_wall_ms() - now;

    if (!tidy.watching)
        tidy.started = now;
    else if (offset - tidy.offset > JUMP_MS || tidy.offset - offset > JUMP_MS)
        tidy.jumped = now;
    tidy.watching = true;
    tidy.offset = offset;
}

/* pages_used - of the file; how many rows those may be is known from the last round. */
static int64_t pages_used(struct database_writer *w)
{
    sqlite3_stmt *s = database_writer_statement(
        w, "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count");
    int64_t pages = 0;

    if (s && sqlite3_step(s) == SQLITE_ROW)
        pages = sqlite3_column_int64(s, 0);
    if (s)
        sqlite3_reset(s);
    return pages;
}

static bool is_due(struct database_writer *w)
{
    int64_t now = clock_ms();

    if (now - tidy.started < HOUR_MS || (tidy.jumped && now - tidy.jumped < DAY_MS))
        return false;
    if (!tidy.rested || now - tidy.last_round >= DAY_MS)
        return true;
    return (double)pages_used(w) * tidy.rows_per_page > (double)karma_limits.rows_most * 1.02;
}

/* ---- a piece ---- */

struct row {
    struct karma_net net;
    int64_t last_seen, penalty_until;
    bool captured;
};

/* next_rows - those behind the place that was reached; -1: an error, the round ends. */
static int next_rows(struct database_writer *w, struct row *rows, int most)
{
    sqlite3_stmt *s = database_writer_statement(
        w, "SELECT net, last_seen, penalty_until, last_reason GLOB 'captured*' FROM karma WHERE net > ?1"
           " ORDER BY net LIMIT ?2");
    int count = 0, rc;

    if (!s)
        return -1;
    sqlite3_bind_blob(s, 1, tidy.at.b, tidy.first_piece ? 0 : KARMA_NET_SIZE, SQLITE_STATIC);
    sqlite3_bind_int(s, 2, most);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && count < most) {
        struct row *row = &rows[count];
        const void *net = sqlite3_column_blob(s, 0);
        int n = sqlite3_column_bytes(s, 0);

        memset(row, 0, sizeof *row);
        memcpy(row->net.b, net, n < KARMA_NET_SIZE ? (size_t)n : KARMA_NET_SIZE);
        row->last_seen = sqlite3_column_int64(s, 1);
        row->penalty_until = sqlite3_column_int64(s, 2);
        row->captured = sqlite3_column_int(s, 3);
        count++;
    }
    sqlite3_reset(s);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        return -1;
    if (count) {
        tidy.at = rows[count - 1].net;
        tidy.first_piece = false;
    }
    return count;
}

static bool is_forgotten(const struct row *row)
{
    return row->last_seen < tidy.forget_before && row->penalty_until <= tidy.now;
}

static void round_begin(struct database_writer *w)
{
    tidy.step = COUNTING;
    tidy.opened = database_writer_opened(w);
    tidy.first_piece = true;
    tidy.now = clock_wall_ms() / 1000;
    tidy.forget_before = tidy.now - karma_limits.keep_s;
    tidy.rows = tidy.forgotten = tidy.newest = tidy.deleted = 0;
    memset(tidy.buckets, 0, sizeof tidy.buckets);
}

static bool round_end(void)
{
    tidy.step = RESTING;
    return false;
}

/* ---- counting ---- */

static int64_t bucket_begin(int i)
{
    return tidy.now - (int64_t)(BUCKETS - i) * BUCKET_S;
}

static void count_row(const struct row *row, int64_t started)
{
    int64_t i = (row->last_seen - bucket_begin(0)) / BUCKET_S;

    tidy.rows++;
    if (row->last_seen < started && row->last_seen > tidy.newest)
        tidy.newest = row->last_seen;
    if (is_forgotten(row))
        tidy.forgotten++;
    else if (!row->captured) /* what an administrator did is not undone to save room */
        tidy.buckets[i < 0 ? 0 : i >= BUCKETS ? BUCKETS - 1 : i]++;
}

/* plan - what is deleted; false: nothing. */
static bool plan(struct database_writer *w, int64_t started)
{
    int64_t excess = tidy.rows - tidy.forgotten - karma_limits.rows_most, pages = pages_used(w);

    tidy.rested = true;
    tidy.last_round = clock_ms();
    tidy.rows_per_page = pages > 0 ? (double)tidy.rows / (double)pages : 0;
    if (!tidy.skipped && tidy.newest && started - tidy.newest > GAP_S) {
        tidy.skipped = true;
        log_warn("karma.sqlite: nobody was seen for %lld days before the start: nothing is forgotten today, should the"
                 " clock be wrong",
                 (long long)(started - tidy.newest) / (24 * 3600));
        return false;
    }
    tidy.excess_before = tidy.excess_until = INT64_MIN;
    tidy.excess_most = 0;
    for (int i = 0; i < BUCKETS && excess > 0; i++) {
        tidy.excess_before = i ? bucket_begin(i) : INT64_MIN;
        tidy.excess_until = i + 1 < BUCKETS ? bucket_begin(i + 1) : INT64_MAX;
        tidy.excess_most = excess;
        excess -= tidy.buckets[i];
    }
    return tidy.forgotten > 0 || tidy.excess_most > 0;
}

static bool count_piece(struct database_writer *w, struct row *rows)
{
    int64_t started = (clock_wall_ms() - (clock_ms() - tidy.started)) / 1000;
    int most = karma_limits.piece_rows * 4 < PIECE_MOST ? karma_limits.piece_rows * 4 : PIECE_MOST;
    int count = next_rows(w, rows, most);

    if (count < 0)
        return round_end();
    for (int i = 0; i < count; i++)
        count_row(&rows[i], started);
    if (count == most)
        return true;
    if (!plan(w, started))
        return round_end();
    tidy.step = DELETING;
    tidy.first_piece = true;
    return true;
}

/* ---- deleting ---- */

static bool is_excess(const struct row *row)
{
    if (row->captured)
        return false;
    return row->last_seen < tidy.excess_before || (row->last_seen < tidy.excess_until && tidy.excess_most-- > 0);
}

/* delete_rows - in a transaction; those that changed since they were read stay. */
static int delete_rows(struct database_writer *w, const struct row *rows, int count)
{
    sqlite3 *db = database_writer_db(w);
    sqlite3_stmt *s = database_writer_statement(
        w, "DELETE FROM karma WHERE net = ?1 AND last_seen = ?2 AND penalty_until = ?3");
    int before = sqlite3_total_changes(db), rc = SQLITE_ERROR;

    if (s)
        rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = 0; i < count && rc == SQLITE_OK; i++) {
        sqlite3_bind_blob(s, 1, rows[i].net.b, KARMA_NET_SIZE, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, rows[i].last_seen);
        sqlite3_bind_int64(s, 3, rows[i].penalty_until);
        rc = sqlite3_step(s) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
        sqlite3_reset(s);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        if (!sqlite3_get_autocommit(db))
            sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return rc;
    }
    tidy.deleted += sqlite3_total_changes(db) - before;
    for (int i = 0; i < count; i++)
        karma_forget(&rows[i].net);
    return SQLITE_OK;
}

static bool delete_piece(struct database_writer *w, struct row *rows)
{
    int count = next_rows(w, rows, karma_limits.piece_rows), victims = 0;

    for (int i = 0; i < count; i++)
        if (is_forgotten(&rows[i]) || is_excess(&rows[i]))
            rows[victims++] = rows[i];
    if (count < 0 || (victims && delete_rows(w, rows, victims) != SQLITE_OK))
        return round_end(); /* of what is left the next round finds more */
    if (count == karma_limits.piece_rows)
        return true;
    log_info("karma.sqlite: %lld of %lld clients are forgotten, %lld of them were not seen for %lld days",
             (long long)tidy.deleted, (long long)tidy.rows, (long long)tidy.forgotten,
             (long long)karma_limits.keep_s / (24 * 3600));
    return round_end();
}

bool karma_tidy(struct database_writer *w, void *ctx)
{
    static struct row rows[PIECE_MOST]; /* of the writer's thread */

    (void)ctx;
    if (tidy.step != RESTING && tidy.opened != database_writer_opened(w))
        return round_end();
    if (tidy.step == RESTING) {
        watch_clocks();
        if (!is_due(w))
            return false;
        round_begin(w);
    }
    return tidy.step == COUNTING ? count_piece(w, rows) : delete_piece(w, rows);
}
