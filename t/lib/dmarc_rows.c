/* dmarc_rows.c - rows for the aggregate reports as the daemon adds them: `dmarc_rows DIRECTORY`, one row a line on
 * standard input, "key=value" between tabs, bytes as \xHH. For the end-to-end tests. */
#include <stdlib.h>

#include "../../db/dmarc_store.h"
#include "tap.h"

#define SIGNATURES 300

static struct arena *a;

static struct str unescaped(struct str s)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 3 < s.n && s.p[i + 1] == 'x') {
            char digits[3] = {s.p[i + 2], s.p[i + 3], '\0'};

            buf_addc(&b, (char)strtol(digits, NULL, 16));
            i += 3;
        } else {
            buf_addc(&b, s.p[i]);
        }
    }
    return buf_str(&b);
}

static int word(struct str value, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (str_is(value, str_of(words[i])))
            return i;
    bail("there is no word \"" STR_FMT "\"", STR_ARG(value));
}

static long number(struct str value)
{
    long n;

    if (!str_to_long(value, &n))
        bail("\"" STR_FMT "\" is no number", STR_ARG(value));
    return n;
}

/* add_signature - "d/s/result". */
static void add_signature(struct dmarc_row *row, struct dkim_result *list, struct str value)
{
    struct dkim_result *r = &list[row->dkim_count];
    struct str result = STR_NONE;

    if (row->dkim_count++ == SIGNATURES)
        bail("too many signatures");
    *r = (struct dkim_result){.result = AUTH_NONE};
    str_split(&value, '/', &r->domain);
    str_split(&value, '/', &r->selector);
    str_split(&value, '/', &result);
    r->result = (enum auth_result)word(result, auth_words);
    row->dkim = list;
}

static const char *const dispositions[] = {"none", "quarantine", "reject", NULL};

static bool set_policy(struct report_policy *p, struct str key, struct str value)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {{"domain", offsetof(struct report_policy, domain)},
                 {"org", offsetof(struct report_policy, org_domain)},
                 {"fo", offsetof(struct report_policy, fo)},
                 {"rua", offsetof(struct report_policy, rua)}};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (str_is(key, str_of(texts[i].name))) {
            *(struct str *)((char *)p + texts[i].offset) = value;
            return true;
        }
    if (str_is(key, STR("p")))
        p->p = p->sp = p->np = (enum dmarc_disposition)word(value, dispositions);
    else if (str_is(key, STR("sp")))
        p->sp = p->np = (enum dmarc_disposition)word(value, dispositions);
    else if (str_is(key, STR("strict")))
        p->adkim_strict = p->aspf_strict = true;
    else if (str_is(key, STR("testing")))
        p->testing = true;
    else if (str_is(key, STR("psl")))
        p->psl = true;
    else
        return false;
    return true;
}

static bool set_row(struct dmarc_row *row, struct str key, struct str value)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {{"from", offsetof(struct dmarc_row, header_from)},
                 {"mailfrom", offsetof(struct dmarc_row, envelope_from)},
                 {"rcpt", offsetof(struct dmarc_row, envelope_to)},
                 {"override", offsetof(struct dmarc_row, override)},
                 {"comment", offsetof(struct dmarc_row, comment)},
                 {"spfdomain", offsetof(struct dmarc_row, spf_domain)}};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (str_is(key, str_of(texts[i].name))) {
            *(struct str *)((char *)row + texts[i].offset) = value;
            return true;
        }
    if (str_is(key, STR("at")))
        row->at = number(value);
    else if (str_is(key, STR("ip")))
        return ip_parse(value, &row->source);
    else if (str_is(key, STR("did")))
        row->disposition = (enum dmarc_disposition)word(value, dispositions);
    else if (str_is(key, STR("dkim")))
        row->dkim_aligned = str_is(value, STR("pass"));
    else if (str_is(key, STR("spf")))
        row->spf_aligned = str_is(value, STR("pass"));
    else if (str_is(key, STR("spfresult")))
        row->spf = (enum auth_result)word(value, auth_words);
    else
        return false;
    return true;
}

/* add_line - key by key. "vary" makes that many rows of it, from as many addresses. */
static void add_line(struct str line)
{
    static struct dkim_result signatures[SIGNATURES];
    struct dmarc_row row = {.at = 0};
    struct str part;
    long times = 1, vary = 1;

    while (str_split(&line, '\t', &part)) {
        size_t at = str_find(part, '=');
        struct str key = str_slice(part, 0, at), value = unescaped(str_slice(part, at + 1, part.n));

        if (str_is(key, STR("times")))
            times = number(value);
        else if (str_is(key, STR("vary")))
            vary = number(value);
        else if (str_is(key, STR("sig")))
            add_signature(&row, signatures, value);
        else if (!set_policy(&row.policy, key, value) && !set_row(&row, key, value))
            bail("what is \"" STR_FMT "\"?", STR_ARG(part));
    }
    for (long v = 0; v < vary; v++) {
        for (long i = 0; i < times; i++)
            dmarc_record_add(&row);
        for (int b = 15; b > 12 && ++row.source.b[b] == 0; b--)
            ;
        if (v % 1000 == 999)
            dmarc_store_flush(60000);
    }
}

int main(int argc, char **argv)
{
    struct dmarc_counters n;
    struct str line;
    char *text = NULL;
    size_t room = 0;
    ssize_t got;

    if (argc != 2)
        bail("usage: dmarc_rows DIRECTORY");
    a = arena_new(0);
    dmarc_store_start(str_of(argv[1]), 10000);
    while ((got = getline(&text, &room, stdin)) > 0) {
        line = str_trim((struct str){text, (size_t)got});
        if (line.n)
            add_line(line);
        arena_reset(a);
    }
    if (!dmarc_store_flush(60000))
        bail("the rows cannot be written");
    dmarc_store_count(&n);
    printf("%llu %llu %llu %llu\n", (unsigned long long)n.added, (unsigned long long)n.unwanted,
           (unsigned long long)n.unusable, (unsigned long long)n.shortened);
    dmarc_store_stop(10000);
    arena_free(&a);
    free(text);
    return 0;
}
