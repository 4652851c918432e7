/* policy.h - what a policy is. The only header of ours, besides those of mail/ and base/, that policies/ includes.
 *
 * The way of one message: Postfix connects, says HELO, MAIL, RCPT..., DATA, headers, body, end. At each of these stages
 * the runner (stage.c) goes twice over the profile's policies: first every `ask` (start lookups, never wait), then every
 * `at` in the profile's order. `at` looks at what is known and returns a finding; it does not judge. Whether a bad
 * finding refuses anything, when the client hears of it, with which reply, who is immune and what it does to karma are
 * the common options, applied by the runner and nobody else.
 *
 * A policy is one const struct, its option table and static functions: no allocation to free (use c->arena), no lock
 * (one callback of a session at a time), no log call, no socket, no other state than the session's and the message's.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/dkim.h"
#include "auth/results.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"
#include "db/karma_store.h"
#include "dns/dns.h"
#include "dns/health.h"
#include "dns/peer_names.h"
#include "dns/zone.h"
#include "edits.h"
#include "facts.h"
#include "mail/address.h"
#include "mail/domain.h"
#include "mail/header.h"
#include "mail/pattern.h"
#include "mail/suffix.h"
#include "message.h"
#include "option.h"
#include "pregreet.h"
#include "session.h"
#include "spool.h"

enum stage { AT_CONNECT, AT_HELO, AT_MAIL, AT_RCPT, AT_DATA, AT_HEADERS, AT_MESSAGE, AT_UNKNOWN, AT_CLOSE, STAGES };
_Static_assert((int)STAGES == SESSION_STAGES, "as session.h has it");

enum result { NOTHING, GOOD, BAD, UNSURE };

struct finding {
    enum result result;
    const char *status; /* RFC 3463 enhanced code of class 5, "5.7.1"; the runner makes it 4.x.x for a temporary reply */
    int code;           /* SMTP reply code of class 5 where 550 would be wrong (530, ...); 0: as usual */
    struct str text;    /* what the client is told, without codes; outside bytes need no escaping here */
    long karma;         /* of a good finding, or of one that only weighs; a bad one's is the option */
    bool permanent;     /* told as 5xx although the policy's reply is temporary: waiting would change nothing */
    bool temporary;     /* told as 4xx, and the connection goes on, although the policy's reply is another; of an unsure
                         * one: and whatever the profile says of those */
    bool again;         /* about the connection, and found before for another message: weighs nothing now */
};

#define NO_OPINION ((struct finding){0})

enum reject { REJECT_NOW, REJECT_LATER, REJECT_NEVER };
enum reply_kind { REPLY_PERM, REPLY_TEMP, REPLY_DISCONNECT, REPLY_TEMP_DISCONNECT };
enum immune { IMMUNE_LOCAL = 1, IMMUNE_AUTH = 2, IMMUNE_WHITELISTED = 4 };

struct common { /* the options that every policy has */
    bool enabled;
    int reject;    /* enum reject */
    int reply;     /* enum reply_kind */
    long karma;    /* added to the connection's karma when bad */
    unsigned skip; /* enum immune */
};

struct policy;
struct config;
struct then;

/* One policy as a profile uses it. */
struct instance {
    const struct policy *policy;
    struct common common;
    void *options; /* written while the configuration is loaded, never afterwards */
};

/* What a policy sees. */
struct context {
    const struct config *config;
    const struct instance *instance;
    const void *options;         /* of this policy in this profile */
    struct session *session;
    struct message *message;     /* NULL before MAIL and after the connection's last message */
    const struct recipient *rcpt; /* at AT_RCPT */
    struct str command;          /* at AT_UNKNOWN: the verb */
    struct arena *arena;         /* lives as long as the finding: the message's, or before MAIL the session's */
    struct facts *facts;
};

bool policy_idle(const struct instance *in, enum stage stage);

#define OPTIONS(type, c) ((const type *)(c)->options)

struct policy {
    const char *name;
    const char *summary;           /* one line for lists and man pages */
    const struct option *options;  /* NULL: none but the common ones */
    size_t options_size;           /* of their struct */
    struct {                       /* defaults of the common options, as written in the file; NULL: the usual */
        const char *enabled;       /* usually "yes" */
        const char *reject;        /* "now" */
        const char *reply;         /* "perm" */
        const char *karma;         /* "0" */
        const char *skip;          /* "" */
    } presets;
    const char *const *needs;      /* policies that must stand before it in a profile; NULL-terminated */
    struct finding (*at[STAGES])(struct context *);
    void (*ask[STAGES])(struct context *);
    /* check - what one option alone cannot tell; adds to problems, said at `at`. May be NULL. */
    void (*check)(const struct common *common, const void *options, struct place at, struct problems *problems);
    /* prepare - finish the options after they were read (open a database, ...). What it opens is closed by
     * arena_on_reset(a). Only for enabled policies. May be NULL. */
    void (*prepare)(struct arena *a, void *options, struct place at, struct problems *problems);
    /* idle - with these options it has nothing to do at this stage, and the stage is not asked for. NULL: never. */
    bool (*idle)(const void *options, enum stage stage);
    /* load - once for a configuration that uses the policy in some profile: what all its instances share (keys, ...);
     * loaded() gives it back. What it opens is closed by arena_on_reset(a). May be NULL. */
    const void *(*load)(struct arena *a, const struct config *config, struct problems *problems);
    /* finish - for a message that is accepted, when every policy has queued its edits and before they are applied;
     * whatever `skip` says. May be NULL. */
    void (*finish)(struct context *);
    bool verifies;                 /* it finds out what is true: it is run for who is whitelisted too, see stage.h */
    unsigned holds;                /* bit (1 << stage): Postfix awaits it there, though it refuses nothing */
    bool wants_body;               /* at AT_MESSAGE it reads the message's body */
    bool edits;                    /* it queues edits (edits.h) */
    /* Judging the past again, from the journal: see past.h. A policy that says nothing here keeps to its word of then. */
    unsigned replays;              /* bit (1 << stage): all that it looks at there is in the journal: `at` is run again */
    /* again - at the other stages: by what it noted. then is NULL where it was not run. May be NULL: then_keep() */
    struct finding (*again)(struct context *, enum stage stage, const struct then *then);
    bool silent;                   /* it never finds anything that weighs or is judged */
    const struct told_again *told_again; /* for each of its own options; ends with option NULL */
};

/* Findings. The text is a format; outside bytes may be given to it as they are. */
struct finding good(struct context *c);
struct finding weigh(struct context *c, long karma); /* neither good nor bad, but it tells about the client */
struct finding unsure(struct context *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct finding bad(struct context *c, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct finding bad_code(struct context *c, int code, const char *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* bad_entry - the entry's own text if it has one, else the given words; notes the entry as FACT_MATCHED. */
struct finding bad_entry(struct context *c, const struct pattern *entry, const char *status, const char *words);

/* What a policy remembers of a connection, or of a message: cleared memory of its own at the first call, the same later. */
void *session_state(struct context *c, size_t size);
void *message_state(struct context *c, size_t size);

/* What the configuration says to all policies. */
const struct cidr_list *local_networks(const struct context *c);
bool is_local_domain(const struct context *c, struct str domain); /* lower-case */

struct str host_name(const struct context *c); /* ours: the authserv-id */
struct str key_directory(const struct config *config);
const void *loaded(const struct context *c); /* by the policy's load() */

void fact_set(struct context *c, enum fact fact, struct str value);
struct str fact_get(const struct context *c, enum fact fact); /* the newest; empty when nobody found it */

/* ---- the past (past.c): what a policy finds once more, under other options ---- */

struct told_again {
    const char *option;
    const char *missing; /* NULL: its change can be judged from the journal; else what was not recorded, for people */
};
#define CAN_TELL(option) {option, NULL}
#define CANNOT_TELL(option, missing) {option, missing}
#define TOLD_AGAIN_END {NULL, NULL}

/* What the journal kept of a policy's run at one stage. */
struct then {
    struct finding finding; /* NO_OPINION: it found nothing */
    const struct fact_value *facts;
    size_t count;
};

struct str then_fact(const struct then *then, enum fact fact); /* the newest; empty when it did not note it, or NULL */

/* then_at - the same policy's run at another stage; NULL: it was not run there, or not with these options. */
const struct then *then_at(struct context *c, enum stage stage);

/* then_keep - its finding, and all that it noted, are as they were. NULL: nobody knows, see not_kept(). */
struct finding then_keep(struct context *c, const struct then *then);

/* past_fact - of any policy, at any stage, of that message; empty when nobody noted it. past_ran - whether a policy was
 * run there. */
struct str past_fact(const struct context *c, enum fact fact);
bool past_ran(const struct context *c, const char *policy, enum stage stage);

/* now_run - whether the profile of today runs a policy. past_alike - whether that was run at a stage of the message then
 * as it was now. */
bool now_run(const struct context *c, const char *policy);
bool past_alike(const struct context *c, const char *policy, enum stage stage);

/* past_moved - by how much the connection's karma, when this stage began, is another than it was then. */
long past_moved(const struct context *c);

/* past_larger - whether raw_size() of the message was above that: the number of its header fields was not recorded. */
enum larger { NOT_LARGER, PERHAPS_LARGER, LARGER };
enum larger past_larger(const struct context *c, uint64_t limit);

int64_t past_clock(const struct context *c); /* clock_wall_ms() of then */

/* list_note - for FACT_LIST_SAID: what one more list answered, and whether it was believed. list_said - and back, by the
 * codes that count today; *code is that of a listing. False: the list was not asked then. */
void list_note(struct arena *a, struct buf *b, const struct zone *zone, enum zone_said said,
               const struct dns_answer *answer);
bool list_said(struct arena *a, struct str noted, const struct zone *zone, enum zone_said *said, struct str *code);

/* lists_again - what block lists of one client, or (NULL) of one name, said then: the first that listed it,
 * with its *code; or NULL, and *found is what remains to be said. A list that was not asked may be anything. */
const struct zone *lists_again(struct context *c, const struct zone_list *zones, const struct ip *client,
                               const struct then *then, struct str *code, struct finding *found);

/* not_kept - `again` cannot tell: what is missing, for people. */
struct finding not_kept(struct context *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The policies there are, in the order of the documentation (policies/table.c). */
extern const struct policy *const policy_table[];
extern const size_t policy_table_count;
const struct policy *policy_by_name(struct str name); /* NULL: none */
size_t policy_index(const struct policy *p);          /* in policy_table */

/* Names as configuration, log and commands write them; NULL-terminated where used by options. */
extern const char *const stage_names[];      /* "connect" ... "close" */
extern const char *const result_names[];     /* "nothing" "good" "bad" "unsure" */
extern const char *const reject_words[];     /* "now" "later" "never" */
extern const char *const reply_words[];      /* "perm" "temp" "disconnect" "temp_disconnect" */
extern const char *const immune_words[];     /* "local" "auth" "whitelisted" */
extern const struct option common_options[]; /* rows over struct common; presets come from the policy */

#endif
