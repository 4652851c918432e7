/* script_parse.h - a zone file as rules, for scripted.c. */
#ifndef DNS_SCRIPT_PARSE_H
#define DNS_SCRIPT_PARSE_H

#include "dns.h"

#define SCRIPT_ANY 0      /* the rule is for every type that no other rule of the name is for */
#define SCRIPT_ALIAS 5    /* CNAME: record.text is the target */
#define SCRIPT_MENTION 255 /* the name exists, nothing else is said (SOA, SRV, ...) */

struct rule {
    struct str name;          /* lower-case, without the last dot; "*.zone" for what is below zone */
    unsigned type;            /* enum dns_type or one of the above */
    size_t order;             /* in the file */
    bool verdict;             /* status and why, instead of a record */
    bool never;               /* no answer comes at all */
    enum dns_status status;
    const char *why;
    struct dns_record record;
    uint32_t ttl;
    int64_t delay;
};

struct rules {
    struct rule *items; /* by name, then as in the file */
    size_t count;
};

/* script_parse - the rules, in `a`; false and *error ("FILE:LINE: what") when something cannot be understood. */
bool script_parse(struct arena *a, struct str file, struct str text, struct rules *rules, struct str *error);

#endif
