/* zone.c - parsing zones, the table of public lists, and the judgement of answers. */
#include <pthread.h>

#include "../mail/domain.h"
#include "zone.h"

/* State of the lists from their own documentation, verified 2026-06. */
struct zone_known {
    const char *name;   /* the zone; with a leading dot also everything that ends so (access keys stand before it) */
    const char *codes;  /* listings; NULL: 127.0.0.2..254 */
    uint32_t masks;     /* which bits are listings when the administrator does not say; 0: it answers with codes */
    bool v6;
    const char *listed, *unlisted; /* test points before the zone; NULL: RFC 5782's */
    const char *dead;   /* since when; NULL: it lives */
};

static const struct zone_known known_zones[] = {
    {"zen.spamhaus.org", "127.0.0.[2..11;30]", 0, true, NULL, NULL, NULL},
    {".zen.dq.spamhaus.net", "127.0.0.[2..11;30]", 0, true, NULL, NULL, NULL},
    {"sbl.spamhaus.org", "127.0.0.[2;3;9]", 0, true, NULL, NULL, NULL},
    {"xbl.spamhaus.org", "127.0.0.[4..7]", 0, false, NULL, NULL, NULL},
    {"pbl.spamhaus.org", "127.0.0.[10;11]", 0, false, NULL, NULL, NULL},
    {"dbl.spamhaus.org", "127.0.1.[2..6;102..106]", 0, false, NULL, NULL, NULL},
    {".dbl.dq.spamhaus.net", "127.0.1.[2..6;102..106]", 0, false, NULL, NULL, NULL},
    {"bl.spamcop.net", "127.0.0.2", 0, false, NULL, NULL, NULL},
    {"psbl.surriel.com", "127.0.0.2", 0, false, NULL, NULL, NULL},
    {"b.barracudacentral.org", "127.0.0.2", 0, false, NULL, NULL, NULL},
    {"dnsbl-1.uceprotect.net", "127.0.0.2", 0, false, NULL, NULL, NULL},
    {"dnsbl-2.uceprotect.net", "127.0.0.2", 0, false, NULL, NULL, NULL},
    {"dnsbl-3.uceprotect.net", "127.0.0.2", 0, false, NULL, NULL, NULL},
    {"multi.surbl.org", NULL, 8 | 16 | 64 | 128, false, "surbl-org-permanent-test-point.com", "invalid", NULL},
    {"multi.uribl.com", NULL, 2, false, "2.0.0.127", "invalid", NULL},
    {"black.uribl.com", "127.0.0.2", 0, false, "2.0.0.127", "invalid", NULL},
    {"list.dnswl.org", "127.0.[2..20].[1..3]", 0, true, NULL, NULL, NULL},
    {"rhsbl.sorbs.net", NULL, 0, false, NULL, NULL, "2024-06-05"},
    {"dnsbl.sorbs.net", NULL, 0, false, NULL, NULL, "2024-06-05"},
    {".sorbs.net", NULL, 0, false, NULL, NULL, "2024-06-05"},
    {"dnsbl.ahbl.org", NULL, 0, false, NULL, NULL, "2015-01-01"},
    {"rhsbl.ahbl.org", NULL, 0, false, NULL, NULL, "2015-01-01"},
    {".njabl.org", NULL, 0, false, NULL, NULL, "2013-03-01"},
    {"list.dsbl.org", NULL, 0, false, NULL, NULL, "2009-03-01"},
    {"relays.ordb.org", NULL, 0, false, NULL, NULL, "2006-12-18"},
    {"bl.spamcannibal.org", NULL, 0, false, NULL, NULL, "2018-05-01"},
};

static const struct zone_known *find_known(struct str name)
{
    for (size_t i = 0; i < sizeof known_zones / sizeof known_zones[0]; i++) {
        struct str known = str_of(known_zones[i].name);

        if (known.p[0] == '.' ? str_ends_nocase(name, known) : str_is_nocase(name, known))
            return &known_zones[i];
    }
    return NULL;
}

/* ---- parsing ---- */

static void allow(uint8_t set[32], long from, long to)
{
    for (long i = from; i <= to; i++)
        set[i / 8] |= (uint8_t)(1u << (i % 8));
}

static bool octet_number(struct str s, long *n)
{
    return str_to_long(s, n) && *n >= 0 && *n <= 255;
}

/* octet - "2", or what stands between brackets: "2;4..11". */
static bool octet(struct str s, uint8_t set[32])
{
    struct str part;

    if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        s = str_slice(s, 1, s.n - 1);
    if (s.n == 0)
        return false;
    while (str_split(&s, ';', &part)) {
        size_t dots = str_find(part, '.');
        long from, to;

        if (!octet_number(str_slice(part, 0, dots), &from))
            return false;
        to = from;
        if (dots < part.n && (!str_starts(str_slice(part, dots, part.n), STR("..")) ||
                              !octet_number(str_slice(part, dots + 2, part.n), &to) || to < from))
            return false;
        allow(set, from, to);
    }
    return true;
}

static bool codes(struct str s, uint8_t set[4][32])
{
    for (int i = 0; i < 4; i++) {
        size_t end = 0;
        bool bracket = false;

        while (end < s.n && (bracket || s.p[end] != '.')) {
            bracket = s.p[end] == '[' || (bracket && s.p[end] != ']');
            end++;
        }
        if (!octet(str_slice(s, 0, end), set[i]) || (i < 3) != (end < s.n))
            return false;
        s = str_slice(s, end + 1, s.n);
    }
    return true;
}

/* masks - "8-16-64-128", also with commas. */
static bool masks(struct str s, uint32_t *value)
{
    uint32_t all = 0;
    size_t start = 0;

    for (size_t i = 0; i <= s.n; i++) {
        long bit;

        if (i < s.n && s.p[i] != '-' && s.p[i] != ',')
            continue;
        if (!str_to_long(str_slice(s, start, i), &bit) || bit < 1 || bit > 255)
            return false;
        all |= (uint32_t)bit;
        start = i + 1;
    }
    *value = all;
    return true;
}

/* shown - keys of paid lists are the first labels before the known part; they are secrets. */
static struct str shown(struct arena *a, struct str name, const struct zone_known *known)
{
    if (!known || known->name[0] != '.' || known->dead)
        return name;
    return arena_printf(a, "***%s", known->name);
}

/* test_point - as it stands before the zone: an address backwards, a name as it is. */
static bool test_point(struct arena *a, enum zone_kind kind, struct str written, struct str *point)
{
    struct ip ip;

    if (kind == ZONE_OF_CLIENTS) {
        if (!ip_parse(written, &ip) || !ip_is_v4(ip))
            return false;
        *point = arena_printf(a, "%u.%u.%u.%u", ip.b[15], ip.b[14], ip.b[13], ip.b[12]);
        return true;
    }
    *point = str_lower(a, written);
    return domain_is_hostname(written, false) && written.p[written.n - 1] != '.';
}

static bool test_points(struct arena *a, struct zone *zone, struct str written)
{
    size_t slash = str_find(written, '/');

    zone->test = str_lower(a, written);
    zone->untested = str_is(zone->test, STR("none"));
    if (zone->untested)
        return true;
    return test_point(a, zone->kind, str_slice(written, 0, slash), &zone->listed)
           && (slash == written.n
               || test_point(a, zone->kind, str_slice(written, slash + 1, written.n), &zone->unlisted));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* cut_test - what stands behind " test=" is taken off the head. */
static bool cut_test(struct arena *a, struct zone *zone, struct str *head, struct str *error)
{
    size_t end = 1;
    struct str word;

    /* a letter behind a blank: neither a name nor codes have that */
    while (end < head->n && !(is_blank(head->p[end - 1]) && is_letter(head->p[end])))
        end++;
    word = str_slice(*head, end, head->n);
    *head = str_trim(str_slice(*head, 0, end));
    if (word.n == 0)
        return true;
    if (!str_starts_nocase(word, STR("test="))) {
        *error = arena_printf(a, "has \"" STR_FMT "\" where only test= can follow",
                              STR_ARG(str_escaped(a, str_slice(word, 0, 64))));
        return false;
    }
    if (test_points(a, zone, str_slice(word, 5, word.n)))
        return true;
    *error = zone->kind == ZONE_OF_CLIENTS ? STR("needs none or IPv4 addresses, LISTED or LISTED/CLEAN, after test=")
                                           : STR("needs none or domains, LISTED or LISTED/CLEAN, after test=");
    return false;
}

bool zone_parse(struct arena *a, enum zone_kind kind, struct str text, struct zone *zone, struct str *error, bool *dead)
{
    size_t colon = str_find(text, ':'), equals;
    struct str head = str_trim(str_slice(text, 0, colon)), tail = str_trim(str_slice(text, colon + 1, text.n));
    struct str name, list;

    *dead = false;
    *zone = (struct zone){.kind = kind, .written = str_dup(a, text)};
    if (!cut_test(a, zone, &head, error))
        return false;
    equals = str_find(head, '=');
    name = str_lower(a, str_trim(str_slice(head, 0, equals)));
    list = str_trim(str_slice(head, equals + 1, head.n));
    zone->own_codes = equals < head.n;
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (!domain_is_fqdn(name)) {
        *error = STR("is not the name of a list");
        return false;
    }
    zone->name = name;
    zone->known = find_known(name);
    zone->shown = shown(a, name, zone->known);
    if (zone->known && zone->known->dead) {
        *dead = true;
        *error = arena_printf(a, "is dead since %s and is not asked", zone->known->dead);
        return false;
    }
    if (tail.n && masks(tail, &zone->masks))
        tail = STR_NONE;
    else if (zone->known && equals == head.n)
        zone->masks = zone->known->masks;
    zone->text = str_dup(a, tail);
    if (equals == head.n)
        list = zone->known && zone->known->codes ? str_of(zone->known->codes) : STR("127.0.0.[2..254]");
    if (!codes(list, zone->codes)) {
        *error = STR("needs codes like 127.0.0.[2;4..11] after the =");
        return false;
    }
    return true;
}

void zone_by_trust(struct zone *zone)
{
    zone->by_trust = !zone->known && !zone->own_codes && !zone->masks;
}

/* ---- asking ---- */

static const char *const never_asked[] = {
    "0.0.0.0/8",      "10.0.0.0/8",    "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.168.0.0/16", "224.0.0.0/3",   "::/128",        "::1/128",     "fc00::/7",       "fe80::/10",
    "ff00::/8",
};

static struct cidr private_nets[sizeof never_asked / sizeof never_asked[0]];

static void parse_private_nets(void)
{
    struct arena *a = arena_new(0);

    for (size_t i = 0; i < sizeof private_nets / sizeof private_nets[0]; i++) {
        struct str error;

        cidr_parse(a, str_of(never_asked[i]), &private_nets[i], &error);
        private_nets[i].written = STR_NONE;
    }
    arena_free(&a);
}

bool ip_is_public(struct ip ip)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, parse_private_nets);
    for (size_t i = 0; i < sizeof private_nets / sizeof private_nets[0]; i++)
        if (cidr_has(&private_nets[i], ip))
            return false;
    return ip.known;
}

bool zone_takes(const struct zone *zone, struct ip ip)
{
    return ip_is_public(ip) && (ip_is_v4(ip) || !zone->known || zone->known->v6);
}

struct str zone_client_name(struct arena *a, const struct zone *zone, struct ip ip)
{
    struct buf b = buf_in(a);

    if (ip_is_v4(ip))
        buf_addf(&b, "%u.%u.%u.%u.", ip.b[15], ip.b[14], ip.b[13], ip.b[12]);
    else
        for (int i = 15; i >= 0; i--)
            buf_addf(&b, "%x.%x.", ip.b[i] & 15u, ip.b[i] >> 4);
    buf_add(&b, zone->name);
    return buf_str(&b);
}

struct str zone_name_name(struct arena *a, const struct zone *zone, struct str domain)
{
    return arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(domain), STR_ARG(zone->name));
}

/* ---- judging ---- */

static bool in_set(const uint8_t set[32], uint8_t octet_value)
{
    return set[octet_value / 8] & (1u << (octet_value % 8));
}

/* refuses - answers with which lists say "not you", "too many", "no such zone", or that somebody else answered. */
static bool refuses(const uint8_t v4[4])
{
    return v4[0] != 127 || (v4[1] == 255 && v4[2] == 255) ||
           (v4[1] == 0 && v4[2] == 0 && (v4[3] == 1 || v4[3] == 255)) || (v4[1] == 0 && v4[2] == 1 && v4[3] == 255);
}

bool zone_answer_refuses(const struct dns_answer *answer)
{
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
        if (refuses(answer->records[i].ip.b + 12))
            return true;
    return false;
}

static enum zone_said judge_trust(unsigned trust)
{
    return trust == 0 ? ZONE_CLEAN : trust <= 3 ? ZONE_LISTED : ZONE_UNSURE;
}

static enum zone_said judge_code(const struct zone *zone, const uint8_t v4[4])
{
    if (refuses(v4))
        return ZONE_UNSURE;
    if (zone->masks)
        return v4[3] & 1 ? ZONE_UNSURE : v4[3] & zone->masks ? ZONE_LISTED : ZONE_CLEAN;
    if (zone->by_trust && v4[1] == 0 && v4[2] > 0)
        return judge_trust(v4[3]);
    for (int i = 0; i < 4; i++)
        if (!in_set(zone->codes[i], v4[i]))
            return ZONE_UNSURE;
    return ZONE_LISTED;
}

enum zone_said zone_judge(struct arena *a, const struct zone *zone, const struct dns_answer *answer, struct str *why)
{
    enum zone_said said = ZONE_CLEAN;

    *why = STR_NONE;
    if (answer->status == DNS_FAIL) {
        *why = str_of(answer->why);
        return ZONE_UNSURE;
    }
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++) {
        enum zone_said this = judge_code(zone, answer->records[i].ip.b + 12);

        if (refuses(answer->records[i].ip.b + 12)) { /* one refusal among the answers makes all of them doubtful */
            *why = ip_text(a, answer->records[i].ip);
            return ZONE_UNSURE;
        }
        if (this == ZONE_LISTED ? said != ZONE_LISTED : this == ZONE_UNSURE && said == ZONE_CLEAN) {
            said = this;
            *why = ip_text(a, answer->records[i].ip);
        }
    }
    return said;
}

enum zone_said zone_judge_test(struct arena *a, const struct dns_answer *answer, struct str *why)
{
    *why = STR_NONE;
    if (answer->status == DNS_FAIL) {
        *why = str_of(answer->why);
        return ZONE_UNSURE;
    }
    if (answer->status != DNS_OK)
        return ZONE_CLEAN;
    for (size_t i = 0; i < answer->count; i++)
        if (refuses(answer->records[i].ip.b + 12)) {
            *why = ip_text(a, answer->records[i].ip);
            return ZONE_UNSURE;
        }
    return ZONE_LISTED;
}

struct str zone_text(struct arena *a, const struct zone *zone, struct ip ip)
{
    struct buf b = buf_in(a);
    struct str text = zone->text;

    buf_add(&b, STR_NONE);
    while (text.n) {
        size_t at = str_find(text, '%');

        buf_add(&b, str_slice(text, 0, at));
        text = str_slice(text, at, text.n);
        if (str_starts_nocase(text, STR("%IP%"))) {
            buf_add(&b, ip_text(a, ip));
            text = str_slice(text, 4, text.n);
        } else if (text.n) {
            buf_addc(&b, '%');
            text = str_slice(text, 1, text.n);
        }
    }
    return buf_str(&b);
}

struct str zone_shown(struct arena *a, const struct zone *zone, struct str name)
{
    if (!str_ends_nocase(name, zone->name))
        return name;
    return arena_printf(a, STR_FMT STR_FMT, STR_ARG(str_slice(name, 0, name.n - zone->name.n)), STR_ARG(zone->shown));
}

void zone_test_points(struct arena *a, const struct zone *zone, struct str *listed, struct str *unlisted)
{
    const char *yes = zone->kind == ZONE_OF_CLIENTS ? "2.0.0.127" : "test";
    const char *no = zone->kind == ZONE_OF_CLIENTS ? "1.0.0.127" : "invalid";

    *listed = *unlisted = STR_NONE;
    if (zone->untested)
        return;
    if (zone->known && zone->known->listed)
        yes = zone->known->listed;
    if (zone->known && zone->known->unlisted)
        no = zone->known->unlisted;
    if (zone->listed.n)
        yes = str_c(a, zone->listed);
    if (zone->unlisted.n)
        no = str_c(a, zone->unlisted);
    *listed = arena_printf(a, "%s." STR_FMT, yes, STR_ARG(zone->name));
    *unlisted = arena_printf(a, "%s." STR_FMT, no, STR_ARG(zone->name));
}
