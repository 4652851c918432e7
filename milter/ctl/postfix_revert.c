/* postfix_revert.c - `postfix snippet --revert`: what --apply has changed becomes what it was.
 *
 * What is neither as it was before nor as --apply made it belongs to somebody else: it is named and left alone.
 */
#include <errno.h>
#include <sysexits.h>

#include "postfix_change.h"

/* spare_others - leave alone what is as it was before, and what somebody has changed since; how many of these. */
static size_t spare_others(struct changes *c)
{
    size_t changed = 0;

    for (size_t i = 0; i < c->count; i++) {
        struct change *change = &c->items[i];
        bool is_before = change_same(change, SIDE_NOW, SIDE_BEFORE);

        change->skip = is_before || !change_same(change, SIDE_NOW, SIDE_AFTER);
        changed += change->skip && !is_before;
    }
    return changed;
}

/* tell_spared - each with what it was, on standard error: it is not as one might expect after --revert. */
static void tell_spared(const struct changes *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct change *change = &c->items[i];
        const struct change_text *t = &change->side[SIDE_BEFORE];

        if (!change->skip || change_same(change, SIDE_NOW, SIDE_BEFORE))
            continue;
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT " has been changed since and stays as it is; before "
                "--apply it was %s" STR_FMT "\n", STR_ARG(str_escaped(c->arena, change->name)),
                !t->there ? "not there" : t->text.n ? "" : "empty", STR_ARG(str_escaped(c->arena, t->text)));
    }
}

static int put_back(struct snippet *s, struct changes *c, struct str directory, struct str file)
{
    struct str why;

    if (!originals_restore(c, directory)) {
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT ": %s; --revert can be run again\n",
                STR_ARG(str_escaped(c->arena, directory)), strerror(errno));
        return EX_CANTCREAT;
    }
    if (!changes_make(c, &s->postfix, SIDE_BEFORE, &why) || !changes_ask(c, &s->postfix, SIDE_SEEN, &why)) {
        fprintf(stderr, "sme-milterctl postfix snippet: postconf: " STR_FMT "; --revert can be run again\n",
                STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    for (size_t i = 0; i < c->count; i++)
        if (!c->items[i].skip && !change_same(&c->items[i], SIDE_SEEN, SIDE_BEFORE)) {
            fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT " is not as it was; " STR_FMT " still says what "
                    "it was\n", STR_ARG(str_escaped(c->arena, c->items[i].name)),
                    STR_ARG(str_escaped(c->arena, file)));
            return EX_UNAVAILABLE;
        }
    if (unlink(str_c(c->arena, file)) < 0) {
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT " cannot be removed: %s\n",
                STR_ARG(str_escaped(c->arena, file)), strerror(errno));
        return EX_IOERR;
    }
    if (!postfix_command(&s->postfix, "check", &why))
        fprintf(stderr, "sme-milterctl postfix snippet: everything is as it was, but postfix check: " STR_FMT "\n",
                STR_ARG(why));
    return CTL_FINE;
}

int snippet_revert(struct snippet *s)
{
    struct changes c = {.arena = s->arena};
    struct str directory, file, why;
    size_t spared, different;
    int status = change_begin(s, &directory, &file);

    if (status)
        return status;
    status = revert_read(&c, file);
    if (status == EX_NOINPUT) {
        fprintf(stderr, "sme-milterctl postfix snippet: there is no " STR_FMT ": nothing has been applied\n",
                STR_ARG(str_escaped(s->arena, file)));
        return EX_NOINPUT;
    }
    if (status)
        return status;
    if (!changes_ask(&c, &s->postfix, SIDE_NOW, &why)) {
        fprintf(stderr, "sme-milterctl postfix snippet: postconf: " STR_FMT "\n", STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    spared = spare_others(&c);
    different = change_report(s, &c, SIDE_BEFORE);
    tell_spared(&c);
    if (!s->ctl->dry_run)
        status = put_back(s, &c, directory, file);
    if (!status && different == 0 && !s->ctl->json)
        printf("Nothing is left to put back.\n");
    if (!status && (different || s->reload))
        status = change_reload(s);
    return status ? status : spared ? CTL_FINDINGS : CTL_FINE;
}
