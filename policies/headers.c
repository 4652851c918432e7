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

/* What a message may have once (RFC 5322, 3.6; From has its own option), and what else is worth noting. */
static const char *const usual[] = {"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID",
                                    "In-Reply-To", "References", "Subject", "MIME-Version", "Content-Type"};
enum { USUAL = sizeof usual / sizeof usual[0], ONCE = 11, FROM = 1 };

/* What is looked at of a header: all that the journal keeps of it, so that it can be judged again. */
struct seen {
    size_t received;
    unsigned count[USUAL];     /* 0, 1, 2: more */
    bool several_authors;      /* From has addresses of several domains */
    bool dated;
    int64_t date, now;         /* ms */
    const struct headers *all; /* NULL: only this is left of it, and: */
    struct str fields, absent; /* which other required ones there were, and the one that was not */
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

/* several_authors - what is no address ("Smith" in "Smith, John <joe@a.test>") is nobody's. */
static bool several_authors(struct context *c, const struct header *from)
{
    struct mailbox_list list = mailboxes_parse(c->arena, from->value);
    struct str first = STR_NONE;

    for (size_t i = 0; i < list.count; i++) {
        struct str domain = list.domains[i];

        domain_to_ascii(c->arena, domain, &domain);
        if (domain.n == 0)
            domain = list.domains[i];
        if (first.n && domain.n && !str_is(domain, first))
            return true;
        if (first.n == 0)
            first = domain;
    }
    return false;
}

static struct seen look(struct context *c)
{
    const struct headers *headers = &c->message->headers;
    const struct header *from = header_find(headers, STR("From"), 0), *date = header_find(headers, STR("Date"), 0);
    struct seen seen = {
        .received = header_count(headers, STR("Received")), .all = headers, .now = clock_wall_ms(),
        .several_authors = from && several_authors(c, from),
    };

    for (unsigned i = 0; i < USUAL; i++)
        seen.count[i] = (header_find(headers, str_of(usual[i]), 0) ? 1u : 0u) +
                        (header_find(headers, str_of(usual[i]), 1) ? 1u : 0u);
    seen.dated = date && header_date(date->value, &seen.date);
    return seen;
}

static unsigned usual_index(struct str name)
{
    unsigned i = 0;

    while (i < USUAL && !str_is_nocase(name, str_of(usual[i])))
        i++;
    return i;
}

static bool has_word(struct str words, struct str wanted)
{
    struct str word;

    while (str_token(&words, &word))
        if (str_is_nocase(word, wanted))
            return true;
    return false;
}

/* note - and read it back: "Date From+ To* Subject", and what else is required and there. */
static void note(struct context *c, const struct seen *seen)
{
    const struct str_list *require = &OPTIONS(struct headers_options, c)->require;
    struct buf b = buf_in(c->arena);

    for (unsigned i = 0; i < USUAL; i++)
        if (seen->count[i])
            buf_addf(&b, "%s%s%s%s", b.len ? " " : "", usual[i], seen->count[i] > 1 ? "*" : "",
                     i == FROM && seen->several_authors ? "+" : "");
    for (size_t i = 0; i < require->count; i++) {
        struct str name = require->items[i];

        if (usual_index(name) == USUAL && (seen->all ? header_find(seen->all, name, 0) != NULL
                                                     : has_word(seen->fields, name)))
            buf_addf(&b, "%s" STR_FMT, b.len ? " " : "", STR_ARG(name));
    }
    if (b.len)
        fact_set(c, FACT_FIELDS, buf_str(&b));
    fact_set(c, FACT_COUNT, arena_printf(c->arena, "%zu", seen->received));
    if (seen->dated)
        fact_set(c, FACT_DATE, clock_rfc3339(c->arena, seen->date));
}

static bool read_back(struct context *c, const struct then *then, struct seen *seen)
{
    struct str fields = then_fact(then, FACT_FIELDS), word;
    long received;

    *seen = (struct seen){.now = past_clock(c), .fields = fields, .absent = then_fact(then, FACT_FIELD)};
    if (!str_to_long(then_fact(then, FACT_COUNT), &received))
        return false;
    seen->received = (size_t)received;
    seen->dated = clock_parse_rfc3339(then_fact(then, FACT_DATE), &seen->date);
    while (str_token(&fields, &word)) {
        bool plus = str_ends_nocase(word, STR("+")), several;
        unsigned i;

        word = str_slice(word, 0, word.n - plus);
        several = str_ends_nocase(word, STR("*"));
        i = usual_index(str_slice(word, 0, word.n - several));
        if (i < USUAL)
            seen->count[i] = several ? 2 : 1;
        seen->several_authors |= plus;
    }
    return true;
}

/* ---- the tests ---- */

static struct finding loop(struct context *c, const struct seen *seen)
{
    if (seen->received <= (size_t)OPTIONS(struct headers_options, c)->max_received)
        return NO_OPINION;
    return bad(c, "5.4.6", "too many hops, the message goes in a loop");
}

/* is_there - *known is false when nothing is left to tell. */
static bool is_there(const struct seen *seen, struct str name, bool *known)
{
    unsigned i = usual_index(name);

    *known = true;
    if (str_is_nocase(name, STR("Received")))
        return seen->received > 0;
    if (i < USUAL)
        return seen->count[i] > 0;
    if (seen->all)
        return header_find(seen->all, name, 0) != NULL;
    *known = has_word(seen->fields, name) || str_is_nocase(name, seen->absent);
    return has_word(seen->fields, name);
}

static struct finding missing(struct context *c, const struct seen *seen)
{
    const struct str_list *require = &OPTIONS(struct headers_options, c)->require;

    for (size_t i = 0; i < require->count; i++) {
        bool known, there = is_there(seen, require->items[i], &known);

        if (!known)
            return not_kept(c, "whether there was a field " STR_FMT " was not recorded", STR_ARG(require->items[i]));
        if (!there) {
            fact_set(c, FACT_FIELD, require->items[i]);
            return bad(c, "5.6.0", "the header has no " STR_FMT " field", STR_ARG(require->items[i]));
        }
    }
    return NO_OPINION;
}

static struct finding repeated(struct context *c, const struct seen *seen)
{
    bool several_from = OPTIONS(struct headers_options, c)->multi_from == MULTI_ACCEPT;

    for (unsigned i = 0; i < ONCE; i++)
        if (seen->count[i] > 1 && !(several_from && i == FROM)) {
            fact_set(c, FACT_FIELD, str_of(usual[i]));
            return bad(c, "5.6.0", "the header has more than one %s field", usual[i]);
        }
    return NO_OPINION;
}

static struct finding authors(struct context *c, const struct seen *seen)
{
    if (OPTIONS(struct headers_options, c)->multi_from == MULTI_ACCEPT || !seen->several_authors)
        return NO_OPINION;
    fact_set(c, FACT_FIELD, STR("From"));
    return bad(c, "5.6.0", "From has addresses of more than one domain");
}

static struct finding date_window(struct context *c, const struct seen *seen)
{
    const struct headers_options *o = OPTIONS(struct headers_options, c);

    if (o->future && seen->dated && seen->date > seen->now + o->future * DAY_MS)
        return bad(c, "5.6.0", "the Date field lies more than %ld days ahead", o->future);
    if (o->past && seen->dated && seen->date < seen->now - o->past * DAY_MS)
        return bad(c, "5.6.0", "the Date field lies more than %ld days back", o->past);
    return NO_OPINION;
}

static struct finding judge(struct context *c, const struct seen *seen)
{
    static struct finding (*const tests[])(struct context *, const struct seen *) = {
        loop, missing, repeated, authors, date_window};

    note(c, seen);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct finding f = tests[i](c, seen);

        if (f.result != NOTHING)
            return f;
    }
    return NO_OPINION;
}

static struct finding headers_headers(struct context *c)
{
    const struct seen seen = look(c);

    return judge(c, &seen);
}

static struct finding headers_again(struct context *c, enum stage stage, const struct then *then)
{
    struct seen seen;

    (void)stage;
    return read_back(c, then, &seen) ? judge(c, &seen) : then_keep(c, then);
}

static const struct told_again headers_told[] = {
    CAN_TELL("require"), CAN_TELL("future"), CAN_TELL("past"), CAN_TELL("multi_from"), CAN_TELL("max_received"),
    TOLD_AGAIN_END,
};

const struct policy policy_headers = {
    .name = "headers",
    .summary = "refuse headers that are incomplete, ambiguous, of another time, or looping",
    .options = headers_rows,
    .options_size = sizeof(struct headers_options),
    .presets = {.karma = "-1", .skip = "local, auth, whitelisted"},
    .at = {[AT_HEADERS] = headers_headers},
    .again = headers_again,
    .told_again = headers_told,
};
