/* trouble.h - a scanner that does not work is told to the log, but not once for every message. */
#ifndef SCAN_TROUBLE_H
#define SCAN_TROUBLE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/str.h"

struct trouble {
    _Atomic int64_t next; /* clock_ms() before which it is not told again */
};

void trouble_warn(struct trouble *t, const char *who, struct str problem); /* the problem may hold outside bytes */

#endif
