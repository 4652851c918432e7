/* health.c - when a list is believed: test points, suspension, recovery, the breaker, what is usual. */
#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/dns/health.h"
#include "../../milter/dns/health_state.h"
#include "../lib/tap.h"

#define HOUR_MS (60 * 60 * 1000LL)

static struct arena *a;
static unsigned warnings, turns;
static char last_warning[512];

static void captured(int level, struct str line, void *ctx)
{
    (void)ctx;
    if (level != LOG_LEVEL_WARN)
        return;
    warnings++;
    snprintf(last_warning, sizeof last_warning, STR_FMT, STR_ARG(line));
}

static void turned(void)
{
    turns++;
}

static struct zone zone(enum zone_kind kind, const char *text)
{
    struct zone z;
    struct str error;
    bool dead;

    if (!zone_parse(a, kind, str_of(text), &z, &error, &dead))
        bail("%s: " STR_FMT, text, STR_ARG(error));
    return z;
}

static void script(const char *text)
{
    struct str error;

    if (!dns_script(STR("script"), str_of(text), false, &error, a))
        bail(STR_FMT, STR_ARG(error));
}

static struct zone_status status(const struct zone *z)
{
    struct zone_status *list;
    size_t count = health_list(a, &list);

    for (size_t i = 0; i < count; i++)
        if (str_is(list[i].name, z->shown))
            return list[i];
    return (struct zone_status){.name = STR("nobody")};
}

static void is_health(const struct zone *z, enum zone_health want, const char *what)
{
    is_str(str_of(zone_health_names[status(z).health]), str_of(zone_health_names[want]), "%s", what);
    ok(health_trusts(z, 0) == (want == ZONE_TRUSTED), "%s: and is believed accordingly", what);
}

/* is_state - the same of one that may be in doubt, and is then tested before it is believed. */
static void is_state(const struct zone *z, enum zone_health want, const char *what)
{
    is_str(str_of(zone_health_names[status(z).health]), str_of(zone_health_names[want]), "%s", what);
}

static bool why_has(const struct zone *z, const char *part)
{
    struct str why = status(z).why;

    return memmem(why.p, why.n, part, strlen(part)) != NULL;
}

/* seen - what the list says of client number `n`. */
static void seen(const struct zone *z, unsigned n, bool listed)
{
    health_seen(z, arena_printf(a, "192.0.%u.%u", n / 256, n % 256), listed ? ZONE_LISTED : ZONE_CLEAN, 20);
}

static void test_points(void)
{
    static const struct {
        const char *list, *script;
        enum zone_health health;
        const char *why;
    } cases[] = {
        {"right.test", "2.0.0.127.right.test A 127.0.0.2", ZONE_TRUSTED, "right"},
        {"codes.test=127.0.0.[10;11]", "2.0.0.127.codes.test A 127.0.0.2", ZONE_TRUSTED, "right"},
        {"bits.test:8-16", "2.0.0.127.bits.test A 127.0.0.254", ZONE_TRUSTED, "right"},
        {"world.test", "*.world.test A 127.0.0.2", ZONE_SUSPENDED, "lists everybody"},
        {"stale.test", "other.stale.test A 127.0.0.2", ZONE_SUSPENDED, "stale or gone"},
        {"nodata.test", "2.0.0.127.nodata.test TXT \"listed\"", ZONE_SUSPENDED, "stale or gone"},
        {"quota.test", "*.quota.test A 127.255.255.254", ZONE_SUSPENDED, "127.255.255.254: it refuses us"},
        {"half.test", "2.0.0.127.half.test A 127.255.255.255", ZONE_SUSPENDED, "it refuses us"},
        {"one.test", "2.0.0.127.one.test A 127.0.0.1", ZONE_SUSPENDED, "it refuses us"},
        {"parked.test", "*.parked.test A 203.0.113.80", ZONE_SUSPENDED, "203.0.113.80: it refuses us"},
        {"both.test", "2.0.0.127.both.test A 127.0.0.2\n1.0.0.127.both.test A 127.255.255.254", ZONE_SUSPENDED,
         "refuses us"},
        {"silent.test", "*.silent.test ANY TIMEOUT", ZONE_UNKNOWN, "cannot be asked: timeout"},
        {"refused.test", "*.refused.test ANY REFUSED", ZONE_UNKNOWN, "cannot be asked: refused"},
        {"servfail.test", "*.servfail.test ANY SERVFAIL", ZONE_UNKNOWN, "cannot be asked: servfail"},
        {"deaf.test", "2.0.0.127.deaf.test A 127.0.0.2\n1.0.0.127.deaf.test A SERVFAIL", ZONE_UNKNOWN,
         "cannot be asked"},
        {"worse.test", "2.0.0.127.worse.test A SERVFAIL\n1.0.0.127.worse.test A 127.0.0.2", ZONE_SUSPENDED,
         "lists everybody"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zone z = zone(ZONE_OF_CLIENTS, cases[i].list);

        script(cases[i].script);
        ok(!health_trusts(&z, 0), "%s is not believed before its test", cases[i].list);
        is_str(str_of(zone_health_names[health_test(&z, 5000)]), str_of(zone_health_names[cases[i].health]),
               "%s is tested", cases[i].list);
        is_health(&z, cases[i].health, cases[i].list);
        ok(why_has(&z, cases[i].why), "%s: why (" STR_FMT ")", cases[i].list, STR_ARG(status(&z).why));
    }
}

static void test_names_and_own_points(void)
{
    struct zone rhs = zone(ZONE_OF_NAMES, "rhs.test"), surbl = zone(ZONE_OF_NAMES, "multi.surbl.org");

    script("test.rhs.test A 127.0.1.2\nsurbl-org-permanent-test-point.com.multi.surbl.org A 127.0.0.254");
    is_long(health_test(&rhs, 5000), ZONE_TRUSTED, "a list of names, by TEST and INVALID");
    is_long(health_test(&surbl, 5000), ZONE_TRUSTED, "a list with a test point of its own");
}

static void test_recovery(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "ill.test");
    unsigned before;
    int64_t since;

    script("2.0.0.127.ill.test A 127.0.0.2");
    health_test(&z, 5000);
    is_health(&z, ZONE_TRUSTED, "a good list");
    script("*.ill.test ANY SERVFAIL");
    health_test(&z, 5000);
    is_health(&z, ZONE_TRUSTED, "temporary trouble does not suspend");
    before = warnings;
    turns = 0;
    clock_script_advance(HOUR_MS);
    script("*.ill.test A 127.0.0.2");
    health_test(&z, 5000);
    is_health(&z, ZONE_SUSPENDED, "a list that begins to list everybody");
    is_long(turns, 1, "whoever watches is told");
    is_long(warnings, before + 1, "it is said once");
    ok(strstr(last_warning, "ill.test is suspended: it lists its negative test point"), "with the reason");
    since = status(&z).since_ms;
    is_long(since, clock_wall_ms(), "since now");
    for (unsigned i = 0; i < 40; i++)
        seen(&z, i, true);
    clock_script_advance(30 * 60 * 1000);
    health_test(&z, 5000);
    is_long(warnings, before + 1, "half an hour later not again");
    is_long(status(&z).since_ms, since, "still since then");
    script("*.ill.test ANY TIMEOUT");
    health_test(&z, 5000);
    is_health(&z, ZONE_SUSPENDED, "silence does not rehabilitate");
    script("*.ill.test A 127.0.0.2");
    clock_script_advance(31 * 60 * 1000);
    health_test(&z, 5000);
    is_long(warnings, before + 2, "after an hour again");
    for (unsigned i = 0; i < 40; i++)
        seen(&z, i, true);
    script("2.0.0.127.ill.test A 127.0.0.2");
    health_test(&z, 5000);
    is_health(&z, ZONE_TRUSTED, "right again: believed again");
    seen(&z, 41, true);
    is_health(&z, ZONE_TRUSTED, "what it said while it was ill is not held against it");
}

static void trusted(const struct zone *z)
{
    script(arena_printf(a, "2.0.0.127." STR_FMT " A 127.0.0.2", STR_ARG(z->name)).p);
    health_test(z, 5000);
}

static void test_breaker(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "sudden.test");

    trusted(&z);
    for (unsigned i = 0; i < 29; i++)
        seen(&z, i, true);
    is_state(&z, ZONE_TRUSTED, "29 clients are too few");
    for (unsigned i = 0; i < 100; i++)
        seen(&z, 3, true);
    is_state(&z, ZONE_TRUSTED, "the same client again and again is one client");
    seen(&z, 29, true);
    is_health(&z, ZONE_TRIPPED, "30 of 30");
    ok(why_has(&z, "30 of the last 30 clients"), "why: " STR_FMT, STR_ARG(status(&z).why));
    ok(strstr(last_warning, "sudden.test is tripped"), "and it is said");
    health_test(&z, 5000);
    is_health(&z, ZONE_TRIPPED, "a right test point does not help");
    is_long(status(&z).listed, 130, "it is still counted");
    clock_script_advance(59 * 60 * 1000);
    seen(&z, 100, false);
    is_health(&z, ZONE_TRIPPED, "59 minutes later");
    clock_script_advance(61 * 1000);
    seen(&z, 101, false);
    is_health(&z, ZONE_TRUSTED, "an hour later, when it lists as usual");

    z = zone(ZONE_OF_CLIENTS, "lasting.test");
    trusted(&z);
    for (unsigned i = 0; i < 30; i++)
        seen(&z, i, true);
    for (unsigned minute = 0; minute < 120; minute++) {
        clock_script_advance(60 * 1000);
        for (unsigned i = 0; i < 5; i++)
            seen(&z, 1000 + minute * 5 + i, true);
    }
    is_health(&z, ZONE_TRIPPED, "who goes on listing everybody stays out");
    script("*.lasting.test A 127.0.0.2");
    health_test(&z, 5000);
    is_health(&z, ZONE_SUSPENDED, "and a wrong test suspends it");
}

static void test_window(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "half.test2");

    trusted(&z);
    for (unsigned i = 0; i < 40; i++)
        seen(&z, i, i % 2);
    is_health(&z, ZONE_TRUSTED, "half of them is not more than half");
    seen(&z, 100, true);
    is_health(&z, ZONE_TRIPPED, "one more is");

    z = zone(ZONE_OF_CLIENTS, "slow.test2");
    trusted(&z);
    for (unsigned i = 0; i < 200; i++) {
        clock_script_advance(30 * 1000);
        seen(&z, i, true);
    }
    is_state(&z, ZONE_TRUSTED, "20 clients in any ten minutes are too few");

    z = zone(ZONE_OF_CLIENTS, "unsure.test2");
    trusted(&z);
    for (unsigned i = 0; i < 200; i++)
        health_seen(&z, arena_printf(a, "192.0.2.%u", i), ZONE_UNSURE, 20);
    is_health(&z, ZONE_TRUSTED, "no answer is no listing");
    is_long(status(&z).unsure, 200, "but counted");
    is_long(status(&z).listed, 0, "as what it is");
}

/* trips - how often the list trips while `share` per cent of `per_minute` new clients are listed, for so many hours. */
static unsigned trips(struct zone *z, unsigned hours, unsigned per_minute, unsigned share, unsigned *number)
{
    enum zone_health before = status(z).health;
    unsigned count = 0;

    for (unsigned minute = 0; minute < hours * 60; minute++) {
        clock_script_advance(60 * 1000);
        for (unsigned i = 0; i < per_minute; i++) {
            ++*number;
            seen(z, *number % 65536, *number * 37 % 100 < share);
            if (status(z).health == ZONE_TRIPPED && before != ZONE_TRIPPED)
                count++;
            before = status(z).health;
        }
    }
    return count;
}

static void test_usual(void)
{
    struct zone busy = zone(ZONE_OF_CLIENTS, "busy.test"), calm = zone(ZONE_OF_CLIENTS, "calm.test");
    struct zone quiet = zone(ZONE_OF_CLIENTS, "quiet.test");
    unsigned n = 0;

    trusted(&busy);
    is_long(trips(&busy, 6, 30, 80, &n), 1, "a busy server that hears mostly from bots trips it once");
    is_state(&busy, ZONE_TRUSTED, "and then it is believed");
    script("2.0.0.127.busy.test A 127.0.0.2");
    ok(health_trusts(&busy, clock_ms() + 5000), "since its test points stay right");
    trusted(&quiet);
    is_long(trips(&quiet, 12, 4, 80, &n), 1, "a quieter one too");
    is_state(&quiet, ZONE_TRUSTED, "after a while");

    trusted(&calm);
    is_long(trips(&calm, 4, 10, 5, &n), 0, "a list with few listings never trips");
    ok(status(&calm).mean_listed > 0.03 && status(&calm).mean_listed < 0.07, "what is usual is learned (%.3f)",
       status(&calm).mean_listed);
    is_long(trips(&calm, 1, 10, 30, &n), 0, "five or six times as many are still fewer than half");
    is_long(trips(&calm, 1, 10, 100, &n), 1, "everybody is not");
    trips(&calm, 24, 10, 100, &n);
    is_health(&calm, ZONE_TRIPPED, "nor does a day of that become usual");
    ok(status(&calm).mean_listed < 0.3, "since it is not learned (%.3f)", status(&calm).mean_listed);
    trips(&calm, 2, 10, 5, &n);
    is_health(&calm, ZONE_TRUSTED, "when it is as before it is believed again");

    is_long(trips(&busy, 1, 30, 100, &n), 1, "a list that lists everybody without exception is never believed");
}

static void test_remembered(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "old.test");
    unsigned n = 0;

    health_remember(STR("old.test"), STR(""), 0.6, 5000);
    trusted(&z);
    is_long(trips(&z, 1, 30, 80, &n), 0, "what is usual is remembered from an earlier life");
    health_remember(STR("old.test"), STR(""), 0.01, 5000);
    ok(status(&z).mean_listed > 0.5, "and does not replace what is known better");
}

static void test_keys_and_counts(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "s3cret.zen.dq.spamhaus.net");
    struct zone_status *list;
    size_t count;

    script("*.s3cret.zen.dq.spamhaus.net A 127.0.0.2");
    health_test(&z, 5000);
    is_health(&z, ZONE_SUSPENDED, "a list with a key");
    ok(strstr(last_warning, "***.zen.dq.spamhaus.net is suspended") && !strstr(last_warning, "s3cret"),
       "its key is not in the log: %s", last_warning);
    count = health_list(a, &list);
    for (size_t i = 0; i < count; i++)
        if (memmem(list[i].name.p, list[i].name.n, "s3cret", 6) || memmem(list[i].why.p, list[i].why.n, "s3cret", 6))
            ok(false, "a key is shown: " STR_FMT " " STR_FMT, STR_ARG(list[i].name), STR_ARG(list[i].why));

    z = zone(ZONE_OF_CLIENTS, "count.test");
    health_seen(&z, STR("192.0.2.1"), ZONE_LISTED, 10);
    health_seen(&z, STR("192.0.2.1"), ZONE_CLEAN, 0);
    health_seen(&z, STR("192.0.2.2"), ZONE_UNSURE, 30);
    is_long(status(&z).asked, 3, "asked");
    is_long(status(&z).listed, 1, "listed");
    is_long(status(&z).unsure, 1, "unsure");
    is_long((long)status(&z).mean_ms, 20, "the mean latency, without what came from the cache");
}

static void test_unwatched(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "nobody.test");

    health_require(false);
    ok(health_trusts(&z, 0), "where nobody watches every list is believed");
    health_require(true);
    ok(!health_trusts(&z, 0), "where somebody does none is before its test");
}

static void test_first_use(void)
{
    struct zone right = zone(ZONE_OF_CLIENTS, "first.test"), silent = zone(ZONE_OF_CLIENTS, "mute.test");
    int64_t before;

    script("2.0.0.127.first.test A 127.0.0.2 after 300ms\n*.mute.test ANY TIMEOUT");
    ok(!health_trusts(&right, clock_ms() + 200), "a mail before the first test is over does not wait beyond its time");
    is_long(health_test(&right, 5000), ZONE_TRUSTED, "whoever comes later finds it tested");
    ok(health_trusts(&right, clock_ms()), "and believes it at once");
    right = zone(ZONE_OF_CLIENTS, "second.test");
    script("2.0.0.127.second.test A 127.0.0.2 after 300ms\n*.mute.test ANY TIMEOUT");
    ok(health_trusts(&right, clock_ms() + 5000), "a list that nobody has tested is tested by the first who needs it");
    ok(!health_trusts(&silent, clock_ms() + 5000), "one whose test points cannot be asked is not believed");
    before = clock_ms();
    ok(!health_trusts(&silent, clock_ms() + 5000), "nor the next time");
    is_long((long)(clock_ms() - before), 0, "when nobody waits for it");
}

/* told - what a list may say of a client, when it has said this. */
static struct str told(const struct zone *z, enum zone_said said, const char *code)
{
    static const char *const names[] = {"clean", "listed", "unsure", "silent"};
    struct str why = str_of(code);

    said = health_hear(z, said, clock_ms() + 5000, &why);
    return arena_printf(a, "%s " STR_FMT, names[said], STR_ARG(why));
}

static void test_hearing(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "heard.test"), never = zone(ZONE_OF_CLIENTS, "never.test");

    trusted(&z);
    is_str(told(&z, ZONE_LISTED, "127.0.0.2"), STR("listed 127.0.0.2"), "a trusted list is heard");
    is_str(told(&z, ZONE_CLEAN, ""), STR("clean "), "also when it lists nobody");
    is_str(told(&z, ZONE_UNSURE, "timeout"), STR("unsure timeout"), "what it could not be asked is unsure");
    script("*.heard.test A 127.0.0.2\n*.never.test ANY TIMEOUT");
    health_test(&z, 5000);
    is_str(told(&z, ZONE_LISTED, "127.0.0.2"), STR("silent not trusted"), "a suspended one has no opinion");
    is_str(told(&z, ZONE_UNSURE, "timeout"), STR("silent timeout"), "also when it does not answer");
    is_str(told(&z, ZONE_CLEAN, ""), STR("clean "), "nor when it lists nobody");
    is_str(told(&never, ZONE_LISTED, "127.0.0.2"), STR("unsure not trusted"), "one that could never be tested is unsure");
    z = zone(ZONE_OF_CLIENTS, "heard2.test");
    trusted(&z);
    for (unsigned i = 0; i < 30; i++)
        seen(&z, i, true);
    is_str(told(&z, ZONE_LISTED, "127.0.0.2"), STR("silent not trusted"), "a tripped one has none either");
}

static void test_early(void)
{
    struct zone z = zone(ZONE_OF_CLIENTS, "early.test");
    unsigned i;

    trusted(&z);
    for (i = 0; i < 9; i++)
        seen(&z, i, true);
    script("*.early.test A 127.0.0.2");
    ok(health_trusts(&z, clock_ms() + 5000), "nine listed clients are too few for a test");
    seen(&z, 8, true);
    ok(health_trusts(&z, clock_ms() + 5000), "the last of them again is no tenth");
    seen(&z, i++, true);
    ok(!health_trusts(&z, clock_ms() + 5000), "before the tenth is refused, a list that lists everybody is out");
    is_health(&z, ZONE_SUSPENDED, "suspended at once");
    ok(why_has(&z, "lists everybody"), "why: " STR_FMT, STR_ARG(status(&z).why));

    z = zone(ZONE_OF_CLIENTS, "early2.test");
    trusted(&z);
    for (i = 0; i < 40; i++)
        seen(&z, i, i % 10 < 3); /* 3 of any 10 */
    script("*.early2.test A 127.0.0.2");
    ok(health_trusts(&z, clock_ms() + 5000), "few listings cause no test");
    for (; i < 47; i++)
        seen(&z, i, true); /* with 3 before: 7 of 10 */
    ok(health_trusts(&z, clock_ms() + 5000), "nor do seven of ten");
    seen(&z, i++, true);
    ok(!health_trusts(&z, clock_ms() + 5000), "eight do");

    z = zone(ZONE_OF_CLIENTS, "early3.test");
    trusted(&z);
    for (i = 0; i < 10; i++)
        seen(&z, i, true);
    dns_script_asked(a);
    ok(health_trusts(&z, clock_ms() + 5000), "a list that is right about ten bots passes");
    is_str(dns_script_asked(a), STR("2.0.0.127.early3.test A\n1.0.0.127.early3.test A\n"), "by its test points");
    seen(&z, i++, true);
    ok(health_trusts(&z, clock_ms() + 5000), "the next bot too");
    is_str(dns_script_asked(a), STR(""), "without another test");
    clock_script_advance(61 * 1000);
    script("*.early3.test ANY SERVFAIL");
    seen(&z, i++, true);
    ok(!health_trusts(&z, clock_ms() + 5000), "in doubt, and its test points cannot be asked: not believed");
    ok(!health_trusts(&z, clock_ms()), "nor by one who cannot wait");
    is_state(&z, ZONE_TRUSTED, "but not suspended");
    clock_script_advance(6 * 1000); /* the failure is not kept for longer */
    script("2.0.0.127.early3.test A 127.0.0.2");
    ok(health_trusts(&z, clock_ms() + 5000), "until they can be");
}

static void test_own_points(void)
{
    struct zone none = zone(ZONE_OF_CLIENTS, "private.test test=none");
    struct zone own = zone(ZONE_OF_CLIENTS, "private.test test=192.0.2.66/192.0.2.1");
    struct zone usual = zone(ZONE_OF_CLIENTS, "private.test");

    script("66.2.0.192.private.test A 127.0.0.2");
    dns_script_asked(a);
    ok(health_trusts(&none, clock_ms() + 5000), "a list without test points is believed when that is configured");
    is_str(dns_script_asked(a), STR(""), "and nothing is asked for it");
    ok(why_has(&none, "not tested, by configuration"), "it is said: " STR_FMT, STR_ARG(status(&none).why));
    is_long(health_test(&own, 5000), ZONE_TRUSTED, "one with points of its own by these");
    is_str(dns_script_asked(a), STR("66.2.0.192.private.test A\n1.2.0.192.private.test A\n"), "both of them");
    is_long(health_test(&usual, 5000), ZONE_SUSPENDED, "without being told so it is suspended");
    ok(health_trusts(&none, clock_ms() + 5000), "which is another entry's business");
    script("*.private.test A 127.0.0.2");
    is_long(health_test(&own, 5000), ZONE_SUSPENDED, "points of its own can fail too");
    for (unsigned i = 0; i < 30; i++)
        seen(&none, i, true);
    ok(!health_trusts(&none, clock_ms() + 5000), "the breaker holds for a list without test points");
}

static void test_many(void)
{
    bool trusts = false;

    for (unsigned i = 0; i < 400; i++) {
        struct zone z = zone(ZONE_OF_CLIENTS, arena_printf(a, "many%u.test", i).p);

        seen(&z, i, true);
        trusts |= health_trusts(&z, 0);
    }
    ok(!trusts, "more lists than can be watched are not believed");
}

int main(void)
{
    a = arena_new(0);
    log_capture(captured, NULL);
    clock_script_wall(1767607200000);
    health_require(true);
    health_on_turn(turned);
    test_points();
    test_names_and_own_points();
    test_recovery();
    test_breaker();
    test_window();
    test_usual();
    test_remembered();
    test_keys_and_counts();
    test_unwatched();
    test_first_use();
    test_hearing();
    test_early();
    test_own_points();
    test_many();
    dns_script_end();
    clock_script_end();
    log_capture(NULL, NULL);
    arena_free(&a);
    return tap_end();
}
