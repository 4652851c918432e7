/* peer_names.h - the names of a client's address, and which of them lead back to it (RFC 8601 iprev).
 *
 * Asked once per connection, for whichever policies want to know: fcrdns, whitelist, helo.
 */
#ifndef DNS_PEER_NAMES_H
#define DNS_PEER_NAMES_H

#include "dns.h"

#define PEER_NAMES_MOST 10 /* of one address that are followed */

enum peer_names_result {
    PEER_NAMES_PASS, /* some name leads back */
    PEER_NAMES_FAIL, /* there are names, none leads back */
    PEER_NAMES_NONE, /* no PTR record */
    PEER_NAMES_UNSURE,
};

struct peer_names {
    enum peer_names_result result;
    const char *why;                            /* of unsure */
    size_t count;
    struct str name[PEER_NAMES_MOST];           /* lower-case, as PTR says */
    bool verified[PEER_NAMES_MOST];             /* it leads back */
    /* while asking */
    struct dns_question *ptr, *forward[PEER_NAMES_MOST];
    struct ip ip;
    bool read, done;                            /* PTR has been read; all is known */
};

/* peer_names_ask - begin, never wait; the memory lives in the arena. */
struct peer_names *peer_names_ask(struct arena *a, struct dns_budget *budget, struct ip ip);

/* peer_names_ptr - only the names, wherever they lead: DNS_OK, DNS_NODATA for none, DNS_FAIL (why tells). */
enum dns_status peer_names_ptr(struct arena *a, struct peer_names *names, int64_t deadline);

/* peer_names_harvest - names and where they lead, waiting until the deadline at most. */
const struct peer_names *peer_names_harvest(struct arena *a, struct dns_budget *budget, struct peer_names *names,
                                            int64_t deadline);

/* dns_has_address - whether an A or AAAA answer contains the address. */
bool dns_has_address(const struct dns_answer *answer, struct ip ip);

#endif
