/* dns.c - the questions of sessions: uniform names, budgets, handles in arenas; cache and backends do the rest. */
#include <stdatomic.h>

#include "../base/clock.h"
#include "cache.h"
#include "packet.h"
#include "resolver.h"
#include "scripted.h"

#define NAME_SHOWN 512 /* bytes kept of a name that is none */

enum backend { NOBODY, RESOLVER, SCRIPT };

struct dns_question {
    struct str name;
    enum dns_type type;
    int64_t asked;
    struct entry *entry;      /* a reference; NULL: answered without asking */
    bool settled;             /* answer holds, now and for ever */
    bool from_cache;
    struct dns_answer answer; /* what it points to is the entry's */
};

static atomic_int backend;
static atomic_bool resolver_runs;

static void question_drop(void *question)
{
    struct dns_question *q = question;

    entry_drop(q->entry);
    q->entry = NULL;
}

static struct dns_question *question_failed(struct dns_question *q, const char *why)
{
    q->answer = (struct dns_answer){.status = DNS_FAIL, .why = why};
    q->settled = true;
    return q;
}

static struct dns_question *question_ask(struct arena *a, struct dns_budget *budget, struct str name,
                                         enum dns_type type, bool follow, enum dns_keep keep)
{
    struct dns_question *q = arena_zalloc(a, sizeof *q);
    enum backend by = (enum backend)atomic_load(&backend);
    char lower[DNS_NAME_MOST];
    struct str asked = {lower, 0};
    bool fresh;

    q->type = type;
    q->name = STR("");
    if (!packet_name(name, lower, &asked.n)) {
        q->name = str_lower(a, str_slice(name, 0, NAME_SHOWN));
        return question_failed(q, "bad name");
    }
    if (by == NOBODY || (budget && budget->left == 0)) {
        q->name = str_dup(a, asked);
        return question_failed(q, by == NOBODY ? "no server" : "too many questions");
    }
    if (budget)
        budget->left--;
    if (by == SCRIPT)
        scripted_note(asked, type);
    q->asked = clock_ms();
    q->entry = cache_ask_kept(asked, type, keep, q->asked, &fresh);
    q->name = q->entry->name;
    arena_on_reset(a, question_drop, q);
    if (follow)
        atomic_store(&q->entry->follow, true);
    if (fresh && by == SCRIPT)
        scripted_answer(q->entry);
    else if (fresh)
        resolver_ask(q->entry);
    q->from_cache = !fresh && entry_is_done(q->entry, q->asked);
    if (follow && q->from_cache && by == RESOLVER)
        resolver_follow(q->entry);
    return q;
}

struct dns_question *dns_ask(struct arena *a, struct dns_budget *budget, struct str name, enum dns_type type)
{
    return question_ask(a, budget, name, type, false, DNS_KEEP_TTL);
}

struct dns_question *dns_ask_follow(struct arena *a, struct dns_budget *budget, struct str name, enum dns_type type)
{
    return question_ask(a, budget, name, type, true, DNS_KEEP_TTL);
}

struct dns_question *dns_ask_list(struct arena *a, struct dns_budget *budget, struct str name)
{
    return question_ask(a, budget, name, DNS_A, false, DNS_KEEP_LIST);
}

struct dns_question *dns_ask_test(struct arena *a, struct str name)
{
    return question_ask(a, NULL, name, DNS_A, false, DNS_KEEP_BRIEFLY);
}

static struct dns_question *ask_bad(struct arena *a, enum dns_type type)
{
    struct dns_question *q = arena_zalloc(a, sizeof *q);

    q->name = STR("");
    q->type = type;
    return question_failed(q, "bad name");
}

struct dns_question *dns_ask_ptr(struct arena *a, struct dns_budget *budget, struct ip ip)
{
    static const char hex[] = "0123456789abcdef";
    struct buf b = buf_in(a);

    if (!ip.known)
        return ask_bad(a, DNS_PTR);
    if (ip_is_v4(ip)) {
        buf_addf(&b, "%u.%u.%u.%u.in-addr.arpa", ip.b[15], ip.b[14], ip.b[13], ip.b[12]);
    } else {
        for (int i = 15; i >= 0; i--)
            buf_addf(&b, "%c.%c.", hex[ip.b[i] & 15], hex[ip.b[i] >> 4]);
        buf_add(&b, STR("ip6.arpa"));
    }
    return dns_ask_follow(a, budget, buf_str(&b), DNS_PTR);
}

/* question_wait - with a scripted clock nobody waits: the clock goes to where the wait would have ended. */
static bool question_wait(struct dns_question *q, int64_t deadline)
{
    int64_t now = clock_ms(), until;

    if (!clock_is_scripted() || !atomic_load_explicit(&q->entry->done, memory_order_acquire))
        return cache_wait(q->entry, deadline);
    until = q->entry->due < deadline ? q->entry->due : deadline;
    if (until > now)
        clock_script_advance(until - now);
    return entry_is_done(q->entry, clock_ms());
}

const struct dns_answer *dns_harvest(struct dns_question *q, int64_t deadline)
{
    static const struct dns_answer none = {.status = DNS_FAIL, .why = "no server"};

    if (!q)
        return &none;
    if (q->settled)
        return &q->answer;
    if (!question_wait(q, deadline)) {
        question_failed(q, "timeout");
        q->answer.took_ms = clock_ms() - q->asked;
        return &q->answer;
    }
    q->answer = q->entry->answer;
    q->answer.took_ms = q->from_cache ? 0 : q->entry->due - q->asked;
    q->settled = true;
    return &q->answer;
}

bool dns_is_done(const struct dns_question *q)
{
    return !q || q->settled || entry_is_done(q->entry, clock_ms());
}

struct str dns_name(const struct dns_question *q)
{
    return q ? q->name : STR("");
}

enum dns_type dns_type_of(const struct dns_question *q)
{
    return q ? q->type : DNS_A;
}

/* ---- set-up ---- */

bool dns_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena)
{
    int nobody = NOBODY;

    if (!resolver_start(settings, error, error_arena))
        return false;
    cache_limit(settings->cache_entries);
    atomic_store(&resolver_runs, true);
    atomic_compare_exchange_strong(&backend, &nobody, RESOLVER); /* a script goes on */
    return true;
}

bool dns_configure(const struct dns_settings *settings, struct str *error, struct arena *error_arena)
{
    if (atomic_load(&resolver_runs) && !resolver_configure(settings, error, error_arena))
        return false;
    cache_limit(settings->cache_entries);
    return true;
}

void dns_stop(void)
{
    int resolver = RESOLVER;

    atomic_compare_exchange_strong(&backend, &resolver, NOBODY);
    if (atomic_exchange(&resolver_runs, false))
        resolver_stop();
    cache_flush();
}

bool dns_script(struct str file, struct str text, bool strict, struct str *error, struct arena *error_arena)
{
    if (!scripted_load(file, text, strict, error, error_arena))
        return false;
    atomic_store(&backend, SCRIPT);
    cache_flush(); /* what was known is not the script's */
    return true;
}

void dns_script_end(void)
{
    atomic_store(&backend, atomic_load(&resolver_runs) ? RESOLVER : NOBODY);
    scripted_unload();
    cache_flush();
}

void dns_count(struct dns_counters *counters)
{
    *counters = (struct dns_counters){0};
    cache_count(counters);
    resolver_count(counters);
}
