/* mailboxes.c - the addresses of a From field, as RFC 5322 has them and as a lenient reader might see them.
 *
 * One pass over tokens. Whoever forges a From field writes it so that two programs read two addresses; so every @ that
 * stands outside comments and quoted strings gives a mailbox, whatever is wrong around it, and when it is in doubt
 * where a quoted string or comment ends, every @ at all does (sweep).
 */
#include <string.h>

#include "address.h"
#include "mailbox_token.h"
#include "utf8.h"

#define MAILBOXES_MAX 256
#define SWEEP_MAX 1024 /* signs looked at */

struct parser {
    struct arena *arena;
    struct mailbox_tokens t;
    struct mailbox_list list;
    bool full; /* the cap was met */
    bool in_group, had_group;
    bool in_angle;
    bool has_address; /* nothing more may come before the next comma */
    unsigned runs;    /* of words joined by dots, since the comma or angle bracket */
    bool after_dot;
    struct mailbox_part local; /* the last of these runs */
};

static void bad(struct parser *p)
{
    p->list.well_formed = false;
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

/* take_route - after "<@": domains up to a colon (RFC 5322, 4.4). Without one it is an address without local part. */
static void take_route(struct parser *p)
{
    struct mailbox_part domain;
    size_t before;
    int token;

    do {
        mailbox_take_domain(&p->t, &domain);
        if (!domain.good)
            bad(p);
        do {
            before = p->t.at;
            token = mailbox_token_next(&p->t);
        } while (token == ',');
    } while (token == '@');
    if (token == ':')
        return;
    p->t.at = before;
    p->has_address = true;
    p->t.doubtful = true;
    emit(p, STR_NONE, mailbox_part_str(&domain));
}

static void on_word(struct parser *p)
{
    struct str rest = p->t.token;

    if (p->has_address)
        bad(p);
    if (!p->after_dot)
        mailbox_part_clear(&p->local);
    if (!p->after_dot || p->runs == 0)
        p->runs++;
    p->after_dot = false;
    while (rest.n) { /* a quoted string may be folded */
        size_t line = 0;

        while (line < rest.n && rest.p[line] != '\r' && rest.p[line] != '\n')
            line++;
        mailbox_part_add(&p->local, str_slice(rest, 0, line));
        rest = str_slice(rest, line + 1, rest.n);
    }
}

static void on_dot(struct parser *p)
{
    if (p->has_address || p->runs == 0)
        bad(p);
    if (p->after_dot)
        p->local.good = false;
    mailbox_part_add(&p->local, STR("."));
    p->after_dot = true;
}

static void on_at(struct parser *p)
{
    struct mailbox_part domain;

    if (p->in_angle && p->runs == 0 && !p->has_address) {
        take_route(p);
        return;
    }
    mailbox_take_domain(&p->t, &domain);
    if (p->has_address || p->runs != 1 || p->after_dot || !p->local.good || !domain.good)
        bad(p);
    emit(p, mailbox_part_str(&p->local), mailbox_part_str(&domain));
    /* In a@b@c the second one's local part is a@b. */
    mailbox_part_add(&p->local, STR("@"));
    mailbox_part_add(&p->local, mailbox_part_str(&domain));
    p->has_address = true;
    p->after_dot = false;
}

/* clear_run - what comes next is not part of the word before it. */
static void clear_run(struct parser *p)
{
    p->runs = 0;
    p->after_dot = false;
    mailbox_part_clear(&p->local);
}

/* end_mailbox - at a comma, a semicolon or the end. An empty one is an obsolete form (RFC 5322, 4.4). */
static void end_mailbox(struct parser *p)
{
    if (p->in_angle)
        bad(p);
    if (!p->has_address && (p->runs || p->in_angle))
        emit(p, mailbox_part_str(&p->local), STR_NONE);
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
        emit(p, mailbox_part_str(&p->local), STR_NONE);
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
    if (token == '\\' || token == MAILBOX_CONTROL)
        p->t.doubtful = true;
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
    struct str s = p->t.s;
    size_t at = str_find(s, '@');

    for (unsigned seen = 0; at < s.n && !p->full && seen < SWEEP_MAX; seen++) {
        size_t local = at, from = at + 1, to, limit;

        while (local > 0 && at - local < 64 && (mailbox_is_atom_byte(s.p[local - 1]) || s.p[local - 1] == '.'))
            local--;
        limit = from + MAILBOX_PART_MAX < s.n ? from + MAILBOX_PART_MAX : s.n;
        while (from < limit && (mailbox_is_space(s.p[from]) || memchr("\"[(<\\.", s.p[from], 7)))
            from++; /* the 7th is NUL */
        to = from;
        while (to < limit && (mailbox_is_atom_byte(s.p[to]) || s.p[to] == '.'))
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
    struct parser p = {.arena = a, .t.s = str_trim(value), .list.well_formed = true, .local.good = true};
    int token;

    if (p.t.s.n && memchr(p.t.s.p, '\0', p.t.s.n))
        p.t.doubtful = true;
    while (!p.full && (token = mailbox_token_next(&p.t)) != MAILBOX_END) {
        if (token == MAILBOX_ATOM || token == MAILBOX_QUOTED)
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
    if (p.t.doubtful) {
        bad(&p);
        sweep(&p);
    }
    return p.list;
}
