/* karma.c - keys, arithmetic, files and imported lines of the karma memory. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../db/database.h"
#include "../../db/karma_store.h"
#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/ctl/karma_lines.h"
#include "../lib/tap.h"

#define NOW INT64_C(1767225600) /* Thu 2026-01-01 00:00:00 UTC */
#define DAY INT64_C(86400)
#define YEARS (3650 * DAY)

static struct arena *a;

static const struct karma_rules usual = {.negative = 2, .penalty_s = DAY, .max_penalty_s = 30 * DAY};

static struct karma_net net(const char *text)
{
    struct karma_net n;

    if (!karma_net_parse(str_of(text), &n))
        bail("%s is no network", text);
    return n;
}

/* ---- keys ---- */

static void test_net(void)
{
    static const struct {
        const char *text, *shown;
    } good[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1/32", "192.0.2.1"},
        {"0.0.0.1", "0.0.0.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1/128", "192.0.2.1"},
        {"::ffff:c000:201", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::/64"},
        {"2001:db8::2", "2001:db8::/64"},
        {"2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"},
        {"2001:db8:0:1::/64", "2001:db8:0:1::/64"},
        {"2001:DB8:0:1::9/64", "2001:db8:0:1::/64"},
        {"::1", "::/64"}, /* not 0.0.0.1 */
        {"::192.0.2.9", "::/64"},
    };
    static const char *const wrong[] = {"", "192.0.2", "192.0.2.1/24", "192.0.2.1/", "2001:db8::/48", "x", "/64",
                                        "2001:db8::/6", "192.0.2.1/64", "2001:db8::1/32", "2001:db8:0:1::9/128", "::ffff:192.0.2.1/64",
                                        "192.0.2.1 "};
    struct karma_net n, again;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        n = net(good[i].text);
        is_str(karma_net_text(a, &n), str_of(good[i].shown), "key of %s", good[i].text);
        ok(karma_net_parse(karma_net_text(a, &n), &again) && memcmp(&n, &again, sizeof n) == 0, "and back");
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ok(!karma_net_parse(str_of(wrong[i]), &n), "\"%s\" is no network", wrong[i]);
    n = net("192.0.2.1");
    ok(n.b[0] == 128 && n.b[11] == 0xff && n.b[13] == 192 && n.b[16] == 1, "IPv4 lives at ::ffff:a.b.c.d/128");
    n = net("2001:db8:0:1::9");
    ok(n.b[0] == 64 && n.b[1] == 0x20 && n.b[8] == 1 && n.b[16] == 0, "IPv6 is its /64");
}

/* ---- A.4 ---- */

static void learn(struct karma_record *r, double at, bool nice, bool naughty, const struct karma_rules *rules)
{
    struct karma_event e = {.at = at, .nice = nice, .naughty = naughty, .reason = "dnsbl", .rules = *rules};

    karma_apply(r, &e);
}

static struct karma_record record(int64_t nice, int64_t naughty)
{
    return (struct karma_record){.nice = nice, .naughty = naughty, .connects = nice + naughty, .first_seen = NOW - DAY,
                                 .last_seen = NOW - DAY};
}

static void test_counts(void)
{
    struct karma_record r = {0};

    learn(&r, NOW + 0.5, false, false, &usual);
    ok(r.connects == 1 && r.nice == 0 && r.naughty == 0 && r.penalty_until == 0, "neither nice nor naughty: counted");
    ok(r.first_seen == NOW && r.last_seen == NOW && r.last_reason[0] == '\0', "seen, for no reason");
    learn(&r, NOW + 10, true, false, &usual);
    ok(r.connects == 2 && r.nice == 1 && r.naughty == 0 && r.last_reason[0] == '\0', "nice");
    learn(&r, NOW + 20, false, true, &usual);
    ok(r.connects == 3 && r.nice == 1 && r.naughty == 1 && r.penalty_until == 0, "naughty, not yet boxed");
    is_str(str_of(r.last_reason), STR("dnsbl"), "and why");
    learn(&r, NOW - 5, false, false, &usual);
    ok(r.first_seen == NOW - 5 && r.last_seen == NOW + 20, "events may come in any order");
    is_long(karma_history(&r), 0, "history is nice less naughty");
    r = (struct karma_record){.nice = INT64_MIN, .naughty = 1};
    is_long(karma_history(&r), INT64_MIN, "numbers that somebody else wrote do not overflow");
}

/* One naughty connection at NOW, onto nice and naughty ones before. */
static void test_box(void)
{
    static const struct {
        int64_t nice, naughty, negative, boxed_days;
        const char *what;
    } rows[] = {
        {0, 0, 1, 1, "negative = 1: the first one boxes"},
        {0, 0, 2, 0, "negative = 2: the first does not"},
        {0, 1, 2, 1, "the second does"},
        {1, 1, 2, 0, "history -1 is not enough"},
        {1, 2, 2, 1, "history -2 is"},
        {8, 9, 2, 1, "eight nice and ten naughty: boxed"},
        {8, 8, 2, 0, "eight nice and nine naughty: not"},
        {100, 3, 2, 0, "a nice one may be naughty at times"},
        {0, 3, 2, 1, "four naughty: one penalty"},
        {0, 4, 2, 1, "five: history -5 is not below -5"},
        {0, 5, 2, 2, "six: one more penalty"},
        {0, 6, 2, 3, "seven: two more"},
        {1, 6, 2, 1, "once nice, history -6: no more than one"},
        {0, 33, 2, 30, "34 naughty: exactly the most"},
        {0, 34, 2, 30, "and no more"},
        {0, 1000000, 2, 30, "however naughty"},
        {0, 4, 9, 0, "negative = 9: not yet"},
        {0, 8, 9, 5, "at once with four more penalties"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct karma_rules rules = usual;
        struct karma_record r = record(rows[i].nice, rows[i].naughty);

        rules.negative = rows[i].negative;
        learn(&r, NOW, false, true, &rules);
        is_long(r.penalty_until, rows[i].boxed_days ? NOW + rows[i].boxed_days * DAY : 0, "%s", rows[i].what);
        is_long(r.naughty, rows[i].naughty + 1, "  counted");
    }
}

static void test_box_lengthened(void)
{
    struct karma_record r = record(0, 1);
    struct karma_rules huge = {.negative = 1, .penalty_s = INT64_MAX / 2, .max_penalty_s = YEARS};

    learn(&r, NOW, false, true, &usual);
    learn(&r, NOW + 100, true, false, &usual);
    is_long(r.penalty_until, NOW + DAY, "a nice connection leaves the box as it is");
    learn(&r, NOW - 50, false, true, &usual);
    is_long(r.penalty_until, NOW + DAY, "an event that comes late does not shorten it");
    learn(&r, NOW + 100, false, true, &usual);
    is_long(r.penalty_until, NOW + 100 + DAY, "a later one lengthens it");
    r = record(0, 20);
    learn(&r, NOW, false, true, &huge);
    is_long(r.penalty_until, NOW + YEARS, "lengths do not overflow");
}

static void test_boxed(void)
{
    struct karma_record r = {.penalty_until = NOW};
    int64_t until;

    ok(karma_boxed(&r, NOW - 1, DAY, &until) && until == NOW, "in the box to its last second");
    ok(!karma_boxed(&r, NOW, DAY, &until), "then it is over");
    ok(karma_boxed(&r, NOW - DAY, DAY, &until), "the longest penalty is believed");
    ok(!karma_boxed(&r, NOW - DAY - 1, DAY, &until), "one second more is a wrong clock");
    memcpy(r.last_reason, "captured", 9);
    ok(karma_boxed(&r, NOW - YEARS, DAY, &until), "unless somebody captured it");
    ok(!karma_boxed(&r, NOW + 1, DAY, &until), "which ends too");
    r = (struct karma_record){.penalty_until = INT64_MAX};
    ok(!karma_boxed(&r, INT64_MIN, DAY, &until), "no overflow");
    r.penalty_until = 0;
    ok(!karma_boxed(&r, NOW, DAY, &until), "0 is no box");
}

static void test_capture_stays(void)
{
    struct karma_record r = record(0, 5);

    r.penalty_until = NOW + YEARS;
    memcpy(r.last_reason, "captured", 9);
    learn(&r, NOW, false, true, &usual);
    ok(r.penalty_until == NOW + YEARS && strcmp(r.last_reason, "captured") == 0,
       "a naughty connection does not shorten what an administrator said");
    r.penalty_until = NOW + 60;
    learn(&r, NOW, false, true, &usual);
    is_long(r.penalty_until, NOW + 3 * DAY, "but may lengthen it");
    r.penalty_until = NOW - 1;
    learn(&r, NOW, false, true, &usual);
    is_str(str_of(r.last_reason), STR("dnsbl"), "when it is over, the reason is the event's");
}

static void test_release(void)
{
    struct karma_record r = record(0, 0);

    r.cleared_at = NOW + 0.5;
    learn(&r, NOW + 0.25, false, true, &usual);
    ok(r.connects == 1 && r.naughty == 0 && r.penalty_until == 0 && r.last_reason[0] == '\0',
       "an older event counts as a connection, not as naughty");
    learn(&r, NOW + 0.25, true, false, &usual);
    ok(r.nice == 1 && r.connects == 2, "but as nice");
    r.nice = 0;
    learn(&r, NOW + 0.75, false, true, &usual);
    learn(&r, NOW + 0.75, false, true, &usual);
    ok(r.naughty == 2 && r.penalty_until == NOW + DAY, "newer ones are naughty and box");
    r = record(0, 0);
    r.cleared_at = NOW + YEARS;
    learn(&r, NOW, false, true, &usual);
    is_long(r.naughty, 1, "a release from the far future was a wrong clock's: it forgives nothing");
    r.cleared_at = NOW + 3600;
    learn(&r, NOW, false, true, &usual);
    is_long(r.naughty, 1, "one hour is believed");
}

static void test_clocks(void)
{
    struct karma_record r = record(0, 1);
    int64_t until;

    learn(&r, NOW + YEARS, false, true, &usual);
    ok(!karma_boxed(&r, NOW, usual.max_penalty_s, &until), "a clock ten years ahead: its box is not believed later");
    learn(&r, NOW, false, true, &usual);
    ok(karma_boxed(&r, NOW, usual.max_penalty_s, &until) && until == NOW + DAY, "and is replaced by the next event's");
    r = record(0, 1);
    learn(&r, NOW - YEARS, false, true, &usual);
    ok(!karma_boxed(&r, NOW, usual.max_penalty_s, &until), "a clock ten years behind: its box is over");
    ok(r.first_seen == NOW - YEARS && r.last_seen == NOW - YEARS, "seen then");
    learn(&r, NOW, false, true, &usual);
    ok(karma_boxed(&r, NOW, usual.max_penalty_s, &until) && until == NOW + DAY, "the next event boxes as usual");
    is_long(r.last_seen, NOW, "and tells when it was seen last");
    r.last_seen = NOW + YEARS;
    learn(&r, NOW, false, false, &usual);
    is_long(r.last_seen, NOW, "seen in ten years, as a wrong clock had it: seen now");
    r.last_seen = NOW + 3600;
    learn(&r, NOW, false, false, &usual);
    is_long(r.last_seen, NOW + 3600, "seen within the hour: events may come in any order");
}

/* ---- files ---- */

static char directory[] = "/tmp/sme-karma-XXXXXX";

static sqlite3 *open_file(const char *path)
{
    struct str error = STR_NONE;
    int status;
    sqlite3 *db = database_open_file(path, &karma_schema, true, true, a, &error, &status);

    if (!db)
        bail(STR_FMT, STR_ARG(error));
    return db;
}

static const char *view_of(sqlite3 *db)
{
    static char text[80];
    sqlite3_stmt *s;

    text[0] = '\0';
    if (sqlite3_prepare_v2(db, "SELECT network FROM karma_list", -1, &s, NULL) == SQLITE_OK
        && sqlite3_step(s) == SQLITE_ROW)
        snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    return text;
}

/* What plain SQL shows, and what we show, is one spelling: it is looked for in both. */
static void test_spelling(sqlite3 *db)
{
    static const char *const texts[] = {"192.0.2.1",        "0.0.0.0",           "255.10.0.7",       "::",
                                        "2001::1",          "2001:db8::1",       "2001:db8:7::1",    "2001:db8:0:7::1",
                                        "2001:0:0:7::1",    "0:0:0:7::1",        "0:0:7::1",         "0:7::1",
                                        "2001:db8:10:a0::", "2001:0:10:0::",     "fe80:abcd::",      "10:100:1000:1::",
                                        "1:0:0:0::",        "ffff:ffff:ffff:ffff::"};
    const struct karma_record r = {.connects = 1};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct karma_net n = net(texts[i]);

        sqlite3_exec(db, "DELETE FROM karma", NULL, NULL, NULL);
        karma_file_put(db, &n, &r);
        is_str(str_of(view_of(db)), karma_net_text(a, &n), "the view has %s as we have it", texts[i]);
    }
    sqlite3_exec(db, "DELETE FROM karma", NULL, NULL, NULL);
}

static void test_file_one(sqlite3 *db)
{
    struct karma_record r, back, want = {.nice = 3, .naughty = 9, .connects = 20, .penalty_until = NOW + 5,
                                         .cleared_at = NOW + 0.123456789, .first_seen = 1, .last_seen = NOW,
                                         .last_reason = "dnsbl,helo"};
    struct karma_net n4 = net("192.0.2.1"), n6 = net("2001:db8::1"), other = net("192.0.2.2");

    is_long(karma_file_get(db, &n4, &r), SQLITE_DONE, "not there");
    is_long(karma_file_put(db, &n4, &want), SQLITE_OK, "put");
    ok(karma_file_get(db, &n4, &back) == SQLITE_OK && memcmp(&want, &back, sizeof want) == 0, "and read, all of it");
    is_long(karma_file_release(db, &n4, NOW + 7.25), SQLITE_OK, "released");
    karma_file_get(db, &n4, &r);
    ok(r.naughty == 0 && r.penalty_until == 0 && r.cleared_at == NOW + 7.25 && r.nice == 3 && r.connects == 20,
       "box and naughty count are gone, the rest is there");
    is_long(karma_file_release(db, &other, NOW), SQLITE_OK, "somebody unseen is released");
    ok(karma_file_get(db, &other, &r) == SQLITE_OK && r.cleared_at == NOW && r.connects == 0,
       "which wins over older events that are still to be written");
    is_long(karma_file_capture(db, &n6, NOW + 0.9, 60), SQLITE_OK, "captured");
    ok(karma_file_get(db, &n6, &r) == SQLITE_OK && r.penalty_until == NOW + 60 && r.first_seen == NOW &&
       strcmp(r.last_reason, "captured") == 0, "an IPv6 network is in the box");
    is_long(karma_file_capture(db, &n4, NOW, 400 * DAY), SQLITE_OK, "captured for long");
    ok(karma_file_get(db, &n4, &r) == SQLITE_OK && r.nice == 3 && r.last_seen == NOW, "its counts are kept");
}

struct seen {
    struct buf b;
    int left;
};

static bool note(const struct karma_net *n, const struct karma_record *r, void *ctx)
{
    struct seen *s = ctx;

    buf_addf(&s->b, "%s%s:%lld", s->b.len ? " " : "", karma_net_text(a, n).p, (long long)karma_history(r));
    return --s->left != 0;
}

static struct str listed(sqlite3 *db, enum karma_order order, int64_t most, int stop)
{
    struct seen s = {.b = buf_in(a), .left = stop};

    is_long(karma_file_list(db, order, most, note, &s), SQLITE_OK, "listed");
    return buf_str(&s.b);
}

static void test_list(sqlite3 *db)
{
    static const struct {
        const char *net;
        int64_t nice, naughty, until;
    } rows[] = {{"192.0.2.1", 5, 1, 0},        {"192.0.2.2", 0, 3, 0}, {"2001:db8::", 0, 7, 0},
                {"2001:db8:0:1::", 9, 0, 0}, {"192.0.2.3", 2, 2, 0}, {"192.0.2.10", 8, 1, NOW + 50}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct karma_record r = {.nice = rows[i].nice, .naughty = rows[i].naughty, .penalty_until = rows[i].until};
        struct karma_net n = net(rows[i].net);

        karma_file_put(db, &n, &r);
    }
    sqlite3_exec(db, "INSERT INTO karma (net, nice) VALUES ('text', 3), (x'8000', 4)", NULL, NULL, NULL);
    is_str(listed(db, KARMA_BY_ADDRESS, 0, 0),
           STR("2001:db8::/64:-7 2001:db8:0:1::/64:9 192.0.2.1:4 192.0.2.2:-3 192.0.2.3:0 192.0.2.10:7"), "by address");
    is_str(listed(db, KARMA_NAUGHTY_FIRST, 0, 0), STR("2001:db8::/64:-7 192.0.2.2:-3 192.0.2.10:7"),
           "the naughtiest first, with those in the box");
    is_str(listed(db, KARMA_NICE_FIRST, 0, 0), STR("2001:db8:0:1::/64:9 192.0.2.10:7 192.0.2.1:4"), "the nicest first");
    is_str(listed(db, KARMA_NAUGHTY_FIRST, 1, 0), STR("2001:db8::/64:-7"), "only one");
    is_str(listed(db, KARMA_BY_ADDRESS, 2, 0), STR("2001:db8::/64:-7 2001:db8:0:1::/64:9"), "only two");
    is_str(listed(db, KARMA_BY_ADDRESS, 0, 1), STR("2001:db8::/64:-7"), "stopped");
}

struct tally {
    sqlite3 *writer;
    int64_t rows, sum;
    bool failed;
};

/* count - and write meanwhile, as the daemon does. */
static bool count(const struct karma_net *n, const struct karma_record *r, void *ctx)
{
    struct tally *t = ctx;

    t->rows++;
    t->sum += r->connects;
    if (t->rows % 1000 == 1)
        t->failed |= karma_file_capture(t->writer, n, NOW, 60) != SQLITE_OK ||
                     sqlite3_exec(t->writer, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) != SQLITE_OK;
    return true;
}

static void test_many(sqlite3 *db, const char *path)
{
    struct tally t = {.writer = open_file(path)};
    int64_t rows = 0;

    sqlite3_exec(db,
                 "DELETE FROM karma; WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)"
                 " INSERT INTO karma (net, connects, nice, last_seen, penalty_until)"
                 " SELECT x'8000000000000000000000FFFF0A00' || char(33 + i / 100, 27 + i % 100), 1, 1,"
                 " 1767225600 - i * 86400, CASE WHEN i = 4500 THEN 1767225601 ELSE 0 END FROM n",
                 NULL, NULL, NULL);
    sqlite3_exec(db, "UPDATE karma SET net = CAST(net AS BLOB)", NULL, NULL, NULL);
    ok(karma_file_list(db, KARMA_BY_ADDRESS, 0, count, &t) == SQLITE_OK && t.sum == 5000 && t.rows == 5000,
       "5000 rows, each once");
    ok(!t.failed, "while somebody writes, whose log can be emptied");
    t.rows = t.sum = 0;
    ok(karma_file_list(db, KARMA_NICE_FIRST, 0, count, &t) == SQLITE_OK && t.rows == 5000 && !t.failed, "sorted too");
    sqlite3_exec(db, "UPDATE karma SET penalty_until = 0 WHERE last_reason = 'captured'", NULL, NULL, NULL);
    ok(karma_file_prune(db, NOW - 90 * DAY, true, &rows) == SQLITE_OK && rows == 4908, "how many would be pruned");
    ok(karma_file_prune(db, NOW - 90 * DAY, false, &rows) == SQLITE_OK && rows == 4908, "as many are pruned");
    ok(karma_file_prune(db, NOW - 90 * DAY, false, &rows) == SQLITE_OK && rows == 0, "and then none");
    t.rows = t.sum = 0;
    karma_file_list(db, KARMA_BY_ADDRESS, 0, count, &t);
    is_long(t.rows, 92, "who was seen 90 days ago or is in the box stays");
    sqlite3_close(t.writer);
}

static void test_files(void)
{
    struct str path;
    sqlite3 *db;

    if (!mkdtemp(directory))
        bail("no temporary directory");
    path = arena_printf(a, "%s/karma.sqlite", directory);
    db = open_file(path.p);
    test_spelling(db);
    test_file_one(db);
    sqlite3_exec(db, "DELETE FROM karma", NULL, NULL, NULL);
    test_list(db);
    test_many(db, path.p);
    sqlite3_close(db);
    for (const char *const *s = (const char *const[]){"", "-wal", "-shm", NULL}; *s; s++)
        unlink(arena_printf(a, "%s%s", path.p, *s).p);
    ok(rmdir(directory) == 0, "nothing else was left there");
}

/* ---- lines to import ---- */

static const struct karma_line_rules line_rules = {.now = NOW, .penalty_s = DAY};

static enum karma_line tool_line(const char *line, struct karma_net *n, struct karma_record *r, struct str *why)
{
    return karma_line_read(a, KARMA_TOOL, str_of(line), &line_rules, n, r, why);
}

/* as_printed - the layout of the original's listing. */
static const char *as_printed(const char *ip, const char *penalty, const char *naughty, const char *nice,
                              const char *connects, const char *name)
{
    return arena_printf(a, " %-18s  %24s    %3s     %3s     %3s    %30s\n", ip, penalty, naughty, nice, connects,
                        name).p;
}

static void test_tool_rows(void)
{
    const struct {
        const char *line, *net;
        int64_t naughty, nice, connects, penalty_until;
    } rows[] = {
        {as_printed("192.0.2.1", "", "", "", "7", ""), "192.0.2.1", 0, 0, 7, 0},
        {as_printed("192.0.2.1", "", "", "5", "", ""), "192.0.2.1", 0, 5, 0, 0},
        {as_printed("192.0.2.1", "", "3", "", "", ""), "192.0.2.1", 3, 0, 0, 0},
        {as_printed("192.0.2.1", "", "", "5", "7", "mx.example.net"), "192.0.2.1", 0, 5, 7, 0},
        {as_printed("192.0.2.1", "", "12345", "", "123456", "mx"), "192.0.2.1", 12345, 0, 123456, 0},
        {as_printed("255.255.255.255", "Wed Dec 31 10:00", "3", "", "5", ""), "255.255.255.255", 3, 0, 5,
         NOW - 14 * 3600 + DAY},
        {as_printed("192.0.2.1", "Thu Jan  1 00:00", "1", "2", "3", ""), "192.0.2.1", 1, 2, 3, NOW + DAY},
        {as_printed("192.0.2.1", "Thu Feb 29 12:00", "1", "2", "3", ""), "192.0.2.1", 1, 2, 3, 1709208000 + DAY},
        {as_printed("192.0.2.1", "Fri Jan  2 00:00", "1", "2", "3", ""), "192.0.2.1", 1, 2, 3, NOW + 2 * DAY},
        {as_printed("192.0.2.1", "1767225601", "1", "2", "3", ""), "192.0.2.1", 1, 2, 3, NOW + 1 + DAY},
        {as_printed("3221225985", "", "1", "2", "3", ""), "192.0.2.1", 1, 2, 3, 0},
        {"192.0.2.1 1767225601 1 2 3", "192.0.2.1", 1, 2, 3, NOW + 1 + DAY},
        {"192.0.2.1  0  1 2 3 AS64496", "192.0.2.1", 1, 2, 3, 0},
        {"192.0.2.1 - - 2 3", "192.0.2.1", 0, 2, 3, 0},
        {"192.0.2.1 1 2 3", "192.0.2.1", 1, 2, 3, 0},
        {"192.0.2.1\tThu Jan 1 00:00\t1\t2\t3\tmx\r\n", "192.0.2.1", 1, 2, 3, NOW + DAY},
        {"192.0.2.1 2026-01-01T00:00:00Z 1 2 3", "192.0.2.1", 1, 2, 3, NOW + DAY},
        {"2001:db8::1 1 2 3", "2001:db8::/64", 1, 2, 3, 0},
        {"42540766411282592856903984951653826561 1 2 3", "2001:db8::/64", 1, 2, 3, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct karma_record r;
        struct karma_net n;
        struct str why, shown = str_trim(str_of(rows[i].line));

        if (!ok(tool_line(rows[i].line, &n, &r, &why) == KARMA_LINE_ROW, STR_FMT, STR_ARG(str_escaped(a, shown)))) {
            diag(STR_FMT, STR_ARG(why));
            continue;
        }
        is_str(karma_net_text(a, &n), str_of(rows[i].net), "  its network");
        ok(r.naughty == rows[i].naughty && r.nice == rows[i].nice && r.connects == rows[i].connects, "  its counts");
        is_long(r.penalty_until, rows[i].penalty_until, "  its penalty");
        ok(r.first_seen == NOW && r.last_seen == NOW && r.cleared_at == 0, "  seen now");
    }
}

static void test_tool_others(void)
{
    static const char *const nothing[] = {
        "", "   ", "\r\n", "using karma db at /var/lib/qpsmtpd/karma/karma.db",
        "      IP Address                 Penalty        Naughty  Nice  Connects  Hostname",
        " --------- ---- ---", "+----+====+", "| | |", "$VAR1 = {", "          'nice' => 7,", "        };",
    };
    static const char *const wrong[] = {
        "192.0.2.1", " 192.0.2.1", "192.0.2.1 1 2", "192.0.2.1 1 2 x", "host 1 2 3", "192.0.2.1 x 1 2 3",
        "192.0.2.1 Wed Feb 29 00:00 1 2 3" /* no year near has that */, "192.0.2.1 Thu Feb 30 00:00 1 2 3",
        "192.0.2.1 Thu Jan 1 24:00 1 2 3", "192.0.2.1 1 2 99999999999999999", "192.0.2.1 1 2 99999999999999999999",
        "192.0.2.1 253402300800 1 2 3", "-1 1 2 3", "340282366920938463463374607431768211456 1 2 3", "{\"network\": 1}",
    };
    enum karma_line result;
    struct karma_record r;
    struct karma_net n;
    struct str why;

    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++)
        ok(tool_line(nothing[i], &n, &r, &why) == KARMA_LINE_NOTHING, "passed over: \"" STR_FMT "\"",
           STR_ARG(str_escaped(a, str_of(nothing[i]))));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        result = tool_line(wrong[i], &n, &r, &why);
        ok(result == KARMA_LINE_BAD && why.n, "wrong: \"%s\" (" STR_FMT ")", wrong[i], STR_ARG(why));
    }
    ok(tool_line(as_printed("", "", "1", "", "2", ""), &n, &r, &why) == KARMA_LINE_SKIPPED && why.n,
       "an IPv6 address, printed as nothing, is left out");
    ok(tool_line(as_printed("0.0.0.1", "", "1", "", "2", ""), &n, &r, &why) == KARMA_LINE_SKIPPED && why.n,
       "and one that became 0.0.0.1");
    ok(tool_line("1 1 2 3", &n, &r, &why) == KARMA_LINE_SKIPPED, "also as a number");
}

#define EXPORTED(more)                                                                                                \
    "{\"network\": \"192.0.2.7\", \"nice\": 1, \"naughty\": 2, \"connects\": 3, \"penalty_until\": 4," \
    " \"first_seen\": 5, \"last_seen\": 6" more "}"
#define REST ", \"cleared_at\": 1.5, \"last_reason\": "

static void test_export_lines(void)
{
    static const char *const wrong[] = {
        "x", "[]", "1", "{}", "{", EXPORTED(""), EXPORTED(", \"cleared_at\": 0"), EXPORTED(REST "3"),
        EXPORTED(REST "\"a\\\\\""), EXPORTED(REST "\"a\\\\x0\""), EXPORTED(REST "\"a\\\\x00\""),
        EXPORTED(REST "\"a\\\\n\""),
        EXPORTED(REST "\"\", \"nice\": 2"), EXPORTED(REST "\"\", \"nicer\": 2"), EXPORTED(REST "\"\"") "{}",
        EXPORTED(REST "\"0123456789012345678901234567890123456789012345678901234567890123\""),
        EXPORTED(", \"cleared_at\": -1, \"last_reason\": \"\""),
        EXPORTED(", \"cleared_at\": 1e12, \"last_reason\": \"\""),
    };
    struct str why, line = STR(EXPORTED(REST "\"a\\\\x0a\\\\\\\\b\\\"\"")), huge = {arena_zalloc(a, 9999), 9999};
    enum karma_line result;
    struct karma_record r;
    struct karma_net n;

    ok(karma_line_read(a, KARMA_EXPORT, line, &line_rules, &n, &r, &why) == KARMA_LINE_ROW, "an exported line");
    is_str(karma_net_text(a, &n), STR("192.0.2.7"), "its network");
    ok(r.nice == 1 && r.naughty == 2 && r.connects == 3 && r.penalty_until == 4 && r.first_seen == 5 &&
       r.last_seen == 6 && r.cleared_at == 1.5, "its numbers");
    is_str(str_of(r.last_reason), STR("a\n\\b\""), "its reason, as it was before it was escaped");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        result = karma_line_read(a, KARMA_EXPORT, str_of(wrong[i]), &line_rules, &n, &r, &why);
        ok(result == KARMA_LINE_BAD && why.n, "wrong: %s (" STR_FMT ")", wrong[i], STR_ARG(why));
    }
    ok(karma_line_read(a, KARMA_EXPORT, STR(" \r\n"), &line_rules, &n, &r, &why) == KARMA_LINE_NOTHING, "a blank line");
    ok(karma_line_read(a, KARMA_EXPORT, huge, &line_rules, &n, &r, &why) == KARMA_LINE_BAD, "too long a line");
}

int main(void)
{
    a = arena_new(0);
    setenv("TZ", "UTC", 1);
    tzset();
    clock_script_wall(NOW * 1000);
    test_net();
    test_counts();
    test_box();
    test_box_lengthened();
    test_boxed();
    test_capture_stays();
    test_release();
    test_clocks();
    test_files();
    test_tool_rows();
    test_tool_others();
    test_export_lines();
    arena_free(&a);
    return tap_end();
}
