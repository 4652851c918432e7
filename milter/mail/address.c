/* address.c - RFC 5321 paths: one pass finds the parts, then each part is judged. */
#include <string.h>

#include "address.h"
#include "domain.h"
#include "utf8.h"

#define PATH_MAX_BYTES 2048

static bool is_atext(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80 ||
           (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* quoted_end - the offset of the quote that closes the one at `from`, or s.n. */
static size_t quoted_end(struct str s, size_t from)
{
    for (size_t i = from + 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i;
        if (s.p[i] == '\\')
            i++;
    }
    return s.n;
}

/* skip - the offset after what begins at i: a quoted string, an escaped byte, a literal after @, or one byte. A quote
 * or bracket that nothing closes is one byte like any other, so that what follows it is still seen. */
static size_t skip(struct str s, size_t i)
{
    size_t end = s.n;

    if (s.p[i] == '"')
        end = quoted_end(s, i);
    else if (s.p[i] == '\\' && i + 1 < s.n)
        end = i + 1;
    else if (s.p[i] == '[' && i > 0 && s.p[i - 1] == '@')
        end = i + str_find(str_slice(s, i, s.n), ']');
    return end < s.n ? end + 1 : i + 1;
}

/* take_angles - what stands between the angle brackets, if there are any. */
static struct str take_angles(struct str s, bool *good)
{
    size_t from = s.n && s.p[0] == '<', end = from;

    while (end < s.n && s.p[end] != '>')
        end = skip(s, end);
    if ((from == 1) != (end < s.n) || (end < s.n && end + 1 != s.n))
        *good = false;
    return str_slice(s, from, end);
}

/* take_route - "@a,@b:" goes (RFC 5321, appendix C). Without its colon it is no route. */
static struct str take_route(struct str s, bool *good)
{
    size_t end = 0, from;
    struct ip ip;

    if (s.n == 0 || s.p[0] != '@')
        return s;
    while (end < s.n && s.p[end] != ':')
        end = skip(s, end);
    if (end == s.n) {
        *good = false;
        return s;
    }
    for (from = 0; from < end;) {
        size_t comma = from + str_find(str_slice(s, from, end), ',');
        struct str hop = str_slice(s, from + 1, comma);

        if (s.p[from] != '@' || (!domain_is_hostname(hop, true) && !domain_literal(hop, &ip)))
            *good = false;
        from = comma + 1;
    }
    if (s.p[end - 1] == ',')
        *good = false;
    return str_slice(s, end + 1, s.n);
}

/* local_is_good - Dot-string or Quoted-string. */
static bool local_is_good(struct str local)
{
    bool quoted = local.n > 1 && local.p[0] == '"';

    if (!utf8_is_valid(local))
        return false;
    if (!quoted) {
        for (size_t i = 0; i < local.n; i++) {
            bool dot_fits = local.p[i] == '.' && i > 0 && i + 1 < local.n && local.p[i - 1] != '.';

            if (!is_atext(local.p[i]) && !dot_fits)
                return false;
        }
        return local.n > 0;
    }
    if (quoted_end(local, 0) + 1 != local.n)
        return false;
    for (size_t i = 1; i + 1 < local.n; i++) {
        unsigned char c = (unsigned char)local.p[i];

        /* A backslash takes printable ASCII only; quoted_end() saw to it that one follows. */
        if (c == '\\')
            c = (unsigned char)local.p[++i] < 0x80 ? (unsigned char)local.p[i] : 0x7f;
        if (c < 0x20 || c == 0x7f)
            return false;
    }
    return true;
}

/* dequote - the local part that the writing stands for. */
static struct str dequote(struct arena *a, struct str local)
{
    char *out = arena_alloc(a, local.n + 1);
    size_t n = 0, closing = 0; /* offset of the quote that ends the string we are in; 0: in none */

    for (size_t i = 0; i < local.n; i++) {
        if (closing && i == closing) {
            closing = 0;
        } else if (local.p[i] == '"' && quoted_end(local, i) < local.n) {
            closing = quoted_end(local, i);
        } else {
            if (local.p[i] == '\\' && i + 1 < local.n)
                i++;
            out[n++] = local.p[i];
        }
    }
    out[n] = '\0';
    return (struct str){out, n};
}

struct address address_parse(struct arena *a, struct str path)
{
    struct address r = {.raw = str_dup(a, str_slice(path, 0, PATH_MAX_BYTES)), .well_formed = path.n <= PATH_MAX_BYTES};
    struct str s = take_route(take_angles(r.raw, &r.well_formed), &r.well_formed), local, domain;
    size_t at = s.n;
    struct buf text;
    struct ip ip;

    if (s.n == 0) {
        r.well_formed = r.well_formed && (r.raw.n == 0 || r.raw.n == 2); /* not <@a:> */
        r.text = r.local = r.domain = str_dup(a, STR_NONE);
        return r;
    }
    for (size_t i = 0; i < s.n; i = skip(s, i))
        if (s.p[i] == '@')
            at = i;
    local = str_slice(s, 0, at);
    domain = str_slice(s, at + 1, s.n);
    if (!local_is_good(local))
        r.well_formed = false;
    if (at == s.n ? !str_is_nocase(local, STR("postmaster"))
                  : !domain_literal(domain, &ip) &&
                        (!domain_is_hostname(domain, true) || domain.p[domain.n - 1] == '.'))
        r.well_formed = false;
    while (domain.n && domain.p[domain.n - 1] == '.')
        domain.n--;
    r.domain = str_lower(a, domain);
    r.local = dequote(a, local);
    text = buf_in(a);
    buf_add(&text, local);
    if (r.domain.n)
        buf_addc(&text, '@');
    buf_add(&text, r.domain);
    r.text = buf_str(&text);
    return r;
}
