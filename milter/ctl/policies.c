/* policies.c - `policies [NAME]`: every policy, its options, and the flow map. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "../describe.h"
#include "ctl.h"

static json_t *rows_json(const struct option *rows)
{
    json_t *list = json_array();

    for (const struct option *o = rows; o && o->name; o++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", o->name, "type", option_type_name(o),
                                              "default", o->preset, "doc", o->doc));
    return list;
}

static json_t *policy_json(struct arena *a, const struct policy *p)
{
    json_t *stages = json_array(), *options = rows_json(p->options), *common = rows_json(describe_common(a, p));

    for (unsigned stage = 0; stage < STAGES; stage++)
        if (p->at[stage] || p->ask[stage])
            json_array_append_new(stages, json_string(stage_names[stage]));
    json_array_extend(options, common);
    json_decref(common);
    return json_pack("{s:s, s:s, s:o, s:o}", "name", p->name, "summary", p->summary, "stages", stages, "options",
                     options);
}

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}

static int one(struct ctl *ctl, const struct policy *p)
{
    if (ctl->json)
        print_json(policy_json(ctl->arena, p));
    else
        printf(STR_FMT, STR_ARG(describe_policy(ctl->arena, p)));
    return CTL_FINE;
}

static int all(struct ctl *ctl)
{
    if (ctl->json) {
        json_t *list = json_array();

        for (size_t i = 0; i < policy_table_count; i++)
            json_array_append_new(list, policy_json(ctl->arena, policy_table[i]));
        print_json(list);
        return CTL_FINE;
    }
    for (size_t i = 0; i < policy_table_count; i++)
        printf("%-24s%s\n", policy_table[i]->name, policy_table[i]->summary);
    printf("\nWhat each looks at:\n\n" STR_FMT, STR_ARG(describe_flow(ctl->arena)));
    printf("\nsme-milterctl policies NAME shows the options of one.\n");
    return CTL_FINE;
}

static int run(struct ctl *ctl)
{
    const struct policy *p;
    const char *names[128], *near;

    if (ctl->argc == 1)
        return all(ctl);
    if (ctl->argc > 2)
        return ctl_usage(&ctl_policies, "takes one name");
    if (strcmp(ctl->argv[1], "--man") == 0) {
        printf(STR_FMT, STR_ARG(describe_man(ctl->arena)));
        return CTL_FINE;
    }
    p = policy_by_name(str_of(ctl->argv[1]));
    if (p)
        return one(ctl, p);
    for (size_t i = 0; i < policy_table_count && i < 128; i++)
        names[i] = policy_table[i]->name;
    near = nearest(str_of(ctl->argv[1]), names, policy_table_count);
    return ctl_usage(&ctl_policies, near ? "there is no such policy; did you mean \"%s\"?" : "there is no such policy",
                     near);
}

const struct ctl_command ctl_policies = {
    .words = "policies",
    .usage = "[NAME]",
    .summary = "Every policy with its options, and which stage each looks at",
    .help = "  --man   print the options as man page source\n",
    .run = run,
};
