/* report.h - the one log line per message, or per connection that never reached MAIL. */
#ifndef REPORT_H
#define REPORT_H

#include "session.h"
#include "message.h"

extern const char *const verdict_names[]; /* "accept" "reject" "tempfail" "discard" "quarantine" */

/* What a line and the journal call the same. */
struct str report_path(struct arena *a, const struct address *address); /* "<a@b>"; a malformed one as it came */
const char *report_at(int at);
const char *report_by(const struct verdict *v);
long long report_size(const struct message *m); /* bytes seen, or declared where the body is not sent to us */

void report_message(const struct message *m);
void report_connection(const struct session *s, const struct verdict *v);

/* report_line - what report_message() would write in that format (enum log_format); for tests. Of logterse it may be
 * several lines, or none. */
struct str report_line(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v,
                       int format);

/* report_logterse - the lines that SME's statistics read. See report_logterse.c. */
struct str report_logterse(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v);

/* report_journal - the same into the journal, if there is one; m is NULL for a connection. See report_journal.c. */
void report_journal(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v);

#endif
