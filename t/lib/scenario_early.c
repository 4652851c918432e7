/* scenario_early.c - `talks`, `leaves`, `blind`: what the kernel would tell of the next client, for the policy
 * earlytalker. In process only, since in the other drivers there is a kernel, and no client on a socket of its own.
 */
#include "scenario_reader.h"

#include "milter/pregreet.h"

bool reader_early(struct reader *r, struct step *step, const struct words *w)
{
    struct early *e = &step->early;
    bool at = w->count == 2 && str_is(w->items[0], STR("at")), data = at && str_is(w->items[1], STR("data"));

    if (r->connected)
        return reader_fail(r, "%s: it stands before the connect", step_names[step->kind]);
    if (r->scn->drivers != DRIVER_INPROCESS)
        return reader_fail(r, "%s: the file must say before: only inprocess", step_names[step->kind]);
    e->seen = step->kind == STEP_TALKS    ? PREGREET_TALKED
              : step->kind == STEP_LEAVES ? PREGREET_GONE
                                          : PREGREET_BLIND;
    e->is_data = data;
    e->turn = at ? PREGREET_DATA : PREGREET_BANNER;
    e->scripted = true;
    if (step->kind == STEP_BLIND)
        return w->count ? reader_fail(r, "blind: nothing is expected after it") : true;
    if (step->kind == STEP_TALKS && (data || (at && str_is(w->items[1], STR("bdat")))))
        return true;
    if (w->count == 1 && reader_duration(w->items[0], &e->after_ms))
        return true;
    return reader_fail(r, "%s: a duration like 300ms is expected%s", step_names[step->kind],
                       step->kind == STEP_TALKS ? ", or `at data`, or `at bdat`" : "");
}

static bool act(void *ctx, enum pregreet_turn turn, struct pregreet_act *a)
{
    const struct early *e = &((struct play *)ctx)->early;

    if (!e->scripted || (e->turn != (int)turn && e->seen != PREGREET_BLIND))
        return false;
    *a = (struct pregreet_act){.seen = (enum pregreet_seen)e->seen, .after_ms = e->after_ms, .bytes = 12,
                               .is_data = e->is_data};
    return true;
}

void early_begin(struct play *p)
{
    pregreet_script(act, p);
}

void early_end(void)
{
    pregreet_script(NULL, NULL);
}
