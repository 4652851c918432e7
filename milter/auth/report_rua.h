/* report_rua.h - where a domain wants its aggregate reports: the value of rua=, and the record by which somebody else's
 * domain agrees to get them (RFC 9990).
 */
#ifndef AUTH_REPORT_RUA_H
#define AUTH_REPORT_RUA_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/arena.h"
#include "../base/str.h"

#define RUA_MOST 10 /* destinations of one report */

struct rua {
    struct str addresses[RUA_MOST]; /* plain local@domain, the domain lower-cased; no address twice */
    struct str domains[RUA_MOST];   /* of them: views */
    size_t count;
    size_t ignored; /* what is malformed, no mailto:, or beyond the limit */
};

/* rua_parse - "mailto:a@b.test!10m, mailto:c@d.test"; sizes are ignored. Only addresses that can be handed to a program
 * and written into a header as they are: a dot-atom and the name of a host. */
void rua_parse(struct arena *a, struct str value, struct rua *rua);

/* rua_address_valid - whether reports may come from, or go to, this address. */
bool rua_address_valid(struct str address);

/* rua_is_external - whether the domain of a destination has to agree: it is not certain that it belongs to the owner
 * of the policy. org_domain is that of the policy domain. */
bool rua_is_external(struct str policy_domain, struct str org_domain, struct str domain);

/* rua_agreement - read one TXT string of DOMAIN._report._dmarc.DESTINATION; false when it does not agree. *rua: what it
 * names instead, empty for nothing. */
bool rua_agreement(struct str text, struct str *rua);

#include "../base/banned.h"
#endif
