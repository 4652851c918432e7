/* karma - remembers how every client behaved; who was naughty too often stays in the penalty box for a while.
 *
 * What a connection is worth is the sum of the weights of all findings. At its end it is learned, for the address (IPv6:
 * its /64), as nice, naughty or neither. Clients that this policy skips are neither judged nor learned, and since the
 * connection tells no more than its findings, nobody can make an innocent address naughty.
 */
#include <stdio.h>

#include "policy.h"

struct karma {
    long negative, strikes;
    int64_t penalty, max_penalty;
    struct str_list tlds;
    long max_rcpt_unknown;
    struct tld *weights; /* of tlds, as read by prepare() */
    size_t weight_count;
};

struct tld {
    struct str name; /* without the dot before it */
    long weight;
};

static const struct option rows[] = {
    OPT_INT(struct karma, negative, "2", 1, 1000, "a client is boxed when it was naughty so many times more than nice"),
    OPT_INT(struct karma, strikes, "3", 1, 1000, "a connection is naughty at minus so much, nice at plus so much"),
    OPT_DURATION(struct karma, penalty, "1d", 1000, 3650.0 * 86400 * 1000, "time in the box"),
    OPT_DURATION(struct karma, max_penalty, "30d", 1000, 3650.0 * 86400 * 1000,
                 "the longest time, for those that never were nice"),
    OPT_STRINGS(struct karma, tlds, "", "what the sender's top-level domain weighs: \"top:-4\"; of several the longest"),
    OPT_INT(struct karma, max_rcpt_unknown, "0", 0, 1000000,
            "most recipients of a message while the client's history is not above 0; others get 452; 0: any number"),
    OPTION_END,
};

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

/* ---- the options ---- */

static bool read_tld(struct str entry, struct tld *tld)
{
    struct str name;

    if (!str_split(&entry, ':', &name))
        return false;
    entry = str_trim(entry);
    if (!str_to_long(str_starts(entry, STR("+")) ? str_slice(entry, 1, entry.n) : entry, &tld->weight))
        return false;
    name = str_trim(name);
    tld->name = str_starts(name, STR(".")) ? str_slice(name, 1, name.n) : name;
    return tld->name.n > 0 && tld->weight != 0 && tld->weight >= -100 && tld->weight <= 100;
}

static void check(const struct common *common, const void *options, struct place at, struct problems *problems)
{
    const struct karma *o = options;

    (void)common;
    if (o->max_penalty < o->penalty)
        problem_error(problems, at, "karma: max_penalty is shorter than penalty");
}

static void prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct karma *o = options;

    o->weights = arena_array(a, o->tlds.count, sizeof *o->weights);
    o->weight_count = 0;
    for (size_t i = 0; i < o->tlds.count; i++)
        if (read_tld(o->tlds.items[i], &o->weights[o->weight_count]))
            o->weight_count++;
        else
            problem_error(problems, at,
                          "karma: tlds: \"" STR_FMT "\" is not of the form \"top:-4\", with a weight from -100 to 100",
                          STR_ARG(o->tlds.items[i]));
}

static bool idle(const void *options, enum stage stage)
{
    const struct karma *o = options;

    return (stage == AT_MAIL && o->tlds.count == 0) || (stage == AT_RCPT && o->max_rcpt_unknown == 0);
}

/* ---- CONNECT: what is remembered ---- */

static struct finding karma_connect(struct context *c)
{
    const struct karma *o = OPTIONS(struct karma, c);
    struct karma_record record;
    struct karma_net net;
    int64_t until;

    if (!c->session->peer.ip.known)
        return NO_OPINION;
    net = karma_net_of(c->session->peer.ip);
    if (karma_get(&net, &record) == KARMA_UNKNOWN)
        return NO_OPINION; /* the store has said so; a client is not to wait for our disk */
    fact_set(c, FACT_KARMA_HISTORY, arena_printf(c->arena, "%lld", (long long)karma_history(&record)));
    if (!karma_boxed(&record, now_s(), o->max_penalty / 1000, &until))
        return NO_OPINION;
    fact_set(c, FACT_KARMA_BOX, clock_rfc3339(c->arena, until * 1000));
    return bad(c, "5.7.1", "your address has behaved badly too often and is not served until " STR_FMT,
               STR_ARG(clock_rfc3339(c->arena, until * 1000)));
}

/* ---- MAIL: top-level domains, and domains below them ---- */

static bool is_below(struct str domain, struct str tld)
{
    return domain.n > tld.n && domain.p[domain.n - tld.n - 1] == '.' &&
           str_is_nocase(str_slice(domain, domain.n - tld.n, domain.n), tld);
}

static struct finding karma_mail(struct context *c)
{
    const struct karma *o = OPTIONS(struct karma, c);
    const struct tld *best = NULL;

    for (size_t i = 0; i < o->weight_count; i++)
        if (is_below(c->message->sender.domain, o->weights[i].name) &&
            (!best || o->weights[i].name.n > best->name.n))
            best = &o->weights[i];
    if (!best)
        return NO_OPINION;
    fact_set(c, FACT_MATCHED, arena_printf(c->arena, STR_FMT ":%+ld", STR_ARG(best->name), best->weight));
    return weigh(c, best->weight);
}

/* ---- RCPT: strangers with many recipients ---- */

static struct finding karma_rcpt(struct context *c)
{
    const struct karma *o = OPTIONS(struct karma, c);
    struct str history = fact_get(c, FACT_KARMA_HISTORY);
    struct finding f;
    long n = 0;

    if (o->max_rcpt_unknown == 0 || c->message->rcpt_count <= (unsigned long)o->max_rcpt_unknown)
        return NO_OPINION;
    if (history.n == 0 || (str_to_long(history, &n) && n > 0) || c->session->karma > 0)
        return NO_OPINION;
    fact_set(c, FACT_COUNT, arena_printf(c->arena, "%u", c->message->rcpt_count));
    f = bad_code(c, 552, "5.5.3", "too many recipients for a client that is not known here; send to the others later");
    f.temporary = true;
    return f;
}

/* ---- the end: learn ---- */

static struct finding karma_close(struct context *c)
{
    const struct karma *o = OPTIONS(struct karma, c);
    const struct session *s = c->session;
    struct karma_event event = {
        .at = (double)clock_wall_ms() / 1000,
        .rules = {.negative = o->negative, .penalty_s = o->penalty / 1000, .max_penalty_s = o->max_penalty / 1000},
    };

    /* A whitelisted sender's message teaches nothing, but it does not hide what else was refused. */
    if (!s->peer.ip.known || (s->conduct.whitelisted_message && !s->conduct.refused))
        return NO_OPINION;
    event.net = karma_net_of(s->peer.ip);
    event.naughty = s->karma <= -o->strikes || s->conduct.refused;
    event.nice = !event.naughty && (s->karma >= o->strikes || s->conduct.good_message);
    snprintf(event.reason, sizeof event.reason, STR_FMT, STR_ARG(s->conduct.reasons));
    karma_learn(&event);
    return NO_OPINION;
}

static struct finding karma_again(struct context *c, enum stage stage, const struct then *then)
{
    if (stage != AT_CONNECT || !c->session->peer.ip.known)
        return NO_OPINION;
    return then_keep(c, then);
}

#define LEARNED "what the client would have come to by then: it is learned from connection to connection"
static const struct told_again told[] = {
    CANNOT_TELL("negative", LEARNED), CANNOT_TELL("strikes", LEARNED), CANNOT_TELL("penalty", LEARNED),
    CANNOT_TELL("max_penalty", LEARNED), CAN_TELL("tlds"), CAN_TELL("max_rcpt_unknown"), TOLD_AGAIN_END,
};

const struct policy policy_karma = {
    .name = "karma",
    .summary = "remembers how clients behaved, and refuses those that were naughty too often",
    .options = rows,
    .options_size = sizeof(struct karma),
    .presets = {.reject = "never", .reply = "disconnect", .skip = "local, auth, whitelisted"},
    .check = check,
    .prepare = prepare,
    .idle = idle,
    .at = {
        [AT_CONNECT] = karma_connect,
        [AT_MAIL] = karma_mail,
        [AT_RCPT] = karma_rcpt,
        [AT_CLOSE] = karma_close,
    },
    .replays = 1u << AT_MAIL | 1u << AT_RCPT,
    .again = karma_again,
    .told_again = told,
};
