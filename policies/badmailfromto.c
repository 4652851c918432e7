/* badmailfromto - senders that certain recipients do not want to hear from. */
#include "policy.h"

struct badmailfromto_options {
    struct pattern_pairs pairs;
};

static const struct option badmailfromto_rows[] = {
    OPT_PAIRS(struct badmailfromto_options, pairs, "", "\"from to\": each user@dom, @dom, .dom or /regex/"),
    OPTION_END,
};

static struct finding badmailfromto_rcpt(struct context *c)
{
    const struct pattern_pair *pair = pattern_pair_find(&OPTIONS(struct badmailfromto_options, c)->pairs,
                                                        c->message->sender.text, c->rcpt->address.text);

    if (!pair)
        return NO_OPINION;
    fact_set(c, FACT_MATCHED, pair->written);
    return bad(c, "5.7.1", "the recipient does not accept mail from this sender");
}

const struct policy policy_badmailfromto = {
    .name = "badmailfromto",
    .summary = "refuse pairs of sender and recipient on a list",
    .options = badmailfromto_rows,
    .options_size = sizeof(struct badmailfromto_options),
    .at = {[AT_RCPT] = badmailfromto_rcpt},
    .replays = 1u << AT_RCPT,
};
