/* import_plugins.c - the plugins that a folder of qpsmtpd loads, and their arguments. */
#include <stdlib.h>

#include "import_inside.h"

/* What a plugin is here. With a database its properties say what the arguments would. */
static const struct known_plugin {
    const char *name;
    const char *became; /* NULL: it has no effect, or is lost, see why */
    const char *on;     /* the property that it switches on */
    const char *why;
    bool lost;
} plugins[] = {
    {"karma", "karma", "Karma", NULL, false},
    {"earlytalker", "earlytalker", NULL, NULL, false},
    {"check_earlytalker", "earlytalker", NULL, NULL, false},
    {"bogus_bounce", "bogus_bounce", NULL, NULL, false},
    {"count_unrecognized_commands", "unrecognized_commands", NULL, NULL, false},
    {"bcc", "bcc", "Bcc", NULL, false},
    {"relay", "relay", NULL, NULL, false},
    {"helo", "helo", NULL, NULL, false},
    {"check_spamhelo", "helo", NULL, NULL, false},
    {"resolvable_fromhost", "resolvable_fromhost", NULL, NULL, false},
    {"require_resolvable_fromhost", "resolvable_fromhost", NULL, NULL, false},
    {"headers", "headers", NULL, NULL, false},
    {"check_basicheaders", "headers", NULL, NULL, false},
    {"loadcheck", "loadcheck", NULL, NULL, false},
    {"rhsbl", "rhsbl", "RHSBL", NULL, false},
    {"sender_permitted_from", "spf", NULL, NULL, false},
    {"dkim", "dkim", NULL, NULL, false},
    {"dmarc", "dmarc", NULL, NULL, false},
    {"dnsbl", "dnsbl", "DNSBL", NULL, false},
    {"naughty", "reject = later, and reply_at of the profile", NULL, NULL, false},
    {"uribl", "uribl", "URIBL", NULL, false},
    {"badmailfrom", "badmailfrom", NULL, NULL, false},
    {"check_badmailfrom", "badmailfrom", NULL, NULL, false},
    {"badmailfromto", "badmailfromto", NULL, NULL, false},
    {"check_badmailfromto", "badmailfromto", NULL, NULL, false},
    {"badrcptto", "badrcptto, badrcptto_ext", NULL, NULL, false},
    {"check_badrcptto", "badrcptto", NULL, NULL, false},
    {"check_smtp_forward", "smtp_forward", NULL, NULL, false},
    {"check_goodrcptto", "goodrcptto", NULL, NULL, false},
    {"rcpt_ok", "smtpd_relay_restrictions in Postfix", NULL, NULL, false},
    {"virus/pattern_filter", "patterns", "PatternsScan", NULL, false},
    {"pattern_filter", "patterns", "PatternsScan", NULL, false},
    {"tnef2mime", "tnef2mime", "tnef2mime", NULL, false},
    {"disclaimer", "disclaimer", "disclaimer", NULL, false},
    {"spamassassin", "spamassassin", NULL, NULL, false},
    {"forcespamcheck", "forcespamcheck", NULL, NULL, false},
    {"virus/clamdscan", "virus", "VirusScan", NULL, false},
    {"virus/clamav", "virus", "VirusScan", NULL, false},
    {"clamdscan", "virus", "VirusScan", NULL, false},
    {"fcrdns", "fcrdns", NULL, NULL, false},
    {"whitelist", "whitelist", NULL, NULL, false},
    {"logging/logterse", "log { format = logterse }", "qplogsumm", NULL, false},
    {"tls", "TLS in Postfix", NULL, NULL, false},
    {"auth/auth_imap", "AUTH in Postfix, by Dovecot", NULL, NULL, false},
    {"auth_imap", "AUTH in Postfix, by Dovecot", NULL, NULL, false},
    {"ident/geoip", "country, which can refuse; it is off until country.deny is set", NULL, NULL, false},
    {"check_badcountries", "country, which is off until country.deny is set", NULL, NULL, false},
    {"queue/qmail-queue", "Postfix's own queue", NULL, NULL, false},
    {"queue/smtp-forward", "transport_maps or relayhost in Postfix", NULL, NULL, false},
    {"peers", "the profiles", NULL, NULL, false},
    {"loop", "headers.max_received, and hopcount_limit in Postfix", NULL, NULL, false},
    {"auth/auth_cvm_unix_local", NULL, NULL, "Postfix asks Dovecot for passwords", false},
    {"hosts_allow", NULL, NULL, "smtpd_client_connection_count_limit in Postfix limits clients", false},
    {"noop_counter", NULL, NULL, "smtpd_junk_command_limit in Postfix counts them", false},
    {"dont_require_anglebrackets", NULL, NULL, "strict_rfc821_envelopes in Postfix is the place for it", false},
    {"parse_addr_withhelo", NULL, NULL, "Postfix reads addresses", false},
    {"connection_time", NULL, NULL, "the log has ms= for every message", false},
    {"quit_fortune", NULL, NULL, "nobody needs it", false},
    {"help", NULL, NULL, "nobody needs it", false},
    {"greylisting", NULL, NULL, "there is no greylisting: karma and dnsbl do without delay", true},
    {"dns_whitelist_soft", NULL, NULL, "name its lists in whitelist.zones", true},
    {"rcpt_regexp", NULL, NULL, "look at goodrcptto and badrcptto", true},
    {"qmail_deliverable", NULL, NULL, "look at goodrcptto, or at recipient tables of Postfix", true},
    {"user_config", NULL, NULL, "there are no settings of users", true},
};

static const struct known_plugin *known_plugin(struct str name)
{
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        if (str_is(name, str_of(plugins[i].name)))
            return &plugins[i];
    return NULL;
}

/* ---- arguments ---- */

/* argument - the word behind `name` among the arguments; false when it is not there. */
static bool argument(struct str args, const char *name, struct str *value)
{
    struct str word;

    while (str_token(&args, &word))
        if (str_is_nocase(word, str_of(name)))
            return str_token(&args, value);
    return false;
}

/* set - a property of the filter, for the three services, as if a database had it. */
static void set(struct import *im, const struct import_plugin *plugin, const char *property, struct str value)
{
    for (const struct import_row *row = import_filter_rows; row->name; row++)
        for (int i = 0; i < SME_PORTS && str_is(str_of(row->name), str_of(property)); i++)
            import_set(im, row, &im->sme.filter[i], value, plugin->from);
    for (const struct import_row *row = import_spam_rows; row->name; row++)
        if (str_is(str_of(row->name), str_of(property)))
            import_set(im, row, &im->sme, value, plugin->from);
}

static void set_argument(struct import *im, const struct import_plugin *plugin, const char *name, const char *property)
{
    struct str value;

    if (argument(plugin->args, name, &value))
        set(im, plugin, property, value);
}

static void spam_arguments(struct import *im, const struct import_plugin *plugin)
{
    struct str value;

    set(im, plugin, "status", STR("enabled"));
    if (argument(plugin->args, "reject", &value) || argument(plugin->args, "reject_threshold", &value)) {
        set(im, plugin, "RejectLevel", value);
        im->sme.spamassassin.rejects = im->sme.spamassassin.reject_level.value > 0;
    }
    if (argument(plugin->args, "munge_subject_threshold", &value)) {
        set(im, plugin, "Sensitivity", STR("custom"));
        set(im, plugin, "TagLevel", value);
        set(im, plugin, "SubjectTag", STR("enabled"));
    }
    set_argument(im, plugin, "size_limit", "MaxMessageSize");
}

static void bcc_arguments(struct import *im, const struct import_plugin *plugin)
{
    struct str rest = plugin->args, word;

    set_argument(im, plugin, "mode", "BccMode");
    while (str_token(&rest, &word)) {
        if (str_is(word, STR("all")) || str_is(word, STR("incoming")) || str_is(word, STR("outgoing")))
            set(im, plugin, "BccDirection", word);
        else if (str_find(word, '@') < word.n || (rest.n == 0 && !str_is(word, STR("cc"))))
            set(im, plugin, "BccUser", word);
    }
}

/* virus_arguments - max_size was in KiB. */
static void virus_arguments(struct import *im, const struct import_plugin *plugin)
{
    struct str value;
    long kib;

    if (argument(plugin->args, "max_size", &value) && str_to_long(value, &kib) && kib > 0) {
        if (kib > 4000000)
            import_notice(&im->notes, plugin->from, "max_size %ld would be KiB, which is no limit; bytes were meant",
                          kib);
        set(im, plugin, "MaxScannerSize", kib > 4000000 ? value : arena_printf(im->a, "%ld", kib * 1024));
    }
    if (argument(plugin->args, "clamd_socket", &value) && !str_is(value, STR("/run/clamav/clamd.ctl")))
        import_notice(&im->notes, plugin->from, "clamd listened at " STR_FMT ": set virus.socket if it does here",
                      STR_ARG(value));
}

static void level(struct import *im, const struct import_plugin *plugin, const char *name, const char *property)
{
    struct str value;
    bool on;

    if (argument(plugin->args, name, &value) && import_flag(value, &on))
        set(im, plugin, property, on ? STR("enabled") : STR("disabled"));
}

static void arguments(struct import *im, const struct import_plugin *plugin, const struct known_plugin *known)
{
    struct str name = str_of(known->became), value;
    long number;

    if (known->on)
        set(im, plugin, known->on, STR("enabled"));
    if (str_is(name, STR("karma"))) {
        if (argument(plugin->args, "reject", &value) && str_is(value, STR("0")))
            set(im, plugin, "Karma", STR("disabled"));
        set_argument(im, plugin, "negative", "KarmaNegative");
        set_argument(im, plugin, "strikes", "KarmaStrikes");
    } else if (str_is(name, STR("helo"))) {
        set_argument(im, plugin, "policy", "HeloPolicy");
    } else if (str_is(name, STR("loadcheck"))) {
        set_argument(im, plugin, "max_load", "MaxLoad");
    } else if (str_is(name, STR("headers"))) {
        set_argument(im, plugin, "future", "MaximumDateOffset");
        set_argument(im, plugin, "past", "MaximumDateOffset");
    } else if (str_is(name, STR("spf"))) {
        set_argument(im, plugin, "no_dmarc_policy", "SPFRejectPolicy");
    } else if (str_is(name, STR("dmarc"))) {
        level(im, plugin, "reject", "DMARCReject");
        level(im, plugin, "reporting", "DMARCReporting");
    } else if (str_is(name, STR("spamassassin"))) {
        spam_arguments(im, plugin);
    } else if (str_is(name, STR("bcc"))) {
        bcc_arguments(im, plugin);
    } else if (str_is(name, STR("virus"))) {
        virus_arguments(im, plugin);
    } else if (str_is(name, STR("earlytalker")) && argument(plugin->args, "wait", &value) &&
               str_to_long(value, &number) && number >= 0 && number <= 30) {
        im->earlytalker_wait = (struct sme_text){value, plugin->from};
    } else if (str_is(name, STR("unrecognized_commands")) && str_token(&(struct str){plugin->args.p, plugin->args.n},
                                                                       &value) &&
               str_to_long(value, &number) && number > 0 && number <= 1000) {
        im->unrecognized_max = (struct sme_number){number, plugin->from};
    }
}

/* ---- lists of plugins ---- */

static void read_list(struct import *im, const char *name, bool local)
{
    struct str text = STR_NONE, line;
    unsigned number = 0;
    struct str path = arena_printf(im->a, STR_FMT "/%s", STR_ARG(im->qpsmtpd_dir), name);

    if (!import_folder_text(im, str_of(name), &text))
        return;
    while (str_split(&text, '\n', &line)) {
        struct import_plugin plugin = {.local = local};
        struct str rest = str_trim(line);

        number++;
        if (rest.n == 0 || rest.p[0] == '#' || !str_token(&rest, &plugin.name))
            continue;
        plugin.args = str_trim(rest);
        plugin.from = source_named(arena_printf(im->a, "%s: " STR_FMT, name,
                                                STR_ARG(str_escaped(im->a, str_slice(plugin.name, 0, 64)))),
                                   (struct place){path, number});
        im->plugins = arena_grow(im->a, im->plugins, im->plugin_count, sizeof *im->plugins);
        im->plugins[im->plugin_count++] = plugin;
    }
}

/* off_unless_loaded - what SME Server has on by itself is off where the plugin is not loaded. */
static void off_unless_loaded(struct import *im)
{
    static const char *const properties[] = {"VirusScan", "tnef2mime"};
    struct import_plugin none = {.from = source_named(STR("plugins"), (struct place){im->qpsmtpd_dir, 1})};

    for (size_t p = 0; p < sizeof properties / sizeof *properties; p++) {
        bool loaded = false;

        for (size_t i = 0; i < im->plugin_count; i++) {
            const struct known_plugin *known = known_plugin(im->plugins[i].name);

            loaded |= known && known->on && str_is(str_of(known->on), str_of(properties[p]));
        }
        if (!loaded)
            set(im, &none, properties[p], STR("disabled"));
    }
}

void import_plugins(struct import *im)
{
    read_list(im, "peers/0", false);
    if (im->plugin_count == 0)
        read_list(im, "plugins", false);
    read_list(im, "peers/local", true);
    if (im->plugin_count && im->db_dir.n == 0)
        off_unless_loaded(im);
    for (size_t i = 0; i < im->plugin_count; i++) {
        const struct import_plugin *plugin = &im->plugins[i];
        const struct known_plugin *known = known_plugin(plugin->name);

        if (!known) {
            import_left_out(&im->notes, plugin->from, "is none of qpsmtpd's own plugins: what it does is lost");
        } else if (known->lost) {
            import_left_out(&im->notes, plugin->from, "%s", known->why);
        } else if (!known->became) {
            import_notice(&im->notes, plugin->from, "has no effect: %s", known->why);
        } else {
            import_done(&im->notes, plugin->from, "%s%s", known->became,
                        im->db_dir.n && plugin->args.n ? "; its arguments are properties" : "");
            if (im->db_dir.n == 0 && !plugin->local)
                arguments(im, plugin, known);
        }
    }
}
