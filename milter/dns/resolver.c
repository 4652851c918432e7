/* resolver.c - placeholder until the real one lands in this tree. */
#include "resolver.h"

bool resolver_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena)
{
    (void)settings;
    (void)error;
    (void)error_arena;
    return true;
}

bool resolver_configure(const struct dns_settings *settings, struct str *error, struct arena *error_arena)
{
    return resolver_start(settings, error, error_arena);
}

void resolver_stop(void)
{
}

void resolver_ask(struct entry *e)
{
    struct dns_answer failed = {.status = DNS_FAIL, .why = "no server"};

    (void)failed;
    (void)e;
}

void resolver_count(struct dns_counters *c)
{
    (void)c;
}
