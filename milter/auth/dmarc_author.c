/* dmarc_author.c - the author domain of a message (RFC 9989, 5.3.1). */
#include "../mail/address.h"
#include "../mail/domain.h"
#include "dmarc.h"

static bool none(const char **problem, const char *why)
{
    *problem = why;
    return false;
}

bool dmarc_author_of(struct arena *a, const struct headers *headers, struct str *domain, const char **problem)
{
    const struct header *from = header_find(headers, STR("From"), 0);
    struct mailbox_list list;

    *domain = STR_NONE;
    if (!from)
        return none(problem, "there is no From field");
    if (header_find(headers, STR("From"), 1))
        return none(problem, "there are several From fields");
    list = mailboxes_parse(a, from->value);
    if (!list.well_formed)
        return none(problem, "the From field is malformed");
    if (list.count == 0)
        return none(problem, "the From field has no address");
    for (size_t i = 0; i < list.count; i++) {
        struct str ascii;

        if (!domain_to_ascii(a, list.domains[i], &ascii) || !domain_is_hostname(ascii, false))
            return none(problem, "an address in From has no valid domain");
        if (ascii.n > 1 && ascii.p[ascii.n - 1] == '.')
            ascii.n--;
        ascii = str_lower(a, ascii);
        if (i > 0 && !str_is(ascii, *domain)) {
            *domain = STR_NONE;
            return none(problem, "From has addresses of several domains");
        }
        *domain = ascii;
    }
    return true;
}
