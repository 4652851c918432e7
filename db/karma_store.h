/* karma_store.h - what is remembered of every client: how often it was nice or naughty, and its time in the penalty box.
 *
 * A client is its IPv4 address, or the /64 of its IPv6 address. Events are increments, so they commute: the same model
 * can be kept by a store that several servers share. What is asked is answered from memory, with every event added so
 * far, or from the file; what is learned is queued and written by db/database.c.
 */
#ifndef DB_KARMA_STORE_H
#define DB_KARMA_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ip.h"
#include "base/str.h"
#include "database.h"

#define KARMA_NET_SIZE 17
#define KARMA_REASON_MOST 64

/* The key: the prefix length in bits, then 16 bytes of address. IPv4 is ::ffff:a.b.c.d/128, IPv6 its /64. */
struct karma_net {
    uint8_t b[KARMA_NET_SIZE];
};

struct karma_net karma_net_of(struct ip ip);                             /* ip.known must be true */
struct str karma_net_text(struct arena *a, const struct karma_net *net); /* "192.0.2.1", "2001:db8:0:1::/64" */
bool karma_net_parse(struct str text, struct karma_net *net);            /* either, and any address of an IPv6 /64 */

struct karma_record {
    int64_t nice, naughty, connects; /* connections */
    int64_t penalty_until;           /* seconds since 1970; 0: never boxed, or released */
    double cleared_at;               /* seconds since 1970 of the last release; 0: none */
    int64_t first_seen, last_seen;   /* seconds since 1970 */
    char last_reason[KARMA_REASON_MOST]; /* what made it naughty or put it into the box the last time */
};

struct karma_rules { /* of the policy karma, policies.md's names */
    int64_t negative;
    int64_t penalty_s, max_penalty_s;
};

struct karma_event { /* one connection that ended */
    struct karma_net net;
    double at; /* seconds since 1970, with its fraction: a release is newer or older */
    bool nice, naughty;
    char reason[KARMA_REASON_MOST];
    struct karma_rules rules;
};

/* karma_history - nice - naughty. */
int64_t karma_history(const struct karma_record *r);

/* karma_apply - the arithmetic, on a record in memory; exactly what the writer does in SQL. An event that is older than
 * the last release counts its connection, not its naughtiness, unless the release lies more than an hour ahead of it:
 * then a clock was wrong, as it was when it was last seen more than an hour later. A box is only ever lengthened by an
 * event, and one by an administrator keeps his reason. */
void karma_apply(struct karma_record *r, const struct karma_event *e);

/* karma_boxed - whether the client is in its box at `now` (seconds since 1970), and until when. A time that no rule can
 * have made (a clock was wrong) is not believed: more than max_penalty_s ahead, unless an administrator captured it
 * (last_reason begins with "captured"). */
bool karma_boxed(const struct karma_record *r, int64_t now, int64_t max_penalty_s, int64_t *until);

/* ---- in the daemon; one store per process ---- */

enum karma_known {
    KARMA_KNOWN,   /* *r is filled */
    KARMA_UNSEEN,  /* never seen: *r is zeroes */
    KARMA_UNKNOWN, /* the store cannot be read now, or was not started: *r is zeroes */
};

void karma_store_start(struct str directory, int wait_ms);
void karma_store_stop(int wait_ms);
bool karma_store_running(void);
enum karma_known karma_get(const struct karma_net *net, struct karma_record *r);
void karma_store_lend(sqlite3 *db); /* a command that judges but does not learn: karma_get reads this; NULL ends it */
void karma_learn(const struct karma_event *event); /* never waits */
void karma_store_look(void);                       /* somebody else changed the file: noticed before this returns */
bool karma_store_flush(int wait_ms);
bool karma_store_status(struct database_status *status); /* false: not started */

/* ---- on a file, for sme-milterctl and tests (database_open_file); each returns an SQLite result code ---- */

enum karma_order { KARMA_BY_ADDRESS, KARMA_NAUGHTY_FIRST, KARMA_NICE_FIRST };

int karma_file_get(sqlite3 *db, const struct karma_net *net, struct karma_record *r); /* SQLITE_DONE: not there */
int karma_file_release(sqlite3 *db, const struct karma_net *net, double now);
int karma_file_capture(sqlite3 *db, const struct karma_net *net, double now, int64_t seconds);
int karma_file_put(sqlite3 *db, const struct karma_net *net, const struct karma_record *r); /* import: the whole row */
/* karma_file_list - most rows (0: all), in this order; the naughty order only those with history < 0 or a box, the nice
 * one only those with history > 0. `row` returns false to stop. */
int karma_file_list(sqlite3 *db, enum karma_order order, int64_t most,
                    bool (*row)(const struct karma_net *net, const struct karma_record *r, void *ctx), void *ctx);
int karma_file_prune(sqlite3 *db, int64_t seen_before, bool dry_run, int64_t *rows); /* seconds since 1970 */

#endif
