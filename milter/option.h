/* option.h - one row per option: the parser, the defaults, `config check`, --help, the man page, the sample file and
 * `config show` all come from it.
 *
 * A row is name, type, field, default, range and one line of documentation. It does not compile when the field's C type
 * is not the one that the option's type stands for. Every list option NAME also has NAME_file: a path, one entry a
 * line, added to what NAME says.
 */
#ifndef OPTION_H
#define OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"
#include "config_tree.h"
#include "dns/zone.h"
#include "mail/pattern.h"

struct str_list {
    struct str *items;
    size_t count;
};

enum option_type {
    OPTION_BOOL,     /* bool: yes or no (also on, off, true, false, enabled, disabled, 1, 0) */
    OPTION_INT,      /* long */
    OPTION_NUMBER,   /* double */
    OPTION_DURATION, /* int64_t milliseconds: 500ms 5s 10m 2h 1d; a bare number is seconds */
    OPTION_SIZE,     /* uint64_t bytes: 100 64K 25M 1G, of 1024 */
    OPTION_STRING,   /* struct str */
    OPTION_WORD,     /* int: index into words */
    OPTION_WORDS,    /* unsigned: a set, bit i for words[i] */
    OPTION_STRINGS,  /* struct str_list */
    OPTION_NUMBERS,  /* struct str_list, each a number within the range */
    OPTION_CIDRS,    /* struct cidr_list */
    OPTION_ADDRESSES, /* struct pattern_list over addresses */
    OPTION_MAILBOXES, /* the same, where a bare local part is an entry too */
    OPTION_HOSTS,    /* struct pattern_list over host names */
    OPTION_PAIRS,    /* struct pattern_pairs: "from to" */
    OPTION_CLIENT_ZONES, /* struct zone_list: DNS lists of client addresses */
    OPTION_NAME_ZONES,   /* struct zone_list: DNS lists of names */
};

struct option {
    const char *name;
    enum option_type type;
    size_t offset;            /* of the field in the options' struct */
    const char *preset;       /* the default, as it would be written; a list without its braces: "a, b" */
    const char *const *words; /* OPTION_WORD and _WORDS: NULL-terminated */
    double min, max;          /* numbers, durations (ms), sizes (bytes); both 0: no limits but the type's */
    const char *doc;          /* one line, no full stop */
};

#define OPTION_OFFSET(s, field, ctype)                                                                                \
    (offsetof(s, field) + 0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((s *)0)->field), ctype) ? 1 : -1]))

#define OPT_BOOL(s, f, preset, doc) {#f, OPTION_BOOL, OPTION_OFFSET(s, f, bool), preset, NULL, 0, 0, doc}
#define OPT_INT(s, f, preset, min, max, doc) {#f, OPTION_INT, OPTION_OFFSET(s, f, long), preset, NULL, min, max, doc}
#define OPT_NUMBER(s, f, preset, min, max, doc)                                                                       \
    {#f, OPTION_NUMBER, OPTION_OFFSET(s, f, double), preset, NULL, min, max, doc}
#define OPT_DURATION(s, f, preset, min, max, doc)                                                                     \
    {#f, OPTION_DURATION, OPTION_OFFSET(s, f, int64_t), preset, NULL, min, max, doc}
#define OPT_SIZE(s, f, preset, min, max, doc)                                                                         \
    {#f, OPTION_SIZE, OPTION_OFFSET(s, f, uint64_t), preset, NULL, min, max, doc}
#define OPT_STRING(s, f, preset, doc) {#f, OPTION_STRING, OPTION_OFFSET(s, f, struct str), preset, NULL, 0, 0, doc}
#define OPT_WORD(s, f, preset, words, doc) {#f, OPTION_WORD, OPTION_OFFSET(s, f, int), preset, words, 0, 0, doc}
#define OPT_WORDS(s, f, preset, words, doc) {#f, OPTION_WORDS, OPTION_OFFSET(s, f, unsigned), preset, words, 0, 0, doc}
#define OPT_STRINGS(s, f, preset, doc)                                                                                \
    {#f, OPTION_STRINGS, OPTION_OFFSET(s, f, struct str_list), preset, NULL, 0, 0, doc}
#define OPT_NUMBERS(s, f, preset, min, max, doc)                                                                      \
    {#f, OPTION_NUMBERS, OPTION_OFFSET(s, f, struct str_list), preset, NULL, min, max, doc}
#define OPT_CIDRS(s, f, preset, doc) {#f, OPTION_CIDRS, OPTION_OFFSET(s, f, struct cidr_list), preset, NULL, 0, 0, doc}
#define OPT_ADDRESSES(s, f, preset, doc)                                                                              \
    {#f, OPTION_ADDRESSES, OPTION_OFFSET(s, f, struct pattern_list), preset, NULL, 0, 0, doc}
#define OPT_MAILBOXES(s, f, preset, doc)                                                                              \
    {#f, OPTION_MAILBOXES, OPTION_OFFSET(s, f, struct pattern_list), preset, NULL, 0, 0, doc}
#define OPT_HOSTS(s, f, preset, doc)                                                                                  \
    {#f, OPTION_HOSTS, OPTION_OFFSET(s, f, struct pattern_list), preset, NULL, 0, 0, doc}
#define OPT_PAIRS(s, f, preset, doc)                                                                                  \
    {#f, OPTION_PAIRS, OPTION_OFFSET(s, f, struct pattern_pairs), preset, NULL, 0, 0, doc}
#define OPT_CLIENT_ZONES(s, f, preset, doc)                                                                           \
    {#f, OPTION_CLIENT_ZONES, OPTION_OFFSET(s, f, struct zone_list), preset, NULL, 0, 0, doc}
#define OPT_NAME_ZONES(s, f, preset, doc)                                                                             \
    {#f, OPTION_NAME_ZONES, OPTION_OFFSET(s, f, struct zone_list), preset, NULL, 0, 0, doc}
#define OPTION_END {NULL, 0, 0, NULL, NULL, 0, 0, NULL}

size_t option_count(const struct option *table);
bool option_is_list(const struct option *o);
bool option_takes_file(const struct option *o); /* whether NAME_file is worth naming: not for sets of a few words */
const char *option_type_name(const struct option *o); /* "yes or no", "duration", "list of networks", ... */

/* option_find - the row called name (or NAME_file of a list: *is_file is then set); NULL when there is none. */
const struct option *option_find(const struct option *table, struct str name, bool *is_file);

/* option_apply - read the entry into the field of `values`. A list replaces what stood there unless the entry says +=;
 * NAME_file adds the file's entries (a relative path is relative to the configuration file that names it). What is
 * wrong goes to problems: a bad inline value is an error, a bad line of a list file a warning and skipped. Lists grow
 * in place, so two copies of one struct must not both be appended to; and since NAME = forgets what NAME_file added,
 * apply the _file entries of a section behind its others. A list file may have 1 000 000 entries and 256 MiB. */
void option_apply(struct arena *a, const struct option *o, bool is_file, const struct conf_entry *entry, void *values,
                  struct problems *problems);

/* option_presets - fill all fields from the defaults of the table. A preset that does not parse is a bug: panic. */
void option_presets(struct arena *a, const struct option *table, void *values);

/* option_text - the value of a field as it could be written in the file (lists with their braces; of a pattern or
 * network list what was written, of a longer one than 20 entries the number). */
struct str option_text(struct arena *a, const struct option *o, const void *values);

/* option_same - whether the field is the same in both, the whole of a list compared; `a` is for scratch. */
bool option_same(struct arena *a, const struct option *o, const void *x, const void *y);

#endif
