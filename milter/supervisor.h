/* supervisor.h - the parent process: owns the listening socket and the signals, starts the serving child again when it
 * dies, and tells it to reload or to drain. It never touches mail. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "config.h"

/* supervise - bind or take over the listening socket, start the child, tell systemd, and stay until told to stop.
 * Takes over the configuration's reference. Returns the exit status (sysexits). */
int supervise(struct config *config);

/* supervisor_log_problems - one log line for each, at the level it deserves. */
void supervisor_log_problems(const struct problems *problems);

#endif
