/* clock.c - scripted time and load, and dates in words. */
#include <inttypes.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../lib/tap.h"

static void test_script(void)
{
    int64_t wall, mono;
    double load = -1;

    clock_script_wall(1767607200000);
    is_long(clock_wall_ms(), 1767607200000, "the time is what is said");
    mono = clock_ms();
    is_long(clock_ms(), mono, "it stands still");
    clock_script_advance(1500);
    is_long(clock_wall_ms(), 1767607201500, "it moves when told");
    is_long(clock_ms() - mono, 1500, "both clocks do");
    clock_script_wall(0);
    ok(clock_ms() >= mono + 1500, "a step of the wall clock leaves durations alone");
    clock_script_load(3.5);
    ok(clock_load(&load) && load > 3.49 && load < 3.51, "the load is what is said");
    clock_script_load(-1);
    ok(!clock_load(&load), "or unknown");
    clock_script_end();
    wall = clock_wall_ms();
    ok(wall > 1577836800000, "the real time is back (%" PRId64 ")", wall);
    mono = clock_ms();
    ok(clock_ms() >= mono, "and does not run backwards");
    ok(!clock_load(&load) || load >= 0, "the real load is back");
}

static void test_rfc3339(void)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1767607200000, "2026-01-05T10:00:00Z"},
        {951782400000, "2000-02-29T00:00:00Z"},
        {4102444799000, "2099-12-31T23:59:59Z"},
    };
    static const char *const wrong[] = {
        "", "2026-01-05", "2026-01-05 10:00:00Z", "2026-01-05T10:00:00", "2026-01-05T10:00:00+00:00",
        "2026-01-05T10:00:00ZZ", "2026-1-05T10:00:00Z", "2026-01-05T10:00:0aZ", "-026-01-05T10:00:00Z",
    };
    struct arena *a = arena_new(0);
    int64_t ms;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        is_str(clock_rfc3339(a, rows[i].ms), str_of(rows[i].text), "%s written", rows[i].text);
        ok(clock_parse_rfc3339(str_of(rows[i].text), &ms) && ms == rows[i].ms, "%s read", rows[i].text);
    }
    is_str(clock_rfc3339(a, 1767607200999), STR("2026-01-05T10:00:00Z"), "milliseconds are dropped");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ok(!clock_parse_rfc3339(str_of(wrong[i]), &ms), "'%s' is no date", wrong[i]);
    arena_free(&a);
}

int main(void)
{
    test_script();
    test_rfc3339();
    return tap_end();
}
