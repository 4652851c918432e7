/* world.h - what a test daemon's world is: time and load, in a file that it and the scenario runner both map; the DNS,
 * in a script that it reads. Without these variables it is as any other. */
#ifndef T_WORLD_H
#define T_WORLD_H

#include <stdatomic.h>
#include <stdint.h>

#define WORLD_ENV "SME_TEST_WORLD" /* the path of that file */
#define DNS_ENV "SME_TEST_DNS"     /* the path of the script, as dns_script() takes it */
#define ASKED_ENV "SME_TEST_ASKED" /* where to write what was asked: "asked NAME TYPE", "unscripted NAME TYPE" */

struct world {
    _Atomic int64_t wall_ms;   /* stands still at this, as milliseconds since 1970 UTC */
    _Atomic int64_t passed_ms; /* added to the monotonic clock, which otherwise runs */
    _Atomic int64_t load_hundredths; /* negative: the system does not tell */
};

#endif
