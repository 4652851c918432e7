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
    FACT_SPF_RESULT,  /* of MAIL FROM: RFC 8601's word */
    FACT_DKIM_ALIGNED, /* "pass" when a passing signature's domain is the sender's */
    FACT_HELO_MATCH,  /* "forward", "reverse", "both", "none": how HELO, name and address agree */
    FACT_COUNTRY,     /* ISO 3166 code of the client's address */
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

const char *fact_name(enum fact fact); /* "helo.test": as `test`, `why` and the journal say it */

#endif
