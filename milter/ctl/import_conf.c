/* import_conf.c - sme-milter.conf, every value below a comment that names the property it came from. */
#include "../config.h"
#include "import_conf.h"

void conf_begin(struct writer *w, const char *section)
{
    w->section = section;
    w->open = false;
}

void conf_end(struct writer *w)
{
    if (*w->indent && w->open)
        buf_addf(&w->b, "%s}\n", w->indent);
    w->section = NULL;
}

/* body - of the open section, where it is one of the top level. */
static struct buf *body(struct writer *w)
{
    size_t i = 0;

    while (i < w->count && !str_is(str_of(w->sections[i].name), str_of(w->section)))
        i++;
    if (i == w->count) {
        if (w->count == SECTIONS_MOST)
            log_panic("import: too many sections");
        w->sections[w->count].name = w->section;
        w->sections[w->count++].body = buf_in(w->im->a);
    }
    return &w->sections[i].body;
}

static void flush_sections(struct writer *w)
{
    for (size_t i = 0; i < w->count; i++)
        buf_addf(&w->b, "\n%s {\n%s}\n", w->sections[i].name, w->sections[i].body.data);
}

void conf_line(struct writer *w, struct sme_source from, struct str text)
{
    struct buf *to = w->section && !*w->indent ? body(w) : &w->b;
    const char *deep = w->section ? "    " : "";

    if (w->section && *w->indent && !w->open)
        buf_addf(&w->b, "%s%s {\n", w->indent, w->section);
    w->open = true;
    buf_addf(to, "%s%s# " STR_FMT "%s\n%s%s", w->indent, deep, STR_ARG(from.name),
             from.set ? "" : ", not set: the default of SME Server", w->indent, deep);
    buf_add(to, text);
    buf_addc(to, '\n');
}

/* add_options - what the section has already: some options are checked against each other. Not the list files, which
 * are not there yet. */
static void add_options(struct writer *w, struct buf *b)
{
    for (size_t i = 0; i < w->count; i++) {
        struct str rest = buf_str(&w->sections[i].body), option;

        while (str_is(str_of(w->sections[i].name), str_of(w->section)) && str_split(&rest, '\n', &option))
            if (str_find(option, '"') == option.n || !str_ends_nocase(str_slice(option, 0, str_find(option, '"')),
                                                                       STR("_file = ")))
                buf_addf(b, STR_FMT "\n", STR_ARG(option));
    }
}

bool conf_accepts(struct writer *w, struct str text, struct str *why)
{
    struct problems problems = {.arena = w->im->a};
    struct buf b = buf_in(w->im->a);
    struct config *config;

    if (w->section)
        buf_addf(&b, "%s {\n", w->section);
    if (w->section && !*w->indent)
        add_options(w, &b);
    buf_add(&b, text);
    buf_add(&b, w->section ? STR("\n}\n") : STR("\n"));
    config = config_from_text(STR("import"), buf_str(&b), &problems);
    for (size_t i = 0; i < problems.count && !config; i++)
        if (!problems.items[i].warning)
            *why = problems.items[i].text;
    if (!config)
        return false;
    config_unref(&config);
    return true;
}

void conf_put(struct writer *w, struct sme_source from, const char *format, ...)
{
    struct buf text = buf_in(w->im->a);
    struct str why = STR("is not accepted");
    va_list ap;

    va_start(ap, format);
    buf_vaddf(&text, format, ap);
    va_end(ap);
    if (!conf_accepts(w, buf_str(&text), &why)) {
        import_left_out(&w->im->notes, from, STR_FMT, STR_ARG(why));
        return;
    }
    conf_line(w, from, buf_str(&text));
    import_done(&w->im->notes, from, "%s%s%s%.2000s", w->section ? w->section : "", w->section ? " { " : "",
                text.data, w->section ? " }" : "");
}

const char *conf_yes(bool on)
{
    return on ? "yes" : "no";
}

const char *conf_quoted(struct writer *w, struct str text)
{
    struct buf b = buf_in(w->im->a);

    buf_addc(&b, '"');
    buf_add_escaped(&b, text, "\"");
    buf_addc(&b, '"');
    return b.data;
}

void conf_put_list(struct writer *w, enum import_lists which)
{
    const struct import_list *list = &w->im->lists[which];

    if (list->count)
        conf_line(w, list->from, arena_printf(w->im->a, "%s_file = \"%s\"", list->option, list->file));
}

/* ---- the whole daemon ---- */

static void networks(struct writer *w)
{
    const struct sme *s = &w->im->sme;
    const struct sme_text *own[] = {&s->local_ip, &s->external_ip};
    struct buf list = buf_in(w->im->a);
    struct sme_source from = source_named(STR("networks"), (struct place){w->im->networks.file, s->network_count > 0});

    buf_add(&list, STR("{\"127.0.0.0/8\", \"::1/128\""));
    for (size_t i = 0; i < s->network_count; i++) {
        buf_addf(&list, ", \"" STR_FMT "\"", STR_ARG(s->networks[i].net.written));
        import_done(&w->im->notes, s->networks[i].from, "local_networks: " STR_FMT,
                    STR_ARG(s->networks[i].net.written));
    }
    for (size_t i = 0; i < 2; i++) {
        bool within = own[i]->value.n == 0;
        struct ip ip;

        for (size_t n = 0; !within && n < s->network_count; n++)
            within = ip_parse(own[i]->value, &ip) && cidr_has(&s->networks[n].net, ip);
        if (!within && ip_parse(own[i]->value, &ip) && !ip_is_loopback(ip)) {
            buf_addf(&list, ", \"" STR_FMT "\"", STR_ARG(ip_text(w->im->a, ip)));
            import_done(&w->im->notes, own[i]->from, "local_networks: " STR_FMT, STR_ARG(own[i]->value));
        } else if (own[i]->from.set) {
            import_done(&w->im->notes, own[i]->from, "is in local_networks");
        }
    }
    buf_addc(&list, '}');
    conf_put(w, from, "local_networks = %s", list.data);
}

static void domains(struct writer *w)
{
    const struct sme *s = &w->im->sme;
    struct buf list = buf_in(w->im->a);
    struct sme_source from = source_named(STR("domains"), (struct place){w->im->domains.file, s->domain_count > 0});
    bool hostname = s->hostname.n > 0;

    buf_addc(&list, '{');
    for (size_t i = 0; i < s->domain_count; i++) {
        buf_addf(&list, "%s\"" STR_FMT "\"", i ? ", " : "", STR_ARG(s->domains[i].name));
        hostname = hostname && !str_is(s->hostname, s->domains[i].name);
    }
    if (hostname)
        buf_addf(&list, "%s\"" STR_FMT "\"", s->domain_count ? ", " : "", STR_ARG(s->hostname));
    buf_addc(&list, '}');
    if (list.len > 2)
        conf_put(w, from, "local_domains = %s", list.data);
    else
        import_left_out(&w->im->notes, from, "there is no domain: local_domains is empty, so no recipient is checked");
}

static void directories(struct writer *w)
{
    const struct import *im = w->im;
    struct sme_source here = source_named(STR("dkim/ of qpsmtpd's configuration"), (struct place){im->qpsmtpd_dir, 1});

    if (im->has_keys && !str_is(im->out_dir, STR(SYSCONFDIR)))
        conf_put(w, here, "key_dir = %s", conf_quoted(w, arena_printf(im->a, STR_FMT "/dkim", STR_ARG(im->out_dir))));
}

static void daemon_options(struct writer *w)
{
    const struct sme *s = &w->im->sme;
    const struct sme_filter *f = &s->filter[SME_SMTP];
    long level = f->log_level.value;

    if (s->hostname.n) {
        conf_put(w, s->system_name.from, "hostname = \"" STR_FMT "\"", STR_ARG(s->hostname));
        import_done(&w->im->notes, s->domain_name.from, "hostname, local_domains");
    }
    networks(w);
    domains(w);
    directories(w);
    conf_begin(w, "log");
    conf_put(w, f->log_level.from, "level = %s",
             level <= 3 ? "error" : level == 4 ? "warn" : level <= 6 ? "info" : "debug");
    conf_put(w, f->qplogsumm.from, "format = %s", f->qplogsumm.value ? "logterse" : "keyvalue");
    conf_end(w);
    if (s->max_message_size.value > 0) {
        conf_begin(w, "limits");
        conf_put(w, s->max_message_size.from, "message_size = %ld", s->max_message_size.value);
        conf_end(w);
    }
}

/* ---- DNS lists ---- */

static const char *words_of(const struct sme_flag *flag)
{
    return flag->value ? "yes" : "no";
}

/* old_list - "a.example.net:b.example.net", as older servers separated their lists; no text is only a host's name. */
static bool old_list(struct str item)
{
    struct str part;

    if (str_find(item, ':') == item.n || item.p[item.n - 1] == ':')
        return false;
    while (str_split(&item, ':', &part))
        if (!domain_is_fqdn(str_trim(part)))
            return false;
    return true;
}

static void separate(struct writer *w, const struct sme_texts *list, struct sme_texts *zones)
{
    *zones = (struct sme_texts){.from = list->from};
    for (size_t i = 0; i < list->count; i++) {
        struct str rest = list->items[i], zone;
        bool old = old_list(rest);

        if (old)
            import_notice(&w->im->notes, list->from, "\"" STR_FMT "\" are several lists, as older servers wrote them",
                          STR_ARG(str_slice(rest, 0, 200)));
        while (old ? str_split(&rest, ':', &zone) : rest.n > 0) {
            zones->items = arena_grow(w->im->a, zones->items, zones->count, sizeof zone);
            zones->items[zones->count++] = old ? str_trim(zone) : rest;
            if (!old)
                break;
        }
    }
}

static bool has_zone(const struct zone *zones, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(zones[i].name, name))
            return true;
    return false;
}

/* bad_mask - of an UBL: what stands behind the colon is which bits are listings, and nothing else. */
static bool bad_mask(struct str item)
{
    size_t colon = str_find(item, ':');
    struct str rest = str_trim(str_slice(item, colon + 1, item.n));

    if (colon == item.n)
        return false;
    if (rest.n == 0 || rest.p[rest.n - 1] == '-' || rest.p[rest.n - 1] == ',')
        return true;
    for (size_t i = 0; i < rest.n; i++) {
        size_t end = i;
        long bit;

        while (end < rest.n && rest.p[end] != '-' && rest.p[end] != ',')
            end++;
        if (!str_to_long(str_trim(str_slice(rest, i, end)), &bit) || bit < 1 || bit > 255)
            return true;
        i = end;
    }
    return false;
}

/* zones - those that live. A list whose zones are all dead is off: it would ask nobody. */
static void zones(struct writer *w, const char *policy, const struct sme_flag *on, const struct sme_texts *written,
                  enum zone_kind kind)
{
    bool masks = str_is(str_of(policy), STR("uribl"));
    struct buf text = buf_in(w->im->a);
    struct sme_texts separated, *list = &separated;
    struct zone *known, zone;
    size_t kept = 0;

    separate(w, written, list);
    known = arena_array(w->im->a, list->count + 1, sizeof *known);
    buf_addc(&text, '{');
    for (size_t i = 0; i < list->count; i++) {
        struct str error;
        bool dead;

        if (masks && bad_mask(list->items[i])) {
            import_left_out(&w->im->notes, list->from, "\"" STR_FMT "\": behind the colon stand numbers from 1 to 255, "
                            "as in multi.surbl.org:8-16-64-128", STR_ARG(str_slice(list->items[i], 0, 200)));
        } else if (zone_parse(w->im->a, kind, list->items[i], &zone, &error, &dead)) {
            if (has_zone(known, kept, zone.name)) {
                import_notice(&w->im->notes, list->from, "the list \"" STR_FMT "\" stands twice: dropped",
                              STR_ARG(list->items[i]));
                continue;
            }
            known[kept] = zone;
            buf_addf(&text, "%s%s", kept++ ? ", " : "", conf_quoted(w, list->items[i]));
        } else if (dead) {
            import_notice(&w->im->notes, list->from, "the list \"" STR_FMT "\" " STR_FMT ": dropped",
                          STR_ARG(list->items[i]), STR_ARG(error));
        } else {
            import_left_out(&w->im->notes, list->from, "\"" STR_FMT "\" " STR_FMT,
                            STR_ARG(str_slice(list->items[i], 0, 200)), STR_ARG(error));
        }
    }
    buf_addc(&text, '}');
    conf_begin(w, policy);
    if (on->value && kept == 0)
        import_notice(&w->im->notes, list->from, "no list is left: %s is off", policy);
    conf_put(w, on->from, "enabled = %s", kept ? words_of(on) : "no");
    conf_put(w, list->from, "zones = %s", text.data);
    if (kind == ZONE_OF_CLIENTS)
        conf_put_list(w, LIST_DNSBL_ALLOW);
    else if (str_is(str_of(policy), STR("uribl")))
        conf_put_list(w, LIST_URIBL_ALLOW);
    conf_end(w);
}

/* ---- whom mail is for ---- */

static bool has_policy(const char *name)
{
    for (size_t i = 0; i < policy_table_count; i++)
        if (str_is(str_of(policy_table[i]->name), str_of(name)))
            return true;
    return false;
}

static void forward(struct writer *w)
{
    const struct sme *s = &w->im->sme;
    const char *between = "", *route;
    bool known = has_policy("smtp_forward");
    struct str why = STR("is not accepted");
    struct buf routes = buf_in(w->im->a);
    struct sme_source from = s->delegate.from;
    size_t n = 0;

    conf_begin(w, "smtp_forward");
    for (size_t i = 0; i < s->domain_count; i++) {
        const struct sme_text *server = &s->domains[i].mail_server;

        if (server->value.n == 0 && s->delegate.value.n)
            server = &s->delegate;
        if (server->value.n == 0)
            continue;
        from = server->from;
        route = conf_quoted(w, arena_printf(w->im->a, STR_FMT " " STR_FMT, STR_ARG(s->domains[i].name),
                                            STR_ARG(server->value)));
        if (known && !conf_accepts(w, arena_printf(w->im->a, "routes = {%s}", route), &why)) {
            import_left_out(&w->im->notes, from, STR_FMT, STR_ARG(why));
            continue;
        }
        buf_addf(&routes, "%s%s", between, route);
        import_done(&w->im->notes, server->from, "smtp_forward.routes: recipients of " STR_FMT " are asked of " STR_FMT,
                    STR_ARG(s->domains[i].name), STR_ARG(server->value));
        between = ", ";
        n++;
    }
    if (n && !known)
        import_left_out(&w->im->notes, from, "this sme-milter has no policy smtp_forward");
    else if (n)
        conf_line(w, from, arena_printf(w->im->a, "routes = {%s}", routes.data));
    conf_end(w);
}

static void recipients(struct writer *w)
{
    const struct import *im = w->im;
    const struct sme *s = &im->sme;

    conf_begin(w, "goodrcptto");
    if (!s->unknown_user_bounces)
        conf_put(w, s->unknown_user.from, "enabled = no");
    else if (s->delegate.value.n)
        conf_put(w, s->delegate.from, "enabled = no");
    else if (im->has_accounts)
        conf_put_list(w, LIST_GOODRCPTTO);
    else
        import_notice(&w->im->notes, source_named(STR("accounts"), (struct place){0}),
                      "nobody is known: goodrcptto stays off, and Postfix alone refuses unknown recipients");
    if (s->unknown_user_bounces && s->unknown_user.from.set)
        import_done(&w->im->notes, s->unknown_user.from, "unknown recipients are refused (goodrcptto)");
    conf_end(w);
    conf_begin(w, "badrcptto");
    conf_put_list(w, LIST_BADRCPTTO);
    conf_end(w);
    conf_begin(w, "badrcptto_ext");
    conf_put_list(w, LIST_BADRCPTTO_EXT);
    conf_end(w);
    forward(w);
}

/* ---- policies of port 25 ---- */

static void strangers(struct writer *w)
{
    const struct import *im = w->im;
    const struct sme_filter *f = &im->sme.filter[SME_SMTP];

    conf_begin(w, "loadcheck");
    conf_put(w, f->max_load.from, "max_load = %ld", f->max_load.value);
    conf_end(w);
    conf_begin(w, "relay");
    if (im->sme.gateway_ip.value.n)
        conf_put(w, im->sme.gateway_ip.from, "except = {%s}", conf_quoted(w, im->sme.gateway_ip.value));
    conf_end(w);
    conf_begin(w, "karma");
    conf_put(w, f->karma.from, "reject = %s", f->karma.value ? "later" : "never");
    conf_put(w, f->karma_negative.from, "negative = %ld", f->karma_negative.value);
    conf_put(w, f->karma_strikes.from, "strikes = %ld", f->karma_strikes.value);
    conf_put_list(w, LIST_KARMA_TLDS);
    conf_end(w);
    if (im->earlytalker_wait.value.n) {
        conf_begin(w, "earlytalker");
        conf_put(w, im->earlytalker_wait.from, "wait = " STR_FMT "s", STR_ARG(im->earlytalker_wait.value));
        conf_end(w);
    }
    if (im->unrecognized_max.value) {
        conf_begin(w, "unrecognized_commands");
        conf_put(w, im->unrecognized_max.from, "max = %ld", im->unrecognized_max.value);
        conf_end(w);
    }
    zones(w, "dnsbl", &f->dnsbl, &f->rbl_list, ZONE_OF_CLIENTS);
    conf_begin(w, "helo");
    conf_put(w, f->helo_policy.from, "level = " STR_FMT, STR_ARG(f->helo_policy.value));
    conf_put_list(w, LIST_BADHELO);
    conf_end(w);
    zones(w, "rhsbl", &f->rhsbl, &f->sbl_list, ZONE_OF_NAMES);
    conf_begin(w, "badmailfrom");
    conf_put_list(w, LIST_BADMAILFROM);
    conf_end(w);
    conf_begin(w, "badmailfromto");
    conf_put_list(w, LIST_BADMAILFROMTO);
    conf_end(w);
    conf_begin(w, "spf");
    conf_put(w, f->spf_reject_policy.from, "reject_policy = %ld", f->spf_reject_policy.value);
    conf_end(w);
}

/* authenticity - DMARCReject has only on and off. On was: do what the domain publishes. */
static void authenticity(struct writer *w)
{
    const struct sme_filter *f = &w->im->sme.filter[SME_SMTP];

    conf_begin(w, "dmarc");
    conf_put(w, f->dmarc_reject.from, "policy = %s", f->dmarc_reject.value ? "strict" : "off");
    conf_put(w, f->dmarc_reporting.from, "reporting = %s", conf_yes(f->dmarc_reporting.value));
    conf_end(w);
    zones(w, "uribl", &f->uribl, &f->ubl_list, ZONE_OF_NAMES);
}

/* tag_at - the score from which the subject is marked; the levels have SME's figures. */
static long tag_at(const struct sme *s)
{
    static const struct {
        const char *word;
        long score;
    } levels[] = {{"veryhigh", 2}, {"high", 3}, {"medium", 5}, {"low", 7}, {"verylow", 9}};

    if (!s->spamassassin.subject_tag.value)
        return 0;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (str_is(s->spamassassin.sensitivity.value, str_of(levels[i].word)))
            return levels[i].score;
    return s->spamassassin.tag_level.value;
}

static void spam(struct writer *w, const char *policy, bool note)
{
    const struct sme *s = &w->im->sme;
    struct import_notes *notes = &w->im->notes;
    size_t before = notes->count;

    conf_begin(w, policy);
    conf_put(w, s->spamassassin.status.from, "enabled = %s", conf_yes(s->spamassassin.status.value));
    conf_put(w, s->spamassassin.reject_level.from, "reject_at = %ld",
        s->spamassassin.rejects ? s->spamassassin.reject_level.value : 0);
    conf_put(w, str_is(s->spamassassin.sensitivity.value, STR("custom")) ? s->spamassassin.tag_level.from
                                                                    : s->spamassassin.sensitivity.from,
        "tag_at = %ld", tag_at(s));
    conf_put(w, s->spamassassin.max_message_size.from, "size_limit = %ld", s->spamassassin.max_message_size.value);
    if (s->spamassassin.subject.value.n)
        conf_put(w, s->spamassassin.subject.from, "subject_prefix = %s", conf_quoted(w, s->spamassassin.subject.value));
    conf_end(w);
    if (!note) {
        notes->count = before;
        return;
    }
    if (s->spamassassin.reject_level.from.set && !s->spamassassin.rejects)
        import_notice(notes, s->spamassassin.reject_level.from, "refuses nothing, as on SME Server: it counts only "
                      "with Sensitivity custom, and above TagLevel");
    if (s->spamassassin.subject_tag.from.set)
        import_done(notes, s->spamassassin.subject_tag.from, "spamassassin { tag_at = %ld }", tag_at(s));
    if (s->spamassassin.sensitivity.from.set && str_is(s->spamassassin.sensitivity.value, STR("custom")))
        import_done(notes, s->spamassassin.sensitivity.from, "spamassassin: RejectLevel and TagLevel count");
    else if (s->spamassassin.tag_level.from.set)
        import_notice(notes, s->spamassassin.tag_level.from, "has no effect with Sensitivity " STR_FMT,
                      STR_ARG(s->spamassassin.sensitivity.value));
}

/* ---- a folder of qpsmtpd without the databases: what is not among its plugins does not run ---- */

static bool has_plugin(const struct import *im, const char *const *names)
{
    for (; *names; names++)
        for (size_t i = 0; i < im->plugin_count; i++)
            if (str_is(im->plugins[i].name, str_of(*names)))
                return true;
    return false;
}

static void not_loaded(struct writer *w)
{
    static const struct {
        const char *policy;
        const char *plugins[4];
    } rows[] = {
        {"loadcheck", {"loadcheck"}}, {"karma", {"karma"}}, {"earlytalker", {"earlytalker", "check_earlytalker"}},
        {"fcrdns", {"fcrdns"}}, {"helo", {"helo", "check_spamhelo"}},
        {"unrecognized_commands", {"count_unrecognized_commands"}},
        {"resolvable_fromhost", {"resolvable_fromhost", "require_resolvable_fromhost"}},
        {"badmailfrom", {"badmailfrom", "check_badmailfrom"}},
        {"badmailfromto", {"badmailfromto", "check_badmailfromto"}},
        {"spf", {"sender_permitted_from"}}, {"bogus_bounce", {"bogus_bounce"}},
        {"badrcptto", {"badrcptto", "check_badrcptto"}}, {"headers", {"headers", "check_basicheaders"}},
        {"dkim", {"dkim"}}, {"dmarc", {"dmarc"}}, {"goodrcptto", {"check_goodrcptto", "goodrcptto"}},
    };
    struct sme_source from = source_named(STR("plugins"), (struct place){w->im->qpsmtpd_dir, 1});

    if (w->im->db_dir.n || w->im->plugin_count == 0)
        return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (has_plugin(w->im, rows[i].plugins))
            continue;
        conf_begin(w, rows[i].policy);
        conf_put(w, from, "enabled = no");
        conf_end(w);
    }
}

void import_conf(struct import *im)
{
    struct writer w = {.im = im, .b = buf_in(im->a), .indent = ""};
    const struct sme_filter *f = &im->sme.filter[SME_SMTP];

    buf_add(&w.b, STR("# sme-milter.conf - written by `sme-milterctl import sme`, which writes it anew each time.\n"
                      "# What it does not set can stand in conf.d/*.conf, in the same sections; it leaves these files "
                      "alone.\n\n"));
    daemon_options(&w);
    strangers(&w);
    recipients(&w);
    import_everywhere(&w, f);
    authenticity(&w);
    spam(&w, "spamassassin", true);
    spam(&w, "forcespamcheck", false);
    not_loaded(&w);
    flush_sections(&w);
    import_profiles(&w);
    buf_add(&w.b, STR("\ninclude(\"conf.d/*.conf\")\n"));
    for (int i = 0; i < LISTS; i++)
        if (im->lists[i].count)
            import_add_file(im, str_of(im->lists[i].file), buf_str(&im->lists[i].text), false);
    import_add_file(im, STR("sme-milter.conf"), buf_str(&w.b), false); /* behind the files that it names */
}
