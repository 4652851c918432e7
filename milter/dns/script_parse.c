/* script_parse.c - lines of the master file format (RFC 1035, 5), with verdicts and delays. */
#include <stdlib.h>

#include "../base/clock.h"
#include "packet.h"
#include "script_parse.h"

#define WORDS_MOST 1024
#define TTL_USUAL 300
#define DELAY_MOST (3600 * 1000)

struct word {
    struct str text;
    bool quoted;
};

struct parser {
    struct arena *arena;
    struct str file, rest;
    unsigned line, next_line;  /* of the words; of what follows */
    struct word words[WORDS_MOST];
    size_t count;
    struct str origin;         /* empty: names are absolute with or without a dot at the end */
    struct str owner;          /* of the last record: a line that begins with blanks may go on with it */
    bool indented;             /* the words' line begins with a blank */
    uint32_t ttl;
    int64_t delay;
    struct rules *rules;
    struct str error;          /* the first */
};

static bool wrong(struct parser *p, const char *what, struct str word)
{
    struct str shown = str_escaped(p->arena, str_slice(word, 0, 80)), file = str_escaped(p->arena, p->file);

    p->error = arena_printf(p->arena, STR_FMT ":%u: %s%s" STR_FMT "%s", STR_ARG(file), p->line, what,
                            shown.n ? " \"" : "", STR_ARG(shown), shown.n ? "\"" : "");
    return false;
}

/* ---- words ---- */

static int peek(const struct parser *p)
{
    return p->rest.n ? (unsigned char)p->rest.p[0] : -1;
}

static int take(struct parser *p)
{
    int c = peek(p);

    p->rest = str_slice(p->rest, 1, p->rest.n);
    p->next_line += c == '\n';
    return c;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* take_escaped - what follows a backslash: a byte as three digits, or itself. */
static bool take_escaped(struct parser *p, char *byte)
{
    int value;

    if (p->rest.n >= 3 && is_digit(p->rest.p[0]) && is_digit(p->rest.p[1]) && is_digit(p->rest.p[2])) {
        value = (p->rest.p[0] - '0') * 100 + (p->rest.p[1] - '0') * 10 + (p->rest.p[2] - '0');
        p->rest = str_slice(p->rest, 3, p->rest.n);
        *byte = (char)value;
        return value <= 255 || wrong(p, "no byte has such a value", STR_NONE);
    }
    if (peek(p) < 0 || peek(p) == '\n')
        return wrong(p, "a backslash at the end of the line", STR_NONE);
    *byte = (char)take(p);
    return true;
}

static bool take_word(struct parser *p)
{
    struct buf b = buf_in(p->arena);
    bool quoted = peek(p) == '"';

    if (p->count == WORDS_MOST)
        return wrong(p, "too many words", STR_NONE);
    if (quoted)
        take(p);
    for (;;) {
        int c = peek(p);
        char byte = (char)c;

        if (quoted && (c < 0 || c == '\n'))
            return wrong(p, "a quotation mark is missing", STR_NONE);
        if (quoted ? c == '"' : c < 0 || strchr(" \t\r\n;()\"", c))
            break;
        take(p);
        if (c == '\\' && !take_escaped(p, &byte))
            return false;
        buf_addc(&b, byte);
    }
    if (quoted)
        take(p);
    p->words[p->count++] = (struct word){buf_str(&b), quoted};
    return true;
}

/* take_line - the words of the next line; one in parentheses goes on behind its end. False at the end or when wrong. */
static bool take_line(struct parser *p)
{
    unsigned depth = 0;

    p->count = 0;
    p->line = p->next_line;
    while (peek(p) >= 0) {
        int c = peek(p);

        if (c == '\n' && depth == 0) {
            take(p);
            return true;
        }
        if (c == ';' || c == '#') {
            while (peek(p) >= 0 && peek(p) != '\n')
                take(p);
        } else if (c == '(' || c == ')') {
            take(p);
            if (c == ')' && depth == 0)
                return wrong(p, "a closing parenthesis too many", STR_NONE);
            depth = c == '(' ? depth + 1 : depth - 1;
        } else if (c == '\0') {
            return wrong(p, "a NUL byte", STR_NONE);
        } else if (strchr(" \t\r\n", c)) {
            take(p);
        } else if (!take_word(p)) {
            return false;
        }
    }
    if (depth)
        return wrong(p, "a closing parenthesis is missing", STR_NONE);
    return p->count > 0;
}

/* ---- what words mean ---- */

static bool word_is(const struct word *w, const char *text)
{
    return !w->quoted && str_is_nocase(w->text, str_of(text));
}

/* read_duration - "800ms", "5s"; a bare number counts `plain` milliseconds. */
static bool read_duration(struct str text, int64_t plain, int64_t most, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = 0;
    long value;

    while (digits < text.n && is_digit(text.p[digits]))
        digits++;
    if (digits == 0 || digits > 9 || !str_to_long(str_slice(text, 0, digits), &value))
        return false;
    text = str_slice(text, digits, text.n);
    if (text.n == 0) {
        *ms = value * plain;
        return *ms <= most;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (str_is_nocase(text, str_of(units[i].unit))) {
            *ms = value * units[i].ms;
            return *ms <= most;
        }
    }
    return false;
}

/* read_name - "." is the empty name, allowed where `root` says so. */
static bool read_name(struct parser *p, const struct word *w, bool root, struct str *name)
{
    struct str full = w->text;
    char lower[DNS_NAME_MOST];
    size_t n;

    if (root && str_is(full, STR("."))) {
        *name = STR("");
        return true;
    }
    if (p->origin.n && str_is(full, STR("@")))
        full = p->origin;
    else if (p->origin.n && full.n && full.p[full.n - 1] != '.')
        full = arena_printf(p->arena, STR_FMT "." STR_FMT, STR_ARG(full), STR_ARG(p->origin));
    if (w->quoted || !packet_name(full, lower, &n))
        return wrong(p, "this is no name:", w->text);
    *name = str_dup(p->arena, (struct str){lower, n});
    return true;
}

static bool read_type(const struct word *w, unsigned *type)
{
    static const struct {
        const char *word;
        unsigned type;
    } types[] = {{"A", DNS_A}, {"AAAA", DNS_AAAA}, {"MX", DNS_MX}, {"TXT", DNS_TXT}, {"PTR", DNS_PTR}, {"NS", DNS_NS},
                 {"CNAME", SCRIPT_ALIAS}, {"ANY", SCRIPT_ANY}, {"SOA", SCRIPT_MENTION}, {"SRV", SCRIPT_MENTION},
                 {"CAA", SCRIPT_MENTION}, {"TLSA", SCRIPT_MENTION}, {"HINFO", SCRIPT_MENTION}, {"SPF", SCRIPT_MENTION}};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (word_is(w, types[i].word)) {
            *type = types[i].type;
            return true;
        }
    }
    return false;
}

static bool read_verdict(const struct word *w, struct rule *r)
{
    static const struct {
        const char *word;
        enum dns_status status;
        const char *why;
    } verdicts[] = {{"NXDOMAIN", DNS_NXDOMAIN, ""}, {"NODATA", DNS_NODATA, ""}, {"SERVFAIL", DNS_FAIL, "servfail"},
                    {"REFUSED", DNS_FAIL, "refused"}, {"MALFORMED", DNS_FAIL, "malformed"},
                    {"TIMEOUT", DNS_FAIL, "timeout"}};

    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct str word = str_of(verdicts[i].word);

        /* In capitals for a text, which might be one of these words itself. */
        if (!w->quoted && (r->type == DNS_TXT ? str_is(w->text, word) : str_is_nocase(w->text, word))) {
            r->verdict = true;
            r->status = verdicts[i].status;
            r->why = verdicts[i].why;
            r->never = str_is(word, STR("TIMEOUT"));
            return true;
        }
    }
    return false;
}

static bool read_address(struct parser *p, struct rule *r, const struct word *w)
{
    bool known = !w->quoted && !str_starts_nocase(w->text, STR("ipv6:")) && ip_parse(w->text, &r->record.ip);

    return (known && ip_is_v4(r->record.ip) == (r->type == DNS_A))
           || wrong(p, r->type == DNS_A ? "this is no IPv4 address:" : "this is no IPv6 address:", w->text);
}

static bool read_record(struct parser *p, struct rule *r, const struct word *w, size_t count)
{
    size_t wanted = r->type == DNS_MX ? 2 : 1;
    struct buf b;
    long number;

    if (r->type == DNS_TXT) {
        b = buf_in(p->arena);
        for (size_t i = 0; i < count; i++)
            buf_add(&b, w[i].text);
        r->record.text = buf_str(&b);
        return r->record.text.n <= DNS_PACKET_MOST - 1024 || wrong(p, "this text is too long", STR_NONE);
    }
    if (r->type == SCRIPT_MENTION)
        return true;
    if (r->type == SCRIPT_ANY)
        return wrong(p, "ANY is only for verdicts (SERVFAIL, TIMEOUT, ...), not for", w[0].text);
    if (count != wanted)
        return wrong(p, "too few or too many words", STR_NONE);
    if (r->type == DNS_A || r->type == DNS_AAAA)
        return read_address(p, r, w);
    if (r->type == DNS_MX) {
        if (!str_to_long(w[0].text, &number) || number < 0 || number > 65535)
            return wrong(p, "this is no preference:", w[0].text);
        r->record.preference = (unsigned)number;
    }
    return read_name(p, &w[count - 1], r->type != SCRIPT_ALIAS, &r->record.text);
}

/* read_owner - the name in front; a line that begins with blanks and then a type, a class or a TTL has that of the last
 * (RFC 1035, 5.1). Returns how many words it took, or -1. */
static int read_owner(struct parser *p, struct str *name)
{
    const struct word *w = &p->words[0];
    unsigned type;
    int64_t ttl;

    if (p->indented && p->owner.n &&
        (read_type(w, &type) || word_is(w, "IN") || read_duration(w->text, 1000, (int64_t)INT32_MAX * 1000, &ttl))) {
        *name = p->owner;
        return 0;
    }
    if (!read_name(p, w, false, name))
        return -1;
    p->owner = *name;
    return 1;
}

static bool read_rule(struct parser *p)
{
    struct rule r = {.order = p->rules->count, .why = "", .ttl = p->ttl, .delay = p->delay, .record.text = STR("")};
    int owner = read_owner(p, &r.name);
    size_t at = (size_t)owner, end = p->count;
    int64_t ttl;

    if (owner < 0)
        return false;
    /* TTL and class in either order, as the format allows. */
    for (unsigned i = 0; i < 2 && at < end; i++) {
        if (!p->words[at].quoted && read_duration(p->words[at].text, 1000, (int64_t)INT32_MAX * 1000, &ttl)) {
            r.ttl = (uint32_t)(ttl / 1000);
            at++;
        } else if (word_is(&p->words[at], "IN")) {
            at++;
        }
    }
    if (at < end && end - at != 2 && read_verdict(&p->words[at], &r))
        r.type = SCRIPT_ANY; /* "name SERVFAIL": whatever is asked */
    else if (at >= end || !read_type(&p->words[at], &r.type))
        return at < end ? wrong(p, "this is no type:", p->words[at].text) : wrong(p, "a type is missing", STR_NONE);
    at += !r.verdict;
    if (end - at >= 3 && word_is(&p->words[end - 2], "after")) {
        if (!read_duration(p->words[end - 1].text, 1000, DELAY_MOST, &r.delay))
            return wrong(p, "this is no delay:", p->words[end - 1].text);
        end -= 2;
    }
    if (at >= end)
        return wrong(p, "data are missing", STR_NONE);
    if (!(end - at == 1 && read_verdict(&p->words[at], &r)) && !read_record(p, &r, p->words + at, end - at))
        return false;
    p->rules->items = arena_grow(p->arena, p->rules->items, p->rules->count, sizeof r);
    p->rules->items[p->rules->count++] = r;
    return true;
}

static bool read_directive(struct parser *p)
{
    const struct word *w = p->words;
    int64_t ms;

    if (p->count != 2)
        return wrong(p, "a directive is followed by one word:", w[0].text);
    if (word_is(&w[0], "$DELAY"))
        return read_duration(w[1].text, 1000, DELAY_MOST, &p->delay) || wrong(p, "this is no delay:", w[1].text);
    if (word_is(&w[0], "$ORIGIN"))
        return read_name(p, &w[1], false, &p->origin);
    if (!word_is(&w[0], "$TTL"))
        return wrong(p, "no such directive:", w[0].text);
    if (!read_duration(w[1].text, 1000, (int64_t)INT32_MAX * 1000, &ms))
        return wrong(p, "this is no time:", w[1].text);
    p->ttl = (uint32_t)(ms / 1000);
    return true;
}

static int rule_compare(const void *one, const void *other)
{
    const struct rule *a = one, *b = other;
    int order = str_compare(a->name, b->name);

    return order ? order : (a->order > b->order) - (a->order < b->order);
}

bool script_parse(struct arena *a, struct str file, struct str text, struct rules *rules, struct str *error)
{
    struct parser *p = arena_zalloc(a, sizeof *p);

    *rules = (struct rules){0};
    p->arena = a;
    p->file = file;
    p->rest = text;
    p->next_line = 1;
    p->ttl = TTL_USUAL;
    p->rules = rules;
    for (;;) {
        int first = peek(p);

        p->indented = first == ' ' || first == '\t';
        if (p->error.n || !take_line(p))
            break;
        if (p->count == 0)
            continue;
        if (!(str_starts(p->words[0].text, STR("$")) ? read_directive(p) : read_rule(p)))
            break;
    }
    *error = p->error;
    if (rules->count)
        qsort(rules->items, rules->count, sizeof *rules->items, rule_compare);
    return p->error.n == 0;
}
