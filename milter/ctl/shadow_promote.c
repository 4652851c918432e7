/* shadow_promote.c - sme-milterctl shadow promote: let a policy reject, by one word in the configuration file.
 *
 * The file's text is changed where reject = never stands, or gets a section at its end where it stands nowhere. Whatever
 * the change looks like, it counts only if the configuration that is then loaded differs from the present one in what
 * was asked for and in nothing else. Comments and form stay; the old file stays as FILE.previous.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "../config.h"
#include "../config_tree.h"
#include "../describe.h"
#include "../profile.h"
#include "ctl.h"

#define FILE_MOST (64 * 1024 * 1024)
#define CHANGES_MOST 64

struct promoting {
    struct ctl *ctl;
    const struct policy *policy;
    enum reject to;
    const char *path, *made; /* the file, and what is to take its place */
    struct str text;         /* as far as it is changed */
    json_t *lines;           /* with --json: what is shown */
};

static int complain(const struct promoting *p, const char *what, const char *name, int error)
{
    (void)p;
    fprintf(stderr, "sme-milterctl shadow promote: cannot %s %s: %s\n", what, name, strerrordesc_np(error));
    return error == EACCES || error == EPERM ? EX_NOPERM : EX_CANTCREAT;
}

/* ---- what a configuration says about reject ---- */

static const struct instance *instance_of(const struct profile *profile, const struct policy *policy)
{
    for (size_t i = 0; i < profile->count; i++)
        if (profile->instances[i].policy == policy)
            return &profile->instances[i];
    return NULL;
}

/* next_never - the first profile in which the policy is on reject = never; NULL: none. */
static const struct profile *next_never(const struct config *config, const struct policy *policy)
{
    for (size_t k = 0; k < config->profile_count; k++) {
        const struct instance *in = instance_of(&config->profiles[k], policy);

        if (in && in->common.reject == REJECT_NEVER)
            return &config->profiles[k];
    }
    return NULL;
}

/* only_that - whether `after` differs from `before` only in that the policy, where it was on never, rejects as wished
 * in one more profile at least. */
static bool only_that(const struct promoting *p, const struct config *before, const struct config *after)
{
    bool changed = false;

    if (before->profile_count != after->profile_count)
        return false;
    for (size_t k = 0; k < before->profile_count; k++) {
        const struct profile *b = &before->profiles[k], *a = &after->profiles[k];

        if (!str_is(a->name, b->name) || a->count != b->count)
            return false;
        for (size_t i = 0; i < b->count; i++) {
            const struct common *was = &b->instances[i].common, *is = &a->instances[i].common;
            bool ours = b->instances[i].policy == p->policy && was->reject == REJECT_NEVER && is->reject == (int)p->to;

            if (a->instances[i].policy != b->instances[i].policy || (!ours && is->reject != was->reject)
                || is->enabled != was->enabled || is->reply != was->reply || is->karma != was->karma
                || is->skip != was->skip)
                return false;
            changed |= ours;
        }
    }
    return changed;
}

/* ---- the file ---- */

static int write_made(const struct promoting *p, struct str text)
{
    int fd = open(p->made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), error = 0;
    struct stat st;

    if (fd < 0)
        return complain(p, "make", p->made, errno);
    if (stat(p->path, &st) == 0 && (fchown(fd, st.st_uid, st.st_gid) != 0 || fchmod(fd, st.st_mode & 07777) != 0))
        error = errno;
    while (!error && text.n) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno != EINTR)
            error = errno;
        text = str_slice(text, n > 0 ? (size_t)n : 0, text.n);
    }
    if (fsync(fd) != 0 && !error)
        error = errno;
    if (close(fd) != 0 && !error)
        error = errno;
    return error ? complain(p, "write", p->made, error) : CTL_FINE;
}

/* try - whether this text is the change: it is left in `made`. */
static bool try_text(struct promoting *p, const struct config *before, struct str text)
{
    struct problems problems = {.arena = p->ctl->arena};
    struct config *after;
    bool good;

    if (write_made(p, text) != CTL_FINE)
        return false;
    after = config_load(str_of(p->made), &problems);
    good = after && only_that(p, before, after);
    if (after)
        config_unref(&after);
    if (good)
        p->text = text;
    return good;
}

/* ---- the change ---- */

static size_t line_begin(struct str text, unsigned line)
{
    size_t at = 0;

    for (unsigned i = 1; i < line && at < text.n; i++)
        at += str_find(str_slice(text, at, text.n), '\n') + 1;
    return at < text.n ? at : text.n;
}

static void show(const struct promoting *p, unsigned line, char sign, struct str text)
{
    text = str_escaped(p->ctl->arena, str_slice(text, 0, str_find(text, '\n')));
    if (p->lines)
        json_array_append_new(p->lines, json_pack("{s:s, s:s, s:i, s:s%}", "kind", sign == '-' ? "removed" : "added",
                                                  "file", p->path, "line", (int)line, "text", text.p, text.n));
    else
        printf("%s:%u: %c " STR_FMT "\n", p->path, line, sign, STR_ARG(text));
}

/* replace - every "never" of that line in turn, until one is the change. */
static bool replace(struct promoting *p, const struct config *before, unsigned line)
{
    size_t from = line_begin(p->text, line), to = from + str_find(str_slice(p->text, from, p->text.n), '\n');
    struct str old = str_slice(p->text, from, to), was = p->text;

    for (size_t at = from; at + 5 <= to; at++) {
        struct buf b = buf_in(p->ctl->arena);

        if (!str_starts(str_slice(was, at, to), STR("never")))
            continue;
        buf_add(&b, str_slice(was, 0, at));
        buf_add(&b, str_of(reject_words[p->to]));
        buf_add(&b, str_slice(was, at + 5, was.n));
        if (!try_text(p, before, buf_str(&b)))
            continue;
        show(p, line, '-', old);
        show(p, line, '+', str_slice(p->text, from, p->text.n));
        return true;
    }
    return false;
}

/* append - a section at the end, or in a file that has none. */
static bool append(struct promoting *p, const struct config *before)
{
    struct buf b = buf_in(p->ctl->arena);
    struct str section = arena_printf(p->ctl->arena, "%s { reject = %s }", p->policy->name, reject_words[p->to]);
    unsigned line = 1;

    buf_add(&b, p->text);
    if (b.len && b.data[b.len - 1] != '\n')
        buf_addc(&b, '\n');
    for (size_t i = 0; i < b.len; i++)
        line += b.data[i] == '\n';
    buf_add(&b, section);
    buf_addc(&b, '\n');
    if (!try_text(p, before, buf_str(&b)))
        return false;
    show(p, line, '+', section);
    return true;
}

/* change - one step nearer to no profile with reject = never. */
static int change(struct promoting *p, const struct config *config, const struct profile *profile)
{
    struct arena *a = p->ctl->arena;
    const struct option *row = describe_common(a, p->policy);
    struct place at;

    while (row->name && !str_is(str_of(row->name), STR("reject")))
        row++;
    at = config_origin(config, profile, p->policy->name, row);
    if (at.line && (str_is(at.file, str_of(p->made)) || str_is(at.file, str_of(p->path)))) {
        if (replace(p, config, at.line))
            return CTL_FINE;
    } else if (at.line == 0 || str_is(at.file, STR("built-in"))) {
        if (append(p, config))
            return CTL_FINE;
    }
    fprintf(stderr, "sme-milterctl shadow promote: it is not clear how to change this; in profile \"" STR_FMT "\", %s is on"
                    " reject = never because of " STR_FMT "%s%.0u: write reject = %s there\n",
            STR_ARG(str_escaped(a, profile->name)), p->policy->name,
            STR_ARG(at.line ? str_escaped(a, at.file) : STR("its defaults")), at.line ? ":" : "", at.line,
            reject_words[p->to]);
    return CTL_FINDINGS;
}

/* put - the new file takes the place of the old one, which stays as FILE.previous. */
static int put(const struct promoting *p)
{
    const char *previous = arena_printf(p->ctl->arena, "%s.previous", p->path).p;

    if (unlink(previous) != 0 && errno != ENOENT)
        return complain(p, "remove", previous, errno);
    if (link(p->path, previous) != 0 && errno != ENOENT)
        return complain(p, "make", previous, errno);
    if (rename(p->made, p->path) != 0)
        return complain(p, "replace", p->path, errno);
    if (!p->lines)
        printf("written; the file of before is %s. Reload the daemon: systemctl reload sme-milter\n", previous);
    return CTL_FINE;
}

static void print_json(struct promoting *p, int status)
{
    bool written = status == CTL_FINE && !p->ctl->dry_run && json_array_size(p->lines) > 0;
    json_t *o = json_pack("{s:s, s:s, s:b, s:o}", "policy", p->policy->name, "reject", reject_words[p->to], "written",
                          written, "changes", p->lines);

    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(o);
}

static int promote(struct promoting *p, struct config *config)
{
    const struct profile *profile = next_never(config, p->policy);
    int status = CTL_FINE;

    if (!profile) {
        if (!p->lines)
            printf("%s is on reject = never in no profile: nothing to do\n", p->policy->name);
        config_unref(&config);
        return CTL_FINE;
    }
    for (unsigned i = 0; profile && status == CTL_FINE && i < CHANGES_MOST; i++) {
        struct problems problems = {.arena = p->ctl->arena};

        status = change(p, config, profile);
        if (status != CTL_FINE)
            break;
        config_unref(&config);
        config = config_load(str_of(p->made), &problems);
        profile = config ? next_never(config, p->policy) : NULL;
    }
    if (config)
        config_unref(&config);
    if (status == CTL_FINE && !p->ctl->dry_run)
        status = put(p);
    unlink(p->made);
    return status;
}

static int read_it(struct promoting *p, const struct config *config)
{
    struct arena *a = p->ctl->arena;
    struct str path = config->path.n ? config->path : STR(CONFIG_DEFAULT_PATH), error;
    char *real = realpath(str_c(a, path), NULL);

    p->path = str_dup(a, real ? str_of(real) : path).p;
    p->made = arena_printf(a, "%s.promote", p->path).p;
    free(real);
    if (access(p->path, F_OK) != 0 && errno == ENOENT)
        return CTL_FINE; /* it is made */
    if (conf_read_file(a, str_of(p->path), FILE_MOST, &p->text, &error))
        return CTL_FINE;
    fprintf(stderr, "sme-milterctl shadow promote: %s " STR_FMT "\n", p->path, STR_ARG(error));
    return EX_NOINPUT;
}

static const struct policy *policy_named(struct ctl *ctl, struct str name)
{
    const char *names[64], *near;
    const struct policy *policy = policy_by_name(name);

    if (policy)
        return policy;
    for (size_t i = 0; i < policy_table_count; i++)
        names[i] = policy_table[i]->name;
    near = nearest(name, names, policy_table_count);
    ctl_usage(&ctl_shadow_promote, "there is no policy \"" STR_FMT "\"%s%s%s", STR_ARG(str_escaped(ctl->arena, name)),
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return NULL;
}

static int run(struct ctl *ctl)
{
    struct promoting p = {.ctl = ctl, .to = REJECT_LATER};
    const char *value, *name = NULL, *to = NULL;
    struct config *config;
    int status;

    for (int i = 1; i < ctl->argc; i++)
        if ((value = ctl_option(ctl, &ctl_shadow_promote, &i, "--reject")))
            to = value;
        else if (name || ctl->argv[i][0] == '-')
            return ctl_usage(&ctl_shadow_promote, "does not take \"" STR_FMT "\"",
                             STR_ARG(str_escaped(ctl->arena, str_of(ctl->argv[i]))));
        else
            name = ctl->argv[i];
    if (!name)
        return ctl_usage(&ctl_shadow_promote, "needs the name of a policy");
    p.policy = policy_named(ctl, str_of(name));
    if (!p.policy)
        return EX_USAGE;
    if (to && !str_is(str_of(to), STR("now")) && !str_is(str_of(to), STR("later")))
        return ctl_usage(&ctl_shadow_promote, "--reject takes now or later");
    if (!to)
        to = p.policy->presets.reject ? p.policy->presets.reject : "now";
    if (str_is(str_of(to), STR("now")))
        p.to = REJECT_NOW;
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    if (ctl->json)
        p.lines = json_array();
    status = read_it(&p, config);
    if (status == CTL_FINE)
        status = promote(&p, config);
    else
        config_unref(&config);
    if (p.lines)
        print_json(&p, status);
    return status;
}

const struct ctl_command ctl_shadow_promote = {
    .words = "shadow promote",
    .usage = "[--reject now|later] POLICY",
    .summary = "Let a policy on reject = never reject: change the configuration file, after showing how",
    .help = "  --reject now|later   how; the policy's own default if not told, later where that is never\n\n"
            "The file of before stays as FILE.previous. With -n the change is only shown. The daemon takes it at its next\n"
            "reload.\n",
    .run = run,
};
