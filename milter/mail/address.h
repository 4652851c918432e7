/* address.h - RFC 5321 paths as MAIL and RCPT carry them, and RFC 5322 mailboxes as From carries them. */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/arena.h"
#include "../base/str.h"

struct address {
    struct str raw;    /* as given, brackets and all */
    struct str text;   /* local@domain: source route dropped, local part as written, domain lower-cased; empty for <> */
    struct str local;  /* local part without quoting: "joe smith"@x and joe\ smith are the same */
    struct str domain; /* lower-cased, without a trailing dot; empty when there is none (<postmaster>) */
    bool well_formed;  /* by RFC 5321 (4.1.2) or RFC 6531; otherwise text, local and domain are the best guess */
};

/* address_parse - read a path with or without its angle brackets. Never fails: what is malformed is marked so. Views of
 * text, local and domain are copies in the arena. Input over 2048 bytes is malformed and cut there. */
struct address address_parse(struct arena *a, struct str path);

struct mailbox_list {
    struct str *domains; /* one per mailbox, lower-cased; empty for a mailbox without domain */
    struct str *addresses; /* local@domain, in the same order */
    size_t count;
    bool well_formed;    /* false: something in the field was not an RFC 5322 address; what was readable is listed */
};

/* mailboxes_parse - the addresses of a From, Sender or Reply-To value (unfolded or folded): display names, groups
 * (RFC 6854), quoted strings, nested comments. Caps: 256 mailboxes, 64 levels of comments; beyond is malformed. */
struct mailbox_list mailboxes_parse(struct arena *a, struct str value);

#include "../base/banned.h"
#endif
