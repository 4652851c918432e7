/* mailbox_token.h - private to mailboxes.c: its field cut into tokens. */
#ifndef MAIL_MAILBOX_TOKEN_H
#define MAIL_MAILBOX_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/str.h"

#define MAILBOX_PART_MAX 1024 /* bytes of a local part or domain; no mail goes to a longer one */

struct mailbox_part {
    char text[MAILBOX_PART_MAX];
    size_t n;
    bool good; /* false: cut, or its dots are where none belong */
};

void mailbox_part_clear(struct mailbox_part *part);
void mailbox_part_add(struct mailbox_part *part, struct str s);
struct str mailbox_part_str(const struct mailbox_part *part); /* valid until the next change */

struct mailbox_tokens {
    struct str s; /* the field, trimmed */
    size_t at;
    struct str token; /* the last one read */
    bool doubtful;    /* malformed so that it can be read in more than one way where quoting ends */
    bool no_quote, no_comment, no_bracket; /* from here on none is closed */
};

/* Any other byte stands for itself, but a control byte for MAILBOX_CONTROL. */
enum mailbox_token { MAILBOX_END, MAILBOX_ATOM, MAILBOX_QUOTED, MAILBOX_CONTROL = 0x7f };

/* mailbox_token_next - read a token behind white space and comments. */
int mailbox_token_next(struct mailbox_tokens *t);

/* mailbox_take_domain - what follows an @: words joined by dots or a literal; leaves the next token unread. */
void mailbox_take_domain(struct mailbox_tokens *t, struct mailbox_part *domain);

bool mailbox_is_atom_byte(char c);
bool mailbox_is_space(char c);

#include "../base/banned.h"
#endif
