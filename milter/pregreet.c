/* pregreet.c - asks the kernel about one TCP connection: its state, its bytes. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pregreet.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/waiting.h"

enum {
    SLICE_MS = 50,  /* between two looks */
    ANSWER_MS = 10, /* the kernel answers while we ask; longer than this it has not heard us */
    BLIND_ROW = 5,  /* clients in a row that cannot be seen: one alone may have hung up at once */
};

enum { ESTABLISHED = 1, CLOSE_WAIT = 8, LISTEN = 10 }; /* as the kernel numbers the states of TCP */

static struct {
    pthread_mutex_t lock;
    int fd; /* -1: not open */
    uint32_t number;
} kernel = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static struct {
    atomic_uint row; /* clients that could not be seen since the last one that was */
    atomic_bool told;
} blind;

static struct {
    bool (*fn)(void *ctx, enum pregreet_turn turn, struct pregreet_act *act);
    void *ctx;
} script;

/* What the kernel says of one connection. */
struct connection {
    unsigned state;
    uint32_t unread;   /* bytes that nobody has read yet; a FIN counts as one */
    bool counted;      /* the rest is known */
    uint64_t received; /* a FIN counts as one */
    uint64_t sent;
    uint32_t segments; /* with data, from the client */
};

enum look { LOOK_FOUND, LOOK_NONE, LOOK_FAILED };

/* ---- netlink ---- */

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 about;
};

static struct question ask_about(const struct peer *peer, uint32_t number)
{
    bool v4 = ip_is_v4(peer->ip);
    struct question q = {
        .head = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST,
                 .nlmsg_seq = number},
        .about = {.sdiag_family = v4 ? AF_INET : AF_INET6, .sdiag_protocol = IPPROTO_TCP,
                  .idiag_ext = 1 << (INET_DIAG_INFO - 1), .idiag_states = ~0u,
                  .id = {.idiag_sport = htons((uint16_t)peer->server_port), .idiag_dport = htons((uint16_t)peer->port),
                         .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };

    memcpy(q.about.id.idiag_src, peer->server_ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
    memcpy(q.about.id.idiag_dst, peer->ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
    return q;
}

/* read_counts - of struct tcp_info as far as this kernel fills it. */
static void read_counts(const char *p, size_t n, struct connection *c)
{
    struct tcp_info info = {0};

    memcpy(&info, p, n < sizeof info ? n : sizeof info);
    if (n < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof info.tcpi_bytes_retrans)
        return; /* before Linux 4.19 */
    c->counted = true;
    c->received = info.tcpi_bytes_received;
    c->sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
    c->segments = info.tcpi_data_segs_in;
}

/* read_answer - when there is no such connection the kernel tells of the listening socket instead. */
static enum look read_answer(const struct peer *peer, const struct nlmsghdr *head, struct connection *c)
{
    const struct inet_diag_msg *m = NLMSG_DATA(head);
    const struct nlmsgerr *e = NLMSG_DATA(head);
    size_t n, at = NLMSG_SPACE(sizeof *m);

    if (head->nlmsg_type == NLMSG_ERROR && head->nlmsg_len >= NLMSG_LENGTH(sizeof *e)) {
        errno = -e->error;
        return errno == ENOENT ? LOOK_NONE : LOOK_FAILED;
    }
    if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY || head->nlmsg_len < NLMSG_LENGTH(sizeof *m)) {
        errno = EPROTO;
        return LOOK_FAILED;
    }
    if (m->idiag_state == LISTEN || m->id.idiag_dport != htons((uint16_t)peer->port) ||
        m->id.idiag_sport != htons((uint16_t)peer->server_port))
        return LOOK_NONE;
    *c = (struct connection){.state = m->idiag_state, .unread = m->idiag_rqueue};
    while (at + sizeof(struct rtattr) <= head->nlmsg_len) {
        struct rtattr attribute;

        memcpy(&attribute, (const char *)head + at, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > head->nlmsg_len - at)
            break;
        n = attribute.rta_len - RTA_LENGTH(0);
        if (attribute.rta_type == INET_DIAG_INFO)
            read_counts((const char *)head + at + RTA_LENGTH(0), n, c);
        at += RTA_ALIGN(attribute.rta_len);
    }
    return LOOK_FOUND;
}

/* hear - the answer to the question of that number; what else lies there is of an earlier one that was given up. */
static enum look hear(const struct peer *peer, uint32_t number, struct connection *c)
{
    union {
        struct nlmsghdr head;
        char bytes[8192];
    } answer;
    struct pollfd ready = {.fd = kernel.fd, .events = POLLIN};
    int polled = 1;

    while (polled > 0) {
        struct sockaddr_nl from = {0};
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(kernel.fd, &answer, sizeof answer, MSG_DONTWAIT, (struct sockaddr *)&from, &size);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return LOOK_FAILED;
        if (n >= (ssize_t)sizeof answer.head && from.nl_pid == 0 && answer.head.nlmsg_len <= (size_t)n &&
            answer.head.nlmsg_seq == number)
            return read_answer(peer, &answer.head, c);
        if (n < 0)
            polled = poll(&ready, 1, ANSWER_MS);
    }
    errno = ETIMEDOUT;
    return LOOK_FAILED;
}

/* look_at - one question, one answer. With LOOK_FAILED errno says why. */
static enum look look_at(const struct peer *peer, struct connection *c)
{
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};
    enum look result = LOOK_FAILED;
    int error;

    pthread_mutex_lock(&kernel.lock);
    if (kernel.fd < 0)
        kernel.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (kernel.fd >= 0) {
        struct question q = ask_about(peer, ++kernel.number);

        if (sendto(kernel.fd, &q, sizeof q, 0, (struct sockaddr *)&to, sizeof to) == sizeof q)
            result = hear(peer, q.head.nlmsg_seq, c);
        error = errno;
        if (result == LOOK_FAILED) {
            close(kernel.fd);
            kernel.fd = -1;
            errno = error;
        }
    }
    error = errno;
    pthread_mutex_unlock(&kernel.lock);
    errno = error;
    return result;
}

/* ---- what it means ---- */

/* judge - by what has come at all, not by what lies unread, since Postfix itself may have read early bytes just before
 * it asked us. But when the server has sent something already (a TLS handshake on port 465, postscreen's teaser), the
 * client was right to talk, and only what lies unread is early; so it is at DATA. */
static struct pregreet judge(const struct connection *c, enum pregreet_turn turn)
{
    struct pregreet p = {.sent = c->sent};
    unsigned fin = c->state == CLOSE_WAIT;

    if (c->state != ESTABLISHED && c->state != CLOSE_WAIT) {
        p.seen = PREGREET_GONE; /* Postfix itself has hung up meanwhile */
    } else if (c->unread > fin) {
        p.seen = PREGREET_TALKED;
        p.bytes = c->unread - fin;
    } else if (turn == PREGREET_BANNER && c->counted && c->sent == 0 && c->segments > 0) {
        p.seen = PREGREET_TALKED;
        p.bytes = c->received - fin;
    } else if (fin) {
        p.seen = PREGREET_GONE;
    }
    return p;
}

static void say_blind(const char *why)
{
    if (!atomic_exchange(&blind.told, true))
        log_warn("earlytalker is blind: the kernel does not show the clients' connections (%s). Nobody is found to "
                 "talk too early; Postfix itself can look: postscreen, or smtpd_forbid_unauth_pipelining = yes", why);
}

static void note_sight(enum look result)
{
    if (result == LOOK_FOUND)
        atomic_store(&blind.row, 0);
    else if (result == LOOK_FAILED)
        say_blind(strerror(errno));
    else if (atomic_fetch_add(&blind.row, 1) + 1 >= BLIND_ROW)
        say_blind("they are not in this network namespace: a proxy stands in front, Postfix runs in a container of its "
                  "own, or the module tcp_diag is missing");
}

void pregreet_forget(void)
{
    atomic_store(&blind.row, 0);
    atomic_store(&blind.told, false);
}

/* is_known - who is not told apart by addresses and ports (a Unix socket, a made-up client) cannot be asked about. */
static bool is_known(const struct peer *peer)
{
    return peer->ip.known && peer->server_ip.known && peer->port && peer->server_port &&
           ip_is_v4(peer->ip) == ip_is_v4(peer->server_ip);
}

static void sleep_until(int64_t deadline)
{
    int64_t left = deadline - clock_ms();
    struct timespec ts;

    if (left <= 0)
        return;
    left = left < SLICE_MS ? left : SLICE_MS;
    ts = (struct timespec){.tv_nsec = left * 1000000};
    nanosleep(&ts, NULL);
}

static struct pregreet played(enum pregreet_turn turn, int64_t wait_ms)
{
    struct pregreet_act act = {.seen = PREGREET_SILENT};

    if (!script.fn(script.ctx, turn, &act))
        return (struct pregreet){.seen = PREGREET_SILENT};
    clock_script_advance(act.after_ms < wait_ms ? act.after_ms : wait_ms);
    if (act.after_ms > wait_ms)
        return (struct pregreet){.seen = PREGREET_SILENT};
    return (struct pregreet){.seen = act.seen, .bytes = act.bytes};
}

struct pregreet pregreet_wait(const struct peer *peer, enum pregreet_turn turn, int64_t wait_ms)
{
    int64_t deadline = clock_ms() + wait_ms;
    struct connection c;
    struct pregreet p;
    enum look result;

    if (script.fn)
        return played(turn, wait_ms);
    if (!is_known(peer))
        return (struct pregreet){.seen = PREGREET_BLIND};
    result = look_at(peer, &c);
    note_sight(result);
    if (result != LOOK_FOUND)
        return (struct pregreet){.seen = PREGREET_BLIND};
    p = judge(&c, turn);
    if (p.seen != PREGREET_SILENT || wait_ms <= 0)
        return p;
    waiting_begin();
    do {
        sleep_until(deadline);
        result = look_at(peer, &c);
        p = result == LOOK_FOUND  ? judge(&c, turn)
            : result == LOOK_NONE ? (struct pregreet){.seen = PREGREET_GONE} /* it was there: it was reset */
                                  : (struct pregreet){.seen = PREGREET_BLIND};
    } while (p.seen == PREGREET_SILENT && clock_ms() < deadline);
    waiting_end();
    return p;
}

bool pregreet_was_data(const struct peer *peer, const struct pregreet *then, struct str tls_version)
{
    /* "354 End data with <CR><LF>.<CR><LF>" is 37 bytes with its CR LF. A TLS 1.3 record adds 22, one of TLS 1.2 with
     * AES-GCM 29. "250 2.0.0 Ok: N bytes", which follows a chunk, has none of these lengths with any cipher, alone or
     * several times; what other ciphers make of the 354 might have, so they tell nothing. */
    static const struct {
        struct str version;
        uint64_t length;
    } answers[] = {{{"", 0}, 37}, {{"TLSv1.3", 7}, 37 + 22}, {{"TLSv1.2", 7}, 37 + 29}};
    struct connection c;

    if (script.fn) {
        struct pregreet_act act;

        return script.fn(script.ctx, PREGREET_DATA, &act) && act.is_data;
    }
    if (!is_known(peer) || look_at(peer, &c) != LOOK_FOUND || !c.counted)
        return false;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (str_is(tls_version, answers[i].version))
            return then->sent > 0 && c.sent == then->sent + answers[i].length;
    return false;
}

void pregreet_script(bool (*fn)(void *ctx, enum pregreet_turn turn, struct pregreet_act *act), void *ctx)
{
    script.fn = fn;
    script.ctx = ctx;
}
