/* spamd.h - SpamAssassin's daemon: a score, the score it takes to be spam, and the tests that hit. */
#ifndef SCAN_SPAMD_H
#define SCAN_SPAMD_H

#include "scan/raw.h"
#include "talk.h"

struct spam_answer {
    bool ok;
    double score, required;
    struct str score_text, required_text; /* as spamd wrote them: a sign, digits, a dot */
    struct str tests;                     /* "A,B": letters, digits, underscores; empty for none */
    struct str problem;                   /* when not ok: plain words */
};

struct spamd_scan;

/* spamd_begin - does not wait. user may be empty: spamd's own. */
struct spamd_scan *spamd_begin(struct arena *a, const struct talk_where *where, struct str user, const struct raw *raw,
                               int64_t deadline);
const struct spam_answer *spamd_finish(struct spamd_scan *scan);

/* spamd_parse - a whole answer to SYMBOLS. What is not exactly one is a problem: no score is invented. */
struct spam_answer spamd_parse(struct arena *a, struct str reply);

#endif
