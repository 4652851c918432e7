/* report_own.c - by addresses, and by what a report looks like. */
#include "../mail/header.h"
#include "../message.h"
#include "report_own.h"

struct str report_email(struct arena *a, struct str option, struct str hostname)
{
    return option.n ? option : arena_printf(a, "postmaster@" STR_FMT, STR_ARG(hostname));
}

static bool from_is(const struct message *m, struct str email)
{
    const struct header *from = header_find(&m->headers, STR("From"), 0);
    struct mailbox_list list;

    if (!from)
        return false;
    list = mailboxes_parse(m->arena, from->value);
    return list.count == 1 && str_is_nocase(list.addresses[0], email);
}

static bool is_to_alone(const struct message *m, struct str email)
{
    bool found = false;

    for (const struct recipient *r = m->rcpt; r; r = r->next) {
        if (r->refused_by)
            continue;
        if (!str_is_nocase(r->address.text, email))
            return false;
        found = true;
    }
    return found;
}

/* is_report - by its Subject and by being written by a program; either can be forged, which only keeps a message out of
 * a report. */
static bool is_report(const struct message *m)
{
    const struct header *subject = header_find(&m->headers, STR("Subject"), 0);
    const struct header *automatic = header_find(&m->headers, STR("Auto-Submitted"), 0);

    return subject && automatic && str_starts_nocase(str_trim(subject->value), STR("Report Domain:"))
           && !str_is_nocase(header_unfold(m->arena, automatic->value), STR("no"));
}

bool report_is_own(const struct message *m, struct str email)
{
    return str_is_nocase(m->sender.text, email) || from_is(m, email) || is_to_alone(m, email) || is_report(m);
}
