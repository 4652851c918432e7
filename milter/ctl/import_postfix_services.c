/* import_postfix_services.c - qpsmtpd, sqpsmtpd and uqpsmtpd as entries of master.cf.
 *
 * An entry names only what its properties ask for; `postfix snippet --settings` adds what every such service has.
 */
#include "import_postfix.h"
#include "postconf.h"

static const struct { const char *name; long port; } usual[SME_PORTS] = {
    [SME_SMTP] = {"smtp", 25}, [SME_SUBMISSIONS] = {"submissions", 465}, [SME_SUBMISSION] = {"submission", 587},
};

struct entry {
    struct postfix_import *p;
    const struct sme_service *service;
    enum sme_port port;
    struct str name;          /* "smtp", "2525", "127.0.0.1:smtp" */
    struct buf options, from; /* its -o lines; the properties, for the comment */
};

static void named(struct entry *e, struct sme_source from)
{
    buf_addf(&e->from, e->from.len ? ", " STR_FMT : STR_FMT, STR_ARG(from.name));
}

static void option(struct entry *e, const char *name, struct str value)
{
    bool blanks = str_find(value, ' ') < value.n;

    buf_addf(&e->options, blanks ? "  -o { %s = " STR_FMT " }\n" : "  -o %s=" STR_FMT "\n", name, STR_ARG(value));
}

/* from_property - an option, and that it has come from there. */
static void from_property(struct entry *e, struct sme_source from, const char *name, struct str value)
{
    named(e, from);
    option(e, name, value);
    import_done(e->p->notes, from, "%s = " STR_FMT " for %s", name, STR_ARG(value), usual[e->port].name);
}

static void number(struct entry *e, const struct sme_number *n, const char *name)
{
    from_property(e, n->from, name, arena_printf(e->p->arena, "%ld", n->value));
}

/* ---- who may come ---- */

/* local_only - a table of the networks that may connect; the rest is refused at RCPT, when the filter has seen it. */
static struct str local_only(struct entry *e)
{
    struct buf b = buf_in(e->p->arena);

    buf_add(&b, STR("check_client_access cidr:{{127.0.0.0/8 DUNNO}, {::1/128 DUNNO}"));
    for (size_t i = 0; i < e->p->sme->network_count; i++) {
        struct str net = import_net(e->p->arena, &e->p->sme->networks[i].net);

        if (net.n && net.p[0] == '[') /* a cidr table has no brackets */
            net = arena_printf(e->p->arena, STR_FMT STR_FMT, STR_ARG(str_slice(net, 1, str_find(net, ']'))),
                               STR_ARG(str_slice(net, str_find(net, ']') + 1, net.n)));
        buf_addf(&b, ", {" STR_FMT " DUNNO}", STR_ARG(net));
    }
    buf_add(&b, STR(", {0.0.0.0/0 REJECT}, {::/0 REJECT}}"));
    return buf_str(&b);
}

static void access_and_login(struct entry *e)
{
    const struct sme_service *s = e->service;
    bool is_private = str_is(s->access.value, STR("private"));
    bool users_only = e->port != SME_SMTP && s->authentication.value;
    struct str clients = is_private ? local_only(e) : STR_NONE;

    from_property(e, s->authentication.from, "smtpd_sasl_auth_enable",
                  s->authentication.value ? STR("yes") : STR("no"));
    if (e->port != SME_SMTP && !s->authentication.value) { /* then it is like port 25, under TLS */
        option(e, "smtpd_relay_restrictions", STR("permit_mynetworks, reject_unauth_destination"));
        import_notice(e->p->notes, s->authentication.from, "without AUTH, %s takes mail for our own domains only, and "
                      "from mynetworks", usual[e->port].name);
    }
    if (is_private || e->port != SME_SMTP)
        option(e, "smtpd_client_restrictions",
               arena_printf(e->p->arena, STR_FMT "%s%s", STR_ARG(clients), is_private && users_only ? ", " : "",
                            users_only ? "permit_sasl_authenticated, reject" : ""));
    if (is_private) {
        named(e, s->access.from);
        import_done(e->p->notes, s->access.from, "smtpd_client_restrictions of %s has the local networks only; the "
                    "inline table needs Postfix 3.7", usual[e->port].name);
    } else if (str_is(s->access.value, STR("localhost"))) {
        e->name = arena_printf(e->p->arena, "127.0.0.1:" STR_FMT, STR_ARG(e->name));
        named(e, s->access.from);
        import_done(e->p->notes, s->access.from, "%s listens on 127.0.0.1 only", usual[e->port].name);
    } else if (s->access.from.set) {
        import_notice(e->p->notes, s->access.from, "\"" STR_FMT "\": %s listens on all addresses, and the firewall has "
                      "to let it", STR_ARG(str_escaped(e->p->arena, s->access.value)), usual[e->port].name);
    }
}

/* ---- TLS ---- */

static void protocols(struct entry *e)
{
    static const char *const names[SME_PROTOCOLS] = {"SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    const struct sme_service *s = e->service;
    struct buf b = buf_in(e->p->arena);
    bool any_set = false, any_left = false;

    for (int i = 0; i < SME_PROTOCOLS; i++) {
        const struct sme_flag *flag = &s->protocols[i];
        bool broken = i == SME_SSLV2 || i == SME_SSLV3;

        if (flag->from.set && flag->value && broken)
            import_notice(e->p->notes, flag->from, "%s is broken, and stays off", names[i]);
        any_set = any_set || (flag->from.set && !broken);
        any_left = any_left || (flag->value && !broken);
        if (broken || !flag->value)
            buf_addf(&b, "%s!%s", b.len ? "," : "", names[i]);
    }
    if (!any_set)
        return;
    for (int i = SME_TLSV1; i < SME_PROTOCOLS; i++)
        if (s->protocols[i].from.set && !any_left)
            import_left_out(e->p->notes, s->protocols[i].from, "no version of TLS would be left for %s",
                            usual[e->port].name);
        else if (s->protocols[i].from.set) {
            named(e, s->protocols[i].from);
            import_done(e->p->notes, s->protocols[i].from, "%s is %s in the TLS protocols of %s", names[i],
                        s->protocols[i].value ? "on" : "off", usual[e->port].name);
        }
    if (any_left)
        option(e, e->port == SME_SMTP ? "smtpd_tls_protocols" : "smtpd_tls_mandatory_protocols", buf_str(&b));
}

/* ciphers - in OpenSSL's notation. Postfix names grades, so the list becomes the grade "high" of this service alone. */
static void ciphers(struct entry *e)
{
    const struct sme_text *list = &e->service->ciphers;

    for (size_t i = 0; i < list->value.n; i++) {
        char c = list->value.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr(":!+-_@=.", c))) || list->value.n > 4000) {
            import_left_out(e->p->notes, list->from, "this is no list of ciphers in OpenSSL's notation");
            return;
        }
    }
    if (list->value.n == 0)
        return;
    from_property(e, list->from, "tls_high_cipherlist", list->value);
    option(e, e->port == SME_SMTP ? "smtpd_tls_ciphers" : "smtpd_tls_mandatory_ciphers", STR("high"));
}

static void tls(struct entry *e)
{
    const struct sme_flag *before = &e->service->tls_before_auth;

    if (e->port == SME_SMTP)
        from_property(e, before->from, "smtpd_tls_auth_only", before->value ? STR("yes") : STR("no"));
    else if (before->from.set)
        import_done(e->p->notes, before->from, "%s takes nothing outside of TLS, as in the original",
                    usual[e->port].name);
    protocols(e);
    ciphers(e);
}

/* ---- what else ---- */

/* timeout - Postfix has one for both: the longer. */
static void timeout(struct entry *e)
{
    const struct sme_number *data = &e->service->timeout, *command = &e->service->timeout_smtpd;
    const struct sme_number *longer = data;

    if (!data->from.set && !command->from.set)
        return; /* Postfix's 300 seconds are what RFC 5321 asks for; SME's preset was 120 */
    if (!data->from.set || (command->from.set && command->value > data->value))
        longer = command;
    from_property(e, longer->from, "smtpd_timeout", arena_printf(e->p->arena, "%lds", longer->value));
    if (longer->value < 300 && (e->port == SME_SMTP || !str_starts(longer->from.name, STR("qpsmtpd{"))))
        import_notice(e->p->notes, longer->from, "RFC 5321 asks for 300 seconds: slow clients are cut off after %ld",
                      longer->value);
    if (data->from.set && command->from.set && e->port == SME_SMTP)
        import_notice(e->p->notes, longer == data ? command->from : data->from, "Postfix has one timeout for commands "
                      "and lines of DATA: the longer counts");
}

/* banner - when it is not the one of port 25, which stands in main.cf. */
static void banner(struct entry *e)
{
    const struct sme_text *greeting = &e->service->greeting;
    struct str text;

    if (e->port == SME_SMTP || greeting->value.n == 0 ||
        str_is(greeting->value, e->p->sme->service[SME_SMTP].greeting.value) ||
        !import_banner(e->p, greeting, &text))
        return;
    from_property(e, greeting->from, "smtpd_banner", text);
}

static void add_service(struct postfix_import *p, enum sme_port port, struct buf *b)
{
    const struct sme_service *s = &p->sme->service[port];
    struct entry e = {.p = p, .service = s, .port = port, .options = buf_in(p->arena), .from = buf_in(p->arena)};

    if (!s->status.value) {
        buf_addf(b, "\n# " STR_FMT " is disabled: no service on port %ld\n", STR_ARG(s->status.from.name),
                 s->port.value);
        import_done(p->notes, s->status.from, "no service for port %ld in master.cf", s->port.value);
        return;
    }
    named(&e, s->status.from);
    import_done(p->notes, s->status.from, "%s in master.cf", usual[port].name);
    e.name = str_of(usual[port].name);
    if (s->port.value != usual[port].port)
        e.name = arena_printf(p->arena, "%ld", s->port.value);
    named(&e, s->port.from);
    import_done(p->notes, s->port.from, "%s listens on port %ld", usual[port].name, s->port.value);
    named(&e, s->instances.from);
    import_done(p->notes, s->instances.from, "at most %ld processes for %s", s->instances.value, usual[port].name);
    option(&e, "milter_macro_daemon_name", str_of(usual[port].name)); /* who it is on another port */
    number(&e, &s->instances_per_ip, "smtpd_client_connection_count_limit");
    access_and_login(&e);
    tls(&e);
    timeout(&e);
    banner(&e);
    buf_addc(b, '\n');
    buf_addf(b, "# ");
    buf_add(b, buf_str(&e.from));
    buf_addf(b, "\n" STR_FMT " inet n - n - %ld smtpd\n", STR_ARG(e.name), s->instances.value);
    buf_add(b, buf_str(&e.options));
}

void import_services(struct postfix_import *p, struct buf *master_cf)
{
    buf_add(master_cf, STR("# master.cf - the services of an SME Server, each with the properties that it came from. "
                           "What is not\n# named here is added by `sme-milterctl postfix snippet --settings DIR`.\n"));
    for (enum sme_port i = 0; i < SME_PORTS; i++)
        add_service(p, i, master_cf);
}
