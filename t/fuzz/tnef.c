/* tnef.c - fuzz target: a winmail.dat, decoded as the worker's job does. What comes out is what the daemon takes, or a
 * reason why not. */
#include "fuzz.h"

#include "../../milter/mail/winmail.h"
#include "../../milter/worker.h"
#include "../../milter/worker_frame.h"
#include "../../milter/worker_server.h"

/* libytnef leaks; a job ends with the one winmail.dat that it reads. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* raw - what the daemon sees of one that cannot be opened. */
static void raw(struct arena *a, struct str bytes)
{
    struct headers headers = {0};
    struct mime *m = mime_read(a, &headers, STR_NONE);

    winmail_add_raw(m, bytes);
    must(m->count <= 1 + 2 * TNEF_PARTS_MOST);
    for (const struct mime_part *p = m->first; p; p = p->next) {
        touch(p->raw);
        for (size_t i = 0; i < p->names.count; i++)
            touch(p->names.items[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str why = STR_NONE, none;
    struct buf b = buf_in(a);
    struct tnef_content content;
    struct frame f;

    raw(a, (struct str){(const char *)data, size});
    frame_begin(&b, FRAME_ANSWER);
    if (worker_kind_tnef.run(a, (struct str){(const char *)data, size}, 1000, &b, &why)) {
        must(frame_read(frame_end(&b), FRAME_TNEF_MOST, &f) == FRAME_WHOLE);
        must(worker_tnef_answer(a, f.payload, &content, &none));
    } else {
        must(why.n > 0);
    }
    arena_free(&a);
    return 0;
}
