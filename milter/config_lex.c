/* config_lex.c - the words, strings and signs of a configuration file. */
#include <stdarg.h>
#include <string.h>

#include "config_lex.h"
#include "config_tree.h"

#define MOST_ERRORS 100 /* more of them help nobody; a binary file would make thousands */

void lexer_error(struct lexer *x, unsigned line, const char *format, ...)
{
    struct place at = {x->file, line};
    struct str text;
    struct buf b;
    va_list ap;

    if (x->budget->spent)
        return;
    for (unsigned i = 0; i < LEX_RECENT; i++)
        if (x->complained[i] == line)
            return;
    x->complained[x->complaints++ % LEX_RECENT] = line;
    b = buf_in(x->problems->arena);
    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    text = buf_str(&b);
    problem_error(x->problems, at, STR_FMT, STR_ARG(text));
    if (++x->budget->errors >= MOST_ERRORS) {
        problem_error(x->problems, at, "%d errors are enough: the rest is not read", MOST_ERRORS);
        x->budget->spent = true;
    }
}

static bool is_word_byte(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c && strchr("._:/-+@%*[]$!~^|&?<>", c);
}

static bool is_sign(char c)
{
    return c && strchr("{}(),=\"'#", c);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool starts_comment(struct str s)
{
    return str_starts(s, STR("#")) || str_starts(s, STR("//")) || str_starts(s, STR("/*"));
}

bool lexer_is_word(struct str text)
{
    if (text.n == 0 || starts_comment(text))
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (!is_word_byte(text.p[i]))
            return false;
    return true;
}

void lexer_open(struct lexer *x, struct arena *a, struct problems *problems, struct lex_budget *budget, struct str file,
                struct str text)
{
    size_t nul = str_find(text, '\0');

    *x = (struct lexer){.arena = a, .problems = problems, .budget = budget, .file = file, .line = 1};
    if (nul < text.n) {
        unsigned line = 1;

        for (size_t i = 0; i < nul; i++)
            line += text.p[i] == '\n';
        lexer_error(x, line, "a NUL byte: this is not a text file, and what follows is not read");
        x->cut = true;
    }
    x->text = str_slice(text, 0, nul);
    if (str_starts(x->text, STR("\xef\xbb\xbf"))) /* some editors begin a UTF-8 file with this */
        x->line_start = x->pos = 3;
}

static struct str rest(const struct lexer *x)
{
    return str_slice(x->text, x->pos, x->text.n);
}

static void skip_comment(struct lexer *x)
{
    struct str s = rest(x);
    unsigned opened = x->line;
    const char *end;

    if (!str_starts(s, STR("/*"))) {
        x->pos += str_find(s, '\n');
        return;
    }
    end = memmem(s.p + 2, s.n - 2, "*/", 2);
    if (!end) {
        lexer_error(x, opened, "the comment that starts here is never closed");
        x->cut = true;
        x->pos = x->text.n;
        return;
    }
    for (const char *p = s.p; p < end; p++) {
        if (*p != '\n')
            continue;
        x->line++;
        x->line_start = (size_t)(p + 1 - x->text.p);
        x->line_has_token = false;
    }
    x->pos = (size_t)(end + 2 - x->text.p);
}

/* skip_stray - complain about bytes without a meaning. */
static void skip_stray(struct lexer *x)
{
    size_t from = x->pos;
    struct str run;

    while (x->pos < x->text.n) {
        char c = x->text.p[x->pos];

        if (is_word_byte(c) || is_sign(c) || is_blank(c))
            break;
        x->pos++;
    }
    run = str_slice(x->text, from, x->pos);
    if (run.p[0] == ';')
        lexer_error(x, x->line, "\";\" is not needed: entries are separated by blanks or line ends");
    else if (run.n >= 3 && memcmp(run.p, "\xe2\x80", 2) == 0 && (run.p[2] & 0xf8) == 0x98)
        lexer_error(x, x->line, "a typographic quotation mark: write a plain \" or '");
    else {
        run = conf_shown(x->problems->arena, run);
        lexer_error(x, x->line, "stray \"" STR_FMT "\": text with such bytes needs quotes", STR_ARG(run));
    }
}

static void skip_blanks(struct lexer *x)
{
    while (x->pos < x->text.n) {
        char c = x->text.p[x->pos];

        if (c == '\n') {
            x->line++;
            x->line_start = x->pos + 1;
            x->line_has_token = false;
        }
        if (is_blank(c))
            x->pos++;
        else if (starts_comment(rest(x)))
            skip_comment(x);
        else if (is_word_byte(c) || is_sign(c))
            return;
        else
            skip_stray(x);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* add_escape - what the escape at the start of s means; returns how many bytes of s it takes. */
static size_t add_escape(struct lexer *x, struct buf *b, struct str s)
{
    int high, low;

    switch (s.n > 1 ? s.p[1] : 0) {
    case 'n':
        buf_addc(b, '\n');
        return 2;
    case 't':
        buf_addc(b, '\t');
        return 2;
    case '"':
    case '\\':
        buf_addc(b, s.p[1]);
        return 2;
    case 'x':
        high = s.n > 3 ? hex_digit(s.p[2]) : -1;
        low = s.n > 3 ? hex_digit(s.p[3]) : -1;
        if (high < 0 || low < 0)
            lexer_error(x, x->line, "a backslash and \"x\" in a string need two hexadecimal digits after them");
        else if (high + low == 0)
            lexer_error(x, x->line, "a NUL byte is not possible in a string");
        else
            buf_addc(b, (char)(high * 16 + low));
        return s.n < 4 ? s.n : 4;
    default:
        lexer_error(x, x->line, "a backslash before \"" STR_FMT "\" means nothing: write it twice, or use 'single "
                    "quotes'", STR_ARG(str_slice(s, 1, 2)));
        return 2;
    }
}

/* string_value - the text between the quotes, in the file if nothing in it needs to be changed. */
static struct str string_value(struct lexer *x, struct str raw, char quote)
{
    struct buf b;

    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            lexer_error(x, x->line, "a control byte in a string: %c", c);
    }
    if (quote == '\'' || str_find(raw, '\\') == raw.n)
        return raw;
    b = buf_in(x->arena);
    while (raw.n) {
        size_t plain = str_find(raw, '\\');

        buf_add(&b, str_slice(raw, 0, plain));
        raw = str_slice(raw, plain, raw.n);
        if (raw.n)
            raw = str_slice(raw, add_escape(x, &b, raw), raw.n);
    }
    return buf_str(&b);
}

/* lex_string - a string ends on its line: otherwise one forgotten quote would turn the rest of the file inside out.
 * An open one is closed before the next comma or brace, where its quote most likely belongs. */
static struct str lex_string(struct lexer *x, bool *broken)
{
    char quote = x->text.p[x->pos];
    struct str s, start;
    size_t n = 0;

    x->pos++;
    s = str_slice(rest(x), 0, str_find(rest(x), '\n'));
    while (n < s.n && s.p[n] != quote)
        n += quote == '"' && s.p[n] == '\\' ? 2 : 1;
    if (n < s.n) {
        x->pos += n + 1;
        return string_value(x, str_slice(s, 0, n), quote);
    }
    start = conf_shown(x->problems->arena, str_trim(s));
    for (n = 0; n < s.n && s.p[n] != ',' && s.p[n] != '}';)
        n++;
    x->pos += n;
    s = str_trim(str_slice(s, 0, n));
    *broken = true;
    lexer_error(x, x->line, "the string %c" STR_FMT " has no closing %c on its line", quote, STR_ARG(start), quote);
    return s;
}

static struct str lex_word(struct lexer *x)
{
    struct str s = rest(x);
    size_t n = 0;

    while (n < s.n && is_word_byte(s.p[n]) && !(s.p[n] == '+' && n + 1 < s.n && s.p[n + 1] == '='))
        n++;
    x->pos += n;
    return str_slice(s, 0, n);
}

struct token lexer_next(struct lexer *x)
{
    static const char signs[] = "={}(),";
    static const enum token_kind kinds[] = {TOKEN_EQUALS, TOKEN_OPEN,  TOKEN_CLOSE,
                                            TOKEN_LEFT,   TOKEN_RIGHT, TOKEN_COMMA};
    struct token t = {0};
    const char *sign;

    if (!x->budget->spent)
        skip_blanks(x);
    t.line = x->line;
    if (x->budget->spent || x->pos >= x->text.n)
        return t;
    t.column = (unsigned)(x->pos - x->line_start);
    t.first = !x->line_has_token;
    x->line_has_token = true;
    sign = strchr(signs, x->text.p[x->pos]);
    if (sign) {
        t.kind = kinds[sign - signs];
        t.text = str_slice(x->text, x->pos, x->pos + 1);
        x->pos++;
    } else if (str_starts(rest(x), STR("+="))) {
        t.kind = TOKEN_APPEND;
        t.text = STR("+=");
        x->pos += 2;
    } else if (x->text.p[x->pos] == '"' || x->text.p[x->pos] == '\'') {
        t.kind = TOKEN_STRING;
        t.text = lex_string(x, &t.broken);
    } else {
        t.kind = TOKEN_WORD;
        t.text = lex_word(x);
    }
    return t;
}
