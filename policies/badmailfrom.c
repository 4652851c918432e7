/* badmailfrom - senders we do not want to hear from. */
#include "policy.h"

struct badmailfrom_options {
    struct pattern_list senders;
};

static const struct option badmailfrom_rows[] = {
    OPT_ADDRESSES(struct badmailfrom_options, senders, "",
                  "user@dom, @dom, .dom or /regex/, each with an optional text for the client"),
    OPTION_END,
};

static struct finding badmailfrom_mail(struct context *c)
{
    const struct address *sender = &c->message->sender;
    const struct pattern *entry;

    if (sender->text.n == 0) /* a bounce */
        return NO_OPINION;
    entry = pattern_find(&OPTIONS(struct badmailfrom_options, c)->senders, sender->text);
    return entry ? bad_entry(c, entry, "5.7.1", "sender address not accepted here") : NO_OPINION;
}

const struct policy policy_badmailfrom = {
    .name = "badmailfrom",
    .summary = "refuse senders on a list",
    .options = badmailfrom_rows,
    .options_size = sizeof(struct badmailfrom_options),
    .presets = {.karma = "-1", .skip = "local, auth, whitelisted"},
    .at = {[AT_MAIL] = badmailfrom_mail},
    .replays = 1u << AT_MAIL,
};
