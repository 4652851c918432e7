/* rua.c - fuzz target: where a domain wants its reports, and whether the destination agrees. What comes out is handed
 * to a program and written into a header. */
#include "../../milter/auth/report_rua.h"
#include "fuzz.h"

/* is_plain - one word that no header or option parser takes for more. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || strchr("\"\\<>(),;:", s.p[i]))
            return false;
    return s.n > 0 && s.p[0] != '-';
}

static void check(struct arena *a, struct str value)
{
    struct rua rua;

    rua_parse(a, value, &rua);
    must(rua.count <= RUA_MOST);
    for (size_t i = 0; i < rua.count; i++) {
        must(is_plain(rua.addresses[i]) && is_plain(rua.domains[i]));
        must(rua_address_valid(rua.addresses[i]));
        must(str_ends_nocase(rua.addresses[i], rua.domains[i]));
        for (size_t k = 0; k < i; k++)
            must(!str_is(rua.addresses[i], rua.addresses[k]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, said = STR_NONE;
    struct arena *a = arena_new(0);

    check(a, text);
    if (rua_agreement(text, &said)) {
        touch(said);
        check(a, said);
    }
    if (rua_address_valid(text))
        must(is_plain(text));
    arena_free(&a);
    return 0;
}
