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

enum dns_status peer_names_ptr(struct arena *a, struct peer_names *n, int64_t deadline)
{
    const struct dns_answer *ptr;

    if (!n->read) {
        ptr = dns_harvest(n->ptr, deadline);
        if (ptr->status == DNS_FAIL) {
            unsure_because(n, ptr->why);
            return DNS_FAIL;
        }
        n->read = true;
        for (size_t i = 0; ptr->status == DNS_OK && i < ptr->count && n->count < PEER_NAMES_MOST; i++)
            if (ptr->records[i].text.n)
                n->name[n->count++] = str_dup(a, ptr->records[i].text);
    }
    return n->count ? DNS_OK : DNS_NODATA;
}

const struct peer_names *peer_names_harvest(struct arena *a, struct dns_budget *budget, struct peer_names *n,
                                            int64_t deadline)
{
    bool failed = false, verified = false;

    if (n->done || peer_names_ptr(a, n, deadline) == DNS_FAIL)
        return n;
    for (size_t i = 0; i < n->count; i++) /* addresses of the client's own family; all at once */
        if (!n->forward[i])
            n->forward[i] = dns_ask(a, budget, n->name[i], ip_is_v4(n->ip) ? DNS_A : DNS_AAAA);
    for (size_t i = 0; i < n->count; i++) {
        const struct dns_answer *answer = dns_harvest(n->forward[i], deadline);

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
