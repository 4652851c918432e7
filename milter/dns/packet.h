/* packet.h - reading DNS messages (RFC 1035): a stranger's bytes, so capped and fuzzed. */
#ifndef DNS_PACKET_H
#define DNS_PACKET_H

#include "dns.h"

#define DNS_CNAMES_MOST 10     /* hops of an alias chain */
#define DNS_RECORDS_MOST 128   /* of one answer; more are not read */
#define DNS_PACKET_MOST 65535

/* packet_read - the answer to (name, type) in a packet: follows CNAMEs within it, reads records of the type, takes the TTL.
 * Records and texts are made in `a`. Never reads outside the packet. What does not answer this question, is truncated,
 * loops or is malformed is DNS_FAIL with `why`. `name` is lower-case, without the last dot. */
struct dns_answer packet_read(struct arena *a, struct str packet, struct str name, enum dns_type type);

/* packet_write - a question with an answer section, for scripted.c and tests. */
struct str packet_write(struct arena *a, struct str name, enum dns_type type, const struct dns_answer *answer);

#endif
