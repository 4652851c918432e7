/* import_notes.c - what became of each property, and how that is told. */
#include <jansson.h>

#include "import_inside.h"

static const char *const fate_words[] = {"imported", "notice", "left out"};

struct sme_source source_of(struct arena *a, const struct esmith *db, const struct esmith_record *record,
                            const char *name, bool set)
{
    struct str key = str_escaped(a, record->key);
    struct sme_source from = {.at = {db->file, set ? record->line : 0}, .set = set};

    from.name = name ? arena_printf(a, STR_FMT "{%s}", STR_ARG(key), name) : key;
    return from;
}

struct sme_source source_named(struct str name, struct place at)
{
    return (struct sme_source){.name = name, .at = at, .set = at.line > 0};
}

static void add(struct import_notes *notes, enum import_fate fate, struct sme_source from, const char *format,
                va_list ap) __attribute__((format(printf, 4, 0)));

static void add(struct import_notes *notes, enum import_fate fate, struct sme_source from, const char *format,
                va_list ap)
{
    struct buf b = buf_in(notes->arena);

    buf_vaddf(&b, format, ap);
    notes->items = arena_grow(notes->arena, notes->items, notes->count, sizeof *notes->items);
    notes->items[notes->count++] = (struct import_note){fate, from, buf_str(&b)};
    notes->left_out += fate == IMPORT_LEFT_OUT;
}

void import_done(struct import_notes *notes, struct sme_source from, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    add(notes, IMPORT_DONE, from, format, ap);
    va_end(ap);
}

void import_notice(struct import_notes *notes, struct sme_source from, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    add(notes, IMPORT_NOTICE, from, format, ap);
    va_end(ap);
}

void import_left_out(struct import_notes *notes, struct sme_source from, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    add(notes, IMPORT_LEFT_OUT, from, format, ap);
    va_end(ap);
}

/* ---- telling ---- */

static void print_note(struct import *im, const struct import_note *note)
{
    struct str text = str_escaped(im->a, note->text), file = str_escaped(im->a, note->from.at.file);

    if (im->quiet && note->fate == IMPORT_DONE)
        return;
    if (note->fate != IMPORT_DONE)
        printf("%s: ", fate_words[note->fate]);
    printf(STR_FMT "%s: " STR_FMT, STR_ARG(note->from.name), note->from.set ? "" : " (not set)", STR_ARG(text));
    if (note->fate == IMPORT_LEFT_OUT && note->from.at.line)
        printf(" [" STR_FMT ":%u]", STR_ARG(file), note->from.at.line);
    putchar('\n');
}

static void print_json(struct import *im)
{
    json_t *notes = json_array(), *files = json_array(), *problems = json_array(), *all;

    for (size_t i = 0; i < im->notes.count; i++) {
        const struct import_note *note = &im->notes.items[i];
        struct str text = str_escaped(im->a, note->text), file = str_escaped(im->a, note->from.at.file);

        json_array_append_new(notes, json_pack("{s:s, s:s%, s:b, s:s%, s:i, s:s%}", "fate", fate_words[note->fate],
                                               "property", note->from.name.p, note->from.name.n, "set", note->from.set,
                                               "file", file.p ? file.p : "", file.n, "line", (int)note->from.at.line,
                                               "text", text.p, text.n));
    }
    for (size_t i = 0; i < im->problems.count; i++) {
        struct str text = problem_text(im->a, &im->problems.items[i]);

        json_array_append_new(problems, json_stringn(text.p, text.n));
    }
    for (size_t i = 0; i < im->file_count; i++) {
        struct str name = str_escaped(im->a, im->files[i].name);

        json_array_append_new(files, json_stringn(name.p, name.n));
    }
    all = json_pack("{s:o, s:o, s:o}", "properties", notes, "problems", problems, "files", files);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

void import_notes_print(struct import *im)
{
    size_t fates[3] = {0};

    if (im->ctl->json) {
        print_json(im);
        return;
    }
    for (size_t i = 0; i < im->problems.count; i++)
        fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(im->a, &im->problems.items[i])));
    for (size_t i = 0; i < im->notes.count; i++) {
        print_note(im, &im->notes.items[i]);
        fates[im->notes.items[i].fate]++;
    }
    printf("%zu imported, %zu notices, %zu left out\n", fates[IMPORT_DONE], fates[IMPORT_NOTICE],
           fates[IMPORT_LEFT_OUT] + im->problems.count);
}
