/* results.c - the words, and where a message keeps its results. */
#include "../message.h"
#include "results.h"

const char *const auth_words[] = {"none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror", NULL};

struct auth_results *auth_results_of(struct message *m)
{
    if (!m->auth)
        m->auth = arena_zalloc(m->arena, sizeof *m->auth);
    return m->auth;
}
