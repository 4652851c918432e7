/* without_landlock.h - from here on this process, and all that it starts, find a kernel that has no Landlock. */
#ifndef WITHOUT_LANDLOCK_H
#define WITHOUT_LANDLOCK_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define CALL(nr, answer)                                                                                               \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (answer))

/* without_landlock - `bare`: nor does it give user namespaces or chroot(). */
static inline bool without_landlock(bool bare)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        CALL(SYS_landlock_create_ruleset, ENOSYS),
        CALL(SYS_landlock_add_rule, ENOSYS),
        CALL(SYS_landlock_restrict_self, ENOSYS),
        CALL(bare ? SYS_unshare : ~0U, EPERM),
        CALL(bare ? SYS_chroot : ~0U, EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#endif
