/* clamd.h - ClamAV's daemon over INSTREAM: the message is sent, no file is shared. */
#ifndef SCAN_CLAMD_H
#define SCAN_CLAMD_H

#include "scan/engine.h"

/* clamd_parse - what an answer to INSTREAM says: "stream: OK", "stream: NAME FOUND", "... ERROR". Everything else is an
 * error; nothing but the first of them is clean. */
struct virus_answer clamd_parse(struct arena *a, struct str reply);

#endif
