/* snippet_lines.c - what main.cf needs for the filter, and why: each group of parameters with its reason.
 *
 * Each step sets a value instead of adding to it, so taking the steps twice is taking them once. What --settings names
 * is set by it alone.
 */
#include "snippet.h"

static void set(struct snippet *s, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void set(struct snippet *s, const char *name, const char *format, ...)
{
    struct buf b = buf_in(s->arena);
    va_list ap;

    if (setting_of(&s->settings, str_of(name)))
        return;
    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    snippet_step(s, STEP_SET, str_of(name), buf_str(&b));
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

static void identity(struct snippet *s)
{
    if (s->hostname.n) {
        because(s, "The name this server greets with. It should resolve to its address, and the address back to it.");
        snippet_step(s, STEP_SET, STR("myhostname"), s->hostname);
    }
    if (s->networks.n) {
        because(s, "Clients that may relay through port 25 without a password: this machine, and what you named.");
        snippet_step(s, STEP_SET, STR("mynetworks"), s->networks);
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

    because(s,
          "The filter. It stands first, since it must see a message as the client sent it. Mail made on this machine "
          "by the sendmail command, and bounces, do not pass it.%s",
          told);
    set(s, "smtpd_milters", STR_FMT, STR_ARG(all));
    set(s, "non_smtpd_milters", "%s", "");
    if (knows(s, "smtpd_milter_maps", since(s, 3, 2, 0)))
        set(s, "smtpd_milter_maps", "%s", "");
    set(s, "milter_header_checks", "%s", "");

    if (since(s, 3, 11, 0)) {
        because(s, "While the filter is down, clients are told to come back later (421) and the connection is closed, "
                   "so that the next one finds the filter again. Nothing passes unfiltered and nothing is lost.");
        set(s, "milter_default_action", "shutdown");
    } else {
        because(s, "While the filter is down, clients are told to come back later (451). Nothing passes unfiltered and "
                   "nothing is lost.");
        set(s, "milter_default_action", "tempfail");
    }

    because(s, "Version 6 of the milter protocol lets the filter ask for the macros it needs (the server's port, the "
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

    because(s,
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
    because(s, "TLS. Port 25 takes it when the client can, in any version that is not broken, since the alternative "
             "there is clear text. Ports 465 and 587 insist on it, and on version 1.2 or later.%s", certificate);
    set(s, "smtpd_tls_security_level", "may");
    set(s, "smtpd_tls_protocols", "%s", since(s, 3, 6, 0) ? ">=TLSv1" : "!SSLv2, !SSLv3");
    set(s, "smtpd_tls_mandatory_protocols", "%s",
        since(s, 3, 6, 0) ? ">=TLSv1.2" : "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1");
}

static void sasl(struct snippet *s)
{
    because(s, "Passwords are checked by Dovecot (its service auth needs a unix_listener at private/auth in Postfix's "
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

    because(s, "Relaying is Postfix's decision alone; no whitelist of the filter grants it.%s",
            s->networks.n || setting_of(&s->settings, STR("mynetworks"))
                ? "" : " mynetworks stays as it is, so nobody may relay who may not now.");
    set(s, "smtpd_relay_restrictions", "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination");

    because(s, "A client says who it is, cannot try addresses with VRFY, and names at most as many recipients as the "
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

    because(s, "Smuggling: a second message hidden in the first, behind an end of data that only one of two servers "
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
        because(s, "Early talkers: postscreen stands in front of port 25 and has new clients wait for their greeting "
                   "(postscreen_greet_wait); with postscreen_greet_action = enforce it refuses who does not. "
                   "earlytalker would have them wait once more: set earlytalker { enabled = no } in that profile of "
                   "sme-milter.conf.");
    else if (proxy.n)
        because(s, "Early talkers: a proxy stands in front (smtpd_upstream_proxy_protocol), where the clients' "
                   "connections end, so earlytalker cannot see who talks before the greeting. Use postscreen instead, "
                   "with postscreen_upstream_proxy_protocol and postscreen_greet_action = enforce; who has talked "
                   "before Postfix begins is refused by smtpd_forbid_unauth_pipelining or reject_unauth_pipelining "
                   "above.");
    else
        because(s, "Early talkers: the policy earlytalker asks this machine's kernel about each client's connection. "
                   "Where Postfix runs in a container or network namespace of its own, or behind a proxy, nothing can "
                   "be seen so: there use postscreen with postscreen_greet_action = enforce instead. "
                   "smtpd_forbid_unauth_pipelining or reject_unauth_pipelining above see only who talks at once.");
    snippet_step(s, STEP_WORDS, STR_NONE, STR_NONE);
}

/* given - what --settings names; the options of the command line come before it. */
static void given(struct snippet *s)
{
    const struct setting *last = NULL;

    for (size_t i = 0; i < s->settings.count; i++) {
        const struct setting *p = &s->settings.parameters[i];

        if ((s->hostname.n && str_is(p->name, STR("myhostname"))) ||
            (s->networks.n && str_is(p->name, STR("mynetworks"))))
            continue;
        if (!last || !str_is(p->why, last->why))
            because(s, STR_FMT, STR_ARG(p->why.n ? p->why : str_escaped(s->arena, p->at.file)));
        last = p;
        snippet_step(s, STEP_SET, p->name, p->value);
    }
}

void snippet_lines(struct snippet *s)
{
    identity(s);
    filter(s);
    timeouts(s);
    tls(s);
    sasl(s);
    manners(s);
    smuggling(s);
    given(s);
    early(s);
}
