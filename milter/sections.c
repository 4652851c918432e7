/* sections.c - the option tables of everything that is not a policy. */
#include "config.h"

static const char *const format_words[] = {"keyvalue", "json", "logterse", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const to_words[] = {"auto", "syslog", "stderr", NULL};
static const char *const network_words[] = {"any", "local", "wan", NULL};
static const char *const auth_condition_words[] = {"any", "yes", "no", NULL};
static const char *const match_words[] = {"all", "any", NULL};
static const char *const reply_at_words[] = {"mail", "rcpt", "data", NULL};
static const char *const unsure_words[] = {"continue", "tempfail", NULL};

static const struct option global_rows[] = {
    OPT_STRING(struct global_options, listen, "unix:/run/sme-milter/milter.sock",
               "where Postfix finds us: unix:PATH, inet:PORT@HOST or inet6:PORT@HOST"),
    OPT_STRING(struct global_options, listen_group, "postfix",
               "group that may use the Unix socket (mode 0660); empty: the daemon's own"),
    OPT_STRING(struct global_options, hostname, "", "our name in results and reports; empty: the host's name"),
    OPT_CIDRS(struct global_options, local_networks, "127.0.0.0/8, ::1/128", "clients that are our own"),
    OPT_HOSTS(struct global_options, local_domains, "", "domains whose mail ends here; .example.org for all below"),
    OPT_STRING(struct global_options, state_dir, "/var/lib/sme-milter", "directory for what the daemon remembers"),
    OPT_STRING(struct global_options, key_dir, SYSCONFDIR "/dkim", "directory of DKIM keys"),
    OPTION_END,
};

static const struct option log_rows[] = {
    OPT_WORD(struct log_options, format, "keyvalue", format_words, "form of the one line per message"),
    OPT_WORD(struct log_options, level, "info", level_words, "what else is logged"),
    OPT_WORD(struct log_options, to, "auto", to_words,
             "auto: syslog (mail facility) under systemd, else standard error"),
    OPTION_END,
};

static const struct option limit_rows[] = {
    OPT_INT(struct limit_options, recipients, "1000", 1, 1000000, "recipients of one message; more are put off with 452"),
    OPT_SIZE(struct limit_options, header_size, "1M", 1024, 1e9, "bytes of one message's header; more is refused (552)"),
    OPT_SIZE(struct limit_options, message_size, "256M", 1024, 1e12, "bytes of one body; more is refused (552)"),
    OPT_SIZE(struct limit_options, memory, "256K", 0, 1e9, "bytes of one body kept in memory; more goes to a file"),
    OPTION_END,
};

static const struct option dns_rows[] = {
    OPT_STRINGS(struct dns_options, servers, "", "resolvers: 127.0.0.1, 127.0.0.1:5353; empty: those of /etc/resolv.conf"),
    OPT_DURATION(struct dns_options, timeout, "5s", 100, 60000, "until a question is given up"),
    OPT_INT(struct dns_options, cache_entries, "10000", 0, 10000000, "answers that are kept"),
    OPTION_END,
};

static const struct option journal_rows[] = {
    OPT_BOOL(struct journal_options, enabled, "yes",
             "remember every message with all that was found, for why, shadow and summary"),
    OPT_DURATION(struct journal_options, keep, "30d", 60000, 1e12, "how long a message stays in the journal"),
    OPT_SIZE(struct journal_options, max_size, "1G", 1000000, 1e13,
             "bytes of the journal's file and its log; the oldest messages go first"),
    OPT_BOOL(struct journal_options, subject, "no", "keep the Subject too; nothing else of what was written ever is"),
    OPTION_END,
};

static const struct option metrics_rows[] = {
    OPT_STRING(struct metrics_options, listen, "",
               "where OpenMetrics are told (HTTP, /metrics): unix:/PATH, inet:PORT@127.0.0.1; empty: nowhere"),
    OPTION_END,
};

static const struct option profile_rows[] = {
    OPT_NUMBERS(struct profile_options, port, "", 1, 65535, "server ports, as {daemon_port} tells; empty: any"),
    OPT_STRINGS(struct profile_options, daemon_name, "",
                "names that milter_macro_daemon_name gives a service; empty: any"),
    OPT_WORD(struct profile_options, network, "any", network_words, "local: in local_networks; wan: not in them"),
    OPT_WORD(struct profile_options, auth, "any", auth_condition_words, "whether the client has authenticated"),
    OPT_WORD(struct profile_options, match, "all", match_words,
             "all: network and auth must both hold; any: one is enough"),
    OPT_WORD(struct profile_options, reply_at, "mail", reply_at_words, "when a deferred rejection is told"),
    OPT_WORD(struct profile_options, unsure, "continue", unsure_words,
             "what an unsure finding does: nothing, or a temporary refusal"),
    OPT_STRINGS(struct profile_options, policies, "", "the policies to run, in this order"),
    OPTION_END,
};

const struct section config_sections[] = {
    {"", "options of the whole daemon", global_rows},
    {"log", "what is logged, and where", log_rows},
    {"limits", "what one client may make us hold", limit_rows},
    {"dns", "who is asked about names", dns_rows},
    {"journal", "what is remembered of every message, in STATE_DIR/journal.sqlite", journal_rows},
    {"metrics", "what a collector on this machine may ask for", metrics_rows},
    {"profile", "which policies apply to which connections; the first whose conditions hold is used", profile_rows},
    {NULL, NULL, NULL},
};
