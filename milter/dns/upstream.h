/* upstream.h - one name server as resolver.c's thread sees it: two channels of c-ares, and whether it is worth asking.
 *
 *                       an answer, of whatever kind
 *          ┌─────────────────────┬───────────────────────────────────┐
 *          ▼                     │                                   │
 *       healthy ── silent ──▶ doubted ── 3 questions timed out ──▶ dead
 *                 for a bit     │  and a probe did too               │
 *                               └─ probed each second                └─ probed each 30 s; each second when all are dead
 *
 *  1. Of c-ares only the sockets are used: a channel has one server and one try; whom to ask again, and when, is
 *     resolver.c's. UDP and TCP are two channels because c-ares gives up everything that is on its way to a server
 *     when either of its sockets fails.
 *  2. Callbacks of c-ares call nothing of c-ares; they note what happened, and the loop acts.
 *  3. A probe asks for the root's name servers, which every resolver knows at once: broken zones that strangers make us
 *     ask about do not make the server look dead.
 */
#ifndef DNS_UPSTREAM_H
#define DNS_UPSTREAM_H

#include <ares.h>

#include "packet.h"
#include "servers.h"

struct channel {
    ares_channel ares;
    int epoll;
    uint32_t tag;  /* tells the channel in epoll's data, above the descriptor */
    unsigned open; /* questions that c-ares holds */
};

struct upstream {
    struct server server;
    struct channel udp, tcp;
    int64_t doubt_ms;      /* silence after which it is doubted */
    unsigned fresh;        /* packets on their way that were not given up for lost */
    int64_t paced_at;      /* beyond the window: so many in this millisecond */
    unsigned paced;
    bool plain;            /* it does not know EDNS */
    bool dead;
    int64_t silent_since;  /* the oldest question since its last answer; 0: none */
    int64_t probed;        /* the last probe */
    int64_t probing_since; /* the oldest since its last answer; 0: none */
    unsigned missed;       /* questions that timed out since its last answer */
    uint64_t missed_last;  /* the newest of them */
};

struct upstreams {
    struct upstream *items;
    size_t count;
    int64_t timeout_ms;
};

/* upstreams_new - NULL when c-ares does not start. May be called in any thread; all else is the resolver's. */
struct upstreams *upstreams_new(const struct server *servers, size_t count, int64_t timeout_ms, int epoll);
void upstreams_free(struct upstreams *set); /* what is on its way ends with ARES_EDESTRUCTION */
void upstreams_event(struct upstreams *set, uint64_t data, uint32_t events);
void upstreams_tick(struct upstreams *set); /* timeouts of c-ares */
bool upstreams_busy(const struct upstreams *set);

void upstream_send(struct upstream *u, bool tcp, const uint8_t *packet, size_t n, int64_t now, ares_callback done,
                   void *arg);
void upstream_probe(struct upstream *u, uint16_t id, int64_t now); /* at most one a second */
bool upstream_is_doubted(const struct upstream *u, int64_t now);

/* upstream_has_room - whether it may be sent one more now. Beyond what a server's socket usually takes at once, packets
 * are sent one after the other: each that overflows it would cost a second. */
bool upstream_has_room(struct upstream *u, int64_t now);

void upstream_heard(struct upstream *u);
void upstream_missed(struct upstream *u, uint64_t serial, int64_t sent, int64_t now); /* a question timed out */
void upstream_refused(struct upstream *u, uint64_t serial, int64_t now); /* nobody listens there */

#endif
