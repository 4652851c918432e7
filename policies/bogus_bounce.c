/* bogus_bounce - a bounce has one recipient. */
#include "policy.h"

static struct finding bogus_bounce_rcpt(struct context *c)
{
    if (c->message->sender.text.n != 0 || c->message->rcpt_count < 2)
        return NO_OPINION;
    return bad(c, "5.5.3", "a bounce goes to one recipient");
}

const struct policy policy_bogus_bounce = {
    .name = "bogus_bounce",
    .summary = "refuse bounces to several recipients",
    .presets = {.karma = "-1"},
    .at = {[AT_RCPT] = bogus_bounce_rcpt},
    .replays = 1u << AT_RCPT,
};
