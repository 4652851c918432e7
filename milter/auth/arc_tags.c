/* arc_tags.c - tag lists and base64, strictly. */
#include "arc_tags.h"

static bool is_name_byte(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && ((c >= '0' && c <= '9') || c == '_'));
}

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_name_byte(name.p[i], i == 0))
            return false;
    return name.n > 0;
}

bool arc_tag_get(const struct arc_tags *tags, const char *name, struct arc_tag *tag)
{
    for (size_t i = 0; i < tags->count; i++)
        if (str_is(tags->items[i].name, str_of(name))) {
            *tag = tags->items[i];
            return true;
        }
    memset(tag, 0, sizeof *tag);
    return false;
}

bool arc_tags_read(struct str text, struct arc_tags *tags)
{
    struct str part;

    tags->count = 0;
    while (str_split(&text, ';', &part)) {
        size_t equals = str_find(part, '=');
        struct str name = str_trim(str_slice(part, 0, equals));
        struct arc_tag tag;

        if (equals == part.n && name.n == 0 && text.n == 0)
            break; /* behind the last semicolon */
        if (equals == part.n || !is_name(name) || tags->count == ARC_TAGS_MOST)
            return false;
        for (size_t i = 0; i < tags->count; i++)
            if (str_is(tags->items[i].name, name))
                return false;
        tag.name = name;
        tag.whole = str_slice(part, equals + 1, part.n);
        tag.value = str_trim(tag.whole);
        tags->items[tags->count++] = tag;
    }
    return tags->count > 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str arc_without_space(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        if (!is_space(s.p[i]))
            out[n++] = s.p[i];
    out[n] = '\0';
    return (struct str){out, n};
}

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

bool arc_base64(struct arena *a, struct str text, struct str *bytes)
{
    struct str s = arc_without_space(a, text);
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0, padding = 0;
    unsigned bits = 0;

    *bytes = STR_NONE;
    while (padding < 2 && s.n && s.p[s.n - 1] == '=') {
        s.n--;
        padding++;
    }
    if (s.n == 0 || (s.n + padding) % 4 != 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int digit = digit_of(s.p[i]);

        if (digit < 0)
            return false;
        bits = bits << 6 | (unsigned)digit;
        if (i % 4 != 0)
            out[n++] = (char)(bits >> (6 - 2 * (i % 4)) & 0xff);
    }
    *bytes = (struct str){out, n};
    return true;
}
