/* postfix_snippet.c - `postfix snippet`: the postconf commands that put Postfix in front of the daemon.
 *
 * It only prints. Each command sets a value instead of adding to it, so running the lines twice is running them once;
 * a service's `postconf -M` comes before its `postconf -P`, since -M forgets the options the entry had.
 */
#include <jansson.h>
#include <netdb.h>
#include <stdarg.h>
#include <sysexits.h>

#include "ctl.h"
#include "wiring.h"

enum { COMMENT_COLUMNS = 100, HOSTNAME_MOST = 253 };

struct snippet {
    struct ctl *ctl;
    struct arena *arena;
    const struct config *config;
    struct postfix postfix;
    bool asked;               /* Postfix's own settings are known */
    struct str config_dir;
    struct str hostname;
    struct str networks;      /* as mynetworks wants them */
    struct endpoint ours;
    struct str listen;        /* as smtpd_milters wants it */
    struct str why;           /* of the group that is being printed */
    json_t *list;             /* with --json */
};

/* ---- printing ---- */

static void comment(struct snippet *s, struct str text)
{
    struct str word;
    size_t column = 0;

    if (s->list)
        return;
    while (str_token(&text, &word)) {
        if (column + 1 + word.n > COMMENT_COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf(column ? " " STR_FMT : "# " STR_FMT, STR_ARG(word));
    }
    putchar('\n');
}

static void group(struct snippet *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void group(struct snippet *s, const char *format, ...)
{
    struct buf b = buf_in(s->arena);
    va_list ap;

    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    s->why = buf_str(&b);
    if (!s->list)
        putchar('\n');
    comment(s, s->why);
}

/* command - one postconf command; `flag` is -e, -M or -P. */
static void command(struct snippet *s, const char *flag, struct str argument)
{
    struct str quoted = shell_quoted(s->arena, argument);
    json_t *arguments;

    if (!s->list) {
        printf("postconf ");
        if (s->config_dir.n)
            printf("-c " STR_FMT " ", STR_ARG(shell_quoted(s->arena, s->config_dir)));
        printf("%s " STR_FMT "\n", flag, STR_ARG(quoted));
        return;
    }
    arguments = json_array();
    if (s->config_dir.n) {
        json_array_append_new(arguments, json_string("-c"));
        json_array_append_new(arguments, json_stringn(s->config_dir.p, s->config_dir.n));
    }
    json_array_append_new(arguments, json_string(flag));
    json_array_append_new(arguments, json_stringn(argument.p, argument.n));
    json_array_append_new(s->list, json_pack("{s:s, s:o, s:s%}", "command", "postconf", "arguments", arguments, "why",
                                             s->why.p, s->why.n));
}

static void set(struct snippet *s, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void set(struct snippet *s, const char *name, const char *format, ...)
{
    struct buf b = buf_in(s->arena);
    va_list ap;

    buf_addf(&b, "%s = ", name);
    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    command(s, "-e", str_trim(buf_str(&b)));
}

/* knows - whether this Postfix has the parameter: as it says itself, since distributors carry fixes back; else by its
 * version. */
static bool knows(const struct snippet *s, const char *name, bool by_version)
{
    return s->postfix.known.count ? postfix_knows(&s->postfix, name) : by_version;
}

static bool since(const struct snippet *s, long major, long minor, long patch)
{
    return postfix_is(&s->postfix.version, major, minor, patch);
}

/* since_fix - whether it is 3.9 or one of the older series with at least these patch levels (3.5 to 3.8). */
static bool since_fix(const struct snippet *s, const long patch[4])
{
    long minor = s->postfix.version.minor;

    if (s->postfix.version.major == 3 && minor >= 5 && minor <= 8)
        return s->postfix.version.patch >= patch[minor - 5];
    return since(s, 3, 9, 0);
}

/* ---- the groups ---- */

static void identity(struct snippet *s)
{
    if (s->hostname.n) {
        group(s, "The name this server greets with. It should resolve to its address, and the address back to it.");
        set(s, "myhostname", STR_FMT, STR_ARG(s->hostname));
    }
    if (s->networks.n) {
        group(s, "Clients that may relay through port 25 without a password: this machine, and what you named.");
        set(s, "mynetworks", STR_FMT, STR_ARG(s->networks));
    }
}

/* chain - ours, and after it the filters there are whose work it does not do: a signer must not get lost in silence. */
static struct str chain(struct snippet *s, const char **told)
{
    struct str now = postfix_value(&s->postfix, NULL, "smtpd_milters"), better;

    *told = "";
    better = chain_with_ours(&s->postfix, NULL, s->config, &s->ours, s->listen, now);
    if (!shell_quotable(better)) {
        *told = " WHAT smtpd_milters HAS NOW CANNOT BE SHOWN HERE AND IS NOT KEPT.";
        return s->listen;
    }
    if (now.n && shell_quotable(now) && !str_is(now, better))
        *told = arena_printf(s->arena, " Until now smtpd_milters was: " STR_FMT, STR_ARG(now)).p;
    return better;
}

static void filter(struct snippet *s)
{
    const char *told;
    struct str all = chain(s, &told);

    group(s,
          "The filter. It stands first, since it must see a message as the client sent it. Mail made on this machine "
          "by the sendmail command, and bounces, do not pass it.%s",
          told);
    set(s, "smtpd_milters", STR_FMT, STR_ARG(all));
    set(s, "non_smtpd_milters", "%s", "");
    if (knows(s, "smtpd_milter_maps", since(s, 3, 2, 0)))
        set(s, "smtpd_milter_maps", "%s", "");
    set(s, "milter_header_checks", "%s", "");

    if (since(s, 3, 11, 0)) {
        group(s, "While the filter is down, clients are told to come back later (421) and the connection is closed, so "
                 "that the next one finds the filter again. Nothing passes unfiltered and nothing is lost.");
        set(s, "milter_default_action", "shutdown");
    } else {
        group(s, "While the filter is down, clients are told to come back later (451). Nothing passes unfiltered and "
                 "nothing is lost.");
        set(s, "milter_default_action", "tempfail");
    }

    group(s, "Version 6 of the milter protocol lets the filter ask for the macros it needs (the server's port, the "
             "client's address and name), so the lists of macros stay as they are. A service's own "
             "milter_macro_daemon_name stands with the service below.");
    set(s, "milter_protocol", "6");
    set(s, "milter_macro_v", "$mail_name $mail_version");
    if (knows(s, "milter_macro_defaults", since(s, 3, 1, 0)))
        set(s, "milter_macro_defaults", "%s", "");
}

static void timeouts(struct snippet *s)
{
    struct waits w = waits_of(s->config);
    long seconds = (long)((w.command_ms + 999) / 1000);

    group(s,
          "How long Postfix waits for the filter. A local socket answers a connection at once. Up to RCPT the filter "
          "may wait for lookups that run side by side, %ld seconds at most as configured now; the limit leaves room "
          "for that, and still ends a fault soon. At the end of a message scanners may work one after the other, so "
          "that limit is far longer.",
          seconds);
    set(s, "milter_connect_timeout", "5s");
    set(s, "milter_command_timeout", "%lds", command_timeout_for(&w));
    set(s, "milter_content_timeout", "%lds", content_timeout_for(&w));
}

static bool has_certificate(const struct snippet *s)
{
    static const char *const names[] = {"smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file",
                                        "smtpd_tls_dcert_file"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct str value = postfix_value(&s->postfix, NULL, names[i]);

        if (value.n && !str_is(value, STR("none")))
            return true;
    }
    return false;
}

static void tls(struct snippet *s)
{
    const char *certificate = "";

    if (!s->asked)
        certificate = " The certificate is yours to set, with smtpd_tls_chain_files or smtpd_tls_cert_file.";
    else if (!has_certificate(s))
        certificate = " NO CERTIFICATE IS SET YET: without smtpd_tls_chain_files (or smtpd_tls_cert_file and "
                      "smtpd_tls_key_file) ports 465 and 587 serve nobody.";
    group(s, "TLS. Port 25 takes it when the client can, in any version that is not broken, since the alternative "
             "there is clear text. Ports 465 and 587 insist on it, and on version 1.2 or later.%s", certificate);
    set(s, "smtpd_tls_security_level", "may");
    set(s, "smtpd_tls_protocols", "%s", since(s, 3, 6, 0) ? ">=TLSv1" : "!SSLv2, !SSLv3");
    set(s, "smtpd_tls_mandatory_protocols", "%s",
        since(s, 3, 6, 0) ? ">=TLSv1.2" : "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1");
}

static void sasl(struct snippet *s)
{
    group(s, "Passwords are checked by Dovecot (its service auth needs a unix_listener at private/auth in Postfix's "
             "queue directory), never over clear text, and only on 465 and 587.");
    set(s, "smtpd_sasl_type", "dovecot");
    set(s, "smtpd_sasl_path", "private/auth");
    set(s, "smtpd_sasl_security_options", "noanonymous");
    set(s, "smtpd_sasl_auth_enable", "no");
    set(s, "smtpd_tls_auth_only", "yes");
}

static void manners(struct snippet *s)
{
    long recipients = s->config->limits.recipients;

    group(s, "Relaying is Postfix's decision alone; no whitelist of the filter grants it.%s",
          s->networks.n ? "" : " mynetworks stays as it is, so nobody may relay who may not now.");
    set(s, "smtpd_relay_restrictions", "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination");

    group(s, "A client says who it is, cannot try addresses with VRFY, and names at most as many recipients as the "
             "filter takes. Refusals wait until RCPT: before it the filter could not see the client, and a user on 587 "
             "could not log in. Long queue identifiers are never used twice, so `sme-milterctl why` and the logs mean "
             "one message.");
    set(s, "smtpd_helo_required", "yes");
    set(s, "disable_vrfy_command", "yes");
    set(s, "smtpd_delay_reject", "yes");
    set(s, "smtpd_recipient_limit", "%ld", recipients > 0 && recipients < 1000 ? recipients : 1000L);
    set(s, "enable_long_queue_ids", "yes");
}

static void smuggling(struct snippet *s)
{
    static const long newline[4] = {23, 13, 9, 4}, normalize[4] = {24, 14, 10, 5}, pipelining[4] = {20, 10, 6, 1};
    bool has_newline = knows(s, "smtpd_forbid_bare_newline", since_fix(s, newline));
    bool has_pipelining = knows(s, "smtpd_forbid_unauth_pipelining", since_fix(s, pipelining));

    group(s, "Smuggling: a second message hidden in the first, behind an end of data that only one of two servers "
             "takes for one. The filter would see one message where Postfix sees two.%s",
          has_newline ? "" : " This version cannot insist on CR LF at line ends: the newest update of its series can.");
    if (has_newline) {
        set(s, "smtpd_forbid_bare_newline", "%s", since_fix(s, normalize) ? "normalize" : "yes");
        set(s, "smtpd_forbid_bare_newline_exclusions", "$mynetworks");
    }
    if (has_pipelining)
        set(s, "smtpd_forbid_unauth_pipelining", "yes");
    if (!has_newline || !has_pipelining)
        set(s, "smtpd_data_restrictions", "reject_unauth_pipelining");
    if (!has_newline) /* BDAT would go round reject_unauth_pipelining */
        set(s, "smtpd_discard_ehlo_keywords", "chunking, silent-discard");
}

static bool has_postscreen(const struct snippet *s)
{
    for (size_t i = 0; i < s->postfix.service_count; i++)
        if (str_is(s->postfix.services[i].command, STR("postscreen")))
            return true;
    return false;
}

/* early - no command, but what there is instead where earlytalker cannot do its work. */
static void early(struct snippet *s)
{
    struct str proxy = postfix_value(&s->postfix, NULL, "smtpd_upstream_proxy_protocol");

    if (!config_uses(s->config, "earlytalker"))
        return;
    if (has_postscreen(s))
        group(s, "Early talkers: postscreen stands in front of port 25 and has new clients wait for their greeting "
                 "(postscreen_greet_wait); with postscreen_greet_action = enforce it refuses who does not. earlytalker "
                 "would have them wait once more: set earlytalker { enabled = no } in that profile of "
                 "sme-milter.conf.");
    else if (proxy.n)
        group(s, "Early talkers: a proxy stands in front (smtpd_upstream_proxy_protocol), where the clients' "
                 "connections end, so earlytalker cannot see who talks before the greeting. Use postscreen instead, "
                 "with postscreen_upstream_proxy_protocol and postscreen_greet_action = enforce; who has talked before "
                 "Postfix begins is refused by smtpd_forbid_unauth_pipelining or reject_unauth_pipelining above.");
    else
        group(s, "Early talkers: the policy earlytalker asks this machine's kernel about each client's connection. "
                 "Where Postfix runs in a container or network namespace of its own, or behind a proxy, nothing can "
                 "be seen so: there use postscreen with postscreen_greet_action = enforce instead. "
                 "smtpd_forbid_unauth_pipelining or reject_unauth_pipelining above see only who talks at once.");
}

/* ---- the services ---- */

struct service {
    long port;
    const char *name;   /* in master.cf, and always {daemon_name} */
    int processes;
    const char *why;
    const char *const *options;
};

#define AUTHENTICATED                                                                                                 \
    "smtpd_tls_security_level=encrypt", "smtpd_sasl_auth_enable=yes",                                                 \
        "smtpd_client_restrictions=permit_sasl_authenticated,reject",                                                 \
        "smtpd_relay_restrictions=permit_sasl_authenticated,reject"

static const struct service services[] = {
    {25, "smtp", 40,
     "Port 25, mail from everywhere. At most 40 processes, and 5 connections of one client; here and below chroot is "
     "n: a service in a chroot cannot see the filter's socket, which lies outside of Postfix's queue directory.",
     (const char *const[]){"smtpd_sasl_auth_enable=no", NULL}},
    {465, "submissions", 10,
     "Port 465, mail of our users, TLS from the first byte. Whoever has not logged in is refused, whatever network he "
     "comes from: this port is for relaying only.",
     (const char *const[]){"smtpd_tls_wrappermode=yes", AUTHENTICATED, NULL}},
    {587, "submission", 10,
     "Port 587, the same with STARTTLS, which must come before anything else.",
     (const char *const[]){"smtpd_tls_wrappermode=no", AUTHENTICATED, NULL}},
};

/* service_id - the entry of master.cf for this port. One that is there already under another name (smtps, 465) is used,
 * since two entries cannot share a port; behind postscreen the clients of port 25 come in by smtpd/pass. */
static struct str service_id(struct snippet *s, const struct service *service)
{
    struct str found = STR_NONE;

    for (size_t i = 0; i < s->postfix.service_count; i++) {
        const struct postfix_service *have = &s->postfix.services[i];

        if (postfix_port(have) != service->port)
            continue;
        if (str_is(have->command, STR("postscreen")))
            return STR("smtpd/pass");
        if (!found.n || str_is(have->name, str_of(service->name)))
            found = have->id;
    }
    if (found.n)
        return found;
    if (s->asked && !getservbyname(service->name, "tcp")) /* "submissions" is missing on older systems */
        return arena_printf(s->arena, "%ld/inet", service->port);
    return arena_printf(s->arena, "%s/inet", service->name);
}

static void print_service(struct snippet *s, const struct service *service)
{
    struct str id = service_id(s, service);
    size_t slash = str_rfind(id, '/');
    struct str name = str_slice(id, 0, slash), type = str_slice(id, slash + 1, id.n);

    group(s, "%s", service->why);
    command(s, "-M", arena_printf(s->arena, STR_FMT "=" STR_FMT " " STR_FMT " %s - n - %d smtpd", STR_ARG(id),
                                  STR_ARG(name), STR_ARG(type), str_is(type, STR("inet")) ? "n" : "-",
                                  service->processes));
    command(s, "-P", arena_printf(s->arena, STR_FMT "/milter_macro_daemon_name=%s", STR_ARG(id), service->name));
    command(s, "-P", arena_printf(s->arena, STR_FMT "/smtpd_client_connection_count_limit=5", STR_ARG(id)));
    for (const char *const *option = service->options; *option; option++)
        command(s, "-P", arena_printf(s->arena, STR_FMT "/%s", STR_ARG(id), *option));
}

static int print(struct snippet *s)
{
    const char *old = since(s, 3, 7, 0) ? "" : " sme-milter is tested with Postfix 3.7 and later; this one is older.";

    if (s->ctl->json)
        s->list = json_array();
    comment(s, arena_printf(s->arena, "Postfix " STR_FMT " in front of sme-milter. Run these lines as root; running "
                            "them again changes nothing.%s", STR_ARG(s->postfix.version.text), old));
    comment(s, STR("Afterwards: postfix check, postfix reload, and sme-milterctl postfix doctor."));
    identity(s);
    filter(s);
    timeouts(s);
    tls(s);
    sasl(s);
    manners(s);
    smuggling(s);
    early(s);
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        print_service(s, &services[i]);
    if (s->list) {
        json_dumpf(s->list, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(s->list);
    }
    return CTL_FINE;
}

/* ---- options ---- */

static bool is_hostname(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return name.n > 0 && name.n <= HOSTNAME_MOST && name.p[0] != '-' && name.p[0] != '.';
}

/* networks - "192.168.1.0/24,2001:db8::/32" as mynetworks wants it. A network of millions is a typing mistake that
 * would make an open relay. */
static int networks(struct snippet *s, struct str text)
{
    struct buf b = buf_in(s->arena);
    struct str item;

    buf_add(&b, STR("127.0.0.0/8 [::1]/128"));
    while (postfix_item(&text, &item)) {
        struct cidr net;
        struct str error, address;
        bool is_v4;

        if (!cidr_parse(s->arena, item, &net, &error))
            return ctl_usage(&ctl_postfix_snippet, "--networks: \"" STR_FMT "\" " STR_FMT,
                             STR_ARG(str_escaped(s->arena, item)), STR_ARG(error));
        is_v4 = ip_is_v4(net.net) && net.bits >= 96;
        if (net.bits < (is_v4 ? 96 + 8 : 16))
            return ctl_usage(&ctl_postfix_snippet, "--networks: " STR_FMT " is wider than /%d: all of it could relay",
                             STR_ARG(item), is_v4 ? 8 : 16);
        address = ip_text(s->arena, net.net);
        if (is_v4)
            buf_addf(&b, " " STR_FMT "/%u", STR_ARG(address), net.bits - 96);
        else
            buf_addf(&b, " [" STR_FMT "]/%u", STR_ARG(address), net.bits);
    }
    s->networks = buf_str(&b);
    return 0;
}

static int read_options(struct snippet *s, struct str *version)
{
    struct ctl *ctl = s->ctl;

    for (int i = 1; i < ctl->argc; i++) {
        const char *value;
        int status = 0;

        if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--postfix-version"))) {
            *version = str_of(value);
        } else if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--config-dir"))) {
            s->config_dir = str_of(value);
            if (value[0] != '/' || !shell_quotable(s->config_dir))
                status = ctl_usage(&ctl_postfix_snippet, "--config-dir needs an absolute path of printable ASCII");
        } else if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--hostname"))) {
            s->hostname = str_of(value);
            if (!is_hostname(s->hostname))
                status = ctl_usage(&ctl_postfix_snippet, "--hostname needs the name of a host");
        } else if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--networks"))) {
            status = networks(s, str_of(value));
        } else {
            status = ctl_usage(&ctl_postfix_snippet, "there is no option \"" STR_FMT "\"",
                               STR_ARG(str_escaped(s->arena, str_of(ctl->argv[i]))));
        }
        if (status)
            return status;
    }
    return 0;
}

/* ask - what Postfix is there, or which one we are told to write for. */
static int ask(struct snippet *s, struct str version)
{
    struct postfix_version told;
    struct str why = STR_NONE;
    bool ask_settings = version.n == 0 || s->config_dir.n;

    if (version.n && !postfix_version_parse(version, &told))
        return ctl_usage(&ctl_postfix_snippet, "--postfix-version needs a version such as 3.7 or 3.7.11");
    s->postfix.arena = s->arena;
    if (ask_settings && (!postfix_ask_version(&s->postfix, s->arena, &why) ||
                         !postfix_ask_settings(&s->postfix, s->config_dir, &why))) {
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT "; --postfix-version X.Y prints the lines for "
                "another machine\n", STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    s->asked = ask_settings;
    if (version.n) {
        s->postfix.version = told;
        s->postfix.known = (struct postfix_settings){0}; /* what is known is this machine's, not the other's */
    }
    if (!since(s, 2, 11, 0)) {
        fprintf(stderr, "sme-milterctl postfix snippet: Postfix before 2.11 has no postconf -P\n");
        return EX_UNAVAILABLE;
    }
    return 0;
}

static int find_listen(struct snippet *s)
{
    if (!endpoint_of_listen(s->arena, s->config->global.listen, &s->ours) ||
        !shell_quotable(s->listen = endpoint_text(s->arena, &s->ours)) || str_find(s->listen, ' ') < s->listen.n ||
        str_find(s->listen, ',') < s->listen.n) {
        fprintf(stderr, "sme-milterctl postfix snippet: listen = \"" STR_FMT "\" cannot be written in main.cf\n",
                STR_ARG(str_escaped(s->arena, s->config->global.listen)));
        return EX_CONFIG;
    }
    return 0;
}

static int run(struct ctl *ctl)
{
    struct snippet s = {.ctl = ctl, .arena = ctl->arena};
    struct str version = STR_NONE;
    struct config *config;
    int status = read_options(&s, &version);

    if (status || (status = ask(&s, version)))
        return status;
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    s.config = config;
    status = find_listen(&s);
    if (!status)
        status = print(&s);
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_postfix_snippet = {
    .words = "postfix snippet",
    .usage = "[--postfix-version X.Y[.Z]] [--config-dir DIR] [--hostname NAME] [--networks NET,...]",
    .summary = "Print the postconf commands that wire Postfix to this configuration",
    .help = "  --postfix-version X.Y[.Z]  write for this version; without it Postfix is asked\n"
            "  --config-dir DIR           Postfix's configuration directory, if not its own\n"
            "  --hostname NAME            also set myhostname\n"
            "  --networks NET,...         also set mynetworks: this machine and these networks may relay on port 25\n"
            "\nNothing is changed: look at the lines, then run them as root. With --json the same is a list of\n"
            "objects (command, arguments, why).\n",
    .run = run,
};
