/* scenario_dns.c - the DNS of a scenario: `dns` lines as a script, and `asked`. */
#include "scenario_reader.h"

#include "milter/base/ip.h"
#include "milter/dns/script_parse.h"

void words_add(struct arena *a, struct words *w, struct str word)
{
    w->items = arena_grow(a, w->items, w->count, sizeof *w->items);
    w->items[w->count++] = str_dup(a, word);
}

bool words_have(const struct words *w, struct str word)
{
    for (size_t i = 0; i < w->count; i++)
        if (str_is(w->items[i], word))
            return true;
    return false;
}

void asked_add(struct arena *a, struct words *w, struct str lines)
{
    struct str line;

    while (str_split(&lines, '\n', &line))
        if (line.n)
            words_add(a, w, line);
}

bool asked_fits(const struct play *p, const struct check *c, const struct seen *seen)
{
    const struct words *asked = c->never || !seen->asked_known ? &p->asked : &seen->asked;

    if (c->never)
        return c->question.n ? !words_have(asked, c->question) : asked->count == 0;
    return words_have(asked, c->question);
}

/* reverse_name - where the names of an address stand; any other word is a name already. */
static struct str reverse_name(struct arena *a, struct str word)
{
    struct buf b = buf_in(a);
    struct ip ip;

    if (!ip_parse(word, &ip))
        return word;
    if (ip_is_v4(ip))
        return arena_printf(a, "%u.%u.%u.%u.in-addr.arpa", ip.b[15], ip.b[14], ip.b[13], ip.b[12]);
    for (int i = 15; i >= 0; i--)
        buf_addf(&b, "%x.%x.", ip.b[i] & 15u, ip.b[i] >> 4);
    buf_add(&b, STR("ip6.arpa"));
    return buf_str(&b);
}

bool reader_question(struct reader *r, struct str rest, struct str *question)
{
    struct str name, type, more;

    if (!reader_word(&rest, &name) || !reader_word(&rest, &type) || reader_word(&rest, &more))
        return reader_fail(r, "asked: NAME TYPE, not NAME TYPE, or none is expected");
    if (str_is(type, STR("PTR")))
        name = reverse_name(r->a, name);
    *question = arena_printf(r->a, STR_FMT " " STR_FMT, STR_ARG(name), STR_ARG(type));
    return true;
}

/* verdict - the script's word for it: it writes them in capitals. */
static bool verdict(struct str word, const char **in_script)
{
    static const char *const words[] = {"servfail", "SERVFAIL", "refused",  "REFUSED",  "timeout",   "TIMEOUT",
                                        "nxdomain", "NXDOMAIN", "nodata", "NODATA", "malformed", "MALFORMED"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i += 2)
        if (str_is(word, str_of(words[i]))) {
            *in_script = words[i + 1];
            return true;
        }
    return false;
}

/* add_records - a line of the script for each record: an MX has two words, a TXT all, any other one. */
static void add_records(struct buf *b, struct str name, struct str type, const struct words *w, struct str after)
{
    size_t of_one = str_is(type, STR("TXT")) ? w->count : str_is(type, STR("MX")) ? 2 : 1;
    const char *word;

    if (w->count == 1 && verdict(w->items[0], &word)) {
        buf_addf(b, STR_FMT " " STR_FMT " %s" STR_FMT "\n", STR_ARG(name), STR_ARG(type), word, STR_ARG(after));
        return;
    }
    for (size_t i = 0; i < w->count; i += of_one) {
        buf_addf(b, STR_FMT " " STR_FMT, STR_ARG(name), STR_ARG(type));
        for (size_t k = i; k < i + of_one && k < w->count; k++)
            buf_addf(b, " " STR_FMT, STR_ARG(w->items[k]));
        buf_addf(b, STR_FMT "\n", STR_ARG(after));
    }
}

bool reader_dns(struct reader *r, struct str rest)
{
    struct words w = {NULL, 0};
    struct str name, type, word, after = STR_NONE, error;
    struct buf b = buf_in(r->a);
    struct rules rules;

    if (!reader_word(&rest, &name) || !reader_word(&rest, &type) || !reader_word(&rest, &word) ||
        !str_is(word, STR("=")))
        return reader_fail(r, "dns: NAME TYPE = ANSWER is expected");
    while (reader_word(&rest, &word))
        words_add(r->a, &w, word);
    if (w.count >= 3 && str_is(w.items[w.count - 2], STR("after"))) {
        after = arena_printf(r->a, " after " STR_FMT, STR_ARG(w.items[w.count - 1]));
        w.count -= 2;
    }
    if (str_is(type, STR("PTR")))
        name = reverse_name(r->a, name);
    add_records(&b, name, type, &w, after);
    if (!w.count || !script_parse(r->a, STR("dns"), buf_str(&b), &rules, &error))
        return reader_fail(r, "dns: " STR_FMT, STR_ARG(w.count ? error : STR("an answer is expected")));
    r->scn->dns = arena_printf(r->a, STR_FMT STR_FMT, STR_ARG(r->scn->dns), STR_ARG(buf_str(&b)));
    return true;
}
