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
