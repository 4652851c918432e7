/* postfix_doctor.c - `postfix doctor`: is Postfix wired to the daemon as the policies need it? */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "doctor.h"

static const char *const level_names[] = {"ok", "note", "warning", "problem"};

void doctor_says(struct doctor *d, enum doctor_level level, const char *check, const struct postfix_service *service,
                 struct str remedy, const char *format, ...)
{
    struct buf b = buf_in(d->arena);
    struct str text, id = service ? str_escaped(d->arena, service->id) : STR_NONE;
    va_list ap;

    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    text = str_escaped(d->arena, buf_str(&b));
    d->findings += level >= DOCTOR_WARNING;
    for (size_t i = 0; i < d->count; i++) {
        struct diagnosis *have = &d->items[i];

        if (have->level == level && str_is(str_of(have->check), str_of(check)) && str_is(have->text, text) &&
            str_is(have->remedy, remedy)) {
            if (service)
                have->where = arena_printf(d->arena, STR_FMT ", " STR_FMT, STR_ARG(have->where), STR_ARG(id));
            return;
        }
    }
    d->items = arena_grow(d->arena, d->items, d->count, sizeof *d->items);
    d->items[d->count++] = (struct diagnosis){level, check, id, text, remedy};
}

void doctor_sound(struct doctor *d, size_t before, const char *check, const struct postfix_service *service,
                  const char *text)
{
    if (d->findings == before)
        doctor_says(d, DOCTOR_OK, check, service, STR_NONE, "%s", text);
}

struct str remedy_set(struct doctor *d, const struct postfix_service *service, const char *name, struct str value)
{
    bool overrides = postfix_overrides(service, name);
    struct str argument;
    struct buf b = buf_in(d->arena);

    if (overrides)
        argument = arena_printf(d->arena, STR_FMT "/%s=" STR_FMT, STR_ARG(service->id), name, STR_ARG(value));
    else
        argument = str_trim(arena_printf(d->arena, "%s = " STR_FMT, name, STR_ARG(value)));
    if (!shell_quotable(argument) || (overrides && str_find(value, ' ') < value.n))
        return STR_NONE;
    buf_add(&b, STR("postconf "));
    if (d->config_dir.n)
        buf_addf(&b, "-c " STR_FMT " ", STR_ARG(shell_quoted(d->arena, d->config_dir)));
    buf_addf(&b, "%s " STR_FMT, overrides ? "-P" : "-e", STR_ARG(shell_quoted(d->arena, argument)));
    return buf_str(&b);
}

/* ---- the host ---- */

/* Resolvers that so many use that the block lists refuse them all, or answer them with nonsense. */
static const struct { const char *address, *name; } public_resolvers[] = {
    {"8.8.8.8", "Google"}, {"8.8.4.4", "Google"}, {"2001:4860:4860::8888", "Google"},
    {"2001:4860:4860::8844", "Google"}, {"1.1.1.1", "Cloudflare"}, {"1.0.0.1", "Cloudflare"},
    {"1.1.1.2", "Cloudflare"}, {"1.0.0.2", "Cloudflare"}, {"1.1.1.3", "Cloudflare"}, {"1.0.0.3", "Cloudflare"},
    {"2606:4700:4700::1111", "Cloudflare"}, {"2606:4700:4700::1001", "Cloudflare"}, {"9.9.9.9", "Quad9"},
    {"149.112.112.112", "Quad9"}, {"9.9.9.10", "Quad9"}, {"149.112.112.10", "Quad9"}, {"9.9.9.11", "Quad9"},
    {"149.112.112.11", "Quad9"}, {"2620:fe::fe", "Quad9"}, {"2620:fe::9", "Quad9"}, {"208.67.222.222", "OpenDNS"},
    {"208.67.220.220", "OpenDNS"}, {"208.67.222.220", "OpenDNS"}, {"208.67.220.222", "OpenDNS"},
    {"2620:119:35::35", "OpenDNS"}, {"2620:119:53::53", "OpenDNS"},
};

static const char unbound_remedy[] =
    "apt-get install unbound dns-root-data\n"
    "printf 'server:\\n  interface: 127.0.0.1\\n  access-control: 127.0.0.0/8 allow\\n  prefetch: yes\\n' "
    "> /etc/unbound/unbound.conf.d/mail.conf\n"
    "systemctl restart unbound\n"
    "then write \"nameserver 127.0.0.1\" into /etc/resolv.conf as the only nameserver";

static const char *public_name(struct str address)
{
    struct ip ip, known;

    if (!ip_parse(str_slice(address, 0, str_find(address, '%')), &ip))
        return NULL;
    for (size_t i = 0; i < sizeof public_resolvers / sizeof *public_resolvers; i++)
        if (ip_parse(str_of(public_resolvers[i].address), &known) && ip_equal(ip, known))
            return public_resolvers[i].name;
    return NULL;
}

/* read_resolv_conf - say which public resolvers it names. True when it names systemd-resolved, which asks others. */
static bool read_resolv_conf(struct doctor *d, const char *path)
{
    FILE *f = fopen(path, "re");
    char line[1024];
    bool stub = false;

    if (!f) {
        doctor_says(d, DOCTOR_NOTE, "resolver", NULL, STR_NONE, "%s cannot be read: %s", path, strerror(errno));
        return false;
    }
    while (fgets(line, sizeof line, f)) {
        struct str rest = str_trim(str_of(line)), word, address;
        const char *name;

        if (!str_token(&rest, &word) || !str_is(word, STR("nameserver")) || !str_token(&rest, &address))
            continue;
        stub = stub || str_is(address, STR("127.0.0.53"));
        name = public_name(address);
        if (name)
            doctor_says(d, DOCTOR_WARNING, "resolver", NULL, str_of(unbound_remedy),
                        "%s names " STR_FMT " (%s): block lists refuse the public resolvers, so dnsbl, rhsbl and uribl "
                        "find nothing", path, STR_ARG(address), name);
    }
    fclose(f);
    return stub;
}

/* check_servers - those that sme-milter.conf names; then resolv.conf is not asked for block lists. */
static void check_servers(struct doctor *d)
{
    const struct str_list *servers = &d->config->dns.servers;

    for (size_t i = 0; i < servers->count; i++) {
        struct str server = servers->items[i];
        const char *name = public_name(server);

        if (!name) /* 8.8.8.8:53, [2620:fe::fe]:53 */
            name = public_name(server.n && server.p[0] == '[' ? str_slice(server, 1, str_find(server, ']'))
                                                              : str_slice(server, 0, str_find(server, ':')));
        if (name)
            doctor_says(d, DOCTOR_WARNING, "resolver", NULL, STR("set dns { servers = {\"127.0.0.1\"} } in "
                        "sme-milter.conf, with unbound or another resolver of your own there"),
                        "sme-milter.conf has dns.servers " STR_FMT " (%s): block lists refuse the public resolvers, so "
                        "dnsbl, rhsbl and uribl find nothing", STR_ARG(server), name);
    }
}

static void check_resolver(struct doctor *d)
{
    static const char behind_stub[] = "/run/systemd/resolve/resolv.conf";
    size_t before = d->findings;

    check_servers(d);
    if (d->resolv_conf)
        read_resolv_conf(d, d->resolv_conf);
    else if (d->config->dns.servers.count == 0 && read_resolv_conf(d, "/etc/resolv.conf"))
        read_resolv_conf(d, behind_stub);
    doctor_sound(d, before, "resolver", NULL, "no public resolver is used");
}

void doctor_host(struct doctor *d)
{
    const struct postfix_version *v = &d->postfix.version;

    if (!postfix_is(v, 3, 7, 0))
        doctor_says(d, DOCTOR_WARNING, "version", NULL, STR_NONE,
                    "Postfix " STR_FMT " is older than 3.7, with which this is tested%s", STR_ARG(v->text),
                    postfix_is(v, 3, 2, 0) ? "" : "; before 3.2 it does not tell a client's port ({daemon_port})");
    else
        doctor_says(d, DOCTOR_OK, "version", NULL, STR_NONE, "Postfix " STR_FMT, STR_ARG(v->text));
    for (size_t i = 0; i < d->postfix.warning_count; i++)
        doctor_says(d, DOCTOR_WARNING, "postconf", NULL, STR_NONE, "postconf says: " STR_FMT,
                    STR_ARG(d->postfix.warnings[i]));
    check_resolver(d);
}

/* ---- the command ---- */

static void print_text(const struct diagnosis *x)
{
    struct str remedy = x->remedy, line;
    const char *head = "remedy: ";

    printf("%-8s %s", level_names[x->level], x->check);
    if (x->where.n)
        printf(" (" STR_FMT ")", STR_ARG(x->where));
    printf(": " STR_FMT "\n", STR_ARG(x->text));
    while (str_split(&remedy, '\n', &line)) {
        printf("         %s" STR_FMT "\n", head, STR_ARG(line));
        head = "        ";
    }
}

static void print_json(const struct doctor *d)
{
    json_t *list = json_array();

    for (size_t i = 0; i < d->count; i++) {
        const struct diagnosis *x = &d->items[i];

        json_array_append_new(list, json_pack("{s:s, s:s, s:s%, s:s%, s:s%}", "level", level_names[x->level], "check",
                                              x->check, "service", x->where.n ? x->where.p : "", x->where.n, "text",
                                              x->text.p, x->text.n, "remedy", x->remedy.n ? x->remedy.p : "",
                                              x->remedy.n));
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

static int report(const struct doctor *d)
{
    unsigned count[4] = {0};

    for (size_t i = 0; i < d->count; i++)
        count[d->items[i].level]++;
    if (d->ctl->json) {
        print_json(d);
    } else {
        for (size_t i = 0; i < d->count; i++)
            print_text(&d->items[i]);
        printf("%u problem%s, %u warning%s\n", count[DOCTOR_PROBLEM], count[DOCTOR_PROBLEM] == 1 ? "" : "s",
               count[DOCTOR_WARNING], count[DOCTOR_WARNING] == 1 ? "" : "s");
    }
    return count[DOCTOR_PROBLEM] || count[DOCTOR_WARNING] ? CTL_FINDINGS : CTL_FINE;
}

static int read_options(struct doctor *d)
{
    struct ctl *ctl = d->ctl;

    for (int i = 1; i < ctl->argc; i++) {
        const char *value;

        if ((value = ctl_option(ctl, &ctl_postfix_doctor, &i, "--config-dir"))) {
            d->config_dir = str_of(value);
            if (value[0] != '/' || !shell_quotable(d->config_dir))
                return ctl_usage(&ctl_postfix_doctor, "--config-dir needs an absolute path of printable ASCII");
        } else if ((value = ctl_option(ctl, &ctl_postfix_doctor, &i, "--resolv-conf"))) {
            d->resolv_conf = value;
        } else {
            return ctl_usage(&ctl_postfix_doctor, "there is no option \"" STR_FMT "\"",
                             STR_ARG(str_escaped(d->arena, str_of(ctl->argv[i]))));
        }
    }
    return 0;
}

static int run(struct ctl *ctl)
{
    struct doctor d = {.ctl = ctl, .arena = ctl->arena};
    struct config *config;
    struct str why;
    int status = read_options(&d);

    if (status)
        return status;
    if (!postfix_ask_version(&d.postfix, d.arena, &why) || !postfix_ask_settings(&d.postfix, d.config_dir, &why)) {
        fprintf(stderr, "sme-milterctl postfix doctor: " STR_FMT "\n", STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    d.config = config;
    d.waits = waits_of(config);
    if (endpoint_of_listen(d.arena, config->global.listen, &d.ours)) {
        d.ours_text = endpoint_text(d.arena, &d.ours);
        doctor_host(&d);
        doctor_socket(&d);
        doctor_services(&d);
        doctor_namespace(&d);
        doctor_edits(&d);
        status = report(&d);
    } else {
        fprintf(stderr, "sme-milterctl postfix doctor: listen = \"" STR_FMT "\" is not a socket Postfix can use\n",
                STR_ARG(str_escaped(d.arena, config->global.listen)));
        status = EX_CONFIG;
    }
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_postfix_doctor = {
    .words = "postfix doctor",
    .usage = "[--config-dir DIR] [--resolv-conf FILE]",
    .summary = "Check how Postfix is wired to this configuration, and name the remedy for what is wrong",
    .help = "  --config-dir DIR    Postfix's configuration directory, if not its own\n"
            "  --resolv-conf FILE  look for public resolvers here instead of /etc/resolv.conf\n"
            "\nOne line a check: ok, note (no finding), warning or problem. Run it as root: only root can try the\n"
            "socket as Postfix's user. Nothing is changed.\n"
            "exit: 0 nothing is wrong, 1 findings, 69 there is no Postfix, 78 the configuration has errors\n",
    .run = run,
};
