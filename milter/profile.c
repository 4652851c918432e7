/* profile.c - which profile a client gets. */
#include "config.h"

static bool has_number(const struct str_list *list, unsigned n)
{
    long value;

    for (size_t i = 0; i < list->count; i++)
        if (str_to_long(list->items[i], &value) && value == (long)n)
            return true;
    return false;
}

static bool has_name(const struct str_list *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_is(list->items[i], name))
            return true;
    return false;
}

/* An address that is not known is nobody's neighbour, and neither surely a stranger's: only `any` takes it. */
static bool network_holds(const struct config *config, int wanted, struct ip ip)
{
    bool local = cidr_find(&config->global.local_networks, ip) != NULL;

    if (wanted == NETWORK_LOCAL)
        return local;
    return wanted == NETWORK_ANY || (ip.known && !local);
}

static bool auth_holds(int wanted, struct str auth)
{
    return wanted == AUTH_ANY || (wanted == AUTH_YES) == (auth.n > 0);
}

static bool holds(const struct config *config, const struct profile *p, const struct session *s)
{
    const struct profile_options *o = &p->options;
    bool network = network_holds(config, o->network, s->peer.ip);
    bool auth = auth_holds(o->auth, s->auth);

    if (o->port.count && !(s->peer.server_port && has_number(&o->port, s->peer.server_port)))
        return false;
    if (o->daemon_name.count && !has_name(&o->daemon_name, s->peer.daemon_name))
        return false;
    return o->match == MATCH_ANY ? network || auth : network && auth;
}

const struct profile *profile_choose(const struct config *config, const struct session *s)
{
    for (size_t i = 0; i < config->profile_count; i++)
        if (holds(config, &config->profiles[i], s))
            return &config->profiles[i];
    return config->fallback;
}
