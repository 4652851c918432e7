/* raw.h - a message as a scanner is to see it: the header as it was received, and the body, which is not copied. */
#ifndef SCAN_RAW_H
#define SCAN_RAW_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"

#define RAW_PIECES 3

struct raw {
    struct str pieces[RAW_PIECES]; /* what we add on top, the header with its empty line, the body */
    uint64_t bytes;                /* of all */
};

/* raw_size - about how many bytes raw_message() would give, without making them. */
uint64_t raw_size(const struct message *m);

/* raw_message - everything lives as long as the message. False when the body cannot be read. */
bool raw_message(struct message *m, struct raw *raw);

/* raw_add_envelope - puts on top what scanners of spam want to know: the envelope sender, and a Received field of the
 * form that Postfix writes, though Postfix's own is not known to a filter. Outside bytes cannot leave their place. */
void raw_add_envelope(struct message *m, struct raw *raw);

/* forged_remove - queues the deletion of every field whose name begins with the prefix, or is it without a dash at its
 * end, unless it is queued already. False: there are more than FORGED_MOST, and the others stay. */
#define FORGED_MOST 500
bool forged_remove(struct message *m, struct str prefix);

#endif
