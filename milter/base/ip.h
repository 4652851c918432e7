/* ip.h - addresses and networks, by prefix arithmetic on 16 bytes: IPv4 lives at ::ffff:a.b.c.d. */
#ifndef BASE_IP_H
#define BASE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "str.h"

struct ip {
    uint8_t b[16];
    bool known; /* false: the peer has none that we know (a Unix socket, a broken macro) */
};

struct cidr {
    struct ip net;      /* with the host bits cleared */
    unsigned bits;      /* of the 128: an IPv4 /24 has 120 */
    struct str written; /* as the administrator wrote it */
};

struct cidr_list {
    struct cidr *items;
    size_t count;
};

bool ip_parse(struct str text, struct ip *ip); /* "192.0.2.1", "2001:db8::1"; also Postfix's "IPv6:2001:db8::1" */
bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip);
struct str ip_text(struct arena *a, struct ip ip); /* "unknown" when it is not known */
bool ip_is_v4(struct ip ip);
bool ip_is_loopback(struct ip ip);
bool ip_equal(struct ip a, struct ip b);

/* cidr_parse - an address or network; host bits that are set are an error, since they show a typing mistake. */
bool cidr_parse(struct arena *a, struct str text, struct cidr *net, struct str *error);
bool cidr_has(const struct cidr *net, struct ip ip);
const struct cidr *cidr_find(const struct cidr_list *list, struct ip ip); /* the first that has it, or NULL */

#include "banned.h"
#endif
