/* worker_sandbox.c - seccomp, Landlock or a root directory of one's own, limits. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker_sandbox.h"

#define MORE_DATA (768UL * 1024 * 1024)  /* a job's memory beyond what the server has */
#define FILE_MOST (512UL * 1024 * 1024)
#define FILES_MOST 256
#define FILTER_MOST 4096                 /* instructions */

/* What older kernel headers do not know. */
#define RIGHT_REFER (1ULL << 13)
#define RIGHT_TRUNCATE (1ULL << 14)
#define RIGHT_IOCTL (1ULL << 15)

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_WRITE                                                                                                  \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                 \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | RIGHT_TRUNCATE)

/* With a sanitizer's shadow, which is terabytes of address space, no limit of memory can be told. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct filter {
    struct sock_filter code[FILTER_MOST];
    unsigned short count;
} server_filter, job_filter, file_job_filter;
static bool by_root; /* no Landlock: a job's root is its directory */
static unsigned long base_data; /* of the server when it is ready to fork */

static bool fail(struct arena *a, struct str *why, const char *what)
{
    *why = arena_printf(a, "%s: %s", what, strerror(errno));
    return false;
}

/* ---- system calls ---- */

/* What computing and its own end need: no name of a file is among it. (newfstatat() is the C library's fstat().) */
static const int job_calls[] = {
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64),
    SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(ftruncate),
    SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(getcwd), SCMP_SYS(umask), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex),
    SCMP_SYS(time), SCMP_SYS(gettimeofday), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(times), SCMP_SYS(getrusage), SCMP_SYS(getrandom),
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
};
/* And files, which are opened as Landlock allows, or where the root directory is one's own. */
static const int file_calls[] = {
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(creat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(getdents64), SCMP_SYS(truncate), SCMP_SYS(stat), SCMP_SYS(lstat),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(fadvise64),
};
/* And forking, looking after children, and giving up even more. */
static const int server_calls[] = {
    SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(kill), SCMP_SYS(signalfd4),
    SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(prctl),
    SCMP_SYS(seccomp), SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_restrict_self), SCMP_SYS(prlimit64), SCMP_SYS(setrlimit), SCMP_SYS(getrlimit),
    SCMP_SYS(capget), SCMP_SYS(capset), SCMP_SYS(chroot), SCMP_SYS(close_range), SCMP_SYS(chdir), SCMP_SYS(setpriority), SCMP_SYS(chmod), SCMP_SYS(fchmod),
};

static bool allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);

        if (error != 0 && error != -EDOM && error != -EFAULT) { /* these: there is no such call on this machine */
            errno = -error;
            return false;
        }
    }
    return true;
}

/* allow_some - calls of which one argument decides. Nothing becomes executable; fcntl() cannot send signals; threads are
 * harmless, and some decoders start them. */
static bool allow_some(scmp_filter_ctx ctx, bool server)
{
    static const int fcntls[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_GETLK, F_SETLK, F_GET_SEALS};
    const struct scmp_arg_cmp not_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM);
    const struct scmp_arg_cmp plain = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID |
                                              CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, 0);
    const struct scmp_arg_cmp only_ask = SCMP_A2(SCMP_CMP_EQ, 0, 0);
    int error = 0;

    for (size_t i = 0; i < sizeof fcntls / sizeof fcntls[0] && error == 0; i++)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                 SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i], 0));
    if (error == 0)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_exec);
    if (error == 0)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_exec);
    if (error == 0)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, server ? plain : thread);
    if (error == 0 && !server)
        error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, only_ask);
    if (error == 0) /* its flags are not in a register; where it is not there the C library takes the other one */
        error = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    errno = -error;
    return error == 0;
}

static bool keep(scmp_filter_ctx ctx, struct filter *f)
{
    int fd = memfd_create("filter", MFD_CLOEXEC), error;
    ssize_t n;

    if (fd < 0)
        return false;
    error = seccomp_export_bpf(ctx, fd);
    n = error == 0 ? pread(fd, f->code, sizeof f->code, 0) : -1;
    close(fd);
    if (n <= 0 || (size_t)n >= sizeof f->code) {
        errno = error ? -error : E2BIG;
        return false;
    }
    f->count = (unsigned short)((size_t)n / sizeof f->code[0]);
    return true;
}

static bool make_filter(struct filter *f, bool files, bool server)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bool good;

    if (!ctx)
        return false;
    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    good = allow(ctx, job_calls, sizeof job_calls / sizeof job_calls[0]) && allow_some(ctx, server);
    if (good && files)
        good = allow(ctx, file_calls, sizeof file_calls / sizeof file_calls[0]);
    if (good && server)
        good = allow(ctx, server_calls, sizeof server_calls / sizeof server_calls[0]);
    good = good && keep(ctx, f);
    seccomp_release(ctx);
    return good;
}

bool sandbox_prepare(struct arena *a, struct str *why)
{
    if (!make_filter(&server_filter, true, true) || !make_filter(&job_filter, false, false) ||
        !make_filter(&file_job_filter, true, false))
        return fail(a, why, "cannot make the filter of system calls");
    return true;
}

static bool filter_calls(struct filter *f)
{
    struct sock_fprog program = {.len = f->count, .filter = f->code};

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* ---- files ---- */

static uint64_t rights_here(void)
{
    static const uint64_t by_version[] = {0, (1ULL << 13) - 1, (1ULL << 14) - 1, (1ULL << 15) - 1, (1ULL << 15) - 1,
                                          (1ULL << 16) - 1};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return version <= 0 ? 0 : by_version[version > 5 ? 5 : version];
}

static bool may(int rules, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};
    bool good;

    rule.parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return false;
    good = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.parent_fd);
    return good;
}

struct grant {
    const char *path; /* NULL: none */
    uint64_t rights;
};

static bool grant_only(struct arena *a, const struct grant *grants, size_t n, struct str *why)
{
    uint64_t here = rights_here();
    struct landlock_ruleset_attr attributes = {.handled_access_fs = here};
    bool good = true;
    int rules;

    rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (rules < 0)
        return fail(a, why, "cannot use Landlock");
    for (size_t i = 0; i < n && good; i++)
        good = !grants[i].path || may(rules, grants[i].path, grants[i].rights & here) ||
               fail(a, why, grants[i].path);
    if (good && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        good = fail(a, why, "cannot use Landlock");
    close(rules);
    return good;
}

/* ---- memory and time ---- */

/* sandbox_loaded - remembers what RLIMIT_DATA counts. */
void sandbox_loaded(void)
{
    unsigned long fields[6] = {0};
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return;
    for (size_t i = 0; i < 6; i++)
        if (fscanf(f, "%lu", &fields[i]) != 1)
            fields[i] = 0;
    fclose(f);
    base_data = fields[5] * (unsigned long)sysconf(_SC_PAGESIZE); /* with stacks: a little more than the limit counts */
}

static bool limit(int what, unsigned long most)
{
    struct rlimit now, wanted = {most, most};

    if (getrlimit((__rlimit_resource_t)what, &now) != 0)
        return false;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
        wanted.rlim_cur = wanted.rlim_max = now.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &wanted) == 0;
}

/* ---- capabilities ---- */

/* keep_capabilities - of those in `most`, and no others; *kept are those. For who runs the daemon as root; under
 * systemd's unit there are none, and no capset() either. */
static bool keep_capabilities(uint32_t most, uint32_t *kept)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[2] = {{0}}, wanted[2] = {{0}};

    if (syscall(SYS_capget, &head, has) == 0) {
        wanted[0].effective = wanted[0].permitted = has[0].permitted & most;
        *kept = wanted[0].effective;
        if (memcmp(has, wanted, sizeof has) == 0)
            return true;
    }
    return syscall(SYS_capset, &head, wanted) == 0;
}

static bool no_capabilities(void)
{
    uint32_t kept;

    return keep_capabilities(0, &kept);
}

/* root_changes - tried out, for a capability is not all that it takes (seccomp, containers). */
static bool root_changes(void)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0)
        _exit(chroot(".") == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* may_change_root - the only capability that is left is chroot()'s: the one of a user namespace of our own, which rules
 * over nothing else, or the one that root has. */
static bool may_change_root(void)
{
    const uint32_t wanted = 1U << CAP_SYS_CHROOT;
    uint32_t kept = 0;

    if (unshare(CLONE_NEWUSER) != 0 && errno != EPERM && errno != ENOSPC && errno != EINVAL && errno != ENOSYS)
        return false;
    return keep_capabilities(wanted, &kept) && kept == wanted && root_changes();
}

/* ---- all of it ---- */

bool sandbox_server(struct arena *a, const char *directory, const char *tmp, struct str *why)
{
    struct str above = str_dup(a, str_slice(str_of(tmp), 0, str_rfind(str_of(tmp), '/')));
    const struct grant grants[] = {
        {directory, RIGHTS_READ},
        {tmp, RIGHTS_READ | RIGHTS_WRITE},
        {above.n ? above.p : "/", LANDLOCK_ACCESS_FS_REMOVE_DIR},
        {"/proc/self", RIGHTS_READ}, /* its size, for the limits of its jobs */
    };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail(a, why, "prctl");
    by_root = directory && !rights_here();
    if (by_root ? !may_change_root() : !no_capabilities()) {
        if (!by_root)
            return fail(a, why, "capset");
        *why = STR("it cannot be locked in: the kernel has no Landlock, and gives neither user namespaces nor chroot()");
        return false;
    }
    if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_FSIZE, FILE_MOST) || !limit(RLIMIT_NOFILE, FILES_MOST))
        return fail(a, why, "setrlimit");
    if (rights_here() && !grant_only(a, grants, 4, why))
        return false;
    if (!filter_calls(&server_filter))
        return fail(a, why, "cannot filter system calls");
    return true;
}

bool sandbox_by_root(void)
{
    return by_root;
}

/* own_root - there is nothing in it but what the job makes, and no descriptor of a directory is open. */
static bool own_root(struct arena *a, struct str *why)
{
    if (chroot(".") != 0 || chdir("/") != 0)
        return fail(a, why, "chroot");
    return no_capabilities() || fail(a, why, "capset");
}

bool sandbox_job(struct arena *a, bool files, uint64_t ms, struct str *why)
{
    const struct grant grant = {files ? "." : NULL, RIGHTS_READ | RIGHTS_WRITE};

    if (!limit(RLIMIT_CPU, ms / 1000 + 2) || (!SANITIZED && !limit(RLIMIT_DATA, base_data + MORE_DATA)))
        return fail(a, why, "setrlimit");
    if (files && by_root && !own_root(a, why))
        return false;
    if (rights_here() && !grant_only(a, &grant, 1, why))
        return false;
    if (!filter_calls(files ? &file_job_filter : &job_filter))
        return fail(a, why, "cannot filter system calls");
    return true;
}
