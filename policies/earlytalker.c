/* earlytalker - clients that talk before it is their turn: programs that do not listen to what the server says.
 *
 * Before the banner the client is given some time to betray itself; who has behaved well for long does not wait. DATA
 * is the last command of a group also for who may send several at once (RFC 2920), so what comes between it and the 354
 * is early, too. Postfix asks us the same at BDAT, where it is not: which of the two it was shows at the end of the
 * headers, by the 354 that has been sent.
 */
#include "policy.h"

struct earlytalker {
    int64_t wait;
    unsigned check_at;
    long trust_karma;
};

struct early { /* at DATA */
    bool waited;
    struct pregreet pregreet;
};

enum { CHECK_CONNECT = 1, CHECK_DATA = 2 };
static const char *const turn_words[] = {"connect", "data", NULL};

static const struct option rows[] = {
    OPT_DURATION(struct earlytalker, wait, "1s", 0, 30000, "how long the client is given to talk too early"),
    OPT_WORDS(struct earlytalker, check_at, "connect", turn_words,
              "connect: before the banner; data: before the message is asked for"),
    OPT_INT(struct earlytalker, trust_karma, "5", -1000000, 1000000,
            "clients whose history is better than this neither wait nor are looked at"),
    OPTION_END,
};

static bool is_trusted(struct context *c)
{
    struct str history = fact_get(c, FACT_KARMA_HISTORY);
    long n;

    return str_to_long(history, &n) && n > OPTIONS(struct earlytalker, c)->trust_karma;
}

static struct pregreet wait_for(struct context *c, enum pregreet_turn turn)
{
    return pregreet_wait(&c->session->peer, turn, OPTIONS(struct earlytalker, c)->wait);
}

static void note_early(struct context *c, const char *at, const struct pregreet *early)
{
    unsigned long long bytes = early->seen == PREGREET_TALKED ? early->bytes : 0;

    fact_set(c, FACT_EARLY, arena_printf(c->arena, "%s:%llu", at, bytes));
}

static struct finding early_connect(struct context *c)
{
    struct pregreet early;

    if (!(OPTIONS(struct earlytalker, c)->check_at & CHECK_CONNECT) || is_trusted(c))
        return NO_OPINION;
    early = wait_for(c, PREGREET_BANNER);
    note_early(c, "connect", &early);
    if (early.seen != PREGREET_TALKED)
        return NO_OPINION;
    return bad(c, "5.5.0", "you spoke before it was your turn: a client waits for the server's greeting");
}

static struct finding early_data(struct context *c)
{
    struct early *state = message_state(c, sizeof *state);

    state->waited = (OPTIONS(struct earlytalker, c)->check_at & CHECK_DATA) && !is_trusted(c);
    if (state->waited)
        state->pregreet = wait_for(c, PREGREET_DATA);
    return NO_OPINION;
}

static struct finding early_headers(struct context *c)
{
    struct early *state = message_state(c, sizeof *state);
    struct pregreet *early = &state->pregreet;

    if (!state->waited)
        return NO_OPINION;
    if (early->seen == PREGREET_TALKED && !pregreet_was_data(&c->session->peer, early, c->session->tls_version))
        early->seen = PREGREET_SILENT; /* it was BDAT */
    note_early(c, "data", early);
    if (early->seen != PREGREET_TALKED)
        return NO_OPINION;
    return bad(c, "5.5.0", "you spoke before it was your turn: a client waits for the answer to DATA");
}

/* early_again - who was trusted then was not looked at. */
static struct finding early_again(struct context *c, enum stage stage, const struct then *then)
{
    unsigned turn = stage == AT_CONNECT ? CHECK_CONNECT : CHECK_DATA;

    if (stage == AT_DATA || !(OPTIONS(struct earlytalker, c)->check_at & turn) || is_trusted(c))
        return NO_OPINION;
    if (then && then_fact(then, FACT_EARLY).n == 0)
        return not_kept(c, "whether it spoke early was not looked at then");
    return then_keep(c, then);
}

static const struct told_again told[] = {
    CANNOT_TELL("wait", "when it spoke"), CAN_TELL("check_at"), CAN_TELL("trust_karma"), TOLD_AGAIN_END,
};

static void prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    (void)a, (void)options, (void)at, (void)problems;
    pregreet_forget();
}

static bool idle(const void *options, enum stage stage)
{
    const struct earlytalker *o = options;

    return !(o->check_at & (stage == AT_CONNECT ? CHECK_CONNECT : CHECK_DATA));
}

const struct policy policy_earlytalker = {
    .name = "earlytalker",
    .summary = "refuse clients that talk before it is their turn",
    .options = rows,
    .options_size = sizeof(struct earlytalker),
    .presets = {.reject = "later", .karma = "-1", .skip = "local, auth, whitelisted"},
    .prepare = prepare,
    .idle = idle,
    .holds = 1u << AT_DATA,
    .at = {[AT_CONNECT] = early_connect, [AT_DATA] = early_data, [AT_HEADERS] = early_headers},
    .again = early_again,
    .told_again = told,
};
