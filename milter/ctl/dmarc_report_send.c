/* dmarc_report_send.c - sending reports, so that whatever happens none goes out under two names.
 *
 *   collecting ──▶ sending: its names are on disk ──▶ sendmail for each address, each noted ──▶ sent, or failed
 *
 * (1) A report gets its names, and nothing is added to it any more, before its first message leaves.
 * (2) An address is noted as soon as sendmail has taken the message. If we die in between, it gets the same file with
 *     the same Report-ID once more, which its readers recognise (RFC 9990).
 * (3) What cannot be sent to one address holds up no other one.
 */
#include <sysexits.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../dns/dns.h"
#include "dmarc_report.h"

#define ASKED_AHEAD 50 /* reports whose destinations are asked for their agreement at once */

struct sending { /* of one report */
    struct report_work *w;
    struct arena *arena;
    struct dmarc_report *report;
    struct dmarc_delivery *before; /* what earlier runs noted */
    size_t before_count;
    struct report_said said[2 * RUA_MOST];
    size_t said_count;
    struct report_file file;
    bool made;  /* the file */
    bool sent;  /* to somebody, now or before */
    bool later; /* something waits */
};

static bool is_final(struct str state)
{
    return str_is(state, STR("sent")) || str_is(state, STR("refused"));
}

static const struct dmarc_delivery *noted(const struct sending *s, struct str address)
{
    for (size_t i = 0; i < s->before_count; i++)
        if (str_is(s->before[i].destination, address) && is_final(s->before[i].state))
            return &s->before[i];
    return NULL;
}

static void tell(struct sending *s, struct str address, struct str state, struct str said)
{
    s->said[s->said_count++] = (struct report_said){address, state, said};
    s->sent |= str_is(state, STR("sent"));
    s->later |= str_is(state, STR("waiting"));
}

/* note - what became of an address, on disk before anything else happens. */
static int note(struct sending *s, struct str address, struct str state, struct str said)
{
    struct dmarc_delivery d = {address, state, said, s->w->now};

    tell(s, address, state, said);
    return s->w->dry_run ? SQLITE_OK : dmarc_file_note(s->w->db, s->report->id, &d);
}

/* make - the names, and the file under its name; once. */
static int make(struct sending *s)
{
    int result = SQLITE_OK;

    if (s->made)
        return SQLITE_OK;
    if (s->report->submitter.n == 0)
        s->report->submitter = s->w->submitter;
    if (!s->w->dry_run)
        result = dmarc_file_begin(s->w->db, s->arena, s->report);
    if (result == SQLITE_OK && !report_file_make(s->w, s->arena, s->report, &s->file, &result) && result == SQLITE_OK)
        result = SQLITE_NOMEM;
    s->made = result == SQLITE_OK;
    return result;
}

static int send_to(struct sending *s, struct str address)
{
    struct str why = STR_NONE;
    int result = make(s);

    if (result != SQLITE_OK)
        return result;
    if (s->w->dry_run) {
        tell(s, address, STR("would be sent"), STR_NONE);
        return SQLITE_OK;
    }
    switch (report_mail(s->w, s->arena, s->report, &s->file, address, &why)) {
    case MAILED:
        return note(s, address, STR("sent"), STR_NONE);
    case MAILED_REFUSED:
        return note(s, address, STR("refused"), why);
    default:
        return note(s, address, STR("waiting"), why);
    }
}

static int treat(struct sending *s, const struct where *to)
{
    const struct dmarc_delivery *d = noted(s, to->address);

    if (d) {
        tell(s, to->address, d->state, d->said.n ? d->said : STR("before"));
        return SQLITE_OK;
    }
    switch (to->state) {
    case WHERE_OPEN:
        return send_to(s, to->address);
    case WHERE_REFUSED:
        return note(s, to->address, STR("refused"), to->why);
    default:
        return note(s, to->address, STR("waiting"), to->why);
    }
}

/* is_too_old - whether this was the last attempt: tomorrow nobody will look for a report of that day. */
static bool is_too_old(const struct report_work *w, const struct dmarc_report *r)
{
    int64_t begin = 0;

    return !report_day_begin(r->day, &begin) || begin + REPORT_TRIED_DAYS * REPORT_DAY_S <= w->now;
}

static int send_one(struct report_work *w, struct arena *a, struct dmarc_report *r, const struct wheres *wheres)
{
    struct sending s = {.w = w, .arena = a, .report = r};
    int result = dmarc_file_deliveries(w->db, a, r->id, &s.before, &s.before_count);

    for (size_t i = 0; i < wheres->count && result == SQLITE_OK; i++)
        result = treat(&s, &wheres->items[i]);
    if (result == SQLITE_OK && !w->dry_run && (!s.later || is_too_old(w, r))) {
        r->state = s.sent ? STR("sent") : STR("failed");
        result = dmarc_file_end(w->db, r->id, s.sent, w->now);
    }
    w->trouble |= s.later;
    report_tell(w, r, s.file.name, s.said, s.said_count);
    return result;
}

/* send_some - a few reports: all of them ask first, so that slow name servers are waited for together. */
static int send_some(struct report_work *w, struct dmarc_report *reports, size_t count)
{
    struct arena *asking = arena_new(0), *a = arena_new(0);
    struct wheres *wheres = arena_array(asking, count, sizeof *wheres);
    int64_t deadline;
    int result = SQLITE_OK;

    for (size_t i = 0; i < count; i++)
        wheres_ask(asking, &reports[i], &wheres[i]);
    deadline = clock_ms() + w->config->dns.timeout;
    for (size_t i = 0; i < count; i++)
        wheres_harvest(asking, &wheres[i], deadline);
    for (size_t i = 0; i < count && result == SQLITE_OK; i++) {
        result = send_one(w, a, &reports[i], &wheres[i]);
        arena_reset(a);
    }
    arena_free(&a);
    arena_free(&asking);
    return result;
}

int report_send_all(struct report_work *w)
{
    int result = SQLITE_OK;

    if (!w->dry_run && access(w->sendmail, X_OK) != 0) {
        fprintf(stderr, "%s cannot be run: nothing was sent\n", w->sendmail);
        return EX_UNAVAILABLE;
    }
    for (size_t i = 0; i < w->count && result == SQLITE_OK; i += ASKED_AHEAD)
        result = send_some(w, w->reports + i, w->count - i < ASKED_AHEAD ? w->count - i : ASKED_AHEAD);
    if (result != SQLITE_OK)
        return report_failed(w, result);
    return w->trouble ? EX_TEMPFAIL : CTL_FINE;
}
