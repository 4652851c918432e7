/* scenario_line.c - report lines: kept, and read back field by field. */
#include <stdio.h>

#include "scenario.h"

void seen_line(struct play *p, struct seen *seen, struct str line)
{
    seen->lines = arena_grow(p->arena, seen->lines, seen->line_count, sizeof *seen->lines);
    seen->lines[seen->line_count++] = str_dup(p->arena, line);
}

/* plain - without the escapes of buf_add_escaped(). */
static struct str plain(struct arena *a, struct str s)
{
    struct buf b = buf_in(a);

    buf_add(&b, STR_NONE);
    for (size_t i = 0; i < s.n; i++) {
        unsigned byte = (unsigned char)s.p[i];

        if (byte == '\\' && i + 3 < s.n && s.p[i + 1] == 'x') {
            sscanf(str_c(a, str_slice(s, i + 2, i + 4)), "%2x", &byte);
            i += 3;
        } else if (byte == '\\' && i + 1 < s.n) {
            byte = (unsigned char)s.p[++i];
        }
        buf_addc(&b, (char)byte);
    }
    return buf_str(&b);
}

bool line_field(struct arena *a, struct str line, struct str key, struct str *value)
{
    while (line.n) {
        size_t eq = str_find(line, '='), from = eq + 1, to;
        bool quoted;

        if (eq == line.n)
            return false;
        quoted = from < line.n && line.p[from] == '"';
        from += quoted;
        to = from + str_find(str_slice(line, from, line.n), quoted ? '"' : ' ');
        if (str_is(str_slice(line, 0, eq), key)) {
            *value = plain(a, str_slice(line, from, to));
            return true;
        }
        line = str_slice(line, to + quoted, line.n);
        while (line.n && line.p[0] == ' ')
            line = str_slice(line, 1, line.n);
    }
    return false;
}
