/* spf_macro.h - macro strings of RFC 7208, section 7: whether they are some, and what they become. */
#ifndef AUTH_SPF_MACRO_H
#define AUTH_SPF_MACRO_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"

#define SPF_MACROS_MOST 20    /* of one text */
#define SPF_SOURCE_MOST 255   /* bytes of a domain-spec, or of an explanation before its macros are expanded */
#define SPF_EXPANDED_MOST 1024 /* bytes of an explanation afterwards: more is none */

struct spf_macros {
    struct ip client;
    struct str local, sender_domain; /* %{s} is both */
    struct str helo, receiver;
    struct str domain; /* %{d} */
    struct str peer;   /* %{p} */
    int64_t seconds;   /* %{t} */
};

bool spf_spec_valid(struct str spec);        /* domain-spec, within the caps */
bool spf_macro_string_valid(struct str s);   /* of an unknown modifier */
bool spf_explanation_valid(struct str text); /* explain-string, within the caps */
bool spf_uses_peer(struct str s);            /* a valid one with %{p} */

/* spf_expand - what a valid text becomes; with macros for bytes that nobody can foresee. */
struct str spf_expand(struct arena *a, struct str s, const struct spf_macros *m);

/* spf_expand_domain - the same as a name to ask for: at most 253 bytes, labels cut off at the left, no last dot. */
struct str spf_expand_domain(struct arena *a, struct str spec, const struct spf_macros *m);

#include "../base/banned.h"
#endif
