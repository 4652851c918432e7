/* cache.h - every question of the process: in flight once for all who ask, and its answer for as long as it holds.
 *
 *                 cache_ask (fresh) ──▶ pending ── cache_answer ──▶ done ── TTL over, LRU, flush ──▶ out of the table
 *                 cache_ask (again) ──▶ the same entry ◀──────────────┘                              (freed by the last
 *                                                                                                     entry_drop)
 *  1. An entry is found by (name, type) while it stands in the table; it is freed when nobody holds a reference.
 *  2. answer, due and block are written once, under the shard's lock, before `done`; who sees `done` may read them
 *     without a lock, for as long as he holds his reference.
 *  3. Pending entries are never evicted: who limits them is resolver.c.
 */
#ifndef DNS_CACHE_H
#define DNS_CACHE_H

#include <pthread.h>
#include <stdatomic.h>

#include "dns.h"

#define DNS_TTL_MOST 86400       /* seconds a positive answer is kept at most */
#define DNS_TTL_NEGATIVE_MOST 900
#define DNS_INSIDE 240           /* bytes that an entry has for its answer: enough for most */
#define DNS_TTL_FAIL_MOST 5      /* so that a broken zone is not asked again by each policy; also what dns_ask_test asks */
#define DNS_TTL_LIST_MOST 900    /* of a block list: who is taken off it should soon be able to send again */
#define DNS_TTL_REFUSED_MOST 60  /* of its answers that say that it did not answer */

struct shard;

enum dns_keep { DNS_KEEP_TTL, DNS_KEEP_LIST, DNS_KEEP_BRIEFLY };

struct entry {
    struct str name; /* lower-case, without the last dot; stands behind the entry */
    enum dns_type type;
    int64_t asked;   /* clock_ms() of the question */
    struct dns_answer answer;
    int64_t due;     /* when the answer comes: later than `done` only in scripted.c's */
    atomic_bool done;
    atomic_bool follow; /* the addresses of its names will be wanted: see dns_ask_follow() */
    enum dns_keep keep;  /* what its first asker wants */

    struct entry *queued; /* resolver.c's: the next one */

    /* cache.c's */
    atomic_uint references;
    struct shard *shard;
    uint64_t hash;
    void *block;     /* what answer points to, when it does not fit into `inside` */
    size_t bytes;    /* of entry and block */
    int64_t expires;
    bool in_table, in_lru;
    unsigned waiters;
    pthread_cond_t wake;
    struct entry *chain;
    struct entry *older, *newer;
    _Alignas(max_align_t) char inside[DNS_INSIDE];
};

/* cache_ask - the entry of a question, with a reference for the caller. *fresh: it is new, and the caller has it
 * answered; otherwise it is pending or its answer holds. */
struct entry *cache_ask(struct str name, enum dns_type type, int64_t now, bool *fresh);

/* cache_ask_kept - the same, where an answer is too old sooner: neither kept nor taken for longer than `keep` says. */
struct entry *cache_ask_kept(struct str name, enum dns_type type, enum dns_keep keep, int64_t now, bool *fresh);

/* cache_answer - copies the answer, keeps it for its TTL (seconds of a DNS_FAIL too) from `due` on, and wakes who
 * waits. Once for each entry. */
void cache_answer(struct entry *e, const struct dns_answer *answer, int64_t now, int64_t due);

/* cache_settle - the same without waking: true when cache_wake has to come soon. For who answers many at once: a woken
 * waiter then finds his other answers there too. */
bool cache_settle(struct entry *e, const struct dns_answer *answer, int64_t now, int64_t due);
void cache_wake(struct entry *e);

/* cache_wait - until the answer is there and due, or the deadline (clock_ms()); whether it is. */
bool cache_wait(struct entry *e, int64_t deadline);
bool entry_is_done(const struct entry *e, int64_t now);

void entry_hold(struct entry *e); /* one more reference */
void entry_drop(struct entry *e); /* one less; NULL is fine */

void cache_limit(size_t entries); /* and 4 KiB for each of them, 64 MiB at most; 0: nothing is kept */
void cache_flush(void);           /* forget everything; what is pending is still answered to those who asked */
void cache_count(struct dns_counters *c); /* adds its own */

void *dns_alloc(size_t size); /* cleared; never NULL */

#endif
