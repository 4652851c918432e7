/* err.c - the list of problems, and the nearest right word. */
#include <stdarg.h>
#include <string.h>

#include "arena.h"
#include "err.h"

#define LONGEST_WORD 64

__attribute__((format(printf, 4, 0)))
static void add(struct problems *p, struct place at, bool warning, const char *format, va_list ap)
{
    struct buf b = buf_in(p->arena);

    buf_vaddf(&b, format, ap);
    at.file = str_dup(p->arena, at.file); /* the place may belong to a configuration that is refused and freed */
    p->items = arena_grow(p->arena, p->items, p->count, sizeof *p->items);
    p->items[p->count++] = (struct problem){at, buf_str(&b), warning};
    if (!warning)
        p->errors++;
}

void problem_error(struct problems *p, struct place at, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    add(p, at, false, format, ap);
    va_end(ap);
}

void problem_warning(struct problems *p, struct place at, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    add(p, at, true, format, ap);
    va_end(ap);
}

static bool is_said(const struct problem *items, size_t count, const struct problem *new)
{
    for (size_t i = count; i > 0 && items[i - 1].at.line == new->at.line; i--)
        if (items[i - 1].warning == new->warning && str_is(items[i - 1].at.file, new->at.file) &&
            str_is(items[i - 1].text, new->text))
            return true;
    return false;
}

/* drop_repeats - what a section says for all profiles is found wrong in each of them. */
static void drop_repeats(struct problems *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (!is_said(p->items, kept, &p->items[i]))
            p->items[kept++] = p->items[i];
        else if (!p->items[i].warning)
            p->errors--;
    }
    p->count = kept;
}

void problems_sort(struct problems *p)
{
    for (size_t i = 1; i < p->count; i++)
        for (size_t k = i; k > 0; k--) {
            struct problem *a = &p->items[k - 1], *b = &p->items[k];
            int order = str_compare(a->at.file, b->at.file);
            struct problem swap = *a;

            if (order < 0 || (order == 0 && a->at.line <= b->at.line))
                break;
            *a = *b;
            *b = swap;
        }
    drop_repeats(p);
}

struct str problem_text(struct arena *a, const struct problem *p)
{
    struct buf b = buf_in(a);

    buf_add_escaped(&b, p->at.file, "");
    if (p->at.line)
        buf_addf(&b, ":%u", p->at.line);
    if (p->at.file.n)
        buf_add(&b, STR(": "));
    if (p->warning)
        buf_add(&b, STR("warning: "));
    buf_add_escaped(&b, p->text, "");
    return buf_str(&b);
}

/* distance - edits (insert, delete, replace, swap of neighbours) between two words, case-blind for ASCII. */
static unsigned distance(struct str a, struct str b)
{
    unsigned row[3][LONGEST_WORD + 1] = {{0}};

    for (unsigned j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *older = row[(i + 1) % 3];

        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            bool same = str_is_nocase(str_slice(a, i - 1, i), str_slice(b, j - 1, j));
            unsigned best = last[j - 1] + !same;

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && str_is_nocase(str_slice(a, i - 1, i), str_slice(b, j - 2, j - 1)) &&
                str_is_nocase(str_slice(a, i - 2, i - 1), str_slice(b, j - 1, j)) && older[j - 2] + 1 < best)
                best = older[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[a.n % 3][b.n];
}

const char *nearest(struct str word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    unsigned least = 0;

    if (word.n == 0 || word.n > LONGEST_WORD)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct str c = str_of(candidates[i]);
        unsigned d;

        if (c.n > LONGEST_WORD)
            continue;
        d = distance(word, c);
        if (!best || d < least) {
            best = candidates[i];
            least = d;
        }
    }
    return best && least <= 1 + word.n / 3 ? best : NULL;
}
