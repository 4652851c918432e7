/* headers - a header that RFC 5322 allows, from one author domain, of our time, and not going round in circles. */
#include "policy.h"

#define DAY_MS (86400LL * 1000)

enum multi_from { MULTI_REJECT, MULTI_ACCEPT };

static const char *const multi_words[] = {"reject", "accept", NULL};

struct headers_options {
    struct str_list require;
    long future, past;
    int multi_from; /* enum multi_from */
    long max_received;
};

static const struct option headers_rows[] = {
    OPT_STRINGS(struct headers_options, require, "From", "fields that every message must have"),
    OPT_INT(struct headers_options, future, "0", 0, 36500, "days that Date may lie ahead; 0: any"),
    OPT_INT(struct headers_options, past, "0", 0, 36500, "days that Date may lie back; 0: any"),
    OPT_WORD(struct headers_options, multi_from, "reject", multi_words,
             "what to do with several From fields, or From addresses of several domains"),
    OPT_INT(struct headers_options, max_received, "50", 1, 10000, "Received fields beyond which mail goes in a loop"),
    OPTION_END,
};

static struct finding missing(struct context *c)
{
    const struct str_list *require = &OPTIONS(struct headers_options, c)->require;

    for (size_t i = 0; i < require->count; i++)
        if (!header_find(&c->message->headers, require->items[i], 0)) {
            fact_set(c, FACT_FIELD, require->items[i]);
            return bad(c, "5.6.0", "the header has no " STR_FMT " field", STR_ARG(require->items[i]));
        }
    return NO_OPINION;
}

/* RFC 5322, 3.6: these occur once at most. From has its own option. */
static struct finding repeated(struct context *c)
{
    static const char *const once[] = {"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID",
                                       "In-Reply-To", "References", "Subject"};
    bool several_from = OPTIONS(struct headers_options, c)->multi_from == MULTI_ACCEPT;

    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++) {
        if (several_from && str_is(str_of(once[i]), STR("From")))
            continue;
        if (header_find(&c->message->headers, str_of(once[i]), 1)) {
            fact_set(c, FACT_FIELD, str_of(once[i]));
            return bad(c, "5.6.0", "the header has more than one %s field", once[i]);
        }
    }
    return NO_OPINION;
}

/* several_authors - what is no address ("Smith" in "Smith, John <joe@a.test>") is nobody's. */
static struct finding several_authors(struct context *c)
{
    const struct header *from = header_find(&c->message->headers, STR("From"), 0);
    struct str first = STR_NONE;
    struct mailbox_list list;

    if (OPTIONS(struct headers_options, c)->multi_from == MULTI_ACCEPT || !from)
        return NO_OPINION;
    list = mailboxes_parse(c->arena, from->value);
    for (size_t i = 0; i < list.count; i++) {
        struct str domain = list.domains[i];

        domain_to_ascii(c->arena, domain, &domain);
        if (domain.n == 0)
            domain = list.domains[i];
        if (first.n && domain.n && !str_is(domain, first)) {
            fact_set(c, FACT_FIELD, STR("From"));
            return bad(c, "5.6.0", "From has addresses of more than one domain");
        }
        if (first.n == 0)
            first = domain;
    }
    return NO_OPINION;
}

static struct finding date_window(struct context *c)
{
    const struct headers_options *o = OPTIONS(struct headers_options, c);
    const struct header *date = header_find(&c->message->headers, STR("Date"), 0);
    int64_t when, now = clock_wall_ms();

    if ((!o->future && !o->past) || !date || !header_date(date->value, &when))
        return NO_OPINION;
    fact_set(c, FACT_DATE, clock_rfc3339(c->arena, when));
    if (o->future && when > now + o->future * DAY_MS)
        return bad(c, "5.6.0", "the Date field lies more than %ld days ahead", o->future);
    if (o->past && when < now - o->past * DAY_MS)
        return bad(c, "5.6.0", "the Date field lies more than %ld days back", o->past);
    return NO_OPINION;
}

static struct finding loop(struct context *c)
{
    size_t count = header_count(&c->message->headers, STR("Received"));

    if (count <= (size_t)OPTIONS(struct headers_options, c)->max_received)
        return NO_OPINION;
    fact_set(c, FACT_COUNT, arena_printf(c->arena, "%zu", count));
    return bad(c, "5.4.6", "too many hops, the message goes in a loop");
}

static struct finding headers_headers(struct context *c)
{
    static struct finding (*const tests[])(struct context *) = {loop, missing, repeated, several_authors, date_window};

    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct finding f = tests[i](c);

        if (f.result != NOTHING)
            return f;
    }
    return NO_OPINION;
}

const struct policy policy_headers = {
    .name = "headers",
    .summary = "refuse headers that are incomplete, ambiguous, of another time, or looping",
    .options = headers_rows,
    .options_size = sizeof(struct headers_options),
    .presets = {.karma = "-1", .skip = "local, auth, whitelisted"},
    .at = {[AT_HEADERS] = headers_headers},
};
