/* waiting.h - who is about to wait inside a callback says so.
 *
 * libmilter's worker pool hands a batch of ready sessions to its few idle workers and lets the others stand behind them;
 * when callbacks wait (DNS, scanners, a greeting delay), sessions would queue up behind each other. serving.c cures
 * that with one dummy connection per wait (a "nudge"), which makes libmilter start another worker; it registers itself
 * here. Cost: nothing while nobody waits or only one does.
 *
 * Who waits for our answer may lose patience meanwhile (Postfix does); a thread names who is to be told that it is still
 * at work, and everything that waits in it does so in slices.
 */
#ifndef BASE_WAITING_H
#define BASE_WAITING_H

#include <stdint.h>

void waiting_begin(void);
void waiting_end(void);
unsigned waiting_now(void); /* callbacks waiting at this moment */

/* waiting_on_begin - fn is called by waiting_begin() when at least two wait; it must not block. */
void waiting_on_begin(void (*fn)(void));

/* waiting_tell - from now on fn(ctx) is called every so many ms while this thread waits; NULL: nobody is to be told. */
void waiting_tell(void (*fn)(void *ctx), void *ctx, int64_t every_ms);

/* waiting_gives - this thread has what others could use while it waits: give() is called when it next begins to wait,
 * and take() when it has waited. Once; NULL: it has nothing any more. */
void waiting_gives(void (*give)(void), void (*take)(void));

/* waiting_slice - how much of a wait of `ms` may be waited in one piece; tells now if it is time. Hold no lock. */
int64_t waiting_slice(int64_t ms);

#include "banned.h"
#endif
