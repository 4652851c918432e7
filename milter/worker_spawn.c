/* worker_spawn.c - finds the worker's program, and starts a server. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "worker_inside.h"
#include "worker_server.h"

#ifndef PKGLIBEXECDIR
#define PKGLIBEXECDIR "/usr/libexec/sme-milter"
#endif

extern char **environ;

bool worker_spawn(struct server *s, const struct crew *c, int program, int theirs)
{
    char path[32], *arguments[] = {(char *)(uintptr_t)WORKER_PROGRAM, (char *)(uintptr_t)c->kind, s->tmp,
                                   (char *)(uintptr_t)c->directory, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error;

    snprintf(path, sizeof path, "/proc/self/fd/%d", program);
    sigfillset(&all);
    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attributes) != 0)
        log_panic("out of memory");
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    error = error ? error : posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    error = error ? error : posix_spawn_file_actions_adddup2(&actions, theirs, WORKER_SOCKET);
    error = error ? error : posix_spawnattr_setsigdefault(&attributes, &all);
    error = error ? error : posix_spawnattr_setsigmask(&attributes, &none);
    error = error ? error : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    error = error ? error : posix_spawn(&s->pid, path, &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    errno = error;
    return error == 0;
}

/* beyond_three - a descriptor that the worker's socket does not take the place of. */
static int beyond_three(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, WORKER_SOCKET + 1);

    if (fd >= 0)
        close(fd);
    return high;
}

int worker_open_program(const char *named)
{
    char path[PATH_ROOM];
    ssize_t n;
    int fd;

    if (named)
        return beyond_three(open(named, O_PATH | O_CLOEXEC));
    n = readlink("/proc/self/exe", path, sizeof path - sizeof WORKER_PROGRAM);
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n > 0) {
        memcpy(path + n, WORKER_PROGRAM, sizeof WORKER_PROGRAM);
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd >= 0)
            return beyond_three(fd);
    }
    return beyond_three(open(PKGLIBEXECDIR "/" WORKER_PROGRAM, O_PATH | O_CLOEXEC));
}
