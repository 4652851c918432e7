/* serving.h - the serving child: obeys the supervisor, drains, and keeps libmilter's workers coming (waiting.h). */
#ifndef SERVING_H
#define SERVING_H

#include "config.h"
#include "listener.h"

/* The supervisor and its child talk over a socket pair in single bytes. End of file: the other one is gone. */
enum { CONTROL_READY = 'R', CONTROL_RELOAD = 'L', CONTROL_RELOADED = 'l', CONTROL_RELOAD_FAILED = 'f',
       CONTROL_DRAIN = 'D', CONTROL_PING = 'P', CONTROL_PONG = 'p' };

/* How long open sessions may take to end: when told to stop, and when the supervisor died and nobody waits for us.
 * The first is what is left of systemd's TimeoutStopSec. */
enum { DRAIN_LIMIT_MS = 20000, ORPHAN_LIMIT_MS = 600000 };

/* serve - run the child on the listening socket until it is drained; never returns. Called with all signals blocked
 * and no thread but this one. */
_Noreturn void serve(struct config *config, const struct listener *listener, int control_fd);

#endif
