/* loadcheck - ask clients to come back when the machine is overloaded. */
#include <stdlib.h>

#include "policy.h"

struct loadcheck_options {
    double max_load;
};

static const struct option loadcheck_rows[] = {
    OPT_NUMBER(struct loadcheck_options, max_load, "7", 0, 100000, "1-minute load average above which clients are put off"),
    OPTION_END,
};

/* judge - the load as it is told, with two digits. */
static struct finding judge(struct context *c, struct str load)
{
    fact_set(c, FACT_LOAD, load);
    if (strtod(str_c(c->arena, load), NULL) <= OPTIONS(struct loadcheck_options, c)->max_load)
        return NO_OPINION;
    return bad(c, "5.3.2", "the server is busy, please try again later");
}

static struct finding loadcheck_connect(struct context *c)
{
    double load;

    if (!clock_load(&load))
        return unsure(c, "the load average is not known");
    return judge(c, arena_printf(c->arena, "%.2f", load));
}

static struct finding loadcheck_again(struct context *c, enum stage stage, const struct then *then)
{
    struct str load = then_fact(then, FACT_LOAD);

    (void)stage;
    return load.n ? judge(c, load) : then_keep(c, then);
}

static const struct told_again loadcheck_told[] = {CAN_TELL("max_load"), TOLD_AGAIN_END};

const struct policy policy_loadcheck = {
    .name = "loadcheck",
    .summary = "put clients off while the machine is overloaded",
    .options = loadcheck_rows,
    .options_size = sizeof(struct loadcheck_options),
    .presets = {.reply = "temp_disconnect"},
    .at = {[AT_CONNECT] = loadcheck_connect},
    .again = loadcheck_again,
    .told_again = loadcheck_told,
};
