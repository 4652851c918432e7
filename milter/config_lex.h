/* config_lex.h - the words, strings and signs of a configuration file, and the errors in it; private to config_tree.c.
 *
 * Comments and blanks are gone here. A byte that has no meaning is complained about and skipped, a string without its
 * closing quote is complained about and closed, so that the parser goes on with something sensible.
 */
#ifndef CONFIG_LEX_H
#define CONFIG_LEX_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_STRING,
    TOKEN_EQUALS,
    TOKEN_APPEND, /* += */
    TOKEN_OPEN,   /* { */
    TOKEN_CLOSE,  /* } */
    TOKEN_COMMA,
    TOKEN_LEFT,   /* ( */
    TOKEN_RIGHT,  /* ) */
};

struct token {
    enum token_kind kind;
    struct str text; /* of a string: without quotes and escapes */
    unsigned line;
    unsigned column; /* from 0 */
    bool first;      /* of its line */
    bool broken;     /* a string that was not closed: where it ends is a guess, so nobody should judge what is in it */
};

/* What one load may take, over all included files. */
struct lex_budget {
    unsigned errors;
    unsigned entries;
    unsigned values;
    bool spent; /* an error has said so; nothing more is read */
};

#define LEX_RECENT 8

struct lexer {
    struct arena *arena;
    struct problems *problems;
    struct lex_budget *budget;
    struct str file;
    struct str text;
    size_t pos;
    size_t line_start;
    unsigned line;
    bool line_has_token;
    bool cut; /* ended within a comment or at a NUL byte: what is then still open is not worth a word */
    unsigned complained[LEX_RECENT]; /* the last lines with an error */
    unsigned complaints;
};

/* lexer_open - begin with a text called `file`, which must live as long as the tokens. */
void lexer_open(struct lexer *x, struct arena *a, struct problems *problems, struct lex_budget *budget, struct str file,
                struct str text);
struct token lexer_next(struct lexer *x);

/* lexer_error - complain, unless this line has had its error: what follows from one mistake is noise. */
void lexer_error(struct lexer *x, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));

bool lexer_is_word(struct str text); /* it could be written without quotes */

#endif
