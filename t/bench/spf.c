/* spf.c - how many SPF checks a second, and how long one waits for a slow DNS.
 *
 *     spf [SECONDS]      each measurement takes so long (0.5)
 *
 * Prints lines "name value": checks_per_s and checks16_per_s (one and sixteen threads, a record with two levels of
 * includes, all answers known), wide_ms and deep_ms (four includes beside each other, three below each other, with 20
 * ms of latency: three and five times that is wanted, and little more).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../milter/auth/spf.h"
#include "../../milter/base/clock.h"

#define THREADS 16

static const char known[] =
    "a.test TXT \"v=spf1 mx ip4:198.51.100.0/24 include:b.test -all exp=e.test\"\n"
    "a.test MX 10 m.test\nm.test A 192.0.2.1\nb.test TXT \"v=spf1 include:c.test a:m.test ?all\"\n"
    "c.test TXT \"v=spf1 exists:%{ir}.x.test ip4:203.0.113.0/24 -all\"\ne.test TXT \"no\"\n";
static const char wide[] =
    "$DELAY 20ms\na.test TXT \"v=spf1 include:b.test include:c.test include:d.test include:e.test -all\"\n"
    "b.test TXT \"v=spf1 a\"\nc.test TXT \"v=spf1 a\"\nd.test TXT \"v=spf1 a\"\ne.test TXT \"v=spf1 a\"\n"
    "b.test A 192.0.2.1\nc.test A 192.0.2.1\nd.test A 192.0.2.1\ne.test A 192.0.2.7\n";
static const char deep[] =
    "$DELAY 20ms\na.test TXT \"v=spf1 include:b.test -all\"\nb.test TXT \"v=spf1 include:c.test\"\n"
    "c.test TXT \"v=spf1 include:d.test\"\nd.test TXT \"v=spf1 a\"\nd.test A 192.0.2.7\n";

static double seconds = 0.5;
static atomic_bool stop;
static atomic_ulong checks;
static atomic_bool wrong;

static void script(const char *text)
{
    struct arena *a = arena_new(0);
    struct str error;

    if (!dns_script(STR("zone"), str_of(text), false, &error, a)) {
        fprintf(stderr, STR_FMT "\n", STR_ARG(error));
        exit(1);
    }
    arena_free(&a);
}

static void check(struct arena *a, enum auth_result want)
{
    struct spf_request request = {
        .helo = STR("mx.b.test"), .sender = STR("user@a.test"), .receiver = STR("mx.here.test")};
    struct dns_budget budget = {100};

    ip_parse(STR("192.0.2.7"), &request.client);
    if (spf_finish(spf_begin(a, &budget, &request), clock_ms() + 5000)->result != want)
        atomic_store(&wrong, true);
    arena_reset(a);
}

static void *work(void *unused)
{
    struct arena *a = arena_new(0);

    (void)unused;
    while (!atomic_load(&stop)) {
        check(a, AUTH_FAIL);
        atomic_fetch_add(&checks, 1);
    }
    arena_free(&a);
    return NULL;
}

static void measure(const char *name, unsigned threads)
{
    pthread_t thread[THREADS];
    int64_t began = clock_ms(), took;

    atomic_store(&checks, 0);
    atomic_store(&stop, false);
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, NULL) != 0)
            exit(1);
    while ((took = clock_ms() - began) < (int64_t)(seconds * 1000))
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("%s %.0f\n", name, (double)atomic_load(&checks) * 1000 / (double)took);
}

static void wait_for(const char *name, const char *zone)
{
    struct arena *a = arena_new(0);
    int64_t began, took, best = INT64_MAX;

    for (int i = 0; i < 5; i++) {
        script(zone);
        began = clock_ms();
        check(a, AUTH_PASS);
        took = clock_ms() - began;
        best = took < best ? took : best;
    }
    printf("%s %lld\n", name, (long long)best);
    arena_free(&a);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    script(known);
    measure("checks_per_s", 1);
    measure("checks16_per_s", THREADS);
    wait_for("wide_ms", wide);
    wait_for("deep_ms", deep);
    dns_script_end();
    if (atomic_load(&wrong))
        fprintf(stderr, "a check had a wrong result\n");
    return atomic_load(&wrong);
}
