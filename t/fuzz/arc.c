/* arc.c - fuzz target: ARC fields, their tags, and all that is hashed of a message. No key is ever found. */
#include "../../milter/auth/arc.h"
#include "../../milter/auth/arc_tags.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arc_tags tags;
    struct arena *a = arena_new(0);
    struct str message = {(const char *)data, size}, body, bytes;
    struct headers h;
    struct arc *arc;

    if (arc_tags_read(message, &tags))
        for (size_t i = 0; i < tags.count; i++) {
            touch(tags.items[i].whole);
            must(tags.items[i].name.n > 0 && tags.items[i].value.n <= tags.items[i].whole.n);
        }
    if (arc_base64(a, message, &bytes))
        must(bytes.n > 0 && bytes.n <= size);
    headers_split(a, message, &h, &body);
    arc = arc_begin(a, NULL, &h);
    if (arc) {
        enum auth_result result = arc_finish(arc, &h, body, 0);

        must(result == AUTH_FAIL || result == AUTH_TEMPERROR);
        must(*arc_problem(arc) != '\0' && arc_count(arc) <= ARC_SETS_MOST);
        for (unsigned i = 0; i <= arc_count(arc) + 1; i++) {
            touch(arc_sealer(arc, i));
            touch(arc_results(arc, i));
        }
        arc_vouches(arc, NULL, 0, STR("a.test"));
    }
    arena_free(&a);
    return 0;
}
