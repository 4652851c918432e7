/* doctor_services.c - each smtpd of master.cf: does every message of it pass the filter, first and in time? */
#include "doctor.h"

struct chain { /* the effective smtpd_milters of a service */
    struct str all, ours;
    size_t count, position; /* position of the first of ours; count when it is not there */
    size_t copies;
};

static struct chain read_chain(struct doctor *d, const struct postfix_service *s, struct str list)
{
    struct chain c = {.all = list};
    struct str item;

    while (postfix_item(&list, &item)) {
        struct endpoint e;

        if (endpoint_of_milter(&d->postfix, s, item, &e) && endpoint_equal(&e, &d->ours) && c.copies++ == 0) {
            c.position = c.count;
            c.ours = item;
        }
        c.count++;
    }
    if (!c.copies)
        c.position = c.count;
    return c;
}

static bool is_loopback(const struct postfix_service *s)
{
    return str_starts(s->name, STR("127.")) || str_starts(s->name, STR("localhost:")) ||
           str_starts(s->name, STR("[::1]:"));
}

/* names_ours - whether an item is our endpoint as written, though a chrooted service sees another file there. */
static bool names_ours(struct doctor *d, struct str list)
{
    struct str item;

    while (postfix_item(&list, &item)) {
        struct endpoint e;

        if (endpoint_of_milter(&d->postfix, NULL, item, &e) && endpoint_equal(&e, &d->ours))
            return true;
    }
    return false;
}

static struct str remedy_unchroot(struct doctor *d, const struct postfix_service *s)
{
    struct str argument = arena_printf(d->arena, STR_FMT "/chroot=n", STR_ARG(s->id)), dir = STR_NONE;

    if (!shell_quotable(argument))
        return STR_NONE;
    if (d->config_dir.n)
        dir = arena_printf(d->arena, "-c " STR_FMT " ", STR_ARG(shell_quoted(d->arena, d->config_dir)));
    return arena_printf(d->arena, "postconf " STR_FMT "-F " STR_FMT, STR_ARG(dir),
                        STR_ARG(shell_quoted(d->arena, argument)));
}

/* check_present - is our socket in the list at all, where the service can see it? */
static bool check_present(struct doctor *d, const struct postfix_service *s, const struct chain *c)
{
    struct str all = c->all.n ? c->all : STR("empty");

    if (c->copies)
        return true;
    if (d->ours.is_unix && service_is_chrooted(&d->postfix, s) && names_ours(d, c->all))
        doctor_says(d, DOCTOR_PROBLEM, "chroot", s, remedy_unchroot(d, s), "the service runs in a chroot "
                    "(" STR_FMT "), where " STR_FMT " does not exist", STR_ARG(postfix_value(&d->postfix, NULL,
                    "queue_directory")), STR_ARG(d->ours.path));
    else if (is_loopback(s)) /* where a content filter hands mail back: it was filtered when it came in */
        doctor_says(d, DOCTOR_NOTE, "milters", s, STR_NONE, "this loopback service does not use the filter");
    else
        doctor_says(d, DOCTOR_PROBLEM, "milters", s,
                    remedy_set(d, s, "smtpd_milters", chain_with_ours(&d->postfix, s, d->config, &d->ours, d->ours_text,
                                                                      c->all)),
                    "smtpd_milters is " STR_FMT ": mail passes without the filter " STR_FMT, STR_ARG(all),
                    STR_ARG(d->ours_text));
    return false;
}

/* check_neighbour - another filter in the same list. */
static void check_neighbour(struct doctor *d, const struct postfix_service *s, struct str item, bool before,
                            struct str remedy)
{
    const struct other_filter *other = other_filter_of(item);
    bool replaced = other_is_replaced(d->config, other);
    const char *name = other ? arena_printf(d->arena, " (%s)", other->name).p : "";
    const char *redundant = replaced ? "; this filter does its work" : "";

    if (other && other->habits & OTHER_OURSELVES)
        doctor_says(d, DOCTOR_PROBLEM, "order", s, remedy,
                    STR_FMT " is a socket of sme-milter where this configuration does not listen: every message is "
                    "judged there too, or put off",
                    STR_ARG(item));
    else if (before)
        doctor_says(d, other ? DOCTOR_PROBLEM : DOCTOR_WARNING, "order", s, remedy,
                    STR_FMT "%s comes before this filter, which must see a message as the client sent it: good "
                    "signatures fail here %s%s",
                    STR_ARG(item), name, other ? "after its edits" : "if it edits", redundant);
    else if (!other)
        doctor_says(d, DOCTOR_WARNING, "order", s, STR_NONE,
                    STR_FMT " comes after this filter: if it changes messages, a signature made here breaks",
                    STR_ARG(item));
    else if (other->habits & OTHER_EDITS)
        doctor_says(d, replaced ? DOCTOR_PROBLEM : DOCTOR_WARNING, "order", s, replaced ? remedy : STR_NONE,
                    STR_FMT "%s comes after this filter and edits what was signed here%s", STR_ARG(item), name,
                    redundant);
    else
        doctor_says(d, replaced ? DOCTOR_PROBLEM : DOCTOR_WARNING, "order", s, replaced ? remedy : STR_NONE,
                    STR_FMT "%s comes after this filter and signs: %s", STR_ARG(item), name,
                    replaced ? "no other signer is needed, and this filter does its work"
                             : "right as long as no profile uses the policy dkim, and needless then");
}

static void check_order(struct doctor *d, const struct postfix_service *s, const struct chain *c)
{
    struct str list = c->all, item;
    struct str better = chain_with_ours(&d->postfix, s, d->config, &d->ours, c->ours, c->all);
    struct str remedy = remedy_set(d, s, "smtpd_milters", better);

    if (c->copies > 1)
        doctor_says(d, DOCTOR_PROBLEM, "twice", s, remedy,
                    "the filter is listed %zu times in smtpd_milters: every message is judged, counted and edited as "
                    "often",
                    c->copies);
    for (size_t i = 0; postfix_item(&list, &item); i++) {
        struct endpoint e;

        if (!endpoint_of_milter(&d->postfix, s, item, &e) || !endpoint_equal(&e, &d->ours))
            check_neighbour(d, s, item, i < c->position, remedy);
    }
}

/* ---- how Postfix treats us ---- */

/* milter_value - of milter_NAME, or what the braces around our socket say instead; the remedy to set it to `good`. */
static struct str milter_value(struct doctor *d, const struct postfix_service *s, const struct chain *c,
                               const char *name, const char *good, struct str *remedy)
{
    const char *parameter = arena_printf(d->arena, "milter_%s", name).p;
    struct str value;

    if (milter_setting(c->ours, name, &value)) {
        *remedy = remedy_set(d, s, "smtpd_milters", d->ours_text);
        return value;
    }
    *remedy = remedy_set(d, s, parameter, str_of(good));
    return postfix_value(&d->postfix, s, parameter);
}

static void check_default_action(struct doctor *d, const struct postfix_service *s, const struct chain *c)
{
    struct str remedy, value = milter_value(d, s, c, "default_action", "tempfail", &remedy);

    if (str_is_nocase(value, STR("tempfail")) || str_is_nocase(value, STR("shutdown")))
        doctor_says(d, DOCTOR_OK, "default-action", s, STR_NONE, "while the filter is down, clients come back later");
    else if (str_is_nocase(value, STR("accept")))
        doctor_says(d, DOCTOR_PROBLEM, "default-action", s, remedy,
                    "milter_default_action is accept: while the filter is down, all mail passes unfiltered");
    else if (str_is_nocase(value, STR("reject")))
        doctor_says(d, DOCTOR_PROBLEM, "default-action", s, remedy,
                    "milter_default_action is reject: while the filter is down, good mail is refused for ever");
    else if (str_is_nocase(value, STR("quarantine")))
        doctor_says(d, DOCTOR_WARNING, "default-action", s, remedy,
                    "milter_default_action is quarantine: while the filter is down, mail is taken unfiltered and "
                    "stays in the hold queue until somebody looks (postsuper -H)");
    else
        doctor_says(d, DOCTOR_PROBLEM, "default-action", s, remedy, "milter_default_action is " STR_FMT
                    ", which Postfix does not know", STR_ARG(value));
}

static void check_timeout(struct doctor *d, const struct postfix_service *s, const struct chain *c, const char *name,
                          int64_t least_ms, long good, int64_t most_ms)
{
    struct str remedy, value = milter_value(d, s, c, name, arena_printf(d->arena, "%lds", good).p, &remedy);
    int64_t ms;

    if (!postfix_time_ms(value, &ms))
        doctor_says(d, DOCTOR_PROBLEM, "timeout", s, remedy, "milter_%s is " STR_FMT ", which is not a time", name,
                    STR_ARG(value));
    else if (ms < least_ms)
        doctor_says(d, DOCTOR_PROBLEM, "timeout", s, remedy, "milter_%s is " STR_FMT ", but the filter may take %lld "
                    "seconds: mail would meet milter_default_action while all is well", name, STR_ARG(value),
                    (long long)((least_ms + 999) / 1000));
    else if (ms > most_ms)
        doctor_says(d, DOCTOR_WARNING, "timeout", s, remedy,
                    "milter_%s is " STR_FMT ": a client gives up before a filter that hangs is noticed, and may "
                    "deliver twice",
                    name, STR_ARG(value));
}

/* Clients wait five minutes for the answer to a command, ten for that to the final dot (RFC 5321, 4.5.3.2). */
static void check_timeouts(struct doctor *d, const struct postfix_service *s, const struct chain *c)
{
    check_timeout(d, s, c, "connect_timeout", 2000, 5, 240000);
    check_timeout(d, s, c, "command_timeout", d->waits.command_ms + 2000, command_timeout_for(&d->waits), 240000);
    check_timeout(d, s, c, "content_timeout", d->waits.content_ms + 30000, content_timeout_for(&d->waits), 540000);
}

static void check_protocol(struct doctor *d, const struct postfix_service *s, const struct chain *c)
{
    struct str remedy, value = milter_value(d, s, c, "protocol", "6", &remedy);
    long version;

    if (!str_to_long(str_slice(value, 0, str_find(value, ' ')), &version) || version < 6)
        doctor_says(d, DOCTOR_PROBLEM, "protocol", s, remedy, "milter_protocol is " STR_FMT ": only from 6 on can the "
                    "filter ask for macros; without {daemon_port} and {client_addr} no profile fits", STR_ARG(value));
}

/* ---- which profile ---- */

/* port_of - of an inet service its own; clients of a pass service came in by postscreen's port. */
static long port_of(const struct doctor *d, const struct postfix_service *s)
{
    if (!str_is(s->type, STR("pass")))
        return postfix_port(s);
    for (size_t i = 0; i < d->postfix.service_count; i++)
        if (str_is(d->postfix.services[i].command, STR("postscreen")))
            return postfix_port(&d->postfix.services[i]);
    return 0;
}

static bool has_port(const struct str_list *list, long port)
{
    long n;

    for (size_t i = 0; i < list->count; i++)
        if (str_to_long(list->items[i], &n) && n == port)
            return true;
    return list->count == 0;
}

static bool has_name(const struct str_list *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_is(list->items[i], name))
            return true;
    return list->count == 0;
}

static void check_profile(struct doctor *d, const struct postfix_service *s)
{
    struct str name = postfix_value(&d->postfix, s, "milter_macro_daemon_name");
    struct buf found = buf_in(d->arena);
    long port = port_of(d, s);

    for (size_t i = 0; i < d->config->profile_count; i++) {
        const struct profile_options *o = &d->config->profiles[i].options;

        if (!has_name(&o->daemon_name, name) || (port ? !has_port(&o->port, port) : o->port.count > 0))
            continue;
        buf_addf(&found, "%s" STR_FMT, found.len ? " or " : "", STR_ARG(d->config->profiles[i].name));
        doctor_early(d, s, &d->config->profiles[i]);
    }
    if (found.len)
        doctor_says(d, DOCTOR_OK, "profile", s, STR_NONE,
                    "port %ld with {daemon_name} " STR_FMT " has profile " STR_FMT, port, STR_ARG(name),
                    STR_ARG(buf_str(&found)));
    else
        doctor_says(d, DOCTOR_WARNING, "profile", s,
                    arena_printf(d->arena,
                                 "add a profile with port = {%ld} to sme-milter.conf, or one with daemon_name = "
                                 "{\"" STR_FMT "\"}",
                                 port, STR_ARG(str_escaped(d->arena, name))),
                    "no profile of sme-milter.conf is for port %ld with {daemon_name} " STR_FMT ": its clients are "
                    "treated as strangers",
                    port, STR_ARG(name));
}

/* ---- what keeps messages from us ---- */

static bool list_has(struct str list, struct str word)
{
    struct str item;

    while (postfix_item(&list, &item))
        if (str_is_nocase(item, word))
            return true;
    return false;
}

static void check_bypass(struct doctor *d, const struct postfix_service *s)
{
    struct str value;
    uint64_t cap = d->config->limits.message_size;
    long most;

    if (list_has(postfix_value(&d->postfix, s, "receive_override_options"), STR("no_milters")))
        doctor_says(d, DOCTOR_PROBLEM, "bypass", s, remedy_set(d, s, "receive_override_options", STR_NONE),
                    "receive_override_options has no_milters: the filter sees nothing of this service");
    value = postfix_value(&d->postfix, s, "smtpd_milter_maps");
    if (value.n)
        doctor_says(d, DOCTOR_WARNING, "bypass", s, remedy_set(d, s, "smtpd_milter_maps", STR_NONE),
                    "smtpd_milter_maps is " STR_FMT ": clients found there may pass without the filter",
                    STR_ARG(value));
    value = postfix_value(&d->postfix, s, "smtpd_proxy_filter");
    if (value.n)
        doctor_says(d, DOCTOR_PROBLEM, "bypass", s, remedy_set(d, s, "smtpd_proxy_filter", STR_NONE),
                    "smtpd_proxy_filter is " STR_FMT ": behind it a milter sees no header and no body", STR_ARG(value));
    value = postfix_value(&d->postfix, s, "content_filter");
    if (value.n)
        doctor_says(d, DOCTOR_WARNING, "content-filter", s, remedy_set(d, s, "content_filter", STR_NONE),
                    "content_filter is " STR_FMT ": what it changes was signed here before", STR_ARG(value));
    value = postfix_value(&d->postfix, s, "message_size_limit");
    if (str_to_long(value, &most) && (most == 0 || (uint64_t)most > cap))
        doctor_says(d, DOCTOR_WARNING, "size", s,
                    remedy_set(d, s, "message_size_limit", arena_printf(d->arena, "%llu", (unsigned long long)cap)),
                    "message_size_limit is " STR_FMT ", more than the %llu bytes that limits.message_size lets through",
                    STR_ARG(value), (unsigned long long)cap);
}

/* check_smuggling - a message that hides another one passes the filter as one, and is delivered as two. */
static void check_smuggling(struct doctor *d, const struct postfix_service *s)
{
    static const char name[] = "smtpd_forbid_bare_newline";
    bool knows = postfix_knows(&d->postfix, name);

    if (knows && str_is(postfix_value(&d->postfix, s, name), STR("no")))
        doctor_says(d, DOCTOR_WARNING, "smuggling", s, remedy_set(d, s, name, STR("yes")),
                    "%s is no: a message can hide another one behind a line end that only Postfix takes for one, and "
                    "the filter sees the first alone", name);
    else if (!knows && !list_has(postfix_value(&d->postfix, s, "smtpd_data_restrictions"),
                                 STR("reject_unauth_pipelining")))
        doctor_says(d, DOCTOR_WARNING, "smuggling", s,
                    remedy_set(d, s, "smtpd_data_restrictions", STR("reject_unauth_pipelining")),
                    "this Postfix has no %s, and smtpd_data_restrictions has no reject_unauth_pipelining: a message "
                    "can hide another one, and the filter sees the first alone", name);
}

static void check_service(struct doctor *d, const struct postfix_service *s)
{
    struct chain c = read_chain(d, s, postfix_value(&d->postfix, s, "smtpd_milters"));
    size_t before = d->findings;

    if (!check_present(d, s, &c))
        return;
    check_order(d, s, &c);
    doctor_sound(d, before, "milters", s, "the filter is in smtpd_milters, once and alone, where the service sees it");
    check_default_action(d, s, &c);
    before = d->findings;
    check_timeouts(d, s, &c);
    doctor_sound(d, before, "timeout", s, "Postfix waits long enough, and not too long");
    before = d->findings;
    check_protocol(d, s, &c);
    doctor_sound(d, before, "protocol", s, "the filter can ask for the macros it needs");
    before = d->findings;
    check_bypass(d, s);
    doctor_sound(d, before, "bypass", s, "no mail goes round the filter");
    before = d->findings;
    check_smuggling(d, s);
    doctor_sound(d, before, "smuggling", s, "no message can hide another one");
    check_profile(d, s);
}

static void check_non_smtpd(struct doctor *d)
{
    struct str list = postfix_value(&d->postfix, NULL, "non_smtpd_milters");
    size_t before = d->findings;

    if (names_ours(d, list))
        doctor_says(d, DOCTOR_PROBLEM, "non-smtpd", NULL, remedy_set(d, NULL, "non_smtpd_milters", STR_NONE),
                    "non_smtpd_milters has the filter: mail of the sendmail command cannot be refused, and a rejected "
                    "recipient there stops the queue");
    doctor_sound(d, before, "non-smtpd", NULL, "mail of the sendmail command does not pass the filter");
}

void doctor_services(struct doctor *d)
{
    size_t found = 0;

    for (size_t i = 0; i < d->postfix.service_count; i++) {
        const struct postfix_service *s = &d->postfix.services[i];

        if (str_is(s->command, STR("smtpd")) && !str_is(s->type, STR("unix"))) {
            check_service(d, s);
            found++;
        }
    }
    if (!found)
        doctor_says(d, DOCTOR_PROBLEM, "services", NULL, STR("sme-milterctl postfix snippet"),
                    "master.cf has no smtpd service");
    check_non_smtpd(d);
}
