/* mime.c - fuzz target: mime_read, mime_each, mime_decode, mime_text, mime_word. The input is a message. */
#include "../../milter/mail/mime.h"
#include "fuzz.h"

struct seen {
    const struct mime *mime;
    size_t count, bytes;
};

static bool see(void *data, const struct mime_part *part)
{
    struct seen *s = data;
    struct arena *a = arena_new(0);
    struct str bytes, head;
    unsigned reading = 0;

    must(part->leaf);
    must(part->coding < MIME_CODINGS && part->type.n < 100000);
    touch(part->raw);
    touch(part->type);
    touch(part->charset);
    for (size_t i = 0; i < part->names.count; i++)
        touch(part->names.items[i]);
    for (; mime_decode(a, part, MIME_DECODED_MOST, reading, &bytes); reading++) {
        touch(bytes);
        must(bytes.n <= part->raw.n * 63 + 64); /* a line of uuencode may say that it is longer than it is */
        must(mime_decode(a, part, 10, reading, &head) || reading); /* what is odd may stand behind these */
        if (reading == 0)
            must(head.n == (bytes.n < 10 ? bytes.n : 10) && (!head.n || memcmp(head.p, bytes.p, head.n) == 0));
        touch(mime_text(a, bytes, part->charset));
        s->bytes += bytes.n;
    }
    must(reading >= 1 && reading <= 3);
    arena_free(&a);
    s->count++;
    return s->count < 2000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str message = {(const char *)data, size}, body;
    struct headers headers = {0};
    struct mime *m;
    struct seen seen;
    size_t count = 0, again;

    headers_split(a, message, &headers, &body);
    m = mime_read(a, &headers, body);
    must(m->first && m->last);
    for (const struct mime_part *p = m->first; p; p = p->next) {
        count++;
        must(p->next || p == m->last);
        must(p->depth == (p->inside ? p->inside->depth + 1 : 0) && p->depth <= MIME_DEPTH_MOST);
        if (p->raw.n)
            must(p->raw.p >= m->body.p && p->raw.p + p->raw.n <= m->body.p + m->body.n);
    }
    must(count == m->count && count <= 4 * MIME_PARTS_MOST);
    seen = (struct seen){.mime = m};
    mime_each(m, see, &seen);
    again = seen.count;
    seen.count = 0;
    mime_each(m, see, &seen);
    must(again == seen.count);
    touch(mime_word(a, message));
    arena_free(&a);
    return 0;
}
