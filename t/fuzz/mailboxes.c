/* mailboxes.c - fuzz target: mailboxes_parse. */
#include "../../milter/mail/address.h"
#include "fuzz.h"

/* is_plain - nothing in it that quotes, comments or separates. */
static bool is_plain(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '-' && value.p[i] != ' ')
            return false;
        else if (strchr("\\[]<>,;:", value.p[i]))
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str value = {(const char *)data, size};
    struct mailbox_list list = mailboxes_parse(a, value);
    size_t signs = 0;

    must(list.count <= 256);
    for (size_t i = 0; i < list.count; i++) {
        struct str domain = list.domains[i], address = list.addresses[i];

        touch(domain);
        touch(address);
        must(str_is(domain, str_lower(a, domain)));
        must(domain.n == 0 || (str_ends_nocase(address, domain) && address.p[address.n - domain.n - 1] == '@'));
        must(!list.well_formed || domain.n > 0);
        must(domain.n == 0 || (domain.p[0] != '.' && domain.p[domain.n - 1] != '.'));
    }
    for (size_t i = 0; i < value.n; i++)
        signs += value.p[i] == '@';
    /* No address is overlooked, and none is made up: without an @ there is no domain. */
    must(!list.well_formed || signs > 0 || list.count == 0);
    must(!is_plain(value) || list.count >= (signs < 256 ? signs : 256));
    if (list.well_formed && list.count > 0 && list.addresses[0].n < 1000) {
        struct mailbox_list again = mailboxes_parse(a, list.addresses[0]);

        must(again.well_formed && again.count == 1 && str_is(again.addresses[0], list.addresses[0]));
    }
    arena_free(&a);
    return 0;
}
