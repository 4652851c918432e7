/* spf.h - may this client send for this domain? (RFC 7208, check_host)
 *
 *   spf_begin ──▶ the domain's TXT is asked ──▶ spf_advance, as often as you like ──▶ spf_finish
 *                                               what the answers lead to is asked     waits for the rest, evaluates
 *
 *  1. spf_begin and spf_advance never wait. All terms of a record are asked together, so that the time of a check
 *     follows the depth of its includes and not their number.
 *  2. What strangers wrote is read, limited and expanded here. libspf2 evaluates a program made of our own words
 *     (spf_judge.c): no record, name or text of a stranger reaches it.
 *  3. Limits of section 4.6.4 hold for the whole check, not for each record: 10 terms that look something up, 2 of
 *     them without an answer, 10 MX names; of the client's names the first 10.
 *  4. What could not be asked is temperror, what is wrong is permerror; `none` is said only when the DNS says that
 *     there is no record, or when there is no domain to ask about.
 */
#ifndef AUTH_SPF_H
#define AUTH_SPF_H

#include <stdbool.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"
#include "../dns/dns.h"
#include "results.h"

struct spf_request {
    struct ip client;    /* an IPv4-mapped one is IPv4 */
    struct str helo;     /* as the client said it */
    struct str sender;   /* "user@domain"; empty: the HELO identity is checked, as postmaster@helo */
    struct str receiver; /* this host's name, for explanations */
};

struct spf_answer {
    enum auth_result result; /* all but `policy` */
    struct str domain;      /* that was checked, lower-case */
    bool helo;              /* it is the HELO identity */
    struct str explanation; /* the domain owner's, of a fail: printable ASCII or empty */
    struct str problem;     /* why there is none, temperror or permerror; holds outside bytes as they came */
    struct str mechanism;   /* that decided, as the record says it; "default" when none did; empty when there is none */
};

struct spf_check;

/* spf_begin - the memory of the check and what it answers live in the arena; so must budget and the request's texts. */
struct spf_check *spf_begin(struct arena *a, struct dns_budget *budget, const struct spf_request *request);
void spf_advance(struct spf_check *check);

/* spf_finish - the answer, waiting for the DNS until `deadline` (clock_ms()) at most. The same one when called
 * again. */
const struct spf_answer *spf_finish(struct spf_check *check, int64_t deadline);

#include "../base/banned.h"
#endif
