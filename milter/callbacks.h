/* callbacks.h - libmilter's side of the house. callbacks.c is the only file that includes libmilter's header. */
#ifndef CALLBACKS_H
#define CALLBACKS_H

#include "config.h"

/* callbacks_use - sessions that begin from now on use this configuration (takes a reference; drops the last one's).
 * Safe from any thread. callbacks_config - a reference to the one in use, to be given back with config_unref(). */
void callbacks_use(struct config *config);
struct config *callbacks_config(void);

/* callbacks_serve - register with libmilter and serve connections from the listening descriptor `fd` (non-blocking) until
 * it is told to stop; `ready` is called once, when connections can be taken. Blocks. 0 or an errno-like failure. */
int callbacks_serve(int fd, void (*ready)(void));

#endif
