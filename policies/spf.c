/* spf - may this client send for the sender's domain, and for the name in its HELO? (RFC 7208)
 *
 * Asked from MAIL on; each stage asks what the answers so far lead to. Told at the end of the headers, so that
 * whitelist and dmarc have it at the end of the message, where it is judged: only then is it known whether a DMARC
 * record speaks for the domain in From, which then decides instead of reject_policy.
 */
#include "auth/spf.h"
#include "policy.h"

#define WAIT_MS 20000   /* in all: RFC 7208, 4.6.4 */
#define VALUE_MOST 256  /* bytes of one value in Received-SPF */
#define LINE_MOST 78

struct spf_options {
    long reject_policy;
    bool received_spf;
    bool check_helo;
};

static const struct option spf_rows[] = {
    OPT_INT(struct spf_options, reject_policy, "1", 0, 4,
            "refuse, where there is no DMARC record: 1 fail, 2 and softfail, 3 and neutral, 4 and none and permerror"),
    OPT_BOOL(struct spf_options, received_spf, "yes", "add a Received-SPF field"),
    OPT_BOOL(struct spf_options, check_helo, "yes", "check the name in HELO, too; it refuses nothing"),
    OPTION_END,
};

struct spf_state {
    struct spf_check *from; /* of MAIL FROM; of <>, RFC 7208 makes it postmaster at the name in HELO */
    struct spf_check *helo;
    const struct spf_answer *answer; /* of the first, once it is told */
};

static struct spf_check *begin(struct context *c, struct str sender)
{
    const struct spf_request request = {
        .client = c->session->peer.ip,
        .helo = c->session->helo,
        .sender = sender,
        .receiver = host_name(c),
    };

    return spf_begin(c->arena, &c->message->dns, &request);
}

static void spf_ask(struct context *c)
{
    struct spf_state *state = message_state(c, sizeof *state);

    if (!c->session->peer.ip.known)
        return;
    if (!state->from) {
        state->from = begin(c, c->message->sender.text);
        if (c->message->sender.text.n && OPTIONS(struct spf_options, c)->check_helo)
            state->helo = begin(c, STR(""));
    }
    spf_advance(state->from);
    if (state->helo)
        spf_advance(state->helo);
}

static struct spf_result result_of(const struct spf_answer *answer)
{
    return (struct spf_result){
        .checked = true, .result = answer->result, .domain = answer->domain, .problem = answer->problem};
}

static void note(struct context *c, const struct spf_answer *answer)
{
    fact_set(c, FACT_SPF_RESULT, str_of(auth_words[answer->result]));
    fact_set(c, FACT_SPF_DOMAIN, answer->domain);
}

/* finish - both identities; told once. */
static const struct spf_answer *finish(struct context *c, struct spf_state *state)
{
    struct auth_results *results = auth_results_of(c->message);
    int64_t deadline = clock_ms() + WAIT_MS;
    const struct spf_answer *helo;

    if (state->answer || !state->from)
        return state->answer;
    state->answer = spf_finish(state->from, deadline);
    results->spf_from = result_of(state->answer);
    note(c, state->answer);
    helo = state->answer->helo ? state->answer : state->helo ? spf_finish(state->helo, deadline) : NULL;
    if (helo) {
        results->spf_helo = result_of(helo);
        fact_set(c, FACT_SPF_HELO_RESULT, str_of(auth_words[helo->result]));
    }
    return state->answer;
}

static struct finding spf_headers(struct context *c)
{
    finish(c, message_state(c, sizeof(struct spf_state)));
    return NO_OPINION;
}

/* ---- Received-SPF (RFC 7208, 9.1) ---- */

static bool is_dot_atom(struct str s)
{
    if (s.n == 0 || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char lower = (char)(s.p[i] | 0x20);

        if (s.p[i] == '.' && s.p[i - 1] == '.')
            return false;
        if ((lower < 'a' || lower > 'z') && (s.p[i] < '0' || s.p[i] > '9') &&
            str_find(STR("!#$%&'*+-/=?^_`{|}~."), s.p[i]) == 20)
            return false;
    }
    return true;
}

struct field {
    struct buf text;
    size_t line, room; /* where the last line begins, and how long it may be */
    bool pairs;
};

/* add_quoted - every byte that is not printable is written as \xHH: nothing of a stranger ends a string or a line. */
static void add_quoted(struct buf *b, struct str value)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_addf(b, "\\%c", value.p[i]);
        else if (value.p[i] >= ' ' && value.p[i] <= '~')
            buf_addc(b, value.p[i]);
        else
            buf_addf(b, "\\\\x%02x", (unsigned char)value.p[i]);
    }
    buf_addc(b, '"');
}

static void add_pair(struct context *c, struct field *f, const char *key, struct str value)
{
    struct buf b = buf_in(c->arena);

    value = str_slice(value, 0, VALUE_MOST);
    buf_addf(&b, "%s=", key);
    if (is_dot_atom(value))
        buf_add(&b, value);
    else
        add_quoted(&b, value);
    if (f->pairs)
        buf_addc(&f->text, ';');
    f->pairs = true;
    if (f->text.len - f->line + b.len + 2 > f->room) {
        buf_add(&f->text, STR("\n\t"));
        f->line = f->text.len - 1;
        f->room = LINE_MOST;
    } else {
        buf_addc(&f->text, ' ');
    }
    buf_add(&f->text, buf_str(&b));
}

static void add_field(struct context *c, const struct spf_answer *answer)
{
    const struct session *s = c->session;
    struct field f = {.text = buf_in(c->arena), .room = LINE_MOST - sizeof "Received-SPF:"};

    buf_addf(&f.text, "%s", auth_words[answer->result]);
    add_pair(c, &f, "client-ip", ip_text(c->arena, s->peer.ip));
    if (!answer->helo)
        add_pair(c, &f, "envelope-from", c->message->sender.text);
    add_pair(c, &f, "helo", s->helo);
    add_pair(c, &f, "identity", answer->helo ? STR("helo") : STR("mailfrom"));
    add_pair(c, &f, "receiver", host_name(c));
    if (answer->mechanism.n)
        add_pair(c, &f, "mechanism", answer->mechanism);
    if (answer->problem.n)
        add_pair(c, &f, "problem", answer->problem);
    edit_insert_header(c->arena, c->message->edits, STR("Received-SPF"), buf_str(&f.text));
}

/* ---- the judgement ---- */

/* refuses - whether this result is one to refuse, as far as no DMARC record speaks. */
static bool refuses(struct context *c, enum auth_result result)
{
    static const long from[] = {
        [AUTH_FAIL] = 1, [AUTH_SOFTFAIL] = 2, [AUTH_NEUTRAL] = 3, [AUTH_NONE] = 4, [AUTH_PERMERROR] = 4,
        [AUTH_PASS] = 5, [AUTH_POLICY] = 5,   [AUTH_TEMPERROR] = 5,
    };
    struct str record = fact_get(c, FACT_DMARC_RECORD);

    if (record.n && !str_is(record, STR("none")))
        return false;
    return OPTIONS(struct spf_options, c)->reject_policy >= from[result];
}

static struct finding refusal(struct context *c, const struct spf_answer *answer)
{
    struct str domain = answer->domain.n ? answer->domain : STR("your sender address");

    switch (answer->result) {
    case AUTH_FAIL:
        if (answer->explanation.n)
            return bad(c, "5.7.23", "your address may not send for " STR_FMT ", which says: " STR_FMT, STR_ARG(domain),
                       STR_ARG(answer->explanation));
        return bad(c, "5.7.23", "your address may not send for " STR_FMT, STR_ARG(domain));
    case AUTH_PERMERROR:
        return bad(c, "5.7.24", "the SPF record of " STR_FMT " is wrong", STR_ARG(domain));
    default:
        return bad(c, "5.7.23", "SPF %s: " STR_FMT " does not say that your address may send for it",
                   auth_words[answer->result], STR_ARG(domain));
    }
}

static struct finding judge(struct context *c, const struct spf_answer *answer)
{
    struct finding f;

    switch (answer->result) {
    case AUTH_PASS:
        f = good(c);
        f.karma = 1;
        return f;
    case AUTH_TEMPERROR:
        return unsure(c, "the SPF record of " STR_FMT " could not be asked: " STR_FMT, STR_ARG(answer->domain),
                      STR_ARG(answer->problem));
    case AUTH_FAIL:
    case AUTH_SOFTFAIL:
        return refuses(c, answer->result) ? refusal(c, answer) : weigh(c, c->instance->common.karma);
    default:
        return refuses(c, answer->result) ? refusal(c, answer) : NO_OPINION;
    }
}

static struct finding spf_message(struct context *c)
{
    const struct spf_answer *answer = finish(c, message_state(c, sizeof(struct spf_state)));

    if (!answer)
        return NO_OPINION;
    note(c, answer); /* again, so that it stands beside the finding */
    if (OPTIONS(struct spf_options, c)->received_spf)
        add_field(c, answer);
    return judge(c, answer);
}

/* ---- the past ---- */

static bool result_read(struct str word, enum auth_result *result)
{
    for (unsigned i = 0; auth_words[i]; i++)
        if (str_is(word, str_of(auth_words[i]))) {
            *result = (enum auth_result)i;
            return true;
        }
    return false;
}

/* spf_judge_again - what the record says is known, but for its explanation. */
static struct finding spf_judge_again(struct context *c, enum stage stage, const struct then *then)
{
    struct spf_answer answer = {.domain = then_fact(then, FACT_SPF_DOMAIN)};
    struct finding f;

    if (!c->session->peer.ip.known)
        return NO_OPINION;
    if (stage != AT_MESSAGE || !result_read(then_fact(then, FACT_SPF_RESULT), &answer.result) ||
        answer.result == AUTH_TEMPERROR)
        return then_keep(c, then);
    then_keep(c, then);
    f = judge(c, &answer);
    return f.result == BAD && then->finding.result == BAD ? then->finding : f;
}

static const struct told_again spf_told[] = {
    CAN_TELL("reject_policy"), CAN_TELL("received_spf"), CAN_TELL("check_helo"), TOLD_AGAIN_END,
};

const struct policy policy_spf = {
    .name = "spf",
    .summary = "clients that the sender's domain does not let send for it",
    .options = spf_rows,
    .options_size = sizeof(struct spf_options),
    .presets = {.karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_MAIL] = spf_ask, [AT_RCPT] = spf_ask, [AT_DATA] = spf_ask, [AT_HEADERS] = spf_ask},
    .at = {[AT_HEADERS] = spf_headers, [AT_MESSAGE] = spf_message},
    .verifies = true,
    .edits = true,
    .again = spf_judge_again,
    .told_again = spf_told,
};
