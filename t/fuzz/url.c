/* url.c - fuzz target: links_from_html, links_from_text, links_from_value, url_host. */
#include "../../milter/mail/domain.h"
#include "../../milter/mail/url.h"
#include "fuzz.h"

static void check(const struct links *l)
{
    must(l->count <= LINKS_MOST);
    for (size_t i = 0; i < l->count; i++) {
        const struct link *one = &l->items[i];
        struct ip ip;

        touch(one->host);
        must(one->host.n > 0 && one->asked.n > 0 && one->asked.n <= one->host.n);
        if (one->ip.known) {
            must(ip_parse(one->host, &ip) && ip_equal(ip, one->ip));
            continue;
        }
        must(domain_is_hostname(one->host, false));
        must(str_ends_nocase(one->host, one->asked));
        for (size_t k = 0; k < one->host.n; k++)
            must(!(one->host.p[k] >= 'A' && one->host.p[k] <= 'Z'));
        for (size_t k = i + 1; k < l->count && k < i + 20; k++)
            must(!str_is(one->host, l->items[k].host));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str text = {(const char *)data, size}, host;
    struct links l = links_in(a);
    struct ip ip;
    size_t html;

    links_from_html(&l, text);
    check(&l);
    html = l.count;
    links_from_html(&l, text);
    must(html == l.count);
    links_from_text(&l, text);
    links_from_value(&l, text, true);
    links_from_value(&l, text, false);
    check(&l);
    if (url_host(a, text, &host, &ip)) {
        struct str again;
        struct ip ip_again;

        must(ip.known || domain_is_hostname(host, false));
        if (!ip.known || ip_is_v4(ip))
            must(url_host(a, host, &again, &ip_again) && str_is(host, again));
        url_is_public_name(host);
    }
    arena_free(&a);
    return 0;
}
