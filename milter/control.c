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
#include "db/karma_store.h"

#define PATIENCE_MS 1000
#define FLUSH_MS 1000 /* for what was learned up to now to be in the file that the caller reads */

static struct {
    int fd;
    int64_t began_ms; /* wall clock */
} control = {.fd = -1};

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

static struct str answer_stats(struct arena *a)
{
    struct database_status status;
    json_t *o = json_pack("{s:i, s:s}", "pid", (int)getpid(), "since", clock_rfc3339(a, control.began_ms).p);
    struct str text;
    char *dump;

    if (karma_store_status(&status))
        json_object_set_new(o, "karma", store_status(&status));
    if (dmarc_store_status(&status))
        json_object_set_new(o, "dmarc", store_status(&status));
    dump = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    text = str_dup(a, str_of(dump ? dump : "error: out of memory"));
    free(dump);
    json_decref(o);
    return text;
}

struct str control_answer(struct arena *a, struct str line)
{
    if (str_is(line, STR("karma"))) {
        karma_store_look();
        return karma_store_flush(FLUSH_MS) ? STR("ok") : STR("ok, but what was learned last is not on disk yet");
    }
    if (str_is(line, STR("stats")))
        return answer_stats(a);
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

static void *control_main(void *unused)
{
    (void)unused;
    for (;;) {
        int fd = accept4(control.fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            serve_caller(fd);
            close(fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            poll(NULL, 0, PATIENCE_MS); /* the caller waits, or gives up */
        }
    }
    return NULL;
}

/* open_socket - by way of the directory's descriptor: its path may be longer than an address can be. */
static int open_socket(struct arena *a, struct str state_dir)
{
    int dir = open(str_c(a, state_dir), O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    mode_t mask;

    if (dir < 0)
        return -1;
    snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/" CONTROL_SOCKET, dir);
    unlink(un.sun_path);
    mask = umask(0117);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&un, sizeof un) != 0 || listen(fd, 16) != 0)) {
        int error = errno;

        close(fd);
        fd = -1;
        errno = error;
    }
    umask(mask);
    close(dir);
    return fd;
}

void control_start(struct str state_dir)
{
    struct arena *a = arena_new(0);
    pthread_t thread;
    int error = 0;

    control.began_ms = clock_wall_ms();
    control.fd = open_socket(a, state_dir);
    if (control.fd < 0)
        error = errno;
    else
        error = pthread_create(&thread, NULL, control_main, NULL);
    if (error == 0)
        pthread_detach(thread);
    else
        log_error("cannot listen on " STR_FMT "/" CONTROL_SOCKET ": %s; sme-milterctl cannot talk to the daemon",
                  STR_ARG(str_escaped(a, state_dir)), strerror(error));
    arena_free(&a);
}
