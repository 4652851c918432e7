/* report.c - one line per message, in the format the administrator chose. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "report.h"
#include "stage.h"
#include "verdict.h"

#define LISTED_MOST 100 /* recipients and findings in one line; more are counted */

const char *const verdict_names[] = {"accept", "reject", "tempfail", "discard", "quarantine", NULL};

/* The fields, in their fixed order. */
enum field { REF, QUEUE_ID, PROFILE, CLIENT, NAME, HELO, AUTH, FROM, RCPT, NRCPT, SIZE, VERDICT, BY, AT, REPLY, KARMA, MS,
             FINDINGS, FIELDS };

static const char *const field_names[FIELDS] = {"ref",   "queue_id", "profile", "client", "name",  "helo",
                                                "auth",  "from",     "rcpt",    "nrcpt",  "size",  "verdict",
                                                "by",    "at",       "reply",   "karma",  "ms",    "findings"};

static struct str number(struct arena *a, long long n)
{
    return arena_printf(a, "%lld", n);
}

/* path - an address as SMTP writes it; a malformed one as it came. */
static struct str path(struct arena *a, const struct address *address)
{
    if (address->well_formed || address->raw.n == 0)
        return arena_printf(a, "<" STR_FMT ">", STR_ARG(address->text));
    return address->raw;
}

static struct str rcpt_list(struct arena *a, const struct message *m)
{
    struct buf b = buf_in(a);
    unsigned n = 0;

    for (const struct recipient *r = m->rcpt; r && n < LISTED_MOST; r = r->next, n++) {
        if (n)
            buf_addc(&b, ',');
        buf_add(&b, path(a, &r->address));
    }
    if (m->rcpt_count > n)
        buf_addf(&b, ",+%u", m->rcpt_count - n);
    return buf_str(&b);
}

static unsigned add_findings(struct buf *b, const struct records *list, unsigned n)
{
    for (const struct record *r = list->first; r; r = r->next) {
        if (r->finding.result == NOTHING) /* it only weighs */
            continue;
        if (n < LISTED_MOST)
            buf_addf(b, "%s%s:%s", n ? "," : "", r->instance->policy->name, result_names[r->finding.result]);
        n++;
    }
    return n;
}

static struct str findings_list(struct arena *a, const struct session *s, const struct message *m)
{
    struct buf b = buf_in(a);
    unsigned n = add_findings(&b, &s->records, 0);

    if (m)
        n = add_findings(&b, &m->records, n);
    if (n > LISTED_MOST)
        buf_addf(&b, ",+%u", n - LISTED_MOST);
    return buf_str(&b);
}

static const char *at_name(int at)
{
    return at == AT_ABORT ? "abort" : stage_names[at];
}

static const char *by_name(const struct verdict *v)
{
    if (v->by)
        return v->by->instance->policy->name;
    return v->reply ? "limits" : "";
}

/* size_of - bytes seen, or declared where the body is not sent to us because no policy wants it. */
static long long size_of(const struct message *m)
{
    uint64_t seen = m->headers.bytes + m->body_bytes;

    return (long long)(seen > m->declared_size || m->body_bytes ? seen : m->declared_size);
}

static void collect(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v,
                    struct str field[FIELDS])
{
    field[REF] = m ? m->ref : s->ref;
    field[QUEUE_ID] = m ? m->queue_id : STR_NONE;
    field[PROFILE] = s->profile->name;
    field[CLIENT] = ip_text(a, s->peer.ip);
    field[NAME] = s->peer.name;
    field[HELO] = s->helo;
    field[AUTH] = s->auth;
    field[FROM] = m ? path(a, &m->sender) : STR_NONE;
    field[RCPT] = m ? rcpt_list(a, m) : STR_NONE;
    field[NRCPT] = number(a, m ? m->rcpt_count : 0);
    field[SIZE] = number(a, m ? size_of(m) : 0);
    field[VERDICT] = str_of(verdict_names[v->kind]);
    field[BY] = str_of(by_name(v));
    field[AT] = str_of(at_name(v->at));
    field[REPLY] = v->reply ? reply_line(a, v->reply) : STR_NONE;
    field[KARMA] = number(a, s->karma);
    field[MS] = number(a, clock_ms() - (m ? m->began_ms : s->began_ms));
    field[FINDINGS] = findings_list(a, s, m);
}

/* keyvalue: a value that is empty or plain stands as it is, others in quotes. */
static struct str keyvalue(struct arena *a, const struct str field[FIELDS])
{
    struct buf b = buf_in(a);

    for (unsigned i = 0; i < FIELDS; i++) {
        struct buf v = buf_in(a);
        bool quoted = false;

        buf_add_escaped(&v, field[i], "\"");
        for (size_t k = 0; k < v.len && !quoted; k++)
            quoted = v.data[k] == ' ' || v.data[k] == '\\';
        buf_addf(&b, quoted ? "%s%s=\"" STR_FMT "\"" : "%s%s=" STR_FMT, i ? " " : "", field_names[i],
                 STR_ARG(buf_str(&v)));
    }
    return buf_str(&b);
}

static struct str json(struct arena *a, const struct str field[FIELDS])
{
    static const bool is_number[FIELDS] = {[NRCPT] = true, [SIZE] = true, [KARMA] = true, [MS] = true};
    json_t *object = json_object();
    struct str line = STR("{}");
    char *text;

    for (unsigned i = 0; i < FIELDS; i++) {
        struct buf v = buf_in(a);
        long n = 0;

        buf_add_escaped(&v, field[i], "");
        json_object_set_new(object, field_names[i],
                            is_number[i] && str_to_long(field[i], &n) ? json_integer(n) : json_stringn(v.data, v.len));
    }
    text = json_dumps(object, JSON_COMPACT);
    if (text)
        line = str_dup(a, str_of(text));
    free(text);
    json_decref(object);
    return line;
}

/* logterse: the tab-separated line that SME's statistics read, without the original's defects: every field is escaped, the
 * refused recipient is listed, and "queued" is said only of what was. The numbers are qpsmtpd's: 901 refused for good,
 * 902 for now, 903 and 904 the same with hanging up. */
static struct str logterse(struct arena *a, const struct str field[FIELDS], const struct message *m,
                           const struct verdict *v)
{
    const struct header *id = m ? header_find(&m->headers, STR("Message-ID"), 0) : NULL;
    struct str text = id ? header_unfold(a, id->value) : STR_NONE;
    struct str column[9] = {field[CLIENT], field[NAME], field[HELO], field[FROM], field[RCPT]};
    struct buf b = buf_in(a);

    if (v->reply) {
        int code = v->reply->code;

        column[5] = field[BY];
        column[6] = number(a, code == 521 ? 903 : code == 421 ? 904 : code >= 500 ? 901 : 902);
        text = v->reply->text;
        if (v->by && v->by->judged == JUDGED_LATER) { /* the original's name for what was deferred */
            column[5] = STR("naughty");
            text = arena_printf(a, "(" STR_FMT ") " STR_FMT, STR_ARG(field[BY]), STR_ARG(text));
        }
        column[8] = STR("msg denied before queued");
    } else {
        column[5] = m && v->at == AT_MESSAGE ? STR("queued") : STR("none");
        column[8] = STR_NONE;
    }
    column[7] = text;
    buf_add(&b, STR("` "));
    for (unsigned i = 0; i < 9; i++) {
        if (i)
            buf_addc(&b, '\t');
        buf_add_escaped(&b, column[i], "`");
    }
    return buf_str(&b);
}

struct str report_line(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v,
                       int format)
{
    struct str field[FIELDS];

    collect(a, s, m, v, field);
    switch ((enum log_format)format) {
    case FORMAT_JSON:
        return json(a, field);
    case FORMAT_LOGTERSE:
        return logterse(a, field, m, v);
    case FORMAT_KEYVALUE:
        break;
    }
    return keyvalue(a, field);
}

static void write_line(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v)
{
    log_record(report_line(a, s, m, v, s->config->log.format));
}

void report_message(const struct message *m)
{
    write_line(m->arena, m->session, m, &m->verdict);
}

void report_connection(const struct session *s, const struct verdict *v)
{
    write_line(s->arena, s, NULL, v);
}
