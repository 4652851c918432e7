/* address.c - fuzz target: address_parse. */
#include "../../milter/mail/address.h"
#include "../../milter/mail/domain.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str path = {(const char *)data, size};
    struct address one = address_parse(a, path), again;
    struct ip ip;

    touch(one.raw);
    touch(one.text);
    touch(one.local);
    touch(one.domain);
    must(one.raw.n == (size > 2048 ? 2048 : size));
    must(one.text.n <= one.raw.n && one.local.n + one.domain.n <= one.raw.n);
    must(str_is(one.domain, str_lower(a, one.domain)));
    must(one.domain.n == 0 || one.domain.p[one.domain.n - 1] != '.');
    must(one.domain.n == 0 || str_ends_nocase(one.text, one.domain));
    if (one.well_formed) {
        must(one.domain.n == 0 || domain_is_hostname(one.domain, true) || domain_literal(one.domain, &ip));
        for (size_t i = 0; i < one.text.n; i++)
            must((unsigned char)one.text.p[i] >= 0x20 && one.text.p[i] != 0x7f);
        again = address_parse(a, arena_printf(a, "<" STR_FMT ">", STR_ARG(one.text)));
        must(again.well_formed && str_is(again.text, one.text) && str_is(again.local, one.local) &&
             str_is(again.domain, one.domain));
    }
    arena_free(&a);
    return 0;
}
