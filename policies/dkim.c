/* dkim - verifies the signatures of what comes in, and signs what our own people send.
 *
 * Keys are asked for when the header is complete and judged with the body. The policy refuses nobody by itself: a
 * signature that does not verify is to be treated like none (RFC 6376, 6.1), and what a domain wants done is DMARC's.
 * Signing comes last, when every edit is queued, so that what is signed is what is delivered.
 */
#include "auth/dmarc.h"
#include "policy.h"

#define KEYS_TIMEOUT_MS 10000 /* from the end of the header; the resolver's own limit usually comes first */
#define SHOWN_MOST 20         /* signatures in the log */

struct dkim_options {
    bool verify, sign;
    long max_signatures, min_rsa_bits;
    struct str_list oversign;
    unsigned algorithms; /* set of enum dkim_algorithm */
};

static const struct option dkim_rows[] = {
    OPT_BOOL(struct dkim_options, verify, "yes", "verify signatures"),
    OPT_BOOL(struct dkim_options, sign, "yes",
             "sign mail of local and authenticated clients, if there is a key in key_dir"),
    OPT_INT(struct dkim_options, max_signatures, "8", 1, 100, "signatures of one message that are looked at"),
    OPT_INT(struct dkim_options, min_rsa_bits, "1024", 512, 4096, "signatures by shorter RSA keys do not pass"),
    OPT_STRINGS(struct dkim_options, oversign, "From, To, Subject, Date",
                "header fields of which none can be added to what we signed"),
    OPT_WORDS(struct dkim_options, algorithms, "rsa, ed25519", dkim_algorithm_words,
              "sign with these, as far as there are keys"),
    OPTION_END,
};

struct asked {
    struct dkim_check *check;
    long min_rsa_bits;
    int64_t deadline;
};

/* author_domain - the one that DMARC goes by; empty when there is none. */
static struct str author_domain(struct arena *a, const struct headers *headers)
{
    struct str domain;
    const char *problem;

    return dmarc_author_of(a, headers, &domain, &problem) ? domain : STR_NONE;
}

/* ---- verifying ---- */

static void dkim_ask_headers(struct context *c)
{
    const struct dkim_options *o = OPTIONS(struct dkim_options, c);
    struct asked *asked;

    if (!o->verify)
        return;
    asked = message_state(c, sizeof *asked);
    asked->check = dkim_ask(c->arena, &c->message->dns, &c->message->headers, o->max_signatures);
    asked->min_rsa_bits = o->min_rsa_bits;
    asked->deadline = clock_ms() + KEYS_TIMEOUT_MS;
}

/* note_results - what the log tells. */
static void note_results(struct context *c, const struct auth_results *r)
{
    struct buf b = buf_in(c->arena);

    for (size_t i = 0; i < r->dkim_count && i < SHOWN_MOST; i++) {
        const struct dkim_result *one = &r->dkim[i];

        buf_addf(&b, "%s%s", i ? "; " : "", auth_words[one->result]);
        if (one->domain.n)
            buf_addf(&b, " d=" STR_FMT, STR_ARG(one->domain));
        if (one->selector.n)
            buf_addf(&b, " s=" STR_FMT, STR_ARG(one->selector));
        if (one->partly)
            buf_add(&b, STR(" partly"));
        if (one->problem.n)
            buf_addf(&b, " (" STR_FMT ")", STR_ARG(one->problem));
    }
    if (b.len)
        fact_set(c, FACT_DKIM_RESULT, buf_str(&b));
}

static bool same(struct str author, struct str domain)
{
    return author.n && domain.n && domain_same_organization(author, domain);
}

static struct finding judge(struct context *c, const struct auth_results *r, struct str author)
{
    const struct dkim_result *passed = NULL, *failed = NULL;
    bool aligned = false;
    struct finding f;

    for (size_t i = 0; i < r->dkim_count; i++) {
        const struct dkim_result *one = &r->dkim[i];

        if (one->result == AUTH_PASS && (!passed || (!aligned && same(author, one->domain)))) {
            passed = one;
            aligned = same(author, one->domain);
        } else if (one->result == AUTH_FAIL && !one->testing && same(author, one->domain)) {
            failed = failed ? failed : one;
        }
    }
    if (passed)
        fact_set(c, FACT_DKIM_DOMAIN, passed->domain);
    if (aligned) {
        fact_set(c, FACT_DKIM_ALIGNED, STR("pass"));
        f = good(c);
        f.karma = 1;
        return f;
    }
    if (passed || !failed)
        return NO_OPINION;
    return bad(c, "5.7.20", "the DKIM signature of " STR_FMT " does not verify: " STR_FMT, STR_ARG(failed->domain),
               STR_ARG(failed->problem));
}

extern const struct policy policy_dkim;

const struct auth_results *dkim_verified(struct context *c)
{
    struct auth_results *results = auth_results_of(c->message);
    struct instance as = {.policy = &policy_dkim};
    struct context mine = *c;
    struct asked *asked;
    struct str body;

    mine.instance = &as;
    asked = message_state(&mine, sizeof *asked);
    if (asked->check && !results->dkim_checked && c->message->spool && spool_view(c->message->spool, &body))
        dkim_evaluate(c->message->arena, asked->check, &c->message->headers, body, asked->min_rsa_bits, asked->deadline,
                      results);
    return results;
}

static struct finding dkim_message(struct context *c)
{
    const struct auth_results *results = dkim_verified(c);

    if (!results->dkim_checked)
        return NO_OPINION;
    note_results(c, results);
    return judge(c, results, author_domain(c->arena, &c->message->headers));
}

/* dkim_again - as it was; a signature that is aligned weighs, also of who was whitelisted then. */
static struct finding dkim_again(struct context *c, enum stage stage, const struct then *then)
{
    struct finding f;

    (void)stage;
    if (!then && !OPTIONS(struct dkim_options, c)->verify)
        return NO_OPINION;
    f = then_keep(c, then);
    if (f.result == GOOD)
        f.karma = 1;
    return f;
}

#define SIGNATURES "the signatures and keys"
static const struct told_again dkim_told[] = {
    CANNOT_TELL("verify", SIGNATURES), CANNOT_TELL("max_signatures", SIGNATURES), CANNOT_TELL("min_rsa_bits", SIGNATURES),
    CAN_TELL("sign"), CAN_TELL("oversign"), CAN_TELL("algorithms"), TOLD_AGAIN_END,
};

/* ---- signing ---- */

/* dkim_finish - what is signed is the message as it will be. Mail without an author of ours goes out as it is. */
static void dkim_finish(struct context *c)
{
    const struct dkim_options *o = OPTIONS(struct dkim_options, c);
    struct dkim_signing how = {
        .algorithms = o->algorithms, .oversign = o->oversign.items, .oversign_count = o->oversign.count,
        .now_s = clock_wall_ms() / 1000,
    };
    const struct dkim_keys *keys = loaded(c);
    struct str body, values[DKIM_ALGORITHMS];
    struct edited view;
    bool complete;
    size_t count;

    if (!o->sign || !(c->session->is_local || c->session->auth.n) || !keys || keys->count == 0)
        return;
    if (!c->message->spool || !spool_view(c->message->spool, &body))
        return;
    edits_view(c->arena, c->message->edits, &c->message->headers, body, &view);
    how.domain = dkim_keys_for(keys, author_domain(c->arena, &view.headers));
    if (!how.domain)
        return;
    count = dkim_make(c->arena, &how, &view.headers, view.body, values, &complete);
    while (count-- > 0) /* each goes above the one before */
        edit_insert_header(c->arena, c->message->edits, DKIM_FIELD, values[count]);
}

static const void *dkim_load(struct arena *a, const struct config *config, struct problems *problems)
{
    return dkim_keys_load(a, key_directory(config), problems);
}

static bool dkim_idle(const void *options, enum stage stage)
{
    const struct dkim_options *o = options;

    return stage == AT_MESSAGE ? !o->verify && !o->sign : !o->verify;
}

static void dkim_check_options(const struct common *common, const void *options, struct place at,
                               struct problems *problems)
{
    const struct dkim_options *o = options;

    (void)common;
    for (size_t i = 0; i < o->oversign.count; i++)
        for (size_t k = 0; k < o->oversign.items[i].n; k++)
            if (o->oversign.items[i].p[k] <= ' ' || o->oversign.items[i].p[k] >= 0x7f ||
                strchr(":;", o->oversign.items[i].p[k])) {
                problem_error(problems, at, "dkim: oversign: \"" STR_FMT "\" is no name of a header field",
                              STR_ARG(o->oversign.items[i]));
                break;
            }
}

const struct policy policy_dkim = {
    .name = "dkim",
    .summary = "verify DKIM signatures; sign what local and authenticated clients send",
    .options = dkim_rows,
    .options_size = sizeof(struct dkim_options),
    .presets = {.reject = "never", .karma = "-1", .skip = "whitelisted"},
    .ask = {[AT_HEADERS] = dkim_ask_headers},
    .at = {[AT_MESSAGE] = dkim_message},
    .check = dkim_check_options,
    .load = dkim_load,
    .finish = dkim_finish,
    .idle = dkim_idle,
    .verifies = true,
    .wants_body = true,
    .edits = true,
    .again = dkim_again,
    .told_again = dkim_told,
};
