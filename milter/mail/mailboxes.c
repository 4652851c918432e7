/* mailboxes.c - the addresses of a From field, as RFC 5322 has them and as a lenient reader might see them.
 *
 * One pass over tokens. Whoever forges a From field writes it so that two programs read two addresses; so every @ that
 * stands outside comments and quoted strings gives a mailbox, whatever is wrong around it, and when it is in doubt
 * where a quoted string or comment ends, every @ at all does (sweep). Nothing is read more than a fixed number of
 * times: what has no closing bracket, quote or parenthesis is remembered and not looked for again.
 */
#include <string.h>

#include "address.h"
#include "utf8.h"

#define MAILBOXES_MAX 256
#define COMMENT_DEPTH 64
#define PART_MAX_BYTES 1024 /* of a local part or domain; no mail goes to a longer one */
#define SWEEP_MAX 1024      /* signs looked at */

#define CONTROL 0x7f

enum token { TOKEN_END, TOKEN_ATOM, TOKEN_QUOTED }; /* any other byte stands for itself */

struct part {
    char text[PART_MAX_BYTES];
    size_t n;
    bool good;
};

struct parser {
    struct arena *arena;
    struct str s;
    size_t at;
    struct str token; /* the last one read */
    struct mailbox_list list;
    bool full;     /* the cap was met */
    bool doubtful; /* it can be read in more than one way where quoting ends */
    bool no_quote, no_comment, no_bracket; /* from here on none is closed */

    bool in_group, had_group;
    bool in_angle;
    bool has_address;  /* nothing more may come before the next comma */
    unsigned runs;     /* of words joined by dots, since the comma or angle bracket */
    bool after_dot;
    struct part local; /* the last of these runs */
};

static bool is_atom_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80 ||
           (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void bad(struct parser *p)
{
    p->list.well_formed = false;
}

static void doubt(struct parser *p)
{
    p->doubtful = true;
    bad(p);
}

static void part_clear(struct part *part)
{
    part->n = 0;
    part->good = true;
}

static void part_add(struct part *part, struct str s)
{
    size_t room = sizeof part->text - part->n;

    if (s.n > room) {
        s.n = room;
        part->good = false;
    }
    if (s.n)
        memcpy(part->text + part->n, s.p, s.n);
    part->n += s.n;
}

static struct str part_str(const struct part *part)
{
    return (struct str){part->text, part->n};
}

/* closing - the offset of the byte `c` that closes what opens at `from`, or s.n; backslashes hide one byte. */
static size_t closing(struct str s, size_t from, char c)
{
    for (size_t i = from + 1; i < s.n; i++) {
        if (s.p[i] == c)
            return i;
        if (s.p[i] == '\\')
            i++;
    }
    return s.n;
}

/* comment_end - the offset behind the comment that opens at `from`; 0 when it is not closed. */
static size_t comment_end(struct parser *p, size_t from)
{
    size_t depth = 0;

    for (size_t i = from; i < p->s.n; i++) {
        char c = p->s.p[i];

        if (c == '\\')
            i++;
        else if (c == '(' && ++depth > COMMENT_DEPTH)
            doubt(p); /* other readers may give up here, and see what follows */
        else if (c == ')' && --depth == 0)
            return i + 1;
    }
    return 0;
}

static void skip_cfws(struct parser *p)
{
    while (p->at < p->s.n) {
        char c = p->s.p[p->at];

        if (c == '(' && !p->no_comment) {
            size_t end = comment_end(p, p->at);

            if (!end) {
                p->no_comment = true;
                doubt(p);
                return;
            }
            p->at = end;
        } else if (is_space(c)) {
            char after = p->s.p[++p->at]; /* there is one: the value was trimmed */

            if ((c == '\n' && after != ' ' && after != '\t') || (c == '\r' && after != '\n'))
                doubt(p);
        } else {
            return;
        }
    }
}

/* next - read a token: TOKEN_ATOM, TOKEN_QUOTED, TOKEN_END or a byte. */
static int next(struct parser *p)
{
    size_t from;

    skip_cfws(p);
    from = p->at;
    if (from == p->s.n)
        return TOKEN_END;
    if (p->s.p[from] == '"' && !p->no_quote) {
        size_t end = closing(p->s, from, '"');

        if (end < p->s.n) {
            p->at = end + 1;
            p->token = str_slice(p->s, from, p->at);
            return TOKEN_QUOTED;
        }
        p->no_quote = true;
        doubt(p);
    }
    if (!is_atom_byte(p->s.p[from])) {
        p->at++;
        p->token = str_slice(p->s, from, p->at);
        /* A control byte of the field must not look like TOKEN_END or a word; all of them are equally bad. */
        return (unsigned char)p->s.p[from] < 0x20 ? CONTROL : p->s.p[from];
    }
    while (p->at < p->s.n && is_atom_byte(p->s.p[p->at]))
        p->at++;
    p->token = str_slice(p->s, from, p->at);
    return TOKEN_ATOM;
}

static void emit(struct parser *p, struct str local, struct str domain)
{
    struct mailbox_list *list = &p->list;
    struct buf address;

    if (list->count == MAILBOXES_MAX) {
        p->full = true;
        bad(p);
        return;
    }
    if (!local.n || !domain.n || !utf8_is_valid(local) || !utf8_is_valid(domain))
        bad(p);
    domain = str_lower(p->arena, domain);
    address = buf_in(p->arena);
    buf_add(&address, local);
    if (domain.n)
        buf_addc(&address, '@');
    buf_add(&address, domain);
    list->domains = arena_grow(p->arena, list->domains, list->count, sizeof *list->domains);
    list->addresses = arena_grow(p->arena, list->addresses, list->count, sizeof *list->addresses);
    list->domains[list->count] = domain;
    list->addresses[list->count++] = buf_str(&address);
}

/* take_literal - "[192.0.2.1]" without the white space that may be folded into it. */
static void take_literal(struct parser *p, struct part *domain)
{
    size_t end = p->no_bracket ? p->s.n : closing(p->s, p->at, ']');

    if (end == p->s.n) {
        p->no_bracket = true;
        doubt(p);
        return;
    }
    for (size_t i = p->at; i <= end; i++) {
        char c = p->s.p[i];

        /* RFC 5322 allows nearly everything in it, but whoever writes more than an address hides something. */
        if (!is_atom_byte(c) && !is_space(c) && c != '.' && c != ':' && i > p->at && i < end)
            doubt(p);
        if (!is_space(c))
            part_add(domain, (struct str){&c, 1});
    }
    if (!domain->good) { /* cut: no literal any more */
        domain->n = 0;
        doubt(p);
    }
    p->at = end + 1;
}

/* take_domain - what follows an @; leaves the next token unread. */
static void take_domain(struct parser *p, struct part *domain)
{
    bool after_dot = true;

    part_clear(domain);
    skip_cfws(p);
    if (p->at < p->s.n && p->s.p[p->at] == '[') {
        take_literal(p, domain);
        return;
    }
    for (;;) {
        size_t before = p->at;
        int token = next(p);

        if (token == TOKEN_ATOM && after_dot) {
            part_add(domain, p->token);
            after_dot = false;
        } else if (token == '.') {
            if (after_dot)
                domain->good = false;
            if (domain->n)
                part_add(domain, STR("."));
            after_dot = true;
        } else {
            if (token == TOKEN_QUOTED && after_dot)
                doubt(p); /* a@"b" */
            p->at = before;
            break;
        }
    }
    if (after_dot)
        domain->good = false;
    while (domain->n && domain->text[domain->n - 1] == '.')
        domain->n--;
}

/* take_route - after "<@": domains up to a colon (RFC 5322, 4.4). What has no colon is an address without local part. */
static void take_route(struct parser *p)
{
    struct part domain;
    size_t before;
    int token;

    do {
        take_domain(p, &domain);
        if (!domain.good)
            bad(p);
        do {
            before = p->at;
            token = next(p);
        } while (token == ',');
    } while (token == '@');
    if (token == ':')
        return;
    p->at = before;
    p->has_address = true;
    doubt(p);
    emit(p, STR_NONE, part_str(&domain));
}

static void on_word(struct parser *p)
{
    struct str rest = p->token;

    if (p->has_address)
        bad(p);
    if (!p->after_dot)
        part_clear(&p->local);
    if (!p->after_dot || p->runs == 0)
        p->runs++;
    p->after_dot = false;
    while (rest.n) { /* a quoted string may be folded */
        size_t line = 0;

        while (line < rest.n && rest.p[line] != '\r' && rest.p[line] != '\n')
            line++;
        part_add(&p->local, str_slice(rest, 0, line));
        rest = str_slice(rest, line + 1, rest.n);
    }
}

static void on_dot(struct parser *p)
{
    if (p->has_address || p->runs == 0)
        bad(p);
    if (p->after_dot)
        p->local.good = false;
    part_add(&p->local, STR("."));
    p->after_dot = true;
}

static void on_at(struct parser *p)
{
    struct part domain;

    if (p->in_angle && p->runs == 0 && !p->has_address) {
        take_route(p);
        return;
    }
    take_domain(p, &domain);
    if (p->has_address || p->runs != 1 || p->after_dot || !p->local.good || !domain.good)
        bad(p);
    emit(p, part_str(&p->local), part_str(&domain));
    /* In a@b@c the second one's local part is a@b. */
    part_add(&p->local, STR("@"));
    part_add(&p->local, part_str(&domain));
    p->has_address = true;
    p->after_dot = false;
}

/* clear_run - what comes next is not part of the word before it. */
static void clear_run(struct parser *p)
{
    p->runs = 0;
    p->after_dot = false;
    part_clear(&p->local);
}

/* end_mailbox - at a comma, a semicolon or the end. An empty one is an obsolete form (RFC 5322, 4.4). */
static void end_mailbox(struct parser *p)
{
    if (p->in_angle)
        bad(p);
    if (!p->has_address && (p->runs || p->in_angle))
        emit(p, part_str(&p->local), STR_NONE);
    p->in_angle = p->has_address = false;
    clear_run(p);
}

static void on_close(struct parser *p)
{
    if (!p->in_angle) {
        bad(p);
        return;
    }
    if (!p->has_address)
        emit(p, part_str(&p->local), STR_NONE);
    p->in_angle = false;
    p->has_address = true;
    clear_run(p);
}

/* on_special - any token but words, dots, @ and the end. */
static void on_special(struct parser *p, int token)
{
    if (token == '>') {
        on_close(p);
        return;
    }
    if (token == '<') {
        if (p->in_angle || p->has_address)
            bad(p);
        p->in_angle = true;
        p->has_address = false;
        clear_run(p);
        return;
    }
    if (token == ':' && p->runs && !p->in_group && !p->in_angle && !p->has_address) {
        p->in_group = p->had_group = true;
        clear_run(p);
        return;
    }
    if ((token == ',' || token == ';') && !p->in_angle) {
        end_mailbox(p);
        if (token == ',')
            return;
        if (!p->in_group)
            bad(p);
        p->has_address = p->in_group; /* a comma must follow */
        p->in_group = false;
        return;
    }
    bad(p);
    if (token == '\\' || token == CONTROL)
        doubt(p);
    clear_run(p);
}

static bool is_listed(const struct mailbox_list *list, struct str domain)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_is_nocase(list->domains[i], domain))
            return true;
    return false;
}

/* sweep - every domain that stands behind an @ anywhere, quoted or not, and is not listed yet. */
static void sweep(struct parser *p)
{
    struct str s = p->s;
    size_t at = str_find(s, '@');

    for (unsigned seen = 0; at < s.n && !p->full && seen < SWEEP_MAX; seen++) {
        size_t local = at, from = at + 1, to, limit;

        while (local > 0 && at - local < 64 && (is_atom_byte(s.p[local - 1]) || s.p[local - 1] == '.'))
            local--;
        limit = from + PART_MAX_BYTES < s.n ? from + PART_MAX_BYTES : s.n;
        while (from < limit && (is_space(s.p[from]) || memchr("\"[(<\\.", s.p[from], 7)))
            from++; /* the 7th is NUL */
        to = from;
        while (to < limit && (is_atom_byte(s.p[to]) || s.p[to] == '.'))
            to++;
        while (to > from && s.p[to - 1] == '.')
            to--;
        if (to > from && !is_listed(&p->list, str_slice(s, from, to)))
            emit(p, str_slice(s, local, at), str_slice(s, from, to));
        at = at + 1 + str_find(str_slice(s, at + 1, s.n), '@');
    }
}

struct mailbox_list mailboxes_parse(struct arena *a, struct str value)
{
    struct parser p = {.arena = a, .s = str_trim(value), .list.well_formed = true, .local.good = true};
    int token;

    if (p.s.n && memchr(p.s.p, '\0', p.s.n))
        doubt(&p);
    while (!p.full && (token = next(&p)) != TOKEN_END) {
        if (token == TOKEN_ATOM || token == TOKEN_QUOTED)
            on_word(&p);
        else if (token == '.')
            on_dot(&p);
        else if (token == '@')
            on_at(&p);
        else
            on_special(&p, token);
    }
    if (!p.full)
        end_mailbox(&p);
    if (p.in_group || (p.list.count == 0 && !p.had_group))
        bad(&p);
    if (p.doubtful)
        sweep(&p);
    return p.list;
}
