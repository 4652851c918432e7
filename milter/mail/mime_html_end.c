/* mime_html_end.c - the end of what an HTML document shows. */
#include "mime_edit_inside.h"

struct scan {
    struct str html;
    size_t at;
    bool escapes;
};

/* skip_escape - two-byte characters of ISO-2022-JP hold any letter: on to where ASCII begins again. */
static void skip_escape(struct scan *s)
{
    for (; s->at < s->html.n; s->at++) {
        struct str rest = str_slice(s->html, s->at, s->at + 3);

        if (str_is(rest, STR("\033(B")) || str_is(rest, STR("\033(J"))) {
            s->at += 3;
            return;
        }
    }
}

/* skip_to - behind the next `end`, case-blind; false when there is none: all of the rest is inside. */
static bool skip_to(struct scan *s, struct str end)
{
    for (; s->at + end.n <= s->html.n; s->at++) {
        if (str_is_nocase(str_slice(s->html, s->at, s->at + end.n), end)) {
            s->at += end.n;
            return true;
        }
    }
    s->at = s->html.n;
    return false;
}

/* skip_tag - behind the '>' that ends it; what is quoted is passed over. */
static bool skip_tag(struct scan *s)
{
    char quote = '\0', before = '\0';

    for (; s->at < s->html.n; s->at++) {
        char c = s->html.p[s->at];

        if (quote) {
            quote = c == quote ? '\0' : quote;
        } else if (c == '>') {
            s->at++;
            return true;
        } else if ((c == '"' || c == '\'') && before == '=') {
            quote = c;
        }
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            before = c;
    }
    return false;
}

static bool is_tag(struct str rest, struct str name)
{
    char after = rest.n > name.n ? rest.p[name.n] : '>';

    return str_starts_nocase(rest, name) && strchr(" \t\r\n\f/>", after) != NULL;
}

/* raw_text - the end tag of an element whose content is no markup; NULL for another element. */
static const char *raw_text(struct str rest)
{
    static const char *const names[] = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"};
    static const char *const ends[] = {"</script", "</style", "</textarea", "</title", "</xmp", "</iframe", "</noembed",
                                       "</noframes"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_tag(rest, str_of(names[i])))
            return ends[i];
    return NULL;
}

/* markup - what begins at s->at with '<'; false when it never ends. */
static bool markup(struct scan *s)
{
    struct str rest = str_slice(s->html, s->at + 1, s->html.n);
    const char *end;

    if (str_starts(rest, STR("!-->")) || str_starts(rest, STR("!--->"))) { /* an empty comment to all readers */
        s->at++;
        return skip_to(s, STR(">"));
    }
    if (str_starts(rest, STR("!--"))) {
        s->at += 4;
        return skip_to(s, STR("-->"));
    }
    if (str_starts(rest, STR("!")) || str_starts(rest, STR("?")))
        return skip_to(s, STR(">"));
    if (rest.n == 0 || !(rest.p[0] == '/' || ((rest.p[0] | 0x20) >= 'a' && (rest.p[0] | 0x20) <= 'z'))) {
        s->at++; /* a bare < */
        return true;
    }
    end = raw_text(rest);
    if (!skip_tag(s))
        return false;
    return !end || (skip_to(s, str_of(end)) && skip_tag(s));
}

size_t mime_html_end(struct str html, bool escapes)
{
    struct scan s = {html, 0, escapes};
    size_t body = html.n, document = html.n, from;

    while (s.at < html.n) {
        from = s.at;
        if (html.p[from] == '\033' && escapes && str_starts(str_slice(html, from, html.n), STR("\033$"))) {
            skip_escape(&s);
        } else if (html.p[from] != '<') {
            s.at++;
        } else {
            struct str rest = str_slice(html, from + 1, html.n);

            if (is_tag(rest, STR("/body")))
                body = from;
            else if (is_tag(rest, STR("/html")))
                document = from;
            if (!markup(&s)) /* before what hides all of the rest */
                return body < html.n ? body : from;
        }
    }
    return body < html.n ? body : document;
}
