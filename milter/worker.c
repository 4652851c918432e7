/* worker.c - the keeper: one thread that starts servers, hears whether they are ready, and buries them.
 *
 *   SERVER_LOADING ─ready▶ SERVER_SERVING ─a newer one is ready, or not wanted any more▶ SERVER_ENDING ─▶ gone
 *         ╲─────────────── died, talks nonsense ──────────────────────────────────────────▲
 *
 * Only this thread starts, kills and waits for processes, so that no process id is ever used for somebody else's. What
 * died is started again, later each time when it died young. A server whose jobs say nothing for a while is asked
 * whether it lives; one that does not answer is killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_files.h"
#include "worker_inside.h"
#include "worker_server.h"

#define LOOK_MS 60000
#define SETTLE_MS 1500         /* signatures that were changed just now may be changed again at once */
#define LOAD_MS 600000         /* the whole of ClamAV's signatures, on a slow machine */
#define LOAD_AGAIN_MS 60000
#define END_MS 3700000         /* a server that ends waits for its jobs, which have deadlines */
#define YOUNG_MS 10000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
#define BURY_MS 50
#define STOP_MS 1000
#define ENDED "it ended" /* without a word */
#define JOBS_MOST 16
#define PONG_MS 5000           /* a server only forks; on a machine that swaps it takes its time */

struct workers workers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    pthread_t thread;
    int bell;          /* eventfd */
    int program;       /* O_PATH: an upgrade does not change what runs */
    const char *tmp;
    int64_t look_ms, pong_ms;
} keeper = {.bell = -1, .program = -1};

static void ring(void)
{
    uint64_t one = 1;

    if (write(keeper.bell, &one, sizeof one) < 0)
        return; /* it is full: rung already */
}

static void set_text(char to[TEXT_ROOM], struct str s)
{
    s = str_slice(s, 0, TEXT_ROOM - 1);
    memcpy(to, s.p ? s.p : "", s.n);
    to[s.n] = '\0';
}

struct crew *worker_crew(const char *kind, struct str directory)
{
    for (size_t i = 0; i < CREWS_MOST; i++) {
        struct crew *c = &workers.crews[i];

        if (c->wanted && strcmp(c->kind, kind) == 0 && str_is(str_of(c->directory), directory))
            return c;
    }
    return NULL;
}

/* real_ms - the machine's own time: what the tests' clock says is no reason to kill anybody. */
static int64_t real_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1; /* never 0 */
}

void worker_doubt(struct server *s)
{
    s->doubted = true;
    ring();
}

void worker_broken(struct server *s)
{
    if (s->fd >= 0)
        shutdown(s->fd, SHUT_RDWR); /* the keeper hears of it, and buries it */
    ring();
}

/* ---- one server; under the lock ---- */

static void enter(struct server *s, enum server_state state)
{
    s->state = state;
    s->since = clock_ms();
}

static void hang_up(struct server *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void let_end(struct server **s)
{
    if (!*s)
        return;
    hang_up(*s);
    enter(*s, SERVER_ENDING);
    *s = NULL;
}

static void kill_now(struct server *s)
{
    if (s->killed)
        return;
    s->killed = true;
    kill(s->pid, SIGKILL);
}

static struct server *free_server(void)
{
    for (size_t i = 0; i < SERVERS_MOST; i++)
        if (workers.servers[i].state == SERVER_FREE)
            return &workers.servers[i];
    return NULL;
}

static void postpone(struct crew *c)
{
    c->backoff = c->backoff == 0 ? BACKOFF_FIRST_MS : c->backoff * 2;
    if (c->backoff > BACKOFF_MOST_MS)
        c->backoff = BACKOFF_MOST_MS;
    c->start_at = clock_ms() + c->backoff;
}

static void start_server(struct crew *c)
{
    struct server *s = free_server();
    int pair[2];

    if (!s || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        c->start_at = clock_ms() + BACKOFF_MOST_MS;
        return;
    }
    *s = (struct server){.fd = pair[0], .stamp = c->seen};
    snprintf(s->tmp, sizeof s->tmp, "%s/sme-worker-XXXXXX", keeper.tmp);
    if (!mkdtemp(s->tmp) || !worker_spawn(s, c, keeper.program, pair[1])) {
        log_error("a worker for %s cannot be started: %s", c->kind, strerror(errno));
        set_text(c->why, STR("its worker cannot be started"));
        rmdir(s->tmp);
        hang_up(s);
        s->state = SERVER_FREE;
        postpone(c);
    } else {
        enter(s, SERVER_LOADING);
        c->loading = s;
        s->number = ++workers.starts;
    }
    close(pair[1]);
}

/* ---- what servers say; under the lock ---- */

/* tell_note - once: it is the same for every server of this machine. */
static void tell_note(const struct crew *c, struct str note)
{
    static bool told;
    struct arena *a;

    if (!note.n || told)
        return;
    told = true;
    a = arena_new(0);
    note = str_escaped(a, note);
    log_warn("%s: " STR_FMT, c->kind, STR_ARG(note));
    arena_free(&a);
}

static void server_ready(struct crew *c, struct server *s, struct str version, uint64_t count)
{
    set_text(s->version, version);
    if (count)
        log_info("%s: %llu signatures of %s are loaded", c->kind, (unsigned long long)count, c->directory);
    let_end(&c->serving);
    c->serving = s;
    c->loading = NULL;
    c->why[0] = '\0';
    c->failed = 0;
    enter(s, SERVER_SERVING);
    pthread_cond_broadcast(&workers.changed);
}

/* server_lost - it is dead, or as good as that. */
static void server_lost(struct crew *c, struct server *s, struct str why)
{
    struct arena *a = arena_new(0);
    struct str shown = str_escaped(a, why);

    kill_now(s);
    if (c->loading == s) {
        if (c->failed != s->stamp || !str_is(str_of(c->why), why))
            log_error("%s: no worker: " STR_FMT "%s", c->kind, STR_ARG(shown),
                      c->serving ? "; the old one stays" : "");
        if (str_is(why, STR(ENDED)) && c->backoff < BACKOFF_MOST_MS) {
            postpone(c); /* it was killed, which tells nothing of its signatures: jobs wait for the next one */
        } else {
            c->failed = s->stamp;
            if (!c->serving)
                set_text(c->why, why);
            c->start_at = clock_ms() + LOAD_AGAIN_MS;
        }
        let_end(&c->loading);
    } else if (c->serving == s) {
        log_error("%s: the worker died: " STR_FMT, c->kind, STR_ARG(shown));
        if (clock_ms() - s->since < YOUNG_MS) {
            postpone(c);
        } else {
            c->start_at = c->backoff = 0;
        }
        let_end(&c->serving);
    }
    pthread_cond_broadcast(&workers.changed);
    arena_free(&a);
}

static void hear_server(struct crew *c, struct server *s)
{
    char bytes[FRAME_CONTROL_MOST];
    struct str version, note, why = STR(ENDED);
    ssize_t n = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    uint64_t count;
    struct frame f;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && frame_read((struct str){bytes, (size_t)n}, sizeof bytes, &f) == FRAME_WHOLE) {
        if (f.type == FRAME_READY && s->state == SERVER_LOADING && frame_str(&f.payload, TEXT_ROOM - 1, &version) &&
            frame_u64(&f.payload, &count) && frame_str(&f.payload, TEXT_ROOM - 1, &note) && !f.payload.n) {
            tell_note(c, note);
            server_ready(c, s, version, count);
            return;
        }
        if (f.type == FRAME_PONG && s->pinged && !f.payload.n) {
            s->pinged = 0;
            return;
        }
        if (f.type != FRAME_FAILED || !frame_str(&f.payload, TEXT_ROOM - 1, &why) || !why.n)
            why = STR("it says something else than it should");
    } else if (n > 0) {
        why = STR("it says something else than it should");
    }
    server_lost(c, s, why);
}

/* ask_whether_it_lives - a server that is stopped, or hangs, takes jobs without doing any: it makes place for one that
 * works. Its jobs end with it, and are given to the next one. */
static void ask_whether_it_lives(struct crew *c)
{
    struct server *s = c->serving;
    struct arena *a;
    struct buf b;
    struct str frame;

    if (s && s->pinged && real_ms() - s->pinged > keeper.pong_ms) {
        hear_server(c, s); /* it may have answered while we slept */
        if (c->serving == s && s->pinged) {
            c->silent = s->number;
            server_lost(c, s, STR("it does nothing any more"));
        }
        return;
    }
    if (!s || s->pinged || !s->doubted)
        return;
    a = arena_new(0);
    b = buf_in(a);
    frame_begin(&b, FRAME_PING);
    frame = frame_end(&b);
    if (send(s->fd, frame.p, frame.n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)frame.n) {
        s->doubted = false;
        s->pinged = real_ms();
    } else if (errno != EAGAIN) {
        worker_broken(s);
    }
    arena_free(&a);
}

/* ---- the keeper's round ---- */

static void bury(void)
{
    for (size_t i = 0; i < SERVERS_MOST; i++) {
        struct server *s = &workers.servers[i];
        int status;

        if (s->state != SERVER_ENDING)
            continue;
        if (clock_ms() - s->since > END_MS)
            kill_now(s);
        if (waitpid(s->pid, &status, WNOHANG) == 0)
            continue;
        worker_remove_directory(s->tmp);
        s->state = SERVER_FREE;
    }
}

/* look_at_signatures - a change counts when it has lasted for a moment. */
static void look_at_signatures(struct crew *c)
{
    int64_t now = clock_ms();
    uint64_t stamp;

    if (!c->directory[0] || now < c->look_at)
        return;
    stamp = worker_stamp(c->directory);
    c->look_at = now + (stamp == c->seen ? keeper.look_ms : SETTLE_MS < keeper.look_ms ? SETTLE_MS : keeper.look_ms);
    if (stamp != c->seen) {
        c->seen = stamp;
        return;
    }
    if (c->loading || stamp == c->failed)
        return;
    if (c->serving && c->serving->stamp != stamp) {
        log_info("%s: %s has changed and is loaded again", c->kind, c->directory);
        start_server(c);
    } else if (!c->serving && c->failed) {
        c->start_at = 0; /* other signatures than those that failed */
    }
}

static void look_after(struct crew *c)
{
    int64_t now = clock_ms();

    if (!c->wanted) {
        let_end(&c->serving);
        let_end(&c->loading);
        return;
    }
    look_at_signatures(c);
    ask_whether_it_lives(c);
    if (c->loading && now - c->loading->since > LOAD_MS)
        server_lost(c, c->loading, STR("it takes too long to load"));
    if (!c->serving && !c->loading && now >= c->start_at)
        start_server(c);
    if (c->serving && now - c->serving->since > YOUNG_MS)
        c->backoff = 0;
}

static int patience(void)
{
    int64_t now = clock_ms(), next = now + 1000;

    for (size_t i = 0; i < SERVERS_MOST; i++)
        if (workers.servers[i].state == SERVER_ENDING && now + BURY_MS < next)
            next = now + BURY_MS;
    for (size_t i = 0; i < CREWS_MOST; i++) {
        const struct crew *c = &workers.crews[i];

        if (c->wanted && !c->serving && !c->loading && c->start_at < next)
            next = c->start_at;
        if (c->wanted && c->directory[0] && c->look_at < next)
            next = c->look_at;
    }
    return next <= now ? 0 : (int)(next - now);
}

struct listening {
    struct pollfd p[1 + 2 * CREWS_MOST];
    struct crew *crews[1 + 2 * CREWS_MOST];
    struct server *servers[1 + 2 * CREWS_MOST];
    size_t n;
};

static void listen_to(struct listening *l, struct crew *c, struct server *s)
{
    if (!s || s->fd < 0)
        return;
    l->p[l->n] = (struct pollfd){.fd = s->fd, .events = POLLIN};
    l->crews[l->n] = c;
    l->servers[l->n++] = s;
}

/* round_once - under the lock, which is given up while nothing happens. Only we close these descriptors. */
static void round_once(void)
{
    struct listening l = {.p = {{.fd = keeper.bell, .events = POLLIN}}, .n = 1};
    uint64_t rung;
    int wait_ms;

    for (size_t i = 0; i < CREWS_MOST; i++) {
        look_after(&workers.crews[i]);
        listen_to(&l, &workers.crews[i], workers.crews[i].serving);
        listen_to(&l, &workers.crews[i], workers.crews[i].loading);
    }
    bury();
    wait_ms = patience();
    pthread_mutex_unlock(&workers.lock);
    poll(l.p, l.n, wait_ms);
    if (l.p[0].revents && read(keeper.bell, &rung, sizeof rung) < 0)
        log_debug("the workers' bell: %s", strerror(errno));
    pthread_mutex_lock(&workers.lock);
    for (size_t i = 1; i < l.n; i++)
        if (l.p[i].revents && l.servers[i]->fd == l.p[i].fd)
            hear_server(l.crews[i], l.servers[i]);
}

/* end_all - they end by themselves, clearing up, when the daemon hangs up; who does not is killed. */
static void end_all(void)
{
    int64_t until = clock_ms() + STOP_MS;
    struct timespec pause = {.tv_nsec = 5000000};
    unsigned left, rounds = 0;

    for (size_t i = 0; i < CREWS_MOST; i++) {
        workers.crews[i].wanted = false;
        look_after(&workers.crews[i]);
    }
    do {
        bury();
        left = 0;
        for (size_t i = 0; i < SERVERS_MOST; i++) {
            left += workers.servers[i].state != SERVER_FREE;
            if (workers.servers[i].state != SERVER_FREE && (clock_ms() >= until || rounds > STOP_MS / 5))
                kill_now(&workers.servers[i]);
        }
        if (left)
            nanosleep(&pause, NULL);
    } while (left && ++rounds < 3 * STOP_MS / 5);
}

static void *keep(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&workers.lock);
    while (!workers.stopping)
        round_once();
    end_all();
    pthread_mutex_unlock(&workers.lock);
    return NULL;
}

/* ---- the interface ---- */

static unsigned slots_here(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > JOBS_MOST ? JOBS_MOST : (unsigned)n;
}

bool worker_start(const struct worker_settings *settings)
{
    pthread_condattr_t attributes;
    int error;

    keeper.look_ms = settings->look_ms ? settings->look_ms : LOOK_MS;
    keeper.pong_ms = settings->pong_ms ? settings->pong_ms : PONG_MS;
    keeper.tmp = settings->tmp ? settings->tmp : "/tmp";
    keeper.program = worker_open_program(settings->program);
    keeper.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (keeper.program < 0 || keeper.bell < 0) {
        log_error("there are no workers, neither libclamav nor tnef2mime: %s: %s", WORKER_PROGRAM, strerror(errno));
        return false;
    }
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&workers.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    workers.slots = settings->jobs ? settings->jobs : slots_here();
    workers.scans = workers.unpacking = 0;
    workers.starts = 0;
    workers.stopping = false;
    error = pthread_create(&keeper.thread, NULL, keep, NULL);
    if (error) {
        log_error("there are no workers: no thread can be started: %s", strerror(error));
        return false;
    }
    workers.running = true;
    return true;
}

bool worker_running(void)
{
    return workers.running;
}

static bool is_listed(const struct crew *c, const char *const *kinds, const struct str *directories, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(kinds[i], c->kind) == 0 && str_is(directories[i], str_of(c->directory)))
            return true;
    return false;
}

static struct crew *new_crew(void)
{
    for (size_t i = 0; i < CREWS_MOST; i++)
        if (!workers.crews[i].wanted && !workers.crews[i].serving && !workers.crews[i].loading)
            return &workers.crews[i];
    return NULL;
}

static void want_one(const char *kind, struct str directory)
{
    struct crew *c = worker_crew(kind, directory);

    if (c || directory.n >= PATH_ROOM || (directory.n && directory.p[0] != '/'))
        return;
    c = new_crew();
    if (!c) {
        log_error("%s: too many directories of signatures", kind);
        return;
    }
    *c = (struct crew){.wanted = true};
    snprintf(c->kind, sizeof c->kind, "%s", kind);
    memcpy(c->directory, directory.p ? directory.p : "", directory.n);
    c->seen = directory.n ? worker_stamp(c->directory) : 0;
    c->look_at = clock_ms() + keeper.look_ms;
}

void worker_want(const char *const *kinds, const struct str *directories, size_t count)
{
    pthread_mutex_lock(&workers.lock);
    for (size_t i = 0; i < CREWS_MOST; i++) {
        struct crew *c = &workers.crews[i];

        c->wanted = c->wanted && is_listed(c, kinds, directories, count);
        c->look_at = 0;
    }
    for (size_t i = 0; i < count; i++)
        want_one(kinds[i], directories[i]);
    pthread_mutex_unlock(&workers.lock);
    ring();
}

void worker_stop(void)
{
    if (!workers.running)
        return;
    pthread_mutex_lock(&workers.lock);
    workers.stopping = true;
    pthread_cond_broadcast(&workers.changed);
    pthread_mutex_unlock(&workers.lock);
    ring();
    pthread_join(keeper.thread, NULL);
    workers.running = false;
    close(keeper.bell);
    close(keeper.program);
    keeper.bell = keeper.program = -1;
    pthread_cond_destroy(&workers.changed);
}

struct worker_state worker_look(void)
{
    struct worker_state state = {0};

    pthread_mutex_lock(&workers.lock);
    for (size_t i = 0; i < CREWS_MOST; i++) {
        state.servers += workers.crews[i].serving != NULL;
        state.loading += workers.crews[i].loading != NULL;
    }
    state.jobs = workers.scans + workers.unpacking;
    state.starts = workers.starts;
    pthread_mutex_unlock(&workers.lock);
    return state;
}

struct str worker_version(struct arena *a, struct str database)
{
    struct str version = STR_NONE;
    struct crew *c;

    pthread_mutex_lock(&workers.lock);
    c = worker_crew("scan", database);
    if (c && c->serving)
        version = arena_printf(a, "%s %016llx", c->serving->version, (unsigned long long)c->serving->stamp);
    pthread_mutex_unlock(&workers.lock);
    return version;
}
