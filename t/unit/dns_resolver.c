/* dns_resolver.c - the resolver against servers of this very process that lose, refuse, truncate, lie and die.
 *
 * What a server does with a question is written in its first label: ok, drop1 (the first packet is lost), drop9 (all
 * are), servfail, refused, garbage, other (answers another question), wrongid, cut
 * (truncated: the rest over TCP), empty.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/base/waiting.h"
#include "../../milter/dns/dns.h"
#include "../../milter/dns/packet.h"
#include "../../milter/dns/resolver.h"
#include "../../milter/dns/servers.h"
#include "../lib/tap.h"

#define TIMEOUT 600 /* so a lost packet costs 150 ms */

struct fake {
    int udp, tcp, port;
    struct str text;      /* "127.0.0.1:PORT" */
    unsigned number;      /* the last octet of its addresses */
    atomic_bool dead;     /* takes questions and says nothing */
    atomic_bool fails;    /* SERVFAIL to everything */
    atomic_bool no_edns;  /* FORMERR to what has EDNS */
    atomic_bool no_tcp;
    atomic_bool stop;
    atomic_uint probes;   /* questions for the root */
    pthread_t thread;
    unsigned seen[64];    /* packets per drop-name, by its last letter */
};

static struct arena *arena;
static struct fake one = {.number = 1}, two = {.number = 2};

/* ---- the servers ---- */

static struct str first_label(struct str name)
{
    return str_slice(name, 0, str_find(name, '.'));
}

/* question_of - the name that is asked, lower-case; the type; false for what is no question. */
static bool question_of(const uint8_t *p, size_t n, char name[256], size_t *name_n, unsigned *type)
{
    size_t at = 12, to = 0;

    while (at < n && p[at] != 0 && p[at] < 64 && at + p[at] + 1 < n && to + p[at] + 1 < 255) {
        if (to)
            name[to++] = '.';
        memcpy(name + to, p + at + 1, p[at]);
        to += p[at];
        at += p[at] + 1u;
    }
    *name_n = to;
    if (at + 5 > n || p[at] != 0)
        return false;
    *type = (unsigned)p[at + 1] << 8 | p[at + 2];
    return true;
}

/* reply - what is sent back; 0: nothing. */
static size_t reply(struct fake *f, const uint8_t *question, size_t n, bool tcp, uint8_t out[DNS_PACKET_MOST])
{
    struct dns_record records[2] = {{.ip = {.b = {[10] = 0xff, [11] = 0xff, 192, 0, 2}, .known = true}}};
    struct dns_answer answer = {.status = DNS_OK, .why = "", .records = records, .count = 1, .ttl = 60};
    struct arena *a = arena_new(0);
    struct str label, packet, name;
    char text[256];
    unsigned type;
    size_t size = 0;

    if (!question_of(question, n, text, &name.n, &type) || atomic_load(&f->dead)) {
        arena_free(&a);
        return 0;
    }
    name.p = text;
    if (name.n == 0)
        atomic_fetch_add(&f->probes, 1);
    label = first_label(name);
    records[0].ip.b[15] = (uint8_t)f->number;
    records[0].text = tcp ? STR("over tcp") : STR("over udp");
    if (str_starts(label, STR("servfail")) || atomic_load(&f->fails))
        answer.status = DNS_FAIL;
    if (str_starts(label, STR("empty")))
        answer.status = DNS_NXDOMAIN;
    packet = packet_write(a, str_starts(label, STR("other")) ? STR("else.test") : name,
                          (enum dns_type)type, &answer);
    if (packet.n) {
        size = packet.n;
        memcpy(out, packet.p, size);
        out[0] = question[0];
        out[1] = question[1];
    }
    if (str_starts(label, STR("drop")) && label.p[4] - '0' > (int)f->seen[label.p[label.n - 1] & 63]++)
        size = 0;
    if (str_starts(label, STR("refused")))
        out[3] = (uint8_t)((out[3] & 0xf0) | 5);
    if (str_starts(label, STR("wrongid")))
        out[1] ^= 1;
    if (str_starts(label, STR("garbage")))
        out[7] = 77; /* records that are not there */
    if (str_starts(label, STR("cut")) && !tcp)
        out[2] |= 2;
    if (atomic_load(&f->no_edns) && question[11] != 0)
        out[3] = (uint8_t)((out[3] & 0xf0) | 1);
    arena_free(&a);
    return size;
}

static void serve_tcp(struct fake *f)
{
    static __thread uint8_t in[DNS_PACKET_MOST], out[DNS_PACKET_MOST + 2];
    int fd = accept4(f->tcp, NULL, NULL, SOCK_CLOEXEC);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    size_t have = 0, n;

    while (fd >= 0 && !atomic_load(&f->no_tcp) && poll(&wait, 1, 1000) == 1) {
        ssize_t got = recv(fd, in + have, sizeof in - have, 0);

        if (got <= 0)
            break;
        have += (size_t)got;
        while (have >= 2 && have >= 2u + ((size_t)in[0] << 8 | in[1])) {
            size_t size = (size_t)in[0] << 8 | in[1];

            n = reply(f, in + 2, size, true, out + 2);
            out[0] = (uint8_t)(n >> 8);
            out[1] = (uint8_t)n;
            if (n && send(fd, out, n + 2, MSG_NOSIGNAL) < 0)
                break;
            have -= size + 2;
            memmove(in, in + size + 2, have);
        }
    }
    if (fd >= 0)
        close(fd);
}

static void *serve(void *fake)
{
    static __thread uint8_t in[DNS_PACKET_MOST], out[DNS_PACKET_MOST];
    struct fake *f = fake;
    struct pollfd wait[2] = {{.fd = f->udp, .events = POLLIN}, {.fd = f->tcp, .events = POLLIN}};

    while (!atomic_load(&f->stop)) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t got;
        size_t n;

        if (poll(wait, 2, 20) <= 0)
            continue;
        if (wait[1].revents)
            serve_tcp(f);
        got = recvfrom(f->udp, in, sizeof in, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
        if (got < 12)
            continue;
        n = reply(f, in, (size_t)got, false, out);
        if (n)
            sendto(f->udp, out, n, 0, (struct sockaddr *)&from, size);
    }
    return NULL;
}

/* fake_start - both sockets on one free port. */
static void fake_start(struct fake *f)
{
    for (int tries = 0; tries < 100; tries++) {
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof sa;

        f->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        f->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(f->udp, (struct sockaddr *)&sa, sizeof sa) == 0
            && getsockname(f->udp, (struct sockaddr *)&sa, &size) == 0 && ntohs(sa.sin_port) > 2000
            && bind(f->tcp, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(f->tcp, 5) == 0) {
            f->port = ntohs(sa.sin_port);
            f->text = arena_printf(arena, "127.0.0.1:%d", f->port);
            pthread_create(&f->thread, NULL, serve, f);
            return;
        }
        close(f->udp);
        close(f->tcp);
    }
    bail("no free port");
}

static void fake_stop(struct fake *f)
{
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    close(f->udp);
    close(f->tcp);
}

/* ---- asking ---- */

static struct dns_settings settings_of(const struct str *servers, size_t count)
{
    return (struct dns_settings){.servers = servers, .server_count = count, .timeout_ms = TIMEOUT,
                                 .cache_entries = 1000};
}

/* begin - a new resolver with these servers. */
static void begin(struct fake *first, struct fake *second)
{
    struct str servers[] = {first->text, second ? second->text : STR("")}, error = STR("");
    struct dns_settings settings = settings_of(servers, second ? 2 : 1);

    if (!dns_start(&settings, &error, arena))
        bail(STR_FMT, STR_ARG(error));
}

static struct dns_question *ask(const char *name)
{
    return dns_ask(arena, NULL, str_of(name), DNS_A);
}

static struct str told(struct dns_question *q)
{
    const struct dns_answer *answer = dns_harvest(q, clock_ms() + 60000);
    static const char *const words[] = {"OK", "NODATA", "NXDOMAIN", "FAIL"};

    if (answer->status == DNS_OK && answer->records[0].ip.known)
        return arena_printf(arena, "OK %d", answer->records[0].ip.b[15]);
    return arena_printf(arena, "%s%s%s", words[answer->status], answer->why[0] ? " " : "", answer->why);
}

static uint64_t packets(void)
{
    struct dns_counters c;

    dns_count(&c);
    return c.sent;
}

static void test_simple(void)
{
    struct dns_question *q[4];
    struct dns_counters before, after;
    uint64_t had;

    begin(&one, NULL);
    dns_count(&before);
    is_str(told(ask("ok.test")), STR("OK 1"), "a question is answered");
    had = packets();
    is_str(told(ask("OK.Test.")), STR("OK 1"), "and again");
    is_long((long long)(packets() - had), 0, "from the cache");
    is_long(dns_harvest(ask("ok.test"), 0)->took_ms, 0, "in no time");
    for (int i = 0; i < 4; i++)
        q[i] = ask("drop1a.test");
    for (int i = 0; i < 4; i++)
        is_str(told(q[i]), STR("OK 1"), "one of four who ask the same");
    is_long((long long)(packets() - had), 2, "one question, of which one packet was lost");
    ok(dns_harvest(q[0], 0)->took_ms >= TIMEOUT / 4 && dns_harvest(q[0], 0)->took_ms < TIMEOUT,
       "it took %lld ms", (long long)dns_harvest(q[0], 0)->took_ms);
    dns_count(&after);
    is_long((long long)(after.merged - before.merged), 3, "three were merged");
    is_long((long long)(after.cached - before.cached), 2, "two came from the cache");
    is_str(told(ask("empty.test")), STR("NXDOMAIN"), "a name that does not exist");
    had = packets();
    is_str(told(ask("empty.test")), STR("NXDOMAIN"), "is remembered too");
    is_str(told(ask("refused.test")), STR("FAIL refused"), "REFUSED");
    is_str(told(ask("servfail.test")), STR("FAIL servfail"), "SERVFAIL");
    is_str(told(ask("servfail.test")), STR("FAIL servfail"), "again");
    is_long((long long)(packets() - had), 2, "without asking");
    had = packets();
    is_str(told(ask("garbage.test")), STR("FAIL malformed"), "garbage");
    is_long((long long)(packets() - had), 2, "is asked for once more");
    is_str(told(ask("other.test")), STR("FAIL timeout"), "an answer to another question is none");
    is_str(told(ask("wrongid.test")), STR("FAIL timeout"), "nor is one with another number");
    is_str(told(ask("\xe4_\x01\\.o\\.test")), STR("OK 1"), "8-bit bytes and backslashes are asked as they are");
    dns_stop();
    is_str(told(ask("ok.test")), STR("FAIL no server"), "after the end nobody answers");
}

/* A PTR is followed by the addresses of its names, before anybody asks. */
static void test_follow(void)
{
    uint64_t had;
    struct ip ip;
    int64_t end = clock_ms() + 10000;

    begin(&one, NULL);
    had = packets();
    ip_parse(STR("192.0.2.99"), &ip);
    is_str(dns_harvest(dns_ask_ptr(arena, NULL, ip), end)->records[0].text, STR("over udp"), "a client's name");
    while (packets() < had + 2 && clock_ms() < end)
        poll(NULL, 0, 5);
    is_long((long long)(packets() - had), 2, "its address is asked for at once");
    is_str(told(ask("over udp")), STR("OK 1"), "and there when somebody wants it");
    is_long((long long)(packets() - had), 2, "without another question");
    dns_stop();
}

static void test_deadlines(void)
{
    struct dns_question *q;
    int64_t start;

    begin(&one, NULL);
    q = ask("drop9b.test");
    start = clock_ms();
    is_str(str_of(dns_harvest(q, start + 50)->why), STR("timeout"), "a deadline is the waiter's");
    ok(clock_ms() - start >= 50 && clock_ms() - start < TIMEOUT, "and kept");
    is_str(str_of(dns_harvest(q, start + 5000)->why), STR("timeout"), "what was given up stays so");
    ok(clock_ms() - start < TIMEOUT, "at once");
    q = ask("drop9c.test");
    start = clock_ms();
    is_str(told(q), STR("FAIL timeout"), "no answer at all");
    ok(clock_ms() - start >= TIMEOUT - 5 && clock_ms() - start < 4 * TIMEOUT, "is given up in time (%lld ms)",
       (long long)(clock_ms() - start));
    is_long(waiting_now(), 0, "nobody waits any more");
    q = ask("drop1d.test");
    dns_harvest(q, 0);
    q = ask("drop1d.test");
    is_str(told(q), STR("OK 1"), "an answer after one's deadline is there for the next");
    dns_stop();
}

static void test_other_server(void)
{
    int64_t start;
    uint64_t had;

    begin(&one, &two);
    atomic_store(&one.fails, true);
    is_str(told(ask("ok1.test")), STR("OK 2"), "SERVFAIL: the other server is asked");
    is_str(told(ask("servfail1.test")), STR("FAIL servfail"), "unless it says so too");
    atomic_store(&one.fails, false);
    is_str(told(ask("ok2.test")), STR("OK 1"), "the first one is asked first");
    atomic_store(&one.dead, true);
    start = clock_ms();
    is_str(told(ask("ok3.test")), STR("OK 2"), "it dies: the other one answers");
    ok(clock_ms() - start >= TIMEOUT / 4 - 5 && clock_ms() - start < TIMEOUT, "after a quarter of that (%lld ms)",
       (long long)(clock_ms() - start));
    start = clock_ms();
    had = packets();
    for (int i = 0; i < 50; i++)
        if (!str_is(told(ask(arena_printf(arena, "ok%d.dead.test", i).p)), STR("OK 2")))
            break;
    ok(clock_ms() - start < TIMEOUT, "that is paid once: 50 questions took %lld ms", (long long)(clock_ms() - start));
    ok(packets() - had <= 52, "with %llu packets", (unsigned long long)(packets() - had));
    atomic_store(&one.dead, false);
    dns_stop();
}

/* until - poll with a deadline. */
static bool until(const char *name, const char *want, int64_t ms)
{
    int64_t end = clock_ms() + ms;
    unsigned n = 0;

    do {
        if (str_is(told(ask(arena_printf(arena, "ok%u.%s", n++, name).p)), str_of(want)))
            return true;
        poll(NULL, 0, 10);
    } while (clock_ms() < end);
    return false;
}

static void test_all_dead(void)
{
    struct dns_question *q[12];
    int64_t start, end;
    uint64_t had;
    unsigned at_once = 0, asked = 0;

    begin(&one, &two);
    atomic_store(&one.dead, true);
    atomic_store(&two.dead, true);
    for (int i = 0; i < 12; i++)
        q[i] = ask(arena_printf(arena, "ok%d.all.test", i).p);
    start = clock_ms();
    for (int i = 0; i < 12; i++)
        is_str(told(q[i]), STR("FAIL timeout"), "all servers are dead: question %d", i);
    ok(clock_ms() - start < 3 * TIMEOUT, "twelve cost one time-out (%lld ms)", (long long)(clock_ms() - start));
    ok(until("all2.test", "FAIL no server", 10000), "then there is no server");
    had = packets();
    start = clock_ms();
    for (end = start + 300; clock_ms() < end; asked++) {
        int64_t before = clock_ms();

        told(ask(arena_printf(arena, "ok%u.all3.test", asked).p));
        at_once += clock_ms() - before < TIMEOUT / 8;
        poll(NULL, 0, 2);
    }
    ok(asked >= 5 && at_once >= asked - 1, "%u of %u questions fail at once", at_once, asked);
    ok(packets() - had <= 4, "with %llu packets", (unsigned long long)(packets() - had));
    atomic_store(&two.dead, false);
    ok(until("all4.test", "OK 2", 10000), "one comes back");
    is_str(told(ask("ok.all5.test")), STR("OK 2"), "and is used");
    dns_stop();
    atomic_store(&one.dead, false);
}

/* Broken zones that strangers make us ask about must not make the only server look dead. */
static void test_broken_zones(void)
{
    struct dns_question *q[20];

    begin(&one, NULL);
    for (int i = 0; i < 20; i++)
        q[i] = ask(arena_printf(arena, "drop9e.broken%d.test", i).p);
    for (int i = 0; i < 20; i++)
        told(q[i]);
    poll(NULL, 0, TIMEOUT); /* until c-ares has given up its last attempts too */
    is_str(told(ask("ok.alive.test")), STR("OK 1"), "after 20 questions without answer it is alive");
    ok(atomic_load(&one.probes) > 0, "because it answered a probe");
    dns_stop();
}

static void test_tcp(void)
{
    const struct dns_answer *answer;
    struct dns_question *q[5];

    begin(&one, &two);
    answer = dns_harvest(dns_ask(arena, NULL, STR("cut.test"), DNS_TXT), clock_ms() + 60000);
    is_str(answer->count ? answer->records[0].text : STR("nothing"), STR("over tcp"),
           "what is cut off is asked over TCP");
    atomic_store(&one.no_tcp, true);
    atomic_store(&two.no_tcp, true);
    for (int i = 0; i < 5; i++)
        q[i] = ask(arena_printf(arena, "cut.no%d.test", i).p);
    is_str(told(ask("ok.beside.test")), STR("OK 1"), "others are answered meanwhile");
    for (int i = 0; i < 5; i++)
        is_long(dns_harvest(q[i], clock_ms() + 60000)->status, DNS_FAIL, "without TCP there is no answer");
    is_str(told(ask("ok.behind.test")), STR("OK 1"), "and the server is not dead");
    atomic_store(&one.no_tcp, false);
    atomic_store(&two.no_tcp, false);
    dns_stop();
}

static void test_no_edns(void)
{
    begin(&one, NULL);
    atomic_store(&one.no_edns, true);
    is_str(told(ask("ok.old.test")), STR("OK 1"), "a server without EDNS answers");
    is_str(told(ask("ok2.old.test")), STR("OK 1"), "and again");
    is_str(told(ask("ok3.old.test")), STR("OK 1"), "and again");
    atomic_store(&one.no_edns, false);
    dns_stop();
}

static void test_closed_port(void)
{
    struct fake nobody = two;
    int64_t start = clock_ms();

    fake_stop(&two);
    begin(&nobody, &one);
    is_str(told(ask("ok.closed.test")), STR("OK 1"), "where nobody listens the next one is asked");
    ok(clock_ms() - start < TIMEOUT, "soon (%lld ms)", (long long)(clock_ms() - start));
    dns_stop();
    begin(&nobody, NULL);
    ok(until("closed2.test", "FAIL no server", 10000), "nobody anywhere: there is no server");
    dns_stop();
    two = (struct fake){.number = 2};
    fake_start(&two);
}

static void *stop_soon(void *unused)
{
    poll(NULL, 0, 30);
    dns_stop();
    return unused;
}

static void test_stop(void)
{
    struct dns_question *q;
    pthread_t thread;

    begin(&one, NULL);
    q = ask("drop9f.test");
    pthread_create(&thread, NULL, stop_soon, NULL);
    is_str(told(q), STR("FAIL no server"), "at the end all who wait are woken");
    pthread_join(thread, NULL);
}

static void test_limits(void)
{
    struct arena *many = arena_new(0);
    struct dns_question *q = NULL;
    struct dns_counters c;
    unsigned refused = 0;

    begin(&one, NULL);
    atomic_store(&one.dead, true);
    for (unsigned i = 0; i < DNS_IN_FLIGHT_MOST + 100; i++) {
        q = dns_ask(many, NULL, arena_printf(many, "ok%u.limit.test", i), DNS_A);
        refused += dns_is_done(q) && str_is(str_of(dns_harvest(q, 0)->why), STR("too many questions"));
    }
    ok(refused >= 100 && refused < 5000, "too many questions in flight: %u fail", refused);
    arena_free(&many); /* nobody waits for any of them */
    dns_count(&c);
    ok(c.entries <= 1008, "and the cache holds %zu", c.entries);
    dns_stop();
    atomic_store(&one.dead, false);
}

/* ---- everything at once ---- */

#define THREADS 200

static atomic_uint harvested, right, mistakes;
static atomic_bool over;

static void *session(void *number)
{
    static const char *const kinds[] = {"ok", "ok", "ok", "empty", "servfail", "drop1", "cut", "garbage", "ok"};
    unsigned seed = (unsigned)(uintptr_t)number * 2654435761u + 7;
    struct arena *message = arena_new(0);

    while (!atomic_load(&over)) {
        struct dns_question *q[12];

        for (unsigned i = 0; i < 12; i++) {
            seed = seed * 1664525u + 1013904223u;
            q[i] = dns_ask(message, NULL,
                           arena_printf(message, "%s%u.stress.test", kinds[(seed >> 8) % 9], (seed >> 16) % 40), DNS_A);
        }
        for (unsigned i = 0; i < 12; i++) {
            const struct dns_answer *answer;

            seed = seed * 1664525u + 1013904223u;
            if ((seed >> 16) % 4 == 0)
                continue; /* abandoned */
            answer = dns_harvest(q[i], clock_ms() + (seed >> 16) % 50);
            atomic_fetch_add(&harvested, 1);
            if (answer->status == DNS_OK && (answer->count != 1 || answer->records[0].ip.b[12] != 192))
                atomic_fetch_add(&mistakes, 1);
            if (answer->status != DNS_FAIL && str_starts(dns_name(q[i]), STR("servfail")))
                atomic_fetch_add(&mistakes, 1);
            atomic_fetch_add(&right, answer->status == DNS_OK);
        }
        arena_reset(message);
    }
    arena_free(&message);
    return NULL;
}

static void test_stress(void)
{
    struct str servers[] = {one.text, two.text}, swapped[] = {two.text, one.text}, error;
    struct dns_settings settings = settings_of(servers, 2);
    pthread_t threads[THREADS];
    int64_t end;

    begin(&one, &two);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, session, (void *)i);
    end = clock_ms() + 2000;
    for (unsigned i = 0; clock_ms() < end; i++) {
        settings.servers = i % 2 ? servers : swapped;
        settings.server_count = 1 + i % 3 / 2;
        settings.cache_entries = i % 5 * 10;
        if (!dns_configure(&settings, &error, arena))
            bail(STR_FMT, STR_ARG(error));
        poll(NULL, 0, 20);
    }
    settings = settings_of(servers, 2);
    dns_configure(&settings, &error, arena);
    atomic_store(&over, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    is_long(atomic_load(&mistakes), 0, "%d sessions, servers changing: no answer is another's", THREADS);
    ok(atomic_load(&right) > 1000, "%u of %u answers were good", atomic_load(&right), atomic_load(&harvested));
    ok(until("after.test", "OK 1", 10000), "and it goes on");
    dns_stop();
}

/* ---- whom to ask ---- */

static void test_servers(void)
{
    static const struct {
        const char *text, *shown; /* NULL: none */
    } rows[] = {
        {"192.0.2.1", "192.0.2.1:53"}, {"127.0.0.1:5353", "127.0.0.1:5353"}, {"[2001:db8::1]:54", "[2001:db8::1]:54"},
        {"2001:db8::1", "[2001:db8::1]:53"}, {"[::1]", "[::1]:53"}, {"", NULL}, {"localhost", NULL},
        {"192.0.2.1:", NULL}, {"192.0.2.1:0", NULL}, {"192.0.2.1:65536", NULL}, {"192.0.2.1:-1", NULL},
        {"192.0.2.1:x", NULL}, {"[192.0.2.1]:53", NULL}, {"[::1", NULL}, {"[::1]x", NULL}, {"::1:53:", NULL},
        {"IPv6:::1", NULL}, {"192.0.2.1 ", NULL}, {"fe80::1%lo", NULL},
    };
    struct dns_settings none = {.server_count = 0};
    struct str many[9], error;
    struct dns_settings nine = {.servers = many, .server_count = 9};
    struct server servers[DNS_SERVERS_MOST];
    char path[] = "/tmp/sme-resolv-XXXXXX";
    size_t count;
    FILE *f;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool valid = server_parse(str_of(rows[i].text), &servers[0]);

        ok(valid == (rows[i].shown != NULL), "'%s' is %s server", rows[i].text, rows[i].shown ? "a" : "no");
        ok(valid == dns_server_valid(str_of(rows[i].text)), "and a configuration hears the same");
        if (valid)
            is_str(server_text(arena, &servers[0]), str_of(rows[i].shown), "which it is");
    }
    for (size_t i = 0; i < 9; i++)
        many[i] = STR("192.0.2.1");
    ok(!servers_find(&nine, servers, &count, &error, arena), "nine are too many");
    nine.server_count = 1;
    many[0] = STR("x\n");
    ok(!servers_find(&nine, servers, &count, &error, arena), "a wrong one is refused");
    is_str(error, STR("\"x\\x0a\" is no name server: an IP address, maybe with a port"), "by its name");

    f = fdopen(mkstemp(path), "w");
    if (!f)
        bail("%s cannot be written", path);
    fputs("# nameserver 192.0.2.9\nsearch a.test\nnameserver 192.0.2.1 \nnameserver\t2001:db8::1\nnameserver x\n"
          "nameserver fe80::1%eth0\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
          f);
    fclose(f);
    servers_resolv_conf(path);
    ok(servers_find(&none, servers, &count, &error, arena) && count == 3, "resolv.conf: the first three");
    is_str(server_text(arena, &servers[1]), STR("[2001:db8::1]:53"), "the second");
    is_str(server_text(arena, &servers[2]), STR("192.0.2.3:53"), "the third");
    unlink(path);
    ok(servers_find(&none, servers, &count, &error, arena) && count == 1, "no resolv.conf: one");
    is_str(server_text(arena, &servers[0]), STR("127.0.0.1:53"), "this host");
    servers_resolv_conf(NULL);
}

static void say_nothing(int level, struct str line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

int main(void)
{
    arena = arena_new(0);
    log_capture(say_nothing, NULL);
    test_servers();
    fake_start(&one);
    fake_start(&two);
    test_simple();
    test_follow();
    test_deadlines();
    test_other_server();
    test_all_dead();
    test_broken_zones();
    test_tcp();
    test_no_edns();
    test_closed_port();
    test_stop();
    test_limits();
    test_stress();
    fake_stop(&one);
    fake_stop(&two);
    arena_free(&arena);
    return tap_end();
}
