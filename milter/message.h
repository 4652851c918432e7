/* message.h - one mail transaction, from MAIL to its end: envelope, headers, body, findings, edits. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "facts.h"
#include "mail/address.h"
#include "mail/header.h"
#include "session.h"

struct auth_results;
struct edits;
struct edit_target;
struct mime;
struct spool;

struct recipient {
    struct recipient *next;
    struct address address;
    const struct record *refused_by; /* NULL: accepted */
    const struct reply *refusal;     /* what its client heard then */
    unsigned number;                 /* from 0 */
};

enum verdict_kind { VERDICT_ACCEPT, VERDICT_REJECT, VERDICT_TEMPFAIL, VERDICT_DISCARD, VERDICT_QUARANTINE };

struct verdict {
    enum verdict_kind kind;
    const struct record *by;   /* the deciding finding; NULL for a plain accept */
    int at;                    /* enum stage where the client heard of it */
    const struct reply *reply; /* what it heard; NULL for a plain accept */
};

struct message {
    struct arena *arena;
    struct session *session;
    struct str ref;
    struct str queue_id;         /* {i}; empty before the first accepted recipient */
    struct address sender;       /* empty text for <> */
    uint64_t declared_size;      /* MAIL's SIZE=, 0 when not told */
    struct recipient *rcpt, *rcpt_last; /* all, refused ones too, in order */
    unsigned rcpt_count;         /* all */
    unsigned rcpt_accepted;
    struct headers headers;
    bool headers_cut;            /* beyond the cap: the end of the message answers 552 */
    uint64_t body_bytes;         /* seen */
    struct spool *spool;         /* NULL when no policy wants the body */
    bool too_large;              /* beyond limits.message_size */
    bool broken;                 /* something of ours failed (a full disk): answered 451 */
    bool is_whitelisted;         /* for this message only */
    struct records records;
    struct facts facts;
    uint64_t ran[SESSION_STAGES]; /* as the session's, of the message's stages */
    long karma_before;           /* of the connection, when the message began */
    void **policy_states;        /* see message_state() in policy.h */
    struct auth_results *auth;   /* see auth/results.h; NULL until needed */
    struct mime *mime;           /* see mail/mime.h; NULL until needed */
    struct dns_budget dns;       /* questions that this message may still ask */
    const struct record *refused_at_headers; /* told at the end, see stage.h rule 7 */
    struct edits *edits;         /* never NULL */
    struct verdict verdict;      /* as far as decided */
    bool over;                   /* decided and written to the log; kept only until its reply has been read */
    int64_t began_ms;
};

/* The calls of SMTP, as in session.h. `args` are MAIL's and RCPT's words without the verb: "<a@b>", "SIZE=100".
 * auth is {auth_authen}; queue_id is {i} as far as known. */
const struct reply *message_mail(struct session *s, const struct str *args, size_t count, struct str auth,
                                 struct str queue_id);
const struct reply *message_rcpt(struct session *s, const struct str *args, size_t count, struct str queue_id);
const struct reply *message_data(struct session *s, struct str queue_id);
void message_header(struct session *s, struct str name, struct str value); /* all that was sent after the colon */
const struct reply *message_headers_end(struct session *s);
void message_body(struct session *s, struct str chunk);

/* message_end - the last judgement; on acceptance the queued edits are applied to `target` (callbacks.c's is libmilter).
 * NULL: accepted. Either way the message is over and written to the log. */
const struct reply *message_end(struct session *s, struct str queue_id, const struct edit_target *target);

/* message_abort - RSET, a lost connection, or a new MAIL: log what was found and forget it. No open message is fine. */
void message_abort(struct session *s);

#endif
