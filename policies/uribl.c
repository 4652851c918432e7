/* uribl - links to hosts on DNS block lists. */
#include "mail/mime.h"
#include "mail/url.h"
#include "mail/winmail.h"
#include "policy.h"

#define WAIT_MS 5000
#define TEXT_MOST ((size_t)2 << 20)  /* decoded bytes of one part that are looked at */
#define TEXTS_MOST ((size_t)8 << 20) /* of all */
#define SNIFF 512

struct uribl_options {
    struct zone_list zones;
    struct pattern_list allow;
    long max_lookups;
    bool scan_headers;
};

static const struct option uribl_rows[] = {
    OPT_NAME_ZONES(struct uribl_options, zones, "multi.surbl.org:8-16-64-128, multi.uribl.com:2",
                   "zone, zone:8-16-64-128, zone=127.0.1.[2..6], zone:text"),
    OPT_HOSTS(struct uribl_options, allow, "", "hosts and domains that are not asked about: dom, .dom"),
    OPT_INT(struct uribl_options, max_lookups, "100", 1, 300,
            "questions of one message at most; what they are not enough for, the fact links.left tells"),
    OPT_BOOL(struct uribl_options, scan_headers, "no", "look for links in the header too"),
    OPTION_END,
};

/* What was found, and how far it was looked for. */
struct collect {
    struct links links;
    size_t left;     /* decoded bytes that may still be looked at */
    bool part_cut;   /* of some part not everything was */
    bool text_left;  /* and of some nothing */
};

struct asked {
    struct collect collect;
    const struct link **links;       /* what was asked about */
    struct dns_question **questions; /* by link, then by zone; NULL where a list does not take such a name */
    size_t count, most;
    size_t over;                     /* hosts that were not asked about, since there are too many */
    int64_t deadline;
};

/* ---- collecting ---- */

/* looks_html - whatever its type says, an attachment that a browser would show. */
static bool looks_html(struct str bytes)
{
    static const char *const begins[] = {"<html", "<!doctype", "<svg", "<script", "<body", "<head", "<meta", "<?xml"};

    bytes = str_trim(bytes);
    if (str_starts(bytes, STR("\xef\xbb\xbf")))
        bytes = str_slice(bytes, 3, bytes.n);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (str_starts_nocase(bytes, str_of(begins[i])))
            return true;
    return false;
}

static void collect_text(struct collect *x, struct arena *a, const struct mime_part *part, struct str bytes)
{
    struct str text = mime_text(a, bytes, part->charset);

    if (part->html || looks_html(text))
        links_from_html(&x->links, text);
    if (!part->html || part->found == MIME_RAW)
        links_from_text(&x->links, text);
}

static bool collect_part(void *data, const struct mime_part *part)
{
    struct collect *x = data;
    struct arena *a;
    struct str bytes;
    size_t most;

    if (part->raw.n == 0)
        return true;
    a = arena_new(0);
    if (!part->text && !part->html) {
        mime_decode(a, part, SNIFF, 0, &bytes);
        if (!looks_html(bytes)) {
            arena_free(&a);
            return true;
        }
    }
    x->text_left |= x->left == 0;
    most = TEXT_MOST < x->left ? TEXT_MOST : x->left;
    for (unsigned reading = 0; x->left && mime_decode(a, part, most + 1, reading, &bytes); reading++) {
        x->part_cut |= bytes.n > most;
        bytes = str_slice(bytes, 0, most);
        x->left -= bytes.n < x->left ? bytes.n : x->left;
        collect_text(x, a, part, bytes);
    }
    arena_free(&a);
    return !x->text_left;
}

/* collect_headers - what people wrote, not what servers did. */
static void collect_headers(struct context *c, struct links *links)
{
    static const char *const traces[] = {"Received", "Return-Path", "DKIM-Signature", "Received-SPF", "Message-ID",
                                         "References", "In-Reply-To", "Authentication-Results", "Delivered-To"};

    for (const struct header *h = c->message->headers.first; h; h = h->next) {
        bool trace = str_starts_nocase(h->name, STR("ARC-")) || str_starts_nocase(h->name, STR("Content-"));

        for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
            trace = trace || str_is_nocase(h->name, str_of(traces[i]));
        if (!trace)
            links_from_text(links, mime_word(c->arena, header_unfold(c->arena, h->value)));
    }
}

/* ---- asking ---- */

static bool is_public(const struct link *link)
{
    return !link->ip.known || (ip_is_v4(link->ip) && ip_is_public(link->ip));
}

static bool is_allowed(const struct uribl_options *o, const struct link *link)
{
    return pattern_find(&o->allow, link->host) || pattern_find(&o->allow, link->asked);
}

static bool is_asked(const struct asked *asked, struct str name)
{
    for (size_t i = 0; i < asked->count; i++)
        if (str_is(asked->links[i]->asked, name))
            return true;
    return false;
}

/* takes_addresses - Spamhaus counts a question for an address as abuse of its list of names. */
static bool takes_addresses(const struct zone *zone)
{
    return !str_ends_nocase(zone->name, STR("dbl.spamhaus.org")) &&
           !str_ends_nocase(zone->name, STR("dbl.dq.spamhaus.net"));
}

static void ask_about(struct context *c, struct asked *asked, const struct link *link)
{
    const struct uribl_options *o = OPTIONS(struct uribl_options, c);
    struct dns_question **questions = asked->questions + asked->count * o->zones.count;

    for (size_t i = 0; i < o->zones.count; i++) {
        const struct zone *zone = &o->zones.items[i];

        if (link->ip.known && !takes_addresses(zone))
            continue;
        questions[i] = dns_ask(c->arena, &c->message->dns,
                               link->ip.known ? zone_client_name(c->arena, zone, link->ip)
                                              : zone_name_name(c->arena, zone, link->asked), DNS_A);
    }
    asked->links[asked->count++] = link;
}

/* ask_from - about the links from that one on. What is a link for certain comes first, in case there are too many. */
static void ask_from(struct context *c, struct asked *asked, size_t from)
{
    const struct uribl_options *o = OPTIONS(struct uribl_options, c);
    const struct links *links = &asked->collect.links;

    for (int bare = 0; bare < 2 && o->zones.count; bare++) {
        for (size_t i = from; i < links->count; i++) {
            const struct link *link = &links->items[i];

            if (link->bare != (bare == 1) || !is_public(link) || is_allowed(o, link) || is_asked(asked, link->asked))
                continue;
            if (asked->count < asked->most)
                ask_about(c, asked, link);
            else
                asked->over++;
        }
    }
    asked->deadline = clock_ms() + WAIT_MS;
}

static void uribl_ask(struct context *c)
{
    const struct uribl_options *o = OPTIONS(struct uribl_options, c);
    struct asked *asked = message_state(c, sizeof *asked);
    struct mime *mime = message_mime(c->message);

    asked->collect = (struct collect){.links = links_in(c->arena), .left = TEXTS_MOST};
    if (mime)
        mime_each(mime, collect_part, &asked->collect);
    if (o->scan_headers)
        collect_headers(c, &asked->collect.links);
    if (o->zones.count == 0)
        return;
    asked->most = ((size_t)o->max_lookups + o->zones.count - 1) / o->zones.count; /* a host is asked about everywhere */
    asked->links = arena_array(c->arena, asked->most + 1, sizeof *asked->links);
    asked->questions = arena_array(c->arena, asked->most * o->zones.count + 1, sizeof *asked->questions);
    ask_from(c, asked, 0);
}

/* ask_packed - about what is inside a winmail.dat, for which the ask pass could not wait. */
static void ask_packed(struct context *c, struct asked *asked)
{
    struct winmail *winmails = message_winmails(c->message);
    size_t from = asked->collect.links.count;
    bool more = true;

    for (const struct mime_part *p = winmails ? c->message->mime->first : NULL; p && more; p = p->next)
        if (p->found == MIME_ADDED)
            more = collect_part(&asked->collect, p);
    if (asked->collect.links.count > from)
        ask_from(c, asked, from);
}

/* ---- judging ---- */

static struct finding listed(struct context *c, const struct zone *zone, const struct link *link, struct str code)
{
    fact_set(c, FACT_LIST, arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(code)));
    if (zone->text.n)
        return bad(c, "5.7.1", STR_FMT, STR_ARG(zone_text(c->arena, zone, c->session->peer.ip)));
    return bad(c, "5.7.1", STR_FMT " is listed by " STR_FMT, STR_ARG(link->asked), STR_ARG(zone->shown));
}

/* note_left - what was not looked at, or not asked about: a list might know it. */
static void note_left(struct context *c, const struct asked *asked)
{
    const struct collect *x = &asked->collect;
    struct buf b = buf_in(c->arena);

    if (asked->over)
        buf_addf(&b, ", %zu host%s beyond max_lookups", asked->over, asked->over == 1 ? "" : "s");
    if (x->links.more)
        buf_addf(&b, ", hosts beyond %d", LINKS_MOST);
    if (x->part_cut)
        buf_addf(&b, ", text beyond %zu MB of a part", TEXT_MOST >> 20);
    if (x->text_left)
        buf_addf(&b, ", text beyond %zu MB of the message", TEXTS_MOST >> 20);
    if (c->message->mime && c->message->mime->truncated)
        buf_add(&b, STR(", parts beyond the most"));
    if (b.len)
        fact_set(c, FACT_LINKS_LEFT, str_slice(buf_str(&b), 2, b.len));
}

#define CODES_MOST 16

/* of_zone - what a list answered of all links together. */
struct of_zone {
    bool asked, unsure; /* of some link it gave no usable answer */
    struct ip codes[CODES_MOST];
    size_t count;
};

static void add_answer(struct of_zone *of, enum zone_said said, const struct dns_answer *answer)
{
    of->asked = true;
    of->unsure |= said == ZONE_UNSURE;
    for (size_t i = 0; said != ZONE_UNSURE && answer->status == DNS_OK && i < answer->count; i++) {
        size_t k = 0;

        while (k < of->count && !ip_equal(of->codes[k], answer->records[i].ip))
            k++;
        if (k == of->count && of->count < CODES_MOST)
            of->codes[of->count++] = answer->records[i].ip;
    }
}

/* note_said - so that the message can be judged again: as list_note() does. */
static void note_said(struct context *c, const struct uribl_options *o, const struct of_zone *of)
{
    struct buf b = buf_in(c->arena);

    for (size_t i = 0; i < o->zones.count; i++) {
        if (!of[i].asked)
            continue;
        buf_addf(&b, "%s" STR_FMT "=%s", b.len ? "," : "", STR_ARG(o->zones.items[i].shown),
                 of[i].unsure ? "unsure" : of[i].count ? "" : "clean");
        for (size_t k = 0; k < of[i].count; k++)
            buf_addf(&b, "%s" STR_FMT, k || of[i].unsure ? "+" : "", STR_ARG(ip_text(c->arena, of[i].codes[k])));
    }
    if (b.len == 0 && o->zones.count)
        buf_add(&b, STR("none")); /* there are no links that any list is asked about */
    if (b.len)
        fact_set(c, FACT_LIST_SAID, buf_str(&b));
}

static struct finding uribl_message(struct context *c)
{
    const struct uribl_options *o = OPTIONS(struct uribl_options, c);
    struct asked *asked = message_state(c, sizeof *asked);
    struct str doubt = STR_NONE, first_code = STR_NONE;
    struct of_zone *of = arena_array(c->arena, o->zones.count + 1, sizeof *of);
    const struct zone *first = NULL;
    const struct link *first_link = NULL;

    ask_packed(c, asked);
    if (asked->collect.links.count)
        fact_set(c, FACT_LINKS, arena_printf(c->arena, "%zu", asked->collect.links.count));
    note_left(c, asked);
    for (size_t i = 0; i < asked->count * o->zones.count; i++) {
        const struct zone *zone = &o->zones.items[i % o->zones.count];
        const struct link *link = asked->links[i / o->zones.count];
        const struct dns_answer *answer;
        enum zone_said said;
        struct str why;

        if (!asked->questions[i])
            continue;
        answer = dns_harvest(asked->questions[i], asked->deadline);
        said = zone_judge(c->arena, zone, answer, &why);
        health_seen(zone, link->asked, said, answer->took_ms);
        if (said == ZONE_LISTED && !health_trusts(zone, asked->deadline)) {
            said = ZONE_UNSURE;
            why = STR("not trusted");
        }
        add_answer(&of[i % o->zones.count], said, answer);
        if (said == ZONE_LISTED && !first) {
            first = zone;
            first_link = link;
            first_code = why;
        } else if (said == ZONE_UNSURE) {
            doubt = arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(why));
        }
    }
    if (asked->collect.links.count)
        note_said(c, o, of);
    if (first)
        return listed(c, first, first_link, first_code);
    if (doubt.n == 0)
        return NO_OPINION;
    fact_set(c, FACT_LIST_UNSURE, doubt);
    return unsure(c, "a block list could not be asked");
}

/* uribl_again - by what each list said of the links. Lists that were not asked, or with other codes, may be anything. */
static struct finding uribl_again(struct context *c, enum stage stage, const struct then *then)
{
    const struct uribl_options *o = OPTIONS(struct uribl_options, c);
    struct str noted = then_fact(then, FACT_LIST_SAID);
    bool doubtful = false;

    (void)stage;
    if (!then || str_is(noted, STR("none")) || (noted.n == 0 && then_fact(then, FACT_LINKS).n == 0))
        return then_keep(c, then);
    for (size_t i = 0; i < o->zones.count; i++) {
        const struct zone *zone = &o->zones.items[i];
        enum zone_said said;
        struct str code;

        if (!list_said(c->arena, noted, zone, &said, &code))
            return not_kept(c, "what the list " STR_FMT " says was not recorded", STR_ARG(zone->shown));
        doubtful |= said == ZONE_UNSURE;
        if (said != ZONE_LISTED)
            continue;
        then_keep(c, then);
        if (then->finding.result == BAD)
            return then->finding;
        fact_set(c, FACT_LIST, arena_printf(c->arena, STR_FMT "=" STR_FMT, STR_ARG(zone->shown), STR_ARG(code)));
        return bad(c, "5.7.1", "a link is listed by " STR_FMT, STR_ARG(zone->shown));
    }
    if (noted.n)
        fact_set(c, FACT_LIST_SAID, noted);
    return doubtful ? unsure(c, "a block list could not be asked") : NO_OPINION;
}

#define LINKS "which hosts the message leads to, and what lists say of them"
static const struct told_again uribl_told[] = {
    CAN_TELL("zones"), CANNOT_TELL("allow", LINKS), CANNOT_TELL("max_lookups", LINKS),
    CANNOT_TELL("scan_headers", LINKS), TOLD_AGAIN_END,
};

const struct policy policy_uribl = {
    .name = "uribl",
    .summary = "refuse messages with links to hosts on DNS block lists",
    .options = uribl_rows,
    .options_size = sizeof(struct uribl_options),
    .presets = {.enabled = "no", .karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_MESSAGE] = uribl_ask},
    .at = {[AT_MESSAGE] = uribl_message},
    .wants_body = true,
    .again = uribl_again,
    .told_again = uribl_told,
};
