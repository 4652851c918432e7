/* pattern.h - lists of addresses or host names, as badmailfrom, badrcptto, goodrcptto and badhelo use them.
 *
 *     user@dom     that address              dom (hosts only)   that name
 *     @dom         everybody in that domain  .dom               any name below that domain, not the domain itself
 *     user         (with allow_bare) that local part, whatever the domain
 *     /regex/      PCRE2, case-blind, searched in the whole address or name
 *
 * each optionally followed by blanks and the text that the client is told. Without slashes nothing is a regular
 * expression: user+tag@x means itself. Comparison is case-blind (ASCII), and domains in UTF-8 are compared as the DNS
 * has them: @bücher.test is @xn--bcher-kva.test, whichever of them stands in the list and whichever the client says.
 * Literal entries are found by hashing, so a list may have a hundred thousand of them. Regular expressions see the
 * address as it was said, then with its domain as the DNS has it; they have match and depth limits, and one that meets
 * its limit does not match.
 */
#ifndef MAIL_PATTERN_H
#define MAIL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/arena.h"
#include "../base/str.h"

struct pattern {
    struct str written; /* the entry without the text */
    struct str text;    /* what the client is told; empty: the policy's own words */
};

struct pattern_list {
    size_t count;                /* entries */
    struct pattern *items;       /* in the order written */
    struct pattern_index *index; /* private to pattern.c */
};

struct pattern_pairs { /* "from to" entries: both are patterns */
    size_t count;
    struct pattern_pair *items;
};

struct pattern_pair {
    struct pattern_list from, to; /* of one entry each */
    struct str written;
};

enum pattern_of { PATTERN_ADDRESSES, PATTERN_HOSTS };

/* pattern_add - take one entry into the list. False with *error when it is not one; the list is then unchanged.
 * allow_bare admits `user` in an address list (goodrcptto, bcc's ignore lists). Regexes are freed with the arena. */
bool pattern_add(struct arena *a, struct pattern_list *list, enum pattern_of of, bool allow_bare, struct str entry,
                 struct str *error);

/* pattern_find - the entry that matches, literal ones first (address, then @domain, then .domain from the longest, then
 * bare local part), then regexes in order; NULL when none does. `address` is local@domain without brackets, or a host
 * name; of an address without @ only regexes and bare entries can match. Safe to call from several threads. */
const struct pattern *pattern_find(const struct pattern_list *list, struct str address);

bool pattern_pair_add(struct arena *a, struct pattern_pairs *pairs, struct str entry, struct str *error);
const struct pattern_pair *pattern_pair_find(const struct pattern_pairs *pairs, struct str from, struct str to);

#include "../base/banned.h"
#endif
