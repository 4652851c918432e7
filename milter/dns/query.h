/* query.h - the questions that are on their way; everything here but query_new and query_count is the resolver's thread's. */
#ifndef DNS_QUERY_H
#define DNS_QUERY_H

#include "cache.h"
#include "upstream.h"

struct query;

struct query *query_new(struct entry *e);    /* holds the entry; NULL: too many are in flight */
void query_drop(struct query *q, const char *why); /* one that was never added: its entry fails */
struct query **query_next(struct query *q);  /* the link of resolver.c's queue */
void query_count(struct dns_counters *c);

void queries_begin(struct upstreams *set);
void queries_servers(struct upstreams *set); /* from now on; what is on its way is asked again there */
void queries_add(struct query *q);
void queries_event(uint64_t data, uint32_t events); /* of epoll */
void queries_work(void);                     /* all that is due */
int queries_sleep_ms(void);                  /* until something will be */
void queries_end(void);                      /* all fail */

#endif
