/* karma_show.c - `karma show IP`: everything about one client, in words. */
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>
#include <sysexits.h>

#include "karma.h"

struct next { /* what one more, or some more, naughty connections would do */
    int64_t connections; /* 0: nothing can */
    int64_t boxed_for;   /* s */
};

/* foresee - the daemon's own arithmetic, on a copy. */
static struct next foresee(const struct karma_work *k, const struct karma_record *r)
{
    struct karma_event e = {.at = k->now, .naughty = true, .rules = k->policy.rules};
    struct karma_record copy = *r;
    struct next next = {1, 0};
    int64_t now = (int64_t)k->now, until, boxed_until = 0, missing;

    if (karma_boxed(r, now, e.rules.max_penalty_s, &until))
        boxed_until = until;
    missing = karma_history(r) + e.rules.negative; /* until the history is bad enough */
    if (missing > 1 && !boxed_until) {
        next.connections = missing;
        if (__builtin_add_overflow(copy.naughty, missing - 1, &copy.naughty))
            return (struct next){0, 0};
    }
    karma_apply(&copy, &e);
    if (karma_boxed(&copy, now, e.rules.max_penalty_s, &until) && until > boxed_until)
        next.boxed_for = until - now;
    else
        next.connections = 0;
    return next;
}

static struct str next_words(const struct karma_work *k, const struct karma_record *r, bool boxed)
{
    struct arena *a = k->ctl->arena;
    struct next next = foresee(k, r);
    struct str duration = karma_duration(a, next.boxed_for);

    if (next.connections == 0)
        return boxed ? STR("a naughty connection does not lengthen that") : STR("no naughty connection boxes it");
    if (boxed)
        return arena_printf(a, "one more naughty connection, and it is boxed for " STR_FMT " from then",
                            STR_ARG(duration));
    if (next.connections == 1)
        return arena_printf(a, "one more naughty connection, and it is boxed for " STR_FMT, STR_ARG(duration));
    return arena_printf(a, "%lld more naughty connections, and it is boxed for " STR_FMT, (long long)next.connections,
                        STR_ARG(duration));
}

static struct str rules_words(const struct karma_work *k)
{
    struct arena *a = k->ctl->arena;
    const struct karma_rules *rules = &k->policy.rules;
    struct buf b = buf_in(a);

    if (k->policy.profile)
        buf_addf(&b, "of profile \"" STR_FMT "\"", STR_ARG(str_escaped(a, k->policy.profile->name)));
    else
        buf_add(&b, STR("the defaults, for no profile uses karma"));
    buf_addf(&b, ": boxed when naughty %lld time%s more than nice, for " STR_FMT, (long long)rules->negative,
             rules->negative == 1 ? "" : "s", STR_ARG(karma_duration(a, rules->penalty_s)));
    buf_addf(&b, ", at most " STR_FMT, STR_ARG(karma_duration(a, rules->max_penalty_s)));
    if (k->policy.profile && !k->policy.refuses)
        buf_add(&b, STR("; reject = never, so nobody is refused for it"));
    return buf_str(&b);
}

static struct str box_words(const struct karma_work *k, bool boxed, int64_t until)
{
    struct arena *a = k->ctl->arena;
    int64_t now = (int64_t)k->now;

    if (boxed)
        return arena_printf(a, "in it until " STR_FMT " UTC, for another " STR_FMT, STR_ARG(karma_time(a, until)),
                            STR_ARG(karma_duration(a, until - now)));
    if (until > now)
        return arena_printf(a, "not in it: " STR_FMT " UTC is noted, but no rule can have made that; a clock was wrong",
                            STR_ARG(karma_time(a, until)));
    if (until > 0)
        return arena_printf(a, "not in it; it was until " STR_FMT " UTC", STR_ARG(karma_time(a, until)));
    return STR("not in it");
}

static struct str utc(struct arena *a, int64_t seconds)
{
    struct str text = karma_time(a, seconds);

    return str_is(text, STR("-")) ? text : arena_printf(a, STR_FMT " UTC", STR_ARG(text));
}

static void print_words(const struct karma_work *k, const struct karma_net *net, const struct karma_record *r)
{
    struct arena *a = k->ctl->arena;
    int64_t until;
    bool boxed = karma_boxed(r, (int64_t)k->now, k->policy.rules.max_penalty_s, &until);
    struct str reason = str_escaped(a, str_of(r->last_reason));

    printf("%s\n", karma_net_text(a, net).p);
    printf("  history      %lld: %lld nice and %lld naughty of %lld connections\n", (long long)karma_history(r),
           (long long)r->nice, (long long)r->naughty, (long long)r->connects);
    printf("  penalty box  %s\n", box_words(k, boxed, until).p);
    printf("  first seen   %s\n", r->connects ? utc(a, r->first_seen).p : "-");
    printf("  last seen    %s\n", r->connects ? utc(a, r->last_seen).p : "-");
    printf("  last reason  %s\n", reason.n ? reason.p : "-");
    if (r->cleared_at > 0)
        printf("  released     %s\n", utc(a, (int64_t)r->cleared_at).p);
    printf("  next         %s\n", next_words(k, r, boxed).p);
    printf("  rules        %s\n", rules_words(k).p);
}

static void print_json(const struct karma_work *k, const struct karma_net *net, const struct karma_record *r)
{
    struct next next = foresee(k, r);
    json_t *one = karma_json(k, k->ctl->arena, net, r);

    json_object_set_new(one, "next", next.connections == 0 ? json_null() :
                        json_pack("{s:I, s:I}", "naughty_connections", (json_int_t)next.connections, "boxed_for_s",
                                  (json_int_t)next.boxed_for));
    json_dumpf(one, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(one);
}

static int run(struct ctl *ctl)
{
    struct karma_record record;
    struct karma_work k;
    struct karma_net net;
    int status, result;

    if (ctl->argc != 2)
        return ctl_usage(&ctl_karma_show, "needs one address");
    if (!karma_argument(ctl, &ctl_karma_show, ctl->argv[1], &net))
        return EX_USAGE;
    status = karma_begin(&k, ctl, &ctl_karma_show, KARMA_READ);
    if (status != CTL_FINE)
        return status;
    result = k.db ? karma_file_get(k.db, &net, &record) : SQLITE_DONE;
    if (result == SQLITE_DONE) {
        if (ctl->json)
            printf("null\n");
        else if (k.behind)
            printf("%s is not in the file; whether the daemon knows it cannot be told\n",
                   karma_net_text(ctl->arena, &net).p);
        else
            printf("%s has never been seen%s\n", karma_net_text(ctl->arena, &net).p,
                   k.db ? "" : ": nothing has been learned yet");
        return karma_end_read(&k, CTL_FINDINGS);
    }
    if (result != SQLITE_OK)
        return karma_end(&k, karma_failed(&k, result));
    (ctl->json ? print_json : print_words)(&k, &net, &record);
    return karma_end_read(&k, CTL_FINE);
}

const struct ctl_command ctl_karma_show = {
    .words = "karma show",
    .usage = "IP",
    .summary = "What is remembered of one client, and what comes next",
    .help = "  IP   an IPv4 address, an IPv6 address, or the /64 of one\n"
            "\n"
            "exit: 0 it is known, 1 it has never been seen, 75 the running daemon could not write what it learned last:\n"
            "that is missing\n",
    .run = run,
};
