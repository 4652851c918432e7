/* report_rua.c - URIs of destinations, and agreements to be one. */
#include "../mail/domain.h"
#include "../mail/suffix.h"
#include "report_rua.h"

#define VALUE_MOST 8192 /* bytes of a rua tag that are looked at */
#define LOCAL_MOST 64   /* RFC 5321, 4.5.3.1.1 */

static bool is_atext(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_dot_atom(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_atext(s.p[i]) && !(s.p[i] == '.' && i > 0 && i + 1 < s.n && s.p[i - 1] != '.'))
            return false;
    return s.n > 0;
}

/* A program would take a leading "-" for an option, and some deliver to what begins with "|" or "/". */
bool rua_address_valid(struct str address)
{
    size_t at = str_rfind(address, '@');
    struct str local = str_slice(address, 0, at), domain = str_slice(address, at + 1, address.n);

    return local.n <= LOCAL_MOST && is_dot_atom(local) && !strchr("-|/", local.p[0]) && domain.n <= 253
           && domain_is_hostname(domain, false) && domain_is_fqdn(domain) && domain.p[domain.n - 1] != '.'
           && domain.p[0] != '-';
}

/* unquote - %41 is A; false when a % is followed by something else. */
static bool unquote(struct arena *a, struct str uri, struct str *text)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < uri.n; i++) {
        if (uri.p[i] != '%') {
            buf_addc(&b, uri.p[i]);
            continue;
        }
        if (i + 2 >= uri.n || str_hex(uri.p[i + 1]) < 0 || str_hex(uri.p[i + 2]) < 0)
            return false;
        buf_addc(&b, (char)(str_hex(uri.p[i + 1]) * 16 + str_hex(uri.p[i + 2])));
        i += 2;
    }
    *text = buf_str(&b);
    return true;
}

/* bare - without "!10m", a limit that RFC 7489 had, and without "?subject=...". In an address both bytes are written
 * as %21 and %3F. */
static struct str bare(struct str uri)
{
    uri = str_slice(uri, 0, str_find(uri, '!'));
    return str_trim(str_slice(uri, 0, str_find(uri, '?')));
}

static bool has(const struct rua *rua, struct str address)
{
    for (size_t i = 0; i < rua->count; i++)
        if (str_is(rua->addresses[i], address))
            return true;
    return false;
}

static bool read_uri(struct arena *a, struct str uri, struct str *address)
{
    size_t at;

    uri = bare(uri);
    if (!str_starts_nocase(uri, STR("mailto:"))
        || !unquote(a, str_slice(uri, 7, uri.n), address) || !rua_address_valid(*address))
        return false;
    at = str_rfind(*address, '@') + 1;
    *address = arena_printf(a, STR_FMT STR_FMT, STR_ARG(str_slice(*address, 0, at)),
                            STR_ARG(str_lower(a, str_slice(*address, at, address->n))));
    return true;
}

void rua_parse(struct arena *a, struct str value, struct rua *rua)
{
    struct str rest = str_slice(value, 0, VALUE_MOST), uri, address;

    *rua = (struct rua){.count = 0};
    while (str_split(&rest, ',', &uri)) {
        uri = str_trim(uri);
        if (uri.n == 0)
            continue;
        if (rua->count == RUA_MOST || !read_uri(a, uri, &address)) {
            rua->ignored++;
        } else if (!has(rua, address)) {
            rua->domains[rua->count] = str_slice(address, str_rfind(address, '@') + 1, address.n);
            rua->addresses[rua->count++] = address;
        }
    }
}

/* The tree walk and the public suffix list must both say that it is the same owner's: where they differ somebody's
 * mailbox could be flooded, and the price of asking is one question. */
bool rua_is_external(struct str policy_domain, struct str org_domain, struct str domain)
{
    if (str_is_nocase(policy_domain, domain))
        return false;
    if (org_domain.n == 0 || !domain_is_or_below(policy_domain, org_domain))
        return true; /* the policy stands above organisations, at a public suffix */
    return !domain_is_or_below(domain, org_domain) || !domain_same_organization(policy_domain, domain);
}

bool rua_agreement(struct str text, struct str *rua)
{
    struct str rest = str_slice(text, 0, VALUE_MOST), part;
    bool first = true, named = false;

    *rua = STR_NONE;
    while (str_split(&rest, ';', &part)) {
        size_t at = str_find(part, '=');
        struct str name = str_trim(str_slice(part, 0, at)), value = str_trim(str_slice(part, at + 1, part.n));

        if (first && (!str_is(name, STR("v")) || !str_is(value, STR("DMARC1"))))
            return false;
        if (!first && at == part.n && str_trim(part).n)
            return false;
        if (!first && !named && str_is_nocase(name, STR("rua"))) {
            *rua = value;
            named = true;
        }
        first = false;
    }
    return !first;
}
