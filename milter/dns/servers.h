/* servers.h - whom to ask: from the configuration, or /etc/resolv.conf. */
#ifndef DNS_SERVERS_H
#define DNS_SERVERS_H

#include "dns.h"

#define DNS_SERVERS_MOST 8
#define DNS_RESOLV_CONF_MOST 3 /* what resolv.conf(5) says */

struct server {
    struct ip ip;
    unsigned port;
};

bool server_parse(struct str text, struct server *server);
struct str server_text(struct arena *a, const struct server *server); /* "192.0.2.1:53", "[2001:db8::1]:53" */

/* servers_find - those of the settings, or of resolv.conf: its first three; none: this host. False (and *error) when
 * the settings name one that is none. */
bool servers_find(const struct dns_settings *settings, struct server servers[DNS_SERVERS_MOST], size_t *count,
                  struct str *error, struct arena *error_arena);

void servers_resolv_conf(const char *path); /* tests: another file; NULL: the usual one */

#endif
