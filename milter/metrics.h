/* metrics.h - what the serving process has counted since it began: for `stats` and for OpenMetrics.
 *
 * Every label's values are known when the configuration is loaded (policies, stages, results, lists, stores): nothing
 * that a stranger sends becomes one. Counting is a few atomic additions; nobody waits for anybody.
 */
#ifndef METRICS_H
#define METRICS_H

#include <stdint.h>

#include "verdict.h"

/* metrics_message, _connection - as their line is written to the log. */
void metrics_message(const struct message *m);
void metrics_connection(const struct verdict *v);
void metrics_stage(enum stage stage, int64_t micros); /* what all policies of one stage took together */
void metrics_session_begun(void);
void metrics_session_ended(const struct session *s);  /* counts what was found of the connection itself */

/* What was counted, for who prints it. */
#define METRICS_POLICIES 64
#define METRICS_BUCKETS 13 /* the last one: whatever takes longer than metrics_bounds_ms tells */
extern const unsigned metrics_bounds_ms[METRICS_BUCKETS - 1];

struct metrics_histogram {
    uint64_t bucket[METRICS_BUCKETS]; /* not cumulative */
    uint64_t micros;                  /* sum */
};

struct metrics {
    int64_t sessions;       /* open now */
    uint64_t sessions_begun;
    uint64_t messages[VERDICT_QUARANTINE + 1];
    uint64_t connections[VERDICT_QUARANTINE + 1]; /* that never reached MAIL, or were refused between messages */
    uint64_t bytes;         /* of messages, as their lines tell */
    uint64_t recipients, recipients_refused;
    uint64_t findings[METRICS_POLICIES][UNSURE + 1]; /* by policy_index */
    uint64_t would_reject[METRICS_POLICIES];         /* bad, with reject = never */
    uint64_t refused[METRICS_POLICIES + 1][2];       /* messages and connections by deciding policy (the last: our own
                                                        limits); for good, for now */
    struct metrics_histogram stage[STAGES];
    struct metrics_histogram message;                /* from MAIL to its end */
};

void metrics_read(struct metrics *m);

#endif
