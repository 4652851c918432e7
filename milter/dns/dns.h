/* dns.h - questions to the DNS: asked early, harvested late, answered once.
 *
 *   policy's ask ──▶ dns_ask ──▶ cache ──(miss)──▶ in flight, once for all who ask ──▶ backend: resolver.c (c-ares, one
 *   policy's at  ──▶ dns_harvest ◀── answer or the waiter's deadline                thread) or scripted.c (a zone file)
 *
 *  1. dns_ask never blocks. dns_harvest blocks until there is an answer, or the deadline; it never says anything but
 *     DNS_FAIL for a question that was not answered.
 *  2. Equal questions in flight are one; answers are shared, counted, and never change.
 *  3. A question belongs to an arena (a connection's or a message's) and is given up when that is reset.
 *  4. Deadlines are the waiter's: an answer that comes too late still goes into the cache.
 *  5. Failures (timeout, SERVFAIL, REFUSED, malformed, no server) are DNS_FAIL: "temporary trouble is not evidence".
 */
#ifndef DNS_H
#define DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };

enum dns_status {
    DNS_OK,       /* at least one record of the type */
    DNS_NODATA,   /* the name exists, without the type */
    DNS_NXDOMAIN, /* the name does not exist */
    DNS_FAIL,     /* nothing is known; `why` says the reason */
};

struct dns_record {
    struct ip ip;             /* A, AAAA */
    struct str text;          /* NS, PTR, MX: the name, lower-cased, without the last dot, "" for the root;
                                 TXT: the strings joined, as bytes */
    unsigned preference;      /* MX */
};

struct dns_answer {
    enum dns_status status;
    const char *why;          /* of DNS_FAIL: "timeout", "servfail", "refused", "malformed", "too large", "no server",
                                 "too many questions", "bad name"; "" otherwise */
    const struct dns_record *records; /* in the order of the packet */
    size_t count;
    uint32_t ttl;             /* seconds: the least of the chain, or the SOA's for negative answers */
    struct str packet;        /* the raw answer; empty from scripted.c unless it made one, and for DNS_FAIL */
    int64_t took_ms;          /* from question to answer; 0 from the cache */
};

struct dns_question;

/* What one message or connection may ask; counted per asker, so that nobody can make us ask without end. */
struct dns_budget {
    unsigned left;
};

/* dns_ask - ask, never block. `name` may be written in any case and with a trailing dot. A bad name (empty label, label
 * over 63, over 253 in all, a NUL byte) or an exhausted budget gives a question whose answer is DNS_FAIL. budget may be
 * NULL. The handle lives in the arena. */
struct dns_question *dns_ask(struct arena *a, struct dns_budget *budget, struct str name, enum dns_type type);
struct dns_question *dns_ask_ptr(struct arena *a, struct dns_budget *budget, struct ip ip); /* in-addr.arpa, ip6.arpa;
                                                                                              followed, see below */

/* dns_ask_follow - the same for PTR or MX, of which the addresses will be wanted next: as soon as the answer is there
 * the resolver asks for the addresses of its names (DNS_FOLLOW_MOST of them) into the cache, so that a chain of two
 * questions takes two round trips whenever somebody comes to harvest it. Scripts do not
 * follow: they tell what was asked for. */
#define DNS_FOLLOW_MOST 10
struct dns_question *dns_ask_follow(struct arena *a, struct dns_budget *budget, struct str name, enum dns_type type);

/* dns_ask_list - an A question to a block list, whose answers are kept for a shorter time: 15 minutes at most, those by
 * which it refuses to answer for one. dns_ask_test - to its test points: kept for seconds, for they tell of now. */
struct dns_question *dns_ask_list(struct arena *a, struct dns_budget *budget, struct str name);
struct dns_question *dns_ask_test(struct arena *a, struct str name);

/* dns_harvest - the answer, waiting for it until `deadline` (clock_ms()); NULL question: DNS_FAIL. What it returns
 * lives as long as the question. Harvesting again gives the same answer. */
const struct dns_answer *dns_harvest(struct dns_question *q, int64_t deadline);
bool dns_is_done(const struct dns_question *q); /* whether harvesting would not wait */
struct str dns_name(const struct dns_question *q);
enum dns_type dns_type_of(const struct dns_question *q);

/* ---- set-up; before sessions, and dns_configure again on reload ---- */

struct dns_settings {
    const struct str *servers; /* "192.0.2.1", "127.0.0.1:5353", "[2001:db8::1]:53"; none: /etc/resolv.conf */
    size_t server_count;
    int64_t timeout_ms;        /* until a question is given up for good */
    size_t cache_entries;      /* 0: no cache */
};

/* dns_start - the real resolver: starts its thread. False (and *error) when it cannot. After fork only. */
bool dns_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena);
bool dns_configure(const struct dns_settings *settings, struct str *error, struct arena *error_arena); /* on reload */
void dns_stop(void); /* all waiters wake with DNS_FAIL; thread joined */

/* dns_server_valid - whether a configuration may name this server. */
bool dns_server_valid(struct str server);

/* dns_script - answer everything from this text instead (scripted.c): `sme-milterctl test --dns FILE`, scenarios.
 * Lines, after the master file format as far as that goes, # or ; begin comments:
 *     mx.a.test.  [300] [IN] A 192.0.2.7        a.test  MX 10 mx.a.test      b.test  TXT "v=spf1 " "-all"
 *     7.2.0.192.in-addr.arpa PTR mx.a.test      *.wild.test A 127.0.0.2
 *     b.test MX SERVFAIL | TIMEOUT | REFUSED | NXDOMAIN | NODATA | MALFORMED      $DELAY 800ms (for all lines after it)
 *     c.test CNAME d.test    slow.test A 192.0.2.8 after 3s    broken.test ANY SERVFAIL    $TTL 5m    $ORIGIN a.test.
 * A name that no line mentions is NXDOMAIN; one that is mentioned with other types is NODATA. With `strict` a question
 * that no line mentions is noted as unscripted (dns_script_unscripted). Under a scripted clock a delayed answer moves
 * the clock; otherwise it comes when it is due. */
bool dns_script(struct str file, struct str text, bool strict, struct str *error, struct arena *error_arena);
void dns_script_end(void);
struct str dns_script_asked(struct arena *a);      /* "name TYPE" a line, in the order asked, since the last call */
struct str dns_script_unscripted(struct arena *a); /* the same, of those that no line mentions */

struct dns_counters {
    uint64_t asked, cached, merged, sent, answered, failed, timeouts;
    size_t entries, bytes; /* of the cache */
    int64_t total_ms;      /* sum of took_ms of answered ones */
};
void dns_count(struct dns_counters *counters);

#endif
