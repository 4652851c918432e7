/* config.c - `config check`, `config show`, `config defaults`. */
#include <jansson.h>
#include <sysexits.h>

#include "../describe.h"
#include "ctl.h"

/* ---- check ---- */

static int check(struct ctl *ctl)
{
    struct problems problems = {.arena = ctl->arena};
    struct config *config;
    json_t *list;

    if (ctl->argc > 2)
        return ctl_usage(&ctl_config_check, "takes one file");
    if (ctl->argc == 2 && ctl->argv[1][0] == '-')
        return ctl_usage(&ctl_config_check, "does not take \"" STR_FMT "\"",
                         STR_ARG(str_escaped(ctl->arena, str_of(ctl->argv[1]))));
    if (ctl->argc == 2)
        ctl->config_path = str_of(ctl->argv[1]);
    config = config_load(ctl->config_path, &problems);
    list = json_array();
    for (size_t i = 0; i < problems.count; i++) {
        const struct problem *p = &problems.items[i];
        struct str file = str_escaped(ctl->arena, p->at.file), text = str_escaped(ctl->arena, p->text);

        if (ctl->json)
            json_array_append_new(list, json_pack("{s:s%, s:i, s:s, s:s%}", "file", file.p, file.n, "line", p->at.line,
                                                  "kind", p->warning ? "warning" : "error", "text", text.p, text.n));
        else
            fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(ctl->arena, p)));
    }
    if (ctl->json) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (config) {
        printf("the configuration is fine%s\n", problems.count ? ", but see the warnings" : "");
    }
    json_decref(list);
    if (!config)
        return EX_CONFIG;
    config_unref(&config);
    return problems.count ? CTL_FINDINGS : CTL_FINE;
}

const struct ctl_command ctl_config_check = {
    .words = "config check",
    .usage = "[FILE]",
    .summary = "Read the configuration and name everything that is wrong",
    .help = "exit: 0 fine, 1 warnings, 78 errors\n",
    .run = check,
};

/* ---- show ---- */

struct show {
    struct ctl *ctl;
    const struct config *config;
    json_t *list; /* with --json */
};

static struct str origin_text(struct arena *a, struct place at)
{
    if (at.file.n == 0)
        return STR("default");
    if (str_is(at.file, STR("built-in")))
        return STR("built-in profile");
    return arena_printf(a, STR_FMT ":%u", STR_ARG(str_escaped(a, at.file)), at.line);
}

static void show_rows(struct show *show, const struct profile *profile, const char *section, const struct option *rows,
                      const void *values)
{
    struct arena *a = show->ctl->arena;

    for (const struct option *o = rows; o && o->name; o++) {
        struct str value = option_text(a, o, values);
        struct str origin = origin_text(a, config_origin(show->config, profile, section, o));
        struct str path = arena_printf(a, "%s%s%s", section, *section ? "." : "", o->name);
        int column;

        value = str_escaped(a, value);
        if (show->list) {
            json_array_append_new(show->list,
                                  json_pack("{s:s%, s:s%, s:s%, s:s%}", "profile", profile ? profile->name.p : "",
                                            profile ? profile->name.n : 0, "option", path.p, path.n, "value", value.p,
                                            value.n, "from", origin.p, origin.n));
            continue;
        }
        column = printf("%s" STR_FMT " = " STR_FMT, profile ? "  " : "", STR_ARG(path), STR_ARG(value));
        printf("%*s# " STR_FMT "\n", column < 60 ? 60 - column : 1, "", STR_ARG(origin));
    }
}

static void show_profile(struct show *show, const struct profile *p)
{
    for (const struct section *s = config_sections; s->name; s++)
        if (str_is(str_of(s->name), STR("profile"))) {
            if (!show->list)
                printf("\nprofile \"" STR_FMT "\"\n", STR_ARG(str_escaped(show->ctl->arena, p->name)));
            show_rows(show, p, "profile", s->options, &p->options);
        }
    for (size_t i = 0; i < p->count; i++) {
        const struct instance *in = &p->instances[i];

        show_rows(show, p, in->policy->name, in->policy->options, in->options);
        show_rows(show, p, in->policy->name, describe_common(show->ctl->arena, in->policy), &in->common);
    }
}

static int show_all(struct show *show, const char *profile)
{
    const struct config *config = show->config;
    bool found = false;

    if (!profile) {
        const void *values[] = {&config->global, &config->log,     &config->limits,
                                &config->dns,    &config->journal, &config->metrics};

        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
            show_rows(show, NULL, config_sections[i].name, config_sections[i].options, values[i]);
    }
    for (size_t i = 0; i < config->profile_count; i++)
        if (!profile || str_is(config->profiles[i].name, str_of(profile))) {
            show_profile(show, &config->profiles[i]);
            found = true;
        }
    if (profile && !found) {
        fprintf(stderr, "sme-milterctl: there is no profile \"%s\"; there are:", profile);
        for (size_t i = 0; i < config->profile_count; i++)
            fprintf(stderr, " " STR_FMT, STR_ARG(config->profiles[i].name));
        fprintf(stderr, "\n");
        return EX_USAGE;
    }
    return CTL_FINE;
}

static int show_run(struct ctl *ctl)
{
    const char *profile = NULL, *value;
    struct config *config;
    struct show show = {.ctl = ctl};
    int status;

    for (int i = 1; i < ctl->argc; i++) {
        value = ctl_option(ctl, &ctl_config_show, &i, "--profile");
        if (!value)
            return ctl_usage(&ctl_config_show, "does not take \"%s\"", ctl->argv[i]);
        profile = value;
    }
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    show.config = config;
    show.list = ctl->json ? json_array() : NULL;
    status = show_all(&show, profile);
    if (show.list) {
        json_dumpf(show.list, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(show.list);
    }
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_config_show = {
    .words = "config show",
    .usage = "[--profile P]",
    .summary = "The values in force, and where each was written",
    .run = show_run,
};

/* ---- defaults ---- */

static int defaults(struct ctl *ctl)
{
    struct str text;

    if (ctl->argc > 1)
        return ctl_usage(&ctl_config_defaults, "takes no arguments");
    text = describe_sample(ctl->arena);
    fwrite(text.p, 1, text.n, stdout);
    return CTL_FINE;
}

const struct ctl_command ctl_config_defaults = {
    .words = "config defaults",
    .summary = "A commented sample configuration with every option and its default",
    .run = defaults,
};
