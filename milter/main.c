/* main.c - the command line, the configuration, and then the supervisor. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "config.h"
#include "supervisor.h"

static const char usage[] =
    "usage: sme-milter [-c FILE] [-t] [-V] [-h]\n"
    "Mail policy for Postfix, behind smtpd_milters. Stays in the foreground.\n"
    "\n"
    "  -c, --config FILE  the configuration; default: " CONFIG_DEFAULT_PATH ",\n"
    "                     and where there is none the built-in defaults\n"
    "  -t, --test         check the configuration and exit: 0 fine, 78 not\n"
    "  -V, --version      print the version and exit\n"
    "  -h, --help         print this and exit\n"
    "\n"
    "SIGHUP reloads the configuration, SIGTERM finishes the open sessions and ends.\n"
    "More: sme-milter(8), sme-milter.conf(5), sme-milterctl(8).\n";

/* The command line, read by hand: getopt_long()'s struct has the name of our option tables' rows. */
static const struct flag {
    char letter;
    const char *word;
    bool takes_value;
} flags[] = {
    {'c', "config", true}, {'t', "test", false}, {'V', "version", false}, {'h', "help", false},
};
#define FLAGS (sizeof flags / sizeof flags[0])

struct invocation {
    struct str file;
    bool test;
};

static _Noreturn void refuse_usage(struct arena *a, const char *what, const char *argument)
{
    struct str text = str_escaped(a, str_of(argument));
    const char *words[FLAGS], *near = NULL;

    for (size_t i = 0; i < FLAGS; i++)
        words[i] = flags[i].word;
    if (strncmp(argument, "--", 2) == 0)
        near = nearest(str_of(argument + 2), words, FLAGS);
    fprintf(stderr, "sme-milter: %s: " STR_FMT "\n", what, STR_ARG(text));
    if (near)
        fprintf(stderr, "Did you mean --%s? ", near);
    fputs("Try 'sme-milter --help'.\n", stderr);
    exit(EX_USAGE);
}

/* say - print and exit; what could not be printed was not said. */
static _Noreturn void say(const char *text)
{
    exit(fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EX_IOERR);
}

static void apply_flag(struct invocation *v, char letter, const char *value)
{
    switch (letter) {
    case 'c':
        v->file = str_of(value);
        break;
    case 't':
        v->test = true;
        break;
    case 'V':
        say("sme-milter " PACKAGE_VERSION "\n");
    default:
        say(usage);
    }
}

static const struct flag *flag_of_letter(char letter)
{
    for (size_t i = 0; i < FLAGS; i++)
        if (flags[i].letter == letter)
            return &flags[i];
    return NULL;
}

static const struct flag *flag_of_word(const char *word, size_t n)
{
    for (size_t i = 0; i < FLAGS; i++)
        if (strlen(flags[i].word) == n && memcmp(flags[i].word, word, n) == 0)
            return &flags[i];
    return NULL;
}

/* take_flags - one argument: "--word", "--word=value" or letters in a row. Returns how many arguments it used up. */
static int take_flags(struct arena *a, struct invocation *v, char **argv)
{
    const char *argument = argv[0], *value = NULL;

    if (argument[1] == '-') {
        size_t n = strcspn(argument + 2, "=");
        const struct flag *f = flag_of_word(argument + 2, n);

        if (argument[2 + n] == '=')
            value = argument + 2 + n + 1;
        if (!f || (value && !f->takes_value))
            refuse_usage(a, f ? "this option takes no value" : "unknown option", argument);
        if (f->takes_value && !value && !argv[1])
            refuse_usage(a, "this option needs a value", argument);
        apply_flag(v, f->letter, value ? value : argv[1]);
        return f->takes_value && !value ? 2 : 1;
    }
    for (const char *p = argument + 1; *p; p++) {
        const struct flag *f = flag_of_letter(*p);

        if (!f)
            refuse_usage(a, "unknown option", argument);
        if (!f->takes_value) {
            apply_flag(v, f->letter, NULL);
            continue;
        }
        if (!p[1] && !argv[1])
            refuse_usage(a, "this option needs a value", argument);
        apply_flag(v, f->letter, p[1] ? p + 1 : argv[1]);
        return p[1] ? 1 : 2;
    }
    return 1;
}

static struct invocation parse_arguments(struct arena *a, int argc, char **argv)
{
    struct invocation v = {STR_NONE, false};

    for (int i = 1; i < argc;) {
        if (argv[i][0] != '-' || !argv[i][1] || strcmp(argv[i], "--") == 0)
            refuse_usage(a, "unexpected argument", argv[i]);
        i += take_flags(a, &v, argv + i);
    }
    return v;
}

/* test - `sme-milter -t`. */
static int test(struct arena *a, const struct config *config, const struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        struct str text = problem_text(a, &problems->items[i]);

        fprintf(stderr, STR_FMT "\n", STR_ARG(text));
    }
    if (!config)
        return EX_CONFIG;
    return puts("configuration is fine") >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EX_IOERR;
}

/* fill_standard_descriptors - where one of the first three is closed, a socket would get its number and take what is
 * printed. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct arena *a = arena_new(0);
    struct problems problems = {.arena = a};
    struct invocation v;
    struct config *config;
    int status;

    fill_standard_descriptors();
    v = parse_arguments(a, argc, argv);
    config = config_load(v.file, &problems);
    if (v.test) {
        status = test(a, config, &problems);
        config_unref(&config);
        arena_free(&a);
        return status;
    }
    if (config)
        log_open((enum log_target)config->log.to, (enum log_level)config->log.level);
    else
        log_open(LOG_TO_AUTO, LOG_LEVEL_INFO);
    supervisor_log_problems(&problems);
    if (!config)
        log_fatal(EX_CONFIG, "not started: the configuration has %zu error%s", problems.errors,
                  problems.errors == 1 ? "" : "s");
    if (geteuid() == 0)
        log_info("running as root, which is not needed: sme-milter.service runs it as user sme-milter");
    arena_free(&a);
    return supervise(config);
}
