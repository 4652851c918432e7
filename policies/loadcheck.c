/* loadcheck - ask clients to come back when the machine is overloaded. */
#include "policy.h"

struct loadcheck_options {
    double max_load;
};

static const struct option loadcheck_rows[] = {
    OPT_NUMBER(struct loadcheck_options, max_load, "7", 0, 100000, "1-minute load average above which clients are put off"),
    OPTION_END,
};

static struct finding loadcheck_connect(struct context *c)
{
    double load;

    if (!clock_load(&load))
        return unsure(c, "the load average is not known");
    fact_set(c, FACT_LOAD, arena_printf(c->arena, "%.2f", load));
    if (load <= OPTIONS(struct loadcheck_options, c)->max_load)
        return NO_OPINION;
    return bad(c, "5.3.2", "the server is busy, please try again later");
}

const struct policy policy_loadcheck = {
    .name = "loadcheck",
    .summary = "put clients off while the machine is overloaded",
    .options = loadcheck_rows,
    .options_size = sizeof(struct loadcheck_options),
    .presets = {.reply = "temp_disconnect"},
    .at = {[AT_CONNECT] = loadcheck_connect},
};
