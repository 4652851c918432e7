/* report.h - the one log line per message, or per connection that never reached MAIL. */
#ifndef REPORT_H
#define REPORT_H

#include "session.h"
#include "message.h"

extern const char *const verdict_names[]; /* "accept" "reject" "tempfail" "discard" "quarantine" */

void report_message(const struct message *m);
void report_connection(const struct session *s, const struct verdict *v);

/* report_line - what report_message() would write in that format (enum log_format); for tests. */
struct str report_line(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v,
                       int format);

#endif
