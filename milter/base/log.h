/* log.h - what the daemon says about itself; the one line per message is report.c's.
 *
 * The level is named by its consequence: error means something did not happen, fatal ends this process because it
 * cannot start, panic ends it because it must not go on. Arguments that come from outside go through str_escaped()
 * first; as a last line of defence control bytes of the finished text are written as \xHH.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TO_AUTO, LOG_TO_SYSLOG, LOG_TO_STDERR };

/* log_open - say where lines go and from which level on. LOG_TO_AUTO: syslog's mail facility when standard error is
 * the journal or nothing, standard error otherwise. May be called again (reload). */
void log_open(enum log_target target, enum log_level level);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_fatal(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn)); /* sysexits */
void log_panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* log_record - a finished line of report.c, written as it is, whatever the level. */
void log_record(struct str line);

/* log_capture - tests: lines go to fn instead; NULL ends it. Level: -1 for a record. */
void log_capture(void (*fn)(int level, struct str line, void *ctx), void *ctx);

#include "banned.h"
#endif
