/* arc_key.h - key records of RFC 6376 (3.6.1), and one signature checked with one of them. */
#ifndef AUTH_ARC_KEY_H
#define AUTH_ARC_KEY_H

#include <stdint.h>

#include "../base/arena.h"
#include "../base/str.h"
#include "../dns/dns.h"
#include "results.h"

#define ARC_DIGEST 32 /* SHA-256's */

/* arc_key_ask - for d= and s=; NULL when they are no names. */
struct dns_question *arc_key_ask(struct arena *a, struct dns_budget *budget, struct str domain, struct str selector);

/* arc_key_check - pass, fail or temperror. algorithm: "rsa-sha256" or "ed25519-sha256"; others fail. */
enum auth_result arc_key_check(struct arena *a, struct dns_question *key, int64_t deadline, struct str algorithm,
                               const unsigned char digest[ARC_DIGEST], struct str signature);

#include "../base/banned.h"
#endif
