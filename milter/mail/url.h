/* url.h - the hosts that a text leads to, as a browser finds them, and what to ask lists about. */
#ifndef MAIL_URL_H
#define MAIL_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"

#define LINKS_MOST 10000 /* hosts that are kept */

struct link {
    struct str host;   /* lower-case A-labels, or an address as ip_text() writes it */
    struct str asked;  /* its registered domain; of an address the same as host */
    struct ip ip;      /* known: it is an address */
    bool bare;         /* it only looks like a link: neither scheme nor www. stands before it */
};

struct links {
    struct arena *arena;
    struct arena *scratch; /* for what is not kept; goes with the other */
    struct link *items; /* every host once, in the order found */
    size_t count;
    bool more;          /* there were more than LINKS_MOST */
    size_t *slots;      /* index + 1, by hash of the host */
    size_t room;
};

struct links links_in(struct arena *a);

/* links_from_text - what a mail reader makes links of: with a scheme, with www., and names under a known top-level
 * domain, unless they look like file names; mailto: domains. */
void links_from_text(struct links *l, struct str text);

/* links_from_html - attributes, style sheets, scripts, comments, and the text itself. Never fails, linear in time. */
void links_from_html(struct links *l, struct str html);

/* links_from_value - one attribute's value: `is_url` when the attribute holds a URL, else only what has a scheme or
 * begins with two slashes counts. */
void links_from_value(struct links *l, struct str value, bool is_url);

/* url_host - the host of an authority "user@host:port" and what may follow it; false when it leads nowhere in public:
 * no name with a dot, no address. *host lives in the arena. Every spelling of an address is understood. */
bool url_host(struct arena *a, struct str authority, struct str *host, struct ip *ip);

/* url_is_public_name - its last label is a top-level domain that is known. */
bool url_is_public_name(struct str host);

#include "../base/banned.h"
#endif
