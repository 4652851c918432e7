/* domain.c - the shape of host names; nothing here asks DNS. */
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
