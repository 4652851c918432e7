/* config_tree.h - a configuration file as it was written: sections, entries, values, each with its file and line.
 *
 * The language is libConfuse's: `key = value`, `key = {a, b}`, `key += {c}`, `section "title" { ... }`,
 * include("conf.d/NAME.conf") with * and ? for parts of names, comments with #, // and C's, strings in "double" quotes
 * (with \n \t \\ \" \xHH) or 'single' quotes (as they are), bare words. There is no ${ENVIRONMENT}. What the words
 * mean is not known here; config.c knows.
 *
 * Why not libConfuse itself: it stops at the first error, takes a missing closing brace in silence, lets a repeated key
 * win, and keeps no line numbers for values; an administrator is to hear everything at once, with the line.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct conf_value {
    struct str text;
    struct place at;
};

enum conf_kind { CONF_SCALAR, CONF_LIST, CONF_SECTION };

struct conf_entry {
    struct conf_entry *next; /* in the order of the file */
    enum conf_kind kind;
    struct str name;
    struct place at;
    bool append;                 /* += */
    struct conf_value *values;   /* one for a scalar */
    size_t count;
    struct str title;            /* of a section; empty when it has none */
    struct conf_entry *children; /* of a section */
};

/* Caps: an include depth of 16, sections 16 deep, 100 000 entries, 1 000 000 values, 64 MiB a file, 100 syntax errors;
 * beyond them is an error that says so. */

/* conf_parse_file - the top-level entries of a file and all it includes. Every syntax error, unreadable or cyclic
 * include is added to problems (in the order of finding: see problems_sort()), and parsing goes on after it. A relative
 * include is relative to the file that names it; a pattern that matches nothing is fine, a plain name that is missing
 * is not. A section that another file opens again (the same name and title) is one with the first; what is set twice
 * with =, or opened twice in one file, is a problem. */
struct conf_entry *conf_parse_file(struct arena *a, struct str path, struct problems *problems);

/* conf_parse_text - the same for text in memory, called `name` in errors. Without include(). */
struct conf_entry *conf_parse_text(struct arena *a, struct str name, struct str text, struct problems *problems);

/* conf_read_file - the whole of a regular file of at most `most` bytes; false with *error ("cannot be read: ..."). */
bool conf_read_file(struct arena *a, struct str path, size_t most, struct str *text, struct str *error);

/* conf_path_beside - a path that the file at `beside` names: relative to that file's directory. NUL-terminated. */
struct str conf_path_beside(struct arena *a, struct str beside, struct str path);

/* conf_shown - text as a complaint quotes it: not more than its beginning. */
struct str conf_shown(struct arena *a, struct str text);

#endif
