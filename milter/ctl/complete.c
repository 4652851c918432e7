/* complete.c - what may come next on the command line: the shells' completions ask the program itself, so that they never
 * tell of another version. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "../config.h"
#include "ctl.h"

#define SEEN_MOST 64

struct offer {
    struct ctl *ctl;
    struct str begun;             /* what has been typed of the word */
    struct str seen[SEEN_MOST];   /* offered already */
    size_t count;
};

static void offer(struct offer *o, struct str word)
{
    if (word.n == 0 || !str_starts(word, o->begun))
        return;
    for (size_t i = 0; i < o->count; i++)
        if (str_is(o->seen[i], word))
            return;
    if (o->count < SEEN_MOST)
        o->seen[o->count++] = word;
    printf(STR_FMT "\n", STR_ARG(word));
}

/* offer_options - every --word that the command's own help tells of. */
static void offer_options(struct offer *o, const char *text)
{
    while (text && (text = strstr(text, "--"))) {
        size_t n = 2 + strspn(text + 2, "abcdefghijklmnopqrstuvwxyz-");

        if (n > 2)
            offer(o, (struct str){text, n});
        text += n;
    }
}

static void offer_policies(struct offer *o)
{
    for (size_t i = 0; i < policy_table_count; i++)
        offer(o, str_of(policy_table[i]->name));
}

/* offer_settings - POLICY.OPTION= for --set; the policies alone before the point. */
static void offer_settings(struct offer *o)
{
    size_t dot = str_find(o->begun, '.');
    const struct policy *p = policy_by_name(str_slice(o->begun, 0, dot));
    const struct option *tables[] = {p ? p->options : NULL, common_options};

    if (dot == o->begun.n) {
        for (size_t i = 0; i < policy_table_count; i++)
            offer(o, arena_printf(o->ctl->arena, "%s.", policy_table[i]->name));
        return;
    }
    for (size_t t = 0; p && t < 2; t++)
        for (const struct option *row = tables[t]; row && row->name; row++)
            offer(o, arena_printf(o->ctl->arena, "%s.%s=", p->name, row->name));
}

static void offer_profiles(struct offer *o)
{
    struct problems problems = {.arena = o->ctl->arena};
    struct config *config = config_load(STR_NONE, &problems);

    for (size_t i = 0; config && i < config->profile_count; i++)
        offer(o, str_dup(o->ctl->arena, config->profiles[i].name));
    config_unref(&config);
}

/* offer_next_words - those of commands that go on with what was typed; the command when it is typed whole. */
static const struct ctl_command *offer_next_words(struct offer *o, const struct str *words, size_t count)
{
    const struct ctl_command *whole = NULL;
    size_t commands;
    const struct ctl_command *const *list = ctl_commands(&commands);

    for (size_t i = 0; i < commands; i++) {
        struct str rest = str_of(list[i]->words), word;
        size_t same = 0;
        bool more;

        while ((more = str_token(&rest, &word)) && same < count && str_is(word, words[same]))
            same++;
        if (!more)
            whole = list[i];
        else if (same == count)
            offer(o, word);
    }
    return whole;
}

static void offer_values(struct offer *o, const struct ctl_command *command, struct str before)
{
    if (str_is(before, STR("--set")))
        offer_settings(o);
    else if (str_is(before, STR("--profile")))
        offer_profiles(o);
    else if (str_starts(o->begun, STR("-"))) {
        offer_options(o, command->usage);
        offer_options(o, command->help);
        offer(o, STR("--help"));
    } else if (str_is(str_of(command->words), STR("policies")) || str_is(before, STR("promote")))
        offer_policies(o);
}

/* run_complete - argv: the words after "sme-milterctl", the last one as far as it is typed. */
static int run_complete(struct ctl *ctl)
{
    struct offer o = {.ctl = ctl};
    struct str words[SEEN_MOST], before = STR_NONE;
    size_t count = 0;
    const struct ctl_command *command;

    for (int i = 1; i + 1 < ctl->argc && count < SEEN_MOST; i++) {
        struct str word = str_of(ctl->argv[i]);
        bool takes_file = str_is(before, STR("-c")) || str_is(before, STR("--config"));

        before = word;
        if (!takes_file && !str_starts(word, STR("-")))
            words[count++] = word;
    }
    if (ctl->argc > 1)
        o.begun = str_of(ctl->argv[ctl->argc - 1]);
    if (str_is(before, STR("-c")) || str_is(before, STR("--config")))
        return CTL_FINE; /* a file: the shell knows */
    command = offer_next_words(&o, words, count);
    if (command)
        offer_values(&o, command, before);
    else if (str_starts(o.begun, STR("-")))
        offer_options(&o, "--config --json --dry-run --version --help");
    return CTL_FINE;
}

static const char bash_script[] =
    "# bash completion of sme-milterctl; made by `sme-milterctl completion bash`\n"
    "_sme_milterctl() {\n"
    "    local words i\n"
    "    COMPREPLY=()\n"
    "    words=(\"${COMP_WORDS[@]:1:COMP_CWORD}\")\n"
    "    if [[ ${COMP_WORDBREAKS} == *=* && $COMP_CWORD -gt 1 && ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then return; fi\n"
    "    mapfile -t COMPREPLY < <(sme-milterctl complete -- \"${words[@]}\" 2>/dev/null)\n"
    "    for i in \"${COMPREPLY[@]}\"; do [[ $i == *[.=] ]] && compopt -o nospace; done\n"
    "}\n"
    "complete -o default -F _sme_milterctl sme-milterctl\n";

static const char zsh_script[] =
    "#compdef sme-milterctl\n"
    "# zsh completion of sme-milterctl; made by `sme-milterctl completion zsh`\n"
    "_sme_milterctl() {\n"
    "    local -a found\n"
    "    found=(\"${(@f)$(sme-milterctl complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    found=(\"${(@)found:#}\")\n"
    "    if (( $#found )); then\n"
    "        compadd -S '' -- \"${(@)${(M)found:#*[.=]}}\"\n"
    "        compadd -- \"${(@)found:#*[.=]}\"\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "_sme_milterctl \"$@\"\n";

static int run_completion(struct ctl *ctl)
{
    struct str shell = ctl->argc == 2 ? str_of(ctl->argv[1]) : STR_NONE;

    if (str_is(shell, STR("bash")))
        fputs(bash_script, stdout);
    else if (str_is(shell, STR("zsh")))
        fputs(zsh_script, stdout);
    else
        return ctl_usage(&ctl_completion, "knows bash and zsh");
    return CTL_FINE;
}

const struct ctl_command ctl_completion = {
    .words = "completion",
    .usage = "bash|zsh",
    .summary = "The script that completes this command's words in a shell",
    .help = "It is installed where the shells look; in a shell of today: eval \"$(sme-milterctl completion bash)\"\n",
    .run = run_completion,
};

const struct ctl_command ctl_complete = {
    .words = "complete",
    .usage = "-- WORD...",
    .summary = "What may come next, a word a line: for the scripts of `completion`",
    .run = run_complete,
};
