/* answers.h - what inner servers have said of recipients, for the whole process, and which of them are down.
 *
 * A recipient that is taken, and one of which the enhanced code says that it does not exist, is so for every sender.
 * Every other answer may have to do with the sender, and is kept for him alone: else a stranger whom the inner server
 * refuses could make us refuse a recipient's mail from everybody. What may pass soon (4xx, no answer) is kept for
 * seconds, so that a server that is down costs one wait and not one for each recipient. The table has a fixed size.
 */
#ifndef SMTP_ANSWERS_H
#define SMTP_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/str.h"

#define ANSWERS_SOON_MS 10000 /* how long a temporary one is kept, at most */

enum smtp_said {
    SMTP_TAKES,   /* the recipient */
    SMTP_REFUSES, /* it, for good */
    SMTP_LATER,   /* it or the sender, or perhaps only for now */
    SMTP_UNKNOWN, /* it could not be asked */
};

struct smtp_answer {
    enum smtp_said said;
    const char *status; /* of class 5: "5.1.1" */
    struct str text;    /* the server's words, outside bytes; of SMTP_UNKNOWN and SMTP_LATER what happened, in ours */
    bool known;         /* from here */
    bool of_host;       /* SMTP_UNKNOWN: whatever the recipient, this server cannot be asked now */
};

/* answers_find - what is known of that recipient at that server, or of the server. keep_ms: the option `cache`.
 * What was said from `since` on, by clock_ms(), counts in any case: it was waited for. */
bool answers_find(struct arena *a, struct str server, struct str sender, struct str rcpt, int64_t keep_ms,
                  int64_t since, struct smtp_answer *answer);
void answers_add(struct str server, struct str sender, struct str rcpt, const struct smtp_answer *answer);

/* answers_enter - a question goes out. False: the same one is on its way; it is then wanted. Whoever entered leaves,
 * when the answer was added. */
bool answers_enter(struct str server, struct str sender, struct str rcpt);
bool answers_is_wanted(struct str server, struct str sender, struct str rcpt);
void answers_leave(struct str server, struct str sender, struct str rcpt);

/* answers_no_tls - whether TLS with that server failed lately; answers_add_no_tls - it did. */
bool answers_no_tls(struct str server, int64_t keep_ms);
void answers_add_no_tls(struct str server);

/* answers_tell - whether the log should hear of that server's trouble: once a minute for each kind. */
bool answers_tell(struct str server, const char *kind);

void answers_forget(void); /* everything: tests */

#include "../base/banned.h"
#endif
