/* facts.h - named results that policies leave for each other, for the journal and for `test`.
 *
 * A fact is written by one policy and read by others through these constants; a misspelt name does not compile.
 */
#ifndef FACTS_H
#define FACTS_H

#include <stddef.h>

#include "base/str.h"

enum fact {
    FACT_NONE,
    FACT_MATCHED,     /* the list entry that matched */
    FACT_LOAD,        /* the load average that was compared */
    FACT_HELO_TEST,   /* the helo test that failed */
    FACT_TLS_VERSION, /* of the connection; "none" */
    FACT_COUNT,       /* what was counted: recipients, unknown commands, Received fields */
    FACT_FIELD,       /* the header field concerned */
    FACT_DATE,        /* the date that was judged, RFC 3339 */
    FACT_RELAY,       /* which network entry made the client local, or which exception did not */
    FACT_COPY_TO,     /* where bcc sends a copy */
    FACT_LIST,        /* the DNS list that has the client or the name, "zone=code" */
    FACT_LIST_UNSURE, /* lists that gave no usable answer, and why */
    FACT_IPREV,       /* RFC 8601 iprev: pass, fail, temperror, permerror */
    FACT_PEER_NAME,   /* a name of the client that leads back to it */
    FACT_MX,          /* what the sender's domain was found to have */
    FACT_WHITELIST,   /* which entry granted immunity */
    FACT_SPF_DOMAIN,  /* that was checked */
    FACT_SPF_HELO_RESULT, /* of the HELO name: RFC 8601's word */
    FACT_SPF_RESULT,  /* of MAIL FROM: RFC 8601's word */
    FACT_DKIM_ALIGNED, /* "pass" when a passing signature's domain is the sender's */
    FACT_HELO_MATCH,  /* "forward", "reverse", "both", "none", "unknown": how HELO, name and address agree */
    FACT_COUNTRY,     /* ISO 3166 code of the client's address */
    FACT_KARMA_HISTORY, /* nice minus naughty connections of the client; empty when its memory cannot be read */
    FACT_EARLY,       /* when a client spoke too early, and how many bytes: "connect:12", "data:900" */
    FACT_KARMA_BOX,   /* until when the client stands in the penalty box, RFC 3339 */
    FACT_DMARC_RESULT, /* RFC 8601's word */
    FACT_DMARC_RECORD, /* the domain whose DMARC record applies; "none"; "unknown": a temporary error */
    FACT_DMARC_POLICY, /* what it publishes for the author domain: none, quarantine, reject */
    FACT_DMARC_DISPOSITION, /* what was made of it */
    FACT_ARC_RESULT,   /* of the chain: pass, fail */
    FACT_DKIM_RESULT, /* of every signature: "pass d=a.test s=x; fail d=..." */
    FACT_DKIM_DOMAIN, /* whose signature passed: the sender's, else the first */
    FACT_VIRUS,        /* the name of what the scanner found */
    FACT_SPAM_SCORE,   /* "7.3/5.0": the score, and what it takes to be spam */
    FACT_SPAM_TESTS,   /* SpamAssassin's tests that hit: "A,B" */
    FACT_SCANNER,      /* why the message was not scanned, or that its content was known */
    FACT_PATTERN,      /* the signature, or the file name's pattern, that an attachment met */
    FACT_FILE_NAME,    /* of that attachment, as it was sent */
    FACT_LINKS,        /* how many hosts the message leads to */
    FACT_LINKS_LEFT,   /* what uribl left out: hosts beyond max_lookups, text beyond its caps */
    FACT_DISCLAIMER,   /* "added", or why it was not */
    FACT_TNEF,         /* what became of a winmail.dat */
    FACT_LIST_SAID,    /* what every list that was asked said: "zone=127.0.0.2+127.0.0.4,zone=clean,zone=unsure" */
    FACT_HELO_BEFORE,  /* the name of the greeting before, of a client that greets again with another */
    FACT_FIELDS,       /* which of the usual header fields there are: "Date From* To"; *: several, +: several domains */
    FACT_AUTHOR,       /* the one address in From */
    FACT_DMARC_SEEN,   /* of a message that fails DMARC, what else counted: "conduct=-2 list testing sealed signed" */
    FACT_INNER,        /* what the inner server said of the recipient, or why it could not be asked */
    FACTS
};

struct fact_value {
    enum fact fact;
    struct str value;
};

struct facts {
    struct fact_value *items; /* in the order they were found */
    size_t count;
};

struct str facts_newest(const struct facts *f, enum fact fact); /* empty when nobody found it */

const char *fact_name(enum fact fact); /* "helo.test": as `test`, `why` and the journal say it */

#endif
