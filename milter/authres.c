/* authres.c - which fields claim to be ours, and the words of our own. */
#include "authres.h"
#include "auth/results.h"
#include "config.h"
#include "edits.h"
#include "mail/domain.h"
#include "message.h"
#include "profile.h"
#include "session.h"

#define FIELD STR("Authentication-Results")
#define SIGNATURES_MOST 10 /* told of */
#define LINE_MOST 76

/* ---- reading ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* is_token_byte - RFC 2045 (5.1); bytes above ASCII as RFC 6532 allows them. */
static bool is_token_byte(char c)
{
    unsigned char u = (unsigned char)c;

    return u > 0x20 && u != 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

/* skip_comment - from a "(" to behind its ")"; false: it has no end. */
static bool skip_comment(struct str s, size_t *at)
{
    size_t depth = 0, i = *at;

    for (; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && --depth == 0)
            break;
    }
    if (i >= s.n)
        return false;
    *at = i + 1;
    return true;
}

static bool skip_cfws(struct str s, size_t *at)
{
    while (*at < s.n)
        if (is_space(s.p[*at]))
            (*at)++;
        else if (s.p[*at] != '(' || !skip_comment(s, at))
            break;
    return *at == s.n || s.p[*at] != '(';
}

/* read_value - a token or a quoted string, without its quotes and folding. */
static bool read_value(struct arena *a, struct str s, size_t *at, struct str *value)
{
    struct buf b = buf_in(a);
    size_t from = *at;

    if (from < s.n && s.p[from] == '"') {
        size_t i = from + 1;

        for (; i < s.n && s.p[i] != '"'; i++) {
            if (s.p[i] == '\\' && i + 1 < s.n)
                i++;
            if (s.p[i] != '\r' && s.p[i] != '\n')
                buf_addc(&b, s.p[i]);
        }
        *value = str_trim(buf_str(&b));
        *at = i + 1;
        return i < s.n;
    }
    while (*at < s.n && is_token_byte(s.p[*at]))
        (*at)++;
    *value = str_slice(s, from, *at);
    return *at > from;
}

/* read_head - authserv-id, and a version if there is one, up to the first semicolon or the end. A quoted id with blanks
 * in it is well-formed, but no name of anybody. */
static bool read_head(struct arena *a, struct str s, struct str *id)
{
    size_t at = 0;

    if (!skip_cfws(s, &at) || !read_value(a, s, &at, id) || !skip_cfws(s, &at))
        return false;
    for (size_t i = 0; i < id->n; i++)
        if ((unsigned char)id->p[i] <= 0x20 || id->p[i] == 0x7f)
            return false;
    while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    return skip_cfws(s, &at) && (at == s.n || s.p[at] == ';');
}

/* bare - the value without white space, control bytes, quotes, backslashes and parentheses; with `comments` what stands
 * in them stays. */
static struct str bare(struct arena *a, struct str s, bool comments)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0, depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if ((unsigned char)c > 0x20 && c != 0x7f && c != '"' && c != '\\' && c != ')' && (comments || depth == 0))
            out[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[n] = '\0';
    return (struct str){out, n};
}

static bool contains(struct str s, struct str part)
{
    return part.n > 0 && s.n >= part.n && memmem(s.p, s.n, part.p, part.n) != NULL;
}

static struct str without_dot(struct str s)
{
    return s.n && s.p[s.n - 1] == '.' ? str_slice(s, 0, s.n - 1) : s;
}

/* plain - without bytes above ASCII, many of which nobody sees, and without empty labels. */
static struct str plain(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x80 && (s.p[i] != '.' || (n > 0 && out[n - 1] != '.')))
            out[n++] = s.p[i];
    out[n] = '\0';
    return without_dot((struct str){out, n});
}

/* with_dots - what IDNA takes for a dot between labels is one (UTS 46, 2.3): U+3002, U+FF0E, U+FF61. */
static struct str with_dots(struct arena *a, struct str s)
{
    static const char *const dots[] = {"\xe3\x80\x82", "\xef\xbc\x8e", "\xef\xbd\xa1"};
    struct buf b = buf_in(a);

    while (s.n) {
        size_t k = 0;

        while (k < 3 && !str_starts(s, str_of(dots[k])))
            k++;
        buf_addc(&b, k < 3 ? '.' : s.p[0]);
        s = str_slice(s, k < 3 ? 3 : 1, s.n);
    }
    return buf_str(&b);
}

/* is_name - said is our name, or a reader could take it for that. */
static bool is_name(struct arena *a, struct str said, struct str id)
{
    struct str ascii;

    if (str_is_nocase(without_dot(said), id) || str_is_nocase(plain(a, said), plain(a, id)))
        return true;
    said = with_dots(a, said);
    return str_is_nocase(plain(a, said), plain(a, id)) ||
           (domain_to_ascii(a, said, &ascii) && str_is_nocase(ascii, id));
}

bool authres_claims(struct arena *a, struct str value, struct str id)
{
    struct str said, shown, hidden;

    id = without_dot(id);
    if (id.n == 0)
        return false;
    if (read_head(a, value, &said))
        return is_name(a, said, id);
    id = str_lower(a, id);
    shown = bare(a, with_dots(a, value), true);
    hidden = bare(a, with_dots(a, value), false);
    return contains(shown, id) || contains(hidden, id) || contains(plain(a, shown), id) ||
           contains(plain(a, hidden), id);
}

/* split_results - take the part up to the next semicolon outside of comments and quotes, without its comments. */
static bool split_results(struct arena *a, struct str *rest, struct str *part)
{
    struct buf b = buf_in(a);
    size_t at = 0;
    bool quoted = false;

    if (rest->n == 0)
        return false;
    while (at < rest->n && (quoted || rest->p[at] != ';')) {
        char c = rest->p[at];

        if (!quoted && c == '(') {
            buf_addc(&b, ' ');
            if (!skip_comment(*rest, &at))
                at = rest->n;
            continue;
        }
        quoted ^= c == '"';
        if (quoted && c == '\\' && at + 1 < rest->n)
            buf_addc(&b, rest->p[at++]);
        buf_addc(&b, rest->p[at++]);
    }
    *rest = str_slice(*rest, at + 1, rest->n);
    *part = buf_str(&b);
    return true;
}

/* read_pair - "name = value", white space around each. */
static bool read_pair(struct arena *a, struct str s, size_t *at, struct str *name, struct str *value)
{
    size_t from;

    if (!skip_cfws(s, at))
        return false;
    from = *at;
    while (*at < s.n && is_token_byte(s.p[*at]))
        (*at)++;
    *name = str_slice(s, from, *at);
    if (!skip_cfws(s, at) || *at == s.n || s.p[*at] != '=')
        return false;
    (*at)++;
    return skip_cfws(s, at) && read_value(a, s, at, value) && name->n > 0;
}

bool authres_says(struct arena *a, struct str value, const char *method, const char *result, const char *property,
                  struct str property_value)
{
    struct str part, name, word;

    while (split_results(a, &value, &part)) {
        size_t at = 0;

        if (!read_pair(a, part, &at, &name, &word) || !str_is_nocase(name, str_of(method)) ||
            !str_is_nocase(word, str_of(result)))
            continue;
        if (!property)
            return true;
        while (read_pair(a, part, &at, &name, &word))
            if (str_is_nocase(name, str_of(property)) && str_is_nocase(word, property_value))
                return true;
    }
    return false;
}

/* ---- writing ---- */

struct writer {
    struct arena *arena;
    struct buf out;
    size_t column;
    unsigned results;
};

/* word - one piece that is not broken, with a blank or a fold before it. */
static void word(struct writer *w, struct str text)
{
    if (w->column > 4 && w->column + 1 + text.n > LINE_MOST) {
        buf_add(&w->out, STR("\n    "));
        w->column = 4;
    } else if (w->column != 4) {
        buf_addc(&w->out, ' ');
        w->column++;
    }
    buf_add(&w->out, text);
    w->column += text.n;
}

static void begin(struct writer *w, const char *method, const char *result)
{
    buf_add(&w->out, STR(";\n    "));
    w->column = 4;
    w->results++;
    word(w, arena_printf(w->arena, "%s=%s", method, result));
}

/* is_plain - a token, or with the bytes of `also`, and ASCII. */
static bool is_plain(struct str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_byte(s.p[i]) && !strchr(also, s.p[i] ? s.p[i] : ' '))
            return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return s.n > 0;
}

/* quoted - as a token where it is one, otherwise as a quoted string; bytes that no field may hold become \xHH. */
static struct str quoted(struct arena *a, struct str s)
{
    struct buf b = buf_in(a);

    if (s.n <= 255 && is_plain(s, ""))
        return s;
    buf_addc(&b, '"');
    s = str_escaped(a, str_slice(s, 0, 160)); /* a line must not become longer than 998 bytes */
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_addc(&b, '\\');
        buf_addc(&b, s.p[i]);
    }
    buf_addc(&b, '"');
    return buf_str(&b);
}

static bool is_dot_string(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '.' && (i == 0 || i + 1 == s.n || s.p[i + 1] == '.'))
            return false;
    return s.n <= 64 && is_plain(s, "/?=");
}

/* mailbox - local@domain: RFC 8601 lets the parts be quoted alone, so that an ordinary address needs no quotes. */
static struct str mailbox(struct arena *a, struct str s)
{
    size_t at = str_rfind(s, '@');
    struct str local = str_slice(s, 0, at), domain = str_slice(s, at + 1, s.n);

    if (at < s.n && is_plain(domain, "") && domain.n <= 255 && (local.n == 0 || is_dot_string(local)))
        return s;
    return quoted(a, s);
}

static void property(struct writer *w, const char *name, struct str value)
{
    if (value.n)
        word(w, arena_printf(w->arena, "%s=" STR_FMT, name, STR_ARG(value)));
}

static void reason(struct writer *w, struct str text)
{
    if (text.n)
        word(w, arena_printf(w->arena, "reason=" STR_FMT, STR_ARG(quoted(w->arena, text))));
}

static void write_spf(struct writer *w, const struct message *m, const struct auth_results *r)
{
    if (r->spf_from.checked) {
        size_t at = str_rfind(m->sender.text, '@');
        bool same = at < m->sender.text.n &&
                    str_is_nocase(str_slice(m->sender.text, at + 1, m->sender.text.n), r->spf_from.domain);

        begin(w, "spf", auth_words[r->spf_from.result]);
        reason(w, r->spf_from.result == AUTH_PASS ? STR_NONE : r->spf_from.problem);
        property(w, "smtp.mailfrom", mailbox(w->arena, same ? m->sender.text : r->spf_from.domain));
    }
    if (r->spf_helo.checked) {
        begin(w, "spf", auth_words[r->spf_helo.result]);
        reason(w, r->spf_helo.result == AUTH_PASS ? STR_NONE : r->spf_helo.problem);
        property(w, "smtp.helo", quoted(w->arena, r->spf_helo.domain));
    }
}

static void property_quoted(struct writer *w, const char *name, struct str value)
{
    if (value.n)
        property(w, name, quoted(w->arena, value));
}

static void write_dkim(struct writer *w, const struct auth_results *r)
{
    if (r->dkim_checked && r->dkim_count == 0)
        begin(w, "dkim", "none");
    for (size_t i = 0; i < r->dkim_count && i < SIGNATURES_MOST; i++) {
        const struct dkim_result *one = &r->dkim[i];

        begin(w, "dkim", auth_words[one->result]);
        reason(w, one->problem);
        property_quoted(w, "header.d", one->domain);
        if (one->identity.n)
            property(w, "header.i", mailbox(w->arena, one->identity));
        property_quoted(w, "header.s", one->selector);
        property_quoted(w, "header.a", one->algorithm);
        property_quoted(w, "header.b", one->b);
    }
}

static void write_dmarc(struct writer *w, const struct dmarc_result *d)
{
    static const char *const words[] = {"none", "quarantine", "reject"};

    if (!d->checked && d->result != AUTH_PERMERROR)
        return;
    begin(w, "dmarc", auth_words[d->result]);
    reason(w, d->result == AUTH_PASS ? STR_NONE : d->problem);
    property_quoted(w, "header.from", d->author_domain);
    if (d->result == AUTH_FAIL)
        property(w, "policy.dmarc", str_of(words[d->disposition]));
}

static void write_client(struct writer *w, const struct message *m)
{
    static const char *const words[] = {"pass", "fail", "temperror", "permerror"};
    struct str iprev = facts_newest(&m->facts, FACT_IPREV);

    if (iprev.n == 0)
        iprev = facts_newest(&m->session->facts, FACT_IPREV);

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_is(iprev, str_of(words[i])) && m->session->peer.ip.known) {
            begin(w, "iprev", words[i]);
            property_quoted(w, "policy.iprev", ip_text(w->arena, m->session->peer.ip));
        }
    if (m->session->auth.n) {
        begin(w, "auth", "pass");
        property(w, "smtp.auth", mailbox(w->arena, m->session->auth));
    }
}

struct str authres_text(struct arena *a, const struct message *m, struct str id)
{
    static const struct auth_results nothing;
    const struct auth_results *r = m->auth ? m->auth : &nothing;
    struct writer w = {.arena = a, .out = buf_in(a)};

    buf_add(&w.out, quoted(a, id));
    write_client(&w, m);
    write_spf(&w, m, r);
    write_dkim(&w, r);
    write_dmarc(&w, &r->dmarc);
    if (r->arc_checked)
        begin(&w, "arc", auth_words[r->arc]);
    if (w.results == 0)
        buf_add(&w.out, STR("; none"));
    return buf_str(&w.out);
}

/* ---- the edits ---- */

bool authres_remove(struct message *m, const struct config *config)
{
    unsigned forged = 0;
    int index = 0;

    for (const struct header *field = m->headers.first; field; field = field->next) {
        if (!str_is_nocase(str_trim(field->name), FIELD))
            continue;
        index++;
        if (!authres_claims(m->arena, field->value, config->global.hostname))
            continue;
        if (++forged > AUTHRES_FORGED_MOST)
            return false;
        edit_delete_header(m->arena, m->edits, FIELD, index);
    }
    return true;
}

/* verifies - the profile has a policy whose results belong here. */
static bool verifies(const struct profile *p)
{
    static const char *const names[] = {"spf", "dkim", "dmarc"};

    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (str_is(str_of(p->instances[i].policy->name), str_of(names[k])))
                return true;
    return false;
}

static bool is_checked(const struct auth_results *r)
{
    return r && (r->spf_from.checked || r->spf_helo.checked || r->dkim_checked || r->dmarc.checked ||
                 r->dmarc.result == AUTH_PERMERROR || r->arc_checked);
}

void authres_finish(struct message *m, const struct config *config)
{
    const struct session *s = m->session;
    struct str id = config->global.hostname;

    if (is_checked(m->auth) || (!s->is_local && s->auth.n == 0 && verifies(s->profile)))
        edit_insert_header(m->arena, m->edits, FIELD, authres_text(m->arena, m, id));
}
