/* health_state.h - between health.c and health_watch.c. */
#ifndef DNS_HEALTH_STATE_H
#define DNS_HEALTH_STATE_H

#include "health.h"

void health_require(bool required); /* whether lists must earn their trust */
void health_on_turn(void (*call)(void)); /* when a list's state changes; it must not call health.c */
void health_remember(struct str name, struct str test, double mean_listed, uint64_t samples); /* from an earlier life */

#endif
