/* results.h - what is known of a message's authentication, typed: written by the policies spf, dkim and dmarc (and fcrdns
 * for iprev), read by each other, by Authentication-Results and by the reports. It dies with the message, so nothing can
 * pass from one message to the next on the same connection.
 */
#ifndef AUTH_RESULTS_H
#define AUTH_RESULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/arena.h"
#include "../base/str.h"

/* The words of RFC 8601 (2.7); every method uses some of them. */
enum auth_result {
    AUTH_NONE,      /* nothing there to check, or not checked */
    AUTH_PASS,
    AUTH_FAIL,
    AUTH_SOFTFAIL,  /* spf alone */
    AUTH_NEUTRAL,
    AUTH_POLICY,    /* it would pass, but not by our rules (rsa-sha1, a short key, l=) */
    AUTH_TEMPERROR,
    AUTH_PERMERROR,
};
extern const char *const auth_words[]; /* "none" "pass" ...; NULL-terminated */

struct spf_result {
    bool checked;
    enum auth_result result;
    struct str domain;   /* that was checked, as A-labels */
    struct str problem;  /* for the log; empty: none */
};

struct dkim_result { /* of one signature */
    enum auth_result result;
    struct str domain;    /* d=, lower-case; empty when it could not be read */
    struct str selector;  /* s= */
    struct str identity;  /* i=, or "@" and the domain */
    struct str algorithm; /* "rsa-sha256", "ed25519-sha256" */
    struct str b;         /* the first 8 bytes of b= (RFC 6008) */
    struct str problem;   /* why it is not pass: a short plain text of ours */
    bool partly;          /* l= leaves bytes unsigned */
    bool testing;         /* t=y */
};

enum dmarc_disposition { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };

struct dmarc_result {
    bool checked;             /* false: not evaluated, or no single author domain */
    enum auth_result result;  /* none, pass, fail, temperror, permerror */
    struct str author_domain; /* of From, A-labels, lower-case */
    struct str record_domain; /* where the record was found; empty: there is none */
    struct str org_domain;
    enum dmarc_disposition published; /* what p, sp or np says, t= not applied */
    enum dmarc_disposition disposition; /* what was made of it */
    struct str override;      /* why the disposition is another one: RFC 9990's words; empty: it is not */
    bool spf_aligned, dkim_aligned;
    struct str problem;
};

struct auth_results {
    struct spf_result spf_from, spf_helo;
    struct dkim_result *dkim;
    size_t dkim_count;
    bool dkim_checked;        /* false: nobody looked at signatures */
    struct dmarc_result dmarc;
    enum auth_result arc;     /* none, pass, fail */
    bool arc_checked;
    struct str arc_sealer;    /* d= of the newest seal, when arc is pass */
};

/* auth_results_of - the open message's, made at the first call. */
struct message;
struct auth_results *auth_results_of(struct message *m);

#endif
