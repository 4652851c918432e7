/* worker_server.c - loads, says that it is ready, and then forks for every job it is told of.
 *
 * The server reads nothing that strangers wrote: a job is a frame of numbers and two descriptors. It outlives whatever
 * its jobs do, ends those whose time is over or whose answer nobody waits for any more, and clears up after them. When
 * the daemon hangs up it takes no more jobs, lets those that run come to their end, and goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker_files.h"
#include "worker_frame.h"
#include "worker_sandbox.h"
#include "worker_server.h"

#define JOBS_MOST 64
#define JOB_MS_MOST 3600000

struct job {
    pid_t pid;       /* 0: free */
    int socket;      /* our copy: tells whether somebody waits */
    int64_t until;   /* clock_ms() */
    char name[24];   /* of its directory */
};

static struct {
    const struct worker_kind *kind;
    struct arena *arena;
    struct job jobs[JOBS_MOST];
    unsigned running;
    unsigned long number; /* of the next job */
    int signals;
    bool leaving;
} server;

/* ---- frames ---- */

static bool send_whole(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n); /* SIGPIPE is ignored */

        if (n < 0 && errno != EINTR)
            return false;
        s = str_slice(s, n > 0 ? (size_t)n : 0, s.n);
    }
    return true;
}

static bool say_text(int fd, enum frame_type type, struct str text)
{
    struct buf b = buf_in(server.arena);

    frame_begin(&b, type);
    frame_add_str(&b, str_slice(text, 0, 500));
    return send_whole(fd, frame_end(&b));
}

static bool say_ready(struct str version, uint64_t count)
{
    struct buf b = buf_in(server.arena);
    struct str note = STR("");

    if (sandbox_by_root())
        note = STR("the kernel has no Landlock: each scan is locked into its directory by chroot");
    frame_begin(&b, FRAME_READY);
    frame_add_str(&b, str_slice(version, 0, 200));
    frame_add_u64(&b, count);
    frame_add_str(&b, note);
    return send_whole(WORKER_SOCKET, frame_end(&b));
}

/* ---- a job ---- */

/* own_descriptors_only - the job's socket becomes 3, its message 4; the rest is not its business. */
static void own_descriptors_only(int socket, int message)
{
    int high_socket = fcntl(socket, F_DUPFD_CLOEXEC, 10), high_message = fcntl(message, F_DUPFD_CLOEXEC, 10);

    if (high_socket < 0 || high_message < 0 || dup2(high_socket, 3) < 0 || dup2(high_message, 4) < 0)
        _exit(EX_OSERR);
    if (close_range(5, ~0U, 0) != 0)
        _exit(EX_OSERR);
}

static bool map_message(uint64_t size, struct str *bytes, struct str *why)
{
    struct stat st;
    void *p;

    *bytes = STR("");
    if (fstat(4, &st) != 0 || (uint64_t)st.st_size != size) {
        *why = STR("the message is not as long as it should be");
        return false;
    }
    if (size) {
        p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, 4, 0);
        if (p == MAP_FAILED) {
            *why = STR("the message cannot be mapped");
            return false;
        }
        *bytes = (struct str){p, size};
    }
    close(4);
    return true;
}

static _Noreturn void be_job(const struct job *job, pid_t parent, int message, uint64_t size, uint64_t ms)
{
    struct arena *a = server.arena;
    struct str bytes, why = STR("it failed");
    struct buf answer;
    sigset_t none;
    bool good;

    prctl(PR_SET_NAME, "job");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EX_OSERR);
    own_descriptors_only(job->socket, message);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    good = !server.kind->files || chdir(job->name) == 0;
    good = good && map_message(size, &bytes, &why) && sandbox_job(a, server.kind->files, ms, &why);
    if (good) {
        answer = buf_in(a);
        frame_begin(&answer, FRAME_ANSWER);
        good = server.kind->run(a, bytes, ms, &answer, &why);
    }
    if (good)
        good = send_whole(3, frame_end(&answer));
    else
        good = say_text(3, FRAME_FAILED, why);
    _exit(good ? EXIT_SUCCESS : EX_IOERR);
}

static struct job *free_job(void)
{
    for (size_t i = 0; i < JOBS_MOST; i++)
        if (!server.jobs[i].pid)
            return &server.jobs[i];
    return NULL;
}

static void start_job(int message, int socket, uint64_t size, uint64_t ms)
{
    struct job *job = free_job();
    pid_t parent = getpid();

    if (!job || ms > JOB_MS_MOST) {
        say_text(socket, FRAME_FAILED, STR("too many jobs at once"));
        close(socket);
        return;
    }
    snprintf(job->name, sizeof job->name, "%lu", server.number++);
    job->socket = socket;
    job->until = clock_ms() + (int64_t)ms;
    if (server.kind->files && mkdir(job->name, 0700) != 0) {
        say_text(socket, FRAME_FAILED, STR("no directory for temporary files can be made"));
        close(socket);
        return;
    }
    job->pid = fork();
    if (job->pid == 0)
        be_job(job, parent, message, size, ms);
    if (job->pid < 0) {
        job->pid = 0;
        say_text(socket, FRAME_FAILED, STR("no process for it can be started"));
        close(socket);
        if (server.kind->files)
            rmdir(job->name);
        return;
    }
    server.running++;
}

static void reap(void)
{
    struct signalfd_siginfo told;
    int status;
    pid_t pid;

    while (read(server.signals, &told, sizeof told) > 0)
        continue;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < JOBS_MOST; i++) {
            struct job *job = &server.jobs[i];

            if (job->pid != pid)
                continue;
            if (server.kind->files)
                worker_remove_directory(job->name);
            close(job->socket);
            job->pid = 0;
            server.running--;
        }
}

/* ---- the daemon ---- */

static bool say_pong(void)
{
    struct buf b = buf_in(server.arena);

    frame_begin(&b, FRAME_PONG);
    return send_whole(WORKER_SOCKET, frame_end(&b));
}

/* take_order - a frame, and two descriptors if it is a job. What is not that ends us: the daemon says nothing else. */
static bool take_order(void)
{
    char bytes[FRAME_CONTROL_MOST], room[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(16)));
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    ssize_t n = recvmsg(WORKER_SOCKET, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    uint64_t size, ms;
    struct frame f;
    int fds[2];

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (!c && n > 0 && frame_read((struct str){bytes, (size_t)n}, sizeof bytes, &f) == FRAME_WHOLE &&
        f.type == FRAME_PING && !f.payload.n)
        return say_pong();
    if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof fds) ||
        m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return false;
    memcpy(fds, CMSG_DATA(c), sizeof fds);
    if (frame_read((struct str){bytes, (size_t)n}, sizeof bytes, &f) != FRAME_WHOLE || f.type != FRAME_JOB ||
        !frame_u64(&f.payload, &size) || !frame_u64(&f.payload, &ms) || f.payload.n)
        return false;
    start_job(fds[0], fds[1], size, ms);
    close(fds[0]);
    return true;
}

/* look_after_jobs - which of them must end; how long until the next look. */
static int look_after_jobs(const struct pollfd *p, size_t n, const size_t *which)
{
    int64_t now = clock_ms(), next = INT64_MAX;

    for (size_t i = 0; i < n; i++)
        if (p[i].revents & (POLLHUP | POLLERR) && server.jobs[which[i]].pid)
            kill(server.jobs[which[i]].pid, SIGKILL);
    for (size_t i = 0; i < JOBS_MOST; i++) {
        struct job *job = &server.jobs[i];

        if (!job->pid)
            continue;
        if (now >= job->until) {
            kill(job->pid, SIGKILL);
            job->until = now + 1000;
        }
        if (job->until < next)
            next = job->until;
    }
    return next == INT64_MAX ? -1 : (int)(next - now);
}

static void loop(void)
{
    int wait_ms = -1;

    while (!server.leaving || server.running) {
        struct pollfd p[2 + JOBS_MOST] = {{.fd = server.leaving ? -1 : WORKER_SOCKET, .events = POLLIN},
                                          {.fd = server.signals, .events = POLLIN}};
        size_t which[JOBS_MOST], n = 0;

        for (size_t i = 0; i < JOBS_MOST; i++)
            if (server.jobs[i].pid) {
                which[n] = i;
                p[2 + n++] = (struct pollfd){.fd = server.jobs[i].socket};
            }
        if (poll(p, 2 + n, wait_ms) < 0 && errno != EINTR)
            return;
        wait_ms = look_after_jobs(p + 2, n, which);
        if (p[1].revents)
            reap();
        arena_reset(server.arena);
        if (p[0].revents && !take_order())
            server.leaving = true;
        if (p[0].revents)
            wait_ms = 0; /* the new job has a deadline too */
    }
}

static void take_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    server.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool prepare(const char *tmp, const char *directory, struct str *why)
{
    struct arena *a = server.arena, *kept = arena_new(0);
    struct str version = STR("none");
    uint64_t count = 0;

    take_signals();
    if (server.signals < 0 || chdir(tmp) != 0) {
        *why = arena_printf(a, "%s: %s", tmp, strerror(errno));
        return false;
    }
    if (!sandbox_prepare(a, why) || (server.kind->init && !server.kind->init(kept, why)) ||
        !sandbox_server(a, server.kind->load ? directory : NULL, tmp, why))
        return false;
    if (server.kind->load && !server.kind->load(kept, directory, &version, &count, why))
        return false;
    sandbox_loaded();
    return say_ready(version, count);
}

int worker_serve(const struct worker_kind *const *kinds, size_t count, int argc, char **argv)
{
    struct str why = STR("the daemon is gone");

    umask(077);
    prctl(PR_SET_NAME, "milter-worker");
    server.arena = arena_new(0);
    for (size_t i = 0; i < count && argc == 3; i++)
        if (strcmp(kinds[i]->name, argv[0]) == 0)
            server.kind = kinds[i];
    if (!server.kind || close_range(WORKER_SOCKET + 1, ~0U, 0) != 0)
        return EX_USAGE;
    if (!prepare(argv[1], argv[2], &why)) {
        rmdir(argv[1]); /* first: who hears of the failure may kill us */
        say_text(WORKER_SOCKET, FRAME_FAILED, why);
        return EX_UNAVAILABLE;
    }
    loop();
    rmdir(argv[1]);
    return EXIT_SUCCESS;
}
