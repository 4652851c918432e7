/* mime_text.c - charsets: from what a mail reader shows to UTF-8. */
#include <errno.h>
#include <iconv.h>

#include "mime.h"

/* What iconv is asked for: strangers' names of charsets never reach it. NULL: UTF-8 or like it, nothing to do. */
static const struct {
    const char *name, *iconv;
} charsets[] = {
    {"utf-16", "UTF-16"}, {"utf-16le", "UTF-16LE"}, {"utf-16be", "UTF-16BE"},
    {"utf16", "UTF-16"}, {"unicode", "UTF-16"}, {"iso-10646-ucs-2", "UTF-16BE"},
    {"utf-32", "UTF-32"}, {"utf-32le", "UTF-32LE"}, {"utf-32be", "UTF-32BE"},
    {"utf-7", "UTF-7"}, {"unicode-1-1-utf-7", "UTF-7"},
    {"iso-8859-1", "WINDOWS-1252"}, {"latin1", "WINDOWS-1252"}, {"windows-1252", "WINDOWS-1252"},
    {"cp1252", "WINDOWS-1252"}, {"iso-8859-2", "ISO-8859-2"}, {"iso-8859-3", "ISO-8859-3"},
    {"iso-8859-4", "ISO-8859-4"}, {"iso-8859-5", "ISO-8859-5"}, {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"}, {"iso-8859-8", "ISO-8859-8"}, {"iso-8859-8-i", "ISO-8859-8"},
    {"iso-8859-9", "ISO-8859-9"}, {"iso-8859-10", "ISO-8859-10"}, {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"}, {"iso-8859-15", "ISO-8859-15"}, {"iso-8859-16", "ISO-8859-16"},
    {"windows-1250", "WINDOWS-1250"}, {"windows-1251", "WINDOWS-1251"}, {"cp1251", "WINDOWS-1251"},
    {"windows-1253", "WINDOWS-1253"}, {"windows-1254", "WINDOWS-1254"}, {"windows-1255", "WINDOWS-1255"},
    {"windows-1256", "WINDOWS-1256"}, {"windows-1257", "WINDOWS-1257"}, {"windows-1258", "WINDOWS-1258"},
    {"koi8-r", "KOI8-R"}, {"koi8-u", "KOI8-U"}, {"gb2312", "GBK"}, {"gbk", "GBK"}, {"gb18030", "GB18030"},
    {"big5", "BIG5"}, {"shift_jis", "SHIFT_JIS"}, {"shift-jis", "SHIFT_JIS"}, {"x-sjis", "SHIFT_JIS"},
    {"euc-jp", "EUC-JP"}, {"iso-2022-jp", "ISO-2022-JP"}, {"euc-kr", "EUC-KR"}, {"ks_c_5601-1987", "EUC-KR"},
    {"iso-2022-kr", "ISO-2022-KR"}, {"tis-620", "TIS-620"}, {"windows-874", "TIS-620"},
};

/* wide - charsets in which plain ASCII is written in other bytes, so that text without 8-bit bytes matters too. */
static bool wide(const char *name)
{
    return strncmp(name, "UTF-", 4) == 0 || strncmp(name, "ISO-2022", 8) == 0;
}

static const char *charset_find(struct str bytes, struct str charset)
{
    bool eight = false;

    if (str_starts(bytes, STR("\xff\xfe")))
        return "UTF-16";
    if (str_starts(bytes, STR("\xfe\xff")))
        return "UTF-16";
    for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++) {
        if (!str_is_nocase(charset, str_of(charsets[i].name)))
            continue;
        for (size_t k = 0; k < bytes.n && !eight; k++)
            eight = (unsigned char)bytes.p[k] >= 0x80;
        return eight || wide(charsets[i].iconv) ? charsets[i].iconv : NULL;
    }
    return NULL;
}

struct str mime_text(struct arena *a, struct str bytes, struct str charset)
{
    const char *from = charset_find(bytes, charset);
    size_t room = bytes.n * 4 + 16, left = room, in_left = bytes.n;
    char *out, *to, *in;
    size_t unit, skip;
    iconv_t way;

    if (!from || bytes.n == 0 || bytes.n > MIME_DECODED_MOST)
        return bytes;
    way = iconv_open("UTF-8", from);
    if (way == (iconv_t)-1)
        return bytes;
    out = to = arena_alloc(a, room);
    in = (char *)bytes.p;
    unit = strncmp(from, "UTF-16", 6) == 0 ? 2 : strncmp(from, "UTF-32", 6) == 0 ? 4 : 1;
    while (in_left && left > 4) {
        if (iconv(way, &in, &in_left, &to, &left) != (size_t)-1 || errno == E2BIG)
            break;
        *to++ = '?';
        left--;
        skip = unit < in_left ? unit : in_left;
        in += skip;
        in_left -= skip;
    }
    iconv_close(way);
    return (struct str){out, (size_t)(to - out)};
}
