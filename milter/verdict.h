/* verdict.h - findings become one verdict per message and per recipient. */
#ifndef VERDICT_H
#define VERDICT_H

#include "stage.h"

#define AT_ABORT STAGES /* "at" of a message that nobody refused and that its client gave up */

/* verdict_refuse - the client hears now, at `stage`, of this finding: sets the message's verdict and returns the reply. */
const struct reply *verdict_refuse(struct message *m, enum stage stage, const struct record *by);

/* verdict_refuse_connection - the same before MAIL. A message that is open stays open: Postfix hangs up or not. */
const struct reply *verdict_refuse_connection(struct session *s, const struct record *by);

/* verdict_refuse_rcpt - the same for one recipient; the message's verdict is not touched. */
const struct reply *verdict_refuse_rcpt(struct message *m, struct recipient *rcpt, const struct record *by);

/* verdict_limit - refuse for a reason of our own (a cap, a full disk): no policy found anything. */
const struct reply *verdict_limit(struct message *m, enum stage stage, enum reply_kind kind, int code,
                                  const char *status, const char *text);

/* verdict_limit_rcpt - the same for one recipient; the message's verdict is not touched. */
const struct reply *verdict_limit_rcpt(struct message *m, enum reply_kind kind, int code, const char *status,
                                       const char *text);

/* verdict_finish - what is to be said of a message that ends without having been refused as a whole: accepted at the
 * end, or given up; one whose every recipient was refused counts as refused. */
void verdict_finish(struct message *m, bool ended);

struct verdict verdict_of_connection(const struct session *s);

#endif
