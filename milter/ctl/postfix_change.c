/* postfix_change.c - changes of main.cf and master.cf: made of steps, compared, shown, done by postconf(1). */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/file.h>
#include <sysexits.h>

#include "postfix_change.h"

/* same_words - postconf itself folds and unfolds lines. */
static bool same_words(struct str a, struct str b)
{
    struct str x, y;
    bool more;

    do {
        more = str_token(&a, &x);
        if (str_token(&b, &y) != more)
            return false;
    } while (more && str_is(x, y));
    return !more;
}

bool change_same(const struct change *c, enum change_side a, enum change_side b)
{
    return c->side[a].there == c->side[b].there && same_words(c->side[a].text, c->side[b].text);
}

struct change *change_of(struct changes *c, bool is_service, struct str name)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->items[i].is_service == is_service && str_is(c->items[i].name, name))
            return &c->items[i];
    c->items = arena_grow(c->arena, c->items, c->count, sizeof *c->items);
    c->items[c->count] = (struct change){.is_service = is_service, .name = name};
    return &c->items[c->count++];
}

void changes_of_steps(struct changes *c, const struct snippet *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct step *step = &s->steps[i];
        struct change_text *after;

        if (step->kind == STEP_WORDS)
            continue;
        after = &change_of(c, step->kind != STEP_SET, step->name)->side[SIDE_AFTER];
        after->there = step->kind != STEP_REMOVE;
        if (step->kind == STEP_OPTION)
            after->text = arena_printf(c->arena, STR_FMT " -o " STR_FMT, STR_ARG(after->text), STR_ARG(step->value));
        else
            after->text = step->value;
    }
}

bool changes_ask(struct changes *c, const struct postfix *p, enum change_side side, struct str *why)
{
    struct postfix_settings main, entries;

    if (!postfix_ask_files(p, &main, &entries, why))
        return false;
    for (size_t i = 0; i < c->count; i++) {
        struct change_text *t = &c->items[i].side[side];

        *t = (struct change_text){.there = false};
        t->there = postfix_find(c->items[i].is_service ? &entries : &main, c->items[i].name, &t->text);
    }
    return true;
}

/* ---- making ---- */

struct arguments {
    struct str *items;
    size_t count;
};

static void edit_add(struct arena *a, struct arguments *e, struct str argument)
{
    e->items = arena_grow(a, e->items, e->count, sizeof *e->items);
    e->items[e->count++] = argument;
}

static struct str joined(struct arena *a, struct str name, const char *between, struct str value)
{
    struct buf b = buf_in(a); /* and not arena_printf: a value may be longer than STR_FMT prints */

    buf_add(&b, name);
    buf_add(&b, str_of(between));
    buf_add(&b, value);
    return str_trim(buf_str(&b));
}

bool changes_make(struct changes *c, const struct postfix *p, enum change_side side, struct str *why)
{
    struct arguments set = {0}, unset = {0}, entry = {0}, removed = {0};

    for (size_t i = 0; i < c->count; i++) {
        const struct change *change = &c->items[i];
        const struct change_text *t = &change->side[side];

        if (change->skip || change->made)
            continue;
        if (change->is_service)
            edit_add(c->arena, t->there ? &entry : &removed,
                     t->there ? joined(c->arena, change->name, "=", t->text) : change->name);
        else
            edit_add(c->arena, t->there ? &set : &unset,
                     t->there ? joined(c->arena, change->name, " = ", t->text) : change->name);
    }
    return postfix_edit(p, "-e", set.items, set.count, why) && postfix_edit(p, "-X", unset.items, unset.count, why) &&
           postfix_edit(p, "-M", entry.items, entry.count, why) &&
           postfix_edit(p, "-MX", removed.items, removed.count, why);
}

/* ---- showing ---- */

static void put_escaped(struct arena *a, struct str text)
{
    text = str_escaped(a, text);
    fwrite(text.p, 1, text.n, stdout);
}

/* show_entry - with the options on lines of their own, as they stand in master.cf. */
static void show_entry(struct arena *a, struct str text, char sign)
{
    size_t from = 0;
    int depth = 0;

    for (size_t i = 0; i < text.n; i++) {
        depth += (text.p[i] == '{') - (text.p[i] == '}');
        if (depth == 0 && str_starts(str_slice(text, i, text.n), STR(" -o "))) {
            put_escaped(a, str_slice(text, from, i));
            printf("\n%c   ", sign);
            from = i;
        }
    }
    put_escaped(a, str_slice(text, from, text.n));
}

static void show_side(struct arena *a, const struct change *c, enum change_side side, char sign)
{
    if (!c->side[side].there)
        return;
    putchar(sign);
    if (c->is_service)
        show_entry(a, c->side[side].text, sign);
    else
        put_escaped(a, joined(a, c->name, " = ", c->side[side].text));
    putchar('\n');
}

static size_t show(const struct changes *c, enum change_side to)
{
    static const char *const files[] = {"main.cf", "master.cf"};
    size_t different = 0;

    for (int file = 0; file < 2; file++) {
        bool told = false;

        for (size_t i = 0; i < c->count; i++) {
            const struct change *change = &c->items[i];

            if (change->is_service != (file == 1) || change->skip || change_same(change, SIDE_NOW, to))
                continue;
            if (!told)
                printf("%s\n", files[file]);
            told = true;
            different++;
            show_side(c->arena, change, SIDE_NOW, '-');
            show_side(c->arena, change, to, '+');
        }
    }
    return different;
}

static json_t *json_side(const struct changes *c, const struct change *change, enum change_side side)
{
    struct str text = str_escaped(c->arena, change->side[side].text);

    return change->side[side].there ? json_stringn(text.p ? text.p : "", text.n) : json_null();
}

static size_t show_json(const struct changes *c, enum change_side to)
{
    json_t *list = json_array();
    size_t count;

    for (size_t i = 0; i < c->count; i++) {
        const struct change *change = &c->items[i];
        struct str name = str_escaped(c->arena, change->name);

        if (!change->skip && !change_same(change, SIDE_NOW, to))
            json_array_append_new(list, json_pack("{s:s%, s:o, s:o}", change->is_service ? "service" : "parameter",
                                                  name.p, name.n, "now", json_side(c, change, SIDE_NOW), "then",
                                                  json_side(c, change, to)));
    }
    count = json_array_size(list);
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
    return count;
}

size_t change_report(struct snippet *s, const struct changes *c, enum change_side to)
{
    return s->ctl->json ? show_json(c, to) : show(c, to);
}

/* ---- around it ---- */

int change_begin(struct snippet *s, struct str *directory, struct str *file)
{
    int fd;

    *directory = s->config_dir.n ? s->config_dir : postfix_value(&s->postfix, NULL, "config_directory");
    *file = arena_printf(s->arena, STR_FMT "/" REVERT_FILE, STR_ARG(*directory));
    if (s->ctl->dry_run)
        return 0;
    fd = open(str_c(s->arena, *directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* closed by the program's end */
    if (fd < 0 || faccessat(fd, ".", W_OK, AT_EACCESS) < 0) {
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT " cannot be changed: %s\n",
                STR_ARG(str_escaped(s->arena, *directory)), strerror(errno));
        return errno == EACCES || errno == EPERM || errno == EROFS ? EX_NOPERM : EX_NOINPUT;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        fprintf(stderr, "sme-milterctl postfix snippet: another --apply or --revert is at work in " STR_FMT "\n",
                STR_ARG(str_escaped(s->arena, *directory)));
        return EX_TEMPFAIL;
    }
    return 0;
}

int change_reload(struct snippet *s)
{
    struct str why;

    if (s->ctl->dry_run)
        return CTL_FINE;
    if (!s->reload) {
        if (!s->ctl->json)
            printf("Then have Postfix read them: postfix%s" STR_FMT " reload\n", s->config_dir.n ? " -c " : "",
                   STR_ARG(s->config_dir.n ? shell_quoted(s->arena, s->config_dir) : STR_NONE));
        return CTL_FINE;
    }
    if (!postfix_command(&s->postfix, "status", &why)) {
        if (!s->ctl->json)
            printf("Postfix is not running: nothing to reload.\n");
        return CTL_FINE;
    }
    if (!postfix_command(&s->postfix, "reload", &why)) {
        fprintf(stderr, "sme-milterctl postfix snippet: postfix reload: " STR_FMT "; the files stay as they are now\n",
                STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    if (!s->ctl->json)
        printf("Postfix has been told to read its files.\n");
    return CTL_FINE;
}
