/* mime_charset.c - charsets of texts that we write into: from and to UTF-8, exactly or not at all. */
#include <errno.h>
#include <iconv.h>

#include "mime_edit_inside.h"
#include "utf8.h"

#define PARAMETER_MOST 100
#define FIELD_MOST 900 /* on one line (RFC 5322, 2.1.1) */

/* Strangers' names never reach iconv. Reading is as wide as writers are careless, writing is not. */
static const struct {
    const char *name, *read, *write;
    enum mime_alphabet alphabet;
} charsets[] = {
    {"iso-8859-1", "WINDOWS-1252", "ISO-8859-1", ALPHABET_ASCII},
    {"latin1", "WINDOWS-1252", "ISO-8859-1", ALPHABET_ASCII},
    {"windows-1252", "WINDOWS-1252", "WINDOWS-1252", ALPHABET_ASCII},
    {"cp1252", "WINDOWS-1252", "WINDOWS-1252", ALPHABET_ASCII},
    {"iso-8859-2", "ISO-8859-2", "ISO-8859-2", ALPHABET_ASCII},
    {"iso-8859-3", "ISO-8859-3", "ISO-8859-3", ALPHABET_ASCII},
    {"iso-8859-4", "ISO-8859-4", "ISO-8859-4", ALPHABET_ASCII},
    {"iso-8859-5", "ISO-8859-5", "ISO-8859-5", ALPHABET_ASCII},
    {"iso-8859-7", "ISO-8859-7", "ISO-8859-7", ALPHABET_ASCII},
    {"iso-8859-9", "ISO-8859-9", "ISO-8859-9", ALPHABET_ASCII},
    {"iso-8859-10", "ISO-8859-10", "ISO-8859-10", ALPHABET_ASCII},
    {"iso-8859-13", "ISO-8859-13", "ISO-8859-13", ALPHABET_ASCII},
    {"iso-8859-14", "ISO-8859-14", "ISO-8859-14", ALPHABET_ASCII},
    {"iso-8859-15", "ISO-8859-15", "ISO-8859-15", ALPHABET_ASCII},
    {"iso-8859-16", "ISO-8859-16", "ISO-8859-16", ALPHABET_ASCII},
    {"windows-1250", "WINDOWS-1250", "WINDOWS-1250", ALPHABET_ASCII},
    {"windows-1251", "WINDOWS-1251", "WINDOWS-1251", ALPHABET_ASCII},
    {"windows-1253", "WINDOWS-1253", "WINDOWS-1253", ALPHABET_ASCII},
    {"windows-1254", "WINDOWS-1254", "WINDOWS-1254", ALPHABET_ASCII},
    {"windows-1255", "WINDOWS-1255", "WINDOWS-1255", ALPHABET_ASCII},
    {"windows-1256", "WINDOWS-1256", "WINDOWS-1256", ALPHABET_ASCII},
    {"windows-1257", "WINDOWS-1257", "WINDOWS-1257", ALPHABET_ASCII},
    {"windows-1258", "WINDOWS-1258", "WINDOWS-1258", ALPHABET_ASCII},
    {"koi8-r", "KOI8-R", "KOI8-R", ALPHABET_ASCII},
    {"koi8-u", "KOI8-U", "KOI8-U", ALPHABET_ASCII},
    {"gb2312", "GBK", "EUC-CN", ALPHABET_ASCII},
    {"gbk", "GBK", "GBK", ALPHABET_ASCII},
    {"gb18030", "GB18030", "GB18030", ALPHABET_ASCII},
    {"big5", "BIG5", "BIG5", ALPHABET_ASCII},
    {"shift_jis", "SHIFT_JIS", "SHIFT_JIS", ALPHABET_ASCII},
    {"euc-jp", "EUC-JP", "EUC-JP", ALPHABET_ASCII},
    {"euc-kr", "EUC-KR", "EUC-KR", ALPHABET_ASCII},
    {"ks_c_5601-1987", "EUC-KR", "EUC-KR", ALPHABET_ASCII},
    {"tis-620", "TIS-620", "TIS-620", ALPHABET_ASCII},
    {"iso-2022-jp", "ISO-2022-JP", "ISO-2022-JP", ALPHABET_ESCAPES},
    {"iso-2022-kr", "ISO-2022-KR", NULL, ALPHABET_OTHER},
    {"utf-7", "UTF-7", NULL, ALPHABET_OTHER},
    {"utf-16", "UTF-16", NULL, ALPHABET_OTHER},
    {"utf-16le", "UTF-16LE", NULL, ALPHABET_OTHER},
    {"utf-16be", "UTF-16BE", NULL, ALPHABET_OTHER},
    {"utf-32", "UTF-32", NULL, ALPHABET_OTHER},
    {"utf-32le", "UTF-32LE", NULL, ALPHABET_OTHER},
    {"utf-32be", "UTF-32BE", NULL, ALPHABET_OTHER},
};

#define CHARSETS (sizeof charsets / sizeof *charsets)

static bool is_utf8(struct str charset)
{
    return str_is_nocase(charset, STR("utf-8")) || str_is_nocase(charset, STR("utf8"));
}

static bool is_us_ascii(struct str charset)
{
    return charset.n == 0 || str_is_nocase(charset, STR("us-ascii")) || str_is_nocase(charset, STR("ascii"));
}

static size_t find(struct str charset)
{
    size_t i = 0;

    while (i < CHARSETS && !str_is_nocase(charset, str_of(charsets[i].name)))
        i++;
    return i;
}

enum mime_alphabet mime_alphabet(struct str charset)
{
    size_t i = find(charset);

    if (is_utf8(charset) || is_us_ascii(charset))
        return ALPHABET_ASCII;
    return i < CHARSETS ? charsets[i].alphabet : ALPHABET_UNKNOWN;
}

/* convert - all of it, with nothing lost and nothing guessed. */
static bool convert(struct arena *a, const char *from, const char *to, struct str in, struct str *out)
{
    iconv_t way = iconv_open(to, from);
    size_t left, in_left = in.n, room = in.n * 4 + 32;
    char *start, *at, *read = (char *)in.p;
    bool fine;

    if (way == (iconv_t)-1)
        return false;
    start = at = arena_alloc(a, room);
    left = room;
    fine = in.n == 0 || iconv(way, &read, &in_left, &at, &left) == 0;
    fine = iconv(way, NULL, NULL, &at, &left) != (size_t)-1 && fine && in_left == 0;
    iconv_close(way);
    *out = (struct str){start, (size_t)(at - start)};
    return fine;
}

bool mime_from_utf8(struct arena *a, struct str text, struct str charset, struct str *bytes)
{
    size_t i = find(charset);

    *bytes = text;
    if (is_utf8(charset))
        return true;
    if (is_us_ascii(charset) || i == CHARSETS)
        return is_us_ascii(charset) && mime_is_ascii(text);
    return charsets[i].write && convert(a, "UTF-8", charsets[i].write, text, bytes);
}

bool mime_to_utf8(struct arena *a, struct str bytes, struct str charset, struct str *text)
{
    size_t i = find(charset);

    *text = bytes;
    if (bytes.n > MIME_DECODED_MOST)
        return false;
    if (is_utf8(charset) || is_us_ascii(charset))
        return utf8_is_valid(bytes);
    if (i == CHARSETS || !convert(a, charsets[i].read, "UTF-8", bytes, text))
        return false;
    if (str_starts(*text, STR("\xef\xbb\xbf")))
        *text = str_slice(*text, 3, text->n);
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* parameter_end - the offset of the semicolon that ends the parameter at `from`, or the end. */
static size_t parameter_end(struct str s, size_t from)
{
    bool quoted = false;

    for (; from < s.n && (quoted || s.p[from] != ';'); from++) {
        if (s.p[from] == '\\')
            from++;
        else if (from < s.n && s.p[from] == '"')
            quoted = !quoted;
    }
    return from < s.n ? from : s.n;
}

struct str mime_with_charset(struct arena *a, struct str field, struct str charset)
{
    struct buf b = buf_in(a);
    size_t at = parameter_end(field, 0), count = 0, found = 0;

    if (str_find(field, '(') < field.n) /* comments can stand anywhere, and hide anything */
        return STR_NONE;
    buf_add(&b, str_trim(str_slice(field, 0, at)));
    while (at < field.n) {
        size_t end = parameter_end(field, at + 1), name = 0;
        struct str one = str_trim(str_slice(field, at + 1, end));

        at = end;
        if (one.n == 0)
            continue;
        if (++count > PARAMETER_MOST)
            return STR_NONE;
        while (name < one.n && one.p[name] != '=' && !is_space(one.p[name]))
            name++;
        if (str_starts_nocase(one, STR("charset*")))
            return STR_NONE;
        if (str_is_nocase(str_slice(one, 0, name), STR("charset"))) {
            if (found++)
                return STR_NONE;
            one = arena_printf(a, "charset=" STR_FMT, STR_ARG(charset));
        }
        buf_add(&b, STR("; "));
        buf_add(&b, one);
    }
    if (!found)
        buf_addf(&b, "; charset=" STR_FMT, STR_ARG(charset));
    return b.len < FIELD_MOST ? buf_str(&b) : STR_NONE;
}
