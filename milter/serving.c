/* serving.c - the serving child's own two threads: one obeys the supervisor, one wakes libmilter's workers.
 *
 * What must stay true:
 * (1) All signals are blocked before the first thread exists, and HUP, TERM and INT stay blocked: libmilter waits for
 *     these itself and ends without draining. Only the supervisor gets them.
 * (2) Draining is: no new connection, the open ones to their end. libmilter knows no such thing, so a dead socket is
 *     put over its listening descriptor: it listens (or libmilter would log and give up), does not block, and nobody
 *     is told its name.
 * (3) A connection is counted by its descriptor, not by callbacks: one that has been accepted but has not said anything
 *     is no session to libmilter yet, but the client behind it waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/waiting.h"
#include "callbacks.h"
#include "services.h"
#include "serving.h"

#define STACK_SIZE (256 * 1024) /* of a worker: 500 of them wait at once in bad hours */
#define NUDGES_MOST 4096        /* more workers than this never wait at once */
#define NUDGE_AGAIN_US 20000
#define NUDGE_COMPLAIN_MS 60000
#define DRAIN_LOOK_MS 250       /* between two counts of the open sessions */
#define STALL_LOOK_MS 500
#define TRIM_EVERY_MS 10000
#define TRIM_CPU_MS 20          /* an idle process has nothing to give back */

static struct {
    const struct listener *listener;
    int control;
    int dead_end;          /* the socket of (2), made in time: at the worst moment there may be no descriptor left */
    atomic_bool draining;
    int64_t drain_until;   /* the rest is the control thread's alone */
    int64_t look_at;
    int zeros;             /* counts in a row that found no session */
    int64_t trim_at;
    int64_t trimmed_cpu;   /* CPU time at the last trim, in ms */
} serving;

static struct {
    sem_t bell;
    atomic_uint wanted;
} nudges;

/* ---- nudging libmilter's workers ---- */

/* nudge_want - called inside callbacks, so it must not block. */
static void nudge_want(void)
{
    if (atomic_fetch_add(&nudges.wanted, 1) < NUDGES_MOST)
        sem_post(&nudges.bell);
    else
        atomic_fetch_sub(&nudges.wanted, 1);
}

static bool connect_once(const struct sockaddr *name, socklen_t size)
{
    int fd = socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    if (fd < 0)
        return false;
    if (connect(fd, name, size) != 0)
        error = errno;
    if (error == EINPROGRESS)
        error = poll(&p, 1, 100) == 1 ? 0 : ETIMEDOUT;
    close(fd);
    errno = error;
    return error == 0 || error == EAGAIN; /* EAGAIN: the backlog is full of real connections, which do the same */
}

/* through_door - a connection to the listening socket, even where its path has been removed. */
static bool through_door(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d", serving.listener->door);
    return connect_once((const struct sockaddr *)&un, sizeof un);
}

/* knock - a connection that says nothing: it makes libmilter look at its sessions and start a worker. */
static bool knock(void)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;

    if (!atomic_load(&serving.draining) && serving.listener->door >= 0 && through_door())
        return true;
    return getsockname(serving.listener->fd, (struct sockaddr *)&name, &size) == 0 &&
           connect_once((const struct sockaddr *)&name, size);
}

static void *nudge_main(void *unused)
{
    int64_t silent_until = 0;

    (void)unused;
    for (;;) {
        while (sem_wait(&nudges.bell) != 0)
            continue;
        atomic_fetch_sub(&nudges.wanted, 1);
        /* Where fewer than two wait, libmilter's other permanent worker is free and does what is left. */
        while (waiting_now() >= 2 && !knock()) {
            if (clock_ms() >= silent_until) {
                log_warn("cannot wake libmilter's workers: %s; sessions may wait for each other", strerror(errno));
                silent_until = clock_ms() + NUDGE_COMPLAIN_MS;
            }
            usleep(NUDGE_AGAIN_US);
        }
    }
    return NULL;
}

/* ---- draining ---- */

static void make_dead_end(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    serving.dead_end = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (serving.dead_end < 0 || bind(serving.dead_end, (struct sockaddr *)&un, sizeof un.sun_family) != 0)
        log_fatal(EX_OSERR, "cannot make the socket that ends the service: %s", strerror(errno));
}

/* wake_listener - libmilter's poll() sleeps up to 5 s on the old socket and so keeps it alive, with connections in its
 * backlog that nobody takes. An event on the old socket makes it look again at what is behind the number now; it goes
 * back to sleep unless there is something to accept. So: a connection to the new one, then one to the old one. */
static void wake_listener(void)
{
    knock();
    if (serving.listener->door < 0 || !through_door())
        connect_once((const struct sockaddr *)&serving.listener->name, serving.listener->name_size);
}

static void drain_begin(bool told)
{
    if (atomic_load(&serving.draining))
        return;
    serving.drain_until = clock_ms() + (told ? DRAIN_LIMIT_MS - 2 * DRAIN_LOOK_MS : ORPHAN_LIMIT_MS);
    if (!told)
        log_warn("the supervisor is gone; finishing the open sessions");
    /* The same number stays open throughout, so libmilter never meets a closed descriptor. */
    if (listen(serving.dead_end, 128) != 0 || dup3(serving.dead_end, serving.listener->fd, O_CLOEXEC) < 0) {
        log_error("cannot close the door to new connections: %s", strerror(errno));
        _exit(EX_OSERR);
    }
    atomic_store(&serving.draining, true);
    wake_listener();
}

_Noreturn static void finish(void)
{
    services_stop();
    _exit(EXIT_SUCCESS);
}

static void drain_look(void)
{
    int sessions;

    if (clock_ms() < serving.look_at)
        return;
    serving.look_at = clock_ms() + DRAIN_LOOK_MS;
    sessions = listener_sessions(serving.listener);
    serving.zeros = sessions == 0 ? serving.zeros + 1 : 0;
    if (serving.zeros >= 2)
        finish();
    if (clock_ms() < serving.drain_until)
        return;
    if (sessions >= 0)
        log_warn("%d session%s did not end in time and %s cut", sessions, sessions == 1 ? "" : "s",
                 sessions == 1 ? "is" : "are");
    finish();
}

/* ---- the control thread ---- */

static int64_t cpu_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* give_back - after busy times free memory lies between what is in use; the system gets it when nobody would notice. */
static void give_back(void)
{
    if (clock_ms() < serving.trim_at)
        return;
    serving.trim_at = clock_ms() + TRIM_EVERY_MS;
    if (cpu_ms() - serving.trimmed_cpu < TRIM_CPU_MS || listener_sessions(serving.listener) != 0)
        return;
    malloc_trim(0);
    serving.trimmed_cpu = cpu_ms();
}

static void tell(char byte)
{
    send(serving.control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void tell_ready(void)
{
    tell(CONTROL_READY);
}

/* reload - the supervisor has just read the same file and found it good, and told of its warnings. */
static void reload(void)
{
    struct problems problems = {.arena = arena_new(0)};
    struct config *old = callbacks_config(), *config = config_load(old->path, &problems);

    if (config) {
        log_open((enum log_target)config->log.to, (enum log_level)config->log.level);
        callbacks_use(config);
        services_reload(config);
    } else {
        for (size_t i = 0; i < problems.count; i++) {
            struct str text = problem_text(problems.arena, &problems.items[i]);

            log_error(STR_FMT, STR_ARG(text));
        }
    }
    tell(config ? CONTROL_RELOADED : CONTROL_RELOAD_FAILED);
    config_unref(&config);
    config_unref(&old);
    arena_free(&problems.arena);
}

/* look_after_workers - a peer that sent half of a frame holds a worker inside libmilter, where nobody tells us that it
 * waits; some of them, and nobody is left for the others until libmilter has a reason to start one more. */
static void look_after_workers(void)
{
    if (listener_sessions(serving.listener) > 0)
        knock();
    give_back();
}

/* obey - what the supervisor wrote. False when it is gone. */
static bool obey(void)
{
    char orders[64];
    ssize_t n = recv(serving.control, orders, sizeof orders, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    for (ssize_t i = 0; i < n; i++) {
        if (orders[i] == CONTROL_PING)
            tell(CONTROL_PONG);
        else if (orders[i] == CONTROL_RELOAD && !atomic_load(&serving.draining))
            reload();
        else if (orders[i] == CONTROL_DRAIN)
            drain_begin(true);
    }
    return n > 0;
}

static void *control_main(void *unused)
{
    struct pollfd p = {.fd = serving.control, .events = POLLIN};

    (void)unused;
    for (;;) {
        if (poll(&p, 1, atomic_load(&serving.draining) ? DRAIN_LOOK_MS : STALL_LOOK_MS) > 0 && !obey()) {
            p.fd = -1; /* poll() takes no notice of it */
            drain_begin(false);
        }
        if (atomic_load(&serving.draining))
            drain_look();
        else
            look_after_workers();
    }
    return NULL;
}

/* ---- the child ---- */

static void start_thread(void *(*fn)(void *))
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, fn, NULL);

    if (error != 0)
        log_fatal(EX_OSERR, "cannot start a thread: %s", strerror(error));
    pthread_detach(thread);
}

/* limit_memory - two heaps and small stacks do for many hundreds of threads that mostly wait. Before the first one. */
static void limit_memory(void)
{
    pthread_attr_t attributes;

    mallopt(M_ARENA_MAX, 2);
#ifdef __SANITIZE_THREAD__
    return; /* it keeps more on the stack than we give */
#endif
    if (pthread_attr_init(&attributes) != 0)
        return;
    if (pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0)
        pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

static void leave_signals_to_libmilter(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

_Noreturn void serve(struct config *config, const struct listener *listener, int control_fd)
{
    int error;

    prctl(PR_SET_NAME, "milter-serving"); /* so that `killall sme-milter` means the supervisor, which drains */
    limit_memory();
    serving.listener = listener;
    serving.control = control_fd;
    make_dead_end();
    callbacks_use(config);
    services_start(config);
    config_unref(&config);
    if (sem_init(&nudges.bell, 0, 0) != 0)
        log_fatal(EX_OSERR, "cannot make a semaphore: %s", strerror(errno));
    start_thread(nudge_main);
    start_thread(control_main);
    waiting_on_begin(nudge_want);
    leave_signals_to_libmilter();
    error = callbacks_serve(listener->fd, tell_ready);
    while (atomic_load(&serving.draining))
        pause(); /* the control thread ends the process */
    if (error != 0)
        log_error("libmilter does not serve: %s", strerror(error));
    else
        log_error("libmilter ended: the serving process got a signal that was meant for the supervisor");
    _exit(EX_SOFTWARE);
}
