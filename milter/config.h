/* config.h - one configuration as loaded: one arena, counted references, never changed after the load. */
#ifndef CONFIG_LOADED_H
#define CONFIG_LOADED_H

#include <stdbool.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/log.h"
#include "option.h"
#include "policy.h"
#include "profile.h"

struct global_options {
    struct str listen;
    struct str listen_group;
    struct str hostname;
    struct cidr_list local_networks;
    struct pattern_list local_domains;
    struct str state_dir;
    struct str key_dir;
};

enum log_format { FORMAT_KEYVALUE, FORMAT_JSON, FORMAT_LOGTERSE };

struct log_options {
    int format; /* enum log_format */
    int level;  /* enum log_level */
    int to;     /* enum log_target */
};

struct limit_options { /* what one stranger may make us hold */
    long recipients;
    uint64_t header_size;
    uint64_t message_size;
    uint64_t memory; /* of a body, before it goes to a file */
};

struct dns_options {
    struct str_list servers;
    int64_t timeout;
    long cache_entries;
};

struct metrics_options {
    struct str listen;
};

struct journal_options {
    bool enabled;
    int64_t keep;
    uint64_t max_size;
    bool subject;
};

struct config {
    struct arena *arena;
    int references; /* atomic */
    struct str path; /* of the file; empty: the built-in defaults alone */
    struct global_options global;
    struct log_options log;
    struct limit_options limits;
    struct dns_options dns;
    struct journal_options journal;
    struct metrics_options metrics;
    struct profile *profiles;
    size_t profile_count;
    struct profile *fallback; /* where no profile's conditions hold: built-in, never a trusted one */
    const void **loaded;      /* by the policies' load(), as policy_table is; NULL: by none */
    unsigned stages;          /* stages_used() */
    bool wants_body, edits;   /* some policy of some profile does */
    struct conf_entry *tree;    /* as written, for `config show` */
    struct conf_entry *builtin; /* config_builtin, parsed */
    struct conf_entry *changes; /* over all that is written: see config_change_add(); NULL in the daemon */
};

/* One section's option table, for everything that is generated (describe.c). */
struct section {
    const char *name; /* "" for the top level */
    const char *doc;
    const struct option *options;
};
extern const struct section config_sections[]; /* "", log, limits, ..., profile; ends with name NULL */

#define CONFIG_DEFAULT_PATH SYSCONFDIR "/sme-milter.conf"

/* config_load - read FILE (empty path: CONFIG_DEFAULT_PATH if it exists, else built-in defaults only). NULL when there
 * was an error; problems then names all of them. The caller holds the one reference. */
struct config *config_load(struct str path, struct problems *problems);
struct config *config_from_text(struct str name, struct str text, struct problems *problems);
struct config *config_ref(struct config *config);
void config_unref(struct config **config);

/* Changes: what a configuration would be with other values, without touching its file. config_change_add - one more,
 * as "POLICY.OPTION=VALUE" (in every profile), "profile:NAME.OPTION=VALUE" or "profile:NAME.POLICY.OPTION=VALUE"; +=
 * adds to a list. What is wrong with the words themselves is an error; the rest is said when they are loaded. They must
 * live in `a` as long as the configuration. */
struct config_change {
    struct str written;          /* the whole */
    struct str profile;          /* empty: all */
    const struct policy *policy; /* NULL: an option of the profile itself */
    struct str option;
};
bool config_change_add(struct arena *a, struct conf_entry **changes, struct str text, struct config_change *change,
                       struct problems *problems);
struct config *config_load_changed(struct str path, struct conf_entry *changes, struct problems *problems);
struct config *config_from_text_changed(struct str name, struct str text, struct conf_entry *changes,
                                        struct problems *problems);

bool config_is_local_domain(const struct config *config, struct str domain); /* lower-case domain */

/* config_origin - where the value of an option in a profile (NULL: outside of profiles) was last written: the file's
 * line, the built-in profile (file "built-in"), or an empty place for the option's default. `section` is a policy's
 * name, "profile" for the profile's own options, a section's name, or "" for the top level. */
struct place config_origin(const struct config *config, const struct profile *profile, const char *section,
                           const struct option *option);

/* config_uses - whether some profile runs that policy. */
bool config_uses(const struct config *config, const char *policy);

/* config_zones - every DNS list that some profile uses, each name once; the list is made in `a`, its zones belong to the
 * configuration. */
size_t config_zones(struct arena *a, const struct config *config, const struct zone ***list);

/* The built-in profiles, in the configuration's own language. */
extern const char config_builtin[];

#endif
