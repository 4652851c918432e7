/* worker_job.c - one job: waits for its turn, is given to the server, and its answer is read with suspicion.
 *
 *   WAITING ─▶ RUNNING ─▶ DONE
 *
 * The message is copied only when there is a process to read it, so that messages that wait hold nothing twice. The
 * copy is sealed: neither side can change or shorten it under the other. Closing our end of the job's socket ends the
 * job, wherever it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/waiting.h"
#include "worker_inside.h"

#define WAIT_STEP_MS 500 /* a scripted clock does not wake us */
#define WHY_MOST 500

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE };

struct worker_job {
    struct arena *arena;
    enum job_state state;
    bool slot;              /* it holds one */
    bool good;
    bool again;             /* its first server did nothing any more */
    unsigned long server;   /* its number */
    const char *kind;
    struct str directory;
    const struct str *pieces;
    size_t count;
    int64_t deadline;
    int fd;                 /* our end of its socket */
    size_t most;            /* payload of its answer */
    char head[FRAME_HEAD];
    char *bytes;            /* of the answer, when its size is known */
    size_t size, heard;
    struct str answer, why;
};

/* ---- ends ---- */

/* used - how many of its kind there are, under the lock. */
static unsigned *used(const struct worker_job *job)
{
    return strcmp(job->kind, "tnef") == 0 ? &workers.unpacking : &workers.scans;
}

static void release_slot(struct worker_job *job)
{
    if (!job->slot)
        return;
    pthread_mutex_lock(&workers.lock);
    --*used(job);
    pthread_cond_broadcast(&workers.changed);
    pthread_mutex_unlock(&workers.lock);
    job->slot = false;
}

static void end(struct worker_job *job)
{
    if (job->fd >= 0)
        close(job->fd);
    job->fd = -1;
    job->state = JOB_DONE;
    release_slot(job);
}

static void fail(struct worker_job *job, struct str why)
{
    job->why = why;
    end(job);
}

static void forget(void *ptr)
{
    end(ptr);
}

/* ---- starting ---- */

static bool write_piece(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);

        if (n < 0 && errno != EINTR)
            return false;
        s = str_slice(s, n > 0 ? (size_t)n : 0, s.n);
    }
    return true;
}

static int sealed_copy(const struct worker_job *job)
{
    int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

    if (fd < 0)
        return -1;
    for (size_t i = 0; i < job->count; i++)
        if (!write_piece(fd, job->pieces[i]))
            goto failed;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
        return fd;
failed:
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool send_order(struct worker_job *job, int server, int message, int socket)
{
    char room[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(16))) = {0};
    int64_t left = job->deadline - clock_ms();
    struct buf b = buf_in(job->arena);
    uint64_t size = 0;
    struct str frame;
    struct iovec iov;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    for (size_t i = 0; i < job->count; i++)
        size += job->pieces[i].n;
    frame_begin(&b, FRAME_JOB);
    frame_add_u64(&b, size);
    frame_add_u64(&b, left > 0 ? (uint64_t)left : 1);
    frame = frame_end(&b);
    iov = (struct iovec){b.data, frame.n};
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), (int[]){message, socket}, 2 * sizeof(int));
    return sendmsg(server, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)frame.n;
}

/* give - to the server of the moment. False: there is none, or it takes none; the job waits on. */
static bool give(struct worker_job *job, int message, int socket)
{
    bool given = false;
    struct crew *crew;

    pthread_mutex_lock(&workers.lock);
    crew = worker_crew(job->kind, job->directory);
    if (crew && crew->serving) {
        given = send_order(job, crew->serving->fd, message, socket);
        job->server = crew->serving->number;
        if (!given && errno != EAGAIN)
            worker_broken(crew->serving);
    }
    pthread_mutex_unlock(&workers.lock);
    return given;
}

/* take_slot - false: not now, or never (the job has then failed). */
static bool take_slot(struct worker_job *job)
{
    struct str why = STR_NONE;
    struct crew *crew;

    pthread_mutex_lock(&workers.lock);
    crew = worker_crew(job->kind, job->directory);
    if (!workers.running || workers.stopping || !crew)
        why = STR("there is no worker for it");
    else if (crew->serving)
        job->slot = *used(job) < workers.slots;
    else if (crew->why[0])
        why = str_dup(job->arena, str_of(crew->why));
    *used(job) += job->slot;
    pthread_mutex_unlock(&workers.lock);
    if (why.n)
        fail(job, why);
    return job->slot;
}

static void try_start(struct worker_job *job)
{
    int pair[2], message;

    if (!take_slot(job))
        return;
    message = sealed_copy(job);
    if (message < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        fail(job, arena_printf(job->arena, "the message cannot be given to a worker: %s", strerror(errno)));
        if (message >= 0)
            close(message);
        return;
    }
    if (give(job, message, pair[1])) {
        job->fd = pair[0];
        job->state = JOB_RUNNING;
    } else {
        close(pair[0]);
        release_slot(job);
    }
    close(pair[1]);
    close(message);
}

/* ---- waiting ---- */

/* wait_change - until something may be otherwise, a moment at most. */
static void wait_change(struct worker_job *job)
{
    int64_t left = job->deadline - clock_ms();
    struct timespec until;

    left = waiting_slice(left > WAIT_STEP_MS ? WAIT_STEP_MS : left);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (left > 0 ? (long)left : 1) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&workers.lock);
    if (*used(job) >= workers.slots || !worker_crew(job->kind, job->directory) ||
        !worker_crew(job->kind, job->directory)->serving)
        pthread_cond_timedwait(&workers.changed, &workers.lock, &until);
    pthread_mutex_unlock(&workers.lock);
}

static void wait_turn(struct worker_job *job)
{
    while (job->state == JOB_WAITING) {
        if (clock_ms() >= job->deadline) {
            fail(job, STR("no worker took it in time"));
            return;
        }
        wait_change(job);
        try_start(job);
    }
}

/* heard_all - what the frame is, when it is whole. */
static void heard_all(struct worker_job *job)
{
    struct frame f;
    struct str text;

    if (frame_read((struct str){job->bytes, job->size}, job->most, &f) != FRAME_WHOLE) {
        fail(job, STR("the worker says something else than it should"));
    } else if (f.type == FRAME_ANSWER) {
        job->good = true;
        job->answer = f.payload;
        end(job);
    } else if (f.type == FRAME_FAILED && frame_str(&f.payload, WHY_MOST, &text) && text.n && !f.payload.n) {
        fail(job, text);
    } else {
        fail(job, STR("the worker says something else than it should"));
    }
}

/* try_again - once, where the server was killed for its silence: it did not die of this job. */
static bool try_again(struct worker_job *job)
{
    struct crew *crew;

    if (job->heard || job->again)
        return false;
    pthread_mutex_lock(&workers.lock);
    crew = worker_crew(job->kind, job->directory);
    job->again = crew && crew->silent == job->server;
    pthread_mutex_unlock(&workers.lock);
    if (!job->again)
        return false;
    end(job);
    job->state = JOB_WAITING;
    return true;
}

/* doubt - nothing was heard for a while: the job takes its time, or nobody does it. */
static void doubt(const struct worker_job *job)
{
    struct crew *crew;

    pthread_mutex_lock(&workers.lock);
    crew = worker_crew(job->kind, job->directory);
    if (crew && crew->serving && crew->serving->number == job->server && !crew->serving->doubted &&
        !crew->serving->pinged)
        worker_doubt(crew->serving);
    pthread_mutex_unlock(&workers.lock);
}

static void hear(struct worker_job *job)
{
    char *to = job->bytes ? job->bytes + job->heard : job->head + job->heard;
    size_t room = (job->bytes ? job->size : FRAME_HEAD) - job->heard;
    ssize_t n = recv(job->fd, to, room, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 && try_again(job))
        return;
    if (n <= 0) {
        fail(job, STR("the worker ended without an answer"));
        return;
    }
    job->heard += (size_t)n;
    if (!job->bytes && job->heard == FRAME_HEAD) {
        job->size = frame_size((struct str){job->head, FRAME_HEAD}, job->most);
        if (!job->size) {
            fail(job, STR("the worker says something else than it should"));
            return;
        }
        job->bytes = arena_alloc(job->arena, job->size);
        memcpy(job->bytes, job->head, FRAME_HEAD);
    }
    if (job->bytes && job->heard == job->size)
        heard_all(job);
}

static void wait_answer(struct worker_job *job)
{
    while (job->state == JOB_RUNNING) {
        int64_t left = job->deadline - clock_ms();
        struct pollfd p = {.fd = job->fd, .events = POLLIN};

        if (left <= 0)
            fail(job, STR("the worker did not answer in time"));
        else if (poll(&p, 1, (int)waiting_slice(left > WAIT_STEP_MS ? WAIT_STEP_MS : left)) > 0)
            hear(job);
        else if (!job->heard)
            doubt(job);
    }
}

/* ---- the interface ---- */

struct worker_job *worker_begin(struct arena *a, const char *kind, struct str directory, const struct str *pieces,
                                size_t count, int64_t deadline)
{
    struct worker_job *job = arena_zalloc(a, sizeof *job);
    struct str *kept = arena_array(a, count + 1, sizeof *kept);

    memcpy(kept, pieces, count * sizeof *kept);
    job->arena = a;
    job->kind = kind;
    job->directory = str_dup(a, directory);
    job->pieces = kept;
    job->count = count;
    job->deadline = deadline;
    job->most = strcmp(kind, "scan") == 0 ? FRAME_SCAN_MOST : FRAME_TNEF_MOST;
    job->fd = -1;
    arena_on_reset(a, forget, job);
    try_start(job);
    return job;
}

bool worker_finish(struct worker_job *job, struct str *answer, struct str *why)
{
    if (job->state != JOB_DONE) {
        waiting_begin();
        while (job->state != JOB_DONE) {
            wait_turn(job);
            wait_answer(job);
        }
        waiting_end();
    }
    *answer = job->answer;
    *why = job->why;
    return job->good;
}
