/* session.h - one SMTP connection, from Postfix's CONNECT to its close.
 *
 * Lifetimes, each tested by every scenario under ASan:
 *  1. The session's arena lives from session_open() to session_close(); a message's arena from MAIL to its end.
 *  2. A message may point into its session; the session never into a message. To keep something, copy it.
 *  3. The configuration is reference-counted: a reload never pulls it from under a session.
 *  4. A session moves between threads, one callback at a time: no locks, and nothing thread-local.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ip.h"
#include "base/str.h"
#include "dns/dns.h"
#include "facts.h"

#define SESSION_STAGES 9 /* enum stage of policy.h, which includes this file */

struct config;
struct journal_message;
struct profile;
struct message;
struct past;
struct record;
struct reply;

/* What Postfix tells at CONNECT. Whatever it did not tell stays empty, and then never selects a trusted profile. */
struct peer {
    struct ip ip;
    struct str name;        /* verified name, or empty */
    unsigned port;          /* of the client */
    struct ip server_ip;    /* {daemon_addr}: where the client reached us; not known when not told */
    unsigned server_port;   /* {daemon_port}: 25, 465, 587; 0 when not told */
    struct str daemon_name; /* {daemon_name} */
};

struct records { /* findings, in order */
    struct record *first, *last;
    unsigned count; /* without those that only keep what a policy noted: */
    unsigned notes;
};

/* Who wants to see each finding as it is made (`sme-milterctl test`, scenario tests): after message_end() they are gone. */
struct watcher {
    void (*found)(void *ctx, const struct record *record, const struct facts *facts);
    void *ctx;
    void (*row)(void *ctx, const struct journal_message *row); /* as the journal would keep it; may be NULL, as found */
};

/* What stays of a connection's findings when its messages are forgotten. */
struct conduct {
    unsigned bad;             /* findings of the connection itself that were bad */
    bool refused;             /* with 5xx, for a finding of a policy whose weight is negative */
    bool good_message;        /* one was accepted with SPF or aligned DKIM pass and nothing bad was found */
    bool whitelisted_message; /* one was whitelisted by its sender */
    struct str reasons;       /* policies with a negative weight that found something bad: "dnsbl,helo" */
};

struct session {
    struct arena *arena;
    struct config *config;         /* counted reference */
    const struct profile *profile; /* chosen at CONNECT, again at every MAIL */
    struct peer peer;
    struct str ref;           /* of the connection; messages add a letter: unique over restarts */
    struct str helo;          /* the last one; empty before */
    struct str tls_version;   /* {tls_version}; empty without TLS */
    struct str auth;          /* {auth_authen}; empty when not authenticated */
    bool is_local;            /* in local_networks, or as the policy relay found */
    bool is_whitelisted;      /* as the policy whitelist found */
    unsigned unknown_commands;
    long karma;               /* sum of the weights of all findings so far */
    struct conduct conduct;   /* what else the policy karma learns of the connection */
    struct records records;   /* of stages before MAIL and between messages */
    struct facts facts;       /* of the same */
    uint64_t ran[SESSION_STAGES]; /* bit (1 << policy_index) of every policy that was run at a stage, of the same */
    struct message *message;  /* the open one, or NULL */
    struct arena *message_arena; /* kept between messages, reset for each */
    void **policy_states;     /* see session_state() in policy.h; NULL until needed */
    struct peer_names *names; /* see dns/peer_names.h; NULL until asked for */
    struct dns_budget dns;    /* questions that this connection may still ask */
    unsigned messages;        /* begun */
    unsigned greetings;       /* HELO and EHLO with a new name */
    const struct record *told_by; /* the finding that refused before MAIL (connect, helo, unknown command), or NULL */
    const struct reply *told; /* what the client heard then */
    int told_at;              /* enum stage */
    int64_t began_ms;         /* clock_ms() */
    const struct watcher *watcher; /* NULL in the daemon */
    struct past *past;        /* it is one of the journal, judged again: see past.h; NULL in the daemon */
};

/* Called by callbacks.c and by the drivers of tests and `sme-milterctl test`, in the order of SMTP. Each returns the reply to
 * give now, or NULL for "go on". The reply belongs to the session or the open message: use it before the next call. */
struct session *session_open(struct config *config, const struct peer *peer); /* takes a reference of its own */
const struct reply *session_connect(struct session *s);
const struct reply *session_helo(struct session *s, struct str name, struct str tls_version);
const struct reply *session_unknown(struct session *s, struct str verb);
void session_close(struct session **s); /* ends an open message, writes the line of a connection without one */

struct str session_keep(struct session *s, struct str text); /* a copy that lives as long as the session */

#endif
