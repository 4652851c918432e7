/* spf_record.h - the grammar of RFC 7208: what a record says, or that it says nothing that can be trusted. */
#ifndef AUTH_SPF_RECORD_H
#define AUTH_SPF_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"

#define SPF_RECORD_MOST 8192 /* bytes of a record */

enum spf_kind { SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS, SPF_REDIRECT };

struct spf_term {
    enum spf_kind kind;
    char qualifier;   /* + - ~ ? */
    struct str spec;  /* domain-spec; empty: the current domain */
    unsigned bits4, bits6; /* of the prefix: 32 and 128 when not said */
    uint8_t net[16];  /* ip4: the first four */
    struct str text;  /* as written */
};

struct spf_record {
    struct spf_term *terms; /* directives in order; redirect, if it counts, is the last one */
    size_t count;
    struct str exp;         /* domain-spec of exp=; empty: none */
};

/* spf_record_is - whether a TXT record claims to be SPF version 1. */
bool spf_record_is(struct str txt);

/* spf_record_parse - one that does; views into txt. False and *error: it is to be answered with permerror. */
bool spf_record_parse(struct arena *a, struct str txt, struct spf_record *record, struct str *error);

/* spf_term_has - whether it is an ip4 or ip6 term whose network has the client. */
bool spf_term_has(const struct spf_term *term, struct ip client);

#include "../base/banned.h"
#endif
