/* tls - a service that takes mail over TLS alone. */
#include "policy.h"

enum tls_version { SSL3, TLS1, TLS1_1, TLS1_2, TLS1_3 };

static const char *const tls_words[] = {"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};

struct tls_options {
    bool require;
    int minimum; /* enum tls_version */
};

static const struct option tls_rows[] = {
    OPT_BOOL(struct tls_options, require, "no", "refuse mail that does not come over TLS"),
    OPT_WORD(struct tls_options, minimum, "TLSv1.2", tls_words, "the oldest version that counts as TLS, with require"),
    OPTION_END,
};

/* A version that we do not know is newer than those we do: TLS adds, it does not go back. */
static bool is_older(struct str version, int minimum)
{
    for (int i = 0; tls_words[i]; i++)
        if (str_is_nocase(version, str_of(tls_words[i])))
            return i < minimum;
    return str_starts_nocase(version, STR("SSL"));
}

static struct finding tls_mail(struct context *c)
{
    const struct tls_options *o = OPTIONS(struct tls_options, c);
    struct str version = c->session->tls_version;

    fact_set(c, FACT_TLS_VERSION, version.n ? version : STR("none"));
    if (!o->require)
        return NO_OPINION;
    if (version.n == 0)
        return bad_code(c, 530, "5.7.0", "must issue a STARTTLS command first");
    if (is_older(version, o->minimum))
        return bad_code(c, 530, "5.7.0", STR_FMT " is too old, at least %s is needed", STR_ARG(version),
                        tls_words[o->minimum]);
    return NO_OPINION;
}

const struct policy policy_tls = {
    .name = "tls",
    .summary = "refuse mail without TLS, or with an old version",
    .options = tls_rows,
    .options_size = sizeof(struct tls_options),
    .at = {[AT_MAIL] = tls_mail},
    .replays = 1u << AT_MAIL,
};
