/* worker.c - jobs that answer, hang, grow, die, lie and try to break out; servers that die and are replaced. The
 * worker's program is this one, started by itself with other kinds of work than sme-milter-worker's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/worker.h"
#include "../../milter/worker_files.h"
#include "../../milter/worker_frame.h"
#include "../../milter/worker_server.h"
#include "../../milter/worker_tnef.h"
#include "../../milter/worker_sandbox.h"
#include "../lib/tap.h"
#include "../lib/without_landlock.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#ifdef WITHOUT_LANDLOCK
#define WITHOUT_LANDLOCK_HERE 1
#else
#define WITHOUT_LANDLOCK_HERE 0
#endif
#define GENEROUS_MS 30000
#define CRASHES 100
#define THREADS 30

/* ---- in the worker ---- */

/* The deaths that are wanted here are nothing to report. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigill=0:handle_abort=0";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "handle_segv=0:handle_sigill=0:handle_abort=0";
}

static char loaded[64] = "nothing";

static bool test_load(struct arena *a, const char *directory, struct str *version, uint64_t *count, struct str *why)
{
    struct str path = arena_printf(a, "%s/signatures", directory);
    FILE *f = fopen(path.p, "re");

    if (!f || !fgets(loaded, sizeof loaded, f) || strcmp(loaded, "bad") == 0) {
        *why = STR("there are no signatures");
        return false;
    }
    fclose(f);
    *version = str_dup(a, str_of(loaded));
    *count = 1;
    return true;
}

static int connects(int family, int type)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(family, type, 0);

    if (fd >= 0 && family == AF_INET)
        (void)!connect(fd, (struct sockaddr *)&in, sizeof in);
    return fd;
}

static int forks(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid;
}

static int maps(int protection)
{
    return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

/* probe - everything that must not work; what did, and what should and did not. */
static void probe(struct arena *a, struct buf *out)
{
    char *nothing[] = {NULL};
    struct buf b = buf_in(a);
    struct stat st, root;
    int fd;

#define REFUSED(what) do { errno = 0; if ((what) >= 0) buf_addf(&b, "%s; ", #what); } while (0)
/* Of what would do harm if the sandbox were broken: on a file that is not there, and the filter says so before. */
#define FILTERED(what) do { errno = 0; if ((what) >= 0 || errno != EPERM) buf_addf(&b, "%s; ", #what); } while (0)
#define ALLOWED(what) do { errno = 0; if ((what) < 0) buf_addf(&b, "NOT %s (%d); ", #what, errno); } while (0)
    REFUSED(open("/etc/passwd", O_RDONLY));
    if (sandbox_by_root()) { /* there is no other directory than its own, whatever it is called */
        ALLOWED(stat(".", &st));
        ALLOWED(stat("/", &root));
        REFUSED(st.st_ino == root.st_ino && st.st_dev == root.st_dev ? -1 : 0);
        ALLOWED(stat("../../../..", &root));
        REFUSED(st.st_ino == root.st_ino && st.st_dev == root.st_dev ? -1 : 0);
        REFUSED(chroot("."));
        REFUSED(open("../left-behind", O_RDONLY));
    } else {
        REFUSED(open("/", O_RDONLY | O_DIRECTORY));
        REFUSED(open("..", O_RDONLY | O_DIRECTORY));
        REFUSED(open("../broken-out", O_WRONLY | O_CREAT, 0600));
    }
    REFUSED(open("/proc/self/mem", O_RDWR));
    REFUSED(open("/tmp/sme-broken-out", O_WRONLY | O_CREAT, 0600));
    REFUSED(open("/dev/shm/sme-broken-out", O_WRONLY | O_CREAT, 0600));
    REFUSED(mkdir("/tmp/sme-broken-out", 0700));
    REFUSED(unlink("/tmp"));
    FILTERED(rename("/tmp/sme-no-such-file", "/tmp/sme-no-such-file-2"));
    REFUSED(link("/etc/passwd", "passwd"));
    REFUSED(symlink("/etc/passwd", "passwd"));
    REFUSED(chdir("/"));
    REFUSED(connects(AF_INET, SOCK_STREAM));
    REFUSED(connects(AF_INET, SOCK_DGRAM));
    REFUSED(connects(AF_INET6, SOCK_STREAM));
    REFUSED(connects(AF_UNIX, SOCK_STREAM));
    REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}));
    REFUSED(forks());
    REFUSED(syscall(SYS_clone3, NULL, 0));
    REFUSED(execve("/bin/true", nothing, nothing));
    REFUSED(syscall(SYS_execveat, 3, "", nothing, nothing, AT_EMPTY_PATH));
    REFUSED(kill(getppid(), 0));
    REFUSED(syscall(SYS_tgkill, getppid(), getppid(), 0));
    REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    REFUSED(maps(PROT_READ | PROT_EXEC));
    REFUSED(maps(PROT_READ | PROT_WRITE | PROT_EXEC));
    REFUSED(syscall(SYS_memfd_create, "x", 0));
    REFUSED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    REFUSED(setuid(0));
    REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
    REFUSED(syscall(SYS_bpf, 0, NULL, 0));
    REFUSED(syscall(SYS_userfaultfd, 0));
    REFUSED(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
    REFUSED(syscall(SYS_unshare, 0x10000000));
    REFUSED(fcntl(4, F_GETFD)); /* the message is mapped and closed; nothing else was handed down */
    REFUSED(fcntl(5, F_GETFD));
    ALLOWED(fd = open("own", O_RDWR | O_CREAT | O_EXCL, 0600));
    ALLOWED(write(fd, "x", 1));
    ALLOWED(fstat(fd, &st));
    ALLOWED(close(fd));
    ALLOWED(mkdir("directory", 0700));
    ALLOWED(open("directory/left-behind", O_WRONLY | O_CREAT, 0600));
    ALLOWED(maps(PROT_READ | PROT_WRITE));
    frame_add_str(out, buf_str(&b));
}

/* probe_bare - a job that needs no files can name none. */
static void probe_bare(struct arena *a, struct buf *out)
{
    struct buf b = buf_in(a);
    struct stat st;

    REFUSED(open("/etc/passwd", O_RDONLY));
    REFUSED(open("own", O_RDWR | O_CREAT, 0600));
    REFUSED(open(".", O_RDONLY | O_DIRECTORY));
    REFUSED(open("/tmp", O_TMPFILE | O_RDWR, 0600));
    REFUSED(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0));
    REFUSED(mkdir("directory", 0700));
    FILTERED(unlink("/tmp/sme-no-such-file"));
    FILTERED(rmdir("/tmp/sme-no-such-file"));
    FILTERED(truncate("/tmp/sme-no-such-file", 0));
    REFUSED(readlink("/proc/self/exe", (char[100]){0}, 100));
    REFUSED(connects(AF_UNIX, SOCK_STREAM));
    REFUSED(syscall(SYS_unshare, CLONE_NEWUSER));
    REFUSED(chroot("/"));
    ALLOWED(fstat(3, &st));
    frame_add_str(out, buf_str(&b));
}

static size_t grow(void)
{
    char *volatile p; /* or the compiler leaves all of it out */
    size_t sum = 0;

    for (; sum < 8UL << 30 && (p = malloc(16 << 20)) != NULL; sum += 16 << 20)
        memset(p, 1, 16 << 20);
    return sum;
}

static bool test_run(struct arena *a, struct str bytes, uint64_t ms, struct buf *out, struct str *why)
{
    static const char garbage[] = "this is no frame, though it is long enough for its head";
    (void)ms;
    if (str_starts(bytes, STR("echo "))) {
        frame_add_str(out, STR("heard: "));
        frame_add_str(out, str_slice(bytes, 5, bytes.n));
    } else if (str_is(bytes, STR("loaded"))) {
        frame_add_str(out, str_of(loaded));
    } else if (str_is(bytes, STR("hang"))) {
        for (;;)
            poll(NULL, 0, 1000);
    } else if (str_is(bytes, STR("spin"))) {
        for (;;)
            *(volatile char *)loaded = 'x';
    } else if (str_is(bytes, STR("deaf"))) {
        sigset_t all;

        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        for (;;)
            poll(NULL, 0, 1000);
    } else if (str_is(bytes, STR("crash"))) {
        __builtin_trap();
    } else if (str_is(bytes, STR("abort"))) {
        abort();
    } else if (str_is(bytes, STR("end"))) {
        _exit(0);
    } else if (str_is(bytes, STR("garbage"))) {
        (void)!write(3, garbage, sizeof garbage);
        _exit(0);
    } else if (str_is(bytes, STR("flood"))) {
        frame_add_str(out, (struct str){arena_zalloc(a, 200U << 20), 200U << 20});
    } else if (str_is(bytes, STR("half"))) {
        frame_add_str(out, STR("a whole frame of which"));
        (void)!write(3, frame_end(out).p, out->len - 4);
        _exit(0);
    } else if (str_is(bytes, STR("grow"))) {
        frame_add_u64(out, grow());
    } else if (str_is(bytes, STR("probe"))) {
        probe(a, out);
    } else if (str_is(bytes, STR("probe bare"))) {
        probe_bare(a, out);
    } else if (str_is(bytes, STR("change"))) {
        memset(loaded, 'x', 5);
        frame_add_str(out, STR("done"));
    } else {
        *why = STR("it does not want to");
        return false;
    }
    return true;
}

static const struct worker_kind kind_files = {.name = "files", .files = true, .load = test_load, .run = test_run};
static const struct worker_kind kind_bare = {.name = "bare", .run = test_run};

/* ---- in the test ---- */

static struct arena *a;
static char directory[] = "/tmp/sme-signatures-XXXXXX", temporary[] = "/tmp/sme-temporary-XXXXXX";
static const char *current = "bare";

static struct str dir_of(const char *kind)
{
    return strcmp(kind, "files") == 0 ? str_of(directory) : STR_NONE;
}

static bool ask_in(struct arena *in, const char *say, int64_t ms, struct str *answer, struct str *why)
{
    struct str piece = str_of(say);

    return worker_finish(worker_begin(in, current, dir_of(current), &piece, 1, clock_ms() + ms), answer, why);
}

static bool ask(const char *say, struct str *answer, struct str *why)
{
    return ask_in(a, say, GENEROUS_MS, answer, why);
}

/* works - it is answered; otherwise the test tells why. */
static bool works(const char *say, struct str *answer)
{
    struct str why;

    if (ask(say, answer, &why))
        return true;
    diag("%s: %s: " STR_FMT, current, say, STR_ARG(why));
    return false;
}

static void is_refused(const char *say, const char *words)
{
    struct str answer, why;
    bool good = ask(say, &answer, &why);

    ok(!good && memmem(why.p ? why.p : "", why.n, words, strlen(words)), "%s: %s: \"" STR_FMT "\"", current, say,
       STR_ARG(why));
}

static void still_works(void)
{
    struct str answer, text;

    if (ok(works("echo well", &answer), "%s: the next one is answered", current))
        ok(frame_str(&answer, 100, &text) && frame_str(&answer, 100, &text) && str_is(text, STR("well")), "rightly");
}

static unsigned descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* descriptors_settle - the keeper closes what is its own in its own time. */
static bool descriptors_settle(unsigned wanted)
{
    int64_t until = clock_ms() + 10000;

    while (descriptors() > wanted && clock_ms() < until)
        usleep(10000);
    return descriptors() <= wanted;
}

static void set_signatures(const char *text)
{
    struct str path = arena_printf(a, "%s/signatures", directory), new = arena_printf(a, "%s/.new", directory);
    FILE *f = fopen(new.p, "we");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0 || rename(new.p, path.p) != 0)
        bail("%s: %s", path.p, strerror(errno));
}

static bool loaded_becomes(const char *wanted)
{
    int64_t until = clock_ms() + GENEROUS_MS;
    struct str answer, why, text = STR_NONE;

    while (clock_ms() < until) {
        if (ask("loaded", &answer, &why) && frame_str(&answer, 100, &text) && str_is(text, str_of(wanted)))
            return true;
        usleep(20000);
    }
    diag("it says \"" STR_FMT "\", " STR_FMT, STR_ARG(text), STR_ARG(why));
    return false;
}

/* worker_pids - our children: the servers. */
static size_t worker_pids(pid_t *pids, size_t most)
{
    struct str path = arena_printf(a, "/proc/%d/task", (int)getpid());
    DIR *d = opendir(path.p);
    struct dirent *entry;
    size_t n = 0;

    while (d && (entry = readdir(d)) != NULL) {
        FILE *f = fopen(arena_printf(a, STR_FMT "/%s/children", STR_ARG(path), entry->d_name).p, "re");
        int pid;

        while (f && n < most && fscanf(f, "%d", &pid) == 1)
            pids[n++] = pid;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return n;
}

static void test_answers(const char *kind)
{
    struct str pieces[3] = {STR("echo "), STR_NONE, STR("one\0two")}, answer, why, text = STR_NONE;
    struct worker_job *job;

    current = kind;
    job = worker_begin(a, kind, dir_of(kind), pieces, 3, clock_ms() + GENEROUS_MS);
    if (ok(worker_finish(job, &answer, &why), "%s: a job answers", kind))
        ok(frame_str(&answer, 10, &text) && str_is(text, STR("heard: ")) && frame_str(&answer, 10, &text) &&
           str_is(text, STR("one\0two")) && !answer.n, "and says what it heard");
    is_refused("no", "it does not want to");
    is_refused("", "it does not want to");
    is_refused("crash", "ended without an answer");
    is_refused("abort", "ended without an answer");
    is_refused("end", "ended without an answer");
    is_refused("garbage", "something else");
    is_refused("half", "ended without an answer");
    is_refused("flood", "something else");
    still_works();
}

static void test_time(void)
{
    static const char *const says[] = {"hang", "spin", "deaf"};

    for (size_t i = 0; i < 3; i++) {
        int64_t began = clock_ms();
        struct str answer, why;

        ok(!ask_in(a, says[i], 300, &answer, &why) && clock_ms() - began < 5000, "%s ends in time", says[i]);
    }
    still_works();
    ok(worker_look().jobs == 0, "all places are free again");
}

static void test_memory(void)
{
    struct str answer;
    uint64_t sum = 0;

    if (SANITIZED) {
        diag("with a sanitizer there is no limit of memory");
        return;
    }
    if (works("grow", &answer))
        frame_u64(&answer, &sum);
    ok(sum > 300UL << 20 && sum < 1UL << 30, "it gets %llu MiB, and no more", (unsigned long long)sum >> 20);
    still_works();
}

static void test_sandbox(void)
{
    struct str answer = STR_NONE, text = STR("?");

    current = "files";
    ok(works("probe", &answer) && frame_str(&answer, 4000, &text), "it tries to break out");
    is_str(text, STR_NONE, "nothing that it may not do works, and what it may does");
    ok(access("/tmp/sme-broken-out", F_OK) != 0 && access("/dev/shm/sme-broken-out", F_OK) != 0, "it left no file");
    ok(works("probe", &answer) && frame_str(&answer, 4000, &text), "the next job");
    is_str(text, STR_NONE, "finds nothing of what the one before left behind");
    current = "bare";
    text = STR("?");
    ok(works("probe bare", &answer) && frame_str(&answer, 4000, &text), "a job without files tries to break out");
    is_str(text, STR_NONE, "nothing that it may not do works");
}

static void test_separate(void)
{
    struct str answer, text = STR_NONE;

    current = "files";
    ok(works("change", &answer), "a job changes what it finds in memory");
    ok(works("loaded", &answer) && frame_str(&answer, 100, &text) && str_is(text, STR("first")),
       "the next one has it as it was loaded");
}

static void test_reload(void)
{
    struct str answer, why;
    int64_t until;
    bool good = true;

    current = "files";
    set_signatures("second");
    ok(loaded_becomes("second"), "changed signatures are loaded");
    set_signatures("bad");
    for (until = clock_ms() + 2500; clock_ms() < until && good;)
        good = ask("loaded", &answer, &why);
    ok(good, "while bad ones cannot be loaded the old ones serve, without a gap " STR_FMT, STR_ARG(why));
    ok(loaded_becomes("second"), "they are the old ones");
    set_signatures("third");
    ok(loaded_becomes("third"), "good ones again");
    ok(worker_version(a, str_of(directory)).n == 0, "there is no version of signatures of another kind");
}

/* A job for each thread, many times. */
static void *stream(void *ptr)
{
    unsigned *wrong = ptr;

    for (int i = 0; i < 10; i++) {
        struct arena *own = arena_new(0);
        struct str say = arena_printf(own, "echo %d", i), answer, why, text = STR_NONE;
        bool good = ask_in(own, say.p, GENEROUS_MS, &answer, &why);

        if (!good || !frame_str(&answer, 100, &text) || !frame_str(&answer, 100, &text) ||
            !str_is(text, str_slice(say, 5, say.n)))
            ++*wrong;
        arena_free(&own);
    }
    return NULL;
}

static void test_parallel(void)
{
    unsigned wrong[THREADS] = {0}, sum = 0;
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, stream, &wrong[i]) != 0)
            bail("no thread");
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += wrong[i];
    }
    is_long(sum, 0, "%d jobs in %d threads are answered each with its own", THREADS * 10, THREADS);
}

static void *stream_until(void *ptr)
{
    struct {
        _Atomic bool stop;
        _Atomic unsigned good, bad, wrong;
    } *s = ptr;

    while (!s->stop) {
        struct arena *own = arena_new(0);
        struct str answer, why, text = STR_NONE;

        if (!ask_in(own, "echo x", GENEROUS_MS, &answer, &why))
            s->bad++;
        else if (frame_str(&answer, 100, &text) && frame_str(&answer, 100, &text) && str_is(text, STR("x")))
            s->good++;
        else
            s->wrong++;
        arena_free(&own);
    }
    return NULL;
}

static void test_crashes(void)
{
    static struct {
        _Atomic bool stop;
        _Atomic unsigned good, bad, wrong;
    } s;
    struct str answer, why;
    unsigned before = descriptors(), died = 0;
    pthread_t threads[4];

    current = "bare";
    for (size_t i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, stream_until, &s) != 0)
            bail("no thread");
    for (int i = 0; i < CRASHES; i++)
        died += !ask("crash", &answer, &why);
    s.stop = true;
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    is_long(died, CRASHES, "%d jobs crash", CRASHES);
    ok(s.good > 0 && s.bad == 0 && s.wrong == 0, "%u others meanwhile are all answered (%u not)", s.good, s.bad);
    ok(descriptors_settle(before), "no descriptor is left over");
}

/* test_deaths - servers are killed under load: jobs fail or are answered rightly, and there is always a new server. */
static void test_deaths(void)
{
    static struct {
        _Atomic bool stop;
        _Atomic unsigned good, bad, wrong;
    } s;
    unsigned before = descriptors(), killed = 0;
    pthread_t threads[4];
    pid_t pids[8];

    current = "bare";
    for (size_t i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, stream_until, &s) != 0)
            bail("no thread");
    for (int i = 0; i < 5; i++) {
        unsigned good = s.good;
        int64_t until = clock_ms() + GENEROUS_MS;

        while (s.good < good + 5 && clock_ms() < until)
            usleep(5000);
        for (size_t n = worker_pids(pids, 8); n; n--)
            killed += kill(pids[n - 1], SIGKILL) == 0;
    }
    {
        unsigned good = s.good;
        int64_t until = clock_ms() + GENEROUS_MS;

        while (s.good < good + 20 && clock_ms() < until)
            usleep(5000);
        ok(s.good >= good + 20, "after %u servers were killed there are new ones", killed);
    }
    s.stop = true;
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ok(killed >= 5 && s.wrong == 0, "%u answers, %u failures, none wrong", s.good, s.bad);
    ok(descriptors_settle(before), "no descriptor is left over");
    is_long(worker_look().jobs, 0, "no place either");
}

/* test_stopped - a server that does nothing any more is replaced, its job is done by the next one; a busy one stays. */
static void test_stopped(const char *kind)
{
    unsigned long starts = worker_look().starts;
    int64_t until = clock_ms() + GENEROUS_MS;
    struct str answer, why;
    unsigned stopped = 0;
    pid_t pids[8];

    current = kind;
    still_works();
    ok(!ask_in(a, "hang", 3000, &answer, &why), "%s: a job takes longer than a server may be silent", kind);
    is_long((long long)(worker_look().starts - starts), 0, "%s: its server lives on", kind);
    for (size_t n = worker_pids(pids, 8); n; n--)
        stopped += kill(pids[n - 1], SIGSTOP) == 0;
    ok(stopped, "%u servers are stopped", stopped);
    still_works();
    while (worker_look().starts == starts && clock_ms() < until)
        usleep(5000);
    ok(worker_look().starts > starts, "by a new one");
    ok(!ask_in(a, "crash", GENEROUS_MS, &answer, &why), "a job that crashes is not tried again");
    for (size_t n = worker_pids(pids, 8); n; n--) /* those of the other kind */
        kill(pids[n - 1], SIGCONT);
}

static void test_given_up(void)
{
    struct arena *own = arena_new(0);
    struct str piece = STR("hang");
    unsigned before = descriptors();

    for (int i = 0; i < 50; i++) {
        worker_begin(own, current, dir_of(current), &piece, 1, clock_ms() + 600000);
        arena_reset(own);
    }
    arena_free(&own);
    ok(descriptors_settle(before) && worker_look().jobs == 0, "jobs that nobody waits for leave nothing");
    still_works();
}

static void test_names(void)
{
    static const struct {
        const char *raw, *name;
    } names[] = {
        {"a.txt", "a.txt"}, {"../../etc/passwd", "passwd"}, {"C:\\x\\y.doc", "y.doc"}, {"..", "attachment"},
        {"", "attachment"}, {"a\r\nb", "ab"}, {"a\"b;c", "a_b_c"}, {".profile", "profile"}, {"x. . ", "x"},
        {"caf\xe9.txt", "caf\xc3\xa9.txt"}, {"a\xe2\x80\xae" "fdp.exe", "afdp.exe"},
        {"\xf0\x9f\x98\x80.png", "\xf0\x9f\x98\x80.png"},
        {"a\x80", "a\xe2\x82\xac"}, {"a/", "attachment"}, {"NUL:", "NUL_"},
    };
    struct str raw = {memset(arena_alloc(a, 300), 'x', 300), 300}, name;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        is_str(tnef_name(a, str_of(names[i].raw)), str_of(names[i].name), "name %zu", i);
    name = tnef_name(a, arena_printf(a, STR_FMT ".docx", STR_ARG(raw)));
    ok(name.n == TNEF_NAME_MOST && str_ends_nocase(name, STR(".docx")), "a long name keeps its end");
    is_str(tnef_type(STR("A.PDF")), STR("application/pdf"), "type by the extension");
    is_str(tnef_type(STR("pdf")), STR("application/octet-stream"), "no extension, no type");
}

static void test_rtf(void)
{
    struct str text = STR_NONE;

    ok(tnef_rtf_text(a, STR("{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}}{\\*\\x no}Hello\\par w\\'f6rld \\u8364?\\{x\\}}"),
                     &text), "RTF is read");
    is_str(text, STR("Hello\nw\xc3\xb6rld \xe2\x82\xac{x}"), "its text");
    ok(tnef_rtf_text(a, STR("{\\rtf1\\fromhtml1 {\\*\\htmltag <p>}Hi\\htmlrtf {\\par}\\htmlrtf0 }"), &text),
       "with HTML");
    is_str(text, STR("Hi"), "the text once");
    ok(!tnef_rtf_text(a, STR("{\\rtf1 open"), &text), "cut off");
    ok(!tnef_rtf_text(a, STR("no"), &text), "none");
}

static void test_missing(void)
{
    struct str answer, why, piece = STR("echo x");
    const char *kinds[] = {"files"};
    struct str nowhere[] = {STR("/tmp/sme-there-is-no-such-directory")};
    int64_t began = clock_ms();
    bool good;

    worker_want(kinds, nowhere, 1);
    good = worker_finish(worker_begin(a, "files", nowhere[0], &piece, 1, clock_ms() + GENEROUS_MS), &answer, &why);
    ok(!good && clock_ms() - began < GENEROUS_MS - 5000, "no directory of signatures: " STR_FMT, STR_ARG(why));
    good = worker_finish(worker_begin(a, "bare", STR_NONE, &piece, 1, clock_ms() + GENEROUS_MS), &answer, &why);
    ok(!good, "a kind that is not wanted any more: " STR_FMT, STR_ARG(why));
}

static int notes; /* log lines that say how jobs are locked in */

static void quiet(int level, struct str line, void *ctx)
{
    (void)ctx;
    notes += memmem(line.p, line.n, "no Landlock", 11) != NULL;
    if (level <= LOG_LEVEL_ERROR)
        diag(STR_FMT, STR_ARG(line));
}

int main(int argc, char **argv)
{
    static const struct worker_kind *const all[] = {&kind_files, &kind_bare};
    const char *kinds[] = {"files", "bare"};
    struct str directories[2];
    struct worker_settings settings = {.program = "/proc/self/exe", .tmp = temporary, .jobs = 4, .look_ms = 200,
                                       .pong_ms = 1000};
    unsigned before;

    if (argc == 4)
        _exit(worker_serve(all, 2, argc - 1, argv + 1));
#ifdef WITHOUT_LANDLOCK
    if (!without_landlock(false))
        bail("seccomp: %s", strerror(errno));
#endif
    a = arena_new(0);
    log_capture(quiet, NULL);
    if (!mkdtemp(directory) || !mkdtemp(temporary))
        bail("%s: %s", directory, strerror(errno));
    directories[0] = str_of(directory);
    directories[1] = STR_NONE;
    set_signatures("first");
    before = descriptors();
    if (!worker_start(&settings))
        bail("the worker does not start");
    worker_want(kinds, directories, 2);
    test_answers("bare");
    test_answers("files");
    test_time();
    test_memory();
    test_sandbox();
    test_separate();
    test_parallel();
    test_reload();
    test_crashes();
    test_given_up();
    test_deaths();
    test_stopped("bare");
    test_stopped("files");
    test_missing();
    worker_stop();
    is_long(notes, WITHOUT_LANDLOCK_HERE, "the log says once how jobs are locked in, where that is not as usual");
    is_long(descriptors(), before, "after the end there are as many descriptors as before");
    ok(rmdir(temporary) == 0, "and no directory is left");
    test_names();
    test_rtf();
    worker_remove_directory(directory);
    arena_free(&a);
    return tap_end();
}
