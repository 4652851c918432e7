/* import_mail.c - whose mail it is: domains, networks, patterns of attachments. */
#include <stdlib.h>

#include "../mail/domain.h"
#include "../policy.h"
#include "import_conf.h"

#define NETWORK_WIDEST 8 /* bits: in a wider one strangers would be ours */

struct str import_shown(struct str text)
{
    return str_slice(text, 0, 80);
}

struct str import_prop(const struct esmith_record *record, const char *name)
{
    struct str value = STR_NONE;

    esmith_prop(record, str_of(name), &value);
    return str_trim(value);
}

bool import_domain_name(struct arena *a, struct str text, struct str *name)
{
    text = str_trim(text);
    if (text.n && text.p[text.n - 1] == '.')
        text.n--;
    if (!domain_to_ascii(a, text, name) || !domain_is_hostname(*name, false))
        return false;
    *name = str_lower(a, *name);
    return true;
}

/* ---- domains ---- */

/* is_server - "host", "host:port" or an address; *host without the port. */
static bool is_server(struct str text, struct str *host)
{
    size_t colon = str_rfind(text, ':');
    struct ip ip;
    long port;

    *host = text;
    if (ip_parse(text, &ip))
        return true;
    if (text.n > 2 && text.p[0] == '[') {
        size_t end = str_find(text, ']');

        *host = str_slice(text, 1, end);
        if (end == text.n || !ip_parse(*host, &ip))
            return false;
        return end + 1 == text.n || (colon == end + 1 && str_to_long(str_slice(text, colon + 1, text.n), &port) &&
                                     port > 0 && port < 65536);
    }
    if (colon < text.n) {
        *host = str_slice(text, 0, colon);
        if (!str_to_long(str_slice(text, colon + 1, text.n), &port) || port < 1 || port > 65535)
            return false;
    }
    return ip_parse(*host, &ip) || domain_is_hostname(*host, false);
}

/* is_us - by any of this machine's names and addresses; 0.0.0.0 is one too, to connect(). */
static bool is_us(struct import *im, struct str host)
{
    const struct str own[] = {im->sme.local_ip.value, im->sme.external_ip.value, STR("0.0.0.0"), STR("::")};
    struct ip ip, ours;

    if (!ip_parse(host, &ip))
        return str_is_nocase(host, STR("localhost")) || str_is_nocase(host, im->sme.hostname);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (ip_parse(own[i], &ours) && ip_equal(ip, ours))
            return true;
    return ip_is_loopback(ip);
}

/* can_be_asked - whether smtp_forward takes that host; a domain for which it does not must not be relayed either. */
static bool can_be_asked(struct import *im, struct str server, struct str *why)
{
    struct writer w = {.im = im, .b = buf_in(im->a), .indent = ""};

    if (!policy_by_name(STR("smtp_forward")))
        return true;
    conf_begin(&w, "smtp_forward");
    return conf_accepts(&w, arena_printf(im->a, "routes = {%s}",
                                         conf_quoted(&w, arena_printf(im->a, "example.org " STR_FMT, STR_ARG(server)))),
                        why);
}

/* usable_server - whether mail can be given to that host; what is wrong with it is said, and it is emptied. */
static void usable_server(struct import *im, struct sme_text *server)
{
    struct str host, why;

    if (server->value.n == 0)
        return;
    if (!is_server(server->value, &host)) {
        import_left_out(&im->notes, server->from, "\"" STR_FMT "\" is no host, host:port or address",
                        STR_ARG(import_shown(server->value)));
        server->value = STR_NONE;
    } else if (is_us(im, host)) {
        import_left_out(&im->notes, server->from, "\"" STR_FMT "\" is this machine itself: mail would go in a circle",
                        STR_ARG(import_shown(server->value)));
        server->value = STR_NONE;
    } else if (!can_be_asked(im, server->value, &why)) {
        import_left_out(&im->notes, server->from, STR_FMT, STR_ARG(why));
        server->value = STR_NONE;
    }
}

static int compare_domains(const void *x, const void *y)
{
    const struct sme_domain *a = x, *b = y;

    return str_compare(a->name, b->name);
}

static void add_domain(struct import *im, struct sme_domain domain)
{
    struct sme *s = &im->sme;

    s->domains = arena_grow(im->a, s->domains, s->domain_count, sizeof *s->domains);
    s->domains[s->domain_count++] = domain;
}

static void domains(struct import *im)
{
    struct sme *s = &im->sme;
    bool primary = false;
    size_t kept = 0;

    for (size_t i = 0; i < im->domains.count; i++) {
        const struct esmith_record *record = &im->domains.records[i];
        struct sme_domain domain = {.from = source_of(im->a, &im->domains, record, NULL, true)};

        domain.from.name = arena_printf(im->a, "domain " STR_FMT, STR_ARG(domain.from.name));
        if (!str_is(record->type, STR("domain")) && !str_is(record->type, STR("domain-remote"))) {
            import_left_out(&im->notes, domain.from, "is of the type \"" STR_FMT "\", which is none of a domain",
                            STR_ARG(import_shown(record->type)));
            continue;
        }
        if (!import_domain_name(im->a, record->key, &domain.name)) {
            import_left_out(&im->notes, domain.from, "is no domain name");
            continue;
        }
        domain.type = (struct sme_text){record->type, domain.from};
        domain.mail_server = (struct sme_text){import_prop(record, "MailServer"), domain.from};
        domain.mail_server.from.name = arena_printf(im->a, STR_FMT "{MailServer}", STR_ARG(domain.from.name));
        domain.mail_server.from.set = domain.mail_server.value.n > 0;
        usable_server(im, &domain.mail_server);
        add_domain(im, domain);
    }
    for (size_t i = 0; i < s->domain_count; i++)
        primary = primary || str_is(s->domains[i].name, s->domain_name.value);
    if (!primary && s->domain_name.value.n) {
        struct sme_domain domain = {.name = s->domain_name.value, .from = s->domain_name.from};

        domain.mail_server.from = s->domain_name.from;
        add_domain(im, domain);
    }
    if (s->domain_count)
        qsort(s->domains, s->domain_count, sizeof *s->domains, compare_domains);
    for (size_t i = 0; i < s->domain_count; i++) {
        if (kept && str_is(s->domains[kept - 1].name, s->domains[i].name))
            import_left_out(&im->notes, s->domains[i].from, "is the domain " STR_FMT " a second time",
                            STR_ARG(s->domains[i].name));
        else
            s->domains[kept++] = s->domains[i];
    }
    s->domain_count = kept;
    usable_server(im, &s->delegate);
}

static void hosts(struct import *im)
{
    if (im->hosts.count)
        import_notice(&im->notes, source_named(STR("hosts"), (struct place){im->hosts.file, 0}),
                      "%zu records have no effect: mail is accepted for domains, and for the host's own name",
                      im->hosts.count);
}

/* ---- networks ---- */

/* mask_bits - "255.255.255.0" is 24, and so is "24"; -1 when it is no mask. */
static int mask_bits(struct str text)
{
    struct ip mask;
    long bits;
    int n = 0;

    if (str_to_long(text, &bits))
        return bits >= 0 && bits <= 32 ? (int)bits : -1;
    if (!ip_parse(text, &mask) || !ip_is_v4(mask))
        return -1;
    while (n < 32 && (mask.b[12 + n / 8] >> (7 - n % 8) & 1))
        n++;
    for (int i = n; i < 32; i++)
        if (mask.b[12 + i / 8] >> (7 - i % 8) & 1)
            return -1;
    return n;
}

/* network_of - the network in which an address lies, host bits cleared. */
static bool network_of(struct import *im, struct str address, int bits, struct cidr *net)
{
    struct str error;
    struct ip ip;

    if (!ip_parse(address, &ip) || !ip_is_v4(ip) || bits < 0)
        return false;
    for (int i = bits; i < 32; i++)
        ip.b[12 + i / 8] &= (uint8_t)~(0x80 >> i % 8);
    return cidr_parse(im->a, arena_printf(im->a, STR_FMT "/%d", STR_ARG(ip_text(im->a, ip)), bits), net, &error);
}

static int compare_networks(const void *x, const void *y)
{
    const struct sme_network *a = x, *b = y;
    int order = memcmp(a->net.net.b, b->net.net.b, sizeof a->net.net.b);

    return order ? order : (a->net.bits > b->net.bits) - (a->net.bits < b->net.bits);
}

static void add_network(struct import *im, struct sme_network network)
{
    struct sme *s = &im->sme;

    for (size_t i = 0; i < s->network_count; i++)
        if (compare_networks(&s->networks[i], &network) == 0)
            return;
    s->networks = arena_grow(im->a, s->networks, s->network_count, sizeof *s->networks);
    s->networks[s->network_count++] = network;
}

static void one_network(struct import *im, const struct esmith_record *record)
{
    struct sme_network network = {.from = source_of(im->a, &im->networks, record, NULL, true)};
    struct str mask = import_prop(record, "Mask"), own = import_prop(record, "RelayRequiresAuth");
    const struct sme_flag *all = &im->sme.service[SME_SMTP].relay_requires_auth;
    int bits = mask_bits(mask);
    struct ip ip;
    bool needs;

    network.from.name = arena_printf(im->a, "network " STR_FMT, STR_ARG(network.from.name));
    if (!str_is(record->type, STR("network"))) {
        import_left_out(&im->notes, network.from, "is of the type \"" STR_FMT "\", not network",
                        STR_ARG(import_shown(record->type)));
        return;
    }
    if (!ip_parse(record->key, &ip) || bits < 0) {
        import_left_out(&im->notes, network.from, "with the mask \"" STR_FMT "\" is no network",
                        STR_ARG(import_shown(mask)));
        return;
    }
    if (bits < NETWORK_WIDEST || !network_of(im, record->key, bits, &network.net)) {
        import_left_out(&im->notes, network.from, "with the mask \"" STR_FMT "\" is wider than /%d: strangers would be "
                        "local clients", STR_ARG(import_shown(mask)), NETWORK_WIDEST);
        return;
    }
    network.relay_without_auth = (struct sme_flag){!all->value, all->from};
    if (own.n) {
        struct sme_source from = source_of(im->a, &im->networks, record, "RelayRequiresAuth", true);

        if (import_flag(own, &needs))
            network.relay_without_auth = (struct sme_flag){!needs || !all->value, from};
        else
            import_left_out(&im->notes, from, "\"" STR_FMT "\" is neither enabled nor disabled",
                            STR_ARG(import_shown(own)));
    }
    add_network(im, network);
}

static void networks(struct import *im)
{
    struct sme *s = &im->sme;
    struct sme_network own = {.from = s->local_ip.from,
                              .relay_without_auth = {!s->service[SME_SMTP].relay_requires_auth.value,
                                                     s->service[SME_SMTP].relay_requires_auth.from}};
    int bits = mask_bits(s->local_netmask.value);

    for (size_t i = 0; i < im->networks.count; i++)
        one_network(im, &im->networks.records[i]);
    if (s->local_ip.value.n && bits >= NETWORK_WIDEST && network_of(im, s->local_ip.value, bits, &own.net))
        add_network(im, own);
    if (s->network_count)
        qsort(s->networks, s->network_count, sizeof *s->networks, compare_networks);
}

/* ---- patterns ---- */

static void patterns(struct import *im)
{
    struct sme *s = &im->sme;

    for (size_t i = 0; i < im->mailpatterns.count; i++) {
        const struct esmith_record *record = &im->mailpatterns.records[i];
        struct sme_pattern pattern = {.name = record->key,
                                      .from = source_of(im->a, &im->mailpatterns, record, NULL, true)};
        struct str status = import_prop(record, "Status"), body = import_prop(record, "Body"), item;

        pattern.from.name = arena_printf(im->a, "pattern " STR_FMT, STR_ARG(pattern.from.name));
        if (!str_is(record->type, STR("pattern"))) {
            import_left_out(&im->notes, pattern.from, "is of the type \"" STR_FMT "\", not pattern",
                            STR_ARG(import_shown(record->type)));
            continue;
        }
        if (status.n && !import_flag(status, &pattern.enabled)) {
            import_left_out(&im->notes, pattern.from, "its Status is neither enabled nor disabled");
            continue;
        }
        pattern.body.from = pattern.from;
        while (str_split(&body, ',', &item)) {
            item = str_trim(item);
            if (item.n == 0)
                continue;
            pattern.body.items = arena_grow(im->a, pattern.body.items, pattern.body.count, sizeof item);
            pattern.body.items[pattern.body.count++] = item;
        }
        s->patterns = arena_grow(im->a, s->patterns, s->pattern_count, sizeof *s->patterns);
        s->patterns[s->pattern_count++] = pattern;
    }
}

void import_model_mail(struct import *im)
{
    domains(im);
    hosts(im);
    networks(im);
    import_accounts(im);
    patterns(im);
}
