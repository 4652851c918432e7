/* resolvable_fromhost - a sender whose domain can be answered.
 *
 * MX, A and AAAA of the domain are asked together; then the addresses of its MX hosts. One address outside of the
 * invalid networks is enough. A null MX (RFC 7505) and a domain that does not exist will not be different tomorrow: 550.
 */
#include "policy.h"

#define HOSTS_MOST 10

struct resolvable_options {
    struct cidr_list invalid_networks;
    int64_t timeout;
};

static const struct option resolvable_rows[] = {
    OPT_CIDRS(struct resolvable_options, invalid_networks,
              "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, "
              "224.0.0.0/3, ::/127, fc00::/7, fe80::/10, ff00::/8",
              "networks where nobody can be answered"),
    OPT_DURATION(struct resolvable_options, timeout, "5s", 100, 60000, "how long to wait for the DNS"),
    OPTION_END,
};

struct asked {
    struct dns_question *mx, *a, *aaaa; /* NULL: nothing to ask */
    bool nameless;                      /* 8-bit bytes that are no U-labels (RFC 6531): the DNS cannot say anything of it */
    int64_t deadline;
};

/* dns_form - a domain in UTF-8 stands in the DNS as A-labels; any other is asked as it is written. */
static struct str dns_form(struct context *c, struct str domain, bool *nameless)
{
    struct str ascii;

    *nameless = false;
    if (domain_to_ascii(c->arena, domain, &ascii))
        return ascii;
    for (size_t i = 0; i < domain.n; i++)
        *nameless |= (unsigned char)domain.p[i] >= 0x80;
    return domain;
}

static void resolvable_ask(struct context *c)
{
    struct asked *asked = message_state(c, sizeof *asked);
    struct str domain = c->message->sender.domain;
    struct dns_budget *budget = &c->message->dns;

    /* a bounce, or an address literal: nothing to look up */
    if (domain.n == 0 || domain.p[0] == '[')
        return;
    domain = dns_form(c, domain, &asked->nameless);
    if (asked->nameless)
        return;
    asked->deadline = clock_ms() + OPTIONS(struct resolvable_options, c)->timeout;
    asked->mx = dns_ask_follow(c->arena, budget, domain, DNS_MX);
    asked->a = dns_ask(c->arena, budget, domain, DNS_A);
    asked->aaaa = dns_ask(c->arena, budget, domain, DNS_AAAA);
}

enum usable { NO_ADDRESS, INVALID, USABLE, UNKNOWN };

/* merge - the best of what several hosts have; not knowing is worse than knowing that one can be used, nothing else. */
static enum usable merge(enum usable x, enum usable y)
{
    if (x == USABLE || y == USABLE)
        return USABLE;
    if (x == UNKNOWN || y == UNKNOWN)
        return UNKNOWN;
    return x == INVALID || y == INVALID ? INVALID : NO_ADDRESS;
}

static enum usable usable(struct context *c, struct dns_question *q, int64_t deadline)
{
    const struct dns_answer *answer = dns_harvest(q, deadline);
    enum usable found = NO_ADDRESS;

    if (answer->status == DNS_FAIL)
        return UNKNOWN;
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
        found = merge(found, cidr_find(&OPTIONS(struct resolvable_options, c)->invalid_networks, answer->records[i].ip)
                                 ? INVALID : USABLE);
    return found;
}

static enum usable usable_hosts(struct context *c, const struct dns_answer *mx, int64_t deadline)
{
    struct dns_question *a[HOSTS_MOST], *aaaa[HOSTS_MOST];
    enum usable found = NO_ADDRESS;
    size_t n = 0;

    for (size_t i = 0; i < mx->count && i < HOSTS_MOST; i++) {
        struct str host = mx->records[i].text;
        struct ip ip;

        if (ip_parse(host, &ip)) { /* wrong, but there are such domains, and mail reaches them */
            bool invalid = cidr_find(&OPTIONS(struct resolvable_options, c)->invalid_networks, ip);

            found = merge(found, invalid ? INVALID : USABLE);
        } else if (host.n) {
            a[n] = dns_ask(c->arena, &c->message->dns, host, DNS_A);
            aaaa[n++] = dns_ask(c->arena, &c->message->dns, host, DNS_AAAA);
        }
    }
    if (mx->count > HOSTS_MOST) /* the rest is not looked at: that is not knowing */
        found = merge(found, UNKNOWN);
    for (size_t i = 0; i < n && found != USABLE; i++)
        found = merge(found, merge(usable(c, a[i], deadline), usable(c, aaaa[i], deadline)));
    return found;
}

static bool is_null_mx(const struct dns_answer *mx)
{
    return mx->status == DNS_OK && mx->count == 1 && mx->records[0].text.n == 0;
}

static struct finding verdict(struct context *c, enum usable found, const char *of)
{
    static const char *const words[] = {
        [NO_ADDRESS] = "none", [INVALID] = "invalid", [USABLE] = "usable", [UNKNOWN] = "unknown"};
    struct str domain = c->message->sender.domain;

    fact_set(c, FACT_MX, arena_printf(c->arena, "%s: %s", of, words[found]));
    if (found == USABLE)
        return NO_OPINION;
    if (found == UNKNOWN)
        return unsure(c, "the sender's domain " STR_FMT " could not be looked up", STR_ARG(domain));
    if (found == INVALID)
        return bad(c, "5.1.8", "the mail servers of the sender's domain " STR_FMT " have no public address",
                   STR_ARG(domain));
    return bad(c, "5.1.8", "the sender's domain " STR_FMT " has no mail server", STR_ARG(domain));
}

static struct finding resolvable_mail(struct context *c)
{
    struct asked *asked = message_state(c, sizeof *asked);
    struct str domain = c->message->sender.domain;
    const struct dns_answer *mx;
    struct finding f;

    if (asked->nameless)
        return verdict(c, UNKNOWN, "mx");
    if (!asked->mx)
        return NO_OPINION;
    mx = dns_harvest(asked->mx, asked->deadline);
    if (is_null_mx(mx)) {
        fact_set(c, FACT_MX, STR("null"));
        f = bad(c, "5.7.27", "the sender's domain " STR_FMT " takes no mail", STR_ARG(domain));
        f.permanent = true;
        return f;
    }
    if (mx->status == DNS_OK)
        return verdict(c, usable_hosts(c, mx, asked->deadline), "mx");
    if (mx->status == DNS_NXDOMAIN) {
        fact_set(c, FACT_MX, STR("nxdomain"));
        f = bad(c, "5.1.8", "the sender's domain " STR_FMT " does not exist", STR_ARG(domain));
        f.permanent = true;
        return f;
    }
    if (mx->status == DNS_FAIL)
        return verdict(c, UNKNOWN, "mx");
    return verdict(c, merge(usable(c, asked->a, asked->deadline), usable(c, asked->aaaa, asked->deadline)), "address");
}

static const struct told_again resolvable_told[] = {
    CANNOT_TELL("invalid_networks", "the addresses of the mail servers"), CANNOT_TELL("timeout", "when the answers came"),
    TOLD_AGAIN_END,
};

const struct policy policy_resolvable_fromhost = {
    .name = "resolvable_fromhost",
    .summary = "refuse senders whose domain nobody could answer",
    .options = resolvable_rows,
    .options_size = sizeof(struct resolvable_options),
    .presets = {.reply = "temp", .karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_MAIL] = resolvable_ask},
    .at = {[AT_MAIL] = resolvable_mail},
    .told_again = resolvable_told,
};
