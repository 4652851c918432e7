/* table.c - all policies, in the order of the documentation. A new one is a line here and a line in Makefile.am. */
#include "policy.h"

#define POLICIES(X)                                                                                                   \
    X(loadcheck) X(whitelist) X(relay) X(karma) X(earlytalker) X(fcrdns) X(country) X(dnsbl) X(helo)                   \
    X(unrecognized_commands) X(tls) X(resolvable_fromhost) X(rhsbl) X(badmailfrom) X(badmailfromto) X(spf)             \
    X(bogus_bounce) X(badrcptto) X(badrcptto_ext) X(goodrcptto) X(smtp_forward) X(bcc) X(headers) X(dkim) X(dmarc)     \
    X(uribl) X(patterns) X(tnef2mime) X(virus) X(spamassassin) X(forcespamcheck) X(disclaimer)

#define DECLARE(name) extern const struct policy policy_##name;
#define LIST(name) &policy_##name,

POLICIES(DECLARE)

const struct policy *const policy_table[] = {POLICIES(LIST)};
const size_t policy_table_count = sizeof policy_table / sizeof policy_table[0];
_Static_assert(sizeof policy_table / sizeof policy_table[0] <= 64, "a bit each in session.ran");
