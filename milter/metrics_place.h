/* metrics_place.h - a place where metrics are told: a Unix socket, or a port of loopback. */
#ifndef METRICS_PLACE_H
#define METRICS_PLACE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

union metrics_place {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* metrics_place - "unix:/PATH", "inet:PORT@127.0.0.1", "inet6:PORT@::1" as an address; false: it is none of these. */
bool metrics_place(struct str listen, union metrics_place *place, socklen_t *size);
bool metrics_place_valid(struct str listen); /* one of these, or empty: nowhere */

#include "base/banned.h"
#endif
