/* ask.h - ask another SMTP server whether it takes a recipient. No message is ever sent.
 *
 *   resolve ─▶ connect ─▶ greeting ─▶ EHLO ─▶ STARTTLS, EHLO ─▶ MAIL ─▶ RCPT ─▶ the answer, kept in answers.h
 *                │           │     (HELO)   (where offered)              ▲
 *                next address, or "cannot be asked"                      └─ the message's next recipient
 *
 * One asker belongs to a message. Its connections, one to each server, stay for the message's next recipient until they
 * are needed elsewhere, and there are few to one server: see places.h. Who asks what is being asked waits for that
 * answer. TLS that fails is tried without once, on a new connection.
 */
#ifndef SMTP_ASK_H
#define SMTP_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"
#include "answers.h"

struct smtp_where {
    struct str shown; /* "host:port" */
    struct str host;  /* a name; empty where there is an address */
    struct ip ip;
    unsigned port;
};

/* smtp_where - read "host", "host:port", "192.0.2.1:25", "[2001:db8::1]:25"; brackets around any host are fine. False:
 * *error says why. */
bool smtp_where(struct arena *a, struct str text, struct smtp_where *w, struct str *error);

struct smtp_question {
    const struct smtp_where *where; /* lives as long as the asker */
    struct str hello;        /* our name */
    struct str sender, rcpt; /* without brackets */
    bool well_formed;        /* the recipient */
    struct ip our_ip;        /* where the client reached us, */
    unsigned our_port;       /* so that we notice a server that is ourselves */
    int64_t deadline;        /* clock_ms(), for all of it, with the wait for a place */
    int64_t keep_ms;         /* how long an answer is worth */
};

struct smtp_asker;

struct smtp_asker *smtp_asker(struct arena *a); /* hangs up when the arena is reset */

/* smtp_ask - waits, but not beyond the deadline. The answer lives until the next question. */
const struct smtp_answer *smtp_ask(struct smtp_asker *s, const struct smtp_question *q);
void smtp_hang_up(struct smtp_asker *s); /* no more recipients will follow */

/* Tests: what the server does, instead of connecting. `said` is the line it is told, empty when it is called. The
 * scripted clock is set forward to when the reply is due. NULL ends it. */
struct smtp_act {
    struct str reply;  /* with its CRLF */
    bool refused;      /* nobody listens */
    bool mute;         /* never answers */
    bool hangs_up;     /* after the reply */
    int64_t after_ms;
};
void smtp_script(void (*fn)(void *ctx, struct str said, struct smtp_act *act), void *ctx);

#include "../base/banned.h"
#endif
