/* config_tree.c - configuration files: reading, include(), and what is there twice. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_parse.h"
#include "config_tree.h"

#define MOST_INCLUDES 16 /* deep */
#define MOST_BYTES ((size_t)64 << 20)
#define SHOWN 60
#define MOST_DUPLICATES 100

struct str conf_shown(struct arena *a, struct str text)
{
    if (text.n <= SHOWN)
        return text;
    return arena_printf(a, STR_FMT "...", STR_ARG(str_slice(text, 0, SHOWN)));
}

struct str conf_path_beside(struct arena *a, struct str beside, struct str path)
{
    size_t slash = str_rfind(beside, '/');

    if (slash == beside.n || str_starts(path, STR("/")))
        return str_dup(a, path);
    return arena_printf(a, STR_FMT STR_FMT, STR_ARG(str_slice(beside, 0, slash + 1)), STR_ARG(path));
}

/* read_all - NULL, or why not; "" when there are more bytes than that. The size that fstat tells is a hint. */
static const char *read_all(struct arena *a, int fd, off_t hint, size_t most, struct str *text)
{
    size_t room = hint < 4096 ? 4096 : (size_t)hint + 1, n = 0;
    char *data;

    if (hint > (off_t)most)
        return "";
    data = arena_alloc(a, room);
    for (;;) {
        ssize_t got = read(fd, data + n, room - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return strerror(errno);
        if (got == 0)
            break;
        n += (size_t)got;
        if (n > most)
            return "";
        if (n == room) {
            char *more = arena_alloc(a, room * 2);

            memcpy(more, data, n);
            data = more;
            room *= 2;
        }
    }
    *text = (struct str){data, n};
    return NULL;
}

bool conf_read_file(struct arena *a, struct str path, size_t most, struct str *text, struct str *error)
{
    const char *why = NULL;
    struct stat st;
    int fd;

    *text = STR_NONE;
    /* A FIFO would keep the daemon waiting for its writer: it is opened without waiting, and refused. */
    fd = open(str_c(a, path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        *error = arena_printf(a, "cannot be read: %s", strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        *error = STR("is a directory, not a file");
    } else if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
        *error = STR("is not a regular file");
    } else {
        why = read_all(a, fd, st.st_size, most, text);
        if (why)
            *error = *why ? arena_printf(a, "cannot be read: %s", why)
                          : arena_printf(a, "is larger than %zu MiB", most >> 20);
        close(fd);
        return !why;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

/* include_error - unlike lexer_error() not one for each line: one pattern may name several bad files. */
static void __attribute__((format(printf, 3, 4)))
include_error(struct parser *p, unsigned line, const char *format, ...)
{
    struct buf b = buf_in(p->lex.problems->arena);
    struct place at = {p->lex.file, line};
    struct str text;
    va_list ap;

    if (p->lex.budget->spent)
        return;
    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    text = buf_str(&b);
    problem_error(p->lex.problems, at, STR_FMT, STR_ARG(text));
}

/* say_cycle - "a.conf -> b.conf -> a.conf", from the file that is met again. */
static void say_cycle(struct parser *p, unsigned line, struct parser *again, struct str path)
{
    struct parser *stack[MOST_INCLUDES + 1];
    struct buf b = buf_in(p->lex.problems->arena);
    struct str chain;
    size_t n = 0;

    for (struct parser *q = p; q; q = q->includer) {
        stack[n++] = q;
        if (q == again)
            break;
    }
    while (n--)
        buf_addf(&b, STR_FMT " -> ", STR_ARG(stack[n]->lex.file));
    buf_add(&b, path);
    chain = buf_str(&b);
    include_error(p, line, "include goes in a circle: " STR_FMT, STR_ARG(chain));
}

/* parse_file - one file, included by `includer` at `line` or asked for (NULL). */
static void parse_file(struct parser *p, struct parser *includer, unsigned line, struct chain *chain, unsigned nest)
{
    struct str text, error, path = p->lex.file;
    struct stat st;

    if (stat(str_c(p->lex.arena, path), &st) == 0) {
        p->dev = st.st_dev;
        p->ino = st.st_ino;
        for (struct parser *q = includer; q; q = q->includer) {
            if (q->dev == st.st_dev && q->ino == st.st_ino) {
                say_cycle(includer, line, q, path);
                return;
            }
        }
    }
    if (!conf_read_file(p->lex.arena, path, MOST_BYTES, &text, &error)) {
        if (includer)
            include_error(includer, line, "include: " STR_FMT " " STR_FMT, STR_ARG(path), STR_ARG(error));
        else
            problem_error(p->lex.problems, (struct place){path, 0}, STR_FMT, STR_ARG(error));
        return;
    }
    parser_run(p, text, chain, nest);
}

static void include_file(struct parser *p, unsigned line, struct str path, struct chain *chain, unsigned nest)
{
    struct parser inner = {.includer = p, .depth = p->depth + 1};

    /* Counted as an entry: files that each include the next one twice need not go in a circle to be endless. */
    if (!parser_count_entry(p, line))
        return;
    if (inner.depth > MOST_INCLUDES) {
        include_error(p, line, "includes nest deeper than %d files", MOST_INCLUDES);
        return;
    }
    inner.lex.arena = p->lex.arena;
    inner.lex.problems = p->lex.problems;
    inner.lex.budget = p->lex.budget;
    inner.lex.file = path;
    parse_file(&inner, p, line, chain, nest);
}

/* search_trouble - glob() met a directory that it cannot read. One that is not there holds nothing, which is fine. */
static int search_trouble(const char *path, int why)
{
    (void)path;
    return why != ENOENT && why != ENOTDIR;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* pattern_beside - conf_path_beside() for a pattern: the including file's own directory is no pattern. */
static struct str pattern_beside(struct arena *a, struct str beside, struct str pattern)
{
    struct str directory = str_slice(beside, 0, str_rfind(beside, '/') + 1);
    struct buf b = buf_in(a);

    if (directory.n <= beside.n && str_find(beside, '/') < beside.n && !str_starts(pattern, STR("/"))) {
        for (size_t i = 0; i < directory.n; i++) {
            if (memchr("*?[]\\", directory.p[i], 5))
                buf_addc(&b, '\\');
            buf_addc(&b, directory.p[i]);
        }
    }
    buf_add(&b, pattern);
    return buf_str(&b);
}

static void include_pattern(struct parser *p, unsigned line, struct str pattern, struct chain *chain, unsigned nest)
{
    glob_t found = {0};
    int result = glob(pattern.p, GLOB_NOSORT, search_trouble, &found);

    if (result == GLOB_ABORTED)
        include_error(p, line, "include: the directory of " STR_FMT " cannot be read: %s", STR_ARG(pattern),
                      strerror(errno));
    else if (result == GLOB_NOSPACE)
        include_error(p, line, "include: too many files for " STR_FMT, STR_ARG(pattern));
    /* glob() would sort as the locale says; the order of the files must not depend on who starts the daemon. */
    if (result == 0)
        qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
        include_file(p, line, str_dup(p->lex.arena, str_of(found.gl_pathv[i])), chain, nest);
    globfree(&found);
}

void parser_include(struct parser *p, const struct token *path, struct chain *chain, unsigned nest)
{
    struct arena *a = p->lex.arena;
    bool is_pattern = false;

    for (size_t i = 0; i < path->text.n; i++)
        is_pattern = is_pattern || memchr("*?[", path->text.p[i], 3);
    if (p->in_memory)
        include_error(p, path->line, "include() is possible in a file only");
    else if (path->text.n == 0)
        include_error(p, path->line, "include needs the name of a file");
    else if (is_pattern)
        include_pattern(p, path->line, pattern_beside(a, p->lex.file, path->text), chain, nest);
    else
        include_file(p, path->line, conf_path_beside(a, p->lex.file, path->text), chain, nest);
}

/* same_twice - two entries of one section that cannot both be meant: = after =, or sections of one name and title in
 * one file. Another file may open a section again: files of conf.d set what the main file does not. */
static bool same_twice(const struct conf_entry *a, const struct conf_entry *b)
{
    return (a->kind == CONF_SECTION) == (b->kind == CONF_SECTION) && str_is(a->name, b->name) &&
           str_is(a->title, b->title) && (a->kind != CONF_SECTION || str_is(a->at.file, b->at.file));
}

static size_t entry_hash(const struct conf_entry *e)
{
    size_t h = e->kind == CONF_SECTION;

    for (size_t i = 0; i < e->name.n; i++)
        h = h * 31 + (unsigned char)e->name.p[i];
    for (size_t i = 0; i < e->title.n; i++)
        h = h * 37 + (unsigned char)e->title.p[i];
    return h ^ h >> 15;
}

static void say_duplicate(struct problems *problems, const struct conf_entry *e, const struct conf_entry *first)
{
    struct arena *a = problems->arena;
    struct str name = conf_shown(a, e->title.n ? e->title : e->name), where;
    bool section = e->kind == CONF_SECTION;

    if (!str_is(e->at.file, first->at.file))
        where = arena_printf(a, STR_FMT ":%u", STR_ARG(first->at.file), first->at.line);
    else
        where = arena_printf(a, "line %u", first->at.line);
    if (!section && first->append)
        problem_warning(problems, e->at, "\"" STR_FMT "\" is set with = here, which forgets the += of " STR_FMT,
                        STR_ARG(name), STR_ARG(where));
    else if (str_is(e->at.file, first->at.file) && e->at.line == first->at.line && e->at.file.p != first->at.file.p)
        problem_error(problems, e->at, "%s\"" STR_FMT "\" is here twice: this file is included twice",
                      section ? "section " : "", STR_ARG(name));
    else
        problem_error(problems, e->at, "%s\"" STR_FMT "\" is already %s at " STR_FMT, section ? "section " : "",
                      STR_ARG(name), section ? "opened" : "set", STR_ARG(where));
}

/* join_sections - a section that another file opens again becomes one with the first, here and in all sections. What
 * cannot be meant has been said by then, except for options that only now are in one section. */
static void join_sections(struct arena *scratch, struct conf_entry *entries)
{
    struct joined {
        struct conf_entry *section, **tail;
    } *table;
    size_t room = 8, count = 0;

    for (const struct conf_entry *e = entries; e; e = e->next)
        count++;
    while (room < count * 2)
        room *= 2;
    table = arena_zalloc(scratch, room * sizeof *table);
    for (struct conf_entry *e = entries, *before = NULL; e; e = e->next) {
        size_t i = entry_hash(e) & (room - 1);
        struct conf_entry *first;

        while (e->kind == CONF_SECTION && (first = table[i].section) &&
               (!str_is(first->name, e->name) || !str_is(first->title, e->title)))
            i = (i + 1) & (room - 1);
        if (e->kind != CONF_SECTION || !table[i].section) {
            before = e;
            if (e->kind != CONF_SECTION)
                continue;
            table[i] = (struct joined){e, &e->children};
        } else if (str_is(table[i].section->at.file, e->at.file)) {
            before = e; /* twice in one file: that is an error, and its options are none of the first one's */
            continue;
        } else {
            *table[i].tail = e->children;
            before->next = e->next; /* the first entry is never joined, so there is one before */
        }
        while (*table[i].tail)
            table[i].tail = &(*table[i].tail)->next;
    }
    for (struct conf_entry *e = entries; e; e = e->next)
        if (e->kind == CONF_SECTION)
            join_sections(scratch, e->children);
}

/* find_duplicates - of sections, before they are joined, or of options, behind that. */
static void find_duplicates(struct arena *scratch, const struct conf_entry *entries, bool sections,
                            struct problems *problems, unsigned *said)
{
    const struct conf_entry **table;
    size_t room = 8, count = 0;

    for (const struct conf_entry *e = entries; e; e = e->next)
        count++;
    while (room < count * 2)
        room *= 2;
    table = arena_array(scratch, room, sizeof *table);
    for (const struct conf_entry *e = entries; e && *said < MOST_DUPLICATES; e = e->next) {
        size_t i = entry_hash(e) & (room - 1);

        if (e->kind == CONF_SECTION)
            find_duplicates(scratch, e->children, sections, problems, said);
        if ((e->kind == CONF_SECTION) != sections)
            continue;
        while (table[i] && !same_twice(table[i], e))
            i = (i + 1) & (room - 1);
        if (table[i] && !e->append) {
            say_duplicate(problems, e, table[i]);
            ++*said;
        }
        if (!table[i] || (table[i]->append && !e->append))
            table[i] = e;
    }
}

static struct conf_entry *parse_all(struct arena *a, struct str name, const struct str *text, struct problems *problems)
{
    struct lex_budget budget = {0};
    struct parser p = {.in_memory = text != NULL};
    struct chain chain = {NULL, &chain.head};
    struct arena *scratch = arena_new(0);
    unsigned said = 0;

    p.lex.arena = a;
    p.lex.problems = problems;
    p.lex.budget = &budget;
    p.lex.file = str_dup(a, name);
    if (text)
        parser_run(&p, str_dup(a, *text), &chain, 0);
    else
        parse_file(&p, NULL, 0, &chain, 0);
    find_duplicates(scratch, chain.head, true, problems, &said);
    join_sections(scratch, chain.head);
    find_duplicates(scratch, chain.head, false, problems, &said);
    arena_free(&scratch);
    return chain.head;
}

struct conf_entry *conf_parse_file(struct arena *a, struct str path, struct problems *problems)
{
    return parse_all(a, path, NULL, problems);
}

struct conf_entry *conf_parse_text(struct arena *a, struct str name, struct str text, struct problems *problems)
{
    return parse_all(a, name, &text, problems);
}
