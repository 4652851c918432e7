/* ask_inside.h - between ask.c, the conversation, and ask_ends.c, how it ends. */
#ifndef SMTP_ASK_INSIDE_H
#define SMTP_ASK_INSIDE_H

#include "../dns/dns.h"
#include "ask.h"
#include "places.h"

#define ADDRESSES_MOST 4

enum phase { QUEUED, RESOLVING, CONNECTING, TALKING, SHAKING };
enum turn { GREETING, EHLO, HELO, STARTTLS, RSET, MAIL, RCPT }; /* what the next reply is to */

struct smtp_asker {
    struct arena *arena;
    struct smtp_question q;
    struct smtp_answer answer;
    bool done;
    enum phase phase;
    enum turn turn;
    struct places_waiter waiter;
    struct place *place;     /* NULL only when QUEUED; holds the connection */
    unsigned below;          /* there must be fewer connections than that */
    struct str turned_away;  /* why it is below PLACES_MOST */
    bool no_tls;
    bool loops;              /* the server is ourselves */
    bool reused;             /* it has answered before: what fails now is tried again on a new one */
    bool entered;            /* see answers_enter() */
    bool ends;               /* nothing follows what was heard */
    int64_t asked, again_at; /* when; and not before then a server that takes no more of us */
    struct dns_question *dns[2];
    struct ip addresses[ADDRESSES_MOST];
    size_t count, at;
    int64_t step_deadline;   /* of CONNECTING and SHAKING */
    struct str said;         /* scripted: what it answers next */
    int64_t due;
};

/* ask.c */
void ask_connect_next(struct smtp_asker *s);

/* ask_ends.c: the question has its answer, or is asked again, or the connection is gone. */
void ask_tell(struct smtp_asker *s, const char *kind, struct str problem); /* the log, of what keeps us from asking */
void ask_drop(struct smtp_asker *s);
void ask_goodbye(struct smtp_asker *s); /* QUIT, and drop */
void ask_leave(struct smtp_asker *s);
void ask_answered(struct smtp_asker *s, enum smtp_said said, const char *status, struct str text);
void ask_cannot(struct smtp_asker *s, const char *status, struct str what); /* said behind the server's name; drops */
void ask_is_loop(struct smtp_asker *s);
void ask_without_tls(struct smtp_asker *s, struct str problem);
void ask_broken(struct smtp_asker *s, struct str problem); /* the connection is of no more use */
void ask_late(struct smtp_asker *s);

#include "../base/banned.h"
#endif
