/* scenario_postfix.h - what the Postfix driver's two halves share: the SMTP client and the look into the queue. */
#ifndef T_SCENARIO_POSTFIX_H
#define T_SCENARIO_POSTFIX_H

#include "scenario.h"

/* queue_edits - which of the message's expected edits are to be seen in Postfix's queue file, and whether anything else
 * was changed; `rcpts` is the number of recipients that Postfix accepted. Fills seen->edits. */
void queue_edits(struct play *p, const struct step *step, struct str id, unsigned rcpts, struct seen *seen);

#endif
