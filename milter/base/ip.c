/* ip.c - parsing by inet_pton, the rest is comparing bits. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "ip.h"

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool ip_parse(struct str text, struct ip *ip)
{
    char word[INET6_ADDRSTRLEN + 1];

    memset(ip, 0, sizeof *ip);
    if (str_starts_nocase(text, STR("IPv6:")))
        text = str_slice(text, 5, text.n);
    if (text.n == 0 || text.n >= sizeof word || memchr(text.p, '\0', text.n))
        return false;
    memcpy(word, text.p, text.n);
    word[text.n] = '\0';
    if (inet_pton(AF_INET, word, ip->b + 12) == 1)
        memcpy(ip->b, v4_prefix, sizeof v4_prefix);
    else if (inet_pton(AF_INET6, word, ip->b) != 1)
        return false;
    ip->known = true;
    return true;
}

bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip)
{
    memset(ip, 0, sizeof *ip);
    if (!sa)
        return false;
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof in);
        memcpy(ip->b, v4_prefix, sizeof v4_prefix);
        memcpy(ip->b + 12, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, sa, sizeof in6);
        memcpy(ip->b, &in6.sin6_addr, 16);
    } else {
        return false;
    }
    ip->known = true;
    return true;
}

bool ip_is_v4(struct ip ip)
{
    return ip.known && memcmp(ip.b, v4_prefix, sizeof v4_prefix) == 0;
}

bool ip_is_loopback(struct ip ip)
{
    static const uint8_t one[16] = {[15] = 1};

    return ip_is_v4(ip) ? ip.b[12] == 127 : ip.known && memcmp(ip.b, one, 16) == 0;
}

bool ip_equal(struct ip a, struct ip b)
{
    return a.known && b.known && memcmp(a.b, b.b, 16) == 0;
}

struct str ip_text(struct arena *a, struct ip ip)
{
    char text[INET6_ADDRSTRLEN];

    if (!ip.known)
        return STR("unknown");
    if (ip_is_v4(ip))
        inet_ntop(AF_INET, ip.b + 12, text, sizeof text);
    else
        inet_ntop(AF_INET6, ip.b, text, sizeof text);
    return str_dup(a, str_of(text));
}

/* mask - keep the first bits of an address. */
static struct ip mask(struct ip ip, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        if (bits >= (i + 1) * 8)
            continue;
        ip.b[i] &= bits > i * 8 ? (uint8_t)(0xff00 >> (bits - i * 8)) : 0;
    }
    return ip;
}

bool cidr_parse(struct arena *a, struct str text, struct cidr *net, struct str *error)
{
    size_t slash = str_find(text, '/');
    struct ip ip;
    long bits;
    long most;

    if (!ip_parse(str_slice(text, 0, slash), &ip)) {
        *error = STR("is not an address or network");
        return false;
    }
    most = ip_is_v4(ip) ? 32 : 128;
    bits = most;
    if (slash < text.n && (!str_to_long(str_slice(text, slash + 1, text.n), &bits) || bits < 0 || bits > most)) {
        *error = arena_printf(a, "needs a prefix length from 0 to %ld after the slash", most);
        return false;
    }
    net->bits = (unsigned)(bits + 128 - most);
    net->net = mask(ip, net->bits);
    net->written = str_dup(a, text);
    if (!ip_equal(net->net, ip)) {
        struct str base = ip_text(a, net->net);

        *error = arena_printf(a, "has bits beyond its prefix; did you mean " STR_FMT "/%ld?", STR_ARG(base), bits);
        return false;
    }
    return true;
}

/* ::/0 is written by somebody who means IPv6, so an IPv6 network never has an IPv4 client. */
bool cidr_has(const struct cidr *net, struct ip ip)
{
    bool net_is_v4 = net->bits >= 96 && ip_is_v4(net->net);

    return ip.known && ip_is_v4(ip) == net_is_v4 && ip_equal(mask(ip, net->bits), net->net);
}

const struct cidr *cidr_find(const struct cidr_list *list, struct ip ip)
{
    for (size_t i = 0; i < list->count; i++)
        if (cidr_has(&list->items[i], ip))
            return &list->items[i];
    return NULL;
}
