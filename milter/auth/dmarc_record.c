/* dmarc_record.c - a DMARC policy record (RFC 9989, 4.7 and 4.8): what is valid in it, and libopendmarc's reading of
 * that.
 *
 * libopendmarc takes much that is no record (p= without v=, the last of two p=, pct=abc) and says "r" for what it did
 * not understand. So it is given nothing but a record put together here from tags that are known to be valid; np, psd
 * and t, which it does not know, are read here.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/types.h>

#include <opendmarc/dmarc.h>

#include "dmarc.h"

const char *const dmarc_words[] = {"none", "quarantine", "reject", NULL};

enum tag { TAG_P, TAG_SP, TAG_NP, TAG_ADKIM, TAG_ASPF, TAG_T, TAG_PSD, TAG_FO, TAG_RUA, TAG_RUF, TAGS };

static const char *const tag_names[TAGS] = {"p", "sp", "np", "adkim", "aspf", "t", "psd", "fo", "rua", "ruf"};

struct value {
    struct str text;
    unsigned times;
};

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static struct str trim(struct str s)
{
    while (s.n && is_wsp(s.p[0]))
        s = str_slice(s, 1, s.n);
    while (s.n && is_wsp(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* cut_tag - "name = value"; the value may hold printable bytes alone. */
static bool cut_tag(struct str part, struct str *name, struct str *value)
{
    size_t equals = str_find(part, '=');

    if (equals == part.n)
        return false;
    *name = trim(str_slice(part, 0, equals));
    *value = trim(str_slice(part, equals + 1, part.n));
    for (size_t i = 0; i < value->n; i++)
        if ((unsigned char)value->p[i] < 0x20 || (unsigned char)value->p[i] > 0x7e)
            value->n = 0;
    return true;
}

/* is_record - the first tag is v, exactly DMARC1; *rest is behind it. */
static bool is_record(struct str text, struct str *rest)
{
    struct str first, name, value;

    *rest = text;
    if (!str_split(rest, ';', &first) || first.n == 0 || is_wsp(first.p[0]) || !cut_tag(first, &name, &value))
        return false;
    return str_is_nocase(name, STR("v")) && str_is(value, STR("DMARC1"));
}

static void note(struct value *values, struct str name, struct str text)
{
    for (int i = 0; i < TAGS; i++)
        if (str_is_nocase(name, str_of(tag_names[i]))) {
            values[i].text = text;
            values[i].times++;
        }
}

/* one_of - the index of the value among the words, or -1. A tag that stands there twice says nothing: who is to tell
 * which was meant. */
static int one_of(const struct value *v, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (v->times == 1 && str_is_nocase(v->text, str_of(words[i])))
            return i;
    return -1;
}

/* ---- URIs ---- */

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str without_size(struct str uri)
{
    size_t at = str_find(uri, '!'), i = at + 1;

    if (at == uri.n)
        return uri;
    while (i < uri.n && is_digit(uri.p[i]))
        i++;
    if (i == at + 1)
        return uri;
    if (i < uri.n && strchr("kmgtKMGT", uri.p[i]))
        i++;
    return i == uri.n ? str_slice(uri, 0, at) : uri;
}

/* is_uri - RFC 3986's shape: a scheme, a colon, and bytes that a URI may hold; of mailto also an address. */
static bool is_uri(struct str uri)
{
    size_t colon = str_find(uri, ':'), at;

    if (colon == 0 || colon + 1 >= uri.n || !is_alpha(uri.p[0]))
        return false;
    for (size_t i = 1; i < colon; i++)
        if (!is_alpha(uri.p[i]) && !is_digit(uri.p[i]) && !strchr("+-.", uri.p[i]))
            return false;
    for (size_t i = colon + 1; i < uri.n; i++)
        if (uri.p[i] == '\0' ||
            (!is_alpha(uri.p[i]) && !is_digit(uri.p[i]) && !strchr("-._~:/?#[]@$&'()*+;=%", uri.p[i])))
            return false;
    if (!str_is_nocase(str_slice(uri, 0, colon), STR("mailto")))
        return true;
    uri = str_slice(uri, colon + 1, uri.n);
    uri = str_slice(uri, 0, str_find(uri, '?'));
    at = str_rfind(uri, '@');
    return at > 0 && at + 1 < uri.n;
}

static void read_uris(struct arena *a, const struct value *v, struct dmarc_uris *uris)
{
    struct str rest = v->text, part;

    if (v->times != 1)
        return;
    while (uris->count < DMARC_URIS_MOST && str_split(&rest, ',', &part)) {
        struct str uri = without_size(trim(part));

        if (is_uri(uri))
            uris->items[uris->count++] = str_dup(a, uri);
    }
}

static bool is_fo(struct str fo)
{
    struct str part;
    unsigned seen[4] = {0};

    while (str_split(&fo, ':', &part)) {
        static const char letters[] = "01ds";
        const char *at;

        part = trim(part);
        at = part.n == 1 && part.p[0] ? strchr(letters, part.p[0] | (is_alpha(part.p[0]) ? 0x20 : 0)) : NULL;
        if (!at || seen[at - letters]++)
            return false;
    }
    return !(seen[0] && seen[1]);
}

/* ---- libopendmarc ---- */

static enum dmarc_disposition disposition_of(int letter)
{
    return letter == DMARC_RECORD_P_REJECT       ? DMARC_REJECT
           : letter == DMARC_RECORD_P_QUARANTINE ? DMARC_QUARANTINE
                                                 : DMARC_NONE;
}

/* library_read - from valid values alone; false: it does not take them, which would be news. */
static bool library_read(const char *clean, struct dmarc_record *record)
{
    unsigned char text[128], domain[] = "example.org", address[] = "127.0.0.1";
    DMARC_POLICY_T *policy = opendmarc_policy_connect_init(address, 4);
    int p = 0, sp = 0, adkim = 0, aspf = 0;
    bool good;

    if (!policy)
        return false;
    snprintf((char *)text, sizeof text, "%s", clean);
    good = opendmarc_policy_parse_dmarc(policy, domain, text) == DMARC_PARSE_OKAY &&
           opendmarc_policy_fetch_p(policy, &p) == DMARC_PARSE_OKAY &&
           opendmarc_policy_fetch_sp(policy, &sp) == DMARC_PARSE_OKAY &&
           opendmarc_policy_fetch_adkim(policy, &adkim) == DMARC_PARSE_OKAY &&
           opendmarc_policy_fetch_aspf(policy, &aspf) == DMARC_PARSE_OKAY;
    opendmarc_policy_connect_shutdown(policy);
    record->p = disposition_of(p);
    record->sp = disposition_of(sp);
    record->strict_dkim = adkim == DMARC_RECORD_A_STRICT;
    record->strict_spf = aspf == DMARC_RECORD_A_STRICT;
    return good;
}

/* ---- all of it ---- */

static void read_policies(const struct value *values, struct dmarc_record *record)
{
    static const char *const alignment_words[] = {"r", "s", NULL};
    int p = one_of(&values[TAG_P], dmarc_words), sp = one_of(&values[TAG_SP], dmarc_words),
        np = one_of(&values[TAG_NP], dmarc_words);
    bool bad = p < 0 || (sp < 0 && values[TAG_SP].times) || (np < 0 && values[TAG_NP].times);
    char clean[128];

    if (bad && record->rua.count == 0) {
        record->problem = p < 0 ? "the record has no valid p" : "the record has an invalid sp or np";
        return;
    }
    if (bad)
        p = sp = np = -1; /* as if p=none alone had been published (4.10.1) */
    snprintf(clean, sizeof clean, "v=DMARC1; p=%s%s%s%s%s", dmarc_words[p < 0 ? 0 : p], sp < 0 ? "" : "; sp=",
             sp < 0 ? "" : dmarc_words[sp], one_of(&values[TAG_ADKIM], alignment_words) == 1 ? "; adkim=s" : "",
             one_of(&values[TAG_ASPF], alignment_words) == 1 ? "; aspf=s" : "");
    record->usable = library_read(clean, record);
    if (!record->usable) {
        record->problem = "the record could not be read";
        return;
    }
    record->has_p = p >= 0;
    record->has_sp = sp >= 0;
    record->has_np = np >= 0;
    if (np >= 0)
        record->np = (enum dmarc_disposition)np;
}

bool dmarc_record_read(struct arena *a, struct str text, struct dmarc_record *record)
{
    static const char *const psd_words[] = {"u", "y", "n", NULL}, *const yes_words[] = {"n", "y", NULL};
    struct value values[TAGS] = {0};
    struct str rest, part, name, value;
    int psd;

    memset(record, 0, sizeof *record);
    record->problem = "";
    if (!is_record(text, &rest))
        return false;
    if (text.n > DMARC_RECORD_MOST) {
        record->problem = "the record is too long";
        return true;
    }
    while (str_split(&rest, ';', &part))
        if (cut_tag(part, &name, &value))
            note(values, name, value);
    psd = one_of(&values[TAG_PSD], psd_words);
    record->psd = psd < 0 ? DMARC_PSD_UNKNOWN : (enum dmarc_psd)psd;
    record->testing = one_of(&values[TAG_T], yes_words) == 1;
    read_uris(a, &values[TAG_RUA], &record->rua);
    read_uris(a, &values[TAG_RUF], &record->ruf);
    if (values[TAG_FO].times == 1 && is_fo(values[TAG_FO].text))
        record->fo = str_dup(a, values[TAG_FO].text);
    read_policies(values, record);
    return true;
}
