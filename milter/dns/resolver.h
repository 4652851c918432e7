/* resolver.h - the real backend, for dns.c: one thread that owns everything of c-ares. */
#ifndef DNS_RESOLVER_H
#define DNS_RESOLVER_H

#include "cache.h"

#define DNS_IN_FLIGHT_MOST 10000 /* questions; more fail at once */

bool resolver_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena);
bool resolver_configure(const struct dns_settings *settings, struct str *error, struct arena *error_arena);
void resolver_stop(void);
void resolver_ask(struct entry *e); /* a fresh entry: answered sooner or later, whatever happens */
void resolver_follow(const struct entry *e); /* an answered one: ask for the addresses of its names into the cache */
void resolver_count(struct dns_counters *c);

#endif
