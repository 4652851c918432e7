/* mime.c - what reading a message costs: parts, their first bytes, links.
 *
 * Prints lines "name value": mail_1mb_ms and mail_1mb_mb_per_s (text, HTML and an attachment, all that uribl and
 * patterns do but asking, each with its own pass), html_20kb_us (30 links, quoted-printable; 1500 is the most that is
 * wanted), attachment_mb_per_s (2 MB of base64, structure and first bytes; 150 is wanted), doubtful_mb_per_s (the same
 * without an end: every reading).
 */
#include <stdio.h>
#include <time.h>

#include "../../milter/mail/mime.h"
#include "../../milter/mail/url.h"

#define ROUNDS 15

static struct arena *a;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_attachment(struct buf *b, size_t bytes)
{
    buf_add(b, STR("--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
    for (size_t i = 0; i < bytes / 78; i++)
        buf_add(b, STR("JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSL0ZpbHRlci9GbGF0ZUR\r\n"));
}

static void add_html(struct buf *b, size_t bytes, unsigned links)
{
    size_t from = b->len;

    buf_add(b, STR("--b\r\nContent-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
    for (unsigned i = 0; i < links; i++) {
        buf_addf(b, "<p class=3D\"x\"><a href=3D\"https://www.host%u.example/p?u=3D1&amp;v=3D2\" "
            "style=3D\"color:#fff\">"
                 "Text</a></p>\r\n", i);
        while (b->len - from < bytes / links * (i + 1))
            buf_add(b, STR("<td align=3D\"left\"><span style=3D\"font-size:12px\">Some words of text, =\r\n"
                "and more.</span></td>"));
    }
}

static struct str begin(void)
{
    return STR("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello,\r\nsee www.example.com.\r\n");
}

static bool look(void *data, const struct mime_part *part)
{
    struct links *l = data;
    struct arena *own = arena_new(0);
    struct str bytes;

    mime_decode(own, part, 256, 0, &bytes);
    if (part->text) {
        mime_decode(own, part, MIME_DECODED_MOST, 0, &bytes);
        if (part->html)
            links_from_html(l, bytes);
        else
            links_from_text(l, bytes);
    }
    arena_free(&own);
    return true;
}

/* begins - the first bytes in every way, as patterns wants them, and as winmail.dats are found. */
static bool begins(void *data, const struct mime_part *part)
{
    struct arena *own = arena_new(0);
    struct str bytes;

    for (unsigned reading = 0; mime_decode(own, part, *(size_t *)data, reading, &bytes); reading++)
        ;
    arena_free(&own);
    return true;
}

static double seconds(struct str text)
{
    double best = 1e9;

    for (int i = 0; i < ROUNDS; i++) {
        double from = now(), took;

        for (int k = 0; k < 4; k++) {
            struct arena *own = arena_new(0);
            struct headers headers = {0};
            struct str body;
            struct links l = links_in(own);
            struct mime *m;

            headers_split(own, text, &headers, &body);
            m = mime_read(own, &headers, body);
            mime_each(m, look, &l);
            mime_each(m, begins, &(size_t){4});
            mime_each(m, begins, &(size_t){256});
            arena_free(&own);
        }
        took = (now() - from) / 4;
        best = took < best ? took : best;
    }
    return best;
}

int main(void)
{
    struct buf b;
    double took;

    a = arena_new(0);
    b = buf_in(a);
    buf_add(&b, begin());
    add_html(&b, 300000, 100);
    buf_add(&b, STR("\r\n"));
    add_attachment(&b, 700000);
    buf_add(&b, STR("--b--\r\n"));
    took = seconds(buf_str(&b));
    printf("mail_1mb_ms %.2f\nmail_1mb_mb_per_s %.0f\n", took * 1e3, (double)b.len / took / 1e6);
    b = buf_in(a);
    buf_add(&b, begin());
    add_html(&b, 20000, 30);
    buf_add(&b, STR("\r\n--b--\r\n"));
    printf("html_20kb_us %.0f\n", seconds(buf_str(&b)) * 1e6);
    b = buf_in(a);
    buf_add(&b, begin());
    add_attachment(&b, 2 << 20);
    took = seconds(buf_str(&b));
    printf("doubtful_mb_per_s %.0f\n", (double)b.len / took / 1e6);
    buf_add(&b, STR("--b--\r\n"));
    took = seconds(buf_str(&b));
    printf("attachment_mb_per_s %.0f\n", (double)b.len / took / 1e6);
    arena_free(&a);
    return 0;
}
