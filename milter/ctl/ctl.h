/* ctl.h - sme-milterctl: one file per command, one table (ctl.c) that names them. */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stdio.h>

#include "../base/arena.h"
#include "../base/str.h"

/* Exit codes: 0 fine, 1 findings, then those of sysexits.h. */
enum { CTL_FINE = 0, CTL_FINDINGS = 1 };

struct config;

struct ctl {
    struct arena *arena;
    struct str config_path; /* -c FILE; empty: the default */
    bool json;              /* --json */
    bool dry_run;           /* -n, --dry-run */
    int argc;               /* of the command: argv[0] is its last word, options follow */
    char **argv;
};

struct ctl_command {
    const char *words;   /* "postfix snippet" */
    const char *usage;   /* "[--apply] ..." */
    const char *summary; /* one line */
    const char *help;    /* the rest of --help, may be NULL */
    int (*run)(struct ctl *);
    bool own_config;     /* --config behind it is its own option, not the one of all */
};

extern const struct ctl_command ctl_config_check, ctl_config_show, ctl_config_defaults, ctl_policies, ctl_test,
    ctl_dnsbl_audit, ctl_postfix_snippet, ctl_postfix_doctor, ctl_karma_list, ctl_karma_show, ctl_karma_capture,
    ctl_karma_release, ctl_karma_prune, ctl_karma_export, ctl_karma_import, ctl_stats,
    ctl_import_sme, ctl_dkim_new, ctl_dkim_show, ctl_dkim_check, ctl_dmarc_report, ctl_complete, ctl_completion, ctl_top,
    ctl_summary, ctl_shadow, ctl_shadow_promote, ctl_whatif, ctl_why;

/* ctl_commands - all there are. */
const struct ctl_command *const *ctl_commands(size_t *count);

/* ctl_usage - complain on standard error in one line, point to --help, return EX_USAGE. */
int ctl_usage(const struct ctl_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ctl_config - load the configuration named by -c; on errors print them all on standard error and return NULL (the
 * command then returns EX_CONFIG). Warnings are printed too. */
struct config *ctl_config(struct ctl *ctl);

/* ctl_option - the value of "--name VALUE" or "--name=VALUE" at argv[*i], advancing *i; NULL when argv[*i] is another
 * word. A missing value is said and ends the program with EX_USAGE. */
const char *ctl_option(struct ctl *ctl, const struct ctl_command *command, int *i, const char *name);

/* ctl_dns_begin - from now on questions to the DNS are answered: by the servers of the configuration, or from a zone file
 * (NULL: none). What is wrong is said on standard error, and the exit status returned. ctl_dns_end - no more. */
int ctl_dns_begin(struct ctl *ctl, const struct config *config, const char *zone_file);
void ctl_dns_end(void);

#endif
