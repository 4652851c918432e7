/* query.h - the questions that are on their way. All but the first three functions are the resolver's thread's. */
#ifndef DNS_QUERY_H
#define DNS_QUERY_H

#include "cache.h"
#include "upstream.h"

bool queries_reserve(void);   /* room for one more; false: too many are in flight */
void queries_unreserve(void); /* it is not needed */
void queries_count(struct dns_counters *c);

void queries_begin(struct upstreams *set);
void queries_servers(struct upstreams *set); /* from now on; what is on its way is asked again there */
void queries_add(struct entry *e);           /* reserved; takes over the caller's reference */
void queries_event(uint64_t data, uint32_t events); /* of epoll */
void queries_work(void);                     /* all that is due */
int queries_sleep_ms(void);                  /* until something will be */
void queries_end(void);                      /* all fail */

#endif
