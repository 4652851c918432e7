/* wiring.c - one socket, two notations; and the sum of all waits. */
#include "wiring.h"

static bool host_and_port(struct arena *a, struct str host, struct str port, struct endpoint *e)
{
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_slice(host, 1, host.n - 1);
    if (host.n == 0 || str_is_nocase(host, STR("localhost")) || str_is(host, STR("0.0.0.0")))
        host = STR("127.0.0.1");
    else if (str_is(host, STR("::")))
        host = STR("::1");
    e->is_unix = false;
    e->host = str_lower(a, host);
    return str_to_long(port, &e->port) && e->port > 0 && e->port <= 65535;
}

bool endpoint_of_listen(struct arena *a, struct str listen, struct endpoint *e)
{
    struct str rest;
    size_t at;

    *e = (struct endpoint){.is_unix = true};
    if (listen.n && listen.p[0] == '/') {
        e->path = listen;
        return true;
    }
    at = str_find(listen, ':');
    rest = str_slice(listen, at + 1, listen.n);
    if (str_starts(listen, STR("unix:")) || str_starts(listen, STR("local:"))) {
        e->path = rest;
        return rest.n > 0;
    }
    if (!str_starts(listen, STR("inet:")) && !str_starts(listen, STR("inet6:")))
        return false;
    at = str_find(rest, '@');
    if (at == rest.n && str_starts(listen, STR("inet6:")))
        return host_and_port(a, STR("::1"), rest, e);
    return host_and_port(a, str_slice(rest, at + 1, rest.n), str_slice(rest, 0, at), e);
}

bool service_is_chrooted(const struct postfix *p, const struct postfix_service *service)
{
    if (str_is(service->chroot, STR("-"))) /* its meaning changed with Postfix 3.0, unless told to stay compatible */
        return !postfix_is(&p->version, 3, 0, 0) || str_is(postfix_value(p, NULL, "compatibility_level"), STR("0"));
    return str_is(service->chroot, STR("y"));
}

/* first_item - of "{ unix:/path, timeout=1s }" the first, of anything else itself. */
static struct str first_item(struct str item, struct str *settings)
{
    *settings = STR_NONE;
    if (item.n >= 2 && item.p[0] == '{' && item.p[item.n - 1] == '}') {
        *settings = str_slice(item, 1, item.n - 1);
        postfix_item(settings, &item);
    }
    return item;
}

bool endpoint_of_milter(const struct postfix *p, const struct postfix_service *service, struct str item,
                        struct endpoint *e)
{
    struct str settings, text = first_item(item, &settings), rest;
    size_t colon;

    *e = (struct endpoint){.is_unix = true};
    rest = str_slice(text, str_find(text, ':') + 1, text.n);
    if (str_starts(text, STR("inet:"))) {
        colon = str_rfind(rest, ':');
        if (colon == rest.n) { /* inet:port@host, which Postfix takes too */
            colon = str_find(rest, '@');
            return host_and_port(p->arena, str_slice(rest, colon + 1, rest.n), str_slice(rest, 0, colon), e);
        }
        return host_and_port(p->arena, str_slice(rest, 0, colon), str_slice(rest, colon + 1, rest.n), e);
    }
    if (!str_starts(text, STR("unix:")) || rest.n == 0)
        return false;
    e->path = rest;
    if (rest.p[0] != '/' || (service && service_is_chrooted(p, service)))
        e->path = arena_printf(p->arena, STR_FMT "%s" STR_FMT, STR_ARG(postfix_value(p, NULL, "queue_directory")),
                               rest.p[0] == '/' ? "" : "/", STR_ARG(rest));
    return true;
}

/* next_segment - take the next part of a path, skipping slashes and "." */
static bool next_segment(struct str *path, struct str *segment)
{
    while (str_split(path, '/', segment))
        if (segment->n && !str_is(*segment, STR(".")))
            return true;
    return false;
}

static bool path_equal(struct str a, struct str b)
{
    struct str x, y;
    bool more;

    /* /var/run is a link to /run everywhere that matters, and both spellings are common. */
    if (str_starts(a, STR("/var/run/")))
        a = str_slice(a, 4, a.n);
    if (str_starts(b, STR("/var/run/")))
        b = str_slice(b, 4, b.n);
    do {
        more = next_segment(&a, &x);
        if (next_segment(&b, &y) != more)
            return false;
    } while (more && str_is(x, y));
    return !more;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    if (a->is_unix != b->is_unix)
        return false;
    return a->is_unix ? path_equal(a->path, b->path) : a->port == b->port && str_is(a->host, b->host);
}

struct str endpoint_text(struct arena *a, const struct endpoint *e)
{
    if (e->is_unix)
        return arena_printf(a, "unix:" STR_FMT, STR_ARG(e->path));
    if (str_find(e->host, ':') < e->host.n)
        return arena_printf(a, "inet:[" STR_FMT "]:%ld", STR_ARG(e->host), e->port);
    return arena_printf(a, "inet:" STR_FMT ":%ld", STR_ARG(e->host), e->port);
}

bool milter_setting(struct str item, const char *name, struct str *value)
{
    struct str settings, part;
    bool found = false;

    first_item(item, &settings);
    while (postfix_item(&settings, &part)) {
        size_t at;

        if (part.p[0] == '{' && part.n >= 2)
            part = str_trim(str_slice(part, 1, part.n - 1));
        at = str_find(part, '=');
        if (at == part.n || !str_is(str_trim(str_slice(part, 0, at)), str_of(name)))
            continue;
        *value = str_trim(str_slice(part, at + 1, part.n));
        found = true;
    }
    return found;
}

/* ---- the neighbours ---- */

static const struct other_filter other_filters[] = {
    {"sme-milter", "sme-milter", OTHER_OURSELVES, NULL},
    {"opendkim", "opendkim", OTHER_SIGNS, "dkim"},
    {":8891", "opendkim", OTHER_SIGNS, "dkim"},
    {"dkimpy", "dkimpy-milter", OTHER_SIGNS, "dkim"},
    {":8892", "dkimpy-milter", OTHER_SIGNS, "dkim"},
    {"opendmarc", "opendmarc", OTHER_EDITS, "dmarc"},
    {":8893", "opendmarc", OTHER_EDITS, "dmarc"},
    {"openarc", "openarc", OTHER_SIGNS, NULL},
    {"rspamd", "rspamd", OTHER_SIGNS | OTHER_EDITS, NULL},
    {":11332", "rspamd", OTHER_SIGNS | OTHER_EDITS, NULL},
    {"spamass", "spamass-milter", OTHER_EDITS, "spamassassin"},
    {"spf", "an SPF milter", OTHER_EDITS, "spf"},
    {"clamav", "clamav-milter", OTHER_EDITS, "virus"},
    {"clmilter", "clamav-milter", OTHER_EDITS, "virus"},
    {"amavis", "amavisd-milter", OTHER_EDITS, NULL},
    {"mimedefang", "mimedefang", OTHER_EDITS, NULL},
    {"altermime", "altermime", OTHER_EDITS, "disclaimer"},
    {"disclaimer", "a disclaimer", OTHER_EDITS, "disclaimer"},
    {"greylist", "milter-greylist", OTHER_EDITS, NULL},
    {"dkim", "a DKIM signer", OTHER_SIGNS, "dkim"},
};

const struct other_filter *other_filter_of(struct str item)
{
    for (size_t i = 0; i < sizeof other_filters / sizeof *other_filters; i++)
        if (memmem(item.p, item.n, other_filters[i].part, strlen(other_filters[i].part)))
            return &other_filters[i];
    return NULL;
}

bool other_is_replaced(const struct config *config, const struct other_filter *other)
{
    if (other && other->habits & OTHER_OURSELVES)
        return true;
    for (size_t i = 0; other && other->policy && i < config->profile_count; i++)
        for (size_t k = 0; k < config->profiles[i].count; k++)
            if (str_is(str_of(config->profiles[i].instances[k].policy->name), str_of(other->policy)))
                return true;
    return false;
}

struct str chain_with_ours(const struct postfix *p, const struct postfix_service *service, const struct config *config,
                           const struct endpoint *ours, struct str ours_text, struct str list)
{
    struct buf b = buf_in(p->arena);
    struct str item;

    buf_add(&b, ours_text);
    while (postfix_item(&list, &item)) {
        struct endpoint e;

        if (endpoint_of_milter(p, service, item, &e) && endpoint_equal(&e, ours))
            continue;
        if (other_is_replaced(config, other_filter_of(item)))
            continue;
        buf_addc(&b, ',');
        buf_add(&b, item);
    }
    return buf_str(&b);
}

/* ---- the waits ---- */

static bool acts(const struct instance *i, enum stage from, enum stage to)
{
    for (enum stage s = from; s <= to; s++)
        if ((i->policy->at[s] || i->policy->ask[s]) && !policy_idle(i, s))
            return true;
    return false;
}

static bool asks(const struct policy *p)
{
    for (enum stage s = 0; s < STAGES; s++)
        if (p->ask[s])
            return true;
    return false;
}

/* duration - of the option with that name; `otherwise` where the policy has none. */
static int64_t duration(const struct instance *i, const char *name, int64_t otherwise)
{
    const struct option *o = i->policy->options;
    int64_t ms;

    for (; o && o->name; o++)
        if (o->type == OPTION_DURATION && str_is(str_of(o->name), str_of(name))) {
            memcpy(&ms, (const char *)i->options + o->offset, sizeof ms);
            return ms;
        }
    return otherwise;
}

static void profile_waits(const struct config *config, const struct profile *p, struct waits *w)
{
    int64_t longest = 0, pause = 0, sum = 0;

    for (size_t i = 0; i < p->count; i++) {
        const struct instance *instance = &p->instances[i];
        int64_t timeout = duration(instance, "timeout", asks(instance->policy) ? config->dns.timeout : 0);
        int64_t wait = duration(instance, "wait", 0);

        if (acts(instance, AT_CONNECT, AT_RCPT)) {
            longest = timeout > longest ? timeout : longest;
            pause = wait > pause ? wait : pause;
        }
        if (acts(instance, AT_DATA, AT_MESSAGE))
            sum += timeout;
    }
    if (longest + pause > w->command_ms)
        w->command_ms = longest + pause;
    if (sum > w->content_ms)
        w->content_ms = sum;
}

struct waits waits_of(const struct config *config)
{
    struct waits w = {0, 0};

    for (size_t i = 0; i < config->profile_count; i++)
        profile_waits(config, &config->profiles[i], &w);
    if (config->fallback)
        profile_waits(config, config->fallback, &w);
    return w;
}

/* Ten seconds is what we promise for a fault inside the daemon; lookups that are allowed to take long need more. */
long command_timeout_for(const struct waits *w)
{
    long needed = (long)(w->command_ms / 1000) + 4;

    return needed > 10 ? needed : 10;
}

long content_timeout_for(const struct waits *w)
{
    long needed = (long)(w->content_ms / 1000) + 60;

    return needed > 300 ? needed : 300;
}
