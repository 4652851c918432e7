/* dmarc_walk.c - where the record of a domain is, and which domain is its organisation's (RFC 9989, 4.10).
 *
 * All names of a walk are asked at once: eight questions in one round trip instead of eight round trips. That the walk
 * stops at psd=n and psd=y is seen when the answers are judged, from the longest name to the shortest; an answer behind
 * the stop is never looked at, so that its failure is none of ours.
 */
#include "../mail/suffix.h"
#include "dmarc.h"

struct asked_name {
    struct str name;
    enum dns_type type;
    struct dns_question *question;
    bool judged, failed;
    const struct dmarc_record *record; /* when judged; NULL: none */
};

struct dmarc_asked {
    struct arena *arena;
    struct dns_budget *budget;
    enum dmarc_discovery discovery;
    struct asked_name names[DMARC_QUESTIONS_MOST];
    size_t count;
    struct dmarc_walk *walks;
};

struct dmarc_walk {
    struct dmarc_walk *next;
    struct dmarc_asked *asked;
    struct str domain;
    struct str targets[DMARC_WALK_MOST]; /* from the domain itself upwards */
    struct asked_name *names[DMARC_WALK_MOST]; /* NULL: beyond the cap, as good as failed */
    size_t count;
    struct asked_name *existence;        /* of an author's walk */
    bool judged, failed;                 /* failed: below the stop an answer is missing */
    size_t stop;                         /* targets below it count */
};

struct dmarc_asked *dmarc_asked_new(struct arena *a, struct dns_budget *budget, enum dmarc_discovery discovery)
{
    struct dmarc_asked *asked = arena_zalloc(a, sizeof *asked);

    asked->arena = a;
    asked->budget = budget;
    asked->discovery = discovery;
    return asked;
}

static struct asked_name *ask_name(struct dmarc_asked *asked, struct str name, enum dns_type type)
{
    struct asked_name *one;

    for (size_t i = 0; i < asked->count; i++)
        if (asked->names[i].type == type && str_is(asked->names[i].name, name))
            return &asked->names[i];
    if (asked->count == DMARC_QUESTIONS_MOST)
        return NULL;
    one = &asked->names[asked->count++];
    one->name = name;
    one->type = type;
    one->question = dns_ask(asked->arena, asked->budget, name, type);
    return one;
}

static struct asked_name *ask_record(struct dmarc_asked *asked, struct str domain)
{
    return ask_name(asked, arena_printf(asked->arena, "_dmarc." STR_FMT, STR_ARG(domain)), DNS_TXT);
}

static size_t labels_of(struct str domain)
{
    size_t labels = domain.n > 0;

    for (size_t i = 0; i < domain.n; i++)
        labels += domain.p[i] == '.';
    return labels;
}

/* last_labels - the domain's last n labels: a view into it. */
static struct str last_labels(struct str domain, size_t n)
{
    for (size_t i = domain.n; i-- > 0;)
        if (domain.p[i] == '.' && --n == 0)
            return str_slice(domain, i + 1, domain.n);
    return domain;
}

/* set_targets - 4.10, steps 3 and 4: with eight labels or more, seven come next. */
static void set_targets(struct dmarc_walk *w)
{
    size_t labels = labels_of(w->domain), next = labels < DMARC_WALK_MOST ? labels - 1 : DMARC_WALK_MOST - 1;
    struct str org;

    w->targets[w->count++] = w->domain;
    if (w->asked->discovery == DMARC_TREEWALK) {
        for (; next > 0; next--)
            w->targets[w->count++] = last_labels(w->domain, next);
        return;
    }
    org = domain_organizational(w->domain);
    if (!str_is(org, w->domain))
        w->targets[w->count++] = org;
}

struct dmarc_walk *dmarc_walk_ask(struct dmarc_asked *asked, struct str domain, bool author)
{
    struct dmarc_walk *w;

    for (w = asked->walks; w; w = w->next)
        if (str_is_nocase(w->domain, domain))
            break;
    if (!w) {
        w = arena_zalloc(asked->arena, sizeof *w);
        w->asked = asked;
        w->domain = str_lower(asked->arena, domain);
        w->next = asked->walks;
        asked->walks = w;
        set_targets(w);
        for (size_t i = 0; i < w->count; i++)
            w->names[i] = ask_record(asked, w->targets[i]);
    }
    if (author && !w->existence)
        w->existence = ask_name(asked, w->domain, DNS_A);
    return w;
}

/* is_no_name - with "_dmarc." before it the name is too long for the DNS. So nothing can stand there: were it an error,
 * a long name below somebody's domain would be out of reach of the owner's policy. */
static bool is_no_name(const struct dns_answer *answer)
{
    return str_is(str_of(answer->why), STR("bad name"));
}

/* judge_name - what stands at one name: several records are as good as none. */
static void judge_name(struct dmarc_asked *asked, struct asked_name *one, int64_t deadline)
{
    const struct dns_answer *answer;
    struct dmarc_record *found = NULL, record;
    size_t count = 0;

    if (one->judged)
        return;
    one->judged = true;
    answer = dns_harvest(one->question, deadline);
    one->failed = answer->status == DNS_FAIL && !is_no_name(answer);
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count && count < 2; i++)
        if (dmarc_record_read(asked->arena, answer->records[i].text, &record) && count++ == 0) {
            found = arena_alloc(asked->arena, sizeof *found);
            *found = record;
        }
    one->record = count == 1 ? found : NULL;
}

/* judge - up to the stop. A failure further up does not hide what was found below. */
static void judge(struct dmarc_walk *w, int64_t deadline)
{
    if (w->judged)
        return;
    w->judged = true;
    for (w->stop = 0; w->stop < w->count; w->stop++) {
        struct asked_name *one = w->names[w->stop];

        if (one)
            judge_name(w->asked, one, deadline);
        if (!one || one->failed) {
            w->failed = true;
            return;
        }
        if (w->asked->discovery == DMARC_TREEWALK && one->record && one->record->psd != DMARC_PSD_UNKNOWN) {
            w->stop++;
            return;
        }
    }
}

static const struct dmarc_record *record_at(const struct dmarc_walk *w, size_t i)
{
    return i < w->stop && w->names[i] ? w->names[i]->record : NULL;
}

bool dmarc_walk_org(struct dmarc_walk *w, int64_t deadline, struct str *org)
{
    *org = w->domain;
    if (w->asked->discovery == DMARC_PSL) {
        *org = domain_organizational(w->domain);
        return true;
    }
    judge(w, deadline);
    if (w->failed)
        return false;
    for (size_t i = 0; i < w->stop; i++) {
        const struct dmarc_record *record = record_at(w, i);

        if (!record)
            continue;
        if (i > 0 && record->psd == DMARC_PSD_YES)
            *org = last_labels(w->domain, labels_of(w->targets[i]) + 1);
        else
            *org = w->targets[i]; /* psd=n ends the walk, otherwise the last one found has the fewest labels */
    }
    return true;
}

bool dmarc_org_of(struct dmarc_asked *asked, struct str domain, int64_t deadline, struct str *org)
{
    if (asked->discovery == DMARC_TREEWALK)
        return dmarc_walk_org(dmarc_walk_ask(asked, domain, false), deadline, org);
    *org = domain_organizational(domain);
    return true;
}

enum dmarc_found dmarc_walk_policy(struct dmarc_walk *w, int64_t deadline, const struct dmarc_record **record,
                                   struct str *at)
{
    struct str org;

    *record = NULL;
    *at = STR_NONE;
    judge(w, deadline);
    if (record_at(w, 0)) {
        *record = record_at(w, 0);
        *at = w->domain;
        return DMARC_FOUND;
    }
    if (w->failed)
        return DMARC_FOUND_UNKNOWN;
    dmarc_walk_org(w, deadline, &org);
    for (size_t i = 1; i < w->stop; i++)
        if (record_at(w, i) && (str_is(w->targets[i], org) || record_at(w, i)->psd == DMARC_PSD_YES)) {
            *record = record_at(w, i);
            *at = w->targets[i];
            return DMARC_FOUND; /* the organisation's own comes before its suffix's */
        }
    return DMARC_FOUND_NONE;
}

enum dmarc_found dmarc_walk_exists(struct dmarc_walk *w, int64_t deadline)
{
    const struct dns_answer *below, *itself;

    /* A name below that exists, even without a record, makes this one exist (RFC 8020). */
    below = w->names[0] ? dns_harvest(w->names[0]->question, deadline) : NULL;
    if (below && (below->status == DNS_OK || below->status == DNS_NODATA))
        return DMARC_FOUND;
    itself = dns_harvest(w->existence ? w->existence->question : NULL, deadline);
    if (itself->status == DNS_FAIL && !is_no_name(itself))
        return DMARC_FOUND_UNKNOWN;
    return itself->status == DNS_NXDOMAIN || itself->status == DNS_FAIL ? DMARC_FOUND_NONE : DMARC_FOUND;
}
