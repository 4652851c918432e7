/* dns_opinion.c - what a block list that cannot be believed does to mail: nothing, also under `unsure = tempfail`. */
#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/config.h"
#include "../../milter/dns/health_state.h"
#include "../../milter/message.h"
#include "../../milter/policy.h"
#include "../../milter/reply.h"
#include "../../milter/session.h"
#include "../lib/tap.h"

static struct arena *a;

static void quiet(int level, struct str line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static struct config *configured(const char *policies, const char *options)
{
    struct problems problems = {.arena = a};
    struct str text;
    struct config *config;

    text = arena_printf(a, "profile \"x\" {\n unsure = tempfail\n policies = {%s}\n %s\n}\n", policies, options);
    config = config_from_text(STR("conf"), text, &problems);
    if (!config)
        bail(STR_FMT, STR_ARG(problems.count ? problem_text(a, &problems.items[0]) : STR("no configuration")));
    return config;
}

static void script(const char *text)
{
    struct str error;

    if (!dns_script(STR("script"), str_of(text), false, &error, a))
        bail(STR_FMT, STR_ARG(error));
}

/* code - of the reply to MAIL from a client; 0: nobody objects. */
static int code(struct config *config, const char *client)
{
    struct peer peer = {.name = STR("mx.a.test"), .server_port = 25};
    struct str sender = STR("<x@b.test>");
    const struct reply *reply;
    struct session *s;
    int result;

    if (!ip_parse(str_of(client), &peer.ip))
        bail("%s is no address", client);
    s = session_open(config, &peer);
    session_connect(s);
    session_helo(s, STR("mx.a.test"), STR_NONE);
    reply = message_mail(s, &sender, 1, STR_NONE, STR_NONE);
    result = reply ? reply->code : 0;
    message_abort(s);
    session_close(&s);
    return result;
}

static void test_clients(void)
{
    struct config *config = configured("\"dnsbl\"", "dnsbl { enabled = yes  zones = {\"bl.test\"} }");
    struct config *both =
        configured("\"dnsbl\"", "dnsbl { enabled = yes  zones = {\"bl.test\", \"mute.test\"} }");

    script("2.0.0.127.bl.test A 127.0.0.2\n1.2.0.192.bl.test A 127.0.0.2");
    is_long(code(config, "192.0.2.1"), 550, "a trusted list refuses whom it lists");
    is_long(code(config, "192.0.2.2"), 0, "and nobody else");
    clock_script_advance(3600 * 1000);
    script("*.bl.test A 127.255.255.254\n*.mute.test ANY SERVFAIL");
    is_long(code(config, "192.0.2.1"), 451, "a list that refuses to answer, and is not found out yet, is unsure");
    health_test(&(struct zone){.name = STR("bl.test"), .shown = STR("bl.test")}, 5000);
    is_long(code(config, "192.0.2.1"), 0, "once it is suspended nobody is deferred for its refusals");
    script("*.bl.test A 127.0.0.2\n*.mute.test ANY SERVFAIL");
    is_long(code(config, "192.0.2.1"), 0, "nor for its listings");
    script("*.bl.test ANY SERVFAIL\n*.mute.test ANY SERVFAIL");
    is_long(code(config, "192.0.2.1"), 0, "nor for its silence");
    is_long(code(both, "192.0.2.1"), 451, "another list that could not be asked is unsure as before");
    config_unref(&config);
    config_unref(&both);
}

static void test_names(void)
{
    struct config *config = configured("\"rhsbl\"", "rhsbl { enabled = yes  zones = {\"rhs.test\"} }");

    script("test.rhs.test A 127.0.0.2\nb.test.rhs.test A 127.0.0.2");
    is_long(code(config, "192.0.2.1"), 550, "a trusted list of names");
    script("*.rhs.test A 127.0.0.2");
    health_test(&(struct zone){.kind = ZONE_OF_NAMES, .name = STR("rhs.test"), .shown = STR("rhs.test")}, 5000);
    is_long(code(config, "192.0.2.1"), 0, "a suspended one");
    script("*.rhs.test ANY SERVFAIL");
    is_long(code(config, "192.0.2.1"), 0, "that does not answer either");
    config_unref(&config);
}

/* test_world - a list begins to list everybody while clients come: how many of them it costs. */
static void test_world(void)
{
    struct config *config = configured("\"dnsbl\"", "dnsbl { enabled = yes  zones = {\"world.test\"} }");
    unsigned refused = 0, others = 0;

    script("2.0.0.127.world.test A 127.0.0.2");
    is_long(code(config, "203.0.113.200"), 0, "an honest list so far");
    health_test(&(struct zone){.name = STR("world.test"), .shown = STR("world.test")}, 5000);
    script("*.world.test A 127.0.0.2");
    for (unsigned i = 1; i <= 100; i++) {
        int reply = code(config, arena_printf(a, "203.0.113.%u", i).p);

        refused += reply == 550;
        others += reply != 550 && reply != 0;
        clock_script_advance(1000);
    }
    is_long(refused, 8, "it is out before it has refused the ninth of 100");
    is_long(others, 0, "and nobody is deferred");
    config_unref(&config);
}

int main(void)
{
    a = arena_new(0);
    log_capture(quiet, NULL);
    clock_script_wall(1767607200000);
    health_require(true);
    test_clients();
    test_names();
    test_world();
    dns_script_end();
    clock_script_end();
    log_capture(NULL, NULL);
    arena_free(&a);
    return tap_end();
}
