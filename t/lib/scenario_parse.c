/* scenario_parse.c - reads the scenario language; t/scenario/README tells it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenario_reader.h"

#include "milter/base/clock.h"

const char *const step_names[STEPS] = {
    [STEP_CLOCK] = "clock", [STEP_ADVANCE] = "advance", [STEP_KARMA] = "karma", [STEP_RELEASE] = "release",
    [STEP_CAPTURE] = "capture", [STEP_TALKS] = "talks", [STEP_LEAVES] = "leaves", [STEP_BLIND] = "blind",
    [STEP_CLAMD] = "clamd", [STEP_SPAMD] = "spamd", [STEP_INNER] = "inner", [STEP_LOAD] = "load", [STEP_CONNECT] = "connect",
    [STEP_HELO] = "helo",   [STEP_EHLO] = "ehlo",       [STEP_TLS] = "tls",   [STEP_AUTH] = "auth",
    [STEP_MAIL] = "mail",   [STEP_RCPT] = "rcpt",       [STEP_DATA] = "data", [STEP_MESSAGE] = "message",
    [STEP_ABORT] = "abort", [STEP_CLOSE] = "close",     [STEP_UNKNOWN] = "unknown",
};

bool reader_fail(struct reader *r, const char *format, ...)
{
    struct buf b = buf_in(r->a);
    va_list ap;

    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    if (!r->scn->error.n) {
        r->scn->error = buf_str(&b);
        r->scn->error_line = r->line;
    }
    return false;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) % 16 : -1;
}

/* unescape - \xHH becomes that byte; any other backslash stands for itself. */
static struct str unescape(struct arena *a, struct str s)
{
    struct buf b = buf_in(a);

    buf_add(&b, STR_NONE);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 3 < s.n && s.p[i + 1] == 'x' && hex(s.p[i + 2]) >= 0 && hex(s.p[i + 3]) >= 0) {
            buf_addc(&b, (char)(hex(s.p[i + 2]) * 16 + hex(s.p[i + 3])));
            i += 3;
        } else {
            buf_addc(&b, s.p[i]);
        }
    }
    return buf_str(&b);
}

static bool next_line(struct reader *r, struct str *line)
{
    if (r->rest.n == 0)
        return false;
    str_split(&r->rest, '\n', line);
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    r->line++;
    return true;
}

/* without_comment - up to a # that begins the line or follows a blank, outside double quotes. */
static struct str without_comment(struct str line)
{
    bool quoted = false;

    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] == '"')
            quoted = !quoted;
        else if (line.p[i] == '#' && !quoted && (i == 0 || blank(line.p[i - 1])))
            return str_trim(str_slice(line, 0, i));
    }
    return str_trim(line);
}

bool reader_word(struct str *rest, struct str *word)
{
    bool quoted = false, path = false;
    size_t from = 0, to;

    while (from < rest->n && blank(rest->p[from]))
        from++;
    if (from == rest->n)
        return false;
    path = rest->p[from] == '<';
    for (to = from; to < rest->n; to++) {
        char c = rest->p[to];

        if (c == '"')
            quoted = !quoted;
        else if (c == '>' && !quoted)
            path = false;
        else if (blank(c) && !quoted && !path)
            break;
    }
    *word = str_slice(*rest, from, to);
    *rest = str_slice(*rest, to, rest->n);
    return true;
}

static struct words split_words(struct arena *a, struct str rest)
{
    struct words w = {NULL, 0};
    struct str word;

    while (reader_word(&rest, &word)) {
        w.items = arena_grow(a, w.items, w.count, sizeof *w.items);
        w.items[w.count++] = unescape(a, word);
    }
    return w;
}

struct str reader_unquote(struct arena *a, struct str s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = str_slice(s, 1, s.n - 1);
    return unescape(a, s);
}

/* block - the lines up to a lone dot, as they are. */
static bool block(struct reader *r, struct str *text)
{
    struct buf b = buf_in(r->a);
    unsigned from = r->line;
    struct str line;

    buf_add(&b, STR_NONE);
    while (next_line(r, &line)) {
        if (str_is(str_trim(line), STR("."))) {
            *text = buf_str(&b);
            return true;
        }
        buf_add(&b, line);
        buf_addc(&b, '\n');
    }
    r->line = from;
    return reader_fail(r, "no line with a single dot ends this");
}

/* ---- what stands before the first step ---- */

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.-", c));
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!in_name(s.p[i]))
            return false;
    return s.n > 0 && s.p[0] != '.';
}

static bool read_profile(struct reader *r, struct str rest)
{
    if (!is_name(rest))
        return reader_fail(r, "profile: one name is expected");
    r->scn->profile = str_dup(r->a, rest);
    r->scn->config_line = r->line;
    return true;
}

static bool read_policies(struct reader *r, struct str rest)
{
    r->scn->policies = split_words(r->a, rest);
    r->scn->config_line = r->line;
    return r->scn->policies.count ? true : reader_fail(r, "policies: names are expected");
}

/* set_begins - whether "NAME =" or "NAME +=" stands here; the length up to the value is told. */
static size_t set_begins(struct str s, struct str *name, bool *append)
{
    size_t n = 0, i;

    while (n < s.n && in_name(s.p[n]))
        n++;
    if (n == 0)
        return 0;
    for (i = n; i < s.n && blank(s.p[i]); i++)
        ;
    *append = i < s.n && s.p[i] == '+';
    if (*append)
        i++;
    if (i == s.n || s.p[i] != '=')
        return 0;
    *name = str_slice(s, 0, n);
    return i + 1;
}

/* value_end - where the value of a `set` ends: at two blanks, outside quotes, after which another NAME = stands. */
static size_t value_end(struct str s)
{
    struct str name;
    bool append;
    char quote = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (quote) {
            quote = s.p[i] == quote ? 0 : quote;
        } else if (s.p[i] == '"' || s.p[i] == '\'') {
            quote = s.p[i];
        } else if (i >= 2 && blank(s.p[i - 1]) && blank(s.p[i - 2]) && !blank(s.p[i]) &&
                   set_begins(str_slice(s, i, s.n), &name, &append)) {
            return i;
        }
    }
    return s.n;
}

static bool read_set(struct reader *r, struct str rest)
{
    struct scenario *scn = r->scn;

    if (!rest.n)
        return reader_fail(r, "set: POLICY.OPTION = VALUE is expected");
    while (rest.n) {
        struct pair set = {0};
        size_t at = set_begins(rest, &set.key, &set.regex), end;

        if (!at)
            return reader_fail(r, "set: POLICY.OPTION = VALUE is expected, not " STR_FMT, STR_ARG(rest));
        rest = str_slice(rest, at, rest.n);
        end = value_end(rest);
        set.value = str_trim(str_slice(rest, 0, end));
        rest = str_slice(rest, end, rest.n);
        scn->sets = arena_grow(r->a, scn->sets, scn->set_count, sizeof *scn->sets);
        scn->sets[scn->set_count++] = set;
    }
    return true;
}

static bool read_config(struct reader *r, struct str rest)
{
    r->scn->config_line = r->line;
    return rest.n ? reader_fail(r, "config: the text begins on the next line") : block(r, &r->scn->literal);
}

static bool read_file(struct reader *r, struct str rest)
{
    struct scenario_file *f = arena_zalloc(r->a, sizeof *f);

    if (!is_name(rest))
        return reader_fail(r, "file: a name of letters, digits, dots and hyphens is expected");
    f->name = str_dup(r->a, rest);
    f->next = r->scn->files;
    r->scn->files = f;
    return block(r, &f->text);
}

static bool read_mmdb(struct reader *r, struct str rest)
{
    if (!read_file(r, rest))
        return false;
    r->scn->files->mmdb = true;
    return true;
}

static bool read_only(struct reader *r, struct str rest)
{
    struct words w = split_words(r->a, rest);

    r->scn->drivers = 0;
    for (size_t i = 0; i < w.count; i++) {
        if (str_is(w.items[i], STR("inprocess")))
            r->scn->drivers |= DRIVER_INPROCESS;
        else if (str_is(w.items[i], STR("wire")))
            r->scn->drivers |= DRIVER_WIRE;
        else if (str_is(w.items[i], STR("postfix")))
            r->scn->drivers |= DRIVER_POSTFIX;
        else
            return reader_fail(r, "only: inprocess, wire and postfix are known, not " STR_FMT, STR_ARG(w.items[i]));
    }
    return w.count ? true : reader_fail(r, "only: names of drivers are expected");
}

/* ---- steps ---- */

static struct step *step_add(struct reader *r, enum step_kind kind)
{
    struct step *step = arena_zalloc(r->a, sizeof *step);

    step->kind = kind;
    step->line = r->line;
    step->written = r->written;
    if (r->last)
        r->last->next = step;
    else
        r->scn->steps = step;
    r->last = step;
    return step;
}

static bool read_connect(struct reader *r, struct step *step, struct words *w)
{
    if (r->connected)
        return reader_fail(r, "connect: the connection of line %u is not closed yet", r->connect_line);
    if (!w->count)
        return reader_fail(r, "connect: an address is expected");
    step->client = w->items[0];
    step->client_port = 41000;
    step->server_port = 25;
    for (size_t i = 1; i < w->count; i++) {
        bool port = str_is(w->items[i], STR("port")), client = str_is(w->items[i], STR("client-port"));
        long n;

        if (port || client || str_is(w->items[i], STR("daemon"))) {
            struct str word = w->items[i];

            if (++i == w->count)
                return reader_fail(r, "connect: a value is expected after " STR_FMT, STR_ARG(word));
            if (!port && !client)
                step->daemon_name = w->items[i];
            else if (!str_to_long(w->items[i], &n) || n < 0 || n > 65535)
                return reader_fail(r, "connect: " STR_FMT " is no port", STR_ARG(w->items[i]));
            else if (port)
                step->server_port = (unsigned)n;
            else
                step->client_port = (unsigned)n;
        } else if (i == 1) {
            step->name = w->items[i];
        } else {
            return reader_fail(r, "connect: what is " STR_FMT "?", STR_ARG(w->items[i]));
        }
    }
    r->connected = true;
    r->mailed = r->in_data = false;
    r->tls_line = 0;
    r->connect_line = r->line;
    return true;
}

/* filler - n bytes of lines. */
static void filler(struct buf *b, size_t n)
{
    while (n > 0) {
        size_t k = n < 78 ? n : 78;

        for (size_t i = 0; i + 2 < k; i++)
            buf_addc(b, (char)('a' + i % 26));
        buf_add(b, str_slice(STR("\r\n"), k < 2 ? 2 - k : 0, 2));
        n -= k;
    }
}

static bool read_message(struct reader *r, struct step *step, struct words *w)
{
    struct str text, line;
    struct buf b = buf_in(r->a);
    long more = 0;

    if (w->count == 2 && str_is(w->items[0], STR("body"))) {
        if (!str_to_long(w->items[1], &more) || more < 0 || more > 256L * 1024 * 1024)
            return reader_fail(r, "message: " STR_FMT " is no number of bytes", STR_ARG(w->items[1]));
    } else if (w->count) {
        return reader_fail(r, "message: the text begins on the next line; only `body N` may stand here");
    }
    if (!block(r, &text))
        return false;
    buf_add(&b, STR_NONE);
    while (text.n) {
        str_split(&text, '\n', &line);
        if (line.n && line.p[0] == '.')
            line = str_slice(line, 1, line.n);
        buf_add(&b, unescape(r->a, line));
        buf_add(&b, STR("\r\n"));
    }
    filler(&b, (size_t)more);
    step->text = buf_str(&b);
    r->mailed = r->in_data = false;
    return true;
}

bool reader_duration(struct str word, int64_t *ms)
{
    static const struct { struct str unit; int64_t ms; } units[] = {
        {{"ms", 2}, 1}, {{"s", 1}, 1000}, {{"m", 1}, 60000}, {{"h", 1}, 3600000}, {{"d", 1}, 86400000}};
    size_t digits = 0;
    long n;

    while (digits < word.n && word.p[digits] >= '0' && word.p[digits] <= '9')
        digits++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (str_is(str_slice(word, digits, word.n), units[i].unit) && str_to_long(str_slice(word, 0, digits), &n)) {
            *ms = n * units[i].ms;
            return true;
        }
    return false;
}

/* memory_field - a word and its value, taken off *rest. */
static bool memory_field(struct reader *r, struct str word, struct str *rest, struct memory *m)
{
    long *number = str_is(word, STR("nice")) ? &m->nice : str_is(word, STR("naughty")) ? &m->naughty
                   : str_is(word, STR("connects")) ? &m->connects : NULL;
    struct str value;
    int64_t ms;

    if (!reader_word(rest, &value))
        return false;
    if (number)
        return str_to_long(value, number);
    if (str_is(word, STR("reason"))) {
        m->reason = reader_unquote(r->a, value);
        return true;
    }
    if (!str_is(word, STR("boxed")))
        return false;
    m->boxed_s = 0;
    if (str_is(value, STR("no")))
        return true;
    if (!reader_duration(value, &ms))
        return false;
    m->boxed_s = ms / 1000;
    return true;
}

bool reader_memory(struct reader *r, const char *what, struct str rest, struct memory *m)
{
    struct str word;

    *m = (struct memory){.nice = -1, .naughty = -1, .connects = -1, .boxed_s = -1};
    if (!reader_word(&rest, &m->net))
        return reader_fail(r, "%s: an address is expected", what);
    if (str_is(str_trim(rest), STR("nothing"))) {
        m->nothing = true;
        return true;
    }
    while (reader_word(&rest, &word))
        if (!memory_field(r, word, &rest, m))
            return reader_fail(r, "%s: nice N, naughty N, connects N, boxed 1d, boxed no or reason TEXT is expected", what);
    return true;
}

/* read_karma - `karma IP = N`, or `karma IP = nice N ...`: what is not said is nothing; `capture IP 1d`, `release IP`. */
static bool read_karma(struct reader *r, struct step *step, struct str rest)
{
    size_t equals = str_find(rest, '=');
    struct memory *m = &step->memory;
    struct str net = str_trim(str_slice(rest, 0, equals)), value = str_trim(str_slice(rest, equals + 1, rest.n));
    long n;

    if (step->kind == STEP_KARMA && str_to_long(value, &n)) {
        *m = (struct memory){.net = net, .nice = n > 0 ? n : 0, .naughty = n < 0 ? -n : 0};
        return true;
    }
    if (step->kind == STEP_CAPTURE)
        reader_word(&rest, &net), value = arena_printf(r->a, "boxed " STR_FMT, STR_ARG(str_trim(rest)));
    if (!reader_memory(r, step_names[step->kind],
                       arena_printf(r->a, STR_FMT " " STR_FMT, STR_ARG(net), STR_ARG(value)), m))
        return false;
    m->nice = m->nice < 0 ? 0 : m->nice;
    m->naughty = m->naughty < 0 ? 0 : m->naughty;
    m->connects = m->connects < 0 ? 0 : m->connects;
    m->boxed_s = m->boxed_s < 0 ? 0 : m->boxed_s;
    return true;
}

static bool read_time(struct reader *r, struct step *step, struct words *w)
{
    char *end;

    if (w->count != 1)
        return reader_fail(r, "%s: one value is expected", step_names[step->kind]);
    switch (step->kind) {
    case STEP_CLOCK:
        return clock_parse_rfc3339(w->items[0], &step->ms) ? true : reader_fail(r, "clock: like 2026-01-05T10:00:00Z");
    case STEP_LOAD:
        step->load = -1;
        if (str_is(w->items[0], STR("unknown")))
            return true;
        step->load = strtod(str_c(r->a, w->items[0]), &end);
        return *end || step->load < 0 ? reader_fail(r, "load: a number or `unknown` is expected") : true;
    default:
        break;
    }
    if (reader_duration(w->items[0], &step->ms) && step->ms > 0)
        return true;
    return reader_fail(r, "advance: a duration like 500ms, 5s, 10m, 2h or 1d is expected");
}

/* in_order - steps that make no sense where they stand are mistakes of the writer, not tests. */
static bool in_order(struct reader *r, enum step_kind kind, size_t words)
{
    if (kind != STEP_CONNECT && !r->connected)
        return reader_fail(r, "%s: there is no connection", step_names[kind]);
    if ((kind == STEP_RCPT || kind == STEP_DATA || kind == STEP_MESSAGE) && !r->mailed)
        return reader_fail(r, "%s: there was no mail", step_names[kind]);
    if (r->in_data && kind != STEP_MESSAGE && kind != STEP_ABORT && kind != STEP_CLOSE)
        return reader_fail(r, "%s: after data only message, abort or close can follow", step_names[kind]);
    if ((kind == STEP_HELO || kind == STEP_EHLO || kind == STEP_TLS || kind == STEP_AUTH || kind == STEP_UNKNOWN) &&
        words != 1)
        return reader_fail(r, "%s: one word is expected", step_names[kind]);
    if ((kind == STEP_MAIL || kind == STEP_RCPT) && words == 0)
        return reader_fail(r, "%s: an <address> is expected", step_names[kind]);
    if (kind == STEP_MAIL && r->tls_line)
        return reader_fail(r, "mail: no helo or ehlo has followed the tls of line %u", r->tls_line);
    return true;
}

static bool read_step(struct reader *r, enum step_kind kind, struct str rest)
{
    struct words w = split_words(r->a, rest);
    struct step *step = step_add(r, kind);

    step->args = w;
    if (kind == STEP_CLOCK || kind == STEP_ADVANCE || kind == STEP_LOAD)
        return read_time(r, step, &w);
    if (kind == STEP_KARMA || kind == STEP_RELEASE || kind == STEP_CAPTURE)
        return read_karma(r, step, rest);
    if (kind == STEP_CLAMD || kind == STEP_SPAMD)
        return reader_scanner(r, step, rest);
    if (kind == STEP_INNER)
        return reader_inner(r, step, rest);
    if (kind == STEP_TALKS || kind == STEP_LEAVES || kind == STEP_BLIND)
        return reader_early(r, step, &w);
    if (!in_order(r, kind, w.count))
        return false;
    switch (kind) {
    case STEP_CONNECT:
        return read_connect(r, step, &w);
    case STEP_MESSAGE:
        return read_message(r, step, &w);
    case STEP_MAIL:
        r->mailed = true;
        break;
    case STEP_DATA:
        r->in_data = true;
        break;
    case STEP_TLS:
        r->tls_line = r->line;
        break;
    case STEP_HELO:
    case STEP_EHLO:
        r->tls_line = 0;
        r->mailed = false;
        break;
    case STEP_CLOSE:
        r->connected = false;
        break;
    default:
        break;
    }
    if (kind == STEP_ABORT)
        r->mailed = r->in_data = false;
    if ((kind == STEP_DATA || kind == STEP_ABORT || kind == STEP_CLOSE) && w.count)
        return reader_fail(r, "%s: nothing is expected after it", step_names[kind]);
    return true;
}

/* ---- the whole ---- */

static const struct {
    const char *name;
    bool (*read)(struct reader *, struct str);
} setups[] = {{"profile", read_profile}, {"policies", read_policies}, {"set", read_set},
              {"config", read_config},   {"file", read_file},         {"only", read_only},
              {"mmdb", read_mmdb},       {"dns", reader_dns}};

static bool read_line(struct reader *r)
{
    struct str rest = r->written, word;
    bool begun = r->scn->steps && r->connect_line;

    reader_word(&rest, &word);
    rest = str_trim(rest);
    for (size_t i = 0; i < sizeof setups / sizeof setups[0]; i++)
        if (str_is(word, str_of(setups[i].name)))
            return begun ? reader_fail(r, "%s: only before the first connect", setups[i].name)
                         : setups[i].read(r, rest);
    for (enum step_kind kind = 0; kind < STEPS; kind++)
        if (str_is(word, str_of(step_names[kind])) && (kind != STEP_KARMA || str_find(rest, '=') < rest.n))
            return read_step(r, kind, rest);
    for (enum check_kind kind = CHECK_REPLY; kind < CHECKS; kind++)
        if (str_is(word, str_of(check_names[kind])))
            return reader_check(r, kind, rest);
    return reader_fail(r, "what is " STR_FMT "?", STR_ARG(word));
}

struct scenario *scenario_parse(struct arena *a, const char *path, struct str text)
{
    struct scenario *scn = arena_zalloc(a, sizeof *scn);
    struct reader r = {.a = a, .scn = scn, .rest = text};
    struct str line;

    scn->arena = a;
    scn->path = path;
    scn->drivers = DRIVER_ALL;
    while (!scn->error.n && next_line(&r, &line)) {
        r.written = without_comment(line);
        if (r.written.n)
            read_line(&r);
    }
    if (scn->error.n)
        return scn;
    if (!r.connect_line)
        reader_fail(&r, "no connect: nothing is played");
    else if (r.connected)
        reader_fail(&r, "the connection of line %u is never closed", r.connect_line);
    if (!scn->error.n && !!scn->profile.n + !!scn->policies.count + !!scn->literal.n != 1)
        reader_fail(&r, "one of profile, policies and config is expected");
    if (!scn->error.n && scn->literal.n && scn->set_count)
        reader_fail(&r, "set changes a profile of `profile` or `policies`, not a literal config");
    return scn;
}
