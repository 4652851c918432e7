/* mime_edit.c - changes inside messages: vectors; and with the argument "filter" a program that t/e2e/mime_edit.t
 * checks against another MIME reader: messages in, messages out, each behind its length on a line of its own. */
#include <stdio.h>

#include "../../milter/base/arena.h"
#include "../../milter/edits.h"
#include "../../milter/mail/mime_edit.h"
#include "../../milter/mail/mime_edit_inside.h"
#include "../../milter/mail/mime_tnef.h"
#include "../../milter/worker.h"
#include "../lib/tap.h"

static struct arena *arena;

/* applied - the message with its changes, as text; "" and *why when there are none. */
static struct str applied(struct mime_edit *e, struct str body, const struct headers *headers)
{
    struct buf b = buf_in(arena), made = buf_in(arena);
    struct edits edits = {0};
    struct edited view;
    struct str *pieces;
    size_t count;

    pieces = mime_edit_body(e, &count);
    if (!pieces)
        return STR("overlap");
    for (size_t i = 0; i < count; i++)
        buf_add(&made, pieces[i]);
    mime_edit_fields(e, &edits);
    edits_view(arena, &edits, headers, body, &view);
    if (!mime_edit_holds(e, &view.headers, buf_str(&made)))
        return STR_NONE;
    for (const struct header *h = view.headers.first; h; h = h->next)
        buf_addf(&b, STR_FMT ": " STR_FMT "\r\n", STR_ARG(h->name), STR_ARG(str_trim(h->value)));
    buf_add(&b, STR("\r\n"));
    buf_add(&b, buf_str(&made));
    return buf_str(&b);
}

static struct str with_footer(struct str message, const struct mime_footer *footer, const char **why)
{
    struct mime_edit e;
    struct headers headers = {0};
    struct str body, result;

    headers_split(arena, message, &headers, &body);
    mime_edit_new(&e, arena, &headers, body);
    *why = NULL;
    if (!mime_edit_footer(&e, footer)) {
        *why = e.why ? e.why : "there already";
        return STR_NONE;
    }
    result = applied(&e, body, &headers);
    if (e.why)
        *why = e.why;
    return result;
}

#define FOOT "Example Ltd, B\xc3\xa4r Street"

static struct mime_footer footer(const char *text)
{
    struct mime_footer f = {.text = str_of(text)};

    f.html = mime_footer_html(arena, f.text);
    return f;
}

/* ---- vectors: what is put where ---- */

struct vector {
    const char *what, *foot, *in, *out; /* in: without From; out NULL: not changed */
};

#define HEAD "From: a@b.test\r\n"
#define MIXED "Content-Type: multipart/mixed; boundary=B\r\n\r\n"
#define PDF "--B\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
#define TEXT_FIELD "Content-Type: text/plain; charset=utf-8\r\n"
#define QP_FIELD "Content-Transfer-Encoding: quoted-printable\r\n"
#define B64_FIELD "Content-Transfer-Encoding: base64\r\n"
#define ALT "Content-Type: multipart/alternative; boundary=B\r\n\r\n--B\r\n\r\n"
#define MIDDLE "\r\n--B\r\nContent-Type: text/html\r\n\r\n"

static const struct vector vectors[] = {
    {"no Content-Type at all", "foot\n", HEAD "\r\nhi\r\n", HEAD "\r\nhi\r\n\r\nfoot\r\n"},
    {"the last line has no end", "foot\n", HEAD "\r\nhi", HEAD "\r\nhi\r\n\r\nfoot\r\n"},
    {"lines end in LF", "foot\n", HEAD "\r\nhi\n", HEAD "\r\nhi\n\nfoot\n"},
    {"no body", "foot\n", HEAD "\r\n", HEAD "\r\nfoot\r\n"},
    {"several lines", "one\ntwo\n", HEAD "\r\nhi\r\n", HEAD "\r\nhi\r\n\r\none\r\ntwo\r\n"},
    {"8 bits into a text that may have them", "\xc3\xa4\n",
     HEAD TEXT_FIELD "Content-Transfer-Encoding: 8bit\r\n\r\nhi\r\n",
     HEAD TEXT_FIELD "Content-Transfer-Encoding: 8bit\r\n\r\nhi\r\n\r\n\xc3\xa4\r\n"},
    {"8 bits into a text that may not", "\xc3\xa4\n", HEAD TEXT_FIELD "\r\nhi=\r\n",
     HEAD TEXT_FIELD "MIME-Version: 1.0\r\n" QP_FIELD "\r\nhi=3D\r\n\r\n=C3=A4\r\n"},
    {"8 bits, and no charset", "\xc3\xa4\n", HEAD "MIME-Version: 1.0\r\n\r\nhi\r\n",
     HEAD "MIME-Version: 1.0\r\n" TEXT_FIELD QP_FIELD "\r\nhi\r\n\r\n=C3=A4\r\n"},
    {"a charset that has it", "\xc3\xa4\n",
     HEAD "Content-Type: text/plain; charset=iso-8859-1\r\n" QP_FIELD "\r\n=FC\r\n",
     HEAD "Content-Type: text/plain; charset=iso-8859-1\r\n" QP_FIELD "\r\n=FC\r\n\r\n=E4\r\n"},
    {"a charset that has it not", "\xe2\x82\xac\n",
     HEAD "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"iso-8859-1\"; x=y\r\n" QP_FIELD "\r\n=FC\r\n",
     HEAD "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8; x=y\r\n" B64_FIELD "\r\nw7wNCg0K4oKsDQo=\r\n"},
    {"a soft break at the end", "foot\n", HEAD TEXT_FIELD QP_FIELD "\r\nhi=\r\n",
     HEAD TEXT_FIELD QP_FIELD "\r\nhi=\r\n=\r\n\r\n\r\nfoot\r\n"},
    {"base64", "foot\n", HEAD TEXT_FIELD B64_FIELD "\r\naGkK\r\n", HEAD TEXT_FIELD B64_FIELD "\r\naGkKCmZvb3QK\r\n"},
    {"UTF-16", "foot\n",
     HEAD "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-16\r\n" B64_FIELD "\r\n//5oAGkA\r\n",
     HEAD "MIME-Version: 1.0\r\n" TEXT_FIELD B64_FIELD "\r\naGkNCg0KZm9vdA0K\r\n"},
    {"ISO-2022-JP that ends outside of ASCII", "foot\n",
     HEAD "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\033$B$\"",
     HEAD "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\033$B$\"\033(B\r\n\r\nfoot\r\n"},
    {"format=flowed", " a \n>b\n-- \nFrom c\n", HEAD "Content-Type: text/plain; format=flowed\r\n\r\nhi \r\n",
     HEAD "Content-Type: text/plain; format=flowed\r\n\r\nhi \r\n\r\n  a\r\n >b\r\n-- \r\n From c\r\n"},
    {"mixed: into its first text, without its last line's end", "foot\n",
     HEAD MIXED "--B\r\n\r\nhi\r\n" PDF "--B--\r\n", HEAD MIXED "--B\r\n\r\nhi\r\n\r\nfoot\r\n" PDF "--B--\r\n"},
    {"mixed: an empty text", "foot\n", HEAD MIXED "--B\r\nContent-Type: text/plain\r\n\r\n\r\n" PDF "--B--\r\n",
     HEAD MIXED "--B\r\nContent-Type: text/plain\r\n\r\nfoot\r\n" PDF "--B--\r\n"},
    {"mixed: a charset for a part without header", "\xc3\xa4\n", HEAD MIXED "--B\r\n\r\nhi\r\n" PDF "--B--\r\n",
     HEAD MIXED "--B\r\n" TEXT_FIELD QP_FIELD "\r\nhi\r\n\r\n=C3=A4\r\n" PDF "--B--\r\n"},
    {"mixed: attachments only", "foot\n", HEAD MIXED PDF "--B--\r\n",
     HEAD MIXED "--B\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
     "foot\r\n" PDF "--B--\r\n"},
    {"alternative: text and HTML", "a<b\n", HEAD ALT "hi\r\n" MIDDLE "<p>hi</p>\r\n--B--\r\n",
     HEAD ALT "hi\r\n\r\na<b" MIDDLE "<p>hi</p>\r\n<p>a&#60;b</p>\r\n\r\n--B--\r\n"},
    {"HTML: before the end of its body", "x\n",
     HEAD "Content-Type: text/html\r\n\r\n<BODY>hi<!--</body>--></BODY></HTML>\r\n",
     HEAD "Content-Type: text/html\r\n\r\n<BODY>hi<!--</body>-->\r\n<p>x</p>\r\n</BODY></HTML>\r\n"},
    {"HTML: quoted-printable, with the tag in pieces", "x\n",
     HEAD "Content-Type: text/html\r\n" QP_FIELD "\r\n<body>hi =3D=3C=\r\n/bo=\r\ndy>\r\n",
     HEAD "Content-Type: text/html\r\n" QP_FIELD "\r\n<body>hi =3D=\r\n\r\n<p>x</p>\r\n=3C=\r\n/bo=\r\ndy>\r\n"},
    {"there already", "foot\nline\n", HEAD "\r\nhi\r\n\r\nfoot\r\nline\r\n\r\n", NULL},
    {"there already, in HTML", "x\n", HEAD "Content-Type: text/html\r\n\r\n<body>\r\n<p>x</p>\r\n</body>", NULL},
    {"only the end of a line", "foot\n", HEAD "\r\nbarefoot\r\n", HEAD "\r\nbarefoot\r\n\r\nfoot\r\n"},
    {"quoted", "foot\n", HEAD "\r\n> foot\r\n", HEAD "\r\n> foot\r\n\r\nfoot\r\n"},
    {"PGP in the text", "foot\n", HEAD "\r\nhi\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n", NULL},
    {"S/MIME", "foot\n", HEAD "Content-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\nx\r\n", NULL},
    {"signed", "foot\n", HEAD "Content-Type: multipart/signed; boundary=B\r\n\r\n--B\r\n\r\nhi\r\n--B--\r\n", NULL},
    {"signed, inside", "foot\n",
     HEAD MIXED "--B\r\nContent-Type: multipart/signed; boundary=C\r\n\r\n--C\r\n\r\nhi\r\n--C--\r\n"
     "--B\r\n\r\nlist\r\n--B--\r\n", NULL},
    {"a report", "foot\n", HEAD "Content-Type: multipart/report; boundary=B\r\n\r\n--B\r\n\r\nhi\r\n--B--\r\n", NULL},
    {"an invitation", "foot\n", HEAD "Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n", NULL},
    {"no end", "foot\n", HEAD MIXED "--B\r\n\r\nhi\r\n", NULL},
    {"two types", "foot\n", HEAD "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nhi\r\n", NULL},
    {"an unknown charset", "foot\n", HEAD "Content-Type: text/plain; charset=ebcdic\r\n\r\nhi\r\n", NULL},
    {"bytes that the charset has not", "\xe2\x82\xac\n",
     HEAD "Content-Type: text/plain; charset=us-ascii\r\n\r\n\xff\r\n", NULL},
    {"uuencoded", "foot\n", HEAD "Content-Transfer-Encoding: x-uuencode\r\n\r\nhi\r\n", NULL},
    {"a text that is the boundary", "--B--\n", HEAD MIXED "--B\r\n\r\nhi\r\n" PDF "--B--\r\n", NULL},
};

static void test_vectors(void)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *v = &vectors[i];
        struct mime_footer f = footer(v->foot);
        struct str in = str_of(v->in), got;
        const char *why;

        got = with_footer(in, &f, &why);
        if (!v->out) {
            ok(why != NULL, "%s: not changed (%s)", v->what, why ? why : "but it is");
            continue;
        }
        is_str(got, str_of(v->out), "%s%s%s", v->what, why ? ": " : "", why ? why : "");
        if (got.n && with_footer(got, &f, &why).n == 0)
            ok(why && str_is(str_of(why), STR("there already")), "%s: and not twice (%s)", v->what, why ? why : "");
        else
            ok(false, "%s: and not twice", v->what);
    }
}

/* ---- messages that are one attachment ---- */

static void test_wrap(void)
{
    struct mime_footer f = footer("foot\n");
    const char *why;
    struct str got = with_footer(STR(HEAD "Content-Type: application/pdf;\r\n name=a.pdf\r\n"
                                     "Content-Disposition: attachment\r\n" B64_FIELD "\r\nAAAA\r\n"), &f, &why), body;
    struct headers headers = {0};
    struct mime *m;
    const struct mime_part *p;

    if (!ok(got.n > 0, "an attachment alone is changed (%s)", why ? why : ""))
        return;
    headers_split(arena, got, &headers, &body);
    m = mime_read(arena, &headers, body);
    is_long(m->doubts, 0, "the result leaves no doubt");
    is_str(m->first->type, STR("multipart/mixed"), "it is a multipart now");
    ok(!header_find(&headers, STR("Content-Disposition"), 0), "which is no attachment itself");
    is_str(str_trim(header_find(&headers, STR("Content-Transfer-Encoding"), 0)->value), STR("7bit"),
           "and is not encoded");
    for (p = m->first; p && !str_is(p->type, STR("application/pdf")); p = p->next)
        ;
    if (ok(p != NULL, "the attachment is in it")) {
        is_str(p->raw, STR("AAAA\r\n"), "with the same bytes");
        ok(p->names.count == 1 && p->coding == MIME_BASE64, "name and encoding");
    }
}

/* ---- the end of HTML ---- */

static void test_html_end(void)
{
    static const struct {
        const char *html, *rest;
    } rows[] = {
        {"", ""}, {"hi", ""}, {"<p>hi</p>", ""}, {"hi</body>", "</body>"}, {"hi</BoDy ></html>", "</BoDy ></html>"},
        {"hi</html>\n", "</html>\n"}, {"a</body>b</body>c", "</body>c"}, {"<script>'</body>'</script>x", ""},
        {"<a title=\"</body>\">x</a>", ""}, {"<a title='>'>x</body>", "</body>"}, {"hi<!-- </body>", "<!-- </body>"},
        {"hi<style></body>", "<style></body>"}, {"hi</body><!-- x", "</body><!-- x"}, {"a < b</body>", "</body>"},
        {"<!doctype html><p>x", ""}, {"<!--></body>", "</body>"}, {"it's</body>", "</body>"}, {"<bodyx></bodyx>", ""},
        {"hi<", ""}, {"hi<b", "<b"},
    };
    struct buf b = buf_in(arena);
    long long before;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str html = str_of(rows[i].html);

        is_str(str_slice(html, mime_html_end(html, false), html.n), str_of(rows[i].rest), "behind the end of '%s'",
               rows[i].html);
    }
    is_long((long long)mime_html_end(STR("\033$B</body>\033(B</body>"), true), 13,
            "letters of a two-byte charset are none");
    for (size_t i = 0; i < 300000; i++)
        buf_add(&b, i % 3 ? STR("<!-") : STR("<title"));
    before = tap_cpu_ms();
    mime_html_end(buf_str(&b), false);
    ok(tap_cpu_ms() - before < 1000, "hostile HTML takes little time");
}

/* ---- encoders ---- */

static void test_encoders(void)
{
    struct mime_part part = {.coding = MIME_QP};
    struct str text = STR("=\tx \r\n--a\r\n \r\n\xff\r\r\n"
                          "01234567890123456789012345678901234567890123456789012345678901234567890123456789 \n");
    struct str back;

    for (size_t n = 0; n <= text.n; n++) {
        struct buf b = buf_in(arena);
        size_t column = 0;

        mime_add_qp(&b, str_slice(text, 0, n), "\r\n", &column);
        part.raw = buf_str(&b);
        if (!mime_decode(arena, &part, 1000, 0, &back) || !str_is(back, str_slice(text, 0, n)) ||
            mime_longest_line(part.raw) > 77)
            break;
    }
    is_str(back, text, "quoted-printable of every length");

    part.coding = MIME_BASE64;
    for (size_t n = 0; n <= text.n; n++) {
        struct buf b = buf_in(arena);

        mime_add_base64(&b, str_slice(text, 0, n), "\r\n");
        part.raw = buf_str(&b);
        if (!mime_decode(arena, &part, 1000, 0, &back) || !str_is(back, str_slice(text, 0, n)) ||
            mime_longest_line(part.raw) > 77)
            break;
    }
    is_str(back, text, "base64 of every length");
}

static void test_charset_field(void)
{
    static const char *const rows[][2] = {
        {"text/plain", "text/plain; charset=utf-8"}, {"text/plain;", "text/plain; charset=utf-8"},
        {"text/plain; CHARSET=x", "text/plain; charset=utf-8"}, {"text/plain; a=\";charset=\\\"\" ;charset = \"x\";b=c",
                                                                 "text/plain; a=\";charset=\\\"\"; charset=utf-8; b=c"},
        {"text/plain; charset=a; charset=b", ""}, {"text/plain; charset*=a''b", ""}, {"text/plain (charset=a)", ""},
        {"text/plain; a=\"", "text/plain; a=\"; charset=utf-8"},
        {"text/plain; a=\\", "text/plain; a=\\; charset=utf-8"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        is_str(mime_with_charset(arena, str_of(rows[i][0]), STR("utf-8")), str_of(rows[i][1]), "%s", rows[i][0]);
}

/* ---- winmail.dat ---- */

static struct str replaced(struct str message, const struct tnef_content *content, const char **why)
{
    struct mime_edit e;
    struct headers headers = {0};
    struct str body, result = STR_NONE;
    struct mime_new *list;
    size_t count;
    bool keep, text;

    headers_split(arena, message, &headers, &body);
    mime_edit_new(&e, arena, &headers, body);
    text = mime_has_text(arena, e.mime);
    list = mime_from_tnef(arena, content, text, &count, &keep);
    for (const struct mime_part *p = e.mime->first; p; p = p->next)
        if (mime_is_tnef(p) && !mime_edit_replace(&e, p, list, count, keep))
            break;
    if (!e.why)
        result = applied(&e, body, &headers);
    *why = e.why;
    return result;
}

#define STR_PAIR(literal) literal, sizeof(literal) - 1
#define TNEF_PART "--B\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n" B64_FIELD "\r\neJ8+Ig==\r\n"
#define FILE_PART                                                                                                      \
    "Content-Type: application/pdf;\r\n\tname=\"a_.pdf\"\r\nContent-Disposition: attachment;\r\n"                      \
    "\tfilename=\"a_.pdf\"\r\n" B64_FIELD "\r\nUERG"

static void test_tnef(void)
{
    struct tnef_part parts[] = {
        {TNEF_FILE, false, STR("a/.pdf"), STR("application/pdf"), STR("PDF"), NULL},
        {TNEF_BODY_TEXT, true, STR("x"), STR("text/plain"), STR("hi"), NULL},
        {TNEF_OBJECT, false, STR("x"), STR("x"), STR("x"), NULL},
    };
    struct tnef_content one = {parts, 1}, two = {parts, 2}, all = {parts, 3}, body = {parts + 1, 1};
    struct str got;
    const char *why;

    got = replaced(STR(HEAD MIXED "--B\r\n\r\nhi\r\n" TNEF_PART "--B--\r\n"), &one, &why);
    is_str(got, STR(HEAD MIXED "--B\r\n\r\nhi\r\n--B\r\n" FILE_PART "\r\n--B--\r\n"), "a file");
    got = replaced(STR(HEAD MIXED "--B\r\n\r\nhi\r\n" TNEF_PART "--B--\r\n"), &two, &why);
    is_str(got, STR(HEAD MIXED "--B\r\n\r\nhi\r\n--B\r\n" FILE_PART "\r\n--B--\r\n"),
           "its text is left out where the message has one");
    got = replaced(STR(HEAD MIXED TNEF_PART "--B--\r\n"), &two, &why);
    is_str(got, STR(HEAD MIXED "--B\r\n" TEXT_FIELD B64_FIELD "\r\naGk=\r\n--B\r\n" FILE_PART "\r\n--B--\r\n"),
           "and comes first where it has none");
    got = replaced(STR(HEAD MIXED "--B\r\n\r\nhi\r\n" TNEF_PART "--B--\r\n"), &all, &why);
    is_str(got, STR(HEAD MIXED "--B\r\n\r\nhi\r\n--B\r\n" FILE_PART "\r\n" TNEF_PART "--B--\r\n"),
           "what holds an object is kept behind its parts");
    got = replaced(STR(HEAD MIXED "--B\r\n\r\nhi\r\n" TNEF_PART "--B--\r\n"), &body, &why);
    ok(why && got.n == 0, "nothing but a text that is there: not changed (%s)", why ? why : "");
    for (int n = 1; n <= 3; n += 2) {
        struct tnef_content content = {parts, (size_t)n};

        got = replaced(STR(HEAD "Content-Type: multipart/related; boundary=B\r\n\r\n--B\r\n\r\nhi\r\n" TNEF_PART
                           "--B--\r\n"), &content, &why);
        ok(got.n && !why, "in a multipart/related, %d parts (%s)", n, why ? why : "");
        got = replaced(STR(HEAD "Content-Type: application/ms-tnef\r\nContent-Disposition: attachment\r\n" B64_FIELD
                           "\r\neJ8+Ig==\r\n"), &content, &why);
        ok(got.n && !why, "as the whole message, %d parts (%s)", n, why ? why : "");
    }
}

/* test_tnef_inside - embedded messages, in each other, and what cannot be opened. */
static void test_tnef_inside(void)
{
    struct tnef_part deep[] = {{TNEF_FILE, false, STR("d.pdf"), STR("application/pdf"), STR("PDF"), NULL}};
    struct tnef_content deep_content = {deep, 1};
    struct tnef_part inner[] = {
        {TNEF_FIELD, true, STR("subject"), STR("text/plain"), STR("caf\xc3\xa9\r\nX-Evil: y"), NULL},
        {TNEF_FIELD, true, STR("from"), STR("text/plain"), STR("Joe \"x\""), NULL},
        {TNEF_FIELD, true, STR("address"), STR("text/plain"), STR("joe@a.test"), NULL},
        {TNEF_FIELD, true, STR("date"), STR("text/plain"), STR("Mon, 05 Jan 2026 10:00:00 +0000"), NULL},
        {TNEF_BODY_TEXT, true, STR("body.txt"), STR("text/plain"), STR("hi"), NULL},
        {TNEF_OBJECT, false, STR("deep.tnef"), STR("application/ms-tnef"), STR("t"), &deep_content},
    };
    struct tnef_content inner_content = {inner, sizeof inner / sizeof *inner};
    struct tnef_part outer[] = {
        {TNEF_OBJECT, false, STR("msg.tnef"), STR("application/ms-tnef"), STR("t"), &inner_content},
        {TNEF_OBJECT, false, STR("other.tnef"), STR("application/ms-tnef"), STR("t"), NULL},
    };
    struct tnef_content content = {outer, 2};
    const char *why, *at;
    struct str message = STR(HEAD MIXED "--B\r\n\r\nhi\r\n" TNEF_PART "--B--\r\n");
    struct str got = replaced(message, &content, &why), lf = STR(HEAD "Content-Type: multipart/mixed; boundary=B\n\n"
        "--B\n\nhi\n--B\nContent-Type: application/ms-tnef\n\nx\n--B--\n");

    if (!ok(got.n && !why, "embedded messages (%s)", why ? why : ""))
        return;
    ok(memmem(got.p, got.n, STR_PAIR("--B\r\nContent-Type: message/rfc822;\r\n\tname=\"msg.eml\"\r\n")) != NULL,
       "one is attached as a message");
    ok(memmem(got.p, got.n, STR_PAIR("\r\n\r\nFrom: =?utf-8?B?Sm9lICJ4Ig==?=\r\n <joe@a.test>\r\n"
                                     "Subject: =?utf-8?B?Y2Fmw6kNClgtRXZpbDogeQ==?=\r\n"
                                     "Date: Mon, 05 Jan 2026 10:00:00 +0000\r\n")) != NULL, "with its header");
    ok(memmem(got.p, got.n, STR_PAIR("name=\"deep.eml\"")) && memmem(got.p, got.n, STR_PAIR("name=\"d.pdf\"")) &&
       memmem(got.p, got.n, STR_PAIR("UERG\r\n--=_sme-inside-2.--\r\n\r\n--=_sme-inside-1.--\r\n")),
       "and the one inside it");
    ok(memmem(got.p, got.n, STR_PAIR("--B\r\nContent-Type: application/ms-tnef;\r\n\tname=\"other.tnef\"\r\n")) &&
       !memmem(got.p, got.n, STR_PAIR("winmail.dat")), "what was not opened stays as it is; nothing else is kept");
    got = replaced(lf, &content, &why);
    at = got.n ? memmem(got.p, got.n, STR_PAIR("\n\n")) : NULL;
    ok(at && !why && !memchr(at, '\r', got.n - (size_t)(at - got.p)), "in lines with LF as well (%s)", why ? why : "");
    inner[2].data = STR("joe@a.test>\r\nBcc: x");
    inner[3].data = STR("yesterday");
    got = replaced(message, &content, &why);
    ok(got.n && memmem(got.p, got.n, STR_PAIR("From: =?utf-8?B?Sm9lICJ4Ig==?=:;\r\nSubject")) &&
       !memmem(got.p, got.n, STR_PAIR("Bcc")) && !memmem(got.p, got.n, STR_PAIR("yesterday")),
       "an address that is none, and a date that is none, are left out");
    inner[5].type = STR("application/octet-stream");
    got = replaced(message, &content, &why);
    ok(got.n && memmem(got.p, got.n, STR_PAIR("name=\"msg.tnef\"")) != NULL,
       "one with an object of another kind stays as it is");
}

static void test_tnef_names(void)
{
    static const char *const rows[][2] = {
        {"../../etc/passwd", "_.._etc_passwd"}, {"a\r\nX: y", "a__X_ y"}, {"a\"b\\c", "a_b_c"}, {"", "unnamed"},
        {"...", "unnamed"}, {"C:\\x.txt", "C__x.txt"}, {"\xc3\xa4.txt", "\xc3\xa4.txt"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tnef_part part = {TNEF_FILE, false, str_of(rows[i][0]), STR("multipart/mixed"), STR("x"), NULL};
        struct tnef_content content = {&part, 1};
        struct str message = STR(HEAD MIXED "--B\r\n\r\nhi\r\n" TNEF_PART "--B--\r\n"), got, body;
        struct headers headers = {0};
        const struct mime_part *p;
        const char *why;

        got = replaced(message, &content, &why);
        headers_split(arena, got, &headers, &body);
        for (p = mime_read(arena, &headers, body)->first; p && p->names.count == 0; p = p->next)
            ;
        if (ok(p != NULL, "'%s' becomes a part (%s)", str_escaped(arena, str_of(rows[i][0])).p, why ? why : "")) {
            is_str(p->names.items[0], str_of(rows[i][1]), "with a name that is safe");
            is_str(p->type, STR("application/octet-stream"), "and a type that is one");
        }
    }
}

/* ---- the filter ---- */

static int filter(void)
{
    static char line[64];
    size_t n;

    while (fgets(line, sizeof line, stdin)) {
        char *in, *text;
        size_t text_n;
        const char *why;
        struct mime_footer f;
        struct str out;

        if (sscanf(line, "%zu %zu", &n, &text_n) != 2)
            return 2;
        in = arena_alloc(arena, n + 1);
        text = arena_zalloc(arena, text_n + 1);
        if (fread(in, 1, n, stdin) != n || fread(text, 1, text_n, stdin) != text_n)
            return 2;
        f = footer(text);
        out = with_footer((struct str){in, n}, &f, &why);
        if (why)
            out = arena_printf(arena, "%s", why);
        printf("%c %zu\n", why ? '-' : '+', out.n);
        fwrite(out.p, 1, out.n, stdout);
        fflush(stdout);
        arena_reset(arena);
    }
    return 0;
}

int main(int argc, char **argv)
{
    arena = arena_new(0);
    if (argc > 1)
        return str_is(str_of(argv[1]), STR("filter")) ? filter() : 2;
    test_vectors();
    test_wrap();
    test_html_end();
    test_encoders();
    test_charset_field();
    test_tnef();
    test_tnef_inside();
    test_tnef_names();
    arena_free(&arena);
    return tap_end();
}
