/* bcc - a copy of every message to an archive.
 *
 * The copy is decided when the envelope is complete, and added with the other edits at the end: a message that is
 * refused is not copied.
 */
#include "policy.h"

enum bcc_mode { CC, BCC };
enum bcc_direction { ALL, INCOMING, OUTGOING };

static const char *const mode_words[] = {"cc", "bcc", NULL};
static const char *const direction_words[] = {"all", "incoming", "outgoing", NULL};

struct bcc_options {
    struct str to;
    int mode;      /* enum bcc_mode */
    int direction; /* enum bcc_direction */
    struct pattern_list ignore_from;
    struct pattern_list ignore_to;
};

static const struct option bcc_rows[] = {
    OPT_STRING(struct bcc_options, to, "", "address that gets the copy"),
    OPT_WORD(struct bcc_options, mode, "cc", mode_words, "cc: X-Copied-To tells of it; bcc: silently"),
    OPT_WORD(struct bcc_options, direction, "all", direction_words,
             "incoming: to a local domain; outgoing: from local or authenticated clients"),
    OPT_MAILBOXES(struct bcc_options, ignore_from, "", "senders whose mail is not copied: user@dom, @dom, .dom, user, /regex/"),
    OPT_MAILBOXES(struct bcc_options, ignore_to, "", "recipients for whose sake nothing is copied: same forms"),
    OPTION_END,
};

/* is_wanted - some accepted recipient makes this message one to copy. */
static bool is_wanted(struct context *c, const struct bcc_options *o)
{
    const struct session *s = c->session;

    if (o->direction == OUTGOING && !s->is_local && s->auth.n == 0)
        return false;
    if (c->message->sender.text.n && pattern_find(&o->ignore_from, c->message->sender.text))
        return false;
    for (const struct recipient *r = c->message->rcpt; r; r = r->next) {
        if (r->refused_by || pattern_find(&o->ignore_to, r->address.text))
            continue;
        if (o->direction != INCOMING || r->address.domain.n == 0 || is_local_domain(c, r->address.domain))
            return true;
    }
    return false;
}

static bool is_recipient(struct context *c, struct str address)
{
    for (const struct recipient *r = c->message->rcpt; r; r = r->next)
        if (!r->refused_by && str_is_nocase(r->address.text, address))
            return true;
    return false;
}

static struct finding bcc_message(struct context *c)
{
    const struct bcc_options *o = OPTIONS(struct bcc_options, c);

    if (!is_wanted(c, o))
        return NO_OPINION;
    fact_set(c, FACT_COPY_TO, o->to);
    /* Postfix does not look for duplicates: a recipient added twice gets two copies. */
    if (!is_recipient(c, o->to))
        edit_add_rcpt(c->arena, c->message->edits, o->to);
    if (o->mode == CC)
        edit_add_header(c->arena, c->message->edits, STR("X-Copied-To"), o->to);
    return NO_OPINION;
}

static void bcc_check(const struct common *common, const void *options, struct place at, struct problems *problems)
{
    const struct bcc_options *o = options;

    if (common->enabled && str_find(o->to, '@') == o->to.n)
        problem_error(problems, at, o->to.n ? "bcc: to = \"" STR_FMT "\" is not an address with a domain"
                                            : "bcc is enabled but has no to = \"ADDRESS\"" STR_FMT, STR_ARG(o->to));
}

const struct policy policy_bcc = {
    .name = "bcc",
    .summary = "send a copy of every message to an archive",
    .options = bcc_rows,
    .options_size = sizeof(struct bcc_options),
    .presets = {.enabled = "no"},
    .at = {[AT_MESSAGE] = bcc_message},
    .check = bcc_check,
    .edits = true,
    .silent = true,
};
