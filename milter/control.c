/* control.c - answers sme-milterctl, one caller at a time: who does not write or read has a second. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "control.h"
#include "db/dmarc_store.h"
#include "db/journal.h"
#include "db/karma_store.h"
#include "metrics_text.h"

#define PATIENCE_MS 1000
#define LOOK_MS 3000  /* between looks at the name of the socket */
#define FLUSH_MS 1000 /* for what was learned up to now to be in the file that the caller reads */

static struct {
    pthread_mutex_t lock; /* of stop and caller */
    pthread_t thread;
    bool running, stop;
    int caller;       /* -1: none */
    int bell[2];      /* a pipe: its end wakes the thread */
    int fd;           /* -1: it does not listen now */
    char *state_dir;
    dev_t dev;        /* of the socket's name, as it was made */
    ino_t ino;
    bool complained;
    int64_t began_ms; /* wall clock */
} control = {.lock = PTHREAD_MUTEX_INITIALIZER, .caller = -1, .bell = {-1, -1}, .fd = -1};

/* ---- answers ---- */

static json_t *store_status(const struct database_status *s)
{
    struct arena *a = arena_new(0);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:i}", "state", database_state_words[s->state], "since",
                          clock_rfc3339(a, s->since_ms).p, "why", s->why, "written", (json_int_t)s->written, "dropped",
                          (json_int_t)s->dropped, "waiting", (json_int_t)s->waiting, "wal_bytes",
                          (json_int_t)s->wal_bytes, "set_aside", (int)s->set_aside);

    arena_free(&a);
    return o;
}

/* one_line - the value, which is freed, as JSON. */
static struct str one_line(struct arena *a, json_t *value)
{
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    struct str text = str_dup(a, str_of(dump ? dump : "error: out of memory"));

    free(dump);
    json_decref(value);
    return text;
}

static struct str answer_stats(struct arena *a)
{
    struct database_status status;
    json_t *o = json_pack("{s:i, s:s}", "pid", (int)getpid(), "since", clock_rfc3339(a, control.began_ms).p);

    json_object_update_new(o, metrics_json(a));
    if (karma_store_status(&status))
        json_object_set_new(o, "karma", store_status(&status));
    if (dmarc_store_status(&status))
        json_object_set_new(o, "dmarc", store_status(&status));
    if (journal_status(&status))
        json_object_set_new(o, "journal", store_status(&status));
    return one_line(a, o);
}

/* answer_metrics - the whole text as one JSON string: an answer is one line. */
static struct str answer_metrics(struct arena *a)
{
    struct str text = metrics_openmetrics(a);

    return one_line(a, json_stringn(text.p, text.n));
}

struct str control_answer(struct arena *a, struct str line)
{
    if (str_is(line, STR("karma"))) {
        karma_store_look();
        return !karma_store_running() || karma_store_flush(FLUSH_MS) /* where it is not used nothing waits */
                   ? STR("ok") : STR("ok, but what was learned last is not on disk yet");
    }
    if (str_is(line, STR("journal")))
        return !journal_running() || journal_flush(FLUSH_MS)
                   ? STR("ok") : STR("ok, but what came last is not on disk yet");
    if (str_is(line, STR("stats")))
        return answer_stats(a);
    if (str_is(line, STR("metrics")))
        return answer_metrics(a);
    return STR("error: not understood");
}

/* ---- the socket ---- */

/* read_line - up to its LF; false when none came in time. */
static bool read_line(int fd, char *line, size_t room, struct str *found)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t used = 0;

    while (used < room && clock_ms() < until && poll(&p, 1, PATIENCE_MS) > 0) {
        ssize_t n = recv(fd, line + used, room - used, MSG_DONTWAIT);

        if (n <= 0)
            return false;
        used += (size_t)n;
        *found = (struct str){line, used};
        found->n = str_find(*found, '\n');
        if (found->n < used)
            return true;
    }
    return false;
}

static void say(int fd, struct str text)
{
    int64_t until = clock_ms() + PATIENCE_MS;
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    while (text.n > 0 && clock_ms() < until && poll(&p, 1, PATIENCE_MS) > 0) {
        ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN)
            return;
        text = str_slice(text, n > 0 ? (size_t)n : 0, text.n);
    }
}

static void serve_caller(int fd)
{
    struct arena *a = arena_new(0);
    char line[CONTROL_LINE_MOST];
    struct str found;

    if (read_line(fd, line, sizeof line, &found)) {
        say(fd, control_answer(a, found));
        say(fd, STR("\n"));
    }
    arena_free(&a);
}

/* begin_caller - remember whom to hang up on at the end; false: that has come. */
static bool begin_caller(int fd)
{
    bool stop;

    pthread_mutex_lock(&control.lock);
    stop = control.stop;
    control.caller = stop ? -1 : fd;
    pthread_mutex_unlock(&control.lock);
    return !stop;
}

static void take_caller(void)
{
    int fd = accept4(control.fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0) {
        if (begin_caller(fd))
            serve_caller(fd);
        begin_caller(-1);
        close(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        poll(NULL, 0, PATIENCE_MS); /* the caller waits, or gives up */
    }
}

/* ---- its name ---- */

/* name_of - the address by way of the directory's descriptor, to be closed: its path may be longer than an address can
 * be. Or -1 and errno. */
static int name_of(struct sockaddr_un *un)
{
    int dir = open(control.state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (dir >= 0)
        snprintf(un->sun_path, sizeof un->sun_path, "/proc/self/fd/%d/" CONTROL_SOCKET, dir);
    return dir;
}

/* is_ours - that the name leads to the socket that this process listens on. */
static bool is_ours(const struct sockaddr_un *un)
{
    struct stat st;

    return control.fd >= 0 && lstat(un->sun_path, &st) == 0 && st.st_dev == control.dev && st.st_ino == control.ino;
}

/* is_served - by anybody: while a process is being replaced there are two, and the older one leaves the name alone. */
static bool is_served(const struct sockaddr_un *un)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool served = fd >= 0 && (connect(fd, (const struct sockaddr *)un, sizeof *un) == 0 || errno == EAGAIN);

    if (fd >= 0)
        close(fd);
    return served;
}

/* listen_there - 0 or errno; what had the name loses it. */
static int listen_there(const struct sockaddr_un *un)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    struct stat st;

    if (fd < 0)
        return errno;
    if (unlink(un->sun_path) != 0 && errno != ENOENT)
        error = errno;
    else if (bind(fd, (const struct sockaddr *)un, sizeof *un) != 0 || chmod(un->sun_path, 0660) != 0
        || lstat(un->sun_path, &st) != 0 || listen(fd, 16) != 0)
        error = errno;
    if (error) {
        close(fd);
        return error;
    }
    if (control.fd >= 0)
        close(control.fd);
    control.fd = fd;
    control.dev = st.st_dev;
    control.ino = st.st_ino;
    return 0;
}

static void complain(int error)
{
    struct arena *a = arena_new(0);
    struct str name = str_escaped(a, str_of(control.state_dir));

    if (error && !control.complained)
        log_error("cannot listen on " STR_FMT "/" CONTROL_SOCKET ": %s; sme-milterctl cannot talk to the daemon, tried"
                  " again every few seconds", STR_ARG(name), strerrordesc_np(error));
    else if (!error && control.complained)
        log_info("listening on " STR_FMT "/" CONTROL_SOCKET " again", STR_ARG(name));
    control.complained = error != 0;
    arena_free(&a);
}

/* look_for_name - the directory may come later, or be another one now, and anybody may remove what is in it. */
static void look_for_name(bool first)
{
    struct sockaddr_un un;
    int dir = name_of(&un), error = dir < 0 ? errno : 0;

    if (dir >= 0 && !is_ours(&un) && (first || !is_served(&un)))
        error = listen_there(&un);
    if (dir >= 0)
        close(dir);
    complain(error);
}

/* ---- the thread ---- */

static void *control_main(void *unused)
{
    int64_t look = clock_ms() + LOOK_MS;

    (void)unused;
    for (;;) {
        struct pollfd p[2] = {{.fd = control.bell[0]}, {.fd = control.fd, .events = POLLIN}};
        int64_t left = look - clock_ms();

        poll(p, 2, left > LOOK_MS ? LOOK_MS : left > 0 ? (int)left : 0);
        if (p[0].revents)
            return NULL;
        if (p[1].revents)
            take_caller();
        left = look - clock_ms();
        if (left <= 0 || left > LOOK_MS) {
            look_for_name(false);
            look = clock_ms() + LOOK_MS;
        }
    }
}

void control_start(struct str state_dir)
{
    int error;

    control.began_ms = clock_wall_ms();
    control.state_dir = strndup(state_dir.p, state_dir.n);
    control.stop = false;
    if (!control.state_dir)
        log_panic("out of memory for the control socket");
    error = pipe2(control.bell, O_CLOEXEC) == 0 ? 0 : errno;
    if (!error) {
        look_for_name(true);
        error = pthread_create(&control.thread, NULL, control_main, NULL);
    }
    control.running = error == 0;
    if (error)
        complain(error);
}

/* forget_name - unless it is somebody else's by now. */
static void forget_name(void)
{
    struct sockaddr_un un;
    int dir = name_of(&un);

    if (dir < 0)
        return;
    if (is_ours(&un))
        unlink(un.sun_path);
    close(dir);
}

static void close_it(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void control_stop(void)
{
    if (control.running) {
        pthread_mutex_lock(&control.lock);
        control.stop = true;
        if (control.caller >= 0)
            shutdown(control.caller, SHUT_RDWR);
        pthread_mutex_unlock(&control.lock);
        close_it(&control.bell[1]);
        pthread_join(control.thread, NULL);
    }
    if (control.state_dir)
        forget_name();
    control.running = false;
    close_it(&control.fd);
    close_it(&control.bell[0]);
    close_it(&control.bell[1]);
    free(control.state_dir);
    control.state_dir = NULL;
}
