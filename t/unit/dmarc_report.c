/* dmarc_report.c - aggregate reports: their XML, what is stored of a message and how it is counted, the names that a
 * report gets, and what is forgotten. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../db/dmarc_store.h"
#include "../../milter/base/clock.h"
#include "../lib/tap.h"

#define DAY 86400
#define MONDAY 1767571200 /* 2026-01-05T00:00:00Z */
#define WAIT_MS 20000
#define BAD "\xef\xbf\xbd" /* U+FFFD */

static struct arena *a;
static char directory[] = "/tmp/sme-report-XXXXXX";

/* ---- XML ---- */

static void put(void *ctx, struct str bytes)
{
    buf_add(ctx, bytes);
}

static struct str xml_of(const struct report_record *r)
{
    struct buf b = buf_in(a);
    struct report_sink sink = {put, &b};

    report_xml_record(&sink, r);
    return buf_str(&b);
}

static bool contains(struct str text, const char *part)
{
    return memmem(text.p, text.n, part, strlen(part)) != NULL;
}

static void test_xml(void)
{
    struct report_record r = {
        .source_ip = STR("192.0.2.1"),
        .count = 3,
        .disposition = STR("none"),
        .dkim = STR("fail"),
        .spf = STR("fail"),
        .header_from = STR("a.test"),
    };
    struct str xml = xml_of(&r);

    ok(contains(xml, "<envelope_from></envelope_from>"), "the null sender is told as such");
    ok(!contains(xml, "<envelope_to>") && !contains(xml, "<reason>") && !contains(xml, "<dkim>\n")
           && !contains(xml, "   <spf>\n"),
       "what is not there is left out");
    r.comment = STR("a comment alone");
    ok(!contains(xml_of(&r), "comment"), "a comment needs a reason");
    r.reason = STR("other");
    r.comment = STR("</comment><!-- ]]> \"'&amp; \x01\x00\x1f\x7f" "x\n");
    ok(contains(xml_of(&r), "<comment>&lt;/comment&gt;&lt;!-- ]]&gt; &quot;&apos;&amp;amp; x</comment>"),
       "what has a meaning is escaped, control bytes go");
    r.comment = STR("\xc3\xa4 \xff \xc3 \xe2\x82 \xed\xa0\x80 \xef\xbf\xbf \xc2\x85 \xf0\x9f\x98\x80 \xe2\x82");
    ok(contains(xml_of(&r), "<comment>\xc3\xa4 " BAD " " BAD " " BAD BAD " " BAD BAD BAD " " BAD " " BAD
                            " \xf0\x9f\x98\x80 " BAD BAD "</comment>"),
       "what is no UTF-8, or no character of XML, is replaced");
    r.signatures = STR("a.test s1 pass\nbroken\nb.test s2\nc.test s3 fail\n");
    xml = xml_of(&r);
    ok(contains(xml, "<selector>s1</selector>") && contains(xml, "<domain>c.test</domain>") && !contains(xml, "b.test")
           && !contains(xml, "broken"),
       "each signature is told with all that it needs");
}

/* ---- the store ---- */

static struct dmarc_row row(void)
{
    return (struct dmarc_row){
        .at = MONDAY + 100,
        .source = {.known = true, .b = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1}},
        .policy = {.domain = STR("example.com"),
                   .org_domain = STR("example.com"),
                   .p = DMARC_REJECT,
                   .sp = DMARC_QUARANTINE,
                   .np = DMARC_NONE,
                   .rua = STR("mailto:d@example.com!1m,https://x.test/,mailto:e@other.test")},
        .header_from = STR("A.Example.com"),
        .envelope_from = STR("example.com"),
        .envelope_to = STR("here.test"),
        .disposition = DMARC_REJECT,
        .spf = AUTH_FAIL,
        .spf_domain = STR("example.com"),
    };
}

static const char *path(void)
{
    return arena_printf(a, "%s/dmarc.sqlite", directory).p;
}

static void begin_store(void)
{
    if (mkdtemp(directory) == NULL)
        bail("mkdtemp");
    dmarc_store_start(str_of(directory), WAIT_MS);
}

static sqlite3 *open_file(void)
{
    struct str error = STR_NONE;
    int status;
    sqlite3 *db;

    if (!dmarc_store_flush(WAIT_MS))
        bail("the store does not write");
    db = database_open_file(path(), &dmarc_schema, false, true, a, &error, &status);
    if (!db)
        bail(STR_FMT, STR_ARG(error));
    return db;
}

static size_t reports_of(sqlite3 *db, const char *day, struct dmarc_report **list)
{
    struct dmarc_wish wish = {.from = str_of(day), .to = str_of(day)};
    size_t count;

    if (dmarc_file_reports(db, a, &wish, list, &count) != SQLITE_OK)
        bail("%s", sqlite3_errmsg(db));
    return count;
}

static bool keep_first(const struct report_record *r, void *ctx)
{
    struct report_record *to = ctx;

    *to = (struct report_record){str_dup(a, r->source_ip),   r->count,
                                 str_dup(a, r->disposition), str_dup(a, r->dkim),
                                 str_dup(a, r->spf),         str_dup(a, r->reason),
                                 str_dup(a, r->comment),     str_dup(a, r->header_from),
                                 str_dup(a, r->envelope_from), str_dup(a, r->envelope_to),
                                 str_dup(a, r->signatures),  str_dup(a, r->spf_domain),
                                 str_dup(a, r->spf_result)};
    return false;
}

static struct report_record first_record(sqlite3 *db, int64_t report)
{
    struct report_record r = {.count = 0};

    if (dmarc_file_records(db, report, keep_first, &r) != SQLITE_OK)
        bail("%s", sqlite3_errmsg(db));
    return r;
}

static void test_merging(void)
{
    struct dmarc_row r = row();
    struct dmarc_report *list;
    struct report_record one;
    sqlite3 *db;

    for (int i = 0; i < 5; i++)
        dmarc_record_add(&r);
    r.source.b[15] = 2;
    dmarc_record_add(&r);
    r.at += DAY; /* the first second of the next day, and the last of this one */
    r.at -= r.at % DAY;
    dmarc_record_add(&r);
    r.at--;
    dmarc_record_add(&r);
    db = open_file();
    is_long((long)reports_of(db, "2026-01-05", &list), 1, "one report of Monday");
    is_long(list[0].records, 2, "equal rows are one");
    is_long(list[0].messages, 7, "and every message is counted");
    is_str(list[0].rua, STR("d@example.com e@other.test"), "where it goes to");
    is_str(list[0].published.p, STR("reject"), "p");
    is_str(list[0].published.sp, STR("quarantine"), "sp");
    is_str(list[0].published.np, STR("none"), "np");
    is_str(list[0].published.fo, STR("0"), "fo has its default");
    is_str(list[0].published.discovery, STR("treewalk"), "discovery");
    one = first_record(db, list[0].id);
    is_long(one.count, 5, "its first record's count");
    is_str(one.source_ip, STR("192.0.2.1"), "address");
    is_str(one.header_from, STR("a.example.com"), "author domain, lower-case");
    is_str(one.disposition, STR("reject"), "disposition");
    is_str(one.spf_result, STR("fail"), "SPF");
    is_long((long)reports_of(db, "2026-01-06", &list), 1, "another one of Tuesday");
    is_long(list[0].messages, 1, "with its one message");
    sqlite3_close(db);
}

static void test_policies(void)
{
    struct dmarc_row r = row();
    struct dmarc_report *list;
    sqlite3 *db;

    r.at += 2 * DAY;
    dmarc_record_add(&r);
    r.policy.rua = STR("mailto:new@example.com");
    dmarc_record_add(&r);
    r.policy.p = DMARC_QUARANTINE;
    dmarc_record_add(&r);
    r.policy.testing = true;
    dmarc_record_add(&r);
    r.policy.domain = STR("sub.example.com");
    dmarc_record_add(&r);
    r.policy.domain = STR("com"); /* a public suffix's policy: nothing below it is its own */
    dmarc_record_add(&r);
    db = open_file();
    is_long((long)reports_of(db, "2026-01-07", &list), 5, "a report for every policy");
    is_str(list[0].published.domain, STR("com"), "by domain");
    is_str(list[0].org_domain, STR("com"), "the organisation of the policy domain, not of the author's");
    is_str(list[1].rua, STR("new@example.com"), "a new rua is none, but it is the one that holds");
    is_long(list[1].messages, 2, "with the messages of both");
    is_str(list[4].org_domain, STR("example.com"), "the organisation of a subdomain");
    sqlite3_close(db);
}

static void test_words(void)
{
    struct dmarc_row r = row();
    struct dmarc_report *list;
    struct report_record one;
    sqlite3 *db;

    r.at += 3 * DAY;
    r.policy.domain = STR("pass.test");
    r.spf_aligned = true;
    r.spf = AUTH_POLICY;
    dmarc_record_add(&r);
    r.policy.domain = STR("override.test");
    r.spf_aligned = false;
    r.disposition = DMARC_NONE;
    r.override = STR("sunshine");
    dmarc_record_add(&r);
    db = open_file();
    is_long((long)reports_of(db, "2026-01-08", &list), 2, "two reports");
    one = first_record(db, list[0].id);
    is_str(one.reason, STR("other"), "a reason that RFC 9990 does not know is other");
    is_str(one.comment, STR("sunshine"), "and told in the comment");
    is_str(one.disposition, STR("none"), "nothing was done");
    one = first_record(db, list[1].id);
    is_str(one.disposition, STR("pass"), "what passed was not judged");
    is_str(one.spf, STR("pass"), "its alignment");
    is_str(one.spf_result, STR("neutral"), "a word that is no result of SPF");
    sqlite3_close(db);
}

static size_t lines_of(struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

static void test_signatures(void)
{
    static struct dkim_result many[5000];
    struct dmarc_row r = row();
    struct dmarc_counters before, after;
    struct dmarc_report *list;
    struct report_record one;
    sqlite3 *db;
    struct str text;

    for (size_t i = 0; i < 5000; i++)
        many[i] = (struct dkim_result){.result = AUTH_FAIL, .domain = STR("x.test"), .selector = STR("s")};
    many[10].result = AUTH_PASS;
    many[10].domain = STR("other.test");
    many[4000].result = AUTH_PASS;
    many[4000].domain = STR("example.com");
    many[4999].result = AUTH_PASS;
    many[4999].domain = STR("a.example.com");
    many[0].domain = STR("no domain");
    many[1].selector = STR_NONE;
    many[2].domain = STR("evil\nexample.com s pass");
    many[3].result = AUTH_SOFTFAIL;
    r.at += 4 * DAY;
    r.dkim = many;
    r.dkim_count = 5000;
    dmarc_store_count(&before);
    dmarc_record_add(&r);
    dmarc_store_count(&after);
    is_long((long)(after.shortened - before.shortened), 1, "a row without some signatures is counted");
    db = open_file();
    reports_of(db, "2026-01-09", &list);
    one = first_record(db, list[0].id);
    is_long((long)lines_of(one.signatures), DMARC_SIGNATURES_MOST, "a hundred signatures");
    text = STR("a.example.com s pass\nexample.com s pass\nother.test s pass\nx.test s fail\n");
    ok(str_starts(one.signatures, text), "those that matter most come first");
    ok(!contains(one.signatures, "evil") && !contains(one.signatures, "no domain")
           && !contains(one.signatures, "softfail"),
       "what a report cannot tell is left out");
    sqlite3_close(db);
}

static void test_unusable(void)
{
    struct dmarc_counters before, after;
    struct dmarc_row r = row();
    struct dmarc_report *list;
    struct buf name = buf_in(a);
    sqlite3 *db;

    r.at += 5 * DAY;
    dmarc_store_count(&before);
    r.policy.rua = STR("https://x.test/");
    dmarc_record_add(&r);
    r.policy.rua = STR_NONE;
    dmarc_record_add(&r);
    r = row();
    r.at += 5 * DAY;
    r.source.known = false;
    dmarc_record_add(&r);
    r.source.known = true;
    r.header_from = STR("a b.test");
    dmarc_record_add(&r);
    r.header_from = STR_NONE;
    dmarc_record_add(&r);
    r.header_from = STR("b.test");
    r.policy.domain = STR("../../etc/passwd");
    dmarc_record_add(&r);
    r.policy.domain = STR("d\nSubject: x.test");
    dmarc_record_add(&r);
    for (int i = 0; i < 3000; i++)
        buf_add(&name, STR("long."));
    r.policy.domain = buf_str(&name);
    dmarc_record_add(&r);
    dmarc_store_count(&after);
    is_long((long)(after.unwanted - before.unwanted), 2, "nothing is kept for a domain without a destination");
    is_long((long)(after.unusable - before.unusable), 6, "nor of what is no domain or no address");
    is_long((long)(after.added - before.added), 0, "none of it was added");
    r.policy.domain = STR("example.com");
    r.envelope_from = buf_str(&name);
    r.comment = buf_str(&name);
    r.override = STR("other");
    r.envelope_to = STR("x\x1b[31m.test");
    dmarc_record_add(&r);
    db = open_file();
    is_long((long)reports_of(db, "2026-01-10", &list), 1, "the rest is");
    is_str(first_record(db, list[0].id).envelope_from, STR_NONE, "a name that is none is left out");
    is_long((long)first_record(db, list[0].id).comment.n, 200, "a comment is cut");
    is_str(first_record(db, list[0].id).envelope_to, STR("x[31m.test"), "control bytes do not reach a terminal");
    sqlite3_close(db);
}

static void test_names(void)
{
    struct dmarc_row r = row();
    struct dmarc_report *list, again;
    struct dmarc_delivery d = {STR("d@example.com"), STR("waiting"), STR("later"), 5}, *noted;
    struct str id;
    size_t count;
    sqlite3 *db;

    r.at += 6 * DAY;
    dmarc_record_add(&r);
    db = open_file();
    reports_of(db, "2026-01-11", &list);
    again = list[0];
    list[0].submitter = STR("mx.here.test");
    is_long(dmarc_file_begin(db, a, &list[0]), SQLITE_OK, "a report begins to be sent");
    id = list[0].report_id;
    ok(str_starts(id, STR("2026-01-11.")) && str_ends_nocase(id, STR("@mx.here.test")),
       "under a name of its own: " STR_FMT, STR_ARG(id));
    again.submitter = STR("renamed.test");
    dmarc_file_begin(db, a, &again);
    is_str(again.report_id, id, "which it keeps");
    is_str(again.submitter, STR("mx.here.test"), "like ours");
    dmarc_record_add(&r); /* what comes later */
    dmarc_store_flush(WAIT_MS);
    is_long((long)reports_of(db, "2026-01-11", &list), 2, "what comes later is another report");
    is_long(list[0].messages, 1, "to the first nothing is added");
    is_long(list[1].messages, 1, "the second has it");
    list[1].submitter = STR("mx.here.test");
    dmarc_file_begin(db, a, &list[1]);
    ok(!str_is(list[1].report_id, id), "under another name");
    dmarc_file_note(db, again.id, &d);
    d.state = STR("sent");
    dmarc_file_note(db, again.id, &d);
    dmarc_file_deliveries(db, a, again.id, &noted, &count);
    is_long((long)count, 1, "an address has one state");
    is_str(noted[0].state, STR("sent"), "the newest");
    is_long(dmarc_file_end(db, again.id, true, MONDAY + 7 * DAY), SQLITE_OK, "it ends");
    is_long(dmarc_file_begin(db, a, &again), SQLITE_NOTFOUND, "and does not begin again");
    sqlite3_close(db);
}

static long count_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    long n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = (long)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static void test_tidy(void)
{
    struct dmarc_row r = row();
    sqlite3 *db;
    bool more = true;
    long records;
    int pieces = 0;

    r.at += 6 * DAY;
    r.policy.domain = STR("old.example.com");
    for (int i = 0; i < 20; i++) {
        r.source.b[15] = (uint8_t)i;
        dmarc_record_add(&r);
    }
    db = open_file();
    records = count_of(db, "SELECT count(*) FROM record");
    dmarc_file_tidy(db, MONDAY + 36 * DAY, 1000, &more);
    is_long(count_of(db, "SELECT count(*) FROM record"), records, "nothing goes before its 30 days are over");
    dmarc_file_tidy(db, MONDAY + 37 * DAY + 1, 1000, &more);
    is_long(count_of(db, "SELECT count(*) FROM record"), records - 1, "then what was sent goes");
    is_long(count_of(db, "SELECT count(*) FROM delivery"), 0, "with what became of it");
    is_long(count_of(db, "SELECT count(*) FROM report WHERE state = 'sent'"), 0, "and its name");
    for (more = true; more && pieces < 100; pieces++)
        if (dmarc_file_tidy(db, MONDAY + 200 * DAY, 7, &more) != SQLITE_OK)
            bail("%s", sqlite3_errmsg(db));
    is_long(count_of(db, "SELECT (SELECT count(*) FROM record) + (SELECT count(*) FROM report)"), 0,
            "what nobody sends goes, too");
    ok(pieces > records / 7 && pieces < 100, "a piece at a time (%d)", pieces);
    sqlite3_close(db);
}

static void test_many(void)
{
    struct dmarc_row r = row();
    struct dmarc_report *list;
    long long began, rows = 100000;
    sqlite3 *db;

    r.at += 20 * DAY;
    began = tap_cpu_ms();
    for (long i = 0; i < rows; i++) {
        r.source.b[13] = (uint8_t)(i >> 16);
        r.source.b[14] = (uint8_t)(i >> 8);
        r.source.b[15] = (uint8_t)i;
        dmarc_record_add(&r);
        if (i % 2000 == 1999 && !dmarc_store_flush(WAIT_MS))
            bail("the store does not write");
    }
    db = open_file();
    reports_of(db, "2026-01-25", &list);
    is_long(list[0].records, rows, "%lld different rows", rows);
    ok(tap_cpu_ms() - began < 30000, "in %lld ms of processor time", tap_cpu_ms() - began);
    sqlite3_close(db);
}

static void remove_all(void)
{
    static const char *const names[] = {"dmarc.sqlite", "dmarc.sqlite-wal", "dmarc.sqlite-shm"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(arena_printf(a, "%s/%s", directory, names[i]).p);
    rmdir(directory);
}

int main(void)
{
    a = arena_new(0);
    clock_script_wall((MONDAY + 10LL * DAY) * 1000);
    test_xml();
    begin_store();
    test_merging();
    test_policies();
    test_words();
    test_signatures();
    test_unusable();
    test_names();
    test_tidy();
    test_many();
    dmarc_store_stop(WAIT_MS);
    remove_all();
    arena_free(&a);
    return tap_end();
}
