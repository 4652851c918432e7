/* import.h - an SME Server as its databases describe it, and what became of every property.
 *
 * import_model.c reads the records (db/esmith.h) into one struct sme: typed, within its limits, every value with the
 * property that it came from, so that whoever prints a line can name it. import_conf.c and import_lists.c print
 * sme-milter.conf and its list files from it, import_postfix.c Postfix's side, import_systemd.c the drop-in.
 * Everything lives in the import's one arena.
 */
#ifndef CTL_IMPORT_H
#define CTL_IMPORT_H

#include "../base/arena.h"
#include "../base/err.h"
#include "../base/ip.h"
#include "../base/str.h"

/* Where a value came from. `name` can stand in a comment as it is: "qpsmtpd{Instances}", "DelegateMailServer",
 * "domain example.org{MailServer}"; stranger's bytes in it are escaped, and it has no line ends. */
struct sme_source {
    struct str name;
    struct place at; /* database file and line; line 0: the property is not set and this is SME's default */
    bool set;        /* it stands in the database and could be read */
};

struct sme_text {
    struct str value; /* empty: none. NOT escaped: whoever writes it into a file quotes or refuses it */
    struct sme_source from;
};

struct sme_number {
    long value;
    struct sme_source from;
};

struct sme_flag {
    bool value;
    struct sme_source from;
};

struct sme_texts { /* the items of one comma list */
    struct str *items;
    size_t count;
    struct sme_source from;
};

enum sme_port { SME_SMTP, SME_SUBMISSIONS, SME_SUBMISSION, SME_PORTS }; /* qpsmtpd, sqpsmtpd, uqpsmtpd */

enum sme_protocol { SME_SSLV2, SME_SSLV3, SME_TLSV1, SME_TLSV1_1, SME_TLSV1_2, SME_TLSV1_3, SME_PROTOCOLS };

/* One of the three services. What a service does not set itself it has from qpsmtpd (the "x" of SME's table); `from`
 * then names qpsmtpd's property. */
struct sme_service {
    const char *record; /* "qpsmtpd", "sqpsmtpd", "uqpsmtpd" */
    bool there;         /* the record exists */
    struct sme_flag status;           /* enabled */
    struct sme_number port;           /* TCPPort: 25, 465, 587 */
    struct sme_text access;           /* "public", "private" (local networks only), "localhost" */
    struct sme_number instances;      /* 40, 10, 10; at least 1 */
    struct sme_number instances_per_ip; /* 5; at least 1 */
    struct sme_flag authentication;   /* enabled */
    struct sme_flag tls_before_auth;  /* 1; always true for 465 and 587 */
    struct sme_number soft_limit;     /* SoftLimit: bytes, 150000000 */
    struct sme_text ciphers;          /* tlsCipher, else modSSL{CipherSuite}, else empty: OpenSSL's notation */
    struct sme_flag protocols[SME_PROTOCOLS]; /* SSLv2 ... TLSv1.3: from.set is false where nothing was said; the values
                                               * are then SME's: from TLSv1.1 on for 25, TLSv1.2 for the others */
    struct sme_flag relay_requires_auth; /* enabled */
    struct sme_text greeting;         /* smtpgreeting; empty: host.domain */
    struct sme_number timeout;        /* seconds, of one line of DATA: 120 */
    struct sme_number timeout_smtpd;  /* seconds, of one command: 120 */
    struct sme_text proxy;            /* "blocked", "enabled", "disabled": outbound SMTP of the local network */
    struct sme_number proxy_port;     /* 25 */
};

struct sme_domain {
    struct str name;            /* lower case, ASCII, a possible DNS name */
    struct sme_text mail_server; /* MailServer: "host" or "host:port" or an address; empty: mail stays here, or goes to
                                  * the DelegateMailServer of the whole server */
    struct sme_text type;       /* the record's type: "domain", "domain-remote" */
    struct sme_source from;
};

struct sme_network {
    struct cidr net;             /* from the record's key and Mask */
    struct sme_flag relay_without_auth; /* may relay on port 25: RelayRequiresAuth=disabled here or on qpsmtpd */
    struct sme_source from;
};

enum sme_account_kind { SME_USER, SME_GROUP, SME_PSEUDONYM, SME_IBAY, SME_SYSTEM };

struct sme_account {
    struct str name;  /* lower case; of a pseudonym perhaps a whole address "x@example.org" */
    enum sme_account_kind kind;
    struct str goes_to; /* of a pseudonym: its Account; of a user whose EmailForward says so: ForwardAddress */
    bool keeps_copy;    /* EmailForward=both: his own mailbox gets it too */
    struct sme_texts members; /* of a group: the accounts that its mail goes to */
    bool receives;    /* can get mail */
    bool internal;    /* Visible=internal: hidden from strangers */
    struct sme_source from;
};

struct sme_pattern { /* of mailpatterns */
    struct str name;
    struct sme_texts body; /* the starts of base64 text */
    bool enabled;
    struct sme_source from;
};

struct sme_filter {
    struct sme_flag bcc, dnsbl, rhsbl, uribl, patterns_scan, virus_scan, tnef2mime, disclaimer, qplogsumm, karma,
        dmarc_reject, dmarc_reporting;
    struct sme_text bcc_mode, bcc_user, bcc_direction, helo_policy;
    struct sme_number log_level, max_scanner_size, maximum_date_offset, karma_negative, karma_strikes, max_load,
        spf_reject_policy;
    struct sme_texts rbl_list, sbl_list, ubl_list;
};

struct sme {
    struct arena *arena;
    struct sme_service service[SME_PORTS];

    /* The machine. */
    struct sme_text system_name;   /* SystemName: "mail" */
    struct sme_text domain_name;   /* DomainName: "example.org", the primary domain */
    struct str hostname;           /* both together: "mail.example.org"; empty when either is missing */
    struct sme_text local_ip;      /* LocalIP */
    struct sme_text local_netmask; /* LocalNetmask */
    struct sme_text external_ip;   /* ExternalIP or ExternalInterface{IPAddress} */
    struct sme_text gateway_ip;    /* GatewayIP: never relays */
    struct sme_text system_mode;   /* SystemMode: "servergateway", "serveronly" */

    /* Mail that is not for an account of this machine. */
    struct sme_text unknown_user;  /* EmailUnknownUser: "returntosender", an account, or an address */
    bool unknown_user_bounces;     /* it is "returntosender", not set, or nobody to whom mail could go */
    struct sme_text delegate;      /* DelegateMailServer: all local domains' mail goes there; empty: none */
    struct sme_text smart_host;    /* SMTPSmartHost: relayhost */
    struct sme_text admin_email;   /* ContactEmail */
    struct sme_number max_message_size; /* qmail{MaxMessageSize}: bytes; 0: not limited */

    struct sme_domain *domains;    /* in the order of their names; the primary domain is among them */
    size_t domain_count;
    struct sme_network *networks;  /* sorted; without loopback */
    size_t network_count;
    struct sme_account *accounts;  /* in the order of their names */
    size_t account_count;
    struct sme_pattern *patterns;
    size_t pattern_count;

    /* The filter, as each service has it: what sqpsmtpd and uqpsmtpd do not set themselves is qpsmtpd's. */
    struct sme_filter filter[SME_PORTS];
    struct {
        struct sme_flag status, subject_tag;
        struct sme_text sensitivity, subject;
        struct sme_number reject_level, tag_level, max_message_size;
        bool rejects; /* RejectLevel counts: Sensitivity is custom and it is above TagLevel */
    } spamassassin;
};

/* What became of one property, for the administrator's eyes. */
enum import_fate {
    IMPORT_DONE,     /* it became something */
    IMPORT_NOTICE,   /* it has no effect, or another one than it had, for a good reason */
    IMPORT_LEFT_OUT, /* it could not be understood or carried over: exit status 1 */
};

struct import_note {
    enum import_fate fate;
    struct sme_source from;
    struct str text; /* "smtpd_client_connection_count_limit=5 for port 25"; outside bytes are escaped when printed */
};

struct import_notes {
    struct arena *arena;
    struct import_note *items;
    size_t count, left_out;
};

void import_done(struct import_notes *notes, struct sme_source from, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void import_notice(struct import_notes *notes, struct sme_source from, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void import_left_out(struct import_notes *notes, struct sme_source from, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* import_postfix - the lines of main.cf and master.cf that the properties ask for, each with a comment that names its
 * property, and a note for each property that has become one or has no equivalent. */
bool import_postfix(struct arena *a, const struct sme *sme, struct buf *main_cf, struct buf *master_cf,
                    struct import_notes *notes);

#include "../base/banned.h"
#endif
