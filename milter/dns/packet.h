/* packet.h - reading DNS messages (RFC 1035): a stranger's bytes, so capped and fuzzed. */
#ifndef DNS_PACKET_H
#define DNS_PACKET_H

#include "dns.h"

#define DNS_CNAMES_MOST 10     /* hops of an alias chain */
#define DNS_RECORDS_MOST 128   /* of one answer; more are not read */
#define DNS_PACKET_MOST 65535
#define DNS_NAME_MOST 253      /* bytes of a name as text, without the last dot */
#define DNS_ASK_MOST 512       /* bytes of a question packet */
#define DNS_NEGATIVE_TTL 30    /* seconds, of a negative answer without SOA */

/* packet_name - the written name in the form that is asked: lower-case, without the last dot. False when it is none: an
 * empty label or one over 63 bytes, over 253 in all, a NUL byte. */
bool packet_name(struct str written, char lower[DNS_NAME_MOST], size_t *n);

/* packet_ask - a question (RD set; with EDNS: 1232 bytes, RFC 6891), its size. `name` as packet_name makes it, or ""
 * for the root. */
size_t packet_ask(uint8_t out[DNS_ASK_MOST], uint16_t id, struct str name, enum dns_type type, bool edns);

/* packet_is_truncated - TC: the rest has to be asked for over TCP. packet_rcode - the response code; -1: no header. */
bool packet_is_truncated(struct str packet);
int packet_rcode(struct str packet);

/* packet_read - the answer to (name, type) in a packet: follows CNAMEs within it, reads the type's records and TTL.
 * Records and texts are made in `a`. Never reads outside the packet. What does not answer this question, is truncated,
 * loops or is malformed is DNS_FAIL with `why`. `name` is lower-case, without the last dot. */
struct dns_answer packet_read(struct arena *a, struct str packet, struct str name, enum dns_type type);

/* packet_write - a question with an answer section, for scripted.c and tests; empty when it cannot be written. */
struct str packet_write(struct arena *a, struct str name, enum dns_type type, const struct dns_answer *answer);

#endif
