/* report_logterse.c - the tab-separated lines that SME's statistics read: one for every refusal and one for every
 * message that was accepted, nothing else.
 *
 *   ` client  name  helo  <sender>  <recipients>  plugin or "queued"  number  text or Message-ID  score
 *
 * Without the original's defects: no field can be forged (all are escaped), a refused recipient stands in its own line,
 * and "queued" is said only of what was. Its numbers: 901 refused for good, 902 for now, 903 and 904 the same with
 * hanging up.
 */
#include "report.h"
#include "stage.h"
#include "verdict.h"

#define LISTED_MOST 100 /* recipients of one line, and lines of refused ones */

/* The names that the statistics know, where ours are others. */
static const char *const plugins[][2] = {
    {"patterns", "pattern_filter"},
    {"virus", "virus::clamdscan"},
    {"spf", "sender_permitted_from"},
    {"unrecognized_commands", "count_unrecognized_commands"},
    {"country", "check_badcountries"},
    {"goodrcptto", "check_goodrcptto"},
    {"smtp_forward", "check_smtp_forward"},
    {"badrcptto_ext", "badrcptto"},
    {"badmailfromto", "badmailfrom"},
    {"forcespamcheck", "spamassassin"},
};

struct terse {
    struct arena *arena;
    const struct session *session;
    const struct message *message; /* NULL: there is none */
    struct buf lines;
};

static struct str plugin(const char *policy)
{
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++)
        if (str_is(str_of(policy), str_of(plugins[i][0])))
            return str_of(plugins[i][1]);
    return str_of(policy);
}

/* score - "score=7.3 required=5.0", as X-Spam-Status has it; empty: spamd was not asked. */
static struct str score(const struct terse *t)
{
    struct str found = t->message ? facts_newest(&t->message->facts, FACT_SPAM_SCORE) : STR_NONE;
    size_t slash = str_find(found, '/');

    if (slash >= found.n)
        return STR_NONE;
    return arena_printf(t->arena, "score=" STR_FMT " required=" STR_FMT, STR_ARG(str_slice(found, 0, slash)),
                        STR_ARG(str_slice(found, slash + 1, found.n)));
}

/* accepted - the recipients that were, commas between. */
static struct str accepted(const struct terse *t)
{
    struct buf b = buf_in(t->arena);
    unsigned n = 0, more = 0;

    for (const struct recipient *r = t->message ? t->message->rcpt : NULL; r; r = r->next) {
        if (r->refusal)
            continue;
        if (n == LISTED_MOST) {
            more++;
            continue;
        }
        if (n++)
            buf_addc(&b, ',');
        buf_add(&b, report_path(t->arena, &r->address));
    }
    if (more)
        buf_addf(&b, ",+%u", more);
    return buf_str(&b);
}

/* add_line - `last` are the columns from the fifth on. */
static void add_line(struct terse *t, const struct str last[5])
{
    const struct session *s = t->session;
    const struct str first[4] = {ip_text(t->arena, s->peer.ip), s->peer.name, s->helo,
                                 t->message ? report_path(t->arena, &t->message->sender) : STR_NONE};

    buf_addf(&t->lines, "%s` ", t->lines.len ? "\n" : "");
    for (unsigned i = 0; i < 9; i++) {
        if (i)
            buf_addc(&t->lines, '\t');
        buf_add_escaped(&t->lines, i < 4 ? first[i] : last[i - 4], "`");
    }
}

static void add_refusal(struct terse *t, struct str rcpt, const struct verdict *v)
{
    int code = v->reply->code;
    struct str name = plugin(report_by(v)), text = v->reply->text, spam = STR_NONE;

    if (str_is(name, STR("spamassassin")))
        spam = score(t);
    if (v->by && v->by->judged == JUDGED_LATER) { /* the original's name for what was deferred */
        text = arena_printf(t->arena, "(" STR_FMT ") " STR_FMT, STR_ARG(name), STR_ARG(text));
        name = STR("naughty");
    }
    add_line(t, (const struct str[]){rcpt, name,
                                     code == 521   ? STR("903")
                                     : code == 421 ? STR("904")
                                     : code >= 500 ? STR("901")
                                                   : STR("902"),
                                     text, spam.n ? spam : STR("msg denied before queued")});
}

static void add_queued(struct terse *t)
{
    const struct header *id = header_find(&t->message->headers, STR("Message-ID"), 0);

    add_line(t, (const struct str[]){accepted(t), STR("queued"), STR_NONE,
                                     id ? header_unfold(t->arena, id->value) : STR_NONE, score(t)});
}

struct str report_logterse(struct arena *a, const struct session *s, const struct message *m, const struct verdict *v)
{
    struct terse t = {.arena = a, .session = s, .message = m, .lines = buf_in(a)};
    unsigned n = 0;

    for (const struct recipient *r = m ? m->rcpt : NULL; r && n < LISTED_MOST; r = r->next)
        if (r->refusal) {
            add_refusal(&t, report_path(a, &r->address),
                        &(struct verdict){.by = r->refused_by, .at = AT_RCPT, .reply = r->refusal});
            n++;
        }
    if (v->reply && !(m && v->at == AT_RCPT)) /* those have been told */
        add_refusal(&t, accepted(&t), v);
    else if (!v->reply && m && v->at == AT_MESSAGE)
        add_queued(&t);
    return buf_str(&t.lines);
}
