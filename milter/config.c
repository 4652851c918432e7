/* config.c - from what was written to what is meant.
 *
 * A policy's options in a profile are the sum of four layers, the later over the earlier: the defaults of its option
 * table, the file's section of that policy, the built-in profile of the same name, the file's profile. They are applied
 * afresh for every profile that overrides something, never copied: a list that one profile appends to must not grow in
 * another.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "metrics_place.h"
#include "stage.h"

#define NAMES_MOST 128

static const struct option *rows_of(const char *section)
{
    for (const struct section *s = config_sections; s->name; s++)
        if (str_is(str_of(s->name), str_of(section)))
            return s->options;
    return NULL;
}

/* next_section - the next entry from e on that is a section of that name (and title, unless it is NULL). */
static const struct conf_entry *next_section(const struct conf_entry *e, struct str name, const struct str *title)
{
    for (; e; e = e->next)
        if (e->kind == CONF_SECTION && str_is(e->name, name) && (!title || str_is(e->title, *title)))
            return e;
    return NULL;
}

/* ---- unknown keys ---- */

struct names {
    const char *items[NAMES_MOST];
    size_t count;
};

static void names_add(struct names *n, const char *name)
{
    if (n->count < NAMES_MOST)
        n->items[n->count++] = name;
}

static void names_add_rows(struct arena *a, struct names *n, const struct option *rows)
{
    for (const struct option *o = rows; o && o->name; o++) {
        names_add(n, o->name);
        if (option_takes_file(o))
            names_add(n, arena_printf(a, "%s_file", o->name).p);
    }
}

static void unknown(const struct conf_entry *e, const struct names *n, const char *what, struct problems *problems)
{
    const char *near = nearest(e->name, n->items, n->count);

    problem_error(problems, e->at, near ? "%s \"" STR_FMT "\" is not known; did you mean \"%s\"?"
                                        : "%s \"" STR_FMT "\" is not known", what, STR_ARG(e->name), near);
}

/* ---- layers ---- */

/* apply_pass - NAME entries in the first pass, NAME_file entries in the second: NAME = {...} replaces what stood there,
 * and must not replace what a file adds. */
static void apply_pass(struct arena *a, const struct option *rows, void *values, const struct conf_entry *body,
                       bool files, struct problems *problems)
{
    for (const struct conf_entry *e = body; e; e = e->next) {
        bool is_file = false;
        const struct option *o = option_find(rows, e->name, &is_file);

        if (o && is_file == files)
            option_apply(a, o, is_file, e, values, problems);
    }
}

static void apply_rows(struct arena *a, const struct option *rows, void *values, const struct conf_entry *body,
                       struct problems *problems)
{
    apply_pass(a, rows, values, body, false, problems);
    apply_pass(a, rows, values, body, true, problems);
}

static void check_names(struct arena *a, const struct option *rows, const struct option *more,
                        const struct conf_entry *body, struct problems *problems)
{
    for (const struct conf_entry *e = body; e; e = e->next) {
        struct names n = {.count = 0};
        bool is_file;

        if (option_find(rows, e->name, &is_file) || (more && option_find(more, e->name, &is_file)))
            continue;
        names_add_rows(a, &n, rows);
        names_add_rows(a, &n, more);
        unknown(e, &n, "option", problems);
    }
}

static const struct option no_rows[] = {OPTION_END};

static const struct option *policy_rows(const struct policy *p)
{
    return p->options ? p->options : no_rows;
}

enum { LAYERS = 5 };

struct layers { /* the file's section, the built-in profile's, the file's profile's, two of changes; NULL: none */
    const struct conf_entry *body[LAYERS];
};

static const struct conf_entry *children(const struct conf_entry *section)
{
    return section ? section->children : NULL;
}

static struct layers policy_layers(const struct config *config, struct str profile, const char *policy)
{
    const struct conf_entry *builtin = next_section(config->builtin, STR("profile"), &profile);
    const struct conf_entry *file = next_section(config->tree, STR("profile"), &profile);
    const struct conf_entry *changed = next_section(config->changes, STR("profile"), &profile);
    struct str name = str_of(policy);

    return (struct layers){{children(next_section(config->tree, name, NULL)),
                            children(next_section(children(builtin), name, NULL)),
                            children(next_section(children(file), name, NULL)),
                            children(next_section(config->changes, name, NULL)),
                            children(next_section(children(changed), name, NULL))}};
}

static void common_presets(struct arena *a, const struct policy *p, struct common *common)
{
    const char *presets[] = {p->presets.enabled, p->presets.reject, p->presets.reply, p->presets.karma,
                             p->presets.skip};
    struct option rows[sizeof presets / sizeof presets[0] + 1] = {OPTION_END};

    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        rows[i] = common_options[i];
        if (presets[i])
            rows[i].preset = presets[i];
    }
    option_presets(a, rows, common);
}

/* build_instance - one policy with the given layers. */
static struct instance build_instance(struct arena *a, const struct policy *p, const struct layers *l,
                                      struct problems *problems)
{
    struct instance in = {.policy = p};
    void *options = arena_zalloc(a, p->options_size ? p->options_size : 1);

    common_presets(a, p, &in.common);
    option_presets(a, policy_rows(p), options);
    for (size_t i = 0; i < LAYERS; i++) {
        apply_rows(a, common_options, &in.common, l->body[i], problems);
        apply_rows(a, policy_rows(p), options, l->body[i], problems);
    }
    in.options = options;
    return in;
}

/* ---- profiles ---- */

static const struct policy *find_policy(const struct conf_value *v, struct problems *problems)
{
    const struct policy *p = policy_by_name(v->text);
    struct names n = {.count = 0};
    const char *near;

    if (p)
        return p;
    for (size_t i = 0; i < policy_table_count; i++)
        names_add(&n, policy_table[i]->name);
    near = nearest(v->text, n.items, n.count);
    problem_error(problems, v->at, near ? "policy \"" STR_FMT "\" is not known; did you mean \"%s\"?"
                                        : "policy \"" STR_FMT "\" is not known", STR_ARG(v->text), near);
    return NULL;
}

static bool stands_before(const struct profile *p, size_t end, const char *name)
{
    for (size_t i = 0; i < end; i++)
        if (str_is(p->options.policies.items[i], str_of(name)))
            return true;
    return false;
}

static void check_needs(const struct profile *profile, const struct policy *p, size_t position, struct place at,
                        struct problems *problems)
{
    for (const char *const *need = p->needs; need && *need; need++)
        if (!stands_before(profile, position, *need))
            problem_error(problems, at, "profile \"" STR_FMT "\": policy \"%s\" needs \"%s\" before it",
                          STR_ARG(profile->name), p->name, *need);
}

/* policies_entry - where the profile's list was written, for errors; the places of its values fit by index. */
static const struct conf_entry *policies_entry(const struct conf_entry *section)
{
    const struct conf_entry *last = NULL;

    for (const struct conf_entry *e = children(section); e; e = e->next)
        if (str_is(e->name, STR("policies")) && e->kind != CONF_SECTION)
            last = e;
    return last;
}

static void profile_instances(struct config *config, struct profile *profile, const struct conf_entry *list,
                              struct instance *shared, struct problems *problems)
{
    struct arena *a = config->arena;
    size_t count = profile->options.policies.count;

    profile->instances = arena_array(a, count + 1, sizeof *profile->instances);
    for (size_t i = 0; i < count; i++) {
        struct str name = profile->options.policies.items[i];
        struct place at = list && i < list->count ? list->values[i].at : profile->at;
        const struct policy *p = find_policy(&(struct conf_value){name, at}, problems);
        struct problems quiet = {.arena = a};
        struct layers l;
        struct instance in;

        if (!p)
            continue;
        if (stands_before(profile, i, p->name)) {
            problem_error(problems, at, "policy \"%s\" is listed twice in profile \"" STR_FMT "\"", p->name,
                          STR_ARG(profile->name));
            continue;
        }
        check_needs(profile, p, i, at, problems);
        l = policy_layers(config, profile->name, p->name);
        in = shared[policy_index(p)];
        if (l.body[1] || l.body[2] || l.body[3] || l.body[4]) {
            /* What is wrong in the shared section has been said; of this profile's own only the last layer is new. */
            apply_rows(a, common_options, &(struct common){0}, l.body[2], problems);
            apply_rows(a, policy_rows(p), arena_zalloc(a, p->options_size + 1), l.body[2], problems);
            in = build_instance(a, p, &l, &quiet);
        }
        if (!in.common.enabled)
            continue;
        at = l.body[2] ? l.body[2]->at : l.body[0] ? l.body[0]->at : at;
        if (p->check)
            p->check(&in.common, in.options, at, problems);
        if (p->prepare)
            p->prepare(a, in.options, at, problems);
        profile->instances[profile->count++] = in;
    }
}

/* check_profile_body - names, and sections of policies that are not in the profile's list. */
static void check_profile_body(struct arena *a, const struct profile *profile, const struct conf_entry *section,
                               struct problems *problems)
{
    const struct option *rows = rows_of("profile");

    for (const struct conf_entry *e = children(section); e; e = e->next) {
        struct names n = {.count = 0};
        bool is_file;

        if (e->kind == CONF_SECTION && policy_by_name(e->name)) {
            check_names(a, policy_rows(policy_by_name(e->name)), common_options, e->children, problems);
            if (!stands_before(profile, profile->options.policies.count, str_c(a, e->name)))
                problem_warning(problems, e->at, "profile \"" STR_FMT "\" sets options of \"" STR_FMT
                                "\", which is not in its policies", STR_ARG(profile->name), STR_ARG(e->name));
            continue;
        }
        if (option_find(rows, e->name, &is_file))
            continue;
        names_add_rows(a, &n, rows);
        for (size_t i = 0; i < policy_table_count; i++)
            names_add(&n, policy_table[i]->name);
        unknown(e, &n, e->kind == CONF_SECTION ? "section" : "option", problems);
    }
}

static void build_profile(struct config *config, struct profile *profile, const struct conf_entry *section,
                          struct instance *shared, struct problems *problems)
{
    const struct conf_entry *builtin = next_section(config->builtin, STR("profile"), &section->title);
    struct problems quiet = {.arena = config->arena};
    const struct conf_entry *list, *changed;

    profile->name = section->title;
    profile->at = section->at;
    if (profile->name.n == 0)
        problem_error(problems, section->at, "a profile needs a name: profile \"smtp\" { ... }");
    option_presets(config->arena, rows_of("profile"), &profile->options);
    apply_rows(config->arena, rows_of("profile"), &profile->options, children(builtin), &quiet);
    if (section != builtin) {
        apply_rows(config->arena, rows_of("profile"), &profile->options, section->children, problems);
        check_profile_body(config->arena, profile, section, problems);
    }
    changed = next_section(config->changes, STR("profile"), &profile->name);
    apply_rows(config->arena, rows_of("profile"), &profile->options, children(changed), &quiet);
    list = policies_entry(section);
    if (!list && !policies_entry(builtin))
        problem_error(problems, section->at, "profile \"" STR_FMT "\" has no policies = {...}", STR_ARG(profile->name));
    if (policies_entry(changed) || (list && list->append))
        list = NULL;
    profile_instances(config, profile, list, shared, problems);
}

static bool is_for_strangers(const struct profile *p)
{
    return p->options.network != NETWORK_LOCAL && p->options.auth != AUTH_YES;
}

static void build_profiles(struct config *config, struct problems *problems)
{
    struct arena *a = config->arena;
    const struct conf_entry *from = next_section(config->tree, STR("profile"), NULL) ? config->tree : config->builtin;
    struct instance *shared = arena_array(a, policy_table_count, sizeof *shared);
    const struct conf_entry *e;
    struct str smtp = STR("smtp");

    for (size_t i = 0; i < policy_table_count; i++) {
        struct layers l = {{children(next_section(config->tree, str_of(policy_table[i]->name), NULL))}};

        shared[i] = build_instance(a, policy_table[i], &l, problems);
    }
    for (e = from; (e = next_section(e, STR("profile"), NULL)); e = e->next)
        config->profile_count++;
    config->profiles = arena_array(a, config->profile_count + 1, sizeof *config->profiles);
    config->profile_count = 0;
    for (e = from; (e = next_section(e, STR("profile"), NULL)); e = e->next)
        build_profile(config, &config->profiles[config->profile_count++], e, shared, problems);
    /* The last profile that trusts nobody: lists that are searched from the top end with their most general one. */
    for (size_t i = 0; i < config->profile_count; i++)
        if (is_for_strangers(&config->profiles[i]))
            config->fallback = &config->profiles[i];
    if (!config->fallback) {
        config->fallback = &config->profiles[config->profile_count];
        build_profile(config, config->fallback, next_section(config->builtin, STR("profile"), &smtp), shared, problems);
    }
}

/* ---- the whole ---- */

static void check_top(struct config *config, struct problems *problems)
{
    struct arena *a = config->arena;

    for (const struct conf_entry *e = config->tree; e; e = e->next) {
        const struct policy *p = e->kind == CONF_SECTION ? policy_by_name(e->name) : NULL;
        const struct option *rows = e->kind == CONF_SECTION && e->name.n ? rows_of(str_c(a, e->name)) : NULL;
        struct names n = {.count = 0};
        bool is_file;

        if (p)
            check_names(a, policy_rows(p), common_options, e->children, problems);
        else if (str_is(e->name, STR("profile")) && rows)
            continue; /* build_profile() looks */
        else if (rows)
            check_names(a, rows, NULL, e->children, problems);
        else if (e->kind == CONF_SECTION || !option_find(rows_of(""), e->name, &is_file)) {
            names_add_rows(a, &n, rows_of(""));
            for (const struct section *s = config_sections + 1; s->name; s++)
                names_add(&n, s->name);
            for (size_t i = 0; i < policy_table_count; i++)
                names_add(&n, policy_table[i]->name);
            unknown(e, &n, e->kind == CONF_SECTION ? "section" : "option", problems);
            continue;
        }
        if ((p || rows) && e->title.n)
            problem_error(problems, e->at, "section \"" STR_FMT "\" takes no title", STR_ARG(e->name));
    }
}

/* check_policy - a section of changes: what is wrong in it is said once, wherever it is applied. */
static void check_policy(struct arena *a, const struct policy *p, const struct conf_entry *body,
                         struct problems *problems)
{
    check_names(a, policy_rows(p), common_options, body, problems);
    apply_rows(a, common_options, &(struct common){0}, body, problems);
    apply_rows(a, policy_rows(p), arena_zalloc(a, p->options_size + 1), body, problems);
}

/* check_changes - config_change_add() makes nothing but sections of policies and of profiles. */
static void check_changes(struct config *config, struct problems *problems)
{
    struct arena *a = config->arena;

    for (const struct conf_entry *e = config->changes; e; e = e->next) {
        const struct policy *p = policy_by_name(e->name);
        const struct profile *profile = NULL;

        if (p) {
            check_policy(a, p, e->children, problems);
            continue;
        }
        for (size_t i = 0; i < config->profile_count; i++)
            if (str_is(config->profiles[i].name, e->title))
                profile = &config->profiles[i];
        if (!profile) {
            problem_error(problems, e->at, "there is no profile \"" STR_FMT "\"", STR_ARG(e->title));
            continue;
        }
        check_profile_body(a, profile, e, problems);
        apply_rows(a, rows_of("profile"), &(struct profile_options){0}, e->children, problems);
        for (const struct conf_entry *in = e->children; in; in = in->next)
            if (in->kind == CONF_SECTION && (p = policy_by_name(in->name)))
                check_policy(a, p, in->children, problems);
    }
}

static void apply_section(struct config *config, const char *name, void *values, struct problems *problems)
{
    const struct conf_entry *body = *name ? children(next_section(config->tree, str_of(name), NULL)) : config->tree;

    option_presets(config->arena, rows_of(name), values);
    apply_rows(config->arena, rows_of(name), values, body, problems);
}

static bool listen_valid(struct str listen)
{
    struct str rest = listen, kind, port;
    long number;

    if (str_starts(listen, STR("unix:/")) || str_starts(listen, STR("local:/")))
        return true;
    return str_split(&rest, ':', &kind) && (str_is(kind, STR("inet")) || str_is(kind, STR("inet6"))) &&
           str_split(&rest, '@', &port) && str_to_long(port, &number) && number >= 1 && number <= 65535 && rest.n > 0;
}

static void finish_globals(struct config *config, struct problems *problems)
{
    struct global_options *g = &config->global;
    char name[256];

    if (g->hostname.n == 0 && gethostname(name, sizeof name) == 0) {
        name[sizeof name - 1] = '\0';
        g->hostname = str_dup(config->arena, str_of(name));
    }
    if (!listen_valid(g->listen))
        problem_error(problems, config_origin(config, NULL, "", rows_of("")),
                      "listen = \"" STR_FMT "\": needs unix:/PATH, inet:PORT@HOST or inet6:PORT@HOST",
                      STR_ARG(g->listen));
}

static void check_dns(struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < config->dns.servers.count; i++)
        if (!dns_server_valid(config->dns.servers.items[i]))
            problem_error(problems, config_origin(config, NULL, "dns", rows_of("dns")),
                          "servers: \"" STR_FMT "\" is not an address, or address:port", STR_ARG(config->dns.servers.items[i]));
}

static void check_metrics(struct config *config, struct problems *problems)
{
    if (!metrics_place_valid(config->metrics.listen))
        problem_error(problems, config_origin(config, NULL, "metrics", rows_of("metrics")),
                      "listen = \"" STR_FMT "\": needs unix:/PATH or inet:PORT@HOST, HOST an address of loopback",
                      STR_ARG(config->metrics.listen));
}

/* load_shared - what the instances of one policy share. */
static void load_shared(struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < policy_table_count; i++) {
        const struct policy *p = policy_table[i];

        if (!p->load || !config_uses(config, p->name))
            continue;
        if (!config->loaded)
            config->loaded = arena_array(config->arena, policy_table_count, sizeof *config->loaded);
        config->loaded[i] = p->load(config->arena, config, problems);
    }
}

static struct config *build(struct arena *a, struct str path, struct conf_entry *tree, struct conf_entry *changes,
                            struct problems *problems)
{
    struct config *config = arena_zalloc(a, sizeof *config);
    struct problems bug = {.arena = a};

    config->arena = a;
    config->references = 1;
    config->path = str_dup(a, path);
    config->tree = tree;
    config->changes = changes;
    config->builtin = conf_parse_text(a, STR("built-in"), str_of(config_builtin), &bug);
    check_top(config, problems);
    apply_section(config, "", &config->global, problems);
    apply_section(config, "log", &config->log, problems);
    apply_section(config, "limits", &config->limits, problems);
    apply_section(config, "dns", &config->dns, problems);
    apply_section(config, "journal", &config->journal, problems);
    apply_section(config, "metrics", &config->metrics, problems);
    finish_globals(config, problems);
    check_dns(config, problems);
    check_metrics(config, problems);
    build_profiles(config, problems);
    check_changes(config, problems);
    load_shared(config, problems);
    problems_sort(problems);
    if (problems->errors) {
        arena_free(&a);
        return NULL;
    }
    config->stages = stages_used(config);
    for (size_t k = 0; k <= config->profile_count; k++) {
        const struct profile *p = k < config->profile_count ? &config->profiles[k] : config->fallback;

        for (size_t i = 0; i < p->count; i++) {
            config->wants_body |= p->instances[i].policy->wants_body && !policy_idle(&p->instances[i], AT_MESSAGE);
            config->edits |= p->instances[i].policy->edits && !policy_idle(&p->instances[i], AT_MESSAGE);
        }
    }
    return config;
}

struct config *config_load_changed(struct str path, struct conf_entry *changes, struct problems *problems)
{
    struct arena *a = arena_new(65536);
    struct conf_entry *tree = NULL;

    if (path.n == 0 && access(CONFIG_DEFAULT_PATH, F_OK) == 0)
        path = STR(CONFIG_DEFAULT_PATH);
    if (path.n)
        tree = conf_parse_file(a, path, problems);
    return build(a, path, tree, changes, problems);
}

struct config *config_load(struct str path, struct problems *problems)
{
    return config_load_changed(path, NULL, problems);
}

struct config *config_from_text_changed(struct str name, struct str text, struct conf_entry *changes,
                                        struct problems *problems)
{
    struct arena *a = arena_new(65536);

    return build(a, name, conf_parse_text(a, name, text, problems), changes, problems);
}

struct config *config_from_text(struct str name, struct str text, struct problems *problems)
{
    return config_from_text_changed(name, text, NULL, problems);
}

struct config *config_ref(struct config *config)
{
    __atomic_add_fetch(&config->references, 1, __ATOMIC_RELAXED);
    return config;
}

void config_unref(struct config **config)
{
    struct config *c = *config;

    *config = NULL;
    if (c && __atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct arena *a = c->arena; /* which holds c itself */

        arena_free(&a);
    }
}

/* last_place - where a body last writes the option, inline or as NAME_file. */
static bool last_place(const struct conf_entry *body, const struct option *option, struct place *at)
{
    bool found = false;

    for (const struct conf_entry *e = body; e; e = e->next) {
        bool is_file;
        const struct option *o = e->kind == CONF_SECTION ? NULL : option_find(option, e->name, &is_file);

        if (o == option) {
            *at = e->at;
            found = true;
        }
    }
    return found;
}

struct place config_origin(const struct config *config, const struct profile *profile, const char *section,
                           const struct option *option)
{
    struct place at = {STR_NONE, 0};
    struct str name = profile ? profile->name : STR_NONE;

    if (profile && str_is(str_of(section), STR("profile"))) {
        last_place(children(next_section(config->builtin, STR("profile"), &name)), option, &at);
        last_place(children(next_section(config->tree, STR("profile"), &name)), option, &at);
    } else if (profile) {
        struct layers l = policy_layers(config, name, section);

        for (size_t i = 0; i < sizeof l.body / sizeof l.body[0]; i++)
            last_place(l.body[i], option, &at);
    } else {
        last_place(*section ? children(next_section(config->tree, str_of(section), NULL)) : config->tree, option, &at);
    }
    return at;
}
