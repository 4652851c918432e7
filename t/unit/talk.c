/* talk.c - conversations with services that are right, slow, mute, rude, or not there. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/waiting.h"
#include "../../milter/talk.h"
#include "../lib/tap.h"

#define LATE_MS 300 /* the deadline where it is to be reached */
#define SLACK_MS 2000 /* what a busy machine may add */

/* What the service does with one connection. */
enum manner { ANSWERS, ANSWERS_NUL, MUTE, READS_NOTHING, DRIPS, FLOODS, HANGS_UP, HALF, RESETS, REFUSES_EARLY };

struct service {
    pthread_t thread;
    enum manner manner;
    int listener;
    int stop[2];        /* closed to end it */
    struct talk_where where;
    size_t heard;       /* bytes, of the last connection */
    int after_ms;
    unsigned connections;
};

static struct arena *a;
static char dir[] = "/tmp/sme-talk-XXXXXX";
static unsigned made;

/* told_to_stop - waits so long, or until the test is over. */
static bool told_to_stop(const struct service *s, int ms)
{
    struct pollfd p = {.fd = s->stop[0], .events = POLLIN};

    return poll(&p, 1, ms) > 0;
}

static size_t swallow(int fd)
{
    char bytes[65536];
    size_t sum = 0;
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        sum += (size_t)n;
    return sum;
}

static void put(int fd, const char *bytes, size_t n)
{
    if (send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        return; /* the client is gone, which is its right */
}

static void serve(struct service *s, int fd)
{
    struct linger hard = {.l_onoff = 1};
    char some[4096];

    memset(some, 'x', sizeof some);
    switch (s->manner) {
    case ANSWERS:
        s->heard = swallow(fd);
        if (!told_to_stop(s, s->after_ms))
            put(fd, "fine\n", 5);
        break;
    case ANSWERS_NUL: /* and stays */
        put(fd, "fine", 4);
        if (!told_to_stop(s, 20))
            put(fd, "\0more", 5);
        told_to_stop(s, 60000);
        break;
    case MUTE:
        s->heard = swallow(fd);
        told_to_stop(s, 60000);
        break;
    case READS_NOTHING:
        told_to_stop(s, 60000);
        break;
    case DRIPS:
        while (!told_to_stop(s, 20) && send(fd, "x", 1, MSG_NOSIGNAL) == 1)
            ;
        break;
    case FLOODS:
        while (!told_to_stop(s, 0) && send(fd, some, sizeof some, MSG_NOSIGNAL) > 0)
            ;
        break;
    case HANGS_UP:
        break;
    case HALF:
        put(fd, "fi", 2);
        break;
    case RESETS:
        recv(fd, some, 1, 0);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        break;
    case REFUSES_EARLY: /* having read a little; what is on its way is never read */
        recv(fd, some, 100, 0);
        put(fd, "too much\0", 9);
        break;
    }
}

static void *run(void *ptr)
{
    struct service *s = ptr;

    for (;;) {
        struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};
        int fd;

        if (poll(p, 2, -1) < 0 || p[1].revents)
            return NULL;
        fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            continue;
        s->connections++;
        serve(s, fd);
        close(fd);
    }
}

static void listen_unix(struct service *s, int backlog)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct str error;

    snprintf(un.sun_path, sizeof un.sun_path, "%s/%u", dir, ++made);
    s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&un, sizeof un) != 0 || listen(s->listener, backlog) != 0 ||
        !talk_where(a, str_of(un.sun_path), &s->where, &error))
        bail("%s: %s", un.sun_path, strerror(errno));
}

static void listen_inet(struct service *s)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof sa;
    struct str error;

    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(s->listener, 5) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&sa, &size) != 0 ||
        !talk_where(a, arena_printf(a, "inet:%u@localhost", ntohs(sa.sin_port)), &s->where, &error))
        bail("a port: %s", strerror(errno));
}

static void start(struct service *s, enum manner manner, bool inet, int after_ms)
{
    *s = (struct service){.manner = manner, .after_ms = after_ms};
    if (inet)
        listen_inet(s);
    else
        listen_unix(s, 5);
    if (pipe(s->stop) != 0 || pthread_create(&s->thread, NULL, run, s) != 0)
        bail("a thread: %s", strerror(errno));
}

static void end(struct service *s)
{
    close(s->stop[1]);
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->stop[0]);
    close(s->listener);
}

static struct talk *begin(const struct talk_where *where, struct str text, int until, int64_t ms)
{
    struct str *say = arena_array(a, 2, sizeof *say);
    struct talk_plan plan = {.where = where, .say = say, .pieces = 2, .half_close = true, .until = until, .most = 1000,
                             .deadline = clock_ms() + ms};

    say[0] = str_slice(text, 0, text.n / 2);
    say[1] = str_slice(text, text.n / 2, text.n);
    return talk_begin(a, &plan);
}

static struct str large(size_t n)
{
    char *p = arena_alloc(a, n);

    memset(p, 'm', n);
    return (struct str){p, n};
}

/* ---- the tests ---- */

static void test_where(void)
{
    static const struct {
        const char *text;
        bool fine;
        int family;
    } cases[] = {
        {"/run/x", true, AF_UNIX},        {"unix:/run/x", true, AF_UNIX},   {"inet:783@127.0.0.1", true, AF_INET},
        {"inet:1@localhost", true, AF_INET}, {"inet:1@::1", true, AF_INET6}, {"inet:1@[::1]", true, AF_INET6},
        {"", false, 0},                   {"x", false, 0},                  {"unix:x", false, 0},
        {"unix:", false, 0},              {"inet:783", false, 0},           {"inet:0@127.0.0.1", false, 0},
        {"inet:70000@127.0.0.1", false, 0}, {"inet:x@127.0.0.1", false, 0}, {"inet:1@", false, 0},
        {"inet:1@mail.example.org", false, 0}, {"tcp:1@127.0.0.1", false, 0},
    };
    struct talk_where w;
    struct str error;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        error = STR_NONE;
        ok(talk_where(a, str_of(cases[i].text), &w, &error) == cases[i].fine && (cases[i].fine || error.n),
           "where: \"%s\" is %s", cases[i].text, cases[i].fine ? "understood" : "refused, with words");
        if (cases[i].fine)
            is_long(w.address.ss_family, cases[i].family, "where: \"%s\": the family", cases[i].text);
    }
    ok(!talk_where(a, arena_printf(a, "/%0120d", 1), &w, &error), "where: a path that is too long");
    ok(!talk_where(a, (struct str){"/a\0b", 4}, &w, &error), "where: a path with a NUL");
}

static void test_fine(bool inet)
{
    const char *how = inet ? "inet" : "unix";
    struct str text = large(5000000);
    const struct talk_answer *answer;
    struct service s;
    struct talk *t;

    start(&s, ANSWERS, inet, 0);
    t = begin(&s.where, STR("hello"), TALK_TO_END, 30000);
    answer = talk_finish(t);
    ok(answer->ok, "%s: an answer", how);
    is_str(answer->text, STR("fine\n"), "%s: and what it says", how);
    is_long((long long)s.heard, 5, "%s: what was said came", how);
    ok(talk_finish(t) == answer && talk_look(t) == answer, "%s: it can be asked again", how);
    answer = talk_finish(begin(&s.where, text, TALK_TO_END, 30000));
    ok(answer->ok, "%s: an answer to 5 MB", how);
    is_long((long long)s.heard, 5000000, "%s: all of it came", how);
    end(&s);
    start(&s, ANSWERS_NUL, inet, 0);
    answer = talk_finish(begin(&s.where, STR("hello"), '\0', 30000));
    is_str(answer->text, STR("fine"), "%s: an answer that ends with a NUL is over there", how);
    end(&s);
}

static void test_refused(void)
{
    struct talk_where w;
    struct service s;
    struct str error;
    const struct talk_answer *answer;

    talk_where(a, arena_printf(a, "%s/nobody", dir), &w, &error);
    answer = talk_finish(begin(&w, STR("x"), TALK_TO_END, 30000));
    ok(!answer->ok, "nobody there: no answer");
    is_str(answer->problem, arena_printf(a, "cannot connect to %s/nobody: No such file or directory", dir),
           "nobody there: in plain words");
    start(&s, ANSWERS, true, 0);
    end(&s);
    answer = talk_finish(begin(&s.where, STR("x"), TALK_TO_END, 30000));
    ok(!answer->ok && str_ends_nocase(answer->problem, STR(": Connection refused")), "a port where nobody listens");
}

/* test_bad - a service that never gives a whole answer: what is said of it, and how long that took. */
static void test_bad(enum manner manner, const char *name, size_t size, int until, bool late, const char *words)
{
    for (int inet = 0; inet < 2; inet++) {
        int64_t began = clock_ms(), took;
        const struct talk_answer *answer;
        struct service s;

        start(&s, manner, inet, 0);
        answer = talk_finish(begin(&s.where, large(size), until, late ? LATE_MS : 30000));
        took = clock_ms() - began;
        ok(!answer->ok && memmem(answer->problem.p, answer->problem.n, words, strlen(words)),
           "%s, %s: " STR_FMT, name, inet ? "inet" : "unix", STR_ARG(answer->problem));
        if (late)
            ok(took >= LATE_MS && took < LATE_MS + SLACK_MS, "%s, %s: at the deadline (%lld ms)", name,
               inet ? "inet" : "unix", (long long)took);
        else
            ok(took < 10000, "%s, %s: at once (%lld ms)", name, inet ? "inet" : "unix", (long long)took);
        end(&s);
    }
}

static void test_early_answer(void)
{
    for (int inet = 0; inet < 2; inet++) {
        const struct talk_answer *answer;
        struct service s;

        start(&s, REFUSES_EARLY, inet, 0);
        answer = talk_finish(begin(&s.where, large(inet ? 100 : 5000000), '\0', 30000));
        ok(answer->ok, "%s: a service that answers before it has heard all: " STR_FMT, inet ? "inet" : "unix",
           STR_ARG(answer->problem));
        is_str(answer->text, STR("too much"), "%s: its answer", inet ? "inet" : "unix");
        if (!inet)
            ok(answer->early, "which is told apart");
        end(&s);
    }
}

static unsigned most_waiting;

static void bell(void)
{
    most_waiting = 2;
}

/* test_together - waiting for one of them moves the others on: messages larger than any socket's buffer are said. */
static void test_together(void)
{
    struct str text = large(2000000);
    int64_t began, one, both;
    struct service s, other;
    struct talk *first, *second;

    start(&s, ANSWERS, false, 400);
    start(&other, ANSWERS, true, 400);
    began = clock_ms();
    ok(talk_finish(begin(&s.where, text, TALK_TO_END, 30000))->ok, "one slow service");
    one = clock_ms() - began;
    began = clock_ms();
    first = begin(&s.where, text, TALK_TO_END, 30000);
    second = begin(&other.where, text, TALK_TO_END, 30000);
    ok(talk_finish(first)->ok && talk_finish(second)->ok, "two slow services");
    both = clock_ms() - began;
    ok(one >= 400 && both < one * 3 / 2, "two take as long as one: %lld ms, %lld ms", (long long)both, (long long)one);
    first = begin(&s.where, STR("x"), TALK_TO_END, 30000);
    ok(!talk_look(first), "looking does not wait");
    waiting_on_begin(bell);
    waiting_begin();
    talk_finish(first);
    waiting_end();
    waiting_on_begin(NULL);
    is_long(most_waiting, 2, "whoever waits says so");
    is_long(waiting_now(), 0, "and says when that is over");
    end(&s);
    end(&other);
}

/* test_full - a Unix socket whose backlog is full takes the connection later. */
static void test_full(void)
{
    struct service s = {.manner = ANSWERS};
    struct talk *t[4];
    unsigned fine = 0;

    listen_unix(&s, 0);
    for (size_t i = 0; i < 4; i++)
        t[i] = begin(&s.where, STR("x"), TALK_TO_END, 20000);
    ok(!talk_look(t[3]), "a full backlog is no failure");
    if (pipe(s.stop) != 0 || pthread_create(&s.thread, NULL, run, &s) != 0)
        bail("a thread: %s", strerror(errno));
    for (size_t i = 0; i < 4; i++)
        fine += talk_finish(t[i])->ok;
    is_long(fine, 4, "all of them are answered in the end");
    end(&s);
    s = (struct service){.manner = ANSWERS};
    listen_unix(&s, 0);
    for (size_t i = 0; i < 4; i++)
        t[i] = begin(&s.where, STR("x"), TALK_TO_END, LATE_MS);
    ok(!talk_finish(t[3])->ok && memmem(t[3] ? talk_finish(t[3])->problem.p : "", talk_finish(t[3])->problem.n,
                                        "takes no connection in time", 27),
       "one that stays full: " STR_FMT, STR_ARG(talk_finish(t[3])->problem));
    close(s.listener);
}

/* conversations - our ends of connections to the service; its own ends are in this process, too. */
static unsigned conversations(const struct service *s)
{
    struct sockaddr_storage door, peer;
    socklen_t door_size = sizeof door, size;
    unsigned n = 0;

    memset(&door, 0, sizeof door);
    getsockname(s->listener, (struct sockaddr *)&door, &door_size);
    for (int fd = 0; fd < 1000; fd++) {
        memset(&peer, 0, sizeof peer);
        size = sizeof peer;
        n += getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && size == door_size &&
             memcmp(&door, &peer, size) == 0;
    }
    return n;
}

/* test_forgotten - a message that ends before its scanners do. */
static void test_forgotten(void)
{
    struct arena *message = arena_new(0);
    struct str said = STR("x");
    struct service s;
    unsigned before;

    start(&s, MUTE, false, 0);
    before = conversations(&s);
    for (int i = 0; i < 3; i++) {
        struct talk_plan plan = {.where = &s.where, .say = &said, .pieces = 1, .until = 0, .most = 10,
                                 .deadline = clock_ms() + 30000};

        talk_begin(message, &plan);
    }
    is_long(conversations(&s), before + 3, "three conversations");
    arena_reset(message);
    is_long(conversations(&s), before, "end with the arena");
    arena_free(&message);
    end(&s);
}

/* ---- scripted ---- */

static bool act(void *ctx, const struct talk_where *where, struct str said, struct talk_act *act_out)
{
    (void)ctx;
    if (str_is(said, STR("down")))
        return false;
    act_out->mute = str_is(said, STR("mute"));
    act_out->after_ms = str_is(said, STR("slow")) ? 800 : str_is(said, STR("slower")) ? 1000 : 0;
    act_out->answer = STR("said\0");
    ok(where->size > 0, "scripted: it is told where");
    return true;
}

static void test_scripted(void)
{
    struct talk *slow, *slower, *mute;
    struct talk_where w;
    struct str error;
    int64_t began;

    talk_where(a, STR("/x"), &w, &error);
    clock_script_wall(1767607200000);
    talk_script(act, NULL);
    began = clock_ms();
    is_str(talk_finish(begin(&w, STR("now"), '\0', 5000))->text, STR("said"), "scripted: an answer");
    is_long(clock_ms() - began, 0, "scripted: no time passes");
    ok(!talk_finish(begin(&w, STR("down"), '\0', 5000))->ok, "scripted: nobody there");
    slow = begin(&w, STR("slow"), '\0', 5000);
    slower = begin(&w, STR("slower"), '\0', 5000);
    mute = begin(&w, STR("mute"), '\0', 5000);
    ok(talk_finish(slower)->ok, "scripted: the slower one");
    is_long(clock_ms() - began, 1000, "scripted: its time");
    ok(talk_look(slow), "scripted: the other one was faster");
    ok(talk_finish(slow)->ok && clock_ms() - began == 1000, "scripted: and takes no more");
    ok(!talk_finish(mute)->ok && clock_ms() - began == 5000, "scripted: the deadline of one that never answers");
    talk_script(NULL, NULL);
    clock_script_end();
}

int main(void)
{
    a = arena_new(0);
    if (!mkdtemp(dir))
        bail("%s: %s", dir, strerror(errno));
    test_where();
    test_fine(false);
    test_fine(true);
    test_refused();
    test_bad(MUTE, "mute", 100, TALK_TO_END, true, "does not answer in time");
    test_bad(READS_NOTHING, "one that reads nothing", 20000000, TALK_TO_END, true, "does not take the message in time");
    test_bad(DRIPS, "one byte at a time", 100, TALK_TO_END, true, "does not answer in time");
    test_bad(DRIPS, "one byte at a time, no end", 100, '\0', true, "does not answer in time");
    test_bad(FLOODS, "endless", 100, TALK_TO_END, false, "says more than 1000 bytes");
    test_bad(FLOODS, "endless, and reads nothing", 20000000, '\0', false, "says more than 1000 bytes");
    test_bad(HANGS_UP, "hangs up", 0, TALK_TO_END, false, "hung up without an answer");
    test_bad(HALF, "half an answer", 0, '\0', false, "hung up in the middle of its answer");
    test_bad(RESETS, "reset", 20000000, TALK_TO_END, false, "");
    test_early_answer();
    test_together();
    test_full();
    test_forgotten();
    test_scripted();
    for (unsigned i = 1; i <= made; i++)
        unlink(arena_printf(a, "%s/%u", dir, i).p);
    rmdir(dir);
    arena_free(&a);
    return tap_end();
}
