/* header.c - fuzz target: headers_split and header_unfold. */
#include "../../milter/mail/header.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str message = {(const char *)data, size}, body;
    struct headers h;
    size_t count = 0, bytes = 0;

    headers_split(a, message, &h, &body);
    touch(body);
    must(body.n == 0 || body.p + body.n == message.p + message.n);
    for (const struct header *one = h.first; one; one = one->next) {
        struct str line = header_unfold(a, one->value);

        count++;
        bytes += one->name.n + one->value.n;
        touch(one->value);
        must(one->name.n > 0 && one->value.n + line.n <= 2 * one->value.n);
        for (size_t i = 0; i < one->name.n; i++)
            must(one->name.p[i] > 0x20 && one->name.p[i] < 0x7f && one->name.p[i] != ':');
        must(str_find(line, '\n') == line.n && str_find(line, '\r') == line.n);
        must(str_is(str_trim(line), line));
        must(str_is(header_unfold(a, line), line));
        must(header_find(&h, one->name, 0) != NULL);
        must(one->next || one == h.last);
        if (count > 200) /* header_find makes this quadratic */
            break;
    }
    must(count > 200 || (count == h.count && bytes == h.bytes));
    must(h.bytes + body.n <= size);
    arena_free(&a);
    return 0;
}
