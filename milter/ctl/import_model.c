/* import_model.c - what the database `configuration` says, typed and within its limits. */
#include "import_inside.h"

static const char *const records[SME_PORTS] = {"qpsmtpd", "sqpsmtpd", "uqpsmtpd"};

static const struct import_row *row_of(const struct import_row *rows, struct str name)
{
    for (; rows->name; rows++)
        if (str_is(name, str_of(rows->name)))
            return rows;
    return NULL;
}

/* ---- properties that are not read ---- */

struct ignored {
    const char *record; /* NULL: of the three services */
    const char *name;
    const char *why;
};

static const struct ignored ignored[] = {
    {NULL, "AllowHosts", "a rule of the firewall, which is not the milter's nor Postfix's"},
    {NULL, "DenyHosts", "a rule of the firewall, which is not the milter's nor Postfix's"},
    {NULL, "TCPPorts", "a rule of the firewall, which is not the milter's nor Postfix's"},
    {NULL, "UDPPort", "a rule of the firewall, which is not the milter's nor Postfix's"},
    {NULL, "MemLimit", "memory is limited by SoftLimit"},
    {"spamassassin", "BayesAutoLearnThresholdNonspam", "a setting of spamd"},
    {"spamassassin", "BayesAutoLearnThresholdSpam", "a setting of spamd"},
    {"spamassassin", "BayesAutoLearn", "a setting of spamd"},
    {"spamassassin", "UseBayes", "a setting of spamd"},
    {"spamassassin", "MessageRetentionTime", "about users' folders of junk, which are not the milter's"},
    {"spamassassin", "SortSpam", "about delivery into users' folders, which is not the milter's"},
    {"spamassassin", "OkLanguages", "a setting of spamd"},
    {"spamassassin", "OkLocales", "a setting of spamd"},
    {"spamassassin", "ReportSafe", "a setting of spamd"},
    {"spamassassin", "RequiredHits", "a setting of spamd"},
};

static void unknown_property(struct import *im, const struct esmith_record *record, const struct esmith_prop *prop,
                             const struct import_row *rows, const struct import_row *more)
{
    struct sme_source from = source_of(im->a, &im->configuration, record,
                                       str_c(im->a, str_escaped(im->a, prop->name)), true);
    const char *names[64], *near;
    size_t n = 0;

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
        bool here = ignored[i].record ? str_is(record->key, str_of(ignored[i].record)) : more != NULL;

        if (here && str_is(prop->name, str_of(ignored[i].name))) {
            import_notice(&im->notes, from, "has no effect: %s", ignored[i].why);
            return;
        }
    }
    for (; rows->name && n < 64; rows++)
        names[n++] = rows->name;
    for (; more && more->name && n < 64; more++)
        names[n++] = more->name;
    near = nearest(prop->name, names, n);
    if (near)
        import_left_out(&im->notes, from, "there is no such property; did you mean %s?", near);
    else
        import_left_out(&im->notes, from, "there is no such property");
}

/* ---- the three services ---- */

/* value_of - a row's value for one service: its own, else what qpsmtpd has (which must be read by then), else SME's. */
static void value_of(struct import *im, const struct import_row *row, enum sme_port port, void *values,
                     const void *qpsmtpd, size_t size, const struct esmith_record *record)
{
    static const struct esmith_record none[SME_PORTS] = {
        {.key = {"qpsmtpd", 7}}, {.key = {"sqpsmtpd", 8}}, {.key = {"uqpsmtpd", 8}}};
    struct sme_source from = source_of(im->a, &im->configuration, record ? record : &none[port], row->name, false);
    struct str text;

    if (port == SME_SMTP || row->preset[port])
        import_preset(im, row, values, row->preset[port], from);
    else
        memcpy((char *)values + row->offset, (const char *)qpsmtpd + row->offset, size);
    if (esmith_prop(record, str_of(row->name), &text))
        import_set(im, row, values, text, source_of(im->a, &im->configuration, record, row->name, true));
}

static size_t size_of(const struct import_row *row)
{
    return row->kind == KIND_FLAG     ? sizeof(struct sme_flag)
           : row->kind == KIND_NUMBER ? sizeof(struct sme_number)
           : row->kind == KIND_LIST   ? sizeof(struct sme_texts)
                                      : sizeof(struct sme_text);
}

static void service(struct import *im, enum sme_port port)
{
    const struct esmith_record *record = esmith_find(&im->configuration, str_of(records[port]));
    struct sme_service *s = &im->sme.service[port];

    s->record = records[port];
    s->there = record;
    if (record && !str_is(record->type, STR("service")))
        import_left_out(&im->notes, source_of(im->a, &im->configuration, record, NULL, true),
                        "is of the type \"" STR_FMT "\", not service; its properties are read all the same",
                        STR_ARG(record->type));
    for (const struct import_row *row = import_service_rows; row->name; row++)
        value_of(im, row, port, s, &im->sme.service[SME_SMTP], size_of(row), record);
    for (const struct import_row *row = import_filter_rows; row->name; row++)
        value_of(im, row, port, &im->sme.filter[port], &im->sme.filter[SME_SMTP], size_of(row), record);
    if (port != SME_SMTP && !s->tls_before_auth.value) {
        import_notice(&im->notes, s->tls_before_auth.from, "has no effect: nobody authenticates on port %ld without "
                      "TLS", s->port.value);
        s->tls_before_auth.value = true;
    }
    for (size_t i = 0; record && i < record->count; i++)
        if (!row_of(import_service_rows, record->props[i].name) && !row_of(import_filter_rows, record->props[i].name))
            unknown_property(im, record, &record->props[i], import_filter_rows, import_service_rows);
}

/* same_ports - two services cannot share one: Postfix would not start. The one that is not on its usual port goes back
 * there, which may be where a third one is by now; each moves once at most. */
static void same_ports(struct import *im)
{
    static const long usual[SME_PORTS] = {25, 465, 587};

    for (int i = 1; i < SME_PORTS; i++)
        for (int k = 0; k < i; k++) {
            int moves = im->sme.service[i].port.value == usual[i] ? k : i;
            struct sme_number *port = &im->sme.service[moves].port;

            if (im->sme.service[i].port.value != im->sme.service[k].port.value)
                continue;
            import_left_out(&im->notes, port->from, "port %ld is %s's already; %ld is used", port->value,
                            records[moves == i ? k : i], usual[moves]);
            port->value = usual[moves];
            i = 0;
            break;
        }
}

/* ---- the machine ---- */

/* plain - the value of a key=value record, or a property of a record. */
static struct sme_text plain(struct import *im, const char *key, const char *prop)
{
    struct esmith_record none = {.key = str_of(key)};
    const struct esmith_record *record = esmith_find(&im->configuration, none.key);
    struct sme_text text = {STR_NONE, source_of(im->a, &im->configuration, record ? record : &none, prop, false)};
    struct str value = STR_NONE;

    if (!record || (prop && !esmith_prop(record, str_of(prop), &value)))
        return text;
    value = str_trim(prop ? value : record->type);
    text.from = source_of(im->a, &im->configuration, record, prop, true);
    if (str_find(value, '\n') < value.n)
        import_left_out(&im->notes, text.from, "has a line end in it");
    else
        text.value = value;
    return text;
}

static struct sme_text address(struct import *im, const char *key, const char *prop)
{
    struct sme_text text = plain(im, key, prop);
    struct ip ip;

    if (text.value.n && !ip_parse(text.value, &ip)) {
        import_left_out(&im->notes, text.from, "\"" STR_FMT "\" is no address",
                        STR_ARG(str_slice(text.value, 0, 80)));
        text.value = STR_NONE;
    }
    return text;
}

static void machine(struct import *im)
{
    struct sme *s = &im->sme;
    struct str domain, host;

    s->system_name = plain(im, "SystemName", NULL);
    s->domain_name = plain(im, "DomainName", NULL);
    if (s->domain_name.value.n && !import_domain_name(im->a, s->domain_name.value, &domain)) {
        import_left_out(&im->notes, s->domain_name.from, "\"" STR_FMT "\" is no domain name",
                        STR_ARG(str_slice(s->domain_name.value, 0, 80)));
        s->domain_name.value = STR_NONE;
    } else if (s->domain_name.value.n) {
        s->domain_name.value = domain;
    }
    host = arena_printf(im->a, STR_FMT "." STR_FMT, STR_ARG(s->system_name.value), STR_ARG(s->domain_name.value));
    if (s->system_name.value.n && s->domain_name.value.n && !import_domain_name(im->a, host, &s->hostname))
        import_left_out(&im->notes, s->system_name.from, "\"" STR_FMT "\" is no host name",
                        STR_ARG(str_slice(host, 0, 80)));
    s->local_ip = address(im, "LocalIP", NULL);
    s->local_netmask = address(im, "LocalNetmask", NULL);
    s->external_ip = address(im, "ExternalIP", NULL);
    if (s->external_ip.value.n == 0)
        s->external_ip = address(im, "ExternalInterface", "IPAddress");
    s->gateway_ip = address(im, "GatewayIP", NULL);
    s->system_mode = plain(im, "SystemMode", NULL);
    s->unknown_user = plain(im, "EmailUnknownUser", NULL);
    s->unknown_user_bounces = s->unknown_user.value.n == 0 ||
                              str_is_nocase(s->unknown_user.value, STR("returntosender"));
    s->delegate = plain(im, "DelegateMailServer", NULL);
    s->smart_host = plain(im, "SMTPSmartHost", NULL);
    s->admin_email = plain(im, "ContactEmail", NULL);
}

/* ciphers - what a service does not say is sqpsmtpd's like uqpsmtpd's, then the web server's. */
static void ciphers(struct import *im)
{
    struct sme_text suite = plain(im, "modSSL", "CipherSuite");

    if (im->sme.service[SME_SUBMISSIONS].ciphers.value.n == 0)
        im->sme.service[SME_SUBMISSIONS].ciphers = im->sme.service[SME_SUBMISSION].ciphers;
    for (int i = 0; i < SME_PORTS && suite.value.n; i++)
        if (im->sme.service[i].ciphers.value.n == 0)
            im->sme.service[i].ciphers = suite;
}

static void message_size(struct import *im)
{
    static const struct import_row row = {"MaxMessageSize", KIND_NUMBER, 0, {"0", NULL, NULL}, 0, 1e12, NULL};
    struct sme_text text = plain(im, "qmail", "MaxMessageSize");

    import_preset(im, &row, &im->sme.max_message_size, "0",
                  source_named(STR("qmail{MaxMessageSize}"), (struct place){im->configuration.file, 0}));
    if (text.from.set)
        import_set(im, &row, &im->sme.max_message_size, text.value, text.from);
}

/* ---- the scanners ---- */

static void spamassassin(struct import *im)
{
    const struct esmith_record none = {.key = STR("spamassassin")},
                               *record = esmith_find(&im->configuration, none.key);
    struct sme *s = &im->sme;

    for (const struct import_row *row = import_spam_rows; row->name; row++) {
        struct str text;

        import_preset(im, row, s, row->preset[0],
                      source_of(im->a, &im->configuration, record ? record : &none, row->name, false));
        if (esmith_prop(record, str_of(row->name), &text))
            import_set(im, row, s, text, source_of(im->a, &im->configuration, record, row->name, true));
    }
    for (size_t i = 0; record && i < record->count; i++)
        if (!row_of(import_spam_rows, record->props[i].name))
            unknown_property(im, record, &record->props[i], import_spam_rows, NULL);
    s->spamassassin.rejects = str_is(s->spamassassin.sensitivity.value, STR("custom")) &&
                              s->spamassassin.reject_level.value > s->spamassassin.tag_level.value;
}

static void scanner(struct import *im, const char *key)
{
    const struct esmith_record *record = esmith_find(&im->configuration, str_of(key));

    for (size_t i = 0; record && i < record->count; i++) {
        const struct esmith_prop *prop = &record->props[i];
        struct sme_source from = source_of(im->a, &im->configuration, record,
                                           str_c(im->a, str_escaped(im->a, prop->name)), true);

        if (str_is(prop->name, STR("status")))
            import_notice(&im->notes, from, "has no effect: VirusScan says whether mail is scanned; start clamd "
                          "(clamav-daemon) for it");
        else
            import_notice(&im->notes, from, "has no effect: a setting of clamd or of its updates (clamd.conf, "
                          "freshclam.conf)");
    }
}

/* others - the rest of an SME Server is not read; that is said once. */
static void others(struct import *im)
{
    static const char *const known[] = {"qpsmtpd", "sqpsmtpd", "uqpsmtpd", "SystemName", "DomainName", "LocalIP",
                                        "LocalNetmask", "ExternalIP", "ExternalInterface", "GatewayIP", "SystemMode",
                                        "EmailUnknownUser", "DelegateMailServer", "SMTPSmartHost", "ContactEmail",
                                        "qmail", "modSSL", "spamassassin", "clamav", "clamd"};
    size_t n = im->configuration.count;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        n -= esmith_find(&im->configuration, str_of(known[i])) != NULL;
    if (n)
        import_notice(&im->notes, source_named(STR("configuration"), (struct place){im->configuration.file, 0}),
                      "%zu further records are about other services than mail's filter and are not read", n);
}

/* is_told - whether some note is about it. */
static bool is_told(const struct import *im, struct str name)
{
    for (size_t i = 0; i < im->notes.count; i++)
        if (str_is(im->notes.items[i].from.name, name))
            return true;
    return false;
}

void import_model_rest(struct import *im)
{
    for (int port = 0; port < SME_PORTS; port++) {
        const struct esmith_record *record = esmith_find(&im->configuration, str_of(records[port]));

        for (size_t i = 0; record && i < record->count; i++) {
            struct sme_source from = source_of(im->a, &im->configuration, record,
                                               str_c(im->a, str_escaped(im->a, record->props[i].name)), true);

            if (is_told(im, from.name))
                continue;
            if (port == SME_SMTP)
                import_notice(&im->notes, from, "has no effect with what else is set");
            else
                import_done(&im->notes, from, "the same as qpsmtpd has");
        }
    }
}

void import_model(struct import *im)
{
    im->sme.arena = im->a;
    for (int port = 0; port < SME_PORTS; port++)
        service(im, port);
    same_ports(im);
    machine(im);
    ciphers(im);
    message_size(im);
    spamassassin(im);
    scanner(im, "clamav");
    scanner(im, "clamd");
    others(im);
}
