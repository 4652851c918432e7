/* health_watch.c - the thread that tests the lists, and the file that tells of them. */
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "health.h"
#include "health_state.h"

#define TEST_EVERY_MS (30 * 60 * 1000LL)
#define RETRY_MS (60 * 1000LL)        /* while a list's test points cannot be asked */
#define FILE_EVERY_MS (60 * 1000LL)
#define TEST_TIMEOUT_MS 10000

static struct {
    pthread_mutex_t lock;
    pthread_cond_t bell;
    pthread_t thread;
    bool running, stop, again, turned;
    size_t (*zones)(struct arena *, const struct zone ***);
    char path[4096];
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

static json_t *status_json(const struct zone_status *s)
{
    return json_pack("{s:s%, s:s%, s:s, s:s%, s:I, s:I, s:I, s:I, s:f, s:f, s:I}", "zone", s->name.p, s->name.n, "test",
                     s->test.p, s->test.n, "state",
                     zone_health_names[s->health], "why", s->why.p, s->why.n, "since", (json_int_t)s->since_ms, "asked",
                     (json_int_t)s->asked, "listed", (json_int_t)s->listed, "unsure", (json_int_t)s->unsure, "mean_ms",
                     s->mean_ms, "mean_listed", s->mean_listed, "samples", (json_int_t)s->samples);
}

/* write_file - all at once: written beside, then renamed. A failure costs the audit, not the mail. */
static void write_file(void)
{
    static bool complained;
    struct arena *a = arena_new(0);
    struct zone_status *list;
    size_t count = health_list(a, &list);
    json_t *all = json_array();
    char temporary[sizeof watch.path + 8];
    bool done;
    int error;

    for (size_t i = 0; i < count; i++)
        json_array_append_new(all, status_json(&list[i]));
    snprintf(temporary, sizeof temporary, "%s.new", watch.path);
    done = json_dump_file(all, temporary, JSON_INDENT(1)) == 0 && rename(temporary, watch.path) == 0;
    error = errno;
    if (!done)
        unlink(temporary); /* on a disk that is full, half of it */
    if (!done && !complained)
        log_warn("%s cannot be written: %s; `sme-milterctl dnsbl audit` will not know of this daemon", watch.path,
                 strerror(error));
    complained = !done;
    json_decref(all);
    arena_free(&a);
}

/* read_file - what lists used to list, from an earlier life: the breaker needs to know what is usual. */
static void read_file(void)
{
    json_t *all = json_load_file(watch.path, 0, NULL), *one;
    size_t i;

    json_array_foreach(all, i, one) {
        const char *name = json_string_value(json_object_get(one, "zone"));
        const char *test = json_string_value(json_object_get(one, "test"));
        double mean = json_number_value(json_object_get(one, "mean_listed"));
        json_int_t samples = json_integer_value(json_object_get(one, "samples"));

        if (name && name[0] != '*' && mean >= 0 && mean <= 1 && samples > 0)
            health_remember(str_of(name), str_of(test ? test : ""), mean, (uint64_t)samples);
    }
    json_decref(all);
}

/* test_all - returns whether every list could be asked. */
static bool test_all(void)
{
    struct arena *a = arena_new(0);
    const struct zone **list;
    size_t count = watch.zones(a, &list);
    bool known = true;

    for (size_t i = 0; i < count; i++) { /* all at once, so that one dead list does not delay the others */
        struct str listed, unlisted;

        zone_test_points(a, list[i], &listed, &unlisted);
        if (listed.n) {
            dns_ask_test(a, listed);
            dns_ask_test(a, unlisted);
        }
    }
    for (size_t i = 0; i < count; i++)
        known = health_test(list[i], TEST_TIMEOUT_MS) != ZONE_UNKNOWN && known;
    arena_free(&a);
    return known;
}

static void *run(void *unused)
{
    int64_t test_at = 0, file_at = 0;

    pthread_mutex_lock(&watch.lock);
    while (!watch.stop) {
        int64_t now = clock_ms(), next;
        struct timespec until;

        if (watch.again || now >= test_at) {
            watch.again = false;
            pthread_mutex_unlock(&watch.lock);
            test_at = now + (test_all() ? TEST_EVERY_MS : RETRY_MS);
            file_at = 0;
            pthread_mutex_lock(&watch.lock);
            continue;
        }
        if (watch.turned || now >= file_at) {
            watch.turned = false;
            pthread_mutex_unlock(&watch.lock);
            write_file();
            file_at = clock_ms() + FILE_EVERY_MS;
            pthread_mutex_lock(&watch.lock);
            continue;
        }
        next = test_at < file_at ? test_at : file_at;
        until.tv_sec = next / 1000;
        until.tv_nsec = next % 1000 * 1000000;
        pthread_cond_timedwait(&watch.bell, &watch.lock, &until);
    }
    pthread_mutex_unlock(&watch.lock);
    return unused;
}

static void ring(bool *flag)
{
    pthread_mutex_lock(&watch.lock);
    *flag = true;
    pthread_cond_signal(&watch.bell);
    pthread_mutex_unlock(&watch.lock);
}

static void turned(void)
{
    ring(&watch.turned);
}

void health_watch_start(size_t (*zones)(struct arena *a, const struct zone ***list), struct str state_dir)
{
    pthread_condattr_t attr;

    snprintf(watch.path, sizeof watch.path, STR_FMT "/zones.json", STR_ARG(state_dir));
    watch.zones = zones;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&watch.bell, &attr);
    pthread_condattr_destroy(&attr);
    read_file();
    health_require(true);
    health_on_turn(turned);
    watch.running = pthread_create(&watch.thread, NULL, run, NULL) == 0;
    if (!watch.running)
        log_error("the lists cannot be watched: no thread; none of them is used");
}

void health_watch_again(void)
{
    if (watch.running)
        ring(&watch.again);
}

void health_watch_stop(void)
{
    if (!watch.running)
        return;
    ring(&watch.stop);
    pthread_join(watch.thread, NULL);
    watch.running = watch.stop = false;
}
