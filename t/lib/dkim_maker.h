/* dkim_maker.h - keys and signatures made for tests, by OpenSSL and by libopendkim, not by what is tested. */
#ifndef T_DKIM_MAKER_H
#define T_DKIM_MAKER_H

#include "../../milter/mail/header.h"

/* maker_rsa, maker_ed25519 - a new private key as PEM. maker_public - the p= of a PEM key. */
struct str maker_rsa(struct arena *a, unsigned bits);
struct str maker_ed25519(struct arena *a);
struct str maker_public(struct arena *a, struct str pem);
struct str maker_huge_public(struct arena *a, unsigned bits); /* of an RSA key that nobody could generate in a test */

/* maker_txt - a line of a zone file for dns_script(), the text in strings of at most 255 bytes. */
struct str maker_txt(struct arena *a, const char *name, struct str text);

struct maker {
    const char *domain, *selector;
    struct str pem;
    const char *algorithm;          /* NULL: rsa-sha256 */
    bool simple_header, simple_body; /* otherwise relaxed */
    long length;                    /* of l=; 0: without */
    long long at;                   /* t=; 0: now */
    unsigned long long ttl;         /* x= is so much later; 0: without */
    const char *const *oversign;    /* NULL-terminated; NULL: nothing */
};

/* maker_sign - the value of a DKIM-Signature field for the message, folded with LF, with a blank before it. */
struct str maker_sign(struct arena *a, const struct maker *m, const struct headers *headers, struct str body);

/* maker_verify - whether libopendkim alone finds the topmost DKIM-Signature of the message good with that key record.
 * */
bool maker_verify(struct arena *a, const struct headers *headers, struct str body, struct str record);

#endif
