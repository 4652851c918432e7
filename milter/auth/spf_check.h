/* spf_check.h - a check while it goes on; between spf.c, spf_tree.c and spf_judge.c.
 *
 *   check ── root ─┬─ lookup a     ── question
 *                  ├─ lookup mx    ── question ── hosts
 *                  ├─ lookup include ── node ─┬─ lookup ...
 *                  └─ lookup redirect ── node └─ ...
 *
 * A node is one fetched record. The tree grows as answers come: only terms that the evaluation can reach within its ten
 * lookups are asked, so it cannot grow without end however records point at each other.
 */
#ifndef AUTH_SPF_CHECK_H
#define AUTH_SPF_CHECK_H

#include "spf.h"
#include "spf_macro.h"
#include "spf_record.h"

#define SPF_LOOKUPS_MOST 10
#define SPF_VOIDS_MOST 2
#define SPF_HOSTS_MOST 10 /* of an mx, and names of the client */

struct spf_node;

struct spf_lookup { /* of one term */
    const struct spf_term *term;
    bool asked, no_name;        /* no_name: what the macros made of it cannot be asked for, so it does not exist */
    struct str name;            /* expanded */
    struct dns_question *question;
    struct dns_question *hosts[SPF_HOSTS_MOST]; /* mx: of each host's addresses */
    size_t host_count;
    bool hosts_asked;
    struct spf_node *node;      /* include, redirect */
    bool counted;               /* the evaluation came here */
};

enum spf_fetch { SPF_FETCHING, SPF_FETCHED, SPF_FETCHED_NONE, SPF_FETCH_FAILED, SPF_FETCH_WRONG };

struct spf_node {
    size_t id;                  /* its index in check->nodes */
    struct str domain;
    struct dns_question *txt;
    enum spf_fetch fetch;
    struct str why;             /* of failed and wrong */
    struct spf_record record;
    struct spf_lookup *lookups; /* one for each term */
    bool speaks;                /* its exp= counts: the first record, or where that redirects to */
    struct dns_question *exp;   /* NULL until asked */
    size_t reached;             /* the last term that the evaluation came to; record.count: none decided */
    bool redirected;            /* the evaluation took the redirect */
};

struct spf_peer { /* names of the client, for ptr and %{p} */
    bool read, done;
    struct dns_question *ptr, *forward[SPF_HOSTS_MOST];
    struct str name[SPF_HOSTS_MOST];
    bool verified[SPF_HOSTS_MOST];
    size_t count;
};

struct spf_check {
    struct arena *arena;
    struct dns_budget *budget;
    struct spf_request request;
    struct spf_macros macros;   /* without %{d} and %{p} */
    struct spf_node *root;
    struct spf_node **nodes;
    size_t node_count;
    struct spf_peer peer;
    int64_t deadline;           /* of spf_finish */
    unsigned lookups, voids;    /* of the evaluation */
    bool forced;                /* the result is settled, whatever libspf2 makes of it */
    bool done;
    struct spf_answer answer;
};

/* ---- spf_tree.c: asking ---- */

struct spf_node *node_new(struct spf_check *check, struct str domain, bool speaks);

/* tree_grow - take the answers that are there, ask what they lead to; never waits. */
void tree_grow(struct spf_check *check);

/* node_wait, lookup_wait, hosts_wait - the same for one thing, waiting for its answer until check->deadline. */
void node_wait(struct spf_check *check, struct spf_node *node);
const struct dns_answer *lookup_wait(struct spf_check *check, struct spf_node *node, struct spf_lookup *l);
const struct dns_answer *question_wait(struct spf_check *check, struct dns_question *q);
void peer_wait(struct spf_check *check);
bool peer_is_below(const struct spf_check *check, struct str domain); /* a verified name is it, or ends in it */

/* node_ends_at - whether the evaluation of a record ends at this term, for this client. */
bool node_ends_at(const struct spf_check *check, const struct spf_term *term);
struct spf_macros node_macros(struct spf_check *check, const struct spf_node *node);
enum dns_type address_type(const struct spf_check *check);

/* ---- spf_judge.c: libspf2 ---- */

/* judge - evaluate check->root, which has been fetched; sets check->answer.result and problem. */
void judge(struct spf_check *check);

/* check_force - the result is this; the first one counts. */
void check_force(struct spf_check *check, enum auth_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
