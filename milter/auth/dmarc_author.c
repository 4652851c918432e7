/* dmarc_author.c - the author domain of a message (RFC 9989, 5.3.1).
 *
 * A field that is malformed still has an author, whom its readers see: "Smith, John <joe@a.test>". So what counts is
 * whether all addresses that can be made out in it are of one domain; otherwise whoever forges a domain would only have
 * to add a semicolon to be out of reach of its policy.
 */
#include "../mail/address.h"
#include "../mail/domain.h"
#include "dmarc.h"

#define READABLE_MOST 256 /* mailboxes that mailboxes_parse lists: behind them may stand anything */

static bool none(const char **problem, const char *why)
{
    *problem = why;
    return false;
}

/* is_all - nothing of a malformed field was left out of the list. */
static bool is_all(const struct mailbox_list *list, struct str value)
{
    size_t signs = 0;

    for (size_t i = 0; i < value.n; i++)
        signs += value.p[i] == '@';
    return list->well_formed || (list->count < READABLE_MOST && signs < READABLE_MOST);
}

bool dmarc_author_of(struct arena *a, const struct headers *headers, struct str *domain, const char **problem)
{
    const struct header *from = header_find(headers, STR("From"), 0);
    struct mailbox_list list;
    struct str found = STR_NONE;

    *domain = STR_NONE;
    if (!from)
        return none(problem, "there is no From field");
    if (header_find(headers, STR("From"), 1))
        return none(problem, "there are several From fields");
    list = mailboxes_parse(a, from->value);
    if (!is_all(&list, from->value))
        return none(problem, "the From field is malformed");
    for (size_t i = 0; i < list.count; i++) {
        struct str ascii;

        if (list.domains[i].n == 0)
            continue; /* no address: a word of a name that should have been quoted */
        if (!domain_to_ascii(a, list.domains[i], &ascii))
            return none(problem, "an address in From has no valid domain");
        if (found.n && !str_is(ascii, found))
            return none(problem, "From has addresses of several domains");
        found = ascii;
    }
    if (found.n == 0)
        return none(problem, list.well_formed ? "the From field has no address" : "the From field is malformed");
    *domain = found;
    return true;
}
