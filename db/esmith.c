/* esmith.c - reading an e-smith database. */
#include <stdlib.h>

#include "esmith.h"

#define LINE_MOST 65536
#define RECORDS_MOST 1000000
#define PROPS_MOST 500
#define KEY_MOST 512
#define TOLD_MOST 100

struct reading {
    struct arena *a;
    struct esmith *db;
    struct problems *problems;
    unsigned line;
    size_t told;
    bool cut; /* the line that is read has no end */
};

#define SAY(r, line, ...)                                                                                             \
    do {                                                                                                              \
        if (++(r)->told <= TOLD_MOST)                                                                                 \
            problem_warning((r)->problems, (struct place){(r)->db->file, line}, __VA_ARGS__);                         \
    } while (0)

/* shown - a key as a complaint names it; problem_text() escapes it. */
static struct str shown(struct str key)
{
    return str_slice(key, 0, 64);
}

/* next_field - up to the next bar without a backslash before it; false at the end. */
static bool next_field(struct str *rest, struct str *field)
{
    size_t i;

    if (!rest->p)
        return false;
    for (i = 0; i < rest->n; i++)
        if (rest->p[i] == '|' && (i == 0 || rest->p[i - 1] != '\\'))
            break;
    *field = str_slice(*rest, 0, i);
    *rest = i < rest->n ? (struct str){rest->p + i + 1, rest->n - i - 1} : STR_NONE;
    return true;
}

/* unescaped - \| and \n; any other backslash is one. */
static struct str unescaped(struct arena *a, struct str s)
{
    struct buf b;

    if (str_find(s, '\\') == s.n)
        return s;
    b = buf_in(a);
    for (size_t i = 0; i < s.n; i++) {
        char next = i + 1 < s.n ? s.p[i + 1] : '\0';

        if (s.p[i] == '\\' && (next == '|' || next == 'n')) {
            buf_addc(&b, next == 'n' ? '\n' : '|');
            i++;
        } else {
            buf_addc(&b, s.p[i]);
        }
    }
    return buf_str(&b);
}

static int compare_props(const void *x, const void *y)
{
    const struct esmith_prop *a = x, *b = y;
    int order = str_compare(a->name, b->name);

    /* The line's bytes follow each other: what stands behind comes behind. */
    return order ? order : (a->name.p > b->name.p) - (a->name.p < b->name.p);
}

/* keep_last - sort, and of properties with one name keep the last, whose value e-smith would give. */
static void keep_last(struct reading *r, struct esmith_record *record)
{
    size_t kept = 0;

    if (record->count < 2)
        return;
    qsort(record->props, record->count, sizeof *record->props, compare_props);
    for (size_t i = 0; i < record->count; i++) {
        if (i + 1 < record->count && str_is(record->props[i].name, record->props[i + 1].name)) {
            SAY(r, record->line, STR_FMT ": the property " STR_FMT " stands twice; the last one counts",
                STR_ARG(shown(record->key)), STR_ARG(shown(record->props[i].name)));
            continue;
        }
        record->props[kept++] = record->props[i];
    }
    record->count = kept;
}

static bool has_control_bytes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return true;
    return false;
}

static void read_props(struct reading *r, struct esmith_record *record, struct str rest)
{
    struct str name, value;

    while (next_field(&rest, &name)) {
        bool has_value = next_field(&rest, &value), last = !rest.p;

        if (!has_value && name.n == 0)
            break; /* a bar at the end */
        if (!has_value || (last && r->cut)) {
            SAY(r, record->line, STR_FMT ": cut off at the property " STR_FMT ", which is left out",
                STR_ARG(shown(record->key)), STR_ARG(shown(name)));
            break;
        }
        if (name.n == 0) {
            SAY(r, record->line, STR_FMT ": a property without a name is left out", STR_ARG(shown(record->key)));
            continue;
        }
        if (has_control_bytes(name) || has_control_bytes(value)) {
            SAY(r, record->line, STR_FMT ": the property " STR_FMT " has binary bytes and is left out",
                STR_ARG(shown(record->key)), STR_ARG(shown(name)));
            continue;
        }
        if (record->count == PROPS_MOST) {
            SAY(r, record->line, STR_FMT ": more than %d properties; the others are left out",
                STR_ARG(shown(record->key)), PROPS_MOST);
            break;
        }
        record->props = arena_grow(r->a, record->props, record->count, sizeof *record->props);
        record->props[record->count++] = (struct esmith_prop){name, unescaped(r->a, value)};
    }
    keep_last(r, record);
}

/* fault - why a line is no record; NULL when it may be one. */
static const char *fault(struct reading *r, struct str line, size_t equals)
{
    if (line.n > LINE_MOST)
        return "the line is longer than 64 KiB";
    if (has_control_bytes(str_slice(line, 0, str_find(line, '|'))))
        return "it has binary bytes";
    if (equals == line.n)
        return r->cut ? "it is cut off" : "there is no = in it";
    if (str_trim(str_slice(line, 0, equals)).n == 0)
        return "it has no key";
    if (equals > KEY_MOST)
        return "its key is longer than 512 bytes";
    if (r->cut && str_find(line, '|') == line.n)
        return "it is cut off";
    return r->db->count == RECORDS_MOST ? "the file has more than 1000000 records" : NULL;
}

static void read_line(struct reading *r, struct str line)
{
    size_t equals = str_find(line, '=');
    struct esmith_record record = {.line = r->line};
    const char *why = fault(r, line, equals);
    struct str rest = str_slice(line, equals + 1, line.n);

    record.key = str_trim(str_slice(line, 0, equals));
    if (why) {
        SAY(r, r->line, "\"" STR_FMT "\": %s; the record is left out", STR_ARG(shown(record.key)), why);
        r->db->bad++;
        return;
    }
    if (!rest.p)
        rest = STR("");
    next_field(&rest, &record.type);
    record.type = str_trim(unescaped(r->a, record.type));
    read_props(r, &record, rest);
    r->db->records = arena_grow(r->a, r->db->records, r->db->count, sizeof record);
    r->db->records[r->db->count++] = record;
}

static int compare_records(const void *x, const void *y)
{
    const struct esmith_record *a = x, *b = y;
    int order = str_compare(a->key, b->key);

    return order ? order : (a->line > b->line) - (a->line < b->line);
}

static void sort_records(struct reading *r)
{
    struct esmith *db = r->db;
    size_t kept = 0;

    if (db->count < 2)
        return;
    qsort(db->records, db->count, sizeof *db->records, compare_records);
    for (size_t i = 0; i < db->count; i++) {
        if (i + 1 < db->count && str_is(db->records[i].key, db->records[i + 1].key)) {
            SAY(r, db->records[i].line, STR_FMT ": the key stands again on line %u, which counts",
                STR_ARG(shown(db->records[i].key)), db->records[i + 1].line);
            continue;
        }
        db->records[kept++] = db->records[i];
    }
    db->count = kept;
}

void esmith_parse(struct arena *a, struct str file, struct str text, struct esmith *db, struct problems *problems)
{
    struct reading r = {.a = a, .db = db, .problems = problems};

    *db = (struct esmith){.file = file};
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_slice(text, 3, text.n);
    while (text.n) {
        size_t end = str_find(text, '\n');
        struct str line = str_slice(text, 0, end), plain;

        r.cut = end == text.n;
        text = str_slice(text, end + 1, text.n);
        r.line++;
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        plain = str_trim(line);
        if (plain.n && plain.p[0] != '#')
            read_line(&r, line);
    }
    sort_records(&r);
    if (r.told > TOLD_MOST)
        problem_warning(problems, (struct place){file, 0}, "%zu further problems are not named", r.told - TOLD_MOST);
}

const struct esmith_record *esmith_find(const struct esmith *db, struct str key)
{
    size_t low = 0, high = db->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(db->records[middle].key, key);

        if (order == 0)
            return &db->records[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool esmith_prop(const struct esmith_record *record, struct str name, struct str *value)
{
    for (size_t i = 0; record && i < record->count; i++) {
        if (str_is(record->props[i].name, name)) {
            *value = record->props[i].value;
            return true;
        }
    }
    return false;
}
