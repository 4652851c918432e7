/* where.c - a server as an administrator writes it. */
#include "../mail/domain.h"
#include "ask.h"

/* split - host and port; a bare IPv6 address has colons of its own. */
static bool split(struct str text, struct str *host, struct str *port)
{
    size_t end = str_find(text, ']'), colon = str_find(text, ':');
    struct ip ip;

    *port = STR_NONE;
    if (text.n && text.p[0] == '[') {
        *host = str_slice(text, 1, end);
        if (end < text.n && end + 1 == text.n)
            return true;
        *port = str_slice(text, end + 2, text.n);
        return end + 1 < text.n && text.p[end + 1] == ':' && port->n;
    }
    *host = text;
    if (ip_parse(text, &ip) || colon == text.n)
        return true;
    *host = str_slice(text, 0, colon);
    *port = str_slice(text, colon + 1, text.n);
    return port->n > 0;
}

bool smtp_where(struct arena *a, struct str text, struct smtp_where *w, struct str *error)
{
    struct str host, port;
    long number = 25;

    *w = (struct smtp_where){.port = 25};
    if (!split(text, &host, &port) || host.n == 0) {
        *error = STR("\"host\", \"host:port\" or \"[address]:port\" is expected");
        return false;
    }
    if (port.n && (!str_to_long(port, &number) || number < 1 || number > 65535)) {
        *error = STR("the port is a number from 1 to 65535");
        return false;
    }
    w->port = (unsigned)number;
    if (str_is_nocase(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (ip_parse(host, &w->ip)) {
        struct str address = ip_text(a, w->ip);

        w->shown = arena_printf(a, ip_is_v4(w->ip) ? STR_FMT ":%u" : "[" STR_FMT "]:%u", STR_ARG(address), w->port);
        return true;
    }
    if (!domain_to_ascii(a, host, &w->host) || !domain_is_fqdn(w->host)) {
        *error = STR("the host is an address or a name with a dot in it");
        return false;
    }
    w->shown = arena_printf(a, STR_FMT ":%u", STR_ARG(w->host), w->port);
    return true;
}
