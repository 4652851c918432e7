/* dkim_lib.h - private to DKIM: libopendkim, which canonicalises, hashes and compares. */
#ifndef AUTH_DKIM_LIB_H
#define AUTH_DKIM_LIB_H

#include "dkim_tags.h"

/* One signature that may pass. */
struct dkim_trial {
    const struct header *field;
    const struct dkim_signature *signature;
    const struct dkim_public *key;
    enum auth_result result; /* pass, fail, permerror, temperror: as the library has it, before our rules */
    const char *problem;
};

/* dkim_lib_try - all of one message. */
void dkim_lib_try(struct arena *a, const struct headers *headers, struct str body, struct dkim_trial *trials,
                  size_t count);

#include "../base/banned.h"
#endif
