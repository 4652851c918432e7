/* peer_names.c - PTR, then the addresses of what it names. */
#include "peer_names.h"

bool dns_has_address(const struct dns_answer *answer, struct ip ip)
{
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
        if (ip_equal(answer->records[i].ip, ip))
            return true;
    return false;
}

struct peer_names *peer_names_ask(struct arena *a, struct dns_budget *budget, struct ip ip)
{
    struct peer_names *n = arena_zalloc(a, sizeof *n);

    n->ip = ip;
    n->ptr = dns_ask_ptr(a, budget, ip);
    return n;
}

static void unsure_because(struct peer_names *n, const char *why)
{
    n->result = PEER_NAMES_UNSURE;
    n->why = why;
}

/* ask_forward - addresses of the client's own family for every name. */
static void ask_forward(struct arena *a, struct dns_budget *budget, struct peer_names *n, const struct dns_answer *ptr)
{
    for (size_t i = 0; i < ptr->count && n->count < PEER_NAMES_MOST; i++) {
        if (ptr->records[i].text.n == 0)
            continue;
        n->name[n->count] = str_dup(a, ptr->records[i].text);
        n->forward[n->count] = dns_ask(a, budget, n->name[n->count], ip_is_v4(n->ip) ? DNS_A : DNS_AAAA);
        n->count++;
    }
}

const struct peer_names *peer_names_harvest(struct arena *a, struct dns_budget *budget, struct peer_names *n,
                                            int64_t deadline)
{
    const struct dns_answer *answer;
    bool failed = false, verified = false;

    if (n->done)
        return n;
    if (n->count == 0) {
        answer = dns_harvest(n->ptr, deadline);
        if (answer->status == DNS_FAIL) {
            unsure_because(n, answer->why);
            return n;
        }
        if (answer->status == DNS_OK)
            ask_forward(a, budget, n, answer);
    }
    for (size_t i = 0; i < n->count; i++) {
        answer = dns_harvest(n->forward[i], deadline);
        n->verified[i] = dns_has_address(answer, n->ip);
        verified |= n->verified[i];
        failed |= answer->status == DNS_FAIL;
    }
    if (!verified && failed) {
        unsure_because(n, "the addresses of its names cannot be asked");
        return n;
    }
    n->result = verified ? PEER_NAMES_PASS : n->count ? PEER_NAMES_FAIL : PEER_NAMES_NONE;
    n->done = true;
    return n;
}
