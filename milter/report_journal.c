/* report_journal.c - a message, or a connection that never reached MAIL, as the journal keeps it. */
#include "config.h"
#include "db/journal.h"
#include "report.h"
#include "stage.h"
#include "verdict.h"

static const char *const judged_words[] = {"none", "now", "later", "never", "cleared"};

/* add_ran - ";mail:spf,tls" of every stage at which policies were run. */
static void add_ran(struct buf *b, const uint64_t *ran)
{
    for (unsigned stage = 0; stage < STAGES; stage++) {
        bool any = false;

        for (size_t i = 0; i < policy_table_count; i++)
            if (ran[stage] >> i & 1) {
                if (!any)
                    buf_addf(b, "%s%s", b->len ? ";" : "", stage_names[stage]);
                buf_addf(b, "%c%s", any ? ',' : ':', policy_table[i]->name);
                any = true;
            }
    }
}

static struct str ran_list(struct arena *a, const struct session *s, const struct message *m)
{
    struct buf b = buf_in(a);

    add_ran(&b, s->ran);
    if (m)
        add_ran(&b, m->ran);
    return buf_str(&b);
}

static void set_facts(struct arena *a, struct journal_finding *f, const struct record *r, const struct facts *facts)
{
    struct journal_fact *list = arena_array(a, r->facts_count, sizeof *list);

    for (size_t i = 0; i < r->facts_count; i++) {
        const struct fact_value *from = &facts->items[r->facts_from + i];

        list[i] = (struct journal_fact){str_of(fact_name(from->fact)), from->value};
    }
    f->facts = list;
    f->fact_count = r->facts_count;
}

static void set_finding(struct arena *a, struct journal_finding *f, const struct record *r, const struct facts *facts)
{
    *f = (struct journal_finding){
        .policy = str_of(r->instance->policy->name),
        .stage = str_of(stage_names[r->stage]),
        .result = str_of(result_names[r->finding.result]),
        .judged = str_of(judged_words[r->judged]),
        .status = str_of(r->finding.status),
        .code = r->finding.code,
        .text = r->finding.text,
        .karma = r->karma,
        .permanent = r->finding.permanent,
        .temporary = r->finding.temporary,
        .again = r->finding.again,
        .rcpt = r->rcpt ? (int)r->rcpt->number : -1,
        .micros = r->micros,
    };
    set_facts(a, f, r, facts);
}

/* add_findings - as many as the journal keeps; the deciding one in any case. */
static void add_findings(struct arena *a, struct journal_message *to, const struct records *list,
                         const struct facts *facts, const struct record *deciding)
{
    for (const struct record *r = list->first; r; r = r->next) {
        if (to->finding_count < JOURNAL_FINDINGS_MOST)
            set_finding(a, &to->findings[to->finding_count++], r, facts);
        else if (r == deciding)
            set_finding(a, &to->findings[JOURNAL_FINDINGS_MOST - 1], r, facts);
    }
}

static void set_rcpts(struct arena *a, struct journal_message *to, const struct message *m)
{
    size_t count = m->rcpt_count < JOURNAL_RCPT_MOST ? m->rcpt_count : JOURNAL_RCPT_MOST;

    to->nrcpt = m->rcpt_count;
    to->rcpt = arena_array(a, count, sizeof *to->rcpt);
    for (const struct recipient *r = m->rcpt; r && to->rcpt_count < count; r = r->next)
        to->rcpt[to->rcpt_count++] = (struct journal_rcpt){
            .address = report_path(a, &r->address),
            .refused_by = r->refused_by ? str_of(r->refused_by->instance->policy->name) : STR_NONE,
            .reply = r->refusal ? reply_line(a, r->refusal) : STR_NONE,
        };
}

static struct str field(struct arena *a, const struct message *m, struct str name)
{
    const struct header *h = header_find(&m->headers, name, 0);

    return h ? str_trim(header_unfold(a, h->value)) : STR_NONE;
}

static void set_message(struct arena *a, struct journal_message *to, const struct message *m)
{
    to->message = true;
    to->ref = m->ref;
    to->queue_id = m->queue_id;
    to->message_id = field(a, m, STR("Message-ID"));
    to->sender = report_path(a, &m->sender);
    to->size = (uint64_t)report_size(m);
    to->declared_size = m->declared_size;
    to->body_bytes = m->body_bytes;
    to->whitelisted |= m->is_whitelisted;
    to->karma_before = m->karma_before;
    if (m->session->config->journal.subject)
        to->subject = field(a, m, STR("Subject"));
    set_rcpts(a, to, m);
}

static bool is_watched(const struct session *s)
{
    return s->watcher && s->watcher->row;
}

static bool is_kept(const struct session *s)
{
    return s->config->journal.enabled && journal_running();
}

static void add(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v)
{
    size_t most = s->records.count + s->records.notes + (m ? m->records.count + m->records.notes : 0);
    struct journal_message j = {
        .at_ms = clock_wall_ms(),
        .host = s->config->global.hostname,
        .ref = s->ref,
        .profile = s->profile->name,
        .client = s->peer.ip,
        .client_port = s->peer.port,
        .server_port = s->peer.server_port,
        .name = s->peer.name,
        .helo = s->helo,
        .auth = s->auth,
        .tls_version = s->tls_version,
        .daemon_name = s->peer.daemon_name,
        .local = s->is_local,
        .whitelisted = s->is_whitelisted,
        .unknown_commands = s->unknown_commands,
        .verdict = str_of(verdict_names[v->kind]),
        .by = str_of(report_by(v)),
        .stage = str_of(report_at(v->at)),
        .reply = v->reply ? reply_line(a, v->reply) : STR_NONE,
        .karma = s->karma,
        .history = facts_newest(&s->facts, FACT_KARMA_HISTORY),
        .ms = clock_ms() - (m ? m->began_ms : s->began_ms),
    };

    if (m)
        set_message(a, &j, m);
    j.ran = ran_list(a, s, m);
    j.findings = arena_array(a, most < JOURNAL_FINDINGS_MOST ? most : JOURNAL_FINDINGS_MOST, sizeof *j.findings);
    add_findings(a, &j, &s->records, &s->facts, v->by);
    if (m)
        add_findings(a, &j, &m->records, &m->facts, v->by);
    if (is_watched(s))
        s->watcher->row(s->watcher->ctx, &j);
    if (is_kept(s))
        journal_add(&j);
}

void report_journal(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v)
{
    if (is_kept(s) || is_watched(s))
        add(a, s, m, v);
}
