/* dmarc_record.c - fuzz target: dmarc_record_read. */
#include "../../milter/auth/dmarc.h"
#include "fuzz.h"

static void check_uris(const struct dmarc_uris *uris)
{
    must(uris->count <= DMARC_URIS_MOST);
    for (size_t i = 0; i < uris->count; i++) {
        struct str uri = uris->items[i];

        must(uri.n > 2 && str_find(uri, ':') < uri.n - 1);
        for (size_t k = 0; k < uri.n; k++)
            must(uri.p[k] > 0x20 && uri.p[k] < 0x7f && !strchr(",;!\"<>\\", uri.p[k]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str text = {(const char *)data, size};
    struct dmarc_record r, again;
    bool is = dmarc_record_read(a, text, &r);

    check_uris(&r.rua);
    check_uris(&r.ruf);
    touch(r.fo);
    must(r.problem != NULL);
    if (!is) {
        must(!r.usable && r.rua.count == 0);
    } else {
        must(memmem(data, size, "DMARC1", 6) != NULL);
        must(r.usable == (*r.problem == '\0'));
        must(r.p <= DMARC_REJECT && r.sp <= DMARC_REJECT && r.np <= DMARC_REJECT);
        must(!r.usable || r.has_p || (r.p == DMARC_NONE && r.rua.count > 0 && !r.has_sp && !r.has_np));
        must(size <= DMARC_RECORD_MOST || !r.usable);
        /* one more unknown tag changes nothing */
        if (size + 20 < DMARC_RECORD_MOST) {
            struct str longer = arena_printf(a, "v=DMARC1; x0=y;%s", "");
            struct buf b = buf_in(a);
            size_t first = str_find(text, ';');

            buf_add(&b, longer);
            buf_add(&b, str_slice(text, first + 1, size));
            must(dmarc_record_read(a, buf_str(&b), &again));
            must(again.usable == r.usable && again.p == r.p && again.sp == r.sp && again.np == r.np &&
                 again.psd == r.psd && again.testing == r.testing && again.rua.count == r.rua.count &&
                 again.strict_spf == r.strict_spf && again.strict_dkim == r.strict_dkim);
        }
    }
    arena_free(&a);
    return 0;
}
