/* snippet_services.c - what master.cf needs: an entry for each of the three ports, in front of which the filter stands.
 *
 * Options come from the table here; those that --settings names come after them, and what it has no entry for shall
 * not listen.
 */
#include <netdb.h>

#include "snippet.h"

/* One of the three ports; what it is called here is always its {daemon_name}. */
struct role {
    long port;
    const char *name;   /* in master.cf */
    const char *processes;
    const char *why;
    const char *const *options;
};

#define AUTHENTICATED                                                                                                 \
    "smtpd_tls_security_level=encrypt", "smtpd_sasl_auth_enable=yes",                                                 \
        "smtpd_client_restrictions=permit_sasl_authenticated,reject",                                                 \
        "smtpd_relay_restrictions=permit_sasl_authenticated,reject"

static const struct role roles[] = {
    {25, "smtp", "40",
     "Port 25, mail from everywhere. At most 40 processes, and 5 connections of one client; here and below chroot is "
     "n: a service in a chroot cannot see the filter's socket, which lies outside of Postfix's queue directory.",
     (const char *const[]){"smtpd_sasl_auth_enable=no", NULL}},
    {465, "submissions", "10",
     "Port 465, mail of our users, TLS from the first byte. Whoever has not logged in is refused, whatever network he "
     "comes from: this port is for relaying only.",
     (const char *const[]){"smtpd_tls_wrappermode=yes", AUTHENTICATED, NULL}},
    {587, "submission", "10",
     "Port 587, the same with STARTTLS, which must come before anything else.",
     (const char *const[]){"smtpd_tls_wrappermode=no", AUTHENTICATED, NULL}},
};

#define ROLES (sizeof roles / sizeof *roles)

struct entry { /* of master.cf, being made */
    struct str id;
    struct str head; /* all fields up to the command, and what follows it but options */
    struct setting *options;
    size_t count;
};

/* found_id - the entry of master.cf that is there for this port, perhaps under another name (smtps, 465), since two
 * entries cannot share a port; behind postscreen the clients of port 25 come in by smtpd/pass. Empty: none. With
 * --settings one that is bound to an address is not meant. */
static struct str found_id(const struct snippet *s, const struct role *role)
{
    struct str found = STR_NONE;

    for (size_t i = 0; i < s->postfix.service_count; i++) {
        const struct postfix_service *have = &s->postfix.services[i];

        if (postfix_port(have) != role->port)
            continue;
        if (str_is(have->command, STR("postscreen")))
            return STR("smtpd/pass");
        if (s->settings.has_master && str_find(have->name, ':') < have->name.n)
            continue;
        if (!found.n || str_is(have->name, str_of(role->name)))
            found = have->id;
    }
    return found;
}

static struct str role_id(const struct snippet *s, const struct role *role)
{
    struct str found = found_id(s, role);

    if (found.n)
        return found;
    if (s->asked && !getservbyname(role->name, "tcp")) /* "submissions" is missing on older systems */
        return arena_printf(s->arena, "%ld/inet", role->port);
    return arena_printf(s->arena, "%s/inet", role->name);
}

static void put_option(struct snippet *s, struct entry *e, struct str name, struct str value)
{
    for (size_t i = 0; i < e->count; i++)
        if (str_is(e->options[i].name, name)) {
            e->options[i].value = value;
            return;
        }
    e->options = arena_grow(s->arena, e->options, e->count, sizeof *e->options);
    e->options[e->count++] = (struct setting){.name = name, .value = value};
}

static void put_role_options(struct snippet *s, struct entry *e, const struct role *role)
{
    put_option(s, e, STR("milter_macro_daemon_name"), str_of(role->name));
    put_option(s, e, STR("smtpd_client_connection_count_limit"), STR("5"));
    for (const char *const *option = role->options; *option; option++) {
        struct str text = str_of(*option);
        size_t at = str_find(text, '=');

        put_option(s, e, str_slice(text, 0, at), str_slice(text, at + 1, text.n));
    }
}

/* add_entry - its steps: the entry, which must hold the options with blanks, since postconf -P takes none; then the
 * others. */
static void add_entry(struct snippet *s, const struct entry *e)
{
    struct buf text = buf_in(s->arena);

    buf_add(&text, e->head);
    for (size_t i = 0; i < e->count; i++)
        if (str_find(e->options[i].value, ' ') < e->options[i].value.n)
            buf_addf(&text, " -o {" STR_FMT "=" STR_FMT "}", STR_ARG(e->options[i].name),
                     STR_ARG(e->options[i].value));
    snippet_step(s, STEP_ENTRY, e->id, buf_str(&text));
    for (size_t i = 0; i < e->count; i++)
        if (str_find(e->options[i].value, ' ') == e->options[i].value.n)
            snippet_step(s, STEP_OPTION, e->id,
                         arena_printf(s->arena, STR_FMT "=" STR_FMT, STR_ARG(e->options[i].name),
                                      STR_ARG(e->options[i].value)));
}

/* head_of - "smtp inet n - n - 40 smtpd". */
static struct str head_of(struct snippet *s, struct str id, const char *fields)
{
    size_t slash = str_rfind(id, '/');

    return arena_printf(s->arena, STR_FMT " " STR_FMT " %s", STR_ARG(str_slice(id, 0, slash)),
                        STR_ARG(str_slice(id, slash + 1, id.n)), fields);
}

static void add_role(struct snippet *s, const struct role *role)
{
    struct entry e = {.id = role_id(s, role)};
    bool is_pass = str_is(e.id, STR("smtpd/pass"));

    because(s, "%s", role->why);
    e.head = head_of(s, e.id, arena_printf(s->arena, "%s - n - %s smtpd", is_pass ? "-" : "n", role->processes).p);
    put_role_options(s, &e, role);
    add_entry(s, &e);
}

/* ---- with --settings ---- */

static long port_of(const struct setting_service *given)
{
    size_t slash = str_rfind(given->id, '/');
    struct postfix_service service = {.name = str_slice(given->id, 0, slash),
                                      .type = str_slice(given->id, slash + 1, given->id.n)};

    return postfix_port(&service);
}

/* role_of - which of the three it is: by the name that it has for the filter, else by its port. NULL: none. */
static const struct role *role_of(const struct setting_service *given)
{
    long port = port_of(given);

    for (size_t i = 0; i < given->count; i++)
        for (size_t k = 0; k < ROLES; k++)
            if (str_is(given->options[i].name, STR("milter_macro_daemon_name")) &&
                str_is(given->options[i].value, str_of(roles[k].name)))
                return &roles[k];
    for (size_t k = 0; k < ROLES; k++)
        if (roles[k].port == port)
            return &roles[k];
    return NULL;
}

static struct str add_given(struct snippet *s, const struct setting_service *given)
{
    const struct role *role = str_is(given->fields[5], STR("smtpd")) ? role_of(given) : NULL;
    struct entry e = {.id = given->id};
    struct buf fields = buf_in(s->arena);

    if (role && role->port == port_of(given) && str_find(given->id, ':') == given->id.n)
        e.id = role_id(s, role);
    for (int i = 0; i < 6; i++) /* behind postscreen "private" is as Postfix has it */
        buf_addf(&fields, i ? " " STR_FMT : STR_FMT,
                 STR_ARG(i == 0 && str_is(e.id, STR("smtpd/pass")) ? STR("-") : given->fields[i]));
    buf_add(&fields, given->fields[6]);
    because(s, STR_FMT, STR_ARG(given->why.n ? given->why
                                             : arena_printf(s->arena, STR_FMT ":%u", STR_ARG(given->at.file),
                                                            given->at.line)));
    e.head = head_of(s, e.id, buf_str(&fields).p);
    if (role)
        put_role_options(s, &e, role);
    for (size_t i = 0; i < given->count; i++)
        put_option(s, &e, given->options[i].name, given->options[i].value);
    add_entry(s, &e);
    return e.id;
}

/* remove_others - what listens on one of the three ports, and is not wanted. */
static void remove_others(struct snippet *s, const struct str *wanted, size_t count)
{
    for (size_t i = 0; i < s->postfix.service_count; i++) {
        const struct postfix_service *have = &s->postfix.services[i];
        bool is_postscreen = str_is(have->command, STR("postscreen"));
        bool keep = !str_is(have->type, STR("inet")) || !(is_postscreen || str_is(have->command, STR("smtpd"))) ||
                    !shell_quotable(have->id);
        long port = postfix_port(have);

        for (size_t k = 0; k < count && !keep; k++)
            keep = str_is(have->id, wanted[k]) || (is_postscreen && str_is(wanted[k], STR("smtpd/pass")));
        for (size_t k = 0; k < ROLES && !keep; k++) {
            if (roles[k].port != port)
                continue;
            because(s, "Port %ld: the settings have no service " STR_FMT ".", port, STR_ARG(have->name));
            snippet_step(s, STEP_REMOVE, have->id, STR_NONE);
        }
    }
}

void snippet_services(struct snippet *s)
{
    struct str *ids = NULL;

    if (!s->settings.has_master) {
        for (size_t i = 0; i < ROLES; i++)
            add_role(s, &roles[i]);
        return;
    }
    for (size_t i = 0; i < s->settings.service_count; i++) {
        ids = arena_grow(s->arena, ids, i, sizeof *ids);
        ids[i] = add_given(s, &s->settings.services[i]);
    }
    remove_others(s, ids, s->settings.service_count);
}
