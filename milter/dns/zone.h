/* zone.h - DNS block and allow lists: how one is written, what is asked, and which answers are a listing.
 *
 *     zone                        zone=127.0.0.[2;4..11]        (Postfix's notation: only these answers are listings)
 *     zone:8-16-64-128            (lists that answer with bits: any of these)
 *     zone:text with %IP%         (what the client is told; also after codes)
 *     zone test=none              (also after codes: the list has no test points and is believed without)
 *     zone test=LISTED/CLEAN      (it has these instead of RFC 5782's; /CLEAN may be left out. Addresses for a list of
 *                                  clients, in the usual order; domains for a list of names)
 *
 * Rules (RFC 5782, and the outages of twenty years): only A records decide; an answer outside 127.0.0.0/8, 127.0.0.1,
 * 127.0.0.255 and all of 127.255.255.0/24 are a list's way to say that it did not answer; a failed question says
 * nothing.
 */
#ifndef DNS_ZONE_H
#define DNS_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"
#include "dns.h"

enum zone_kind { ZONE_OF_CLIENTS, ZONE_OF_NAMES };

enum zone_said {
    ZONE_CLEAN,  /* not listed */
    ZONE_LISTED,
    ZONE_UNSURE, /* refused, over quota, broken, a code that is not known, no answer */
    ZONE_SILENT, /* it is not asked for its opinion: see health.h */
};

struct zone_known; /* what we know of a public list, see zone.c */

#define ZONE_WAIT_MS 3000 /* no list is waited for longer, whatever the policy allows */

struct zone {
    enum zone_kind kind;
    struct str written;
    struct str name;                /* lower-case, without the last dot */
    struct str shown;               /* the same with an access key hidden: for logs and replies */
    struct str text;                /* for the client; empty: our own words */
    uint32_t masks;                 /* 0: by codes */
    uint8_t codes[4][32];           /* per octet a set of 256 bits */
    bool own_codes;                 /* they were written, not taken from what is known or usual */
    bool by_trust;                  /* 127.0.x.y with x > 0 tells how far a client is trusted: see zone_by_trust */
    bool untested;                  /* test=none */
    struct str listed, unlisted;    /* test=, as it is asked before the zone; empty: the usual ones */
    struct str test;                /* what was written behind test=; empty: nothing */
    const struct zone_known *known; /* NULL: a list that we know nothing of */
};

struct zone_list {
    struct zone *items;
    size_t count;
};

/* zone_parse - one entry. False with *error when it is none. A list that is known to be dead is false with *dead set
 * and *error saying since when. */
bool zone_parse(struct arena *a, enum zone_kind kind, struct str text, struct zone *zone, struct str *error,
                bool *dead);

/* zone_by_trust - the entry is an allow list. Of one that we know nothing of, and for which no codes were written,
 * answers as dnswl.org makes them count: 127.0.x.y, x the kind of sender, y its trust: 1 to 3 is a listing, 0 is none,
 * all others say nothing. */
void zone_by_trust(struct zone *zone);

/* zone_takes - whether this client is to be asked about at all: never private, reserved or local addresses, IPv6 only
 * where the list is not known to lack it. */
bool zone_takes(const struct zone *zone, struct ip ip);

struct str zone_client_name(struct arena *a, const struct zone *zone, struct ip ip);    /* 7.2.0.192.zone */
struct str zone_name_name(struct arena *a, const struct zone *zone, struct str domain); /* domain.zone */

/* zone_judge - what the answer says; *why is a code ("127.0.0.2") or the reason of unsure. */
enum zone_said zone_judge(struct arena *a, const struct zone *zone, const struct dns_answer *answer, struct str *why);

/* zone_judge_test - the same for a test point, where any code of a list counts, also one that is not to be a listing
 * here: the administrator's codes say what is done, not what is right. */
enum zone_said zone_judge_test(struct arena *a, const struct dns_answer *answer, struct str *why);

/* zone_text - what the administrator wants the client to be told, with its address for %IP%; empty: nothing. */
struct str zone_text(struct arena *a, const struct zone *zone, struct ip ip);

/* zone_shown - a name below the list, or its own, with an access key hidden. */
struct str zone_shown(struct arena *a, const struct zone *zone, struct str name);

/* zone_test_points - names that must, and must not, be listed (RFC 5782, 5, or the list's own); empty: it is not to be
 * tested. */
void zone_test_points(struct arena *a, const struct zone *zone, struct str *listed, struct str *unlisted);

/* zone_answer_refuses - whether an answer of A records has one by which a list says that it did not answer. */
bool zone_answer_refuses(const struct dns_answer *answer);

bool ip_is_public(struct ip ip); /* neither private nor reserved; documentation networks count as public */

#endif
