/* listener.h - the socket Postfix connects to: given by systemd, new, or taken over from a predecessor that died. */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/str.h"

struct listener {
    int fd;                       /* non-blocking: a lost race for a connection must not block libmilter; -1: closed */
    int door;                     /* O_PATH of a Unix socket's file: leads to it even when its path is gone; or -1 */
    bool given;                   /* by systemd, which also owns the path */
    struct sockaddr_storage name; /* what getsockname() says of it, and of every connection made to it */
    socklen_t name_size;
    dev_t device; /* of the socket's file, so that we remove no other */
    ino_t inode;
};

/* listener_open - take the socket that systemd gave (LISTEN_FDS), or make the one that `listen` names: "unix:/PATH"
 * (or "local:/PATH"), "inet:PORT@HOST", "inet6:PORT@HOST". A Unix socket gets mode 0660 and, where that is possible,
 * the group. A live socket is left alone, a dead one replaced. Returns 0, or a sysexits status after the reason is
 * logged. For a process of one thread: it changes the umask for a moment. */
int listener_open(struct listener *l, struct str listen, struct str group);

/* listener_claim - be again the process that made the socket, in the eyes of another start that asks for it
 * (SO_PEERCRED): libmilter calls listen() once more in the child, whose death would make the socket look abandoned. */
void listener_claim(const struct listener *l);

/* listener_remove - remove the path if it still is our socket, and close. May be called again. */
void listener_remove(struct listener *l);

/* listener_sessions - connections of this process that came in through the listener; -1 when that cannot be known. */
int listener_sessions(const struct listener *l);

#endif
