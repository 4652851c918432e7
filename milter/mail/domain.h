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

/* domain_to_ascii - the name as it stands in the DNS: U-labels (RFC 5890; as HELO, envelope and From carry them under
 * RFC 6531) as A-labels, all lower-case, one trailing dot dropped. A name in ASCII is only lower-cased, A-labels are
 * taken as they are. False (and *out empty) when it has no such form: no UTF-8, characters that no domain may have, over
 * 63 bytes a label or 253 in all. Compare domains by this form. */
#define DOMAIN_WRITTEN_MOST 1024 /* bytes; a longer one has no form of 253 */
bool domain_to_ascii(struct arena *a, struct str name, struct str *out);

#include "../base/banned.h"
#endif
