/* servers.c - "192.0.2.1", "127.0.0.1:5353", "[2001:db8::1]:53", and resolv.conf(5). */
#include <stdio.h>

#include "servers.h"

#define PORT 53

static const char *resolv_conf = "/etc/resolv.conf";

void servers_resolv_conf(const char *path)
{
    resolv_conf = path ? path : "/etc/resolv.conf";
}

bool server_parse(struct str text, struct server *server)
{
    struct str address = text, port = STR_NONE;
    size_t colon = str_find(text, ':');
    bool bracket = str_starts(text, STR("["));
    long number = PORT;

    if (bracket) {
        size_t end = str_find(text, ']');

        address = str_slice(text, 1, end);
        port = str_slice(text, end + 1, text.n);
        if (end == text.n || (port.n && port.p[0] != ':'))
            return false;
    } else if (colon < text.n && str_rfind(text, ':') == colon) {
        address = str_slice(text, 0, colon);
        port = str_slice(text, colon, text.n);
    }
    if (port.n && (!str_to_long(str_slice(port, 1, port.n), &number) || number < 1 || number > 65535))
        return false;
    if (str_starts_nocase(address, STR("ipv6:")) || !ip_parse(address, &server->ip))
        return false;
    server->port = (unsigned)number;
    return !bracket || !ip_is_v4(server->ip);
}

bool dns_server_valid(struct str server)
{
    struct server parsed;

    return server_parse(server, &parsed);
}

struct str server_text(struct arena *a, const struct server *server)
{
    struct str ip = ip_text(a, server->ip);

    return arena_printf(a, ip_is_v4(server->ip) ? STR_FMT ":%u" : "[" STR_FMT "]:%u", STR_ARG(ip), server->port);
}

/* resolv_conf_read - its nameserver lines; addresses with a zone ("fe80::1%eth0") cannot be asked and are left out. */
static size_t resolv_conf_read(struct server *servers)
{
    FILE *f = fopen(resolv_conf, "re");
    char line[512];
    size_t count = 0;

    while (f && count < DNS_RESOLV_CONF_MOST && fgets(line, sizeof line, f)) {
        struct str rest = str_trim(str_of(line)), word;

        if (!str_token(&rest, &word) || !str_is(word, STR("nameserver")) || !str_token(&rest, &word)
            || !ip_parse(word, &servers[count].ip))
            continue;
        servers[count++].port = PORT;
    }
    if (f)
        fclose(f);
    return count;
}

bool servers_find(const struct dns_settings *settings, struct server servers[DNS_SERVERS_MOST], size_t *count,
                  struct str *error, struct arena *error_arena)
{
    *count = 0;
    if (settings->server_count > DNS_SERVERS_MOST) {
        *error = arena_printf(error_arena, "at most %d name servers", DNS_SERVERS_MOST);
        return false;
    }
    for (size_t i = 0; i < settings->server_count; i++) {
        if (!server_parse(settings->servers[i], &servers[i])) {
            struct str word = str_escaped(error_arena, settings->servers[i]);

            *error = arena_printf(error_arena, "\"" STR_FMT "\" is no name server: an IP address, maybe with a port",
                                  STR_ARG(word));
            return false;
        }
        ++*count;
    }
    if (*count == 0)
        *count = resolv_conf_read(servers);
    if (*count == 0) {
        server_parse(STR("127.0.0.1"), &servers[0]);
        *count = 1;
    }
    return true;
}
