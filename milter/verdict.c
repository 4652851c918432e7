/* verdict.c - who decided, at which stage, and what the client heard. */
#include "verdict.h"

static enum verdict_kind kind_of(const struct reply *r)
{
    return r->code >= 500 ? VERDICT_REJECT : VERDICT_TEMPFAIL;
}

static const struct reply *set(struct message *m, enum stage stage, const struct record *by, const struct reply *r)
{
    m->verdict = (struct verdict){kind_of(r), by, (int)stage, r};
    return r;
}

/* refusal - what the client hears of the finding. Temporary ones are no sign of bad conduct: they are meant to pass. */
static const struct reply *refusal(struct session *s, struct arena *a, const struct record *by, struct str ref)
{
    const struct reply *r = reply_make(a, &by->finding, record_reply_kind(by), ref);

    if (r->code >= 500 && by->instance->common.karma < 0)
        s->conduct.refused = true;
    return r;
}

const struct reply *verdict_refuse(struct message *m, enum stage stage, const struct record *by)
{
    return set(m, stage, by, refusal(m->session, m->arena, by, m->ref));
}

const struct reply *verdict_refuse_connection(struct session *s, const struct record *by)
{
    s->told_by = by;
    s->told_at = by->stage;
    s->told = refusal(s, s->arena, by, s->ref);
    return s->told;
}

const struct reply *verdict_refuse_rcpt(struct message *m, struct recipient *rcpt, const struct record *by)
{
    const struct reply *r = refusal(m->session, m->arena, by, m->ref);

    rcpt->refused_by = by;
    rcpt->refusal = r;
    return r;
}

const struct reply *verdict_limit_rcpt(struct message *m, enum reply_kind kind, int code, const char *status,
                                       const char *text)
{
    struct finding f = {.result = BAD, .status = status, .code = code, .text = str_of(text)};

    return reply_make(m->arena, &f, kind, m->ref);
}

const struct reply *verdict_limit(struct message *m, enum stage stage, enum reply_kind kind, int code,
                                  const char *status, const char *text)
{
    return set(m, stage, NULL, verdict_limit_rcpt(m, kind, code, status, text));
}

/* is_good - its sender is proven, and nobody found anything bad in it or about its client. */
static bool is_good(const struct message *m)
{
    if (m->session->conduct.bad > 0)
        return false;
    for (const struct record *r = m->records.first; r; r = r->next)
        if (r->finding.result == BAD)
            return false;
    return str_is(facts_newest(&m->facts, FACT_SPF_RESULT), STR("pass")) ||
           str_is(facts_newest(&m->facts, FACT_DKIM_ALIGNED), STR("pass"));
}

void verdict_finish(struct message *m, bool ended)
{
    m->verdict = (struct verdict){VERDICT_ACCEPT, NULL, ended ? AT_MESSAGE : AT_ABORT, NULL};
    if (ended && is_good(m))
        m->session->conduct.good_message = true;
    if (ended || m->rcpt_accepted > 0)
        return;
    for (const struct recipient *r = m->rcpt; r; r = r->next)
        if (r->refused_by) {
            m->verdict = (struct verdict){kind_of(r->refusal), r->refused_by, AT_RCPT, r->refusal};
            return;
        }
}

struct verdict verdict_of_connection(const struct session *s)
{
    if (s->told)
        return (struct verdict){kind_of(s->told), s->told_by, s->told_at, s->told};
    return (struct verdict){VERDICT_ACCEPT, NULL, AT_CLOSE, NULL};
}
