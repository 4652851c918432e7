/* past.c - the calls of SMTP, made again from a row of the journal. */
#include "edits.h"
#include "past_inside.h"
#include "reply.h"
#include "report.h"

/* ---- the answer ---- */

static struct str at_name(int at)
{
    return at == AT_ABORT ? STR("abort") : str_of(stage_names[at]);
}

static void answer_reply(struct arena *a, const struct reply *r, struct past_answer *answer)
{
    if (!r)
        return;
    answer->code = r->code;
    answer->status = str_dup(a, str_of(r->status));
    answer->text = str_dup(a, r->text);
}

static void answer_verdict(struct arena *a, const struct verdict *v, struct past_answer *answer)
{
    answer->kind = v->kind;
    answer->at = at_name(v->at);
    answer->by = v->by ? str_of(v->by->instance->policy->name) : v->reply ? STR("limits") : STR_NONE;
    answer_reply(a, v->reply, answer);
}

void past_then(struct arena *a, const struct past_row *row, struct past_answer *answer)
{
    const struct journal_message *m = row->m;
    struct str rest = m->reply, word;
    long code;

    (void)a;
    *answer = (struct past_answer){.by = m->by, .at = m->stage, .karma = m->karma, .profile = m->profile,
                                   .known = true};
    for (unsigned i = 0; verdict_names[i]; i++)
        if (str_is(m->verdict, str_of(verdict_names[i])))
            answer->kind = (enum verdict_kind)i;
    if (str_split(&rest, ' ', &word) && str_to_long(word, &code)) {
        answer->code = (int)code;
        str_split(&rest, ' ', &answer->status);
        answer->text = rest;
    }
    for (size_t i = 0; i < m->rcpt_count; i++)
        answer->rcpt_refused += m->rcpt[i].refused_by.n > 0;
}

bool past_same(const struct past_answer *x, const struct past_answer *y)
{
    return x->known == y->known && x->kind == y->kind && x->code == y->code && str_is(x->by, y->by) &&
           str_is(x->at, y->at) && x->rcpt_refused == y->rcpt_refused;
}

/* ---- the calls ---- */

struct replay {
    struct past past;
    struct arena *arena;
    const struct journal_message *m;
    struct session *session;
    struct past_answer *answer;
};

static bool ran_at(const struct replay *r, enum stage stage)
{
    return r->past.row->ran[stage] != 0;
}

static bool ended_at(const struct replay *r, const char *stage)
{
    return str_is(r->m->stage, str_of(stage));
}

static bool is_limits(const struct replay *r)
{
    return str_is(r->m->by, STR("limits"));
}

static bool hangs_up(const struct reply *reply)
{
    return reply && (reply->code == 421 || reply->code == 521);
}

/* over - true: there is nothing more to be played. */
static bool over(struct replay *r)
{
    return r->past.stopped;
}

static bool refused_before_mail(struct replay *r)
{
    struct verdict v = verdict_of_connection(r->session);

    answer_verdict(r->arena, &v, r->answer);
    return true;
}

/* split_ref - the connection's part of a message's reference, and its number. */
static void split_ref(struct replay *r)
{
    struct session *s = r->session;
    long number;

    s->ref = r->m->ref;
    if (!r->m->message || s->ref.n < 12 || !str_to_long(str_slice(s->ref, 11, s->ref.n), &number) || number < 1)
        return;
    s->ref = str_slice(r->m->ref, 0, 11);
    s->messages = (unsigned)number - 1;
}

static void open_session(struct replay *r, struct config *config)
{
    const struct journal_message *m = r->m;
    struct peer peer = {.ip = m->client, .name = m->name, .port = m->client_port, .server_port = m->server_port,
                        .daemon_name = m->daemon_name};

    r->session = session_open(config, &peer);
    r->session->past = &r->past;
    r->session->karma = r->past.row->base;
    split_ref(r);
}

static bool was_told(const struct replay *r, enum stage stage)
{
    for (size_t i = 0; i < r->past.row->count; i++)
        if (r->past.row->found[i].stage == stage && r->past.row->found[i].stopped)
            return true;
    return false;
}

/* commands - those that are no SMTP, all before MAIL, since when they came is not kept. True: the connection has a line
 * of its own for that, or never came to its message. */
static bool commands(struct replay *r)
{
    bool told = false, hung_up = false;

    for (; r->past.command < r->m->unknown_commands && !over(r) && !hung_up; r->past.command++) {
        const struct reply *reply = session_unknown(r->session, STR("?"));

        told |= reply != NULL;
        hung_up = hangs_up(reply);
    }
    if (!r->m->message)
        return told;
    return hung_up && !(ended_at(r, "abort") && was_told(r, AT_UNKNOWN)); /* it was within the message then */
}

/* before_mail - true when the connection comes to an end there. */
static bool before_mail(struct replay *r)
{
    const struct journal_message *m = r->m;
    struct session *s = r->session;

    if (session_connect(s) && !over(r))
        return refused_before_mail(r);
    for (; r->past.greeting < r->past.row->greeting_count && !over(r); r->past.greeting++)
        if (session_helo(s, r->past.row->greetings[r->past.greeting], m->tls_version) && !over(r))
            return refused_before_mail(r);
    if (m->helo.n && !over(r) && session_helo(s, m->helo, m->tls_version) && !over(r))
        return refused_before_mail(r);
    if (!over(r) && commands(r) && !over(r))
        return refused_before_mail(r);
    if (m->message || over(r))
        return over(r);
    if (is_limits(r) || !str_is(m->verdict, STR("accept"))) {
        if (is_limits(r))
            past_then(r->arena, r->past.row, r->answer);
        else
            past_stop(&r->past, "the client was refused at " STR_FMT " then: what it would have said next is not known",
                      STR_ARG(m->stage));
    } else {
        r->answer->kind = VERDICT_ACCEPT;
        r->answer->at = STR("close");
    }
    return true;
}

/* given_up - the client ends it: RSET, QUIT, or because we hung up. */
static void given_up(struct replay *r)
{
    verdict_finish(r->session->message, false);
    answer_verdict(r->arena, &r->session->message->verdict, r->answer);
}

static bool refused(struct replay *r, const struct reply *reply)
{
    if (!reply)
        return false;
    answer_verdict(r->arena, &r->session->message->verdict, r->answer);
    return true;
}

/* was_hung_up - at a recipient: what the client would have gone on with is not known. */
static bool was_hung_up(const struct journal_message *m)
{
    for (size_t i = 0; i < m->rcpt_count; i++)
        if (str_starts(m->rcpt[i].reply, STR("421")) || str_starts(m->rcpt[i].reply, STR("521")))
            return true;
    return false;
}

static bool was_accepted(const struct journal_message *m)
{
    for (size_t i = 0; i < m->rcpt_count; i++)
        if (m->rcpt[i].refused_by.n == 0)
            return true;
    return m->nrcpt > m->rcpt_count;
}

/* recipients - true when the message comes to an end there. */
static bool recipients(struct replay *r)
{
    const struct journal_message *m = r->m;
    bool cut = m->nrcpt > m->rcpt_count;

    for (size_t i = 0; i < m->rcpt_count && !over(r); i++) {
        const struct reply *reply = message_rcpt(r->session, &m->rcpt[i].address, 1, m->queue_id);

        r->answer->rcpt_refused += reply != NULL;
        if (hangs_up(reply) && !over(r)) {
            given_up(r);
            return true;
        }
    }
    if (over(r))
        return true;
    if (r->session->message->rcpt_accepted == 0 && cut)
        past_stop(&r->past, "rcpt: only the first %d recipients were recorded", JOURNAL_RCPT_MOST);
    else if (r->session->message->rcpt_accepted == 0)
        given_up(r);
    else if (was_hung_up(m))
        past_stop(&r->past, "rcpt: the client was hung up on then: what it would have said next is not known");
    else if (!was_accepted(m))
        past_stop(&r->past, "data: all recipients were refused then: the message never came");
    else
        return false;
    return true;
}

static bool apply_nothing(void *ctx, const struct edit *edit)
{
    (void)ctx, (void)edit;
    return true;
}

/* content - the message itself. */
static void content(struct replay *r)
{
    const struct edit_target target = {apply_nothing, NULL};
    struct session *s = r->session;
    const struct reply *reply;

    if ((ended_at(r, "message") || ran_at(r, AT_HEADERS)) && message_headers_end(s) && !over(r))
        return;
    if (over(r))
        return;
    if (ended_at(r, "data")) {
        past_stop(&r->past, "headers: the client was refused at data then: the message never came");
    } else if (!ended_at(r, "message")) {
        given_up(r);
    } else if (is_limits(r) && !ran_at(r, AT_MESSAGE)) { /* that comes first */
        unsigned rcpt_refused = r->answer->rcpt_refused;

        past_then(r->arena, r->past.row, r->answer);
        r->answer->rcpt_refused = rcpt_refused;
    } else {
        reply = message_end(s, r->m->queue_id, &target);
        if (over(r) || refused(r, reply))
            return;
        if (is_limits(r)) { /* the edits failed */
            past_then(r->arena, r->past.row, r->answer);
            return;
        }
        r->answer->kind = VERDICT_ACCEPT;
        r->answer->at = STR("message");
    }
}

static void message(struct replay *r)
{
    const struct journal_message *m = r->m;
    struct session *s = r->session;
    struct str args[2] = {m->sender, arena_printf(r->arena, "SIZE=%llu", (unsigned long long)m->declared_size)};
    const struct reply *reply = message_mail(s, args, m->declared_size ? 2 : 1, m->auth, m->queue_id);

    if (over(r) || refused(r, reply))
        return;
    if (ended_at(r, "mail")) {
        past_stop(&r->past, "rcpt: the client was refused at mail then: recipients and message never came");
        return;
    }
    if (m->rcpt_count == 0) {
        given_up(r);
        return;
    }
    if (recipients(r))
        return;
    if ((s->config->stages & 1u << AT_DATA) &&
        (ended_at(r, "data") || ended_at(r, "message") || ran_at(r, AT_DATA) || ran_at(r, AT_HEADERS))) {
        reply = message_data(s, m->queue_id);
        if (over(r) || refused(r, reply))
            return;
    }
    content(r);
}

void past_judge(struct arena *a, struct config *config, const struct past_row *row, const bool *changed,
                struct past_answer *answer)
{
    struct replay r = {.past = {.row = row, .changed = changed, .arena = a}, .arena = a, .m = row->m, .answer = answer};
    struct session *s;

    *answer = (struct past_answer){.kind = VERDICT_ACCEPT};
    open_session(&r, config);
    s = r.session;
    if (!before_mail(&r) && !over(&r))
        message(&r);
    answer->karma = s->karma;
    answer->profile = str_dup(a, s->profile->name);
    answer->known = !r.past.stopped;
    answer->unknown = r.past.unknown;
    /* session_close() would learn, and write its line. */
    config = s->config;
    arena_free(&s->message_arena);
    arena_free(&s->arena);
    config_unref(&config);
}
