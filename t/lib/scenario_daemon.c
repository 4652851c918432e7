/* scenario_daemon.c - starts, reads and stops test daemons. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scenario_daemon.h"
#include "wire.h"
#include "world.h"

#include "milter/base/clock.h"

#define START_MS 20000
#define LINE_MS 10000
#define STOP_MS 30000

struct daemon {
    struct daemon *next;   /* of those told to stop */
    struct arena *arena;   /* its own: it outlives the play */
    struct str path;       /* of the scenario; empty: it never served, and that has been told */
    struct world *world;
    pid_t pid;
    int log;               /* the reading end of its standard error */
    struct buf text;       /* what came and is not a whole line yet */
    bool gone;             /* end of file: every process of it has ended */
    long asked;            /* bytes of its file of questions that have been read */
};

static struct daemon *stopping;

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts); /* not clock_ms(): that may be scripted */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* program - beside this one, unless SME_TEST_DAEMON names it. */
static struct str program(struct arena *a)
{
    const char *named = getenv("SME_TEST_DAEMON");
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (named)
        return str_of(named);
    self[n > 0 ? n : 0] = '\0';
    return arena_printf(a, "%s/sme-milter-test", dirname(self));
}

static bool make_world(struct daemon *d, struct str path)
{
    int fd = open(path.p, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    void *p = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof *d->world) == 0)
        p = mmap(NULL, sizeof *d->world, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    d->world = p == MAP_FAILED ? NULL : p;
    return d->world;
}

void daemon_world(struct daemon *d, const struct play *p)
{
    d->world->wall_ms = p->wall_ms;
    d->world->passed_ms = p->passed_ms;
    d->world->load_hundredths = p->load < 0 ? -1 : (int64_t)(p->load * 100 + 0.5);
}

static void run(const char *path, const char *config, struct str dir, int out)
{
    struct arena *a = arena_new(0);

    prctl(PR_SET_PDEATHSIG, SIGTERM); /* not even a killed test leaves a daemon behind */
    dup2(out, STDERR_FILENO);
    dup2(out, STDOUT_FILENO);
    setenv(WORLD_ENV, arena_printf(a, STR_FMT "/world", STR_ARG(dir)).p, 1);
    setenv(DNS_ENV, arena_printf(a, STR_FMT "/" DNS_FILE, STR_ARG(dir)).p, 1);
    setenv(ASKED_ENV, arena_printf(a, STR_FMT "/" ASKED_FILE, STR_ARG(dir)).p, 1);
    unsetenv("JOURNAL_STREAM");
    unsetenv("NOTIFY_SOCKET");
    execl(path, path, "-c", config, (char *)NULL);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

/* read_some - wait up to `ms` for more of its output. */
static void read_some(struct daemon *d, int ms)
{
    struct pollfd p = {.fd = d->log, .events = POLLIN};
    char part[8192];
    ssize_t n;

    if (d->gone || poll(&p, 1, ms) <= 0)
        return;
    n = read(d->log, part, sizeof part);
    if (n > 0)
        buf_add(&d->text, (struct str){part, (size_t)n});
    else if (n == 0)
        d->gone = true;
}

/* serves - a session can be negotiated. */
static bool serves(const struct str socket)
{
    struct wire w = {.timeout_ms = START_MS};

    if (!wire_open(&w, socket.p))
        return false;
    wire_close(&w);
    return true;
}

struct daemon *daemon_start(struct play *p, struct str *error)
{
    struct arena *a = arena_new(0);
    struct daemon *d = arena_zalloc(a, sizeof *d);
    struct str exe = program(a), world = arena_printf(a, STR_FMT "/world", STR_ARG(p->dir));
    struct str config = arena_printf(a, STR_FMT "/sme-milter.conf", STR_ARG(p->dir));
    struct str socket = arena_printf(a, "unix:" STR_FMT "/milter.sock", STR_ARG(p->dir));
    int64_t until = now_ms() + START_MS;
    struct seen seen = {0};
    int out[2];

    d->arena = a;
    d->path = str_dup(a, str_of(p->scenario->path));
    d->text = buf_in(a);
    buf_add(&d->text, STR_NONE);
    if (!make_world(d, world) || pipe2(out, O_CLOEXEC) != 0) {
        *error = STR("cannot prepare a daemon");
        arena_free(&a);
        return NULL;
    }
    daemon_world(d, p);
    d->log = out[0];
    d->pid = fork();
    if (d->pid == 0)
        run(exe.p, config.p, p->dir, out[1]);
    close(out[1]);
    while (!d->gone && now_ms() < until) {
        if (serves(socket))
            return d;
        read_some(d, 2);
    }
    *error = STR("the daemon does not serve; see what it said");
    read_some(d, 0);
    daemon_lines(d, p, &seen, 0);
    d->path = STR_NONE;
    daemon_end(d);
    return NULL;
}

static bool is_report(struct str line)
{
    return str_starts(line, STR("ref=")) || str_starts(line, STR("{")) || str_starts(line, STR("` "));
}

/* take_lines - sort the whole lines that have come. */
static void take_lines(struct daemon *d, struct play *p, struct seen *seen)
{
    struct str text = buf_str(&d->text), line;

    while (str_find(text, '\n') < text.n && str_split(&text, '\n', &line)) {
        if (is_report(line))
            seen_line(p, seen, line);
        else
            play_note(p, "said " STR_FMT, STR_ARG(line));
    }
    memmove(d->text.data, d->text.data + d->text.len - text.n, text.n);
    d->text.len = text.n;
}

/* take_asked - the questions it has asked since the last time. */
static void take_asked(struct daemon *d, struct play *p, struct seen *seen)
{
    static const struct str asked = {"asked ", 6}, unscripted = {"unscripted ", 11};
    FILE *f = fopen(arena_printf(p->arena, STR_FMT "/" ASKED_FILE, STR_ARG(p->dir)).p, "r");
    char line[1024];

    if (!f)
        return;
    fseek(f, d->asked, SEEK_SET);
    while (fgets(line, sizeof line, f)) {
        struct str text = str_of(line);

        if (str_starts(text, asked))
            asked_add(p->arena, &seen->asked, str_slice(text, asked.n, text.n));
        else if (str_starts(text, unscripted))
            asked_add(p->arena, &seen->unscripted, str_slice(text, unscripted.n, text.n));
        d->asked = ftell(f);
    }
    fclose(f);
}

void daemon_lines(struct daemon *d, struct play *p, struct seen *seen, size_t due)
{
    int64_t until = now_ms() + LINE_MS;

    read_some(d, 0);
    take_lines(d, p, seen);
    while (seen->line_count < due && !d->gone && now_ms() < until) {
        read_some(d, 100);
        take_lines(d, p, seen);
    }
    take_asked(d, p, seen);
}

void daemon_end(struct daemon *d)
{
    kill(d->pid, SIGTERM);
    d->next = stopping;
    stopping = d;
}

static bool wait_for(struct daemon *d, int *status)
{
    int64_t until = now_ms() + STOP_MS;

    while (now_ms() < until) {
        read_some(d, 20); /* so that it never blocks on a full pipe */
        if (d->gone)
            poll(NULL, 0, 5);
        if (waitpid(d->pid, status, WNOHANG) == d->pid)
            return true;
    }
    kill(d->pid, SIGKILL);
    waitpid(d->pid, status, 0);
    return false;
}

void daemons_finish(struct tap *tap)
{
    for (struct daemon *d = stopping, *next; d; d = next) {
        struct arena *a = d->arena; /* the daemon lives in it */
        int status = 0;
        bool ended = wait_for(d, &status), fine;

        next = d->next;
        fine = ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (d->path.n && !tap_point(tap, fine, STR_FMT " the daemon's end", STR_ARG(d->path))) {
            tap_lines(arena_printf(d->arena, "status %#x%s", (unsigned)status, ended ? "" : ", after a kill"));
            tap_lines(buf_str(&d->text));
        }
        close(d->log);
        munmap(d->world, sizeof *d->world);
        arena_free(&a);
    }
    stopping = NULL;
}
