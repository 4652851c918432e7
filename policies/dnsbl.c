/* dnsbl - clients on DNS block lists.
 *
 * Asked when the client connects, all lists at once; judged when it says MAIL, so that the answers come while it talks.
 */
#include "policy.h"

struct dnsbl_options {
    struct zone_list zones;
    struct cidr_list allow;
    int64_t timeout;
};

static const struct option dnsbl_rows[] = {
    OPT_CLIENT_ZONES(struct dnsbl_options, zones, "zen.spamhaus.org, bl.spamcop.net, psbl.surriel.com",
                     "zone, zone=127.0.0.[2;4..11], zone:text with %IP%"),
    OPT_CIDRS(struct dnsbl_options, allow, "", "clients that are not asked about"),
    OPT_DURATION(struct dnsbl_options, timeout, "5s", 100, 60000, "how long to wait for the lists, from CONNECT on"),
    OPTION_END,
};

struct asked {
    const struct dnsbl_options *options; /* for which the questions were asked */
    struct dns_question **questions;     /* by zone; NULL where the client is not to be asked about */
    int64_t deadline, lists_deadline;    /* the policy's; that of each list */
    bool listed;                         /* found before */
    bool counted;
};

static void dnsbl_ask(struct context *c)
{
    const struct dnsbl_options *o = OPTIONS(struct dnsbl_options, c);
    struct asked *asked = session_state(c, sizeof *asked);
    struct session *s = c->session;

    if (asked->options == o)
        return;
    asked->options = o;
    asked->deadline = clock_ms() + o->timeout;
    asked->lists_deadline = clock_ms() + (o->timeout < ZONE_WAIT_MS ? o->timeout : ZONE_WAIT_MS);
    asked->counted = false;
    asked->questions = arena_array(s->arena, o->zones.count + 1, sizeof *asked->questions);
    if (cidr_find(&o->allow, s->peer.ip))
        return;
    for (size_t i = 0; i < o->zones.count; i++)
        if (zone_takes(&o->zones.items[i], s->peer.ip))
            asked->questions[i] =
                dns_ask_list(s->arena, &s->dns, zone_client_name(s->arena, &o->zones.items[i], s->peer.ip));
}

static struct finding listed(struct context *c, const struct zone *zone, struct str code, struct asked *asked)
{
    struct finding f;

    fact_set(c, FACT_LIST, arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(code)));
    if (zone->text.n)
        f = bad(c, "5.7.1", STR_FMT, STR_ARG(zone_text(c->arena, zone, c->session->peer.ip)));
    else
        f = bad(c, "5.7.1", "client " STR_FMT " is listed by " STR_FMT, STR_ARG(ip_text(c->arena, c->session->peer.ip)),
                STR_ARG(zone->shown));
    f.again = asked->listed;
    asked->listed = true;
    return f;
}

static struct finding dnsbl_mail(struct context *c)
{
    const struct dnsbl_options *o = OPTIONS(struct dnsbl_options, c);
    struct asked *asked = session_state(c, sizeof *asked);
    struct buf doubts = buf_in(c->arena), told = buf_in(c->arena);
    const struct zone *first = NULL;
    struct str first_code = STR_NONE;
    bool doubtful = false;

    for (size_t i = 0; i < o->zones.count; i++) {
        const struct zone *zone = &o->zones.items[i];
        const struct dns_answer *answer;
        struct str why;
        enum zone_said said;

        if (!asked->questions[i])
            continue;
        answer = dns_harvest(asked->questions[i], asked->lists_deadline);
        said = zone_judge(c->arena, zone, answer, &why);
        if (!asked->counted)
            health_seen(zone, ip_text(c->arena, c->session->peer.ip), said, answer->took_ms);
        said = health_hear(zone, said, asked->deadline, &why);
        list_note(c->arena, &told, zone, said, answer);
        if (said == ZONE_LISTED && !first) {
            first = zone;
            first_code = why;
        } else if (said == ZONE_UNSURE || said == ZONE_SILENT) {
            doubtful |= said == ZONE_UNSURE;
            buf_addf(&doubts, "%s" STR_FMT "=" STR_FMT, doubts.len ? "," : "", STR_ARG(zone->shown), STR_ARG(why));
        }
    }
    asked->counted = true;
    if (told.len)
        fact_set(c, FACT_LIST_SAID, buf_str(&told));
    if (first)
        return listed(c, first, first_code, asked);
    if (doubts.len == 0)
        return NO_OPINION;
    fact_set(c, FACT_LIST_UNSURE, buf_str(&doubts));
    if (!doubtful) /* a list that is out defers nobody, whatever `unsure` says */
        return NO_OPINION;
    return unsure(c, "a block list could not be asked");
}

static struct finding dnsbl_again(struct context *c, enum stage stage, const struct then *then)
{
    const struct dnsbl_options *o = OPTIONS(struct dnsbl_options, c);
    struct asked *asked = session_state(c, sizeof *asked);
    const struct ip *client = &c->session->peer.ip;
    const struct zone *zone;
    struct finding f;
    struct str code;

    (void)stage;
    if (cidr_find(&o->allow, *client))
        return NO_OPINION;
    zone = lists_again(c, &o->zones, client, then, &code, &f);
    if (!zone)
        return f;
    f = listed(c, zone, code, asked);
    f.again = then->finding.again;
    return f;
}

static const struct told_again dnsbl_told[] = {
    CAN_TELL("zones"), CAN_TELL("allow"), CANNOT_TELL("timeout", "when the answers came"), TOLD_AGAIN_END,
};

const struct policy policy_dnsbl = {
    .name = "dnsbl",
    .summary = "refuse clients on DNS block lists",
    .options = dnsbl_rows,
    .options_size = sizeof(struct dnsbl_options),
    .presets = {.enabled = "no", .reject = "later", .karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_CONNECT] = dnsbl_ask, [AT_MAIL] = dnsbl_ask},
    .at = {[AT_MAIL] = dnsbl_mail},
    .again = dnsbl_again,
    .told_again = dnsbl_told,
};
