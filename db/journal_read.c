/* journal_read.c - the journal as commands read it. */
#include <stdlib.h>

#include "base/log.h"
#include "journal_inside.h"

#define MESSAGE_COLUMNS                                                                                               \
    "m.id, m.time, m.kind = 'message', m.ref, m.queue_id, m.message_id, m.host, m.profile, m.client, m.client_port,"    \
    " m.server_port, m.name, m.helo, m.auth, m.tls, m.daemon_name, m.sender, m.nrcpt, m.size, m.declared_size,"       \
    " m.body_bytes, m.local, m.whitelisted, m.unknown_commands, m.verdict, m.decided_by, m.stage, m.reply,"           \
    " m.karma_before, m.karma, m.history, m.ms, m.subject, m.ran"

struct reading {
    sqlite3 *db;
    struct arena *arena, *kept; /* kept: spellings of `ran`, as long as the reading */
    sqlite3_stmt *messages, *recipients, *findings, *ran;
    struct str *spellings; /* by id; empty: not read yet */
    size_t spelling_count;
};

/* column - a copy of the text, as it was before it was made safe. */
static struct str column(struct arena *a, sqlite3_stmt *s, int at)
{
    const void *p = sqlite3_column_text(s, at);
    struct str text = {p, p ? (size_t)sqlite3_column_bytes(s, at) : 0};

    if (text.n == 0)
        return STR_NONE;
    return str_find(text, '\\') < text.n ? journal_untext(a, text) : str_dup(a, text);
}

/* word - a column that holds one of few words, mostly the one of the row before. */
static struct str word(struct arena *a, sqlite3_stmt *s, int at)
{
    static const char *const usual[] = {"none", "nothing", "good",   "bad",     "unsure", "connect", "helo", "mail",
                                        "rcpt", "data",    "headers", "message", "now",    "later",   "never", "cleared"};
    const void *p = sqlite3_column_text(s, at);
    struct str text = {p, p ? (size_t)sqlite3_column_bytes(s, at) : 0};

    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (str_is(text, str_of(usual[i])))
            return str_of(usual[i]);
    return column(a, s, at);
}

static unsigned unsigned_of(sqlite3_stmt *s, int at)
{
    return (unsigned)sqlite3_column_int64(s, at);
}

static int read_ran(struct reading *r, int64_t id, struct str *stages)
{
    int rc;

    *stages = STR_NONE;
    if (id <= 0)
        return SQLITE_OK;
    if ((uint64_t)id < r->spelling_count && r->spellings[id].p) {
        *stages = r->spellings[id];
        return SQLITE_OK;
    }
    sqlite3_bind_int64(r->ran, 1, id);
    rc = sqlite3_step(r->ran);
    if (rc == SQLITE_ROW)
        *stages = column(r->kept, r->ran, 0);
    sqlite3_reset(r->ran);
    while (id < 10000 && r->spelling_count <= (uint64_t)id) {
        r->spellings = arena_grow(r->kept, r->spellings, r->spelling_count, sizeof *r->spellings);
        r->spellings[r->spelling_count++] = STR_NONE;
    }
    if (id < 10000)
        r->spellings[id] = *stages;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void message_of(struct arena *a, sqlite3_stmt *s, struct journal_message *m)
{
    m->id = sqlite3_column_int64(s, 0);
    m->at_ms = sqlite3_column_int64(s, 1);
    m->message = sqlite3_column_int(s, 2);
    m->ref = column(a, s, 3);
    m->queue_id = column(a, s, 4);
    m->message_id = column(a, s, 5);
    m->host = column(a, s, 6);
    m->profile = column(a, s, 7);
    if (!ip_parse(column(a, s, 8), &m->client))
        m->client = (struct ip){.known = false};
    m->client_port = unsigned_of(s, 9);
    m->server_port = unsigned_of(s, 10);
    m->name = column(a, s, 11);
    m->helo = column(a, s, 12);
    m->auth = column(a, s, 13);
    m->tls_version = column(a, s, 14);
    m->daemon_name = column(a, s, 15);
    m->sender = column(a, s, 16);
    m->nrcpt = unsigned_of(s, 17);
    m->size = (uint64_t)sqlite3_column_int64(s, 18);
    m->declared_size = (uint64_t)sqlite3_column_int64(s, 19);
    m->body_bytes = (uint64_t)sqlite3_column_int64(s, 20);
    m->local = sqlite3_column_int(s, 21);
    m->whitelisted = sqlite3_column_int(s, 22);
    m->unknown_commands = unsigned_of(s, 23);
    m->verdict = column(a, s, 24);
    m->by = column(a, s, 25);
    m->stage = column(a, s, 26);
    m->reply = column(a, s, 27);
    m->karma_before = (long)sqlite3_column_int64(s, 28);
    m->karma = (long)sqlite3_column_int64(s, 29);
    m->history = column(a, s, 30);
    m->ms = sqlite3_column_int64(s, 31);
    m->subject = column(a, s, 32);
}

static void finding_of(struct arena *a, sqlite3_stmt *s, struct journal_finding *f)
{
    const void *facts = sqlite3_column_text(s, 11);
    int flags = sqlite3_column_int(s, 8);

    *f = (struct journal_finding){
        .policy = column(a, s, 0),
        .stage = word(a, s, 1),
        .result = word(a, s, 2),
        .judged = word(a, s, 3),
        .status = column(a, s, 4),
        .code = sqlite3_column_int(s, 5),
        .text = column(a, s, 6),
        .karma = (long)sqlite3_column_int64(s, 7),
        .permanent = flags & 1,
        .temporary = flags & 2,
        .again = flags & 4,
        .rcpt = sqlite3_column_int(s, 9),
        .micros = sqlite3_column_int64(s, 10),
    };
    journal_facts_parse(a, str_dup(a, (struct str){facts, facts ? (size_t)sqlite3_column_bytes(s, 11) : 0}), &f->facts,
                        &f->fact_count);
}

static int read_recipients(struct reading *r, struct journal_message *m)
{
    sqlite3_stmt *s = r->recipients;
    int rc;

    sqlite3_bind_int64(s, 1, m->id);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        m->rcpt = arena_grow(r->arena, m->rcpt, m->rcpt_count, sizeof *m->rcpt);
        m->rcpt[m->rcpt_count++] = (struct journal_rcpt){column(r->arena, s, 0), column(r->arena, s, 1),
                                                         column(r->arena, s, 2)};
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_findings(struct reading *r, struct journal_message *m)
{
    sqlite3_stmt *s = r->findings;
    int rc;

    sqlite3_bind_int64(s, 1, m->id);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        m->findings = arena_grow(r->arena, m->findings, m->finding_count, sizeof *m->findings);
        finding_of(r->arena, s, &m->findings[m->finding_count++]);
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- what is asked for ---- */

struct asked { /* a statement in the making; values are bound in their order */
    struct buf sql;
    struct str texts[16];
    int64_t numbers[16];
    int count;
};

static void condition(struct asked *q, const char *sql)
{
    buf_addf(&q->sql, "%s %s", q->count ? " AND" : " WHERE", sql);
}

static void with_number(struct asked *q, const char *sql, int64_t n)
{
    condition(q, sql);
    q->numbers[q->count++] = n;
}

static void with_text(struct asked *q, const char *sql, struct str text)
{
    condition(q, sql);
    q->texts[q->count++] = text;
}

/* more_text - another value of the same condition. */
static void more_text(struct asked *q, struct str text)
{
    q->texts[q->count++] = text;
}

static void ask_address(struct asked *q, struct arena *a, struct str address)
{
    struct str bare = str_lower(a, journal_text(a, journal_bare(address)));

    /* Malformed ones may have come without their brackets. */
    with_text(q,
              "m.id IN (SELECT message FROM recipient WHERE lower(address) IN (?, ?)"
              " UNION SELECT id FROM message WHERE sender <> '' AND lower(sender) IN (?, ?))",
              bare);
    more_text(q, arena_printf(a, "<" STR_FMT ">", STR_ARG(bare)));
    more_text(q, q->texts[q->count - 2]);
    more_text(q, q->texts[q->count - 2]);
}

static int prepare_messages(struct reading *r, const struct journal_wish *wish)
{
    struct asked q = {.sql = buf_in(r->kept)};
    int rc;

    buf_add(&q.sql, STR("SELECT " MESSAGE_COLUMNS " FROM message m"));
    if (wish->from_ms)
        with_number(&q, "m.time >= ?", wish->from_ms);
    if (wish->to_ms)
        with_number(&q, "m.time < ?", wish->to_ms);
    if (wish->ref.n)
        with_text(&q, "m.ref = ?", journal_text(r->kept, wish->ref));
    if (wish->queue_id.n)
        with_text(&q, "m.queue_id <> '' AND m.queue_id = ?", journal_text(r->kept, wish->queue_id));
    if (wish->message_id.n)
        with_text(&q, "m.message_id <> '' AND m.message_id = ?",
                  journal_text(r->kept, journal_bare(wish->message_id)));
    if (wish->address.n)
        ask_address(&q, r->kept, wish->address);
    if (wish->client.known)
        with_text(&q, "m.client = ?", ip_text(r->kept, wish->client));
    if (wish->policy.n)
        with_text(&q, "EXISTS (SELECT 1 FROM finding f WHERE f.message = m.id AND f.policy = ?)",
                  journal_text(r->kept, wish->policy));
    buf_addf(&q.sql, " ORDER BY %sm.id%s", wish->by_writing ? "" : wish->newest_first ? "m.time DESC, " : "m.time, ",
             wish->newest_first ? " DESC" : "");
    if (wish->limit)
        buf_addf(&q.sql, " LIMIT %lld", (long long)wish->limit);
    rc = sqlite3_prepare_v2(r->db, q.sql.data, -1, &r->messages, NULL);
    for (int i = 0; i < q.count && rc == SQLITE_OK; i++)
        rc = q.texts[i].p ? sqlite3_bind_text(r->messages, i + 1, q.texts[i].p, (int)q.texts[i].n, SQLITE_TRANSIENT)
                          : sqlite3_bind_int64(r->messages, i + 1, q.numbers[i]);
    return rc;
}

static int prepare(struct reading *r, const struct journal_wish *wish)
{
    int rc = prepare_messages(r, wish);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(r->db,
                                "SELECT address, refused_by, reply FROM recipient WHERE message = ? ORDER BY number", -1,
                                &r->recipients, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(r->db,
                                "SELECT policy, stage, result, judged, status, code, text, karma, flags, rcpt, micros,"
                                " facts FROM finding WHERE message = ? ORDER BY number",
                                -1, &r->findings, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(r->db, "SELECT stages FROM ran WHERE id = ?", -1, &r->ran, NULL);
    return rc;
}

static int read_one(struct reading *r, struct journal_message *m)
{
    int rc;

    message_of(r->arena, r->messages, m);
    rc = read_ran(r, sqlite3_column_int64(r->messages, 33), &m->ran);
    m->ran = str_dup(r->arena, m->ran);
    if (rc == SQLITE_OK)
        rc = read_recipients(r, m);
    return rc == SQLITE_OK ? read_findings(r, m) : rc;
}

int journal_each(sqlite3 *db, struct arena *a, bool reset, const struct journal_wish *wish,
                 bool (*each)(const struct journal_message *m, void *ctx), void *ctx)
{
    struct reading r = {.db = db, .arena = a, .kept = arena_new(0)};
    bool ours = sqlite3_get_autocommit(db), go_on = true;
    int rc = ours ? sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) : SQLITE_OK; /* one state of the file for all of it */

    if (rc == SQLITE_OK)
        rc = prepare(&r, wish);
    while (rc == SQLITE_OK && go_on && (rc = sqlite3_step(r.messages)) == SQLITE_ROW) {
        struct journal_message m = {0};

        rc = read_one(&r, &m);
        if (rc == SQLITE_OK)
            go_on = each(&m, ctx);
        if (reset)
            arena_reset(a);
    }
    sqlite3_finalize(r.messages);
    sqlite3_finalize(r.recipients);
    sqlite3_finalize(r.findings);
    sqlite3_finalize(r.ran);
    if (ours && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    arena_free(&r.kept);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int journal_gaps(sqlite3 *db, struct arena *a, int64_t from_ms, struct journal_gap **list, size_t *count)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(
        db, "SELECT from_time, to_time, lost, why FROM gap WHERE to_time >= ?1 ORDER BY from_time, id", -1, &s, NULL);

    *list = NULL;
    *count = 0;
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(s, 1, from_ms);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        *list = arena_grow(a, *list, *count, sizeof **list);
        (*list)[(*count)++] = (struct journal_gap){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1),
                                                   sqlite3_column_int64(s, 2), column(a, s, 3)};
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int64_t journal_oldest(sqlite3 *db)
{
    sqlite3_stmt *s;
    int64_t ms = 0;

    if (sqlite3_prepare_v2(db, "SELECT min(time) FROM message", -1, &s, NULL) == SQLITE_OK
        && sqlite3_step(s) == SQLITE_ROW)
        ms = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return ms;
}
