/* past_differ.c - what of another whole configuration the journal cannot tell. */
#include "past_inside.h"

struct differ {
    struct arena *a, *scratch;
    const struct config *now, *other;
    bool *changed;
    struct str *lines;
    size_t count;
};

/* same_values - of all rows of the table. */
static bool same_values(struct arena *scratch, const struct option *rows, const void *x, const void *y)
{
    for (const struct option *o = rows; o->name; o++)
        if (!option_same(scratch, o, x, y))
            return false;
    return true;
}

static const struct option *rows_of(const char *section)
{
    const struct section *s = config_sections;

    while (s->name && !str_is(str_of(s->name), str_of(section)))
        s++;
    return s->options;
}

/* same_choice - whether every client comes to the profile of the same name in both. */
static bool same_choice(struct differ *d)
{
    static const char *const conditions[] = {"port", "daemon_name", "network", "auth", "match"};
    const struct option *rows = rows_of("profile"), *networks;
    bool is_file;

    networks = option_find(rows_of(""), STR("local_networks"), &is_file);
    if (d->now->profile_count != d->other->profile_count ||
        !option_same(d->scratch, networks, &d->now->global, &d->other->global))
        return false;
    for (size_t i = 0; i < d->now->profile_count; i++) {
        const struct profile *x = &d->now->profiles[i], *y = &d->other->profiles[i];

        if (!str_is(x->name, y->name))
            return false;
        for (size_t k = 0; k < sizeof conditions / sizeof conditions[0]; k++)
            if (!option_same(d->scratch, option_find(rows, str_of(conditions[k]), &is_file), &x->options, &y->options))
                return false;
    }
    return true;
}

static void tell(struct differ *d, struct str line)
{
    for (size_t i = 0; i < d->count; i++)
        if (str_is(d->lines[i], line))
            return;
    d->lines = arena_grow(d->a, d->lines, d->count, sizeof *d->lines);
    d->lines[d->count++] = line;
}

static void compare(struct differ *d, const struct instance *x, const struct instance *y)
{
    const struct policy *policy = y->policy;
    struct str why;

    for (const struct option *o = policy->options; o && o->name; o++) {
        if (past_can_tell(policy, o->name, &why) || option_same(d->scratch, o, x->options, y->options))
            continue;
        d->changed[policy_index(policy)] = true;
        tell(d, arena_printf(d->a, "%s.%s: not recorded is " STR_FMT, policy->name, o->name, STR_ARG(why)));
    }
}

/* compare_with - the policies of a profile of the other configuration with those of one of the present. */
static void compare_with(struct differ *d, const struct profile *now, const struct profile *other)
{
    for (size_t i = 0; i < other->count; i++)
        for (size_t k = 0; k < now->count; k++)
            if (now->instances[k].policy == other->instances[i].policy)
                compare(d, &now->instances[k], &other->instances[i]);
}

size_t past_differ(struct arena *a, const struct config *now, const struct config *other, bool *changed,
                   struct str **lines)
{
    struct differ d = {.a = a, .scratch = arena_new(0), .now = now, .other = other, .changed = changed};
    bool by_name = same_choice(&d);

    for (size_t i = 0; i < other->profile_count; i++)
        for (size_t k = 0; k < now->profile_count; k++)
            if (!by_name || i == k)
                compare_with(&d, &now->profiles[k], &other->profiles[i]);
    compare_with(&d, now->fallback, other->fallback);
    if (!same_values(d.scratch, rows_of("dns"), &now->dns, &other->dns))
        tell(&d, STR("dns: what was answered then is taken, whatever other servers would have said"));
    arena_free(&d.scratch);
    *lines = d.lines;
    return d.count;
}

bool past_over_limits(const struct past_row *row, const struct config *now, const struct config *other,
                      struct str *why)
{
    const struct limit_options *x = &now->limits, *y = &other->limits;
    const struct journal_message *m = row->m;
    uint64_t header = m->size > m->body_bytes ? m->size - m->body_bytes : 0;

    if (x->recipients == y->recipients && x->header_size == y->header_size && x->message_size == y->message_size)
        return false;
    *why = STR("limits: they would be others, and what is beyond one was not recorded");
    return str_is(m->by, STR("limits")) || m->nrcpt > (unsigned)y->recipients || m->nrcpt >= (unsigned)x->recipients ||
           header > y->header_size ||
           m->body_bytes > y->message_size;
}
