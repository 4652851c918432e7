/* past_inside.h - what past.c (the calls of SMTP) and past_then.c (what the journal kept) share. */
#ifndef PAST_INSIDE_H
#define PAST_INSIDE_H

#include "past.h"
#include "stage.h"

struct past_found { /* a finding, or what was noted without one */
    size_t policy;    /* policy_index */
    enum stage stage;
    int rcpt;         /* -1: none */
    bool stopped;     /* it was told at once: nobody behind it was run */
    long weight;
    struct then then;
};

struct past_row {
    const struct journal_message *m;
    uint64_t ran[STAGES];
    struct past_found *found;
    size_t count;
    long base;             /* karma that came from elsewhere: earlier messages of the connection */
    struct str *greetings; /* the names in HELO before the last one */
    size_t greeting_count;
};

struct past {
    const struct past_row *row;
    const bool *changed;
    struct arena *arena;   /* of the answer */
    bool stopped;          /* nobody knows how it goes on */
    struct str unknown;
    const char *why;       /* the policy that is asked has no `then` */
    unsigned greeting, command; /* the one that is being judged, from 0 */
    long karma;            /* of the connection, when the stage began */
    enum stage stage;
};

/* past_stop - from here on it is not known; only the first reason counts. */
void past_stop(struct past *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
