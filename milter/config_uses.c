/* config_uses.c - what a configuration has: policies, DNS lists, domains. */
#include "config.h"

/* zones_of - the DNS lists among one policy's options. */
static void zones_of(struct arena *a, const struct instance *in, const struct zone ***list, size_t *count)
{
    for (const struct option *o = in->policy->options; o && o->name; o++) {
        const struct zone_list *zones = (const void *)((const char *)in->options + o->offset);

        if (o->type != OPTION_CLIENT_ZONES && o->type != OPTION_NAME_ZONES)
            continue;
        for (size_t i = 0; i < zones->count; i++) {
            *list = arena_grow(a, *list, *count, sizeof **list);
            (*list)[(*count)++] = &zones->items[i];
        }
    }
}

size_t config_zones(struct arena *a, const struct config *config, const struct zone ***list)
{
    const struct zone **all = NULL;
    size_t count = 0, kept = 0;

    for (size_t k = 0; k < config->profile_count; k++)
        for (size_t i = 0; i < config->profiles[k].count; i++)
            zones_of(a, &config->profiles[k].instances[i], &all, &count);
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;

        while (k < kept && !(str_is(all[k]->name, all[i]->name) && str_is(all[k]->test, all[i]->test)))
            k++;
        if (k == kept)
            all[kept++] = all[i];
    }
    *list = all;
    return kept;
}

bool config_uses(const struct config *config, const char *policy)
{
    for (size_t k = 0; k < config->profile_count; k++)
        for (size_t i = 0; i < config->profiles[k].count; i++)
            if (str_is(str_of(config->profiles[k].instances[i].policy->name), str_of(policy)))
                return true;
    return false;
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

bool config_is_local_domain(const struct config *config, struct str domain)
{
    struct arena *a;
    struct str ascii;
    bool found = pattern_find(&config->global.local_domains, domain) != NULL;

    if (found || is_ascii(domain))
        return found;
    a = arena_new(512); /* whatever the letters, it is the name that the DNS has */
    found = domain_to_ascii(a, domain, &ascii) && pattern_find(&config->global.local_domains, ascii);
    arena_free(&a);
    return found;
}
