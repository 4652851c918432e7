/* metrics_listen.h - OpenMetrics over HTTP, for a collector on the same machine: metrics { listen = ... }.
 *
 * One thread, METRICS_CALLERS_MOST callers at once, each with METRICS_PATIENCE_MS from its first byte to its last: who
 * sends junk, or reads slowly, loses the connection, and so does the oldest caller when one more comes. Only a Unix socket or an address of loopback is taken.
 */
#ifndef METRICS_LISTEN_H
#define METRICS_LISTEN_H

#include "base/str.h"

#define METRICS_CALLERS_MOST 16
#define METRICS_PATIENCE_MS 5000

/* metrics_listen - from now on answer there; empty: nowhere. Called again on reload; the same place is kept. What cannot
 * be had is logged, and mail flows without it. group may open a Unix socket. */
void metrics_listen(struct str listen, struct str group);
void metrics_listen_stop(void);

#include "base/banned.h"
#endif
