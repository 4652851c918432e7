/* worker_frame.c - fuzz target: whatever a worker says, what is taken from it holds what worker.h promises. The first
 * byte says which reader has the rest. */
#include "fuzz.h"

#include "../../milter/mail/mime_edit.h"
#include "../../milter/mail/mime_tnef.h"
#include "../../milter/worker.h"
#include "../../milter/worker_frame.h"
#include "../../milter/worker_tnef.h"

static void as_frame(struct str bytes)
{
    size_t whole = bytes.n < FRAME_HEAD ? 0 : frame_size(bytes, FRAME_SCAN_MOST);
    enum frame_read said;
    struct frame f;
    uint64_t big;
    struct str s;

    said = frame_read(bytes, FRAME_SCAN_MOST, &f);
    must((said == FRAME_PART) == (bytes.n < FRAME_HEAD || bytes.n < whole));
    if (said != FRAME_WHOLE)
        return;
    must(f.type > 0 && f.type < FRAME_TYPES && f.payload.n <= FRAME_SCAN_MOST && f.payload.n + FRAME_HEAD == bytes.n);
    touch(f.payload);
    while (frame_str(&f.payload, 100, &s)) {
        must(s.n <= 100);
        touch(s);
    }
    if (frame_u64(&f.payload, &big))
        touch(f.payload);
}

static void as_scan(struct arena *a, struct str bytes)
{
    struct virus_answer answer = worker_scan_answer(a, bytes);

    must(answer.said == VIRUS_CLEAN || answer.said == VIRUS_FOUND || answer.said == VIRUS_ERROR);
    must((answer.text.n > 0) == (answer.said != VIRUS_CLEAN));
    must(answer.text.n <= 300 && !answer.known);
    if (answer.said == VIRUS_CLEAN) /* exactly one answer is */
        must(bytes.n == 8 && str_is(bytes, STR("\0\0\0\0\0\0\0\0")));
    touch(answer.text);
}

static void name_is_safe(struct str name)
{
    must(name.n > 0 && name.n <= TNEF_NAME_MOST && name.p[0] != '.');
    for (size_t i = 0; i < name.n; i++)
        must((unsigned char)name.p[i] >= 0x20 && name.p[i] != 0x7f && !strchr("/\\\"", name.p[i]));
}

/* fields_are_safe - whole lines with CRLF, printable ASCII, each a field or folded. */
static void fields_are_safe(struct str head)
{
    struct str line;

    must(head.n > 2 && str_is(str_slice(head, head.n - 2, head.n), STR("\r\n")));
    while (str_split(&head, '\n', &line)) {
        if (line.n == 0 && head.n == 0)
            return;
        must(line.n > 1 && line.p[line.n - 1] == '\r');
        must(line.p[0] == ' ' || line.p[0] == '\t' || str_find(line, ':') < line.n);
        for (size_t i = 0; i + 1 < line.n; i++)
            must(line.p[i] == '\t' || ((unsigned char)line.p[i] >= 0x20 && (unsigned char)line.p[i] < 0x7f));
    }
}

static void as_tnef(struct arena *a, struct str bytes)
{
    struct tnef_content content;
    struct mime_new *parts;
    struct str why;
    size_t count;
    bool good = worker_tnef_answer(a, bytes, &content, &why), keep;

    must(good == (why.n == 0));
    if (!good)
        return;
    must(content.count <= TNEF_PARTS_MOST);
    for (size_t i = 0; i < content.count; i++) {
        const struct tnef_part *p = &content.parts[i];

        name_is_safe(p->name);
        must(p->kind < TNEF_KINDS && str_find(p->type, '/') < p->type.n);
        touch(p->data);
    }
    parts = mime_from_tnef(a, &content, bytes.n % 2, &count, &keep);
    for (size_t i = 0; i < count; i++) {
        fields_are_safe(parts[i].head);
        touch(parts[i].bytes);
    }
}

static void as_name(struct arena *a, struct str bytes)
{
    struct str name = tnef_name(a, bytes);

    name_is_safe(name);
    must(str_is(tnef_name(a, name), name));
}

static void as_rtf(struct arena *a, struct str bytes)
{
    struct str text = STR_NONE;

    if (tnef_rtf_text(a, bytes, &text)) {
        must(text.n <= 3 * bytes.n && str_is(tnef_utf8(a, text), text));
        touch(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str bytes = {(const char *)data + 1, size ? size - 1 : 0};

    switch (size ? data[0] : 0) {
    case 's':
        as_scan(a, bytes);
        break;
    case 't':
        as_tnef(a, bytes);
        break;
    case 'n':
        as_name(a, bytes);
        break;
    case 'r':
        as_rtf(a, bytes);
        break;
    default:
        if (size)
            as_frame(bytes);
    }
    arena_free(&a);
    return 0;
}
