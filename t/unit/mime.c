/* mime.c - reading messages: what is declared, what is hidden, and what only some readers see. */
#include "../../milter/mail/mime.h"
#include "../lib/tap.h"

static struct arena *a;

struct seen {
    struct buf all;     /* "coding:decoded|" of every leaf in every reading */
    struct buf names;
    size_t count;
};

static bool see(void *data, const struct mime_part *part)
{
    struct seen *s = data;
    struct str bytes;

    s->count++;
    for (unsigned reading = 0; mime_decode(a, part, 4096, reading, &bytes); reading++) {
        buf_add(&s->all, bytes);
        buf_addc(&s->all, '|');
    }
    for (size_t i = 0; i < part->names.count; i++) {
        buf_add(&s->names, part->names.items[i]);
        buf_addc(&s->names, '|');
    }
    return true;
}

static struct mime *read_text(struct str text)
{
    struct headers headers = {0};
    struct str body;

    headers_split(a, text, &headers, &body);
    return mime_read(a, &headers, body);
}

static struct seen see_all(struct mime *m)
{
    struct seen s = {.all = buf_in(a), .names = buf_in(a)};

    mime_each(m, see, &s);
    return s;
}

static struct str all_of(struct mime *m)
{
    struct seen s = see_all(m);

    return buf_str(&s.all);
}

static bool has(struct str s, const char *word)
{
    return s.n && memmem(s.p, s.n, word, strlen(word)) != NULL;
}

/* crlf - with the line ends that mail has. */
static struct str crlf(const char *text)
{
    struct buf b = buf_in(a);

    for (; *text; text++) {
        if (*text == '\n')
            buf_addc(&b, '\r');
        buf_addc(&b, *text);
    }
    return buf_str(&b);
}

/* ---- the strict reading ---- */

static void test_plain(void)
{
    struct mime *m = read_text(STR("Subject: x\r\n\r\nhello\r\nworld\r\n"));

    is_long((long)m->count, 1, "a message without MIME is one part");
    is_str(m->first->type, STR("text/plain"), "a text");
    is_str(m->first->raw, STR("hello\r\nworld\r\n"), "with all its bytes");
    is_long(m->doubts, 0, "and nobody doubts it");
    m = read_text(STR("Content-Type: text/html; charset=\"UTF-8\"\r\nContent-Transfer-Encoding: BASE64\r\n\r\n"
        "aGVs\r\nbG8=\r\n"));
    is_str(m->first->type, STR("text/html"), "its type");
    is_str(m->first->charset, STR("utf-8"), "its charset");
    ok(m->first->html && m->first->text && m->first->coding == MIME_BASE64, "an encoded HTML part");
    ok(has(all_of(m), "hello"), "is decoded");
    m = read_text(STR("Subject: nothing\r\n\r\n"));
    is_long((long)see_all(m).count, 0, "an empty body has no leaf to look at");
}

static const char mixed[] =
    "MIME-Version: 1.0\n"
    "Content-Type: multipart/mixed; boundary=\"=_a b\"\n\n"
    "preamble\n"
    "--=_a b\n"
    "Content-Type: multipart/alternative;\n\tboundary=in\n\n"
    "--in\n\n"
    "plain\n"
    "--in  \n"
    "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n"
    "<b>soft =\nbreak=3D</b>\n"
    "--in--\n"
    "--=_a b\n"
    "Content-Type: message/rfc822\n\n"
    "Subject: inner\nContent-Type: application/x-test; name=inner.bin\nContent-Transfer-Encoding: base64\n\n"
    "AAEC/w==\n"
    "--=_a b--\n"
    "epilogue\n";

static void test_tree(void)
{
    static const char *const types[] = {"multipart/mixed", "text/plain", "multipart/alternative", "text/plain",
                                        "text/plain", "text/html", "text/plain", "message/rfc822",
                                        "application/x-test", "text/plain"};
    static const unsigned depths[] = {0, 1, 1, 2, 2, 2, 2, 1, 2, 1};
    struct str text = crlf(mixed);
    struct mime *m = read_text(text);
    struct seen s = see_all(m);
    size_t i = 0;

    is_long(m->doubts, 0, "a message as it should be leaves no doubt");
    is_long((long)m->count, sizeof types / sizeof *types, "its parts");
    for (const struct mime_part *p = m->first; p && i < sizeof types / sizeof *types; p = p->next, i++) {
        is_str(p->type, str_of(types[i]), "part %zu: its type", i);
        is_long(p->depth, depths[i], "part %zu: its depth", i);
        ok(!p->raw.n || (p->raw.p >= m->body.p && p->raw.p + p->raw.n <= m->body.p + m->body.n),
           "part %zu: a view into the body", i);
    }
    ok(has(buf_str(&s.all), "|plain|"), "the line end before a boundary belongs to the boundary");
    ok(has(buf_str(&s.all), "<b>soft break=</b>"), "quoted-printable");
    ok(s.all.len && memmem(s.all.data, s.all.len, "\0\1\2\377", 4), "base64 inside a message inside");
    ok(has(buf_str(&s.names), "inner.bin|"), "its name");
    ok(has(buf_str(&s.all), "preamble") && has(buf_str(&s.all), "epilogue"),
        "what stands around the parts is a part too");
    m = read_text(str_of(mixed));
    is_long((long)m->count, sizeof types / sizeof *types, "the same with LF lines");
}

static void test_digest(void)
{
    struct mime *m = read_text(crlf("Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: a\n"
        "Content-Type: text/html\n"
                                    "\nhi\n--x--\n"));
    const struct mime_part *last = m->last;

    while (last && !last->html && last != m->first) {
        last = m->first;
        while (last && !last->html)
            last = last->next;
    }
    ok(last && last->html && last->depth == 2, "a part of a digest is a message unless it says otherwise");
}

static void test_names(void)
{
    static const struct {
        const char *field, *want;
    } cases[] = {
        {"attachment; filename=a.exe", "a.exe|"},
        {"attachment; filename=\"a \\\"b\\\".exe\"", "a \"b\".exe|"},
        {"attachment; filename=my file.exe", "my file.exe|"},
        {"attachment; filename=\"=?utf-8?B?YS5leGU=?=\"", "|a.exe|"},
        {"attachment; filename==?iso-8859-1?Q?a=2Eexe?=", "|a.exe|"},
        {"attachment; filename=\"=?utf-8?Q?a?=\r\n =?utf-8?Q?.exe?=\"", "|a.exe|"},
        {"attachment; filename*=utf-8''a%2eexe", "a.exe|"},
        {"attachment; filename*=iso-8859-1'de'%fcber.exe", "\xc3\xbc" "ber.exe|"},
        {"attachment; filename*0=\"a.\"; filename*1=exe", "a.exe|"},
        {"attachment; filename*1=exe; filename*0=\"a.\"", "a.exe|"},
        {"attachment; filename*0*=utf-8''a%2e; filename*1=\"e\"; filename*2*=x%65", "a.exe|"},
        {"attachment; filename=\"a.txt\"; filename*=utf-8''b.exe", "b.exe|"},
        {"attachment; filename=\"a.txt\"; filename=\"b.exe\"", "b.exe|"},
        {"attachment; filename=\"a.exe", "a.exe|"},
        {"attachment;filename = a.exe ; x=y", "a.exe|"},
        {"attachment; FILENAME=\r\n\ta.exe", "a.exe|"},
        {"attachment filename=a.exe", "a.exe|"},
        {"filename=a.exe", "a.exe|"},
        {"attachment; filename=\"a\"b.exe", "ab.exe|"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str text = arena_printf(a, "Content-Disposition: %s\r\nContent-Type: x/y; name=c.dat\r\n\r\nx",
            cases[i].field);
        struct seen s = see_all(read_text(text));

        ok(has(buf_str(&s.names), cases[i].want), "%s: " STR_FMT, cases[i].field, STR_ARG(buf_str(&s.names)));
        ok(has(buf_str(&s.names), "c.dat|"), "%s: Content-Type's name as well", cases[i].field);
    }
}

static void test_uu(void)
{
    struct mime *m = read_text(crlf("Subject: x\n\nSee:\n\nbegin 644 a.exe\n#0V%T\n`\nend\nbegin at the beginning\n"));
    struct seen s = see_all(m);

    ok(has(buf_str(&s.names), "a.exe|"), "a uuencoded block in a text is a part");
    ok(has(buf_str(&s.all), "Cat|"), "and decoded");
    is_long((long)s.count, 2, "a sentence that begins with begin is none");
    m = read_text(crlf("Content-Transfer-Encoding: quoted-printable\n\nbegin 644 a.exe\n#0V%T\n`\nend\n"));
    ok(has(all_of(m), "Cat|"), "in an encoded text too");
}

static void test_inline(void)
{
    static const struct {
        const char *what, *text, *name, *bytes;
    } cases[] = {
        {"begin-base64", "\nSee:\n\nbegin-base64 644 a.exe\nTVotZXZpbA==\n====\nbye\n", "a.exe|", "MZ-evil|"},
        {"begin-base64 without an end", "\nbegin-base64 755 a.exe\nTVotZXZpbA==\n", "a.exe|", "MZ-evil|"},
        {"the second of two", "\nbegin-base64 644 a\nYQ==\n====\nbegin-base64 644 b\nTVotZXZpbA==\n====\n", "b|",
         "MZ-evil|"},
        {"yEnc", "\nSee:\n\n=ybegin line=128 size=7 name=my file.exe\nw\x84W\x8f\xa0\x93\x96\n=yend size=7\n\nbye\n",
         "my file.exe|", "MZ-evil|"},
        {"a part of yEnc, with an escape", "\n=ybegin part=1 line=128 size=8 name=b.exe\n=ypart begin=1 end=8\n"
         "w\x84W\x8f\xa0\n\x93\x96=}\n=yend size=8\n", "b.exe|", "MZ-evil\x13|"},
        {"yEnc in quoted-printable",
         "Content-Transfer-Encoding: quoted-printable\n\n=3Dybegin line=3D128 size=3D7 name=3Da\n"
         "w=84W=8F=A0=93=96\n=3Dyend size=3D7\n", "a|", "MZ-evil|"},
        {"uuencode as an encoding", "Content-Type: application/octet-stream\nContent-Transfer-Encoding: x-uuencode\n\n"
         "begin 644 a.exe\n#0V%T\n`\nend\n", "a.exe|", "Cat|"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen s = see_all(read_text(crlf(cases[i].text)));

        ok(has(buf_str(&s.names), cases[i].name), "%s: its name: " STR_FMT, cases[i].what, STR_ARG(buf_str(&s.names)));
        ok(has(buf_str(&s.all), cases[i].bytes), "%s: its bytes", cases[i].what);
    }
    is_long((long)see_all(read_text(crlf("\n=ybegin is how it begins\nbegin-base64 is another\n"))).count, 1,
            "sentences about them are none");
}

/* ---- where readers disagree: each hides "MZ-evil" (TVotZXZpbA==) from some of them ---- */

#define EVIL "TVotZXZpbEVWSUxFVklMRVZJTEVWSUw=\n"

static void test_doubts(void)
{
    static const struct {
        const char *what, *text;
    } cases[] = {
        {"two boundary parameters, the second counts",
         "Content-Type: multipart/mixed; boundary=one; boundary=two\n\n--one\n\nhi\n--two\n"
         "Content-Transfer-Encoding: base64\n\n"
         EVIL "--two--\n--one--\n"},
        {"two boundary parameters, the first counts",
         "Content-Type: multipart/mixed; boundary=one; boundary=two\n\n--two\n\nhi\n--one\n"
         "Content-Transfer-Encoding: base64\n\n"
         EVIL "--one--\n--two--\n"},
        {"two Content-Type fields",
         "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
         "Content-Transfer-Encoding: base64\n\n" EVIL
         "--b--\n"},
        {"two Content-Type fields with different boundaries",
         "Content-Type: multipart/mixed; boundary=a\nContent-Type: multipart/mixed; boundary=b\n\n--a\n\nhi\n--a--\n"
         "--b\nContent-Transfer-Encoding: base64\n\n" EVIL "--b--\n"},
        {"two Content-Transfer-Encoding fields, the first counts",
         "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\n" EVIL},
        {"two Content-Transfer-Encoding fields, the second counts",
         "Content-Transfer-Encoding: quoted-printable\nContent-Transfer-Encoding: base64\n\n" EVIL},
        {"an encoding with something behind it", "Content-Transfer-Encoding: base64; x=y\n\n" EVIL},
        {"an encoding with a comment before it", "Content-Transfer-Encoding: (really) base64\n\n" EVIL},
        {"an encoding misspelt", "Content-Transfer-Encoding: base 64\n\n" EVIL},
        {"a blank before the colon",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding : base64\n\n" EVIL "--b--\n"},
        {"a boundary that is the prefix of another",
         "Content-Type: multipart/mixed; boundary=foo\n\n--foo\nContent-Type: multipart/mixed; boundary=foobar\n\n"
         "--foobar\n\nhi\n--foobarbaz\nContent-Transfer-Encoding: base64\n\n" EVIL "--foobar--\n--foo--\n"},
        {"a boundary line with more behind it",
         "Content-Type: multipart/mixed; boundary=foo\n\n--foo\n\nhi\n--foo bar\n"
         "Content-Transfer-Encoding: base64\n\n" EVIL
         "--foo--\n"},
        {"a part behind the end",
         "Content-Type: multipart/mixed; boundary=foo\n\n--foo\n\nhi\n--foo--\n--foo\n"
         "Content-Transfer-Encoding: base64\n\n" EVIL},
        {"no end",
         "Content-Type: multipart/mixed; boundary=foo\n\n--foo\nContent-Transfer-Encoding: base64\n\n" EVIL},
        {"the boundary never comes",
         "Content-Type: multipart/mixed; boundary=foo\n\n--bar\nContent-Transfer-Encoding: base64\n\n"
         "" EVIL "--bar--\n"},
        {"no boundary parameter",
         "Content-Type: multipart/mixed\n\n--bar\nContent-Transfer-Encoding: base64\n\n" EVIL "--bar--\n"},
        {"an empty boundary",
         "Content-Type: multipart/mixed; boundary=\"\"\n\n--\nContent-Transfer-Encoding: base64\n\n" EVIL "----\n"},
        {"a boundary in pieces",
         "Content-Type: multipart/mixed; boundary*0=fo; boundary*1=o\n\n--foo\nContent-Transfer-Encoding: base64\n"
         "\n" EVIL
         "--foo--\n"},
        {"a boundary as it is and in pieces",
         "Content-Type: multipart/mixed; boundary=bar; boundary*0=fo; boundary*1=o\n\n--bar\n\n\n--bar--\n--foo\n"
         "Content-Transfer-Encoding: base64\n\n" EVIL "--foo--\n"},
        {"an encoded boundary",
         "Content-Type: multipart/mixed; boundary=\"=?us-ascii?q?foo?=\"\n\n--foo\n"
         "Content-Transfer-Encoding: base64\n\n" EVIL
         "--foo--\n"},
        {"a quoted boundary with a tail",
         "Content-Type: multipart/mixed; boundary=\"foo\"bar\n\n--foobar\nContent-Transfer-Encoding: base64\n\n" EVIL
         "--foobar--\n"},
        {"a boundary with a comment",
         "Content-Type: multipart/mixed; boundary=foo(bar)\n\n--foo\nContent-Transfer-Encoding: base64\n\n"
         "" EVIL "--foo--\n"},
        {"a boundary inside another parameter's quotes",
         "Content-Type: multipart/mixed; x=\"; boundary=foo; \"; boundary=bar\n\n--bar\n\nhi\n--bar--\n--foo\n"
         "Content-Transfer-Encoding: base64\n\n" EVIL "--foo--\n"},
        {"a type that is not first",
         "Content-Type: ; multipart/mixed; boundary=foo\n\n--foo\nContent-Transfer-Encoding: base64\n\n"
         "" EVIL "--foo--\n"},
        {"a multipart that is itself base64",
         "Content-Type: multipart/mixed; boundary=foo\nContent-Transfer-Encoding: base64\n\n"
         "LS1mb28KQ29udGVudC1UcmFuc2Zlci1FbmNvZGluZzogYmFzZTY0CgpUVm90WlhacGJFVldTVXhG\n"
         "VmtsTVJWWkpURVZXU1V3PQotLWZvby0tCg==\n"},
        {"a message that is itself base64",
         "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
         "Q29udGVudC1UcmFuc2Zlci1FbmNvZGluZzogYmFzZTY0CgpUVm90WlhacGJFVldTVXhGVmtsTVJWWkpU\nRVZXU1V3PQo=\n"},
        {"padding in the middle", "Content-Transfer-Encoding: base64\n\nTVo=LWV2aWxFVklMRVZJTEVWSUxFVklM\n"},
        {"padding to be skipped", "Content-Transfer-Encoding: base64\n\nTV=ot=ZXZpbEVWSUxFVklMRVZJTEVWSUw=\n"},
        {"junk in base64", "Content-Transfer-Encoding: base64\n\nT*V(o)t!Z\x80XZpbEVWSUxFVklMRVZJTEVWSUw=\n"},
        {"one digit a line", "Content-Transfer-Encoding: base64\n\nT\nV\no\nt\nZ\nX\nZ\np\nb\nE\nV\nW\nS\nU\nx\nF\n"
         "V\nk\nl\nM\n"},
        {"base64 with the letters of URLs",
         "Content-Transfer-Encoding: base64\n\nTVotZXZpbEVWSUw_Pz8-\n"},
        {"a line of blanks ends the header for some",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n \n" EVIL "--b--\n"},
        {"a line in the header that is no field",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\njunk\nX: y\n\n"
         "" EVIL "--b--\n"},
        {"a header that ends with its first odd line",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n" EVIL EVIL "\n--b--\n"},
        {"lines that end with CR alone",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\r--b\rContent-Transfer-Encoding: base64\r\r"
         "TVotZXZpbEVWSUxFVklMRVZJTEVWSUw=\r--b--\n"},
        {"a fold in the encoding", "Content-Transfer-Encoding:\n base64\n\n" EVIL},
        {"two types in an inner part",
         "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n"
         "Content-Type: multipart/mixed; boundary=c\n\n"
         "--c\nContent-Transfer-Encoding: base64\n\n" EVIL "--c--\n--b--\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen s = see_all(read_text(crlf(cases[i].text)));

        ok(has(buf_str(&s.all), "|MZ-evilEVIL") || str_starts(buf_str(&s.all), STR("MZ-evilEVIL")), "%s",
            cases[i].what);
    }
}

static void test_no_doubts(void)
{
    struct mime *m = read_text(crlf("Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\nAs you said:\n"
        "TVotZXZpbEVWSUxFVklMRVZJTEVWSUw=\n"
                                    "--\nsignature\n--b--\n"));
    struct seen s = see_all(m);

    ok(m->doubts == 0 && !has(buf_str(&s.all), "MZ-evil"), "a text that shows base64 is a text");
    m = read_text(crlf("Content-Type: multipart/mixed; boundary=\"----=_Part_1?x:/\"\n\n------=_Part_1?x:/\n\nhi\n"
        "------=_Part_1?x:/--\n"));
    is_long(m->doubts, 0, "boundaries as they are in the world are no reason to doubt");
    m = read_text(crlf("Content-Type: multipart/mixed; boundary=----=_Part_1\n\n------=_Part_1\n\nhi\n"
        "------=_Part_1--\n"));
    is_long(m->doubts, 0, "without quotes too");
}

/* ---- much ---- */

static struct str repeated(const char *head, const char *one, size_t times, const char *tail)
{
    struct buf b = buf_in(a);

    buf_add(&b, str_of(head));
    for (size_t i = 0; i < times; i++)
        buf_add(&b, str_of(one));
    buf_add(&b, str_of(tail));
    return buf_str(&b);
}

static bool count_one(void *data, const struct mime_part *part)
{
    (void)part;
    ++*(size_t *)data;
    return true;
}

static void test_much(void)
{
    size_t count = 0;
    static const char head[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    static const char evil[] = "--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "TVotZXZpbEVWSUxFVklMRVZJTEVWSUw=\r\n--b--\r\n";
    long long began = tap_cpu_ms();
    struct arena *other;
    struct mime *m;
    struct str text;
    struct buf b;

    text = repeated(head, "--b\r\n\r\n\r\n", 100000, evil);
    other = a;
    a = arena_new(0);
    m = read_text(text);
    ok(m->count <= 2 * MIME_PARTS_MOST && (m->doubts & MIME_TOO_MUCH), "100000 empty parts: few are kept");
    ok(arena_bytes(a) < 4 << 20, "in little memory (%zu)", arena_bytes(a));
    ok(has(all_of(m), "MZ-evil"), "what stands behind them is seen all the same");
    arena_free(&a);
    a = other;
    b = buf_in(a);
    buf_add(&b, str_of(head));
    buf_add(&b, STR("--b\r\n"));
    for (unsigned i = 0; i < 10000; i++)
        buf_addf(&b, "Content-Type: multipart/mixed; boundary=c%u_\r\n\r\n--c%u_\r\n", i, i);
    buf_add(&b, str_of(evil));
    m = read_text(buf_str(&b));
    ok(m->count < 200 && (m->doubts & MIME_TOO_MUCH), "10000 multiparts in each other: few are kept");
    ok(has(all_of(m), "MZ-evil"), "the innermost is seen");
    m = read_text(repeated(head, "--b\r\nContent-Type: message/rfc822\r\n\r\n", 50000, evil));
    ok(has(all_of(m), "MZ-evil"), "50000 messages");
    m = read_text(repeated("Content-Type: multipart/mixed; boundary=b\r\nContent-Type: x/y\r\n\r\n",
        "Content-X: y\r\n\r\n", 60000, evil));
    ok(has(all_of(m), "MZ-evil"), "60000 blocks");
    m = read_text(repeated(head, "--b\r\nA: b", 100000, evil));
    see_all(m);
    m = read_text(repeated(head, "\r", 1000000, ""));
    see_all(m);
    m = read_text(repeated(head, "begin 644 x\r\n", 80000, ""));
    see_all(m);
    m = read_text(repeated("\r\n", "begin-base64 644 x\r\n=ybegin name=x\r\n", 80000, ""));
    mime_each(m, count_one, &count);
    is_long((long)count, 160001, "80000 blocks of either kind that never end");
    text = repeated("Content-Type: text/plain\r\n\r\n", "begin x ", 100000000 / 8, "");
    other = a;
    a = arena_new(0);
    m = read_text(text);
    mime_each(m, count_one, &count);
    ok(m->count == 1 && arena_bytes(a) < 1 << 20, "a line of 100 MB takes no memory (%zu)", arena_bytes(a));
    arena_free(&a);
    a = other;
    m = read_text(repeated(head, "x", 10000000, ""));
    ok(m->count > 0, "a line of 10 MB without the boundary");
    began = tap_cpu_ms() - began;
    ok(began < 20000, "all that in bounded time (%lld ms)", began);
}

/* test_levels - a message in base64 in a message in base64 ... is followed for a while,
    and then said to be too much. */
static void test_levels(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct str text = STR("Content-Transfer-Encoding: base64\r\n\r\nTVotZXZpbEVWSUxFVklMRVZJTEVWSUw=\r\n");

    for (int level = 1; level <= 6; level++) {
        struct buf b = buf_in(a);
        struct mime *m;

        buf_add(&b, STR("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
        for (size_t i = 0; i < text.n; i += 3) {
            unsigned value = 0;

            for (size_t k = 0; k < 3; k++)
                value = value << 8 | (i + k < text.n ? (unsigned char)text.p[i + k] : ' ');
            for (int shift = 18; shift >= 0; shift -= 6)
                buf_addc(&b, digits[value >> shift & 63]);
        }
        buf_add(&b, STR("\r\n"));
        text = str_dup(a, buf_str(&b));
        m = read_text(text);
        ok(has(all_of(m), "MZ-evil") != m->truncated, "%d levels: %s", level,
           m->truncated ? "too much, and it is known" : "found");
        if (level == 3 || level == 6)
            ok(m->truncated == (level == 6), "%d levels are %s", level, level == 6 ? "too many" : "followed");
    }
}

static void test_text(void)
{
    is_str(mime_text(a, STR("h\0i\0"), STR("utf-16le")), STR("hi"), "UTF-16");
    is_str(mime_text(a, STR("\xff\xfeh\0i\0"), STR("us-ascii")), STR("hi"), "with its mark, whatever the charset says");
    is_str(mime_text(a, STR("\xe9"), STR("ISO-8859-1")), STR("\xc3\xa9"), "latin 1");
    is_str(mime_text(a, STR("\xe9"), STR("no-such-charset//TRANSLIT")), STR("\xe9"), "unknown ones stay");
    is_str(mime_text(a, STR("+AGE-b"), STR("utf-7")), STR("ab"), "UTF-7");
    is_str(mime_text(a, STR("\xd8\x00\x00x"), STR("utf-16be")), STR("?x"), "what is no character is a question mark");
    is_str(mime_word(a, STR("=?utf-8?q?a_b?= =?utf-8?b?Yw==?= d")), STR("a bc d"), "encoded words");
    is_str(mime_word(a, STR("=?x?y?z")), STR("=?x?y?z"), "what is none");
    is_str(mime_word(a, STR("=?utf-8*en?Q?a?=")), STR("a"), "with a language");
}

static void test_added(void)
{
    struct mime *m = read_text(STR("Subject: x\r\n\r\nhello\r\n"));
    struct seen s;

    mime_add(m, m->first, STR("application/octet-stream"), STR("from-tnef.exe"), STR("MZ"));
    s = see_all(m);
    ok(has(buf_str(&s.names), "from-tnef.exe|") && has(buf_str(&s.all), "MZ|"), "a leaf that was added is looked at");
}

int main(void)
{
    a = arena_new(0);
    test_plain();
    test_tree();
    test_digest();
    test_names();
    test_uu();
    test_inline();
    test_doubts();
    test_no_doubts();
    test_much();
    test_levels();
    test_text();
    test_added();
    arena_free(&a);
    return tap_end();
}
