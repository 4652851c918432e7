/* resolver.c - the thread that asks the network: a queue that any thread fills, epoll, and query.c for all the rest. */
#include <ares.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "../base/clock.h"
#include "packet.h"
#include "query.h"
#include "resolver.h"

#define TIMEOUT_USUAL_MS 5000
#define TIMEOUT_LEAST_MS 20
#define TIMEOUT_MOST_MS 600000
#define EVENTS_MOST 64
#define WAKE_TAG UINT64_MAX

static struct {
    pthread_mutex_t lock;
    bool running, stop;
    bool sleeping;              /* the thread waits, or is about to: who gives it work rings */
    int epoll, event;
    struct entry *queue, **queue_end; /* each with a reference */
    struct upstreams *next_set; /* to be used from now on */
    struct server servers[DNS_SERVERS_MOST];
    size_t server_count;
    int64_t timeout_ms;
    pthread_t thread;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .epoll = -1, .event = -1};

/* ---- the thread ---- */

/* take_orders - new questions and servers; false when it is time to end. */
static bool take_orders(bool *idle)
{
    struct upstreams *set;
    struct entry *queue;
    bool stop;

    pthread_mutex_lock(&state.lock);
    queue = state.queue;
    state.queue = NULL;
    state.queue_end = &state.queue;
    set = state.next_set;
    state.next_set = NULL;
    stop = state.stop;
    *idle = state.sleeping = !queue && !set && !stop;
    pthread_mutex_unlock(&state.lock);

    if (set)
        queries_servers(set);
    while (queue) {
        struct entry *e = queue;

        queue = e->queued;
        queries_add(e);
    }
    return !stop;
}

static void *run(void *set)
{
    struct epoll_event events[EVENTS_MOST];
    bool idle;

    pthread_setname_np(pthread_self(), "sme-dns");
    queries_begin(set);
    while (take_orders(&idle)) {
        int n;

        queries_work();
        n = epoll_wait(state.epoll, events, EVENTS_MOST, idle ? queries_sleep_ms() : 0);
        for (int i = 0; i < n; i++) {
            uint64_t rung;

            if (events[i].data.u64 != WAKE_TAG)
                queries_event(events[i].data.u64, events[i].events);
            else if (read(state.event, &rung, sizeof rung) < 0)
                continue; /* somebody interrupted us: it rings again */
        }
    }
    queries_end();
    return NULL;
}

static void ring(void)
{
    static const uint64_t one = 1;

    while (write(state.event, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* ---- for dns.c ---- */

static void fail(struct entry *e, const char *why)
{
    cache_answer(e, &(struct dns_answer){.status = DNS_FAIL, .why = why}, e->asked, e->asked);
}

void resolver_ask(struct entry *e)
{
    bool taken = false;

    if (!queries_reserve()) {
        fail(e, "too many questions");
        return;
    }
    pthread_mutex_lock(&state.lock);
    if (state.running && !state.stop) {
        entry_hold(e);
        *state.queue_end = e;
        state.queue_end = &e->queued;
        if (state.sleeping)
            ring(); /* under the lock: the descriptor is open as long as it runs */
        state.sleeping = false;
        taken = true;
    }
    pthread_mutex_unlock(&state.lock);
    if (!taken) {
        queries_unreserve();
        fail(e, "no server");
    }
}

/* ask_ahead - into the cache, for nobody yet. */
static void ask_ahead(struct str name, enum dns_type type)
{
    char lower[DNS_NAME_MOST];
    struct str asked = {lower, 0};
    struct entry *e;
    bool fresh;

    if (name.n == 0 || !packet_name(name, lower, &asked.n))
        return;
    e = cache_ask(asked, type, clock_ms(), &fresh);
    if (fresh)
        resolver_ask(e);
    entry_drop(e);
}

void resolver_follow(const struct entry *e)
{
    bool v4 = e->type == DNS_MX || str_ends_nocase(e->name, STR(".in-addr.arpa"));
    bool v6 = e->type == DNS_MX || str_ends_nocase(e->name, STR(".ip6.arpa"));

    if (e->answer.status != DNS_OK || (e->type != DNS_MX && e->type != DNS_PTR))
        return;
    for (size_t i = 0; i < e->answer.count && i < DNS_FOLLOW_MOST; i++) {
        if (v4)
            ask_ahead(e->answer.records[i].text, DNS_A);
        if (v6)
            ask_ahead(e->answer.records[i].text, DNS_AAAA);
    }
}

void resolver_count(struct dns_counters *c)
{
    queries_count(c);
}

static int64_t timeout_of(const struct dns_settings *settings)
{
    if (settings->timeout_ms <= 0)
        return TIMEOUT_USUAL_MS;
    if (settings->timeout_ms < TIMEOUT_LEAST_MS)
        return TIMEOUT_LEAST_MS;
    return settings->timeout_ms > TIMEOUT_MOST_MS ? TIMEOUT_MOST_MS : settings->timeout_ms;
}

static bool same_servers(const struct server *servers, size_t count, int64_t timeout_ms)
{
    if (count != state.server_count || timeout_ms != state.timeout_ms)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!ip_equal(servers[i].ip, state.servers[i].ip) || servers[i].port != state.servers[i].port)
            return false;
    return true;
}

static void servers_keep(const struct server *servers, size_t count, int64_t timeout_ms)
{
    memcpy(state.servers, servers, count * sizeof *servers);
    state.server_count = count;
    state.timeout_ms = timeout_ms;
}

bool resolver_configure(const struct dns_settings *settings, struct str *error, struct arena *error_arena)
{
    struct server servers[DNS_SERVERS_MOST];
    int64_t timeout_ms = timeout_of(settings);
    struct upstreams *set = NULL, *unused = NULL;
    size_t count;
    bool same;

    if (!servers_find(settings, servers, &count, error, error_arena))
        return false;
    pthread_mutex_lock(&state.lock);
    same = same_servers(servers, count, timeout_ms);
    pthread_mutex_unlock(&state.lock);
    if (same)
        return true;
    set = upstreams_new(servers, count, timeout_ms, state.epoll);
    if (!set) {
        *error = STR("c-ares does not start");
        return false;
    }
    pthread_mutex_lock(&state.lock);
    unused = state.running ? state.next_set : set;
    if (state.running) {
        servers_keep(servers, count, timeout_ms);
        state.next_set = set;
        if (state.sleeping)
            ring();
        state.sleeping = false;
    }
    pthread_mutex_unlock(&state.lock);
    if (unused)
        upstreams_free(unused); /* nobody has asked it anything */
    cache_flush();              /* what the others said */
    return true;
}

static void close_all(void)
{
    if (state.epoll >= 0)
        close(state.epoll);
    if (state.event >= 0)
        close(state.event);
    state.epoll = state.event = -1;
    ares_library_cleanup();
}

static bool thread_begin(struct upstreams *set)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_TAG};
    sigset_t all, before;
    int wrong;

    if (epoll_ctl(state.epoll, EPOLL_CTL_ADD, state.event, &event) != 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are other threads' business */
    wrong = pthread_create(&state.thread, NULL, run, set);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return wrong == 0;
}

bool resolver_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena)
{
    struct server servers[DNS_SERVERS_MOST];
    struct upstreams *set;
    size_t count;

    if (!servers_find(settings, servers, &count, error, error_arena))
        return false;
    if (state.running || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        *error = state.running ? STR("the resolver runs already") : STR("c-ares does not start");
        return false;
    }
    state.epoll = epoll_create1(EPOLL_CLOEXEC);
    state.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    set = upstreams_new(servers, count, timeout_of(settings), state.epoll);
    if (set && state.epoll >= 0 && state.event >= 0) {
        servers_keep(servers, count, timeout_of(settings));
        pthread_mutex_lock(&state.lock);
        state.queue = NULL;
        state.queue_end = &state.queue;
        state.stop = state.sleeping = false;
        state.running = thread_begin(set);
        pthread_mutex_unlock(&state.lock);
    }
    if (state.running)
        return true;
    *error = STR("the resolver's thread does not start");
    if (set)
        upstreams_free(set);
    close_all();
    return false;
}

void resolver_stop(void)
{
    struct entry *queue;

    pthread_mutex_lock(&state.lock);
    if (!state.running) {
        pthread_mutex_unlock(&state.lock);
        return;
    }
    state.stop = true;
    ring();
    pthread_mutex_unlock(&state.lock);
    pthread_join(state.thread, NULL);
    pthread_mutex_lock(&state.lock);
    state.running = false;
    queue = state.queue;
    state.queue = NULL;
    state.queue_end = &state.queue;
    if (state.next_set)
        upstreams_free(state.next_set);
    state.next_set = NULL;
    pthread_mutex_unlock(&state.lock);
    while (queue) {
        struct entry *e = queue;

        queue = e->queued;
        queries_unreserve();
        fail(e, "no server");
        entry_drop(e);
    }
    close_all();
}
