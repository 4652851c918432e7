/* import_rows.c - what became of the files that qpsmtpd was configured by, and the drop-in for systemd. */
#include "import_inside.h"

static const struct {
    const char *file;
    enum import_fate fate;
    const char *text;
} rows[] = {
    {"badhelo", IMPORT_DONE, "helo.badhelo_file: ExternalIP, and the entries of a folder named with --qpsmtpd. aol.com "
                             "and yahoo.com, which SME Server put there, are left out: real clients have these names "
                             "today"},
    {"badmailfrom", IMPORT_DONE, "badmailfrom.senders_file, from a folder named with --qpsmtpd; badmailfromto is a "
                                 "file of its own"},
    {"badrcptto", IMPORT_DONE, "badrcptto.recipients_file: the entries that every SME Server has"},
    {"badrcptto_ext", IMPORT_DONE, "badrcptto_ext.recipients_file, from the accounts with Visible=internal"},
    {"dkim", IMPORT_DONE, "key_dir, from a folder named with --qpsmtpd; one for all three ports"},
    {"dnsbl_allow", IMPORT_DONE, "local clients are immune (skip = {local}); others with dnsbl.allow"},
    {"dnsbl_zones", IMPORT_DONE, "dnsbl.zones, from RBLList; per_user_config has no meaning at connect"},
    {"forcespamcheck", IMPORT_DONE, "the policy forcespamcheck in the profiles smtp-local and submission"},
    {"goodrcptto", IMPORT_DONE, "goodrcptto.recipients_file, from the accounts"},
    {"invalid_resolvable_fromhost", IMPORT_DONE, "resolvable_fromhost.invalid_networks, whose default has these "
                                                 "networks and those that became invalid since"},
    {"IP", IMPORT_NOTICE, "has no effect: Postfix listens (inet_interfaces)"},
    {"loglevel", IMPORT_DONE, "log.level, from LogLevel"},
    {"memory_threshold", IMPORT_NOTICE, "has no effect: qpsmtpd 1.0 does not read it either; limits.memory says what "
                                        "goes to a file"},
    {"norelayclients", IMPORT_DONE, "relay.except, from GatewayIP"},
    {"peers", IMPORT_DONE, "the profiles smtp, smtp-local and submission"},
    {"plugin_dirs", IMPORT_NOTICE, "has no effect: the policies are part of the program"},
    {"plugins", IMPORT_NOTICE, "has no effect: a copy of peers"},
    {"relayclients", IMPORT_DONE, "local_networks here, mynetworks in Postfix, from networks and RelayRequiresAuth"},
    {"rhsbl_zones", IMPORT_DONE, "rhsbl.zones, from SBLList"},
    {"signatures_patterns", IMPORT_DONE, "patterns.signatures_file, from mailpatterns"},
    {"smtpgreeting", IMPORT_DONE, "smtpd_banner in Postfix, from Greeting"},
    {"spool_dir", IMPORT_NOTICE, "has no effect: a message is in memory, or in a file without a name"},
    {"spool_perms", IMPORT_NOTICE, "has no effect: a message is in memory, or in a file without a name"},
    {"subject_prefix", IMPORT_DONE, "spamassassin.subject_prefix, from spamassassin{Subject}"},
    {"timeout", IMPORT_DONE, "smtpd_timeout in Postfix, from timeout"},
    {"timeoutsmtpd", IMPORT_DONE, "smtpd_timeout in Postfix, from timeoutsmtpd"},
    {"tls_before_auth", IMPORT_DONE, "smtpd_tls_auth_only in Postfix, from TlsBeforeAuth"},
    {"tls_ciphers", IMPORT_DONE, "in Postfix, from tlsCipher and modSSL{CipherSuite}"},
    {"tls_protocols", IMPORT_DONE, "in Postfix, from SSLv2 to TLSv1.3 of each service"},
    {"uribl_zones", IMPORT_DONE, "uribl.zones, from UBLList"},
};

void import_config_files(struct import *im)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sme_source from = source_named(arena_printf(im->a, "file %s", rows[i].file),
                                              (struct place){STR_NONE, 1});

        if (rows[i].fate == IMPORT_DONE)
            import_done(&im->notes, from, "%s", rows[i].text);
        else
            import_notice(&im->notes, from, "%s", rows[i].text);
    }
}

#define THREADS 16 /* how much more address space than memory: the stacks of threads are counted too */

/* import_systemd - SoftLimit was the limit of a process that served one connection. Ours serves all of them, so it gets
 * the sum. LimitDATA counts what is set aside for stacks and never touched, so only MemoryMax can be as tight as
 * SoftLimit was; and LimitSTACK would be the size of each thread's stack. */
void import_systemd(struct import *im)
{
    const struct sme_service *s = im->sme.service;
    struct buf b = buf_in(im->a);
    long limit = 0;

    buf_add(&b, STR("# 50koozali.conf - written by `sme-milterctl import sme`; copy it to\n"
                    "# /etc/systemd/system/sme-milter.service.d/, then systemctl daemon-reload.\n[Service]\n"));
    for (int port = 0; port < SME_PORTS; port++) {
        buf_addf(&b, "# " STR_FMT " = %ld%s\n", STR_ARG(s[port].soft_limit.from.name), s[port].soft_limit.value,
                 s[port].soft_limit.from.set ? "" : ", not set: the default of SME Server");
        limit += s[port].soft_limit.value;
    }
    buf_addf(&b, "# One process serves all connections of the three: the sum.\nMemoryHigh=%ld\nMemoryMax=%ld\n"
             "# Memory, and the stacks of threads, of which hardly anything is ever used.\nLimitDATA=%ld\n"
             "LimitMEMLOCK=%ld\n", limit, 2 * limit, THREADS * limit, limit);
    for (int port = 0; port < SME_PORTS; port++)
        import_done(&im->notes, s[port].soft_limit.from, "sme-milter.service.d/50koozali.conf: %ld bytes of "
                    "MemoryHigh, MemoryMax, LimitDATA and LimitMEMLOCK; LimitSTACK is left out, since it would be the "
                    "size of each thread's stack", s[port].soft_limit.value);
    import_add_file(im, STR("sme-milter.service.d/50koozali.conf"), buf_str(&b), false);
}
