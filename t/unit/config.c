/* config.c - tests of what a configuration means: profiles, layers, and everything that can be wrong with it. */
#include "../../milter/config.h"
#include "../lib/tap.h"

static struct arena *a;

static struct str complaints(const struct problems *problems)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < problems->count; i++) {
        struct str text = problem_text(a, &problems->items[i]);

        buf_addf(&b, "%s" STR_FMT, i ? "\n" : "", STR_ARG(text));
    }
    return buf_str(&b);
}

/* Each is refused (or, with a warning alone, taken) with exactly these words. */
static const struct {
    const char *text, *want;
} wrongs[] = {
    {"hleo { }", "t:1: section \"hleo\" is not known; did you mean \"helo\"?"},
    {"listne = x", "t:1: option \"listne\" is not known; did you mean \"listen\"?"},
    {"listen = \"/run/x\"", "t:1: listen = \"/run/x\": needs unix:/PATH, inet:PORT@HOST or inet6:PORT@HOST"},
    {"listen = \"inet:0@127.0.0.1\"",
     "t:1: listen = \"inet:0@127.0.0.1\": needs unix:/PATH, inet:PORT@HOST or inet6:PORT@HOST"},
    {"helo { levle = rfc }", "t:1: option \"levle\" is not known; did you mean \"level\"?"},
    {"helo { level = rcf }", "t:1: level = \"rcf\": not one of lenient, rfc, strict; did you mean \"rfc\"?"},
    {"helo \"x\" { level = rfc }", "t:1: section \"helo\" takes no title"},
    {"profile \"p\" { policies = {\"helo\", \"badmailform\"} }",
     "t:1: policy \"badmailform\" is not known; did you mean \"badmailfrom\"?"},
    {"profile \"p\" { policies = {\"helo\", \"helo\"} }", "t:1: policy \"helo\" is listed twice in profile \"p\""},
    {"profile \"p\" { }", "t:1: profile \"p\" has no policies = {...}"},
    {"profile { policies = {} }", "t:1: a profile needs a name: profile \"smtp\" { ... }"},
    {"profile \"p\" { policies = {} network = lan }",
     "t:1: network = \"lan\": not one of any, local, wan; did you mean \"wan\"?"},
    {"profile \"p\" { policies = {\"helo\"}\n tls { require = yes } }",
     "t:2: warning: profile \"p\" sets options of \"tls\", which is not in its policies"},
    {"profile \"p\" { policies = {\"helo\"}\n hello { } }", "t:2: section \"hello\" is not known; did you mean \"helo\"?"},
    {"profile \"p\" { policies = {} }\nprofile \"p\" { policies = {} }",
     "t:2: section \"p\" is already opened at line 1"},
    {"bcc { enabled = yes }\nprofile \"p\" { policies = {\"bcc\"} }",
     "t:1: bcc is enabled but has no to = \"ADDRESS\""},
    {"\nbcc { enabled = yes  to = \"nobody\" }", "t:2: bcc: to = \"nobody\" is not an address with a domain"},
    {"\nprofile \"p\" { policies = {\"bcc\"}\n bcc { enabled = yes } }",
     "t:3: bcc is enabled but has no to = \"ADDRESS\""},
    {"goodrcptto { extension = \"+-\" }\nprofile \"p\" { policies = {\"goodrcptto\"} }",
     "t:1: extension = \"+-\": one character, or none"},
    {"dns { servers = {\"localhost\"} }", "t:1: servers: \"localhost\" is not an address, or address:port"},
    {"dnsbl { zones = {\"dnsbl.sorbs.net\"} }",
     "t:1: warning: zones: \"dnsbl.sorbs.net\" is dead since 2024-06-05 and is not asked"},
    {"helo { level = rfc\n", "t:1: section \"helo\" opened here is never closed"},
    /* Everything at once. */
    {"hleo { }\nhelo { level = x  karma = many }\nprofile \"p\" { policies = {\"halo\"} }",
     "t:1: section \"hleo\" is not known; did you mean \"helo\"?\n"
     "t:2: karma = \"many\": needs a whole number from -100 to 100\n"
     "t:2: level = \"x\": not one of lenient, rfc, strict\n"
     "t:3: policy \"halo\" is not known; did you mean \"helo\"?"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct problems problems = {.arena = a};
        struct config *config = config_from_text(STR("t"), str_of(wrongs[i].text), &problems);

        is_str(complaints(&problems), str_of(wrongs[i].want), "%s", wrongs[i].text);
        ok(!config == (problems.errors > 0), "%s: refused when there is an error", wrongs[i].text);
        config_unref(&config);
    }
}

static struct config *good_config(const char *text)
{
    struct problems problems = {.arena = a};
    struct config *config = config_from_text(STR("t"), str_of(text), &problems);

    if (!config)
        bail("refused: " STR_FMT, STR_ARG(complaints(&problems)));
    return config;
}

static const struct instance *instance(const struct config *config, const char *profile, const char *policy)
{
    for (size_t i = 0; i < config->profile_count; i++)
        for (size_t k = 0; str_is(config->profiles[i].name, str_of(profile)) && k < config->profiles[i].count; k++)
            if (str_is(str_of(config->profiles[i].instances[k].policy->name), str_of(policy)))
                return &config->profiles[i].instances[k];
    return NULL;
}

static void test_layers(void)
{
    struct config *config = good_config("helo { karma = -2  reject = never }\n"
                                        "badrcptto { recipients = {\"a@x.test\"} }\n"
                                        "profile \"one\" { policies = {\"helo\", \"badrcptto\"} helo { karma = -3 }\n"
                                        "    badrcptto { recipients += {\"b@x.test\"} } }\n"
                                        "profile \"two\" { policies = {\"helo\", \"badrcptto\"} }\n"
                                        "profile \"submission\" { port = {2587} }\n");
    const struct pattern_list *one, *two;

    is_long(instance(config, "one", "helo")->common.karma, -3, "the profile's own value");
    is_long(instance(config, "one", "helo")->common.reject, REJECT_NEVER, "over the section's");
    is_long(instance(config, "two", "helo")->common.karma, -2, "which the others keep");
    is_long(instance(config, "two", "helo")->common.skip, 7, "over the policy's default");
    one = instance(config, "one", "badrcptto")->options;
    two = instance(config, "two", "badrcptto")->options;
    is_long((long)one->count, 2, "a list that a profile adds to grows there");
    is_long((long)two->count, 1, "and not in another profile");
    ok(instance(config, "submission", "relay") != NULL, "a built-in name inherits its policies");
    is_long((long)config->profiles[2].options.port.count, 1, "but not what it sets itself");
    is_str(config->fallback->name, STR("submission"), "the last profile for strangers takes what fits nowhere");
    config_unref(&config);
    config = good_config("");
    is_long((long)config->profile_count, 3, "without a profile: the three built-in ones");
    is_str(config->fallback->name, STR("smtp"), "and smtp takes what fits nowhere");
    config_unref(&config);
    config = good_config("profile \"in\" { network = local policies = {} } profile \"us\" { auth = yes policies = {} }");
    is_str(config->fallback->name, STR("smtp"), "a profile that trusts is never the last resort");
    is_long((long)config->profile_count, 2, "and the built-in one is no choice by itself");
    config_unref(&config);
}

static void test_origin(void)
{
    struct config *config = good_config("hostname = mx\nhelo {\n level = rfc\n}\nprofile \"submission\" {\n helo { karma = 1 } "
                                        "policies = {\"helo\", \"tls\"} }\n");
    bool is_file;
    const struct profile *p = &config->profiles[0];

    is_long(config_origin(config, NULL, "", option_find(config_sections[0].options, STR("hostname"), &is_file)).line, 1,
            "where a top-level option was written");
    is_long(config_origin(config, p, "helo", option_find(policy_by_name(STR("helo"))->options, STR("level"), &is_file)).line,
            3, "where a section's was");
    is_long(config_origin(config, p, "helo", option_find(common_options, STR("karma"), &is_file)).line, 6,
            "where a profile's was");
    is_str(config_origin(config, p, "tls", option_find(policy_by_name(STR("tls"))->options, STR("require"), &is_file)).file,
           STR("built-in"), "what the built-in profile says");
    is_long((long)config_origin(config, p, "tls", option_find(common_options, STR("karma"), &is_file)).file.n, 0,
            "and nobody");
    config_unref(&config);
}

/* What nobody looks at is not asked for. */
static void test_stages(void)
{
    struct config *config = good_config("profile \"p\" { policies = {\"whitelist\", \"helo\"} }");

    ok(config->stages & 1u << AT_HELO, "helo looks at HELO");
    ok(!(config->stages & 1u << AT_MESSAGE), "and not at the message, when it writes no header");
    ok(!config->edits, "and then it edits nothing");
    config_unref(&config);
    config = good_config("helo { header = yes }\nprofile \"p\" { policies = {\"helo\"} }");
    ok(config->stages & 1u << AT_MESSAGE, "with header = yes it does");
    ok(config->edits, "and edits");
    config_unref(&config);
    config = good_config("whitelist { senders = {\"@x.test\"} }\nprofile \"p\" { policies = {\"whitelist\"} }");
    ok(config->stages & 1u << AT_MESSAGE, "whitelisted senders are known at the end of the message");
    config_unref(&config);
}

int main(void)
{
    a = arena_new(0);
    test_bad();
    test_layers();
    test_origin();
    test_stages();
    arena_free(&a);
    return tap_end();
}
