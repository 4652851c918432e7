/* metrics_place.c - what metrics { listen = ... } may name. */
#include <arpa/inet.h>
#include <string.h>

#include "base/ip.h"
#include "metrics_place.h"

static bool parse_inet(struct str rest, union metrics_place *place, socklen_t *size)
{
    struct str port;
    struct ip ip;
    long number;
    char host[64] = "";

    if (!str_split(&rest, '@', &port) || !str_to_long(port, &number) || number < 1 || number > 65535)
        return false;
    if (rest.n > 2 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']')
        rest = str_slice(rest, 1, rest.n - 1);
    if (rest.n >= sizeof host || !ip_parse(rest, &ip) || !ip_is_loopback(ip))
        return false;
    memcpy(host, rest.p, rest.n);
    *place = (union metrics_place){.in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)}};
    *size = sizeof place->in;
    if (inet_pton(AF_INET, host, &place->in.sin_addr) == 1)
        return true;
    *place = (union metrics_place){.in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number)}};
    *size = sizeof place->in6;
    return inet_pton(AF_INET6, host, &place->in6.sin6_addr) == 1;
}

bool metrics_place(struct str listen, union metrics_place *place, socklen_t *size)
{
    if (str_starts(listen, STR("unix:/"))) {
        struct str path = str_slice(listen, 5, listen.n);

        *place = (union metrics_place){.un = {.sun_family = AF_UNIX}};
        *size = sizeof place->un;
        if (path.n < 2 || path.n >= sizeof place->un.sun_path || str_find(path, '\0') != path.n)
            return false;
        memcpy(place->un.sun_path, path.p, path.n);
        return true;
    }
    if (str_starts(listen, STR("inet:")))
        return parse_inet(str_slice(listen, 5, listen.n), place, size);
    return str_starts(listen, STR("inet6:")) && parse_inet(str_slice(listen, 6, listen.n), place, size);
}

bool metrics_place_valid(struct str listen)
{
    union metrics_place place;
    socklen_t size;

    return listen.n == 0 || metrics_place(listen, &place, &size);
}
