/* dns.c - how many questions a second: from the cache, and over loopback beside a bare loop of c-ares.
 *
 *     dns [SECONDS [SERVER]]     each measurement takes so long (0.4); SERVER, which has to answer
 *                                for all names below bench.test, is asked instead of a process of our own
 *
 * Prints lines "name value": cache_per_s (sixteen threads; 200000 is wanted), network_per_s and bare_per_s (medians of
 * rounds that alternate), network_share (the median of their quotients; 0.8 is wanted), cache_bytes_per_entry.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/dns/dns.h"
#include "../../milter/dns/packet.h"

#define THREADS 16
#define AT_ONCE 32 /* questions of a thread */
#define CACHED 2000
#define ROUNDS 15
#define BATCH 32

static double seconds = 0.4;
static atomic_bool stop;
static atomic_ullong names; /* so that no name is asked twice */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- a server that answers everything ---- */

static void serve(int fd)
{
    static uint8_t packets[BATCH][512];
    static const uint8_t answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 127, 0, 0, 2};
    struct sockaddr_in from[BATCH];
    struct iovec iov[BATCH];
    struct mmsghdr messages[BATCH];

    for (;;) {
        int n;

        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){packets[i], sizeof packets[i] - 64};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i],
                                                  .msg_iov = &iov[i], .msg_iovlen = 1};
        }
        n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++) {
            uint8_t *p = packets[i];
            size_t at = 12;

            while (at < messages[i].msg_len && p[at])
                at += p[at] + 1u;
            at += 5;
            if (at > sizeof packets[i] - 64) {
                iov[i].iov_len = 0;
                continue;
            }
            p[2] = 0x81;
            p[3] = 0x80;
            p[7] = 1;
            p[11] = 0;
            memcpy(p + at, answer, sizeof answer);
            iov[i].iov_len = at + sizeof answer;
        }
        if (n > 0)
            sendmmsg(fd, messages, (unsigned)n, 0);
    }
}

/* server_start - in a process of its own; its port. */
static pid_t server_start(int *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 1 << 20; /* as name servers have it */
    pid_t pid;

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0
        || getsockname(fd, (struct sockaddr *)&sa, &size) != 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    *port = ntohs(sa.sin_port);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd);
    }
    close(fd);
    return pid;
}

/* ---- ours ---- */

static struct str fresh_name(struct arena *a)
{
    return arena_printf(a, "n%llu.bench.test", atomic_fetch_add(&names, 1));
}

static void *ask_fresh(void *count)
{
    struct arena *a = arena_new(0);
    uint64_t good = 0;

    while (!atomic_load(&stop)) {
        struct dns_question *q[AT_ONCE];

        for (int i = 0; i < AT_ONCE; i++)
            q[i] = dns_ask(a, NULL, fresh_name(a), DNS_A);
        for (int i = 0; i < AT_ONCE; i++)
            good += dns_harvest(q[i], clock_ms() + 10000)->status == DNS_OK;
        arena_reset(a);
    }
    arena_free(&a);
    *(uint64_t *)count = good;
    return NULL;
}

static void *ask_cached(void *count)
{
    struct arena *a = arena_new(0), *texts = arena_new(0);
    struct str cached[CACHED];
    uint64_t good = 0;
    unsigned seed = (unsigned)(uintptr_t)count;

    for (int i = 0; i < CACHED; i++)
        cached[i] = arena_printf(texts, "Cached%d.Bench.test", i);
    while (!atomic_load(&stop)) {
        for (int i = 0; i < AT_ONCE; i++) {
            struct dns_question *q;

            seed = seed * 1664525u + 1013904223u;
            q = dns_ask(a, NULL, cached[(seed >> 8) % CACHED], DNS_A);
            good += dns_harvest(q, 0)->status == DNS_OK;
        }
        arena_reset(a);
    }
    arena_free(&a);
    arena_free(&texts);
    *(uint64_t *)count = good;
    return NULL;
}

/* per_second - good answers of all threads. */
static double per_second(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    uint64_t counts[THREADS] = {0}, all = 0;
    int64_t start = clock_ms();

    atomic_store(&stop, false);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, &counts[i]);
    usleep((useconds_t)(seconds * 1e6));
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += counts[i];
    }
    return (double)all * 1000 / (double)(clock_ms() - start);
}

static void fill_cache(void)
{
    struct arena *a = arena_new(0);
    struct dns_question *q[CACHED];
    struct dns_counters c;
    int good = 0;

    for (int i = 0; i < CACHED; i++)
        q[i] = dns_ask(a, NULL, arena_printf(a, "cached%d.bench.test", i), DNS_A);
    for (int i = 0; i < CACHED; i++)
        good += dns_harvest(q[i], clock_ms() + 10000)->status == DNS_OK;
    if (good < CACHED) {
        fprintf(stderr, "only %d of %d questions were answered\n", good, CACHED);
        exit(1);
    }
    dns_count(&c);
    printf("cache_bytes_per_entry %zu\n", c.entries ? c.bytes / c.entries : 0);
    arena_free(&a);
}

/* ---- the bare loop: one thread, as many questions on their way as ours have ---- */

struct bare {
    ares_channel channel;
    int epoll;
    uint64_t good, lost;
    unsigned open;
};

static void bare_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct bare *b = arg;
    struct epoll_event event = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u), .data.fd = fd};

    if (!readable && !writable)
        epoll_ctl(b->epoll, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(b->epoll, EPOLL_CTL_MOD, fd, &event) != 0)
        epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void bare_done(void *arg, int status, int timeouts, unsigned char *abuf, int alen)
{
    struct bare *b = arg;
    struct hostent *host = NULL;

    (void)timeouts;
    b->open--;
    if (status == ARES_SUCCESS && ares_parse_a_reply(abuf, alen, &host, NULL, NULL) == ARES_SUCCESS) {
        b->good++;
        ares_free_hostent(host);
    } else {
        b->lost++;
    }
}

static double bare_per_second(const char *server)
{
    struct bare b = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
                                   .timeout = 1000, .tries = 2, .lookups = (char[]){"b"},
                                   .sock_state_cb = bare_socket, .sock_state_cb_data = &b};
    int64_t start = clock_ms(), end = start + (int64_t)(seconds * 1000);
    double result;

    if (ares_init_options(&b.channel, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS
                                                    | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS
        || ares_set_servers_ports_csv(b.channel, server) != ARES_SUCCESS)
        die("c-ares");
    while (clock_ms() < end) {
        struct epoll_event events[8];
        char name[64];
        int n;

        while (b.open < 180) { /* as many as ours has; more would overflow the server's socket */
            snprintf(name, sizeof name, "n%llu.bench.test", atomic_fetch_add(&names, 1));
            b.open++;
            ares_query(b.channel, name, 1, DNS_A, bare_done, &b);
        }
        n = epoll_wait(b.epoll, events, 8, 100);
        for (int i = 0; i < n; i++)
            ares_process_fd(b.channel, events[i].data.fd, ARES_SOCKET_BAD);
        if (n == 0)
            ares_process_fd(b.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    result = (double)b.good * 1000 / (double)(clock_ms() - start);
    ares_destroy(b.channel);
    close(b.epoll);
    return result;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_size);
    return values[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    struct arena *a = arena_new(0);
    struct dns_settings settings = {.server_count = 1, .timeout_ms = 5000, .cache_entries = 10000};
    double ours[ROUNDS], bare[ROUNDS], share[ROUNDS];
    struct str server, error = STR("");
    pid_t pid = -1;
    int port;

    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    if (argc > 2) {
        server = str_of(argv[2]);
    } else {
        pid = server_start(&port);
        server = arena_printf(a, "127.0.0.1:%d", port);
    }
    settings.servers = &server;
    ares_library_init(ARES_LIB_INIT_ALL);
    if (!dns_start(&settings, &error, a)) {
        fprintf(stderr, STR_FMT "\n", STR_ARG(error));
        return 1;
    }
    fill_cache();
    printf("cache_per_s %.0f\n", per_second(ask_cached));
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = bare_per_second(server.p);
        ours[i] = per_second(ask_fresh);
        share[i] = ours[i] / bare[i];
    }
    printf("network_per_s %.0f\n", median(ours));
    printf("bare_per_s %.0f\n", median(bare));
    printf("network_share %.2f\n", median(share));
    dns_stop();
    arena_free(&a);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return 0;
}
