/* scenario_config.c - the configuration a scenario asks for, and its message cut into header fields. */
#include <string.h>
#include <time.h>

#include "scenario.h"

#include "milter/config.h"

static const char *const conditions[] = {"port = {}", "daemon_name = {}", "network = any", "auth = any"};

static bool has_set(const struct scenario *scn, struct str key)
{
    for (size_t i = 0; i < scn->set_count; i++)
        if (str_is(scn->sets[i].key, key))
            return true;
    return false;
}

/* says - whether a line of the text begins with that key. */
static bool says(struct str text, struct str key)
{
    struct str line;

    while (str_split(&text, '\n', &line)) {
        line = str_trim(line);
        if (str_starts(line, key) && line.n > key.n && strchr(" \t=+", line.p[key.n]))
            return true;
    }
    return false;
}

static void add_replaced(struct buf *b, struct str text, const struct play *p)
{
    static const struct str dir = {"{dir}", 5}, inner = {"{inner}", 7};

    for (size_t i = 0; i < text.n; i++) {
        struct str rest = str_slice(text, i, text.n);

        if (str_starts(rest, dir)) {
            buf_add(b, p->dir);
            i += dir.n - 1;
        } else if (str_starts(rest, inner)) {
            buf_add(b, p->inner_at);
            i += inner.n - 1;
        } else {
            buf_addc(b, text.p[i]);
        }
    }
}

static void add_set(struct buf *b, const struct pair *set, struct str key, const struct play *p)
{
    buf_addf(b, STR_FMT " %s ", STR_ARG(key), set->regex ? "+=" : "=");
    add_replaced(b, set->value, p);
    buf_addc(b, '\n');
}

static struct str section_of(struct str key)
{
    size_t dot = str_find(key, '.');

    return dot < key.n ? str_slice(key, 0, dot) : STR_NONE;
}

static bool is_top_section(struct str name)
{
    for (const struct section *s = config_sections; s->name; s++)
        if (str_is(name, str_of(s->name)) && !str_is(name, STR("profile")))
            return true;
    return false;
}

static bool is_top_option(struct str key)
{
    bool is_file;

    return !section_of(key).n && option_find(config_sections[0].options, key, &is_file);
}

/* add_section - `NAME { ... }` of all sets of that section, at the first of them. */
static void add_section(struct buf *b, const struct scenario *scn, size_t first, const struct play *p)
{
    struct str name = section_of(scn->sets[first].key);

    for (size_t i = 0; i < first; i++)
        if (str_is(section_of(scn->sets[i].key), name))
            return;
    buf_addf(b, STR_FMT " {\n", STR_ARG(name));
    for (size_t i = first; i < scn->set_count; i++) {
        struct str key = scn->sets[i].key;

        if (str_is(section_of(key), name))
            add_set(b, &scn->sets[i], str_slice(key, name.n + 1, key.n), p);
    }
    buf_add(b, STR("}\n"));
}

static void add_profile(struct arena *a, struct buf *b, const struct scenario *scn, const struct play *p)
{
    struct str name = scn->profile.n ? scn->profile : STR("scenario");

    buf_addf(b, "profile \"" STR_FMT "\" {\n", STR_ARG(name));
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        struct str condition = str_of(conditions[i]);

        if (!has_set(scn, str_slice(condition, 0, str_find(condition, ' '))))
            buf_addf(b, "%s\n", conditions[i]);
    }
    if (scn->policies.count) {
        buf_add(b, STR("policies = {"));
        for (size_t i = 0; i < scn->policies.count; i++)
            buf_addf(b, "%s\"" STR_FMT "\"", i ? ", " : "", STR_ARG(str_escaped(a, scn->policies.items[i])));
        buf_add(b, STR("}\n"));
    }
    for (size_t i = 0; i < scn->set_count; i++) {
        struct str section = section_of(scn->sets[i].key);

        if (is_top_option(scn->sets[i].key) || (section.n && is_top_section(section)))
            continue;
        if (section.n)
            add_section(b, scn, i, p);
        else
            add_set(b, &scn->sets[i], scn->sets[i].key, p);
    }
    buf_add(b, STR("}\n"));
}

static void add_own(struct buf *b, const struct scenario *scn, const char *key, struct str value)
{
    if (!has_set(scn, str_of(key)) && !says(scn->literal, str_of(key)))
        buf_addf(b, "%s = \"" STR_FMT "\"\n", key, STR_ARG(value));
}

struct str scenario_config(const struct play *p, struct str listen, struct str group)
{
    struct arena *a = p->arena;
    const struct scenario *scn = p->scenario;
    struct buf b = buf_in(a);

    add_own(&b, scn, "listen", listen);
    add_own(&b, scn, "listen_group", group);
    add_own(&b, scn, "hostname", STR("mx.here.test"));
    add_own(&b, scn, "state_dir", p->dir);
    if (scn->literal.n) {
        add_replaced(&b, scn->literal, p);
        return buf_str(&b);
    }
    for (size_t i = 0; i < scn->set_count; i++) {
        struct str section = section_of(scn->sets[i].key);

        if (is_top_option(scn->sets[i].key))
            add_set(&b, &scn->sets[i], scn->sets[i].key, p);
        else if (section.n && is_top_section(section))
            add_section(&b, scn, i, p);
    }
    add_profile(a, &b, scn, p);
    return buf_str(&b);
}

/* is_field - a name of printable bytes and a colon, as Postfix's cleanup(8) sees it; blanks may come between them. */
static bool is_field(struct str line, size_t *name_n, size_t *colon)
{
    size_t n = 0;

    while (n < line.n && line.p[n] > ' ' && line.p[n] < 0x7f && line.p[n] != ':')
        n++;
    *name_n = n;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    *colon = n;
    return *name_n > 0 && n < line.n && line.p[n] == ':';
}

/* line_at - the line of CRLF-ended text that begins at offset `at`, without its end; the offset of the next one. */
static size_t line_at(struct str text, size_t at, struct str *line)
{
    for (size_t i = at; i + 1 < text.n; i++)
        if (text.p[i] == '\r' && text.p[i + 1] == '\n') {
            *line = str_slice(text, at, i);
            return i + 2;
        }
    *line = str_slice(text, at, text.n);
    return text.n;
}

bool scenario_field(struct arena *a, struct str *rest, struct str *name, struct str *value)
{
    struct buf b = buf_in(a);
    size_t name_n, colon, next;
    struct str line;

    next = line_at(*rest, 0, &line);
    if (line.n == 0 || !is_field(line, &name_n, &colon)) {
        if (line.n == 0)
            *rest = str_slice(*rest, next, rest->n);
        return false;
    }
    *name = str_slice(line, 0, name_n);
    buf_add(&b, str_slice(line, colon + 1, line.n));
    while (next < rest->n && (rest->p[next] == ' ' || rest->p[next] == '\t')) {
        next = line_at(*rest, next, &line);
        buf_addc(&b, '\n');
        buf_add(&b, line);
    }
    *value = buf_str(&b);
    *rest = str_slice(*rest, next, rest->n);
    return true;
}
