/* mime_edit_text.c - something put at the end of a text, in its charset and transfer encoding. */
#include "mime_edit_inside.h"

#define LINE_MOST 990 /* RFC 5322, 2.1.1: 998; some room for what stands on it already */

struct putting {
    struct mime_edit *e;
    const struct mime_part *part;
    struct str bytes;    /* decoded */
    struct str words;    /* its Content-Transfer-Encoding */
    const char *eol;     /* of the decoded text */
    bool eight;          /* 8-bit bytes are allowed as it is */
};

/* same_text - without regard to how lines end. */
static bool same_text(struct str a, struct str b)
{
    size_t i = 0, k = 0;

    for (;;) {
        while (i < a.n && a.p[i] == '\r')
            i++;
        while (k < b.n && b.p[k] == '\r')
            k++;
        if (i == a.n || k == b.n)
            return i == a.n && k == b.n;
        if (a.p[i++] != b.p[k++])
            return false;
    }
}

/* stands_there - `text` ends with these lines already, as lines of their own. */
static bool stands_there(struct str text, struct str lines)
{
    size_t breaks = 0, from, at;

    text = str_trim(text);
    lines = str_trim(lines);
    for (size_t i = 0; i < lines.n; i++)
        breaks += lines.p[i] == '\n';
    for (from = text.n; from; breaks--) { /* behind the last line's end but so many */
        at = str_rfind(str_slice(text, 0, from - 1), '\n');
        from = at < from - 1 ? at + 1 : 0;
        if (breaks == 0)
            break;
    }
    return same_text(str_trim(str_slice(text, from, text.n)), lines);
}

static const char *eol_in(struct str text)
{
    size_t end = str_find(text, '\n');

    return end < text.n && (end == 0 || text.p[end - 1] != '\r') ? "\n" : "\r\n";
}

/* ---- format=flowed ---- */

static bool is_flowed(struct arena *a, const struct mime_part *part)
{
    struct mime_values values = {0};
    bool odd = false;

    if (part->head->types.count)
        mime_parameter(a, part->head->types.items[0], STR("format"), &values, &odd);
    return values.count == 1 && str_is_nocase(values.items[0], STR("flowed"));
}

/* flow - each line stays one (RFC 3676): no blank at its end, one more before what would be read as a quote. */
static struct str flow(struct arena *a, struct str lines)
{
    struct buf b = buf_in(a);
    struct str line;

    while (str_split(&lines, '\n', &line)) {
        if (!str_is(line, STR("-- ")))
            while (line.n && line.p[line.n - 1] == ' ')
                line.n--;
        if (str_starts(line, STR(" ")) || str_starts(line, STR(">")) || str_starts(line, STR("From ")))
            buf_addc(&b, ' ');
        buf_add(&b, line);
        buf_addc(&b, '\n');
    }
    return buf_str(&b);
}

/* ---- writing the part again ---- */

static bool set_coding(struct putting *p, const char *name)
{
    if (str_is_nocase(p->words, str_of(name)))
        return true;
    return mime_set_field(p->e, p->part, STR("Content-Transfer-Encoding"), str_of(name));
}

static struct str base64_of(struct putting *p, struct str bytes)
{
    struct buf b = buf_in(p->e->arena);

    mime_add_base64(&b, bytes, p->e->eol);
    if (!p->part->inside)
        buf_add(&b, str_of(p->e->eol));
    return buf_str(&b);
}

/* write_whole - all of the decoded text again. What is mostly not ASCII, or no lines, goes into base64. */
static bool write_whole(struct putting *p, struct str bytes)
{
    struct buf b = buf_in(p->e->arena);
    size_t at, column = 0, odd = 0;

    if (!mime_place(p->e, p->part, &at))
        return mime_refuse(p->e, "the place of a part is not known");
    for (size_t i = 0; i < bytes.n; i++)
        odd += (unsigned char)bytes.p[i] >= 0x80 || (unsigned char)bytes.p[i] < '\t';
    if (p->part->coding == MIME_BASE64 || odd > bytes.n / 4) {
        mime_splice_add(p->e, at, p->part->raw.n, base64_of(p, bytes));
        return set_coding(p, "base64");
    }
    mime_add_qp(&b, bytes, p->e->eol, &column);
    mime_splice_add(p->e, at, p->part->raw.n, buf_str(&b));
    return set_coding(p, "quoted-printable");
}

static struct str joined(struct arena *a, struct str x, struct str y, struct str z)
{
    char *all = arena_alloc(a, x.n + y.n + z.n + 1), *at = all;

    at = x.n ? (char *)memcpy(at, x.p, x.n) + x.n : at;
    at = y.n ? (char *)memcpy(at, y.p, y.n) + y.n : at;
    if (z.n)
        memcpy(at, z.p, z.n);
    return (struct str){all, x.n + y.n + z.n};
}

/* raw_at - where the decoded byte with this number begins in quoted-printable, by the rules of mime_decode(). */
static size_t raw_at(struct str raw, size_t offset)
{
    size_t i = 0;

    for (size_t n = 0; n < offset && i < raw.n;) {
        size_t end = i + 1;

        if (raw.p[i] == '=' && i + 2 < raw.n && str_hex(raw.p[i + 1]) >= 0 && str_hex(raw.p[i + 2]) >= 0) {
            i += 3;
            n++;
            continue;
        }
        while (raw.p[i] == '=' && end < raw.n && end < i + 81 && (raw.p[end] == ' ' || raw.p[end] == '\t'))
            end++;
        end += raw.p[i] == '=' && end < raw.n && raw.p[end] == '\r';
        end += raw.p[i] == '=' && end < raw.n && raw.p[end] == '\n';
        if (raw.p[i] == '=' && (raw.p[end - 1] == '\n' || raw.p[end - 1] == '\r')) { /* a soft break */
            i = end;
        } else {
            i++;
            n++;
        }
    }
    return i;
}

/* put_bytes - `added`, in the part's charset, at this offset of the decoded text. */
static bool put_bytes(struct putting *p, size_t offset, struct str added)
{
    struct arena *a = p->e->arena;
    size_t at, raw, column = 0;
    struct buf b = buf_in(a);

    if (!mime_place(p->e, p->part, &at))
        return mime_refuse(p->e, "the place of a part is not known");
    if (p->part->coding == MIME_PLAIN && (p->eight || mime_is_ascii(added)) && mime_longest_line(added) < LINE_MOST) {
        mime_splice_add(p->e, at + offset, 0, added);
        return true;
    }
    if (p->part->coding == MIME_QP && offset == p->bytes.n && p->bytes.n && p->bytes.p[p->bytes.n - 1] == '\n' &&
        p->part->raw.p[p->part->raw.n - 1] == '\n') {
        mime_add_qp(&b, added, p->e->eol, &column);
        mime_splice_add(p->e, at + p->part->raw.n, 0, buf_str(&b));
        return true;
    }
    if (p->part->coding == MIME_QP) {
        raw = offset < p->bytes.n ? raw_at(p->part->raw, offset) : p->part->raw.n;
        /* lines of their own, joined to what stands around them by soft breaks */
        if (raw)
            buf_addf(&b, "=%s", p->e->eol);
        mime_add_qp(&b, added, p->e->eol, &column);
        if (raw < p->part->raw.n && column)
            buf_addf(&b, "=%s", p->e->eol);
        mime_splice_add(p->e, at + raw, 0, buf_str(&b));
        return true;
    }
    return write_whole(p, joined(a, str_slice(p->bytes, 0, offset), added, str_slice(p->bytes, offset, p->bytes.n)));
}

/* to_unicode - the part becomes one of UTF-8; p->bytes then are. */
static bool to_unicode(struct putting *p)
{
    struct arena *a = p->e->arena;
    struct str field = p->part->head->types.count ? p->part->head->types.items[0] : STR("text/plain");

    if (!mime_to_utf8(a, p->bytes, p->part->charset, &p->bytes))
        return mime_refuse(p->e, "a text is not what its charset says");
    field = mime_with_charset(a, field, STR("utf-8"));
    return field.n ? mime_set_field(p->e, p->part, STR("Content-Type"), field)
                   : mime_refuse(p->e, "the type of a text is oddly written");
}

static enum mime_put refused(struct putting *p, const char *why)
{
    mime_refuse(p->e, why);
    return PUT_NOT;
}

/* ---- text ---- */

/* escape_end - what takes a text in ISO-2022-JP back to ASCII, if it ends elsewhere. */
static struct str escape_end(struct str bytes)
{
    size_t at = str_rfind(bytes, '\033');
    struct str last = str_slice(bytes, at, at + 3);

    return at < bytes.n && !str_is(last, STR("\033(B")) ? STR("\033(B") : STR_NONE;
}

/* lines_behind - what is added behind `before`: an empty line, and the lines. */
static struct str lines_behind(struct putting *p, struct str before, struct str lines)
{
    struct buf b = buf_in(p->e->arena);

    if (before.n && before.p[before.n - 1] != '\n')
        buf_add(&b, str_of(p->eol));
    if (before.n)
        buf_add(&b, str_of(p->eol));
    lines = p->part->inside ? str_slice(lines, 0, lines.n - 1) : lines; /* the boundary brings its line's end */
    buf_add(&b, mime_with_eol(p->e->arena, lines, p->eol));
    return buf_str(&b);
}

static enum mime_put put_text(struct putting *p, struct str lines)
{
    struct arena *a = p->e->arena;
    enum mime_alphabet alphabet = mime_alphabet(p->part->charset);
    struct str bytes, text;

    if (is_flowed(a, p->part))
        lines = flow(a, lines);
    if (mime_to_utf8(a, p->bytes, p->part->charset, &text) ? stands_there(text, lines) : stands_there(p->bytes, lines))
        return PUT_THERE;
    if (alphabet == ALPHABET_UNKNOWN)
        return refused(p, "a text has a charset that is not known");
    if (alphabet == ALPHABET_OTHER && text.n)
        p->eol = eol_in(text);
    lines = lines_behind(p, alphabet == ALPHABET_OTHER ? text : p->bytes, lines);
    if (mime_from_utf8(a, lines, p->part->charset, &bytes)) {
        if (alphabet == ALPHABET_ESCAPES)
            bytes = joined(a, escape_end(p->bytes), bytes, STR_NONE);
        return put_bytes(p, p->bytes.n, bytes) ? PUT_DONE : PUT_NOT;
    }
    return to_unicode(p) && write_whole(p, joined(a, p->bytes, lines, STR_NONE)) ? PUT_DONE : PUT_NOT;
}

/* ---- HTML ---- */

static enum mime_put put_html(struct putting *p, struct str lines)
{
    struct arena *a = p->e->arena;
    enum mime_alphabet alphabet = mime_alphabet(p->part->charset);
    struct str before, added;
    size_t offset;

    if (alphabet == ALPHABET_UNKNOWN)
        return refused(p, "a text has a charset that is not known");
    if (alphabet == ALPHABET_OTHER) {
        struct str text;

        if (mime_to_utf8(a, p->bytes, p->part->charset, &text) &&
            stands_there(str_slice(text, 0, mime_html_end(text, false)), lines))
            return PUT_THERE;
        if (!to_unicode(p))
            return PUT_NOT;
    }
    offset = mime_html_end(p->bytes, alphabet == ALPHABET_ESCAPES);
    before = str_slice(p->bytes, 0, offset);
    if (stands_there(before, lines))
        return PUT_THERE;
    p->eol = eol_in(p->bytes);
    added = joined(a, alphabet == ALPHABET_ESCAPES ? escape_end(before) : STR_NONE,
                   before.n && before.p[before.n - 1] != '\n' ? str_of(p->eol) : STR_NONE,
                   mime_with_eol(a, lines, p->eol));
    if (alphabet == ALPHABET_OTHER)
        return write_whole(p, joined(a, before, added, str_slice(p->bytes, offset, p->bytes.n))) ? PUT_DONE : PUT_NOT;
    return put_bytes(p, offset, added) ? PUT_DONE : PUT_NOT;
}

/* ---- both ---- */

/* read_part - its bytes, if there is one way alone to decode them. */
static bool read_part(struct putting *p)
{
    static const char *const plain[] = {"7bit", "8bit", "binary"};
    const struct mime_header *head = p->part->head;
    struct str other;
    bool known = head->codings.count == 0;

    p->words = known ? STR("7bit") : str_trim(head->codings.items[0]);
    for (size_t i = 0; i < 3; i++)
        known |= str_is_nocase(p->words, str_of(plain[i]));
    p->eight = str_is_nocase(p->words, STR("8bit")) || str_is_nocase(p->words, STR("binary"));
    if (head->codings.count > 1 || head->types.count > 1)
        return mime_refuse(p->e, "a field of a part's header is repeated");
    if (p->part->coding == MIME_PLAIN && !known)
        return mime_refuse(p->e, "a text has an unusual transfer encoding");
    if (p->part->raw.n > MIME_DECODED_MOST)
        return mime_refuse(p->e, "a text is too long");
    if (!mime_decode(p->e->arena, p->part, MIME_DECODED_MOST, 0, &p->bytes) ||
        mime_decode(p->e->arena, p->part, MIME_DECODED_MOST, 1, &other))
        return mime_refuse(p->e, "a text can be decoded in several ways");
    p->eol = p->bytes.n ? eol_in(p->bytes) : p->e->eol;
    return true;
}

enum mime_put mime_put_footer(struct mime_edit *e, const struct mime_part *part, const struct mime_footer *footer)
{
    struct putting p = {.e = e, .part = part};
    enum mime_put put;

    if (!read_part(&p))
        return PUT_NOT;
    put = str_is(part->type, STR("text/html")) ? put_html(&p, footer->html) : put_text(&p, footer->text);
    if (put == PUT_DONE)
        mime_touch(e, part);
    return put;
}
