/* rhsbl - sender domains on DNS block lists. */
#include "policy.h"

#define WAIT_MS 5000 /* for all; a list has ZONE_WAIT_MS of it */

struct rhsbl_options {
    struct zone_list zones;
};

static const struct option rhsbl_rows[] = {
    OPT_NAME_ZONES(struct rhsbl_options, zones, "dbl.spamhaus.org",
                   "zone, zone=127.0.1.[2..6], zone:8-16-64-128, zone:text"),
    OPTION_END,
};

struct asked {
    struct dns_question **questions; /* by zone; NULL when nothing is asked */
    struct str domain;               /* as it is asked: in A-labels */
    int64_t deadline, lists_deadline;
};

/* is_asked - not a bounce; not an address, which lists of names refuse. */
static bool is_asked(struct context *c, struct str *domain)
{
    struct ip ip;

    *domain = c->message->sender.domain;
    return domain->n > 0 && domain->p[0] != '[' && !ip_parse(*domain, &ip) &&
           domain_to_ascii(c->arena, *domain, domain);
}

static void rhsbl_ask(struct context *c)
{
    const struct rhsbl_options *o = OPTIONS(struct rhsbl_options, c);
    struct asked *asked = message_state(c, sizeof *asked);
    struct str domain;

    if (!is_asked(c, &domain))
        return;
    asked->domain = domain;
    asked->deadline = clock_ms() + WAIT_MS;
    asked->lists_deadline = clock_ms() + ZONE_WAIT_MS;
    asked->questions = arena_array(c->arena, o->zones.count + 1, sizeof *asked->questions);
    for (size_t i = 0; i < o->zones.count; i++)
        asked->questions[i] =
            dns_ask_list(c->arena, &c->message->dns, zone_name_name(c->arena, &o->zones.items[i], domain));
}

static struct finding listed(struct context *c, const struct zone *zone, struct str code)
{
    fact_set(c, FACT_LIST, arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(code)));
    if (zone->text.n)
        return bad(c, "5.7.1", STR_FMT, STR_ARG(zone_text(c->arena, zone, c->session->peer.ip)));
    return bad(c, "5.7.1", "sender domain " STR_FMT " is listed by " STR_FMT, STR_ARG(c->message->sender.domain),
               STR_ARG(zone->shown));
}

static struct finding rhsbl_mail(struct context *c)
{
    const struct rhsbl_options *o = OPTIONS(struct rhsbl_options, c);
    struct asked *asked = message_state(c, sizeof *asked);
    struct buf told = buf_in(c->arena);
    struct str doubt = STR_NONE;
    bool doubtful = false;

    for (size_t i = 0; asked->questions && i < o->zones.count; i++) {
        const struct zone *zone = &o->zones.items[i];
        const struct dns_answer *answer = dns_harvest(asked->questions[i], asked->lists_deadline);
        struct str why;
        enum zone_said said = zone_judge(c->arena, zone, answer, &why);

        health_seen(zone, asked->domain, said, answer->took_ms);
        said = health_hear(zone, said, asked->deadline, &why);
        list_note(c->arena, &told, zone, said, answer);
        if (said == ZONE_LISTED) {
            fact_set(c, FACT_LIST_SAID, buf_str(&told));
            return listed(c, zone, why);
        }
        if (said != ZONE_CLEAN)
            doubt = arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(why));
        doubtful |= said == ZONE_UNSURE;
    }
    if (told.len)
        fact_set(c, FACT_LIST_SAID, buf_str(&told));
    if (doubt.n == 0)
        return NO_OPINION;
    fact_set(c, FACT_LIST_UNSURE, doubt);
    if (!doubtful) /* a list that is out defers nobody, whatever `unsure` says */
        return NO_OPINION;
    return unsure(c, "a block list could not be asked");
}

static struct finding rhsbl_again(struct context *c, enum stage stage, const struct then *then)
{
    const struct rhsbl_options *o = OPTIONS(struct rhsbl_options, c);
    const struct zone *zone;
    struct str domain, code;
    struct finding f;

    (void)stage;
    if (!is_asked(c, &domain))
        return NO_OPINION;
    zone = lists_again(c, &o->zones, NULL, then, &code, &f);
    return zone ? listed(c, zone, code) : f;
}

static const struct told_again rhsbl_told[] = {CAN_TELL("zones"), TOLD_AGAIN_END};

const struct policy policy_rhsbl = {
    .name = "rhsbl",
    .summary = "refuse sender domains on DNS block lists",
    .options = rhsbl_rows,
    .options_size = sizeof(struct rhsbl_options),
    .presets = {.enabled = "no", .karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_MAIL] = rhsbl_ask},
    .at = {[AT_MAIL] = rhsbl_mail},
    .again = rhsbl_again,
    .told_again = rhsbl_told,
};
