/* karma.c - how fast clients are looked up and learned, and what a large memory costs.
 *
 *     karma [-d DIRECTORY] [-r SECONDS] [ROWS]   DIRECTORY for the file (a new one below TMPDIR); ROWS in it (1000000)
 *
 * Prints lines "name value": rows, file_bytes, cache_us and disk_us (medians; 20 and 200 are wanted), learned_per_s (on
 * disk, over five seconds, half of the clients known; 20000 is wanted), learned_cpu_us (of the whole process for each:
 * its lookup, its place in the cache, its row), and memory_..._kb of the process: before the file is opened, after
 * that, after the lookups, at the end. It is the cache's and the queue's, and does not grow with the file.
 *
 * With -r another process reads in the file for so long while 20000 clients a second come: log_bytes is the longest
 * that the write-ahead log was, dropped what was lost, log_after_bytes what is left of it two seconds after the reader.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../db/database.h"
#include "../../db/karma_store.h"
#include "../../milter/base/clock.h"

#define LOOKUPS 20000
#define THREADS 4
#define SECONDS 5
#define AHEAD 30000 /* events that wait for the disk while it is measured how many it takes */

static int64_t rows = 1000000;
static int read_s; /* how long the other process reads; 0: there is none */
static char directory[256];
static atomic_bool stop;

static void die(const char *what)
{
    fprintf(stderr, "karma: %s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* net_of - the client number n: three quarters IPv4. */
static struct karma_net net_of(uint64_t n)
{
    struct karma_net net = {{128, [11] = 0xff, [12] = 0xff}};
    uint64_t bits = mix(n + 1);

    if (n % 4 == 3) {
        net = (struct karma_net){{64, 0x20, 1}};
        for (int i = 0; i < 6; i++)
            net.b[3 + i] = (uint8_t)(bits >> 8 * i);
    } else {
        for (int i = 0; i < 4; i++)
            net.b[13 + i] = (uint8_t)(bits >> 8 * i);
    }
    return net;
}

static int64_t cpu_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static long memory_kb(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kb;
}

/* fill - in a process of its own, so that what it needed is not measured. In the order of a hash, as clients come. */
static void fill(const char *path)
{
    struct arena *a = arena_new(0);
    struct str error;
    int status, result;
    sqlite3 *db = database_open_file(path, &karma_schema, true, true, a, &error, &status);
    sqlite3_stmt *s;
    int64_t seen = clock_wall_ms() / 1000;

    if (!db)
        die(error.p);
    sqlite3_exec(db, "PRAGMA synchronous = OFF; PRAGMA cache_size = -1500000; BEGIN", NULL, NULL, NULL);
    result = sqlite3_prepare_v2(db,
                                "INSERT OR IGNORE INTO karma VALUES (?1, ?2, ?3, ?2 + ?3, ?4, 0, ?5, ?5 + 1000, ?6)",
                                -1, &s, NULL);
    for (int64_t i = 0; i < rows && result == SQLITE_OK; i++) {
        struct karma_net net = net_of((uint64_t)i);
        bool naughty = i % 3 != 0;

        sqlite3_bind_blob(s, 1, net.b, sizeof net.b, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, naughty ? 0 : i % 100);
        sqlite3_bind_int64(s, 3, naughty ? i % 7 + 1 : 0);
        sqlite3_bind_int64(s, 4, naughty ? seen + i % 86400 : 0);
        sqlite3_bind_int64(s, 5, seen - i % 7000000);
        sqlite3_bind_text(s, 6, naughty ? "dnsbl zen.spamhaus.org" : "", -1, SQLITE_STATIC);
        if (sqlite3_step(s) != SQLITE_DONE)
            die(sqlite3_errmsg(db));
        sqlite3_reset(s);
        if (i % 500000 == 499999)
            sqlite3_exec(db, "COMMIT; BEGIN", NULL, NULL, NULL);
    }
    sqlite3_finalize(s);
    if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        die(sqlite3_errmsg(db));
    sqlite3_close(db);
    arena_free(&a);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* lookups - the median of the times, in microseconds, of asking for the client that `which` names. */
static double lookups(uint64_t (*which)(int i))
{
    static int64_t times[LOOKUPS];
    struct karma_record r;

    for (int i = 0; i < LOOKUPS; i++) {
        struct karma_net net = net_of(which(i));
        int64_t from = now_ns();

        if (karma_get(&net, &r) != KARMA_KNOWN)
            die("a client is not there");
        times[i] = now_ns() - from;
    }
    qsort(times, LOOKUPS, sizeof times[0], by_value);
    return (double)times[LOOKUPS / 2] / 1000;
}

static uint64_t anybody(int i)
{
    return mix((uint64_t)i * 7 + 5) % (uint64_t)rows;
}

static uint64_t somebody(int i)
{
    return (uint64_t)(i % 1000);
}

static void *learn(void *number)
{
    uint64_t n = (uint64_t)(uintptr_t)number << 40;
    struct karma_event e = {.reason = "dnsbl zen.spamhaus.org", .rules = {2, 86400, 30 * 86400}};
    struct database_status status;
    struct karma_record r;

    while (!atomic_load(&stop)) {
        e.net = net_of(n % 2 ? mix(n) % (uint64_t)rows : mix(n));
        e.naughty = n % 3 == 0;
        e.nice = !e.naughty;
        e.at = (double)clock_wall_ms() / 1000;
        karma_get(&e.net, &r);
        karma_learn(&e);
        if (++n % 256 == 0)
            while (karma_store_status(&status) && status.waiting > AHEAD && !atomic_load(&stop))
                usleep(1000);
    }
    return NULL;
}

static double learned_per_s(void)
{
    struct database_status before, after;
    pthread_t threads[THREADS];
    int64_t from = now_ns();

    karma_store_status(&before);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, learn, (void *)i);
    sleep(SECONDS);
    karma_store_status(&after);
    atomic_store(&stop, true);
    from = now_ns() - from;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (after.dropped)
        die("events were lost");
    karma_store_flush(60000);
    return (double)(after.written - before.written) * 1e9 / (double)from;
}

/* ---- beside a reader ---- */

static pid_t begin_reader(const char *path)
{
    int told[2];
    char byte;
    pid_t child;

    if (pipe(told) != 0)
        die("no pipe");
    child = fork();
    if (child < 0)
        die("no reader");
    if (child == 0) {
        sqlite3 *db;
        bool fine = sqlite3_open(path, &db) == SQLITE_OK
                    && sqlite3_exec(db, "BEGIN; SELECT count(*) FROM karma", NULL, NULL, NULL) == SQLITE_OK;

        if (!fine || write(told[1], "", 1) != 1)
            _exit(1);
        pause();
    }
    close(told[1]);
    if (read(told[0], &byte, 1) != 1)
        die("the reader does not read");
    close(told[0]);
    return child;
}

static void beside_reader(pid_t reader)
{
    struct karma_event e = {.reason = "dnsbl zen.spamhaus.org", .rules = {2, 86400, 30 * 86400}};
    struct database_status status;
    int64_t from = now_ns(), most = 0;
    uint64_t n = 0;

    while (now_ns() - from < read_s * INT64_C(1000000000)) {
        for (int i = 0; i < 200; i++, n++) {
            e.net = net_of(n % 2 ? mix(n) % (uint64_t)rows : mix(n));
            e.naughty = n % 3 == 0;
            e.at = (double)clock_wall_ms() / 1000;
            karma_learn(&e);
        }
        karma_store_status(&status);
        most = (int64_t)status.wal_bytes > most ? (int64_t)status.wal_bytes : most;
        while (now_ns() - from < (int64_t)n * 50000)
            usleep(500);
    }
    printf("learned %llu\nlog_bytes %lld\nstate %s\n", (unsigned long long)n, (long long)most,
           database_state_words[status.state]);
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    sleep(2);
    karma_store_flush(60000);
    karma_store_status(&status);
    printf("written %llu\ndropped %llu\nlog_after_bytes %llu\n", (unsigned long long)status.written,
           (unsigned long long)status.dropped, (unsigned long long)status.wal_bytes);
    karma_store_stop(60000);
}

static void measure(const char *path)
{
    struct database_status status;
    struct stat st;
    long before = memory_kb();
    int64_t before_ms;

    karma_store_start(str_of(directory), 600000);
    if (!karma_store_status(&status) || status.state != DATABASE_FINE)
        die("the store does not start");
    if (stat(path, &st) == 0)
        printf("file_bytes %lld\n", (long long)st.st_size);
    printf("memory_before_kb %ld\nmemory_started_kb %ld\n", before, memory_kb());
    lookups(somebody);
    printf("cache_us %.2f\n", lookups(somebody));
    printf("disk_us %.2f\n", lookups(anybody));
    printf("memory_looked_kb %ld\n", memory_kb());
    before_ms = cpu_ms();
    printf("learned_per_s %.0f\n", learned_per_s());
    karma_store_status(&status);
    printf("learned_cpu_us %.1f\n", (double)(cpu_ms() - before_ms) * 1000 / (double)status.written);
    printf("memory_after_kb %ld\n", memory_kb());
    karma_store_stop(60000);
}

int main(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    char path[300];
    bool ours = true;
    int option;

    snprintf(directory, sizeof directory, "%s/sme-bench-XXXXXX", tmp ? tmp : "/tmp");
    while ((option = getopt(argc, argv, "d:r:")) != -1) {
        if (option == 'r')
            read_s = (int)strtol(optarg, NULL, 10);
        else if (option != 'd' || snprintf(directory, sizeof directory, "%s", optarg) < 0)
            return 64;
        ours = ours && option != 'd';
    }
    if (optind < argc)
        rows = strtoll(argv[optind], NULL, 10);
    if (rows <= 0 || (ours && !mkdtemp(directory)))
        die("no directory, or no rows");
    snprintf(path, sizeof path, "%s/karma.sqlite", directory);
    fill(path);
    printf("rows %lld\n", (long long)rows);
    fflush(stdout);
    if (read_s > 0) {
        pid_t reader = begin_reader(path);

        karma_store_start(str_of(directory), 600000);
        beside_reader(reader);
    } else {
        measure(path);
    }
    if (ours) {
        unlink(path);
        rmdir(directory);
    }
    return 0;
}
