/* pattern.c - fuzz target: pattern_add and pattern_find. The first byte chooses the kind of list; entries follow, one a
 * line, up to an empty line; then addresses, one a line. */
#include "../../milter/mail/pattern.h"
#include "fuzz.h"

static void find(const struct pattern_list *list, const struct pattern_pairs *pairs, struct str address)
{
    const struct pattern *p = pattern_find(list, address);

    must(!p || (p >= list->items && p < list->items + list->count));
    if (p && p->written.p[0] != '/')
        must(p->written.n <= address.n + 1 || p->written.p[0] == '.' || p->written.p[0] == '@');
    pattern_pair_find(pairs, address, address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str rest = {(const char *)data, size}, line;
    enum pattern_of of = size && (data[0] & 1) ? PATTERN_HOSTS : PATTERN_ADDRESSES;
    bool bare = size && (data[0] & 2);
    struct pattern_list list = {0};
    struct pattern_pairs pairs = {0};

    rest = str_slice(rest, 1, rest.n);
    while (str_split(&rest, '\n', &line) && line.n && list.count < 50) {
        struct str error = STR_NONE;
        size_t before = list.count;
        bool good = pattern_add(a, &list, of, bare, line, &error);

        touch(error);
        must(list.count == before + good && good == (error.n == 0));
        if (good) {
            const struct pattern *p = &list.items[before];

            touch(p->written);
            touch(p->text);
            must(p->written.n > 0);
            /* What is written without slashes, and names one address or host, is found. */
            if (p->written.p[0] != '/' && p->written.p[0] != '.')
                must(pattern_find(&list, p->written));
        }
        error = STR_NONE;
        before = pairs.count;
        good = pattern_pair_add(a, &pairs, line, &error);
        must(pairs.count == before + good && good == (error.n == 0));
    }
    for (int i = 0; i < 50 && str_split(&rest, '\n', &line); i++)
        find(&list, &pairs, line);
    arena_free(&a);
    return 0;
}
