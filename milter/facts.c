/* facts.c - the facts' names. */
#include "facts.h"

static const char *const names[FACTS] = {
    [FACT_NONE] = "none",
    [FACT_MATCHED] = "matched",
    [FACT_LOAD] = "load",
    [FACT_HELO_TEST] = "helo.test",
    [FACT_TLS_VERSION] = "tls.version",
    [FACT_COUNT] = "count",
    [FACT_FIELD] = "field",
    [FACT_DATE] = "date",
    [FACT_RELAY] = "relay.by",
    [FACT_COPY_TO] = "bcc.to",
    [FACT_LIST] = "list",
    [FACT_LIST_UNSURE] = "list.unsure",
    [FACT_IPREV] = "iprev",
    [FACT_PEER_NAME] = "peer.name",
    [FACT_MX] = "mx",
    [FACT_WHITELIST] = "whitelist.by",
    [FACT_SPF_RESULT] = "spf.result",
    [FACT_DKIM_ALIGNED] = "dkim.aligned",
    [FACT_HELO_MATCH] = "helo.match",
    [FACT_COUNTRY] = "country",
};

const char *fact_name(enum fact fact)
{
    return names[fact];
}
