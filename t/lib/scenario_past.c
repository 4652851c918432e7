/* scenario_past.c - what the journal would have kept of a play, judged again: as it was, and with other options.
 *
 *   play ─▶ rows ─▶ past_judge, the same configuration ─────▶ must be what was decided, to the last letter
 *             └───▶ past_judge, one option changed ─────────▶ must be what the play comes to with it, or unknown
 *
 * Which changes: other values of every option of every policy that the play uses, as its table has them, and of the
 * profile; of many a part, another one for each file. SME_AGAIN=all in the environment: all of them.
 */
#include <stdlib.h>

#include "scenario.h"

#include "db/journal_inside.h"
#include "milter/config.h"
#include "milter/past.h"

#define CHANGES_MOST 40
#define ROWS_EXPLAINED 4

void rows_add(struct rows *rows, const struct journal_message *row)
{
    rows->items = arena_grow(rows->arena, rows->items, rows->count, sizeof *rows->items);
    rows->items[rows->count++] = journal_copy(rows->arena, row);
}

struct check_past {
    struct tap *tap;
    const struct scenario *scn;
    struct arena *arena;
    struct str *changes;      /* that can be made */
    size_t change_count;
    size_t sampled;           /* so many of them are a sample's; behind them those of `why`, which are all tried */
    const struct rows *first; /* of the play as it is written */
    struct config_change change; /* the one that is tried */
    bool tried;               /* its configuration is one */
    unsigned told, unknown, wrong;
    struct past_answer *answers; /* of the first rows, with the change */
};

static struct str answer_text(struct arena *a, const struct past_answer *x)
{
    static const char *const kinds[] = {"accept", "reject", "tempfail", "discard", "quarantine"};

    if (!x->known)
        return arena_printf(a, "not known: " STR_FMT, STR_ARG(x->unknown));
    return arena_printf(a, "%s by " STR_FMT " at " STR_FMT ", %d " STR_FMT " " STR_FMT ", %u refused, karma %ld",
                        kinds[x->kind], STR_ARG(x->by), STR_ARG(x->at), x->code, STR_ARG(x->status), STR_ARG(x->text),
                        x->rcpt_refused, x->karma);
}

/* ---- the changes ---- */

static void add_change(struct check_past *check, const char *policy, const char *option, const char *value)
{
    struct arena *a = check->arena;

    check->changes = arena_grow(a, check->changes, check->change_count, sizeof *check->changes);
    check->changes[check->change_count++] = arena_printf(a, "%s.%s=%s", policy, option, value);
}

/* list_values - lists that have something to do with what plays are made of. */
static const char *const *list_values(enum option_type type)
{
    static const char *const nets[] = {"{}", "{\"192.0.2.0/24\"}", "{\"0.0.0.0/0\", \"::/0\"}", "{\"203.0.113.0/24\"}",
                                       NULL};
    static const char *const addresses[] = {"{}", "{\"@a.test\"}", "{\"/./\"}", "{\"nobody@nowhere.test\"}", NULL};
    static const char *const hosts[] = {"{}", "{\".test\"}", "{\"/./\"}", "{\"mx.a.test\"}", NULL};
    static const char *const pairs[] = {"{}", "{\"/./ /./\"}", "{\"@a.test @here.test\"}", NULL};
    static const char *const zones[] = {"{}", "{\"bl.test\"}", "{\"bl.test=127.0.0.[2;4..11]\"}", "{\"bl.test:8-16\"}",
                                        "{\"other.test\"}", NULL};
    static const char *const strings[] = {"{}", "{\"From\", \"To\"}", "{\"Subject\"}", "{\"KP\", \"DE\"}",
                                          "{\"test:-4\"}", "{\"X-Other\"}", NULL};

    switch (type) {
    case OPTION_CIDRS:
        return nets;
    case OPTION_ADDRESSES:
    case OPTION_MAILBOXES:
        return addresses;
    case OPTION_HOSTS:
        return hosts;
    case OPTION_PAIRS:
        return pairs;
    case OPTION_CLIENT_ZONES:
    case OPTION_NAME_ZONES:
        return zones;
    default:
        return strings;
    }
}

static void add_number(struct check_past *check, const char *policy, const struct option *o, double value)
{
    if (value >= o->min && (o->max <= o->min || value <= o->max))
        add_change(check, policy, o->name, arena_printf(check->arena, o->type == OPTION_DURATION ? "%.0fms" : "%.15g",
                                                        value).p);
}

static void add_values(struct check_past *check, const char *policy, const struct option *o)
{
    static const double numbers[] = {0, 1, 2, 3, 5, 7, 100, 1000, 5000};
    static const char *const booleans[] = {"yes", "no", NULL};
    const char *const *words = o->type == OPTION_BOOL ? booleans : o->words;

    if (words) {
        for (; *words; words++)
            add_change(check, policy, o->name, *words);
        if (o->type == OPTION_WORDS)
            add_change(check, policy, o->name, "{}");
    } else if (option_is_list(o)) {
        for (const char *const *v = list_values(o->type); *v; v++)
            add_change(check, policy, o->name, *v);
    } else if (o->type == OPTION_STRING) {
        add_change(check, policy, o->name, "");
        add_change(check, policy, o->name, "+");
    } else {
        add_number(check, policy, o, o->min);
        if (o->max > o->min)
            add_number(check, policy, o, o->max);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            add_number(check, policy, o, numbers[i]);
    }
}

/* list_changes - of every policy that some profile of the play runs, and of those profiles. */
static void list_changes(struct check_past *check, const struct config *config)
{
    static const char *const of_profile[] = {"reply_at=mail", "reply_at=rcpt", "reply_at=data", "unsure=continue",
                                             "unsure=tempfail", "auth=yes", "network=local"};

    for (size_t i = 0; i < policy_table_count; i++) {
        const struct policy *p = policy_table[i];

        if (!config_uses(config, p->name))
            continue;
        for (const struct option *o = p->options; o && o->name; o++)
            add_values(check, p->name, o);
        for (const struct option *o = common_options; o->name; o++)
            add_values(check, p->name, o);
    }
    for (size_t k = 0; k < config->profile_count; k++)
        for (size_t i = 0; i < sizeof of_profile / sizeof of_profile[0]; i++) {
            check->changes = arena_grow(check->arena, check->changes, check->change_count, sizeof *check->changes);
            check->changes[check->change_count++] =
                arena_printf(check->arena, "profile:" STR_FMT ".%s", STR_ARG(config->profiles[k].name), of_profile[i]);
        }
}

static struct config *load(void *ctx, struct conf_entry *changes, struct problems *problems)
{
    const struct play *p = ctx;

    return config_load_changed(arena_printf(p->arena, STR_FMT "/sme-milter.conf", STR_ARG(p->dir)), changes, problems);
}

/* list_counters - what `why` would say that would have changed it; the first are tried in any case. */
static void list_counters(struct check_past *check, struct play *p, struct rows *rows, struct config *config)
{
    const struct past_loader loader = {load, p};
    struct past_counter *counters;

    check->sampled = check->change_count;
    for (size_t i = 0; i < rows->count && i < ROWS_EXPLAINED; i++) {
        size_t count = past_counters(check->arena, config, past_read(check->arena, rows->items[i]), &loader, &counters);

        for (size_t k = 0; k < count; k++) {
            check->changes = arena_grow(check->arena, check->changes, check->change_count, sizeof *check->changes);
            check->changes[check->change_count++] = counters[k].change;
        }
    }
}

/* ---- the plays ---- */

/* same_again - under the same configuration everything must come out as it did. */
static void same_again(struct play *p, struct rows *rows, struct config *config)
{
    struct check_past *check = rows->ctx;

    for (size_t i = 0; i < rows->count; i++) {
        const struct past_row *row = past_read(p->arena, rows->items[i]);
        struct past_answer now, then;
        bool ok;

        past_then(p->arena, row, &then);
        past_judge(p->arena, config, row, NULL, &now);
        ok = past_same(&now, &then) && str_is(now.status, then.status) && str_is(now.text, then.text) &&
             now.karma == then.karma && str_is(now.profile, then.profile);
        tap_point(check->tap, ok, "%s row %zu, judged again", check->scn->path, i + 1);
        if (!ok)
            tap_lines(arena_printf(p->arena, "ref:  " STR_FMT "\nthen: " STR_FMT "\nnow:  " STR_FMT,
                                   STR_ARG(rows->items[i]->ref), STR_ARG(answer_text(p->arena, &then)),
                                   STR_ARG(answer_text(p->arena, &now))));
    }
    list_changes(check, config);
    list_counters(check, p, rows, config);
}

/* A row's place in the play: the how-manieth connection, and the message's number in it, 0 for its own row. */
struct place_in_play {
    size_t connection;
    long message;
};

static struct place_in_play place_of(const struct rows *rows, size_t index)
{
    struct place_in_play at = {0, 0};
    struct str ref = rows->items[index]->ref;

    for (size_t i = 0; i < index; i++) { /* connections follow each other */
        struct str one = str_slice(rows->items[i]->ref, 0, 11), next = str_slice(rows->items[i + 1]->ref, 0, 11);

        at.connection += !str_is(one, next);
    }
    str_to_long(str_slice(ref, 11, ref.n), &at.message);
    return at;
}

static const struct journal_message *row_at(const struct rows *rows, struct place_in_play at)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct place_in_play one = place_of(rows, i);

        if (one.connection == at.connection && one.message == at.message)
            return rows->items[i];
    }
    return NULL;
}

static long karma_from_elsewhere(const struct journal_message *m)
{
    long karma = m->karma;

    for (size_t i = 0; i < m->finding_count; i++)
        karma -= m->findings[i].karma;
    return karma;
}

/* is_same_world - what came before, in the client's memory and on the connection, was not changed by the change. */
static bool is_same_world(const struct journal_message *x, const struct journal_message *y, struct place_in_play at)
{
    return str_is(x->history, y->history) &&
           (at.message <= 1 || karma_from_elsewhere(x) == karma_from_elsewhere(y));
}

/* compare - a row of the play as it is written, judged again, with what the play came to with the change. */
static void compare(struct play *p, struct rows *rows, size_t i, const struct past_answer *now)
{
    struct check_past *check = rows->ctx;
    struct place_in_play at = place_of(check->first, i);
    const struct journal_message *m;
    struct past_answer then;

    if (!now->known) {
        check->unknown++;
        return;
    }
    if (str_is(now->at, STR("connect")) || str_is(now->at, STR("helo")) || str_is(now->at, STR("unknown")))
        at.message = 0;
    m = row_at(rows, at);
    if (!m && at.message > 1) /* the connection has ended before */
        return;
    if (m && !is_same_world(m, check->first->items[i], at))
        return;
    if (m)
        past_then(p->arena, past_read(p->arena, m), &then);
    check->told++;
    if (m && past_same(now, &then) && str_is(now->status, then.status))
        return;
    check->wrong++;
    tap_lines(arena_printf(p->arena, "%s row %zu with " STR_FMT "\nplayed: " STR_FMT "\nnow:    " STR_FMT,
                           check->scn->path, i + 1, STR_ARG(check->change.written),
                           STR_ARG(m ? answer_text(p->arena, &then) : STR("no such row")),
                           STR_ARG(answer_text(p->arena, now))));
}

static void with_change(struct play *p, struct rows *rows, struct config *config)
{
    struct check_past *check = rows->ctx;
    bool changed[64] = {false};
    struct str option = check->change.option, why;

    if (!config)
        return;
    if (check->change.policy && !past_can_tell(check->change.policy, str_c(p->arena, option), &why))
        changed[policy_index(check->change.policy)] = true;
    for (size_t i = 0; i < check->first->count; i++) {
        struct past_answer now;

        past_judge(p->arena, config, past_read(p->arena, check->first->items[i]), changed, &now);
        compare(p, rows, i, &now);
    }
}

static void try_change(struct check_past *check, struct str written)
{
    struct rows rows = {.arena = arena_new(0), .after = with_change, .ctx = check};
    struct problems problems = {.arena = rows.arena};
    struct tap quiet = {.must_fail = true};
    struct scenario copy = *check->scn;

    copy.rows = &rows;
    copy.lenient = true;
    copy.changes = NULL;
    if (config_change_add(rows.arena, &copy.changes, written, &check->change, &problems))
        play_run(&quiet, &copy, &driver_inprocess, false);
    arena_free(&rows.arena);
}

static void try_changes(struct check_past *check)
{
    const char *all = getenv("SME_AGAIN");
    size_t step = all && *all ? 1 : check->sampled / CHANGES_MOST + 1, from = 0;

    for (const char *c = check->scn->path; *c; c++)
        from = from * 31 + (unsigned char)*c;
    for (size_t i = from % step; i < check->sampled; i += step)
        try_change(check, check->changes[i]);
    for (size_t i = check->sampled; i < check->change_count; i++)
        try_change(check, check->changes[i]);
    tap_point(check->tap, check->wrong == 0, "%s changed: %u told, %u unknown, %u wrong", check->scn->path, check->told,
              check->unknown, check->wrong);
}

bool past_run(struct tap *tap, const struct scenario *scn, bool verbose)
{
    struct check_past check = {.tap = tap, .scn = scn, .arena = arena_new(0)};
    struct tap quiet = {.must_fail = true};
    struct rows rows = {.arena = check.arena, .after = same_again, .ctx = &check};
    struct scenario copy = *scn;
    unsigned failed = tap->failed;

    (void)verbose;
    copy.rows = &rows;
    play_run(&quiet, &copy, &driver_inprocess, false);
    check.first = &rows;
    if (rows.count == 0)
        tap_skip(tap, scn->path, "nothing for the journal");
    else
        try_changes(&check);
    arena_free(&check.arena);
    return tap->failed == failed;
}
