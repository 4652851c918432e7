/* badrcptto and badrcptto_ext - recipients that nobody, or nobody outside, may write to. */
#include "policy.h"

struct badrcptto_options {
    struct pattern_list recipients;
};

static const struct option badrcptto_rows[] = {
    OPT_ADDRESSES(struct badrcptto_options, recipients, "",
                  "user@dom, @dom, .dom or /regex/, each with an optional text for the client"),
    OPTION_END,
};

static const struct option badrcptto_ext_rows[] = {
    OPT_ADDRESSES(struct badrcptto_options, recipients, "",
                  "internal-only addresses: user@dom, @dom, .dom or /regex/, each with an optional text"),
    OPTION_END,
};

static struct finding badrcptto_rcpt(struct context *c)
{
    const struct pattern *entry =
        pattern_find(&OPTIONS(struct badrcptto_options, c)->recipients, c->rcpt->address.text);

    return entry ? bad_entry(c, entry, "5.1.1", "no such recipient here") : NO_OPINION;
}

const struct policy policy_badrcptto = {
    .name = "badrcptto",
    .summary = "refuse recipients on a list",
    .options = badrcptto_rows,
    .options_size = sizeof(struct badrcptto_options),
    .presets = {.karma = "-2", .skip = "local, auth, whitelisted"},
    .at = {[AT_RCPT] = badrcptto_rcpt},
    .replays = 1u << AT_RCPT,
};

const struct policy policy_badrcptto_ext = {
    .name = "badrcptto_ext",
    .summary = "refuse outside mail for internal-only recipients",
    .options = badrcptto_ext_rows,
    .options_size = sizeof(struct badrcptto_options),
    .presets = {.skip = "local, auth"},
    .at = {[AT_RCPT] = badrcptto_rcpt},
    .replays = 1u << AT_RCPT,
};
