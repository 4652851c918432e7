/* stage.c - the runner: see the picture and the rules in stage.h. */
#include "config.h"
#include "metrics.h"
#include "past.h"
#include "stage.h"

#define RECORDS_MOST 4096 /* per message and per connection: what one stranger may make us keep */
#define NOTES_MOST 512     /* the same, of records without a finding: further ones are not kept */
#define LONG_MICROS 10000  /* who took longer is kept although it found nothing */

/* before_mail - findings of these stages belong to the connection, all others to the message. */
static bool of_session(enum stage stage)
{
    return stage == AT_CONNECT || stage == AT_HELO || stage == AT_UNKNOWN || stage == AT_CLOSE;
}

static bool is_immune(const struct session *s, unsigned skip)
{
    bool whitelisted = s->is_whitelisted || (s->message && s->message->is_whitelisted);

    return ((skip & IMMUNE_LOCAL) && s->is_local) || ((skip & IMMUNE_AUTH) && s->auth.n) ||
           ((skip & IMMUNE_WHITELISTED) && whitelisted);
}

/* is_run - rule 1. */
static bool is_run(const struct session *s, const struct instance *in)
{
    unsigned skip = in->common.skip;

    if (in->policy->verifies)
        skip &= ~(unsigned)IMMUNE_WHITELISTED;
    return !is_immune(s, skip);
}

static enum judged judge(const struct session *s, const struct record *r)
{
    enum result result = r->finding.result;
    bool refuses = result == BAD || (result == UNSURE && (r->finding.temporary ||
                                                          s->profile->options.unsure == UNSURE_TEMPFAIL));

    if (!refuses)
        return JUDGED_NONE;
    switch ((enum reject)r->instance->common.reject) {
    case REJECT_NOW:
        return JUDGED_NOW;
    case REJECT_LATER:
        return r->stage == AT_RCPT ? JUDGED_NOW : JUDGED_LATER; /* rule 6 */
    case REJECT_NEVER:
        break;
    }
    return JUDGED_NEVER;
}

static void note_reason(struct session *s, const char *policy)
{
    struct str rest = s->conduct.reasons, name = str_of(policy), word;

    while (str_split(&rest, ',', &word))
        if (str_is(word, name))
            return;
    s->conduct.reasons = arena_printf(s->arena, STR_FMT "%s%s", STR_ARG(s->conduct.reasons),
                                      s->conduct.reasons.n ? "," : "", policy);
}

/* weigh_on - rule 2; what it weighs. */
static long weigh_on(struct session *s, const struct instance *in, const struct finding *f, bool of_connection)
{
    long weight = f->result == BAD ? in->common.karma : f->result == UNSURE ? 0 : f->karma;

    if (f->again)
        return 0;
    s->karma += weight;
    s->conduct.bad += of_connection && f->result == BAD;
    if (weight < 0)
        note_reason(s, in->policy->name);
    return weight;
}

static void append(struct records *list, const struct record *made, struct arena *a)
{
    struct record *r = arena_zalloc(a, sizeof *r);

    *r = *made;
    if (list->last)
        list->last->next = r;
    else
        list->first = r;
    list->last = r;
}

static struct record *keep(struct session *s, const struct context *c, struct records *list, struct record *made)
{
    bool spared = is_immune(s, c->instance->common.skip); /* rule 1, of one that verifies */

    made->judged = spared ? JUDGED_CLEARED : judge(s, made);
    append(list, made, c->arena);
    list->count++;
    if (!spared)
        list->last->karma = weigh_on(s, c->instance, &made->finding, list == &s->records);
    return list->last;
}

/* note - of a policy that found nothing, but noted something or took long: for the journal, and for who watches. */
static void note(const struct session *s, const struct context *c, struct records *list, const struct record *made)
{
    if (made->facts_count == 0 && made->micros < LONG_MICROS)
        return;
    if (list->notes < NOTES_MOST) {
        append(list, made, c->arena);
        list->notes++;
    }
    if (s->watcher && s->watcher->found && made->facts_count)
        s->watcher->found(s->watcher->ctx, made, c->facts);
}

static const struct record *run(struct session *s, enum stage stage, const struct recipient *rcpt, struct str command)
{
    struct message *m = of_session(stage) ? NULL : s->message;
    struct records *list = m ? &m->records : &s->records;
    uint64_t *ran = m ? m->ran : s->ran;
    const struct profile *p = s->profile;
    struct context c = {
        .config = s->config, .session = s, .message = m, .rcpt = rcpt, .command = command,
        .arena = m ? m->arena : s->arena, .facts = m ? &m->facts : &s->facts,
    };

    if (s->past)
        past_stage(s, stage);
    for (size_t i = 0; i < p->count && !s->past; i++) {
        c.instance = &p->instances[i];
        c.options = c.instance->options;
        if (c.instance->policy->ask[stage] && is_run(s, c.instance))
            c.instance->policy->ask[stage](&c);
    }
    for (size_t i = 0; i < p->count; i++) {
        struct finding (*at)(struct context *) = p->instances[i].policy->at[stage];
        struct record made = {
            .instance = &p->instances[i], .stage = stage, .rcpt = rcpt, .facts_from = c.facts->count};
        struct record *r;
        int64_t began;

        c.instance = &p->instances[i];
        c.options = c.instance->options;
        if (!at || !is_run(s, c.instance) || list->count >= RECORDS_MOST)
            continue;
        ran[stage] |= (uint64_t)1 << policy_index(c.instance->policy);
        began = s->past ? 0 : clock_micros();
        made.finding = s->past ? past_finding(&c, stage) : at(&c);
        made.micros = s->past ? 0 : clock_micros() - began;
        made.facts_count = c.facts->count - made.facts_from;
        if (made.finding.result == NOTHING && made.finding.karma == 0) {
            note(s, &c, list, &made);
            continue;
        }
        r = keep(s, &c, list, &made);
        if (s->watcher && s->watcher->found)
            s->watcher->found(s->watcher->ctx, r, c.facts);
        if (r->judged == JUDGED_NOW)
            return r; /* rule 4 */
    }
    return NULL;
}

const struct record *stage_run(struct session *s, enum stage stage, const struct recipient *rcpt, struct str command)
{
    const struct record *by;
    int64_t began;

    if (s->past)
        return run(s, stage, rcpt, command);
    began = clock_micros();
    by = run(s, stage, rcpt, command);
    metrics_stage(stage, clock_micros() - began);
    return by;
}

void stage_clear_deferred(struct session *s, bool authenticated_now)
{
    for (struct record *r = s->records.first; r; r = r->next)
        if (r->judged == JUDGED_LATER && (authenticated_now || is_immune(s, r->instance->common.skip)))
            r->judged = JUDGED_CLEARED;
    for (struct record *r = s->message ? s->message->records.first : NULL; r; r = r->next)
        if (r->judged == JUDGED_LATER && is_immune(s, r->instance->common.skip))
            r->judged = JUDGED_CLEARED;
}

static const struct record *first_deferred(const struct records *list)
{
    for (const struct record *r = list->first; r; r = r->next)
        if (r->judged == JUDGED_LATER)
            return r;
    return NULL;
}

const struct record *stage_deferred(const struct session *s, enum stage stage)
{
    static const enum stage told_from[] = {
        [REPLY_AT_MAIL] = AT_MAIL, [REPLY_AT_RCPT] = AT_RCPT, [REPLY_AT_DATA] = AT_DATA};
    const struct record *r;

    if (!s->message || of_session(stage) || stage < told_from[s->profile->options.reply_at])
        return NULL;
    r = first_deferred(&s->records);
    return r ? r : first_deferred(&s->message->records);
}

unsigned stages_used(const struct config *config)
{
    unsigned used = 0;

    for (size_t k = 0; k <= config->profile_count; k++) {
        const struct profile *p = k < config->profile_count ? &config->profiles[k] : config->fallback;

        if (p->options.reply_at == REPLY_AT_DATA)
            used |= 1u << AT_DATA | 1u << (16 + AT_DATA);
        for (size_t i = 0; i < p->count; i++)
            for (unsigned stage = 0; stage < STAGES; stage++) {
                const struct instance *in = &p->instances[i];

                if ((!in->policy->at[stage] && !in->policy->ask[stage]) || policy_idle(in, (enum stage)stage))
                    continue;
                used |= 1u << stage;
                if ((in->policy->at[stage] && in->common.reject == REJECT_NOW) || (in->policy->holds & 1u << stage))
                    used |= 1u << (16 + stage);
            }
    }
    return used;
}

enum reply_kind record_reply_kind(const struct record *r)
{
    enum reply_kind kind = (enum reply_kind)r->instance->common.reply;

    if (r->finding.temporary)
        return REPLY_TEMP;
    if (r->finding.result != UNSURE && r->finding.permanent)
        return kind == REPLY_TEMP_DISCONNECT ? REPLY_DISCONNECT : kind == REPLY_TEMP ? REPLY_PERM : kind;
    if (r->finding.result != UNSURE)
        return kind;
    return kind == REPLY_DISCONNECT || kind == REPLY_TEMP_DISCONNECT ? REPLY_TEMP_DISCONNECT : REPLY_TEMP;
}
