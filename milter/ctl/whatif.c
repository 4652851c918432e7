/* whatif.c - `whatif`: the journal's messages judged again under other settings: which would have fared otherwise. */
#include <jansson.h>
#include <string.h>
#include <sysexits.h>

#include "../past.h"
#include "../report.h"
#include "journal_file.h"

#define SETS_MOST 64
#define REASONS_MOST 64 /* told of what is not known; further ones are counted together */
#define KINDS 5
#define POLICIES_MOST 64

struct reason {
    struct str why;
    uint64_t count;
};

struct work {
    struct ctl *ctl;
    struct arena *arena; /* of one row */
    struct config *now, *other;
    const char *set[SETS_MOST];
    size_t set_count;
    const char *other_path;      /* --config; NULL: the present one, with changes */
    bool differs[POLICIES_MOST]; /* policies of which the other has an option that cannot be told */
    struct str *differ;          /* what cannot be told of the other, a line each */
    size_t differ_count;
    uint64_t messages, connections, changed, same, unknown, unknown_now, otherwise_then, recipients;
    uint64_t from_to[KINDS][KINDS]; /* changed verdicts */
    struct reason reasons[REASONS_MOST];
    size_t reason_count;
    uint64_t other_reasons;
    json_t *rows;
    struct progress progress;
};

/* ---- the changes ---- */

static void print_problems(struct ctl *ctl, const struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        fprintf(stderr, "sme-milterctl whatif: " STR_FMT "\n",
                STR_ARG(str_escaped(ctl->arena, problem_text(ctl->arena, &problems->items[i]))));
}

/* tells - whether the journal knows enough; else it is said. A file of entries is the option that it adds to. */
static bool tells(const struct config_change *change)
{
    bool is_file = false;
    const struct option *rows = change->policy ? change->policy->options : NULL;
    const struct option *o = rows ? option_find(rows, change->option, &is_file) : NULL;
    struct str why;

    if (!o || past_can_tell(change->policy, o->name, &why))
        return true;
    fprintf(stderr, "sme-milterctl whatif: %s.%s cannot be judged from the journal: not recorded is " STR_FMT "\n",
            change->policy->name, o->name, STR_ARG(why));
    return false;
}

/* note_differences - what the journal cannot tell of another whole configuration is said, and where it matters the
 * answer is "not known". */
static void note_differences(struct work *w)
{
    w->differ_count = past_differ(w->ctl->arena, w->now, w->other, w->differs, &w->differ);
    for (size_t i = 0; i < w->differ_count; i++)
        fprintf(stderr, "sme-milterctl whatif: --config differs in " STR_FMT "\n",
                STR_ARG(str_escaped(w->ctl->arena, w->differ[i])));
}

static bool uses_unknown(const struct config *config)
{
    return config->stages & 1u << AT_UNKNOWN;
}

/* load - both configurations; false with *status. Nothing has been printed by then. */
static bool load(struct work *w, int *status)
{
    struct ctl *ctl = w->ctl;
    struct problems problems = {.arena = ctl->arena};
    struct conf_entry *changes = NULL;
    bool fine = true;

    *status = EX_DATAERR;
    for (size_t i = 0; i < w->set_count; i++) {
        struct config_change change;

        if (config_change_add(ctl->arena, &changes, str_of(w->set[i]), &change, &problems))
            fine &= tells(&change);
        else
            fine = false;
    }
    if (problems.errors)
        print_problems(ctl, &problems);
    if (!fine)
        return false;
    *status = EX_CONFIG;
    w->now = ctl_config(ctl);
    if (!w->now)
        return false;
    *status = EX_DATAERR;
    problems = (struct problems){.arena = ctl->arena};
    w->other = config_load_changed(w->other_path ? str_of(w->other_path) : ctl->config_path, changes, &problems);
    if (!w->other || w->other_path) /* the warnings of the present one have been printed */
        print_problems(ctl, &problems);
    if (!w->other) {
        *status = w->other_path ? EX_CONFIG : EX_DATAERR;
        return false;
    }
    if (uses_unknown(w->other) && !uses_unknown(w->now)) {
        fprintf(stderr, "sme-milterctl whatif: unrecognized_commands was in no profile: not recorded are the commands"
                        " that are no SMTP\n");
        return false;
    }
    if (w->other_path)
        note_differences(w);
    return true;
}

/* ---- the rows ---- */

static void count_reason(struct work *w, struct str why)
{
    for (size_t i = 0; i < w->reason_count; i++)
        if (str_is(w->reasons[i].why, why)) {
            w->reasons[i].count++;
            return;
        }
    if (w->reason_count < REASONS_MOST)
        w->reasons[w->reason_count++] = (struct reason){str_dup(w->ctl->arena, why), 1};
    else
        w->other_reasons++;
}

/* judge_other - under the other configuration. */
static void judge_other(struct work *w, const struct past_row *row, struct past_answer *after)
{
    struct str why;

    if (past_over_limits(row, w->now, w->other, &why))
        *after = (struct past_answer){.unknown = why};
    else
        past_judge(w->arena, w->other, row, w->differ_count ? w->differs : NULL, after);
}

/* outcome - "reject 550 5.7.1 by spf at message". */
static struct str outcome(struct arena *a, const struct past_answer *x)
{
    struct buf b = buf_in(a);

    buf_addf(&b, "%s", verdict_names[x->kind]);
    if (x->code)
        buf_addf(&b, " %d " STR_FMT, x->code, STR_ARG(x->status));
    if (x->by.n)
        buf_addf(&b, " by " STR_FMT " at " STR_FMT, STR_ARG(x->by), STR_ARG(x->at));
    if (x->rcpt_refused && x->kind == VERDICT_ACCEPT)
        buf_addf(&b, " (%u recipients refused)", x->rcpt_refused);
    return str_escaped(a, buf_str(&b));
}

static json_t *json_answer(struct arena *a, const struct past_answer *x)
{
    struct str by = str_escaped(a, x->by), at = str_escaped(a, x->at), status = str_escaped(a, x->status);

    return json_pack("{s:s, s:s%, s:s%, s:i, s:s%, s:i, s:s%}", "verdict", verdict_names[x->kind], "by",
                     by.n ? by.p : "", by.n, "at", at.n ? at.p : "", at.n, "code", x->code, "status",
                     status.n ? status.p : "", status.n, "rcpt_refused", (int)x->rcpt_refused, "profile",
                     x->profile.n ? x->profile.p : "", x->profile.n);
}

static json_t *json_text(struct arena *a, struct str s)
{
    s = str_escaped(a, s);
    return json_stringn(s.n ? s.p : "", s.n);
}

static void tell_change(struct work *w, const struct journal_message *m, const struct past_answer *before,
                        const struct past_answer *after)
{
    struct arena *a = w->arena;
    json_t *row;

    if (!w->ctl->json) {
        printf("%s " STR_FMT " %s " STR_FMT "\n    " STR_FMT "  ->  " STR_FMT "\n", clock_rfc3339(a, m->at_ms).p,
               STR_ARG(str_escaped(a, m->ref)), ip_text(a, m->client).p,
               STR_ARG(m->message ? str_escaped(a, str_slice(m->sender, 0, 100)) : STR("(no message)")),
               STR_ARG(outcome(a, before)), STR_ARG(outcome(a, after)));
        return;
    }
    row = json_object();
    json_object_set_new(row, "time", json_text(a, clock_rfc3339(a, m->at_ms)));
    json_object_set_new(row, "ref", json_text(a, m->ref));
    json_object_set_new(row, "queue_id", json_text(a, m->queue_id));
    json_object_set_new(row, "client", json_text(a, ip_text(a, m->client)));
    json_object_set_new(row, "sender", json_text(a, m->sender));
    json_object_set_new(row, "before", json_answer(a, before));
    json_object_set_new(row, "after", json_answer(a, after));
    json_array_append_new(w->rows, row);
}

static bool look(const struct journal_message *m, void *ctx)
{
    struct work *w = ctx;
    const struct past_row *row = past_read(w->arena, m);
    struct past_answer then, before, after;

    progress_step(&w->progress);
    *(m->message ? &w->messages : &w->connections) += 1;
    past_then(w->arena, row, &then);
    past_judge(w->arena, w->now, row, NULL, &before);
    if (!before.known) {
        w->unknown_now++;
        count_reason(w, before.unknown);
        return true;
    }
    w->otherwise_then += !past_same(&then, &before);
    judge_other(w, row, &after);
    if (!after.known) {
        w->unknown++;
        count_reason(w, after.unknown);
    } else if (past_same(&before, &after)) {
        w->same++;
    } else {
        w->changed++;
        if (before.kind != after.kind)
            w->from_to[before.kind][after.kind]++;
        else
            w->recipients += before.rcpt_refused != after.rcpt_refused;
        tell_change(w, m, &before, &after);
    }
    return true;
}

/* ---- the sum ---- */

static uint64_t other_changes(const struct work *w)
{
    uint64_t n = w->changed;

    for (unsigned i = 0; i < KINDS; i++)
        for (unsigned k = 0; k < KINDS; k++)
            n -= w->from_to[i][k];
    return n;
}

static void print_text(const struct work *w, const struct journal_gap *gaps, size_t gap_count)
{
    struct arena *a = w->ctl->arena;

    printf("%s%llu messages and %llu connections without one: %llu would fare otherwise, %llu the same, %llu are not"
           " known\n", w->changed ? "\n" : "", (unsigned long long)w->messages, (unsigned long long)w->connections,
           (unsigned long long)w->changed, (unsigned long long)w->same,
           (unsigned long long)(w->unknown + w->unknown_now));
    for (unsigned i = 0; i < KINDS; i++)
        for (unsigned k = 0; k < KINDS; k++)
            if (w->from_to[i][k])
                printf("%10llu  %s -> %s\n", (unsigned long long)w->from_to[i][k], verdict_names[i], verdict_names[k]);
    if (other_changes(w))
        printf("%10llu  the same verdict, for another reason, with another reply or for other recipients\n",
               (unsigned long long)other_changes(w));
    for (size_t i = 0; i < w->reason_count; i++)
        printf("%10llu  not known: " STR_FMT "\n", (unsigned long long)w->reasons[i].count,
               STR_ARG(str_escaped(a, w->reasons[i].why)));
    if (w->other_reasons)
        printf("%10llu  not known for other reasons\n", (unsigned long long)w->other_reasons);
    if (w->otherwise_then)
        printf("%10llu  were decided otherwise then: the configuration has changed since\n",
               (unsigned long long)w->otherwise_then);
    for (size_t i = 0; i < gap_count; i++)
        if (gaps[i].lost)
            printf("%10lld  were lost from %s to %s: " STR_FMT "\n", (long long)gaps[i].lost,
                   clock_rfc3339(a, gaps[i].from_ms).p, clock_rfc3339(a, gaps[i].to_ms).p,
                   STR_ARG(str_escaped(a, gaps[i].why)));
}

static void print_json(struct work *w, const struct journal_gap *gaps, size_t gap_count)
{
    struct arena *a = w->ctl->arena;
    json_t *o = json_object(), *sum = json_object(), *why = json_object(), *lost = json_array(), *set = json_array();
    json_t *differ = json_array();

    for (size_t i = 0; i < w->set_count; i++)
        json_array_append_new(set, json_text(a, str_of(w->set[i])));
    for (unsigned i = 0; i < KINDS; i++)
        for (unsigned k = 0; k < KINDS; k++)
            if (w->from_to[i][k])
                json_object_set_new(sum, arena_printf(a, "%s_to_%s", verdict_names[i], verdict_names[k]).p,
                                    json_integer((json_int_t)w->from_to[i][k]));
    for (size_t i = 0; i < w->reason_count; i++)
        json_object_set_new(why, str_escaped(a, w->reasons[i].why).p, json_integer((json_int_t)w->reasons[i].count));
    for (size_t i = 0; i < gap_count; i++)
        json_array_append_new(lost, json_pack("{s:s, s:s, s:I, s:s}", "from", clock_rfc3339(a, gaps[i].from_ms).p, "to",
                                              clock_rfc3339(a, gaps[i].to_ms).p, "lost", (json_int_t)gaps[i].lost,
                                              "why", str_escaped(a, gaps[i].why).p));
    for (size_t i = 0; i < w->differ_count; i++)
        json_array_append_new(differ, json_text(a, w->differ[i]));
    json_object_set_new(o, "config", w->other_path ? json_text(a, str_of(w->other_path)) : json_null());
    json_object_set_new(o, "set", set);
    json_object_set_new(o, "not_recorded", differ);
    json_object_set_new(o, "messages", json_integer((json_int_t)w->messages));
    json_object_set_new(o, "connections", json_integer((json_int_t)w->connections));
    json_object_set_new(o, "changed", json_integer((json_int_t)w->changed));
    json_object_set_new(o, "same", json_integer((json_int_t)w->same));
    json_object_set_new(o, "unknown", json_integer((json_int_t)(w->unknown + w->unknown_now)));
    json_object_set_new(o, "otherwise_then", json_integer((json_int_t)w->otherwise_then));
    json_object_set_new(o, "verdicts", sum);
    json_object_set_new(o, "other_changes", json_integer((json_int_t)other_changes(w)));
    json_object_set_new(o, "unknown_why", why);
    json_object_set_new(o, "gaps", lost);
    json_object_set(o, "rows", w->rows);
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(o);
}

static int judge(struct work *w, sqlite3 *db, int64_t from_ms)
{
    struct journal_wish wish = {.from_ms = from_ms};
    struct journal_gap *gaps = NULL;
    size_t gap_count = 0;
    int rc;

    w->arena = arena_new(65536);
    w->rows = json_array();
    progress_begin(&w->progress, "messages");
    rc = journal_each(db, w->arena, true, &wish, look, w);
    progress_end(&w->progress);
    if (rc == SQLITE_OK)
        rc = journal_gaps(db, w->ctl->arena, from_ms, &gaps, &gap_count);
    if (rc != SQLITE_OK)
        fprintf(stderr, "sme-milterctl whatif: the journal cannot be read: %s\n", sqlite3_errmsg(db));
    else if (w->ctl->json)
        print_json(w, gaps, gap_count);
    else
        print_text(w, gaps, gap_count);
    json_decref(w->rows);
    arena_free(&w->arena);
    return rc != SQLITE_OK ? EX_IOERR : w->changed ? CTL_FINDINGS : CTL_FINE;
}

static int run(struct ctl *ctl)
{
    struct work w = {.ctl = ctl};
    const char *since = "7d", *value;
    int64_t from_ms = 0;
    int status = EX_CONFIG;
    sqlite3 *db;

    for (int i = 1; i < ctl->argc; i++)
        if ((value = ctl_option(ctl, &ctl_whatif, &i, "--since")))
            since = value;
        else if ((value = ctl_option(ctl, &ctl_whatif, &i, "--config")))
            w.other_path = value;
        else if ((value = ctl_option(ctl, &ctl_whatif, &i, "--set"))) {
            if (w.set_count == SETS_MOST)
                return ctl_usage(&ctl_whatif, "takes %d times --set at most", SETS_MOST);
            w.set[w.set_count++] = value;
        } else
            return ctl_usage(&ctl_whatif, "does not take \"" STR_FMT "\"",
                             STR_ARG(str_escaped(ctl->arena, str_of(ctl->argv[i]))));
    if (w.set_count == 0 && !w.other_path)
        return ctl_usage(&ctl_whatif, "needs --set POLICY.OPTION=VALUE or --config FILE");
    if (!ctl_since(ctl, &ctl_whatif, since, &from_ms))
        return EX_USAGE;
    db = load(&w, &status) ? ctl_journal(ctl, &ctl_whatif, w.now, &status) : NULL;
    if (db)
        status = judge(&w, db, from_ms);
    sqlite3_close(db);
    if (w.other)
        config_unref(&w.other);
    if (w.now)
        config_unref(&w.now);
    return status;
}

const struct ctl_command ctl_whatif = {
    .words = "whatif",
    .usage = "[--set POLICY.OPTION=VALUE]... [--config FILE] [--since 7d]",
    .summary = "What other settings would have made of the messages in the journal",
    .help =
        "  --set POLICY.OPTION=VALUE                a policy's option, in every profile; += adds to a list\n"
        "  --set profile:NAME.POLICY.OPTION=VALUE   the same, in one profile\n"
        "  --set profile:NAME.OPTION=VALUE          an option of a profile: reply_at, unsure, policies ...\n"
        "  --config FILE  another whole configuration, with the changes of --set over it; the present one, to compare\n"
        "                 with, is named by -c, or by --config before the word whatif\n"
        "  --since TIME   12h, 7d, a day (2026-01-05) or a time (2026-01-05T10:00:00Z); 7d if not told\n\n"
        "Every message is judged twice, with the configuration as it is and with the changes, by what the journal kept\n"
        "of what each policy saw. Nothing is looked up again and nothing is guessed: where a policy would have needed\n"
        "what was not recorded, or the client was refused before, the message is counted as not known, with the reason.\n"
        "An option in --set of which nothing can be told is named, and nothing is printed (exit 65); where FILE differs\n"
        "in such, that is named, and the messages that it concerns are not known.\n"
        "exit: 0 nothing would change, 1 something would\n",
    .run = run,
    .own_config = true,
};
