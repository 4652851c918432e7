/* talk.c - non-blocking sockets, pumped by whoever waits. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/waiting.h"
#include "mapped.h"
#include "talk.h"

#define TOGETHER_MOST 16    /* conversations of one arena that are pumped at once */
#define IOV_MOST 16
#define READ_AT_ONCE 16384
#define ROUNDS_MOST 8       /* reads or writes of one conversation before the next has its turn */
#define RETRY_MS 10         /* a Unix socket whose backlog is full is tried again after this */

enum state { TRYING, CONNECTING, SAYING, LISTENING, DONE };

struct talk {
    struct talk *next; /* of all open ones; under the lock */
    struct arena *arena;
    struct talk_plan plan;
    enum state state;
    int fd;
    int64_t retry;      /* TRYING: when */
    size_t piece, at;   /* what is to be said next */
    int said_error;     /* errno of a failed write: the service may have answered all the same */
    struct buf heard;
    struct talk_answer answer;
    struct talk_act act; /* scripted */
    bool scripted;
    int64_t due;
};

static struct {
    pthread_mutex_t lock;
    struct talk *first;
    bool (*script)(void *, const struct talk_where *, struct str, struct talk_act *);
    void *script_ctx;
} open_talks = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- where ---- */

static bool where_unix(struct str path, struct talk_where *w, struct str *error)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&w->address;

    if (path.n == 0 || path.p[0] != '/' || path.n >= sizeof un->sun_path || str_find(path, '\0') < path.n) {
        *error = STR("the path of a socket begins with a slash and has at most 107 bytes");
        return false;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.n);
    w->size = sizeof *un;
    return true;
}

static bool where_inet(struct str text, struct talk_where *w, struct str *error)
{
    size_t at = str_find(text, '@');
    struct str host = str_slice(text, at + 1, text.n);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&w->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&w->address;
    struct ip ip;
    long port;

    if (at == text.n || !str_to_long(str_slice(text, 0, at), &port) || port < 1 || port > 65535) {
        *error = STR("\"inet:PORT@HOST\" is expected, with a port from 1 to 65535");
        return false;
    }
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_slice(host, 1, host.n - 1);
    if (str_is_nocase(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (!ip_parse(host, &ip)) {
        *error = STR("the host must be an address, or localhost");
        return false;
    }
    if (ip_is_v4(ip)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        memcpy(&v4->sin_addr, ip.b + 12, 4);
        w->size = sizeof *v4;
    } else {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        memcpy(&v6->sin6_addr, ip.b, 16);
        w->size = sizeof *v6;
    }
    return true;
}

bool talk_where(struct arena *a, struct str text, struct talk_where *w, struct str *error)
{
    memset(w, 0, sizeof *w);
    w->shown = str_dup(a, text);
    if (str_starts(text, STR("unix:")))
        return where_unix(str_slice(text, 5, text.n), w, error);
    if (str_starts(text, STR("/")))
        return where_unix(text, w, error);
    if (str_starts(text, STR("inet:")))
        return where_inet(str_slice(text, 5, text.n), w, error);
    *error = STR("\"unix:/path\", \"/path\" or \"inet:PORT@HOST\" is expected");
    return false;
}

/* ---- ends ---- */

static void list_add(struct talk *t)
{
    pthread_mutex_lock(&open_talks.lock);
    t->next = open_talks.first;
    open_talks.first = t;
    pthread_mutex_unlock(&open_talks.lock);
}

static void list_remove(struct talk *t)
{
    pthread_mutex_lock(&open_talks.lock);
    for (struct talk **at = &open_talks.first; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    pthread_mutex_unlock(&open_talks.lock);
}

static void hang_up(struct talk *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

static void forget(void *ptr)
{
    struct talk *t = ptr;

    if (t->state != DONE)
        list_remove(t);
    hang_up(t);
}

static void finish(struct talk *t)
{
    t->state = DONE;
    hang_up(t);
    list_remove(t);
}

static void fail(struct talk *t, struct str words)
{
    t->answer = (struct talk_answer){.problem = words};
    finish(t);
}

static void fail_errno(struct talk *t, const char *what, int error)
{
    fail(t, arena_printf(t->arena, "%s " STR_FMT ": %s", what, STR_ARG(t->plan.where->shown), strerror(error)));
}

static void fail_late(struct talk *t)
{
    static const char *const late[] = {
        [TRYING] = "takes no connection in time", [CONNECTING] = "takes no connection in time",
        [SAYING] = "does not take the message in time", [LISTENING] = "does not answer in time",
    };

    fail(t, arena_printf(t->arena, STR_FMT " %s", STR_ARG(t->plan.where->shown), late[t->state]));
}

static bool is_early(const struct talk *t)
{
    return t->said_error || (!t->scripted && t->piece < t->plan.pieces);
}

/* ended - the service has hung up: an answer where that is how answers end. */
static void ended(struct talk *t)
{
    struct str text = buf_str(&t->heard);

    if (text.n && t->plan.until == TALK_TO_END) {
        t->answer = (struct talk_answer){.ok = true, .early = is_early(t), .text = text};
        finish(t);
    } else if (t->said_error && text.n == 0) {
        fail_errno(t, "cannot send to", t->said_error);
    } else {
        fail(t, arena_printf(t->arena, STR_FMT " hung up %s", STR_ARG(t->plan.where->shown),
                             text.n ? "in the middle of its answer" : "without an answer"));
    }
}

/* ---- one step each ---- */

static void try_connect(struct talk *t)
{
    int error = 0;

    t->fd = socket(t->plan.where->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->fd < 0 || connect(t->fd, (const struct sockaddr *)&t->plan.where->address, t->plan.where->size) != 0)
        error = errno;
    if (error == 0) {
        t->state = SAYING;
    } else if (error == EINPROGRESS || error == EINTR) {
        t->state = CONNECTING;
    } else if (error == EAGAIN && t->plan.where->address.ss_family == AF_UNIX) {
        hang_up(t);
        t->retry = clock_ms() + RETRY_MS;
    } else {
        fail_errno(t, "cannot connect to", error);
    }
}

static void connected(struct talk *t)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error)
        fail_errno(t, "cannot connect to", error);
    else
        t->state = SAYING;
}

static size_t next_pieces(const struct talk *t, struct iovec iov[IOV_MOST])
{
    size_t n = 0;

    for (size_t i = t->piece; i < t->plan.pieces && n < IOV_MOST; i++) {
        struct str s = str_slice(t->plan.say[i], i == t->piece ? t->at : 0, t->plan.say[i].n);

        if (s.n)
            iov[n++] = (struct iovec){(void *)s.p, s.n};
    }
    return n;
}

static void was_said(struct talk *t, size_t n)
{
    while (t->piece < t->plan.pieces) {
        size_t left = t->plan.say[t->piece].n - t->at;

        mapped_seen(str_slice(t->plan.say[t->piece], t->at, t->at + (n < left ? n : left)));
        if (n < left) {
            t->at += n;
            return;
        }
        n -= left;
        t->at = 0;
        t->piece++;
    }
}

static void say(struct talk *t)
{
    for (int round = 0; round < ROUNDS_MOST; round++) {
        struct iovec iov[IOV_MOST];
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = next_pieces(t, iov)};
        ssize_t n;

        if (msg.msg_iovlen == 0) {
            if (t->plan.half_close)
                shutdown(t->fd, SHUT_WR);
            t->state = LISTENING;
            return;
        }
        n = sendmsg(t->fd, &msg, MSG_NOSIGNAL);
        if (n > 0) {
            was_said(t, (size_t)n);
        } else if (n < 0 && errno != EINTR) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            t->said_error = errno; /* what it had to say about that may lie there */
            t->state = LISTENING;
            return;
        }
    }
}

/* says_more - behind the end of its answer, as far as that has come. */
static bool says_more(const struct talk *t, size_t end)
{
    char c;

    return end + 1 < t->heard.len || (!t->scripted && recv(t->fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) > 0);
}

/* heard - look through what is new for the end; false once the conversation is over. */
static bool heard(struct talk *t, size_t from)
{
    struct str text = buf_str(&t->heard);
    size_t end = text.n;

    if (t->plan.until != TALK_TO_END)
        end = from + str_find(str_slice(text, from, text.n), (char)t->plan.until);
    if (end > t->plan.most) {
        fail(t, arena_printf(t->arena, STR_FMT " says more than %zu bytes", STR_ARG(t->plan.where->shown),
                             t->plan.most));
        return false;
    }
    if (end == text.n)
        return true;
    t->answer = (struct talk_answer){.ok = true, .early = is_early(t), .more = says_more(t, end),
                                     .text = str_slice(text, 0, end)};
    finish(t);
    return false;
}

static void listen_to(struct talk *t)
{
    for (int round = 0; round < ROUNDS_MOST; round++) {
        char bytes[READ_AT_ONCE];
        ssize_t n = recv(t->fd, bytes, sizeof bytes, 0);
        size_t from = t->heard.len;

        if (n > 0) {
            buf_add(&t->heard, (struct str){bytes, (size_t)n});
            if (!heard(t, from))
                return;
        } else if (n == 0) {
            ended(t);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            if (t->said_error)
                ended(t);
            else
                fail_errno(t, "lost the connection to", errno);
            return;
        }
    }
}

/* step - everything that can be done now. A service may answer before it has heard all (to refuse it). */
static void step(struct talk *t)
{
    if (t->state == TRYING && clock_ms() >= t->retry)
        try_connect(t);
    if (t->state == SAYING)
        say(t);
    if (t->state == SAYING || t->state == LISTENING)
        listen_to(t);
}

static void pump(struct talk *t, short revents)
{
    if (t->state == CONNECTING && revents)
        connected(t);
    if (t->state == TRYING || revents)
        step(t);
    if (t->state != DONE && clock_ms() >= t->plan.deadline)
        fail_late(t);
}

/* ---- together ---- */

/* companions - the open conversations of this one's arena, itself first. */
static size_t companions(struct talk *t, struct talk *list[TOGETHER_MOST])
{
    size_t n = 0;

    list[n++] = t;
    pthread_mutex_lock(&open_talks.lock);
    for (struct talk *other = open_talks.first; other && n < TOGETHER_MOST; other = other->next)
        if (other != t && other->arena == t->arena)
            list[n++] = other;
    pthread_mutex_unlock(&open_talks.lock);
    return n;
}

static int wait_ms(struct talk *const *list, size_t n)
{
    int64_t until = list[0]->plan.deadline, now = clock_ms();

    for (size_t i = 0; i < n; i++) {
        if (list[i]->plan.deadline < until)
            until = list[i]->plan.deadline;
        if (list[i]->state == TRYING && list[i]->retry < until)
            until = list[i]->retry;
    }
    return until <= now ? 0 : (int)waiting_slice(until - now > 60000 ? 60000 : until - now);
}

static void pump_together(struct talk *t)
{
    struct talk *list[TOGETHER_MOST];
    struct pollfd fds[TOGETHER_MOST];
    size_t n = companions(t, list);

    for (size_t i = 0; i < n; i++) {
        short events = list[i]->state == CONNECTING ? POLLOUT : list[i]->state == SAYING ? POLLIN | POLLOUT : POLLIN;

        fds[i] = (struct pollfd){.fd = list[i]->fd, .events = events};
    }
    if (poll(fds, n, wait_ms(list, n)) < 0)
        for (size_t i = 0; i < n; i++)
            fds[i].revents = 0;
    for (size_t i = 0; i < n; i++)
        pump(list[i], fds[i].revents);
}

/* ---- scripted ---- */

void talk_script(bool (*fn)(void *, const struct talk_where *, struct str, struct talk_act *), void *ctx)
{
    open_talks.script = fn;
    open_talks.script_ctx = ctx;
}

static void begin_scripted(struct talk *t)
{
    struct buf said = buf_in(t->arena);

    buf_add(&said, STR_NONE);
    for (size_t i = 0; i < t->plan.pieces; i++)
        buf_add(&said, t->plan.say[i]);
    t->scripted = true;
    if (!open_talks.script(open_talks.script_ctx, t->plan.where, buf_str(&said), &t->act)) {
        fail_errno(t, "cannot connect to", ECONNREFUSED);
        return;
    }
    t->state = LISTENING;
    t->due = t->act.mute ? INT64_MAX : clock_ms() + t->act.after_ms;
    if (t->due > t->plan.deadline)
        t->due = t->plan.deadline;
}

static void end_scripted(struct talk *t)
{
    if (clock_ms() < t->due)
        clock_script_advance(t->due - clock_ms());
    if (t->act.mute || clock_ms() >= t->plan.deadline) {
        fail_late(t);
        return;
    }
    buf_add(&t->heard, str_dup(t->arena, t->act.answer));
    if (heard(t, 0))
        ended(t);
}

/* finish_scripted - the conversations of the arena end in the order of time, up to this one. */
static void finish_scripted(struct talk *t)
{
    struct talk *list[TOGETHER_MOST];

    while (t->state != DONE) {
        struct talk *next = t;
        size_t n = companions(t, list);

        for (size_t i = 0; i < n; i++)
            if (list[i]->due <= next->due)
                next = list[i];
        end_scripted(next);
    }
}

/* ---- the interface ---- */

struct talk *talk_begin(struct arena *a, const struct talk_plan *plan)
{
    struct talk *t = arena_zalloc(a, sizeof *t);

    t->arena = a;
    t->plan = *plan;
    t->fd = -1;
    t->heard = buf_in(a);
    buf_add(&t->heard, STR_NONE);
    list_add(t);
    arena_on_reset(a, forget, t);
    if (open_talks.script)
        begin_scripted(t);
    else
        step(t);
    return t;
}

const struct talk_answer *talk_finish(struct talk *t)
{
    if (t->state == DONE)
        return &t->answer;
    if (t->scripted) {
        finish_scripted(t);
        return &t->answer;
    }
    waiting_begin();
    while (t->state != DONE)
        pump_together(t);
    waiting_end();
    return &t->answer;
}

const struct talk_answer *talk_look(const struct talk *t)
{
    return t->state == DONE ? &t->answer : NULL;
}
