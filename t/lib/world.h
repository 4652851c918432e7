/* world.h - the time and the load of a test daemon, in a file that it and the scenario runner both map. */
#ifndef T_WORLD_H
#define T_WORLD_H

#include <stdatomic.h>
#include <stdint.h>

#define WORLD_ENV "SME_TEST_WORLD" /* the path of that file */

struct world {
    _Atomic int64_t wall_ms;   /* stands still at this, as milliseconds since 1970 UTC */
    _Atomic int64_t passed_ms; /* added to the monotonic clock, which otherwise runs */
    _Atomic int64_t load_hundredths; /* negative: the system does not tell */
};

#endif
