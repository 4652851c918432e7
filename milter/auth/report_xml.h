/* report_xml.h - an aggregate report of RFC 9990 as XML, written piece by piece: a report of a hundred thousand records
 * is never in memory as a whole.
 *
 * Every text may hold anything: what XML gives a meaning to is written as an entity, control bytes are left out, and
 * what is no UTF-8 is replaced by U+FFFD.
 */
#ifndef AUTH_REPORT_XML_H
#define AUTH_REPORT_XML_H

#include <stddef.h>
#include <stdint.h>

#include "../base/str.h"

struct report_published { /* RFC 9990's words */
    struct str domain;
    struct str discovery; /* "treewalk", "psl" */
    struct str p, sp, np; /* "none", "quarantine", "reject" */
    struct str fo;
    struct str adkim, aspf; /* "r", "s" */
    struct str testing;     /* "n", "y" */
};

struct report_head {
    struct str org_name, email;
    struct str report_id;
    int64_t begin, end; /* seconds since 1970; the end is the last second that belongs to it */
    struct report_published published;
};

struct report_record {
    struct str source_ip;
    int64_t count;
    struct str disposition;   /* "none", "pass", "quarantine", "reject" */
    struct str dkim, spf;     /* aligned: "pass", "fail" */
    struct str reason;        /* "local_policy" ...; empty: none */
    struct str comment;
    struct str header_from;
    struct str envelope_from; /* empty: the null sender, told as such */
    struct str envelope_to;   /* empty: left out */
    struct str signatures;    /* "domain selector result" a line */
    struct str spf_domain;    /* empty: SPF was not checked */
    struct str spf_result;
};

/* Where it goes to: put() gets the bytes in order, in pieces. */
struct report_sink {
    void (*put)(void *ctx, struct str bytes);
    void *ctx;
};

void report_xml_begin(const struct report_sink *to, const struct report_head *head);
void report_xml_record(const struct report_sink *to, const struct report_record *r);
void report_xml_end(const struct report_sink *to);

#include "../base/banned.h"
#endif
