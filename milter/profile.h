/* profile.h - which policies, in which order, with which options, apply to a connection. */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdbool.h>

#include "option.h"
#include "policy.h"

enum network_condition { NETWORK_ANY, NETWORK_LOCAL, NETWORK_WAN };
enum auth_condition { AUTH_ANY, AUTH_YES, AUTH_NO };
enum match_condition { MATCH_ALL, MATCH_ANY };
enum reply_at { REPLY_AT_MAIL, REPLY_AT_RCPT, REPLY_AT_DATA };
enum unsure_action { UNSURE_CONTINUE, UNSURE_TEMPFAIL };

struct profile_options {
    struct str_list port;
    struct str_list daemon_name;
    int network;  /* enum network_condition */
    int auth;     /* enum auth_condition */
    int match;    /* enum match_condition: whether network and auth must both hold */
    int reply_at; /* enum reply_at */
    int unsure;   /* enum unsure_action */
    struct str_list policies;
};

struct profile {
    struct str name;
    struct place at; /* where it was written */
    struct profile_options options;
    struct instance *instances; /* the enabled ones, in order */
    size_t count;
};

/* profile_choose - the first profile whose conditions hold. What is not known (no {daemon_port}, no address, no
 * {auth_authen}) satisfies no condition that asks for it; when none holds: the built-in profile for strangers. */
const struct profile *profile_choose(const struct config *config, const struct session *s);

#endif
