/* places.h - the connections to inner servers: few to each at a time, for the whole process.
 *
 * A server counts connections by address and turns away who has too many (SME Server's InstancesPerIP is 5), and all
 * recipients here come from one address. So whoever wants to ask takes a place first, and waits for one in order of
 * arrival. A connection that has answered lies idle in its place for its message's next recipient; as strangers decide
 * how long that takes, it is anybody's as soon as all places are taken.
 */
#ifndef SMTP_PLACES_H
#define SMTP_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/str.h"
#include "line.h"

#define PLACES_MOST 4      /* to one server */
#define PLACES_IDLE_MOST 8 /* to all of them */
#define PLACES_ENDED_MS 1000 /* how long a server may take to notice that a connection of ours has ended */

struct place {
    struct place *next; /* this and up to `ended` are under the lock */
    struct arena *arena;
    struct str server;
    const void *owner;
    bool idle;
    bool works;    /* it was greeted: the server is there and takes connections */
    int64_t ended; /* clock_ms(); 0: it has not */
    /* who took it may read and write the rest: */
    bool is_talking;         /* it was idle: there is a connection, that has answered before */
    struct smtp_line *line;  /* NULL: none yet, or scripted */
    struct str sender;       /* of its MAIL; in the arena */
    bool in_tls, said_utf8;
    unsigned offers, refusals, messages;
};

struct places_waiter { /* in the line for a place; zeroed at first */
    struct places_waiter *next;
    struct str server;
    bool waits;
};

/* places_take - the owner's idle one; a new one, if there are fewer than `below` to that server and fewer than
 * PLACES_MOST; somebody's idle one. NULL: none is free, or others came first; w then waits in line until it gets one or
 * places_give_up(). */
struct place *places_take(struct str server, const void *owner, unsigned below, struct places_waiter *w);
void places_give_up(struct places_waiter *w);

bool places_park(struct place *p);   /* idle from now on, and not the caller's; false: there are too many */
void places_works(struct place *p);
void places_free(struct place **p);  /* its line is closed; clears the pointer */
struct place *places_idle_of(const void *owner); /* to end it; NULL: there is none */

/* places_others - how many other connections there are to p's server, if any of them works; those that ended a moment
 * ago make it 1 at least. 0: what fails has nothing to do with our number. */
unsigned places_others(const struct place *p);

/* What a waiter waits for may have happened meanwhile: it reads the number, looks, and waits for the next. */
unsigned places_changes(void);
void places_changed(void);
void places_wait(unsigned seen, int64_t ms);

void places_forget(void); /* those that ended: tests */

#include "../base/banned.h"
#endif
