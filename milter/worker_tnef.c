/* worker_tnef.c - asks for the content of a winmail.dat, and believes nothing of the answer but its bytes. */
#include <string.h>

#include "mail/utf8.h"
#include "worker.h"
#include "worker_frame.h"
#include "worker_tnef.h"

#define EXTENSION_MOST 20

/* ---- names ---- */

static void add_code(struct buf *b, unsigned long c)
{
    if (c < 0x80) {
        buf_addc(b, (char)c);
    } else if (c < 0x800) {
        buf_addc(b, (char)(0xc0 | c >> 6));
        buf_addc(b, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_addc(b, (char)(0xe0 | c >> 12));
        buf_addc(b, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_addc(b, (char)(0x80 | (c & 0x3f)));
    }
}

struct str tnef_utf8(struct arena *a, struct str s)
{
    static const unsigned short high[32] = { /* 0x80 to 0x9f of Windows-1252; 0: nothing */
        0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
        0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e,
        0x0178,
    };
    struct buf b;

    if (utf8_is_valid(s))
        return s;
    b = buf_in(a);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < 0x80 || c >= 0xa0)
            add_code(&b, c);
        else
            add_code(&b, high[c - 0x80] ? high[c - 0x80] : '?');
    }
    return buf_str(&b);
}

/* is_invisible - characters that change how others look, or have no look: what they do to a name is deceit. */
static bool is_invisible(unsigned long c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xffff);
}

/* next_char - of valid UTF-8: its bytes, and its number (only that it is beyond 0xffff is told of the longest). */
static size_t next_char(struct str s, size_t at, unsigned long *code)
{
    const unsigned char *p = (const unsigned char *)s.p + at;

    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    if (p[0] < 0xe0) {
        *code = (p[0] & 0x1fUL) << 6 | (p[1] & 0x3fUL);
        return 2;
    }
    if (p[0] < 0xf0) {
        *code = (p[0] & 0xfUL) << 12 | (p[1] & 0x3fUL) << 6 | (p[2] & 0x3fUL);
        return 3;
    }
    *code = 0x10000;
    return 4;
}

static size_t whole_chars(struct str s, size_t most)
{
    if (s.n <= most)
        return s.n;
    while (most > 0 && ((unsigned char)s.p[most] & 0xc0) == 0x80)
        most--;
    return most;
}

static struct str trim_dots(struct str s)
{
    while (s.n && (s.p[0] == '.' || s.p[0] == ' '))
        s = str_slice(s, 1, s.n);
    while (s.n && (s.p[s.n - 1] == '.' || s.p[s.n - 1] == ' '))
        s.n--;
    return s;
}

/* shorten - the extension stays, for it says what the file is. */
static struct str shorten(struct arena *a, struct str s)
{
    size_t dot = str_rfind(s, '.');
    struct str extension = dot < s.n && s.n - dot <= EXTENSION_MOST ? str_slice(s, dot, s.n) : STR_NONE, front;

    if (s.n <= TNEF_NAME_MOST)
        return s;
    front = trim_dots(str_slice(s, 0, whole_chars(s, TNEF_NAME_MOST - extension.n)));
    return trim_dots(arena_printf(a, STR_FMT STR_FMT, STR_ARG(front), STR_ARG(extension)));
}

struct str tnef_name(struct arena *a, struct str raw)
{
    struct str s = tnef_utf8(a, str_slice(raw, 0, str_find(raw, '\0')));
    struct buf b = buf_in(a);
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/' || s.p[i] == '\\')
            from = i + 1;
    s = str_slice(s, from, s.n);
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned long c;

        n = next_char(s, i, &c);
        if (is_invisible(c))
            continue;
        if (c < 0x80 && strchr("\"<>|:*?;", (int)c))
            buf_addc(&b, '_');
        else
            buf_add(&b, str_slice(s, i, i + n));
    }
    s = shorten(a, trim_dots(buf_str(&b)));
    return s.n ? s : STR("attachment");
}

struct str tnef_type(struct str name)
{
    static const struct {
        const char *extension, *type;
    } types[] = {
        {".txt", "text/plain"}, {".log", "text/plain"}, {".csv", "text/csv"}, {".htm", "text/html"},
        {".html", "text/html"}, {".xml", "application/xml"}, {".ics", "text/calendar"}, {".vcf", "text/vcard"},
        {".rtf", "application/rtf"}, {".pdf", "application/pdf"}, {".zip", "application/zip"},
        {".gz", "application/gzip"}, {".7z", "application/x-7z-compressed"}, {".doc", "application/msword"},
        {".xls", "application/vnd.ms-excel"}, {".ppt", "application/vnd.ms-powerpoint"},
        {".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
        {".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
        {".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
        {".odt", "application/vnd.oasis.opendocument.text"},
        {".ods", "application/vnd.oasis.opendocument.spreadsheet"}, {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"},
        {".png", "image/png"}, {".gif", "image/gif"}, {".bmp", "image/bmp"}, {".tif", "image/tiff"},
        {".tiff", "image/tiff"}, {".svg", "image/svg+xml"}, {".webp", "image/webp"}, {".wav", "audio/wav"},
        {".mp3", "audio/mpeg"}, {".mp4", "video/mp4"}, {".mov", "video/quicktime"}, {".tnef", "application/ms-tnef"},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (str_ends_nocase(name, str_of(types[i].extension)))
            return str_of(types[i].type);
    return STR("application/octet-stream");
}

/* ---- the answer ---- */

static struct str type_of(enum tnef_kind kind, struct str name)
{
    switch (kind) {
    case TNEF_BODY_TEXT:
    case TNEF_FIELD:
        return STR("text/plain");
    case TNEF_BODY_HTML:
        return STR("text/html");
    case TNEF_BODY_RTF:
        return STR("application/rtf");
    default:
        return tnef_type(name);
    }
}

static bool read_part(struct arena *a, struct str *rest, struct tnef_part *p)
{
    uint32_t kind;

    if (!frame_u32(rest, &kind) || kind >= TNEF_KINDS || !frame_str(rest, TNEF_NAME_MOST, &p->name) ||
        !frame_str(rest, TNEF_DATA_MOST, &p->data))
        return false;
    if (p->name.n == 0 || !str_is(tnef_name(a, p->name), p->name))
        return false;
    p->kind = (enum tnef_kind)kind;
    p->type = type_of(p->kind, p->name);
    p->utf8 = p->kind == TNEF_BODY_TEXT && utf8_is_valid(p->data);
    return true;
}

bool worker_tnef_answer(struct arena *a, struct str bytes, struct tnef_content *out, struct str *why)
{
    uint64_t sum = 0;
    uint32_t count;

    *out = (struct tnef_content){0};
    *why = STR("the worker says something else than it should");
    if (!frame_u32(&bytes, &count) || count > TNEF_PARTS_MOST)
        return false;
    out->parts = arena_array(a, count ? count : 1, sizeof *out->parts);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_part(a, &bytes, &out->parts[i]))
            return false;
        sum += out->parts[i].data.n;
    }
    if (bytes.n || sum > TNEF_DATA_MOST)
        return false;
    out->count = count;
    *why = STR_NONE;
    return true;
}

bool worker_tnef(struct arena *a, struct str winmail, int64_t deadline, struct tnef_content *out, struct str *why)
{
    struct worker_job *job = worker_begin(a, "tnef", STR_NONE, &winmail, 1, deadline);
    struct str answer;

    *out = (struct tnef_content){0};
    if (!worker_finish(job, &answer, why) || !worker_tnef_answer(a, answer, out, why)) {
        *out = (struct tnef_content){0};
        return false;
    }
    return true;
}
