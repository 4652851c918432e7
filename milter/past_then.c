/* past_then.c - what the journal kept of each policy, and what becomes of it under other options. */
#include <pthread.h>
#include <stdarg.h>

#include "past_inside.h"

/* ---- words ---- */

#define POLICIES_MOST 64

static struct {
    struct str policies[POLICIES_MOST], facts[FACTS], stages[STAGES], results[4];
} words;

static void words_make(void)
{
    for (size_t i = 0; i < policy_table_count && i < POLICIES_MOST; i++)
        words.policies[i] = str_of(policy_table[i]->name);
    for (unsigned i = 0; i < FACTS; i++)
        words.facts[i] = str_of(fact_name((enum fact)i));
    for (unsigned i = 0; i < STAGES; i++)
        words.stages[i] = str_of(stage_names[i]);
    for (unsigned i = 0; i < 4; i++)
        words.results[i] = str_of(result_names[i]);
}

/* word_index - its place in the list, or count. */
static size_t word_index(const struct str *list, size_t count, struct str word)
{
    size_t i = 0;

    while (i < count && !str_is(list[i], word))
        i++;
    return i;
}

/* ---- the row ---- */

static void read_ran(struct past_row *row, struct str ran)
{
    struct str part, stage, policy;

    while (str_split(&ran, ';', &part)) {
        size_t at;

        if (!str_split(&part, ':', &stage) || (at = word_index(words.stages, STAGES, stage)) == STAGES)
            continue;
        while (str_split(&part, ',', &policy)) {
            size_t i = word_index(words.policies, policy_table_count, policy);

            if (i < policy_table_count)
                row->ran[at] |= (uint64_t)1 << i;
        }
    }
}

static void read_facts(struct arena *a, const struct journal_finding *f, struct then *then)
{
    struct fact_value *facts = arena_array(a, f->fact_count, sizeof *facts);

    for (size_t i = 0; i < f->fact_count; i++) {
        size_t fact = word_index(words.facts, FACTS, f->facts[i].name);

        if (fact < FACTS)
            facts[then->count++] = (struct fact_value){(enum fact)fact, f->facts[i].value};
    }
    then->facts = facts;
}

/* read_finding - false when it is of a policy or stage that there is none of any more. */
static bool read_finding(struct arena *a, const struct journal_finding *f, struct past_found *found)
{
    size_t policy = word_index(words.policies, policy_table_count, f->policy);
    size_t stage = word_index(words.stages, STAGES, f->stage), result = word_index(words.results, 4, f->result);

    if (policy == policy_table_count || stage == STAGES || result == 4)
        return false;
    *found = (struct past_found){
        .policy = policy, .stage = (enum stage)stage, .rcpt = f->rcpt, .weight = f->karma,
        .stopped = str_is(f->judged, STR("now")),
        .then.finding = {.result = (enum result)result, .status = f->status.n ? str_c(a, f->status) : NULL,
                         .code = f->code, .text = f->text, .karma = f->karma, .permanent = f->permanent,
                         .temporary = f->temporary, .again = f->again},
    };
    read_facts(a, f, &found->then);
    return true;
}

/* read_greetings - a client that greeted several times: each time the policy helo noted the name before. */
static void read_greetings(struct arena *a, struct past_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        struct str before = then_fact(&row->found[i].then, FACT_HELO_BEFORE);

        if (row->found[i].stage != AT_HELO || before.n == 0)
            continue;
        row->greetings = arena_grow(a, row->greetings, row->greeting_count, sizeof *row->greetings);
        row->greetings[row->greeting_count++] = before;
    }
}

const struct past_row *past_read(struct arena *a, const struct journal_message *m)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct past_row *row = arena_zalloc(a, sizeof *row);

    pthread_once(&once, words_make);
    row->m = m;
    row->base = m->karma;
    row->found = arena_array(a, m->finding_count, sizeof *row->found);
    read_ran(row, m->ran);
    for (size_t i = 0; i < m->finding_count; i++) {
        row->base -= m->findings[i].karma;
        row->count += read_finding(a, &m->findings[i], &row->found[row->count]);
    }
    read_greetings(a, row);
    return row;
}

/* ---- one policy's run ---- */

void past_stop(struct past *p, const char *format, ...)
{
    struct buf b;
    va_list ap;

    if (p->stopped)
        return;
    p->stopped = true;
    b = buf_in(p->arena);
    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    p->unknown = buf_str(&b);
}

static size_t place_in(const struct profile *p, const char *policy)
{
    size_t i = 0;

    while (i < p->options.policies.count && !str_is(p->options.policies.items[i], str_of(policy)))
        i++;
    return i;
}

/* was_reached - whether at RCPT nobody had refused that recipient before the policy's turn came. The order of then is
 * not kept; it is taken to be today's. */
static bool was_reached(const struct context *c, size_t policy)
{
    const struct past_row *row = c->session->past->row;
    const struct profile *p = c->session->profile;
    size_t mine = place_in(p, policy_table[policy]->name);

    for (size_t i = 0; i < row->count; i++) {
        const struct past_found *f = &row->found[i];

        if (f->stage == AT_RCPT && f->stopped && f->rcpt == (int)c->rcpt->number && f->policy != policy) {
            size_t other = place_in(p, policy_table[f->policy]->name);

            return mine < other && other < p->options.policies.count;
        }
    }
    return true;
}

static bool fits(const struct past_found *f, size_t policy, enum stage stage, const struct recipient *rcpt)
{
    return f->policy == policy && f->stage == stage && (!rcpt || f->rcpt == (int)rcpt->number);
}

/* find - the run of a policy at a stage. False: there was none. *known is false when there were several, and which of
 * them found something is not kept. */
static bool find(const struct context *c, size_t policy, enum stage stage, const struct then **then, bool *known)
{
    static const struct then nothing = {.count = 0};
    const struct past *p = c->session->past;
    const struct past_row *row = p->row;
    const struct recipient *rcpt = stage == AT_RCPT ? c->rcpt : NULL;
    size_t runs = stage == AT_HELO ? row->greeting_count + 1 : stage == AT_UNKNOWN ? row->m->unknown_commands : 1;
    size_t wanted = stage == AT_HELO ? p->greeting : stage == AT_UNKNOWN ? p->command : 0, found = 0;

    *then = &nothing;
    *known = true;
    if (!(row->ran[stage] & (uint64_t)1 << policy) || (rcpt && !was_reached(c, policy)))
        return false;
    for (size_t i = 0; i < row->count; i++)
        if (fits(&row->found[i], policy, stage, rcpt) && found++ == wanted)
            *then = &row->found[i].then;
    *known = found == 0 ? row->m->finding_count < JOURNAL_FINDINGS_MOST : found >= runs;
    return true;
}

struct finding past_finding(struct context *c, enum stage stage)
{
    const struct policy *policy = c->instance->policy;
    struct past *p = c->session->past;
    size_t index = policy_index(policy);
    const struct then *then;
    bool known;

    if (p->stopped || policy->silent)
        return NO_OPINION;
    if (policy->replays & 1u << stage)
        return policy->at[stage](c);
    p->why = "it was not run then";
    if (find(c, index, stage, &then, &known)) {
        p->why = "which of its runs found something was not recorded";
        if (known && p->changed && p->changed[index])
            p->why = "what it finds with that option was not recorded";
        if (!known || (p->changed && p->changed[index]))
            then = NULL;
    } else {
        then = NULL;
    }
    return policy->again ? policy->again(c, stage, then) : then_keep(c, then);
}

void past_stage(struct session *s, enum stage stage)
{
    s->past->stage = stage;
    s->past->karma = s->karma;
}

/* ---- what policies may ask ---- */

struct str then_fact(const struct then *then, enum fact fact)
{
    for (size_t i = then ? then->count : 0; i-- > 0;)
        if (then->facts[i].fact == fact)
            return then->facts[i].value;
    return STR_NONE;
}

const struct then *then_at(struct context *c, enum stage stage)
{
    const struct past *p = c->session->past;
    const struct then *then;
    bool known;

    if (p->changed && p->changed[policy_index(c->instance->policy)])
        return NULL;
    return find(c, policy_index(c->instance->policy), stage, &then, &known) && known ? then : NULL;
}

struct finding then_keep(struct context *c, const struct then *then)
{
    if (!then)
        return not_kept(c, "%s", c->session->past->why);
    for (size_t i = 0; i < then->count; i++)
        fact_set(c, then->facts[i].fact, then->facts[i].value);
    return then->finding;
}

struct finding not_kept(struct context *c, const char *format, ...)
{
    struct buf b = buf_in(c->arena);
    va_list ap;

    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    past_stop(c->session->past, "%s at %s: " STR_FMT, c->instance->policy->name, stage_names[c->session->past->stage],
              STR_ARG(buf_str(&b)));
    return NO_OPINION;
}

struct str past_fact(const struct context *c, enum fact fact)
{
    const struct past_row *row = c->session->past->row;
    struct str value = STR_NONE;

    for (size_t i = row->count; i-- > 0 && value.n == 0;)
        value = then_fact(&row->found[i].then, fact);
    return value;
}

bool past_ran(const struct context *c, const char *policy, enum stage stage)
{
    const struct policy *p = policy_by_name(str_of(policy));

    return p && (c->session->past->row->ran[stage] & (uint64_t)1 << policy_index(p));
}

bool now_run(const struct context *c, const char *policy)
{
    const struct profile *p = c->session->profile;

    for (size_t i = 0; i < p->count; i++)
        if (str_is(str_of(p->instances[i].policy->name), str_of(policy)))
            return true;
    return false;
}

bool past_alike(const struct context *c, const char *policy, enum stage stage)
{
    const struct policy *p = policy_by_name(str_of(policy));

    return p && c->message && past_ran(c, policy, stage) == (c->message->ran[stage] >> policy_index(p) & 1);
}

/* then_before - the karma of then, when the stage began. */
static long then_before(const struct past_row *row, enum stage stage)
{
    long karma = row->base;

    for (size_t i = 0; i < row->count; i++) {
        const struct past_found *f = &row->found[i];

        if (f->stage < stage || f->stage == AT_UNKNOWN)
            karma += f->weight;
    }
    return karma;
}

long past_moved(const struct context *c)
{
    const struct past *p = c->session->past;

    return p->karma - then_before(p->row, p->stage);
}

enum larger past_larger(const struct context *c, uint64_t limit)
{
    const struct journal_message *m = c->session->past->row->m;
    uint64_t header = m->size > m->body_bytes ? m->size - m->body_bytes : 0;

    if (m->size + 2 > limit)
        return LARGER;
    return m->size + 2 + 3 * header > limit ? PERHAPS_LARGER : NOT_LARGER; /* a field has a byte at least */
}

int64_t past_clock(const struct context *c)
{
    return c->session->past->row->m->at_ms;
}

#define CODES_MOST 16 /* of one answer */

void list_note(struct arena *a, struct buf *b, const struct zone *zone, enum zone_said said,
               const struct dns_answer *answer)
{
    struct str why;

    if (b->len)
        buf_addc(b, ',');
    buf_addf(b, STR_FMT "=", STR_ARG(zone->shown));
    if (said == ZONE_SILENT)
        buf_add(b, STR("silent"));
    else if (answer->status == DNS_FAIL || (said == ZONE_UNSURE && zone_judge(a, zone, answer, &why) == ZONE_LISTED))
        buf_add(b, STR("unsure"));
    else if (answer->status != DNS_OK || answer->count == 0)
        buf_add(b, STR("clean"));
    else for (size_t i = 0; i < answer->count && i < CODES_MOST; i++)
        buf_addf(b, "%s" STR_FMT, i ? "+" : "", STR_ARG(ip_text(a, answer->records[i].ip)));
}

/* judge_codes - as zone_judge() does, of what the list answered then. */
static enum zone_said judge_codes(struct arena *a, const struct zone *zone, struct str codes, struct str *code)
{
    struct dns_record *records = arena_array(a, CODES_MOST, sizeof *records);
    struct dns_answer answer = {.status = DNS_OK, .records = records};
    enum zone_said said = ZONE_CLEAN;
    bool is_unsure = false;
    struct str one;

    while (str_split(&codes, '+', &one) && answer.count < CODES_MOST) {
        is_unsure |= str_is(one, STR("unsure"));
        if (ip_parse(one, &records[answer.count].ip))
            answer.count++;
    }
    if (answer.count)
        said = zone_judge(a, zone, &answer, code);
    return said != ZONE_LISTED && is_unsure ? ZONE_UNSURE : said;
}

bool list_said(struct arena *a, struct str noted, const struct zone *zone, enum zone_said *said, struct str *code)
{
    struct str one, name;

    while (str_split(&noted, ',', &one)) {
        if (!str_split(&one, '=', &name) || !str_is(name, zone->shown))
            continue;
        *code = one;
        if (str_is(one, STR("clean")))
            *said = ZONE_CLEAN;
        else if (str_is(one, STR("silent")))
            *said = ZONE_SILENT;
        else
            *said = judge_codes(a, zone, one, code);
        return true;
    }
    return false;
}

const struct zone *lists_again(struct context *c, const struct zone_list *zones, const struct ip *client,
                               const struct then *then, struct str *code, struct finding *found)
{
    struct str noted = then_fact(then, FACT_LIST_SAID), doubt = STR_NONE;
    bool doubtful = false;

    *found = NO_OPINION;
    if (noted.n)
        fact_set(c, FACT_LIST_SAID, noted);
    for (size_t i = 0; i < zones->count; i++) {
        const struct zone *zone = &zones->items[i];
        enum zone_said said;

        if (client && !zone_takes(zone, *client))
            continue;
        if (!then || !list_said(c->arena, noted, zone, &said, code)) {
            *found = then ? not_kept(c, "what the list " STR_FMT " says was not recorded", STR_ARG(zone->shown))
                          : then_keep(c, then);
            return NULL;
        }
        if (said == ZONE_LISTED)
            return zone;
        doubtful |= said == ZONE_UNSURE;
        if (said != ZONE_CLEAN)
            doubt = arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(*code));
    }
    if (doubt.n)
        fact_set(c, FACT_LIST_UNSURE, doubt);
    if (doubtful)
        *found = unsure(c, "a block list could not be asked");
    return NULL;
}

/* ---- options ---- */

bool past_can_tell(const struct policy *policy, const char *option, struct str *why)
{
    unsigned used = 0;

    *why = STR_NONE;
    for (const struct option *o = common_options; o->name; o++)
        if (str_is(str_of(o->name), str_of(option)))
            return true;
    for (const struct told_again *t = policy->told_again; t && t->option; t++)
        if (str_is(str_of(t->option), str_of(option))) {
            *why = str_of(t->missing);
            return !t->missing;
        }
    for (unsigned stage = 0; stage < STAGES; stage++)
        used |= policy->at[stage] ? 1u << stage : 0;
    if ((used & ~policy->replays) == 0 || policy->silent)
        return true;
    *why = STR("what it would have found with another value");
    return false;
}
