/* whitelist - clients and senders whose mail skips filters. It grants no relaying, and it judges nobody.
 *
 * Networks are known at CONNECT; names and DNS lists are asked there and harvested at MAIL, before the policies behind
 * it look. Senders count only when they are who they say. SPF proves the sender of the envelope; DKIM proves the domain
 * that signed, and so a sender or an author of the same organisation.
 */
#include "auth/dmarc.h"
#include "policy.h"

#define WAIT_MS 5000

struct whitelist_options {
    struct cidr_list clients;
    struct pattern_list names;
    struct zone_list zones;
    struct pattern_list senders;
};

static const struct option whitelist_rows[] = {
    OPT_CIDRS(struct whitelist_options, clients, "", "clients by address"),
    OPT_HOSTS(struct whitelist_options, names, "", "clients by a name that leads back to them: name, .domain, /regex/"),
    OPT_CLIENT_ZONES(struct whitelist_options, zones, "", "DNS lists of good clients, e.g. list.dnswl.org"),
    OPT_ADDRESSES(struct whitelist_options, senders, "",
                  "senders with SPF pass or an aligned DKIM signature, authors with the latter: user@dom, @dom, .dom, "
                  "/regex/"),
    OPTION_END,
};

struct whitelist_state {
    const struct whitelist_options *asked; /* for which the questions were asked: MAIL may choose another profile */
    struct dns_question **questions;       /* by zone; NULL where the client is not to be asked about */
    int64_t deadline, lists_deadline;      /* for names and all; for each list */
    bool counted;                          /* what the lists said */
    struct str granted;                    /* by which entry, at an earlier MAIL of the connection */
};

static void whitelist_ask(struct context *c)
{
    const struct whitelist_options *o = OPTIONS(struct whitelist_options, c);
    struct whitelist_state *state = session_state(c, sizeof *state);
    struct session *s = c->session;

    if (state->asked == o || !s->peer.ip.known || (o->names.count == 0 && o->zones.count == 0))
        return;
    state->asked = o;
    state->counted = false;
    state->deadline = clock_ms() + WAIT_MS;
    state->lists_deadline = clock_ms() + ZONE_WAIT_MS;
    if (o->names.count && !s->names)
        s->names = peer_names_ask(s->arena, &s->dns, s->peer.ip);
    state->questions = arena_array(s->arena, o->zones.count + 1, sizeof *state->questions);
    for (size_t i = 0; i < o->zones.count; i++)
        if (zone_takes(&o->zones.items[i], s->peer.ip))
            state->questions[i] =
                dns_ask_list(s->arena, &s->dns, zone_client_name(s->arena, &o->zones.items[i], s->peer.ip));
}

static struct finding grant(struct context *c, bool *whom, struct str entry)
{
    *whom = true;
    fact_set(c, FACT_WHITELIST, entry);
    return good(c);
}

static struct finding grant_client(struct context *c, struct whitelist_state *state, struct str entry)
{
    state->granted = session_keep(c->session, entry);
    return grant(c, &c->session->is_whitelisted, entry);
}

static struct finding whitelist_connect(struct context *c)
{
    const struct cidr *net = cidr_find(&OPTIONS(struct whitelist_options, c)->clients, c->session->peer.ip);

    return net ? grant(c, &c->session->is_whitelisted, net->written) : NO_OPINION;
}

/* by_name - a name that leads back; what only PTR says anybody can say. */
static const struct pattern *by_name(struct context *c, int64_t deadline, struct str *name)
{
    struct session *s = c->session;
    const struct peer_names *names = peer_names_harvest(s->arena, &s->dns, s->names, deadline);

    for (size_t i = 0; names->result == PEER_NAMES_PASS && i < names->count; i++) {
        const struct pattern *entry = names->verified[i] ? pattern_find(&OPTIONS(struct whitelist_options, c)->names,
                                                                        names->name[i]) : NULL;

        if (entry) {
            *name = names->name[i];
            return entry;
        }
    }
    return NULL;
}

static struct finding whitelist_mail(struct context *c)
{
    const struct whitelist_options *o = OPTIONS(struct whitelist_options, c);
    struct whitelist_state *state = session_state(c, sizeof *state);
    struct session *s = c->session;
    struct str name;
    const struct pattern *entry;
    const struct cidr *net;

    if (state->granted.n) /* so that each message tells why */
        return grant(c, &s->is_whitelisted, state->granted);
    if (s->is_whitelisted)
        return NO_OPINION;
    net = cidr_find(&o->clients, s->peer.ip); /* this profile's; CONNECT may have had another */
    if (net)
        return grant_client(c, state, net->written);
    if (state->asked != o)
        return NO_OPINION;
    entry = o->names.count ? by_name(c, state->deadline, &name) : NULL;
    if (entry)
        return grant_client(c, state,
                            arena_printf(c->arena, STR_FMT " (" STR_FMT ")", STR_ARG(entry->written), STR_ARG(name)));
    for (size_t i = 0; i < o->zones.count; i++) {
        const struct zone *zone = &o->zones.items[i];
        const struct dns_answer *answer;
        struct str why;
        enum zone_said said;

        if (!state->questions[i])
            continue;
        answer = dns_harvest(state->questions[i], state->lists_deadline);
        said = zone_judge(c->arena, zone, answer, &why);
        if (!state->counted)
            health_seen(zone, ip_text(c->arena, s->peer.ip), said, answer->took_ms);
        if (said == ZONE_LISTED && health_trusts(zone, state->deadline))
            return grant_client(c, state,
                                arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(why)));
    }
    state->counted = true;
    return NO_OPINION;
}

/* ---- senders ---- */

/* is_signed - a signature of the domain's organisation passed, which covers the whole body. It waits for keys, so it is
 * asked only about whom an entry names. */
static bool is_signed(struct context *c, struct str domain)
{
    const struct auth_results *results = dkim_verified(c);
    struct str ascii;

    if (!domain_to_ascii(c->arena, domain, &ascii))
        return false;
    for (size_t i = 0; i < results->dkim_count; i++) {
        const struct dkim_result *one = &results->dkim[i];

        if (one->result == AUTH_PASS && !one->partly && domain_same_organization(ascii, one->domain))
            return true;
    }
    return false;
}

/* by_sender - the address of the envelope. */
static const struct pattern *by_sender(struct context *c)
{
    const struct pattern_list *senders = &OPTIONS(struct whitelist_options, c)->senders;
    const struct spf_result *spf = &auth_results_of(c->message)->spf_from;
    const struct address *sender = &c->message->sender;
    const struct pattern *entry = sender->text.n ? pattern_find(senders, sender->text) : NULL;

    if (!entry || (!(spf->checked && spf->result == AUTH_PASS) && !is_signed(c, sender->domain)))
        return NULL;
    return entry;
}

/* by_author - the one address in From. */
static const struct pattern *by_author(struct context *c)
{
    const struct headers *headers = &c->message->headers;
    const struct pattern *entry;
    struct mailbox_list list;
    struct str domain;
    const char *problem;

    if (!dmarc_author_of(c->arena, headers, &domain, &problem))
        return NULL;
    list = mailboxes_parse(c->arena, header_find(headers, STR("From"), 0)->value);
    if (!list.well_formed || list.count != 1)
        return NULL;
    entry = pattern_find(&OPTIONS(struct whitelist_options, c)->senders, list.addresses[0]);
    return entry && is_signed(c, domain) ? entry : NULL;
}

/* note_author - so that the message can be judged again. */
static void note_author(struct context *c)
{
    const struct headers *headers = &c->message->headers;
    struct mailbox_list list;
    struct str domain;
    const char *problem;

    if (!dmarc_author_of(c->arena, headers, &domain, &problem))
        return;
    list = mailboxes_parse(c->arena, header_find(headers, STR("From"), 0)->value);
    if (list.well_formed && list.count == 1)
        fact_set(c, FACT_AUTHOR, list.addresses[0]);
}

static struct finding whitelist_message(struct context *c)
{
    const struct pattern *entry = by_sender(c);

    note_author(c);
    if (!entry)
        entry = by_author(c);
    return entry ? grant(c, &c->message->is_whitelisted, entry->written) : NO_OPINION;
}

/* ---- the past ---- */

/* name_in - of "entry (name)", as by_name's fact is written. */
static struct str name_in(struct str granted)
{
    size_t open = str_rfind(granted, '(');

    return open < granted.n && granted.p[granted.n - 1] == ')' ? str_slice(granted, open + 1, granted.n - 1) : STR_NONE;
}

/* mail_again - networks are compared again; names and lists are known where one of them granted it then. */
static struct finding mail_again(struct context *c, const struct then *then)
{
    const struct whitelist_options *o = OPTIONS(struct whitelist_options, c);
    struct whitelist_state *state = session_state(c, sizeof *state);
    struct str granted = then_fact(then, FACT_WHITELIST), name = name_in(granted);
    const struct cidr *net = cidr_find(&o->clients, c->session->peer.ip);

    if (c->session->is_whitelisted)
        return NO_OPINION;
    if (net)
        return grant_client(c, state, net->written);
    if ((o->names.count == 0 && o->zones.count == 0) || !c->session->peer.ip.known)
        return NO_OPINION;
    if (name.n && pattern_find(&o->names, name))
        return grant_client(c, state, granted);
    for (size_t i = 0; i < o->zones.count; i++)
        if (str_starts(granted, arena_printf(c->arena, STR_FMT "=", STR_ARG(o->zones.items[i].shown))))
            return grant_client(c, state, granted);
    if (granted.n)
        return not_kept(c, "whether other names and lists would have granted it was not recorded");
    return then_keep(c, then);
}

enum signature { UNSIGNED, SIGNED, SIGNED_PERHAPS };

/* was_signed - as is_signed(), by what the policy dkim noted. */
static enum signature was_signed(struct context *c, struct str domain)
{
    struct str noted = past_fact(c, FACT_DKIM_RESULT), one, word, ascii;

    if (!domain_to_ascii(c->arena, domain, &ascii))
        return UNSIGNED;
    if (!now_run(c, "dkim"))
        return UNSIGNED;
    if (!past_ran(c, "dkim", AT_MESSAGE))
        return SIGNED_PERHAPS;
    while (str_split(&noted, ';', &one)) {
        bool pass = str_token(&one, &word) && str_is(word, STR("pass")), partly = false;
        struct str of = STR_NONE;

        while (str_token(&one, &word)) { /* what a stranger wrote comes behind the result */
            partly |= str_is(word, STR("partly"));
            if (str_starts(word, STR("d=")))
                of = str_slice(word, 2, word.n);
        }
        if (pass && !partly && of.n && domain_same_organization(ascii, of))
            return SIGNED;
    }
    return UNSIGNED;
}

/* message_again - an entry that names the sender, or the author, and what proved them. */
static struct finding message_again(struct context *c, const struct then *then)
{
    const struct pattern_list *senders = &OPTIONS(struct whitelist_options, c)->senders;
    struct str sender = c->message->sender.text, author = then_fact(then, FACT_AUTHOR);
    const struct pattern *entry;
    enum signature by;

    if (senders->count == 0)
        return NO_OPINION;
    if (!then)
        return then_keep(c, then);
    if (author.n)
        fact_set(c, FACT_AUTHOR, author);
    entry = sender.n ? pattern_find(senders, sender) : NULL;
    if (entry && str_is(fact_get(c, FACT_SPF_RESULT), STR("pass")))
        return grant(c, &c->message->is_whitelisted, entry->written);
    by = entry ? was_signed(c, c->message->sender.domain) : UNSIGNED;
    if (by == UNSIGNED && author.n) {
        entry = pattern_find(senders, author);
        by = entry ? was_signed(c, str_slice(author, str_rfind(author, '@') + 1, author.n)) : UNSIGNED;
    }
    if (by == SIGNED_PERHAPS)
        return not_kept(c, "whether a signature passed was not recorded");
    return by == SIGNED ? grant(c, &c->message->is_whitelisted, entry->written) : NO_OPINION;
}

static struct finding whitelist_again(struct context *c, enum stage stage, const struct then *then)
{
    return stage == AT_MAIL ? mail_again(c, then) : message_again(c, then);
}

#define WHO "the names of clients, and what lists of good clients said of them"
static const struct told_again whitelist_told[] = {
    CAN_TELL("clients"), CANNOT_TELL("names", WHO), CANNOT_TELL("zones", WHO), CAN_TELL("senders"), TOLD_AGAIN_END,
};

static void whitelist_prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct whitelist_options *o = options;

    (void)a;
    (void)at;
    (void)problems;
    for (size_t i = 0; i < o->zones.count; i++)
        zone_by_trust(&o->zones.items[i]);
}

static bool whitelist_idle(const void *options, enum stage stage)
{
    const struct whitelist_options *o = options;

    return stage == AT_MESSAGE && o->senders.count == 0;
}

const struct policy policy_whitelist = {
    .name = "whitelist",
    .summary = "clients and senders whose mail skips filters",
    .options = whitelist_rows,
    .options_size = sizeof(struct whitelist_options),
    .ask = {[AT_CONNECT] = whitelist_ask, [AT_MAIL] = whitelist_ask},
    .at = {[AT_CONNECT] = whitelist_connect, [AT_MAIL] = whitelist_mail, [AT_MESSAGE] = whitelist_message},
    .prepare = whitelist_prepare,
    .idle = whitelist_idle,
    .replays = 1u << AT_CONNECT,
    .again = whitelist_again,
    .told_again = whitelist_told,
};
