/* import_profiles.c - what may differ between the ports, and the profiles in which it does. */
#include "../config.h"
#include "../mail/address.h"
#include "import_conf.h"

/* ---- policies that every port has ---- */

static struct str bcc_address(struct writer *w, const struct sme_filter *f)
{
    struct str user = f->bcc_user.value, domain = w->im->sme.domain_name.value;

    if (user.n && str_find(user, '@') == user.n && domain.n)
        user = arena_printf(w->im->a, STR_FMT "@" STR_FMT, STR_ARG(user), STR_ARG(domain));
    return user;
}

static const char *bcc_to(struct writer *w, const struct sme_filter *f)
{
    return conf_quoted(w, bcc_address(w, f));
}

/* bcc_on - a copy to what is no address would bounce, to the sender of each message. */
static bool bcc_on(struct writer *w, const struct sme_filter *f)
{
    struct address to = address_parse(w->im->a, bcc_address(w, f));
    bool whole = to.well_formed && to.domain.n;

    if (f->bcc.value && !whole)
        import_left_out(&w->im->notes, f->bcc_user.from, "no address can be made of it: no copies are sent");
    return f->bcc.value && whole && !str_is(f->bcc_mode.value, STR("off"));
}

static void bcc(struct writer *w, const struct sme_filter *f)
{
    conf_begin(w, "bcc");
    conf_put(w, f->bcc_user.from, "to = %s", bcc_to(w, f));
    conf_put(w, f->bcc.from, "enabled = %s", conf_yes(bcc_on(w, f)));
    conf_put(w, f->bcc_mode.from, "mode = %s", str_is(f->bcc_mode.value, STR("bcc")) ? "bcc" : "cc");
    conf_put(w, f->bcc_direction.from, "direction = " STR_FMT, STR_ARG(f->bcc_direction.value));
    if (!*w->indent) {
        conf_put_list(w, LIST_BCC_IGNORE_FROM);
        conf_put_list(w, LIST_BCC_IGNORE_TO);
    }
    conf_end(w);
}

static void headers(struct writer *w, const struct sme_filter *f)
{
    conf_begin(w, "headers");
    conf_put(w, f->maximum_date_offset.from, "future = %ld", f->maximum_date_offset.value);
    conf_put(w, f->maximum_date_offset.from, "past = %ld", f->maximum_date_offset.value);
    conf_end(w);
}

static void patterns(struct writer *w, const struct sme_filter *f)
{
    const struct import_list *list = &w->im->lists[LIST_PATTERNS];

    conf_begin(w, "patterns");
    conf_put(w, f->patterns_scan.from, "enabled = %s", conf_yes(f->patterns_scan.value));
    if (!*w->indent)
        conf_put_list(w, LIST_PATTERNS);
    if (f->patterns_scan.value && list->count == 0)
        import_notice(&w->im->notes, f->patterns_scan.from, "no pattern is enabled in mailpatterns: nothing is "
                      "refused");
    conf_end(w);
}

static void tnef(struct writer *w, const struct sme_filter *f)
{
    conf_begin(w, "tnef2mime");
    conf_put(w, f->tnef2mime.from, "enabled = %s", conf_yes(f->tnef2mime.value));
    conf_end(w);
}

static void virus(struct writer *w, const struct sme_filter *f)
{
    conf_begin(w, "virus");
    conf_put(w, f->virus_scan.from, "enabled = %s", conf_yes(f->virus_scan.value));
    conf_put(w, f->max_scanner_size.from, "max_size = %ld", f->max_scanner_size.value);
    conf_end(w);
}

static void disclaimer(struct writer *w, const struct sme_filter *f)
{
    const struct import *im = w->im;
    struct sme_source here = source_named(STR("disclaimer of qpsmtpd's configuration"),
                                          (struct place){im->qpsmtpd_dir, 1});

    conf_begin(w, "disclaimer");
    conf_put(w, f->disclaimer.from, "enabled = %s", conf_yes(f->disclaimer.value));
    if (im->has_disclaimers && !*w->indent)
        conf_put(w, here, "dir = %s", conf_quoted(w, arena_printf(im->a, STR_FMT "/disclaimer", STR_ARG(im->out_dir))));
    else if (f->disclaimer.value && !*w->indent)
        import_notice(&w->im->notes, f->disclaimer.from, "its texts are no property: put disclaimer.txt and "
                      "disclaimer_DOMAIN.txt into /etc/sme-milter/disclaimer, or name the folder that has them with "
                      "--qpsmtpd");
    conf_end(w);
}

/* ---- profiles ---- */

static bool same_text(const struct sme_filter *x, const struct sme_filter *y, size_t offset)
{
    return str_is(((const struct sme_text *)((const char *)x + offset))->value,
                  ((const struct sme_text *)((const char *)y + offset))->value);
}

/* The policies that run on 465 and 587, and whether two services have them alike. */
static bool same_bcc(const struct sme_filter *x, const struct sme_filter *y)
{
    return x->bcc.value == y->bcc.value && same_text(x, y, offsetof(struct sme_filter, bcc_mode)) &&
           same_text(x, y, offsetof(struct sme_filter, bcc_user)) &&
           same_text(x, y, offsetof(struct sme_filter, bcc_direction));
}

static bool same_headers(const struct sme_filter *x, const struct sme_filter *y)
{
    return x->maximum_date_offset.value == y->maximum_date_offset.value;
}

static bool same_patterns(const struct sme_filter *x, const struct sme_filter *y)
{
    return x->patterns_scan.value == y->patterns_scan.value;
}

static bool same_tnef(const struct sme_filter *x, const struct sme_filter *y)
{
    return x->tnef2mime.value == y->tnef2mime.value;
}

static bool same_virus(const struct sme_filter *x, const struct sme_filter *y)
{
    return x->virus_scan.value == y->virus_scan.value && x->max_scanner_size.value == y->max_scanner_size.value;
}

static bool same_disclaimer(const struct sme_filter *x, const struct sme_filter *y)
{
    return x->disclaimer.value == y->disclaimer.value;
}

static const struct {
    bool (*same)(const struct sme_filter *, const struct sme_filter *);
    void (*write)(struct writer *, const struct sme_filter *);
} everywhere[] = {{same_bcc, bcc},   {same_headers, headers}, {same_patterns, patterns},
                  {same_tnef, tnef}, {same_virus, virus},     {same_disclaimer, disclaimer}};
#define EVERYWHERE (sizeof everywhere / sizeof *everywhere)

void import_everywhere(struct writer *w, const struct sme_filter *f)
{
    for (size_t i = 0; i < EVERYWHERE; i++)
        everywhere[i].write(w, f);
}

static void overrides(struct writer *w, enum sme_port port)
{
    const struct sme_filter *f = w->im->sme.filter;

    w->indent = "    ";
    for (size_t i = 0; i < EVERYWHERE; i++)
        if (!everywhere[i].same(&f[SME_SMTP], &f[port]))
            everywhere[i].write(w, &f[port]);
    w->indent = "";
}

/* submission_policies - those of the built-in profile: one of another name inherits nothing. */
static const char *submission_policies(struct writer *w)
{
    struct problems problems = {.arena = w->im->a};
    struct config *config = config_from_text(STR("built-in"), STR(""), &problems);
    struct buf list = buf_in(w->im->a);

    for (size_t p = 0; config && p < config->profile_count; p++)
        for (size_t i = 0; str_is(config->profiles[p].name, STR("submission")) &&
                           i < config->profiles[p].options.policies.count; i++)
            buf_addf(&list, "%s\"" STR_FMT "\"", list.len ? ", " : "",
                     STR_ARG(config->profiles[p].options.policies.items[i]));
    config_unref(&config);
    return list.len ? list.data : "";
}

static void port_line(struct writer *w, const struct sme_service *first, const struct sme_service *second)
{
    buf_addf(&w->b, "    # %s{TCPPort}", first->record);
    if (second)
        buf_addf(&w->b, ", %s{TCPPort}", second->record);
    buf_addf(&w->b, "\n    port = {%ld", first->port.value);
    import_done(&w->im->notes, first->port.from, "port %ld of a profile", first->port.value);
    if (second) {
        buf_addf(&w->b, ", %ld", second->port.value);
        import_done(&w->im->notes, second->port.from, "port %ld of a profile", second->port.value);
    }
    buf_add(&w->b, STR("}\n"));
}

/* without_effect - what sqpsmtpd and uqpsmtpd say of policies that only port 25 runs, or of what all ports share. */
static void without_effect(struct import *im)
{
    static const char *const shared[] = {"LogLevel", "qplogsumm"},
                             *const smtp_only[] = {"DNSBL", "RBLList", "RHSBL", "SBLList", "URIBL", "UBLList",
                                                   "HeloPolicy", "Karma", "KarmaNegative", "KarmaStrikes", "MaxLoad",
                                                   "SPFRejectPolicy", "DMARCReject", "DMARCReporting"};

    for (int port = SME_SUBMISSIONS; port < SME_PORTS; port++) {
        const struct esmith_record *record = esmith_find(&im->configuration, str_of(im->sme.service[port].record));
        struct str value;

        for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
            if (esmith_prop(record, str_of(shared[i]), &value))
                import_notice(&im->notes, source_of(im->a, &im->configuration, record, shared[i], true),
                              "has no effect: one log serves all ports, and is qpsmtpd's");
        for (size_t i = 0; i < sizeof smtp_only / sizeof *smtp_only; i++)
            if (esmith_prop(record, str_of(smtp_only[i]), &value))
                import_notice(&im->notes, source_of(im->a, &im->configuration, record, smtp_only[i], true),
                              "has no effect: port %ld is for authenticated clients alone, who are not judged by it",
                              im->sme.service[port].port.value);
    }
}

void import_profiles(struct writer *w)
{
    const struct sme *s = &w->im->sme;
    const struct sme_service *smtp = &s->service[SME_SMTP], *tls = &s->service[SME_SUBMISSIONS],
                             *submission = &s->service[SME_SUBMISSION];
    bool together = true;

    for (size_t i = 0; i < EVERYWHERE; i++)
        together = together && everywhere[i].same(&s->filter[SME_SUBMISSIONS], &s->filter[SME_SUBMISSION]);
    buf_add(&w->b, STR("\n# The policies of these profiles are the built-in ones: sme-milterctl config show\n"));
    buf_add(&w->b, STR("profile \"submission\" {\n"));
    port_line(w, together ? tls : submission, together ? submission : NULL);
    overrides(w, SME_SUBMISSION);
    buf_add(&w->b, STR("}\n"));
    if (!together) {
        buf_add(&w->b, STR("profile \"submissions\" {\n"));
        port_line(w, tls, NULL);
        buf_addf(&w->b, "    # as in the profile above\n    policies = {%s}\n    tls { require = yes }\n"
                 "    relay { only = yes }\n", submission_policies(w));
        overrides(w, SME_SUBMISSIONS);
        buf_add(&w->b, STR("}\n"));
    }
    buf_add(&w->b, STR("profile \"smtp-local\" {\n"));
    port_line(w, smtp, NULL);
    w->im->notes.count--; /* the same port once more */
    buf_add(&w->b, STR("}\nprofile \"smtp\" {\n"));
    port_line(w, smtp, NULL);
    buf_add(&w->b, STR("}\n"));
    without_effect(w->im);
}
