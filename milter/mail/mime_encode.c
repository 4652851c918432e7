/* mime_encode.c - transfer encodings (RFC 2045, 6), as we write them. */
#include "mime_edit_inside.h"

#define LINE_MOST 76

void mime_add_base64(struct buf *b, struct str bytes, const char *eol)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = (const unsigned char *)bytes.p;
    size_t column = 0;

    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        unsigned value = (unsigned)in[i] << 16 | (n > 1 ? (unsigned)in[i + 1] << 8 : 0) | (n > 2 ? in[i + 2] : 0);
        char four[4] = {digits[value >> 18], digits[value >> 12 & 63], n > 1 ? digits[value >> 6 & 63] : '=',
                        n > 2 ? digits[value & 63] : '='};

        buf_add(b, (struct str){four, 4});
        column += 4;
        if (column == LINE_MOST && i + 3 < bytes.n) {
            buf_add(b, str_of(eol));
            column = 0;
        }
    }
}

/* at_line_end - nothing but a line's end follows. */
static bool at_line_end(struct str s, size_t i)
{
    if (i < s.n && s.p[i] == '\r')
        i++;
    return i >= s.n || s.p[i] == '\n';
}

void mime_add_qp(struct buf *b, struct str bytes, const char *eol, size_t *column)
{
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        bool plain = c > ' ' && c < 0x7f && c != '=';

        if (c == '\n' || (c == '\r' && i + 1 < bytes.n && bytes.p[i + 1] == '\n')) {
            buf_addc(b, (char)c);
            *column = 0;
            continue;
        }
        plain |= (c == ' ' || c == '\t') && !at_line_end(bytes, i + 1);
        plain &= !(c == '-' && *column == 0); /* nothing of it looks like a boundary */
        if (*column + (plain ? 1 : 3) > LINE_MOST - 1) {
            buf_addf(b, "=%s", eol);
            *column = 0;
            plain &= c != '-';
        }
        if (plain)
            buf_addc(b, (char)c);
        else
            buf_addf(b, "=%02X", c);
        *column += plain ? 1 : 3;
    }
}

bool mime_is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80 || s.p[i] == '\0')
            return false;
    return true;
}

size_t mime_longest_line(struct str s)
{
    struct str line;
    size_t most = 0;

    while (str_split(&s, '\n', &line))
        most = line.n > most ? line.n : most;
    return most;
}

struct str mime_with_eol(struct arena *a, struct str lines, const char *eol)
{
    struct buf b = buf_in(a);
    struct str line;

    while (lines.n) {
        size_t end = str_find(lines, '\n');

        line = str_slice(lines, 0, end);
        buf_add(&b, line);
        if (end < lines.n)
            buf_add(&b, str_of(eol));
        lines = str_slice(lines, end + 1, lines.n);
    }
    return buf_str(&b);
}
