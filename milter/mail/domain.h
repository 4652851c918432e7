/* domain.h - host names and address literals, as HELO gives them. */
#ifndef MAIL_DOMAIN_H
#define MAIL_DOMAIN_H

#include <stdbool.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"

/* domain_is_hostname - letters, digits, hyphens and underscores in labels of 1-63 bytes, 253 in all; one trailing dot
 * is allowed. 8-bit bytes are allowed with `utf8` (RFC 6531). */
bool domain_is_hostname(struct str name, bool utf8);
bool domain_is_fqdn(struct str name); /* a host name with at least one dot inside, whose last label is not all digits */

/* domain_literal - "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321, 4.1.3). */
bool domain_literal(struct str name, struct ip *ip);

/* domain_ends_in - name is that domain or lies below it; case-blind, trailing dots ignored. */
bool domain_is_or_below(struct str name, struct str domain);

#include "../base/banned.h"
#endif
