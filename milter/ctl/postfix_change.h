/* postfix_change.h - what `postfix snippet --apply` changes in main.cf and master.cf, and the file that remembers it.
 *
 * A change is one parameter or one service with all that its entry says. It has sides: what the files have now, what
 * they had before the first --apply, what they are to have after it. To change Postfix is to make one side true.
 */
#ifndef CTL_POSTFIX_CHANGE_H
#define CTL_POSTFIX_CHANGE_H

#include "postconf.h"
#include "snippet.h"

enum change_side { SIDE_NOW, SIDE_BEFORE, SIDE_AFTER, SIDE_SEEN, SIDES };

struct change_text {
    bool there;      /* false: the parameter is not set in main.cf, the service is not in master.cf */
    struct str text; /* the value, or the entry in one line; as it stands in the file */
};

struct change {
    bool is_service;
    bool skip;       /* not to be made */
    bool made;       /* already, with the whole file */
    struct str name; /* "smtpd_milters", "smtp/inet" */
    struct change_text side[SIDES];
};

/* main.cf or master.cf as it was before the first --apply. While nobody but us has changed the file it goes back as a
 * whole, with its comments and its order; otherwise change by change. */
struct original {
    bool kept;
    struct str text;
    struct str left; /* digest of what --apply left; empty: it has not come to its end */
};

struct changes {
    struct arena *arena;
    struct change *items;
    size_t count;
    struct original original[2]; /* by change.is_service */
};

bool change_same(const struct change *c, enum change_side a, enum change_side b); /* but for blanks */

/* change_of - the change of this parameter or service, made when it is new. */
struct change *change_of(struct changes *c, bool is_service, struct str name);

/* changes_of_steps - all that the steps set, as SIDE_AFTER. */
void changes_of_steps(struct changes *c, const struct snippet *s);

/* changes_ask - what the files have, as the given side. False, and *why, when Postfix does not tell. */
bool changes_ask(struct changes *c, const struct postfix *p, enum change_side side, struct str *why);

/* changes_make - make the side true of all that are not skipped. False, and *why: some may have been made. */
bool changes_make(struct changes *c, const struct postfix *p, enum change_side side, struct str *why);

/* change_report - print what is different now from `to`: as lines with - and +, or as a list in JSON. Returns how many
 * are different. */
size_t change_report(struct snippet *s, const struct changes *c, enum change_side to);

/* ---- postfix_memory.c: the file beside main.cf that remembers it all ---- */

#define REVERT_FILE "sme-milter.revert"

/* revert_read - what it remembers (before, after, originals). Returns 0, EX_NOINPUT when there is no such file, or
 * another exit status; said then. revert_write - replace it at once; false, and errno. */
int revert_read(struct changes *c, struct str path);
bool revert_write(const struct changes *c, struct str path);

/* originals_begin - before a change: keep both files unless that was done, and give up one that others have changed
 * since. originals_end - after it: note what was left. */
void originals_begin(struct changes *c, struct str directory, bool first);
void originals_end(struct changes *c, struct str directory);

/* originals_restore - put back the files that nobody has changed, and mark their changes as made. False, and errno. */
bool originals_restore(struct changes *c, struct str directory);

/* change_begin - the directory of main.cf and the file there, locked against another --apply until the program ends
 * unless it is a dry run. Returns 0 or an exit status; said then. */
int change_begin(struct snippet *s, struct str *directory, struct str *file);

/* change_reload - have a running Postfix read its files if that is wanted, or say who has to; an exit status. */
int change_reload(struct snippet *s);

#include "../base/banned.h"
#endif
