/* tap.c - numbers, words and counts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

static long made, failed;

/* print_clean - one line of text: what could look like another TAP line or a directive is written as \xHH. */
static void print_clean(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c >= 0x20 && c < 0x7f && c != '#')
            putchar(c);
        else
            printf("\\x%02x", c);
    }
}

static void __attribute__((format(printf, 4, 0)))
verdict(bool good, const char *file, int line, const char *format, va_list ap)
{
    char text[512];

    vsnprintf(text, sizeof text, format, ap);
    made++;
    failed += !good;
    printf("%sok %ld - ", good ? "" : "not ", made);
    print_clean(text, strlen(text));
    putchar('\n');
    if (!good)
        printf("#   at %s:%d\n", file, line);
    fflush(stdout);
}

bool tap_ok(const char *file, int line, bool condition, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    verdict(condition, file, line, format, ap);
    va_end(ap);
    return condition;
}

static void print_bytes(const char *what, struct str s)
{
    printf("#   %s: '", what);
    print_clean(s.p, s.n < 1024 ? s.n : 1024);
    printf("' (%zu bytes)\n", s.n);
}

bool tap_is_str(const char *file, int line, struct str got, struct str want, const char *format, ...)
{
    bool same = got.n == want.n && (got.n == 0 || memcmp(got.p, want.p, got.n) == 0);
    va_list ap;

    va_start(ap, format);
    verdict(same, file, line, format, ap);
    va_end(ap);
    if (!same) {
        print_bytes(" got", got);
        print_bytes("want", want);
        fflush(stdout);
    }
    return same;
}

bool tap_is_long(const char *file, int line, long long got, long long want, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    verdict(got == want, file, line, format, ap);
    va_end(ap);
    if (got != want) {
        printf("#    got: %lld\n#   want: %lld\n", got, want);
        fflush(stdout);
    }
    return got == want;
}

void diag(const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    fputs("# ", stdout);
    print_clean(text, strlen(text));
    putchar('\n');
    fflush(stdout);
}

void bail(const char *format, ...)
{
    va_list ap;

    fputs("Bail out! ", stdout);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    exit(255);
}

void skip_all(const char *format, ...)
{
    va_list ap;

    if (made)
        bail("skip_all after %ld checks", made);
    fputs("1..0 # SKIP ", stdout);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    exit(0);
}

long long tap_cpu_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int tap_end(void)
{
    if (made == 0)
        bail("no check was made");
    printf("1..%ld\n", made);
    if (failed)
        printf("# %ld of %ld failed\n", failed, made);
    fflush(stdout);
    return failed ? 1 : 0;
}
