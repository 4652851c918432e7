/* spf_test.h - one check against a scripted DNS, in one line; for spf.c and spf_limits.c. */
#ifndef T_UNIT_SPF_TEST_H
#define T_UNIT_SPF_TEST_H

#include "../../milter/auth/spf.h"
#include "../../milter/auth/spf_macro.h"
#include "../../milter/auth/spf_record.h"
#include "../../milter/base/clock.h"
#include "../lib/tap.h"

#define SENDER "user@a.test"
#define CLIENT "192.0.2.7"

static struct arena *arena;
static struct dns_budget budget;

static inline void script(struct str text)
{
    struct str error = STR("");

    if (!dns_script(STR("zone"), text, false, &error, arena))
        bail(STR_FMT, STR_ARG(error));
}

static inline struct spf_check *begin(const char *client, const char *helo, const char *sender)
{
    struct spf_request request = {.helo = str_of(helo), .sender = str_of(sender), .receiver = STR("mx.here.test")};

    if (client[0] && !ip_parse(str_of(client), &request.client))
        bail("no address: %s", client);
    budget.left = 400;
    return spf_begin(arena, &budget, &request);
}

/* told - an answer in one line: result, mechanism, [explanation], (problem). */
static inline struct str told(const struct spf_answer *answer)
{
    struct buf b = buf_in(arena);

    buf_addf(&b, "%s", auth_words[answer->result]);
    if (answer->mechanism.n)
        buf_addf(&b, " " STR_FMT, STR_ARG(answer->mechanism));
    if (answer->explanation.n)
        buf_addf(&b, " [" STR_FMT "]", STR_ARG(answer->explanation));
    if (answer->problem.n)
        buf_addf(&b, " (" STR_FMT ")", STR_ARG(str_escaped(arena, answer->problem)));
    return buf_str(&b);
}

static inline struct str check(const char *client, const char *helo, const char *sender)
{
    return told(spf_finish(begin(client, helo, sender), clock_ms() + 20000));
}

struct vector {
    const char *zone, *client, *sender, *want;
};

static inline void run(const struct vector *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        script(str_of(v[i].zone));
        is_str(check(v[i].client ? v[i].client : CLIENT, "mx.b.test", v[i].sender ? v[i].sender : SENDER),
               str_of(v[i].want), "%.60s: %.60s", v[i].client ? v[i].client : CLIENT, v[i].zone);
    }
}

#define RUN(list) run(list, sizeof list / sizeof list[0])

/* rule - one TXT record of a.test. */
#define R(record) "a.test TXT \"v=spf1 " record "\"\n"

#endif
