/* report.c - one line per message, in the format the administrator chose. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "metrics.h"
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

struct str report_path(struct arena *a, const struct address *address)
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
        buf_add(&b, report_path(a, &r->address));
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

const char *report_at(int at)
{
    return at == AT_ABORT ? "abort" : stage_names[at];
}

const char *report_by(const struct verdict *v)
{
    if (v->by)
        return v->by->instance->policy->name;
    return v->reply ? "limits" : "";
}

long long report_size(const struct message *m)
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
    field[FROM] = m ? report_path(a, &m->sender) : STR_NONE;
    field[RCPT] = m ? rcpt_list(a, m) : STR_NONE;
    field[NRCPT] = number(a, m ? m->rcpt_count : 0);
    field[SIZE] = number(a, m ? report_size(m) : 0);
    field[VERDICT] = str_of(verdict_names[v->kind]);
    field[BY] = str_of(report_by(v));
    field[AT] = str_of(report_at(v->at));
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

struct str report_line(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v,
                       int format)
{
    struct str field[FIELDS];

    if (format != FORMAT_LOGTERSE)
        collect(a, s, m, v, field);
    switch ((enum log_format)format) {
    case FORMAT_JSON:
        return json(a, field);
    case FORMAT_LOGTERSE:
        return report_logterse(a, s, m, v);
    case FORMAT_KEYVALUE:
        break;
    }
    return keyvalue(a, field);
}

static void write_line(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v)
{
    struct str rest = report_line(a, s, m, v, s->config->log.format), line;

    while (str_split(&rest, '\n', &line))
        log_record(line);
}

void report_message(const struct message *m)
{
    metrics_message(m);
    write_line(m->arena, m->session, m, &m->verdict);
    report_journal(m->arena, m->session, m, &m->verdict);
}

void report_connection(const struct session *s, const struct verdict *v)
{
    metrics_connection(v);
    write_line(s->arena, s, NULL, v);
    report_journal(s->arena, s, NULL, v);
}
