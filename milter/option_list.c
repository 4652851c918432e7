/* option_list.c - options that hold lists, and list files. */
#include <stdio.h>

#include "option_list.h"

#define FILE_MOST_BYTES ((size_t)256 << 20)
#define FILE_MOST_ENTRIES 1000000
#define FILE_MOST_LINE 65536
#define FILE_MOST_WARNINGS 100

static void strings_add(struct arena *a, struct str_list *list, struct str text)
{
    list->items = arena_grow(a, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = str_dup(a, text);
}

static bool cidrs_add(struct arena *a, struct cidr_list *list, struct str text, struct str *error)
{
    struct cidr net;

    if (!cidr_parse(a, text, &net, error))
        return false;
    list->items = arena_grow(a, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = net;
    return true;
}

/* numbers_add - whole numbers, each in its plainest form, so that equal ones are equal texts. */
static bool numbers_add(struct arena *a, const struct option *o, struct str_list *list, struct str text,
                        struct str *error)
{
    struct option one = *o;
    long number;

    one.type = OPTION_INT;
    if (!option_value(a, &one, text, &number, error))
        return false;
    strings_add(a, list, arena_printf(a, "%ld", number));
    return true;
}

static bool zones_add(struct arena *a, const struct option *o, struct zone_list *list, struct str text, struct str *error)
{
    struct zone zone;
    bool dead;

    if (!zone_parse(a, o->type == OPTION_CLIENT_ZONES ? ZONE_OF_CLIENTS : ZONE_OF_NAMES, text, &zone, error, &dead))
        return false;
    list->items = arena_grow(a, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = zone;
    return true;
}

bool option_is_dead_list(struct arena *a, const struct option *o, struct str text)
{
    struct zone zone;
    struct str error;
    bool dead;

    return (o->type == OPTION_CLIENT_ZONES || o->type == OPTION_NAME_ZONES) &&
           !zone_parse(a, ZONE_OF_NAMES, text, &zone, &error, &dead) && dead;
}

bool option_list_add(struct arena *a, const struct option *o, struct str text, void *field, struct str *error)
{
    if (text.n == 0) {
        *error = STR("is empty; a list without entries is written {}");
        return false;
    }
    switch (o->type) {
    case OPTION_STRINGS:
        strings_add(a, field, text);
        return true;
    case OPTION_NUMBERS:
        return numbers_add(a, o, field, text, error);
    case OPTION_CIDRS:
        return cidrs_add(a, field, text, error);
    case OPTION_ADDRESSES:
        return pattern_add(a, field, PATTERN_ADDRESSES, false, text, error);
    case OPTION_MAILBOXES:
        return pattern_add(a, field, PATTERN_ADDRESSES, true, text, error);
    case OPTION_HOSTS:
        return pattern_add(a, field, PATTERN_HOSTS, false, text, error);
    case OPTION_PAIRS:
        return pattern_pair_add(a, field, text, error);
    case OPTION_CLIENT_ZONES:
    case OPTION_NAME_ZONES:
        return zones_add(a, o, field, text, error);
    default:
        *error = STR("is of a type that is no list");
        return false;
    }
}

void option_list_clear(const struct option *o, void *field)
{
    if (o->type == OPTION_WORDS)
        *(unsigned *)field = 0;
    else if (o->type == OPTION_STRINGS || o->type == OPTION_NUMBERS)
        *(struct str_list *)field = (struct str_list){0};
    else if (o->type == OPTION_CIDRS)
        *(struct cidr_list *)field = (struct cidr_list){0};
    else if (o->type == OPTION_PAIRS)
        *(struct pattern_pairs *)field = (struct pattern_pairs){0};
    else if (o->type == OPTION_CLIENT_ZONES || o->type == OPTION_NAME_ZONES)
        *(struct zone_list *)field = (struct zone_list){0};
    else
        *(struct pattern_list *)field = (struct pattern_list){0};
}

/* add_line - one entry of a list file; false with what is wrong with it. */
static bool add_line(struct arena *a, const struct option *o, struct str line, void *field, struct str *error)
{
    if (line.n > FILE_MOST_LINE)
        *error = arena_printf(a, "is longer than %d bytes", FILE_MOST_LINE);
    else if (str_find(line, '\0') < line.n)
        *error = STR("has a NUL byte");
    else
        return option_value(a, o, line, field, error);
    return false;
}

/* entries_of_file - one bad line is no reason to lose the others; it is named and left out. */
static void entries_of_file(struct arena *a, const struct option *o, struct place at, struct str text, void *field,
                            struct problems *problems)
{
    struct place here = {.file = at.file};
    struct str line, error;
    size_t bad = 0, entries = 0;

    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_slice(text, 3, text.n);
    while (str_split(&text, '\n', &line)) {
        here.line++;
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (++entries > FILE_MOST_ENTRIES) {
            problem_error(problems, here, "%s_file: more than %d entries", o->name, FILE_MOST_ENTRIES);
            return;
        }
        if (add_line(a, o, line, field, &error) || ++bad > FILE_MOST_WARNINGS)
            continue;
        line = conf_shown(problems->arena, line);
        problem_warning(problems, here, "%s: \"" STR_FMT "\" " STR_FMT " (line left out)", o->name,
                        STR_ARG(line), STR_ARG(error));
    }
    if (bad > FILE_MOST_WARNINGS)
        problem_warning(problems, (struct place){at.file, 0}, "%s: %zu further bad lines left out", o->name,
                        bad - FILE_MOST_WARNINGS);
}

void option_list_file(struct arena *a, const struct option *o, struct str path, struct place at, void *field,
                      struct problems *problems)
{
    struct str file = conf_path_beside(a, at.file, path), text, error;

    if (conf_read_file(a, file, FILE_MOST_BYTES, &text, &error))
        entries_of_file(a, o, (struct place){file, 0}, text, field, problems);
    else
        problem_error(problems, at, "%s_file: " STR_FMT " " STR_FMT, o->name, STR_ARG(file), STR_ARG(error));
}

void option_quote(struct buf *b, struct str text)
{
    buf_addc(b, '"');
    buf_add_escaped(b, text, "\"");
    buf_addc(b, '"');
}

static void pattern_text(struct buf *b, const struct pattern *pattern)
{
    struct buf entry = buf_in(b->arena);

    buf_add(&entry, pattern->written);
    if (pattern->text.n)
        buf_addc(&entry, ' ');
    buf_add(&entry, pattern->text);
    option_quote(b, buf_str(&entry));
}

bool option_list_text(struct buf *b, const struct option *o, const void *field, size_t most, size_t *count)
{
    const struct str_list *strings = field;
    const struct cidr_list *cidrs = field;
    const struct pattern_pairs *pairs = field;
    const struct zone_list *zones = field;
    const struct pattern_list *patterns = field;
    bool are_strings = o->type == OPTION_STRINGS || o->type == OPTION_NUMBERS;
    bool are_zones = o->type == OPTION_CLIENT_ZONES || o->type == OPTION_NAME_ZONES;

    *count = are_strings                 ? strings->count
             : o->type == OPTION_CIDRS ? cidrs->count
             : o->type == OPTION_PAIRS ? pairs->count
             : are_zones               ? zones->count
                                       : patterns->count;
    for (size_t i = 0; i < *count && *count <= most; i++) {
        if (i)
            buf_add(b, STR(", "));
        if (o->type == OPTION_NUMBERS)
            buf_add(b, strings->items[i]);
        else if (o->type == OPTION_STRINGS)
            option_quote(b, strings->items[i]);
        else if (o->type == OPTION_CIDRS)
            option_quote(b, cidrs->items[i].written);
        else if (o->type == OPTION_PAIRS)
            option_quote(b, pairs->items[i].written);
        else if (are_zones)
            option_quote(b, zones->items[i].written);
        else
            pattern_text(b, &patterns->items[i]);
    }
    return *count <= most;
}
