/* message.c - one transaction: what SMTP says goes in, what the client is told comes out. */
#include "authres.h"
#include "config.h"
#include "edits.h"
#include "report.h"
#include "spool.h"
#include "stage.h"
#include "verdict.h"

#define FIRST_CHUNK 4096
#define QUESTIONS_MOST 400 /* to the DNS, about one message */

/* message_forget - the end of everything in the message's arena. */
static void message_forget(struct session *s)
{
    s->message = NULL;
    arena_reset(s->message_arena);
}

/* message_over - write the line; the memory stays until the next call, since the reply lives in it. */
static void message_over(struct message *m)
{
    m->over = true;
    m->session->conduct.whitelisted_message |= m->is_whitelisted;
    if (!m->session->past)
        report_message(m);
}

void message_abort(struct session *s)
{
    struct message *m = s->message;

    if (!m)
        return;
    if (!m->over) {
        verdict_finish(m, false);
        message_over(m);
    }
    message_forget(s);
}

static void note_queue_id(struct message *m, struct str queue_id)
{
    if (m->queue_id.n == 0 && queue_id.n)
        m->queue_id = str_dup(m->arena, queue_id);
}

static struct message *message_begin(struct session *s)
{
    struct message *m;

    message_abort(s);
    if (!s->message_arena)
        s->message_arena = arena_new(FIRST_CHUNK);
    m = arena_zalloc(s->message_arena, sizeof *m);
    m->arena = s->message_arena;
    m->session = s;
    m->edits = arena_zalloc(m->arena, sizeof *m->edits);
    m->began_ms = clock_ms();
    m->karma_before = s->karma;
    m->dns.left = QUESTIONS_MOST;
    m->ref = arena_printf(m->arena, STR_FMT "%u", STR_ARG(s->ref), ++s->messages);
    if (s->config->wants_body && !s->past)
        m->spool = spool_new(m->arena, s->config->limits.memory, str_c(m->arena, s->config->global.state_dir));
    s->message = m;
    return m;
}

static uint64_t declared_size(const struct str *args, size_t count)
{
    long size;

    for (size_t i = 1; i < count; i++)
        if (str_starts_nocase(args[i], STR("SIZE=")) && str_to_long(str_slice(args[i], 5, args[i].n), &size) && size > 0)
            return (uint64_t)size;
    return 0;
}

/* decide - the first refusing finding of the transaction (rule 4): a deferred one whose time has come, or `now`. */
static const struct reply *decide(struct message *m, enum stage stage, const struct record *now)
{
    const struct record *by = stage_deferred(m->session, stage);
    const struct reply *reply;

    if (!by)
        by = now;
    if (!by)
        return NULL;
    reply = verdict_refuse(m, stage, by);
    message_over(m);
    return reply;
}

/* still_over - a filter is not called again for a message that it refused; should that happen, it hears the same. */
static const struct reply *still_over(const struct message *m)
{
    return m->verdict.reply;
}

const struct reply *message_mail(struct session *s, const struct str *args, size_t count, struct str auth,
                                 struct str queue_id)
{
    struct message *m = message_begin(s);

    m->sender = address_parse(m->arena, count ? args[0] : STR_NONE);
    m->declared_size = declared_size(args, count);
    note_queue_id(m, queue_id);
    if (!str_is(s->auth, auth))
        s->auth = session_keep(s, auth);
    s->profile = profile_choose(s->config, s);
    stage_clear_deferred(s, s->auth.n > 0);
    {
        const struct record *now = stage_run(s, AT_MAIL, NULL, STR_NONE);

        stage_clear_deferred(s, false); /* a policy may have whitelisted the client or the sender */
        return decide(m, AT_MAIL, now);
    }
}

/* is_role - RFC 5321 (4.5.1) and RFC 2142: these must be reachable for a client that was refused. */
static bool is_role(const struct config *config, const struct address *a)
{
    return (str_is_nocase(a->local, STR("postmaster")) || str_is_nocase(a->local, STR("abuse"))) &&
           (a->domain.n == 0 || config_is_local_domain(config, a->domain));
}

const struct reply *message_rcpt(struct session *s, const struct str *args, size_t count, struct str queue_id)
{
    struct message *m = s->message;
    struct recipient *rcpt;
    const struct record *by, *now;

    if (!m)
        return NULL;
    if (m->over)
        return still_over(m);
    note_queue_id(m, queue_id);
    if (m->rcpt_count >= (unsigned)s->config->limits.recipients)
        return verdict_limit_rcpt(m, REPLY_TEMP, 552, "5.5.3", "too many recipients in one transaction");
    rcpt = arena_zalloc(m->arena, sizeof *rcpt);
    rcpt->address = address_parse(m->arena, count ? args[0] : STR_NONE);
    if (m->rcpt_last)
        m->rcpt_last->next = rcpt;
    else
        m->rcpt = rcpt;
    m->rcpt_last = rcpt;
    rcpt->number = m->rcpt_count++;
    now = stage_run(s, AT_RCPT, rcpt, STR_NONE);
    by = stage_deferred(s, AT_RCPT);
    if (!by || is_role(s->config, &rcpt->address))
        by = now;
    if (!by) {
        m->rcpt_accepted++;
        return NULL;
    }
    return verdict_refuse_rcpt(m, rcpt, by);
}

/* only_roles - every accepted recipient is a postmaster: a deferred refusal would take from it what RCPT just gave. */
static bool only_roles(const struct message *m)
{
    for (const struct recipient *r = m->rcpt; r; r = r->next)
        if (!r->refused_by && !is_role(m->session->config, &r->address))
            return false;
    return m->rcpt_accepted > 0;
}

const struct reply *message_data(struct session *s, struct str queue_id)
{
    struct message *m = s->message;
    const struct record *now;

    if (!m)
        return NULL;
    if (m->over)
        return still_over(m);
    note_queue_id(m, queue_id);
    now = stage_run(s, AT_DATA, NULL, STR_NONE);
    if (!now && only_roles(m))
        return NULL;
    return decide(m, AT_DATA, now);
}

void message_header(struct session *s, struct str name, struct str value)
{
    struct message *m = s->message;

    if (!m || m->over || m->headers_cut)
        return;
    if (m->headers.bytes + name.n + value.n > s->config->limits.header_size)
        m->headers_cut = true;
    else {
        header_add(m->arena, &m->headers, name, value);
        if (str_starts(value, STR(" ")))
            m->headers.last->value = str_slice(m->headers.last->raw, 1, value.n);
    }
}

const struct reply *message_headers_end(struct session *s)
{
    struct message *m = s->message;

    if (!m)
        return NULL;
    if (m->over)
        return still_over(m);
    m->refused_at_headers = stage_run(s, AT_HEADERS, NULL, STR_NONE); /* rule 7: told at the end */
    return NULL;
}

void message_body(struct session *s, struct str chunk)
{
    struct message *m = s->message;

    if (!m || m->over)
        return;
    m->body_bytes += chunk.n;
    if (m->body_bytes > s->config->limits.message_size)
        m->too_large = true;
    else if (m->spool && !spool_add(m->spool, chunk))
        m->broken = true;
}

/* finish - for a message that is accepted, when all other edits are queued: our results, and what policies do last. */
static void finish(struct message *m)
{
    const struct profile *p = m->session->profile;
    struct context c = {
        .config = m->session->config, .session = m->session, .message = m, .arena = m->arena, .facts = &m->facts,
    };

    authres_finish(m, c.config);
    for (size_t i = 0; i < p->count; i++) {
        c.instance = &p->instances[i];
        c.options = c.instance->options;
        if (c.instance->policy->finish)
            c.instance->policy->finish(&c);
    }
}

/* limits - what refuses a message although no policy found anything. */
static const struct reply *limits(struct message *m)
{
    if (m->headers_cut)
        return verdict_limit(m, AT_MESSAGE, REPLY_PERM, 552, "5.3.4", "the message's header is too large");
    if (m->too_large)
        return verdict_limit(m, AT_MESSAGE, REPLY_PERM, 552, "5.3.4", "the message is too large");
    if (m->broken)
        return verdict_limit(m, AT_MESSAGE, REPLY_TEMP, 0, "5.3.0", "the mail filter could not keep the message");
    if (!authres_remove(m, m->session->config))
        return verdict_limit(m, AT_MESSAGE, REPLY_PERM, 550, "5.6.0",
                             "the header has too many Authentication-Results fields that name this server");
    return NULL;
}

const struct reply *message_end(struct session *s, struct str queue_id, const struct edit_target *target)
{
    struct message *m = s->message;
    const struct record *now, *by;
    const struct reply *reply;

    if (!m)
        return NULL;
    if (m->over)
        return still_over(m);
    note_queue_id(m, queue_id);
    reply = limits(m);
    if (!reply) {
        now = m->refused_at_headers ? m->refused_at_headers : stage_run(s, AT_MESSAGE, NULL, STR_NONE);
        stage_clear_deferred(s, false);
        by = only_roles(m) ? NULL : stage_deferred(s, AT_MESSAGE);
        by = by ? by : now;
        if (!by && !s->past)
            finish(m);
        if (by)
            reply = verdict_refuse(m, AT_MESSAGE, by);
        else if (!edits_apply(m->edits, target))
            reply = verdict_limit(m, AT_MESSAGE, REPLY_TEMP, 0, "5.3.0", "the mail filter could not finish the message");
        else
            verdict_finish(m, true);
    }
    message_over(m);
    if (!reply)
        message_forget(s);
    return reply;
}
