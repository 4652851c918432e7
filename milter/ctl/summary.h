/* summary.h - what became of the mail of some days, counted from the journal; told as text, JSON or a page. */
#ifndef CTL_SUMMARY_H
#define CTL_SUMMARY_H

#include <jansson.h>

#include "journal_file.h"

enum verdict_counted { COUNT_ACCEPT, COUNT_REJECT, COUNT_TEMPFAIL, COUNT_OTHER, COUNTS };

/* A name and what was counted of it. Names are strangers' bytes: whoever prints them escapes them. */
struct tally_row {
    struct str name;
    uint64_t n[4];
};

struct tally { /* a hash table that grows; rows in the order in which they came until they are sorted */
    struct arena *arena;
    struct tally_row *rows;
    size_t count;
    uint32_t *slots; /* number of the row and 1; 0: free */
    size_t slot_count;
};

void tally_add(struct tally *t, struct str name, unsigned column); /* one more */
bool tally_has(const struct tally *t, struct str name); /* before it is sorted */
void tally_sort(struct tally *t); /* by the sum of the columns, largest first; nothing can be added afterwards */
uint64_t tally_sum(const struct tally_row *row);

enum { FOUND_GOOD, FOUND_BAD, FOUND_UNSURE, FOUND_WOULD }; /* columns of summary.findings */

#define SUMMARY_BARS 96
#define SUMMARY_SCORES 8
extern const double summary_score_bounds[SUMMARY_SCORES - 1]; /* of spam: below the first, ... */

struct summary {
    struct arena *arena;
    int64_t from_ms, to_ms;
    struct str host;
    uint64_t messages, connections, recipients, recipients_refused, bytes;
    uint64_t verdicts[COUNTS];          /* of messages */
    uint64_t refused_connections;
    uint64_t local, authenticated, tls, whitelisted; /* messages */
    uint64_t karma[3];                  /* messages whose connection ended below, at, above 0 */
    long karma_lowest, karma_highest;
    struct tally by;                    /* deciding policy: n[COUNT_...]; messages and connections */
    struct tally findings;              /* policy: n[FOUND_...]; in how many messages and connections */
    struct tally lists, viruses;        /* of findings that were bad */
    struct tally clients, senders, recipient_domains; /* n[COUNT_...] */
    uint64_t scores[SUMMARY_SCORES], scored;
    double score_sum, score_most;
    uint32_t *ms;                       /* of every message, sorted */
    size_t ms_count;
    int64_t bar_ms, first_bar_ms;       /* how long a bar of the volume is, and when the first one begins */
    unsigned bars;
    uint64_t volume[SUMMARY_BARS][COUNTS]; /* messages and refused connections */
    struct journal_gap *gaps;
    size_t gap_count;
};

/* summary_read - an SQLite result code. */
int summary_read(struct summary *s, sqlite3 *db);

/* summary_percentile - in ms; 0 when there was no message. */
uint32_t summary_percentile(const struct summary *s, double percent);

struct str summary_text(const struct summary *s, size_t top);
struct str summary_page(const struct summary *s, size_t top); /* HTML, complete and alone */
json_t *summary_json(const struct summary *s, size_t top);

/* What the forms of it share. */
struct str summary_time(struct arena *a, int64_t ms);     /* "2026-01-05 10:00" */
struct str summary_bytes(struct arena *a, uint64_t bytes); /* "1.2 MB" */
struct str summary_gap(struct arena *a, const struct journal_gap *gap);

#endif
