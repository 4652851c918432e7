/* metrics_listen.c - the collector's door: GET /metrics, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "metrics_listen.h"
#include "metrics_place.h"
#include "metrics_text.h"

#define REQUEST_MOST 4096
#define AGAIN_MS 5000 /* between tries to get the place */

struct caller {
    int fd;          /* -1: nobody */
    int64_t until;   /* clock_ms() */
    char request[REQUEST_MOST];
    size_t got;
    struct arena *arena; /* of the answer; NULL while it is being asked */
    struct str answer;   /* what is left to send */
};

static struct {
    pthread_t thread;
    bool running;
    int bell[2];
    int fd;             /* -1: it does not listen now */
    char *where, *group; /* as configured; NULL: nowhere */
    dev_t dev;          /* of a Unix socket's name, as it was made */
    ino_t ino;
    bool complained;
    struct caller callers[METRICS_CALLERS_MOST];
} door = {.bell = {-1, -1}, .fd = -1};

/* ---- where ---- */

/* clear_name - a socket that nobody serves any more gives its name up; errno when the name cannot be had. */
static int clear_name(const struct sockaddr_un *un)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    struct stat st;

    if (fd < 0)
        return errno;
    if (lstat(un->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
        error = EEXIST;
    else if (connect(fd, (const struct sockaddr *)un, sizeof *un) == 0 || errno == EAGAIN)
        error = EADDRINUSE;
    else if (errno == ECONNREFUSED && unlink(un->sun_path) != 0)
        error = errno;
    close(fd);
    return error;
}

/* give - the name to its group. The mode follows after the fact: no umask is touched, for there are threads. */
static void give(const char *path, const char *group)
{
    char room[1024];
    struct group entry, *found = NULL;
    struct stat st;

    if (chmod(path, 0660) != 0)
        log_warn("cannot set the mode of %s: %s", path, strerrordesc_np(errno));
    if (*group && getgrnam_r(group, &entry, room, sizeof room, &found) == 0 && found &&
        lchown(path, (uid_t)-1, found->gr_gid) != 0)
        log_warn("cannot give %s to group %s: %s", path, group, strerrordesc_np(errno));
    if (lstat(path, &st) == 0) {
        door.dev = st.st_dev;
        door.ino = st.st_ino;
    }
}

/* take_place - 0 or errno. */
static int take_place(void)
{
    const int on = 1;
    union metrics_place place;
    socklen_t size;
    int error = 0, fd;

    if (!metrics_place(str_of(door.where), &place, &size))
        return EINVAL;
    if (place.any.sa_family == AF_UNIX)
        error = clear_name(&place.un);
    fd = error ? -1 : socket(place.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (error || fd < 0)
        return error ? error : errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &place.any, size) != 0)
        error = errno;
    if (!error && place.any.sa_family == AF_UNIX)
        give(place.un.sun_path, door.group);
    if (!error && listen(fd, METRICS_CALLERS_MOST) != 0)
        error = errno;
    if (error)
        close(fd);
    else
        door.fd = fd;
    return error;
}

/* look_for_place - another process may still have it; said when it begins and when it ends. */
static void look_for_place(void)
{
    int error = take_place();

    if (error && !door.complained)
        log_error("metrics: cannot listen on %s: %s; tried again every few seconds", door.where, strerrordesc_np(error));
    else if (!error && door.complained)
        log_info("metrics: listening on %s", door.where);
    door.complained = error != 0;
}

/* leave_place - the name goes with us, unless it is somebody else's by now. */
static void leave_place(void)
{
    union metrics_place place;
    socklen_t size;
    struct stat st;

    if (door.fd < 0)
        return;
    if (metrics_place(str_of(door.where), &place, &size) && place.any.sa_family == AF_UNIX &&
        lstat(place.un.sun_path, &st) == 0 && st.st_dev == door.dev && st.st_ino == door.ino)
        unlink(place.un.sun_path);
    close(door.fd);
    door.fd = -1;
}

/* ---- one caller ---- */

static void hang_up(struct caller *c)
{
    if (c->fd >= 0)
        close(c->fd);
    arena_free(&c->arena);
    c->fd = -1;
    c->got = 0;
}

static struct str respond(struct arena *a, const char *status, const char *type, struct str body, bool head)
{
    struct buf b = buf_in(a);

    buf_addf(&b, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status, type,
             body.n, str_starts(str_of(status), STR("405")) ? "Allow: GET, HEAD\r\n" : "");
    if (!head)
        buf_add(&b, body);
    return buf_str(&b);
}

/* answer_to - the request line alone decides; what else the header says is of no use here. */
static struct str answer_to(struct arena *a, struct str request)
{
    struct str line = str_slice(request, 0, str_find(request, '\n')), method, target, version;
    bool head;

    line = str_trim(line);
    if (!str_token(&line, &method) || !str_token(&line, &target) || !str_token(&line, &version) ||
        !str_starts(version, STR("HTTP/1.")))
        return respond(a, "400 Bad Request", "text/plain", STR("not an HTTP request\n"), false);
    head = str_is(method, STR("HEAD"));
    if (!head && !str_is(method, STR("GET")))
        return respond(a, "405 Method Not Allowed", "text/plain", STR("only GET and HEAD\n"), false);
    target = str_slice(target, 0, str_find(target, '?'));
    if (!str_is(target, STR("/metrics")))
        return respond(a, "404 Not Found", "text/plain", STR("here is only /metrics\n"), head);
    return respond(a, "200 OK", METRICS_CONTENT_TYPE, metrics_openmetrics(a), head);
}

static bool is_whole(const struct caller *c)
{
    return memmem(c->request, c->got, "\r\n\r\n", 4) || memmem(c->request, c->got, "\n\n", 2);
}

static void hear(struct caller *c)
{
    ssize_t n = recv(c->fd, c->request + c->got, REQUEST_MOST - c->got, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        hang_up(c);
        return;
    }
    c->got += (size_t)n;
    if (!is_whole(c) && c->got < REQUEST_MOST)
        return;
    c->arena = arena_new(0);
    c->answer = is_whole(c) ? answer_to(c->arena, (struct str){c->request, c->got})
                            : respond(c->arena, "431 Request Header Fields Too Large", "text/plain", STR_NONE, false);
}

static void speak(struct caller *c)
{
    ssize_t n = send(c->fd, c->answer.p, c->answer.n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->answer = str_slice(c->answer, n > 0 ? (size_t)n : c->answer.n, c->answer.n);
    if (c->answer.n == 0)
        hang_up(c);
}

/* ---- the thread ---- */

/* place_for_caller - a free one, or that of who has had it longest: a collector sends its whole question at once, and has
 * its answer before a crowd gets round to it. */
static struct caller *place_for_caller(void)
{
    struct caller *oldest = &door.callers[0];

    for (size_t i = 0; i < METRICS_CALLERS_MOST; i++) {
        if (door.callers[i].fd < 0)
            return &door.callers[i];
        if (door.callers[i].until < oldest->until)
            oldest = &door.callers[i];
    }
    hang_up(oldest);
    return oldest;
}

static void greet(void)
{
    int fd = accept4(door.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        struct caller *c = place_for_caller();

        c->fd = fd;
        c->until = clock_ms() + METRICS_PATIENCE_MS;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        poll(NULL, 0, 100); /* the callers wait, or give up */
    }
}

static void serve(const struct pollfd *p, struct caller *const *whose, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct caller *c = whose[i];

        if (p[i].revents && c->arena)
            speak(c);
        else if (p[i].revents)
            hear(c);
        if (c->fd >= 0 && clock_ms() >= c->until)
            hang_up(c);
    }
}

/* watch - fill p with whom to wait for; how long at most. */
static int watch(struct pollfd *p, struct caller **whose, size_t *count)
{
    int64_t wait = door.fd < 0 ? AGAIN_MS : -1;

    *count = 0;
    for (size_t i = 0; i < METRICS_CALLERS_MOST; i++) {
        struct caller *c = &door.callers[i];
        int64_t left = c->until - clock_ms();

        if (c->fd < 0)
            continue;
        whose[*count] = c;
        p[2 + (*count)++] = (struct pollfd){.fd = c->fd, .events = c->arena ? POLLOUT : POLLIN};
        left = left < 0 ? 0 : left;
        wait = wait < 0 || left < wait ? left : wait;
    }
    p[0] = (struct pollfd){.fd = door.bell[0], .events = POLLIN};
    p[1] = (struct pollfd){.fd = door.fd, .events = POLLIN};
    return (int)wait;
}

static void *door_main(void *unused)
{
    (void)unused;
    for (;;) {
        struct pollfd p[METRICS_CALLERS_MOST + 2];
        struct caller *whose[METRICS_CALLERS_MOST];
        size_t count;
        int wait;

        if (door.fd < 0)
            look_for_place();
        wait = watch(p, whose, &count);
        poll(p, 2 + (nfds_t)count, wait);
        if (p[0].revents)
            return NULL;
        serve(p + 2, whose, count);
        if (p[1].revents)
            greet();
    }
}

static void close_it(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void metrics_listen(struct str listen, struct str group)
{
    if (door.where && str_is(str_of(door.where), listen) && str_is(str_of(door.group), group))
        return;
    metrics_listen_stop();
    if (listen.n == 0)
        return;
    for (size_t i = 0; i < METRICS_CALLERS_MOST; i++)
        door.callers[i].fd = -1;
    door.where = strndup(listen.p, listen.n);
    door.group = strndup(group.n ? group.p : "", group.n);
    if (!door.where || !door.group)
        log_panic("out of memory for the metrics' socket");
    door.complained = false;
    look_for_place();
    door.running = pipe2(door.bell, O_CLOEXEC) == 0 && pthread_create(&door.thread, NULL, door_main, NULL) == 0;
    if (!door.running)
        log_error("metrics cannot be told: %s", strerrordesc_np(errno));
}

void metrics_listen_stop(void)
{
    if (door.running) {
        close_it(&door.bell[1]);
        pthread_join(door.thread, NULL);
        for (size_t i = 0; i < METRICS_CALLERS_MOST; i++)
            hang_up(&door.callers[i]);
    }
    leave_place();
    close_it(&door.bell[0]);
    close_it(&door.bell[1]);
    free(door.where);
    free(door.group);
    door.where = door.group = NULL;
    door.running = false;
}
