/* config_parse.h - the parser of one configuration file; private to config_tree.c.
 *
 * After a mistake it goes on at the next line or brace, and a line is complained about once: what follows from a
 * mistake is not the administrator's business.
 */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include <sys/types.h>

#include "config_lex.h"
#include "config_tree.h"

#define PARSER_AHEAD 4

struct chain {
    struct conf_entry *head;
    struct conf_entry **tail;
};

struct parser {
    struct lexer lex;
    struct token ahead[PARSER_AHEAD]; /* ahead[0] is the one to look at now */
    struct str valued;                /* the entry that got its value last, */
    unsigned valued_line;             /* and the line where that ended; 0: none */
    struct parser *includer;          /* NULL: the file that was asked for */
    unsigned depth;                   /* of includes */
    bool in_memory;                   /* no file, hence no include() */
    dev_t dev;
    ino_t ino;
};

/* parser_run - parse text into the chain, nest sections deep already. p->lex has arena, problems, budget and file. */
void parser_run(struct parser *p, struct str text, struct chain *chain, unsigned nest);

/* parser_count_entry - one more; false when it is one too many, which has been said. */
bool parser_count_entry(struct parser *p, unsigned line);

/* parser_include - what include(path) names, in place; config_tree.c has it. */
void parser_include(struct parser *p, const struct token *path, struct chain *chain, unsigned nest);

#endif
