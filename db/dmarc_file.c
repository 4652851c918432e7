/* dmarc_file.c - aggregate reports on a file that somebody opened: what sme-milterctl, housekeeping and tests do. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "dmarc_store.h"

#define KEPT_S (30 * 86400)      /* after a report was sent */
#define UNSENT_KEPT_S (60 * 86400) /* after its day, when nobody ever sends it */

static struct str column(struct arena *a, sqlite3_stmt *s, int at)
{
    const void *text = sqlite3_column_text(s, at);

    return str_dup(a, (struct str){text, text ? (size_t)sqlite3_column_bytes(s, at) : 0});
}

static void bind_str(sqlite3_stmt *s, int at, struct str text)
{
    sqlite3_bind_text(s, at, text.n ? text.p : "", (int)text.n, SQLITE_TRANSIENT);
}

/* run - the statement to its end; finalizes it. */
static int run(sqlite3_stmt *s)
{
    int rc;

    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        ;
    sqlite3_finalize(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- reading ---- */

static void report_of(struct arena *a, sqlite3_stmt *s, struct dmarc_report *r)
{
    r->id = sqlite3_column_int64(s, 0);
    r->day = column(a, s, 1);
    r->published.domain = column(a, s, 2);
    r->org_domain = column(a, s, 3);
    r->published.discovery = column(a, s, 4);
    r->published.p = column(a, s, 5);
    r->published.sp = column(a, s, 6);
    r->published.np = column(a, s, 7);
    r->published.adkim = column(a, s, 8);
    r->published.aspf = column(a, s, 9);
    r->published.testing = column(a, s, 10);
    r->published.fo = column(a, s, 11);
    r->rua = column(a, s, 12);
    r->state = column(a, s, 13);
    r->unique_id = column(a, s, 14);
    r->report_id = column(a, s, 15);
    r->submitter = column(a, s, 16);
    r->ended_at = sqlite3_column_int64(s, 17);
    r->records = sqlite3_column_int64(s, 18);
    r->messages = sqlite3_column_int64(s, 19);
}

int dmarc_file_reports(sqlite3 *db, struct arena *a, const struct dmarc_wish *wish, struct dmarc_report **list,
                       size_t *count)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(
        db,
        "SELECT id, day, domain, org_domain, discovery, p, sp, np, adkim, aspf, testing, fo, rua, state, unique_id,"
        " report_id, submitter, ended_at, count(messages), coalesce(sum(messages), 0)"
        " FROM report LEFT JOIN record ON record.report = report.id"
        " WHERE day BETWEEN ?1 AND ?2 AND (?3 = '' OR domain = ?3)"
        " AND (NOT ?4 OR state IN ('collecting', 'sending'))"
        " GROUP BY id ORDER BY day, domain, id",
        -1, &s, NULL);

    *list = NULL;
    *count = 0;
    if (rc != SQLITE_OK)
        return rc;
    bind_str(s, 1, wish->from);
    bind_str(s, 2, wish->to);
    bind_str(s, 3, wish->domain);
    sqlite3_bind_int(s, 4, wish->open);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        *list = arena_grow(a, *list, *count, sizeof **list);
        report_of(a, s, &(*list)[(*count)++]);
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static struct str view(sqlite3_stmt *s, int at)
{
    const void *text = sqlite3_column_text(s, at);

    return (struct str){text, text ? (size_t)sqlite3_column_bytes(s, at) : 0};
}

int dmarc_file_records(sqlite3 *db, int64_t report, bool (*each)(const struct report_record *r, void *ctx), void *ctx)
{
    sqlite3_stmt *s;
    bool go_on = true;
    int rc = sqlite3_prepare_v2(
        db,
        "SELECT source_ip, messages, disposition, dkim, spf, reason, comment, header_from, envelope_from, envelope_to,"
        " signatures, spf_domain, spf_result FROM record WHERE report = ?1"
        " ORDER BY report, source_ip, header_from, envelope_from, envelope_to, disposition, dkim, spf, reason, comment,"
        " spf_domain, spf_result, signatures",
        -1, &s, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(s, 1, report);
    while (go_on && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct report_record r = {
            .source_ip = view(s, 0),
            .count = sqlite3_column_int64(s, 1),
            .disposition = view(s, 2),
            .dkim = view(s, 3),
            .spf = view(s, 4),
            .reason = view(s, 5),
            .comment = view(s, 6),
            .header_from = view(s, 7),
            .envelope_from = view(s, 8),
            .envelope_to = view(s, 9),
            .signatures = view(s, 10),
            .spf_domain = view(s, 11),
            .spf_result = view(s, 12),
        };

        go_on = each(&r, ctx);
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* ---- sending ---- */

static struct str new_unique_id(struct arena *a)
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)clock_wall_ms() * 0x9e3779b97f4a7c15;
    return arena_printf(a, "%016llx", (unsigned long long)random);
}

int dmarc_file_begin(sqlite3 *db, struct arena *a, struct dmarc_report *r)
{
    struct str unique = new_unique_id(a);
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(
        db,
        "UPDATE report SET state = 'sending',"
        " unique_id = iif(state = 'collecting', ?2, unique_id),"
        " report_id = iif(state = 'collecting', ?3, report_id),"
        " submitter = iif(state = 'collecting', ?4, submitter)"
        " WHERE id = ?1 AND state IN ('collecting', 'sending') RETURNING unique_id, report_id, submitter",
        -1, &s, NULL);
    bool found = false;

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(s, 1, r->id);
    bind_str(s, 2, unique);
    bind_str(s, 3, arena_printf(a, STR_FMT "." STR_FMT "@" STR_FMT, STR_ARG(r->day), STR_ARG(unique),
                                STR_ARG(r->submitter)));
    bind_str(s, 4, r->submitter);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        r->unique_id = column(a, s, 0);
        r->report_id = column(a, s, 1);
        r->submitter = column(a, s, 2);
        r->state = STR("sending");
        found = true;
    }
    sqlite3_finalize(s);
    if (rc == SQLITE_DONE && !found)
        return SQLITE_NOTFOUND;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int dmarc_file_end(sqlite3 *db, int64_t report, bool sent, int64_t now)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(db, "UPDATE report SET state = iif(?2, 'sent', 'failed'), ended_at = ?3 WHERE id = ?1",
                                -1, &s, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(s, 1, report);
    sqlite3_bind_int(s, 2, sent);
    sqlite3_bind_int64(s, 3, now);
    return run(s);
}

int dmarc_file_deliveries(sqlite3 *db, struct arena *a, int64_t report, struct dmarc_delivery **list, size_t *count)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(
        db, "SELECT destination, state, said, at FROM delivery WHERE report = ?1 ORDER BY destination", -1, &s, NULL);

    *list = NULL;
    *count = 0;
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(s, 1, report);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        *list = arena_grow(a, *list, *count, sizeof **list);
        (*list)[(*count)++] = (struct dmarc_delivery){column(a, s, 0), column(a, s, 1), column(a, s, 2),
                                                      sqlite3_column_int64(s, 3)};
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int dmarc_file_note(sqlite3 *db, int64_t report, const struct dmarc_delivery *d)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(
        db, "INSERT OR REPLACE INTO delivery (report, destination, state, said, at) VALUES (?1, ?2, ?3, ?4, ?5)", -1,
        &s, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(s, 1, report);
    bind_str(s, 2, d->destination);
    bind_str(s, 3, d->state);
    bind_str(s, 4, d->said);
    sqlite3_bind_int64(s, 5, d->at);
    return run(s);
}

/* ---- forgetting ---- */

/* Records first, so that a report that is half forgotten is still found the next time. They are deleted by key, since
 * not every SQLite was built to know DELETE with LIMIT. */
#define OLD                                                                                                           \
    " (SELECT id FROM report WHERE (ended_at > 0 AND ended_at < ?1) OR (ended_at = 0 AND day < ?2)"

int dmarc_file_tidy(sqlite3 *db, int64_t now, int most, bool *more)
{
    static const char *const sql[] = {
        "DELETE FROM record WHERE (report, source_ip, header_from, envelope_from, envelope_to, disposition, dkim, spf,"
        " reason, comment, spf_domain, spf_result, signatures) IN (SELECT report, source_ip, header_from,"
        " envelope_from, envelope_to, disposition, dkim, spf, reason, comment, spf_domain, spf_result, signatures"
        " FROM record WHERE report IN" OLD ") LIMIT ?3)",
        "DELETE FROM delivery WHERE report IN" OLD " LIMIT ?3) AND NOT EXISTS"
        " (SELECT 1 FROM record WHERE record.report = delivery.report)",
        "DELETE FROM report WHERE id IN" OLD " LIMIT ?3) AND NOT EXISTS"
        " (SELECT 1 FROM record WHERE record.report = report.id)",
    };
    struct arena *a = arena_new(0);
    struct str day = str_slice(clock_rfc3339(a, (now - UNSENT_KEPT_S) * 1000), 0, 10);
    int rc = SQLITE_OK;

    *more = false;
    for (size_t i = 0; i < sizeof sql / sizeof sql[0] && rc == SQLITE_OK && !*more; i++) {
        sqlite3_stmt *s;

        rc = sqlite3_prepare_v2(db, sql[i], -1, &s, NULL);
        if (rc != SQLITE_OK)
            break;
        sqlite3_bind_int64(s, 1, now - KEPT_S);
        bind_str(s, 2, day);
        sqlite3_bind_int(s, 3, most);
        rc = run(s);
        *more = rc == SQLITE_OK && sqlite3_changes(db) >= most;
    }
    arena_free(&a);
    return rc;
}
