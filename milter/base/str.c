/* str.c - views and buffers. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "arena.h"
#include "log.h"
#include "str.h"

bool str_is(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_is_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_is(str_slice(s, 0, prefix.n), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_is_nocase(str_slice(s, 0, prefix.n), prefix);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_is_nocase(str_slice(s, s.n - suffix.n, s.n), suffix);
}

int str_compare(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    return order ? order : (a.n > b.n) - (a.n < b.n);
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

size_t str_rfind(struct str s, char c)
{
    const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from >= to)
        return STR_NONE;
    return (struct str){s.p + from, to - from};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0]))
        s = str_slice(s, 1, s.n);
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_token(struct str *s, struct str *token)
{
    size_t from = 0, to;

    while (from < s->n && (s->p[from] == ' ' || s->p[from] == '\t'))
        from++;
    to = from;
    while (to < s->n && s->p[to] != ' ' && s->p[to] != '\t')
        to++;
    *token = str_slice(*s, from, to);
    *s = str_slice(*s, to, s->n);
    return token->n > 0;
}

bool str_split(struct str *rest, char sep, struct str *part)
{
    size_t at;

    if (rest->n == 0)
        return false;
    at = str_find(*rest, sep);
    *part = str_slice(*rest, 0, at);
    *rest = str_slice(*rest, at + 1, rest->n);
    return true;
}

bool str_to_long(struct str s, long *value)
{
    char text[24], *end;

    if (s.n == 0 || s.n >= sizeof text || !(s.p[0] == '-' || (s.p[0] >= '0' && s.p[0] <= '9')))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    errno = 0;
    *value = strtol(text, &end, 10);
    return errno == 0 && end == text + s.n && end != text;
}

int str_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str str_unpercent(struct arena *a, struct str s)
{
    char *out;
    size_t n = 0;

    if (str_find(s, '%') == s.n)
        return s;
    out = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n && str_hex(s.p[i + 1]) >= 0 && str_hex(s.p[i + 2]) >= 0) {
            out[n++] = (char)(str_hex(s.p[i + 1]) << 4 | str_hex(s.p[i + 2]));
            i += 2;
        } else {
            out[n++] = s.p[i];
        }
    }
    return (struct str){out, n};
}

struct str str_dup(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.n + 1);

    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return (struct str){copy, s.n};
}

struct str str_lower(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.n + 1);

    for (size_t i = 0; i < s.n; i++)
        copy[i] = lower(s.p[i]);
    copy[s.n] = '\0';
    return (struct str){copy, s.n};
}

const char *str_c(struct arena *a, struct str s)
{
    return str_dup(a, s).p;
}

struct buf buf_in(struct arena *a)
{
    struct buf b = {.arena = a, .room = 64};

    b.data = arena_alloc(a, b.room);
    b.data[0] = '\0';
    return b;
}

/* buf_need - room for n more bytes and the NUL. */
static void buf_need(struct buf *b, size_t n)
{
    char *more;
    size_t room = b->room;

    if (n >= SIZE_MAX / 4)
        log_panic("a buffer was asked for %zu bytes", n);
    while (room - b->len <= n)
        room *= 2;
    if (room == b->room)
        return;
    more = arena_alloc(b->arena, room);
    memcpy(more, b->data, b->len + 1);
    b->data = more;
    b->room = room;
}

void buf_add(struct buf *b, struct str s)
{
    if (s.n == 0)
        return;
    buf_need(b, s.n);
    memcpy(b->data + b->len, s.p, s.n);
    b->len += s.n;
    b->data[b->len] = '\0';
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, (struct str){&c, 1});
}

void buf_vaddf(struct buf *b, const char *format, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(b->data + b->len, b->room - b->len, format, ap);
    if (n > 0 && (size_t)n >= b->room - b->len) {
        buf_need(b, (size_t)n);
        n = vsnprintf(b->data + b->len, b->room - b->len, format, again);
    }
    va_end(again);
    if (n > 0)
        b->len += (size_t)n;
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    buf_vaddf(b, format, ap);
    va_end(ap);
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

void buf_add_escaped(struct buf *b, struct str s, const char *also)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '\\')
            buf_add(b, STR("\\\\"));
        else if (c >= 0x20 && c < 0x7f && !strchr(also, c))
            buf_addc(b, (char)c);
        else
            buf_add(b, (struct str){(char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4});
    }
}

struct str str_escaped(struct arena *a, struct str s)
{
    struct buf b = buf_in(a);

    buf_add_escaped(&b, s, "");
    return buf_str(&b);
}
