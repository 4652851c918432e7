/* stage.h - the runner: asks all, collects findings in order, applies immunity, and now, later or never.
 *
 *            every ask          every at, in order                          judged
 *  stage ──▶ (nothing waits) ─▶ finding ─▶ record ─▶ immune? ─▶ good, unsure, nothing ─────────────▶ go on
 *                                                      │ no      bad ─▶ never ────────────────────▶ go on (recorded)
 *                                                      ▼             ├▶ later ─▶ deferred ─▶ told at reply_at or end
 *                                                   not run          └▶ now ──────────────▶ told at once
 *
 * Rules, numbered because verdict.c and the tests refer to them:
 *  1. An immune client's policy is not run at all: no lookup, no finding, no karma. But a policy that `verifies` is run
 *     for who is immune as whitelisted alone: what it finds is recorded as cleared, refuses nothing and weighs nothing.
 *  2. Any other finding is recorded and weighs on karma whatever becomes of it.
 *  3. unsure never refuses; under `unsure = tempfail`, and where a policy itself says so (a virus scanner that is down),
 *     it counts as bad with a temporary reply, and still weighs nothing.
 *  4. The first refusing finding decides the reply; `now` ends the stage, `later` does not.
 *  5. A deferred finding is dropped when the client turns out to be immune to its policy: by authenticating (then all
 *     of the connection's are), by a whitelist.
 *  6. A finding about one recipient is told at its RCPT, even with `later`: nothing else can refuse one recipient.
 *  7. What is found at the end of the headers is told at the end of the message.
 */
#ifndef STAGE_H
#define STAGE_H

#include "policy.h"
#include "reply.h"

enum judged { JUDGED_NONE, JUDGED_NOW, JUDGED_LATER, JUDGED_NEVER, JUDGED_CLEARED };

struct record { /* a finding; or NOTHING, with what a policy noted: it is judged none and weighs nothing */
    struct record *next;
    const struct instance *instance;
    enum stage stage;
    struct finding finding;
    enum judged judged;
    long karma;                   /* what it weighed */
    const struct recipient *rcpt; /* at AT_RCPT */
    size_t facts_from, facts_count; /* what it noted, in the facts of its scope */
    int64_t micros;                 /* that the policy took; what it asked for before it was its turn does not count */
};

/* stage_run - the two passes. Returns the record that refuses now, or NULL. */
const struct record *stage_run(struct session *s, enum stage stage, const struct recipient *rcpt, struct str command);

/* stage_clear_deferred - rule 5: forget deferred findings the client is immune to by now. */
void stage_clear_deferred(struct session *s, bool authenticated_now);

/* stage_deferred - the finding to tell at this stage, or NULL: the first deferred one once reply_at is reached. */
const struct record *stage_deferred(const struct session *s, enum stage stage);

/* stages_used - bit (1 << stage) for every stage at which a profile of the configuration runs a policy that is not idle
 * there; bit (1 << (16 + stage)) where it may refuse or holds the client. For callbacks.c's negotiation. */
unsigned stages_used(const struct config *config);

/* stage_reply_kind - how a record's finding is told: unsure is always temporary. */
enum reply_kind record_reply_kind(const struct record *r);

#endif
