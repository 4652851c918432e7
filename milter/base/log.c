/* log.c - syslog or standard error, one write per line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "log.h"

/* Read by every thread, written at start and by a reload. */
static struct {
    _Atomic bool syslog;
    _Atomic int level; /* enum log_level */
    void (*capture)(int, struct str, void *);
    void *capture_ctx;
} target = {.level = LOG_LEVEL_INFO};

static const struct {
    int priority;
    const char *word;
} levels[] = {
    [LOG_LEVEL_ERROR] = {LOG_ERR, "error: "},
    [LOG_LEVEL_WARN] = {LOG_WARNING, "warning: "},
    [LOG_LEVEL_INFO] = {LOG_INFO, ""},
    [LOG_LEVEL_DEBUG] = {LOG_DEBUG, "debug: "},
};

/* stderr_is_journal - systemd names the device and inode of the stream it gave us (systemd.exec(5), JOURNAL_STREAM). */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char text[64];

    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(text, sizeof text, "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    return strcmp(text, stream) == 0;
}

static bool stderr_is_nothing(void)
{
    struct stat err, null;

    if (fstat(STDERR_FILENO, &err) != 0)
        return true;
    return stat("/dev/null", &null) == 0 && S_ISCHR(err.st_mode) && err.st_rdev == null.st_rdev;
}

void log_open(enum log_target where, enum log_level level)
{
    bool to_syslog = where == LOG_TO_SYSLOG || (where == LOG_TO_AUTO && (stderr_is_journal() || stderr_is_nothing()));

    if (to_syslog && !target.syslog)
        openlog("sme-milter", LOG_PID | LOG_NDELAY, LOG_MAIL);
    target.level = (int)level;
    target.syslog = to_syslog;
}

__attribute__((format(printf, 2, 0)))
static void emit(enum log_level level, const char *format, va_list ap)
{
    char text[2048], clean[sizeof text * 4];
    size_t n = 0;

    if ((int)level > target.level)
        return;
    vsnprintf(text, sizeof text, format, ap);
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (c >= 0x20 && c < 0x7f)
            clean[n++] = (char)c;
        else
            n += (size_t)snprintf(clean + n, sizeof clean - n, "\\x%02x", c);
    }
    clean[n] = '\0';
    if (target.capture)
        target.capture((int)level, (struct str){clean, n}, target.capture_ctx);
    else if (target.syslog)
        syslog(levels[level].priority, "%s%s", levels[level].word, clean);
    else
        dprintf(STDERR_FILENO, "sme-milter: %s%s\n", levels[level].word, clean);
}

#define EMIT(level)                                                                                                  \
    do {                                                                                                             \
        va_list ap;                                                                                                  \
        va_start(ap, format);                                                                                        \
        emit(level, format, ap);                                                                                     \
        va_end(ap);                                                                                                  \
    } while (0)

void log_debug(const char *format, ...)
{
    EMIT(LOG_LEVEL_DEBUG);
}

void log_info(const char *format, ...)
{
    EMIT(LOG_LEVEL_INFO);
}

void log_warn(const char *format, ...)
{
    EMIT(LOG_LEVEL_WARN);
}

void log_error(const char *format, ...)
{
    EMIT(LOG_LEVEL_ERROR);
}

void log_fatal(int status, const char *format, ...)
{
    EMIT(LOG_LEVEL_ERROR);
    _exit(status);
}

void log_panic(const char *format, ...)
{
    EMIT(LOG_LEVEL_ERROR);
    abort();
}

void log_record(struct str line)
{
    struct iovec parts[] = {{(void *)line.p, line.n}, {"\n", 1}};

    if (target.capture)
        target.capture(-1, line, target.capture_ctx);
    else if (target.syslog)
        syslog(LOG_INFO, STR_FMT, STR_ARG(line));
    else if (writev(STDERR_FILENO, parts, 2) < 0)
        return; /* nowhere left to complain to */
}

void log_capture(void (*fn)(int, struct str, void *), void *ctx)
{
    target.capture = fn;
    target.capture_ctx = ctx;
}
