/* helo - names that no honest client gives.
 *
 * The tests stand in one table with the level from which each is run; the first that fails ends it. Those that need the
 * DNS are asked at HELO and judged at MAIL, where the client hears of them, so that the answers come while it talks;
 * with reject = now they are judged at HELO.
 */
#include "policy.h"

enum helo_level { LENIENT, RFC, STRICT };

static const char *const level_words[] = {"lenient", "rfc", "strict", NULL};

struct helo_options {
    int level; /* enum helo_level */
    struct pattern_list badhelo;
    int64_t timeout;
    bool header;
};

struct helo_state {
    struct str asked;                /* the name that was asked about */
    struct str name;                 /* the same in A-labels; empty: it is none */
    struct dns_question *a, *aaaa;   /* of it; NULL for literals and below level rfc */
    int64_t deadline;
    bool failed;                     /* a test without DNS has failed at HELO */
    bool judged;                     /* by the DNS, for an earlier message */
    struct str before;               /* the name of the greeting before */
};

static const struct option helo_rows[] = {
    OPT_WORD(struct helo_options, level, "lenient", level_words, "how many tests are run"),
    OPT_HOSTS(struct helo_options, badhelo, "",
              "names that are refused: name, .domain, /regex/, each with an optional text"),
    OPT_DURATION(struct helo_options, timeout, "5s", 100, 60000, "how long to wait for the DNS"),
    OPT_BOOL(struct helo_options, header, "no", "replace X-HELO by one with the client's HELO name"),
    OPTION_END,
};

static struct finding refuse(struct context *c, const char *test, const char *words)
{
    fact_set(c, FACT_HELO_TEST, str_of(test));
    return bad(c, "5.7.1", "HELO name: %s", words);
}

static struct finding test_badhelo(struct context *c)
{
    const struct pattern *entry = pattern_find(&OPTIONS(struct helo_options, c)->badhelo, c->session->helo);

    if (!entry)
        return NO_OPINION;
    fact_set(c, FACT_HELO_TEST, STR("badhelo"));
    return bad_entry(c, entry, "5.7.1", "HELO name: not accepted here");
}

static struct finding test_localhost(struct context *c)
{
    struct str helo = c->session->helo;

    if (!str_is_nocase(helo, STR("localhost")) && !str_is_nocase(helo, STR("localhost.localdomain")))
        return NO_OPINION;
    if (ip_is_loopback(c->session->peer.ip))
        return NO_OPINION;
    return refuse(c, "localhost", "you are not localhost");
}

static struct finding test_forged_literal(struct context *c)
{
    struct ip ip;

    if (!domain_literal(c->session->helo, &ip) || ip_equal(ip, c->session->peer.ip))
        return NO_OPINION;
    return refuse(c, "forged_literal", "the address literal is not your address");
}

static struct finding test_plain_ip(struct context *c)
{
    struct ip ip;

    if (!ip_parse(c->session->helo, &ip))
        return NO_OPINION;
    return refuse(c, "plain_ip", "an address needs brackets (RFC 5321, 4.1.3)");
}

static struct finding test_not_fqdn(struct context *c)
{
    struct ip ip;

    if (domain_literal(c->session->helo, &ip) || domain_is_fqdn(c->session->helo))
        return NO_OPINION;
    return refuse(c, "not_fqdn", "not a fully qualified domain name");
}

static struct finding test_literal(struct context *c)
{
    struct ip ip;

    if (!domain_literal(c->session->helo, &ip))
        return NO_OPINION;
    return refuse(c, "address_literal", "address literals are not accepted here");
}

/* ---- tests that need the DNS; a lookup that fails is unsure, never a failed test ---- */

struct lookups {
    const struct dns_answer *a, *aaaa;
    enum dns_status ptr;   /* of the client's address */
    bool forward, reverse; /* matches */
};

/* near - the same /24, or /64: mail farms answer under one name with several addresses. */
static bool near(struct ip x, struct ip y)
{
    size_t bytes = ip_is_v4(x) ? 15 : 8;

    return x.known && y.known && ip_is_v4(x) == ip_is_v4(y) && memcmp(x.b, y.b, bytes) == 0;
}

static bool any_near(const struct dns_answer *answer, struct ip ip)
{
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
        if (near(answer->records[i].ip, ip))
            return true;
    return false;
}

/* unsure_of - a test that could not be made. */
static struct finding unsure_of(struct context *c, const char *test, const char *words)
{
    fact_set(c, FACT_HELO_TEST, str_of(test));
    return unsure(c, "%s", words);
}

static struct finding test_no_forward(struct context *c, const struct lookups *l)
{
    if (!l->a || l->a->status == DNS_OK || l->aaaa->status == DNS_OK)
        return NO_OPINION;
    if (l->a->status == DNS_FAIL || l->aaaa->status == DNS_FAIL)
        return unsure_of(c, "no_forward_dns", "the HELO name could not be looked up");
    return refuse(c, "no_forward_dns", "the name has no address");
}

static struct finding test_no_reverse(struct context *c, const struct lookups *l)
{
    if (l->ptr == DNS_FAIL)
        return unsure_of(c, "no_reverse_dns", "the name of your address could not be looked up");
    if (l->ptr == DNS_OK)
        return NO_OPINION;
    return refuse(c, "no_reverse_dns", "your address has no name");
}

static bool own_failed(const struct context *c, const struct lookups *l)
{
    const struct dns_answer *own = ip_is_v4(c->session->peer.ip) ? l->a : l->aaaa;

    return own && own->status == DNS_FAIL;
}

static struct finding test_no_match(struct context *c, const struct lookups *l)
{
    if (l->forward || l->reverse)
        return NO_OPINION;
    if (own_failed(c, l))
        return unsure_of(c, "no_matching_dns", "the HELO name could not be looked up");
    return refuse(c, "no_matching_dns", "neither the name's address nor your address's name matches");
}

static const struct {
    enum helo_level from;
    struct finding (*test)(struct context *);
    struct finding (*dns_test)(struct context *, const struct lookups *);
} helo_tests[] = {
    {LENIENT, test_badhelo, NULL},   {LENIENT, test_localhost, NULL}, {LENIENT, test_forged_literal, NULL},
    {LENIENT, test_plain_ip, NULL},  {RFC, test_not_fqdn, NULL},      {STRICT, test_literal, NULL},
    {RFC, NULL, test_no_forward},    {RFC, NULL, test_no_reverse},    {STRICT, NULL, test_no_match},
};

/* run_tests - those without DNS when l is NULL, the others otherwise. */
static struct finding run_tests(struct context *c, const struct lookups *l)
{
    int level = OPTIONS(struct helo_options, c)->level;

    for (size_t i = 0; i < sizeof helo_tests / sizeof helo_tests[0]; i++) {
        struct finding f = NO_OPINION;

        if ((int)helo_tests[i].from <= level && !l == !helo_tests[i].dns_test)
            f = l ? helo_tests[i].dns_test(c, l) : helo_tests[i].test(c);
        if (f.result != NOTHING)
            return f;
    }
    return NO_OPINION;
}

static void helo_ask(struct context *c)
{
    const struct helo_options *o = OPTIONS(struct helo_options, c);
    struct helo_state *state = session_state(c, sizeof *state);
    struct session *s = c->session;

    if (o->level < RFC || s->helo.n == 0 || str_is(state->asked, s->helo))
        return;
    state->asked = s->helo;
    state->a = state->aaaa = NULL;
    state->name = STR_NONE;
    if (domain_is_fqdn(s->helo)) { /* not a literal; one that has no form in the DNS is asked in vain: unsure */
        struct str asked = domain_to_ascii(s->arena, s->helo, &state->name) ? state->name : STR("");

        state->a = dns_ask(s->arena, &s->dns, asked, DNS_A);
        state->aaaa = dns_ask(s->arena, &s->dns, asked, DNS_AAAA);
    }
    state->deadline = clock_ms() + o->timeout;
    if (!s->names && s->peer.ip.known)
        s->names = peer_names_ask(s->arena, &s->dns, s->peer.ip);
}

static struct finding judge_dns(struct context *c)
{
    const struct helo_options *o = OPTIONS(struct helo_options, c);
    struct helo_state *state = session_state(c, sizeof *state);
    struct session *s = c->session;
    struct lookups l;
    struct finding f;

    if (o->level < RFC || state->failed || !state->asked.n || !s->names)
        return NO_OPINION;
    l = (struct lookups){.ptr = peer_names_ptr(s->arena, s->names, state->deadline)};
    if (state->a) {
        l.a = dns_harvest(state->a, state->deadline);
        l.aaaa = dns_harvest(state->aaaa, state->deadline);
        l.forward = any_near(l.a, s->peer.ip) || any_near(l.aaaa, s->peer.ip);
    }
    for (size_t i = 0; i < s->names->count; i++)
        l.reverse |= state->name.n && domain_same_organization(s->names->name[i], state->name);
    fact_set(c, FACT_HELO_MATCH, l.forward && l.reverse ? STR("both") : l.forward ? STR("forward")
                                 : l.reverse ? STR("reverse") : own_failed(c, &l) ? STR("unknown") : STR("none"));
    f = run_tests(c, &l);
    if (f.result == NOTHING && o->level == STRICT && l.forward && l.reverse)
        f = (struct finding){.result = GOOD, .karma = 1};
    f.again = state->judged;
    state->judged = true;
    return f;
}

static struct finding helo_helo(struct context *c)
{
    struct helo_state *state = session_state(c, sizeof *state);
    struct finding f;

    if (c->session->greetings > 1 && state->before.n)
        fact_set(c, FACT_HELO_BEFORE, state->before);
    state->before = c->session->helo;
    f = run_tests(c, NULL);
    state->failed = f.result != NOTHING;
    state->judged = false;
    return state->failed || c->instance->common.reject != REJECT_NOW ? f : judge_dns(c);
}

static struct finding helo_mail(struct context *c)
{
    return c->instance->common.reject == REJECT_NOW ? NO_OPINION : judge_dns(c);
}

/* X-HELO is ours to write: what the sender wrote under that name goes. */
static struct finding helo_message(struct context *c)
{
    struct message *m = c->message;
    size_t forged;

    if (!OPTIONS(struct helo_options, c)->header)
        return NO_OPINION;
    forged = header_count(&m->headers, STR("X-HELO"));
    for (size_t i = forged; i > 0; i--)
        edit_delete_header(c->arena, m->edits, STR("X-HELO"), (int)i);
    edit_add_header(c->arena, m->edits, STR("X-HELO"), str_escaped(c->arena, c->session->helo));
    return NO_OPINION;
}

/* ---- the past ---- */

/* judge_again - by what the DNS was found to say then, at whatever level. */
static struct finding judge_again(struct context *c, const struct then *then)
{
    int level = OPTIONS(struct helo_options, c)->level;
    struct str match = then_fact(then, FACT_HELO_MATCH), test = then_fact(then, FACT_HELO_TEST);
    bool by_match = str_is(test, STR("no_matching_dns"));
    struct finding f;

    if (match.n == 0)
        return not_kept(c, "the DNS was not asked for the HELO name then");
    if (then->finding.result == BAD || then->finding.result == UNSURE) {
        f = then_keep(c, then);
        return by_match && level < STRICT ? NO_OPINION : f;
    }
    fact_set(c, FACT_HELO_MATCH, match);
    f = NO_OPINION;
    if (level == STRICT && str_is(match, STR("unknown")))
        f = unsure_of(c, "no_matching_dns", "the HELO name could not be looked up");
    else if (level == STRICT && str_is(match, STR("none")))
        f = refuse(c, "no_matching_dns", "neither the name's address nor your address's name matches");
    else if (level == STRICT && str_is(match, STR("both")))
        f = (struct finding){.result = GOOD, .karma = 1};
    f.again = then->finding.again;
    return f;
}

/* helo_again - the tests without DNS are made again; those with it at the stage where they are told now. */
static struct finding helo_again(struct context *c, enum stage stage, const struct then *then)
{
    bool now = c->instance->common.reject == REJECT_NOW;
    struct helo_state *state = session_state(c, sizeof *state);
    struct finding f = NO_OPINION;

    if (stage == AT_HELO) {
        state->failed = (f = run_tests(c, NULL)).result != NOTHING;
        if (state->failed)
            return f;
    }
    if (stage == AT_MESSAGE || now != (stage == AT_HELO) || state->failed || c->session->helo.n == 0 ||
        OPTIONS(struct helo_options, c)->level < RFC || !c->session->peer.ip.known)
        return NO_OPINION;
    if (then_fact(then, FACT_HELO_MATCH).n == 0)
        then = then_at(c, stage == AT_HELO ? AT_MAIL : AT_HELO);
    return judge_again(c, then);
}

static const struct told_again helo_told[] = {
    CAN_TELL("level"), CAN_TELL("badhelo"), CAN_TELL("header"), CANNOT_TELL("timeout", "when the answers came"),
    TOLD_AGAIN_END,
};

static bool helo_idle(const void *options, enum stage stage)
{
    const struct helo_options *o = options;

    return stage == AT_MESSAGE && !o->header;
}

const struct policy policy_helo = {
    .name = "helo",
    .summary = "refuse HELO names that no honest client gives",
    .options = helo_rows,
    .options_size = sizeof(struct helo_options),
    .presets = {.reject = "later", .karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_HELO] = helo_ask},
    .at = {[AT_HELO] = helo_helo, [AT_MAIL] = helo_mail, [AT_MESSAGE] = helo_message},
    .idle = helo_idle,
    .edits = true,
    .again = helo_again,
    .told_again = helo_told,
};
