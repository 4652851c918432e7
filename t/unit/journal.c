/* journal.c - what goes into the journal comes out again, whatever strangers sent. */
#include <stdlib.h>

#include "journal_test.h"

static struct str text_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    struct str text = STR("(none)");

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        diag("%s: %s", sql, sqlite3_errmsg(db));
    else if (sqlite3_step(s) == SQLITE_ROW)
        text = str_dup(test_arena, str_of((const char *)sqlite3_column_text(s, 0)));
    sqlite3_finalize(s);
    return text;
}

struct taken {
    struct journal_message list[16];
    size_t count, most;
};

static bool take(const struct journal_message *m, void *ctx)
{
    struct taken *t = ctx;

    t->list[t->count++] = *m;
    return t->count < (t->most ? t->most : 16);
}

static struct taken ask(sqlite3 *db, const struct journal_wish *wish)
{
    struct taken t = {.count = 0};
    int rc = journal_each(db, test_arena, false, wish, take, &t);

    if (rc != SQLITE_OK)
        diag("asked: %s", sqlite3_errmsg(db));
    return t;
}

static void check_same(const struct journal_message *got, const struct journal_message *want, const char *what)
{
    const struct str pairs[][2] = {
        {got->host, want->host},       {got->ref, want->ref},         {got->queue_id, want->queue_id},
        {got->profile, want->profile}, {got->name, want->name},       {got->helo, want->helo},
        {got->auth, want->auth},       {got->sender, want->sender},   {got->tls_version, want->tls_version},
        {got->verdict, want->verdict}, {got->by, want->by},           {got->daemon_name, want->daemon_name},
        {got->stage, want->stage},     {got->reply, want->reply},     {got->history, want->history},
        {got->subject, want->subject}, {got->ran, want->ran},         {got->message_id, journal_bare(want->message_id)},
    };
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (!str_is(pairs[i][0], pairs[i][1])) {
            wrong++;
            diag("%s: text %zu is '" STR_FMT "'", what, i, STR_ARG(str_escaped(test_arena, pairs[i][0])));
        }
    is_long(wrong, 0, "%s: every text", what);
    ok(got->message == want->message && got->at_ms == want->at_ms && memcmp(&got->client, &want->client, sizeof got->client) == 0
           && got->client_port == want->client_port && got->server_port == want->server_port && got->nrcpt == want->nrcpt
           && got->size == want->size && got->declared_size == want->declared_size
           && got->body_bytes == want->body_bytes && got->local == want->local && got->whitelisted == want->whitelisted
           && got->unknown_commands == want->unknown_commands && got->karma_before == want->karma_before
           && got->karma == want->karma && got->ms == want->ms,
       "%s: every number", what);
    if (!ok(got->rcpt_count == want->rcpt_count && got->finding_count == want->finding_count, "%s: all rows", what))
        return;
    wrong = 0;
    for (size_t i = 0; i < want->rcpt_count; i++)
        wrong += !str_is(got->rcpt[i].address, want->rcpt[i].address) || !str_is(got->rcpt[i].reply, want->rcpt[i].reply)
                 || !str_is(got->rcpt[i].refused_by, want->rcpt[i].refused_by);
    is_long(wrong, 0, "%s: every recipient", what);
    wrong = 0;
    for (size_t i = 0; i < want->finding_count; i++) {
        const struct journal_finding *g = &got->findings[i], *w = &want->findings[i];

        wrong += !str_is(g->policy, w->policy) || !str_is(g->stage, w->stage) || !str_is(g->result, w->result)
                 || !str_is(g->judged, w->judged) || !str_is(g->status, w->status) || !str_is(g->text, w->text)
                 || g->code != w->code || g->karma != w->karma || g->permanent != w->permanent
                 || g->temporary != w->temporary || g->again != w->again || g->rcpt != w->rcpt || g->micros != w->micros
                 || g->fact_count != w->fact_count;
        for (size_t k = 0; k < w->fact_count && k < g->fact_count; k++)
            wrong += !str_is(g->facts[k].name, w->facts[k].name) || !str_is(g->facts[k].value, w->facts[k].value);
    }
    is_long(wrong, 0, "%s: every finding and fact", what);
}

static void test_round_trip(void)
{
    struct journal_message m = whole, connection = {.verdict = STR("reject"), .ref = STR("REF2"), .at_ms = 1767607300000,
                                                    .stage = STR("connect"), .reply = STR("550 no"), .by = STR("dnsbl")};
    struct journal_gap *gaps;
    struct taken t;
    size_t count;
    sqlite3 *db;

    begin(&usual);
    journal_add(&m);
    journal_add(&connection);
    ok(journal_flush(SOON_MS), "written");
    db = open_file(false);
    t = ask(db, &(struct journal_wish){.limit = 0});
    if (is_long(t.count, 2, "two rows come back")) {
        check_same(&t.list[0], &whole, "a message");
        check_same(&t.list[1], &connection, "a connection");
    }
    is_str(text_of(db, "SELECT time || ' ' || client || ' ' || sender || ' ' || rcpt || ' ' || verdict || ' ' || findings"
                       " FROM journal_list WHERE kind = 'message'"),
           STR("2026-01-05T10:00:00Z 192.0.2.7 <Joe@A.test> <me@here.test>,<You@here.test> accept"
               " badrcptto:bad,dnsbl:unsure"),
           "journal_list, with any sqlite3");
    is_str(text_of(db, "SELECT json_extract(facts, '$.\"spf.result\"') || ' ' || time || ' ' || ref FROM finding_list"
                       " WHERE policy = 'spf'"),
           STR("pass 2026-01-05T10:00:00Z 1E9ABCDEFGH1"), "finding_list, its facts are JSON");
    is_str(text_of(db, "SELECT rcpt FROM finding_list WHERE policy = 'badrcptto'"), STR("<You@here.test>"),
           "and whom it is about");
    ok(journal_gaps(db, test_arena, 0, &gaps, &count) == SQLITE_OK && count == 1 && gaps[0].lost == 0,
       "the journal says when it began");
    sqlite3_close(db);
    journal_stop(SOON_MS);
    clean_up();
}

/* ---- what is asked for ---- */

static void test_wishes(void)
{
    struct journal_message m = whole;
    sqlite3 *db;
    struct {
        const char *what;
        struct journal_wish wish;
        size_t count;
    } tests[] = {
        {"all", {.limit = 0}, 3},
        {"from", {.from_ms = 2000}, 2},
        {"until", {.to_ms = 2000}, 1},
        {"newest, one", {.newest_first = true, .limit = 1}, 1},
        {"ref", {.ref = STR("B")}, 1},
        {"no ref", {.ref = STR("X")}, 0},
        {"queue id", {.queue_id = STR("Q3")}, 1},
        {"message id", {.message_id = STR("<id@a.test>")}, 2},
        {"message id, bare", {.message_id = STR("id@a.test")}, 2},
        {"sender, another case", {.address = STR("joe@a.TEST")}, 2},
        {"recipient", {.address = STR("you@HERE.test")}, 2},
        {"sender without brackets", {.address = STR("odd")}, 1},
        {"null sender", {.address = STR("<>")}, 0},
        {"nobody", {.address = STR("nobody@a.test")}, 0},
        {"client", {.client = whole.client}, 2},
        {"policy", {.policy = STR("spf")}, 2},
        {"no such policy", {.policy = STR("uribl")}, 0},
        {"two at once", {.client = whole.client, .ref = STR("B"), .from_ms = 1}, 1},
        {"SQL", {.ref = STR("' OR '1'='1")}, 0},
    };

    begin(&usual);
    m.at_ms = 1000, m.ref = STR("A"), m.queue_id = STR_NONE;
    journal_add(&m);
    m.at_ms = 2000, m.ref = STR("B"), m.queue_id = STR("Q2");
    journal_add(&m);
    journal_add(&(struct journal_message){.at_ms = 3000, .ref = STR("C"), .queue_id = STR("Q3"), .sender = STR("odd"),
                                          .verdict = STR("accept"), .message = true});
    journal_flush(SOON_MS);
    db = open_file(false);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct taken t = ask(db, &tests[i].wish);

        is_long((long long)t.count, (long long)tests[i].count, "asked for %s", tests[i].what);
        if (tests[i].wish.newest_first && t.count)
            is_str(t.list[0].ref, STR("C"), "the newest first");
    }
    sqlite3_close(db);
    journal_stop(SOON_MS);
    clean_up();
}

/* ---- strangers' bytes ---- */

static void test_hostile(void)
{
    static const struct {
        const char *came;
        size_t n;
        const char *kept;
    } texts[] = {
        {"plain text", 10, "plain text"},
        {"gr\303\274n \342\202\254 \360\237\230\200", 14, "gr\303\274n \342\202\254 \360\237\230\200"},
        {"a\0b", 3, "a\\x00b"},
        {"\x1b[2J\r\n\t", 7, "\\x1B[2J\\x0D\\x0A\\x09"},
        {"back\\slash", 10, "back\\\\slash"},
        {"\\x41", 4, "\\\\x41"},
        {"\377\200", 2, "\\xFF\\x80"},
        {"\xc0\xaf \xed\xa0\x80", 6, "\\xC0\\xAF \\xED\\xA0\\x80"},
        {"\xc2\x9b" "31m", 5, "\\xC2\\x9B31m"},
        {"\xe2\x80\xae" "evil", 7, "\\xE2\\x80\\xAEevil"},
        {"\xe2\x82", 2, "\\xE2\\x82"},
        {"'; DROP TABLE message; --", 25, "'; DROP TABLE message; --"},
        {"\"},\"x\":{\"", 9, "\"},\"x\":{\""},
    };
    sqlite3 *db;

    begin(&usual);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct str s = {texts[i].came, texts[i].n};
        struct journal_fact fact = {STR("matched"), s};
        struct journal_finding f = {.policy = STR("helo"), .text = s, .rcpt = -1, .facts = &fact, .fact_count = 1};
        struct journal_rcpt rcpt = {s, STR_NONE, s};
        struct journal_message m = {.at_ms = (int64_t)i + 1, .ref = s, .queue_id = s, .message_id = s, .name = s, .helo = s,
                                    .auth = s, .tls_version = s, .sender = s, .reply = s, .subject = s, .host = s,
                                    .profile = s, .daemon_name = s, .verdict = s, .by = s, .stage = s, .history = s,
                                    .ran = s, .rcpt = &rcpt, .rcpt_count = 1, .findings = &f, .finding_count = 1};

        is_str(journal_text(test_arena, s), str_of(texts[i].kept), "text %zu is kept so that it can be shown", i);
        is_str(journal_untext(test_arena, str_of(texts[i].kept)), s, "and can be had back");
        journal_add(&m);
        journal_flush(SOON_MS);
        db = open_file(false);
        {
            struct taken t = ask(db, &(struct journal_wish){.ref = s});

            if (is_long((long long)t.count, 1, "it is found by that"))
                check_same(&t.list[0], &m, arena_printf(test_arena, "text %zu", i).p);
        }
        sqlite3_close(db);
    }
    db = open_file(false);
    is_long(number(db, "SELECT count(*) FROM finding WHERE json_valid(facts)"), sizeof texts / sizeof texts[0],
            "all facts are JSON");
    is_long(number(db, "SELECT count(*) FROM message WHERE helo GLOB '*[' || char(1) || '-' || char(31) || ']*'"), 0,
            "no control character is in the file");
    sqlite3_close(db);
    journal_stop(SOON_MS);
    clean_up();
}

static void test_caps(void)
{
    struct journal_message m = whole;
    struct journal_finding *many = arena_array(test_arena, 1000, sizeof *many);
    struct journal_fact *lots = arena_array(test_arena, 1000, sizeof *lots);
    struct journal_rcpt *all = arena_array(test_arena, 1000, sizeof *all);
    char *long_text = arena_zalloc(test_arena, 100000);
    struct taken t;
    sqlite3 *db;

    memset(long_text, 'x', 100000);
    for (int i = 0; i < 1000; i++) {
        lots[i] = (struct journal_fact){STR("matched"), {long_text, 100000}};
        all[i].address = (struct str){long_text, 100000};
    }
    for (int i = 0; i < 1000; i++)
        many[i] = (struct journal_finding){.policy = STR("helo"), .facts = lots, .fact_count = 1000, .rcpt = -1};
    m.findings = many, m.finding_count = 1000, m.rcpt = all, m.rcpt_count = 1000, m.nrcpt = 1000;
    m.helo = (struct str){long_text, 100000};
    begin(&usual);
    journal_add(&m);
    journal_flush(SOON_MS);
    db = open_file(false);
    t = ask(db, &(struct journal_wish){.limit = 0});
    if (is_long((long long)t.count, 1, "a huge one is written")) {
        is_long((long long)t.list[0].finding_count, JOURNAL_FINDINGS_MOST, "with so many findings");
        is_long((long long)t.list[0].rcpt_count, JOURNAL_RCPT_MOST, "and recipients");
        is_long((long long)t.list[0].helo.n, JOURNAL_TEXT_MOST, "texts are cut");
        is_long(t.list[0].nrcpt, 1000, "the number of recipients is told");
    }
    ok(number(db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size") < 2000000,
       "and the file is small");
    sqlite3_close(db);
    journal_stop(SOON_MS);
    clean_up();
}

/* ---- facts that are no facts ---- */

static void test_facts(void)
{
    static const char *const junk[] = {"", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":\"\\", "[]",
                                       "{\"a\":1}", "x", "{}"};
    const struct journal_fact *list;
    size_t count;

    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        journal_facts_parse(test_arena, str_of(junk[i]), &list, &count);
        is_long((long long)count, 0, "no facts: %s", junk[i]);
    }
    journal_facts_parse(test_arena, STR("{\"a\":\"b\",\"c\":\"d"), &list, &count);
    is_long((long long)count, 1, "what can be understood is");
}

/* ---- speed ---- */

static bool count_one(const struct journal_message *m, void *ctx)
{
    *(long long *)ctx += (long long)(1 + m->finding_count * 1000000);
    return true;
}

static void test_speed(void)
{
    struct arena *a = arena_new(0);
    long long count = 0, cpu = tap_cpu_ms(), writing, reading;
    struct database_status status;
    const char *many = getenv("JOURNAL_TEST_MESSAGES");
    long messages = 20000;
    sqlite3 *db;

    if (many)
        str_to_long(str_of(many), &messages);
    begin(&usual);
    add_numbered(0, (int)messages, clock_wall_ms(), 1);
    writing = tap_cpu_ms() - cpu;
    journal_status(&status);
    ok(status.dropped == 0 || many, "written as fast as they come");
    ok(writing < messages / 2 || many, "%ld messages written in %lld ms of processor time", messages, writing);
    db = open_file(false);
    diag("%lld bytes a message", number(db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size") / messages);
    cpu = tap_cpu_ms();
    journal_each(db, a, true, &(struct journal_wish){.from_ms = 1}, count_one, &count);
    reading = tap_cpu_ms() - cpu;
    is_long(count % 1000000, messages, "all are read back");
    is_long(count / 1000000, 3LL * messages, "with their findings");
    ok(reading < messages / 10 || many, "in %lld ms of processor time", reading);
    sqlite3_close(db);
    journal_stop(SOON_MS);
    arena_free(&a);
    clean_up();
}

int main(void)
{
    test_begin();
    ok(!journal_flush(0) && !journal_running(), "without a journal nothing happens");
    journal_add(&whole);
    test_round_trip();
    test_wishes();
    test_hostile();
    test_caps();
    test_facts();
    test_speed();
    return test_end();
}
