/* import_files.c - all new files at once, or none.
 *
 * They are written into a directory of their own beside the old ones, where the daemon's own reader has to accept them;
 * then each takes its place by one rename. What stood there is kept as NAME.previous, or NAME.previous.2 and so on: who
 * wrote it is not known, so nothing that was kept is ever overwritten. A file whose bytes are the same is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "../config.h"
#include "dkim.h"
#include "import_inside.h"

#define PATH_MOST 3900
#define PREVIOUS_MOST 100000 /* of one file */

struct writing {
    struct import *im;
    struct str staging;
    bool *changed;     /* per file */
    const char **kept; /* per file: the path that what stood there has now; NULL: nothing did */
    bool *placed;      /* per file */
};

void import_add_file(struct import *im, struct str name, struct str text, bool secret)
{
    im->files = arena_grow(im->a, im->files, im->file_count, sizeof *im->files);
    im->files[im->file_count++] = (struct import_file){name, text, secret, STR_NONE};
}

static int complain(struct import *im, const char *what, const char *path)
{
    int error = errno;

    fprintf(stderr, "sme-milterctl import sme: %s %s: %s; nothing is changed\n", what,
            str_c(im->a, str_escaped(im->a, str_of(path))), strerror(error));
    return error == EACCES || error == EPERM || error == EROFS ? EX_NOPERM : EX_CANTCREAT;
}

static const char *within(struct writing *w, struct str dir, const struct import_file *f, const char *suffix)
{
    return arena_printf(w->im->a, STR_FMT "/" STR_FMT "%s", STR_ARG(dir), STR_ARG(f->name), suffix).p;
}

/* daemon_group - who besides the owner may read a key; false: nobody. */
static bool daemon_group(gid_t *group)
{
    const struct group *found = geteuid() == 0 ? getgrnam(DKIM_DAEMON_GROUP) : NULL;

    if (found)
        *group = found->gr_gid;
    return found;
}

/* make_dirs - those of the path below `base`; keys lie in directories that others cannot look into. */
static bool make_dirs(struct writing *w, struct str base, const struct import_file *f)
{
    gid_t group;

    for (size_t i = 0; i < f->name.n; i++) {
        const char *dir;

        if (f->name.p[i] != '/')
            continue;
        dir = arena_printf(w->im->a, STR_FMT "/" STR_FMT, STR_ARG(base), STR_ARG(str_slice(f->name, 0, i))).p;
        if (mkdir(dir, str_starts(f->name, STR("dkim/")) ? 0700 : 0755) != 0) {
            if (errno != EEXIST)
                return false;
        } else if (str_starts(f->name, STR("dkim/")) && daemon_group(&group) && chown(dir, (uid_t)-1, group) == 0 &&
                   chmod(dir, 0750) != 0) {
            return false;
        }
    }
    return true;
}

static bool write_all(int fd, struct str text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text = str_slice(text, (size_t)n, text.n);
    }
    return true;
}

static bool stage_file(struct writing *w, const struct import_file *f)
{
    const char *path = within(w, w->staging, f, "");
    gid_t group;
    int fd;
    bool ok;

    if (!make_dirs(w, w->staging, f))
        return false;
    if (f->leads_to.n)
        return symlink(str_c(w->im->a, f->leads_to), path) == 0;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    ok = write_all(fd, f->text);
    if (ok && !f->secret)
        ok = fchmod(fd, 0644) == 0;
    else if (ok && daemon_group(&group) && fchown(fd, (uid_t)-1, group) == 0)
        ok = fchmod(fd, 0640) == 0;
    ok = fsync(fd) == 0 && ok;
    return close(fd) == 0 && ok;
}

/* is_same - what stands there already has these bytes. */
static bool is_same(struct writing *w, const struct import_file *f)
{
    const char *path = within(w, w->im->out_dir, f, "");
    char target[4096];
    struct str text, error;
    struct stat st;
    ssize_t n;

    if (lstat(path, &st) != 0)
        return false;
    if (f->leads_to.n) {
        n = readlink(path, target, sizeof target);
        return n >= 0 && str_is(f->leads_to, (struct str){target, (size_t)n});
    }
    return S_ISREG(st.st_mode) && (size_t)st.st_size == f->text.n &&
           conf_read_file(w->im->a, str_of(path), f->text.n + 1, &text, &error) && str_is(text, f->text) &&
           (!f->secret || !(st.st_mode & S_IRWXO));
}

static struct str replaced(struct arena *a, struct str text, struct str from, struct str to)
{
    struct buf b = buf_in(a);
    size_t i = 0;

    while (i < text.n) {
        if (str_starts(str_slice(text, i, text.n), from)) {
            buf_add(&b, to);
            i += from.n;
        } else {
            buf_addc(&b, text.p[i++]);
        }
    }
    return buf_str(&b);
}

#define CHECKED "check.conf"

/* told - text of the reader, with the places where the files will be. */
static struct str told(struct writing *w, struct str text)
{
    struct arena *a = w->im->a;

    text = replaced(a, text, arena_printf(a, STR_FMT "/" CHECKED, STR_ARG(w->staging)),
                    arena_printf(a, STR_FMT "/sme-milter.conf", STR_ARG(w->im->out_dir)));
    return replaced(a, text, w->staging, w->im->out_dir);
}

/* stage_checked - sme-milter.conf once more, as the daemon's reader is to see it: the directories that it names are
 * those of the new files, which are not in their places yet. */
static bool stage_checked(struct writing *w)
{
    static const char *const dirs[] = {"dkim", "disclaimer"};
    struct arena *a = w->im->a;
    struct import_file f = {.name = STR(CHECKED)};

    for (size_t i = 0; i < w->im->file_count; i++)
        if (str_is(w->im->files[i].name, STR("sme-milter.conf")))
            f.text = w->im->files[i].text;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        struct buf out = buf_in(a), staging = buf_in(a);

        buf_add_escaped(&out, w->im->out_dir, "\"");
        buf_add_escaped(&staging, w->staging, "\"");
        f.text = replaced(a, f.text, arena_printf(a, "= \"%s/%s\"\n", out.data, dirs[i]),
                          arena_printf(a, "= \"%s/%s\"\n", staging.data, dirs[i]));
    }
    return stage_file(w, &f);
}

/* accepted - whether the daemon would take it, with what the administrator has in conf.d. */
static int accepted(struct writing *w)
{
    struct problems problems = {.arena = w->im->a};
    struct str conf = arena_printf(w->im->a, STR_FMT "/" CHECKED, STR_ARG(w->staging));
    struct config *config;
    int status = CTL_FINE;

    if (symlink(arena_printf(w->im->a, STR_FMT "/conf.d", STR_ARG(w->im->out_dir)).p,
                arena_printf(w->im->a, STR_FMT "/conf.d", STR_ARG(w->staging)).p) != 0 || !stage_checked(w))
        return complain(w->im, "cannot write in", str_c(w->im->a, w->staging));
    config = config_load(conf, &problems);
    for (size_t i = 0; i < problems.count; i++) {
        if (!config)
            fprintf(stderr, STR_FMT "\n", STR_ARG(told(w, problem_text(w->im->a, &problems.items[i]))));
        else
            import_notice(&w->im->notes, source_named(STR("sme-milter.conf"), (struct place){told(w, conf), 0}),
                          STR_FMT, STR_ARG(told(w, problems.items[i].text)));
    }
    if (!config) {
        fprintf(stderr, "sme-milterctl import sme: sme-milter would not accept this configuration (an option that the "
                "import writes cannot stand in conf.d too); nothing is changed\n");
        status = EX_CONFIG;
    }
    config_unref(&config);
    return status;
}

/* keep_previous - a second name for what stands there, under which it stays. */
static bool keep_previous(struct writing *w, size_t i)
{
    const struct import_file *f = &w->im->files[i];
    const char *path = within(w, w->im->out_dir, f, "");
    struct stat st;

    if (lstat(path, &st) != 0)
        return errno == ENOENT;
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    for (unsigned n = 1; n <= PREVIOUS_MOST; n++) {
        const char *suffix = n == 1 ? ".previous" : arena_printf(w->im->a, ".previous.%u", n).p;
        const char *previous = within(w, w->im->out_dir, f, suffix);

        if (linkat(AT_FDCWD, path, AT_FDCWD, previous, 0) == 0) {
            w->kept[i] = previous;
            return true;
        }
        if (errno != EEXIST)
            return false;
    }
    return false;
}

/* put_back - after a failure in the middle. */
static void put_back(struct writing *w)
{
    for (size_t i = 0; i < w->im->file_count; i++) {
        const struct import_file *f = &w->im->files[i];
        const char *path = within(w, w->im->out_dir, f, "");

        if (w->kept[i])
            rename(w->kept[i], path);
        else if (w->placed[i])
            unlink(path);
    }
}

static void sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static int place_files(struct writing *w)
{
    for (size_t i = 0; i < w->im->file_count; i++) {
        const struct import_file *f = &w->im->files[i];
        const char *path = within(w, w->im->out_dir, f, "");

        if (!w->changed[i])
            continue;
        if (!make_dirs(w, w->im->out_dir, f) || !keep_previous(w, i) ||
            rename(within(w, w->staging, f, ""), path) != 0) {
            int status = complain(w->im, "cannot write", path);

            put_back(w);
            return status;
        }
        w->placed[i] = true;
    }
    for (size_t i = 0; i < w->im->file_count; i++) {
        const char *path = within(w, w->im->out_dir, &w->im->files[i], "");

        if (w->placed[i])
            sync_dir(str_c(w->im->a, str_slice(str_of(path), 0, str_rfind(str_of(path), '/'))));
    }
    return CTL_FINE;
}

/* remove_staging - the files, then their directories from the longest name on, then itself. */
static void remove_staging(struct writing *w)
{
    unlink(arena_printf(w->im->a, STR_FMT "/conf.d", STR_ARG(w->staging)).p);
    unlink(arena_printf(w->im->a, STR_FMT "/" CHECKED, STR_ARG(w->staging)).p);
    for (size_t i = 0; i < w->im->file_count; i++)
        unlink(within(w, w->staging, &w->im->files[i], ""));
    for (size_t i = 0; i < w->im->file_count; i++) {
        struct str name = w->im->files[i].name;

        for (size_t n = name.n; n-- > 0;)
            if (name.p[n] == '/')
                rmdir(arena_printf(w->im->a, STR_FMT "/" STR_FMT, STR_ARG(w->staging),
                                   STR_ARG(str_slice(name, 0, n))).p);
    }
    rmdir(str_c(w->im->a, w->staging));
}

/* kept_as - the name of what stood there, without its directory. */
static struct str kept_as(struct writing *w, size_t i)
{
    struct str path = str_of(w->kept[i] ? w->kept[i] : "");

    return str_escaped(w->im->a, str_slice(path, str_rfind(path, '/') + 1, path.n));
}

static void tell(struct writing *w)
{
    for (size_t i = 0; i < w->im->file_count && !w->im->ctl->json; i++) {
        const char *path = str_c(w->im->a, str_escaped(w->im->a, str_of(within(w, w->im->out_dir, &w->im->files[i],
                                                                              ""))));

        if (!w->changed[i])
            printf("the same as before: %s\n", path);
        else
            printf("%s: %s%s" STR_FMT "%s\n", w->im->ctl->dry_run ? "would write" : "written", path,
                   w->kept[i] ? " (before: " : "", STR_ARG(kept_as(w, i)), w->kept[i] ? ")" : "");
    }
}

static int write_files(struct import *im)
{
    struct writing w = {.im = im};
    const char *out = str_c(im->a, im->out_dir), *base = im->ctl->dry_run ? getenv("TMPDIR") : out;
    bool made = false;
    char *staging;
    int status = CTL_FINE;

    base = base && *base ? base : "/tmp";
    if (im->out_dir.n > PATH_MOST || strlen(base) > PATH_MOST) {
        errno = ENAMETOOLONG;
        return complain(im, "cannot write in", out);
    }
    if (!im->ctl->dry_run && !(made = mkdir(out, 0755) == 0) && errno != EEXIST)
        return complain(im, "cannot make", out);
    staging = (char *)arena_printf(im->a, "%s/.import-XXXXXX", base).p;
    if (!mkdtemp(staging)) {
        status = complain(im, "cannot write in", base);
        if (made)
            rmdir(out);
        return status;
    }
    w.staging = str_of(staging);
    w.changed = arena_array(im->a, im->file_count + 1, sizeof *w.changed);
    w.kept = arena_array(im->a, im->file_count + 1, sizeof *w.kept);
    w.placed = arena_array(im->a, im->file_count + 1, sizeof *w.placed);
    for (size_t i = 0; i < im->file_count && status == CTL_FINE; i++) {
        if (!stage_file(&w, &im->files[i]))
            status = complain(im, "cannot write", within(&w, w.staging, &im->files[i], ""));
        w.changed[i] = !is_same(&w, &im->files[i]);
    }
    if (status == CTL_FINE)
        status = accepted(&w);
    if (status == CTL_FINE && !im->ctl->dry_run)
        status = place_files(&w);
    remove_staging(&w);
    if (status != CTL_FINE && made)
        rmdir(out);
    if (status == CTL_FINE)
        tell(&w);
    return status;
}

/* import_write - whoever types control-C in this moment gets what he wants behind it: it is short, and in its middle keys
 * lie about. */
int import_write(struct import *im)
{
    sigset_t ends, before;
    int status;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    status = write_files(im);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}
