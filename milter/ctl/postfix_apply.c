/* postfix_apply.c - `postfix snippet --apply`: the steps taken on this machine's Postfix, or none of them.
 *
 * What there is now is remembered first (postfix_memory.c). main.cf is changed by one postconf and master.cf by
 * another, each of which replaces its file at once. Afterwards both are read again, since postconf takes what it does
 * not understand in silence, and `postfix check` has its say. If anything is wrong everything is put back.
 */
#include <errno.h>
#include <sysexits.h>

#include "postfix_change.h"

/* too_long - whether the kernel would not let postconf have a value; said then. */
static bool too_long(const struct changes *c)
{
    for (size_t i = 0; i < c->count; i++)
        for (enum change_side side = SIDE_NOW; side <= SIDE_AFTER; side++)
            if (c->items[i].side[side].text.n + c->items[i].name.n + 4 > POSTFIX_ARGUMENT_MOST) {
                fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT " is longer than postconf can be given; "
                        "nothing has been changed\n", STR_ARG(str_escaped(c->arena, c->items[i].name)));
                return true;
            }
    return false;
}

/* merge - into what an earlier --apply remembers. What it changed and nobody since keeps its older "before". */
static void merge(struct changes *all, const struct changes *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct change *new = &c->items[i];
        size_t known = all->count;
        struct change *old;

        if (new->skip)
            continue;
        old = change_of(all, new->is_service, new->name);
        old->side[SIDE_NOW] = new->side[SIDE_NOW];
        if (all->count > known || !(change_same(old, SIDE_NOW, SIDE_AFTER) || change_same(old, SIDE_NOW, SIDE_BEFORE)))
            old->side[SIDE_BEFORE] = new->side[SIDE_NOW];
        old->side[SIDE_AFTER] = new->side[SIDE_AFTER];
    }
}

/* took - whether the files have it all now; false, and *why. */
static bool took(struct snippet *s, struct changes *c, struct str *why)
{
    if (!changes_ask(c, &s->postfix, SIDE_SEEN, why))
        return false;
    for (size_t i = 0; i < c->count; i++)
        if (!c->items[i].skip && !change_same(&c->items[i], SIDE_SEEN, SIDE_AFTER)) {
            *why = arena_printf(s->arena, STR_FMT " has not become what it should",
                                STR_ARG(str_escaped(s->arena, c->items[i].name)));
            return false;
        }
    if (postfix_command(&s->postfix, "check", why))
        return true;
    *why = arena_printf(s->arena, "postfix check: " STR_FMT, STR_ARG(*why));
    return false;
}

/* undo - after a failure: the files and the memory as they were when we began. */
static int undo(struct snippet *s, struct changes *c, const struct changes *remembered, struct str file, struct str why)
{
    struct str again;
    bool back = changes_make(c, &s->postfix, SIDE_NOW, &again) && changes_ask(c, &s->postfix, SIDE_SEEN, &again);

    for (size_t i = 0; i < c->count && back; i++)
        if (!c->items[i].skip && !change_same(&c->items[i], SIDE_SEEN, SIDE_NOW)) {
            back = false;
            again = arena_printf(s->arena, STR_FMT " is not as it was",
                                 STR_ARG(str_escaped(s->arena, c->items[i].name)));
        }
    if (back && (remembered->count ? revert_write(remembered, file) : unlink(str_c(s->arena, file)) == 0)) {
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT "; everything has been put back\n", STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT "; IT COULD NOT BE PUT BACK (" STR_FMT "): run "
            "sme-milterctl postfix snippet --revert\n", STR_ARG(why), STR_ARG(back ? str_of(strerror(errno)) : again));
    return EX_UNAVAILABLE;
}

static int take_steps(struct snippet *s, struct changes *c, struct str directory, struct str file)
{
    struct changes remembered = {.arena = s->arena}, all = {.arena = s->arena};
    struct str why;
    int status = revert_read(&remembered, file);

    if (status && status != EX_NOINPUT)
        return status;
    if (!status)
        revert_read(&all, file);
    merge(&all, c);
    if (!postfix_command(&s->postfix, "check", &why)) {
        fprintf(stderr, "sme-milterctl postfix snippet: postfix check: " STR_FMT "; mend that first, nothing has been "
                "changed\n", STR_ARG(why));
        return EX_CONFIG;
    }
    originals_begin(&all, directory, remembered.count == 0);
    if (!revert_write(&all, file)) {
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT " cannot be written: %s; nothing has been changed\n",
                STR_ARG(str_escaped(s->arena, file)), strerror(errno));
        return EX_CANTCREAT;
    }
    if (!changes_make(c, &s->postfix, SIDE_AFTER, &why))
        return undo(s, c, &remembered, file, arena_printf(s->arena, "postconf: " STR_FMT, STR_ARG(why)));
    if (!took(s, c, &why))
        return undo(s, c, &remembered, file, why);
    originals_end(&all, directory);
    if (!revert_write(&all, file)) /* what it has serves too: then change by change */
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT ": %s\n", STR_ARG(str_escaped(s->arena, file)),
                strerror(errno));
    if (!s->ctl->json)
        printf("Postfix's files have been changed; postfix check finds nothing wrong. What they had before is kept in "
               STR_FMT ".\n", STR_ARG(str_escaped(s->arena, file)));
    return CTL_FINE;
}

int snippet_apply(struct snippet *s)
{
    struct changes c = {.arena = s->arena};
    struct str directory, file, why;
    size_t different;
    int status = change_begin(s, &directory, &file);

    if (status)
        return status;
    changes_of_steps(&c, s);
    if (!changes_ask(&c, &s->postfix, SIDE_NOW, &why)) {
        fprintf(stderr, "sme-milterctl postfix snippet: postconf: " STR_FMT "\n", STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    for (size_t i = 0; i < c.count; i++)
        c.items[i].skip = change_same(&c.items[i], SIDE_NOW, SIDE_AFTER);
    if (too_long(&c))
        return EX_DATAERR;
    different = change_report(s, &c, SIDE_AFTER);
    if (different == 0 && !s->ctl->json)
        printf("Postfix has it all already: nothing to change.\n");
    if (s->ctl->dry_run)
        return CTL_FINE;
    if (different)
        status = take_steps(s, &c, directory, file);
    return status || (different == 0 && !s->reload) ? status : change_reload(s);
}
