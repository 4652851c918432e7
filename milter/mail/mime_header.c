/* mime_header.c - from the fields of a part's header to what it is. */
#include "mime_header.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void take(struct mime_header *h, struct mime_values *v, struct str value, unsigned doubt)
{
    if (v->count && !str_is(v->items[0], value))
        h->doubts |= doubt;
    if (v->count == MIME_FIELDS_MOST || !mime_values_add(v, value))
        h->doubts |= doubt;
}

void mime_header_field(struct mime_header *h, struct str name, struct str value)
{
    struct str clean = str_trim(name);

    if (clean.n < 12 || !str_starts_nocase(clean, STR("Content-"))) {
        for (size_t i = 0; i < clean.n; i++)
            if (clean.p[i] <= ' ' || clean.p[i] >= 0x7f)
                h->doubts |= MIME_ODD_HEADER;
        return;
    }
    if (clean.n != name.n)
        h->doubts |= MIME_ODD_HEADER;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '\0' || (value.p[i] == '\r' && i + 1 < value.n && value.p[i + 1] != '\n'))
            h->doubts |= MIME_ODD_LINES;
    value = str_trim(value);
    if (str_is_nocase(clean, STR("Content-Type")))
        take(h, &h->types, value, MIME_TWO_TYPES);
    else if (str_is_nocase(clean, STR("Content-Transfer-Encoding")))
        take(h, &h->codings, value, MIME_TWO_CODINGS);
    else if (str_is_nocase(clean, STR("Content-Disposition")))
        take(h, &h->dispositions, value, 0);
}

void mime_header_block(struct mime_header *h, struct str block)
{
    while (block.n) {
        size_t colon, end = 0, name;

        /* a field and the lines that begin with a blank behind it */
        do
            end += str_find(str_slice(block, end, block.n), '\n') + 1;
        while (end < block.n && (block.p[end] == ' ' || block.p[end] == '\t'));
        for (size_t i = 0; i + 1 < end && i + 1 < block.n; i++) {
            if (block.p[i] == '\n' && str_trim(str_slice(block, i, i + 1 + str_find(str_slice(block, i + 1, end),
                                                                                    '\n'))).n == 0)
                h->doubts |= MIME_ODD_HEADER; /* a line of blanks: to some the header ends here */
        }
        colon = str_find(str_slice(block, 0, end), ':');
        name = str_find(str_slice(block, 0, end), '\n');
        if (colon < name)
            mime_header_field(h, str_slice(block, 0, colon), str_slice(block, colon + 1, end));
        else if (str_trim(str_slice(block, 0, end)).n)
            h->doubts |= MIME_ODD_HEADER;
        block = str_slice(block, end, block.n);
    }
}

/* coding_of - bits of what this may mean; several where it is no word that everybody knows. */
static unsigned coding_of(struct str value, bool *odd, bool *packed)
{
    static const struct {
        const char *name;
        unsigned set;
    } known[] = {
        {"7bit", 1 << MIME_PLAIN}, {"8bit", 1 << MIME_PLAIN}, {"binary", 1 << MIME_PLAIN},
        {"base64", 1 << MIME_BASE64}, {"quoted-printable", 1 << MIME_QP},
        {"x-uuencode", 1 << MIME_PLAIN}, {"uuencode", 1 << MIME_PLAIN}, {"x-uue", 1 << MIME_PLAIN},
        {"x-yencode", 1 << MIME_PLAIN}, {"yencode", 1 << MIME_PLAIN},
        {"7-bit", 1 << MIME_PLAIN}, {"8-bit", 1 << MIME_PLAIN},
    };
    size_t end = 0;

    *packed |= str_ends_nocase(value, STR("uuencode")) || str_ends_nocase(value, STR("yencode")) ||
               str_is_nocase(value, STR("x-uue"));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is_nocase(value, str_of(known[i].name)))
            return known[i].set;
    *odd = true;
    while (end < value.n && !is_space(value.p[end]) && value.p[end] != ';' && value.p[end] != '(')
        end++;
    for (size_t i = 3; i < 5; i++)
        if (str_is_nocase(str_slice(value, 0, end), str_of(known[i].name)))
            return known[i].set | 1 << MIME_PLAIN;
    return 1 << MIME_PLAIN | 1 << MIME_BASE64 | 1 << MIME_QP;
}

/* type_of - "text/html" in lower case. */
static struct str type_of(struct arena *a, struct str field)
{
    size_t end = 0;

    while (end < field.n && !is_space(field.p[end]) && field.p[end] != ';' && field.p[end] != '(')
        end++;
    return str_lower(a, str_slice(field, 0, end));
}

static bool has(struct str s, const char *word)
{
    struct str w = str_of(word);

    for (size_t i = 0; i + w.n <= s.n; i++)
        if (str_is_nocase(str_slice(s, i, i + w.n), w))
            return true;
    return false;
}

static void read_type(struct arena *a, struct mime_header *h, struct str field)
{
    struct str type = type_of(a, field);
    struct mime_values charset = {0};
    bool odd = false;

    if (!h->type.n)
        h->type = type;
    /* anywhere in the value: "Content-Type: ; multipart/mixed" is one to some */
    if (str_starts(type, STR("multipart/")) || (has(field, "multipart") && has(field, "boundary"))) {
        h->multipart = true;
        h->digest |= str_is(type, STR("multipart/digest"));
        mime_parameter(a, field, STR("boundary"), &h->boundaries, &odd);
        if (odd || h->boundaries.count != 1 || !str_starts(type, STR("multipart/")))
            h->doubts |= MIME_TWO_BOUNDARIES;
    } else if (str_is(type, STR("message/rfc822")) || str_is(type, STR("message/global")) ||
               str_is(type, STR("message/news")) || str_is(type, STR("message/partial"))) {
        h->message = true;
    }
    h->html |= has(type, "html") || has(type, "svg") || has(type, "xml");
    h->text |= str_starts(type, STR("text/")) || h->html || str_find(type, '/') == type.n ||
               str_starts(type, STR("message/"));
    mime_parameter(a, field, STR("charset"), &charset, &odd);
    if (!h->charset.n && charset.count)
        h->charset = str_lower(a, charset.items[0]);
}

static void read_names(struct arena *a, struct mime_header *h)
{
    static const char *const html_names[] = {".html", ".htm", ".shtml", ".xhtml", ".xht", ".svg", ".mht", ".hta"};
    struct mime_values names = {0};
    bool odd = false;

    for (size_t i = 0; i < h->dispositions.count; i++)
        mime_parameter(a, h->dispositions.items[i], STR("filename"), &names, &odd);
    for (size_t i = 0; i < h->types.count; i++)
        mime_parameter(a, h->types.items[i], STR("name"), &names, &odd);
    h->names.items = arena_array(a, names.count + 1, sizeof *h->names.items);
    for (size_t i = 0; i < names.count; i++) {
        h->names.items[h->names.count++] = mime_text(a, names.items[i], h->charset);
        for (size_t k = 0; k < sizeof html_names / sizeof *html_names; k++)
            h->html |= str_ends_nocase(names.items[i], str_of(html_names[k]));
    }
}

void mime_header_finish(struct arena *a, struct mime_header *h, bool in_digest)
{
    bool odd = false, container = false, leaf = false;

    for (size_t i = 0; i < h->types.count; i++) {
        bool was = h->multipart || h->message;

        read_type(a, h, h->types.items[i]);
        container |= h->multipart || h->message;
        leaf |= (was == (h->multipart || h->message)) && !was;
    }
    if (h->types.count == 0) {
        h->type = in_digest ? STR("message/rfc822") : STR("text/plain");
        h->message = in_digest;
        h->text = !in_digest;
    }
    if (container && leaf)
        h->doubts |= MIME_TWO_TYPES;
    for (size_t i = 0; i < h->codings.count; i++)
        h->coding_set |= coding_of(h->codings.items[i], &odd, &h->packed);
    if (!h->coding_set)
        h->coding_set = 1 << MIME_PLAIN;
    /* RFC 2045, 6.4: composite types are not encoded; some readers decode them all the same */
    if (odd || ((h->multipart || h->message) && h->coding_set != 1 << MIME_PLAIN))
        h->doubts |= MIME_TWO_CODINGS;
    read_names(a, h);
}
