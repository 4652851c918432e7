/* waiting.h - who is about to wait inside a callback says so.
 *
 * libmilter's worker pool hands a batch of ready sessions to its few idle workers and lets the others stand behind them;
 * when callbacks wait (DNS, scanners, a greeting delay), sessions would queue up behind each other. serving.c cures
 * that with one dummy connection per wait (a "nudge"), which makes libmilter start another worker; it registers itself
 * here. Cost: nothing while nobody waits or only one does.
 */
#ifndef BASE_WAITING_H
#define BASE_WAITING_H

void waiting_begin(void);
void waiting_end(void);
unsigned waiting_now(void); /* callbacks waiting at this moment */

/* waiting_on_begin - fn is called by waiting_begin() when at least two wait; it must not block. */
void waiting_on_begin(void (*fn)(void));

#include "banned.h"
#endif
