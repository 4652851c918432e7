/* domain.c - fuzz target: domain_is_hostname, domain_literal, domain_is_or_below, domain_to_ascii. Two names, split at the first LF. */
#include "../../milter/mail/domain.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str both = {(const char *)data, size}, name = str_slice(both, 0, str_find(both, '\n'));
    struct str other = str_slice(both, name.n + 1, both.n);
    bool ascii = domain_is_hostname(name, false), utf8 = domain_is_hostname(name, true);
    struct str dns, dns_again;
    struct ip ip, again;

    must(!ascii || utf8);
    must(!domain_is_fqdn(name) || utf8);
    must(!utf8 || (name.n > 0 && name.n <= 254));
    if (utf8) {
        must(domain_is_or_below(name, name));
        must(!ip_parse(name, &ip) || !domain_is_fqdn(name));
    }
    if (domain_literal(name, &ip)) {
        must(ip.known && !utf8);
        must(ip_parse(ip_text(a, ip), &again) && ip_equal(ip, again));
    }
    if (domain_is_or_below(name, other)) {
        must(other.n > 0 && name.n + 1 >= other.n);
        must(name.n > other.n + 1 || domain_is_or_below(other, name) || name.p[0] == '.' || name.n == other.n + 1);
    }
    if (domain_to_ascii(a, name, &dns)) {
        must(domain_is_hostname(dns, false) && dns.n <= 253 && dns.p[dns.n - 1] != '.');
        must(domain_to_ascii(a, dns, &dns_again) && str_is(dns, dns_again));
        must(name.n <= DOMAIN_WRITTEN_MOST);
    } else {
        must(dns.n == 0 && !ascii);
    }
    arena_free(&a);
    return 0;
}
