/* dmarc_evaluate.c - pass, fail or neither: alignment, and the published policy that concerns the author domain. */
#include "../mail/domain.h"
#include "dmarc.h"

enum aligned { ALIGNED_NO, ALIGNED_YES, ALIGNED_UNKNOWN };

bool dmarc_likely(struct str author, struct str domain)
{
    size_t last = str_rfind(author, '.'), before = str_rfind(str_slice(author, 0, last), '.');

    if (domain.n == 0 || str_is_nocase(author, domain))
        return false; /* nothing to be asked for the one, and for the other it is asked anyway */
    if (last == author.n)
        return domain_is_or_below(domain, author);
    return domain_is_or_below(domain, before < last ? str_slice(author, before + 1, author.n) : author);
}

/* aligned - 4.4. An organisational domain is the domain itself or lies above it: so a domain that is not below the
 * author's is not aligned whatever its own DNS says, and no stranger's failing name server can make us doubt. */
static enum aligned aligned(struct dmarc_asked *asked, struct dmarc_walk *author_walk, struct str author,
                            struct str domain, bool strict, int64_t deadline)
{
    struct str org, other;

    if (domain.n == 0)
        return ALIGNED_NO;
    if (str_is_nocase(author, domain))
        return ALIGNED_YES;
    if (strict)
        return ALIGNED_NO;
    if (!dmarc_walk_org(author_walk, deadline, &org)) {
        struct str top = str_slice(author, str_rfind(author, '.') + 1, author.n);

        return domain_is_or_below(domain, top.n ? top : author) ? ALIGNED_UNKNOWN : ALIGNED_NO;
    }
    if (!domain_is_or_below(domain, org))
        return ALIGNED_NO;
    if (!dmarc_org_of(asked, domain, deadline, &other))
        return ALIGNED_UNKNOWN;
    return str_is_nocase(org, other) ? ALIGNED_YES : ALIGNED_NO;
}

/* published - 4.10.1: p at the author domain itself; below the organisation's or the suffix's: np, sp, p. */
static enum dmarc_found published(struct dmarc_walk *walk, struct str author, const struct dmarc_evaluation *e,
                                  int64_t deadline, enum dmarc_disposition *policy)
{
    const struct dmarc_record *r = e->record;
    enum dmarc_found exists = DMARC_FOUND;

    *policy = r->p;
    if (str_is_nocase(author, e->record_domain))
        return DMARC_FOUND;
    if (r->has_sp)
        *policy = r->sp;
    if (r->has_np && r->np != *policy)
        exists = dmarc_walk_exists(walk, deadline);
    if (exists == DMARC_FOUND_NONE)
        *policy = r->np;
    return exists;
}

struct identifiers {
    bool spf, dkim; /* some passed and is aligned */
    bool doubt;     /* some might be, but for a temporary error */
};

static struct identifiers identify(struct dmarc_asked *asked, struct dmarc_walk *walk, struct str author,
                                   const struct dmarc_record *record, const struct auth_results *results,
                                   bool null_sender, int64_t deadline)
{
    const struct spf_result *spf = null_sender && !results->spf_from.checked ? &results->spf_helo : &results->spf_from;
    struct identifiers found = {0};
    enum aligned is;

    if (spf->checked && (spf->result == AUTH_PASS || spf->result == AUTH_TEMPERROR)) {
        is = aligned(asked, walk, author, spf->domain, record->strict_spf, deadline);
        found.spf = is == ALIGNED_YES && spf->result == AUTH_PASS;
        found.doubt = is != ALIGNED_NO && !found.spf;
    }
    for (size_t i = 0; i < results->dkim_count && !found.dkim; i++) {
        const struct dkim_result *one = &results->dkim[i];

        if ((one->result != AUTH_PASS && one->result != AUTH_TEMPERROR) || one->partly)
            continue;
        is = aligned(asked, walk, author, one->domain, record->strict_dkim, deadline);
        found.dkim = is == ALIGNED_YES && one->result == AUTH_PASS;
        found.doubt |= is != ALIGNED_NO && !found.dkim;
    }
    return found;
}

struct dmarc_evaluation dmarc_evaluate(struct dmarc_asked *asked, struct str author, const struct auth_results *results,
                                       bool null_sender, int64_t deadline)
{
    struct dmarc_walk *walk = dmarc_walk_ask(asked, author, true);
    struct dmarc_evaluation e = {.problem = ""};
    const struct dmarc_record *record;
    struct identifiers found;
    enum dmarc_found policy = dmarc_walk_policy(walk, deadline, &record, &e.record_domain);

    if (policy == DMARC_FOUND_NONE)
        return e;
    if (policy == DMARC_FOUND_UNKNOWN) {
        e.result = AUTH_TEMPERROR;
        e.problem = "the record could not be looked up";
        return e;
    }
    if (!record->usable) {
        e.result = AUTH_PERMERROR;
        e.problem = record->problem;
        return e;
    }
    e.record = record;
    if (!dmarc_walk_org(walk, deadline, &e.org_domain))
        e.org_domain = STR_NONE;
    found = identify(asked, walk, author, record, results, null_sender, deadline);
    e.spf_aligned = found.spf;
    e.dkim_aligned = found.dkim;
    policy = published(walk, author, &e, deadline, &e.published);
    if (found.spf || found.dkim) {
        e.result = AUTH_PASS;
    } else if (found.doubt || policy == DMARC_FOUND_UNKNOWN) {
        e.result = AUTH_TEMPERROR;
        e.problem =
            found.doubt ? "what could be aligned could not be checked" : "it is not known whether the domain exists";
    } else {
        e.result = AUTH_FAIL;
    }
    return e;
}

enum dmarc_disposition dmarc_lowered(enum dmarc_disposition d)
{
    return d == DMARC_REJECT ? DMARC_QUARANTINE : DMARC_NONE;
}
