/* karma.c - what the karma commands share. */
#include <errno.h>
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "../base/clock.h"
#include "../option_list.h"
#include "control_client.h"
#include "db/database.h"
#include "karma.h"

#define YEAR_10000 INT64_C(253402300800)
#define PERIOD_MOST_DAYS 36500

/* ---- the rules ---- */

static const void *field(const struct policy *policy, const void *options, const char *name)
{
    bool is_file;
    const struct option *o = option_find(policy->options, str_of(name), &is_file);

    return o ? (const char *)options + o->offset : NULL;
}

static struct karma_rules rules_of(const struct policy *policy, const void *options)
{
    const long *negative = field(policy, options, "negative");
    const int64_t *penalty = field(policy, options, "penalty"), *most = field(policy, options, "max_penalty");

    return (struct karma_rules){
        .negative = negative ? *negative : 1,
        .penalty_s = penalty ? *penalty / 1000 : 0,
        .max_penalty_s = most ? *most / 1000 : 0,
    };
}

static struct karma_policy policy_of(struct arena *a, const struct config *config)
{
    const struct policy *karma = policy_by_name(STR("karma"));
    struct karma_policy found = {.profile = NULL};
    void *presets;

    for (size_t i = 0; i < config->profile_count; i++) {
        const struct profile *p = &config->profiles[i];

        for (size_t k = 0; k < p->count; k++)
            if (p->instances[k].policy == karma) {
                found.rules = rules_of(karma, p->instances[k].options);
                found.profile = p;
                found.refuses = p->instances[k].common.reject != REJECT_NEVER;
                return found;
            }
    }
    if (karma) {
        presets = arena_zalloc(a, karma->options_size);
        option_presets(a, karma->options, presets);
        found.rules = rules_of(karma, presets);
    }
    return found;
}

/* ---- the file ---- */

/* Which of the kinds of trouble it is: what should be done about it, and the exit status. */
static int trouble(sqlite3 *db, int result, const char **remedy)
{
    int error = db ? sqlite3_system_errno(db) : 0;

    if (((result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN)
        && (error == ENOSPC || error == EDQUOT || error == EROFS)) {
        *remedy = error == EROFS ? "; the file system is read-only" : "; there is no room on the disk";
        return EX_IOERR;
    }
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        *remedy = "; another program keeps it locked: try again";
        return EX_TEMPFAIL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
        *remedy = "; run this as root, or as the daemon's user";
        return EX_NOPERM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        *remedy = "; the daemon sets a damaged file aside when it starts";
        return EX_DATAERR;
    case SQLITE_FULL:
    case SQLITE_IOERR:
        return EX_IOERR;
    default:
        return EX_SOFTWARE;
    }
}

int karma_failed(struct karma_work *k, int result)
{
    const char *remedy = "";
    int status = trouble(k->db, result, &remedy);

    fprintf(stderr, STR_FMT ": %s%s\n", STR_ARG(str_escaped(k->ctl->arena, k->path)),
            k->db ? sqlite3_errmsg(k->db) : sqlite3_errstr(result), remedy);
    return status;
}

/* open_file - the file, if it is there. */
static int open_file(struct karma_work *k, enum karma_open how)
{
    struct str error = STR_NONE;
    int status = EX_SOFTWARE;
    struct stat st;

    if (how != KARMA_CREATE && stat(k->path.p, &st) != 0 && errno == ENOENT)
        return CTL_FINE;
    k->db = database_open_file(k->path.p, &karma_schema, how == KARMA_CREATE, how != KARMA_READ, k->ctl->arena, &error,
                               &status);
    if (k->db)
        return CTL_FINE;
    fprintf(stderr, STR_FMT "%s\n", STR_ARG(str_escaped(k->ctl->arena, error)),
            status == EX_NOPERM ? "; run this as root, or as the daemon's user" : "");
    return status;
}

/* ask_daemon - what it learned last is in its memory for some milliseconds; on a disk that is full, for longer. */
static void ask_daemon(struct karma_work *k)
{
    struct str answer;
    int status = control_tell(k->ctl, k->config, "karma", &answer);

    k->daemon = status == CTL_FINE && answer.n > 0;
    if (status != CTL_FINE) {
        k->behind = status;
        fprintf(stderr, "what it learned last may not be in the file yet\n");
    } else if (answer.n && !str_is(answer, STR("ok"))) {
        k->behind = EX_TEMPFAIL;
        fprintf(stderr, "the running daemon says: " STR_FMT "\n", STR_ARG(str_escaped(k->ctl->arena, answer)));
    }
}

int karma_begin(struct karma_work *k, struct ctl *ctl, const struct ctl_command *command, enum karma_open how)
{
    int status;

    *k = (struct karma_work){.ctl = ctl, .command = command, .now = (double)clock_wall_ms() / 1000};
    k->config = ctl_config(ctl);
    if (!k->config)
        return EX_CONFIG;
    k->policy = policy_of(ctl->arena, k->config);
    k->path = arena_printf(ctl->arena, STR_FMT "/karma.sqlite", STR_ARG(k->config->global.state_dir));
    ask_daemon(k);
    status = open_file(k, how);
    return status == CTL_FINE ? CTL_FINE : karma_end(k, status);
}

int karma_end(struct karma_work *k, int status)
{
    sqlite3_close(k->db);
    k->db = NULL;
    config_unref(&k->config);
    return status;
}

int karma_end_read(struct karma_work *k, int status)
{
    return karma_end(k, status == CTL_FINE || status == CTL_FINDINGS ? (k->behind ? k->behind : status) : status);
}

int karma_tell(struct karma_work *k)
{
    struct str answer;
    int status = control_tell(k->ctl, k->config, "karma", &answer);

    if (status != CTL_FINE) {
        fprintf(stderr, "what was changed is in the file; a daemon that runs sees it when it looks there next\n");
        return status;
    }
    if (answer.n && !str_is(answer, STR("ok")))
        fprintf(stderr, "the running daemon says: " STR_FMT "\n", STR_ARG(str_escaped(k->ctl->arena, answer)));
    return CTL_FINE;
}

/* ---- words ---- */

bool karma_argument(struct ctl *ctl, const struct ctl_command *command, const char *word, struct karma_net *net)
{
    struct str text = str_of(word);
    struct ip ip;

    if (karma_net_parse(text, net))
        return true;
    if (str_ends_nocase(text, STR("/128")) && ip_parse(str_slice(text, 0, text.n - 4), &ip))
        ctl_usage(command, "\"" STR_FMT "\": only the /64 of an IPv6 address is remembered, not the address alone",
                  STR_ARG(str_escaped(ctl->arena, text)));
    else
        ctl_usage(command, "\"" STR_FMT "\" is not an address, nor the /64 of one",
                  STR_ARG(str_escaped(ctl->arena, text)));
    return false;
}

bool karma_period(struct ctl *ctl, const struct ctl_command *command, const char *word, int64_t *seconds)
{
    static const struct option row = {.name = "duration", .type = OPTION_DURATION, .min = 0, .max = 1e18};
    struct str text = str_trim(str_of(word)), error = STR_NONE;
    const char *wrong = NULL;
    int64_t ms = 0;

    if (!option_value(ctl->arena, &row, text, &ms, &error))
        wrong = "is not a duration, like 90m, 12h or 3d";
    else if (text.p[text.n - 1] >= '0' && text.p[text.n - 1] <= '9')
        wrong = arena_printf(ctl->arena, "needs a unit: s, m, h or d; " STR_FMT "d would be days", STR_ARG(text)).p;
    else if (ms < 1000 || ms > PERIOD_MOST_DAYS * INT64_C(86400000))
        wrong = "is not from 1s to 36500d, a hundred years";
    if (wrong)
        ctl_usage(command, "\"" STR_FMT "\" %s", STR_ARG(str_escaped(ctl->arena, str_of(word))), wrong);
    *seconds = ms / 1000;
    return !wrong;
}

struct str karma_time(struct arena *a, int64_t seconds)
{
    struct str text;

    if (seconds <= 0)
        return STR("-");
    if (seconds >= YEAR_10000)
        return STR("beyond the year 9999");
    text = clock_rfc3339(a, seconds * 1000);
    return arena_printf(a, "%.10s %.8s", text.p, text.p + 11);
}

json_t *karma_json_str(struct str s)
{
    return json_stringn(s.p ? s.p : "", s.n);
}

json_t *karma_time_json(struct arena *a, int64_t seconds)
{
    return seconds <= 0 || seconds >= YEAR_10000 ? json_null() : karma_json_str(clock_rfc3339(a, seconds * 1000));
}

struct str karma_duration(struct arena *a, int64_t seconds)
{
    static const struct {
        const char *name;
        int64_t s;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    struct buf b = buf_in(a);
    int told = 0;

    for (size_t i = 0; i < sizeof units / sizeof units[0] && told < 2; i++) {
        if (seconds >= units[i].s || told) {
            if (seconds / units[i].s)
                buf_addf(&b, "%s%lld%s", told ? " " : "", (long long)(seconds / units[i].s), units[i].name);
            seconds %= units[i].s;
            told++;
        }
    }
    return told ? buf_str(&b) : STR("0s");
}

json_t *karma_json(const struct karma_work *k, struct arena *a, const struct karma_net *net,
                   const struct karma_record *r)
{
    int64_t until;
    bool boxed = karma_boxed(r, (int64_t)k->now, k->policy.rules.max_penalty_s, &until);

    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "network",
                     karma_json_str(karma_net_text(a, net)), "nice", (json_int_t)r->nice, "naughty",
                     (json_int_t)r->naughty, "history", (json_int_t)karma_history(r), "connects",
                     (json_int_t)r->connects, "boxed_until", boxed ? karma_time_json(a, until) : json_null(),
                     "released_at", karma_time_json(a, (int64_t)r->cleared_at), "first_seen",
                     karma_time_json(a, r->connects ? r->first_seen : 0), "last_seen",
                     karma_time_json(a, r->connects ? r->last_seen : 0), "last_reason",
                     karma_json_str(str_escaped(a, str_of(r->last_reason))));
}
