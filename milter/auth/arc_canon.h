/* arc_canon.h - the two canonicalisations of RFC 6376 (3.4), straight into a hash. */
#ifndef AUTH_ARC_CANON_H
#define AUTH_ARC_CANON_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "../mail/header.h"

/* arc_hash_field - one field. without: a part of its value that is left out (b=), or empty. last: no line end behind
 * it. */
void arc_hash_field(EVP_MD_CTX *hash, struct arena *a, const struct header *field, struct str without, bool relaxed,
                    bool last);
void arc_hash_body(EVP_MD_CTX *hash, struct str body, bool relaxed);

#include "../base/banned.h"
#endif
