/* smtp_forward - recipients in domains whose mail goes on to an inner server, which is asked whether it takes them.
 *
 * Only the inner server's 5xx refuses for good. Whatever else keeps it from saying yes puts the mail off: the client
 * comes again, and nobody has to bounce later what was accepted here.
 */
#include <stdlib.h>

#include "policy.h"
#include "smtp/ask.h"
#include "smtp/line.h"

struct route {
    struct str domain; /* as in the DNS, lower-case */
    struct smtp_where where;
};

struct smtp_forward_options {
    struct str_list routes;
    int64_t timeout, cache;
    struct route *table; /* sorted by domain */
    size_t count;
};

static const struct option smtp_forward_rows[] = {
    OPT_STRINGS(struct smtp_forward_options, routes, "",
                "\"domain host\" or \"domain host:port\": the inner server that knows the domain's recipients"),
    OPT_DURATION(struct smtp_forward_options, timeout, "10s", 100, 120000, "how long to wait for the inner server"),
    OPT_DURATION(struct smtp_forward_options, cache, "5m", 0, 86400000,
                 "how long its yes and its no are kept; 0: it is asked every time"),
    OPTION_END,
};

struct asking { /* of a message */
    struct smtp_asker *asker;
    int64_t deadline; /* of the recipient at hand */
};

static int by_domain(const void *a, const void *b)
{
    return str_compare(((const struct route *)a)->domain, ((const struct route *)b)->domain);
}

/* read_route - "dom host[:port]"; false with what is wrong. */
static bool read_route(struct arena *a, struct str text, struct route *r, struct str *error)
{
    struct str domain, host, more;

    if (!str_token(&text, &domain) || !str_token(&text, &host) || str_token(&text, &more)) {
        *error = STR("\"domain host\" or \"domain host:port\" is expected");
        return false;
    }
    if (!domain_to_ascii(a, domain, &r->domain) || !domain_is_hostname(r->domain, false)) {
        *error = STR("its first word is the domain of the recipients");
        return false;
    }
    return smtp_where(a, host, &r->where, error);
}

static void smtp_forward_prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct smtp_forward_options *o = options;

    o->table = arena_array(a, o->routes.count, sizeof *o->table);
    o->count = 0;
    for (size_t i = 0; i < o->routes.count; i++) {
        struct str error;

        if (read_route(a, o->routes.items[i], &o->table[o->count], &error))
            o->count++;
        else
            problem_error(problems, at, "smtp_forward: route \"" STR_FMT "\": " STR_FMT, STR_ARG(o->routes.items[i]),
                          STR_ARG(error));
    }
    if (o->count)
        qsort(o->table, o->count, sizeof *o->table, by_domain);
    for (size_t i = 1; i < o->count; i++)
        if (str_is(o->table[i].domain, o->table[i - 1].domain))
            problem_error(problems, at, "smtp_forward: two routes for " STR_FMT, STR_ARG(o->table[i].domain));
}

static const struct route *route_of(struct context *c)
{
    const struct smtp_forward_options *o = OPTIONS(struct smtp_forward_options, c);
    struct route key = {.domain = STR_NONE};

    if (o->count == 0 || !domain_to_ascii(c->arena, c->rcpt->address.domain, &key.domain))
        return NULL;
    return bsearch(&key, o->table, o->count, sizeof *o->table, by_domain);
}

/* smtp_forward_ask - only the time runs from now on, beside what other policies wait for. The server is asked when it
 * is our turn: a recipient that a policy before us refuses would keep one of its few connections busy for nobody. */
static void smtp_forward_ask(struct context *c)
{
    const struct smtp_forward_options *o = OPTIONS(struct smtp_forward_options, c);
    struct asking *s = message_state(c, sizeof *s);

    s->deadline = clock_ms() + o->timeout;
}

static const struct smtp_answer *ask(struct context *c, struct asking *s, const struct route *route)
{
    const struct smtp_forward_options *o = OPTIONS(struct smtp_forward_options, c);
    const struct peer *peer = &c->session->peer;

    if (!s->asker)
        s->asker = smtp_asker(c->arena);
    return smtp_ask(s->asker, &(struct smtp_question){
                                  .where = &route->where, .hello = host_name(c), .sender = c->message->sender.text,
                                  .rcpt = c->rcpt->address.text, .well_formed = c->rcpt->address.well_formed,
                                  .our_ip = peer->server_ip, .our_port = peer->server_port, .deadline = s->deadline,
                                  .keep_ms = o->cache});
}

/* put_off - 4xx, whatever the profile says of unsure findings. */
static struct finding put_off(struct context *c, const char *status, struct str words)
{
    struct str domain = c->rcpt->address.domain;
    struct finding f = words.n ? unsure(c, "the server of " STR_FMT " says: " STR_FMT, STR_ARG(domain), STR_ARG(words))
                               : unsure(c, "the server of " STR_FMT " cannot be asked now, try again later",
                                        STR_ARG(domain));

    f.status = status && status[0] ? status : "5.4.0";
    f.temporary = true;
    return f;
}

static void note(struct context *c, const struct smtp_answer *answer)
{
    struct str words = answer->said == SMTP_TAKES ? STR("takes it") : answer->text.n ? answer->text : STR("no");

    fact_set(c, FACT_INNER, answer->known ? arena_printf(c->arena, STR_FMT " (known)", STR_ARG(words)) : words);
}

static struct finding smtp_forward_rcpt(struct context *c)
{
    struct asking *s = message_state(c, sizeof *s);
    const struct address *rcpt = &c->rcpt->address;
    const struct peer *peer = &c->session->peer;
    const struct route *route = route_of(c);
    const struct smtp_answer *answer;
    const char *status;

    if (!route)
        return NO_OPINION;
    if (line_is_ours(peer->ip, peer->port)) /* the client is ourselves, asking */
        return put_off(c, "5.4.6", STR_NONE);
    answer = ask(c, s, route);
    status = answer->status && answer->status[0] ? answer->status : "5.1.1";
    note(c, answer);
    switch (answer->said) {
    case SMTP_TAKES:
        return NO_OPINION;
    case SMTP_REFUSES:
        if (answer->text.n == 0)
            return bad(c, status, "invalid recipient " STR_FMT, STR_ARG(rcpt->text));
        return bad(c, status, "the server of " STR_FMT " says: " STR_FMT, STR_ARG(rcpt->domain), STR_ARG(answer->text));
    case SMTP_LATER:
        return put_off(c, answer->status, answer->text);
    case SMTP_UNKNOWN:
        break;
    }
    return put_off(c, answer->status, STR_NONE); /* what is wrong with our network is no stranger's business */
}

/* smtp_forward_data - no more recipients will come. */
static void smtp_forward_data(struct context *c)
{
    struct asking *s = message_state(c, sizeof *s);

    if (s->asker)
        smtp_hang_up(s->asker);
}

static bool smtp_forward_idle(const void *options, enum stage stage)
{
    (void)stage;
    return ((const struct smtp_forward_options *)options)->routes.count == 0;
}

static struct finding smtp_forward_again(struct context *c, enum stage stage, const struct then *then)
{
    (void)stage;
    return route_of(c) ? then_keep(c, then) : NO_OPINION;
}

#define ANOTHER_ANSWER "what a server would have said that was asked otherwise"
static const struct told_again smtp_forward_told[] = {
    CANNOT_TELL("routes", ANOTHER_ANSWER), CANNOT_TELL("timeout", ANOTHER_ANSWER), CANNOT_TELL("cache", ANOTHER_ANSWER),
    TOLD_AGAIN_END,
};

const struct policy policy_smtp_forward = {
    .name = "smtp_forward",
    .summary = "ask an inner server whether it takes the recipient",
    .options = smtp_forward_rows,
    .options_size = sizeof(struct smtp_forward_options),
    .ask = {[AT_RCPT] = smtp_forward_ask, [AT_DATA] = smtp_forward_data},
    .at = {[AT_RCPT] = smtp_forward_rcpt},
    .prepare = smtp_forward_prepare,
    .idle = smtp_forward_idle,
    .again = smtp_forward_again,
    .told_again = smtp_forward_told,
};
