/* helo - names that no honest client gives.
 *
 * The tests stand in one table with the level from which each is run; the first that fails ends it.
 */
#include "policy.h"

#include "edits.h"
#include "mail/domain.h"

enum helo_level { LENIENT, RFC, STRICT };

static const char *const level_words[] = {"lenient", "rfc", "strict", NULL};

struct helo_options {
    int level; /* enum helo_level */
    struct pattern_list badhelo;
    bool header;
};

static const struct option helo_rows[] = {
    OPT_WORD(struct helo_options, level, "lenient", level_words, "how many tests are run"),
    OPT_HOSTS(struct helo_options, badhelo, "", "names that are refused: name, .domain, /regex/, each with an optional text"),
    OPT_BOOL(struct helo_options, header, "no", "replace X-HELO by one with the client's HELO name"),
    OPTION_END,
};

static struct finding refuse(struct context *c, const char *test, const char *words)
{
    fact_set(c, FACT_HELO_TEST, str_of(test));
    return bad(c, "5.7.1", "HELO name: %s", words);
}

static struct finding test_badhelo(struct context *c)
{
    const struct pattern *entry = pattern_find(&OPTIONS(struct helo_options, c)->badhelo, c->session->helo);

    if (!entry)
        return NO_OPINION;
    fact_set(c, FACT_HELO_TEST, STR("badhelo"));
    return bad_entry(c, entry, "5.7.1", "HELO name: not accepted here");
}

static struct finding test_localhost(struct context *c)
{
    struct str helo = c->session->helo;

    if (!str_is_nocase(helo, STR("localhost")) && !str_is_nocase(helo, STR("localhost.localdomain")))
        return NO_OPINION;
    if (ip_is_loopback(c->session->peer.ip))
        return NO_OPINION;
    return refuse(c, "localhost", "you are not localhost");
}

static struct finding test_forged_literal(struct context *c)
{
    struct ip ip;

    if (!domain_literal(c->session->helo, &ip) || ip_equal(ip, c->session->peer.ip))
        return NO_OPINION;
    return refuse(c, "forged_literal", "the address literal is not your address");
}

static struct finding test_plain_ip(struct context *c)
{
    struct ip ip;

    if (!ip_parse(c->session->helo, &ip))
        return NO_OPINION;
    return refuse(c, "plain_ip", "an address needs brackets (RFC 5321, 4.1.3)");
}

static struct finding test_not_fqdn(struct context *c)
{
    struct ip ip;

    if (domain_literal(c->session->helo, &ip) || domain_is_fqdn(c->session->helo))
        return NO_OPINION;
    return refuse(c, "not_fqdn", "not a fully qualified domain name");
}

static struct finding test_literal(struct context *c)
{
    struct ip ip;

    if (!domain_literal(c->session->helo, &ip))
        return NO_OPINION;
    return refuse(c, "address_literal", "address literals are not accepted here");
}

static const struct {
    enum helo_level from;
    struct finding (*test)(struct context *);
} helo_tests[] = {
    {LENIENT, test_badhelo},   {LENIENT, test_localhost}, {LENIENT, test_forged_literal},
    {LENIENT, test_plain_ip},  {RFC, test_not_fqdn},      {STRICT, test_literal},
};

static struct finding helo_helo(struct context *c)
{
    int level = OPTIONS(struct helo_options, c)->level;

    for (size_t i = 0; i < sizeof helo_tests / sizeof helo_tests[0]; i++) {
        struct finding f = (int)helo_tests[i].from <= level ? helo_tests[i].test(c) : NO_OPINION;

        if (f.result != NOTHING)
            return f;
    }
    return NO_OPINION;
}

/* X-HELO is ours to write: what the sender wrote under that name goes. */
static struct finding helo_message(struct context *c)
{
    struct message *m = c->message;
    size_t forged;

    if (!OPTIONS(struct helo_options, c)->header)
        return NO_OPINION;
    forged = header_count(&m->headers, STR("X-HELO"));
    for (size_t i = forged; i > 0; i--)
        edit_delete_header(c->arena, m->edits, STR("X-HELO"), (int)i);
    edit_add_header(c->arena, m->edits, STR("X-HELO"), str_escaped(c->arena, c->session->helo));
    return NO_OPINION;
}

const struct policy policy_helo = {
    .name = "helo",
    .summary = "refuse HELO names that no honest client gives",
    .options = helo_rows,
    .options_size = sizeof(struct helo_options),
    .presets = {.reject = "later", .karma = "-1", .skip = "local, auth, whitelisted"},
    .at = {[AT_HELO] = helo_helo, [AT_MESSAGE] = helo_message},
    .edits = true,
};
