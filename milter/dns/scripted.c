/* scripted.c - answers from a zone file instead of the network: for `sme-milterctl test --dns` and for tests. */
#include <pthread.h>

#include "../base/clock.h"
#include "cache.h"
#include "packet.h"
#include "script_parse.h"
#include "scripted.h"

#define NOTES_MOST 4096     /* questions remembered until somebody looks */
#define NEVER_MS (60 * 1000) /* "no answer comes": later than any waiter's deadline */

struct note {
    struct str name;
    enum dns_type type;
};

struct notes {
    struct arena *arena;
    struct note *items;
    size_t count;
};

static struct {
    pthread_mutex_t lock;
    struct arena *arena; /* NULL: no script */
    struct rules rules;
    bool strict;
    struct notes asked, unscripted;
} script = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct str type_name(enum dns_type type)
{
    switch (type) {
    case DNS_A:
        return STR("A");
    case DNS_NS:
        return STR("NS");
    case DNS_PTR:
        return STR("PTR");
    case DNS_MX:
        return STR("MX");
    case DNS_TXT:
        return STR("TXT");
    case DNS_AAAA:
        return STR("AAAA");
    }
    return STR("?");
}

/* ---- who asked what ---- */

static void notes_add(struct notes *notes, struct str name, enum dns_type type)
{
    for (size_t i = 0; i < notes->count; i++)
        if (notes->items[i].type == type && str_is(notes->items[i].name, name))
            return;
    if (notes->count == NOTES_MOST)
        return;
    if (!notes->arena)
        notes->arena = arena_new(0);
    notes->items = arena_grow(notes->arena, notes->items, notes->count, sizeof *notes->items);
    notes->items[notes->count++] = (struct note){str_dup(notes->arena, name), type};
}

static void notes_forget(struct notes *notes)
{
    arena_free(&notes->arena);
    *notes = (struct notes){0};
}

static struct str notes_take(struct arena *a, struct notes *notes)
{
    struct buf b = buf_in(a);

    pthread_mutex_lock(&script.lock);
    for (size_t i = 0; i < notes->count; i++) {
        struct str type = type_name(notes->items[i].type);

        buf_add_escaped(&b, notes->items[i].name, " ");
        buf_addf(&b, " " STR_FMT "\n", STR_ARG(type));
    }
    notes_forget(notes);
    pthread_mutex_unlock(&script.lock);
    return buf_str(&b);
}

struct str dns_script_asked(struct arena *a)
{
    return notes_take(a, &script.asked);
}

struct str dns_script_unscripted(struct arena *a)
{
    return notes_take(a, &script.unscripted);
}

/* ---- answers; under the lock ---- */

/* rules_exactly - the rules of this very name: from *first on, their number. */
static size_t rules_exactly(struct str name, const struct rule **first)
{
    size_t low = 0, high = script.rules.count, n = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (str_compare(script.rules.items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *first = script.rules.count ? script.rules.items + low : NULL;
    while (low + n < script.rules.count && str_is(script.rules.items[low + n].name, name))
        n++;
    return n;
}

/* rules_of - the rules of a name, or of the wildcard that it falls under (RFC 4592: of its nearest parent that is
 * mentioned). */
static size_t rules_of(struct str name, const struct rule **first)
{
    size_t n = rules_exactly(name, first);
    char wild[DNS_NAME_MOST + 2] = "*";

    while (n == 0 && str_find(name, '.') < name.n) {
        struct str dotted = str_slice(name, str_find(name, '.'), name.n);

        memcpy(wild + 1, dotted.p, dotted.n);
        n = rules_exactly((struct str){wild, dotted.n + 1}, first);
        name = str_slice(dotted, 1, dotted.n);
        if (n == 0 && rules_exactly(name, first))
            return 0;
    }
    return n;
}

struct outcome {
    struct dns_answer answer;
    int64_t delay;
    bool never;
};

static struct dns_answer verdict_of(const struct rule *r)
{
    return (struct dns_answer){.status = r->status, .why = r->why,
                               .ttl = r->status != DNS_FAIL ? r->ttl : r->never ? 0 : DNS_TTL_FAIL_MOST};
}

/* pick - what the rules of one name say about the type; the alias to follow, or NULL. */
static const struct rule *pick(struct arena *a, const struct rule *rules, size_t n, enum dns_type type,
                               struct outcome *o)
{
    const struct rule *verdict = NULL, *any = NULL, *alias = NULL, *told = NULL;
    struct dns_record *records = arena_array(a, n, sizeof *records);
    struct dns_answer *answer = &o->answer;

    for (size_t i = 0; i < n; i++) {
        const struct rule *r = &rules[i];

        if (r->type == (unsigned)type && r->verdict) {
            verdict = verdict ? verdict : r;
        } else if (r->type == (unsigned)type) {
            if (answer->count == 0 || r->ttl < answer->ttl)
                answer->ttl = r->ttl;
            records[answer->count++] = r->record;
            told = told ? told : r;
        } else if (r->type == SCRIPT_ANY) {
            any = any ? any : r;
        } else if (r->type == SCRIPT_ALIAS) {
            alias = alias ? alias : r;
        }
    }
    if (alias && alias->verdict)
        any = alias;
    told = verdict ? verdict : told ? told : any ? any : alias ? alias : rules;
    if (told->delay > o->delay)
        o->delay = told->delay;
    o->never = (told == verdict || told == any) && told->never;
    if (told == verdict || told == any)
        *answer = verdict_of(told);
    else if (answer->count)
        *answer = (struct dns_answer){.status = DNS_OK, .why = "", .records = records, .count = answer->count,
                                      .ttl = answer->ttl};
    else
        *answer = (struct dns_answer){.status = DNS_NODATA, .why = "", .ttl = rules->ttl};
    return told == alias && !alias->verdict ? alias : NULL;
}

static void decide(struct arena *a, struct str name, enum dns_type type, struct outcome *o)
{
    struct str at = name;

    *o = (struct outcome){0};
    for (unsigned hops = 0; hops <= DNS_CNAMES_MOST; hops++) {
        const struct rule *rules, *alias;
        size_t n = rules_of(at, &rules);

        if (n == 0) {
            o->answer = (struct dns_answer){.status = DNS_NXDOMAIN, .why = "", .ttl = DNS_NEGATIVE_TTL};
            return;
        }
        alias = pick(a, rules, n, type, o);
        if (!alias)
            return;
        at = alias->record.text;
    }
    o->answer = (struct dns_answer){.status = DNS_FAIL, .why = "malformed", .ttl = DNS_TTL_FAIL_MOST};
}

void scripted_answer(struct entry *e)
{
    struct arena *a = arena_new(0);
    struct outcome o = {.answer = {.status = DNS_FAIL, .why = "no server"}};

    pthread_mutex_lock(&script.lock);
    if (script.arena)
        decide(a, e->name, e->type, &o);
    if (o.answer.count > DNS_RECORDS_MOST)
        o.answer.count = DNS_RECORDS_MOST;
    if (o.answer.status != DNS_FAIL) {
        o.answer.packet = packet_write(a, e->name, e->type, &o.answer);
        if (o.answer.packet.n == 0)
            o.answer = (struct dns_answer){.status = DNS_FAIL, .why = "too large"};
    }
    if (o.never)
        o.delay = NEVER_MS;
    cache_answer(e, &o.answer, e->asked, e->asked + o.delay);
    pthread_mutex_unlock(&script.lock); /* the records are the script's until they are copied */
    arena_free(&a);
}

void scripted_note(struct str name, enum dns_type type)
{
    const struct rule *rules;

    pthread_mutex_lock(&script.lock);
    if (script.arena) {
        notes_add(&script.asked, name, type);
        if (script.strict && rules_of(name, &rules) == 0)
            notes_add(&script.unscripted, name, type);
    }
    pthread_mutex_unlock(&script.lock);
}

/* ---- set-up ---- */

bool scripted_load(struct str file, struct str text, bool strict, struct str *error, struct arena *error_arena)
{
    struct arena *a = arena_new(0);
    struct rules rules;
    struct str what;

    if (!script_parse(a, file, text, &rules, &what)) {
        *error = str_dup(error_arena, what);
        arena_free(&a);
        return false;
    }
    scripted_unload();
    pthread_mutex_lock(&script.lock);
    script.arena = a;
    script.rules = rules;
    script.strict = strict;
    pthread_mutex_unlock(&script.lock);
    return true;
}

void scripted_unload(void)
{
    pthread_mutex_lock(&script.lock);
    arena_free(&script.arena);
    script.rules = (struct rules){0};
    notes_forget(&script.asked);
    notes_forget(&script.unscripted);
    pthread_mutex_unlock(&script.lock);
}
