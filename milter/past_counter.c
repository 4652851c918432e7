/* past_counter.c - what would have changed a decision: every candidate is one line of the configuration, and judged. */
#include <stdlib.h>

#include "past_inside.h"

#define CANDIDATES_MOST 200
#define ENTRIES_MOST 500 /* of a list that is written anew without one of them */
#define ENTRIES_TOLD 6

struct search {
    struct arena *a;
    const struct past_row *row;
    const struct past_loader *loader;
    const struct profile *profile;
    struct past_answer base;
    struct past_counter *list;
    size_t count, tried;
};

/* ---- trying ---- */

/* attempt - true when it makes a difference that is known. */
static bool attempt(struct search *s, struct str change, struct str line)
{
    struct problems problems = {.arena = s->a};
    struct conf_entry *changes = NULL;
    struct config_change made;
    struct past_answer answer;
    struct config *config;

    for (size_t i = 0; i < s->count; i++)
        if (str_is(s->list[i].change, change))
            return true;
    if (s->tried++ >= CANDIDATES_MOST || !config_change_add(s->a, &changes, change, &made, &problems))
        return false;
    config = s->loader->load(s->loader->ctx, changes, &problems);
    if (!config)
        return false;
    past_judge(s->a, config, s->row, NULL, &answer);
    answer.by = str_dup(s->a, answer.by);
    config_unref(&config);
    if (past_same(&answer, &s->base))
        return false;
    s->list = arena_grow(s->a, s->list, s->count, sizeof *s->list);
    s->list[s->count++] = (struct past_counter){change, line, answer};
    return answer.known;
}

static bool set(struct search *s, const char *policy, const char *option, const char *op, struct str value,
                struct str shown)
{
    return attempt(s, arena_printf(s->a, "%s.%s%s" STR_FMT, policy, option, op, STR_ARG(value)),
                   arena_printf(s->a, "%s { %s %s " STR_FMT " }", policy, option, op, STR_ARG(shown)));
}

static bool set_plain(struct search *s, const struct policy *p, const char *option, struct str value)
{
    return set(s, p->name, option, "=", value, value);
}

static void quote(struct buf *b, struct str text)
{
    buf_addc(b, '"');
    buf_add_escaped(b, text, "\"");
    buf_addc(b, '"');
}

static bool add_entry(struct search *s, const char *policy, const char *option, struct str entry)
{
    struct buf b = buf_in(s->a);

    buf_addc(&b, '{');
    quote(&b, entry);
    buf_addc(&b, '}');
    return set(s, policy, option, "+=", buf_str(&b), buf_str(&b));
}

/* ---- lists without an entry ---- */

struct rest {
    struct search *search;
    const struct policy *policy;
    const struct option *option;
    struct buf text;
    size_t count;
    struct str without; /* the last that was left out */
};

static void keep_or_drop(struct rest *r, bool drop, struct str entry, struct str text)
{
    if (drop) {
        r->without = entry;
        return;
    }
    buf_add(&r->text, r->count++ ? STR(", ") : STR(""));
    if (text.n)
        entry = arena_printf(r->search->a, STR_FMT "  " STR_FMT, STR_ARG(entry), STR_ARG(text));
    quote(&r->text, entry);
}

/* is_noted - the finding's facts name this entry: as it is, or "zone=code". */
static bool is_noted(const struct past_found *f, struct str entry)
{
    for (size_t i = 0; i < f->then.count; i++) {
        struct str value = f->then.facts[i].value;

        if (str_is_nocase(value, entry) ||
            (f->then.facts[i].fact == FACT_LIST && str_is_nocase(str_slice(value, 0, str_find(value, '=')), entry)))
            return true;
    }
    return false;
}

static bool is_too_long(const struct option *o, const void *field)
{
    switch (o->type) {
    case OPTION_STRINGS:
        return ((const struct str_list *)field)->count > ENTRIES_MOST;
    case OPTION_ADDRESSES:
    case OPTION_MAILBOXES:
    case OPTION_HOSTS:
        return ((const struct pattern_list *)field)->count > ENTRIES_MOST;
    case OPTION_PAIRS:
        return ((const struct pattern_pairs *)field)->count > ENTRIES_MOST;
    case OPTION_CLIENT_ZONES:
    case OPTION_NAME_ZONES:
        return ((const struct zone_list *)field)->count > ENTRIES_MOST;
    default:
        return true; /* no list, or one of which no entry is ever noted */
    }
}

static void collect(struct rest *r, const struct past_found *f, const void *field)
{
    const struct str_list *strings = field;
    const struct pattern_list *patterns = field;
    const struct pattern_pairs *pairs = field;
    const struct zone_list *zones = field;
    enum option_type type = r->option->type;

    for (size_t i = 0; type == OPTION_STRINGS && i < strings->count; i++)
        keep_or_drop(r, is_noted(f, strings->items[i]), strings->items[i], STR_NONE);
    for (size_t i = 0; type == OPTION_PAIRS && i < pairs->count; i++)
        keep_or_drop(r, is_noted(f, pairs->items[i].written), pairs->items[i].written, STR_NONE);
    if (type == OPTION_ADDRESSES || type == OPTION_MAILBOXES || type == OPTION_HOSTS)
        for (size_t i = 0; i < patterns->count; i++) {
            const struct pattern *p = &patterns->items[i];

            keep_or_drop(r, is_noted(f, p->written), p->written, p->text);
        }
    if (type == OPTION_CLIENT_ZONES || type == OPTION_NAME_ZONES)
        for (size_t i = 0; i < zones->count; i++)
            keep_or_drop(r, is_noted(f, zones->items[i].shown), zones->items[i].written, STR_NONE);
}

static void without_entry(struct search *s, const struct past_found *f, const struct instance *in,
                          const struct option *o)
{
    const void *field = (const char *)in->options + o->offset;
    struct rest r = {.search = s, .policy = in->policy, .option = o, .text = buf_in(s->a)};
    struct str shown;

    if (!option_is_list(o) || is_too_long(o, field))
        return;
    buf_addc(&r.text, '{');
    collect(&r, f, field);
    buf_addc(&r.text, '}');
    if (r.without.n == 0)
        return;
    shown = r.count <= ENTRIES_TOLD ? buf_str(&r.text)
                                    : arena_printf(s->a, "the same without \"" STR_FMT "\"", STR_ARG(r.without));
    set(s, in->policy->name, o->name, "=", buf_str(&r.text), shown);
}

/* ---- single values ---- */

static void other_words(struct search *s, const struct policy *p, const struct option *o)
{
    static const char *const booleans[] = {"yes", "no", NULL};

    for (const char *const *w = o->type == OPTION_BOOL ? booleans : o->words; *w; w++)
        set_plain(s, p, o->name, str_of(*w));
}

/* other_numbers - what was compared, and a step beyond; of a short range all. */
static void other_numbers(struct search *s, const struct past_found *f, const struct policy *p, const struct option *o)
{
    static const enum fact numbers[] = {FACT_COUNT, FACT_LOAD, FACT_SPAM_SCORE};
    bool whole = o->type == OPTION_INT;

    if (whole && o->max - o->min <= 10) {
        for (double v = o->min; v <= o->max; v++)
            if (set_plain(s, p, o->name, arena_printf(s->a, "%.0f", v)))
                return;
        return;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct str value = then_fact(&f->then, numbers[i]);
        double compared = strtod(str_c(s->a, str_slice(value, 0, str_find(value, '/'))), NULL);

        if (value.n == 0)
            continue;
        if (set_plain(s, p, o->name, arena_printf(s->a, whole ? "%.0f" : "%.2f", compared)) ||
            set_plain(s, p, o->name, whole ? arena_printf(s->a, "%.0f", compared + 1)
                                           : arena_printf(s->a, "%.1f", compared + 0.1)))
            return;
    }
}

static void own_options(struct search *s, const struct past_found *f, const struct instance *in)
{
    struct str why;

    for (const struct option *o = in->policy->options; o && o->name; o++) {
        if (!past_can_tell(in->policy, o->name, &why))
            continue;
        if (o->type == OPTION_BOOL || o->type == OPTION_WORD)
            other_words(s, in->policy, o);
        else if (o->type == OPTION_INT || o->type == OPTION_NUMBER)
            other_numbers(s, f, in->policy, o);
        else
            without_entry(s, f, in, o);
        if (o->type == OPTION_CIDRS && str_is(str_of(o->name), STR("allow")) && s->row->m->client.known)
            add_entry(s, in->policy->name, o->name, ip_text(s->a, s->row->m->client));
    }
}

/* ---- all ---- */

static bool runs(const struct profile *p, const char *policy)
{
    for (size_t i = 0; i < p->count; i++)
        if (str_is(str_of(p->instances[i].policy->name), str_of(policy)))
            return true;
    return false;
}

static struct str bare(struct str address)
{
    return str_starts(address, STR("<")) && address.n > 2 ? str_slice(address, 1, address.n - 1) : STR_NONE;
}

static void whitelisted(struct search *s)
{
    const struct journal_message *m = s->row->m;

    if (!runs(s->profile, "whitelist"))
        return;
    if (m->client.known)
        add_entry(s, "whitelist", "clients", ip_text(s->a, m->client));
    if (m->message && bare(m->sender).n)
        add_entry(s, "whitelist", "senders", bare(m->sender));
}

static void about(struct search *s, const struct past_found *f, const struct instance *in)
{
    const struct journal_message *m = s->row->m;

    if (in->common.reject == REJECT_NEVER) {
        set_plain(s, in->policy, "reject", STR("now"));
        return;
    }
    if (f->then.finding.result == UNSURE)
        attempt(s, arena_printf(s->a, "profile:" STR_FMT ".unsure=continue", STR_ARG(s->profile->name)),
                arena_printf(s->a, "profile \"" STR_FMT "\" { unsure = continue }", STR_ARG(s->profile->name)));
    set_plain(s, in->policy, "reject", STR("never"));
    if (f->then.finding.result == UNSURE)
        set_plain(s, in->policy, "enabled", STR("no"));
    own_options(s, f, in);
    if (str_is(str_of(in->policy->name), STR("goodrcptto")) && f->rcpt >= 0 && (size_t)f->rcpt < m->rcpt_count)
        add_entry(s, "goodrcptto", "recipients", bare(m->rcpt[f->rcpt].address));
    if (in->common.skip & IMMUNE_WHITELISTED)
        whitelisted(s);
}

size_t past_counters(struct arena *a, struct config *config, const struct past_row *row,
                     const struct past_loader *loader, struct past_counter **list)
{
    struct search s = {.a = a, .row = row, .loader = loader};

    past_judge(a, config, row, NULL, &s.base);
    for (size_t i = 0; i < config->profile_count; i++)
        if (str_is(config->profiles[i].name, s.base.profile))
            s.profile = &config->profiles[i];
    for (size_t i = 0; s.profile && s.base.known && i < row->count; i++) {
        const struct past_found *f = &row->found[i];

        if (f->then.finding.result != BAD && f->then.finding.result != UNSURE)
            continue;
        for (size_t k = 0; k < s.profile->count; k++)
            if (s.profile->instances[k].policy == policy_table[f->policy])
                about(&s, f, &s.profile->instances[k]);
    }
    *list = s.list;
    return s.count;
}
