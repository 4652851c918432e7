/* control_client.c - a word to the running daemon, over the Unix socket in its state_dir. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../config.h"
#include "../control.h"
#include "control_client.h"
#include "ctl.h"

#define WAIT_MS 5000 /* the daemon looks at its files, and writes what waits, before it answers */
#define ANSWER_MOST (1u << 20)

/* ready - wait for the socket until the deadline; false, with errno, when that was in vain. */
static bool ready(int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left;
    int n;

    do {
        left = deadline - clock_ms();
        n = poll(&p, 1, left > 0 ? (int)left : 0);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0;
}

static bool send_line(int fd, struct str line, int64_t deadline)
{
    while (line.n) {
        ssize_t n = send(fd, line.p, line.n, MSG_NOSIGNAL);

        if (n >= 0)
            line = str_slice(line, (size_t)n, line.n);
        else if (errno != EAGAIN && errno != EINTR)
            return false;
        else if (!ready(fd, POLLOUT, deadline))
            return false;
    }
    return true;
}

/* receive_line - up to its LF; what may follow that is not looked at. */
static bool receive_line(int fd, struct buf *b, int64_t deadline)
{
    char block[4096];

    while (b->len < ANSWER_MOST) {
        struct str got = {block, 0};
        ssize_t n;

        if (!ready(fd, POLLIN, deadline))
            return false;
        n = recv(fd, block, sizeof block, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n == 0)
            errno = ECONNRESET;
        if (n <= 0)
            return false;
        got.n = (size_t)n;
        buf_add(b, str_slice(got, 0, str_find(got, '\n')));
        if (str_find(got, '\n') < got.n)
            return true;
    }
    errno = EMSGSIZE;
    return false;
}

/* talk - on a socket that is connected. */
static int talk(struct ctl *ctl, int fd, const char *path, const char *line, struct str *answer)
{
    int64_t deadline = clock_ms() + WAIT_MS;
    struct buf b = buf_in(ctl->arena);

    if (!send_line(fd, arena_printf(ctl->arena, "%s\n", line), deadline) || !receive_line(fd, &b, deadline)) {
        fprintf(stderr, "%s: something listens there, but it does not answer: %s\n", path, strerror(errno));
        return EX_TEMPFAIL;
    }
    *answer = buf_str(&b);
    if (!str_starts(*answer, STR("error")))
        return CTL_FINE;
    fprintf(stderr, "%s: the running daemon says: " STR_FMT "\n", path, STR_ARG(str_escaped(ctl->arena, *answer)));
    return EX_TEMPFAIL;
}

/* connect_to - by way of the directory's descriptor: its path may be longer than an address can be. Or -1 and errno. */
static int connect_to(struct ctl *ctl, struct str state_dir)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int dir = open(str_c(ctl->arena, state_dir), O_PATH | O_DIRECTORY | O_CLOEXEC), fd, error;

    if (dir < 0)
        return -1;
    snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/" CONTROL_SOCKET, dir);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&un, sizeof un) != 0) {
        error = errno;
        close(fd);
        errno = error;
        fd = -1;
    }
    error = errno;
    close(dir);
    errno = error;
    return fd;
}

int control_tell(struct ctl *ctl, const struct config *config, const char *line, struct str *answer)
{
    struct str path = arena_printf(ctl->arena, STR_FMT "/" CONTROL_SOCKET, STR_ARG(config->global.state_dir));
    int fd = connect_to(ctl, config->global.state_dir), status;

    *answer = STR_NONE;
    if (fd >= 0) {
        status = talk(ctl, fd, path.p, line, answer);
        close(fd);
        return status;
    }
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
        return CTL_FINE;
    status = errno == EACCES || errno == EPERM ? EX_NOPERM : EX_TEMPFAIL; /* EAGAIN: its queue is full */
    fprintf(stderr, "%s: the running daemon cannot be told: %s\n", path.p, strerror(errno));
    return status;
}
