/* dnsq.c - ask as the daemon asks, for t/e2e/resolver.t: dnsq SERVER,SERVER TIMEOUT_MS [CACHE_ENTRIES] < orders
 *
 *     NAME TYPE      ask; a name may hold \HH (hexadecimal); what is asked up to the next empty line is asked at once
 *     (empty line)   harvest, a line for each in their order, with tabs: name, type, status, why, ms since asked, ttl,
 *                    bytes of the packet, records
 *     !deadline MS   of what is asked from now on; as long as an answer can take by default
 *     !servers LIST  other servers (dns_configure)
 *     !flood N NAME  ask N different names below NAME and harvest: one line "flood", how many OK, failed, ms
 *     !count         one line: asked, cached, merged, sent, answered, failed, timeouts, entries, bytes
 *     !memory        one line: VmRSS and descriptors
 * What an order prints ends with an empty line.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/dns/dns.h"

#define ASKED_MOST 20000

struct asked {
    struct dns_question *question;
    int64_t at;
    bool harvested;
};

static struct arena *arena;
static struct asked *batch;
static size_t batch_count;
static int64_t patience;

static const struct {
    const char *word;
    enum dns_type type;
} types[] = {{"A", DNS_A}, {"AAAA", DNS_AAAA}, {"MX", DNS_MX}, {"TXT", DNS_TXT}, {"PTR", DNS_PTR}, {"NS", DNS_NS}};

static void __attribute__((noreturn)) complain(const char *what, struct str detail)
{
    fprintf(stderr, "dnsq: %s " STR_FMT "\n", what, STR_ARG(detail));
    exit(64);
}

static enum dns_type type_of(struct str word)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (str_is(word, str_of(types[i].word)))
            return types[i].type;
    complain("no such type:", word);
}

static const char *type_word(enum dns_type type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].type == type)
            return types[i].word;
    return "?";
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct str unescape(struct str s)
{
    struct buf b = buf_in(arena);

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            buf_addc(&b, (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])));
            i += 2;
        } else {
            buf_addc(&b, s.p[i]);
        }
    }
    return buf_str(&b);
}

static void servers(struct dns_settings *settings, struct str list)
{
    struct str *items = arena_array(arena, 16, sizeof *items), one;

    settings->server_count = 0;
    while (settings->server_count < 16 && str_split(&list, ',', &one))
        items[settings->server_count++] = str_dup(arena, one);
    settings->servers = items;
}

static void ask(struct str name, enum dns_type type)
{
    if (batch_count == ASKED_MOST)
        complain("too much at once", STR(""));
    batch[batch_count].at = clock_ms();
    batch[batch_count].harvested = false;
    batch[batch_count++].question = dns_ask(arena, NULL, name, type);
}

static void print(const struct dns_question *q, const struct dns_answer *answer, int64_t took)
{
    static const char *const words[] = {"OK", "NODATA", "NXDOMAIN", "FAIL"};
    struct buf b = buf_in(arena);

    buf_add_escaped(&b, dns_name(q), "\t ");
    buf_addf(&b, "\t%s\t%s\t%s\t%" PRId64 "\t%" PRIu32 "\t%zu\t", type_word(dns_type_of(q)), words[answer->status],
             answer->why, took, answer->ttl, answer->packet.n);
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];

        if (i)
            buf_addc(&b, ' ');
        if (r->ip.known)
            buf_add(&b, ip_text(arena, r->ip));
        if (dns_type_of(q) == DNS_MX)
            buf_addf(&b, "%u/", r->preference);
        if (r->text.n > 1000)
            buf_addf(&b, "(%zu bytes)", r->text.n);
        else
            buf_add_escaped(&b, r->text, " ");
    }
    puts(buf_str(&b).p);
}

/* harvest - each is waited for in turn, but one that is done is looked at first, so that its time is right. */
static void harvest(void)
{
    const struct dns_answer **answers = arena_array(arena, batch_count + 1, sizeof *answers);
    int64_t *took = arena_array(arena, batch_count + 1, sizeof *took);
    size_t left = batch_count;

    while (left > 0) {
        size_t next = batch_count;

        for (size_t i = 0; i < batch_count; i++) {
            struct asked *one = &batch[i];

            if (one->harvested)
                continue;
            if (!dns_is_done(one->question) && clock_ms() < one->at + patience) {
                next = next < batch_count ? next : i;
                continue;
            }
            answers[i] = dns_harvest(one->question, one->at + patience);
            took[i] = clock_ms() - one->at;
            one->harvested = true;
            left--;
        }
        if (next < batch_count) /* wait a little, for the others' sake */
            usleep(1000);
    }
    for (size_t i = 0; i < batch_count; i++)
        print(batch[i].question, answers[i], took[i]);
    batch_count = 0;
}

static void flood(struct str args)
{
    int64_t start = clock_ms();
    struct str word;
    long n, good = 0, failed = 0;

    if (!str_token(&args, &word) || !str_to_long(word, &n) || n > ASKED_MOST)
        complain("how many?", args);
    for (long i = 0; i < n; i++)
        ask(arena_printf(arena, "f%ld." STR_FMT, i, STR_ARG(str_trim(args))), DNS_A);
    for (size_t i = 0; i < batch_count; i++) {
        const struct dns_answer *answer = dns_harvest(batch[i].question, batch[i].at + patience);

        good += answer->status == DNS_OK;
        failed += answer->status == DNS_FAIL;
    }
    batch_count = 0;
    printf("flood\t%ld\t%ld\t%" PRId64 "\n", good, failed, clock_ms() - start);
}

static void print_counters(void)
{
    struct dns_counters c;

    dns_count(&c);
    printf("asked=%" PRIu64 " cached=%" PRIu64 " merged=%" PRIu64 " sent=%" PRIu64 " answered=%" PRIu64
           " failed=%" PRIu64 " timeouts=%" PRIu64 " entries=%zu bytes=%zu\n",
           c.asked, c.cached, c.merged, c.sent, c.answered, c.failed, c.timeouts, c.entries, c.bytes);
}

static void print_memory(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    DIR *d = opendir("/proc/self/fd");
    long kib = -1, fds = -3; /* ".", ".." and the directory's own */
    char line[256];

    while (f && fgets(line, sizeof line, f)) {
        struct str rest = str_trim(str_of(line)), word;

        if (str_token(&rest, &word) && str_is(word, STR("VmRSS:")) && str_token(&rest, &word))
            str_to_long(word, &kib);
    }
    if (f)
        fclose(f);
    while (d && readdir(d))
        fds++;
    if (d)
        closedir(d);
    printf("kib=%ld fds=%ld\n", kib, fds);
}

static void order(struct dns_settings *settings, struct str rest)
{
    struct str word, error;
    long n;

    str_token(&rest, &word);
    rest = str_trim(rest);
    if (str_is(word, STR("!deadline")) && str_to_long(rest, &n)) {
        patience = n;
    } else if (str_is(word, STR("!servers"))) {
        servers(settings, rest);
        if (!dns_configure(settings, &error, arena))
            complain("dns_configure:", error);
    } else if (str_is(word, STR("!flood"))) {
        flood(rest);
    } else if (str_is(word, STR("!count"))) {
        print_counters();
    } else if (str_is(word, STR("!memory"))) {
        print_memory();
    } else {
        complain("no such order:", word);
    }
    puts("");
}

int main(int argc, char **argv)
{
    struct dns_settings settings = {.cache_entries = 10000};
    struct arena *for_settings = arena_new(0), *for_orders = arena_new(0);
    struct str error;
    char line[70000];
    long n = 0;

    if (argc < 3 || argc > 4 || !str_to_long(str_of(argv[2]), &n))
        complain("usage: dnsq SERVERS TIMEOUT_MS [CACHE_ENTRIES]", STR(""));
    settings.timeout_ms = n;
    patience = n + 2000;
    if (argc > 3 && str_to_long(str_of(argv[3]), &n))
        settings.cache_entries = (size_t)n;
    batch = calloc(ASKED_MOST, sizeof *batch);
    arena = for_settings;
    if (!batch)
        complain("out of memory", STR(""));
    servers(&settings, str_of(argv[1]));
    if (!dns_start(&settings, &error, arena))
        complain("dns_start:", error);
    while (fgets(line, sizeof line, stdin)) {
        struct str rest = str_trim(str_of(line)), name, type;

        arena = for_orders;
        if (str_starts(rest, STR("!"))) {
            order(&settings, rest);
        } else if (rest.n == 0) {
            harvest();
            puts("");
        } else if (str_token(&rest, &name) && str_token(&rest, &type)) {
            ask(unescape(name), type_of(type));
            continue; /* the question lives in the arena */
        } else {
            complain("a type is missing", rest);
        }
        fflush(stdout);
        if (!str_starts(str_of(line), STR("!servers")))
            arena_reset(for_orders);
    }
    dns_stop();
    arena_free(&for_orders);
    arena_free(&for_settings);
    free(batch);
    return 0;
}
