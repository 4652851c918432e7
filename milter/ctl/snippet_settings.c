/* snippet_settings.c - reading --settings: Postfix's notation of logical lines, with the comment above each. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "snippet_settings.h"

enum { FILE_MOST = 8 << 20, PARAMETERS_MOST = 1000, SERVICES_MOST = 100, OPTIONS_MOST = 100,
       VALUE_MOST = POSTFIX_ARGUMENT_MOST - 1024, ENTRY_MOST = 32 << 10 };

struct reader {
    struct arena *arena;
    struct problems *problems;
    struct str rest;     /* of the file */
    struct place next;   /* the line that rest begins with */
    struct place at;     /* of the logical line */
    struct buf text, why;
};

/* read_file - all of it; false, with errno, when it cannot be read. */
static bool read_file(struct arena *a, const char *path, struct str *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct buf b = buf_in(a);
    char chunk[16384];
    struct stat st;
    ssize_t n = 0;

    if (fd < 0)
        return false;
    errno = EINVAL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return false;
    }
    while (b.len <= FILE_MOST && ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0)
            buf_add(&b, (struct str){chunk, (size_t)n});
    if (b.len > FILE_MOST) {
        errno = EFBIG;
        n = -1;
    }
    close(fd);
    *text = buf_str(&b);
    return n >= 0;
}

static void add_comment(struct reader *r, struct str line)
{
    while (line.n && line.p[0] == '#')
        line = str_slice(line, 1, line.n);
    line = str_trim(line);
    if (r->why.len && line.n)
        buf_addc(&r->why, ' ');
    buf_add_escaped(&r->why, line, "");
}

/* next_line - the next logical line, in r->text: what begins with a blank goes on with the one before, whatever
 * comments stand between. r->why is the comment directly above. False at the end. */
static bool next_line(struct reader *r)
{
    struct str behind = STR_NONE, line; /* behind the text so far: comments of this line, or of the next */
    unsigned behind_line = 0;

    r->text = buf_in(r->arena);
    while (r->rest.n) {
        struct str before = r->rest, text;
        bool goes_on;

        str_split(&r->rest, '\n', &line);
        text = str_trim(line);
        goes_on = line.n && (line.p[0] == ' ' || line.p[0] == '\t');
        if (r->text.len && !behind.p) {
            behind = before;
            behind_line = r->next.line;
        }
        r->next.line++;
        if (text.n == 0 || text.p[0] == '#') {
            if (r->text.len)
                continue;
            if (text.n)
                add_comment(r, text);
            else
                r->why = buf_in(r->arena);
            continue;
        }
        if (r->text.len && !goes_on) {
            r->rest = behind;
            r->next.line = behind_line;
            return true;
        }
        if (r->text.len)
            buf_addc(&r->text, ' ');
        else
            r->at = r->next;
        buf_add(&r->text, text);
        behind = STR_NONE;
    }
    return r->text.len > 0;
}

/* is_plain - what a program can be given as an argument and a person be shown. */
static bool is_plain(struct reader *r, struct str value, size_t most, const char *what)
{
    if (!shell_quotable(value))
        problem_error(r->problems, r->at, "%s has bytes that are not printable ASCII", what);
    else if (value.n > most)
        problem_error(r->problems, r->at, "%s is longer than postconf can be given: put it in a file of its own", what);
    else
        return true;
    return false;
}

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!((name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= 'A' && name.p[i] <= 'Z') ||
              (name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '_'))
            return false;
    return name.n > 0;
}

/* split_setting - "name = value"; false, and said, when it is not that. */
static bool split_setting(struct reader *r, struct str text, struct setting *s)
{
    size_t at = str_find(text, '=');

    *s = (struct setting){.name = str_trim(str_slice(text, 0, at)), .at = r->at};
    if (at == text.n || !is_name(s->name)) {
        problem_error(r->problems, r->at, "\"" STR_FMT "\" is not name = value", STR_ARG(str_slice(text, 0, 60)));
        return false;
    }
    s->value = str_dup(r->arena, str_trim(str_slice(text, at + 1, text.n)));
    s->name = str_dup(r->arena, s->name);
    return is_plain(r, s->value, VALUE_MOST, s->name.p);
}

static void read_main(struct reader *r, struct snippet_settings *s)
{
    struct str why = STR_NONE;

    for (r->why = buf_in(r->arena); next_line(r); ) {
        struct setting p;
        const struct setting *before;

        if (r->why.len) { /* without a comment of its own it shares the one above it */
            why = str_dup(r->arena, buf_str(&r->why));
            r->why = buf_in(r->arena);
        }
        if (!split_setting(r, buf_str(&r->text), &p))
            continue;
        before = setting_of(s, p.name);
        if (before)
            problem_error(r->problems, r->at, STR_FMT " is set already in line %u", STR_ARG(p.name), before->at.line);
        else if (s->count == PARAMETERS_MOST)
            problem_error(r->problems, r->at, "more than %d parameters", PARAMETERS_MOST);
        if (before || s->count == PARAMETERS_MOST)
            continue;
        p.why = why;
        s->parameters = arena_grow(r->arena, s->parameters, s->count, sizeof *s->parameters);
        s->parameters[s->count++] = p;
    }
}

/* add_option - of -o; a later one of the same name counts, as Postfix has it. */
static void add_option(struct reader *r, struct setting_service *e, struct str text)
{
    struct setting o;

    if (text.n >= 2 && text.p[0] == '{')
        text = str_slice(text, 1, text.n - 1);
    if (e->count == OPTIONS_MOST) {
        problem_error(r->problems, r->at, "more than %d options", OPTIONS_MOST);
        return;
    }
    if (!split_setting(r, text, &o))
        return;
    for (size_t i = 0; i < e->count; i++)
        if (str_is(e->options[i].name, o.name)) {
            e->options[i] = o;
            return;
        }
    e->options = arena_grow(r->arena, e->options, e->count, sizeof *e->options);
    e->options[e->count++] = o;
}

/* take_word - of an entry: blanks are between words, and not commas; {...} is one word. */
static bool take_word(struct str *rest, struct str *word)
{
    size_t to = 0;
    int depth = 0;

    *rest = str_trim(*rest);
    while (to < rest->n && (depth > 0 || (rest->p[to] != ' ' && rest->p[to] != '\t'))) {
        depth += (rest->p[to] == '{') - (rest->p[to] == '}');
        to++;
    }
    *word = str_slice(*rest, 0, to);
    *rest = str_slice(*rest, to, rest->n);
    return word->n > 0;
}

/* read_entry - "smtp inet n - n - 40 smtpd -o name=value -o { name = value }". */
static bool read_entry(struct reader *r, struct setting_service *e)
{
    struct str rest = buf_str(&r->text), name, type, word;
    struct buf more = buf_in(r->arena);

    *e = (struct setting_service){.at = r->at};
    if (!is_plain(r, rest, ENTRY_MOST, "the entry"))
        return false;
    if (!str_token(&rest, &name) || !str_token(&rest, &type)) {
        problem_error(r->problems, r->at, "an entry has eight fields: service type private unpriv chroot wakeup "
                      "maxproc command");
        return false;
    }
    e->id = arena_printf(r->arena, STR_FMT "/" STR_FMT, STR_ARG(name), STR_ARG(type));
    for (int i = 0; i < 6; i++) {
        if (!str_token(&rest, &word)) {
            problem_error(r->problems, r->at, STR_FMT ": an entry has eight fields: service type private unpriv "
                          "chroot wakeup maxproc command", STR_ARG(e->id));
            return false;
        }
        e->fields[i] = str_dup(r->arena, word);
    }
    while (take_word(&rest, &word)) {
        if (str_is(word, STR("-o")) && take_word(&rest, &word))
            add_option(r, e, word);
        else
            buf_addf(&more, " " STR_FMT, STR_ARG(word));
    }
    e->fields[6] = buf_str(&more);
    return true;
}

static void read_master(struct reader *r, struct snippet_settings *s)
{
    for (r->why = buf_in(r->arena); next_line(r); r->why = buf_in(r->arena)) {
        struct setting_service e;
        bool there = false;

        if (!read_entry(r, &e))
            continue;
        for (size_t i = 0; i < s->service_count && !there; i++)
            if ((there = str_is(s->services[i].id, e.id)))
                problem_error(r->problems, r->at, STR_FMT " is there already in line %u", STR_ARG(e.id),
                              s->services[i].at.line);
        if (there)
            continue;
        if (s->service_count == SERVICES_MOST) {
            problem_error(r->problems, r->at, "more than %d services", SERVICES_MOST);
            return;
        }
        e.why = str_dup(r->arena, buf_str(&r->why));
        s->services = arena_grow(r->arena, s->services, s->service_count, sizeof *s->services);
        s->services[s->service_count++] = e;
    }
}

/* read_one - false when the file is not there. */
static bool read_one(struct arena *a, const char *directory, const char *name, struct snippet_settings *s,
                     struct problems *problems, void (*read)(struct reader *, struct snippet_settings *))
{
    struct reader r = {.arena = a, .problems = problems};
    struct str path = arena_printf(a, "%s/%s", directory, name);

    r.next = r.at = (struct place){.file = path};
    if (!read_file(a, path.p, &r.rest)) {
        if (errno == ENOENT)
            return false;
        problem_error(problems, r.at, "it cannot be read: %s",
                      errno == EFBIG ? "it is longer than 8 MiB" : errno == EINVAL ? "it is no file" : strerror(errno));
        return true;
    }
    read(&r, s);
    return true;
}

bool settings_read(struct arena *a, const char *directory, struct snippet_settings *s, struct problems *problems)
{
    bool main = read_one(a, directory, "main.cf", s, problems, read_main);

    s->has_master = read_one(a, directory, "master.cf", s, problems, read_master);
    return main || s->has_master;
}

const struct setting *setting_of(const struct snippet_settings *s, struct str name)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_is(s->parameters[i].name, name))
            return &s->parameters[i];
    return NULL;
}
