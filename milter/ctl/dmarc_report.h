/* dmarc_report.h - what the files of `sme-milterctl dmarc report` share.
 *
 *   dmarc_report.c         the command: which reports, telling about them
 *   dmarc_report_send.c    sending, written down before and after, so that nothing is sent under two names
 *   dmarc_report_where.c   destinations: who agreed to get reports
 *   dmarc_report_mail.c    one report as a message, handed to sendmail
 */
#ifndef CTL_DMARC_REPORT_H
#define CTL_DMARC_REPORT_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "../auth/report_rua.h"
#include "../config.h"
#include "ctl.h"
#include "db/dmarc_store.h"

#define REPORT_DAY_S 86400
#define REPORT_TRIED_DAYS 7 /* after that a report that could not be sent has failed */

struct report_work {
    struct ctl *ctl;
    struct config *config;
    sqlite3 *db;
    struct str org_name, email, submitter; /* who reports */
    const char *sendmail;
    int64_t now; /* seconds since 1970 */
    struct dmarc_report *reports;
    size_t count;
    bool send, dry_run;
    bool trouble;   /* something has to be tried again */
    json_t *json;   /* array of what is told; NULL: plain text */
};

/* ---- dmarc_report.c ---- */

/* report_day_begin - seconds since 1970 of a day "2026-01-05"; false when it is none. */
bool report_day_begin(struct str day, int64_t *seconds);

/* report_said - a destination of a report, and what became of it. state: "sent", "refused", "waiting", "would be sent",
 * "wanted". */
struct report_said {
    struct str destination, state, said;
};

/* report_tell - one report and its destinations. */
void report_tell(struct report_work *w, const struct dmarc_report *r, struct str file, const struct report_said *said,
                 size_t count);

/* report_failed - the file has trouble: said, and the exit status. */
int report_failed(struct report_work *w, int result);

/* ---- dmarc_report_send.c ---- */

int report_send_all(struct report_work *w);

/* ---- dmarc_report_where.c ---- */

enum where_state { WHERE_OPEN, WHERE_REFUSED, WHERE_UNKNOWN };

struct where { /* one address of a report */
    struct str address, domain;
    bool external;
    struct dns_question *question;
    enum where_state state;
    struct str why; /* it is refused or not known */
};

struct wheres {
    struct where items[2 * RUA_MOST]; /* those of the policy, and those that agreements name instead */
    size_t count;
};

/* wheres_ask - the destinations of a report; whoever must agree is asked, which takes its time. */
void wheres_ask(struct arena *a, const struct dmarc_report *r, struct wheres *wheres);
void wheres_harvest(struct arena *a, struct wheres *wheres, int64_t deadline);

/* ---- dmarc_report_mail.c ---- */

struct report_file {
    struct str name;   /* "mx.here.test!example.com!1767571200!1767657599!UNIQUE.xml.gz" */
    struct str base64; /* the gzipped XML, in lines */
    size_t bytes;      /* of the file */
};

/* report_file_make - false (said) when the records cannot be read or compressed. */
bool report_file_make(struct report_work *w, struct arena *a, const struct dmarc_report *r, struct report_file *file,
                      int *result);

enum mailed {
    MAILED,
    MAILED_REFUSED, /* this address will never do */
    MAILED_LATER,   /* it may go well another time */
};

/* mail_send - hand a complete message to a program that is called as sendmail is; *why says what went wrong. */
enum mailed mail_send(struct arena *a, const char *sendmail, struct str from, struct str to, struct str text,
                      struct str *why);
struct str mail_date(struct arena *a, int64_t seconds); /* RFC 5322's, of seconds since 1970 */
struct str mail_base64(struct arena *a, struct str data); /* in lines */

/* report_mail - hand it to sendmail for one address; *why says what went wrong. */
enum mailed report_mail(struct report_work *w, struct arena *a, const struct dmarc_report *r,
                        const struct report_file *file, struct str address, struct str *why);

#endif
