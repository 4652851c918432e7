/* karma_change.c - `karma capture`, `karma release`, `karma prune`. */
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>
#include <sysexits.h>

#include "karma.h"

#define PRUNE_DEFAULT_S (90 * INT64_C(86400))

/* known - what is remembered of the client: an SQLite result code, SQLITE_DONE for nothing. */
static int known(struct karma_work *k, const struct karma_net *net, struct karma_record *r)
{
    *r = (struct karma_record){0};
    return k->db ? karma_file_get(k->db, net, r) : SQLITE_DONE;
}

static void print_json(json_t *one)
{
    json_dumpf(one, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(one);
}

/* told - the change is in the file; now the daemon, whose trouble is an exit status but takes nothing back. */
static int told(struct karma_work *k, json_t *one)
{
    struct ctl *ctl = k->ctl;

    if (one) {
        json_object_set_new(one, "dry_run", json_boolean(ctl->dry_run));
        print_json(one);
    }
    fflush(stdout);
    return karma_end(k, ctl->dry_run ? CTL_FINE : karma_tell(k));
}

/* ---- capture ---- */

static void say_captured(struct karma_work *k, const struct karma_net *net, int64_t seconds)
{
    struct arena *a = k->ctl->arena;

    printf("%s %s the penalty box until %s UTC, for %s\n", karma_net_text(a, net).p,
           k->ctl->dry_run ? "would be put into" : "is in", karma_time(a, (int64_t)k->now + seconds).p,
           karma_duration(a, seconds).p);
    if (!k->policy.profile)
        printf("but no profile uses the policy karma, so it is not refused\n");
    else if (!k->policy.refuses)
        printf("but karma has reject = never in profile \"" STR_FMT "\", so it is not refused there\n",
               STR_ARG(str_escaped(a, k->policy.profile->name)));
}

static int capture_run(struct ctl *ctl)
{
    int64_t seconds = 0;
    struct karma_work k;
    struct karma_net net;
    int status, result;

    if (ctl->argc != 2 && ctl->argc != 3)
        return ctl_usage(&ctl_karma_capture, "needs an address, and perhaps a duration");
    if (!karma_argument(ctl, &ctl_karma_capture, ctl->argv[1], &net))
        return EX_USAGE;
    if (ctl->argc == 3 && !karma_period(ctl, &ctl_karma_capture, ctl->argv[2], &seconds))
        return EX_USAGE;
    status = karma_begin(&k, ctl, &ctl_karma_capture, ctl->dry_run ? KARMA_READ : KARMA_CREATE);
    if (status != CTL_FINE)
        return status;
    if (seconds == 0)
        seconds = k.policy.rules.penalty_s;
    if (!ctl->dry_run) {
        result = karma_file_capture(k.db, &net, k.now, seconds);
        if (result != SQLITE_OK)
            return karma_end(&k, karma_failed(&k, result));
    }
    if (!ctl->json)
        say_captured(&k, &net, seconds);
    return told(&k, ctl->json ? json_pack("{s:s, s:o, s:b}", "network", karma_net_text(ctl->arena, &net).p,
                                          "boxed_until", karma_time_json(ctl->arena, (int64_t)k.now + seconds),
                                          "refused", k.policy.profile && k.policy.refuses) : NULL);
}

const struct ctl_command ctl_karma_capture = {
    .words = "karma capture",
    .usage = "IP [DURATION]",
    .summary = "Put a client into the penalty box",
    .help = "  IP         an IPv4 address, an IPv6 address, or the /64 of one\n"
            "  DURATION   like 90m, 12h or 3d; if not given, the policy's penalty\n"
            "  -n         only say what would be done\n"
            "\n"
            "A running daemon knows it at once.\n"
            "exit: 0 done, 75 done, but the running daemon does not answer\n",
    .run = capture_run,
};

/* ---- release ---- */

/* say_noted - of somebody whom the file does not know. What the daemon has in its memory the release wins over. */
static void say_noted(struct karma_work *k, const struct karma_net *net)
{
    printf("%s has never been seen%s; ", karma_net_text(k->ctl->arena, net).p,
           k->db ? "" : ": nothing has been learned yet");
    if (k->behind)
        printf("should the daemon know more of it, that %s forgotten\n",
               k->ctl->dry_run ? "would be" : k->db ? "is" : "is not");
    else
        printf("there is nothing to forget\n");
}

static void say_released(struct karma_work *k, const struct karma_net *net, const struct karma_record *r, bool boxed)
{
    bool one = r->naughty == 1;
    const char *box = boxed ? "is released from the penalty box" : "is not in the penalty box";
    const char *verb = one ? "is" : "are";

    if (k->ctl->dry_run) {
        box = boxed ? "would be released from the penalty box" : box;
        verb = "would be";
    }
    printf("%s %s; its %lld naughty connection%s %s forgotten\n", karma_net_text(k->ctl->arena, net).p, box,
           (long long)r->naughty, one ? "" : "s", verb);
}

static int release_run(struct ctl *ctl)
{
    struct karma_record record;
    struct karma_work k;
    struct karma_net net;
    int64_t until;
    bool boxed, seen;
    int status, behind, result;

    if (ctl->argc != 2)
        return ctl_usage(&ctl_karma_release, "needs one address");
    if (!karma_argument(ctl, &ctl_karma_release, ctl->argv[1], &net))
        return EX_USAGE;
    status = karma_begin(&k, ctl, &ctl_karma_release, ctl->dry_run ? KARMA_READ : KARMA_WRITE);
    if (status != CTL_FINE)
        return status;
    result = known(&k, &net, &record);
    seen = result == SQLITE_OK;
    if (k.db && !ctl->dry_run && (seen || result == SQLITE_DONE))
        result = karma_file_release(k.db, &net, k.now);
    if (result != SQLITE_OK && result != SQLITE_DONE)
        return karma_end(&k, karma_failed(&k, result));
    boxed = karma_boxed(&record, (int64_t)k.now, k.policy.rules.max_penalty_s, &until);
    if (!ctl->json && seen)
        say_released(&k, &net, &record, boxed);
    else if (!ctl->json)
        say_noted(&k, &net);
    behind = seen ? CTL_FINE : k.behind;
    status = told(&k, ctl->json ? json_pack("{s:s, s:b, s:b, s:I}", "network", karma_net_text(ctl->arena, &net).p,
                                            "was_seen", seen, "was_boxed", boxed, "was_naughty",
                                            (json_int_t)record.naughty) : NULL);
    return status == CTL_FINE ? behind : status;
}

const struct ctl_command ctl_karma_release = {
    .words = "karma release",
    .usage = "IP",
    .summary = "Let a client out of the penalty box, and forget that it was naughty",
    .help = "  IP   an IPv4 address, an IPv6 address, or the /64 of one\n"
            "  -n   only say what would be done\n"
            "\n"
            "A running daemon knows it at once. How often the client was nice is kept.\n"
            "exit: 0 done, also when it has never been seen, 75 done, but the running daemon does not answer or could not\n"
            "write what it learned of it\n",
    .run = release_run,
};

/* ---- prune ---- */

static int prune_run(struct ctl *ctl)
{
    int64_t seconds = PRUNE_DEFAULT_S, rows = 0;
    struct karma_work k;
    int status, result;

    if (ctl->argc > 2)
        return ctl_usage(&ctl_karma_prune, "takes one age");
    if (ctl->argc == 2 && !karma_period(ctl, &ctl_karma_prune, ctl->argv[1], &seconds))
        return EX_USAGE;
    status = karma_begin(&k, ctl, &ctl_karma_prune, ctl->dry_run ? KARMA_READ : KARMA_WRITE);
    if (status != CTL_FINE)
        return status;
    if (k.db) {
        result = karma_file_prune(k.db, (int64_t)k.now - seconds, ctl->dry_run, &rows);
        if (result != SQLITE_OK) {
            status = karma_failed(&k, result);
            if (rows > 0)
                fprintf(stderr, "%lld clients were forgotten before\n", (long long)rows);
            return karma_end(&k, status);
        }
    }
    if (!ctl->json)
        printf("%lld client%s not seen for %s %s\n", (long long)rows, rows == 1 ? "" : "s",
               karma_duration(ctl->arena, seconds).p,
               ctl->dry_run ? "would be forgotten" : rows == 1 ? "is forgotten" : "are forgotten");
    if (rows == 0 && !ctl->json)
        return karma_end(&k, CTL_FINE);
    return told(&k, ctl->json ? json_pack("{s:I, s:I}", "forgotten", (json_int_t)rows, "not_seen_for_s",
                                          (json_int_t)seconds) : NULL);
}

const struct ctl_command ctl_karma_prune = {
    .words = "karma prune",
    .usage = "[AGE]",
    .summary = "Forget the clients that have not been seen for long",
    .help = "  AGE   like 30d; if not given, 90d\n"
            "  -n    only say how many there are\n"
            "\n"
            "Who is in the penalty box is kept. The daemon does the same by itself.\n",
    .run = prune_run,
};
