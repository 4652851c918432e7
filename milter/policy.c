/* policy.c - what policies call to say what they found, and the words for it all. */
#include <stdarg.h>

#include "config.h"
#include "policy.h"

const char *const stage_names[] = {"connect", "helo",    "mail",    "rcpt",  "data", "headers",
                                   "message", "unknown", "close",   NULL};
const char *const result_names[] = {"nothing", "good", "bad", "unsure", NULL};
const char *const reject_words[] = {"now", "later", "never", NULL};
const char *const reply_words[] = {"perm", "temp", "disconnect", "temp_disconnect", NULL};
const char *const immune_words[] = {"local", "auth", "whitelisted", NULL};

/* The presets here are those of a policy that does not say otherwise. */
const struct option common_options[] = {
    OPT_BOOL(struct common, enabled, "yes", "whether the policy is run at all"),
    OPT_WORD(struct common, reject, "now", reject_words,
             "when a bad finding is told: at once, at the profile's reply_at, or never (shadow)"),
    OPT_WORD(struct common, reply, "perm", reply_words, "5xx, 4xx, 521 and hang up, 421 and hang up"),
    OPT_INT(struct common, karma, "0", -100, 100, "added to the connection's karma when bad"),
    OPT_WORDS(struct common, skip, "", immune_words, "who is immune: then the policy is not run"),
    OPTION_END,
};

__attribute__((format(printf, 5, 0)))
static struct finding finding(struct context *c, enum result result, int code, const char *status, const char *format,
                              va_list ap)
{
    struct buf b = buf_in(c->arena);

    buf_vaddf(&b, format, ap);
    return (struct finding){.result = result, .code = code, .status = status, .text = buf_str(&b)};
}

struct finding good(struct context *c)
{
    (void)c;
    return (struct finding){.result = GOOD};
}

struct finding weigh(struct context *c, long karma)
{
    (void)c;
    return (struct finding){.result = NOTHING, .karma = karma};
}

struct finding unsure(struct context *c, const char *format, ...)
{
    struct finding f;
    va_list ap;

    va_start(ap, format);
    f = finding(c, UNSURE, 0, "5.7.1", format, ap);
    va_end(ap);
    return f;
}

struct finding bad(struct context *c, const char *status, const char *format, ...)
{
    struct finding f;
    va_list ap;

    va_start(ap, format);
    f = finding(c, BAD, 0, status, format, ap);
    va_end(ap);
    return f;
}

struct finding bad_code(struct context *c, int code, const char *status, const char *format, ...)
{
    struct finding f;
    va_list ap;

    va_start(ap, format);
    f = finding(c, BAD, code, status, format, ap);
    va_end(ap);
    return f;
}

struct finding bad_entry(struct context *c, const struct pattern *entry, const char *status, const char *words)
{
    fact_set(c, FACT_MATCHED, entry->written);
    return (struct finding){.result = BAD, .status = status, .text = entry->text.n ? entry->text : str_of(words)};
}

static void *state(struct arena *a, void ***states, const struct policy *p, size_t size)
{
    size_t i = policy_index(p);

    if (!*states)
        *states = arena_array(a, policy_table_count, sizeof **states);
    if (!(*states)[i])
        (*states)[i] = arena_zalloc(a, size);
    return (*states)[i];
}

void *session_state(struct context *c, size_t size)
{
    return state(c->session->arena, &c->session->policy_states, c->instance->policy, size);
}

void *message_state(struct context *c, size_t size)
{
    return state(c->message->arena, &c->message->policy_states, c->instance->policy, size);
}

const struct cidr_list *local_networks(const struct context *c)
{
    return &c->config->global.local_networks;
}

struct str host_name(const struct context *c)
{
    return c->config->global.hostname;
}

bool is_local_domain(const struct context *c, struct str domain)
{
    return config_is_local_domain(c->config, domain);
}

struct str key_directory(const struct config *config)
{
    return config->global.key_dir;
}

const void *loaded(const struct context *c)
{
    return c->config->loaded ? c->config->loaded[policy_index(c->instance->policy)] : NULL;
}

void fact_set(struct context *c, enum fact fact, struct str value)
{
    struct facts *f = c->facts;

    f->items = arena_grow(c->arena, f->items, f->count, sizeof *f->items);
    f->items[f->count++] = (struct fact_value){fact, str_dup(c->arena, value)};
}

struct str fact_get(const struct context *c, enum fact fact)
{
    struct str value = c->message ? facts_newest(&c->message->facts, fact) : STR_NONE;

    return value.n ? value : facts_newest(&c->session->facts, fact);
}

const struct policy *policy_by_name(struct str name)
{
    for (size_t i = 0; i < policy_table_count; i++)
        if (str_is(str_of(policy_table[i]->name), name))
            return policy_table[i];
    return NULL;
}

size_t policy_index(const struct policy *p)
{
    size_t i = 0;

    while (policy_table[i] != p)
        i++;
    return i;
}

bool policy_idle(const struct instance *in, enum stage stage)
{
    return in->policy->idle && in->policy->idle(in->options, stage);
}
