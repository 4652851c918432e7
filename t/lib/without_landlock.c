/* without_landlock.c - runs a command as if the kernel had no Landlock, with --bare nor user namespaces and chroot():
 * without_landlock [--bare] COMMAND... */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "without_landlock.h"

int main(int argc, char **argv)
{
    bool bare = argc > 1 && strcmp(argv[1], "--bare") == 0;
    char **command = argv + (bare ? 2 : 1);

    if (argc < (bare ? 3 : 2)) {
        fputs("usage: without_landlock [--bare] COMMAND...\n", stderr);
        return EX_USAGE;
    }
    if (!without_landlock(bare)) {
        perror("seccomp");
        return EX_OSERR;
    }
    execvp(command[0], command);
    perror(command[0]);
    return EX_OSERR;
}
