/* control.h - the door for sme-milterctl: STATE_DIR/control, a Unix socket that only root and the daemon's own user and
 * group may open. One line in ("karma"), one line out ("ok", "error: ...", or a JSON object). */
#ifndef CONTROL_H
#define CONTROL_H

#include "base/str.h"

#define CONTROL_SOCKET "control" /* in state_dir */
#define CONTROL_LINE_MOST 4096

/* control_start - listen, on a thread of its own. What cannot be opened is logged; mail flows without it. */
void control_start(struct str state_dir);

/* control_answer - what the daemon says to a line, without its end. For control.c and its test. */
struct str control_answer(struct arena *a, struct str line);

#endif
