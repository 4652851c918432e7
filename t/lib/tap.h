/* tap.h - the checks of the unit tests, told as TAP (https://testanything.org), with the plan at the end.
 *
 *     int main(void)
 *     {
 *         ok(2 > 1, "two is more than one");
 *         is_str(str_trim(STR(" a ")), STR("a"), "blanks go");
 *         return tap_end();
 *     }
 *
 * Each check returns what it found, so that what depends on it can be left out. For one thread.
 */
#ifndef T_TAP_H
#define T_TAP_H

#include <stdbool.h>

#include "../../milter/base/str.h"

/* Tables of tests hold char pointers; because str_of() asks whether one is NULL, GCC believes that it might be. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wformat-overflow"
#endif

#define ok(...) tap_ok(__FILE__, __LINE__, __VA_ARGS__)           /* condition, format, ... */
#define is_str(...) tap_is_str(__FILE__, __LINE__, __VA_ARGS__)   /* got, want, format, ... */
#define is_long(...) tap_is_long(__FILE__, __LINE__, __VA_ARGS__) /* got, want, format, ... */

bool tap_ok(const char *file, int line, bool condition, const char *format, ...) __attribute__((format(printf, 4, 5)));
bool tap_is_str(const char *file, int line, struct str got, struct str want, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool tap_is_long(const char *file, int line, long long got, long long want, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

void diag(const char *format, ...) __attribute__((format(printf, 1, 2)));           /* a comment line */
void bail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn)); /* nothing more can be tested */
void skip_all(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* tap_cpu_ms - processor time of this process: what a check of speed compares, for the machine may be busy. */
long long tap_cpu_ms(void);

/* tap_end - print the plan; what main() returns: 1 when a check failed or none was made. */
int tap_end(void);

#endif
