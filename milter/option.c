/* option.c - rows of option tables: from text to value and back. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "config_lex.h"
#include "option_list.h"

#define MOST_BAD_VALUES 20 /* of one list; more of the same would only hide the other errors */

struct unit {
    const char *name;
    uint64_t size;
};

static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit size_units[] = {{"G", 1u << 30}, {"M", 1u << 20}, {"K", 1u << 10}, {"", 1}};
#define UNITS(table) table, sizeof(table) / sizeof *(table)

static const char *const bool_words[] = {"yes", "on", "true", "enabled", "no", "off", "false", "disabled"};

size_t option_count(const struct option *table)
{
    size_t n = 0;

    while (table && table[n].name)
        n++;
    return n;
}

bool option_is_list(const struct option *o)
{
    return o->type >= OPTION_WORDS;
}

bool option_takes_file(const struct option *o)
{
    return option_is_list(o) && o->type != OPTION_WORDS;
}

const char *option_type_name(const struct option *o)
{
    static const char *const names[] = {
        [OPTION_BOOL] = "yes or no",
        [OPTION_INT] = "whole number",
        [OPTION_NUMBER] = "number",
        [OPTION_DURATION] = "duration",
        [OPTION_SIZE] = "size in bytes",
        [OPTION_STRING] = "text",
        [OPTION_WORD] = "one word",
        [OPTION_WORDS] = "list of words",
        [OPTION_STRINGS] = "list of texts",
        [OPTION_NUMBERS] = "list of whole numbers",
        [OPTION_CIDRS] = "list of networks",
        [OPTION_ADDRESSES] = "list of addresses",
        [OPTION_MAILBOXES] = "list of addresses or local parts",
        [OPTION_HOSTS] = "list of host names",
        [OPTION_PAIRS] = "list of address pairs",
        [OPTION_CLIENT_ZONES] = "list of DNS lists of addresses",
        [OPTION_NAME_ZONES] = "list of DNS lists of names",
    };

    return names[o->type];
}

const struct option *option_find(const struct option *table, struct str name, bool *is_file)
{
    static const struct str suffix = {"_file", 5};
    struct str stem = str_slice(name, 0, name.n > suffix.n ? name.n - suffix.n : 0);

    *is_file = false;
    for (const struct option *o = table; o && o->name; o++)
        if (str_is(str_of(o->name), name))
            return o;
    if (!str_is(str_slice(name, stem.n, name.n), suffix))
        return NULL;
    for (const struct option *o = table; o && o->name; o++) {
        if (option_is_list(o) && str_is(str_of(o->name), stem)) {
            *is_file = true;
            return o;
        }
    }
    return NULL;
}

/* ---- from text ---- */

/* in_units - the value in the largest unit that holds it exactly. */
static void in_units(struct buf *b, uint64_t value, const struct unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (value % units[i].size == 0 && (value || i + 1 == count)) {
            buf_addf(b, "%llu%s", (unsigned long long)(value / units[i].size), units[i].name);
            return;
        }
    }
}

static void limit_text(struct buf *b, const struct option *o, double limit)
{
    if (o->type == OPTION_DURATION && limit > 0)
        in_units(b, (uint64_t)limit, UNITS(duration_units));
    else if (o->type == OPTION_SIZE)
        in_units(b, (uint64_t)limit, UNITS(size_units));
    else
        buf_addf(b, "%.15g", limit);
}

/* needs - "needs a whole number from 1 to 65535": what is right is right whatever is wrong. */
static struct str needs(struct arena *a, const struct option *o, const char *what, const char *likes)
{
    struct buf b = buf_in(a);

    buf_addf(&b, "needs %s", what);
    if (o->min != 0 || o->max != 0) {
        buf_add(&b, STR(" from "));
        limit_text(&b, o, o->min);
        buf_add(&b, STR(" to "));
        limit_text(&b, o, o->max);
    }
    buf_addf(&b, "%s", likes);
    return buf_str(&b);
}

static bool within(const struct option *o, double value)
{
    return (o->min == 0 && o->max == 0) || (value >= o->min && value <= o->max);
}

static bool read_bool(struct arena *a, struct str text, bool *field, struct str *error)
{
    size_t count = sizeof bool_words / sizeof *bool_words;
    const char *near;

    for (size_t i = 0; i < count; i++) {
        if (str_is_nocase(text, str_of(bool_words[i]))) {
            *field = i < count / 2;
            return true;
        }
    }
    if (str_is(text, STR("1")) || str_is(text, STR("0"))) {
        *field = text.p[0] == '1';
        return true;
    }
    near = text.n > 1 ? nearest(text, bool_words, count) : NULL;
    *error = near ? arena_printf(a, "needs yes or no; did you mean \"%s\"?", near) : STR("needs yes or no");
    return false;
}

static bool read_int(struct arena *a, const struct option *o, struct str text, long *field, struct str *error)
{
    long value;

    /* karma = +5 is how people write it */
    if (text.n > 1 && text.p[0] == '+' && text.p[1] != '-')
        text = str_slice(text, 1, text.n);
    if (!str_to_long(text, &value) || !within(o, (double)value)) {
        *error = needs(a, o, "a whole number", "");
        return false;
    }
    *field = value;
    return true;
}

static bool read_number(struct arena *a, const struct option *o, struct str text, double *field, struct str *error)
{
    const char *number = str_c(a, text);
    bool plain = text.n > 0 && text.n < 64;
    char *end;
    double value;

    for (size_t i = 0; i < text.n; i++)
        plain = plain && ((text.p[i] >= '0' && text.p[i] <= '9') || memchr("+-.eE", text.p[i], 5));
    value = plain ? strtod(number, &end) : NAN;
    if (!isfinite(value) || end != number + text.n || !within(o, value)) {
        *error = needs(a, o, "a number", "");
        return false;
    }
    *field = value;
    return true;
}

/* read_units - digits and a unit; "" stands for the unit of size `bare`. */
static bool read_units(struct str text, const struct unit *units, size_t count, uint64_t bare, uint64_t *value)
{
    uint64_t n = 0, size = bare;
    size_t digits = 0;

    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9') {
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(text.p[digits] - '0'), &n))
            return false;
        digits++;
    }
    if (digits == 0)
        return false;
    text = str_slice(text, digits, text.n);
    if (text.n) {
        size = 0;
        for (size_t i = 0; i < count; i++)
            if (str_is(text, str_of(units[i].name)))
                size = units[i].size;
    }
    return size && !__builtin_mul_overflow(n, size, value) && *value <= INT64_MAX;
}

static bool read_duration(struct arena *a, const struct option *o, struct str text, int64_t *field, struct str *error)
{
    uint64_t value;

    if (!read_units(text, UNITS(duration_units), 1000, &value) || !within(o, (double)value)) {
        *error = needs(a, o, "a duration", ", like 500ms, 5s, 10m, 2h or 1d");
        return false;
    }
    *field = (int64_t)value;
    return true;
}

static bool read_size(struct arena *a, const struct option *o, struct str text, uint64_t *field, struct str *error)
{
    uint64_t value;

    if (!read_units(text, UNITS(size_units), 1, &value) || !within(o, (double)value)) {
        *error = needs(a, o, "a size", ", like 100, 64K, 25M or 1G");
        return false;
    }
    *field = value;
    return true;
}

static bool read_word(struct arena *a, const struct option *o, struct str text, int *field, struct str *error)
{
    size_t count = 0;
    const char *near;
    struct buf b;

    for (; o->words[count]; count++) {
        if (str_is_nocase(text, str_of(o->words[count]))) {
            *field = (int)count;
            return true;
        }
    }
    b = buf_in(a);
    buf_add(&b, STR("is not one of "));
    for (size_t i = 0; i < count; i++)
        buf_addf(&b, "%s%s", i ? ", " : "", o->words[i]);
    near = nearest(text, o->words, count);
    if (near)
        buf_addf(&b, "; did you mean \"%s\"?", near);
    *error = buf_str(&b);
    return false;
}

static bool read_set(struct arena *a, const struct option *o, struct str text, unsigned *field, struct str *error)
{
    int word;

    if (!read_word(a, o, text, &word, error))
        return false;
    *field |= 1u << word;
    return true;
}

bool option_value(struct arena *a, const struct option *o, struct str text, void *field, struct str *error)
{
    switch (o->type) {
    case OPTION_BOOL:
        return read_bool(a, text, field, error);
    case OPTION_INT:
        return read_int(a, o, text, field, error);
    case OPTION_NUMBER:
        return read_number(a, o, text, field, error);
    case OPTION_DURATION:
        return read_duration(a, o, text, field, error);
    case OPTION_SIZE:
        return read_size(a, o, text, field, error);
    case OPTION_STRING:
        *(struct str *)field = str_dup(a, text);
        return true;
    case OPTION_WORD:
        return read_word(a, o, text, field, error);
    case OPTION_WORDS:
        return read_set(a, o, text, field, error);
    default:
        return option_list_add(a, o, text, field, error);
    }
}

/* bad_value - `level = "lenent": not one of ...`; the words that say what is wrong may begin with "is". */
static void bad_value(const struct option *o, const struct conf_value *v, struct str error, struct problems *problems)
{
    struct str shown = conf_shown(problems->arena, v->text);

    if (str_starts(error, STR("is ")))
        error = str_slice(error, 3, error.n);
    problem_error(problems, v->at, "%s = \"" STR_FMT "\": " STR_FMT, o->name, STR_ARG(shown), STR_ARG(error));
}

/* right_form - an entry of the wrong kind has one error, not one for each of its values. */
static bool right_form(const struct option *o, bool is_file, const struct conf_entry *e, struct problems *problems)
{
    const char *suffix = is_file ? "_file" : "";
    bool wants_list = option_is_list(o) && !is_file;

    if (e->kind == CONF_SECTION) {
        problem_error(problems, e->at, "%s%s is an option, not a section: write %s%s = %s", o->name, suffix, o->name,
                      suffix, wants_list ? "{...}" : "VALUE");
        return false;
    }
    if (e->kind == CONF_LIST && !wants_list) {
        problem_error(problems, e->at, "%s%s needs one value, not a list", o->name, suffix);
        return false;
    }
    if (e->append && !option_is_list(o)) {
        problem_error(problems, e->at, "%s holds one value: write = instead of +=", o->name);
        return false;
    }
    return true;
}

void option_apply(struct arena *a, const struct option *o, bool is_file, const struct conf_entry *entry, void *values,
                  struct problems *problems)
{
    void *field = (char *)values + o->offset;
    struct str error = STR_NONE;
    size_t bad = 0;

    if (!right_form(o, is_file, entry, problems))
        return;
    if (is_file) {
        if (entry->values[0].text.n == 0)
            problem_error(problems, entry->values[0].at, "%s_file needs the path of a file", o->name);
        else
            option_list_file(a, o, entry->values[0].text, entry->values[0].at, field, problems);
        return;
    }
    if (option_is_list(o) && !entry->append)
        option_list_clear(o, field);
    for (size_t i = 0; i < entry->count; i++) {
        const struct conf_value *v = &entry->values[i];

        if (option_value(a, o, v->text, field, &error))
            continue;
        if (option_is_dead_list(a, o, v->text))
            problem_warning(problems, v->at, "%s: \"" STR_FMT "\" " STR_FMT, o->name, STR_ARG(v->text), STR_ARG(error));
        else if (++bad <= MOST_BAD_VALUES)
            bad_value(o, v, error, problems);
    }
    if (bad > MOST_BAD_VALUES)
        problem_error(problems, entry->at, "%s has %zu further bad values", o->name, bad - MOST_BAD_VALUES);
}

/* next_preset - take the next item off "a, b"; commas in double quotes do not part, and such quotes are not kept. */
static bool next_preset(struct str *rest, struct str *item)
{
    bool quoted = false;
    size_t i;

    *rest = str_trim(*rest);
    if (rest->n == 0)
        return false;
    for (i = 0; i < rest->n && (quoted || rest->p[i] != ','); i++)
        quoted ^= rest->p[i] == '"';
    *item = str_trim(str_slice(*rest, 0, i));
    *rest = str_slice(*rest, i + 1, rest->n);
    if (item->n >= 2 && item->p[0] == '"' && item->p[item->n - 1] == '"')
        *item = str_slice(*item, 1, item->n - 1);
    return true;
}

void option_presets(struct arena *a, const struct option *table, void *values)
{
    for (const struct option *o = table; o && o->name; o++) {
        void *field = (char *)values + o->offset;
        struct str rest = str_of(o->preset), item = rest, error = STR_NONE;
        bool fine = true;

        if (option_is_list(o)) {
            option_list_clear(o, field);
            while (fine && next_preset(&rest, &item))
                fine = option_value(a, o, item, field, &error);
        } else {
            fine = option_value(a, o, item, field, &error);
        }
        if (!fine)
            log_panic("the default of option %s: \"" STR_FMT "\" " STR_FMT, o->name, STR_ARG(item), STR_ARG(error));
    }
}

/* ---- to text ---- */

/* number_text - the shortest form that is read back as the same number. */
static void number_text(struct buf *b, double value)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_add(b, str_of(text));
}

static void set_text(struct buf *b, const struct option *o, unsigned set)
{
    const char *comma = "";

    for (unsigned i = 0; o->words[i]; i++) {
        if (set & 1u << i) {
            buf_addf(b, "%s%s", comma, o->words[i]);
            comma = ", ";
        }
    }
}

static void list_text(struct buf *b, const struct option *o, const void *field, size_t most)
{
    size_t before = b->len, count = 0;

    buf_addc(b, '{');
    if (o->type == OPTION_WORDS) {
        set_text(b, o, *(const unsigned *)field);
    } else if (!option_list_text(b, o, field, most, &count)) {
        b->len = before;
        buf_addf(b, "{ ... %zu entries ... ", count);
    }
    buf_addc(b, '}');
}

static struct str text_of(struct arena *a, const struct option *o, const void *values, size_t most)
{
    const void *field = (const char *)values + o->offset;
    struct buf b = buf_in(a);

    switch (o->type) {
    case OPTION_BOOL:
        buf_add(&b, *(const bool *)field ? STR("yes") : STR("no"));
        break;
    case OPTION_INT:
        buf_addf(&b, "%ld", *(const long *)field);
        break;
    case OPTION_NUMBER:
        number_text(&b, *(const double *)field);
        break;
    case OPTION_DURATION:
        if (*(const int64_t *)field == 0)
            buf_add(&b, STR("0s"));
        else
            in_units(&b, (uint64_t)*(const int64_t *)field, UNITS(duration_units));
        break;
    case OPTION_SIZE:
        in_units(&b, *(const uint64_t *)field, UNITS(size_units));
        break;
    case OPTION_STRING:
        if (lexer_is_word(*(const struct str *)field))
            buf_add(&b, *(const struct str *)field);
        else
            option_quote(&b, *(const struct str *)field);
        break;
    case OPTION_WORD:
        buf_add(&b, str_of(o->words[*(const int *)field]));
        break;
    default:
        list_text(&b, o, field, most);
    }
    return buf_str(&b);
}

struct str option_text(struct arena *a, const struct option *o, const void *values)
{
    return text_of(a, o, values, OPTION_SHOWN);
}

bool option_same(struct arena *a, const struct option *o, const void *x, const void *y)
{
    return str_is(text_of(a, o, x, SIZE_MAX), text_of(a, o, y, SIZE_MAX));
}
