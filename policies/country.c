/* country - where the client's address is registered, by a MaxMind database. */
#include <maxminddb.h>

#include "policy.h"

struct country_options {
    struct str database;
    struct str_list deny;
    struct str_list allow;
    MMDB_s *open; /* NULL: the policy says nothing */
};

static const struct option country_rows[] = {
    OPT_STRING(struct country_options, database, "/var/lib/GeoIP/GeoLite2-Country.mmdb", "file in MaxMind's format"),
    OPT_STRINGS(struct country_options, deny, "", "country codes that are refused, e.g. \"KP\""),
    OPT_STRINGS(struct country_options, allow, "", "when not empty: all others are refused"),
    OPTION_END,
};

static void close_database(void *ptr)
{
    MMDB_close(ptr);
}

static void check_codes(const struct str_list *list, struct place at, struct problems *problems)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].n != 2)
            problem_error(problems, at, "country: \"" STR_FMT "\" is not a country code of two letters",
                          STR_ARG(list->items[i]));
}

/* A database that is missing switches the policy off: a package that was not updated must not stop mail. */
static void country_prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct country_options *o = options;
    int status;

    check_codes(&o->deny, at, problems);
    check_codes(&o->allow, at, problems);
    o->open = arena_zalloc(a, sizeof *o->open);
    status = MMDB_open(str_c(a, o->database), MMDB_MODE_MMAP, o->open);
    if (status == MMDB_SUCCESS) {
        arena_on_reset(a, close_database, o->open);
        return;
    }
    o->open = NULL;
    problem_warning(problems, at, "country: " STR_FMT ": %s; the policy is off", STR_ARG(o->database),
                    MMDB_strerror(status));
}

/* code_of - the ISO code of the address; empty when the database does not know; false when it is broken. */
static bool code_of(struct context *c, struct str *code)
{
    MMDB_s *open = OPTIONS(struct country_options, c)->open;
    struct str text = ip_text(c->arena, c->session->peer.ip);
    int gai, status;
    MMDB_lookup_result_s found = MMDB_lookup_string(open, text.p, &gai, &status);
    MMDB_entry_data_s data;

    *code = STR_NONE;
    if (gai == 0 && status == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR) /* it knows nothing of IPv6 */
        return true;
    if (gai != 0 || status != MMDB_SUCCESS)
        return false;
    if (!found.found_entry)
        return true;
    status = MMDB_get_value(&found.entry, &data, "country", "iso_code", NULL);
    if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR)
        return true;
    if (status != MMDB_SUCCESS)
        return false;
    if (data.has_data && data.type == MMDB_DATA_TYPE_UTF8_STRING && data.data_size == 2)
        *code = str_dup(c->arena, (struct str){data.utf8_string, data.data_size});
    return true;
}

static bool has_code(const struct str_list *list, struct str code)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_is_nocase(list->items[i], code))
            return true;
    return false;
}

static struct finding judge(struct context *c, struct str code)
{
    const struct country_options *o = OPTIONS(struct country_options, c);

    fact_set(c, FACT_COUNTRY, code);
    if (has_code(&o->deny, code) || (o->allow.count && !has_code(&o->allow, code)))
        return bad(c, "5.7.1", "mail from your country (" STR_FMT ") is not accepted here", STR_ARG(code));
    return NO_OPINION;
}

static struct finding country_connect(struct context *c)
{
    const struct country_options *o = OPTIONS(struct country_options, c);
    struct str code;

    if (!o->open || !ip_is_public(c->session->peer.ip))
        return NO_OPINION;
    if (!code_of(c, &code))
        return unsure(c, "the country database is broken");
    if (code.n == 0)
        return NO_OPINION;
    return judge(c, code);
}

static struct finding country_again(struct context *c, enum stage stage, const struct then *then)
{
    struct str code = then_fact(then, FACT_COUNTRY);

    (void)stage;
    if (!ip_is_public(c->session->peer.ip))
        return NO_OPINION;
    return code.n ? judge(c, code) : then_keep(c, then);
}

static const struct told_again country_told[] = {
    CAN_TELL("deny"), CAN_TELL("allow"), CANNOT_TELL("database", "the country that another database would tell"),
    TOLD_AGAIN_END,
};

const struct policy policy_country = {
    .name = "country",
    .summary = "refuse clients by the country of their address",
    .options = country_rows,
    .options_size = sizeof(struct country_options),
    .presets = {.enabled = "no", .reject = "later", .skip = "local, auth, whitelisted"},
    .at = {[AT_CONNECT] = country_connect},
    .prepare = country_prepare,
    .again = country_again,
    .told_again = country_told,
};
