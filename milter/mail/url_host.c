/* url_host.c - from the authority of a URL to a host, as browsers do (https://url.spec.whatwg.org/, 3.5). */
#include <idn2.h>
#include <libpsl.h>

#include "domain.h"
#include "suffix.h"
#include "url.h"

#define AUTHORITY_MOST 2048

/* ---- addresses ---- */

/* number - decimal, octal with a leading 0, hexadecimal with 0x; "0x" is 0. */
static bool number(struct str s, uint64_t *value)
{
    unsigned base = 10;

    *value = 0;
    if (s.n == 0)
        return false;
    if (s.n >= 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x') {
        base = 16;
        s = str_slice(s, 2, s.n);
    } else if (s.n >= 2 && s.p[0] == '0') {
        base = 8;
        s = str_slice(s, 1, s.n);
    }
    for (size_t i = 0; i < s.n; i++) {
        int digit = str_hex(s.p[i]);

        if (digit < 0 || (unsigned)digit >= base)
            return false;
        *value = *value > UINT32_MAX ? *value : *value * base + (unsigned)digit;
    }
    return true;
}

/* address_of - 192.0.2.1, 3221225985, 0xc0.0.513, 0300.0.2.1: up to four numbers, the last fills what is left. */
static bool address_of(struct str host, struct ip *ip)
{
    uint64_t parts[4], sum = 0;
    size_t count = 0;
    struct str part;
    char text[16];

    while (str_split(&host, '.', &part)) {
        if (count == 4 || !number(part, &parts[count]))
            return false;
        count++;
    }
    if (count == 0 || parts[count - 1] >> (8 * (5 - count)))
        return false;
    for (size_t i = 0; i + 1 < count; i++) {
        if (parts[i] > 255)
            return false;
        sum |= parts[i] << (8 * (3 - i));
    }
    sum |= parts[count - 1];
    snprintf(text, sizeof text, "%u.%u.%u.%u", (unsigned)(sum >> 24), (unsigned)(sum >> 16 & 255),
             (unsigned)(sum >> 8 & 255), (unsigned)(sum & 255));
    return ip_parse(str_of(text), ip);
}

/* ---- names ---- */

/* to_ascii - A-labels; full-width letters, dots and digits become plain ones, soft hyphens and the like go. */
static bool to_ascii(struct arena *a, struct str *host)
{
    char *out = NULL;
    bool eight = false;

    for (size_t i = 0; i < host->n; i++)
        eight = eight || (unsigned char)host->p[i] >= 0x80;
    if (!eight)
        return true;
    if (str_find(*host, '\0') < host->n ||
        idn2_to_ascii_8z(str_c(a, *host), &out, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) != IDN2_OK)
        return false;
    *host = str_dup(a, str_of(out));
    idn2_free(out);
    return true;
}

bool url_is_public_name(struct str host)
{
    size_t dot = str_rfind(host, '.');
    const psl_ctx_t *list = psl_builtin();
    char top[64];

    if (dot >= host.n || host.n - dot > sizeof top)
        return false;
    for (size_t i = dot + 1; i < host.n; i++)
        top[i - dot - 1] = host.p[i] >= 'A' && host.p[i] <= 'Z' ? (char)(host.p[i] | 0x20) : host.p[i];
    top[host.n - dot - 1] = '\0';
    return list && psl_is_public_suffix2(list, top, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE);
}

static bool is_number(struct str s)
{
    uint64_t value;
    bool digits = s.n > 0;

    for (size_t i = 0; i < s.n; i++)
        digits = digits && s.p[i] >= '0' && s.p[i] <= '9';
    return digits || number(s, &value);
}

/* strip_host - the authority without user and port. */
static struct str strip_host(struct str s)
{
    size_t end = 0, at, colon;

    while (end < s.n && !strchr("/\\?#", s.p[end]))
        end++;
    s = str_slice(s, 0, end);
    at = str_rfind(s, '@');
    if (at < s.n)
        s = str_slice(s, at + 1, s.n);
    if (s.n && s.p[0] == '[')
        return str_slice(s, 0, str_find(s, ']') + 1);
    colon = str_find(s, ':');
    return str_slice(s, 0, colon);
}

bool url_host(struct arena *a, struct str authority, struct str *host, struct ip *ip)
{
    struct str s = strip_host(str_slice(authority, 0, AUTHORITY_MOST)), last;
    size_t end = 0, dot;

    memset(ip, 0, sizeof *ip);
    if (s.n > 2 && s.p[0] == '[') {
        if (s.p[s.n - 1] != ']' || str_starts_nocase(s, STR("[IPv6:")) || !ip_parse(str_slice(s, 1, s.n - 1), ip))
            return false;
        *host = ip_text(a, *ip);
        return true;
    }
    s = str_unpercent(a, s);
    while (end < s.n && (unsigned char)s.p[end] > ' ' && !strchr("/\\?#@:<>[]^|%\"'`{}(),;&=!*$+~\x7f", s.p[end]))
        end++;
    s = str_slice(s, 0, end);
    if (s.n == 0 || s.n > 1024 || !to_ascii(a, &s))
        return false;
    while (s.n && s.p[s.n - 1] == '.')
        s.n--;
    while (s.n && s.p[0] == '.')
        s = str_slice(s, 1, s.n);
    dot = str_rfind(s, '.');
    last = dot < s.n ? str_slice(s, dot + 1, s.n) : s;
    if (is_number(last)) {
        if (!address_of(s, ip))
            return false;
        *host = ip_text(a, *ip);
        return true;
    }
    if (dot >= s.n || !domain_is_hostname(s, false))
        return false;
    *host = str_lower(a, s);
    return true;
}
