/* scenario_checks.c - the lines of a scenario that tell what must come of a step. */
#include <string.h>

#include "scenario_reader.h"

const char *const check_names[] = {
    [CHECK_REPLY] = "reply", [CHECK_FOUND] = "found", [CHECK_EDIT] = "edit",
    [CHECK_LOG] = "log",     [CHECK_KARMA] = "karma", [CHECK_LEARNED] = "learned", [CHECK_ASKED] = "asked",
};

static bool is_status(struct str s)
{
    return s.n >= 5 && (s.p[0] == '4' || s.p[0] == '5' || s.p[0] == '2') && s.p[1] == '.' && str_find(s, '.') == 1;
}

static bool check_reply(struct reader *r, struct check *c, struct str rest)
{
    struct str word, after = rest;
    long code;

    if (!reader_word(&after, &word))
        return reader_fail(r, "reply: continue, or a code, is expected");
    if (str_is(word, STR("continue")) && !str_trim(after).n) {
        c->go_on = true;
        return true;
    }
    if (str_is(word, STR("closed"))) {
        c->closed = true;
        if (!reader_word(&after, &word))
            return true;
    }
    if (!str_to_long(word, &code) || code < 400 || code > 599)
        return reader_fail(r, "reply: " STR_FMT " is no code of 400 to 599", STR_ARG(word));
    c->code = (int)code;
    rest = after;
    if (reader_word(&after, &word) && is_status(word)) {
        c->status = word;
        rest = after;
    }
    c->fragment = reader_unquote(r->a, str_trim(rest));
    return true;
}

static bool one_of(struct str word, const char *a, const char *b, const char *c)
{
    return str_is(word, str_of(a)) || str_is(word, str_of(b)) || str_is(word, str_of(c));
}

/* read_pair - key=value or key~"regex" into the check. */
static bool read_pair(struct reader *r, struct check *c, struct str word)
{
    size_t equals = str_find(word, '='), tilde = str_find(word, '~');
    size_t at = equals < tilde ? equals : tilde;

    if (at == word.n)
        return reader_fail(r, STR_FMT ": key=value is expected", STR_ARG(word));
    c->pairs = arena_grow(r->a, c->pairs, c->pair_count, sizeof *c->pairs);
    c->pairs[c->pair_count++] = (struct pair){
        .key = str_slice(word, 0, at),
        .regex = at == tilde,
        .value = reader_unquote(r->a, str_slice(word, at + 1, word.n)),
    };
    return true;
}

static bool check_found(struct reader *r, struct check *c, struct str rest)
{
    struct str word;

    if (!reader_word(&rest, &c->policy) || !reader_word(&rest, &c->result) ||
        !one_of(c->result, "good", "bad", "unsure"))
        return reader_fail(r, "found: POLICY and good, bad or unsure are expected");
    while (reader_word(&rest, &word)) {
        if (!c->status.n && !c->pair_count && is_status(word))
            c->status = word;
        else if (!read_pair(r, c, word))
            return false;
    }
    return true;
}

static bool check_log(struct reader *r, struct check *c, struct str rest)
{
    struct str word;

    while (reader_word(&rest, &word))
        if (!read_pair(r, c, word))
            return false;
    return c->pair_count ? true : reader_fail(r, "log: KEY=VALUE is expected");
}

static bool check_karma(struct reader *r, struct check *c, struct str rest)
{
    if (rest.n && rest.p[0] == '+')
        rest = str_slice(rest, 1, rest.n);
    return str_to_long(rest, &c->karma) ? true : reader_fail(r, "karma: a number is expected");
}

/* check_asked - `NAME TYPE`, `not NAME TYPE` or `none`. */
static bool check_asked(struct reader *r, struct check *c, struct str rest)
{
    struct str after = rest, word;

    if (str_is(rest, STR("none"))) {
        c->never = true;
        return true;
    }
    if (reader_word(&after, &word) && str_is(word, STR("not"))) {
        c->never = true;
        rest = after;
    }
    return reader_question(r, rest, &c->question);
}

bool reader_check(struct reader *r, enum check_kind kind, struct str rest)
{
    struct check *c = arena_zalloc(r->a, sizeof *c);
    struct check **tail;

    if (!r->last || r->last->kind <= STEP_LOAD)
        return reader_fail(r, "a check stands below the step whose outcome it tells");
    for (tail = &r->last->checks; *tail; tail = &(*tail)->next)
        if ((*tail)->kind == kind && kind == CHECK_REPLY)
            return reader_fail(r, "reply: line %u has already told it", (*tail)->line);
    *tail = c;
    c->kind = kind;
    c->line = r->line;
    c->text = r->written;
    switch (kind) {
    case CHECK_REPLY:
        return check_reply(r, c, rest);
    case CHECK_FOUND:
        return check_found(r, c, rest);
    case CHECK_EDIT:
        if (r->last->kind != STEP_MESSAGE)
            return reader_fail(r, "edit: only a message has edits");
        c->edit = str_is(rest, STR("none")) ? STR_NONE : rest;
        return rest.n ? true : reader_fail(r, "edit: what was changed, or none, is expected");
    case CHECK_LOG:
        return check_log(r, c, rest);
    case CHECK_KARMA:
        return check_karma(r, c, rest);
    case CHECK_LEARNED:
        return reader_memory(r, "learned", rest, &c->memory);
    case CHECK_ASKED:
        return check_asked(r, c, rest);
    default:
        break;
    }
    return false;
}
