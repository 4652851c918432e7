/* scenario.c - plays scenario files and tells the outcome as TAP.
 *
 *     scenario [--driver=inprocess|wire|postfix] [--again] [-v] FILE...
 *
 * --again judges what the journal would have kept of the play, see scenario_past.c.
 *
 * A file whose first line is `mistakes` tests this program: it holds scenarios, with lines of `---` between them, in
 * which the lines that end in `# wrong`, and no others, must fail.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "scenario.h"

struct how {
    const struct driver *driver;
    bool verbose, again;
};

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

bool play_point(struct tap *t, const struct scenario *scn, unsigned line, const char *what, bool ok)
{
    if (!t->must_fail)
        return tap_point(t, ok, "%s:%u %s", scn->path, line, what);
    t->failed += !ok;
    if (!ok && t->line_count < sizeof t->lines / sizeof t->lines[0])
        t->lines[t->line_count++] = line;
    return ok;
}

static bool failed_at(const struct tap *t, unsigned line)
{
    for (unsigned i = 0; i < t->line_count; i++)
        if (t->lines[i] == line)
            return true;
    return false;
}

/* judge_mistakes - a point for each line that had to fail or did; the text is that of one scenario. */
static void judge_mistakes(struct tap *tap, const struct tap *kept, const char *path, struct str text)
{
    static const struct str mark = {"# wrong", 7};
    struct str line;

    for (unsigned n = 1; str_split(&text, '\n', &line); n++) {
        bool marked = str_ends_nocase(line, mark), failed = failed_at(kept, n);

        if (marked || failed)
            tap_point(tap, marked == failed, "%s:%u %s", path, n, marked ? "is wrong, and fails" : "is right");
    }
}

/* play_mistakes - every part of the text as a scenario of its own, at its own line numbers. */
static void play_mistakes(struct tap *tap, struct arena *a, const char *path, struct str text,
                          const struct driver *driver)
{
    struct str rest = text, line;
    struct buf part = buf_in(a);

    buf_add(&part, STR_NONE);
    for (unsigned n = 1; rest.n; n++) {
        bool ends = str_split(&rest, '\n', &line) && str_is(line, STR("---"));

        if (!ends)
            buf_addf(&part, STR_FMT "\n", STR_ARG(n == 1 ? STR_NONE : line));
        if (ends || !rest.n) {
            struct tap kept = {.must_fail = true};
            struct scenario *scn = scenario_parse(a, path, buf_str(&part));

            if (scn->error.n)
                play_point(&kept, scn, scn->error_line, "parse", false);
            else if (scn->drivers & driver->bit)
                play_run(&kept, scn, driver, false);
            if (scn->error.n || (scn->drivers & driver->bit))
                judge_mistakes(tap, &kept, path, buf_str(&part));
            part = buf_in(a);
            buf_add(&part, STR_NONE);
            for (unsigned i = 0; i < n; i++)
                buf_addc(&part, '\n');
        }
    }
}

static void play_file(struct tap *tap, const char *path, const struct how *how)
{
    static const struct str first_line = {"mistakes\n", 9};
    struct arena *a = arena_new(0);
    struct scenario *scn;
    struct str text;

    if (!read_whole(a, path, &text)) {
        tap_point(tap, false, "%s: cannot be read: %s", path, errno ? strerror(errno) : "too large");
    } else if (str_starts(text, first_line)) {
        play_mistakes(tap, a, path, text, how->driver);
    } else {
        scn = scenario_parse(a, path, text);
        if (scn->error.n)
            tap_point(tap, false, "%s:%u: " STR_FMT, path, scn->error_line, STR_ARG(str_escaped(a, scn->error)));
        else if (!(scn->drivers & how->driver->bit))
            tap_skip(tap, path, "not for this driver, it says");
        else if (how->again)
            past_run(tap, scn, how->verbose);
        else
            play_run(tap, scn, how->driver, how->verbose);
    }
    arena_free(&a);
    fflush(stdout);
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--driver=inprocess|wire|postfix] [--again] [-v] FILE...\n", program);
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
    static const struct option options[] = {
        {"driver", required_argument, NULL, 'd'}, {"again", no_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    struct how how = {.driver = &driver_inprocess};
    struct tap tap = {.points = 0};
    int c;

    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        if (c == 'v')
            how.verbose = true;
        else if (c == 'a')
            how.again = true;
        else if (c != 'd' || !(how.driver = driver_by_name(optarg)))
            return usage(argv[0]);
    }
    if (optind == argc || (how.again && how.driver != &driver_inprocess))
        return usage(argv[0]);
    if (how.driver->prepare) {
        int status = how.driver->prepare(argv);

        if (status >= 0)
            return status;
    }
    for (int i = optind; i < argc; i++)
        play_file(&tap, argv[i], &how);
    if (how.driver->finish)
        how.driver->finish(&tap);
    printf("1..%u\n", tap.points);
    return tap.failed || tap.points == 0;
}
