/* karma_tidy.c - housekeeping of karma, on a scripted clock: who is forgotten, and who is not. */
#include <string.h>
#include <unistd.h>

#include "../../db/database_inside.h"
#include "../../milter/base/clock.h"
#include "karma_test.h"

#define YEARS ((int64_t)10 * 365 * DAY)
#define START ((int64_t)1767607200) /* 2026-01-05T10:00:00Z */
#define HOUR_MS 3600000

static struct database_writer writer;

static void put_seen(unsigned n, int64_t last_seen, int64_t penalty_until, const char *reason)
{
    struct karma_net net = net_number(n);
    struct karma_record r = {
        .connects = 1, .last_seen = last_seen, .first_seen = last_seen, .penalty_until = penalty_until};

    snprintf(r.last_reason, sizeof r.last_reason, "%s", reason);
    karma_file_put(writer.db, &net, &r);
}

static void tidy_begin(void)
{
    clock_script_wall(START * 1000);
    karma_tidy_begin();
    writer.db = open_file();
    writer.opened++;
}

static void tidy_end(void)
{
    statements_free(&writer.statements);
    sqlite3_close(writer.db);
    unlink(path);
    clock_script_end();
}

static void round_of_tidy(void)
{
    while (karma_tidy(&writer, NULL))
        ;
}

static long long rows(void)
{
    return number(writer.db, "SELECT count(*) FROM karma");
}

/* put_old - 30 clients: a third not seen for long, a third of last month, a third of today; two of the first are in
 * the box. */
static void put_old(void)
{
    for (unsigned i = 0; i < 10; i++)
        put_seen(i, START - (100 + i) * DAY, i < 2 ? START + 5 * DAY : 0, i == 0 ? "captured" : "");
    for (unsigned i = 10; i < 20; i++)
        put_seen(i, START - 20 * DAY, 0, "");
    for (unsigned i = 20; i < 30; i++)
        put_seen(i, START - 60, 0, "");
}

static void test_prune(void)
{
    tidy_begin();
    put_old();
    karma_limits.piece_rows = 4;
    round_of_tidy();
    is_long(rows(), 30, "after the start nobody is forgotten");
    clock_script_advance(HOUR_MS);
    round_of_tidy();
    is_long(rows(), 22, "an hour later those not seen for 90 days are, except in the box");
    clock_script_advance(6 * (int64_t)DAY * 1000);
    round_of_tidy();
    is_long(rows(), 20, "and these when the box is over");
    tidy_end();

    tidy_begin();
    put_old();
    karma_limits.rows_most = 15;
    round_of_tidy();
    clock_script_advance(HOUR_MS);
    round_of_tidy();
    is_long(rows(), 15, "no more rows than allowed");
    is_long(number(writer.db, "SELECT count(*) FROM karma WHERE last_seen > 1767607200 - 86400"), 10,
            "those seen last stay");
    is_long(number(writer.db, "SELECT count(*) FROM karma WHERE last_reason = 'captured'"), 1,
            "as does whom an administrator captured");
    karma_limits.rows_most = 10000000;
    tidy_end();
}

static void test_clock_jumps(void)
{
    static const int64_t jumps[] = {YEARS, -YEARS};

    for (int i = 0; i < 2; i++) {
        const char *way = i ? "back" : "forward";

        tidy_begin();
        put_old();
        round_of_tidy();
        clock_script_advance(HOUR_MS / 2);
        clock_script_wall(START * 1000 + jumps[i] * 1000);
        clock_script_advance(HOUR_MS);
        round_of_tidy();
        clock_script_advance(2 * HOUR_MS);
        round_of_tidy();
        is_long(rows(), 30, "the clock jumps ten years %s: nobody is forgotten", way);
        clock_script_wall(START * 1000 + 5 * HOUR_MS);
        for (int hour = 0; hour < 23; hour++) {
            clock_script_advance(HOUR_MS);
            round_of_tidy();
        }
        is_long(rows(), 30, "nor for a day after it jumped %s again", i ? "forward" : "back");
        clock_script_advance(2 * HOUR_MS);
        round_of_tidy();
        is_long(rows(), 22, "then, as usual");
        tidy_end();
    }
    tidy_begin();
    for (unsigned i = 0; i < 10; i++)
        put_seen(i, START - YEARS, 0, "");
    round_of_tidy();
    clock_script_advance(HOUR_MS);
    put_seen(11, START + 60, 0, ""); /* somebody came since the start */
    round_of_tidy();
    is_long(rows(), 11, "a clock that was wrong from the start, or a long holiday: one round is skipped");
    clock_script_advance((int64_t)DAY * 1000);
    round_of_tidy();
    is_long(rows(), 1, "not two");
    tidy_end();
}

/* test_forgotten - housekeeping by the daemon's own writer, and the cache sees it. The clock moves while the writer is
 * known to be asleep. */
static void test_forgotten(void)
{
    struct karma_net net = net_number(0), old = net_number(5);
    int64_t until = now_ms() + SOON_MS;
    struct karma_record r;

    tidy_begin();
    put_old();
    store_begin();
    ok(karma_get(&net, &r) == KARMA_KNOWN, "a client that was not seen for long is cached");
    ok(karma_get(&old, &r) == KARMA_KNOWN && r.connects == 1, "as is another");
    karma_store_look();
    clock_script_advance(HOUR_MS);
    karma_store_look();
    while (karma_get(&old, &r) != KARMA_UNSEEN && now_ms() < until)
        nap();
    ok(karma_get(&old, &r) == KARMA_UNSEEN, "when the row is gone, that is gone too");
    ok(karma_get(&net, &r) == KARMA_KNOWN, "not the one in the box");
    learn(&old, (double)START, true, false, "");
    ok(karma_get(&old, &r) == KARMA_KNOWN && r.connects == 1, "and it begins anew");
    karma_store_stop(SOON_MS);
    tidy_end();
}

int main(void)
{
    test_begin();
    test_prune();
    test_clock_jumps();
    test_forgotten();
    return test_end();
}
