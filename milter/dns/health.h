/* health.h - which lists can be believed right now.
 *
 *            unknown ──test points right──▶ trusted ──test points wrong──▶ suspended (tested again every 30 minutes)
 *                                             │  ▲
 *              lists more than half of 30     │  │ an hour later, when it does
 *              clients, and that is unusual   ▼  │ so no more
 *                                           tripped (asked and counted, not judged by)
 *
 * A list that lists 8 of the last 10 clients is tested again at once, before it decides about the next one: one that
 * began to list everybody does not get as far as 30.
 *
 * The daemon tests every list at start and every 30 minutes; a list that is not trusted never decides anything. Where
 * nobody watches (tests, `sme-milterctl test`) every list is trusted. State is kept by name over reloads, and written
 * to zones.json in the state directory for `sme-milterctl dnsbl audit`.
 */
#ifndef DNS_HEALTH_H
#define DNS_HEALTH_H

#include "zone.h"

enum zone_health { ZONE_UNKNOWN, ZONE_TRUSTED, ZONE_SUSPENDED, ZONE_TRIPPED };

extern const char *const zone_health_names[]; /* "unknown" "trusted" "suspended" "tripped" */

/* health_trusts - whether findings may be made from this list's answers. One that was never tested is tested now: the
 * first mail after a start may come before the watching thread has its answers, which are waited for until `deadline`.
 */
bool health_trusts(const struct zone *zone, int64_t deadline);

/* health_hear - what the list may say here: a listing counts only when it is trusted; one that is suspended or tripped
 * has no opinion at all (ZONE_SILENT), be it asked in vain or not. *why is replaced where it is not believed. */
enum zone_said health_hear(const struct zone *zone, enum zone_said said, int64_t deadline, struct str *why);

/* health_seen - count what a list said of a client (its address) or of a name: for hits, latency, and the breaker. */
void health_seen(const struct zone *zone, struct str whom, enum zone_said said, int64_t took_ms);

/* health_test - ask the list's test points now (waits up to timeout_ms) and take the result over. */
enum zone_health health_test(const struct zone *zone, int64_t timeout_ms);

struct zone_status {
    struct str name; /* shown form */
    struct str test; /* of test=; empty: the usual points */
    enum zone_health health;
    struct str why;
    int64_t since_ms;      /* clock_wall_ms() */
    uint64_t asked, listed, unsure;
    double mean_ms, mean_listed; /* latency; share of listed clients */
    uint64_t samples;            /* behind that share */
};

size_t health_list(struct arena *a, struct zone_status **list);

/* ---- the watching thread; the daemon's only ---- */

/* health_watch - from now on lists must earn their trust. `zones` fills a list with the zones in force. */
void health_watch_start(size_t (*zones)(struct arena *a, const struct zone ***list), struct str state_dir);
void health_watch_again(void); /* after a reload: test what is new */
void health_watch_stop(void);

#endif
