/* snippet.h - what the parts of `postfix snippet` share: the steps that wire Postfix to the daemon, and who takes them.
 *
 * snippet_lines.c and snippet_services.c make the steps, postfix_snippet.c prints them, postfix_apply.c takes them.
 */
#ifndef CTL_SNIPPET_H
#define CTL_SNIPPET_H

#include <stdarg.h>

#include "../config.h"
#include "ctl.h"
#include "snippet_settings.h"
#include "wiring.h"

enum step_kind {
    STEP_WORDS,  /* only something to read */
    STEP_SET,    /* postconf -e 'NAME = VALUE' */
    STEP_ENTRY,  /* postconf -M 'NAME=VALUE', NAME being "smtp/inet" */
    STEP_OPTION, /* postconf -P 'NAME/VALUE', VALUE being "option=value"; after its entry, which forgets the options */
    STEP_REMOVE, /* postconf -MX 'NAME' */
};

struct step {
    enum step_kind kind;
    struct str name, value;
    struct str why; /* of the group that it belongs to: the same bytes for all of them */
};

struct snippet {
    struct ctl *ctl;
    struct arena *arena;
    const struct config *config;
    struct postfix postfix;
    bool asked;                 /* Postfix's own settings are known */
    struct str config_dir;
    struct str hostname;
    struct str networks;        /* as mynetworks wants them */
    struct snippet_settings settings;
    struct endpoint ours;
    struct str listen;          /* as smtpd_milters wants it */
    struct str why;             /* of the group that is being made */
    struct step *steps;
    size_t count;
    bool apply, revert, reload; /* what was asked for */
};

/* because - the steps from here on belong together, for this reason. */
void because(struct snippet *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void snippet_step(struct snippet *s, enum step_kind kind, struct str name, struct str value);

void snippet_lines(struct snippet *s);    /* snippet_lines.c: main.cf */
void snippet_services(struct snippet *s); /* snippet_services.c: master.cf */

/* postfix_apply.c: take the steps, after showing what is and what will be. postfix_revert.c: put back what there was.
 * Both return an exit status. */
int snippet_apply(struct snippet *s);
int snippet_revert(struct snippet *s);

#include "../base/banned.h"
#endif
