/* dmarc.h - DMARC (RFC 9989): the record, the way to it, alignment, and what follows from them.
 *
 *   HEADERS   dmarc_author_of ─▶ dmarc_walk_ask: _dmarc.a.b.test, _dmarc.b.test, _dmarc.test at once, and
 *             the same for domains that may turn out to be aligned
 *   MESSAGE   dmarc_evaluate ─▶ dmarc_walk_policy: which record; dmarc_walk_org: what is aligned ─▶ pass, fail
 *
 * What is made of a failure (options, evidence, lists) is policies/dmarc.c's; here stands only what the RFC says.
 */
#ifndef AUTH_DMARC_H
#define AUTH_DMARC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/str.h"
#include "../dns/dns.h"
#include "../mail/header.h"
#include "results.h"

/* ---- the record (dmarc_record.c) ---- */

#define DMARC_RECORD_MOST 4096 /* bytes; a longer one applies to nothing */
#define DMARC_URIS_MOST 16     /* of rua and of ruf; the others are ignored */

enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO };

struct dmarc_uris {
    struct str items[DMARC_URIS_MOST]; /* without the obsolete "!10m" */
    size_t count;
};

struct dmarc_record {
    bool usable;       /* false: it is a record, but DMARC does not apply: `problem` says why */
    const char *problem;
    enum dmarc_disposition p, sp, np;
    bool has_p, has_sp, has_np; /* has_p false: "none" for want of a valid p */
    bool strict_dkim, strict_spf;
    bool testing;      /* t=y */
    enum dmarc_psd psd;
    struct str fo;     /* as published when valid; empty: the default */
    struct dmarc_uris rua, ruf;
};

/* dmarc_record_read - false: the text is no DMARC record at all (it does not begin with v=DMARC1). */
bool dmarc_record_read(struct arena *a, struct str text, struct dmarc_record *record);

/* ---- the walk (dmarc_walk.c) ---- */

#define DMARC_WALK_MOST 8       /* questions of one walk, RFC 9989 (4.10) */
#define DMARC_QUESTIONS_MOST 64 /* names asked about one message, for all its walks */

enum dmarc_discovery { DMARC_TREEWALK, DMARC_PSL };

struct dmarc_asked; /* what was asked about one message: walks share their questions */
struct dmarc_walk;

struct dmarc_asked *dmarc_asked_new(struct arena *a, struct dns_budget *budget, enum dmarc_discovery discovery);

/* dmarc_walk_ask - never waits. domain: A-labels, lower-case. The same domain is the same walk. `author`: ask also
 * whether the domain exists (for np). */
struct dmarc_walk *dmarc_walk_ask(struct dmarc_asked *asked, struct str domain, bool author);

enum dmarc_found {
    DMARC_FOUND_NONE,
    DMARC_FOUND,
    DMARC_FOUND_UNKNOWN, /* a temporary error stands in the way */
};

/* dmarc_walk_policy - the record that applies to an author domain, and where it is (4.10.1). */
enum dmarc_found dmarc_walk_policy(struct dmarc_walk *walk, int64_t deadline, const struct dmarc_record **record,
                                   struct str *at);

/* dmarc_walk_org - the organisational domain (4.10.2); false: a temporary error stands in the way. */
bool dmarc_walk_org(struct dmarc_walk *walk, int64_t deadline, struct str *org);

/* dmarc_org_of - the same for any domain, asking only what is needed. */
bool dmarc_org_of(struct dmarc_asked *asked, struct str domain, int64_t deadline, struct str *org);

/* dmarc_walk_exists - whether the name exists in the DNS; unknown only after a temporary error. Of an author's walk. */
enum dmarc_found dmarc_walk_exists(struct dmarc_walk *walk, int64_t deadline);

/* ---- the author (dmarc_author.c) ---- */

/* dmarc_author_of - the one domain of all addresses in the one From field, as A-labels, also when the field is malformed
 * otherwise; false: there is none, and *problem says why. */
bool dmarc_author_of(struct arena *a, const struct headers *headers, struct str *domain, const char **problem);

/* ---- the result (dmarc_evaluate.c) ---- */

struct dmarc_evaluation {
    enum auth_result result;            /* none, pass, fail, temperror, permerror */
    const struct dmarc_record *record;  /* that applies; NULL: none */
    struct str record_domain, org_domain;
    enum dmarc_disposition published;   /* p, sp or np; t= not applied */
    bool spf_aligned, dkim_aligned;     /* a pass of it is aligned */
    const char *problem;
};

/* dmarc_likely - whether it is worth asking early for the walk of a domain that may be authenticated. */
bool dmarc_likely(struct str author, struct str domain);

/* dmarc_evaluate - from what SPF and DKIM found. A null sender's SPF domain is that of HELO. */
struct dmarc_evaluation dmarc_evaluate(struct dmarc_asked *asked, struct str author, const struct auth_results *results,
                                       bool null_sender, int64_t deadline);

/* dmarc_lowered - one level down, as t=y wants it. */
enum dmarc_disposition dmarc_lowered(enum dmarc_disposition d);

extern const char *const dmarc_words[]; /* "none" "quarantine" "reject"; NULL-terminated */

/* ---- what other policies may ask (policies/dmarc.c) ---- */

struct context;

/* dmarc_record_exists - whether a DMARC record applies to the message of this context, at AT_HEADERS or later: waits
 * for DNS as long as the policy dmarc would. No author domain: DMARC_FOUND_NONE. */
enum dmarc_found dmarc_record_exists(struct context *c);

/* dmarc_note - give an evaluated message (pass or fail) to the store of the aggregate reports, unless it belongs to
 * their exchange itself (dmarc_note.c). */
struct message;
struct dmarc_options;
void dmarc_note(const struct message *m, const struct dmarc_evaluation *e, const struct dmarc_options *options);

#include "../base/banned.h"
#endif
