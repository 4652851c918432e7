/* past.h - a message of the journal, judged again by the real runner under a configuration of today.
 *
 *   journal_message ─ past_read ─▶ past_row ─ past_judge ─▶ session, message, stage.c ─▶ past_answer
 *                                                                │       ▲
 *                                                                ▼       │
 *                                                              past_finding
 *
 * The session is opened from what the journal kept, and the calls of SMTP are made again in their order; profiles,
 * immunity, now, later or never, and the verdict are the runner's own code. Only where a policy would look at the world
 * (stage.c calls its `at`), the past answers:
 *
 *   its inputs are all in the journal (policy->replays)      its own `at` is run, with today's options
 *   it can judge by what it noted (policy->again)            that is asked, with the finding and facts of then
 *   it ran, and its own options are as they were             the finding of then
 *   it did not run then, or needs what was not kept          nobody knows: past_answer.unknown says who and where
 *
 * What is not known is never guessed: the answer then ends there. The same holds for the client: what it would have said
 * had it not been refused, nobody knows.
 */
#ifndef PAST_H
#define PAST_H

#include "config.h"
#include "db/journal.h"
#include "message.h"
#include "session.h"
#include "verdict.h"

struct past_row; /* a row of the journal, made ready: words are numbers */

/* past_read - made once, judged as often as is wanted. It and what it points to live in `a` and in *m. */
const struct past_row *past_read(struct arena *a, const struct journal_message *m);

struct past_answer {
    enum verdict_kind kind;
    struct str by, at;     /* policy and stage, as the journal writes them; empty: nobody */
    int code;              /* what the client hears, 0: accepted */
    struct str status, text;
    struct str profile;
    unsigned rcpt_refused; /* of those that are listed */
    long karma;            /* of the connection, as far as it goes */
    bool known;            /* false: from `unknown` on the past does not tell */
    struct str unknown;    /* "uribl at message: it was not run then" */
};

/* past_judge - everything returned lives in `a`. `changed`: policies of which an option is not as it was then that
 * cannot be judged again, by policy_index; NULL: none. Nothing is logged, learned, journalled or asked. */
void past_judge(struct arena *a, struct config *config, const struct past_row *row, const bool *changed,
                struct past_answer *answer);

/* past_then - what the journal says was decided, in the same form. */
void past_then(struct arena *a, const struct past_row *row, struct past_answer *answer);

/* past_same - whether two answers are the same to the client: verdict, code, who decided and where, recipients. */
bool past_same(const struct past_answer *x, const struct past_answer *y);

/* What would have changed it: one line of the configuration, and what the message would have come to with it. */
struct past_counter {
    struct str change;         /* as config_change_add() takes it */
    struct str line;           /* as the file has it; of a long list, what to take out of it */
    struct past_answer answer; /* another than it is; perhaps not known */
};

/* Loads the present configuration with changes; NULL: they are wrong. */
struct past_loader {
    struct config *(*load)(void *ctx, struct conf_entry *changes, struct problems *problems);
    void *ctx;
};

/* past_counters - every finding and every list entry that counted left out, the client on the whitelist, each threshold
 * moved: those of them that make a difference. Everything lives in `a`. */
size_t past_counters(struct arena *a, struct config *config, const struct past_row *row,
                     const struct past_loader *loader, struct past_counter **list);

/* past_can_tell - whether a change of this option of the policy can be judged from the journal; else *why says what is
 * missing, for people. Common options always can. */
bool past_can_tell(const struct policy *policy, const char *option, struct str *why);

/* past_differ - where another whole configuration differs from the present one in what the journal cannot tell: sets
 * changed[policy_index] for past_judge(), and returns a line about each, for people, in `a`; 0: it can tell all. */
size_t past_differ(struct arena *a, const struct config *now, const struct config *other, bool *changed,
                   struct str **lines);

/* past_over_limits - whether the row would meet, or met, a limit that is not the same in both: that is not judged
 * again. Then *why, for people. */
bool past_over_limits(const struct past_row *row, const struct config *now, const struct config *other,
                      struct str *why);

/* past_finding - for stage.c, in place of policy->at[stage](c), when c->session->past is set. past_stage - a stage
 * begins. */
struct finding past_finding(struct context *c, enum stage stage);
void past_stage(struct session *s, enum stage stage);

#include "base/banned.h"
#endif
