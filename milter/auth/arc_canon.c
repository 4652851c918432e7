/* arc_canon.c - simple and relaxed, for fields and for the body. */
#include "arc_canon.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
    return is_blank(c) || c == '\r' || c == '\n';
}

static void add_relaxed(struct buf *b, struct str value)
{
    bool gap = false;

    value = str_trim(value);
    for (size_t i = 0; i < value.n; i++) {
        if (is_space(value.p[i])) {
            gap = true;
            continue;
        }
        if (gap)
            buf_addc(b, ' ');
        gap = false;
        buf_addc(b, value.p[i]);
    }
}

/* add_simple - as it was sent: Postfix folds with LF alone on the way to its filters. */
static void add_simple(struct buf *b, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\n' && (i == 0 || value.p[i - 1] != '\r'))
            buf_addc(b, '\r');
        buf_addc(b, value.p[i]);
    }
}

void arc_hash_field(EVP_MD_CTX *hash, struct arena *a, const struct header *field, struct str without, bool relaxed,
                    bool last)
{
    struct buf b = buf_in(a), value = buf_in(a);
    struct str text = field->value;

    if (without.n) {
        buf_add(&value, str_slice(text, 0, (size_t)(without.p - text.p)));
        buf_add(&value, str_slice(text, (size_t)(without.p - text.p) + without.n, text.n));
        text = buf_str(&value);
    }
    if (relaxed) {
        buf_add(&b, str_lower(a, str_trim(field->name)));
        buf_addc(&b, ':');
        add_relaxed(&b, text);
    } else {
        buf_add(&b, field->name);
        buf_addc(&b, ':');
        if (text.n == 0 || !is_blank(text.p[0]))
            buf_addc(&b, ' '); /* the blank that Postfix keeps to itself */
        add_simple(&b, text);
    }
    if (!last)
        buf_add(&b, STR("\r\n"));
    EVP_DigestUpdate(hash, b.data, b.len);
}

/* ---- the body ---- */

/* next_line - without its line end, which may be LF alone. */
static bool next_line(struct str *rest, struct str *line)
{
    if (!str_split(rest, '\n', line))
        return false;
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

static void hash_relaxed_line(EVP_MD_CTX *hash, struct str line)
{
    size_t from = 0;

    while (line.n && is_blank(line.p[line.n - 1]))
        line.n--;
    while (from < line.n) {
        size_t to = from;

        while (to < line.n && !is_blank(line.p[to]))
            to++;
        EVP_DigestUpdate(hash, line.p + from, to - from);
        if (to < line.n)
            EVP_DigestUpdate(hash, " ", 1);
        while (to < line.n && is_blank(line.p[to]))
            to++;
        from = to;
    }
}

static bool is_empty(struct str line, bool relaxed)
{
    for (size_t i = 0; i < line.n; i++)
        if (!relaxed || !is_blank(line.p[i]))
            return false;
    return true;
}

void arc_hash_body(EVP_MD_CTX *hash, struct str body, bool relaxed)
{
    struct str line;
    size_t empty = 0, lines = 0;

    while (next_line(&body, &line)) {
        if (is_empty(line, relaxed)) {
            empty++;
            continue;
        }
        for (; empty > 0; empty--)
            EVP_DigestUpdate(hash, "\r\n", 2);
        if (relaxed)
            hash_relaxed_line(hash, line);
        else
            EVP_DigestUpdate(hash, line.p, line.n);
        EVP_DigestUpdate(hash, "\r\n", 2);
        lines++;
    }
    if (lines == 0 && !relaxed)
        EVP_DigestUpdate(hash, "\r\n", 2);
}
