/* table_test.c - the policies of policies/table.c and two that only tests have: test_wait and test_body. */
#include <poll.h>
#include <time.h>

#include "milter/policy.h"

#include "milter/base/waiting.h"
#include "milter/spool.h"

/* The shipped table under other names; its list POLICIES() is what is wanted. */
#define policy_table shipped_table
#define policy_table_count shipped_table_count
#include "policies/table.c"
#undef policy_table
#undef policy_table_count

struct test_wait_options {
    int64_t delay;
};

static const struct option test_wait_rows[] = {
    OPT_DURATION(struct test_wait_options, delay, "0", 0, 60000, "how long MAIL waits"),
    OPTION_END,
};

static struct finding test_wait_mail(struct context *c)
{
    const struct test_wait_options *o = OPTIONS(struct test_wait_options, c);

    if (o->delay > 0) {
        waiting_begin();
        poll(NULL, 0, (int)o->delay);
        waiting_end();
    }
    return NO_OPINION;
}

static const struct policy policy_test_wait = {
    .name = "test_wait",
    .summary = "wait at MAIL, as a slow lookup would",
    .options = test_wait_rows,
    .options_size = sizeof(struct test_wait_options),
    .at = {[AT_MAIL] = test_wait_mail},
};

/* test_body - good, with the size of the body that was kept; unsure when it could not be. */
static struct finding test_body_message(struct context *c)
{
    struct str body;

    if (!c->message->spool || !spool_view(c->message->spool, &body))
        return unsure(c, "the body is not there");
    fact_set(c, FACT_COUNT, arena_printf(c->arena, "%zu", body.n));
    return good(c);
}

static const struct policy policy_test_body = {
    .name = "test_body",
    .summary = "look at the body",
    .at = {[AT_MESSAGE] = test_body_message},
    .wants_body = true,
};

const struct policy *const policy_table[] = {POLICIES(LIST) &policy_test_wait, &policy_test_body};
const size_t policy_table_count = sizeof policy_table / sizeof policy_table[0];
