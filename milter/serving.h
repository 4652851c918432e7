/* serving.h - the serving child: obeys the supervisor, drains, and keeps libmilter's workers coming (waiting.h). */
#ifndef SERVING_H
#define SERVING_H

#include "config.h"

/* The supervisor and its child talk over a socket pair in single bytes. */
enum { CONTROL_READY = 'R', CONTROL_RELOAD = 'L', CONTROL_RELOADED = 'l', CONTROL_RELOAD_FAILED = 'f',
       CONTROL_DRAIN = 'D', CONTROL_PING = 'P', CONTROL_PONG = 'p' };

/* serve - run the child on the listening descriptor until it is drained; never returns. */
_Noreturn void serve(struct config *config, int listen_fd, int control_fd);

#endif
