/* karma.h - what the karma commands share: the file, the rules that hold, words for what is remembered. */
#ifndef CTL_KARMA_H
#define CTL_KARMA_H

#include <jansson.h>
#include <sqlite3.h>

#include "../config.h"
#include "ctl.h"
#include "db/karma_store.h"

/* The rules of the first profile that uses the policy karma; its defaults when none does. */
struct karma_policy {
    struct karma_rules rules;
    const struct profile *profile; /* NULL: none uses it */
    bool refuses;                  /* not reject = never */
};

struct karma_work {
    struct ctl *ctl;
    const struct ctl_command *command;
    struct config *config;
    struct karma_policy policy;
    struct str path;
    sqlite3 *db;  /* NULL: there is no file */
    double now;   /* seconds since 1970 */
    bool daemon;  /* one answers */
    int behind;   /* not CTL_FINE: the exit status, for what the daemon learned last may not be in the file */
};

enum karma_open { KARMA_READ, KARMA_WRITE, KARMA_CREATE };

/* karma_begin - load the configuration, let a running daemon write down what it learned, and open the file. Returns
 * CTL_FINE, also when there is no file (unless it is to be made); else what is wrong has been said, and is the exit
 * status. karma_end - close both; returns the status. karma_end_read - the same, for a command that tells what is in the
 * file: not all is well when the daemon knows more. */
int karma_begin(struct karma_work *k, struct ctl *ctl, const struct ctl_command *command, enum karma_open how);
int karma_end(struct karma_work *k, int status);
int karma_end_read(struct karma_work *k, int status);

/* karma_failed - say what SQLite complains of; the exit status. */
int karma_failed(struct karma_work *k, int result);

/* karma_tell - let the running daemon know that the file has changed; the exit status. */
int karma_tell(struct karma_work *k);

/* karma_argument - the network of a command's one address; says so when there is none. */
bool karma_argument(struct ctl *ctl, const struct ctl_command *command, const char *word, struct karma_net *net);

/* karma_period - a duration as options have it, in seconds; with its unit, for "1" may be meant as a day. */
bool karma_period(struct ctl *ctl, const struct ctl_command *command, const char *word, int64_t *seconds);

struct str karma_time(struct arena *a, int64_t seconds);     /* "2026-01-05 10:00:00" (UTC); "-" for 0 */
struct str karma_duration(struct arena *a, int64_t seconds); /* "1d", "13h 20m" */
json_t *karma_time_json(struct arena *a, int64_t seconds);   /* "2026-01-05T10:00:00Z"; null for 0 */
json_t *karma_json_str(struct str s);

/* karma_json - a record as `list` and `show` print it. */
json_t *karma_json(const struct karma_work *k, struct arena *a, const struct karma_net *net,
                   const struct karma_record *r);

#endif
