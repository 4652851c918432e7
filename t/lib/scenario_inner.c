/* scenario_inner.c - `inner = ...`: the mail server behind us, as the policy smtp_forward asks it. In process it stands
 * where milter/smtp/ would connect; for the other drivers it listens on loopback, in a thread of its own. Either way a
 * route leads to it as {inner}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scenario_reader.h"

#include "milter/smtp/ask.h"

#define IN_PROCESS_PORT 2525
#define HELD_MOST 64 /* connections that are answered no more */

static struct {
    pthread_mutex_t lock;
    const struct inner *says; /* the play's, under the lock */
    pthread_t thread;
    int listener, stop[2], held[HELD_MOST];
    size_t held_count;
    unsigned port;
    bool sockets, runs;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the language ---- */

static const char *const commands[] = {"connect", "ehlo", "helo", "starttls", "mail", "rcpt", NULL};

static bool is_command(struct str word)
{
    for (size_t i = 0; commands[i]; i++)
        if (str_is(word, str_of(commands[i])))
            return true;
    return false;
}

static struct str with_crlf(struct arena *a, struct str reply)
{
    return reply.n ? arena_printf(a, STR_FMT "\r\n", STR_ARG(reply)) : reply;
}

bool reader_inner(struct reader *r, struct step *step, struct str rest)
{
    struct inner_says *says = &step->inner;
    struct str word;

    rest = str_trim(str_slice(rest, str_find(rest, '=') + 1, rest.n));
    if (!reader_word(&rest, &says->command))
        return reader_fail(r, "inner: ok, down, mute, or what it answers to a command is expected");
    if (str_is(says->command, STR("ok")) || str_is(says->command, STR("down")) || str_is(says->command, STR("mute")))
        return str_trim(rest).n == 0 || reader_fail(r, "inner: nothing is expected after it");
    if (!is_command(says->command))
        return reader_fail(r, "inner: connect, ehlo, helo, starttls, mail or rcpt is expected");
    while (reader_word(&rest, &word)) {
        if (word.p[0] == '"')
            says->reply = with_crlf(r->a, reader_unquote(r->a, word));
        else if (word.p[0] == '<')
            says->about = word;
        else if (str_is(word, STR("hangup")))
            says->hangs_up = true;
        else if (!str_is(word, STR("after")) || !reader_word(&rest, &word) || !reader_duration(word, &says->after_ms))
            return reader_fail(r, "inner: <address>, \"reply\", hangup, or after 300ms is expected");
    }
    return says->reply.n || says->hangs_up || reader_fail(r, "inner: a \"reply\" is expected");
}

/* ---- what it says ---- */

static bool fits(const struct inner_says *says, struct str said)
{
    struct str verb;
    bool speaks = str_token(&said, &verb);

    if (!speaks)
        return str_is(says->command, STR("connect"));
    if (!str_is_nocase(str_trim(verb), says->command))
        return false;
    return says->about.n == 0 || memmem(said.p, said.n, says->about.p, says->about.n);
}

static void answer(const struct inner *in, struct str said, struct smtp_act *act)
{
    *act = (struct smtp_act){.refused = in->down, .mute = in->mute};
    for (const struct inner_says *says = in->list; says; says = says->next)
        if (fits(says, said)) {
            act->reply = says->reply;
            act->hangs_up = says->hangs_up;
            act->after_ms = says->after_ms;
            return;
        }
    if (said.n == 0)
        act->reply = STR("220 inner.test ESMTP\r\n");
    else if (str_starts(said, STR("EHLO")))
        act->reply = STR("250-inner.test\r\n250 PIPELINING\r\n");
    else
        act->reply = STR("250 2.0.0 ok\r\n");
}

static void act_in_process(void *ctx, struct str said, struct smtp_act *act)
{
    const struct play *p = ctx;

    answer(&p->inner, said, act);
}

/* ---- on a socket ---- */

static bool told_to_stop(int64_t ms)
{
    struct pollfd p = {.fd = server.stop[0], .events = POLLIN};

    return poll(&p, 1, (int)ms) > 0;
}

/* reply_to - false: the connection is over. */
static bool reply_to(int *fd, struct str said)
{
    struct smtp_act act;

    pthread_mutex_lock(&server.lock);
    answer(server.says, said, &act);
    pthread_mutex_unlock(&server.lock);
    if (act.mute && server.held_count < HELD_MOST) {
        server.held[server.held_count++] = *fd;
        *fd = -1;
        return false;
    }
    if (told_to_stop(act.after_ms) || (act.reply.n && send(*fd, act.reply.p, act.reply.n, MSG_NOSIGNAL) < 0))
        return false;
    return !act.hangs_up;
}

static void serve(int fd)
{
    char bytes[4096];
    size_t n = 0;
    bool goes_on = reply_to(&fd, STR_NONE);

    while (goes_on) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = server.stop[0], .events = POLLIN}};
        ssize_t got;

        if (n && bytes[n - 1] == '\n') {
            goes_on = reply_to(&fd, (struct str){bytes, n}) && !str_starts((struct str){bytes, n}, STR("QUIT"));
            n = 0;
            continue;
        }
        if (n == sizeof bytes || poll(p, 2, -1) < 0 || p[1].revents)
            break;
        got = recv(fd, bytes + n, 1, 0); /* one line at a time: it may stop listening behind any of them */
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
}

static void *run(void *ptr)
{
    (void)ptr;
    for (;;) {
        struct pollfd p[2] = {{.fd = server.listener, .events = POLLIN}, {.fd = server.stop[0], .events = POLLIN}};
        int fd;

        if (poll(p, 2, -1) < 0 || p[1].revents)
            return NULL;
        fd = accept(server.listener, NULL, NULL);
        if (fd >= 0)
            serve(fd);
    }
}

/* open_listener - on the port it has, else on a free one. Bound, it is nobody else's; it listens later. */
static bool open_listener(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof sa;
    int one = 1;

    sa.sin_port = htons((uint16_t)server.port);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server.listener < 0)
        return false;
    setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server.listener, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        getsockname(server.listener, (struct sockaddr *)&sa, &size) != 0)
        return false;
    server.port = ntohs(sa.sin_port);
    return true;
}

static bool sync_server(void)
{
    if (server.runs && server.says->down) {
        server.runs = false;
        close(server.stop[1]);
        pthread_join(server.thread, NULL);
        close(server.stop[0]);
        close(server.listener);
        while (server.held_count)
            close(server.held[--server.held_count]);
        return open_listener();
    }
    if (server.runs || server.says->down)
        return true;
    if (listen(server.listener, 64) != 0 || pipe2(server.stop, O_CLOEXEC) != 0)
        return false;
    server.runs = pthread_create(&server.thread, NULL, run, NULL) == 0;
    return server.runs;
}

/* ---- for the play ---- */

bool inner_step(struct play *p, const struct step *step, struct str *error)
{
    struct str command = step->inner.command;

    pthread_mutex_lock(&server.lock);
    p->inner.down = str_is(command, STR("down"));
    p->inner.mute = str_is(command, STR("mute"));
    if (is_command(command)) {
        struct inner_says *says = arena_zalloc(p->arena, sizeof *says);

        *says = step->inner;
        says->next = p->inner.list;
        p->inner.list = says;
    } else {
        p->inner.list = NULL;
    }
    pthread_mutex_unlock(&server.lock);
    if (!server.sockets || sync_server())
        return true;
    *error = arena_printf(p->arena, "cannot serve: %s", strerror(errno));
    return false;
}

bool inner_begin(struct play *p, bool sockets, struct str *error)
{
    answers_forget();
    p->inner = (struct inner){.down = true};
    server.says = &p->inner;
    server.sockets = sockets;
    server.port = sockets ? 0 : IN_PROCESS_PORT;
    if (!sockets)
        smtp_script(act_in_process, p);
    if (sockets && !open_listener()) {
        *error = arena_printf(p->arena, "cannot serve: %s", strerror(errno));
        return false;
    }
    p->inner_at = arena_printf(p->arena, "127.0.0.1:%u", server.port);
    return true;
}

void inner_end(void)
{
    static const struct inner down = {.down = true};

    smtp_script(NULL, NULL);
    if (!server.sockets)
        return;
    server.says = &down;
    sync_server();
    close(server.listener);
    server.sockets = false;
}
