/* control.h - the door for sme-milterctl: STATE_DIR/control, a Unix socket that only root and the daemon's own user and
 * group may open. One line in ("karma"), one line out ("ok", "error: ...", or a JSON object). */
#ifndef CONTROL_H
#define CONTROL_H

#include "base/str.h"

#define CONTROL_SOCKET "control" /* in state_dir */
#define CONTROL_LINE_MOST 4096

/* control_start - listen, on a thread of its own. Where that is not possible, and where the name is gone or no longer
 * ours, it is tried again every few seconds, and logged; mail flows without it. A process that begins takes the name over
 * from one that drains. */
void control_start(struct str state_dir);

/* control_stop - for the end of a drained process, before the stores end: nobody is answered any more, and the name is
 * removed, unless another process has taken it over. */
void control_stop(void);

/* control_answer - what the daemon says to a line, without its end. For control.c and its test. */
struct str control_answer(struct arena *a, struct str line);

#endif
