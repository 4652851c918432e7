/* clock.h - what the machine tells: the time and the load. Tests script both; nobody else asks the system. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "str.h"

int64_t clock_ms(void);      /* milliseconds that only ever grow: for durations and deadlines */
int64_t clock_micros(void);  /* the same clock in microseconds: for what is only measured */
int64_t clock_wall_ms(void); /* milliseconds since 1970-01-01 UTC: for dates */

/* clock_load - the 1-minute load average, asked of the system at most every ten seconds for the whole process;
 * false when the system does not tell. */
bool clock_load(double *load);

/* Tests: from now on time stands still at wall_ms and moves only by clock_script_advance(); the load is what is said
 * (negative: the system does not tell). clock_script_end() gives the real ones back. */
void clock_script_wall(int64_t wall_ms);
void clock_script_advance(int64_t ms);
void clock_script_load(double load);
void clock_script_end(void);
bool clock_is_scripted(void); /* whether time stands still */

/* clock_rfc3339 - "2026-01-05T10:00:00Z" and back; parsing takes exactly this form. */
struct str clock_rfc3339(struct arena *a, int64_t wall_ms);
bool clock_parse_rfc3339(struct str text, int64_t *wall_ms);

#include "banned.h"
#endif
