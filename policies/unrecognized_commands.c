/* unrecognized_commands - a client that keeps sending what is not SMTP. */
#include "policy.h"

struct unrecognized_options {
    long max;
};

static const struct option unrecognized_rows[] = {
    OPT_INT(struct unrecognized_options, max, "4", 1, 1000, "the unknown command of one connection that is refused"),
    OPTION_END,
};

static struct finding unrecognized_unknown(struct context *c)
{
    if (c->session->unknown_commands < (unsigned long)OPTIONS(struct unrecognized_options, c)->max)
        return NO_OPINION;
    fact_set(c, FACT_COUNT, arena_printf(c->arena, "%u", c->session->unknown_commands));
    return bad(c, "5.5.1", "too many unknown commands");
}

const struct policy policy_unrecognized_commands = {
    .name = "unrecognized_commands",
    .summary = "hang up on clients that send unknown commands",
    .options = unrecognized_rows,
    .options_size = sizeof(struct unrecognized_options),
    .presets = {.reply = "disconnect", .karma = "-1", .skip = "local, auth"},
    .at = {[AT_UNKNOWN] = unrecognized_unknown},
    .replays = 1u << AT_UNKNOWN,
};
