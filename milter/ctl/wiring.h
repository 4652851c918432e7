/* wiring.h - where the daemon listens, in its own words and in Postfix's, and how long Postfix must wait for it. */
#ifndef CTL_WIRING_H
#define CTL_WIRING_H

#include <stdbool.h>
#include <stdint.h>

#include "../config.h"
#include "postconf.h"

struct endpoint {
    bool is_unix;
    struct str path; /* of a Unix socket */
    struct str host; /* without brackets; localhost is 127.0.0.1 */
    long port;
};

/* endpoint_of_listen - from the configuration's `listen` (libmilter's notation: unix:PATH, inet:PORT@HOST). */
bool endpoint_of_listen(struct arena *a, struct str listen, struct endpoint *e);

/* endpoint_of_milter - from an item of smtpd_milters: unix:PATH, inet:HOST:PORT, or either in braces with settings. A
 * path is made absolute as the service sees it: relative to the queue directory, and within it when chrooted. */
bool endpoint_of_milter(const struct postfix *p, const struct postfix_service *service, struct str item,
                        struct endpoint *e);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
struct str endpoint_text(struct arena *a, const struct endpoint *e); /* as smtpd_milters wants it */

/* milter_setting - what an item of smtpd_milters says in its braces about `name` ("default_action"); false: nothing. */
bool milter_setting(struct str item, const char *name, struct str *value);

bool service_is_chrooted(const struct postfix *p, const struct postfix_service *service);

/* What other filters do. What must not happen: a message edited before we verify it, or after we signed it. One of them
 * is ourselves: a socket of ours that the configuration does not name any more. */
enum { OTHER_SIGNS = 1, OTHER_EDITS = 2, OTHER_OURSELVES = 4 };

struct other_filter {
    const char *part;   /* of its socket's usual name */
    const char *name;
    unsigned habits;
    const char *policy; /* ours that does the same; NULL: none */
};
const struct other_filter *other_filter_of(struct str item); /* by its item of smtpd_milters; NULL: not known */

/* other_is_replaced - whether a policy that does its work is in use in some profile. */
bool other_is_replaced(const struct config *config, const struct other_filter *other);

/* chain_with_ours - the list as it should be: ours first and once, then the others whose work we do not do. */
struct str chain_with_ours(const struct postfix *p, const struct postfix_service *service, const struct config *config,
                           const struct endpoint *ours, struct str ours_text, struct str list);

/* The longest that the configured policies may keep Postfix waiting, from their options `timeout` and `wait`. */
struct waits {
    int64_t command_ms; /* up to and including RCPT: lookups run side by side, so the longest */
    int64_t content_ms; /* headers, body, end: scanners run one after the other, so the sum */
};
struct waits waits_of(const struct config *config);

/* What to give milter_command_timeout and milter_content_timeout, in seconds. */
long command_timeout_for(const struct waits *w);
long content_timeout_for(const struct waits *w);

#endif
