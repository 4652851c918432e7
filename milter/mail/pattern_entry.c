/* pattern_entry.c - what kind of pattern an entry is, or why it is none. */
#include "domain.h"
#include "pattern_entry.h"

bool pattern_take_word(struct str *rest, struct str *word)
{
    bool regex = rest->n && rest->p[0] == '/', quoted = false;
    size_t i;

    for (i = regex; i < rest->n; i++) {
        char c = rest->p[i];
        bool last = i + 1 == rest->n || rest->p[i + 1] == ' ' || rest->p[i + 1] == '\t';

        if (regex && c == '/' && last)
            break;
        if (!regex && !quoted && (c == ' ' || c == '\t'))
            break;
        if (c == '\\' && (regex || quoted))
            i++;
        else if (c == '"')
            quoted = !quoted;
    }
    if (regex && i >= rest->n)
        return false;
    i += regex;
    *word = str_slice(*rest, 0, i);
    *rest = str_trim(str_slice(*rest, i, rest->n));
    return true;
}

static bool is_domain(struct str name)
{
    struct ip ip;

    return domain_is_hostname(name, true) || domain_literal(name, &ip);
}

/* kind_of_address - false with *error when the word is no entry of an address list. */
static bool kind_of_address(struct arena *a, struct str word, bool allow_bare, enum pattern_kind *kind,
                            struct str *error)
{
    size_t at = str_rfind(word, '@');
    struct str shown = str_escaped(a, word), domain = str_slice(word, at + 1, word.n);

    if (at < word.n) {
        *kind = at == 0 ? PATTERN_AT_DOMAIN : PATTERN_WHOLE;
        if (is_domain(domain))
            return true;
        *error = arena_printf(a, "has no domain name after its @; a regular expression stands between slashes: "
                              "/" STR_FMT "/", STR_ARG(shown));
        return false;
    }
    *kind = word.p[0] == '.' ? PATTERN_BELOW : PATTERN_BARE;
    if (*kind == PATTERN_BARE) {
        if (!allow_bare)
            *error = arena_printf(a, "has no @; did you mean @" STR_FMT " or " STR_FMT "@domain?", STR_ARG(shown),
                                  STR_ARG(shown));
        return allow_bare;
    }
    if (domain_is_hostname(str_slice(word, 1, word.n), true))
        return true;
    *error = STR("has no domain name after its dot");
    return false;
}

static bool kind_of_host(struct str word, enum pattern_kind *kind, struct str *error)
{
    *kind = word.p[0] == '.' ? PATTERN_BELOW : PATTERN_WHOLE;
    if (is_domain(*kind == PATTERN_BELOW ? str_slice(word, 1, word.n) : word))
        return true;
    *error = str_find(word, '@') < word.n ? STR("is an address; this list has host names")
                                          : STR("is no host name; a regular expression stands between slashes");
    return false;
}

bool pattern_kind_of(struct arena *a, enum pattern_of of, bool allow_bare, struct str word, enum pattern_kind *kind,
                     struct str *error)
{
    return of == PATTERN_HOSTS ? kind_of_host(word, kind, error) : kind_of_address(a, word, allow_bare, kind, error);
}
