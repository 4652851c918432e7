/* fcrdns - a client whose address has a name that leads back to it (RFC 8601, 2.7.3: iprev).
 *
 * Asked at CONNECT. It is told no earlier than at MAIL unless reject = now, so it is harvested there: the answers come
 * while the client talks.
 */
#include "policy.h"

struct fcrdns_options {
    int64_t timeout;
};

static const struct option fcrdns_rows[] = {
    OPT_DURATION(struct fcrdns_options, timeout, "5s", 100, 60000, "how long to wait for the names"),
    OPTION_END,
};

struct fcrdns_state {
    bool judged; /* for an earlier message */
    int64_t deadline;
};

static void fcrdns_ask(struct context *c)
{
    struct session *s = c->session;
    struct fcrdns_state *state = session_state(c, sizeof *state);

    if (!s->names && s->peer.ip.known)
        s->names = peer_names_ask(s->arena, &s->dns, s->peer.ip);
    if (!state->deadline)
        state->deadline = clock_ms() + OPTIONS(struct fcrdns_options, c)->timeout;
}

static struct finding judge(struct context *c)
{
    struct session *s = c->session;
    struct fcrdns_state *state = session_state(c, sizeof *state);
    const struct peer_names *names;
    struct finding f = {.result = GOOD, .karma = 1};

    if (!s->names)
        return NO_OPINION;
    names = peer_names_harvest(s->arena, &s->dns, s->names, state->deadline);
    switch (names->result) {
    case PEER_NAMES_PASS:
        fact_set(c, FACT_IPREV, STR("pass"));
        for (size_t i = 0; i < names->count; i++)
            if (names->verified[i]) {
                fact_set(c, FACT_PEER_NAME, names->name[i]);
                break;
            }
        break;
    case PEER_NAMES_FAIL:
        fact_set(c, FACT_IPREV, STR("fail"));
        f = bad(c, "5.7.25", "the name of your address does not lead back to it");
        break;
    case PEER_NAMES_NONE:
        fact_set(c, FACT_IPREV, STR("permerror"));
        f = bad(c, "5.7.25", "your address has no name");
        break;
    case PEER_NAMES_UNSURE:
        fact_set(c, FACT_IPREV, STR("temperror"));
        f = unsure(c, "the name of your address could not be asked: %s", names->why);
        break;
    }
    f.again = state->judged;
    state->judged = true;
    return f;
}

static struct finding fcrdns_connect(struct context *c)
{
    return c->instance->common.reject == REJECT_NOW ? judge(c) : NO_OPINION;
}

static struct finding fcrdns_mail(struct context *c)
{
    return c->instance->common.reject == REJECT_NOW ? NO_OPINION : judge(c);
}

/* fcrdns_again - found at CONNECT or at MAIL, as reject was then; told at CONNECT or at MAIL, as it is now. */
static struct finding fcrdns_again(struct context *c, enum stage stage, const struct then *then)
{
    bool now = c->instance->common.reject == REJECT_NOW;
    struct finding f;

    if (now != (stage == AT_CONNECT) || !c->session->peer.ip.known)
        return NO_OPINION;
    if (!then || then->finding.result == NOTHING) {
        then = then_at(c, stage == AT_CONNECT ? AT_MAIL : AT_CONNECT);
        if (!then || then->finding.result == NOTHING)
            return not_kept(c, "the names of the client were not asked for then");
    }
    f = then_keep(c, then);
    if (f.result == GOOD)
        f.karma = 1;
    return f;
}

static const struct told_again fcrdns_told[] = {
    CANNOT_TELL("timeout", "when the answers came"), TOLD_AGAIN_END,
};

const struct policy policy_fcrdns = {
    .name = "fcrdns",
    .summary = "clients whose address has no name that leads back to it",
    .options = fcrdns_rows,
    .options_size = sizeof(struct fcrdns_options),
    .presets = {.reject = "never", .karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_CONNECT] = fcrdns_ask, [AT_MAIL] = fcrdns_ask},
    .at = {[AT_CONNECT] = fcrdns_connect, [AT_MAIL] = fcrdns_mail},
    .again = fcrdns_again,
    .told_again = fcrdns_told,
};
