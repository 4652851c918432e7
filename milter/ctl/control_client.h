/* control_client.h - a word to the running daemon. */
#ifndef CTL_CONTROL_CLIENT_H
#define CTL_CONTROL_CLIENT_H

#include "../base/str.h"

struct config;
struct ctl;

/* control_tell - send the line (without its end) to the daemon that uses this state_dir, and wait 5 s for its answer.
 * *answer is that line as it came, or empty when no daemon runs, which is CTL_FINE too. What is wrong is said on
 * standard error: EX_TEMPFAIL (no answer, or one that begins with "error"), EX_NOPERM. */
int control_tell(struct ctl *ctl, const struct config *config, const char *line, struct str *answer);

#endif
