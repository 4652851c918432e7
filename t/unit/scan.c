/* scan.c - scanners: what they say, what they are sent, what is known from before, and both of them at once. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/config.h"
#include "../../milter/edits.h"
#include "../../milter/message.h"
#include "../../milter/reply.h"
#include "../../milter/scan/clamd.h"
#include "../../milter/scan/known.h"
#include "../../milter/scan/spamd.h"
#include "../lib/tap.h"

#define HEARD_MOST 65536
#define LARGE 1000000 /* more than a socket takes at once, and little beside the scanners' time */

/* A scanner: takes whole requests, a thread for each connection, and says always the same. */
struct scanner {
    pthread_t thread;
    int listener, stop[2];
    const char *path;
    const char *reply, *version;
    size_t reply_n;
    int after_ms;
    atomic_uint scans, running;
    char heard[HEARD_MOST]; /* the beginning of the last request */
    atomic_size_t heard_n;
};

struct connection {
    struct scanner *s;
    int fd;
};

static struct arena *a;
static char dir[] = "/tmp/sme-scan-XXXXXX";
static struct scanner clamd = {.reply = "stream: OK", .reply_n = 11, .version = "ClamAV 1.0.0"},
                      spamd = {.reply = "SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\n"
                                        "Spam: False ; 1.0 / 5.0\r\n\r\nA\r\n", .reply_n = 68};

/* ---- the scanners ---- */

/* is_whole - as far as a scanner can tell without the client's end. */
static bool is_whole(const char *p, size_t n, bool ended)
{
    if (n >= 9 && memcmp(p, "zVERSION", 9) == 0)
        return true;
    if (n >= 10 && memcmp(p, "zINSTREAM", 10) == 0)
        return n >= 14 && memcmp(p + n - 4, "\0\0\0\0", 4) == 0;
    return ended;
}

static void *converse(void *ptr)
{
    struct connection *c = ptr;
    struct scanner *s = c->s;
    size_t n = 0, room = 1 << 20;
    char *p = malloc(room);
    bool whole = false;

    while (p && !whole) {
        ssize_t got = recv(c->fd, p + n, room - n, 0);

        n += got > 0 ? (size_t)got : 0;
        whole = is_whole(p, n, got == 0);
        if (got <= 0)
            break;
        if (n == room)
            p = realloc(p, room *= 2);
    }
    if (p && whole && n >= 9 && memcmp(p, "zVERSION", 9) == 0) {
        send(c->fd, s->version, strlen(s->version) + 1, MSG_NOSIGNAL);
    } else if (p && whole) {
        struct pollfd stop = {.fd = s->stop[0], .events = POLLIN};

        memcpy(s->heard, p, n < HEARD_MOST ? n : HEARD_MOST);
        s->heard_n = n;
        s->scans++;
        if (poll(&stop, 1, s->after_ms) == 0)
            send(c->fd, s->reply, s->reply_n, MSG_NOSIGNAL);
    }
    free(p);
    close(c->fd);
    free(c);
    s->running--;
    return NULL;
}

static void *run(void *ptr)
{
    struct scanner *s = ptr;

    for (;;) {
        struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};
        struct connection *c;
        pthread_t thread;

        if (poll(p, 2, -1) < 0 || p[1].revents)
            return NULL;
        c = malloc(sizeof *c);
        if (!c)
            return NULL;
        *c = (struct connection){s, accept(s->listener, NULL, NULL)};
        s->running++;
        if (pthread_create(&thread, NULL, converse, c) != 0)
            return NULL;
        pthread_detach(thread);
    }
}

static void start(struct scanner *s, const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    s->path = arena_printf(a, "%s/%s.sock", dir, name).p;
    snprintf(un.sun_path, sizeof un.sun_path, "%s", s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&un, sizeof un) != 0 || listen(s->listener, 64) != 0 ||
        pipe(s->stop) != 0 || pthread_create(&s->thread, NULL, run, s) != 0)
        bail("%s: %s", s->path, strerror(errno));
}

static void end(struct scanner *s)
{
    close(s->stop[1]);
    pthread_join(s->thread, NULL);
    while (s->running)
        sched_yield();
    close(s->stop[0]);
    close(s->listener);
    unlink(s->path);
}

/* ---- what they say ---- */

static void test_clamd_parse(void)
{
    static const struct {
        const char *reply;
        enum virus_said said;
        const char *text; /* NULL: some words */
    } cases[] = {
        {"stream: OK", VIRUS_CLEAN, ""},
        {"stream: OK\n", VIRUS_CLEAN, ""},
        {"stream: Eicar-Test-Signature FOUND", VIRUS_FOUND, "Eicar-Test-Signature"},
        {"stream: a b FOUND", VIRUS_FOUND, "a b"},
        {"stream: OK FOUND", VIRUS_FOUND, "OK"},
        {"INSTREAM size limit exceeded. ERROR", VIRUS_TOO_LARGE, NULL},
        {"stream: Can't allocate memory ERROR", VIRUS_ERROR, NULL},
        {"stream: FOUND", VIRUS_ERROR, NULL},
        {"stream:  FOUND", VIRUS_ERROR, NULL},
        {" stream: OK", VIRUS_ERROR, NULL},
        {"stream: OKAY", VIRUS_ERROR, NULL},
        {"stream: ok", VIRUS_ERROR, NULL},
        {"OK", VIRUS_ERROR, NULL},
        {"", VIRUS_ERROR, NULL},
        {"PONG", VIRUS_ERROR, NULL},
        {"UNKNOWN COMMAND", VIRUS_ERROR, NULL},
        {"x: y FOUND", VIRUS_ERROR, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct virus_answer answer = clamd_parse(a, str_of(cases[i].reply));

        is_long(answer.said, cases[i].said, "clamd: \"%.40s\"", cases[i].reply);
        if (cases[i].text)
            is_str(answer.text, str_of(cases[i].text), "clamd: \"%.40s\": the name", cases[i].reply);
        else
            ok(answer.text.n, "clamd: \"%.40s\": it is told why", cases[i].reply);
    }
    ok(clamd_parse(a, arena_printf(a, "stream: %03000d FOUND", 7)).text.n <= 200, "clamd: a long name is cut");
}

static struct spam_answer spam(const char *score, const char *tests)
{
    return spamd_parse(a, arena_printf(a, "SPAMD/1.1 0 EX_OK\r\nContent-length: %zu\r\nSpam: %s\r\n\r\n%s",
                                       strlen(tests), score, tests));
}

static void test_spamd_parse(void)
{
    static const char *const bad_scores[] = {
        "True ; nan / 5.0", "True ; inf / 5.0", "True ; 1e3 / 5.0", "True ; 5.0 / nan", "True ; 15.0",
        "Maybe ; 1.0 / 5.0", "True 15.0 / 5.0", "", "True ; +1 / 5", "True ; 0x10 / 5", "True ; 1.2.3 / 5", "True ; . / 5", "True ; 5. / 5",
        "True ; - / 5", "True ; 1 / 5 more", "True ; 99999999999999999999 / 5", "True ; --1 / 5", "True ; 1,5 / 5"};
    static const char *const bad_tests[] = {"A,,B", ",A", "A,", "A B", "A\r\nX-Evil: yes", "A;B", "\xc3\xa4", "A\tB",
                                            "=2"};
    static const char *const bad_replies[] = {
        "", "SPAMD/1.1 0 EX_OK\r\n", "SPAMD/1.1 0 EX_OK\r\n\r\n", "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSpam: False ; 1 / 5\r\n\r\n", "SPAMD/1.1 76 Bad header line\r\nSpam: False ; 1 / 5\r\n\r\n",
        "SPAMD/1.1 x EX_OK\r\nSpam: False ; 1 / 5\r\n\r\n", "SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1 / 5\r\n",
        "SPAMD/1.1 0 EX_OK\r\nContent-length: 9\r\nSpam: False ; 1 / 5\r\n\r\nA",
        "SPAMD/1.1 0 EX_OK\r\nContent-length: 1\r\nSpam: False ; 1 / 5\r\n\r\nABC",
        "SPAMD/1.1 0 EX_OK\r\nContent-length: x\r\nSpam: False ; 1 / 5\r\n\r\n",
        "SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1 / 5\r\nSpam: False ; 1 / 5\r\n\r\n"};
    struct spam_answer s = spam("True ; 1000.5 / 5.0", "GTUBE,NO_RECEIVED\r\n");
    struct buf many = buf_in(a);

    ok(s.ok && s.score > 1000.4 && s.score < 1000.6 && s.required > 4.9 && s.required < 5.1, "spamd: score and limit");
    is_str(s.score_text, STR("1000.5"), "spamd: the score as written");
    is_str(s.tests, STR("GTUBE,NO_RECEIVED"), "spamd: the tests");
    s = spam("False ; -3 / 5.0", "none");
    ok(s.ok && s.score < -2.9 && s.tests.n == 0, "spamd: a negative score without tests");
    ok(spam("False ; 0.0 / 5.0", "").ok, "spamd: an empty list");
    for (size_t i = 0; i < sizeof bad_scores / sizeof bad_scores[0]; i++)
        ok(!spam(bad_scores[i], "A").ok && spam(bad_scores[i], "A").problem.n, "spamd: \"%s\" is no score",
           bad_scores[i]);
    for (size_t i = 0; i < sizeof bad_tests / sizeof bad_tests[0]; i++)
        ok(!spam("True ; 6 / 5", bad_tests[i]).ok, "spamd: bad list of tests, number %zu", i);
    for (size_t i = 0; i < sizeof bad_replies / sizeof bad_replies[0]; i++)
        ok(!spamd_parse(a, str_of(bad_replies[i])).ok, "spamd: bad answer, number %zu", i);
    for (int i = 0; i < 400; i++)
        buf_addf(&many, "%sT%d", i ? "," : "", i);
    ok(!spam("True ; 6 / 5", buf_str(&many).p).ok, "spamd: more tests than there are");
}

/* ---- what is known ---- */

static void *hammer(void *ptr)
{
    struct arena *own = arena_new(0);
    unsigned seed = (unsigned)(size_t)ptr;
    size_t wrong = 0;

    for (unsigned i = 0; i < 5000; i++) {
        unsigned n = (seed + i * 7919) % 6000; /* more than the table holds */
        struct str content = arena_printf(own, "content %u", n), got;
        struct str virus = n % 2 ? arena_printf(own, "V%u", n) : STR_NONE;
        struct known_key key = known_key(STR("s"), STR("v"), STR_NONE, &content, 1);

        if (known_find(own, &key, &got))
            wrong += !str_is(got, virus);
        else
            known_add(&key, virus);
        if (i % 500 == 0)
            arena_reset(own);
    }
    arena_free(&own);
    return (void *)wrong;
}

static void test_known(void)
{
    struct str content[2] = {STR("abc"), STR("def")}, other[2] = {STR("ab"), STR("cdef")}, got;
    struct known_key key, second;
    pthread_t threads[4];
    void *wrong;
    bool ask;

    clock_script_wall(1767607200000);
    known_forget();
    is_str(known_version(a, STR("x"), &ask), STR(""), "known: no version yet");
    ok(ask, "known: the first one asks");
    known_version(a, STR("x"), &ask);
    ok(!ask, "known: the second one does not");
    known_heard(STR("x"), STR("ClamAV 1.4.6/27500/Mon"));
    is_str(known_version(a, STR("x"), &ask), STR("ClamAV 1.4.6/27500/Mon"), "known: the version");
    is_str(known_version(a, STR("y"), &ask), STR(""), "known: of this scanner only");
    clock_script_advance(KNOWN_VERSION_MS - 1);
    known_version(a, STR("x"), &ask);
    ok(!ask, "known: it is believed for a minute");
    clock_script_advance(1);
    is_str(known_version(a, STR("x"), &ask), STR(""), "known: not longer");
    ok(ask, "known: then it is asked again");
    known_heard(STR("x"), STR("ClamAV 1.4.6"));
    is_str(known_version(a, STR("x"), &ask), STR(""), "known: a version without signatures is none");
    ok(!ask, "known: and is not asked at every message");
    known_heard(STR("x"), STR("UNKNOWN COMMAND"));
    is_str(known_version(a, STR("x"), &ask), STR(""), "known: nor is something else");

    key = known_key(STR("x"), STR("1"), STR_NONE, content, 2);
    ok(!known_find(a, &key, &got), "known: nothing yet");
    known_add(&key, STR("Eicar"));
    ok(known_find(a, &key, &got), "known: a virus");
    is_str(got, STR("Eicar"), "known: its name");
    known_add(&key, STR_NONE);
    ok(known_find(a, &key, &got) && got.n == 0, "known: the newest answer counts");
    second = known_key(STR("x"), STR("2"), STR_NONE, content, 2);
    ok(!known_find(a, &second, &got), "known: not of another version");
    second = known_key(STR("y"), STR("1"), STR_NONE, content, 2);
    ok(!known_find(a, &second, &got), "known: nor of another scanner");
    second = known_key(STR("x"), STR("1"), STR("o"), content, 2);
    ok(!known_find(a, &second, &got), "known: nor with other options");
    second = known_key(STR("x"), STR("1"), STR_NONE, other, 2);
    ok(!known_find(a, &second, &got), "known: nor of other content, however it is cut");
    known_add(&second, arena_printf(a, "%0200d", 1));
    ok(!known_find(a, &second, &got), "known: a name that is too long is not kept");
    clock_script_advance(KNOWN_ENTRY_MS);
    ok(!known_find(a, &key, &got), "known: not for ever");

    known_forget();
    for (size_t i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, hammer, (void *)(i * 1000)) != 0)
            bail("a thread: %s", strerror(errno));
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        is_long((long long)(size_t)wrong, 0, "known: four threads, none hears of another's content");
    }
    clock_script_end();
}

/* ---- whole messages ---- */

static bool take_edit(void *ctx, const struct edit *edit)
{
    struct buf *b = ctx;

    buf_add(b, edit_text(a, edit));
    buf_addc(b, '\n');
    return true;
}

static void quiet(int level, struct str line, void *ctx)
{
    (void)level, (void)line, (void)ctx;
}

static struct config *configured(const char *order, const char *more)
{
    struct problems problems = {.arena = a};
    struct str text = arena_printf(
        a, "state_dir = \"%s\"\nhostname = \"mx.here.test\"\n"
           "virus { enabled = yes  socket = \"%s\"  timeout = 20s }\n"
           "spamassassin { enabled = yes  server = \"unix:%s\"  timeout = 20s  size_limit = 50M  %s }\n"
           "profile \"all\" { port = {}  policies = {%s} }\n",
        dir, clamd.path, spamd.path, more, order);
    struct config *config = config_from_text(STR("t"), text, &problems);

    for (size_t i = 0; i < problems.count; i++)
        diag(STR_FMT, STR_ARG(problem_text(a, &problems.items[i])));
    if (!config)
        bail("the configuration is refused");
    return config;
}

/* deliver - one message; what the client hears (empty: accepted) and the edits. */
static struct str deliver(struct config *config, const char *const *fields, struct str body, struct buf *edits)
{
    struct str from = STR("<a@a.test>"), to = STR("<b@here.test>"), heard;
    struct edit_target target = {take_edit, edits};
    struct peer peer = {.name = STR("mx.a.test"), .server_port = 25};
    const struct reply *reply;
    struct session *s;

    ip_parse(STR("192.0.2.7"), &peer.ip);
    *edits = buf_in(a);
    buf_add(edits, STR_NONE);
    s = session_open(config, &peer);
    session_connect(s);
    session_helo(s, STR("evil) by (x"), STR_NONE);
    message_mail(s, &from, 1, STR_NONE, STR_NONE);
    message_rcpt(s, &to, 1, STR("4ZQueue"));
    for (size_t i = 0; fields[i]; i += 2)
        message_header(s, str_of(fields[i]), str_of(fields[i + 1]));
    message_headers_end(s);
    for (size_t at = 0; at < body.n; at += 65535)
        message_body(s, str_slice(body, at, at + 65535));
    reply = message_end(s, STR("4ZQueue"), &target);
    heard = reply ? str_dup(a, reply_line(a, reply)) : STR_NONE;
    session_close(&s);
    return heard;
}

static const char *const plain[] = {"From", " a@a.test", "Subject", "\tfolded\n here", "X-Empty", "", NULL};

static struct str heard_by(const struct scanner *s)
{
    return (struct str){s->heard, s->heard_n};
}

static bool has(struct str text, const char *part)
{
    return text.n && memmem(text.p, text.n, part, strlen(part));
}

static void test_what_is_sent(void)
{
    struct config *config = configured("\"virus\", \"spamassassin\"", "");
    struct str text, header;
    struct buf edits;
    size_t n = 0;

    is_str(deliver(config, plain, STR("line\r\n.dot\r\n"), &edits), STR(""), "sent: accepted");
    text = heard_by(&clamd);
    header = STR("From: a@a.test\r\nSubject:\tfolded\r\n here\r\nX-Empty:\r\n\r\n");
    ok(text.n > 14 && memcmp(text.p, "zINSTREAM\0\0\0\0", 13) == 0 && (unsigned char)text.p[13] == header.n,
       "sent: to clamd, INSTREAM");
    is_str(str_slice(text, 14, 14 + header.n), header, "sent: to clamd, the header as it came");
    is_str(str_slice(text, 14 + header.n, text.n), ((struct str){"\0\0\0\x0cline\r\n.dot\r\n\0\0\0\0", 20}),
           "sent: to clamd, the body and the end");
    text = heard_by(&spamd);
    ok(str_starts(text, STR("SYMBOLS SPAMC/1.5\r\nContent-length: ")), "sent: to spamd, the request");
    for (const char *p = text.p + 35; p < text.p + text.n && *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (size_t)(*p - '0');
    text = str_slice(text, text.n - n, text.n);
    ok(str_starts(text, STR("X-Envelope-From: <a@a.test>\r\nReceived: from evil??by??x (mx.a.test [192.0.2.7])\r\n\tby "
                            "mx.here.test (Postfix) with ESMTP id 4ZQueue;\r\n\t")),
       "sent: to spamd, the envelope, out of which nobody breaks: " STR_FMT, STR_ARG(str_slice(text, 0, 300)));
    ok(has(text, " +0000\r\nFrom: a@a.test\r\nSubject:\tfolded\r\n here\r\nX-Empty:\r\n\r\nline\r\n.dot\r\n"),
       "sent: to spamd, the message below it");
    ok(str_ends_nocase(text, STR("\r\n.dot\r\n")), "sent: and its end");
    config_unref(&config);
}

static void test_both_at_once(void)
{
    char *p = arena_alloc(a, LARGE);
    struct str body = {p, LARGE};
    struct config *alone = configured("\"virus\"", ""), *both = configured("\"spamassassin\", \"virus\"", "");
    int64_t one, two;
    struct buf edits;

    memset(p, 'x', body.n);
    clamd.after_ms = spamd.after_ms = 400;
    one = clock_ms();
    deliver(alone, plain, body, &edits);
    one = clock_ms() - one;
    two = clock_ms();
    deliver(both, plain, body, &edits);
    two = clock_ms() - two;
    ok(has(buf_str(&edits), "X-Virus-Status: clean") && has(buf_str(&edits), "X-Spam-Status: No, score=1.0"),
       "at once: both have judged");
    ok(one >= 400 && two < one * 3 / 2, "at once: two scanners, %lld ms; one, %lld ms", (long long)two,
       (long long)one);
    clamd.after_ms = spamd.after_ms = 0;
    config_unref(&alone);
    config_unref(&both);
}

static void test_scanned_once(void)
{
    struct config *config = configured("\"virus\"", "");
    struct str body = STR("the same\r\n");
    struct buf edits;
    unsigned before;

    known_forget();
    clamd.version = "ClamAV 1.0.0/27500/Mon Jan  5 09:00:00 2026";
    clamd.reply = "stream: Eicar FOUND", clamd.reply_n = 20;
    before = clamd.scans;
    ok(has(deliver(config, plain, body, &edits), "Virus found: Eicar"), "once: a virus");
    ok(has(deliver(config, plain, body, &edits), "Virus found: Eicar"), "once: the same again");
    is_long(clamd.scans - before, 1, "once: it was scanned once");
    clamd.reply = "stream: OK", clamd.reply_n = 11;
    is_str(deliver(config, plain, STR("another\r\n"), &edits), STR(""), "once: something else");
    is_long(clamd.scans - before, 2, "once: is scanned");
    clamd.version = "ClamAV 1.0.0";
    known_forget();
    before = clamd.scans;
    deliver(config, plain, body, &edits);
    deliver(config, plain, body, &edits);
    is_long(clamd.scans - before, 2, "once: not where no version of signatures is told");
    config_unref(&config);
}

/* test_two_answers - what follows an approval takes it back, whatever it is. */
static void test_two_answers(void)
{
    struct config *config = configured("\"virus\"", "");
    struct buf edits;

    known_forget();
    clamd.reply = "stream: OK\0stream: Eicar FOUND", clamd.reply_n = 31;
    ok(has(deliver(config, plain, STR("x\r\n"), &edits), "451 4.7.1"), "two answers: the message is not clean");
    clamd.reply = "stream: OK\0\n", clamd.reply_n = 12;
    ok(has(deliver(config, plain, STR("x\r\n"), &edits), "451 4.7.1"), "two answers: a line end is one too");
    clamd.reply = "stream: Eicar FOUND\0stream: OK", clamd.reply_n = 31;
    ok(has(deliver(config, plain, STR("x\r\n"), &edits), "Virus found: Eicar"), "two answers: a virus is one");
    clamd.reply = "INSTREAM size limit exceeded. ERROR", clamd.reply_n = 36;
    ok(has(deliver(config, plain, STR("x\r\n"), &edits), "451 4.7.1"), "larger than clamd takes: not scanned");
    clamd.reply = "stream: OK", clamd.reply_n = 11;
    is_str(deliver(config, plain, STR("x\r\n"), &edits), STR(""), "one answer: clean");
    config_unref(&config);
}

/* test_many_forged - as many fields as anybody cares to send: refused beyond some hundreds, and soon. */
static void test_many_forged(void)
{
    struct config *config = configured("\"virus\", \"spamassassin\"", "");
    const char **fields = arena_array(a, 40001, sizeof *fields);
    struct buf edits;
    int64_t began;

    for (size_t i = 0; i < 900; i += 2) {
        fields[i] = i % 4 ? "X-Spam-Flag" : "x-spam-flag";
        fields[i + 1] = " NO";
    }
    is_str(deliver(config, fields, STR("x"), &edits), STR(""), "forged: 450 fields go");
    ok(has(buf_str(&edits), "delete-header 450 x-spam-flag") && has(buf_str(&edits), "delete-header 1 x-spam-flag\n"),
       "forged: all of them");
    for (size_t i = 0; i < 40000; i += 2) {
        fields[i] = "X-Spam-Flag";
        fields[i + 1] = " NO";
    }
    began = tap_cpu_ms();
    ok(has(deliver(config, fields, STR("x"), &edits), "550 5.6.0"), "forged: 20000 do not");
    ok(tap_cpu_ms() - began < 2000, "forged: which takes no time");
    config_unref(&config);
}

static void test_configuration(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"virus { enabled = yes  socket = \"clamd.ctl\" }", "virus: socket = \"clamd.ctl\""},
        {"virus { enabled = yes  engine = clamav }", "engine"},
        {"spamassassin { enabled = yes  server = \"783\" }", "spamassassin: server = \"783\""},
        {"spamassassin { enabled = yes  user = \"a b\" }", "user"},
        {"spamassassin { enabled = yes  subject_prefix = \"äöüäöüäöüäöüäöüäöüäöü\" }", "subject_prefix is too long"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problems problems = {.arena = a};
        struct str text = arena_printf(a, "%s\nprofile \"all\" { port = {}  policies = {\"virus\", "
                                          "\"spamassassin\"} }\n", cases[i].text);
        struct config *config = config_from_text(STR("t"), text, &problems);
        struct str first = problems.count ? problem_text(a, &problems.items[0]) : STR_NONE;

        ok(!config && has(first, cases[i].part), "configuration: " STR_FMT, STR_ARG(first));
        config_unref(&config);
    }
}

int main(void)
{
    a = arena_new(0);
    if (!mkdtemp(dir))
        bail("%s: %s", dir, strerror(errno));
    log_capture(quiet, NULL);
    test_clamd_parse();
    test_spamd_parse();
    test_known();
    start(&clamd, "clamd");
    start(&spamd, "spamd");
    test_what_is_sent();
    test_both_at_once();
    test_scanned_once();
    test_two_answers();
    test_many_forged();
    test_configuration();
    end(&clamd);
    end(&spamd);
    rmdir(dir);
    arena_free(&a);
    return tap_end();
}
