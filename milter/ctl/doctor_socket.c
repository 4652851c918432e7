/* doctor_socket.c - does the daemon answer where Postfix will look for it, and may Postfix's user go there? */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "doctor.h"

enum { ANSWER_MS = 2000, ANSWER_MOST = 65536 };

static const char start_remedy[] = "systemctl start sme-milter";

/* wait_until - for reading or writing. False when the time is over. */
static bool wait_until(int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left;
    int n;

    do {
        left = deadline - clock_ms();
        n = left > 0 ? poll(&p, 1, (int)left) : 0;
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0;
}

static int finish_connect(int fd, const struct sockaddr *sa, socklen_t size, int64_t deadline)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (fd < 0)
        return -1;
    if (connect(fd, sa, size) != 0)
        error = errno;
    if (error == EINPROGRESS || error == EAGAIN) { /* EAGAIN: a Unix socket with a full backlog */
        if (!wait_until(fd, POLLOUT, deadline))
            error = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
            error = errno;
    }
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

/* connect_to - a descriptor, or -1 with errno. */
static int connect_to(struct arena *a, const struct endpoint *e, int64_t deadline)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC}, *found = NULL;
    int fd;

    if (e->is_unix) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};

        if (e->path.n >= sizeof un.sun_path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(un.sun_path, e->path.p, e->path.n);
        return finish_connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                              (const struct sockaddr *)&un, sizeof un, deadline);
    }
    if (getaddrinfo(str_c(a, e->host), arena_printf(a, "%ld", e->port).p, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = finish_connect(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), found->ai_addr,
                        found->ai_addrlen, deadline);
    freeaddrinfo(found);
    return fd;
}

static bool read_all(int fd, unsigned char *p, size_t n, int64_t deadline)
{
    while (n > 0) {
        ssize_t got;

        if (!wait_until(fd, POLLIN, deadline))
            return false;
        got = read(fd, p, n);
        if (got == 0)
            errno = ECONNRESET;
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
    return true;
}

/* negotiate - the first packet of the milter protocol, as Postfix sends it, and the answer: length, 'O', version,
 * actions, steps. Then we take our leave ('Q'). NULL when it is a milter, else what is wrong. */
static const char *negotiate(int fd, int64_t deadline)
{
    static const unsigned char hello[] = {0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff};
    static const unsigned char quit[] = {0, 0, 0, 1, 'Q'};
    unsigned char answer[5];
    uint32_t size;

    if (send(fd, hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello || !read_all(fd, answer, sizeof answer, deadline))
        return errno == ETIMEDOUT ? "nothing was answered within 2 seconds" : "the connection was closed at once";
    memcpy(&size, answer, sizeof size);
    size = ntohl(size);
    if (answer[4] != 'O' || size < 13 || size > ANSWER_MOST)
        return "what answers is not a milter";
    if (send(fd, quit, sizeof quit, MSG_NOSIGNAL) != sizeof quit)
        return "the connection was closed during the negotiation";
    return NULL;
}

/* no_socket - say what stands at the path instead of a socket. True when there is no use in connecting. */
static bool no_socket(struct doctor *d)
{
    const char *path = str_c(d->arena, d->ours.path);
    struct stat st;
    bool exists = stat(path, &st) == 0;

    if (exists && S_ISSOCK(st.st_mode))
        return false;
    if (exists)
        doctor_says(d, DOCTOR_PROBLEM, "socket", NULL, str_of(start_remedy),
                    "%s is not a socket: move it away and start the daemon", path);
    else if (errno == EACCES && geteuid() != 0)
        doctor_says(d, DOCTOR_NOTE, "socket", NULL, STR_NONE, "%s cannot be looked at: run this as root", path);
    else
        doctor_says(d, DOCTOR_PROBLEM, "socket", NULL, str_of(start_remedy),
                    "%s: %s; the daemon does not run, or listens elsewhere", path, strerror(errno));
    return true;
}

/* check_alive - true when there is something that Postfix's user can try to reach. */
static bool check_alive(struct doctor *d)
{
    int64_t began = clock_ms();
    const char *wrong;
    int fd;

    if (d->ours.is_unix && no_socket(d))
        return false;
    fd = connect_to(d->arena, &d->ours, began + ANSWER_MS);
    if (fd < 0 && errno == EACCES && geteuid() != 0) {
        doctor_says(d, DOCTOR_NOTE, "socket", NULL, STR_NONE, STR_FMT " may not be used by you: run this as root",
                    STR_ARG(d->ours_text));
        return false;
    }
    if (fd < 0) {
        doctor_says(d, DOCTOR_PROBLEM, "socket", NULL, str_of("systemctl restart sme-milter"),
                    STR_FMT ": %s%s", STR_ARG(d->ours_text), strerror(errno),
                    errno == ECONNREFUSED ? "; nobody listens there any more" : "");
        return false;
    }
    wrong = negotiate(fd, began + ANSWER_MS);
    close(fd);
    if (wrong)
        doctor_says(d, DOCTOR_PROBLEM, "socket", NULL, str_of("systemctl restart sme-milter"), STR_FMT ": %s",
                    STR_ARG(d->ours_text), wrong);
    else
        doctor_says(d, DOCTOR_OK, "socket", NULL, STR_NONE, "a milter answers at " STR_FMT, STR_ARG(d->ours_text));
    return !wrong;
}

/* connect_as - in a child that becomes that user: 0, or the errno of connect(2). */
static int connect_as(struct doctor *d, const struct passwd *user)
{
    int status;
    pid_t pid;

    fflush(NULL); /* what is buffered is the parent's to print */
    pid = fork();
    if (pid == 0) {
        /* The groups are those Postfix's own daemons get: initgroups(3) for mail_owner. */
        if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
            _exit(EPERM);
        _exit(connect_to(d->arena, &d->ours, clock_ms() + ANSWER_MS) >= 0 ? 0 : errno);
    }
    if (pid < 0)
        return errno;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static bool may(const struct stat *st, const struct passwd *user, const gid_t *groups, int count, mode_t bit)
{
    if (st->st_uid == user->pw_uid)
        return st->st_mode & (bit << 6);
    for (int i = 0; i < count; i++)
        if (groups[i] == st->st_gid)
            return st->st_mode & (bit << 3);
    return st->st_mode & bit;
}

static const char *group_name(struct arena *a, gid_t gid)
{
    const struct group *g = getgrgid(gid);

    return g ? str_c(a, str_of(g->gr_name)) : arena_printf(a, "%lu", (unsigned long)gid).p;
}

/* say_denied - name the part of the path that stops the user, and what opens it. */
static void say_denied(struct doctor *d, const struct passwd *user)
{
    struct str path = d->ours.path;
    gid_t groups[256];
    int count = sizeof groups / sizeof *groups;
    struct stat st;

    if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
        count = 256;
    for (size_t end = 1; end <= path.n; end++) {
        bool last = end == path.n;
        const char *part;

        if (!last && path.p[end] != '/')
            continue;
        part = str_c(d->arena, str_slice(path, 0, end));
        if (stat(part, &st) != 0 || may(&st, user, groups, count, last ? S_IWOTH : S_IXOTH))
            continue;
        doctor_says(d, DOCTOR_PROBLEM, "socket-user", NULL,
                    last ? arena_printf(d->arena, "set listen_group = \"%s\" in sme-milter.conf, then run "
                                        "systemctl restart sme-milter", group_name(d->arena, user->pw_gid))
                         : arena_printf(d->arena, "chmod o+x %s", part),
                    "the user %s may not %s %s (mode %04o, group %s): Postfix cannot reach the filter", user->pw_name,
                    last ? "write to" : "pass", part, (unsigned)st.st_mode & 07777, group_name(d->arena, st.st_gid));
        return;
    }
    doctor_says(d, DOCTOR_PROBLEM, "socket-user", NULL, STR_NONE, "the user %s may not connect to " STR_FMT,
                user->pw_name, STR_ARG(d->ours_text));
}

static void check_user(struct doctor *d)
{
    const char *name = str_c(d->arena, postfix_value(&d->postfix, NULL, "mail_owner"));
    const struct passwd *user;
    int error;

    if (!d->ours.is_unix)
        return;
    if (geteuid() != 0) {
        doctor_says(d, DOCTOR_NOTE, "socket-user", NULL, STR_NONE,
                    "whether the user %s may use the socket can be tried by root only", name);
        return;
    }
    user = getpwnam(name);
    if (!user) {
        doctor_says(d, DOCTOR_PROBLEM, "socket-user", NULL, STR_NONE, "there is no user %s (mail_owner)", name);
        return;
    }
    error = connect_as(d, user);
    if (error == EACCES)
        say_denied(d, user);
    else if (error)
        doctor_says(d, DOCTOR_PROBLEM, "socket-user", NULL, STR_NONE, "the user %s cannot connect to " STR_FMT ": %s",
                    name, STR_ARG(d->ours_text), strerror(error));
    else
        doctor_says(d, DOCTOR_OK, "socket-user", NULL, STR_NONE, "the user %s can connect to it", name);
}

void doctor_socket(struct doctor *d)
{
    if (check_alive(d))
        check_user(d);
    if (d->ours.is_unix)
        return;
    doctor_says(d, DOCTOR_WARNING, "tcp", NULL,
                STR("set listen = \"unix:/run/sme-milter/milter.sock\" in sme-milter.conf, restart sme-milter, then "
                    "postconf -e 'smtpd_milters = unix:/run/sme-milter/milter.sock'"),
                STR_FMT ": over TCP on this machine a session was measured at 44 ms instead of 3, since many small "
                "packets wait for delayed acknowledgements; use a Unix socket",
                STR_ARG(d->ours_text));
}
