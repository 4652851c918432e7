/* domain.c - the shape of host names; nothing here asks DNS. */
#include <idn2.h>
#include <string.h>

#include "domain.h"
#include "utf8.h"

#define NAME_MAX_BYTES 253 /* RFC 1035, 3.1: 255 on the wire */
#define LABEL_MAX_BYTES 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_label_byte(char c, bool utf8)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_' ||
           (utf8 && (unsigned char)c >= 0x80);
}

static struct str without_dot(struct str name)
{
    return name.n && name.p[name.n - 1] == '.' ? str_slice(name, 0, name.n - 1) : name;
}

bool domain_is_hostname(struct str name, bool utf8)
{
    size_t label = 0;

    name = without_dot(name);
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_label_byte(name.p[i], utf8) || ++label > LABEL_MAX_BYTES) {
            return false;
        }
    }
    return label > 0 && (!utf8 || utf8_is_valid(name));
}

bool domain_is_fqdn(struct str name)
{
    size_t dot;

    if (!domain_is_hostname(name, true))
        return false;
    name = without_dot(name);
    dot = str_rfind(name, '.');
    if (dot == name.n)
        return false;
    for (size_t i = dot + 1; i < name.n; i++)
        if (!is_digit(name.p[i]))
            return true;
    return false;
}

bool domain_literal(struct str name, struct ip *ip)
{
    struct str inside;
    bool tagged;

    memset(ip, 0, sizeof *ip);
    if (name.n < 2 || name.p[0] != '[' || name.p[name.n - 1] != ']')
        return false;
    inside = str_slice(name, 1, name.n - 1);
    tagged = str_starts_nocase(inside, STR("IPv6:"));
    if (tagged)
        inside = str_slice(inside, 5, inside.n);
    /* ip_parse takes more than may stand here: a tag of its own, IPv4 behind the tag, IPv6 without one. */
    if (str_starts_nocase(inside, STR("IPv6:")) || (str_find(inside, ':') < inside.n) != tagged)
        return false;
    return ip_parse(inside, ip);
}

bool domain_is_or_below(struct str name, struct str domain)
{
    name = without_dot(name);
    domain = without_dot(domain);
    if (domain.n == 0 || !str_ends_nocase(name, domain))
        return false;
    return name.n == domain.n || name.p[name.n - domain.n - 1] == '.';
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

static size_t dots(struct str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.n; i++)
        count += s.p[i] == '.';
    return count;
}

bool domain_to_ascii(struct arena *a, struct str name, struct str *out)
{
    uint8_t *found = NULL;
    struct str ascii;
    bool good;

    *out = STR_NONE;
    if (name.n > DOMAIN_WRITTEN_MOST)
        return false;
    name = without_dot(name);
    if (is_ascii(name)) {
        if (!domain_is_hostname(name, false) || str_ends_nocase(name, STR(".")))
            return false;
        *out = str_lower(a, name);
        return true;
    }
    if (!utf8_is_valid(name) || memchr(name.p, 0, name.n))
        return false;
    /* TR46 as browsers do it, because people write capitals; transitional processing would make other names of some. */
    if (idn2_lookup_u8((const uint8_t *)str_c(a, name), &found, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return false;
    ascii = str_lower(a, str_of((const char *)found));
    /* Characters that are mapped to a dot would put a name elsewhere in the tree than whoever reads it sees. */
    good = domain_is_hostname(ascii, false) && dots(ascii) == dots(name) && !str_ends_nocase(ascii, STR("."));
    idn2_free(found);
    if (good)
        *out = ascii;
    return good;
}
