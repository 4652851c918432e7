/* pregreet.h - has the client sent bytes before it was its turn?
 *
 * A milter sees no bytes before the banner, but Postfix asks it before sending the banner, and the kernel knows what
 * has come. It is asked about the client's connection by sock_diag (netlink), which takes a few microseconds and no
 * privileges. It tells only of connections that end in this network namespace: not behind a proxy, nor with Postfix in
 * a container of its own. There everybody is PREGREET_BLIND, which is said once in the log.
 */
#ifndef PREGREET_H
#define PREGREET_H

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

enum pregreet_seen {
    PREGREET_SILENT,
    PREGREET_TALKED,
    PREGREET_GONE, /* the client has closed its side, or all of it, without a word: no use in waiting */
    PREGREET_BLIND /* its connection cannot be seen */
};

/* At which turn of the server: before its banner nothing at all may have come; after DATA nothing may wait unread. */
enum pregreet_turn { PREGREET_BANNER, PREGREET_DATA };

struct pregreet {
    enum pregreet_seen seen;
    uint64_t bytes; /* with PREGREET_TALKED: how many came early, as far as seen; under TLS in its records */
    uint64_t sent;  /* what the server had sent by then; 0 when the kernel does not tell */
};

/* pregreet_wait - look, and look again until something is seen or wait_ms are over. It waits in this thread, and says
 * so to base/waiting.h. */
struct pregreet pregreet_wait(const struct peer *peer, enum pregreet_turn turn, int64_t wait_ms);

/* pregreet_was_data - whether the server has since then answered 354, in the clear or with the TLS named, and nothing
 * else. Postfix asks a milter the same at DATA and at the first BDAT (RFC 3030), but bytes behind BDAT are where they
 * belong, and no 354 comes. Known for Postfix's own words; false when in doubt. Ask when the content has come. */
bool pregreet_was_data(const struct peer *peer, const struct pregreet *then, struct str tls_version);

/* pregreet_forget - a new configuration: should we be blind, that is worth a line in the log again. */
void pregreet_forget(void);

/* Tests: what the client does. after_ms: from the beginning of the wait on; the scripted clock is set forward by it, or
 * by the whole wait. fn returns false for a client that keeps silent; then no time passes. NULL ends it. */
struct pregreet_act {
    enum pregreet_seen seen;
    int64_t after_ms;
    uint64_t bytes;
    bool is_data; /* what pregreet_was_data() will say */
};
void pregreet_script(bool (*fn)(void *ctx, enum pregreet_turn turn, struct pregreet_act *act), void *ctx);

#endif
