/* supervisor.c - one loop over the signals, the child's control socket and the clock. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "listener.h"
#include "serving.h"
#include "supervisor.h"

#define PING_EVERY_MS 2000
#define PONG_LIMIT_MS 10000    /* a child that answers nothing for so long is replaced */
#define READY_LIMIT_MS 60000   /* and one that does not serve so long after its start */
#define QUICK_DEATH_MS 1000    /* a child that died so young would do it again at once */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
#define FIRST_TRIES 5          /* children that may die before any has served; then the start has failed */

struct supervisor {
    struct config *config;     /* of the children to come */
    struct arena *arena;       /* of the texts */
    struct str listen, group;  /* what the socket was made from: a reload cannot change it */
    struct listener listener;
    int signals;               /* signalfd */
    bool watchdog;             /* systemd wants to hear that we live */
    int64_t ping_every;

    pid_t child;               /* 0: none */
    int control;               /* our end of its socket pair, or -1 */
    bool ready;                /* it serves */
    bool killed;               /* by us */
    int64_t started;
    int64_t ping_at;           /* when the next one is due */
    int64_t unanswered_since;  /* of the oldest ping without an answer; 0: none */

    int64_t start_at;          /* when to start the next child, where there is none */
    int64_t backoff;           /* ms before the next start, should this child die young */
    int failed_starts;
    bool served;               /* some child was ready, and systemd knows */
    int reloads;               /* that the child has not answered yet */
    bool stopping;
    int64_t stop_by;
    bool done;
    int status;                /* our exit status */
};

void supervisor_log_problems(const struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        struct str text = problem_text(problems->arena, &problems->items[i]);

        if (problems->items[i].warning)
            log_warn(STR_FMT, STR_ARG(text));
        else
            log_error(STR_FMT, STR_ARG(text));
    }
}

/* ---- the child ---- */

static void tell(struct supervisor *s, char byte)
{
    if (s->control >= 0) /* where it fails the child is dead or will be killed */
        send(s->control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void kill_child(struct supervisor *s)
{
    s->killed = true;
    kill(s->child, SIGKILL);
}

/* schedule_start - after a death or a failed fork: at once, or later each time when it happened too soon. */
static void schedule_start(struct supervisor *s, bool soon)
{
    s->start_at = clock_ms() + (soon ? s->backoff : 0);
    if (soon && s->backoff > 0)
        log_info("the next serving process starts in %d ms, because this one died so soon", (int)s->backoff);
    if (!soon)
        s->backoff = 0;
    else
        s->backoff = s->backoff == 0 ? BACKOFF_FIRST_MS : s->backoff * 2;
    if (s->backoff > BACKOFF_MOST_MS)
        s->backoff = BACKOFF_MOST_MS;
    if (!s->served && ++s->failed_starts >= FIRST_TRIES) {
        log_error("no serving process became ready in %d tries", s->failed_starts);
        s->status = EX_SOFTWARE;
        s->done = true;
    }
}

static _Noreturn void be_child(struct supervisor *s, int control)
{
    setpgid(0, 0); /* what a terminal or a group is sent is for the supervisor */
    close(s->signals);
    unsetenv("NOTIFY_SOCKET");
    serve(s->config, &s->listener, control);
}

static void start_child(struct supervisor *s)
{
    int pair[2] = {-1, -1};
    pid_t pid = -1;

    s->start_at = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
        pid = fork();
    if (pid < 0) {
        log_error("cannot start a serving process: %s", strerror(errno));
        if (pair[0] >= 0) {
            close(pair[0]);
            close(pair[1]);
        }
        schedule_start(s, true);
        return;
    }
    if (pid == 0) {
        close(pair[0]);
        be_child(s, pair[1]);
    }
    close(pair[1]);
    s->child = pid;
    s->control = pair[0];
    s->ready = s->killed = false;
    s->started = clock_ms();
    s->ping_at = s->started + s->ping_every;
    s->unanswered_since = 0;
}

/* reload_over - tell systemd, which shows the unit as reloading until then. */
static void reload_over(struct supervisor *s, const char *status)
{
    s->reloads = 0;
    if (s->served)
        sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

static void child_ready(struct supervisor *s)
{
    struct str where = str_escaped(s->arena, s->listen);

    if (s->stopping)
        return;
    s->ready = s->served = true;
    s->failed_starts = 0;
    listener_claim(&s->listener);
    log_info("process %ld serves %s" STR_FMT, (long)s->child,
             s->listener.given ? "the socket of systemd instead of " : "", STR_ARG(where));
    reload_over(s, "serving");
}

static void child_said(struct supervisor *s, char byte)
{
    switch (byte) {
    case CONTROL_READY:
        child_ready(s);
        break;
    case CONTROL_PONG:
        s->unanswered_since = 0;
        if (s->watchdog && s->ready)
            sd_notify(0, "WATCHDOG=1");
        break;
    case CONTROL_RELOADED:
        if (--s->reloads <= 0)
            reload_over(s, "serving");
        log_info("configuration reloaded; open sessions keep the one they began with");
        break;
    case CONTROL_RELOAD_FAILED:
        if (--s->reloads <= 0)
            reload_over(s, "serving with the old configuration: the file changed while it was read");
        log_error("the configuration file changed between two readings; reload again");
        break;
    default:
        log_error("the serving process said something unknown (%d)", byte);
    }
}

static void hear_child(struct supervisor *s)
{
    char bytes[64];
    ssize_t n = recv(s->control, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    for (ssize_t i = 0; i < n; i++)
        child_said(s, bytes[i]);
    if (n <= 0) { /* it is dying; SIGCHLD follows */
        close(s->control);
        s->control = -1;
    }
}

/* ---- what happens ---- */

static void log_death(const struct supervisor *s, int status)
{
    if (WIFSIGNALED(status))
        log_error("serving process %ld was killed by signal %d (%s)%s; its open sessions are cut", (long)s->child,
                  WTERMSIG(status), strsignal(WTERMSIG(status)), WCOREDUMP(status) ? " and dumped core" : "");
    else
        log_error("serving process %ld ended by itself with status %d", (long)s->child, WEXITSTATUS(status));
}

static void child_died(struct supervisor *s, int status)
{
    bool young = clock_ms() - s->started < QUICK_DEATH_MS && !s->killed;

    if (s->control >= 0)
        hear_child(s); /* its last words */
    if (s->control >= 0) {
        close(s->control);
        s->control = -1;
    }
    if (s->stopping) {
        if (!s->killed && status != 0)
            log_death(s, status);
        s->child = 0;
        s->done = true;
        return;
    }
    listener_claim(&s->listener); /* it may have died before it was ready */
    log_death(s, status);
    s->child = 0;
    s->ready = false;
    if (!s->served && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        s->status = WEXITSTATUS(status); /* it has said why, and would say so again */
        s->done = true;
        return;
    }
    schedule_start(s, young);
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == s->child)
            child_died(s, status);
}

static void warn_of_fixed(const struct supervisor *s, const struct config *config)
{
    const struct global_options *g = &config->global;

    if (s->listener.given || (str_is(g->listen, s->listen) && str_is(g->listen_group, s->group)))
        return;
    log_warn("listen or listen_group has changed: that needs a restart, until then it stays \"" STR_FMT "\"",
             STR_ARG(s->listen));
}

/* reload - the supervisor reads the file first, so that a child that is started later has it as well, and a bad file
 * never reaches a child. */
static void reload(struct supervisor *s)
{
    struct problems problems = {.arena = arena_new(0)};
    struct config *config;

    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_ms() * 1000);
    config = config_load(s->config->path, &problems);
    supervisor_log_problems(&problems);
    if (!config) {
        log_error("not reloaded: the configuration has %zu error%s; the old one stays", problems.errors,
                  problems.errors == 1 ? "" : "s");
        reload_over(s, "serving with the old configuration: the new one has errors, see the log");
    } else {
        warn_of_fixed(s, config);
        config_unref(&s->config);
        s->config = config;
        log_open((enum log_target)config->log.to, (enum log_level)config->log.level);
        if (s->child) {
            s->reloads++;
            tell(s, CONTROL_RELOAD);
        } /* else the next child begins with it, and its being ready ends the reload */
    }
    arena_free(&problems.arena);
}

/* stop - the path goes first: a new connection then fails at once, and Postfix does what its default action says,
 * instead of waiting in a backlog that nobody serves. */
static void stop(struct supervisor *s)
{
    if (s->stopping) {
        log_warn("told to stop again: not waiting for the open sessions");
        if (s->child)
            kill_child(s);
        return;
    }
    log_info("stopping when the open sessions have ended, in %d s at the latest", DRAIN_LIMIT_MS / 1000);
    s->stopping = true;
    s->stop_by = clock_ms() + DRAIN_LIMIT_MS;
    sd_notify(0, "STOPPING=1\nSTATUS=finishing open sessions");
    listener_remove(&s->listener);
    tell(s, CONTROL_DRAIN);
    s->done = s->child == 0;
}

static void take_signals(struct supervisor *s)
{
    struct signalfd_siginfo signals[8];
    ssize_t n = read(s->signals, signals, sizeof signals);

    for (ssize_t i = 0; i < n / (ssize_t)sizeof signals[0]; i++) {
        int number = (int)signals[i].ssi_signo;

        if (number == SIGCHLD)
            reap(s);
        else if (number == SIGHUP && !s->stopping)
            reload(s);
        else if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
            stop(s);
    }
}

/* ---- the clock ---- */

static void ping(struct supervisor *s, int64_t now)
{
    if (!s->child || now < s->ping_at)
        return;
    s->ping_at = now + s->ping_every;
    if (s->unanswered_since == 0)
        s->unanswered_since = now;
    tell(s, CONTROL_PING);
}

static void check_times(struct supervisor *s)
{
    int64_t now = clock_ms();

    if (s->child && !s->killed) {
        if (s->stopping && now >= s->stop_by) {
            log_warn("serving process %ld did not end within %d s and is killed", (long)s->child,
                     DRAIN_LIMIT_MS / 1000);
            kill_child(s);
        } else if (!s->stopping && s->unanswered_since != 0 && now - s->unanswered_since >= PONG_LIMIT_MS) {
            log_error("serving process %ld has not answered for %d s and is replaced", (long)s->child,
                      PONG_LIMIT_MS / 1000);
            kill_child(s);
        } else if (!s->stopping && !s->ready && now - s->started >= READY_LIMIT_MS) {
            log_error("serving process %ld does not become ready and is replaced", (long)s->child);
            kill_child(s);
        }
    }
    ping(s, now);
    if (!s->child && !s->stopping && now >= s->start_at)
        start_child(s);
}

/* patience - ms until check_times() has something to do. */
static int patience(const struct supervisor *s)
{
    int64_t next = s->child ? s->ping_at : s->start_at, now = clock_ms();

    if (s->stopping && !s->killed && s->stop_by < next)
        next = s->stop_by;
    return next <= now ? 0 : (int)(next - now);
}

static void run(struct supervisor *s)
{
    while (!s->done) {
        struct pollfd p[] = {{.fd = s->signals, .events = POLLIN}, {.fd = s->control, .events = POLLIN}};

        if (poll(p, 2, patience(s)) < 0 && errno != EINTR) {
            log_error("poll: %s", strerror(errno));
            s->status = EX_OSERR;
            return;
        }
        /* Answers before deadlines: after a suspended machine wakes, both are there. */
        if (s->control >= 0 && p[1].revents)
            hear_child(s);
        if (p[0].revents)
            take_signals(s);
        if (!s->done)
            check_times(s);
    }
}

/* ---- start ---- */

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("cannot raise the limit of open files: %s", strerror(errno));
}

/* take_signals_over - from now on signals are read, never delivered; children begin with all of them blocked. */
static int take_signals_over(void)
{
    sigset_t all;

    signal(SIGCHLD, SIG_DFL); /* whoever started us may ignore it, and then no death could be seen */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

int supervise(struct config *config)
{
    struct supervisor s = {.config = config, .arena = arena_new(0), .control = -1, .ping_every = PING_EVERY_MS};
    uint64_t watchdog_us = 0;

    raise_descriptor_limit();
    s.listen = str_dup(s.arena, config->global.listen);
    s.group = str_dup(s.arena, config->global.listen_group);
    s.watchdog = sd_watchdog_enabled(1, &watchdog_us) > 0;
    if (s.watchdog && watchdog_us / 3000 < PING_EVERY_MS)
        s.ping_every = watchdog_us / 3000 > 0 ? (int64_t)(watchdog_us / 3000) : 1;
    s.signals = take_signals_over();
    if (s.signals < 0) {
        log_error("signalfd: %s", strerror(errno));
        s.status = EX_OSERR;
    } else {
        s.status = listener_open(&s.listener, s.listen, s.group);
    }
    if (s.status == 0)
        run(&s);
    if (s.child) /* only where the loop itself failed */
        kill_child(&s);
    listener_remove(&s.listener);
    if (s.status == 0)
        log_info("stopped");
    config_unref(&s.config);
    arena_free(&s.arena);
    return s.status;
}
