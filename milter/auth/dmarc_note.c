/* dmarc_note.c - what an evaluated message adds to the aggregate reports. */
#include "../base/clock.h"
#include "../config.h"
#include "../message.h"
#include "db/dmarc_store.h"
#include "dmarc.h"
#include "dmarc_options.h"
#include "report_own.h"

/* recipients_domain - of all accepted recipients; empty when they have several, since a row has room for one. */
static struct str recipients_domain(const struct message *m)
{
    struct str domain = STR_NONE;
    bool first = true;

    for (const struct recipient *r = m->rcpt; r; r = r->next) {
        if (r->refused_by)
            continue;
        if (!first && !str_is_nocase(domain, r->address.domain))
            return STR_NONE;
        domain = r->address.domain;
        first = false;
    }
    return domain;
}

static struct str joined(struct arena *a, const struct dmarc_uris *uris)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < uris->count; i++) {
        if (i > 0)
            buf_addc(&b, ',');
        buf_add(&b, uris->items[i]);
    }
    return buf_str(&b);
}

void dmarc_note(const struct message *m, const struct dmarc_evaluation *e, const struct dmarc_options *options)
{
    const struct auth_results *results = m->auth;
    const struct dmarc_record *r = e->record;
    const struct spf_result *spf;
    struct dmarc_row row = {
        .at = clock_wall_ms() / 1000,
        .source = m->session->peer.ip,
        .envelope_from = m->sender.domain,
        .envelope_to = recipients_domain(m),
    };

    if (!r || !results || (e->result != AUTH_PASS && e->result != AUTH_FAIL) || !dmarc_store_running())
        return;
    if (report_is_own(m, report_email(m->arena, options->email, m->session->config->global.hostname)))
        return;
    row.policy = (struct report_policy){
        .domain = e->record_domain,
        .org_domain = e->org_domain.n ? e->org_domain : e->record_domain,
        .p = r->p,
        .sp = r->has_sp ? r->sp : r->p,
        .np = r->has_np ? r->np : r->has_sp ? r->sp : r->p,
        .adkim_strict = r->strict_dkim,
        .aspf_strict = r->strict_spf,
        .testing = r->testing,
        .psl = options->discovery == DMARC_PSL,
        .fo = r->fo,
        .rua = joined(m->arena, &r->rua),
    };
    row.header_from = results->dmarc.author_domain;
    row.disposition = results->dmarc.disposition;
    row.dkim_aligned = e->dkim_aligned;
    row.spf_aligned = e->spf_aligned;
    row.override = results->dmarc.override;
    row.dkim = results->dkim;
    row.dkim_count = results->dkim_count;
    spf = results->spf_from.checked ? &results->spf_from : &results->spf_helo; /* a bounce has no other */
    row.spf = spf->result;
    row.spf_domain = spf->checked ? spf->domain : STR_NONE;
    dmarc_record_add(&row);
}
