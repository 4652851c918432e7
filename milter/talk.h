/* talk.h - one timed conversation with a local service: we say something, it answers, that is all.
 *
 *   talk_begin ─▶ connecting ─▶ saying ─▶ listening ─▶ done: an answer, or the words for what went wrong
 *
 * Nothing blocks but talk_finish(), and that no longer than the deadline, whatever the service does. Conversations that
 * were begun in one arena (a message's) go on together while one of them is waited for: several services take as long
 * as the slowest, not their sum. What is said is not copied.
 */
#ifndef TALK_H
#define TALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/str.h"

struct talk_where {
    struct str shown; /* as written */
    struct sockaddr_storage address;
    socklen_t size;
};

/* talk_where - read "unix:/path", "/path" or "inet:PORT@HOST"; HOST is an address or localhost. False: *error says
 * why. */
bool talk_where(struct arena *a, struct str text, struct talk_where *w, struct str *error);

#define TALK_TO_END (-1)

struct talk_plan {
    const struct talk_where *where;
    const struct str *say; /* the list, and what it points to, live as long as the arena */
    size_t pieces;
    bool half_close;  /* the end of what is said is told by closing our side */
    int until;        /* the byte that ends the answer, or TALK_TO_END: the service hangs up */
    size_t most;      /* bytes of an answer; a longer one is a failure */
    int64_t deadline; /* clock_ms(), for all of it */
};

struct talk_answer {
    bool ok;
    bool early;         /* the service answered before it can have heard all: it may refuse so, not approve */
    bool more;          /* there were bytes behind the one that ends it: nor is that an approval */
    struct str text;    /* the answer, without the byte that ends it; lives as long as the arena */
    struct str problem; /* otherwise: plain words, with system's reason */
};

struct talk;

/* talk_begin - connects, and says as much as can be said without waiting. The conversation ends with the arena. */
struct talk *talk_begin(struct arena *a, const struct talk_plan *plan);
const struct talk_answer *talk_finish(struct talk *t); /* waits */
const struct talk_answer *talk_look(const struct talk *t); /* does not wait; NULL: not done */

/* Tests: what the service does, instead of connecting. The scripted clock is set forward to when the answer is due, or
 * to the deadline. fn returns false where nobody listens. NULL ends it. */
struct talk_act {
    struct str answer; /* with the byte that ends it, if it does */
    bool mute;         /* never answers */
    int64_t after_ms;
};
void talk_script(bool (*fn)(void *ctx, const struct talk_where *where, struct str said, struct talk_act *act),
                 void *ctx);

#include "base/banned.h"
#endif
