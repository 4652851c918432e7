/* mime_param.c - parameters of a field, in all the ways they are written and misread. */
#include "mime_header.h"

#define PIECES_MOST 100 /* RFC 2231 */

struct piece {
    size_t number;
    bool coded;
    struct str value;
};

bool mime_values_add(struct mime_values *v, struct str value)
{
    for (size_t i = 0; i < v->count; i++)
        if (str_is(v->items[i], value))
            return true;
    if (v->count == MIME_VALUES_MOST)
        return false;
    v->items[v->count++] = value;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_token(char c)
{
    return c > 0x20 && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

/* ---- RFC 2047 ---- */

/* word_at - decode the encoded word that rest begins with; 0 when it is none, else its length. */
static size_t word_at(struct arena *a, struct str rest, struct buf *out)
{
    struct mime_part part = {.coding = MIME_BASE64};
    size_t charset = 2, text, end;
    struct str bytes;
    char *copy;

    while (charset < rest.n && charset < 80 && rest.p[charset] != '?')
        charset++;
    if (charset + 3 >= rest.n || rest.p[charset] != '?' || rest.p[charset + 2] != '?')
        return 0;
    text = charset + 3;
    for (end = text; end + 1 < rest.n && !(rest.p[end] == '?' && rest.p[end + 1] == '='); end++)
        if (end - text > 4096)
            return 0;
    if (end + 1 >= rest.n)
        return 0;
    part.raw = str_slice(rest, text, end);
    if ((rest.p[charset + 1] | 0x20) == 'q') {
        copy = arena_alloc(a, part.raw.n + 1);
        for (size_t i = 0; i < part.raw.n; i++)
            copy[i] = part.raw.p[i] == '_' ? ' ' : part.raw.p[i];
        part.raw.p = copy;
        part.coding = MIME_QP;
    } else if ((rest.p[charset + 1] | 0x20) != 'b') {
        return 0;
    }
    mime_decode(a, &part, 4096, 0, &bytes);
    charset = str_find(str_slice(rest, 2, charset), '*'); /* RFC 2231, 5: a language may follow it */
    buf_add(out, mime_text(a, bytes, str_slice(rest, 2, 2 + charset)));
    return end + 2;
}

struct str mime_word(struct arena *a, struct str text)
{
    struct buf b;
    size_t blank = 0;
    bool before = false;

    if (!text.n || !memmem(text.p, text.n, "=?", 2))
        return text;
    b = buf_in(a);
    for (size_t i = 0; i < text.n;) {
        size_t n = 0, mark = b.len;

        if (text.p[i] == '=' && i + 1 < text.n && text.p[i + 1] == '?')
            n = word_at(a, str_slice(text, i, text.n), &b);
        if (n) {
            if (before && blank) { /* blanks between two encoded words are none */
                memmove(b.data + mark - blank, b.data + mark, b.len - mark);
                b.len -= blank;
                b.data[b.len] = '\0';
            }
            before = true;
            blank = 0;
            i += n;
            continue;
        }
        if (before && is_space(text.p[i]))
            blank++;
        else
            before = false;
        buf_addc(&b, text.p[i++]);
    }
    return buf_str(&b);
}

/* ---- RFC 2231 ---- */

static int by_number(const void *x, const void *y)
{
    const struct piece *a = x, *b = y;

    return a->number == b->number ? (a->value.p > b->value.p) - (a->value.p < b->value.p)
                                  : (a->number > b->number) - (a->number < b->number);
}

static struct str join_pieces(struct arena *a, struct piece *pieces, size_t count, bool *odd)
{
    struct buf b = buf_in(a);
    struct str charset = STR_NONE;

    if (count)
        qsort(pieces, count, sizeof *pieces, by_number);
    for (size_t i = 0; i < count; i++) {
        struct str value = pieces[i].value;
        size_t mark = str_find(value, '\''), second;

        *odd |= pieces[i].number != i;
        if (i && pieces[i].number == pieces[i - 1].number)
            continue;
        if (i == 0 && pieces[i].coded && mark < value.n) {
            second = mark + 1 + str_find(str_slice(value, mark + 1, value.n), '\'');
            charset = str_slice(value, 0, mark);
            value = str_slice(value, second + 1, value.n);
        }
        buf_add(&b, pieces[i].coded ? str_unpercent(a, value) : value);
    }
    return mime_text(a, buf_str(&b), charset);
}

/* ---- one value ---- */

/* quoted_end - the offset of the quote that ends the string that begins behind offset 0; s.n when there is none. */
static size_t quoted_end(struct str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i;
    }
    return s.n;
}

static struct str unescape(struct arena *a, struct str s)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        if (s.p[i] != '\r' && s.p[i] != '\n') /* a folded string */
            buf_addc(&b, s.p[i]);
    }
    return buf_str(&b);
}

/* value_quoted - s begins with a quote. *first is what the standard says; the others go to `values`. */
static size_t value_quoted(struct arena *a, struct str s, struct str *first, struct mime_values *values, bool *odd)
{
    size_t end = quoted_end(s), after = end + 1, stop;
    struct str inside = str_slice(s, 1, end);

    *first = unescape(a, inside);
    if (str_find(inside, '\\') < inside.n)
        mime_values_add(values, inside);
    if (end >= s.n) {
        *odd = true;
        stop = str_find(inside, ';');
        mime_values_add(values, str_trim(str_slice(inside, 0, stop)));
        return s.n;
    }
    if (after < s.n && !is_space(s.p[after]) && s.p[after] != ';' && s.p[after] != '(') {
        struct str tail;

        *odd = true;
        stop = after + str_find(str_slice(s, after, s.n), ';');
        tail = str_trim(str_slice(s, after, stop));
        mime_values_add(values, arena_printf(a, STR_FMT STR_FMT, STR_ARG(*first), STR_ARG(tail)));
        mime_values_add(values, str_trim(str_slice(s, 0, stop)));
    }
    return after;
}

static size_t value_token(struct str s, struct str *first, struct mime_values *values, bool *odd)
{
    size_t end = 0, stop = str_find(s, ';'), strict = 0;

    while (end < s.n && !is_space(s.p[end]) && s.p[end] != ';')
        end++;
    while (strict < end && is_token(s.p[strict]))
        strict++;
    *first = str_slice(s, 0, end);
    /* =, ?, : and / stand unquoted in many boundaries, and everybody takes them as part of it */
    if (strict < end && (s.p[strict] == '(' || s.p[strict] == '"' || s.p[strict] == ',')) {
        mime_values_add(values, str_slice(s, 0, strict));
        *odd = true;
    }
    if (str_trim(str_slice(s, 0, stop)).n != end) {
        mime_values_add(values, str_trim(str_slice(s, 0, stop)));
        *odd |= str_find(str_slice(s, end, stop), '(') == stop - end;
    }
    return end;
}

/* ---- all of a field ---- */

struct found {
    struct piece pieces[PIECES_MOST];
    size_t count;
    size_t plain;
};

/* parameter_at - s begins with the parameter's name; take its value. The offset behind it, or 0 when it is another. */
static size_t parameter_at(struct arena *a, struct str s, struct str name, struct found *found,
                           struct mime_values *values, bool *odd)
{
    size_t at = name.n, number = 0, end;
    bool star = false, numbered = false, coded = false;
    struct str first;

    if (at < s.n && s.p[at] == '*') {
        star = true;
        for (at++; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++) {
            numbered = true;
            number = number < 100000 ? number * 10 + (size_t)(s.p[at] - '0') : number;
        }
        coded = !numbered || (at < s.n && s.p[at] == '*');
        if (numbered && coded)
            at++;
    }
    while (at < s.n && is_space(s.p[at]))
        at++;
    if (at >= s.n || s.p[at] != '=')
        return 0;
    for (at++; at < s.n && is_space(s.p[at]); at++)
        ;
    end = at;
    s = str_slice(s, at, s.n);
    if (s.n == 0)
        return end;
    end += s.p[0] == '"' ? value_quoted(a, s, &first, values, odd) : value_token(s, &first, values, odd);
    if (!star) {
        *odd |= found->plain++ > 0;
        mime_values_add(values, first);
    } else if (found->count < PIECES_MOST) {
        found->pieces[found->count++] = (struct piece){number, coded, first};
    } else {
        *odd = true;
    }
    return end;
}

void mime_parameter(struct arena *a, struct str field, struct str name, struct mime_values *values, bool *odd)
{
    struct found *found = NULL;
    bool quoted = false, comment = false;
    size_t plain;

    for (size_t i = 0; i + name.n < field.n; i++) {
        char before = i ? field.p[i - 1] : ' ';
        size_t n;

        if (field.p[i] == '\\')
            i++;
        else if (field.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && (field.p[i] == '(' || field.p[i] == ')'))
            comment = field.p[i] == '(';
        if (is_token(before) || !str_starts_nocase(str_slice(field, i, i + name.n), name))
            continue;
        if (!found)
            found = arena_zalloc(a, sizeof *found);
        n = parameter_at(a, str_slice(field, i, field.n), name, found, values, odd);
        *odd |= n && (quoted || comment || before == '='); /* a value of another one, to some */
        if (n)
            i += n - 1;
        quoted = n ? false : quoted;
    }
    if (!found)
        return;
    if (found->count) {
        *odd |= found->plain > 0;
        mime_values_add(values, join_pieces(a, found->pieces, found->count, odd));
    }
    plain = values->count;
    for (size_t i = 0; i < plain; i++) {
        struct str word = mime_word(a, values->items[i]);

        if (!str_is(word, values->items[i])) {
            *odd = true;
            mime_values_add(values, word);
        }
    }
}
