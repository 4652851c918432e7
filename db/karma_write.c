/* karma_write.c - reading a client's row, and adding an event to it. */
#include <string.h>

#include "karma_inside.h"

#define COLUMNS "nice, naughty, connects, penalty_until, cleared_at, first_seen, last_seen, last_reason"

const char karma_read_sql[] = "SELECT " COLUMNS " FROM karma WHERE net = ?1";

/* What is counted is added in SQL, so that nobody's change is lost. Like karma_apply(): ?4 is the time of the event
 * with its fraction, a release later than that forgives it, unless a wrong clock stamped it. */
#define ADD(box_first, box_then)                                                                                      \
    "INSERT INTO karma (net, " COLUMNS ") VALUES (?1, ?2, ?3, 1, " box_first ")"                                      \
    " ON CONFLICT (net) DO UPDATE SET"                                                                                \
    " nice = nice + ?2,"                                                                                              \
    " naughty = naughty + (?3 AND NOT (?4 < cleared_at AND cleared_at <= ?4 + 3600)),"                                \
    " connects = connects + 1,"                                                                                       \
    " first_seen = CASE WHEN first_seen = 0 OR ?5 < first_seen THEN ?5 ELSE first_seen END,"                          \
    " last_seen = CASE WHEN last_seen > ?5 + 3600 THEN ?5 ELSE max(last_seen, ?5) END" box_then

static const char add_sql[] = ADD("0, 0, ?5, max(0, ?5), ''", "");
static const char add_naughty_sql[] =
    ADD("?6, 0, ?5, max(0, ?5), ?7", ", penalty_until = ?6, last_reason = ?7");

static void record_of(sqlite3_stmt *s, struct karma_record *r)
{
    const void *reason = sqlite3_column_text(s, 7);
    size_t n = (size_t)sqlite3_column_bytes(s, 7);

    memset(r, 0, sizeof *r);
    r->nice = sqlite3_column_int64(s, 0);
    r->naughty = sqlite3_column_int64(s, 1);
    r->connects = sqlite3_column_int64(s, 2);
    r->penalty_until = sqlite3_column_int64(s, 3);
    r->cleared_at = sqlite3_column_double(s, 4);
    r->first_seen = sqlite3_column_int64(s, 5);
    r->last_seen = sqlite3_column_int64(s, 6);
    if (reason)
        memcpy(r->last_reason, reason, n < KARMA_REASON_MOST ? n : KARMA_REASON_MOST - 1);
}

int karma_read(sqlite3_stmt *s, const struct karma_net *net, struct karma_record *r)
{
    int rc;

    sqlite3_bind_blob(s, 1, net->b, sizeof net->b, SQLITE_STATIC);
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        record_of(s, r);
    sqlite3_reset(s);
    return rc;
}

/* bind_box - what karma_apply() makes of the box: its rules are written down once. The row is read for that in the same
 * transaction, so that it is still the same when it is written. */
static int bind_box(struct database_writer *w, sqlite3_stmt *to, const struct karma_event *e, struct karma_record *r)
{
    sqlite3_stmt *s = database_writer_statement(w, karma_read_sql);
    int rc = s ? karma_read(s, &e->net, r) : sqlite3_extended_errcode(database_writer_db(w));

    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return rc;
    karma_apply(r, e);
    sqlite3_bind_int64(to, 6, r->penalty_until);
    sqlite3_bind_text(to, 7, r->last_reason, (int)strnlen(r->last_reason, KARMA_REASON_MOST - 1), SQLITE_STATIC);
    return SQLITE_OK;
}

int karma_write(struct database_writer *w, const void *event, void *ctx)
{
    const struct karma_event *e = event;
    sqlite3_stmt *s = database_writer_statement(w, e->naughty ? add_naughty_sql : add_sql);
    struct karma_record r = {0};
    int rc = s ? SQLITE_OK : sqlite3_extended_errcode(database_writer_db(w));

    (void)ctx;
    if (rc == SQLITE_OK && e->naughty)
        rc = bind_box(w, s, e, &r);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_blob(s, 1, e->net.b, sizeof e->net.b, SQLITE_STATIC);
    sqlite3_bind_int(s, 2, e->nice);
    sqlite3_bind_int(s, 3, e->naughty);
    sqlite3_bind_double(s, 4, e->at);
    sqlite3_bind_int64(s, 5, (int64_t)e->at);
    rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}
