/* health.c - what we know of every list in use: tests, counts, the breaker. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "health.h"
#include "health_state.h"

#define ZONES_MOST 256
#define CLIENTS_MOST 512          /* of the last ten minutes that are remembered for a list */
#define WINDOW_MS (10 * 60 * 1000LL)
#define CLIENTS_LEAST 30          /* distinct, before the breaker says anything */
#define TRIPPED_MS (60 * 60 * 1000LL)
#define WARN_EVERY_MS (60 * 60 * 1000LL)
#define CLIENTS_WITHOUT_EXCEPTION 100
#define SAMPLES_LEAST 1000         /* answers, until what a list usually lists is known */
#define SAMPLES_KEPT 20000
#define TIMES_KEPT 1000
#define LAST 10                    /* distinct clients; when so many of them are listed, the list is tested at once, */
#define LAST_LISTED 8
#define RETEST_EVERY_MS (60 * 1000LL) /* but not all the time: a server may hear from nobody but bots */

const char *const zone_health_names[] = {"unknown", "trusted", "suspended", "tripped", NULL};

struct seen_client {
    uint64_t hash;
    int64_t at;
    bool listed;
};

struct state {
    char name[256], shown[256], test[512], why[512];
    enum zone_health health;
    bool tested;                  /* with or without an answer */
    bool doubted;                 /* it is to be tested before it decides anything */
    int64_t doubted_at;
    int64_t since_wall, since, warned;
    uint64_t asked, listed, unsure;
    double mean_ms, mean_listed;
    uint64_t timed, samples;      /* behind mean_ms, mean_listed */
    struct seen_client clients[CLIENTS_MOST];
    unsigned client_count, next;  /* a ring */
    struct seen_client last[LAST]; /* the newest first */
    unsigned last_count;
};

static struct {
    pthread_mutex_t lock;
    struct state *items[ZONES_MOST];
    size_t count;
    bool watched;
    void (*on_turn)(void);
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* is_state_of - the same list with other test points is another one: one may be believed, the other not. */
static bool is_state_of(const struct state *s, const struct zone *zone)
{
    return str_is(str_of(s->name), zone->name) && str_is(str_of(s->test), zone->test);
}

/* state_of - under the lock; NULL when there are too many lists. */
static struct state *state_of(const struct zone *zone)
{
    struct state *s;

    for (size_t i = 0; i < registry.count; i++)
        if (is_state_of(registry.items[i], zone))
            return registry.items[i];
    if (registry.count == ZONES_MOST || zone->name.n >= sizeof s->name || zone->test.n >= sizeof s->test)
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    snprintf(s->name, sizeof s->name, STR_FMT, STR_ARG(zone->name));
    snprintf(s->test, sizeof s->test, STR_FMT, STR_ARG(zone->test));
    snprintf(s->shown, sizeof s->shown, STR_FMT, STR_ARG(zone->shown));
    s->since_wall = clock_wall_ms();
    s->since = clock_ms();
    registry.items[registry.count++] = s;
    return s;
}

/* turn - a new state, said in the log when it is one (and once an hour while a list is out). */
static void turn(struct state *s, enum zone_health health, const char *why)
{
    int64_t now = clock_ms();
    bool changed = s->health != health;

    if (changed) {
        if (s->health == ZONE_SUSPENDED)
            s->client_count = s->next = s->last_count = 0; /* what a broken list said of them is not held against a repaired one */
        s->health = health;
        s->since_wall = clock_wall_ms();
        s->since = now;
        if (registry.on_turn)
            registry.on_turn();
    }
    snprintf(s->why, sizeof s->why, "%s", why);
    if (health == ZONE_TRUSTED) {
        if (changed)
            log_info("list %s: %s", s->shown, why);
    } else if (changed || now - s->warned >= WARN_EVERY_MS) {
        log_warn("list %s is %s: %s", s->shown, zone_health_names[health], why);
        s->warned = now;
    }
}

/* is_believed - a doubted one is not, until its test points have been asked. */
static bool is_believed(const struct state *s)
{
    return s && s->health == ZONE_TRUSTED && !s->doubted;
}

bool health_trusts(const struct zone *zone, int64_t deadline)
{
    int64_t left = deadline - clock_ms();
    bool trusted = true, test = false;

    pthread_mutex_lock(&registry.lock);
    if (registry.watched) {
        struct state *s = state_of(zone);

        trusted = is_believed(s);
        test = s && left > 0 && (!s->tested || (s->health == ZONE_TRUSTED && s->doubted));
    }
    pthread_mutex_unlock(&registry.lock);
    if (!test)
        return trusted;
    health_test(zone, left);
    pthread_mutex_lock(&registry.lock);
    trusted = is_believed(state_of(zone));
    pthread_mutex_unlock(&registry.lock);
    return trusted;
}

/* is_out - it has been found to be wrong; not knowing yet is something else. */
static bool is_out(const struct zone *zone)
{
    const struct state *s;
    bool out;

    pthread_mutex_lock(&registry.lock);
    s = registry.watched ? state_of(zone) : NULL;
    out = s && (s->health == ZONE_SUSPENDED || s->health == ZONE_TRIPPED);
    pthread_mutex_unlock(&registry.lock);
    return out;
}

enum zone_said health_hear(const struct zone *zone, enum zone_said said, int64_t deadline, struct str *why)
{
    if (said == ZONE_CLEAN || (said == ZONE_LISTED && health_trusts(zone, deadline)))
        return said;
    if (said == ZONE_LISTED)
        *why = STR("not trusted");
    return is_out(zone) ? ZONE_SILENT : ZONE_UNSURE;
}

static uint64_t hash_of(struct str s)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a; whoever makes collisions only hides himself from the breaker */

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h;
}

/* remember - this client among those of the last ten minutes; returns how many those are, *listed of them listed. */
static unsigned remember(struct state *s, uint64_t hash, bool is_listed, unsigned *listed)
{
    int64_t now = clock_ms();
    unsigned recent = 0;
    bool found = false;

    *listed = 0;
    for (unsigned i = 0; i < s->client_count; i++) {
        struct seen_client *c = &s->clients[i];

        if (c->hash == hash) {
            *c = (struct seen_client){hash, now, is_listed};
            found = true;
        }
        if (now - c->at < WINDOW_MS) {
            recent++;
            *listed += c->listed;
        }
    }
    if (!found) {
        s->clients[s->next] = (struct seen_client){hash, now, is_listed};
        s->next = (s->next + 1) % CLIENTS_MOST;
        if (s->client_count < CLIENTS_MOST)
            s->client_count++;
        recent++;
        *listed += is_listed;
    }
    return recent;
}

/* doubt - a list that suddenly lists nearly everybody is asked about its test points before it goes on. */
static void doubt(struct state *s, uint64_t hash, bool is_listed)
{
    int64_t now = clock_ms();
    unsigned at = 0, listed = 0;

    while (at < s->last_count && s->last[at].hash != hash)
        at++;
    if (at == s->last_count && s->last_count < LAST)
        s->last_count++;
    if (at == LAST)
        at--;
    memmove(&s->last[1], &s->last[0], at * sizeof s->last[0]);
    s->last[0] = (struct seen_client){hash, now, is_listed};
    for (unsigned i = 0; i < s->last_count; i++)
        listed += s->last[i].listed && now - s->last[i].at < WINDOW_MS;
    if (listed < LAST_LISTED)
        s->doubted = false; /* nobody has tested it since, and there is no need to any more */
    if (listed >= LAST_LISTED && s->last_count == LAST && s->health == ZONE_TRUSTED && !s->doubted
        && (s->doubted_at == 0 || now - s->doubted_at >= RETEST_EVERY_MS)) {
        s->doubted = true;
        s->doubted_at = now;
    }
}

/* is_unusual - a list that begins to list everybody (an expired domain, a broken mirror) lists far more than it used
 * to; one that lists every single client is not believed whatever it used to do. */
static bool is_unusual(const struct state *s, unsigned recent, unsigned listed)
{
    double limit = s->samples >= SAMPLES_LEAST ? s->mean_listed * 5 : 0;

    if (limit < 0.5)
        limit = 0.5;
    return recent >= CLIENTS_LEAST &&
           (listed > limit * recent || (listed == recent && recent >= CLIENTS_WITHOUT_EXCEPTION));
}

/* breaker - a tripped list stays so for an hour, and then for as long as it lists unusually many. */
static void breaker(struct state *s, unsigned recent, unsigned listed)
{
    bool unusual = is_unusual(s, recent, listed);
    char why[128];

    snprintf(why, sizeof why, "it lists %u of the last %u clients", listed, recent);
    if (unusual && (s->health == ZONE_TRUSTED || s->health == ZONE_TRIPPED))
        turn(s, ZONE_TRIPPED, why);
    else if (s->health == ZONE_TRIPPED && clock_ms() - s->since >= TRIPPED_MS)
        turn(s, ZONE_TRUSTED, why);
}

/* learn - what the list usually lists. Until that is known also while it is tripped, so that a server which hears
 * mostly from bots trips it once; afterwards not, or a list that went wrong would become usual. */
static void learn(struct state *s, bool is_listed)
{
    bool trusted = !registry.watched || s->health == ZONE_TRUSTED;

    if (!trusted && (s->health != ZONE_TRIPPED || s->samples >= SAMPLES_LEAST))
        return;
    s->samples++;
    s->mean_listed += (is_listed - s->mean_listed) / (double)(s->samples < SAMPLES_KEPT ? s->samples : SAMPLES_KEPT);
}

static void count_answer(struct state *s, struct str whom, enum zone_said said, int64_t took_ms)
{
    unsigned listed, recent;

    s->asked++;
    if (took_ms > 0) { /* not from the cache */
        s->timed++;
        s->mean_ms += ((double)took_ms - s->mean_ms) / (double)(s->timed < TIMES_KEPT ? s->timed : TIMES_KEPT);
    }
    if (said == ZONE_UNSURE) {
        s->unsure++;
        return;
    }
    s->listed += said == ZONE_LISTED;
    recent = remember(s, hash_of(whom), said == ZONE_LISTED, &listed);
    doubt(s, hash_of(whom), said == ZONE_LISTED);
    breaker(s, recent, listed);
    learn(s, said == ZONE_LISTED);
}

void health_seen(const struct zone *zone, struct str whom, enum zone_said said, int64_t took_ms)
{
    struct state *s;

    pthread_mutex_lock(&registry.lock);
    s = state_of(zone);
    if (s)
        count_answer(s, whom, said, took_ms);
    pthread_mutex_unlock(&registry.lock);
}

/* verdict_of_test - what the two test points say; ZONE_UNKNOWN when they could not be asked. */
static enum zone_health verdict_of_test(struct arena *a, const struct zone *zone, int64_t timeout_ms, struct str *why)
{
    int64_t deadline = clock_ms() + timeout_ms;
    struct str yes, no, yes_code, no_code;
    struct dns_question *q_yes, *q_no;
    const struct dns_answer *listed, *unlisted;
    enum zone_said said_yes, said_no;

    zone_test_points(a, zone, &yes, &no);
    if (yes.n == 0) {
        *why = STR("not tested, by configuration");
        return ZONE_TRUSTED;
    }
    q_yes = dns_ask_test(a, yes);
    q_no = dns_ask_test(a, no);
    listed = dns_harvest(q_yes, deadline);
    unlisted = dns_harvest(q_no, deadline);
    said_yes = zone_judge_test(a, listed, &yes_code);
    said_no = zone_judge_test(a, unlisted, &no_code);
    if (said_no == ZONE_LISTED) {
        *why = arena_printf(a, "it lists its negative test point (" STR_FMT "): it lists everybody",
                            STR_ARG(zone_shown(a, zone, no)));
        return ZONE_SUSPENDED;
    }
    if ((listed->status == DNS_OK && said_yes == ZONE_UNSURE) || unlisted->status == DNS_OK) {
        *why = arena_printf(a, "it answers its test points with " STR_FMT ": it refuses us; it wants to be asked "
                            "through a resolver of your own, or with an access key",
                            STR_ARG(yes_code.n ? yes_code : no_code));
        return ZONE_SUSPENDED;
    }
    if (said_yes == ZONE_UNSURE || said_no == ZONE_UNSURE) {
        *why = arena_printf(a, "its test points cannot be asked: " STR_FMT,
                            STR_ARG(said_yes == ZONE_UNSURE ? yes_code : no_code));
        return ZONE_UNKNOWN;
    }
    if (said_yes == ZONE_LISTED) {
        *why = zone->test.n ? arena_printf(a, "its test points are right (test=" STR_FMT ")", STR_ARG(zone->test))
                            : STR("its test points are right");
        return ZONE_TRUSTED;
    }
    *why = arena_printf(a, "it does not list its test point (" STR_FMT "): stale or gone, or its operator has none "
                        "(RFC 5782, 5), without which it is not used unless test= says so",
                        STR_ARG(zone_shown(a, zone, yes)));
    return ZONE_SUSPENDED;
}

enum zone_health health_test(const struct zone *zone, int64_t timeout_ms)
{
    struct arena *a = arena_new(0);
    struct str why;
    enum zone_health health = verdict_of_test(a, zone, timeout_ms, &why);
    struct state *s;

    pthread_mutex_lock(&registry.lock);
    s = state_of(zone);
    if (s)
        s->tested = true;
    if (s && health != ZONE_UNKNOWN)
        s->doubted = false;
    if (s && health == ZONE_UNKNOWN && s->health != ZONE_UNKNOWN)
        health = s->health; /* temporary trouble is not evidence, neither for nor against */
    else if (s && s->health == ZONE_TRIPPED && health == ZONE_TRUSTED && clock_ms() - s->since < TRIPPED_MS)
        health = ZONE_TRIPPED; /* a list that lists the world may still pass its test */
    else if (s)
        turn(s, health, str_c(a, why));
    pthread_mutex_unlock(&registry.lock);
    arena_free(&a);
    return health;
}

size_t health_list(struct arena *a, struct zone_status **list)
{
    size_t count;

    pthread_mutex_lock(&registry.lock);
    count = registry.count;
    *list = arena_array(a, count + 1, sizeof **list);
    for (size_t i = 0; i < count; i++) {
        const struct state *s = registry.items[i];

        (*list)[i] = (struct zone_status){
            .name = str_dup(a, str_of(s->shown)), .test = str_dup(a, str_of(s->test)), .health = s->health,
            .why = str_dup(a, str_of(s->why)),
            .since_ms = s->since_wall, .asked = s->asked, .listed = s->listed, .unsure = s->unsure,
            .mean_ms = s->mean_ms, .mean_listed = s->mean_listed, .samples = s->samples,
        };
    }
    pthread_mutex_unlock(&registry.lock);
    return count;
}

void health_require(bool required)
{
    pthread_mutex_lock(&registry.lock);
    registry.watched = required;
    pthread_mutex_unlock(&registry.lock);
}

void health_on_turn(void (*call)(void))
{
    pthread_mutex_lock(&registry.lock);
    registry.on_turn = call;
    pthread_mutex_unlock(&registry.lock);
}

void health_remember(struct str name, struct str test, double mean_listed, uint64_t samples)
{
    struct zone zone = {.name = name, .shown = name, .test = test};
    struct state *s;

    pthread_mutex_lock(&registry.lock);
    s = state_of(&zone);
    if (s && s->samples == 0) {
        s->mean_listed = mean_listed;
        s->samples = samples;
    }
    pthread_mutex_unlock(&registry.lock);
}
