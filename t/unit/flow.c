/* flow.c - tests of what a message leaves behind: replies, log lines in all formats, edits, the spool. */
#include <dirent.h>
#include <jansson.h>

#include "../../milter/config.h"
#include "../../milter/edits.h"
#include "../../milter/reply.h"
#include "../../milter/report.h"
#include "../../milter/spool.h"
#include "../../milter/stage.h"
#include "../lib/tap.h"

static struct arena *a;

/* ---- replies ---- */

static void test_replies(void)
{
    static const struct {
        const char *status, *text;
        int code;
        enum reply_kind kind;
        const char *want;
    } rows[] = {
        {"5.7.1", "no", 0, REPLY_PERM, "550 5.7.1 no (ref R1)"},
        {"5.7.1", "no", 0, REPLY_TEMP, "451 4.7.1 no (ref R1)"},
        {"5.7.1", "no", 0, REPLY_DISCONNECT, "521 5.7.1 no (ref R1)"},
        {"5.3.2", "busy", 0, REPLY_TEMP_DISCONNECT, "421 4.3.2 busy (ref R1)"},
        {"5.7.0", "TLS", 530, REPLY_PERM, "530 5.7.0 TLS (ref R1)"},
        {"5.7.0", "TLS", 530, REPLY_TEMP, "451 4.7.0 TLS (ref R1)"},
        {"5.5.3", "many", 552, REPLY_TEMP, "452 4.5.3 many (ref R1)"},
        {"5.7.1", "a\r\nb\tc\\d\x7f\xc3\xa4", 0, REPLY_PERM, "550 5.7.1 a\\x0d\\x0ab\\x09c\\\\d\\x7f\\xc3\\xa4 (ref R1)"},
        {NULL, "", 0, REPLY_PERM, "550 5.7.1  (ref R1)"},
    };
    char large[5000];
    struct finding f = {.result = BAD, .status = "5.7.1", .text = {large, sizeof large}};
    struct str line;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct finding row = {.result = BAD, .status = rows[i].status, .code = rows[i].code, .text = str_of(rows[i].text)};

        line = reply_line(a, reply_make(a, &row, rows[i].kind, STR("R1")));
        is_str(line, str_of(rows[i].want), "reply %zu", i);
    }
    for (int byte = 0; byte < 256; byte += 51) {
        memset(large, byte, sizeof large);
        line = reply_line(a, reply_make(a, &f, REPLY_PERM, STR("ABCDEFGHJKM1")));
        ok(line.n + 2 <= REPLY_LINE_MAX, "bytes %d: the line fits: %zu", byte, line.n);
        ok(str_ends_nocase(line, STR(" (ref ABCDEFGHJKM1)")), "bytes %d: the reference is kept", byte);
    }
}

/* ---- log lines ---- */

static struct str lines[64];
static size_t line_count;

static void take_line(int level, struct str line, void *ctx)
{
    (void)ctx;
    if (level == -1 && line_count < 64)
        lines[line_count++] = str_dup(a, line);
}

static const char config_text[] =
    "log { format = %s }\n"
    "badmailfrom { senders = {\"@bad.test go\taway\"} }\n"
    "badrcptto { recipients = {\"old@here.test\"} }\n"
    "profile \"p\" { policies = {\"helo\", \"badmailfrom\", \"badrcptto\", \"headers\"} }\n";

static bool never(void *ctx, const struct edit *edit)
{
    (void)ctx;
    (void)edit;
    return false;
}

/* play - connect, HELO, a message or what becomes of it, close; what was logged is in lines. */
static void play(const char *format, const char *helo, const char *from, const char *rcpt, bool message)
{
    struct problems problems = {.arena = a};
    struct str text = arena_printf(a, config_text, format);
    struct config *config = config_from_text(STR("test"), text, &problems);
    struct peer peer = {.name = STR("mx.a.test"), .server_port = 25};
    const struct edit_target target = {never, NULL};
    struct session *s;
    struct str path;

    if (!config)
        bail("the configuration is refused: " STR_FMT, STR_ARG(problem_text(a, &problems.items[0])));
    line_count = 0;
    ip_parse(STR("192.0.2.7"), &peer.ip);
    s = session_open(config, &peer);
    session_connect(s);
    session_helo(s, str_of(helo), STR_NONE);
    path = str_of(from);
    if (from && !message_mail(s, &path, 1, STR_NONE, STR_NONE)) {
        path = str_of(rcpt);
        if (!message_rcpt(s, &path, 1, STR_NONE) && message) {
            message_data(s, STR("Q1"));
            message_header(s, STR("From"), STR(" x@b.test"));
            message_header(s, STR("message-id"), STR(" <1\t`x@b.test>"));
            message_headers_end(s);
            message_body(s, STR("hello\r\n"));
            ok(message_end(s, STR("Q1"), &target) == NULL, "%s: the message is accepted", format);
        }
    }
    session_close(&s);
    config_unref(&config);
}

static struct str column(struct str line, unsigned n)
{
    struct str part = STR_NONE;

    while (n-- > 0 && str_split(&line, '\t', &part))
        ;
    return part;
}

/* check_plugins - the names that the statistics count by, whatever ours are. */
static void check_plugins(void)
{
    static const char *const names[][2] = {
        {"spf", "sender_permitted_from"}, {"virus", "virus::clamdscan"}, {"patterns", "pattern_filter"},
        {"country", "check_badcountries"}, {"unrecognized_commands", "count_unrecognized_commands"},
        {"goodrcptto", "check_goodrcptto"}, {"forcespamcheck", "spamassassin"}, {"dnsbl", "dnsbl"}, {"karma", "karma"},
    };
    struct arena *arena = arena_new(0);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct instance instance = {.policy = policy_by_name(str_of(names[i][0]))};
        struct record by = {.instance = &instance, .judged = JUDGED_NOW};
        struct reply reply = {.code = 521, .text = STR("no")};
        struct verdict v = {.kind = VERDICT_REJECT, .by = &by, .at = AT_CONNECT, .reply = &reply};
        struct session session = {.arena = arena};

        is_str(column(report_logterse(arena, &session, NULL, &v), 6), str_of(names[i][1]), "logterse: %s", names[i][0]);
        is_str(column(report_logterse(arena, &session, NULL, &v), 7), STR("903"), "logterse: hung up");
        by.judged = JUDGED_LATER;
        ok(str_starts(column(report_logterse(arena, &session, NULL, &v), 8),
                      arena_printf(arena, "(%s) no", names[i][1])), "logterse: deferred");
    }
    arena_free(&arena);
}

static void test_logterse(void)
{
    play("logterse", "mx.a.test", "<x@b.test>", "<me@here.test>", true);
    is_long((long)line_count, 1, "logterse: one line for a message");
    ok(str_starts(lines[0], STR("` 192.0.2.7\tmx.a.test\tmx.a.test\t<x@b.test>\t<me@here.test>\tqueued\t\t")),
       "logterse: queued: " STR_FMT, STR_ARG(lines[0]));
    is_str(column(lines[0], 8), STR("<1\\x09\\x60x@b.test>"), "logterse: the Message-ID cannot forge fields");
    play("logterse", "mx.a.test", "<x@bad.test>", "<me@here.test>", false);
    is_str(column(lines[0], 6), STR("badmailfrom"), "logterse: who refused");
    is_str(column(lines[0], 7), STR("901"), "logterse: for good");
    ok(str_starts(column(lines[0], 8), STR("go\\\\x09away")), "logterse: the text, as the client saw it");
    is_str(column(lines[0], 9), STR("msg denied before queued"), "logterse: no score");
    play("logterse", "localhost", "<x@b.test>", "<me@here.test>", false);
    is_str(column(lines[0], 6), STR("naughty"), "logterse: what was deferred");
    ok(str_starts(column(lines[0], 8), STR("(helo) ")), "logterse: and by whom");
    play("logterse", "mx.a.test", "<x@b.test>", "<old@here.test>", false);
    is_long((long)line_count, 1, "logterse: a message without a recipient is its refused recipient");
    is_str(column(lines[0], 5), STR("<old@here.test>"), "logterse: the refused recipient is listed");
    is_str(column(lines[0], 6), STR("badrcptto"), "logterse: and by whom");
    play("logterse", "mx.a.test", NULL, NULL, false);
    is_long((long)line_count, 0, "logterse: what is neither refused nor accepted is no line");
    check_plugins();
}

static void test_json(void)
{
    json_t *object;

    play("json", "e\x1b[2J\"\xff", "<x@b.test>", "<me@here.test>", true);
    is_long((long)line_count, 1, "json: one line");
    object = json_loadb(lines[0].p, lines[0].n, 0, NULL);
    ok(object != NULL, "json: it is JSON: " STR_FMT, STR_ARG(lines[0]));
    ok(json_is_string(json_object_get(object, "ref")) && json_is_integer(json_object_get(object, "karma")), "json: types");
    is_str(str_of(json_string_value(json_object_get(object, "helo"))), STR("e\\x1b[2J\"\\xff"), "json: escaped once");
    is_long((long)json_integer_value(json_object_get(object, "size")), 44, "json: size");
    json_decref(object);
}

static void test_keyvalue(void)
{
    play("keyvalue", "a b\"c\\\n", NULL, NULL, false);
    is_long((long)line_count, 1, "keyvalue: a connection without MAIL has a line");
    ok(strstr(lines[0].p, " helo=\"a b\\x22c\\\\\\x0a\" auth= from= rcpt= nrcpt=0 size=0 verdict=accept by= at=close "
                          "reply= karma=0 ") != NULL, "keyvalue: " STR_FMT, STR_ARG(lines[0]));
    play("keyvalue", "mx.a.test", "<x@b.test>", "<old@here.test>", false);
    ok(strstr(lines[0].p, " verdict=reject by=badrcptto at=rcpt reply=\"550 5.1.1 ") != NULL, "keyvalue: " STR_FMT,
       STR_ARG(lines[0]));
}

/* ---- edits ---- */

static struct str applied;

static bool note(void *ctx, const struct edit *edit)
{
    (void)ctx;
    applied = arena_printf(a, STR_FMT STR_FMT "; ", STR_ARG(applied), STR_ARG(edit_text(a, edit)));
    return true;
}

static void test_edits(void)
{
    struct edits e = {0};
    const struct edit_target target = {note, NULL}, failing = {never, NULL};

    edit_add_rcpt(a, &e, STR("c@here.test"));
    edit_add_header(a, &e, STR("X-A"), STR("1\r\nBcc: evil\n\tfolded\n"));
    edit_delete_header(a, &e, STR("X-B"), 1);
    edit_delete_header(a, &e, STR("X-B"), 3);
    edit_delete_header(a, &e, STR("X-C"), 3);
    edit_insert_header(a, &e, STR("X-D"), (struct str){"n\0ul", 4});
    edit_change_header(a, &e, STR("X-E"), 1, STR("new"));
    ok(edits_apply(&e, &target), "edits are applied");
    is_str(applied, STR("change-header 1 X-E: new; delete-header 3 X-B; delete-header 3 X-C; delete-header 1 X-B; "
                        "insert-header X-D: nul; add-header X-A: 1Bcc: evil\\x0a\\x09folded; add-rcpt c@here.test; "),
           "in the order that keeps indexes true, and no value ends its field");
    ok(!edits_apply(&e, &failing), "a failing target is told");
}

/* ---- spool ---- */

static int open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void test_spool(void)
{
    struct arena *own = arena_new(0);
    int files = open_files();
    struct spool *s = spool_new(own, 100000, "/tmp");
    struct str all;
    char block[777];
    size_t total = 0;
    bool right = true;

    ok(spool_view(s, &all) && all.n == 0, "an empty spool is empty");
    for (unsigned i = 0; i < 1000; i++) {
        memset(block, (int)('a' + i % 26), sizeof block);
        right = spool_add(s, (struct str){block, sizeof block}) && right;
        total += sizeof block;
        if (i == 50 || i == 500)
            right = spool_view(s, &all) && all.n == total && right;
        if (i == 50)
            ok(!spool_in_file(s), "a small one is in memory");
    }
    ok(right && spool_in_file(s), "a large one is in a file");
    ok(spool_view(s, &all) && all.n == total, "all of it can be read");
    for (size_t i = 0; i < all.n; i++)
        right = right && all.p[i] == (char)('a' + i / sizeof block % 26);
    ok(right, "and is what was written");
    arena_free(&own);
    is_long(open_files(), files, "nothing stays open");
    own = arena_new(0);
    s = spool_new(own, 10, "/dev/full/nowhere");
    ok(spool_add(s, STR("more than ten bytes")) && spool_in_file(s), "a directory that is missing is replaced by /tmp");
    arena_free(&own);
}

int main(void)
{
    a = arena_new(0);
    test_replies();
    log_capture(take_line, NULL);
    test_logterse();
    test_json();
    test_keyvalue();
    log_capture(NULL, NULL);
    test_edits();
    test_spool();
    arena_free(&a);
    return tap_end();
}
