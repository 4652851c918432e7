/* listener.c - making, taking over and removing the listening socket. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "listener.h"

#define BACKLOG 4096       /* the kernel caps it at net.core.somaxconn */
#define LOCK_TRIES 100     /* of 20 ms: how long we wait for another start in the same directory */
#define HOST_MOST 255      /* bytes of a host name, RFC 1035 */
#define SOCKET_MODE 0660

/* status_of - the exit status that says best what kept us from listening. */
static int status_of(int error)
{
    return error == EACCES || error == EPERM ? EX_NOPERM : EX_UNAVAILABLE;
}

/* finish - the steps that are the same for every kind of socket; says in `name` what connections will look like. */
static int finish(struct listener *l, struct str listen)
{
    l->name_size = sizeof l->name;
    if (getsockname(l->fd, (struct sockaddr *)&l->name, &l->name_size) == 0 &&
        fcntl(l->fd, F_SETFL, fcntl(l->fd, F_GETFL) | O_NONBLOCK) == 0)
        return 0;
    log_error("cannot use the socket " STR_FMT ": %s", STR_ARG(listen), strerror(errno));
    return EX_OSERR;
}

/* open_door - remember the file behind a Unix socket, not only its path. Without a door everything works but what
 * listener.h promises of it. */
static void open_door(struct listener *l, const char *path)
{
    struct stat st;

    l->door = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (l->door >= 0 && fstat(l->door, &st) == 0) {
        l->device = st.st_dev;
        l->inode = st.st_ino;
    }
}

/* ---- given by systemd ---- */

/* take_given - use the first descriptor that socket activation passed. True when there was one; *status then says
 * whether it can be used. */
static bool take_given(struct listener *l, int *status)
{
    int count = sd_listen_fds(1);
    const struct sockaddr_un *un = (const struct sockaddr_un *)&l->name;

    if (count <= 0)
        return false;
    if (count > 1)
        log_warn("systemd passed %d sockets; the first is used, the others are closed", count);
    for (int i = 1; i < count; i++)
        close(SD_LISTEN_FDS_START + i);
    l->fd = SD_LISTEN_FDS_START;
    l->given = true;
    if (sd_is_socket(l->fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
        log_error("the descriptor that systemd passed is not a listening stream socket");
        *status = EX_UNAVAILABLE;
        return true;
    }
    *status = finish(l, STR("that systemd passed"));
    if (*status == 0 && un->sun_family == AF_UNIX && un->sun_path[0] == '/')
        open_door(l, un->sun_path);
    return true;
}

/* ---- Unix sockets ---- */

/* lock_directory - keep two starts from judging and replacing the same stale socket at the same time. Where the lock
 * cannot be had we go on without it: it only narrows a race of two administrators. */
static int lock_directory(const char *path)
{
    char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));
    int fd = directory ? open(*directory ? directory : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(directory);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++)
        usleep(20000);
    return fd;
}

/* probe - what answers at the path: 0 somebody lives there (*pid: who made the socket, 0 when hidden from us),
 * ECONNREFUSED nobody, or another error. A predecessor that was killed leaves a child that drains, which may hold the
 * socket for a moment more: the maker's pid tells. */
static int probe(const struct sockaddr_un *un, socklen_t size, pid_t *pid)
{
    struct ucred maker = {0};
    socklen_t n = sizeof maker;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;

    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)un, size) != 0)
        error = errno;
    else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &n) == 0 && maker.pid > 0 && kill(maker.pid, 0) != 0 &&
             errno == ESRCH)
        error = ECONNREFUSED;
    close(fd);
    *pid = maker.pid;
    return error == EAGAIN ? 0 : error; /* EAGAIN: alive, with a full backlog */
}

/* clear_path - make room at the path where that harms nobody. 0, or the exit status. */
static int clear_path(const struct sockaddr_un *un, socklen_t size)
{
    const char *path = un->sun_path;
    struct stat st;
    pid_t pid = 0;
    int error;

    if (lstat(path, &st) != 0)
        return 0; /* bind() will say what is wrong, if anything is */
    if (!S_ISSOCK(st.st_mode)) {
        log_error("%s is in the way: it is not a socket, so it is left alone; remove it, or change listen", path);
        return EX_UNAVAILABLE;
    }
    error = probe(un, size, &pid);
    if (error == 0 && pid > 0)
        log_error("process %ld serves %s already; stop it first, or change listen", (long)pid, path);
    else if (error == 0)
        log_error("another process serves %s already; stop it first, or change listen", path);
    else if (error != ECONNREFUSED && error != ENOENT)
        log_error("cannot find out whether %s is in use: %s", path, strerror(error));
    if (error != ECONNREFUSED && error != ENOENT)
        return status_of(error);
    if (unlink(path) != 0 && errno != ENOENT) {
        log_error("cannot remove the stale socket %s: %s", path, strerror(errno));
        return status_of(errno);
    }
    if (error == ECONNREFUSED)
        log_info("took over %s: whoever made it is gone", path);
    return 0;
}

/* set_group - let Postfix in. Nothing here is worth refusing to start for. */
static void set_group(const char *path, struct str group)
{
    char name[64];
    struct group *entry;
    struct stat st;

    if (group.n == 0 || group.n >= sizeof name)
        return;
    memcpy(name, group.p, group.n);
    name[group.n] = '\0';
    entry = getgrnam(name);
    if (!entry) {
        log_warn("there is no group %s, so only user and group of this process can use %s; set listen_group", name,
                 path);
        return;
    }
    if ((lstat(path, &st) == 0 && st.st_gid == entry->gr_gid) || lchown(path, (uid_t)-1, entry->gr_gid) == 0)
        return;
    log_warn("cannot give %s to group %s: %s; make this process's user a member (SupplementaryGroups=%s in the unit, "
             "or gpasswd -a USER %s), or set listen_group", path, name, strerror(errno), name, name);
}

static void explain_bind(const char *path, int error)
{
    int directory = (int)(strrchr(path, '/') - path);

    if (error == ENOENT)
        log_error("cannot make the socket %s: there is no directory %.*s; systemd-tmpfiles --create can make it",
                  path, directory, path);
    else if (error == EACCES || error == EPERM || error == EROFS)
        log_error("cannot make the socket %s: %s: the directory must be writable for user %ld", path, strerror(error),
                  (long)geteuid());
    else
        log_error("cannot make the socket %s: %s", path, strerror(error));
}

/* bind_unix - bind and listen under the directory's lock. The umask makes the mode right from the first moment; the
 * group is set later, so that nobody gets more than the mode ever gives. */
static int bind_unix(struct listener *l, const struct sockaddr_un *un, socklen_t size)
{
    int status = clear_path(un, size), error;
    mode_t mask;

    if (status != 0)
        return status;
    mask = umask(0777 & ~SOCKET_MODE);
    error = bind(l->fd, (const struct sockaddr *)un, size) != 0 ? errno : 0;
    umask(mask);
    if (error == 0) {
        open_door(l, un->sun_path);
        error = listen(l->fd, BACKLOG) != 0 ? errno : 0;
    }
    if (error == 0)
        return 0;
    explain_bind(un->sun_path, error);
    return status_of(error);
}

static int open_unix(struct listener *l, struct str listen, struct str path, struct str group)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    int lock, status;

    if (path.n < 2 || path.p[0] != '/' || str_find(path, '\0') != path.n) {
        log_error("listen = \"" STR_FMT "\": the path of a Unix socket begins with /", STR_ARG(listen));
        return EX_CONFIG;
    }
    if (path.n >= sizeof un.sun_path) {
        log_error("listen = \"" STR_FMT "\": the path of a Unix socket has at most %zu bytes, this one has %zu",
                  STR_ARG(listen), sizeof un.sun_path - 1, path.n);
        return EX_CONFIG;
    }
    memcpy(un.sun_path, path.p, path.n);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        log_error("cannot make a Unix socket: %s", strerror(errno));
        return EX_OSERR;
    }
    lock = lock_directory(un.sun_path);
    status = bind_unix(l, &un, size);
    if (lock >= 0)
        close(lock);
    if (status == 0) {
        set_group(un.sun_path, group);
        status = finish(l, listen);
    }
    return status;
}

/* ---- TCP ---- */

/* bind_inet - a socket on the first address of the host. TCP_NODELAY is inherited by the connections; without it
 * libmilter's small writes wait for the peer's delayed acknowledgements. 0 or an errno. */
static int bind_inet(struct listener *l, const struct addrinfo *address)
{
    const int on = 1;
    int error;

    l->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return errno;
    if (address->ai_family == AF_INET6)
        setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    error = bind(l->fd, address->ai_addr, address->ai_addrlen) != 0 ? errno : 0;
    if (error == 0 && listen(l->fd, BACKLOG) != 0)
        error = errno;
    return error;
}

static int open_inet(struct listener *l, struct str listen, struct str address, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    char port_text[8] = "", host_text[HOST_MOST + 1] = "";
    struct str port, host;
    long number;
    int error;

    host = address;
    if (!str_split(&host, '@', &port) || !str_to_long(port, &number) || number < 1 || number > 65535 || host.n == 0 ||
        host.n > HOST_MOST || str_find(host, '\0') != host.n) {
        log_error("listen = \"" STR_FMT "\": wanted is inet:PORT@HOST, as in inet:8895@127.0.0.1", STR_ARG(listen));
        return EX_CONFIG;
    }
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_slice(host, 1, host.n - 1);
    memcpy(host_text, host.p, host.n);
    memcpy(port_text, port.p, port.n < sizeof port_text ? port.n : sizeof port_text - 1);
    error = getaddrinfo(host_text, port_text, &hints, &found);
    if (error != 0) {
        log_error("listen = \"" STR_FMT "\": %s", STR_ARG(listen), gai_strerror(error));
        return EX_CONFIG;
    }
    error = bind_inet(l, found);
    freeaddrinfo(found);
    if (error != 0) {
        log_error("cannot listen on " STR_FMT ": %s", STR_ARG(listen), strerror(error));
        return status_of(error);
    }
    return finish(l, listen);
}

int listener_open(struct listener *l, struct str listen, struct str group)
{
    struct str rest = listen, kind;
    int status;

    *l = (struct listener){.fd = -1, .door = -1};
    if (take_given(l, &status))
        return status;
    if (!str_split(&rest, ':', &kind))
        kind = STR_NONE;
    if (str_is(kind, STR("unix")) || str_is(kind, STR("local")))
        return open_unix(l, listen, rest, group);
    if (str_is(kind, STR("inet")) || str_is(kind, STR("inet6")))
        return open_inet(l, listen, rest, str_is(kind, STR("inet")) ? AF_INET : AF_INET6);
    log_error("listen = \"" STR_FMT "\": wanted is unix:/PATH, inet:PORT@HOST or inet6:PORT@HOST", STR_ARG(listen));
    return EX_CONFIG;
}

void listener_claim(const struct listener *l)
{
    if (listen(l->fd, BACKLOG) != 0)
        log_warn("cannot listen again: %s", strerror(errno));
}

void listener_remove(struct listener *l)
{
    const char *path = ((const struct sockaddr_un *)&l->name)->sun_path;
    struct stat st;

    if (!l->given && l->door >= 0 && l->name.ss_family == AF_UNIX && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        st.st_dev == l->device && st.st_ino == l->inode && unlink(path) != 0)
        log_warn("cannot remove %s: %s", path, strerror(errno));
    if (l->door >= 0)
        close(l->door);
    if (l->fd >= 0)
        close(l->fd);
    l->door = l->fd = -1;
}

/* ---- sessions ---- */

/* came_through - whether the address that a connection has on our side is one that the listener answers for. */
static bool came_through(const struct listener *l, const struct sockaddr_storage *name, socklen_t size)
{
    const struct sockaddr_in *a = (const struct sockaddr_in *)&l->name, *b = (const struct sockaddr_in *)name;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&l->name, *b6 = (const struct sockaddr_in6 *)name;

    if (name->ss_family != l->name.ss_family)
        return false;
    if (name->ss_family == AF_INET)
        return a->sin_port == b->sin_port &&
               (a->sin_addr.s_addr == htonl(INADDR_ANY) || a->sin_addr.s_addr == b->sin_addr.s_addr);
    if (name->ss_family == AF_INET6)
        return a6->sin6_port == b6->sin6_port &&
               (IN6_IS_ADDR_UNSPECIFIED(&a6->sin6_addr) || IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr));
    return size == l->name_size && memcmp(name, &l->name, size) == 0;
}

int listener_sessions(const struct listener *l)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    int sessions = 0;

    if (!directory)
        return -1;
    while ((entry = readdir(directory))) {
        struct sockaddr_storage name;
        socklen_t size = sizeof name, n = sizeof(int);
        int listening = 1;
        long fd;

        if (str_to_long(str_of(entry->d_name), &fd) && getsockname((int)fd, (struct sockaddr *)&name, &size) == 0 &&
            came_through(l, &name, size) && getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 &&
            !listening)
            sessions++;
    }
    closedir(directory);
    return sessions;
}
