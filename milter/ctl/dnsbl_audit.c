/* dnsbl_audit.c - `dnsbl audit`: can the lists of the configuration be believed, now and for the running daemon? */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../config.h"
#include "../dns/health.h"
#include "ctl.h"

#define WAIT_MS 10000
#define OLD_MS (5 * 60 * 1000LL) /* the daemon writes its file every minute */

struct audit {
    struct arena *arena;
    const char *zone_file;
    json_t *lists;          /* of the configuration: what is known of each */
    json_t *daemon;         /* zones.json; NULL without it */
    struct str file, note;  /* its path; why it is not there, or that it is old */
    unsigned tested, unknown, doubtful;
};

static json_t *json_str(struct str s)
{
    return json_stringn(s.p ? s.p : "", s.n);
}

/* read_daemon - what the running daemon knows. */
static void read_daemon(struct audit *au, struct str state_dir)
{
    json_error_t error;
    struct stat st;

    au->file = arena_printf(au->arena, STR_FMT "/zones.json", STR_ARG(state_dir));
    if (access(au->file.p, R_OK) != 0) {
        au->note = arena_printf(au->arena, STR_FMT ": %s", STR_ARG(au->file), strerror(errno));
        return;
    }
    au->daemon = json_load_file(au->file.p, 0, &error);
    if (!json_is_array(au->daemon)) {
        au->note = arena_printf(au->arena, STR_FMT ": %s", STR_ARG(au->file),
                                au->daemon ? "not written by the daemon" : error.text);
        json_decref(au->daemon);
        au->daemon = NULL;
    } else if (stat(au->file.p, &st) == 0 && clock_wall_ms() - (int64_t)st.st_mtime * 1000 > OLD_MS) {
        au->note = arena_printf(au->arena, STR_FMT " is of " STR_FMT ": is the daemon running?", STR_ARG(au->file),
                                STR_ARG(clock_rfc3339(au->arena, (int64_t)st.st_mtime * 1000)));
    }
}

static json_t *of_daemon(const struct audit *au, struct str shown)
{
    json_t *one;
    size_t i;

    json_array_foreach(au->daemon, i, one)
        if (str_is(str_of(json_string_value(json_object_get(one, "zone"))), shown))
            return one;
    return NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* why_of - what the test that was just made has said. */
static struct str why_of(struct arena *a, struct str shown)
{
    struct zone_status *list;
    size_t count = health_list(a, &list);

    for (size_t i = count; i-- > 0;)
        if (str_is(list[i].name, shown))
            return list[i].why;
    return STR("too many lists");
}

static void test_one(struct audit *au, const struct zone *zone)
{
    enum zone_health health = health_test(zone, WAIT_MS);
    json_t *known = of_daemon(au, zone->shown), *one;
    const char *there = text_of(known, "state");

    one = json_pack("{s:o, s:s, s:s, s:o}", "zone", json_str(zone->shown), "kind",
                    zone->kind == ZONE_OF_CLIENTS ? "clients" : "names", "state", zone_health_names[health], "why",
                    json_str(str_escaped(au->arena, why_of(au->arena, zone->shown))));
    json_object_set_new(one, "daemon", known ? json_deep_copy(known) : json_null());
    json_array_append_new(au->lists, one);
    au->tested++;
    au->unknown += health == ZONE_UNKNOWN;
    au->doubtful += health != ZONE_TRUSTED || strcmp(there, zone_health_names[ZONE_SUSPENDED]) == 0 ||
                    strcmp(there, zone_health_names[ZONE_TRIPPED]) == 0;
}

/* test_all - asked all at once, then looked at one by one. */
static void test_all(struct audit *au, const struct config *config)
{
    const struct zone **zones;
    size_t count = config_zones(au->arena, config, &zones);

    for (size_t i = 0; i < count; i++) {
        struct str listed, unlisted;

        zone_test_points(au->arena, zones[i], &listed, &unlisted);
        dns_ask(au->arena, NULL, listed, DNS_A);
        dns_ask(au->arena, NULL, unlisted, DNS_A);
    }
    for (size_t i = 0; i < count; i++)
        test_one(au, zones[i]);
}

/* add_dead - lists that the configuration names although they are known to be gone: the loader has warned of them. */
static void add_dead(struct audit *au, const struct problem *p)
{
    struct str name = str_slice(p->text, str_find(p->text, '"') + 1, p->text.n);
    struct str why = str_slice(name, str_find(name, '"') + 2, name.n);
    json_t *one;

    name = str_escaped(au->arena, str_slice(name, 0, str_find(name, '"')));
    why = arena_printf(au->arena, STR_FMT ":%u: " STR_FMT, STR_ARG(p->at.file), p->at.line, STR_ARG(why));
    one = json_pack("{s:o, s:s, s:s, s:o}", "zone", json_str(name), "kind", "", "state", "dead", "why",
                    json_str(str_escaped(au->arena, why)));
    json_object_set_new(one, "daemon", json_null());
    json_array_append_new(au->lists, one);
    au->doubtful++;
}

static bool is_dead_notice(const struct problem *p)
{
    static const char words[] = "\" is dead since ";

    return p->warning && memmem(p->text.p, p->text.n, words, sizeof words - 1);
}

/* load - as ctl_config(), but dead lists become part of what is told. */
static struct config *load(struct ctl *ctl, struct audit *au)
{
    struct problems problems = {.arena = ctl->arena};
    struct config *config = config_load(ctl->config_path, &problems);

    for (size_t i = 0; i < problems.count; i++)
        if (is_dead_notice(&problems.items[i]))
            add_dead(au, &problems.items[i]);
        else
            fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(ctl->arena, &problems.items[i])));
    return config;
}

/* ---- telling ---- */

static void print_daemon(struct arena *a, const json_t *d)
{
    int64_t since = json_integer_value(json_object_get(d, "since"));
    json_int_t asked = json_integer_value(json_object_get(d, "asked"));
    json_int_t listed = json_integer_value(json_object_get(d, "listed"));
    json_int_t unsure = json_integer_value(json_object_get(d, "unsure"));

    printf("  %-10s %-20s %8lld %8lld %8lld %8.0f", text_of(d, "state"), clock_rfc3339(a, since).p, (long long)asked,
           (long long)listed, (long long)unsure, json_number_value(json_object_get(d, "mean_ms")));
}

static void print_text(const struct audit *au)
{
    int width = 4;
    json_t *one;
    size_t i;

    json_array_foreach(au->lists, i, one)
        if ((int)strlen(text_of(one, "zone")) > width)
            width = (int)strlen(text_of(one, "zone"));
    if (json_array_size(au->lists))
        printf("%-*s  %-10s  %-10s %-20s %8s %8s %8s %8s\n", width, "LIST", "NOW", "DAEMON", "SINCE", "ASKED", "HITS",
               "UNSURE", "MEAN MS");
    json_array_foreach(au->lists, i, one) {
        json_t *d = json_object_get(one, "daemon");
        const char *now = text_of(one, "state"), *there = text_of(d, "state");

        printf("%-*s  %-10s", width, text_of(one, "zone"), now);
        if (json_is_object(d))
            print_daemon(au->arena, d);
        printf("\n%*s  %s\n", width, "", text_of(one, "why"));
        if (*there && strcmp(there, zone_health_names[ZONE_TRUSTED]) != 0)
            printf("%*s  the daemon: %s\n", width, "", text_of(d, "why"));
    }
    if (!json_array_size(au->lists))
        printf("no policy of the configuration uses a DNS list\n");
    else if (au->note.n)
        printf("\n%s" STR_FMT "\n", au->daemon ? "" : "nothing is known of the daemon: ", STR_ARG(au->note));
}

static void print_json(const struct audit *au)
{
    json_t *all = json_pack("{s:O, s:o}", "lists", au->lists, "note", json_str(au->note));

    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static void ignore_line(int level, struct str line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static int run(struct ctl *ctl)
{
    struct audit au = {.arena = ctl->arena};
    struct config *config;
    const char *value;
    int status;

    for (int i = 1; i < ctl->argc; i++) {
        if (!(value = ctl_option(ctl, &ctl_dnsbl_audit, &i, "--dns")))
            return ctl_usage(&ctl_dnsbl_audit, "there is no option %s", ctl->argv[i]);
        au.zone_file = value;
    }
    au.lists = json_array();
    config = load(ctl, &au);
    status = config ? ctl_dns_begin(ctl, config, au.zone_file) : EX_CONFIG;
    if (status == CTL_FINE) {
        log_capture(ignore_line, NULL); /* of a list that is suspended: it is told below */
        read_daemon(&au, config->global.state_dir);
        test_all(&au, config);
        ctl_dns_end();
        (ctl->json ? print_json : print_text)(&au);
        if (au.unknown && au.unknown == au.tested)
            status = EX_UNAVAILABLE;
        else if (au.doubtful)
            status = CTL_FINDINGS;
    }
    json_decref(au.daemon);
    json_decref(au.lists);
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_dnsbl_audit = {
    .words = "dnsbl audit",
    .usage = "[--dns FILE]",
    .summary = "Ask the test points of every DNS list, and tell what the daemon knows of each",
    .help = "  --dns FILE      answers from a zone file instead of the network, as for `test`\n"
            "\n"
            "For each list of the configuration: what its test points (RFC 5782, 5) say now; then the running\n"
            "daemon's opinion of it and since when, how often it was asked, hit and gave no usable answer, and its\n"
            "mean latency.\n"
            "exit: 0 all can be believed, 1 some cannot, 69 nothing could be asked\n",
    .run = run,
};
