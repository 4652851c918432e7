/* report_own.h - which mail belongs to the exchange of aggregate reports itself. */
#ifndef AUTH_REPORT_OWN_H
#define AUTH_REPORT_OWN_H

#include <stdbool.h>

#include "../base/arena.h"
#include "../base/str.h"

struct message;

/* report_email - where our reports come from: the option email, or postmaster@HOSTNAME. */
struct str report_email(struct arena *a, struct str option, struct str hostname);

/* report_is_own - the message is a report, or comes from or goes to nobody but where our reports come from. Nothing of
 * it is to be recorded: otherwise two servers write to each other for ever about nothing but their reports. */
bool report_is_own(const struct message *m, struct str email);

#include "../base/banned.h"
#endif
