/* journal_write.c - one message into the tables. */
#include "journal_inside.h"

static const char ran_find_sql[] = "SELECT id FROM ran WHERE stages = ?1";
static const char ran_add_sql[] = "INSERT INTO ran (stages) VALUES (?1)";
static const char message_sql[] =
    "INSERT INTO message (time, kind, ref, queue_id, message_id, host, profile, client, client_port, server_port, name,"
    " helo, auth, tls, daemon_name, sender, nrcpt, size, declared_size, body_bytes, local, whitelisted,"
    " unknown_commands, verdict, decided_by, stage, reply, karma_before, karma, history, ms, subject, ran)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,"
    " ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)";
static const char recipient_sql[] =
    "INSERT INTO recipient (message, number, address, refused_by, reply) VALUES (?1, ?2, ?3, ?4, ?5)";
static const char finding_sql[] =
    "INSERT INTO finding (message, number, policy, stage, result, judged, status, code, text, karma, flags, rcpt,"
    " micros, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
static const char gap_sql[] = "INSERT INTO gap (from_time, to_time, lost, why) VALUES (?1, ?2, ?3, ?4)";

struct row { /* being bound, column after column */
    struct database_writer *writer;
    struct arena *arena; /* what is bound lives as long as this */
    sqlite3_stmt *statement;
    int next;
};

static int failure(const struct row *r)
{
    return sqlite3_extended_errcode(database_writer_db(r->writer));
}

static bool row_begin(struct row *r, const char *sql)
{
    r->statement = database_writer_statement(r->writer, sql);
    r->next = 1;
    return r->statement != NULL;
}

static void number(struct row *r, int64_t n)
{
    sqlite3_bind_int64(r->statement, r->next++, n);
}

static void text(struct row *r, struct str s)
{
    s = journal_text(r->arena, s);
    sqlite3_bind_text(r->statement, r->next++, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

static int row_end(struct row *r)
{
    int rc = sqlite3_step(r->statement);

    sqlite3_reset(r->statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* write_ran - *id of that spelling. */
static int write_ran(struct row *r, struct str stages, int64_t *id)
{
    int rc;

    if (!row_begin(r, ran_find_sql))
        return failure(r);
    text(r, stages);
    rc = sqlite3_step(r->statement);
    if (rc == SQLITE_ROW)
        *id = sqlite3_column_int64(r->statement, 0);
    sqlite3_reset(r->statement);
    if (rc != SQLITE_DONE)
        return rc == SQLITE_ROW ? SQLITE_OK : rc;
    if (!row_begin(r, ran_add_sql))
        return failure(r);
    text(r, stages);
    rc = row_end(r);
    *id = sqlite3_last_insert_rowid(database_writer_db(r->writer));
    return rc;
}

static int write_recipient(struct row *r, int64_t message, size_t i, const struct journal_rcpt *rcpt)
{
    if (!row_begin(r, recipient_sql))
        return failure(r);
    number(r, message);
    number(r, (int64_t)i);
    text(r, rcpt->address);
    text(r, rcpt->refused_by);
    text(r, rcpt->reply);
    return row_end(r);
}

static int write_finding(struct row *r, int64_t message, size_t i, const struct journal_finding *f)
{
    struct str facts = journal_facts_text(r->arena, f->facts, f->fact_count);

    if (!row_begin(r, finding_sql))
        return failure(r);
    number(r, message);
    number(r, (int64_t)i);
    text(r, f->policy);
    text(r, f->stage);
    text(r, f->result);
    text(r, f->judged);
    text(r, f->status);
    number(r, f->code);
    text(r, f->text);
    number(r, f->karma);
    number(r, (f->permanent ? 1 : 0) | (f->temporary ? 2 : 0) | (f->again ? 4 : 0));
    number(r, f->rcpt);
    number(r, f->micros);
    sqlite3_bind_text(r->statement, r->next, facts.p, (int)facts.n, SQLITE_STATIC);
    return row_end(r);
}

static int write_message(struct row *r, const struct journal_message *m, int64_t ran)
{
    if (!row_begin(r, message_sql))
        return failure(r);
    number(r, m->at_ms);
    text(r, m->message ? STR("message") : STR("connection"));
    text(r, m->ref);
    text(r, m->queue_id);
    text(r, journal_bare(m->message_id));
    text(r, m->host);
    text(r, m->profile);
    text(r, m->client.known ? ip_text(r->arena, m->client) : STR_NONE);
    number(r, m->client_port);
    number(r, m->server_port);
    text(r, m->name);
    text(r, m->helo);
    text(r, m->auth);
    text(r, m->tls_version);
    text(r, m->daemon_name);
    text(r, m->sender);
    number(r, m->nrcpt);
    number(r, (int64_t)m->size);
    number(r, (int64_t)m->declared_size);
    number(r, (int64_t)m->body_bytes);
    number(r, m->local);
    number(r, m->whitelisted);
    number(r, m->unknown_commands);
    text(r, m->verdict);
    text(r, m->by);
    text(r, m->stage);
    text(r, m->reply);
    number(r, m->karma_before);
    number(r, m->karma);
    text(r, m->history);
    number(r, m->ms);
    text(r, m->subject);
    number(r, ran);
    return row_end(r);
}

int journal_write(struct database_writer *w, const struct journal_message *m, struct arena *a)
{
    struct row r = {.writer = w, .arena = a};
    int64_t id = 0, ran = 0;
    int rc = write_ran(&r, m->ran, &ran);

    if (rc == SQLITE_OK)
        rc = write_message(&r, m, ran);
    if (rc == SQLITE_OK)
        id = sqlite3_last_insert_rowid(database_writer_db(w));
    for (size_t i = 0; i < m->rcpt_count && rc == SQLITE_OK; i++)
        rc = write_recipient(&r, id, i, &m->rcpt[i]);
    for (size_t i = 0; i < m->finding_count && rc == SQLITE_OK; i++)
        rc = write_finding(&r, id, i, &m->findings[i]);
    return rc;
}

int journal_write_gap(struct database_writer *w, const struct journal_gap *gap, struct arena *a)
{
    struct row r = {.writer = w, .arena = a};

    if (!row_begin(&r, gap_sql))
        return failure(&r);
    number(&r, gap->from_ms);
    number(&r, gap->to_ms);
    number(&r, gap->lost);
    text(&r, gap->why);
    return row_end(&r);
}
