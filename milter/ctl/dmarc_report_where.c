/* dmarc_report_where.c - the destinations of a report, and whether those of others agreed to get it (RFC 9990). */
#include "../base/clock.h"
#include "../dns/dns.h"
#include "dmarc_report.h"

#define NAME_MOST 253

static bool has(const struct wheres *wheres, struct str address)
{
    for (size_t i = 0; i < wheres->count; i++)
        if (str_is(wheres->items[i].address, address))
            return true;
    return false;
}

static struct where *add(struct wheres *wheres, struct str address)
{
    struct where *to;

    if (wheres->count == sizeof wheres->items / sizeof wheres->items[0] || has(wheres, address))
        return NULL;
    to = &wheres->items[wheres->count++];
    *to = (struct where){.address = address};
    to->domain = str_slice(address, str_rfind(address, '@') + 1, address.n);
    return to;
}

/* The file is no stranger's, but somebody may have written into it: addresses are looked at again. */
void wheres_ask(struct arena *a, const struct dmarc_report *r, struct wheres *wheres)
{
    struct str rest = r->rua, address, name;

    wheres->count = 0;
    while (wheres->count < RUA_MOST && str_token(&rest, &address)) {
        struct where *to = rua_address_valid(address) ? add(wheres, address) : NULL;

        if (!to || !rua_is_external(r->published.domain, r->org_domain, to->domain))
            continue;
        to->external = true;
        name = arena_printf(a, STR_FMT "._report._dmarc." STR_FMT, STR_ARG(r->published.domain), STR_ARG(to->domain));
        if (name.n <= NAME_MOST)
            to->question = dns_ask(a, NULL, name, DNS_TXT);
    }
}

static void refuse(struct where *to, const char *why)
{
    to->state = WHERE_REFUSED;
    to->why = str_of(why);
}

/* instead - the agreement names other addresses: they are used if all are of the same host, since otherwise one domain
 * could send our reports to the next. */
static void instead(struct arena *a, struct wheres *wheres, size_t at, struct str value)
{
    struct rua rua;

    rua_parse(a, value, &rua);
    for (size_t i = 0; i < rua.count; i++)
        if (!str_is_nocase(rua.domains[i], wheres->items[at].domain)) {
            refuse(&wheres->items[at], "its agreement names an address of another host");
            return;
        }
    if (rua.count == 0) {
        refuse(&wheres->items[at], "its agreement names an address that cannot be used");
        return;
    }
    for (size_t i = 0; i < rua.count; i++) {
        if (str_is(rua.addresses[i], wheres->items[at].address))
            return; /* it wants them here, too */
        add(wheres, rua.addresses[i]);
    }
    refuse(&wheres->items[at], "its agreement names another address of its own");
}

static void judge(struct arena *a, struct wheres *wheres, size_t at, int64_t deadline)
{
    struct where *to = &wheres->items[at];
    const struct dns_answer *answer;
    bool agreed = false;
    struct str value = STR_NONE, one;

    if (!to->question) {
        refuse(to, "its domain cannot be asked whether it agrees: the name would be too long");
        return;
    }
    answer = dns_harvest(to->question, deadline);
    if (answer->status == DNS_FAIL) {
        to->state = WHERE_UNKNOWN;
        to->why = arena_printf(a, "whether its domain agrees is not known: %s", answer->why);
        return;
    }
    for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
        if (rua_agreement(answer->records[i].text, &one)) {
            agreed = true;
            value = value.n ? value : one;
        }
    if (!agreed)
        refuse(to, "its domain does not agree to get reports about this one");
    else if (value.n)
        instead(a, wheres, at, value);
}

void wheres_harvest(struct arena *a, struct wheres *wheres, int64_t deadline)
{
    size_t count = wheres->count; /* what is added has been agreed to */

    for (size_t i = 0; i < count; i++)
        if (wheres->items[i].external)
            judge(a, wheres, i, deadline);
}
