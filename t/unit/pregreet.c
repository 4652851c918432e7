/* pregreet.c - clients that talk, keep silent, leave, or cannot be seen, on sockets of our own. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/base/waiting.h"
#include "../../milter/pregreet.h"
#include "../lib/tap.h"

struct pair { /* a client and the server's end of its connection */
    int listener, client, server;
    struct peer peer;
};

static struct arena *a;
static unsigned warnings;
static char warning[512];

static void captured(int level, struct str line, void *ctx)
{
    (void)ctx;
    if (level == LOG_LEVEL_WARN) {
        warnings++;
        snprintf(warning, sizeof warning, STR_FMT, STR_ARG(line));
    }
}

static unsigned port_of(const struct sockaddr_storage *sa)
{
    return ntohs(sa->ss_family == AF_INET ? ((const struct sockaddr_in *)sa)->sin_port
                                          : ((const struct sockaddr_in6 *)sa)->sin6_port);
}

static void address(struct sockaddr_storage *sa, socklen_t *size, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    memset(sa, 0, sizeof *sa);
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(sa, &v4, *size = sizeof v4);
    } else {
        inet_pton(AF_INET6, text, &v6.sin6_addr);
        memcpy(sa, &v6, *size = sizeof v6);
    }
}

static bool wait_until(bool (*holds)(const struct pair *), const struct pair *p)
{
    int64_t deadline = clock_ms() + 5000;

    while (!holds(p)) {
        struct timespec ts = {.tv_nsec = 2000000};

        if (clock_ms() > deadline)
            return false;
        nanosleep(&ts, NULL);
    }
    return true;
}

static void close_pair(struct pair *p)
{
    if (p->client >= 0)
        close(p->client);
    if (p->server >= 0)
        close(p->server);
    close(p->listener);
}

/* open_pair - listening on one address, reached by another from a third: "::" listens for IPv4, too. */
static bool open_pair(struct pair *p, const char *listen_at, const char *reached, const char *from)
{
    struct sockaddr_storage sa, here;
    socklen_t size, here_size;
    int off = 0;

    *p = (struct pair){.client = -1, .server = -1};
    address(&sa, &size, listen_at);
    p->listener = socket(sa.ss_family, SOCK_STREAM, 0);
    if (sa.ss_family == AF_INET6)
        setsockopt(p->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&sa, size) != 0 || listen(p->listener, 5) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&sa, &size) != 0) {
        close_pair(p);
        return false;
    }
    p->peer.server_port = port_of(&sa);
    ip_parse(str_of(reached), &p->peer.server_ip);
    ip_parse(str_of(from), &p->peer.ip);
    address(&here, &here_size, from);
    p->client = socket(here.ss_family, SOCK_STREAM, 0);
    bind(p->client, (struct sockaddr *)&here, here_size);
    address(&sa, &size, reached);
    if (sa.ss_family == AF_INET)
        ((struct sockaddr_in *)&sa)->sin_port = htons((uint16_t)p->peer.server_port);
    else
        ((struct sockaddr_in6 *)&sa)->sin6_port = htons((uint16_t)p->peer.server_port);
    if (connect(p->client, (struct sockaddr *)&sa, size) != 0)
        bail("connect %s from %s: %s", reached, from, strerror(errno));
    p->server = accept(p->listener, NULL, NULL);
    here_size = sizeof here;
    getsockname(p->client, (struct sockaddr *)&here, &here_size);
    p->peer.port = port_of(&here);
    return true;
}

static struct pregreet look(const struct pair *p)
{
    return pregreet_wait(&p->peer, PREGREET_BANNER, 0);
}

static bool has_talked(const struct pair *p)
{
    return look(p).seen == PREGREET_TALKED;
}

static bool is_gone(const struct pair *p)
{
    return look(p).seen == PREGREET_GONE;
}

static bool has_unread(const struct pair *p)
{
    char c;

    return recv(p->server, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void talk(const struct pair *p, const char *text)
{
    if (send(p->client, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        bail("send: %s", strerror(errno));
}

static void swallow(const struct pair *p, size_t n)
{
    char bytes[256];

    while (n > 0) {
        ssize_t got = recv(p->server, bytes, n < sizeof bytes ? n : sizeof bytes, 0);

        if (got <= 0)
            bail("recv: %s", strerror(errno));
        n -= (size_t)got;
    }
}

/* say - the server's words, until the client has them: then they are sent, and acknowledged soon. */
static void say(const struct pair *p, size_t n)
{
    char bytes[256] = {0};

    if (send(p->server, bytes, n, MSG_NOSIGNAL) != (ssize_t)n || recv(p->client, bytes, n, MSG_WAITALL) != (ssize_t)n)
        bail("%zu bytes from the server: %s", n, strerror(errno));
}

static void test_family(const char *listen_at, const char *reached, const char *from)
{
    struct pregreet seen;
    struct pair p;

    if (!open_pair(&p, listen_at, reached, from)) {
        diag("%s cannot be listened on: not tested", listen_at);
        return;
    }
    is_long(look(&p).seen, PREGREET_SILENT, "%s: a client that waits", from);
    talk(&p, "EHLO x.test\r\n");
    ok(wait_until(has_talked, &p), "%s: one that talks", from);
    seen = look(&p);
    is_long((long long)seen.bytes, 13, "%s: and how much", from);
    swallow(&p, 13);
    seen = look(&p);
    is_long(seen.seen, PREGREET_TALKED, "%s: it has talked, though the server has read it", from);
    is_long((long long)seen.bytes, 13, "%s: and as much", from);
    close_pair(&p);

    if (!open_pair(&p, listen_at, reached, from))
        bail("%s: a second time", listen_at);
    shutdown(p.client, SHUT_WR);
    ok(wait_until(is_gone, &p), "%s: one that leaves has not talked", from);
    close_pair(&p);

    if (!open_pair(&p, listen_at, reached, from))
        bail("%s: a third time", listen_at);
    talk(&p, "QUIT\r\n");
    close(p.client);
    p.client = -1;
    ok(wait_until(has_talked, &p), "%s: one that talks and leaves has talked", from);
    seen = look(&p);
    is_long((long long)seen.bytes, 6, "%s: the FIN is no byte", from);
    swallow(&p, 6);
    is_long(look(&p).seen, PREGREET_TALKED, "%s: also when all has been read", from);
    close_pair(&p);
}

static void test_blind(void)
{
    struct pair p;
    struct peer made_up;

    if (!open_pair(&p, "127.0.0.1", "127.0.0.1", "127.0.0.8"))
        bail("127.0.0.1 cannot be listened on");
    made_up = p.peer;
    pregreet_forget();
    warnings = 0;
    ip_parse(STR("192.0.2.7"), &made_up.ip);
    for (int i = 0; i < 4; i++)
        is_long(pregreet_wait(&made_up, PREGREET_BANNER, 60000).seen, PREGREET_BLIND,
                "a client of somewhere else: not the listening socket, and no wait");
    is_long(warnings, 0, "nothing is said of a few");
    is_long(look(&p).seen, PREGREET_SILENT, "one that is seen");
    for (int i = 0; i < 4; i++)
        pregreet_wait(&made_up, PREGREET_BANNER, 0);
    is_long(warnings, 0, "begins the row again");
    for (int i = 0; i < 20; i++)
        pregreet_wait(&made_up, PREGREET_BANNER, 0);
    is_long(warnings, 1, "when nobody can be seen it is said once");
    ok(strstr(warning, "network namespace") && strstr(warning, "postscreen"), "why, and what to do: %s", warning);
    pregreet_forget();
    for (int i = 0; i < 20; i++)
        pregreet_wait(&made_up, PREGREET_BANNER, 0);
    is_long(warnings, 2, "and again after a reload");

    pregreet_forget();
    made_up = p.peer;
    made_up.port = 0;
    is_long(pregreet_wait(&made_up, PREGREET_BANNER, 60000).seen, PREGREET_BLIND, "port 0");
    made_up = p.peer;
    made_up.server_ip.known = false;
    is_long(pregreet_wait(&made_up, PREGREET_BANNER, 60000).seen, PREGREET_BLIND, "a server nobody named");
    made_up = p.peer;
    ip_parse(STR("2001:db8::7"), &made_up.ip);
    is_long(pregreet_wait(&made_up, PREGREET_BANNER, 60000).seen, PREGREET_BLIND, "a client of the other family");
    is_long(warnings, 2, "of these nothing is said");
    close_pair(&p);
}

/* ---- waiting ---- */

struct later {
    const struct pair *pair;
    int what; /* 0: talk, 1: leave, 2: reset */
};

static void *do_later(void *arg)
{
    struct later *later = arg;
    struct timespec ts = {.tv_nsec = 120000000};
    struct linger hard = {.l_onoff = 1};

    nanosleep(&ts, NULL); /* the subject of the test: the client does something while it is waited for */
    if (later->what == 0) {
        talk(later->pair, "HELO x\r\n");
    } else if (later->what == 1) {
        shutdown(later->pair->client, SHUT_WR);
    } else {
        setsockopt(later->pair->client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(later->pair->client);
    }
    return NULL;
}

static void test_waiting(void)
{
    static const struct {
        const char *name;
        enum pregreet_seen seen;
    } cases[] = {{"talks", PREGREET_TALKED}, {"leaves", PREGREET_GONE}, {"resets", PREGREET_GONE}};
    struct pair p;
    int64_t began;

    for (int i = 0; i < 3; i++) {
        struct later later = {.pair = &p, .what = i};
        pthread_t thread;

        if (!open_pair(&p, "127.0.0.1", "127.0.0.1", "127.0.0.8"))
            bail("127.0.0.1 cannot be listened on");
        began = clock_ms();
        if (pthread_create(&thread, NULL, do_later, &later) != 0)
            bail("no thread");
        is_long(pregreet_wait(&p.peer, PREGREET_BANNER, 60000).seen, cases[i].seen, "a client that %s during the wait",
                cases[i].name);
        ok(clock_ms() - began < 30000, "ends it");
        pthread_join(thread, NULL);
        if (i == 2)
            p.client = -1;
        close_pair(&p);
    }
    if (!open_pair(&p, "127.0.0.1", "127.0.0.1", "127.0.0.8"))
        bail("127.0.0.1 cannot be listened on");
    began = clock_ms();
    is_long(pregreet_wait(&p.peer, PREGREET_BANNER, 200).seen, PREGREET_SILENT, "a patient client");
    ok(clock_ms() - began >= 200, "has waited all the time");
    is_long(waiting_now(), 0, "and nobody waits any more");
    close_pair(&p);
}

/* ---- a server that has spoken ---- */

static void test_after_words(void)
{
    struct pregreet then;
    struct pair p;

    if (!open_pair(&p, "127.0.0.1", "127.0.0.1", "127.0.0.8"))
        bail("127.0.0.1 cannot be listened on");
    say(&p, 35);
    talk(&p, "hello");
    swallow(&p, 5);
    is_long(look(&p).seen, PREGREET_SILENT, "what answers a handshake is not early");
    talk(&p, "early");
    ok(wait_until(has_unread, &p), "what follows it");
    is_long(look(&p).seen, PREGREET_TALKED, "and lies unread is");
    swallow(&p, 5);
    is_long(pregreet_wait(&p.peer, PREGREET_DATA, 0).seen, PREGREET_SILENT, "DATA, and nothing behind it");
    talk(&p, "Subject: x\r\n");
    wait_until(has_unread, &p);
    then = pregreet_wait(&p.peer, PREGREET_DATA, 60000);
    is_long(then.seen, PREGREET_TALKED, "DATA, and something behind it");
    is_long((long long)then.bytes, 12, "of that length");
    is_long((long long)then.sent, 35, "after the server's words");
    ok(!pregreet_was_data(&p.peer, &then, STR_NONE), "nothing answered: it was BDAT");
    say(&p, 24);
    ok(!pregreet_was_data(&p.peer, &then, STR_NONE), "\"250 2.0.0 Ok: 148 bytes\" answered: it was BDAT");
    say(&p, 13);
    ok(pregreet_was_data(&p.peer, &then, STR_NONE), "37 bytes answered: it was DATA");
    ok(!pregreet_was_data(&p.peer, &then, STR("TLSv1.3")), "under TLS it would be more");
    say(&p, 22);
    ok(pregreet_was_data(&p.peer, &then, STR("TLSv1.3")), "as TLS 1.3 makes of it");
    say(&p, 7);
    ok(pregreet_was_data(&p.peer, &then, STR("TLSv1.2")), "as TLS 1.2 makes of it");
    ok(!pregreet_was_data(&p.peer, &then, STR("TLSv1.1")), "what nobody uses tells nothing");
    then.sent = 0;
    ok(!pregreet_was_data(&p.peer, &then, STR_NONE), "nor does a kernel that does not count");
    close_pair(&p);
}

/* ---- many at once ---- */

static void *ask_often(void *arg)
{
    const struct pair *p = arg;
    unsigned wrong = 0;

    for (int i = 0; i < 3000; i++)
        wrong += look(&p[i & 1]).seen != (i & 1 ? PREGREET_TALKED : PREGREET_SILENT);
    return (void *)(uintptr_t)wrong;
}

static void test_threads(void)
{
    struct pair pairs[2];
    pthread_t threads[8];
    uintptr_t wrong = 0;

    if (!open_pair(&pairs[0], "127.0.0.1", "127.0.0.1", "127.0.0.8") ||
        !open_pair(&pairs[1], "127.0.0.1", "127.0.0.1", "127.0.0.8"))
        bail("127.0.0.1 cannot be listened on");
    talk(&pairs[1], "x");
    wait_until(has_talked, &pairs[1]);
    for (size_t i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, ask_often, pairs) != 0)
            bail("no thread");
    for (size_t i = 0; i < 8; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong += (uintptr_t)result;
    }
    is_long((long long)wrong, 0, "eight threads ask 24000 times, and everybody gets his own answer");
    close_pair(&pairs[0]);
    close_pair(&pairs[1]);
}

/* ---- scripted ---- */

static bool scripted(void *ctx, enum pregreet_turn turn, struct pregreet_act *act)
{
    if (turn == PREGREET_DATA)
        return false;
    *act = *(struct pregreet_act *)ctx;
    return true;
}

static void test_script(void)
{
    struct pregreet_act act = {.seen = PREGREET_TALKED, .after_ms = 300, .bytes = 9};
    struct peer nobody = {.port = 0};
    struct pregreet seen;
    int64_t began;

    clock_script_wall(1000000);
    pregreet_script(scripted, &act);
    began = clock_ms();
    seen = pregreet_wait(&nobody, PREGREET_BANNER, 1000);
    is_long(seen.seen, PREGREET_TALKED, "scripted: a client that talks after 300 ms");
    is_long((long long)seen.bytes, 9, "scripted: its bytes");
    is_long(clock_ms() - began, 300, "scripted: and so much time has passed");
    is_long(pregreet_wait(&nobody, PREGREET_BANNER, 200).seen, PREGREET_SILENT, "scripted: too late to be seen");
    is_long(clock_ms() - began, 500, "scripted: the whole wait has passed");
    is_long(pregreet_wait(&nobody, PREGREET_DATA, 1000).seen, PREGREET_SILENT, "scripted: nothing is said");
    is_long(clock_ms() - began, 500, "scripted: and no time passes");
    pregreet_script(NULL, NULL);
    clock_script_end();
    is_long(pregreet_wait(&nobody, PREGREET_BANNER, 1000).seen, PREGREET_BLIND, "the script is over");
}

int main(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);

    if (fd < 0)
        skip_all("this kernel has no sock_diag: %s", strerror(errno));
    close(fd);
    a = arena_new(0);
    log_capture(captured, NULL);
    test_family("127.0.0.1", "127.0.0.1", "127.0.0.8");
    test_family("::1", "::1", "::1");
    test_family("::", "127.0.0.1", "127.0.0.8");
    test_blind();
    test_waiting();
    test_after_words();
    test_threads();
    test_script();
    log_capture(NULL, NULL);
    arena_free(&a);
    return tap_end();
}
