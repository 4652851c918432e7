/* forward.c - replies, servers as they are written, what is remembered, and many questions at once. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/smtp/ask.h"
#include "../../milter/smtp/line.h"
#include "../../milter/smtp/places.h"
#include "../../milter/smtp/reply.h"
#include "../lib/tap.h"

#define ASKERS 8
#define QUESTIONS 40 /* of each */
#define FIVE_MINUTES 300000

static struct arena *a;

/* ---- replies ---- */

static void replies(void)
{
    static const struct {
        const char *heard;
        enum smtp_heard said;
        int code;
        const char *status, *text;
        size_t taken;
        unsigned offers;
    } list[] = {
        {"220 mx ESMTP\r\n", SMTP_WHOLE, 220, "", "mx ESMTP", 14, 0},
        {"250\r\n", SMTP_WHOLE, 250, "", "", 5, 0},
        {"250 \n250 b\n", SMTP_WHOLE, 250, "", "", 5, 0},
        {"250-mx\r\n250-starttls\r\n250 SMTPUTF8 x\r\n", SMTP_WHOLE, 250, "", "mx starttls SMTPUTF8 x", 38,
         SMTP_OFFERS_TLS | SMTP_OFFERS_UTF8},
        {"250 STARTTLS\r\n", SMTP_WHOLE, 250, "", "STARTTLS", 14, 0},
        {"550-5.1.1 no such\r\n550 5.1.1 user\r\n", SMTP_WHOLE, 550, "5.1.1", "no such user", 35, 0},
        {"550 5.1.10\r\n", SMTP_WHOLE, 550, "5.1.10", "", 12, 0},
        {"550 4.1.1 x\r\n", SMTP_WHOLE, 550, "", "4.1.1 x", 13, 0},
        {"550 5.1.1234 x\r\n", SMTP_WHOLE, 550, "", "5.1.1234 x", 16, 0},
        {"550 5.1. x\r\n", SMTP_WHOLE, 550, "", "5.1. x", 12, 0},
        {"550 5.1.1x\r\n", SMTP_WHOLE, 550, "", "5.1.1x", 12, 0},
        {"", SMTP_MORE, 0, "", "", 0, 0},
        {"250", SMTP_MORE, 0, "", "", 0, 0},
        {"250-a\r\n", SMTP_MORE, 0, "", "", 0, 0},
        {"250-a\r\n550 b\r\n", SMTP_JUNK, 0, "", "", 0, 0},
        {"100 a\r\n", SMTP_JUNK, 0, "", "", 0, 0},
        {"600 a\r\n", SMTP_JUNK, 0, "", "", 0, 0},
        {"25 a\r\n", SMTP_JUNK, 0, "", "", 0, 0},
        {"250a\r\n", SMTP_JUNK, 0, "", "", 0, 0},
        {"\r\n", SMTP_JUNK, 0, "", "", 0, 0},
        {"SSH-2.0\r\n", SMTP_JUNK, 0, "", "", 0, 0},
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct smtp_reply r;
        size_t taken = 0;
        enum smtp_heard said = smtp_reply_read(a, str_of(list[i].heard), &r, &taken);
        struct str shown = str_escaped(a, str_of(list[i].heard));

        is_long(said, list[i].said, STR_FMT, STR_ARG(shown));
        if (said != SMTP_WHOLE)
            continue;
        is_long(r.code, list[i].code, "its code");
        is_str(str_of(r.status), str_of(list[i].status), "its status");
        is_str(r.text, str_of(list[i].text), "its words");
        is_long((long)taken, (long)list[i].taken, "its bytes");
        is_long(r.offers, list[i].offers, "what it offers");
    }
}

static struct str repeated(const char *text, size_t times)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < times; i++)
        buf_add(&b, str_of(text));
    return buf_str(&b);
}

static void reply_caps(void)
{
    struct smtp_reply r;
    size_t taken;

    is_long(smtp_reply_read(a, repeated("2", 100000), &r, &taken), SMTP_JUNK, "a line without end");
    is_long(smtp_reply_read(a, repeated("2", SMTP_LINE_MOST), &r, &taken), SMTP_JUNK, "a line that is too long");
    is_long(smtp_reply_read(a, repeated("2", SMTP_LINE_MOST - 1), &r, &taken), SMTP_MORE, "one that may yet end");
    is_long(smtp_reply_read(a, repeated("250-a\r\n", SMTP_LINES_MOST), &r, &taken), SMTP_JUNK, "too many lines");
    is_long(smtp_reply_read(a, repeated("250-a\r\n", SMTP_LINES_MOST - 1), &r, &taken), SMTP_MORE, "just not");
    is_long(smtp_reply_read(a, arena_printf(a, "250 " STR_FMT "\r\n", STR_ARG(repeated("word ", 380))), &r, &taken),
            SMTP_WHOLE, "a long line");
    ok(r.text.n <= SMTP_TEXT_MOST, "its words are cut");
}

/* ---- servers ---- */

static void wheres(void)
{
    static const struct {
        const char *text, *shown, *error;
    } list[] = {
        {"mx.a.test", "mx.a.test:25", NULL},
        {"MX.A.test.:2525", "mx.a.test:2525", NULL},
        {"[mx.a.test]:26", "mx.a.test:26", NULL},
        {"192.0.2.1", "192.0.2.1:25", NULL},
        {"[192.0.2.1]", "192.0.2.1:25", NULL},
        {"192.0.2.1:1", "192.0.2.1:1", NULL},
        {"2001:db8::1", "[2001:db8::1]:25", NULL},
        {"[2001:DB8::1]:65535", "[2001:db8::1]:65535", NULL},
        {"localhost:2525", "127.0.0.1:2525", NULL},
        {"mx.a.test:0", NULL, "the port"},
        {"mx.a.test:65536", NULL, "the port"},
        {"mx.a.test:25x", NULL, "the port"},
        {"mx.a.test:", NULL, "is expected"},
        {"[192.0.2.1", NULL, "is expected"},
        {"[192.0.2.1]25", NULL, "is expected"},
        {"[192.0.2.1]:", NULL, "is expected"},
        {"[]", NULL, "is expected"},
        {"", NULL, "is expected"},
        {":25", NULL, "is expected"},
        {"mx", NULL, "a name with a dot"},
        {"mx_\x01.test", NULL, "a name with a dot"},
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct smtp_where w;
        struct str error = STR_NONE, shown = str_escaped(a, str_of(list[i].text));
        bool fine = smtp_where(a, str_of(list[i].text), &w, &error);

        ok(fine == (list[i].shown != NULL), "\"" STR_FMT "\" is %s", STR_ARG(shown), list[i].shown ? "one" : "none");
        if (fine)
            is_str(w.shown, str_of(list[i].shown), "as it is shown");
        else
            ok(list[i].error && strstr(str_c(a, error), list[i].error), "and why: " STR_FMT, STR_ARG(error));
    }
}

/* ---- what is remembered ---- */

static bool known(const char *sender, const char *rcpt, enum smtp_said said)
{
    struct smtp_answer answer;

    return answers_find(a, STR("mx:25"), str_of(sender), str_of(rcpt), FIVE_MINUTES, INT64_MAX, &answer) &&
           answer.said == said;
}

static void add(const char *sender, const char *rcpt, enum smtp_said said, const char *status, bool of_host)
{
    struct smtp_answer answer = {.said = said, .status = status, .text = STR("words"), .of_host = of_host};

    answers_add(STR("mx:25"), str_of(sender), str_of(rcpt), &answer);
}

static void memory(void)
{
    struct smtp_answer answer;

    answers_forget();
    clock_script_wall(1767607200000);
    add("a@a", "yes@b", SMTP_TAKES, "", false);
    add("a@a", "no@b", SMTP_REFUSES, "5.1.1", false);
    add("a@a", "bare@b", SMTP_REFUSES, "", false);
    add("a@a", "listed@b", SMTP_REFUSES, "5.7.1", false);
    add("a@a", "full@b", SMTP_LATER, "4.2.2", false);
    ok(known("z@z", "yes@b", SMTP_TAKES), "a recipient that is taken is so for every sender");
    ok(known("z@z", "no@b", SMTP_REFUSES), "one that does not exist, too");
    ok(known("a@a", "listed@b", SMTP_REFUSES) && !known("z@z", "listed@b", SMTP_REFUSES),
       "a refusal for another reason is this sender's alone");
    ok(known("a@a", "bare@b", SMTP_REFUSES) && !known("z@z", "bare@b", SMTP_REFUSES), "one without a reason as well");
    ok(!answers_find(a, STR("mx:26"), STR("a@a"), STR("no@b"), FIVE_MINUTES, INT64_MAX, &answer),
       "another server knows nothing");
    ok(!answers_find(a, STR("mx:25"), STR("a@a"), STR("no@b"), 0, INT64_MAX, &answer), "cache = 0: nothing is known");
    ok(known("a@a", "full@b", SMTP_LATER), "4xx is known");
    clock_script_advance(ANSWERS_SOON_MS);
    ok(!known("a@a", "full@b", SMTP_LATER), "but for seconds");
    ok(known("z@z", "no@b", SMTP_REFUSES), "5xx is still known");
    clock_script_advance(FIVE_MINUTES);
    ok(!known("z@z", "no@b", SMTP_REFUSES), "but for minutes");
    add("a@a", "x@b", SMTP_UNKNOWN, "5.4.1", true);
    ok(known("z@z", "y@b", SMTP_UNKNOWN), "a server that is down is so for every recipient");
    for (int i = 0; i < 20000; i++)
        add("a@a", arena_printf(a, "r%d@b", i).p, SMTP_TAKES, "", false);
    ok(known("a@a", "r19999@b", SMTP_TAKES), "the table is full, and the newest are in it");
    ok(answers_tell(STR("mx:25"), "x") && !answers_tell(STR("mx:25"), "x") && answers_tell(STR("mx:26"), "x"),
       "trouble is told once");
    clock_script_advance(60000);
    ok(answers_tell(STR("mx:25"), "x"), "a minute");
    clock_script_end();
    answers_forget();
    ok(answers_enter(STR("mx:25"), STR("a@a"), STR("r@b")) && !answers_is_wanted(STR("mx:25"), STR("a@a"), STR("r@b")),
       "a question goes out, and nobody else wants to know");
    ok(!answers_enter(STR("mx:25"), STR("a@a"), STR("r@b")), "the same one does not meanwhile");
    ok(answers_is_wanted(STR("mx:25"), STR("a@a"), STR("r@b")), "and its answer is wanted");
    ok(answers_enter(STR("mx:25"), STR("a@a"), STR("s@b")), "another one may be asked");
    answers_leave(STR("mx:25"), STR("a@a"), STR("r@b"));
    ok(answers_enter(STR("mx:25"), STR("a@a"), STR("r@b")), "and this one again, when it has its answer");
    add("a@a", "r@b", SMTP_TAKES, "", false);
    ok(answers_find(a, STR("mx:25"), STR("a@a"), STR("r@b"), 0, clock_ms() - 1000, &answer),
       "cache = 0: what was said while one waited for it counts");
    ok(!answers_find(a, STR("mx:25"), STR("a@a"), STR("r@b"), 0, clock_ms() + 1000, &answer), "but not what is older");
    answers_forget();
}

/* ---- places ---- */

static void few(void)
{
    struct places_waiter none = {0}, first = {0}, second = {0};
    struct place *p[PLACES_MOST], *other, *q;
    int one, two, three;

    for (size_t i = 0; i < PLACES_MOST; i++)
        if (!(p[i] = places_take(STR("a:25"), &one, PLACES_MOST, &none)))
            bail("place %zu is not free", i + 1);
    other = places_take(STR("b:25"), &one, PLACES_MOST, &none);
    ok(other && !none.waits, "another server has places of its own");
    ok(!places_take(STR("a:25"), &two, PLACES_MOST, &first) && !places_take(STR("a:25"), &three, PLACES_MOST, &second),
       "all places are taken, and two wait");
    is_long(places_others(p[0]), 0, "who was not greeted says nothing of the server");
    places_works(p[1]);
    is_long(places_others(p[0]), PLACES_MOST - 1, "who was, does");
    is_long(places_others(p[1]), 0, "but of others only");
    places_free(&p[0]);
    ok(!places_take(STR("a:25"), &three, PLACES_MOST, &second), "the second does not come before the first");
    p[0] = places_take(STR("a:25"), &two, PLACES_MOST, &first);
    ok(p[0] && !p[0]->is_talking && !first.waits, "the first has a new one");
    ok(places_park(p[1]), "a connection has answered, and lies idle");
    q = places_take(STR("a:25"), &three, PLACES_MOST, &second);
    ok(q == p[1] && q->is_talking && q->owner == &three, "the second has it, though it was another's");
    ok(!places_idle_of(&one), "who has it no longer");
    ok(places_park(p[2]) && places_take(STR("a:25"), &one, PLACES_MOST, &none) == p[2], "one's own comes first");
    ok(!places_take(STR("a:25"), &two, PLACES_MOST, &first), "none is left");
    places_free(&p[3]);
    ok(!places_take(STR("a:25"), &two, PLACES_MOST - 1, &first), "nor for who was turned away beside as many");
    places_give_up(&first);
    ok(places_park(p[2]) && places_idle_of(&one) == p[2], "the owner can end an idle one");
    for (size_t i = 0; i < PLACES_MOST; i++)
        if (p[i])
            places_free(&p[i]);
    places_free(&other);
    other = places_take(STR("a:25"), &one, PLACES_MOST, &none);
    is_long(places_others(other), 1, "one that worked has ended a moment ago");
    places_free(&other);
    places_forget();
}

/* ---- many ---- */

static struct {
    int listener;
    unsigned port;
    atomic_uint connections;
} server;

/* serve_one - recipients whose name begins with n do not exist; "hang" ends the connection. */
static void *serve_one(void *ptr)
{
    FILE *f = fdopen((int)(intptr_t)ptr, "r+");
    char line[1000];

    if (!f)
        return NULL;
    setvbuf(f, NULL, _IONBF, 0);
    fputs("220 inner.test ESMTP\r\n", f);
    while (fgets(line, sizeof line, f)) {
        if (strstr(line, "<hang"))
            break;
        fputs(strstr(line, "TO:<n") ? "550 5.1.1 no such user\r\n" : "250 2.0.0 ok\r\n", f);
        if (strncmp(line, "QUIT", 4) == 0)
            break;
    }
    fclose(f);
    return NULL;
}

static void *accept_all(void *ptr)
{
    (void)ptr;
    for (;;) {
        int fd = accept(server.listener, NULL, NULL);
        pthread_t t;

        if (fd < 0)
            return NULL;
        atomic_fetch_add(&server.connections, 1);
        if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) == 0)
            pthread_detach(t);
    }
}

static const struct smtp_answer *question(struct smtp_asker *s, const struct smtp_where *w, struct str rcpt)
{
    return smtp_ask(s, &(struct smtp_question){.where = w, .hello = STR("mx.here.test"), .sender = STR("a@a.test"),
                                               .rcpt = rcpt, .well_formed = true, .deadline = clock_ms() + 20000,
                                               .keep_ms = FIVE_MINUTES});
}

static void *ask_many(void *ptr)
{
    unsigned number = (unsigned)(uintptr_t)ptr, wrong = 0;
    struct arena *own = arena_new(0);
    struct str text = arena_printf(own, "127.0.0.1:%u", server.port), error;
    struct smtp_where w;
    struct smtp_asker *s = smtp_asker(own);

    wrong += !smtp_where(own, text, &w, &error);
    for (unsigned i = 0; i < QUESTIONS; i++) {
        bool is_no = i % 3 == 0;
        struct str rcpt = arena_printf(own, "%s%u-%u@b.test", is_no ? "n" : "y", i % 2 ? number : 0, i);

        wrong += question(s, &w, rcpt)->said != (is_no ? SMTP_REFUSES : SMTP_TAKES);
    }
    arena_free(&own);
    return (void *)(uintptr_t)wrong;
}

static void many(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof sa;
    pthread_t acceptor, askers[ASKERS];
    uintptr_t wrong = 0;
    struct smtp_asker *s = smtp_asker(a);
    struct smtp_where w;
    struct str error;

    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server.listener, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(server.listener, 64) != 0 ||
        getsockname(server.listener, (struct sockaddr *)&sa, &size) != 0 ||
        pthread_create(&acceptor, NULL, accept_all, NULL) != 0)
        bail("no server: %s", strerror(errno));
    server.port = ntohs(sa.sin_port);
    for (uintptr_t i = 0; i < ASKERS; i++)
        if (pthread_create(&askers[i], NULL, ask_many, (void *)(i + 1)) != 0)
            bail("no thread");
    for (size_t i = 0; i < ASKERS; i++) {
        void *result;

        pthread_join(askers[i], &result);
        wrong += (uintptr_t)result;
    }
    is_long((long)wrong, 0, "%d threads hear the right answers", ASKERS);
    ok(atomic_load(&server.connections) < ASKERS * QUESTIONS / 4, "over few connections: %u",
       atomic_load(&server.connections));

    if (!smtp_where(a, arena_printf(a, "127.0.0.1:%u", server.port), &w, &error))
        bail("no place");
    is_long(question(s, &w, STR("y@b.test"))->said, SMTP_TAKES, "one more");
    is_long(question(s, &w, STR("hang@b.test"))->said, SMTP_UNKNOWN, "who hangs up, twice, gave no answer");
    is_long(question(s, &w, STR("y2@b.test"))->said, SMTP_TAKES, "but the next recipient has one");
    is_long(question(s, &w, STR("n\r\nRSET@b.test"))->said, SMTP_REFUSES, "no address can hold a command");
    is_str(s ? question(s, &w, STR("n\nx@b.test"))->text : STR_NONE, STR("this is no address"), "as is said");
    is_long(question(s, &w, STR("\xc3\xa9@b.test"))->said, SMTP_REFUSES, "a server without SMTPUTF8 cannot have it");
    ok(!line_is_ours((struct ip){.known = false}, 25), "nobody without an address is ours");
    smtp_hang_up(s);
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(server.listener);
}

static void quiet(int level, struct str line, void *ctx)
{
    (void)level, (void)line, (void)ctx;
}

int main(void)
{
    a = arena_new(0);
    log_capture(quiet, NULL);
    replies();
    reply_caps();
    wheres();
    memory();
    few();
    many();
    log_capture(NULL, NULL);
    arena_free(&a);
    return tap_end();
}
