/* config_parse.c - from tokens to entries, and what to say when they make none. */
#include <string.h>

#include "config_parse.h"

#define MOST_DEPTH 16 /* of sections */
#define MOST_ENTRIES 100000
#define MOST_VALUES 1000000

/* What the parser keeps with an entry for repairing an open section; see hoist(). */
struct node {
    struct conf_entry entry;
    unsigned column;
    bool first; /* of its line */
};

/* shown - for the parser's own complaints, as a C string (no text here has a NUL byte). */
static const char *shown(struct parser *p, struct str text)
{
    return str_c(p->lex.problems->arena, conf_shown(p->lex.problems->arena, text));
}

static void advance(struct parser *p)
{
    memmove(p->ahead, p->ahead + 1, (PARSER_AHEAD - 1) * sizeof *p->ahead);
    p->ahead[PARSER_AHEAD - 1] = lexer_next(&p->lex);
    if (p->lex.budget->spent)
        memset(p->ahead, 0, sizeof p->ahead);
}

static bool is_text(const struct token *t)
{
    return t->kind == TOKEN_WORD || t->kind == TOKEN_STRING;
}

static bool is_name(const struct token *t)
{
    if (t->kind != TOKEN_WORD || t->text.n == 0)
        return false;
    for (size_t i = 0; i < t->text.n; i++) {
        char c = t->text.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (i && ((c >= '0' && c <= '9') || c == '-'))))
            return false;
    }
    return true;
}

/* titled_section - NAME "TITLE" {, all on one line. */
static bool titled_section(const struct token *t)
{
    return is_name(&t[0]) && is_text(&t[1]) && t[1].line == t[0].line && t[2].kind == TOKEN_OPEN;
}

/* starts_entry - what stands here is an entry, not a value: how a missing value or brace is noticed where it is. */
static bool starts_entry(const struct token *t)
{
    if (!is_name(&t[0]))
        return false;
    return t[1].kind == TOKEN_EQUALS || t[1].kind == TOKEN_APPEND || t[1].kind == TOKEN_OPEN ||
           (t[1].kind == TOKEN_LEFT && str_is(t[0].text, STR("include"))) || titled_section(t);
}

/* skip_line - after a mistake: go on at the next line or at the end of the section, over whole { } pairs. */
static void skip_line(struct parser *p)
{
    size_t open = 0;

    do {
        if (p->ahead[0].kind == TOKEN_OPEN)
            open++;
        else if (p->ahead[0].kind == TOKEN_CLOSE && open)
            open--;
        advance(p);
    } while (p->ahead[0].kind != TOKEN_END && (open || (!p->ahead[0].first && p->ahead[0].kind != TOKEN_CLOSE)));
}

bool parser_count_entry(struct parser *p, unsigned line)
{
    struct lex_budget *budget = p->lex.budget;

    if (++budget->entries > MOST_ENTRIES && !budget->spent) {
        problem_error(p->lex.problems, (struct place){p->lex.file, line}, "more than %d entries: the rest is not read",
                      MOST_ENTRIES);
        budget->spent = true;
    }
    return !budget->spent;
}

static struct node *entry_new(struct parser *p, struct chain *chain, enum conf_kind kind, const struct token *name)
{
    struct node *n = arena_zalloc(p->lex.arena, sizeof *n);

    n->entry = (struct conf_entry){.kind = kind, .name = name->text, .at = {p->lex.file, name->line}};
    n->column = name->column;
    n->first = name->first;
    *chain->tail = &n->entry;
    chain->tail = &n->entry.next;
    parser_count_entry(p, name->line);
    return n;
}

static void value_add(struct parser *p, struct conf_entry *e)
{
    struct place at = {p->lex.file, p->ahead[0].line};

    e->values = arena_grow(p->lex.arena, e->values, e->count, sizeof *e->values);
    e->values[e->count++] = (struct conf_value){p->ahead[0].text, at};
    if (++p->lex.budget->values > MOST_VALUES && !p->lex.budget->spent) {
        problem_error(p->lex.problems, at, "more than %d values: the rest is not read", MOST_VALUES);
        p->lex.budget->spent = true;
    }
    advance(p);
}

/* skip_braces - over a { with everything up to its }. */
static void skip_braces(struct parser *p)
{
    size_t open = 0;

    do {
        if (p->ahead[0].kind == TOKEN_OPEN)
            open++;
        else if (p->ahead[0].kind == TOKEN_CLOSE)
            open--;
        advance(p);
    } while (open && p->ahead[0].kind != TOKEN_END);
}

/* list_mistake - complain about what can neither be a value of the list nor follow one, and step over it. */
static void list_mistake(struct parser *p, struct conf_entry *e)
{
    const struct token *t = &p->ahead[0];

    if (t->kind == TOKEN_COMMA) {
        lexer_error(&p->lex, t->line, "a comma without a value before it in the list of \"%s\"", shown(p, e->name));
    } else if (t->kind == TOKEN_OPEN) {
        lexer_error(&p->lex, t->line, "a list within the list of \"%s\"", shown(p, e->name));
        skip_braces(p);
        return;
    } else {
        lexer_error(&p->lex, t->line, "\"%s\" in the list of \"%s\": text with such bytes needs quotes",
                    shown(p, t->text), shown(p, e->name));
        if (is_text(&t[1]) && t[1].line == t->line)
            advance(p);
    }
    advance(p);
}

/* parse_list - the parser stands at the list's opening brace. */
static void parse_list(struct parser *p, struct conf_entry *e)
{
    const struct token *t = &p->ahead[0];
    unsigned opened = t->line;
    bool need_comma = false;

    advance(p);
    while (t->kind != TOKEN_CLOSE) {
        if (t->kind == TOKEN_END || (starts_entry(t) && (t->first || need_comma))) {
            if (!p->lex.cut || t->kind != TOKEN_END)
                lexer_error(&p->lex, opened, "the list of \"%s\" opened here is never closed", shown(p, e->name));
            return;
        }
        if (is_text(t)) {
            if (need_comma)
                lexer_error(&p->lex, t->line, "a comma is missing before \"%s\" in the list of \"%s\"",
                            shown(p, t->text), shown(p, e->name));
            if (t->broken)
                advance(p);
            else
                value_add(p, e);
            need_comma = true;
        } else if (t->kind == TOKEN_COMMA && need_comma) {
            advance(p);
            need_comma = false;
        } else {
            list_mistake(p, e);
        }
    }
    p->valued = e->name;
    p->valued_line = t->line;
    advance(p);
}

static void parse_entries(struct parser *p, struct chain *chain, bool in_section, unsigned nest);

/* hoist - a section that is never closed has taken in everything up to the end of the file. What stands there no deeper
 * than the section itself goes back to its parent, so that the one mistake is not followed by a hundred. */
static void hoist(struct chain *parent, struct node *section)
{
    struct conf_entry **link = &section->entry.children;

    if (!section->first)
        return;
    for (; *link; link = &(*link)->next) {
        const struct node *child = (const struct node *)*link;

        if (child->first && child->column <= section->column && child->entry.at.line > section->entry.at.line &&
            child->entry.at.file.p == section->entry.at.file.p)
            break;
    }
    *parent->tail = *link;
    *link = NULL;
    while (*parent->tail)
        parent->tail = &(*parent->tail)->next;
}

/* parse_body - the parser stands at the opening brace of a section. */
static void parse_body(struct parser *p, struct chain *chain, struct node *n, unsigned nest)
{
    struct chain inner = {NULL, &n->entry.children};

    if (nest >= MOST_DEPTH) {
        lexer_error(&p->lex, p->ahead[0].line, "sections nest deeper than %d", MOST_DEPTH);
        skip_braces(p);
        return;
    }
    advance(p);
    parse_entries(p, &inner, true, nest + 1);
    p->valued_line = 0;
    if (p->ahead[0].kind == TOKEN_CLOSE) {
        advance(p);
        return;
    }
    if (!p->lex.cut)
        lexer_error(&p->lex, n->entry.at.line, "section \"%s\" opened here is never closed",
                    shown(p, n->entry.title.n ? n->entry.title : n->entry.name));
    hoist(chain, n);
}

/* parse_section - the parser stands at its name; it is known that { follows, after a title or not. */
static void parse_section(struct parser *p, struct chain *chain, unsigned nest)
{
    struct node *n = entry_new(p, chain, CONF_SECTION, &p->ahead[0]);

    advance(p);
    if (p->ahead[0].kind != TOKEN_OPEN) {
        n->entry.title = p->ahead[0].text;
        advance(p);
    }
    parse_body(p, chain, n, nest);
}

/* parse_scalar - the parser stands at the value. */
static void parse_scalar(struct parser *p, struct chain *chain, const struct token *name, bool append)
{
    struct conf_entry *e;

    p->valued = name->text;
    p->valued_line = p->ahead[0].line;
    if (p->ahead[0].broken) {
        advance(p);
        return;
    }
    e = &entry_new(p, chain, CONF_SCALAR, name)->entry;
    e->append = append;
    value_add(p, e);
}

/* parse_option - the parser stands at the name; it is known that = or += follows. */
static void parse_option(struct parser *p, struct chain *chain, unsigned nest)
{
    const struct token *t = &p->ahead[0];
    struct token name = t[0];
    struct conf_entry *e;
    bool append = t[1].kind == TOKEN_APPEND;

    advance(p);
    advance(p);
    if (t->kind == TOKEN_OPEN && t[1].first && starts_entry(&t[1])) {
        lexer_error(&p->lex, name.line,
                    "\"%s\" opens a list, but entries follow: a section has no \"=\", and a list needs its \"}\"",
                    shown(p, name.text));
        parse_body(p, chain, entry_new(p, chain, CONF_SECTION, &name), nest);
    } else if (t->kind == TOKEN_OPEN) {
        e = &entry_new(p, chain, CONF_LIST, &name)->entry;
        e->append = append;
        parse_list(p, e);
    } else if (is_text(t) && !(t->first && (starts_entry(t) || (is_name(t) && is_text(&t[1]) && !t[1].first)))) {
        parse_scalar(p, chain, &name, append);
    } else {
        lexer_error(&p->lex, name.line, "\"%s\" has no value", shown(p, name.text));
        if (!t->first && t->kind != TOKEN_CLOSE && t->kind != TOKEN_END)
            skip_line(p);
    }
}

/* mistake_after_value - what stands behind the value of an option on its line. */
static void mistake_after_value(struct parser *p)
{
    const struct token *t = &p->ahead[0];
    const char *text = shown(p, t->text), *name = shown(p, p->valued);
    struct lexer *x = &p->lex;

    if (is_text(t))
        lexer_error(x, t->line, "\"%s\" follows the value of \"%s\": text with blanks needs quotes, several values "
                    "need braces", text, name);
    else if (t->kind == TOKEN_COMMA)
        lexer_error(x, t->line, "a comma follows the value of \"%s\": a list is written %s = {\"a\", \"b\"}", name,
                    name);
    else if (t->kind == TOKEN_OPEN)
        lexer_error(x, t->line, "\"{\" follows the value of \"%s\": a section has no \"=\" before its \"{\"", name);
    else
        lexer_error(x, t->line, "\"%s\" follows the value of \"%s\": text with such bytes needs quotes", text, name);
    skip_line(p);
}

/* mistake - complain about what is no entry, with the likeliest remedy, and go on behind it. */
static void mistake(struct parser *p)
{
    const struct token *t = &p->ahead[0];
    const char *text = shown(p, t->text);
    struct lexer *x = &p->lex;

    if (t->kind == TOKEN_OPEN) {
        lexer_error(x, t->line, "\"{\" without the name of a section before it");
        skip_braces(p);
        return;
    }
    if (t->kind == TOKEN_STRING)
        lexer_error(x, t->line, "the string \"%s\" belongs to nothing: an option is written NAME = VALUE", text);
    else if (t->kind != TOKEN_WORD)
        lexer_error(x, t->line, "\"%s\" without a name before it", text);
    else if (t[1].kind == TOKEN_LEFT)
        lexer_error(x, t->line, "\"%s(\": only include(\"FILE\") is written with parentheses", text);
    else if (!is_name(t))
        lexer_error(x, t->line, "\"%s\" is not a name: an option is written NAME = VALUE", text);
    else if (is_text(&t[1]) && t[1].line == t->line)
        lexer_error(x, t->line, "\"=\" is missing after \"%s\"", text);
    else
        lexer_error(x, t->line, "\"%s\" stands alone: write %s = VALUE, or %s { ... } for a section", text, text, text);
    skip_line(p);
}

/* list_without_equals - NAME {"a", ...}: a section's name would be followed by entries. */
static bool list_without_equals(const struct token *t)
{
    if (!is_name(&t[0]) || t[1].kind != TOKEN_OPEN || !is_text(&t[2]))
        return false;
    return t[2].kind == TOKEN_STRING || t[3].kind == TOKEN_COMMA || t[3].kind == TOKEN_CLOSE;
}

static void parse_include(struct parser *p, struct chain *chain, unsigned nest)
{
    const struct token *t = &p->ahead[0];
    struct token path = t[2];

    if (!is_text(&t[2]) || t[3].kind != TOKEN_RIGHT) {
        lexer_error(&p->lex, t->line, "include is written include(\"FILE\")");
        skip_line(p);
        return;
    }
    /* The tokens read ahead are this file's; the included one has a parser of its own. */
    for (int i = 0; i < PARSER_AHEAD; i++)
        advance(p);
    p->valued_line = 0;
    parser_include(p, &path, chain, nest);
}

static void parse_entry(struct parser *p, struct chain *chain, unsigned nest)
{
    struct token *t = &p->ahead[0];

    if (t[0].kind == TOKEN_STRING && (t[1].kind == TOKEN_EQUALS || t[1].kind == TOKEN_APPEND) &&
        p->valued_line != t[0].line) {
        lexer_error(&p->lex, t[0].line, "a name is written without quotes: %s", shown(p, t[0].text));
        t[0].kind = TOKEN_WORD;
    }
    if (t[0].kind == TOKEN_WORD && str_is(t[0].text, STR("include")) && t[1].kind == TOKEN_LEFT) {
        parse_include(p, chain, nest);
    } else if (list_without_equals(t)) {
        struct conf_entry *e = &entry_new(p, chain, CONF_LIST, &t[0])->entry;

        lexer_error(&p->lex, t[0].line, "\"=\" is missing between \"%s\" and its list", shown(p, t[0].text));
        advance(p);
        parse_list(p, e);
    } else if (titled_section(t) || (is_name(&t[0]) && t[1].kind == TOKEN_OPEN)) {
        parse_section(p, chain, nest);
    } else if (is_name(&t[0]) && (t[1].kind == TOKEN_EQUALS || t[1].kind == TOKEN_APPEND)) {
        parse_option(p, chain, nest);
    } else if (p->valued_line == t[0].line) {
        mistake_after_value(p);
    } else {
        mistake(p);
    }
}

static void parse_entries(struct parser *p, struct chain *chain, bool in_section, unsigned nest)
{
    p->valued_line = 0;
    for (;;) {
        if (p->ahead[0].kind == TOKEN_END || (in_section && p->ahead[0].kind == TOKEN_CLOSE))
            return;
        if (p->ahead[0].kind == TOKEN_CLOSE) {
            lexer_error(&p->lex, p->ahead[0].line, "unexpected \"}\": no section is open here");
            advance(p);
        } else {
            parse_entry(p, chain, nest);
        }
    }
}

void parser_run(struct parser *p, struct str text, struct chain *chain, unsigned nest)
{
    struct lexer *x = &p->lex;

    lexer_open(x, x->arena, x->problems, x->budget, x->file, text);
    for (size_t i = 0; i < PARSER_AHEAD; i++)
        p->ahead[i] = lexer_next(x);
    parse_entries(p, chain, false, nest);
}
