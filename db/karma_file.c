/* karma_file.c - karma on a file that somebody opened: what sme-milterctl and tests do to it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "karma_store.h"

#define COLUMNS "nice, naughty, connects, penalty_until, cleared_at, first_seen, last_seen, last_reason"
#define PAGE 1000         /* rows that are read, or looked at for pruning, at a time */

static int net_bind(sqlite3_stmt *s, int at, const struct karma_net *net)
{
    return sqlite3_bind_blob(s, at, net->b, sizeof net->b, SQLITE_TRANSIENT);
}

/* bind_start, bind_end - what is before, and behind, every key: where a range begins and ends. */
static int bind_start(sqlite3_stmt *s, int at)
{
    return sqlite3_bind_zeroblob(s, at, 0);
}

static int bind_end(sqlite3_stmt *s, int at)
{
    return sqlite3_bind_blob(s, at, "\xff\xff", 2, SQLITE_STATIC);
}

/* run - the statement to its end; finalizes it. */
static int run(sqlite3_stmt *s)
{
    int result;

    while ((result = sqlite3_step(s)) == SQLITE_ROW)
        ;
    sqlite3_finalize(s);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

/* record_of - the columns from `at` on. The text is cut, and never believed to be ours. */
static void record_of(sqlite3_stmt *s, int at, struct karma_record *r)
{
    const void *reason = sqlite3_column_text(s, at + 7);
    size_t n = (size_t)sqlite3_column_bytes(s, at + 7);

    memset(r, 0, sizeof *r);
    r->nice = sqlite3_column_int64(s, at);
    r->naughty = sqlite3_column_int64(s, at + 1);
    r->connects = sqlite3_column_int64(s, at + 2);
    r->penalty_until = sqlite3_column_int64(s, at + 3);
    r->cleared_at = sqlite3_column_double(s, at + 4);
    r->first_seen = sqlite3_column_int64(s, at + 5);
    r->last_seen = sqlite3_column_int64(s, at + 6);
    if (reason)
        memcpy(r->last_reason, reason, n < KARMA_REASON_MOST ? n : KARMA_REASON_MOST - 1);
}

int karma_file_get(sqlite3 *db, const struct karma_net *net, struct karma_record *r)
{
    sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(db, "SELECT " COLUMNS " FROM karma WHERE net = ?1", -1, &s, NULL);

    if (result != SQLITE_OK)
        return result;
    net_bind(s, 1, net);
    result = sqlite3_step(s);
    if (result == SQLITE_ROW)
        record_of(s, 0, r);
    sqlite3_finalize(s);
    return result == SQLITE_ROW ? SQLITE_OK : result;
}

/* A client that is not there gets a row: events of it may still wait for the disk, and the release wins over them. */
int karma_file_release(sqlite3 *db, const struct karma_net *net, double now)
{
    sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(
        db,
        "INSERT INTO karma (net, " COLUMNS ") VALUES (?1, 0, 0, 0, 0, ?2, ?3, ?3, '')"
        " ON CONFLICT (net) DO UPDATE SET naughty = 0, penalty_until = 0, cleared_at = ?2",
        -1, &s, NULL);

    if (result != SQLITE_OK)
        return result;
    net_bind(s, 1, net);
    sqlite3_bind_double(s, 2, now);
    sqlite3_bind_int64(s, 3, (int64_t)now);
    return run(s);
}

int karma_file_capture(sqlite3 *db, const struct karma_net *net, double now, int64_t seconds)
{
    sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(
        db,
        "INSERT INTO karma (net, " COLUMNS ") VALUES (?1, 0, 0, 0, ?2, 0, ?3, ?3, 'captured')"
        " ON CONFLICT (net) DO UPDATE SET penalty_until = ?2, last_reason = 'captured'",
        -1, &s, NULL);

    if (result != SQLITE_OK)
        return result;
    net_bind(s, 1, net);
    sqlite3_bind_int64(s, 2, (int64_t)now + seconds);
    sqlite3_bind_int64(s, 3, (int64_t)now);
    return run(s);
}

int karma_file_put(sqlite3 *db, const struct karma_net *net, const struct karma_record *r)
{
    sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(
        db, "INSERT OR REPLACE INTO karma (net, " COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", -1, &s,
        NULL);

    if (result != SQLITE_OK)
        return result;
    net_bind(s, 1, net);
    sqlite3_bind_int64(s, 2, r->nice);
    sqlite3_bind_int64(s, 3, r->naughty);
    sqlite3_bind_int64(s, 4, r->connects);
    sqlite3_bind_int64(s, 5, r->penalty_until);
    sqlite3_bind_double(s, 6, r->cleared_at);
    sqlite3_bind_int64(s, 7, r->first_seen);
    sqlite3_bind_int64(s, 8, r->last_seen);
    sqlite3_bind_text(s, 9, r->last_reason, (int)strnlen(r->last_reason, KARMA_REASON_MOST - 1), SQLITE_TRANSIENT);
    return run(s);
}

/* ---- listing ---- */

struct listed {
    struct karma_net net;
    struct karma_record record;
};

struct listing {
    sqlite3 *db;
    struct listed *rows; /* PAGE of them */
    int64_t left;        /* how many may still be told; INT64_MAX: all */
    bool (*row)(const struct karma_net *net, const struct karma_record *r, void *ctx);
    void *ctx;
};

/* tell_page - read a page, let go of the file, and only then hand the rows out: who reads them may take hours, and as
 * long as a reader stands in the file the daemon's log (WAL) of it only grows. *count rows were read; false: stop. */
static bool tell_page(struct listing *l, sqlite3_stmt *s, size_t *count, int *result)
{
    *count = 0;
    while (*count < PAGE && (*result = sqlite3_step(s)) == SQLITE_ROW) {
        struct listed *to = &l->rows[(*count)++];

        memset(&to->net, 0, sizeof to->net);
        if (sqlite3_column_bytes(s, 0) == KARMA_NET_SIZE)
            memcpy(to->net.b, sqlite3_column_blob(s, 0), KARMA_NET_SIZE);
        record_of(s, 1, &to->record);
    }
    sqlite3_reset(s);
    if (*result != SQLITE_ROW && *result != SQLITE_DONE)
        return false;
    *result = SQLITE_OK;
    for (size_t i = 0; i < *count; i++)
        if (l->left-- <= 0 || !l->row(&l->rows[i].net, &l->rows[i].record, l->ctx))
            return false;
    return true;
}

/* by_address - page after page of a table, each beginning behind the last key of the one before. */
static int by_address(struct listing *l)
{
    size_t count = PAGE;
    sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(l->db,
                                    "SELECT net, " COLUMNS " FROM karma WHERE net > ?1 AND length(net) = 17"
                                    " ORDER BY net LIMIT ?2",
                                    -1, &s, NULL);

    if (result != SQLITE_OK)
        return result;
    bind_start(s, 1);
    sqlite3_bind_int(s, 2, PAGE);
    while (tell_page(l, s, &count, &result) && count == PAGE)
        net_bind(s, 1, &l->rows[PAGE - 1].net);
    sqlite3_finalize(s);
    return result;
}

static int execute(sqlite3 *db, const char *sql, int64_t now, int64_t most)
{
    sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    if (result != SQLITE_OK)
        return result;
    if (sqlite3_bind_parameter_count(s) == 2) {
        sqlite3_bind_int64(s, 1, now);
        sqlite3_bind_int64(s, 2, most);
    }
    return run(s);
}

/* by_history - in an order that has no index: sorted once into a table of our own, which is then read at leisure. */
static int by_history(struct listing *l, bool naughty)
{
    static const char drop[] = "DROP TABLE IF EXISTS temp.karma_sorted";
    static const char sort_naughty[] =
        "CREATE TEMP TABLE karma_sorted AS SELECT net, " COLUMNS " FROM main.karma"
        " WHERE length(net) = 17 AND (nice < naughty OR penalty_until > ?1)"
        " ORDER BY nice - naughty, naughty DESC, net LIMIT ?2";
    static const char sort_nice[] =
        "CREATE TEMP TABLE karma_sorted AS SELECT net, " COLUMNS " FROM main.karma"
        " WHERE length(net) = 17 AND nice > naughty AND ?1 = ?1 ORDER BY nice - naughty DESC, nice DESC, net LIMIT ?2";
    int64_t from = 0;
    size_t count = PAGE;
    sqlite3_stmt *s = NULL;
    int result = execute(l->db, drop, 0, 0);

    if (result == SQLITE_OK)
        result = execute(l->db, naughty ? sort_naughty : sort_nice, clock_wall_ms() / 1000,
                         l->left == INT64_MAX ? -1 : l->left);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(l->db,
                                    "SELECT net, " COLUMNS " FROM temp.karma_sorted WHERE rowid > ?1"
                                    " ORDER BY rowid LIMIT ?2",
                                    -1, &s, NULL);
    if (result != SQLITE_OK)
        return result;
    sqlite3_bind_int(s, 2, PAGE);
    sqlite3_bind_int64(s, 1, from);
    while (tell_page(l, s, &count, &result) && count == PAGE)
        sqlite3_bind_int64(s, 1, from += PAGE);
    sqlite3_finalize(s);
    execute(l->db, drop, 0, 0);
    return result;
}

int karma_file_list(sqlite3 *db, enum karma_order order, int64_t most,
                    bool (*row)(const struct karma_net *net, const struct karma_record *r, void *ctx), void *ctx)
{
    struct listing l = {.db = db, .left = most > 0 ? most : INT64_MAX, .row = row, .ctx = ctx};
    int result;

    l.rows = malloc(PAGE * sizeof *l.rows);
    if (!l.rows)
        return SQLITE_NOMEM;
    result = order == KARMA_BY_ADDRESS ? by_address(&l) : by_history(&l, order == KARMA_NAUGHTY_FIRST);
    free(l.rows);
    return result;
}

/* ---- pruning ---- */

/* Who stands in the box stays there. */
#define FORGOTTEN "last_seen < ?1 AND penalty_until <= ?2"

static int prune_count(sqlite3 *db, int64_t seen_before, int64_t now, int64_t *rows)
{
    sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(db, "SELECT count(*) FROM karma WHERE " FORGOTTEN, -1, &s, NULL);

    if (result != SQLITE_OK)
        return result;
    sqlite3_bind_int64(s, 1, seen_before);
    sqlite3_bind_int64(s, 2, now);
    result = sqlite3_step(s);
    if (result == SQLITE_ROW)
        *rows = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return result == SQLITE_ROW ? SQLITE_OK : result;
}

/* prune_piece - delete among the next PAGE rows behind the start that was bound. SQLITE_ROW: there are more. */
static int prune_piece(sqlite3 *db, sqlite3_stmt *find, sqlite3_stmt *delete)
{
    int result = sqlite3_step(find); /* the last row of the piece */
    struct karma_net last;

    if (result == SQLITE_ROW) {
        memcpy(last.b, sqlite3_column_blob(find, 0), KARMA_NET_SIZE);
        net_bind(delete, 4, &last);
    } else {
        bind_end(delete, 4);
    }
    sqlite3_reset(find);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return result;
    if (sqlite3_step(delete) != SQLITE_DONE)
        result = sqlite3_extended_errcode(db);
    sqlite3_reset(delete);
    if (result == SQLITE_ROW) {
        net_bind(find, 1, &last);
        net_bind(delete, 3, &last);
    }
    return result;
}

/* In pieces: the daemon wants to write too. */
int karma_file_prune(sqlite3 *db, int64_t seen_before, bool dry_run, int64_t *rows)
{
    int64_t now = clock_wall_ms() / 1000;
    int before = sqlite3_total_changes(db), result;
    sqlite3_stmt *find = NULL, *delete = NULL;

    *rows = 0;
    if (dry_run)
        return prune_count(db, seen_before, now, rows);
    result = sqlite3_prepare_v2(db,
                                "SELECT net FROM karma WHERE net > ?1 AND length(net) = 17"
                                " ORDER BY net LIMIT 1 OFFSET ?2",
                                -1, &find, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(db, "DELETE FROM karma WHERE " FORGOTTEN " AND net > ?3 AND net <= ?4", -1,
                                    &delete, NULL);
    if (result == SQLITE_OK) {
        bind_start(find, 1);
        sqlite3_bind_int(find, 2, PAGE - 1);
        sqlite3_bind_int64(delete, 1, seen_before);
        sqlite3_bind_int64(delete, 2, now);
        bind_start(delete, 3);
        do
            result = prune_piece(db, find, delete);
        while (result == SQLITE_ROW);
    }
    sqlite3_finalize(find);
    sqlite3_finalize(delete);
    *rows = sqlite3_total_changes(db) - before;
    return result == SQLITE_DONE ? SQLITE_OK : result;
}
