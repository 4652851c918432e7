/* banned.h - functions that nobody here calls: each has let a stranger's bytes overflow, truncate or race somewhere.
 *
 * Included by every header of base/, so that a use does not compile. Say buf_addf(), str_dup(), arena_printf(),
 * str_to_long() or the clock_ functions instead. The headers that declare them come first; those of other libraries
 * must be included before ours.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#undef alloca
#pragma GCC poison strcpy strcat strncpy strncat strtok strtok_r sprintf vsprintf gets
#pragma GCC poison localtime gmtime asctime ctime atoi atol atoll alloca system popen tmpnam mktemp

#endif
