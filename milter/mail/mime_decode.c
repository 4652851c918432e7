/* mime_decode.c - transfer encodings, forgiving as mail readers are. */
#include "mime.h"

#define JUNK 0
#define PADDING 65
#define BLANK 66

/* By byte: its six bits and one, or one of the above. */
static const unsigned char digits[256] = {
    [' '] = BLANK, ['\t'] = BLANK, ['\r'] = BLANK, ['\n'] = BLANK, ['='] = PADDING, ['+'] = 63, ['/'] = 64,
    ['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
};

struct bits {
    unsigned char *out;
    size_t n, most;
    unsigned value, count; /* digits that wait for their group of four */
};

static void bits_flush(struct bits *b)
{
    if (b->count >= 2 && b->n < b->most)
        b->out[b->n++] = (unsigned char)(b->count == 2 ? b->value >> 4 : b->value >> 10);
    if (b->count == 3 && b->n < b->most)
        b->out[b->n++] = (unsigned char)(b->value >> 2);
    b->value = b->count = 0;
}

static void bits_add(struct bits *b, unsigned digit)
{
    b->value = b->value << 6 | digit;
    if (++b->count < 4)
        return;
    for (int shift = 16; shift >= 0; shift -= 8)
        if (b->n < b->most)
            b->out[b->n++] = (unsigned char)(b->value >> shift);
    b->value = b->count = 0;
}

/* base64 - *odd when another reader may get something else out of it. */
static struct str base64(struct arena *a, struct str raw, size_t most, unsigned reading, bool *odd)
{
    size_t room = raw.n / 4 * 3 + 3;
    struct bits b = {.most = most < room ? most : room};
    bool padded = false;

    b.out = arena_alloc(a, b.most + 1);
    for (size_t i = 0; i < raw.n && b.n < b.most; i++) {
        unsigned digit = digits[(unsigned char)raw.p[i]];

        if (reading == 2 && (raw.p[i] == '-' || raw.p[i] == '_'))
            digit = raw.p[i] == '-' ? 63 : 64;
        if (digit != JUNK && digit < PADDING) {
            *odd |= padded;
            bits_add(&b, digit - 1);
        } else if (digit == PADDING) {
            padded = true;
            if (reading != 1)
                bits_flush(&b);
        } else if (digit == JUNK) {
            *odd = true;
        }
    }
    if (b.n < b.most)
        bits_flush(&b);
    return (struct str){(const char *)b.out, b.n};
}

/* soft_break - how many bytes behind a '=' belong to a line that goes on; 0: it is none. */
static size_t soft_break(struct str rest)
{
    size_t i = 0;

    while (i < rest.n && i < 80 && (rest.p[i] == ' ' || rest.p[i] == '\t'))
        i++;
    if (i < rest.n && rest.p[i] == '\r')
        i++;
    if (i < rest.n && rest.p[i] == '\n')
        return i + 1;
    return i && rest.p[i - 1] == '\r' ? i : 0;
}

static struct str quoted_printable(struct arena *a, struct str raw, size_t most)
{
    size_t room = most < raw.n ? most : raw.n, n = 0;
    char *out = arena_alloc(a, room + 1);

    for (size_t i = 0; i < raw.n && n < room; i++) {
        size_t skip;

        if (raw.p[i] != '=') {
            out[n++] = raw.p[i];
            continue;
        }
        if (i + 2 < raw.n && str_hex(raw.p[i + 1]) >= 0 && str_hex(raw.p[i + 2]) >= 0) {
            out[n++] = (char)(str_hex(raw.p[i + 1]) << 4 | str_hex(raw.p[i + 2]));
            i += 2;
            continue;
        }
        skip = soft_break(str_slice(raw, i + 1, raw.n));
        if (skip)
            i += skip;
        else
            out[n++] = '=';
    }
    return (struct str){out, n};
}

/* uu - raw begins behind the "begin" line. */
static struct str uu(struct arena *a, struct str raw, size_t most)
{
    size_t room = raw.n / 4 * 3 + 3;
    struct bits b = {.most = most < room ? most : room};
    struct str line;

    b.out = arena_alloc(a, b.most + 1);
    while (b.n < b.most && str_split(&raw, '\n', &line)) {
        size_t want, from = b.n;

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        want = line.n ? ((unsigned char)line.p[0] - 32u) & 63 : 0;
        if (want == 0 || line.p[0] < 32 || line.p[0] > 96)
            break;
        for (size_t i = 1; i < line.n && b.n < from + want; i++)
            bits_add(&b, ((unsigned char)line.p[i] - 32u) & 63);
        bits_flush(&b);
        if (b.n > from + want)
            b.n = from + want;
    }
    return (struct str){(const char *)b.out, b.n};
}

/* yenc - raw begins behind the "=ybegin" line. Each byte is 42 more than it was; '=' stands before one that is 64 more
 * still. */
static struct str yenc(struct arena *a, struct str raw, size_t most)
{
    size_t room = most < raw.n ? most : raw.n, n = 0;
    char *out = arena_alloc(a, room + 1);

    if (str_starts(raw, STR("=ypart ")))
        raw = str_slice(raw, str_find(raw, '\n') + 1, raw.n);
    for (size_t i = 0; i < raw.n && n < room; i++) {
        unsigned char c = (unsigned char)raw.p[i];

        if (c == '\r' || c == '\n')
            continue;
        if (c == '=' && i + 1 < raw.n)
            c = (unsigned char)((unsigned char)raw.p[++i] - 64);
        out[n++] = (char)(c - 42);
    }
    return (struct str){out, n};
}

bool mime_decode(struct arena *a, const struct mime_part *part, size_t most, unsigned reading, struct str *bytes)
{
    bool odd = false;

    if (reading && part->coding != MIME_BASE64)
        return false;
    switch (part->coding) {
    case MIME_BASE64:
        *bytes = base64(a, part->raw, most, reading, &odd);
        return reading == 0 || (odd && reading <= 2);
    case MIME_QP:
        *bytes = quoted_printable(a, part->raw, most);
        return true;
    case MIME_UU:
        *bytes = uu(a, part->raw, most);
        return true;
    case MIME_YENC:
        *bytes = yenc(a, part->raw, most);
        return true;
    default:
        *bytes = str_slice(part->raw, 0, most);
        return true;
    }
}
