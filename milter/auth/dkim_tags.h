/* dkim_tags.h - private to DKIM: signatures and key records, read strictly (RFC 6376, 3.2, 3.5, 3.6.1). A stranger's
 * bytes: capped and fuzzed. */
#ifndef AUTH_DKIM_TAGS_H
#define AUTH_DKIM_TAGS_H

#include "dkim.h"

#define DKIM_TAGS_MOST 40
#define DKIM_FIELD_MOST 16384  /* bytes of a signature */
#define DKIM_RECORD_MOST 16384 /* bytes of a key record */
#define DKIM_H_MOST 4000       /* bytes of h=: the library cuts it at 4096 */
#define DKIM_KEY_MOST 1000     /* bytes of a key as base64: the library has room for 1024 of a record */

struct dkim_tag {
    struct str name, value; /* trimmed; views */
};

struct dkim_tags {
    struct dkim_tag items[DKIM_TAGS_MOST];
    size_t count;
};

/* dkim_tags_parse - false when it is no tag list: another character, a tag without name or twice, too many. */
bool dkim_tags_parse(struct str text, struct dkim_tags *tags);
const struct str *dkim_tag(const struct dkim_tags *tags, const char *name); /* NULL: not there */

/* dkim_decode - base64 with white space between, padding required; false when it is none. */
bool dkim_decode(struct arena *a, struct str text, struct str *bytes);

struct dkim_signature {
    struct str domain;   /* d= as A-labels, lower-case; empty when it could not be read */
    struct str written;  /* d= as written */
    struct str selector; /* s= */
    struct str key_name; /* to ask for: lower-case A-labels */
    struct str identity; /* i=, or "@" and the domain */
    struct str word;     /* a= in lower-case */
    struct str b;        /* its first 8 bytes */
    enum dkim_algorithm algorithm;
    bool sha1;
    bool is_ascii;       /* the library can read it */
    long length;         /* l=; -1: the whole body is signed */
    bool relaxed_body;   /* c= */
    size_t names;        /* of fields in h= */
    size_t from;         /* of them, From */
    const char *problem; /* NULL: well-formed */
    enum auth_result result; /* with a problem */
};

/* dkim_signature_parse - the value of the field. What could be read is there also with a problem. */
void dkim_signature_parse(struct arena *a, struct str value, struct dkim_signature *s);

struct dkim_public {
    struct str p;            /* base64 without white space */
    unsigned bits;           /* of RSA */
    bool testing;            /* t=y */
    bool strict;             /* t=s: i= must be of d= itself */
    const char *problem;     /* NULL: to be tried */
    enum auth_result result; /* with a problem */
};

/* dkim_public_parse - the key record, for a signature of that algorithm. */
void dkim_public_parse(struct arena *a, struct str record, enum dkim_algorithm algorithm, struct dkim_public *key);

#include "../base/banned.h"
#endif
