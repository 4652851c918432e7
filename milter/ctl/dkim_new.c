/* dkim_new.c - `dkim new`: keys for a domain, and what to publish of them. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../config.h"
#include "../mail/domain.h"
#include "dkim.h"

#define RSA_BITS 2048

/* default_selector - the month: "202601". */
static struct str default_selector(struct arena *a)
{
    struct str now = clock_rfc3339(a, clock_wall_ms());

    return arena_printf(a, "%.4s%.2s", now.p, now.p + 5);
}

static bool daemon_group(gid_t *group)
{
    const struct group *found = getgrnam(DKIM_DAEMON_GROUP);

    if (found)
        *group = found->gr_gid;
    return found;
}

static int complain(struct ctl *ctl, struct str path)
{
    int error = errno;

    fprintf(stderr, "%s: %s\n", str_c(ctl->arena, str_escaped(ctl->arena, path)), strerror(error));
    return error == EEXIST ? EX_CANTCREAT : error == EACCES || error == EPERM || error == EROFS ? EX_NOPERM : EX_IOERR;
}

/* make_dir - for its owner and the daemon; one that is there is left as it is. */
static int make_dir(struct ctl *ctl, struct str path)
{
    const char *name = str_c(ctl->arena, path);
    gid_t group;

    if (mkdir(name, 0700) != 0)
        return errno == EEXIST ? CTL_FINE : complain(ctl, path);
    if (daemon_group(&group) && chown(name, (uid_t)-1, group) == 0 && chmod(name, 0750) != 0)
        return complain(ctl, path);
    return CTL_FINE;
}

/* write_key - never over a file that is there; the daemon's group may read it, nobody else. */
static int write_key(struct ctl *ctl, struct str path, EVP_PKEY *key)
{
    int fd = open(str_c(ctl->arena, path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600),
        status = CTL_FINE;
    gid_t group;
    bool ok;
    FILE *f;

    if (fd < 0)
        return complain(ctl, path);
    ok = !daemon_group(&group) || fchown(fd, (uid_t)-1, group) != 0 || fchmod(fd, 0640) == 0;
    f = fdopen(fd, "w");
    ok = ok && f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fflush(f) == 0 && fsync(fd) == 0;
    if (!ok)
        status = complain(ctl, path);
    if ((f ? fclose(f) : close(fd)) != 0 && ok)
        status = complain(ctl, path);
    if (status != CTL_FINE)
        unlink(str_c(ctl->arena, path));
    return status;
}

/* make_keys - both or none: a file that is there is found before anything is made. */
static int make_keys(struct ctl *ctl, struct str dir, const struct str *selectors)
{
    struct str paths[DKIM_ALGORITHMS];
    int status = CTL_FINE;
    struct stat st;

    for (int i = 0; i < DKIM_ALGORITHMS; i++) {
        paths[i] = arena_printf(ctl->arena, STR_FMT "/" STR_FMT ".private", STR_ARG(dir), STR_ARG(selectors[i]));
        if (lstat(paths[i].p, &st) == 0) {
            errno = EEXIST;
            return complain(ctl, paths[i]);
        }
        if (ctl->dry_run)
            printf("would make %s (%s)\n", str_c(ctl->arena, str_escaped(ctl->arena, paths[i])),
                   dkim_algorithm_words[i]);
    }
    for (int i = 0; i < DKIM_ALGORITHMS && status == CTL_FINE && !ctl->dry_run; i++) {
        EVP_PKEY *key = i == DKIM_RSA ? EVP_RSA_gen(RSA_BITS) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

        if (!key) {
            fprintf(stderr, "OpenSSL makes no key\n");
            status = EX_SOFTWARE;
        } else {
            status = write_key(ctl, paths[i], key);
        }
        EVP_PKEY_free(key);
        if (status != CTL_FINE && i > 0)
            unlink(paths[0].p);
    }
    return status;
}

static int make(struct ctl *ctl, const struct config *config, struct str domain, struct str selector)
{
    struct str dir = arena_printf(ctl->arena, STR_FMT "/" STR_FMT, STR_ARG(config->global.key_dir), STR_ARG(domain));
    struct str selectors[DKIM_ALGORITHMS] = {[DKIM_RSA] = selector,
                                             [DKIM_ED25519] = arena_printf(ctl->arena, STR_FMT "-ed",
                                                                           STR_ARG(selector))};
    const struct dkim_domain *d;
    int status = CTL_FINE;

    if (!ctl->dry_run) {
        status = make_dir(ctl, config->global.key_dir);
        if (status == CTL_FINE)
            status = make_dir(ctl, dir);
    }
    if (status == CTL_FINE)
        status = make_keys(ctl, dir, selectors);
    if (status != CTL_FINE || ctl->dry_run)
        return status;
    d = dkim_ctl_keys(ctl, config->global.key_dir, domain);
    if (!d)
        return EX_SOFTWARE;
    dkim_ctl_print(ctl, d, arena_printf(ctl->arena, STR_FMT "," STR_FMT, STR_ARG(selectors[0]), STR_ARG(selectors[1])));
    if (!ctl->json)
        printf("; publish these, wait until `sme-milterctl dkim check %s` finds them, then reload sme-milter\n",
               str_c(ctl->arena, domain));
    return CTL_FINE;
}

static int run(struct ctl *ctl)
{
    const char *words[2];
    struct config *config;
    struct str domain, selector;
    int status;

    if (!dkim_ctl_arguments(ctl, &ctl_dkim_new, &domain, words, 2, NULL, &status))
        return status;
    selector = words[1] ? str_lower(ctl->arena, str_of(words[1])) : default_selector(ctl->arena);
    if (!domain_is_hostname(selector, false) || selector.p[selector.n - 1] == '.' || selector.n > 60) {
        fprintf(stderr, "sme-milterctl dkim new: \"%s\" is no selector\n",
                str_c(ctl->arena, str_escaped(ctl->arena, selector)));
        return EX_DATAERR;
    }
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    status = make(ctl, config, domain, selector);
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_dkim_new = {
    .words = "dkim new",
    .usage = "DOMAIN [SELECTOR]",
    .summary = "Make DKIM keys for a domain, and print the DNS records to publish",
    .help = "  DOMAIN    whose mail is to be signed\n"
            "  SELECTOR  a name for the keys (the month, as 202601): key_dir/DOMAIN/SELECTOR.private is an RSA key of\n"
            "            2048 bits, SELECTOR-ed.private an Ed25519 key. Files that are there are never touched\n"
            "  -n        say what would be made\n"
            "The daemon signs with the last selector in the order of names for each algorithm; it reads keys when it\n"
            "starts and when it is reloaded.\n"
            "exit: 0 made, 73 a key of that name is there\n",
    .run = run,
};
