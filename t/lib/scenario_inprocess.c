/* scenario_inprocess.c - the driver without a daemon: calls session.h and message.h as callbacks.c does. */
#include <time.h>

#include "scenario.h"

#include "milter/base/clock.h"
#include "milter/base/log.h"
#include "milter/config.h"
#include "milter/dns/dns.h"
#include "milter/edits.h"
#include "milter/message.h"
#include "milter/reply.h"
#include "milter/session.h"
#include "milter/stage.h"

#define CHUNK 65535 /* libmilter's MILTER_CHUNK_SIZE */

struct inprocess {
    struct play *play;
    struct config *config;
    struct session *session;
    struct seen *seen;             /* of the step being played */
    unsigned session_records;      /* told already */
    unsigned message_records, message_number;
    struct watcher watcher;
};

static void note_finding(struct inprocess *in, const struct record *r, const struct facts *facts)
{
    struct arena *a = in->play->arena;
    struct seen_finding f = {
        .policy = str_of(r->instance->policy->name),
        .result = str_of(result_names[r->finding.result]),
        .status = str_dup(a, str_of(r->finding.status)),
    };

    for (size_t i = r->facts_from; i < r->facts_from + r->facts_count; i++) {
        f.facts = arena_grow(a, f.facts, f.fact_count, sizeof *f.facts);
        f.facts[f.fact_count++] = (struct pair){.key = str_of(fact_name(facts->items[i].fact)),
                                                .value = str_dup(a, facts->items[i].value)};
    }
    in->seen->findings = arena_grow(a, in->seen->findings, in->seen->finding_count, sizeof f);
    in->seen->findings[in->seen->finding_count++] = f;
}

static unsigned note_new(struct inprocess *in, const struct records *list, const struct facts *facts, unsigned from)
{
    unsigned n = 0;

    for (const struct record *r = list->first; r; r = r->next)
        if (n++ >= from && r->finding.result != NOTHING) /* such a one only weighs: see `karma` */
            note_finding(in, r, facts);
    return n;
}

/* look - take what was found since the last look. A message's findings go with it, so this is also called while its
 * report line is being written. */
static void look(struct inprocess *in)
{
    struct session *s = in->session;

    if (!s || !in->seen)
        return;
    in->seen->karma = s->karma;
    in->seen->karma_known = true;
    in->session_records = note_new(in, &s->records, &s->facts, in->session_records);
    if (!s->message)
        return;
    if (in->message_number != s->messages) {
        in->message_number = s->messages;
        in->message_records = 0;
    }
    in->message_records = note_new(in, &s->message->records, &s->message->facts, in->message_records);
}

static void captured(int level, struct str line, void *ctx)
{
    struct inprocess *in = ctx;

    if (level >= 0 || !in->seen) {
        play_note(in->play, "said " STR_FMT, STR_ARG(line));
        return;
    }
    look(in);
    seen_line(in->play, in->seen, line);
}

static bool record_edit(void *ctx, const struct edit *edit)
{
    struct inprocess *in = ctx;
    struct seen *seen = in->seen;

    seen->edits = arena_grow(in->play->arena, seen->edits, seen->edit_count, sizeof *seen->edits);
    seen->edits[seen->edit_count++] = edit_text(in->play->arena, edit);
    return true;
}

static bool inprocess_begin(struct play *p, struct str config, struct str *error)
{
    struct inprocess *in = arena_zalloc(p->arena, sizeof *in);
    struct problems problems = {.arena = p->arena};

    p->state = in;
    in->play = p;
    log_capture(captured, in);
    early_begin(p);
    clock_script_wall(p->wall_ms);
    clock_script_load(p->load);
    in->config = config_from_text_changed(STR("sme-milter.conf"), config, p->scenario->changes, &problems);
    for (size_t i = 0; i < problems.count; i++)
        play_note(p, STR_FMT, STR_ARG(problem_text(p->arena, &problems.items[i])));
    if (!in->config) {
        *error = STR("the configuration is refused");
    } else {
        struct dns_settings dns = {.cache_entries = (size_t)in->config->dns.cache_entries};

        if (config_uses(in->config, "karma"))
            karma_store_start(p->dir, 10000);
        if (dns_configure(&dns, error, p->arena) && dns_script(STR("dns"), p->scenario->dns, true, error, p->arena))
            return true;
        config_unref(&in->config);
    }
    log_capture(NULL, NULL);
    return false;
}

static void say(struct inprocess *in, const struct reply *reply)
{
    if (!reply)
        return;
    in->seen->reply = reply_line(in->play->arena, reply);
    in->seen->closed = reply->code == 421 || reply->code == 521;
}

static void note_row(void *ctx, const struct journal_message *row)
{
    struct inprocess *in = ctx;

    rows_add(in->play->scenario->rows, row);
}

static void connect_to(struct inprocess *in, const struct step *step)
{
    struct peer peer = {.name = step->name, .port = step->client_port, .server_port = step->server_port,
                        .daemon_name = step->daemon_name};

    if (!ip_parse(step->client, &peer.ip) && !str_is(step->client, STR("unknown"))) {
        in->seen->error = STR("that is no address");
        return;
    }
    in->session_records = in->message_records = in->message_number = 0;
    in->session = session_open(in->config, &peer);
    in->watcher = (struct watcher){.ctx = in, .row = note_row};
    if (in->play->scenario->rows)
        in->session->watcher = &in->watcher;
    say(in, session_connect(in->session));
}

static void mail(struct inprocess *in, const struct step *step)
{
    say(in, message_mail(in->session, step->args.items, step->args.count, in->play->auth, STR_NONE));
    if (in->seen->reply.n) {
        look(in);
        message_abort(in->session); /* as Postfix does */
    }
}

/* queue_id - Postfix has one from the first accepted recipient on. */
static struct str queue_id(const struct play *p)
{
    return p->rcpts ? STR("4ZQueueId0") : STR_NONE;
}

static bool used(const struct inprocess *in, enum stage stage)
{
    return in->config->stages & 1u << stage;
}

static void data(struct inprocess *in)
{
    if (used(in, AT_DATA))
        say(in, message_data(in->session, queue_id(in->play)));
}

/* message - the steps that callbacks.c does not negotiate are not called here either: the log line tells the size. */
static void message(struct inprocess *in, const struct step *step)
{
    struct play *p = in->play;
    bool headers = used(in, AT_HEADERS) || used(in, AT_MESSAGE);
    struct edit_target target = {record_edit, in};
    struct str rest = step->text, name, value;

    in->seen->edits_known = true;
    if (!p->in_data) {
        data(in);
        if (in->seen->reply.n)
            return;
    }
    while (scenario_field(p->arena, &rest, &name, &value))
        if (headers)
            message_header(in->session, name, value);
    if (headers)
        say(in, message_headers_end(in->session));
    while (in->config->wants_body && rest.n && !in->seen->reply.n) {
        message_body(in->session, str_slice(rest, 0, CHUNK));
        rest = str_slice(rest, CHUNK, rest.n);
    }
    if (!in->seen->reply.n)
        say(in, message_end(in->session, queue_id(p), &target));
}

static void inprocess_step(struct play *p, const struct step *step, struct seen *seen)
{
    struct inprocess *in = p->state;

    clock_script_wall(p->wall_ms);
    clock_script_load(p->load);
    in->seen = seen;
    seen->findings_known = true;
    if (step->kind == STEP_ADVANCE) {
        clock_script_wall(p->wall_ms - step->ms);
        clock_script_advance(step->ms);
    }
    if (!play_stuck(p, step, seen)) {
        switch (step->kind) {
        case STEP_CONNECT:
            connect_to(in, step);
            break;
        case STEP_HELO:
        case STEP_EHLO:
            message_abort(in->session); /* Postfix says so before the greeting */
            say(in, session_helo(in->session, step->args.items[0], p->tls));
            break;
        case STEP_MAIL:
            mail(in, step);
            break;
        case STEP_RCPT:
            say(in, message_rcpt(in->session, step->args.items, step->args.count, queue_id(p)));
            break;
        case STEP_UNKNOWN:
            say(in, session_unknown(in->session, step->args.items[0]));
            break;
        case STEP_DATA:
            data(in);
            break;
        case STEP_MESSAGE:
            message(in, step);
            break;
        case STEP_ABORT:
            message_abort(in->session);
            break;
        case STEP_CLOSE:
            look(in);
            session_close(&in->session);
            break;
        default:
            break;
        }
    }
    look(in);
    seen->asked_known = true;
    asked_add(p->arena, &seen->asked, dns_script_asked(p->arena));
    asked_add(p->arena, &seen->unscripted, dns_script_unscripted(p->arena));
    in->seen = NULL;
}

static void inprocess_end(struct play *p)
{
    struct inprocess *in = p->state;

    session_close(&in->session);
    if (p->scenario->rows && p->scenario->rows->after)
        p->scenario->rows->after(p, p->scenario->rows, in->config);
    karma_store_stop(10000);
    config_unref(&in->config);
    dns_script_end();
    early_end();
    log_capture(NULL, NULL);
    clock_script_end();
}

const struct driver driver_inprocess = {
    .name = "inprocess",
    .bit = DRIVER_INPROCESS,
    .begin = inprocess_begin,
    .step = inprocess_step,
    .end = inprocess_end,
};
