/* mime_edit.c - fuzz target: a footer put into any message, and any leaf replaced. What is changed reads again. */
#include "../../milter/edits.h"
#include "../../milter/mail/mime_edit.h"
#include "fuzz.h"

/* check - the result of a change; false when it was refused. */
static bool check(struct arena *a, struct mime_edit *e, struct str body, const struct headers *headers,
                  struct edited *view)
{
    struct buf b = buf_in(a);
    struct edits edits = {0};
    struct str *pieces;
    size_t count;

    pieces = mime_edit_body(e, &count);
    must(pieces != NULL);
    for (size_t i = 0; i < count; i++)
        buf_add(&b, pieces[i]);
    touch(buf_str(&b));
    mime_edit_fields(e, &edits);
    edits_view(a, &edits, headers, body, view);
    view->body = buf_str(&b);
    return mime_edit_holds(e, &view->headers, view->body);
}

static void footers(struct arena *a, const struct headers *headers, struct str body)
{
    static const char *const texts[] = {"foot\nmore\n", "B\xc3\xa4r \xe2\x82\xac\n", "-- \n"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct mime_footer f = {.text = str_of(texts[i])};
        struct mime_edit e, again;
        struct edited view;

        f.html = mime_footer_html(a, f.text);
        mime_edit_new(&e, a, headers, body);
        if (!mime_edit_footer(&e, &f)) {
            must(e.why || e.added == 0);
            continue;
        }
        if (!check(a, &e, body, headers, &view))
            continue;
        mime_edit_new(&again, a, &view.headers, view.body);
        must(again.why == NULL); /* it is as clean as it was */
    }
}

static void replacements(struct arena *a, const struct headers *headers, struct str body, bool keep)
{
    const struct mime_new new[3] = {{STR("Content-Type: text/x-a\r\n"), STR("a"), 0},
                                    {STR("Content-Type: message/rfc822\r\n"), STR("Subject: x\r\n\r\nhi\r\n"), 1},
                                    {STR("Content-Type: text/x-b\r\n"), STR(""), 0}};
    struct mime_edit e;
    struct edited view;
    size_t count = 0;

    mime_edit_new(&e, a, headers, body);
    for (const struct mime_part *p = e.mime->first; p && !e.why && count < 3; p = p->next)
        if (p->leaf && mime_edit_is_outer(p) && mime_edit_replace(&e, p, new, 1 + count++ % 3, keep))
            must(e.added + e.touched_count > 0);
    if (!e.why)
        check(a, &e, body, headers, &view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str message = {(const char *)data, size}, body;
    struct headers headers = {0};

    if (size < 65536) {
        headers_split(a, message, &headers, &body);
        footers(a, &headers, body);
        replacements(a, &headers, body, false);
        replacements(a, &headers, body, true);
    }
    arena_free(&a);
    return 0;
}
