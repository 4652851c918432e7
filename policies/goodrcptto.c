/* goodrcptto - the recipients there are: any other in a local domain is refused. */
#include "policy.h"

struct goodrcptto_options {
    struct pattern_list recipients;
    struct str extension;
};

static const struct option goodrcptto_rows[] = {
    OPT_MAILBOXES(struct goodrcptto_options, recipients, "",
                  "user@dom, @dom, .dom, user (in every local domain) or /regex/; empty: the policy is off"),
    OPT_STRING(struct goodrcptto_options, extension, "-", "user-anything is user too; empty: no extensions"),
    OPTION_END,
};

/* without_extension - "user-ext@dom" without what follows the first separator; false when there is none. */
static bool without_extension(struct context *c, struct str *address)
{
    struct str extension = OPTIONS(struct goodrcptto_options, c)->extension;
    size_t at = str_rfind(*address, '@');
    size_t cut;

    if (extension.n == 0)
        return false;
    cut = str_find(str_slice(*address, 0, at), extension.p[0]);
    if (cut == 0 || cut >= at)
        return false;
    *address = arena_printf(c->arena, STR_FMT STR_FMT, STR_ARG(str_slice(*address, 0, cut)),
                            STR_ARG(str_slice(*address, at, address->n)));
    return true;
}

static struct finding goodrcptto_rcpt(struct context *c)
{
    const struct goodrcptto_options *o = OPTIONS(struct goodrcptto_options, c);
    const struct address *rcpt = &c->rcpt->address;
    struct str address = rcpt->text;

    if (o->recipients.count == 0 || rcpt->domain.n == 0 || !is_local_domain(c, rcpt->domain))
        return NO_OPINION;
    if (str_is_nocase(rcpt->local, STR("postmaster"))) /* RFC 5321, 4.5.1 */
        return NO_OPINION;
    if (pattern_find(&o->recipients, address))
        return NO_OPINION;
    if (without_extension(c, &address) && pattern_find(&o->recipients, address))
        return NO_OPINION;
    return bad(c, "5.1.1", "invalid recipient " STR_FMT, STR_ARG(rcpt->text));
}

static void goodrcptto_check(const struct common *common, const void *options, struct place at,
                             struct problems *problems)
{
    const struct goodrcptto_options *o = options;

    (void)common;
    if (o->extension.n > 1)
        problem_error(problems, at, "extension = \"" STR_FMT "\": one character, or none", STR_ARG(o->extension));
}

const struct policy policy_goodrcptto = {
    .name = "goodrcptto",
    .summary = "refuse recipients of local domains that do not exist",
    .options = goodrcptto_rows,
    .options_size = sizeof(struct goodrcptto_options),
    .presets = {.karma = "-1", .skip = "local, auth"},
    .at = {[AT_RCPT] = goodrcptto_rcpt},
    .check = goodrcptto_check,
    .replays = 1u << AT_RCPT,
};
