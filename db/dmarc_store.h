/* dmarc_store.h - what the aggregate reports of RFC 9990 are made of: one row per kind of message, counted.
 *
 *   dmarc_record_add ─▶ queue of db/database.c ─▶ report (day, domain, policy) ─▶ its records, with their counts
 *   sme-milterctl dmarc report ─▶ collecting ─▶ sending (its name is fixed) ─▶ sent or failed ─▶ forgotten
 *
 * A report is one policy of one domain on one UTC day. As soon as it is being sent nothing is added to it any more:
 * what comes later for the same day begins another one, with another name.
 */
#ifndef DB_DMARC_STORE_H
#define DB_DMARC_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/report_xml.h"
#include "auth/results.h"
#include "base/arena.h"
#include "base/ip.h"
#include "base/str.h"
#include "database.h"

#define DMARC_SIGNATURES_MOST 100 /* of one row (RFC 9990) */

extern const struct schema dmarc_schema;

struct report_policy { /* what the domain publishes, its defaults filled in */
    struct str domain;     /* where the record was found, as A-labels */
    struct str org_domain; /* of the author domain */
    enum dmarc_disposition p, sp, np;
    bool adkim_strict, aspf_strict;
    bool testing;
    bool psl;              /* found by the public suffix list, not by the tree walk */
    struct str fo;         /* empty: "0" */
    struct str rua;        /* the tag's value */
};

struct dmarc_row { /* one message; everything is copied */
    int64_t at; /* seconds since 1970 */
    struct ip source;
    struct report_policy policy;
    struct str header_from;   /* the author domain */
    struct str envelope_from; /* domain of MAIL; empty: the null sender */
    struct str envelope_to;   /* domain of the recipients; empty: not told */
    enum dmarc_disposition disposition;
    bool dkim_aligned, spf_aligned;
    struct str override; /* RFC 9990's word; empty: the policy was applied */
    struct str comment;
    const struct dkim_result *dkim; /* all of them; the ones that matter most are kept */
    size_t dkim_count;
    enum auth_result spf; /* of MAIL FROM */
    struct str spf_domain; /* empty: SPF was not checked */
};

/* ---- in the daemon; one store per process ---- */

void dmarc_store_start(struct str directory, int wait_ms);
void dmarc_store_stop(int wait_ms);
bool dmarc_store_running(void);
bool dmarc_store_status(struct database_status *status); /* false: not started */
bool dmarc_store_flush(int wait_ms);

/* dmarc_record_add - never waits. Nothing is kept of a domain that names no destination that we can send to, nor of a
 * row that a report could not tell truly: its source or its domains are not known. */
void dmarc_record_add(const struct dmarc_row *row);

struct dmarc_counters {
    uint64_t added;
    uint64_t unwanted; /* no usable rua */
    uint64_t unusable; /* no source, or a domain that is none */
    uint64_t shortened; /* added, but without signatures or a field for which there was no room */
};
void dmarc_store_count(struct dmarc_counters *counters);

/* ---- on a file, for sme-milterctl and tests (database_open_file); each returns an SQLite result code ---- */

struct dmarc_report {
    int64_t id;
    struct str day; /* "2026-01-05" */
    struct report_published published;
    struct str org_domain; /* of the policy domain */
    struct str rua;   /* addresses, blanks between */
    struct str state; /* "collecting", "sending", "sent", "failed" */
    struct str unique_id, report_id, submitter; /* empty while it is collecting */
    int64_t records, messages;
    int64_t ended_at; /* seconds since 1970, 0 before */
};

struct dmarc_wish { /* which reports; days include both ends */
    struct str from, to;
    struct str domain; /* policy domain; empty: all */
    bool open;         /* only those that are not sent and have not failed */
};

int dmarc_file_reports(sqlite3 *db, struct arena *a, const struct dmarc_wish *wish, struct dmarc_report **list,
                       size_t *count);

/* dmarc_file_records - always in the same order; `each` returns false to stop. What it gets lives until it returns. */
int dmarc_file_records(sqlite3 *db, int64_t report, bool (*each)(const struct report_record *r, void *ctx), void *ctx);

/* dmarc_file_begin - it is being sent from now on, under these names; one that already was keeps the older ones, which
 * are then in *r. */
int dmarc_file_begin(sqlite3 *db, struct arena *a, struct dmarc_report *r);
int dmarc_file_end(sqlite3 *db, int64_t report, bool sent, int64_t now);

/* What became of a report at one address: "sent" and "refused" are final, "waiting" is tried again. */
struct dmarc_delivery {
    struct str destination, state, said;
    int64_t at;
};
int dmarc_file_deliveries(sqlite3 *db, struct arena *a, int64_t report, struct dmarc_delivery **list, size_t *count);
int dmarc_file_note(sqlite3 *db, int64_t report, const struct dmarc_delivery *d);

/* dmarc_file_tidy - forget at most `most` rows that are too old at `now`; *more: there may be others. */
int dmarc_file_tidy(sqlite3 *db, int64_t now, int most, bool *more);

#include "base/banned.h"
#endif
