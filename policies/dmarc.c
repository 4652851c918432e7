/* dmarc - what the author's domain wants done with mail that is not proven to be its own.
 *
 *   off      everything is evaluated, noted and reported, nothing is refused
 *   conform  p=reject alone refuses nothing, as RFC 9989 (7.4) asks: it takes evidence of our own; without any, reject
 *            is treated as quarantine. Mailing lists are let through without evidence, and with it quarantined
 *   strict   what is published is done
 *
 * The questions go out at the end of the headers, together with those for the keys of signatures.
 */
#include "auth/arc.h"
#include "auth/arc_tags.h"
#include "auth/dmarc.h"
#include "auth/dmarc_options.h"
#include "policy.h"
#include "scan/raw.h"

#define WAIT_MS 5000
#define QUARANTINE_FIELD STR("X-DMARC-Quarantine")
#define SIGNATURES_MOST 8 /* whose domains are asked for early */

static const char *const policy_words[] = {"off", "conform", "strict", NULL};
static const char *const discovery_words[] = {"treewalk", "psl", NULL};
static const char *const quarantine_words[] = {"tag", "hold", "reject", "none", NULL};

static const struct option rows[] = {
    OPT_WORD(struct dmarc_options, policy, "off", policy_words,
             "off: refuse nothing; conform: refuse with other evidence alone; strict: do what the domain publishes"),
    OPT_WORD(struct dmarc_options, discovery, "treewalk", discovery_words,
             "how a domain's organisation is found: RFC 9989, or the public suffix list of RFC 7489"),
    OPT_WORD(struct dmarc_options, quarantine, "tag", quarantine_words,
             "tag with X-DMARC-Quarantine, hold in Postfix, reject (conform without evidence: tag), none"),
    OPT_BOOL(struct dmarc_options, reporting, "yes", "collect aggregate reports for domains that ask for them"),
    OPT_STRING(struct dmarc_options, org_name, "", "our organisation, in reports; empty: the host's name"),
    OPT_STRING(struct dmarc_options, email, "", "sender of reports and contact; empty: postmaster at the host's name"),
    OPT_BOOL(struct dmarc_options, exclude_lists, "yes", "conform: let mail with the header of a mailing list through"),
    OPT_STRINGS(struct dmarc_options, trusted_sealers, "",
                "domains (d=) whose ARC seals are believed when they say that DMARC had passed"),
    OPTION_END,
};

struct of_message {
    bool asked_for;
    bool has_author;
    struct str author;
    const char *problem; /* when there is none */
    struct dmarc_asked *asked;
    struct arc *arc;
    bool arc_unknown;    /* a key of it could not be had */
    int64_t deadline;
    long karma;          /* of the connection, before anything was found at the end of this message */
};

/* What else counts of a message that fails. */
struct seen {
    long conduct;   /* what the connection's karma was without SPF, DKIM and DMARC */
    bool list;      /* it has the header of a mailing list */
    bool is_signed; /* somebody has signed it, whatever became of that */
    bool spf_failed;
    bool vouched;   /* by a forwarder whom we trust */
    bool testing;   /* the record says t=y */
};

struct of_session {
    long excused; /* what SPF, DKIM and DMARC themselves did to the connection's karma: no other evidence */
};

/* ---- asking ---- */

static void ask_likely(struct context *c, struct of_message *m, struct str domain)
{
    if (domain_to_ascii(c->arena, domain, &domain) && dmarc_likely(m->author, domain))
        dmarc_walk_ask(m->asked, domain, false);
}

static void ask_signers(struct context *c, struct of_message *m)
{
    unsigned seen = 0;

    for (const struct header *h = c->message->headers.first; h && seen < SIGNATURES_MOST; h = h->next) {
        struct arc_tags tags;
        struct arc_tag d;

        if (!str_is_nocase(h->name, STR("DKIM-Signature")))
            continue;
        seen++;
        if (arc_tags_read(h->value, &tags) && arc_tag_get(&tags, "d", &d))
            ask_likely(c, m, d.value);
    }
}

/* prepared - the message's state, and its questions on their way. They have a cap of their own (DMARC_QUESTIONS_MOST)
 * instead of the message's budget: nobody escapes a policy by making us spend that. */
static struct of_message *prepared(struct context *c, enum dmarc_discovery discovery)
{
    struct of_message *m = message_state(c, sizeof *m);
    const struct address *sender = &c->message->sender;

    if (m->asked_for)
        return m;
    m->asked_for = true;
    m->deadline = clock_ms() + WAIT_MS;
    m->has_author = dmarc_author_of(c->arena, &c->message->headers, &m->author, &m->problem);
    m->asked = dmarc_asked_new(c->arena, NULL, discovery);
    if (!m->has_author)
        return m;
    dmarc_walk_ask(m->asked, m->author, true);
    if (discovery == DMARC_TREEWALK) {
        ask_likely(c, m, sender->text.n ? sender->domain : c->session->helo);
        ask_signers(c, m);
    }
    return m;
}

static void dmarc_ask(struct context *c)
{
    struct of_message *m = prepared(c, (enum dmarc_discovery)OPTIONS(struct dmarc_options, c)->discovery);

    m->arc = arc_begin(c->arena, &c->message->dns, &c->message->headers);
}

static enum dmarc_found find(struct of_message *m, struct str *at)
{
    const struct dmarc_record *record;
    enum dmarc_found found;

    *at = STR_NONE;
    if (!m->has_author)
        return DMARC_FOUND_NONE;
    found = dmarc_walk_policy(dmarc_walk_ask(m->asked, m->author, true), m->deadline, &record, at);
    return found == DMARC_FOUND && !record->usable ? DMARC_FOUND_NONE : found;
}

extern const struct policy policy_dmarc;

enum dmarc_found dmarc_record_exists(struct context *c)
{
    struct instance as = {.policy = &policy_dmarc};
    struct context mine = *c;
    struct str at;

    mine.instance = &as;
    return find(prepared(&mine, DMARC_TREEWALK), &at);
}

/* dmarc_headers - the policy spf wants to know before this one's turn comes whether there is a record. */
static struct finding dmarc_headers(struct context *c)
{
    struct str at;
    enum dmarc_found found = find(message_state(c, sizeof(struct of_message)), &at);

    fact_set(c, FACT_DMARC_RECORD,
             found == DMARC_FOUND ? at : found == DMARC_FOUND_NONE ? STR("none") : STR("unknown"));
    return NO_OPINION;
}

static void dmarc_note_karma(struct context *c)
{
    struct of_message *m = message_state(c, sizeof *m);

    m->karma = c->session->karma;
}

/* ---- judging ---- */

struct decision {
    enum dmarc_disposition disposition;
    struct str override;
};

static bool is_whitelisted(const struct context *c)
{
    return c->session->is_whitelisted || c->message->is_whitelisted;
}

/* is_of_list - advertisements have List-Unsubscribe and its like, lists these two. */
static bool is_of_list(const struct context *c)
{
    return header_find(&c->message->headers, STR("List-Id"), 0) ||
           header_find(&c->message->headers, STR("List-Post"), 0);
}

static bool is_vouched_for(const struct context *c, const struct of_message *m)
{
    const struct str_list *trusted = &OPTIONS(struct dmarc_options, c)->trusted_sealers;

    return m->has_author && c->message->auth->arc_checked && c->message->auth->arc == AUTH_PASS &&
           arc_vouches(m->arc, trusted->items, trusted->count, m->author);
}

static struct seen look_around(struct context *c, const struct of_message *m, const struct dmarc_evaluation *e)
{
    const struct spf_result *spf = &auth_results_of(c->message)->spf_from;
    const struct of_session *s = session_state(c, sizeof *s);

    return (struct seen){
        .conduct = m->karma - s->excused,
        .list = is_of_list(c),
        .is_signed = header_find(&c->message->headers, STR("DKIM-Signature"), 0) != NULL,
        .spf_failed = spf->checked && spf->result == AUTH_FAIL,
        .vouched = is_vouched_for(c, m),
        .testing = e->record && e->record->testing,
    };
}

/* note_seen - so that the message can be judged again. */
static void note_seen(struct context *c, const struct of_message *m, const struct seen *seen)
{
    fact_set(c, FACT_DMARC_SEEN,
             arena_printf(c->arena, "conduct=%ld%s%s%s%s%s%s" STR_FMT, seen->conduct, seen->list ? " list" : "",
                          seen->is_signed ? " signed" : "", seen->spf_failed ? " spf" : "",
                          seen->vouched ? " vouched" : "", seen->testing ? " testing" : "",
                          m->has_author ? " author=" : "", STR_ARG(m->has_author ? m->author : STR_NONE)));
}

/* has_evidence - something else that speaks against the message: a block list, the client's conduct, or an SPF fail
 * where no signature could ever have spoken for it. */
static bool has_evidence(struct context *c, const struct seen *seen)
{
    long history;

    if (fact_get(c, FACT_LIST).n > 0 || seen->conduct < 0)
        return true;
    if (str_to_long(fact_get(c, FACT_KARMA_HISTORY), &history) && history < 0)
        return true;
    return seen->spf_failed && !seen->is_signed && !seen->list;
}

static struct decision decided(enum dmarc_disposition d, struct str override)
{
    return (struct decision){d, override};
}

/* decide - about a message that failed. Each step down has its word for the domain owner (RFC 9990). */
static struct decision decide(struct context *c, enum dmarc_disposition published, const struct seen *seen)
{
    const struct dmarc_options *o = OPTIONS(struct dmarc_options, c);
    enum dmarc_disposition wanted = seen->testing ? dmarc_lowered(published) : published;
    struct str override = wanted != published ? STR("policy_test_mode") : STR_NONE;
    bool conform = o->policy == DMARC_CONFORM, evidence;

    if (wanted == DMARC_NONE)
        return decided(DMARC_NONE, override);
    if (o->policy == DMARC_OFF || is_whitelisted(c))
        return decided(DMARC_NONE, STR("local_policy"));
    if (seen->vouched)
        return decided(DMARC_NONE, STR("trusted_forwarder"));
    evidence = !conform || has_evidence(c, seen);
    if (conform && o->exclude_lists && seen->list) {
        if (!evidence || o->quarantine == DMARC_IGNORE)
            return decided(DMARC_NONE, STR("mailing_list"));
        return decided(DMARC_QUARANTINE, wanted == DMARC_REJECT ? STR("mailing_list") : override);
    }
    if (wanted == DMARC_REJECT && evidence)
        return decided(DMARC_REJECT, override);
    if (o->quarantine == DMARC_IGNORE)
        return decided(DMARC_NONE, STR("local_policy"));
    if (o->quarantine == DMARC_REFUSE && evidence)
        return decided(DMARC_REJECT, STR("local_policy"));
    return decided(DMARC_QUARANTINE, wanted == DMARC_REJECT ? STR("local_policy") : override);
}

static void hold(struct context *c, struct str reason)
{
    struct edit *edit = arena_zalloc(c->arena, sizeof *edit);
    struct edits *edits = c->message->edits;

    edit->kind = EDIT_QUARANTINE;
    edit->value = reason;
    if (edits->last)
        edits->last->next = edit;
    else
        edits->first = edit;
    edits->last = edit;
}

/* carry_out - the finding. A quarantined message weighs as a refused one does, but is none. */
static struct finding carry_out(struct context *c, const struct of_message *m, enum dmarc_disposition disposition)
{
    const struct common *common = &c->instance->common;
    struct of_session *s = session_state(c, sizeof *s);

    if (disposition == DMARC_NONE)
        return NO_OPINION;
    s->excused += common->karma;
    if (disposition == DMARC_REJECT && m->has_author)
        return bad(c, "5.7.26", "the message is rejected per DMARC policy for " STR_FMT, STR_ARG(m->author));
    if (disposition == DMARC_REJECT)
        return bad(c, "5.7.1", "the message has no single author domain: %s", m->problem);
    if (OPTIONS(struct dmarc_options, c)->quarantine == DMARC_HOLD)
        hold(c, m->has_author ? arena_printf(c->arena, "DMARC policy of " STR_FMT, STR_ARG(m->author))
                              : STR("no single author domain"));
    else
        edit_add_header(c->arena, c->message->edits, QUARANTINE_FIELD, STR("yes"));
    return weigh(c, common->karma);
}

static void keep(struct context *c, const struct of_message *m, const struct dmarc_evaluation *e,
                 const struct decision *d)
{
    bool shadow = c->instance->common.reject == REJECT_NEVER && d->disposition == DMARC_REJECT;

    auth_results_of(c->message)->dmarc = (struct dmarc_result){
        .checked = m->has_author,
        .result = e->result,
        .author_domain = m->author,
        .record_domain = e->record ? e->record_domain : STR_NONE,
        .org_domain = e->org_domain,
        .published = e->published,
        .disposition = shadow ? DMARC_NONE : d->disposition,
        .override = shadow ? STR("local_policy") : d->override,
        .spf_aligned = e->spf_aligned,
        .dkim_aligned = e->dkim_aligned,
        .problem = str_of(e->problem),
    };
    fact_set(c, FACT_DMARC_RESULT, str_of(auth_words[e->result]));
    if (e->record) {
        fact_set(c, FACT_DMARC_RECORD, e->record_domain);
        fact_set(c, FACT_DMARC_POLICY, str_of(dmarc_words[e->published]));
    }
    if (e->record || d->disposition != DMARC_NONE)
        fact_set(c, FACT_DMARC_DISPOSITION, str_of(dmarc_words[d->disposition]));
}

static void finish_arc(struct context *c, struct of_message *m)
{
    struct auth_results *results = auth_results_of(c->message);
    enum auth_result arc = m->arc ? arc_finish_message(m->arc, c->message, m->deadline) : AUTH_NONE;

    if (!m->arc || arc == AUTH_TEMPERROR) {
        m->arc_unknown = m->arc != NULL;
        return;
    }
    results->arc = arc;
    results->arc_checked = true;
    results->arc_sealer = arc == AUTH_PASS ? arc_sealer(m->arc, arc_count(m->arc)) : STR_NONE;
    fact_set(c, FACT_ARC_RESULT, str_of(auth_words[arc]));
}

/* no_author - no DMARC without one author domain, and an easy way around it: the policy headers refuses several authors
 * by its option multi_from. This one refuses all such mail where it obeys what is published, and quarantines it where
 * that takes evidence. */
static struct decision decide_no_author(struct context *c, const struct seen *seen)
{
    const struct dmarc_options *o = OPTIONS(struct dmarc_options, c);
    struct decision d = {0};

    if (o->policy == DMARC_STRICT && !is_whitelisted(c))
        d.disposition = DMARC_REJECT;
    else if (o->policy == DMARC_CONFORM && !is_whitelisted(c) && o->quarantine != DMARC_IGNORE)
        d.disposition = o->quarantine == DMARC_REFUSE && has_evidence(c, seen) ? DMARC_REJECT : DMARC_QUARANTINE;
    return d;
}

static struct finding no_author(struct context *c, const struct of_message *m)
{
    const struct dmarc_evaluation e = {.result = AUTH_PERMERROR, .problem = m->problem};
    const struct seen seen = look_around(c, m, &e);
    struct decision d = decide_no_author(c, &seen);

    note_seen(c, m, &seen);
    keep(c, m, &e, &d);
    return carry_out(c, m, d.disposition);
}

/* doubt - a failure that would perhaps be none, had all been checked that there is: nobody is told that it is one. */
static void doubt(struct context *c, const struct of_message *m, struct dmarc_evaluation *e)
{
    const struct str_list *trusted = &OPTIONS(struct dmarc_options, c)->trusted_sealers;

    if (e->result != AUTH_FAIL)
        return;
    if (!auth_results_of(c->message)->dkim_checked && header_find(&c->message->headers, DKIM_FIELD, 0)) {
        e->result = AUTH_NONE;
        e->problem = "the signatures were not checked";
    } else if (m->arc_unknown && e->published != DMARC_NONE &&
               arc_might_vouch(m->arc, trusted->items, trusted->count, m->author)) {
        e->result = AUTH_TEMPERROR;
        e->problem = "a key of a trusted forwarder could not be asked for";
    }
}

static struct finding judge(struct context *c, struct of_message *m)
{
    const struct dmarc_options *o = OPTIONS(struct dmarc_options, c);
    struct dmarc_evaluation e;
    struct decision d = {0};
    struct seen seen;

    if (!m->has_author)
        return no_author(c, m);
    e = dmarc_evaluate(m->asked, m->author, auth_results_of(c->message), c->message->sender.text.n == 0, m->deadline);
    doubt(c, m, &e);
    if (e.result == AUTH_FAIL) {
        seen = look_around(c, m, &e);
        note_seen(c, m, &seen);
        d = decide(c, e.published, &seen);
    }
    keep(c, m, &e, &d);
    if (o->reporting)
        dmarc_note(c->message, &e, o);
    if (e.result == AUTH_PASS)
        return good(c);
    if (e.result == AUTH_TEMPERROR && o->policy != DMARC_OFF && !is_whitelisted(c))
        return unsure(c, "the DMARC policy of " STR_FMT " could not be applied: %s", STR_ARG(m->author), e.problem);
    return carry_out(c, m, d.disposition);
}

/* dmarc_finish - whoever is not evaluated cannot say either that he was. */
static void dmarc_finish(struct context *c)
{
    forged_remove(c->message, QUARANTINE_FIELD);
}

static struct finding dmarc_message(struct context *c)
{
    struct of_message *m = message_state(c, sizeof *m);
    struct of_session *s = session_state(c, sizeof *s);
    long before = m->karma, now = c->session->karma;
    struct finding f;

    if (!forged_remove(c->message, QUARANTINE_FIELD))
        return bad(c, "5.6.0", "the header has more than %d X-DMARC-Quarantine fields", FORGED_MOST);
    finish_arc(c, m);
    f = judge(c, m);
    if (now < before)
        s->excused += now - before;
    return f;
}

/* ---- the past ---- */

static bool disposition_read(struct str word, enum dmarc_disposition *d)
{
    for (unsigned i = 0; dmarc_words[i]; i++)
        if (str_is(word, str_of(dmarc_words[i]))) {
            *d = (enum dmarc_disposition)i;
            return true;
        }
    return false;
}

/* read_seen - what note_seen() wrote. The connection's karma may be another today. */
static void read_seen(struct context *c, struct str noted, struct seen *seen, struct of_message *m)
{
    struct str word;

    while (str_token(&noted, &word)) {
        if (str_starts(word, STR("conduct=")))
            str_to_long(str_slice(word, 8, word.n), &seen->conduct);
        else if (str_starts(word, STR("author=")))
            m->author = str_slice(word, 7, word.n);
        seen->list |= str_is(word, STR("list"));
        seen->is_signed |= str_is(word, STR("signed"));
        seen->spf_failed |= str_is(word, STR("spf"));
        seen->vouched |= str_is(word, STR("vouched"));
        seen->testing |= str_is(word, STR("testing"));
    }
    m->has_author = m->author.n > 0;
    seen->conduct += past_moved(c);
}

/* dmarc_again - the result stands; what is made of it is decided again. */
static struct finding dmarc_again(struct context *c, enum stage stage, const struct then *then)
{
    bool off = OPTIONS(struct dmarc_options, c)->policy == DMARC_OFF;
    struct str result = then_fact(then, FACT_DMARC_RESULT), noted = then_fact(then, FACT_DMARC_SEEN);
    enum dmarc_disposition published;
    struct of_message m = {.problem = "as it was found then"};
    struct seen seen = {0};
    struct finding f;

    if (stage != AT_MESSAGE || result.n == 0)
        return then_keep(c, then);
    if (!past_alike(c, "spf", AT_HEADERS) || !past_alike(c, "dkim", AT_MESSAGE))
        return not_kept(c, "SPF and DKIM would not be what they were then");
    if (str_is(result, STR("temperror"))) {
        f = then_keep(c, then);
        if (off || is_whitelisted(c))
            return NO_OPINION;
        return f.result == UNSURE ? f : unsure(c, "the DMARC policy could not be applied");
    }
    if (noted.n == 0)
        return then_keep(c, then);
    then_keep(c, then);
    read_seen(c, noted, &seen, &m);
    if (!m.has_author)
        f = carry_out(c, &m, decide_no_author(c, &seen).disposition);
    else if (disposition_read(then_fact(then, FACT_DMARC_POLICY), &published))
        f = carry_out(c, &m, decide(c, published, &seen).disposition);
    else
        f = NO_OPINION;
    return f.result == BAD && then->finding.result == BAD ? then->finding : f;
}

static const struct told_again told[] = {
    CAN_TELL("policy"), CAN_TELL("quarantine"), CAN_TELL("exclude_lists"), CAN_TELL("reporting"), CAN_TELL("org_name"),
    CAN_TELL("email"), CANNOT_TELL("discovery", "the DMARC records of other names"),
    CANNOT_TELL("trusted_sealers", "the seals of forwarders"), TOLD_AGAIN_END,
};

static const char *const needs[] = {"spf", "dkim", NULL};

const struct policy policy_dmarc = {
    .name = "dmarc",
    .summary = "evaluates DMARC, and does with failing mail what its author's domain wants as far as you let it",
    .options = rows,
    .options_size = sizeof(struct dmarc_options),
    .presets = {.karma = "-3", .skip = "local, auth"},
    .needs = needs,
    .finish = dmarc_finish,
    .ask = {[AT_HEADERS] = dmarc_ask, [AT_MESSAGE] = dmarc_note_karma},
    .at = {[AT_HEADERS] = dmarc_headers, [AT_MESSAGE] = dmarc_message},
    .wants_body = true,
    .edits = true,
    .again = dmarc_again,
    .told_again = told,
};
