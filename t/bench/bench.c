/* bench.c - load on a milter, as Postfix would make it: messages/s, CPU, memory, and how it waits.
 *
 *   bench load -s SOCKET -p PID [-n SESSIONS] [-m MESSAGES] [-k]    closed loop; -k keeps connections
 *   bench open -s SOCKET -p PID [-n SESSIONS] [-r ROUNDS]           idle sessions after MAIL
 *   bench wait -s SOCKET [-n SESSIONS] [-r ROUNDS]                  all send MAIL at the same instant
 *
 * Prints lines "name value"; exits 1 when a session failed or was refused.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../lib/wire.h"
#include "tree.h"

#define BODY_BYTES 4096
#define KEPT_MESSAGES 100 /* of one kept connection */
#define MACROS_MAX 16
#define NOISE_KB 512      /* of memory, when waiting for it to return */

static struct {
    const char *socket;
    pid_t pid;
    long sessions, messages, rounds;
    bool keep;
} options = {.sessions = 50, .messages = 20000, .rounds = 5};

static char body[BODY_BYTES];
static char date[64];

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void make_message(void)
{
    time_t now = time(NULL);
    struct tm tm;

    for (size_t i = 0; i < sizeof body; i++)
        body[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i % 26);
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
}

/* One client: what Postfix knows of it and of the message it sends. */
struct client {
    struct wire wire;
    char address[32], port[8], who[64], queue_id[24], message_id[64];
};

static void client_init(struct client *c, long number)
{
    memset(c, 0, sizeof *c);
    c->wire.fd = -1;
    c->wire.timeout_ms = 60000;
    snprintf(c->address, sizeof c->address, "198.51.%ld.%ld", 100 + number / 250 % 100, 1 + number % 250);
    snprintf(c->port, sizeof c->port, "%ld", 20000 + number % 40000);
    snprintf(c->who, sizeof c->who, "mail.example.net [%s]", c->address);
}

/* send_macros - those of the pairs that the filter asked for; like Postfix, nothing at all when there are none. */
static void send_macros(struct wire *w, char command, const char *const *pairs)
{
    const char *asked[2 * MACROS_MAX + 1];
    size_t n = 0;

    for (; *pairs != NULL && n < 2 * MACROS_MAX; pairs += 2) {
        if (pairs[1][0] == '\0' || !wire_asks(w, command, pairs[0]))
            continue;
        asked[n++] = pairs[0];
        asked[n++] = pairs[1];
    }
    asked[n] = NULL;
    if (n > 0)
        wire_macros(w, command, asked);
}

static bool goes_on(int answer)
{
    return answer == WIRE_CONTINUE || answer == WIRE_NONE || answer == WIRE_ACCEPT;
}

static bool client_greet(struct client *c)
{
    const char *const macros[] = {
        "_", c->who, "j", "mx.example.org", "v", "Postfix 3.7.11", "{daemon_name}", "mx.example.org",
        "{daemon_addr}", "192.0.2.25", "{daemon_port}", "25", "{client_addr}", c->address, "{client_port}", c->port,
        "{client_name}", "mail.example.net", "{client_ptr}", "mail.example.net", "{client_resolve}", "OK",
        "{client_connections}", "1", NULL,
    };

    if (!wire_open(&c->wire, options.socket))
        return false;
    send_macros(&c->wire, 'C', macros);
    return goes_on(wire_connect(&c->wire, "mail.example.net", c->address, (unsigned)strtoul(c->port, NULL, 10)))
           && goes_on(wire_helo(&c->wire, "mail.example.net"));
}

static void queue_mail_macros(struct client *c)
{
    send_macros(&c->wire, 'M', (const char *const[]){"{mail_addr}", "sender@example.net", "{mail_host}", "example.net",
                                                     "{mail_mailer}", "smtp", NULL});
}

static int client_mail(struct client *c)
{
    queue_mail_macros(c);
    return wire_mail(&c->wire, (const char *const[]){"<sender@example.net>", "SIZE=4800", "BODY=8BITMIME", NULL});
}

static bool client_headers(struct client *c)
{
    const char *const headers[][2] = {
        {"Received", " from client.example.net (client.example.net [203.0.113.9])\n\tby mail.example.net (Postfix)"
                     " with ESMTPSA id 4T0000000z;\n\tMon, 1 Jan 2024 00:00:00 +0000 (UTC)"},
        {"From", " Some Sender <sender@example.net>"},
        {"To", " A Reader <reader@example.org>"},
        {"Subject", " a message of four thousand and ninety-six bytes"},
        {"Date", date},
        {"Message-ID", c->message_id},
        {"MIME-Version", " 1.0"},
        {"Content-Type", " text/plain; charset=utf-8"},
        {"Content-Transfer-Encoding", " 7bit"},
        {"User-Agent", " bench/1"},
    };

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (!goes_on(wire_header(&c->wire, headers[i][0], headers[i][1])))
            return false;
    return true;
}

static bool client_message(struct client *c, long number)
{
    const char *const id[] = {"i", c->queue_id, NULL};
    struct wire *w = &c->wire;

    snprintf(c->queue_id, sizeof c->queue_id, "4T%08lXz", (unsigned long)number);
    snprintf(c->message_id, sizeof c->message_id, " <%ld.%d@example.net>", number, (int)getpid());
    if (!goes_on(client_mail(c)))
        return false;
    send_macros(w, 'R', (const char *const[]){"{rcpt_addr}", "reader@example.org", "{rcpt_host}", "example.org",
                                              "{rcpt_mailer}", "virtual", NULL});
    if (!goes_on(wire_rcpt(w, (const char *const[]){"<reader@example.org>", NULL})))
        return false;
    send_macros(w, 'T', id);
    if (!goes_on(wire_data(w)) || !client_headers(c))
        return false;
    send_macros(w, 'N', id);
    if (!goes_on(wire_eoh(w)))
        return false;
    send_macros(w, 'E', id);
    return goes_on(wire_body(w, body, sizeof body)) && goes_on(wire_eom(w));
}

/* client_quit - as Postfix's smtpd ends a session: ABORT and QUIT in one go. */
static void client_quit(struct client *c)
{
    wire_queue(&c->wire, 'A', NULL, 0);
    wire_close(&c->wire);
}

/* load */

struct worker {
    pthread_t thread;
    long number;
    float *ms; /* latency of each message */
    size_t count, max;
    long bad;
};

static atomic_long left;
static pthread_barrier_t start;

static void worker_note(struct worker *w, double ms)
{
    if (w->count == w->max) {
        w->max = w->max * 2 + 256;
        w->ms = realloc(w->ms, w->max * sizeof *w->ms);
        if (w->ms == NULL)
            fail("out of memory");
    }
    w->ms[w->count++] = (float)ms;
}

static void *worker_run(void *argument)
{
    struct worker *w = argument;
    bool open = false;
    long sent = 0, number;
    struct client c;

    client_init(&c, w->number);
    pthread_barrier_wait(&start);
    while ((number = atomic_fetch_sub(&left, 1)) > 0) {
        double began = now_ms();
        bool ok = (open || client_greet(&c)) && client_message(&c, number);

        open = true;
        if (ok)
            worker_note(w, now_ms() - began);
        else
            w->bad++;
        if (!ok || !options.keep || ++sent % KEPT_MESSAGES == 0) {
            if (!ok && w->bad == 1)
                fprintf(stderr, "bench: refused or failed: %s\n", c.wire.reply[0] ? c.wire.reply : strerror(errno));
            client_quit(&c);
            open = false;
        }
    }
    if (open)
        client_quit(&c);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* settled_cpu - CPU of the tree once it has stopped working. */
static double settled_cpu(void)
{
    double before = tree_cpu(options.pid), deadline = now_ms() + 3000;

    for (;;) {
        double now;

        pause_ms(60);
        now = tree_cpu(options.pid);
        if (now < 0)
            fail("the filter is gone");
        if (now <= before || now_ms() > deadline)
            return now;
        before = now;
    }
}

static double own_cpu(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec)
           + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void load_report(struct worker *workers, double seconds, double cpu_s, double own_s)
{
    size_t count = 0, filled = 0;
    long bad = 0;
    float *ms;

    for (long i = 0; i < options.sessions; i++) {
        count += workers[i].count;
        bad += workers[i].bad;
    }
    ms = calloc(count + 1, sizeof *ms);
    if (ms == NULL)
        fail("out of memory");
    for (long i = 0; i < options.sessions; i++) {
        if (workers[i].count > 0)
            memcpy(ms + filled, workers[i].ms, workers[i].count * sizeof *ms);
        filled += workers[i].count;
        free(workers[i].ms);
    }
    qsort(ms, count, sizeof *ms, by_size);
    printf("messages %zu\nbad %ld\nseconds %.3f\n", count, bad, seconds);
    if (count > 0)
        printf("messages_per_s %.1f\ncpu_s %.2f\ncpu_ms_per_message %.4f\nclient_cpu_ms_per_message %.4f\n"
               "p50_ms %.3f\np95_ms %.3f\np99_ms %.3f\n",
               (double)count / seconds, cpu_s, cpu_s * 1e3 / (double)count, own_s * 1e3 / (double)count,
               (double)ms[count / 2], (double)ms[count * 95 / 100], (double)ms[count * 99 / 100]);
    free(ms);
    if (bad > 0 || count == 0)
        fail("messages were refused, or sessions failed: these figures are none");
}

static void bench_load(void)
{
    struct worker *workers = calloc((size_t)options.sessions, sizeof *workers);
    double cpu, own, began, seconds;

    if (workers == NULL)
        fail("out of memory");
    atomic_store(&left, options.messages);
    pthread_barrier_init(&start, NULL, (unsigned)options.sessions + 1);
    for (long i = 0; i < options.sessions; i++) {
        workers[i].number = i;
        if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0)
            fail("no thread");
    }
    cpu = settled_cpu();
    own = own_cpu();
    began = now_ms();
    pthread_barrier_wait(&start);
    for (long i = 0; i < options.sessions; i++)
        pthread_join(workers[i].thread, NULL);
    seconds = (now_ms() - began) / 1e3;
    own = own_cpu() - own;
    cpu = settled_cpu() - cpu;
    load_report(workers, seconds, cpu, own);
    free(workers);
}

/* open */

static void open_sessions(struct client *clients)
{
    for (long i = 0; i < options.sessions; i++) {
        client_init(&clients[i], i);
        if (!client_greet(&clients[i]) || !goes_on(client_mail(&clients[i]))) {
            fprintf(stderr, "bench: session %ld: %s\n", i + 1,
                    clients[i].wire.reply[0] ? clients[i].wire.reply : strerror(errno));
            exit(1);
        }
    }
}

/* after_close - what is left once the filter has noticed and tidied up: as soon as it has no more descriptors than
 * before and about as much memory, or (with `patience`) after 25 s. */
static struct tree_use after_close(const struct tree_use *before, bool patience)
{
    double deadline = now_ms() + (patience ? 25000 : 5000);
    struct tree_use use;

    for (;;) {
        if (!tree_read(options.pid, &use))
            fail("the filter is gone");
        if (use.files <= before->files && (!patience || use.private_kb <= before->private_kb + NOISE_KB))
            return use;
        if (now_ms() > deadline)
            return use;
        pause_ms(200);
    }
}

static void print_use(const char *when, const struct tree_use *use)
{
    printf("%s_private_kb %lu\n%s_files %u\n%s_threads %u\n%s_processes %u\n", when, use->private_kb, when, use->files,
           when, use->threads, when, use->processes);
}

/* bench_open - `first`: what the first crowd leaves behind, pages the allocator keeps for the next one. From `middle`,
 * after a third of the rounds, to `last` nothing should grow: what does is lost. */
static void bench_open(void)
{
    struct client *clients = calloc((size_t)options.sessions, sizeof *clients);
    struct tree_use before, during, after;
    long middle = (options.rounds + 2) / 3;

    if (clients == NULL)
        fail("out of memory");
    for (int i = 0; i < 20; i++) { /* what is set up once, by the first session, is no session's */
        client_init(clients, i);
        if (!client_greet(clients) || !client_message(clients, i))
            fail("a plain message was refused");
        client_quit(clients);
    }
    settled_cpu();
    if (!tree_read(options.pid, &before))
        fail("no such filter process");
    print_use("before", &before);
    for (long round = 0; round < options.rounds; round++) {
        open_sessions(clients);
        settled_cpu();
        if (!tree_read(options.pid, &during))
            fail("the filter is gone");
        if (round == 0)
            print_use("during", &during);
        for (long i = 0; i < options.sessions; i++)
            client_quit(&clients[i]);
        after = after_close(&before, round + 1 == middle || round + 1 == options.rounds);
        if (round == 0)
            print_use("first", &after);
        if (round + 1 == middle)
            print_use("middle", &after);
    }
    print_use("last", &after);
    free(clients);
}

/* wait */

/* together - the first `count` clients send MAIL at once; the time until the slowest answer, in ms. One thread does it
 * all: 50 client threads would measure each other. */
static double together(struct client *clients, struct pollfd *fds, long count)
{
    static const char mail[] = "<sender@example.net>";
    double began = now_ms(), slowest = 0;
    long waiting = count;

    for (long i = 0; i < count; i++) {
        queue_mail_macros(&clients[i]);
        if (!wire_raw(&clients[i].wire, 'M', mail, sizeof mail, -1))
            fail("cannot send MAIL");
        fds[i] = (struct pollfd){.fd = clients[i].wire.fd, .events = POLLIN};
    }
    while (waiting > 0) {
        if (poll(fds, (nfds_t)count, 60000) <= 0)
            fail("no answer to MAIL within 60 s");
        for (long i = 0; i < count; i++) {
            if (fds[i].fd < 0 || fds[i].revents == 0)
                continue;
            slowest = now_ms() - began;
            if (!goes_on(wire_next(&clients[i].wire)))
                fail("MAIL was refused");
            fds[i].fd = -1;
            waiting--;
        }
    }
    for (long i = 0; i < count; i++)
        wire_abort(&clients[i].wire);
    return slowest;
}

static void bench_wait(void)
{
    struct client *clients = calloc((size_t)options.sessions, sizeof *clients);
    struct pollfd *fds = calloc((size_t)options.sessions, sizeof *fds);
    double single = 0, slowest = 0, sum = 0;

    if (clients == NULL || fds == NULL)
        fail("out of memory");
    for (long i = 0; i < options.sessions; i++) {
        client_init(&clients[i], i);
        if (!client_greet(&clients[i]))
            fail("a session was refused");
    }
    for (long round = 0; round < options.rounds; round++) {
        double one = together(clients, fds, 1), all = together(clients, fds, options.sessions);

        if (single == 0 || one < single)
            single = one;
        if (all > slowest)
            slowest = all;
        sum += all;
        printf("round_%ld_ms %.1f\n", round + 1, all);
    }
    printf("single_ms %.1f\nslowest_ms %.1f\nmean_ms %.1f\nratio %.3f\n", single, slowest,
           sum / (double)options.rounds, slowest / single);
    for (long i = 0; i < options.sessions; i++)
        client_quit(&clients[i]);
    free(clients);
    free(fds);
}

static long number_of(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n < 1 || n > 100000000) {
        fprintf(stderr, "bench: %s is no number\n", text);
        exit(64);
    }
    return n;
}

static void usage(void)
{
    fputs("usage: bench load|open|wait -s SOCKET [-p PID] [-n SESSIONS] [-m MESSAGES] [-r ROUNDS] [-k]\n", stderr);
    exit(64);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    struct rlimit files;
    int option;

    for (optind = 2; (option = getopt(argc, argv, "s:p:n:m:r:k")) != -1;) {
        switch (option) {
        case 's': options.socket = optarg; break;
        case 'p': options.pid = (pid_t)number_of(optarg); break;
        case 'n': options.sessions = number_of(optarg); break;
        case 'm': options.messages = number_of(optarg); break;
        case 'r': options.rounds = number_of(optarg); break;
        case 'k': options.keep = true; break;
        default: usage();
        }
    }
    if (options.socket == NULL || optind != argc || (options.pid == 0 && strcmp(mode, "wait") != 0))
        usage();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    make_message();
    if (strcmp(mode, "load") == 0)
        bench_load();
    else if (strcmp(mode, "open") == 0)
        bench_open();
    else if (strcmp(mode, "wait") == 0)
        bench_wait();
    else
        usage();
    return 0;
}
