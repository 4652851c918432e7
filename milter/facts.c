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
};

const char *fact_name(enum fact fact)
{
    return names[fact];
}
