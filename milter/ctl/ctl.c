/* ctl.c - sme-milterctl: options, the table of commands, help. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "../config.h"
#include "ctl.h"

static const struct ctl_command *const commands[] = {
    &ctl_config_check,  &ctl_config_show,   &ctl_config_defaults, &ctl_policies,         &ctl_test,
    &ctl_karma_list,    &ctl_karma_show,    &ctl_karma_capture,   &ctl_karma_release,    &ctl_karma_prune,
    &ctl_karma_export,  &ctl_karma_import,  &ctl_stats,           &ctl_dnsbl_audit,      &ctl_dkim_new,
    &ctl_dkim_check,    &ctl_dkim_show,     &ctl_dmarc_report,    &ctl_postfix_snippet,  &ctl_postfix_doctor,
    &ctl_top, &ctl_completion,    &ctl_complete,
    &ctl_import_sme,
    &ctl_summary, &ctl_shadow, &ctl_shadow_promote, &ctl_whatif, &ctl_why,
};
#define COMMANDS (sizeof commands / sizeof commands[0])

const struct ctl_command *const *ctl_commands(size_t *count)
{
    *count = COMMANDS;
    return commands;
}

int ctl_usage(const struct ctl_command *command, const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "sme-milterctl%s%s: ", command ? " " : "", command ? command->words : "");
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "; see sme-milterctl %s%s--help\n", command ? command->words : "", command ? " " : "");
    return EX_USAGE;
}

struct config *ctl_config(struct ctl *ctl)
{
    struct problems problems = {.arena = ctl->arena};
    struct config *config = config_load(ctl->config_path, &problems);

    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(ctl->arena, &problems.items[i])));
    return config;
}

const char *ctl_option(struct ctl *ctl, const struct ctl_command *command, int *i, const char *name)
{
    const char *word = ctl->argv[*i];
    size_t n = strlen(name);

    if (strncmp(word, name, n) != 0 || (word[n] != '\0' && word[n] != '='))
        return NULL;
    if (word[n] == '=')
        return word + n + 1;
    if (*i + 1 >= ctl->argc)
        exit(ctl_usage(command, "%s needs a value", name));
    return ctl->argv[++*i];
}

static void print_help(const struct ctl_command *only)
{
    if (only) {
        printf("usage: sme-milterctl [-c FILE] [--json] [-n] %s%s%s\n\n%s.\n", only->words, only->usage ? " " : "",
               only->usage ? only->usage : "", only->summary);
        if (only->help)
            printf("\n%s", only->help);
        return;
    }
    printf("usage: sme-milterctl [-c FILE] [--json] [-n] COMMAND\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-18s %s\n", commands[i]->words, commands[i]->summary);
    printf("\n  -c, --config FILE   the configuration, instead of %s\n"
           "      --json          print JSON\n"
           "  -n, --dry-run       change nothing, say what would be done\n"
           "  -V, --version       print the version\n"
           "  -h, --help          this text; after a command, its own\n", CONFIG_DEFAULT_PATH);
}

/* match - how many words of argv the command's words take; 0 when they are others. */
static int match(const struct ctl_command *command, int argc, char **argv)
{
    struct str words = str_of(command->words), word;
    int n = 0;

    while (str_token(&words, &word)) {
        if (n >= argc || !str_is(word, str_of(argv[n])))
            return 0;
        n++;
    }
    return n;
}

static int no_command(struct arena *a, int argc, char **argv)
{
    const char *names[COMMANDS];
    struct str said = str_of(argv[0]);
    const char *near;

    if (argc > 1)
        said = arena_printf(a, "%s %s", argv[0], argv[1]);
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->words;
    near = nearest(said, names, COMMANDS);
    if (!near)
        near = nearest(str_of(argv[0]), names, COMMANDS);
    said = str_escaped(a, said);
    if (near)
        return ctl_usage(NULL, "there is no command \"" STR_FMT "\"; did you mean \"%s\"?", STR_ARG(said), near);
    return ctl_usage(NULL, "there is no command \"" STR_FMT "\"", STR_ARG(said));
}

/* print_group - the commands that begin with this word, when it is no command itself; false: there are none. */
static bool print_group(FILE *to, struct str word)
{
    bool any = false;

    for (size_t i = 0; i < COMMANDS; i++) {
        struct str words = str_of(commands[i]->words), first;

        if (!str_token(&words, &first) || !str_is(first, word))
            continue;
        if (!any)
            fprintf(to, "usage: sme-milterctl [-c FILE] [--json] [-n] COMMAND\n\n");
        fprintf(to, "  %-18s %s\n", commands[i]->words, commands[i]->summary);
        any = true;
    }
    return any;
}

/* global_option - the options that may stand before and after the command; false when argv[*i] is none. */
static bool global_option(struct ctl *ctl, const struct ctl_command *command, int *i, bool *help)
{
    const char *word = ctl->argv[*i], *value;
    struct ctl rest = *ctl;

    if (strcmp(word, "--json") == 0)
        ctl->json = true;
    else if (strcmp(word, "-n") == 0 || strcmp(word, "--dry-run") == 0)
        ctl->dry_run = true;
    else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        *help = true;
    else if ((value = ctl_option(&rest, command, i, "-c"))
             || (!(command && command->own_config) && (value = ctl_option(&rest, command, i, "--config"))))
        ctl->config_path = str_of(value);
    else
        return false;
    return true;
}

/* is_raw - all that follows is somebody else's command line. */
static bool is_raw(const struct ctl_command *command)
{
    return command == &ctl_complete;
}

static int run(struct ctl *ctl)
{
    const struct ctl_command *command = NULL;
    bool help = false;
    int i = 1, words = 0, kept;

    while (i < ctl->argc && ctl->argv[i][0] == '-') {
        if (strcmp(ctl->argv[i], "-V") == 0 || strcmp(ctl->argv[i], "--version") == 0) {
            printf("sme-milterctl %s\n", PACKAGE_VERSION);
            return CTL_FINE;
        }
        if (!global_option(ctl, NULL, &i, &help))
            return ctl_usage(NULL, "there is no option %s", ctl->argv[i]);
        i++;
    }
    if (i == ctl->argc) {
        if (!help)
            return ctl_usage(NULL, "needs a command");
        print_help(NULL);
        return CTL_FINE;
    }
    for (size_t k = 0; k < COMMANDS; k++) {
        int n = match(commands[k], ctl->argc - i, ctl->argv + i);

        if (n > words) { /* "shadow promote" is not "shadow" */
            words = n;
            command = commands[k];
        }
    }
    if (!command && (i + 1 == ctl->argc || ctl->argv[i + 1][0] == '-')) {
        help = help || (i + 1 < ctl->argc && (str_is(str_of(ctl->argv[i + 1]), STR("--help"))
                                              || str_is(str_of(ctl->argv[i + 1]), STR("-h"))));
        if (print_group(help ? stdout : stderr, str_of(ctl->argv[i])))
            return help ? CTL_FINE : EX_USAGE;
    }
    if (!command && !help)
        return no_command(ctl->arena, ctl->argc - i, ctl->argv + i);
    if (command)
        i += words;
    /* What is left belongs to the command, but for the options that may stand anywhere. */
    kept = i;
    for (int from = i; from < ctl->argc; from++) {
        int at = from;

        if (!is_raw(command) && global_option(ctl, command, &at, &help))
            from = at;
        else
            ctl->argv[kept++] = ctl->argv[from];
    }
    if (help) {
        print_help(command);
        return CTL_FINE;
    }
    ctl->argv += i - 1;
    ctl->argc = kept - i + 1;
    return command->run(ctl);
}

int main(int argc, char **argv)
{
    struct ctl ctl = {.arena = arena_new(0), .argc = argc, .argv = argv};
    int status;

    log_open(LOG_TO_STDERR, LOG_LEVEL_WARN);
    status = run(&ctl);
    arena_free(&ctl.arena);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) { /* the error may be older than errno tells */
        fprintf(stderr, "sme-milterctl: standard output: %s\n", errno ? strerrordesc_np(errno) : "it could not be written");
        return EX_IOERR;
    }
    return status;
}
