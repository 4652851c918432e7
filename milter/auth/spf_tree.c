/* spf_tree.c - a check's questions: all that can matter, asked as soon as they are known. */
#include "spf_check.h"

#include "../base/clock.h"
#include "../dns/packet.h"
#include "../dns/peer_names.h"
#include "../mail/domain.h"

#define GRACE_MOST_MS 20

enum dns_type address_type(const struct spf_check *check)
{
    return ip_is_v4(check->request.client) ? DNS_A : DNS_AAAA;
}

bool node_ends_at(const struct spf_check *check, const struct spf_term *term)
{
    return term->kind == SPF_ALL || spf_term_has(term, check->request.client);
}

static bool is_lookup(const struct spf_term *term)
{
    return term->kind != SPF_ALL && term->kind != SPF_IP4 && term->kind != SPF_IP6;
}

static bool can_ask(struct str name)
{
    char lower[DNS_NAME_MOST];
    size_t n;

    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] > 127) /* a local part's: matches nothing, RFC 8616 (4) */
            return false;
    return name.n && packet_name(name, lower, &n) && n;
}

struct spf_node *node_new(struct spf_check *check, struct str domain, bool speaks)
{
    struct spf_node *node = arena_zalloc(check->arena, sizeof *node);

    node->domain = str_lower(check->arena, domain);
    node->speaks = speaks;
    node->id = check->node_count;
    check->nodes = arena_grow(check->arena, check->nodes, check->node_count, sizeof(struct spf_node *));
    check->nodes[check->node_count++] = node;
    node->txt = dns_ask(check->arena, check->budget, domain, DNS_TXT);
    return node;
}

/* ---- the client's names ---- */

static void peer_step(struct spf_check *check)
{
    struct spf_peer *peer = &check->peer;
    const struct dns_answer *answer;

    if (peer->done)
        return;
    if (!peer->ptr)
        peer->ptr = dns_ask_ptr(check->arena, check->budget, check->request.client);
    if (!peer->read && dns_is_done(peer->ptr)) {
        answer = dns_harvest(peer->ptr, check->deadline);
        peer->read = true;
        for (size_t i = 0; answer->status == DNS_OK && i < answer->count && peer->count < SPF_HOSTS_MOST; i++) {
            peer->name[peer->count] = answer->records[i].text;
            if (!can_ask(answer->records[i].text))
                continue;
            peer->forward[peer->count++] =
                dns_ask(check->arena, check->budget, answer->records[i].text, address_type(check));
        }
    }
    if (!peer->read)
        return;
    for (size_t i = 0; i < peer->count; i++)
        if (!dns_is_done(peer->forward[i]))
            return;
    peer->done = true;
    for (size_t i = 0; i < peer->count; i++)
        peer->verified[i] = dns_has_address(dns_harvest(peer->forward[i], check->deadline), check->request.client);
}

void peer_wait(struct spf_check *check)
{
    struct spf_peer *peer = &check->peer;

    peer_step(check);
    question_wait(check, peer->ptr);
    peer_step(check);
    for (size_t i = 0; i < peer->count; i++)
        question_wait(check, peer->forward[i]);
    peer_step(check);
}

bool peer_is_below(const struct spf_check *check, struct str domain)
{
    for (size_t i = 0; i < check->peer.count; i++)
        if (check->peer.verified[i] && domain_is_or_below(check->peer.name[i], domain))
            return true;
    return false;
}

/* peer_name - %{p}: the current domain if the client has its name, else one below it, else any. */
static struct str peer_name(const struct spf_check *check, struct str domain)
{
    struct str below = STR_NONE, any = STR_NONE;

    for (size_t i = check->peer.count; i-- > 0;) {
        if (!check->peer.verified[i])
            continue;
        any = check->peer.name[i];
        if (str_is_nocase(any, domain))
            return any;
        if (domain_is_or_below(any, domain))
            below = any;
    }
    return below.n ? below : any;
}

struct spf_macros node_macros(struct spf_check *check, const struct spf_node *node)
{
    struct spf_macros m = check->macros;

    m.domain = node->domain;
    if (check->peer.done)
        m.peer = peer_name(check, node->domain);
    return m;
}

/* ---- terms ---- */

/* lookup_step - ask what this term asks for; with %{p} only when the client's names are known. */
static void lookup_step(struct spf_check *check, struct spf_node *node, struct spf_lookup *l)
{
    const struct spf_term *term = l->term;
    struct spf_macros macros;

    if (l->asked)
        return;
    if (term->kind == SPF_PTR || spf_uses_peer(term->spec))
        peer_step(check);
    if (spf_uses_peer(term->spec) && !check->peer.done)
        return;
    l->asked = true;
    macros = node_macros(check, node);
    l->name = term->spec.n ? spf_expand_domain(check->arena, term->spec, &macros) : node->domain;
    l->no_name = !can_ask(l->name);
    if (l->no_name || term->kind == SPF_PTR)
        return;
    switch (term->kind) {
    case SPF_INCLUDE:
    case SPF_REDIRECT:
        l->node = node_new(check, l->name, term->kind == SPF_REDIRECT && node->speaks);
        break;
    case SPF_MX:
        l->question = dns_ask_follow(check->arena, check->budget, l->name, DNS_MX);
        break;
    default:
        l->question =
            dns_ask(check->arena, check->budget, l->name, term->kind == SPF_EXISTS ? DNS_A : address_type(check));
        break;
    }
}

/* hosts_step - the addresses of an mx, once its names are known. */
static void hosts_step(struct spf_check *check, struct spf_lookup *l)
{
    const struct dns_answer *answer;

    if (l->hosts_asked || !l->question || !dns_is_done(l->question))
        return;
    l->hosts_asked = true;
    answer = dns_harvest(l->question, check->deadline);
    if (answer->status != DNS_OK || answer->count > SPF_HOSTS_MOST)
        return;
    for (size_t i = 0; i < answer->count; i++)
        if (can_ask(answer->records[i].text))
            l->hosts[l->host_count++] =
                dns_ask(check->arena, check->budget, answer->records[i].text, address_type(check));
}

/* ---- records ---- */

static void node_wrong(struct spf_check *check, struct spf_node *node, const char *what)
{
    node->fetch = SPF_FETCH_WRONG;
    node->why = arena_printf(check->arena, STR_FMT ": %s", STR_ARG(node->domain), what);
}

/* node_read - the record among the answer's texts. */
static void node_read(struct spf_check *check, struct spf_node *node)
{
    const struct dns_answer *answer = dns_harvest(node->txt, check->deadline);
    const struct dns_record *found = NULL;
    struct str error;

    if (answer->status == DNS_FAIL) {
        node->fetch = SPF_FETCH_FAILED;
        node->why = arena_printf(check->arena, STR_FMT " TXT: %s", STR_ARG(node->domain), answer->why);
        return;
    }
    for (size_t i = 0; i < answer->count; i++) {
        if (!spf_record_is(answer->records[i].text))
            continue;
        if (found)
            return node_wrong(check, node, "more than one record");
        found = &answer->records[i];
    }
    if (!found) {
        node->fetch = SPF_FETCHED_NONE;
        if (answer->count >= DNS_RECORDS_MOST) /* it may be among those that were not read */
            node_wrong(check, node, "too many TXT records");
        return;
    }
    if (!spf_record_parse(check->arena, found->text, &node->record, &error)) {
        node->fetch = SPF_FETCH_WRONG;
        node->why = arena_printf(check->arena, STR_FMT ": " STR_FMT, STR_ARG(node->domain), STR_ARG(error));
        return;
    }
    node->fetch = SPF_FETCHED;
    node->reached = node->record.count;
    node->lookups = arena_array(check->arena, node->record.count + 1, sizeof *node->lookups);
    for (size_t i = 0; i < node->record.count; i++)
        node->lookups[i].term = &node->record.terms[i];
}

/* node_ask_explanation - as far as some term may say fail. */
static void node_ask_explanation(struct spf_check *check, struct spf_node *node)
{
    struct spf_macros macros;
    struct str name;
    bool may_fail = false;

    for (size_t i = 0; i < node->record.count; i++)
        may_fail |= node->record.terms[i].qualifier == '-';
    if (!may_fail || node->exp)
        return;
    if (spf_uses_peer(node->record.exp)) {
        peer_step(check);
        if (!check->peer.done)
            return;
    }
    macros = node_macros(check, node);
    name = spf_expand_domain(check->arena, node->record.exp, &macros);
    if (can_ask(name))
        node->exp = dns_ask(check->arena, check->budget, name, DNS_TXT);
}

/* node_step - one record and all below it, in the order of the evaluation; `count` is how many lookups come before. */
static void node_step(struct spf_check *check, struct spf_node *node, unsigned *count)
{
    if (node->fetch == SPF_FETCHING && dns_is_done(node->txt))
        node_read(check, node);
    if (node->fetch != SPF_FETCHED)
        return;
    if (node->speaks && node->record.exp.n)
        node_ask_explanation(check, node);
    for (size_t i = 0; i < node->record.count; i++) {
        struct spf_lookup *l = &node->lookups[i];

        if (node_ends_at(check, l->term))
            return;
        if (!is_lookup(l->term))
            continue;
        if (++*count > SPF_LOOKUPS_MOST)
            return;
        lookup_step(check, node, l);
        if (l->term->kind == SPF_MX)
            hosts_step(check, l);
        else if (l->node)
            node_step(check, l->node, count);
    }
}

void tree_grow(struct spf_check *check)
{
    unsigned count = 0;

    if (!check->root)
        return;
    if (check->peer.ptr)
        peer_step(check);
    node_step(check, check->root, &count);
}

/* ---- waiting ---- */

static bool records_pending(const struct spf_check *check)
{
    for (size_t i = 0; i < check->node_count; i++)
        if (!dns_is_done(check->nodes[i]->txt))
            return true;
    return false;
}

/* grace - what was asked together comes nearly together: a moment for the rest, so that they lead on together too. */
static void grace(const struct spf_check *check, int64_t waited)
{
    int64_t until = clock_ms() + (waited / 8 < GRACE_MOST_MS ? waited / 8 : GRACE_MOST_MS);
    const struct timespec nap = {.tv_nsec = 500 * 1000};

    if (clock_is_scripted())
        return;
    while (records_pending(check) && clock_ms() < until)
        nanosleep(&nap, NULL);
}

const struct dns_answer *question_wait(struct spf_check *check, struct dns_question *q)
{
    int64_t began;

    if (!dns_is_done(q)) {
        tree_grow(check);
        began = clock_ms();
        dns_harvest(q, check->deadline);
        grace(check, clock_ms() - began);
        tree_grow(check);
    }
    return dns_harvest(q, check->deadline);
}

void node_wait(struct spf_check *check, struct spf_node *node)
{
    question_wait(check, node->txt);
    if (node->fetch == SPF_FETCHING)
        node_read(check, node);
}

const struct dns_answer *lookup_wait(struct spf_check *check, struct spf_node *node, struct spf_lookup *l)
{
    static const struct dns_answer no_such_name = {.status = DNS_NXDOMAIN, .why = ""};
    const struct dns_answer *answer = &no_such_name;

    if (!l->asked && spf_uses_peer(l->term->spec))
        peer_wait(check);
    lookup_step(check, node, l);
    if (l->term->kind == SPF_PTR) {
        peer_wait(check);
        answer = dns_harvest(check->peer.ptr, check->deadline);
    } else if (l->node) {
        node_wait(check, l->node);
    } else if (!l->no_name) {
        answer = question_wait(check, l->question);
        hosts_step(check, l);
    }
    return answer;
}
