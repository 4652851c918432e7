/* mailbox_token.c - the words, specials and domains of a From field.
 *
 * Nothing is read more than a fixed number of times: what has no closing bracket, quote or parenthesis is remembered
 * and not looked for again.
 */
#include <string.h>

#include "mailbox_token.h"

#define COMMENT_DEPTH 64

bool mailbox_is_atom_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80 ||
           (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

bool mailbox_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void mailbox_part_clear(struct mailbox_part *part)
{
    part->n = 0;
    part->good = true;
}

void mailbox_part_add(struct mailbox_part *part, struct str s)
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

struct str mailbox_part_str(const struct mailbox_part *part)
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
static size_t comment_end(struct mailbox_tokens *t, size_t from)
{
    size_t depth = 0;

    for (size_t i = from; i < t->s.n; i++) {
        char c = t->s.p[i];

        if (c == '\\')
            i++;
        else if (c == '(' && ++depth > COMMENT_DEPTH)
            t->doubtful = true; /* other readers may give up here, and see what follows */
        else if (c == ')' && --depth == 0)
            return i + 1;
    }
    return 0;
}

static void skip_cfws(struct mailbox_tokens *t)
{
    while (t->at < t->s.n) {
        char c = t->s.p[t->at];

        if (c == '(' && !t->no_comment) {
            size_t end = comment_end(t, t->at);

            if (!end) {
                t->no_comment = true;
                t->doubtful = true;
                return;
            }
            t->at = end;
        } else if (mailbox_is_space(c)) {
            char after = t->s.p[++t->at]; /* there is one: the value was trimmed */

            if ((c == '\n' && after != ' ' && after != '\t') || (c == '\r' && after != '\n'))
                t->doubtful = true;
        } else {
            return;
        }
    }
}

int mailbox_token_next(struct mailbox_tokens *t)
{
    size_t from;

    skip_cfws(t);
    from = t->at;
    if (from == t->s.n)
        return MAILBOX_END;
    if (t->s.p[from] == '"' && !t->no_quote) {
        size_t end = closing(t->s, from, '"');

        if (end < t->s.n) {
            t->at = end + 1;
            t->token = str_slice(t->s, from, t->at);
            return MAILBOX_QUOTED;
        }
        t->no_quote = true;
        t->doubtful = true;
    }
    if (!mailbox_is_atom_byte(t->s.p[from])) {
        t->at++;
        t->token = str_slice(t->s, from, t->at);
        /* A control byte of the field must not look like MAILBOX_END or a word; all of them are equally bad. */
        return (unsigned char)t->s.p[from] < 0x20 ? MAILBOX_CONTROL : t->s.p[from];
    }
    while (t->at < t->s.n && mailbox_is_atom_byte(t->s.p[t->at]))
        t->at++;
    t->token = str_slice(t->s, from, t->at);
    return MAILBOX_ATOM;
}

/* take_literal - "[192.0.2.1]" without the white space that may be folded into it. */
static void take_literal(struct mailbox_tokens *t, struct mailbox_part *domain)
{
    size_t end = t->no_bracket ? t->s.n : closing(t->s, t->at, ']');

    if (end == t->s.n) {
        t->no_bracket = true;
        t->doubtful = true;
        return;
    }
    for (size_t i = t->at; i <= end; i++) {
        char c = t->s.p[i];

        /* RFC 5322 allows nearly everything in it, but whoever writes more than an address hides something. */
        if (!mailbox_is_atom_byte(c) && !mailbox_is_space(c) && c != '.' && c != ':' && i > t->at && i < end)
            t->doubtful = true;
        if (!mailbox_is_space(c))
            mailbox_part_add(domain, (struct str){&c, 1});
    }
    if (!domain->good) { /* cut: no literal any more */
        domain->n = 0;
        t->doubtful = true;
    }
    t->at = end + 1;
}

void mailbox_take_domain(struct mailbox_tokens *t, struct mailbox_part *domain)
{
    bool after_dot = true;

    mailbox_part_clear(domain);
    skip_cfws(t);
    if (t->at < t->s.n && t->s.p[t->at] == '[') {
        take_literal(t, domain);
        return;
    }
    for (;;) {
        size_t before = t->at;
        int token = mailbox_token_next(t);

        if (token == MAILBOX_ATOM && after_dot) {
            mailbox_part_add(domain, t->token);
            after_dot = false;
        } else if (token == '.') {
            if (after_dot)
                domain->good = false;
            if (domain->n)
                mailbox_part_add(domain, STR("."));
            after_dot = true;
        } else {
            if (token == MAILBOX_QUOTED && after_dot)
                t->doubtful = true; /* a@"b" */
            t->at = before;
            break;
        }
    }
    if (after_dot)
        domain->good = false;
    while (domain->n && domain->text[domain->n - 1] == '.')
        domain->n--;
}
