/* report_xml.c - the elements of an aggregate report, in the order of RFC 9990. */
#include <stdio.h>

#include "../mail/utf8.h"
#include "report_xml.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "?"
#endif

static const struct str replacement = {"\xef\xbf\xbd", 3};

static void put(const struct report_sink *to, struct str s)
{
    if (s.n)
        to->put(to->ctx, s);
}

/* entity - how a byte must be written; an empty one: as it is. */
static struct str entity(char c)
{
    switch (c) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    case '"':
        return STR("&quot;");
    case '\'':
        return STR("&apos;");
    default:
        return STR_NONE;
    }
}

/* width - bytes of the well-formed character of more than one byte that s begins with; 0: there is none. */
static size_t width(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return n <= s.n && utf8_is_valid(str_slice(s, 0, n)) ? n : 0;
}

/* is_forbidden - U+FFFE and U+FFFF are UTF-8, but no characters of XML; U+0080 to U+009F move terminals. */
static bool is_forbidden(struct str c)
{
    const unsigned char *b = (const unsigned char *)c.p;

    return (c.n == 3 && b[0] == 0xef && b[1] == 0xbf && b[2] >= 0xbe) || (c.n == 2 && b[0] == 0xc2 && b[1] < 0xa0);
}

static void put_text(const struct report_sink *to, struct str s)
{
    size_t from = 0, at = 0; /* s[from..at) can be written as it is */

    while (at < s.n) {
        struct str instead = entity(s.p[at]);
        unsigned char c = (unsigned char)s.p[at];
        size_t n = 1;

        if (c >= 0x80) {
            n = width(str_slice(s, at, s.n));
            if (n == 0 || is_forbidden(str_slice(s, at, at + n)))
                instead = replacement;
            n = n ? n : 1;
        }
        if (instead.n || c < 0x20 || c == 0x7f) {
            put(to, str_slice(s, from, at));
            put(to, instead);
            from = at + n;
        }
        at += n;
    }
    put(to, str_slice(s, from, s.n));
}

/* element - one that holds text. The depth is for who reads it without a tool. */
static void element(const struct report_sink *to, const char *depth, const char *name, struct str text)
{
    put(to, str_of(depth));
    put(to, STR("<"));
    put(to, str_of(name));
    put(to, STR(">"));
    put_text(to, text);
    put(to, STR("</"));
    put(to, str_of(name));
    put(to, STR(">\n"));
}

static void number(const struct report_sink *to, const char *depth, const char *name, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);

    element(to, depth, name, (struct str){text, (size_t)n});
}

void report_xml_begin(const struct report_sink *to, const struct report_head *head)
{
    const struct report_published *p = &head->published;

    put(to, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
                " <version>1.0</version>\n"
                " <report_metadata>\n"));
    element(to, "  ", "org_name", head->org_name);
    element(to, "  ", "email", head->email);
    element(to, "  ", "report_id", head->report_id);
    put(to, STR("  <date_range>\n"));
    number(to, "   ", "begin", head->begin);
    number(to, "   ", "end", head->end);
    put(to, STR("  </date_range>\n"));
    element(to, "  ", "generator", STR("sme-milter " PACKAGE_VERSION));
    put(to, STR(" </report_metadata>\n"
                " <policy_published>\n"));
    element(to, "  ", "domain", p->domain);
    element(to, "  ", "discovery_method", p->discovery);
    element(to, "  ", "p", p->p);
    element(to, "  ", "sp", p->sp);
    element(to, "  ", "np", p->np);
    element(to, "  ", "fo", p->fo);
    element(to, "  ", "adkim", p->adkim);
    element(to, "  ", "aspf", p->aspf);
    element(to, "  ", "testing", p->testing);
    put(to, STR(" </policy_published>\n"));
}

static void put_row(const struct report_sink *to, const struct report_record *r)
{
    put(to, STR("  <row>\n"));
    element(to, "   ", "source_ip", r->source_ip);
    number(to, "   ", "count", r->count);
    put(to, STR("   <policy_evaluated>\n"));
    element(to, "    ", "disposition", r->disposition);
    element(to, "    ", "dkim", r->dkim);
    element(to, "    ", "spf", r->spf);
    if (r->reason.n) {
        put(to, STR("    <reason>\n"));
        element(to, "     ", "type", r->reason);
        if (r->comment.n)
            element(to, "     ", "comment", r->comment);
        put(to, STR("    </reason>\n"));
    }
    put(to, STR("   </policy_evaluated>\n"
                "  </row>\n"));
}

static void put_identifiers(const struct report_sink *to, const struct report_record *r)
{
    put(to, STR("  <identifiers>\n"));
    element(to, "   ", "header_from", r->header_from);
    element(to, "   ", "envelope_from", r->envelope_from);
    if (r->envelope_to.n)
        element(to, "   ", "envelope_to", r->envelope_to);
    put(to, STR("  </identifiers>\n"));
}

static void put_results(const struct report_sink *to, const struct report_record *r)
{
    struct str lines = r->signatures, line, domain, selector, result;

    put(to, STR("  <auth_results>\n"));
    while (str_split(&lines, '\n', &line)) {
        if (!str_token(&line, &domain) || !str_token(&line, &selector) || !str_token(&line, &result))
            continue;
        put(to, STR("   <dkim>\n"));
        element(to, "    ", "domain", domain);
        element(to, "    ", "selector", selector);
        element(to, "    ", "result", result);
        put(to, STR("   </dkim>\n"));
    }
    if (r->spf_domain.n) {
        put(to, STR("   <spf>\n"));
        element(to, "    ", "domain", r->spf_domain);
        element(to, "    ", "scope", STR("mfrom"));
        element(to, "    ", "result", r->spf_result);
        put(to, STR("   </spf>\n"));
    }
    put(to, STR("  </auth_results>\n"));
}

void report_xml_record(const struct report_sink *to, const struct report_record *r)
{
    put(to, STR(" <record>\n"));
    put_row(to, r);
    put_identifiers(to, r);
    put_results(to, r);
    put(to, STR(" </record>\n"));
}

void report_xml_end(const struct report_sink *to)
{
    put(to, STR("</feedback>\n"));
}
