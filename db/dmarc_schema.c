/* dmarc_schema.c - the tables behind the aggregate reports, version by version. A step that was released is never
 * changed again. */
#include <stddef.h>

#include "dmarc_store.h"

/* A policy that changes during the day makes another report; so does what is learned after a report was sent. The rua
 * is not part of what is reported: the newest one holds. */
static const char dmarc_1[] =
    "CREATE TABLE report ("
    " id INTEGER PRIMARY KEY,"
    " day TEXT NOT NULL,"                          /* UTC, 2026-01-05 */
    " domain TEXT NOT NULL,"                       /* where the policy was found */
    " org_domain TEXT NOT NULL,"                   /* of that domain */
    " discovery TEXT NOT NULL,"                    /* treewalk, psl */
    " p TEXT NOT NULL,"
    " sp TEXT NOT NULL,"
    " np TEXT NOT NULL,"
    " adkim TEXT NOT NULL,"
    " aspf TEXT NOT NULL,"
    " testing TEXT NOT NULL,"
    " fo TEXT NOT NULL,"
    " rua TEXT NOT NULL,"                          /* addresses, blanks between */
    " state TEXT NOT NULL DEFAULT 'collecting',"   /* collecting, sending, sent, failed */
    " unique_id TEXT NOT NULL DEFAULT '',"         /* these three from the moment it is being sent */
    " report_id TEXT NOT NULL DEFAULT '',"
    " submitter TEXT NOT NULL DEFAULT '',"
    " ended_at INTEGER NOT NULL DEFAULT 0"         /* seconds since 1970; 0: not yet */
    ");"
    "CREATE UNIQUE INDEX report_collecting ON report"
    " (day, domain, discovery, p, sp, np, adkim, aspf, testing, fo) WHERE state = 'collecting';"
    "CREATE INDEX report_day ON report (day, domain);"
    "CREATE TABLE record ("
    " report INTEGER NOT NULL,"
    " source_ip TEXT NOT NULL,"
    " header_from TEXT NOT NULL,"
    " envelope_from TEXT NOT NULL,"                /* empty: the null sender */
    " envelope_to TEXT NOT NULL,"                  /* empty: not told */
    " disposition TEXT NOT NULL,"
    " dkim TEXT NOT NULL,"                         /* aligned: pass or fail */
    " spf TEXT NOT NULL,"
    " reason TEXT NOT NULL,"                       /* why the policy was not applied; empty: it was */
    " comment TEXT NOT NULL,"
    " spf_domain TEXT NOT NULL,"                   /* empty: SPF was not checked */
    " spf_result TEXT NOT NULL,"
    " signatures TEXT NOT NULL,"                   /* a line each: domain selector result */
    " messages INTEGER NOT NULL,"
    " PRIMARY KEY (report, source_ip, header_from, envelope_from, envelope_to, disposition, dkim, spf, reason,"
    " comment, spf_domain, spf_result, signatures)"
    ") WITHOUT ROWID;"
    "CREATE TABLE delivery ("
    " report INTEGER NOT NULL,"
    " destination TEXT NOT NULL,"
    " state TEXT NOT NULL,"                        /* sent, refused, waiting */
    " said TEXT NOT NULL,"
    " at INTEGER NOT NULL,"
    " PRIMARY KEY (report, destination)"
    ") WITHOUT ROWID;";

static const char *const dmarc_steps[] = {dmarc_1, NULL};

const struct schema dmarc_schema = {
    .name = "dmarc",
    .application_id = 0x534d4564, /* "SMEd" */
    .steps = dmarc_steps,
};
