/* postconf.h - what Postfix says of itself, asked by running postconf(1): no shell, a deadline, and a cap on its words.
 *
 * Values come as Postfix uses them: defaults filled in and $names expanded.
 */
#ifndef CTL_POSTCONF_H
#define CTL_POSTCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/arena.h"
#include "../base/str.h"

struct postfix_version {
    long major, minor, patch; /* a snapshot has patch 0 */
    struct str text;
};

struct postfix_setting {
    struct str name, value;
};

struct postfix_settings {
    struct postfix_setting *items;
    size_t count;
};

struct postfix_service { /* one entry of master.cf */
    struct str id;       /* "submission/inet" */
    struct str name;     /* "submission", "127.0.0.1:10025" */
    struct str type;     /* "inet", "pass", "unix" */
    struct str chroot;   /* "y", "n" or "-" */
    struct str command;  /* its first word: "smtpd" */
    struct postfix_settings options; /* -o name=value */
};

struct postfix {
    struct arena *arena;
    struct str config_dir; /* as the administrator named it; empty: Postfix's own */
    struct postfix_version version;
    struct postfix_settings known;    /* every parameter this version has, with its default */
    struct postfix_settings main;     /* the effective ones of main.cf */
    struct postfix_service *services; /* of master.cf */
    size_t service_count;
    struct str *warnings; /* what postconf complained about */
    size_t warning_count;
};

bool postfix_version_parse(struct str text, struct postfix_version *version);
/* postfix_is - whether the version is at least that one. */
bool postfix_is(const struct postfix_version *version, long major, long minor, long patch);

/* postfix_ask_version - the version and the known parameters; needs no main.cf. False, and *why, when there is
 * no Postfix. */
bool postfix_ask_version(struct postfix *p, struct arena *a, struct str *why);
/* postfix_ask_settings - main.cf and master.cf, after postfix_ask_version(). */
bool postfix_ask_settings(struct postfix *p, struct str config_dir, struct str *why);

/* postfix_ask_files - what main.cf itself sets ("name", $names as they stand) and the entries of master.cf
 * ("smtp/inet", one line each with single blanks), after postfix_ask_version(). */
bool postfix_ask_files(const struct postfix *p, struct postfix_settings *main, struct postfix_settings *entries,
                       struct str *why);
bool postfix_find(const struct postfix_settings *settings, struct str name, struct str *value); /* false: not there */
struct str postfix_words(struct arena *a, struct str text); /* with single blanks between its words */

/* postfix_edit - postconf with an editing flag (-e, -X, -M, -MX) and these arguments, none longer than
 * POSTFIX_ARGUMENT_MOST bytes. Ordinary amounts change the file at once or not at all. */
enum { POSTFIX_ARGUMENT_MOST = 120 << 10 }; /* the kernel takes 128 KiB */
bool postfix_edit(const struct postfix *p, const char *flag, const struct str *arguments, size_t count,
                  struct str *why);
/* postfix_command - `postfix VERB`: "check", "status", "reload". */
bool postfix_command(const struct postfix *p, const char *verb, struct str *why);

bool postfix_knows(const struct postfix *p, const char *name);
/* postfix_value - what the service (NULL: all that do not override it) has; empty when the parameter does not exist. */
struct str postfix_value(const struct postfix *p, const struct postfix_service *service, const char *name);
bool postfix_overrides(const struct postfix_service *service, const char *name); /* by -o in master.cf */
bool postfix_is_yes(struct str value);
bool postfix_time_ms(struct str value, int64_t *ms); /* "30s", "5m", "300" */

/* postfix_item - take the next item of a Postfix list (blanks or commas between, {...} kept together) off *rest. */
bool postfix_item(struct str *rest, struct str *item);

/* postfix_port - the port that an inet service listens on; 0 when it has none or it cannot be told. */
long postfix_port(const struct postfix_service *service);

/* shell_quoted - one word for sh(1), in single quotes; shell_quotable - whether it is printable ASCII, since anything
 * else cannot be shown as it is and would not mean the same escaped. */
bool shell_quotable(struct str s);
struct str shell_quoted(struct arena *a, struct str s);

#endif
