/* config_change.c - other values for some options, said on a command line. */
#include "config.h"

/* section_in - the section of that name and title in the list, made at its end when there is none. */
static struct conf_entry *section_in(struct arena *a, struct conf_entry **list, struct str name, struct str title,
                                     struct place at)
{
    for (; *list; list = &(*list)->next)
        if (str_is((*list)->name, name) && str_is((*list)->title, title))
            return *list;
    *list = arena_zalloc(a, sizeof **list);
    **list = (struct conf_entry){.kind = CONF_SECTION, .name = name, .title = title, .at = at};
    return *list;
}

/* split_key - "profile:NAME.POLICY.OPTION". A profile's name may have dots: it ends before the first policy or the last
 * word. */
static bool split_key(struct arena *a, struct str key, struct config_change *change, struct place at,
                      struct problems *problems)
{
    const char *names[64];
    size_t count = 0, dot;
    const char *near;
    struct str policy;

    if (str_starts(key, STR("profile:"))) {
        key = str_slice(key, 8, key.n);
        dot = str_rfind(key, '.');
        change->profile = str_slice(key, 0, dot);
        change->option = str_slice(key, dot + 1, key.n);
        dot = str_rfind(change->profile, '.');
        change->policy = dot < change->profile.n
                             ? policy_by_name(str_slice(change->profile, dot + 1, change->profile.n)) : NULL;
        if (change->policy)
            change->profile = str_slice(change->profile, 0, dot);
        if (change->profile.n && change->option.n)
            return true;
        problem_error(problems, at, "needs profile:NAME.OPTION=VALUE or profile:NAME.POLICY.OPTION=VALUE");
        return false;
    }
    dot = str_find(key, '.');
    policy = str_slice(key, 0, dot);
    change->policy = policy_by_name(policy);
    change->option = str_slice(key, dot + 1, key.n);
    if (change->policy && change->option.n)
        return true;
    for (size_t i = 0; i < policy_table_count && count < 64; i++)
        names[count++] = policy_table[i]->name;
    near = nearest(policy, names, count);
    if (dot == key.n || change->policy)
        problem_error(problems, at, "needs POLICY.OPTION=VALUE or profile:NAME.OPTION=VALUE");
    else
        problem_error(problems, at, near ? "policy \"" STR_FMT "\" is not known; did you mean \"%s\"?"
                                         : "policy \"" STR_FMT "\" is not known",
                      STR_ARG(str_escaped(a, policy)), near);
    return false;
}

static bool is_list(const struct config_change *change)
{
    bool is_file = false;
    const struct option *o = NULL;

    if (change->policy && change->policy->options)
        o = option_find(change->policy->options, change->option, &is_file);
    if (change->policy && !o)
        o = option_find(common_options, change->option, &is_file);
    for (const struct section *s = config_sections; !change->policy && s->name; s++)
        if (str_is(str_of(s->name), STR("profile")))
            o = option_find(s->options, change->option, &is_file);
    return o && option_is_list(o) && !is_file;
}

static void quote(struct buf *b, struct str text)
{
    text = str_trim(text);
    buf_addc(b, '"');
    for (size_t i = 0; i < text.n; i++)
        buf_addf(b, text.p[i] == '"' || text.p[i] == '\\' ? "\\%c" : "%c", text.p[i]);
    buf_addc(b, '"');
}

/* value_text - as the file has it. Who writes on a command line need not quote: commas divide a list. */
static struct str value_text(struct arena *a, const struct config_change *change, struct str value)
{
    struct buf b = buf_in(a);
    struct str one;

    value = str_trim(value);
    if (value.n && (value.p[0] == '{' || value.p[0] == '"' || value.p[0] == '\''))
        return value;
    if (!is_list(change)) {
        quote(&b, value);
        return buf_str(&b);
    }
    buf_addc(&b, '{');
    while (str_split(&value, ',', &one)) {
        quote(&b, one);
        if (value.n)
            buf_add(&b, STR(", "));
    }
    buf_addc(&b, '}');
    return buf_str(&b);
}

bool config_change_add(struct arena *a, struct conf_entry **changes, struct str text, struct config_change *change,
                       struct problems *problems)
{
    struct place at = {.file = conf_shown(a, text)};
    size_t equals = str_find(text, '='), errors = problems->errors;
    struct str key = str_trim(str_slice(text, 0, equals));
    bool append = key.n && key.p[key.n - 1] == '+';
    struct conf_entry *section, *entry, **end;
    struct str value;

    *change = (struct config_change){.written = text};
    if (equals == text.n) {
        problem_error(problems, at, "needs POLICY.OPTION=VALUE");
        return false;
    }
    if (!split_key(a, str_trim(str_slice(key, 0, key.n - append)), change, at, problems))
        return false;
    value = value_text(a, change, str_slice(text, equals + 1, text.n));
    entry =
        conf_parse_text(a, at.file, arena_printf(a, "x %s " STR_FMT, append ? "+=" : "=", STR_ARG(value)), problems);
    if (problems->errors > errors || !entry || entry->next) {
        if (problems->errors == errors)
            problem_error(problems, at, "that is no value");
        return false;
    }
    entry->name = change->option;
    section = NULL;
    if (change->profile.n)
        section = section_in(a, changes, STR("profile"), change->profile, at);
    if (change->policy)
        section = section_in(a, section ? &section->children : changes, str_of(change->policy->name), STR_NONE, at);
    for (end = &section->children; *end; end = &(*end)->next)
        ;
    *end = entry;
    return true;
}
