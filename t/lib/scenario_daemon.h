/* scenario_daemon.h - the test daemon of one scenario, for the drivers that need one. */
#ifndef T_SCENARIO_DAEMON_H
#define T_SCENARIO_DAEMON_H

#include "scenario.h"

struct daemon;

/* daemon_start - the program sme-milter-test beside this one, with the play's configuration; waits until it serves. */
struct daemon *daemon_start(struct play *p, struct str *error);

/* daemon_world - let it see the play's time and load. */
void daemon_world(struct daemon *d, const struct play *p);

/* daemon_lines - give the report lines written, and the questions asked, since to `seen`; waits until there
 * are `due` lines, or a deadline. What else it said goes into the transcript. */
void daemon_lines(struct daemon *d, struct play *p, struct seen *seen, size_t due);

/* daemon_end - tell it to stop; daemons_finish - wait for all that were told, and judge their ends. */
void daemon_end(struct daemon *d);
void daemons_finish(struct tap *tap);

#endif
