/* import_values.c - the properties that are known, their kinds, limits and SME's defaults. */
#include "../base/log.h"
#include "import_inside.h"

#define SAME NULL, NULL
#define RBL "bl.spamcop.net,dnsbl-1.uceprotect.net,dnsbl-2.uceprotect.net,psbl.surriel.com,zen.spamhaus.org"
#define SBL "multi.surbl.org,black.uribl.com,rhsbl.sorbs.net"
#define UBL "multi.surbl.org:8-16-64-128,black.uribl.com,rhsbl.sorbs.net"

#define FLAG(type, name, field, ...) {name, KIND_FLAG, offsetof(type, field), {__VA_ARGS__}, 0, 0, NULL}
#define NUMBER(type, name, field, min, max, ...)                                                                      \
    {name, KIND_NUMBER, offsetof(type, field), {__VA_ARGS__}, min, max, NULL}
#define WORDS(type, name, field, words, ...) {name, KIND_TEXT, offsetof(type, field), {__VA_ARGS__}, 0, 0, words}
#define TEXT(type, name, field, ...) {name, KIND_TEXT, offsetof(type, field), {__VA_ARGS__}, 0, 0, NULL}
#define LIST(type, name, field, ...) {name, KIND_LIST, offsetof(type, field), {__VA_ARGS__}, 0, 0, NULL}
#define ROW_END {NULL, KIND_TEXT, 0, {SAME, NULL}, 0, 0, NULL}

const struct import_row import_filter_rows[] = {
    FLAG(struct sme_filter, "Bcc", bcc, "disabled", SAME),
    WORDS(struct sme_filter, "BccMode", bcc_mode, "cc bcc off", "cc", SAME),
    TEXT(struct sme_filter, "BccUser", bcc_user, "maillog", SAME),
    WORDS(struct sme_filter, "BccDirection", bcc_direction, "all incoming outgoing", "all", SAME),
    FLAG(struct sme_filter, "DNSBL", dnsbl, "disabled", SAME),
    LIST(struct sme_filter, "RBLList", rbl_list, RBL, SAME),
    FLAG(struct sme_filter, "RHSBL", rhsbl, "disabled", SAME),
    LIST(struct sme_filter, "SBLList", sbl_list, SBL, SAME),
    FLAG(struct sme_filter, "URIBL", uribl, "disabled", SAME),
    LIST(struct sme_filter, "UBLList", ubl_list, UBL, SAME),
    WORDS(struct sme_filter, "HeloPolicy", helo_policy, "lenient rfc strict", "lenient", SAME),
    FLAG(struct sme_filter, "Karma", karma, "disabled", SAME),
    NUMBER(struct sme_filter, "KarmaNegative", karma_negative, 1, 1000, "2", SAME),
    NUMBER(struct sme_filter, "KarmaStrikes", karma_strikes, 1, 1000, "3", SAME),
    NUMBER(struct sme_filter, "LogLevel", log_level, 0, 9, "6", SAME),
    NUMBER(struct sme_filter, "MaxLoad", max_load, 0, 100000, "7", SAME),
    NUMBER(struct sme_filter, "MaxScannerSize", max_scanner_size, 1, 4e9, "25000000", SAME),
    NUMBER(struct sme_filter, "MaximumDateOffset", maximum_date_offset, 0, 36500, "0", SAME),
    FLAG(struct sme_filter, "PatternsScan", patterns_scan, "disabled", SAME),
    NUMBER(struct sme_filter, "SPFRejectPolicy", spf_reject_policy, 0, 4, "0", SAME),
    FLAG(struct sme_filter, "DMARCReject", dmarc_reject, "disabled", SAME),
    FLAG(struct sme_filter, "DMARCReporting", dmarc_reporting, "enabled", SAME),
    FLAG(struct sme_filter, "VirusScan", virus_scan, "enabled", SAME),
    FLAG(struct sme_filter, "disclaimer", disclaimer, "disabled", SAME),
    FLAG(struct sme_filter, "qplogsumm", qplogsumm, "disabled", SAME),
    FLAG(struct sme_filter, "tnef2mime", tnef2mime, "enabled", SAME),
    ROW_END,
};

const struct import_row import_service_rows[] = {
    FLAG(struct sme_service, "status", status, "enabled", "enabled", "enabled"),
    NUMBER(struct sme_service, "TCPPort", port, 1, 65535, "25", "465", "587"),
    WORDS(struct sme_service, "access", access, "public private localhost", "public", "public", "public"),
    NUMBER(struct sme_service, "Instances", instances, 1, 100000, "40", "10", "10"),
    NUMBER(struct sme_service, "InstancesPerIP", instances_per_ip, 1, 100000, "5", "5", "5"),
    FLAG(struct sme_service, "Authentication", authentication, "enabled", "enabled", "enabled"),
    FLAG(struct sme_service, "TlsBeforeAuth", tls_before_auth, "1", "1", "1"),
    NUMBER(struct sme_service, "SoftLimit", soft_limit, 16000000, 1e12, "150000000", "150000000", "150000000"),
    TEXT(struct sme_service, "tlsCipher", ciphers, "", "", ""),
    FLAG(struct sme_service, "SSLv2", protocols[SME_SSLV2], "disabled", "disabled", "disabled"),
    FLAG(struct sme_service, "SSLv3", protocols[SME_SSLV3], "disabled", "disabled", "disabled"),
    FLAG(struct sme_service, "TLSv1", protocols[SME_TLSV1], "disabled", "disabled", "disabled"),
    FLAG(struct sme_service, "TLSv1.1", protocols[SME_TLSV1_1], "enabled", "disabled", "disabled"),
    FLAG(struct sme_service, "TLSv1.2", protocols[SME_TLSV1_2], "enabled", "enabled", "enabled"),
    FLAG(struct sme_service, "TLSv1.3", protocols[SME_TLSV1_3], "enabled", "enabled", "enabled"),
    FLAG(struct sme_service, "RelayRequiresAuth", relay_requires_auth, "enabled", SAME),
    TEXT(struct sme_service, "Greeting", greeting, "", SAME),
    NUMBER(struct sme_service, "timeout", timeout, 1, 86400, "120", SAME),
    NUMBER(struct sme_service, "timeoutsmtpd", timeout_smtpd, 1, 86400, "120", SAME),
    WORDS(struct sme_service, "Proxy", proxy, "blocked enabled disabled", "blocked", SAME),
    NUMBER(struct sme_service, "TCPProxyPort", proxy_port, 1, 65535, "25", SAME),
    ROW_END,
};

#define SPAM(field) spamassassin.field
const struct import_row import_spam_rows[] = {
    FLAG(struct sme, "status", SPAM(status), "disabled", SAME),
    WORDS(struct sme, "Sensitivity", SPAM(sensitivity), "veryhigh high medium low verylow custom", "medium", SAME),
    NUMBER(struct sme, "RejectLevel", SPAM(reject_level), 0, 1000, "12", SAME),
    NUMBER(struct sme, "TagLevel", SPAM(tag_level), 0, 1000, "4", SAME),
    FLAG(struct sme, "SubjectTag", SPAM(subject_tag), "disabled", SAME),
    TEXT(struct sme, "Subject", SPAM(subject), "*** SPAM ***", SAME),
    NUMBER(struct sme, "MaxMessageSize", SPAM(max_message_size), 1, 1e9, "2000000", SAME),
    ROW_END,
};

bool import_flag(struct str text, bool *value)
{
    static const char *const yes[] = {"enabled", "enable", "yes", "on", "true", "1"},
                             *const no[] = {"disabled", "disable", "no", "off", "false", "0", "none"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (str_is_nocase(text, str_of(yes[i])))
            return *value = true;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (str_is_nocase(text, str_of(no[i])))
            return !(*value = false);
    return false;
}

static bool is_word(const char *words, struct str text, struct str *word)
{
    struct str rest = str_of(words);

    while (str_token(&rest, word))
        if (str_is_nocase(*word, text))
            return true;
    return false;
}

static void set_list(struct import *im, struct sme_texts *list, struct str text, struct sme_source from)
{
    struct str item;

    *list = (struct sme_texts){.from = from};
    while (str_split(&text, ',', &item)) {
        item = str_trim(item);
        if (item.n == 0)
            continue;
        list->items = arena_grow(im->a, list->items, list->count, sizeof *list->items);
        list->items[list->count++] = item;
    }
}

bool import_set(struct import *im, const struct import_row *row, void *values, struct str text, struct sme_source from)
{
    char *field = (char *)values + row->offset;
    struct str shown = str_slice(text, 0, 80), word;
    bool flag;
    long number;

    text = str_trim(text);
    switch (row->kind) {
    case KIND_FLAG:
        if (import_flag(text, &flag)) {
            *(struct sme_flag *)field = (struct sme_flag){flag, from};
            return true;
        }
        import_left_out(&im->notes, from, "\"" STR_FMT "\" is neither enabled nor disabled; the default is used",
                        STR_ARG(shown));
        return false;
    case KIND_NUMBER:
        if (str_to_long(text, &number) && (double)number >= row->min && (double)number <= row->max) {
            *(struct sme_number *)field = (struct sme_number){number, from};
            return true;
        }
        import_left_out(&im->notes, from, "\"" STR_FMT "\" is no number from %.0f to %.0f; the default is used",
                        STR_ARG(shown), row->min, row->max);
        return false;
    case KIND_LIST:
        set_list(im, (struct sme_texts *)field, text, from);
        return true;
    default:
        if (row->words && !is_word(row->words, text, &word)) {
            import_left_out(&im->notes, from, "\"" STR_FMT "\" is none of: %s; the default is used", STR_ARG(shown),
                            row->words);
            return false;
        }
        if (str_find(text, '\n') < text.n) {
            import_left_out(&im->notes, from, "\"" STR_FMT "\" has a line end in it; the default is used",
                            STR_ARG(shown));
            return false;
        }
        *(struct sme_text *)field = (struct sme_text){row->words ? word : text, from};
        return true;
    }
}

void import_preset(struct import *im, const struct import_row *row, void *values, const char *text,
                   struct sme_source from)
{
    if (!import_set(im, row, values, str_of(text), from))
        log_panic("import: the default of %s", row->name);
}
