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
    [FACT_SPF_DOMAIN] = "spf.domain",
    [FACT_SPF_HELO_RESULT] = "spf.helo",
    [FACT_SPF_RESULT] = "spf.result",
    [FACT_DKIM_ALIGNED] = "dkim.aligned",
    [FACT_HELO_MATCH] = "helo.match",
    [FACT_COUNTRY] = "country",
    [FACT_KARMA_HISTORY] = "karma.history",
    [FACT_EARLY] = "early",
    [FACT_KARMA_BOX] = "karma.box",
    [FACT_DMARC_RESULT] = "dmarc.result",
    [FACT_DMARC_RECORD] = "dmarc.record",
    [FACT_DMARC_POLICY] = "dmarc.policy",
    [FACT_DMARC_DISPOSITION] = "dmarc.disposition",
    [FACT_ARC_RESULT] = "arc.result",
    [FACT_DKIM_RESULT] = "dkim.result",
    [FACT_DKIM_DOMAIN] = "dkim.domain",
    [FACT_VIRUS] = "virus",
    [FACT_SPAM_SCORE] = "spam.score",
    [FACT_SPAM_TESTS] = "spam.tests",
    [FACT_SCANNER] = "scanner",
    [FACT_PATTERN] = "pattern",
    [FACT_FILE_NAME] = "file.name",
    [FACT_LINKS] = "links",
    [FACT_LINKS_LEFT] = "links.left",
    [FACT_DISCLAIMER] = "disclaimer",
    [FACT_TNEF] = "tnef",
    [FACT_LIST_SAID] = "list.said",
    [FACT_HELO_BEFORE] = "helo.before",
    [FACT_FIELDS] = "fields",
    [FACT_AUTHOR] = "author",
    [FACT_DMARC_SEEN] = "dmarc.seen",
    [FACT_INNER] = "inner",
};

const char *fact_name(enum fact fact)
{
    return names[fact];
}

struct str facts_newest(const struct facts *f, enum fact fact)
{
    for (size_t i = f->count; i-- > 0;)
        if (f->items[i].fact == fact)
            return f->items[i].value;
    return STR_NONE;
}
