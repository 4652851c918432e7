/* scenario.c - plays scenario files and tells the outcome as TAP.
 *
 *     scenario [--driver=inprocess|wire|postfix] [-v] FILE...
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "scenario.h"

#define FILE_MOST (16 * 1024 * 1024)

static const struct driver *const drivers[] = {&driver_inprocess, &driver_wire, &driver_postfix};

bool tap_point(struct tap *t, bool ok, const char *format, ...)
{
    va_list ap;

    t->points++;
    t->failed += !ok;
    printf("%s %u - ", ok ? "ok" : "not ok", t->points);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    printf("\n");
    return ok;
}

void tap_skip(struct tap *t, const char *what, const char *why)
{
    printf("ok %u - %s # SKIP %s\n", ++t->points, what, why);
}

void tap_lines(struct str text)
{
    struct str line;

    while (str_split(&text, '\n', &line))
        printf("# " STR_FMT "\n", STR_ARG(line));
}

static bool read_whole(struct arena *a, const char *path, struct str *text)
{
    FILE *f = fopen(path, "r");
    struct buf b = buf_in(a);
    char part[8192];
    size_t n;
    bool ok;

    if (!f)
        return false;
    buf_add(&b, STR_NONE);
    while (b.len < FILE_MOST && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&b, (struct str){part, n});
    ok = !ferror(f) && feof(f);
    fclose(f);
    *text = buf_str(&b);
    return ok;
}

static void play_file(struct tap *tap, const char *path, const struct driver *driver, bool verbose)
{
    struct arena *a = arena_new(0);
    struct scenario *scn;
    struct str text;

    if (!read_whole(a, path, &text)) {
        tap_point(tap, false, "%s: cannot be read: %s", path, errno ? strerror(errno) : "too large");
    } else {
        scn = scenario_parse(a, path, text);
        if (scn->error.n)
            tap_point(tap, false, "%s:%u: " STR_FMT, path, scn->error_line, STR_ARG(str_escaped(a, scn->error)));
        else if (!(scn->drivers & driver->bit))
            tap_skip(tap, path, "not for this driver, it says");
        else
            play_run(tap, scn, driver, verbose);
    }
    arena_free(&a);
    fflush(stdout);
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--driver=inprocess|wire|postfix] [-v] FILE...\n", program);
    return EX_USAGE;
}

static const struct driver *driver_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"driver", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0}};
    const struct driver *driver = &driver_inprocess;
    struct tap tap = {0, 0};
    bool verbose = false;
    int c;

    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        if (c == 'v')
            verbose = true;
        else if (c != 'd' || !(driver = driver_by_name(optarg)))
            return usage(argv[0]);
    }
    if (optind == argc)
        return usage(argv[0]);
    if (driver->prepare) {
        int status = driver->prepare(argv);

        if (status >= 0)
            return status;
    }
    for (int i = optind; i < argc; i++)
        play_file(&tap, argv[i], driver, verbose);
    if (driver->finish)
        driver->finish(&tap);
    printf("1..%u\n", tap.points);
    return tap.failed || tap.points == 0;
}
