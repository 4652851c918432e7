/* listener.c - the listening socket: what is taken over, what is left alone, what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/log.h"
#include "../../milter/listener.h"
#include "../lib/tap.h"

static struct arena *arena;
static char directory[] = "/tmp/sme-listener-XXXXXX";
static char last_log[1024]; /* the last line, with those before it of the same call */

static void keep_log(int level, struct str line, void *unused)
{
    size_t n = strlen(last_log);

    (void)level;
    (void)unused;
    snprintf(last_log + n, sizeof last_log - n, STR_FMT "\n", STR_ARG(line));
}

static const char *in_directory(const char *name)
{
    return arena_printf(arena, "%s/%s", directory, name).p;
}

static int open_at(struct listener *l, const char *path)
{
    last_log[0] = '\0';
    return listener_open(l, arena_printf(arena, "unix:%s", path), STR_NONE);
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* connected - a connection to the listener's own address; its descriptor, or -1. */
static int connected(const struct listener *l)
{
    int fd = socket(l->name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (const struct sockaddr *)&l->name, l->name_size) == 0)
        return fd;
    close(fd);
    return -1;
}

static void drop(struct listener *l)
{
    close(l->fd);
    close(l->door);
}

static void test_refusals(void)
{
    static const struct {
        const char *listen, *part;
        int status;
    } cases[] = {
        {"", "wanted is", EX_CONFIG},
        {"/run/x.sock", "wanted is", EX_CONFIG},
        {"unix:", "begins with /", EX_CONFIG},
        {"unix:x.sock", "begins with /", EX_CONFIG},
        {"unix:/", "begins with /", EX_CONFIG},
        {"tcp:25@127.0.0.1", "wanted is", EX_CONFIG},
        {"inet:8895", "PORT@HOST", EX_CONFIG},
        {"inet:8895@", "PORT@HOST", EX_CONFIG},
        {"inet:@127.0.0.1", "PORT@HOST", EX_CONFIG},
        {"inet:0@127.0.0.1", "PORT@HOST", EX_CONFIG},
        {"inet:65536@127.0.0.1", "PORT@HOST", EX_CONFIG},
        {"inet:88x@127.0.0.1", "PORT@HOST", EX_CONFIG},
        {"inet:8895@::1", "listen =", EX_CONFIG},
        {"inet6:8895@127.0.0.1", "listen =", EX_CONFIG},
        {"inet:8895@192.0.2.1", "cannot listen", EX_UNAVAILABLE},
    };
    struct listener l;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        last_log[0] = '\0';
        is_long(listener_open(&l, str_of(cases[i].listen), STR_NONE), cases[i].status, "listen = \"%s\"",
                cases[i].listen);
        ok(strstr(last_log, cases[i].part), "the log says why: %s", last_log);
        listener_remove(&l);
    }
    last_log[0] = '\0';
    is_long(listener_open(&l, (struct str){"unix:/tmp/a\0b", 13}, STR_NONE), EX_CONFIG, "a NUL in the path");
    listener_remove(&l);
}

static void test_length(void)
{
    struct listener l;
    struct buf path = buf_in(arena);

    buf_addf(&path, "%s/", directory);
    while (path.len < sizeof((struct sockaddr_un *)0)->sun_path - 1)
        buf_addc(&path, 'x');
    is_long(open_at(&l, path.data), 0, "a path of 107 bytes");
    listener_remove(&l);
    ok(!exists(path.data), "it is removed");
    buf_addc(&path, 'x');
    is_long(open_at(&l, path.data), EX_CONFIG, "a path of 108 bytes");
    ok(strstr(last_log, "at most 107 bytes, this one has 108"), "the log says the limit: %s", last_log);
    listener_remove(&l);
}

static void test_alone(void)
{
    const char *path = in_directory("m.sock");
    struct listener l, second;
    mode_t mask = umask(0);
    struct stat st;
    int fd;

    is_long(open_at(&l, path), 0, "a new socket");
    ok(lstat(path, &st) == 0 && (st.st_mode & 07777) == 0660, "its mode is 0660 whatever the umask");
    ok(umask(mask) == 0, "the umask is what it was");
    ok(fcntl(l.fd, F_GETFL) & O_NONBLOCK, "it does not block");
    is_long(open_at(&second, path), EX_UNAVAILABLE, "a second one at the path of a live one");
    ok(strstr(last_log, arena_printf(arena, "process %ld serves", (long)getpid()).p), "names the process: %s",
       last_log);
    listener_remove(&second);
    ok(exists(path), "the first one stays");

    unlink(path);
    fd = open(arena_printf(arena, "/proc/self/fd/%d", l.door).p, O_PATH | O_CLOEXEC);
    ok(fd >= 0, "the door leads to the socket when its path is gone");
    close(fd);
    is_long(open_at(&second, path), 0, "another one at the path");
    listener_remove(&l);
    ok(exists(path), "the first one removes nothing that is not its own");
    listener_remove(&second);
    ok(!exists(path), "the second one removes its own");
    listener_remove(&second);
    ok(true, "removing twice harms nobody");
}

static void test_in_the_way(void)
{
    const char *path = in_directory("plain"), *link = in_directory("link");
    struct listener l;

    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    is_long(open_at(&l, path), EX_UNAVAILABLE, "a regular file in the way");
    listener_remove(&l);
    ok(exists(path), "is left alone");
    ok(symlink(path, link) == 0, "a symbolic link");
    is_long(open_at(&l, link), EX_UNAVAILABLE, "in the way");
    listener_remove(&l);
    ok(exists(link) && exists(path), "is left alone, too");
    unlink(link);
    unlink(path);
    is_long(open_at(&l, in_directory("none/m.sock")), EX_UNAVAILABLE, "a directory that is not there");
    ok(strstr(last_log, "there is no directory"), "is named: %s", last_log);
    listener_remove(&l);
}

static void test_stale(void)
{
    const char *path = in_directory("stale.sock");
    struct listener l;

    open_at(&l, path);
    drop(&l);
    ok(exists(path), "a socket whose process is gone");
    is_long(open_at(&l, path), 0, "is taken over");
    ok(strstr(last_log, "took over"), "and the log says so: %s", last_log);
    listener_remove(&l);
}

/* A supervisor that was killed, and a child of it that hangs and holds the socket. */
static void test_orphan(void)
{
    const char *path = in_directory("orphan.sock");
    struct listener l, next;
    pid_t maker, orphan = 0;
    int tell[2], fd;

    if (pipe(tell) != 0)
        bail("pipe: %s", strerror(errno));
    maker = fork();
    if (maker == 0) {
        if (open_at(&l, path) != 0)
            _exit(1);
        orphan = fork();
        if (orphan == 0)
            for (;;)
                pause();
        if (write(tell[1], &orphan, sizeof orphan) != sizeof orphan)
            _exit(1);
        _exit(0);
    }
    close(tell[1]);
    ok(read(tell[0], &orphan, sizeof orphan) == sizeof orphan && waitpid(maker, NULL, 0) == maker, "the maker is gone");
    l.name = (struct sockaddr_storage){.ss_family = AF_UNIX};
    memcpy(((struct sockaddr_un *)&l.name)->sun_path, path, strlen(path));
    l.name_size = sizeof(struct sockaddr_un);
    fd = connected(&l);
    ok(fd >= 0, "the socket still takes connections");
    close(fd);
    is_long(open_at(&next, path), 0, "but it is taken over: %s", last_log);
    if (orphan > 0)
        kill(orphan, SIGKILL);
    listener_remove(&next);
    close(tell[0]);
}

/* libmilter listens again in the child; the child dies, the supervisor lives. */
static void test_claim(void)
{
    const char *path = in_directory("claim.sock");
    struct listener l, second;
    pid_t child;

    open_at(&l, path);
    child = fork();
    if (child == 0)
        _exit(listen(l.fd, 10) != 0);
    waitpid(child, NULL, 0);
    listener_claim(&l);
    is_long(open_at(&second, path), EX_UNAVAILABLE, "a socket whose child died is still the supervisor's");
    listener_remove(&second);
    listener_remove(&l);
}

static void test_sessions(struct listener *l, const char *what)
{
    enum { N = 5 };
    int clients[N], served[N];

    is_long(listener_sessions(l), 0, "%s: no session at first", what);
    for (int i = 0; i < N; i++) {
        clients[i] = connected(l);
        do
            served[i] = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        while (served[i] < 0 && errno == EAGAIN);
    }
    is_long(listener_sessions(l), N, "%s: the accepted ends are counted, and nothing else", what);
    for (int i = 0; i < N; i++)
        close(clients[i]);
    is_long(listener_sessions(l), N, "%s: also those whose client is gone", what);
    for (int i = 0; i < N; i++)
        close(served[i]);
    is_long(listener_sessions(l), 0, "%s: until they are closed", what);
    listener_remove(l);
}

/* open_inet - on a free port: one that the kernel gave and took back. */
static int open_inet(struct listener *l, int family, const char *host)
{
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr *name = family == AF_INET ? (struct sockaddr *)&any : (struct sockaddr *)&any6;
    socklen_t size = family == AF_INET ? sizeof any : sizeof any6;
    int status = -1;

    for (int i = 0; status != 0 && i < 20; i++) {
        int fd = socket(family, SOCK_STREAM, 0), port;

        any.sin_port = any6.sin6_port = 0;
        if (fd < 0 || bind(fd, name, size) != 0 || getsockname(fd, name, &size) != 0)
            return -1;
        close(fd);
        last_log[0] = '\0';
        port = ntohs(family == AF_INET ? any.sin_port : any6.sin6_port);
        status = listener_open(l, arena_printf(arena, "%s:%d@%s", family == AF_INET ? "inet" : "inet6", port, host),
                               STR_NONE);
        if (status != 0)
            listener_remove(l);
    }
    return status;
}

int main(void)
{
    struct listener l;

    arena = arena_new(0);
    if (!mkdtemp(directory))
        bail("mkdtemp: %s", strerror(errno));
    log_capture(keep_log, NULL);
    test_refusals();
    test_length();
    test_alone();
    test_in_the_way();
    test_stale();
    test_orphan();
    test_claim();
    is_long(open_at(&l, in_directory("s.sock")), 0, "a Unix socket");
    test_sessions(&l, "unix");
    is_long(open_inet(&l, AF_INET, "127.0.0.1"), 0, "TCP: %s", last_log);
    test_sessions(&l, "inet");
    is_long(open_inet(&l, AF_INET, "0.0.0.0"), 0, "TCP on every address: %s", last_log);
    test_sessions(&l, "inet, every address");
    if (open_inet(&l, AF_INET6, "[::1]") == 0)
        test_sessions(&l, "inet6");
    else
        diag("no IPv6 here: %s", last_log);
    log_capture(NULL, NULL);
    rmdir(directory);
    arena_free(&arena);
    return tap_end();
}
