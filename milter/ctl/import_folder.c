/* import_folder.c - a configuration folder of qpsmtpd: its list files and those of one value. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "../config_tree.h"
#include "../mail/domain.h"
#include "../mail/pattern.h"
#include "import_inside.h"

#define FILE_MOST ((size_t)16 << 20)
#define NAMES_MOST 10000

enum content {
    OF_OLD_PATTERNS, OF_PAIRS, OF_MAILBOXES, OF_HOSTS, OF_NETWORKS, OF_TLDS, /* lists, see which */
    OF_CLIENT_ZONES, OF_RHSBL_ZONES, OF_URIBL_ZONES, OF_SIGNATURES,
    OF_RELAYCLIENTS, OF_NORELAYCLIENTS, OF_RCPTHOSTS, OF_ROUTES, OF_ME, OF_PROTOCOLS,
    OF_VALUE,   /* the first line is a property */
    OF_NOTHING, /* has no effect, for a reason */
    OF_LOST,    /* cannot be carried over, for a reason */
    OF_ELSEWHERE, /* read by others */
};

static const struct known_file {
    const char *name;
    enum content content;
    int which;        /* enum import_lists */
    const char *text; /* the property, or the reason */
} known_files[] = {
    {"badhelo", OF_OLD_PATTERNS, LIST_BADHELO, NULL},
    {"badmailfrom", OF_OLD_PATTERNS, LIST_BADMAILFROM, NULL},
    {"badmailfromto", OF_PAIRS, LIST_BADMAILFROMTO, NULL},
    {"badrcptto", OF_OLD_PATTERNS, LIST_BADRCPTTO, NULL},
    {"badrcptto_ext", OF_MAILBOXES, LIST_BADRCPTTO_EXT, "the accounts with Visible=internal say it"},
    {"goodrcptto", OF_MAILBOXES, LIST_GOODRCPTTO, "the accounts say it"},
    {"bcc_ignore_mailfrom", OF_MAILBOXES, LIST_BCC_IGNORE_FROM, NULL},
    {"bcc_ignore_rcptto", OF_MAILBOXES, LIST_BCC_IGNORE_TO, NULL},
    {"dnsbl_allow", OF_NETWORKS, LIST_DNSBL_ALLOW, NULL},
    {"uribl_whitelist_domains", OF_HOSTS, LIST_URIBL_ALLOW, NULL},
    {"karma_tlds", OF_TLDS, LIST_KARMA_TLDS, NULL},
    {"dnsbl_zones", OF_CLIENT_ZONES, 0, "RBLList"},
    {"rhsbl_zones", OF_RHSBL_ZONES, 0, "SBLList"},
    {"uribl_zones", OF_URIBL_ZONES, 0, "UBLList"},
    {"signatures_patterns", OF_SIGNATURES, 0, "the database mailpatterns says it"},
    {"relayclients", OF_RELAYCLIENTS, 0, "the database networks says it"},
    {"morerelayclients", OF_RELAYCLIENTS, 0, "the database networks says it"},
    {"norelayclients", OF_NORELAYCLIENTS, 0, "GatewayIP says it"},
    {"rcpthosts", OF_RCPTHOSTS, 0, "the database domains says it"},
    {"morercpthosts", OF_RCPTHOSTS, 0, "the database domains says it"},
    {"smtproutes", OF_ROUTES, 0, "MailServer and DelegateMailServer say it"},
    {"me", OF_ME, 0, "SystemName and DomainName say it"},
    {"tls_protocols", OF_PROTOCOLS, 0, "SSLv2 to TLSv1.3 of the services say it"},
    {"loglevel", OF_VALUE, 0, "LogLevel"},
    {"smtpgreeting", OF_VALUE, 0, "Greeting"},
    {"subject_prefix", OF_VALUE, 0, "Subject"},
    {"timeout", OF_VALUE, 0, "timeout"},
    {"timeoutsmtpd", OF_VALUE, 0, "timeoutsmtpd"},
    {"tls_before_auth", OF_VALUE, 0, "TlsBeforeAuth"},
    {"tls_ciphers", OF_VALUE, 0, "tlsCipher"},
    {"databytes", OF_VALUE, 0, "databytes"},
    {"plugins", OF_ELSEWHERE, 0, NULL},
    {"peers", OF_ELSEWHERE, 0, NULL},
    {"dkim", OF_ELSEWHERE, 0, NULL},
    {"forcespamcheck", OF_NOTHING, 0, "a mark without content: the policy forcespamcheck is in the profiles of our own "
                                      "people"},
    {"invalid_resolvable_fromhost", OF_NOTHING, 0, "resolvable_fromhost.invalid_networks has these networks and more"},
    {"IP", OF_NOTHING, 0, "Postfix listens (inet_interfaces)"},
    {"memory_threshold", OF_NOTHING, 0, "qpsmtpd 1.0 does not read it either"},
    {"size_threshold", OF_NOTHING, 0, "limits.memory says what goes to a file"},
    {"plugin_dirs", OF_NOTHING, 0, "the policies are part of the program"},
    {"spool_dir", OF_NOTHING, 0, "a message is in memory, or in a file without a name"},
    {"spool_perms", OF_NOTHING, 0, "a message is in memory, or in a file without a name"},
    {"me-auth-results", OF_NOTHING, 0, "hostname is the name in Authentication-Results"},
    {"dnsbl_rejectmsg", OF_NOTHING, 0, "a list's text stands behind its name: zone:text"},
    {"spfbehavior", OF_NOTHING, 0, "spf.reject_policy says what is refused"},
    {"logging", OF_NOTHING, 0, "log { } says what is logged"},
    {"hosts_allow", OF_LOST, 0, "use smtpd_client_connection_count_limit and a table of Postfix"},
    {"whitelisthosts", OF_LOST, 0, "look at whitelist.clients and whitelist.names, which need addresses and names that "
                                   "can be verified"},
    {"whitelistsenders", OF_LOST, 0, "look at whitelist.senders, which believes a sender with SPF or DKIM only"},
    {"whitelisthelo", OF_LOST, 0, "anybody can say any name in HELO"},
    {"whitelistrcpt", OF_LOST, 0, "nothing is skipped for a recipient's sake"},
    {"rcpt_regexp", OF_LOST, 0, "look at goodrcptto and badrcptto"},
    {"user_config", OF_LOST, 0, "there are no settings of users"},
};

struct folder_line {
    struct import *im;
    const struct known_file *file;
    struct sme_source from;
    struct str text;
};

/* ---- lines ---- */

static void refuse(struct folder_line *l, struct str why)
{
    import_left_out(&l->im->notes, l->from, "\"" STR_FMT "\" " STR_FMT, STR_ARG(str_slice(l->text, 0, 200)),
                    STR_ARG(why));
}

static void add_pair(struct folder_line *l)
{
    struct pattern_pairs scratch = {0};
    struct str error = STR_NONE;

    if (pattern_pair_add(l->im->a, &scratch, l->text, &error))
        import_list_add(l->im, l->file->which, l->from, l->text);
    else
        refuse(l, error);
}

static void add_pattern(struct folder_line *l, enum pattern_of of)
{
    struct pattern_list scratch = {0};
    struct str error = STR_NONE;
    bool bare = of == PATTERN_ADDRESSES && l->file->which != LIST_BADRCPTTO_EXT;

    if (pattern_add(l->im->a, &scratch, of, bare, l->text, &error)) {
        import_list_add(l->im, l->file->which, l->from, l->text);
        l->im->has_accounts |= l->file->which == LIST_GOODRCPTTO;
    } else {
        refuse(l, error);
    }
}

/* read_network - an address, a network, or the begin of an address: "192.168.1." and "2001:db8:". */
static bool read_network(struct arena *a, struct str text, struct cidr *net, struct str *error)
{
    struct str whole = text;
    int dots = 0;

    if (text.n && text.p[text.n - 1] == '.') {
        for (size_t i = 0; i < text.n; i++)
            dots += text.p[i] == '.';
        for (int i = dots; i < 4; i++)
            whole = arena_printf(a, STR_FMT "%s0", STR_ARG(whole), i > dots ? "." : "");
        whole = arena_printf(a, STR_FMT "/%d", STR_ARG(whole), 8 * dots);
    } else if (text.n > 1 && text.p[text.n - 1] == ':' && text.p[text.n - 2] != ':') {
        for (size_t i = 0; i < text.n; i++)
            dots += text.p[i] == ':';
        whole = arena_printf(a, STR_FMT ":/%d", STR_ARG(text), 16 * dots);
    }
    return cidr_parse(a, whole, net, error);
}

static void add_network(struct folder_line *l)
{
    struct cidr net;
    struct str error;

    if (read_network(l->im->a, l->text, &net, &error))
        import_list_add(l->im, l->file->which, l->from, net.written);
    else
        refuse(l, error);
}

static void add_tld(struct folder_line *l)
{
    size_t colon = str_find(l->text, ':');
    struct str number = str_slice(l->text, colon + 1, l->text.n), name = str_slice(l->text, 0, colon);
    long weight;

    if (str_starts(number, STR("+")))
        number = str_slice(number, 1, number.n);
    if (!domain_is_hostname(name, false) || !str_to_long(number, &weight))
        refuse(l, STR("is not like \"top:-4\""));
    else
        import_list_add(l->im, LIST_KARMA_TLDS, l->from,
                        arena_printf(l->im->a, STR_FMT ":%ld", STR_ARG(name), weight));
}

static void add_item(struct folder_line *l, struct sme_texts *list, struct str item)
{
    if (!list->from.set || !str_is(list->from.name, l->from.name))
        *list = (struct sme_texts){.from = l->from};
    list->items = arena_grow(l->im->a, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = item;
}

static void add_zone(struct folder_line *l)
{
    struct sme_filter *f = &l->im->sme.filter[SME_SMTP];
    struct str rest = l->text, zone, masks;

    if (l->file->content == OF_CLIENT_ZONES) {
        add_item(l, &f->rbl_list, l->text);
        return;
    }
    str_token(&rest, &zone);
    rest = str_trim(rest);
    if (l->file->content == OF_RHSBL_ZONES) { /* words behind it were for the client */
        add_item(l, &f->sbl_list, rest.n ? arena_printf(l->im->a, STR_FMT ":" STR_FMT, STR_ARG(zone), STR_ARG(rest))
                                         : zone);
        return;
    }
    if (str_token(&rest, &masks) && masks.p[0] >= '0' && masks.p[0] <= '9') {
        char *text = (char *)str_dup(l->im->a, masks).p;

        for (size_t i = 0; i < masks.n; i++)
            text[i] = text[i] == ',' ? '-' : text[i];
        if (!str_is(masks, STR("0")))
            zone = arena_printf(l->im->a, STR_FMT ":%s", STR_ARG(zone), text);
        str_token(&rest, &masks);
    }
    if (masks.n && !(masks.p[0] >= '0' && masks.p[0] <= '9') && !str_is(masks, STR("deny")))
        import_notice(&l->im->notes, l->from, "the action \"" STR_FMT "\" of " STR_FMT " has no effect: uribl has one "
                      "for all its lists (reject)", STR_ARG(str_slice(masks, 0, 80)), STR_ARG(zone));
    add_item(l, &f->ubl_list, zone);
}

static void add_signature(struct folder_line *l)
{
    struct sme *s = &l->im->sme;
    struct sme_pattern pattern = {.name = STR("attachment"), .enabled = true, .from = l->from};

    pattern.body = (struct sme_texts){arena_alloc(l->im->a, sizeof(struct str)), 1, l->from};
    pattern.body.items[0] = l->text;
    s->patterns = arena_grow(l->im->a, s->patterns, s->pattern_count, sizeof *s->patterns);
    s->patterns[s->pattern_count++] = pattern;
}

static void add_relayclient(struct folder_line *l)
{
    struct sme *s = &l->im->sme;
    struct sme_network network = {.relay_without_auth = {true, l->from}, .from = l->from};
    struct str error;

    if (!read_network(l->im->a, l->text, &network.net, &error)) {
        refuse(l, error);
        return;
    }
    if (ip_is_loopback(network.net.net))
        return;
    if (network.net.bits < (ip_is_v4(network.net.net) ? 96 + 8 : 16)) {
        refuse(l, STR("is so wide that strangers would be local clients"));
        return;
    }
    s->networks = arena_grow(l->im->a, s->networks, s->network_count, sizeof *s->networks);
    s->networks[s->network_count++] = network;
}

static void add_domain(struct folder_line *l, struct str text, struct sme_text server)
{
    struct sme *s = &l->im->sme;
    struct sme_domain domain = {.mail_server = server, .type = {STR("domain"), l->from}, .from = l->from};

    if (str_is_nocase(text, STR("localhost")))
        return;
    if (!import_domain_name(l->im->a, str_starts(text, STR(".")) ? str_slice(text, 1, text.n) : text, &domain.name)) {
        refuse(l, STR("is no domain name"));
        return;
    }
    if (str_starts(text, STR(".")))
        domain.name = arena_printf(l->im->a, "." STR_FMT, STR_ARG(domain.name));
    for (size_t i = 0; i < s->domain_count; i++) {
        if (!str_is(s->domains[i].name, domain.name))
            continue;
        if (server.value.n)
            s->domains[i].mail_server = server;
        return;
    }
    s->domains = arena_grow(l->im->a, s->domains, s->domain_count, sizeof *s->domains);
    s->domains[s->domain_count++] = domain;
}

/* add_route - "domain:server[:port]"; that of all domains is Postfix's relayhost. */
static void add_route(struct folder_line *l)
{
    size_t colon = str_find(l->text, ':');
    struct str server = str_slice(l->text, colon + 1, l->text.n);
    struct buf plain = buf_in(l->im->a);

    for (size_t i = 0; i < server.n; i++)
        if (server.p[i] != '[' && server.p[i] != ']')
            buf_addc(&plain, server.p[i]);
    if (colon == l->text.n || server.n == 0)
        refuse(l, STR("is not like \"domain:server\""));
    else if (colon == 0)
        l->im->sme.smart_host = (struct sme_text){buf_str(&plain), l->from};
    else
        add_domain(l, str_slice(l->text, 0, colon), (struct sme_text){buf_str(&plain), l->from});
}

static void set_me(struct folder_line *l)
{
    struct sme *s = &l->im->sme;

    if (!import_domain_name(l->im->a, l->text, &s->hostname)) {
        refuse(l, STR("is no host name"));
        return;
    }
    s->system_name = (struct sme_text){s->hostname, l->from};
    s->domain_name = (struct sme_text){s->hostname, l->from};
}

static void set_norelay(struct folder_line *l)
{
    struct ip ip;

    if (l->im->sme.gateway_ip.value.n)
        refuse(l, STR("is one of several: put it into relay.except, and with a ! before it into mynetworks"));
    else if (ip_parse(l->text, &ip))
        l->im->sme.gateway_ip = (struct sme_text){l->text, l->from};
    else
        refuse(l, STR("is no address: put its network into relay.except"));
}

/* set_protocols - "SSLv23:!SSLv3:!TLSv1": all but those. */
static void set_protocols(struct folder_line *l)
{
    static const char *const names[SME_PROTOCOLS] = {"SSLv2", "SSLv3", "TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"};
    struct str rest = l->text, word;

    for (int p = SME_TLSV1; p < SME_PROTOCOLS; p++)
        l->im->sme.service[SME_SMTP].protocols[p] = (struct sme_flag){true, l->from};
    while (str_split(&rest, ':', &word)) {
        bool off = str_starts(word, STR("!")), known = str_is_nocase(word, STR("SSLv23"));

        word = str_slice(word, off, word.n);
        for (int p = 0; p < SME_PROTOCOLS; p++) {
            if (!str_is_nocase(word, str_of(names[p])))
                continue;
            known = true;
            if (off)
                l->im->sme.service[SME_SMTP].protocols[p] = (struct sme_flag){false, l->from};
        }
        if (!known)
            refuse(l, STR("has a protocol that is not known"));
    }
}

static void set_value(struct folder_line *l)
{
    static const struct import_row databytes = {"databytes", KIND_NUMBER, offsetof(struct sme, max_message_size),
                                                {"0", NULL, NULL}, 0, 1e12, NULL};
    struct str name = str_of(l->file->text);
    struct sme *s = &l->im->sme;

    if (str_is(name, STR("databytes")))
        import_set(l->im, &databytes, s, l->text, l->from);
    for (const struct import_row *row = import_spam_rows; row->name; row++)
        if (str_is(name, str_of(row->name)))
            import_set(l->im, row, s, l->text, l->from);
    for (const struct import_row *row = import_filter_rows; row->name; row++)
        for (int i = 0; i < SME_PORTS && str_is(name, str_of(row->name)); i++)
            if (!import_set(l->im, row, &s->filter[i], l->text, l->from))
                return;
    for (const struct import_row *row = import_service_rows; row->name; row++)
        for (int i = 0; i < SME_PORTS && str_is(name, str_of(row->name)); i++)
            if (!import_set(l->im, row, &s->service[i], l->text, l->from))
                return;
}

static void one_line(struct folder_line *l)
{
    switch (l->file->content) {
    case OF_OLD_PATTERNS: import_old_pattern(l->im, l->file->which, l->from, l->text); break;
    case OF_PAIRS: add_pair(l); break;
    case OF_MAILBOXES: add_pattern(l, PATTERN_ADDRESSES); break;
    case OF_HOSTS: add_pattern(l, PATTERN_HOSTS); break;
    case OF_NETWORKS: add_network(l); break;
    case OF_TLDS: add_tld(l); break;
    case OF_CLIENT_ZONES:
    case OF_RHSBL_ZONES:
    case OF_URIBL_ZONES: add_zone(l); break;
    case OF_SIGNATURES: add_signature(l); break;
    case OF_RELAYCLIENTS: add_relayclient(l); break;
    case OF_NORELAYCLIENTS: set_norelay(l); break;
    case OF_RCPTHOSTS: add_domain(l, l->text, (struct sme_text){STR_NONE, l->from}); break;
    case OF_ROUTES: add_route(l); break;
    case OF_ME: set_me(l); break;
    case OF_PROTOCOLS: set_protocols(l); break;
    case OF_VALUE: set_value(l); break;
    default: break;
    }
}

/* ---- files ---- */

bool import_folder_text(struct import *im, struct str name, struct str *text)
{
    struct str path = arena_printf(im->a, STR_FMT "/" STR_FMT, STR_ARG(im->qpsmtpd_dir), STR_ARG(name)), error;

    if (access(path.p, F_OK) != 0)
        return false;
    if (conf_read_file(im->a, path, FILE_MOST, text, &error))
        return true;
    import_left_out(&im->notes, source_named(str_escaped(im->a, name), (struct place){path, 0}), STR_FMT,
                    STR_ARG(error));
    return false;
}

/* said_by_database - what a database has said is not said again by a file that was made of it. */
static bool said_by_database(struct import *im, const struct known_file *file, struct sme_source from)
{
    bool property = file->content == OF_VALUE || file->content == OF_CLIENT_ZONES ||
                    file->content == OF_RHSBL_ZONES || file->content == OF_URIBL_ZONES;

    if (im->db_dir.n == 0 || !file->text || file->content == OF_NOTHING || file->content == OF_LOST)
        return false;
    if (property)
        import_notice(&im->notes, from, "is not read: the property %s says it", file->text);
    else
        import_notice(&im->notes, from, "is not read: %s", file->text);
    return true;
}

static void one_file(struct import *im, const struct known_file *file)
{
    struct str name = str_of(file->name), text = STR_NONE, part,
               path = arena_printf(im->a, STR_FMT "/%s", STR_ARG(im->qpsmtpd_dir), file->name);
    struct folder_line l = {.im = im, .file = file};
    size_t lines = 0;

    l.from = source_named(arena_printf(im->a, "file %s", file->name), (struct place){path, 1});
    if (file->content == OF_ELSEWHERE || said_by_database(im, file, l.from))
        return;
    if (file->content == OF_NOTHING || file->content == OF_LOST) {
        if (file->content == OF_NOTHING)
            import_notice(&im->notes, l.from, "has no effect: %s", file->text);
        else
            import_left_out(&im->notes, l.from, "is not carried over: %s", file->text);
        return;
    }
    if (!import_folder_text(im, name, &text))
        return;
    l.from.at.line = 0;
    while (str_split(&text, '\n', &part)) {
        l.from.at.line++;
        l.text = str_trim(part);
        if (l.text.n == 0 || l.text.p[0] == '#')
            continue;
        if (l.text.n > 4096 || !str_is(str_escaped(im->a, str_slice(l.text, 0, 1)), str_slice(l.text, 0, 1))) {
            import_left_out(&im->notes, l.from, "line %u has binary bytes, or more than 4096", l.from.at.line);
            continue;
        }
        lines++;
        one_line(&l);
        if (file->content == OF_VALUE || file->content == OF_ME)
            break;
    }
    l.from.at.line = 1;
    import_done(&im->notes, l.from, "%zu lines", lines);
}

static const struct known_file *known_file(const char *name)
{
    for (size_t i = 0; i < sizeof known_files / sizeof *known_files; i++)
        if (str_is(str_of(name), str_of(known_files[i].name)))
            return &known_files[i];
    return NULL;
}

static int compare_names(const void *x, const void *y)
{
    return str_compare(*(const struct str *)x, *(const struct str *)y);
}

/* names_in - of a directory, sorted, so that each run says the same. */
static struct str *names_in(struct import *im, DIR *dir, size_t *count)
{
    const struct dirent *entry;
    struct str *names = NULL;

    *count = 0;
    while ((entry = readdir(dir)) && *count < NAMES_MOST) {
        if (entry->d_name[0] == '.')
            continue;
        names = arena_grow(im->a, names, *count, sizeof *names);
        names[(*count)++] = str_dup(im->a, str_of(entry->d_name));
    }
    if (*count)
        qsort(names, *count, sizeof *names, compare_names);
    return names;
}

int import_read_folder(struct import *im)
{
    DIR *dir = opendir(str_c(im->a, im->qpsmtpd_dir));
    struct str *names;
    size_t count, known = 0;

    if (!dir) {
        fprintf(stderr, "sme-milterctl import sme: %s: %s\n", str_c(im->a, str_escaped(im->a, im->qpsmtpd_dir)),
                strerror(errno));
        return errno == EACCES ? EX_NOPERM : EX_NOINPUT;
    }
    names = names_in(im, dir, &count);
    closedir(dir);
    for (size_t i = 0; i < count; i++) {
        const struct known_file *file = known_file(names[i].p);
        struct str shown = str_escaped(im->a, names[i]);

        if (file) {
            known++;
            one_file(im, file);
        } else if (!str_starts(names[i], STR("karma")) && !str_starts(names[i], STR("disclaimer"))) {
            import_left_out(&im->notes, source_named(arena_printf(im->a, "file " STR_FMT, STR_ARG(shown)),
                                                     (struct place){im->qpsmtpd_dir, 0}),
                            "is none that qpsmtpd's own plugins read");
        }
    }
    if (known == 0) {
        fprintf(stderr, "sme-milterctl import sme: " STR_FMT " has no file of a configuration of qpsmtpd\n",
                STR_ARG(str_escaped(im->a, im->qpsmtpd_dir)));
        return EX_NOINPUT;
    }
    import_plugins(im);
    return CTL_FINE;
}
