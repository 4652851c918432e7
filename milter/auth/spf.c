/* spf.c - a check from its beginning to its answer. */
#include "spf.h"

#include "../base/clock.h"
#include "../mail/domain.h"
#include "spf_check.h"

#define LOCAL_MOST 512 /* bytes of a local part that macros use */
#define PROBLEM_MOST 300

/* domain_fault - why nobody can be asked about this domain (section 4.3), or NULL. */
static const char *domain_fault(struct str domain)
{
    struct str label, rest = domain;
    unsigned labels = 0;

    if (domain.n == 0)
        return "there is no domain";
    if (domain.n > 253)
        return "the domain is too long";
    for (size_t i = 0; i < domain.n; i++)
        if (domain.p[i] == ' ' || domain.p[i] == '\t')
            return "the domain has a blank in it";
    for (size_t i = 0; i < domain.n; i++)
        if (domain.p[i] < ' ' || domain.p[i] > '~')
            return "the domain has a character that no domain has";
    if (domain.p[0] == '[')
        return "the domain is an address";
    do {
        size_t dot = str_find(rest, '.');

        label = str_slice(rest, 0, dot);
        if (label.n == 0 || label.n > 63)
            return "the domain has a label that cannot be";
        labels++;
        rest = str_slice(rest, dot + 1, rest.n);
        if (dot + 1 == domain.n)
            break;
    } while (rest.n);
    return labels < 2 ? "the domain is a single label" : NULL;
}

static struct str without_dot(struct str name)
{
    return name.n && name.p[name.n - 1] == '.' ? str_slice(name, 0, name.n - 1) : name;
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* read_domain - as the DNS has it (RFC 8616, 4), in lower-case; returns what is wrong with it, or NULL. */
static const char *read_domain(struct arena *a, struct str written, struct str *domain)
{
    const char *fault;

    *domain = written;
    if (!is_ascii(written) && !domain_to_ascii(a, written, domain)) {
        *domain = str_lower(a, written);
        return "the domain has no form in ASCII";
    }
    fault = domain_fault(*domain);
    *domain = str_lower(a, without_dot(*domain));
    return fault;
}

struct spf_check *spf_begin(struct arena *a, struct dns_budget *budget, const struct spf_request *request)
{
    struct spf_check *check = arena_zalloc(a, sizeof *check);
    struct str local = STR_NONE, domain, helo = request->helo;
    const char *fault;

    check->arena = a;
    check->budget = budget;
    check->request = *request;
    check->answer.helo = request->sender.n == 0;
    if (check->answer.helo) {
        domain = request->helo;
    } else {
        size_t at = str_rfind(request->sender, '@');

        local = at < request->sender.n ? str_slice(request->sender, 0, at) : STR_NONE;
        domain = at < request->sender.n ? str_slice(request->sender, at + 1, request->sender.n) : request->sender;
    }
    fault = read_domain(a, domain, &domain);
    check->answer.domain = domain;
    if (!is_ascii(helo) && !domain_to_ascii(a, helo, &helo))
        helo = request->helo;
    check->macros = (struct spf_macros){
        .client = request->client,
        .local = local.n ? str_slice(local, 0, LOCAL_MOST) : STR("postmaster"),
        .sender_domain = domain,
        .helo = str_slice(helo, 0, 255),
        .receiver = request->receiver,
        .seconds = clock_wall_ms() / 1000,
    };
    if (!request->client.known)
        fault = "the client's address is not known";
    if (fault)
        check_force(check, AUTH_NONE, "%s", fault);
    else
        check->root = node_new(check, domain, true);
    return check;
}

void spf_advance(struct spf_check *check)
{
    if (!check->done)
        tree_grow(check);
}

/* speaker - the record whose words decided: the first one, or where it redirects to. */
static struct spf_node *speaker(struct spf_check *check)
{
    struct spf_node *node = check->root;

    while (node->redirected) {
        struct spf_node *next = node->lookups[node->record.count - 1].node;

        if (!next || next->fetch != SPF_FETCHED)
            break;
        node = next;
    }
    return node;
}

/* explain - section 6.2: whatever is wrong with it, there is no explanation, and no other result. */
static struct str explain(struct spf_check *check, struct spf_node *node)
{
    const struct dns_answer *answer;
    struct spf_macros macros;
    struct str text;

    if (node->record.exp.n == 0)
        return STR("");
    if (spf_uses_peer(node->record.exp))
        peer_wait(check);
    tree_grow(check);
    if (!node->exp)
        return STR("");
    answer = question_wait(check, node->exp);
    if (answer->status != DNS_OK || answer->count != 1 || !spf_explanation_valid(answer->records[0].text))
        return STR("");
    if (spf_uses_peer(answer->records[0].text))
        peer_wait(check);
    macros = node_macros(check, node);
    text = spf_expand(check->arena, answer->records[0].text, &macros);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return STR("");
    return text.n <= SPF_EXPANDED_MOST ? text : STR("");
}

static void evaluate_root(struct spf_check *check)
{
    struct spf_node *node;

    node_wait(check, check->root);
    switch (check->root->fetch) {
    case SPF_FETCHED:
        break;
    case SPF_FETCHED_NONE:
        check_force(check, AUTH_NONE, "%s", "");
        return;
    case SPF_FETCH_WRONG:
        check_force(check, AUTH_PERMERROR, STR_FMT, STR_ARG(check->root->why));
        return;
    default:
        check_force(check, AUTH_TEMPERROR, STR_FMT, STR_ARG(check->root->why));
        return;
    }
    tree_grow(check);
    judge(check);
    node = speaker(check);
    check->answer.mechanism =
        node->reached < node->record.count ? node->record.terms[node->reached].text : STR("default");
    if (check->answer.result == AUTH_FAIL)
        check->answer.explanation = explain(check, node);
}

const struct spf_answer *spf_finish(struct spf_check *check, int64_t deadline)
{
    if (check->done)
        return &check->answer;
    check->deadline = deadline;
    if (check->root)
        evaluate_root(check);
    check->answer.problem = str_slice(check->answer.problem, 0, PROBLEM_MOST);
    check->done = true;
    return &check->answer;
}
