/* arc.h - the validation of ARC chains (RFC 8617, 5.2); nothing is sealed here.
 *
 * A chain tells who handled a message and what they found when it came to them. It is as good as its sealers: pass says
 * only that the seals are genuine.
 */
#ifndef AUTH_ARC_H
#define AUTH_ARC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/str.h"
#include "../dns/dns.h"
#include "../mail/header.h"
#include "results.h"

#define ARC_SETS_MOST 50               /* RFC 8617, 4.2.1 */
#define ARC_BYTES_MOST (512 * 1024)    /* of all ARC fields of a message; more is fail */

struct arc;

/* arc_begin - gather the sets and ask for their keys; never waits. NULL: no field of ARC's. */
struct arc *arc_begin(struct arena *a, struct dns_budget *budget, const struct headers *headers);

/* arc_finish - pass, fail, or temperror when a key could not be had (RFC 8601 has no word for that: nothing is
 * reported). body as it came, with CRLF. */
enum auth_result arc_finish(struct arc *arc, const struct headers *headers, struct str body, int64_t deadline);

const char *arc_problem(const struct arc *arc);            /* why it is not pass; "" otherwise */
unsigned arc_count(const struct arc *arc);                 /* sets; 0 for a malformed chain */
struct str arc_sealer(const struct arc *arc, unsigned i);  /* d= of the seal of instance i, from 1, lower-case */
struct str arc_results(const struct arc *arc, unsigned i); /* what the ARC-Authentication-Results of instance i says,
                                                              behind its i= tag */

/* arc_vouches - of a chain that passed: all its sealers are among the trusted ones, and the first of them says that
 * DMARC passed for this author domain when the message came to it. */
bool arc_vouches(const struct arc *arc, const struct str *trusted, size_t count, struct str author);

/* arc_might_vouch - of a chain of which a key could not be had: would it pass, it would vouch. Only keys of trusted
 * sealers can leave that open: otherwise a forger would name a key of his own that never answers. */
bool arc_might_vouch(const struct arc *arc, const struct str *trusted, size_t count, struct str author);

/* arc_finish_message - arc_finish over what is kept of a message. */
struct message;
enum auth_result arc_finish_message(struct arc *arc, struct message *m, int64_t deadline);

#include "../base/banned.h"
#endif
