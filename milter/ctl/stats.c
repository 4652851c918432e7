/* stats.c - sme-milterctl stats: how the running daemon is, and what it has counted since it began. */
#include <jansson.h>
#include <sysexits.h>

#include "../config.h"
#include "control_client.h"
#include "ctl.h"

static long long number(json_t *o, const char *name)
{
    return (long long)json_integer_value(json_object_get(o, name));
}

static double real(json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

static const char *word(json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

/* safe - the daemon's words may hold a stranger's bytes. */
static const char *safe(struct ctl *ctl, const char *text)
{
    return str_escaped(ctl->arena, str_of(text)).p;
}

static void print_store(struct ctl *ctl, const char *name, json_t *store)
{
    const char *why = word(store, "why");

    printf("%-10s %s since %s%s%s\n", name, word(store, "state"), word(store, "since"), *why ? ": " : "",
           safe(ctl, why));
    printf("           %lld written, %lld waiting, %lld lost, write-ahead log %lld bytes, damaged files set aside: %lld\n",
           number(store, "written"), number(store, "waiting"), number(store, "dropped"), number(store, "wal_bytes"),
           number(store, "set_aside"));
}

static void print_verdicts(const char *name, json_t *o)
{
    const char *verdict;
    json_t *count;
    bool any = false;

    printf("%-10s ", name);
    json_object_foreach(o, verdict, count)
        if (json_integer_value(count)) {
            printf("%s%lld %s", any ? ", " : "", (long long)json_integer_value(count), verdict);
            any = true;
        }
    puts(any ? "" : "none");
}

static void print_policies(json_t *policies)
{
    const char *name;
    json_t *p;

    if (json_object_size(policies) == 0)
        return;
    printf("\n%-22s %9s %9s %9s %13s %9s %10s\n", "policy", "good", "bad", "unsure", "would reject", "rejected",
           "tempfailed");
    json_object_foreach(policies, name, p)
        printf("%-22s %9lld %9lld %9lld %13lld %9lld %10lld\n", name, number(p, "good"), number(p, "bad"),
               number(p, "unsure"), number(p, "would_reject"), number(p, "rejected"), number(p, "tempfailed"));
}

static void print_lists(struct ctl *ctl, json_t *lists)
{
    const char *name;
    json_t *l;

    if (json_object_size(lists) == 0)
        return;
    printf("\n%-40s %-10s %9s %9s %9s %8s\n", "DNS list", "state", "asked", "listed", "unsure", "mean ms");
    json_object_foreach(lists, name, l) {
        printf("%-40s %-10s %9lld %9lld %9lld %8.1f\n", safe(ctl, name), word(l, "state"), number(l, "asked"),
               number(l, "listed"), number(l, "unsure"), real(l, "mean_ms"));
        if (*word(l, "why"))
            printf("    %s\n", safe(ctl, word(l, "why")));
    }
}

static void print_mail(json_t *o)
{
    json_t *dns = json_object_get(o, "dns"), *process = json_object_get(o, "process"),
           *workers = json_object_get(o, "workers");

    printf("sessions   %lld open, %lld since the start\n", number(o, "sessions"), number(o, "sessions_begun"));
    print_verdicts("messages", json_object_get(o, "messages"));
    print_verdicts("no message", json_object_get(o, "connections"));
    printf("recipients %lld accepted, %lld refused\n", number(o, "recipients"), number(o, "recipients_refused"));
    printf("time       %.1f ms a message\n", real(json_object_get(o, "message_time"), "mean_ms"));
    printf("dns        %lld asked, %lld from memory, %lld sent, %lld failed (%lld timeouts), %.1f ms an answer\n",
           number(dns, "asked"), number(dns, "cached"), number(dns, "sent"), number(dns, "failed"),
           number(dns, "timeouts"), real(dns, "mean_ms"));
    printf("workers    %lld serving, %lld jobs, %lld started\n", number(workers, "serving"), number(workers, "jobs"),
           number(workers, "starts"));
    printf("memory     %.1f MB, %lld descriptors, %.1f s of processor time\n", real(process, "resident_bytes") / 1e6,
           number(process, "descriptors"), real(process, "cpu_seconds"));
}

static int print(struct ctl *ctl, struct str answer, bool metrics)
{
    static const char *const stores[] = {"karma", "dmarc", "journal"};
    json_t *o = json_loadb(answer.p, answer.n, JSON_DECODE_ANY, NULL), *store;

    if (!o || json_is_string(o) != metrics) {
        fprintf(stderr, "sme-milterctl stats: the daemon's answer is not understood\n");
        json_decref(o);
        return EX_PROTOCOL;
    }
    if (metrics) {
        fputs(json_string_value(o), stdout);
    } else if (ctl->json) {
        json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    } else {
        printf("daemon     process %lld since %s\n", number(o, "pid"), word(o, "since"));
        print_mail(o);
        for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++)
            if ((store = json_object_get(o, stores[i])))
                print_store(ctl, stores[i], store);
        print_policies(json_object_get(o, "policies"));
        print_lists(ctl, json_object_get(o, "lists"));
    }
    json_decref(o);
    return CTL_FINE;
}

static int run(struct ctl *ctl)
{
    struct config *config;
    struct str answer;
    bool metrics = false;
    int status;

    for (int i = 1; i < ctl->argc; i++) {
        if (!str_is(str_of(ctl->argv[i]), STR("--metrics")))
            return ctl_usage(&ctl_stats, "unknown word \"%s\"", str_escaped(ctl->arena, str_of(ctl->argv[i])).p);
        metrics = true;
    }
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    status = control_tell(ctl, config, metrics ? "metrics" : "stats", &answer);
    if (status == 0 && answer.n == 0) {
        fprintf(stderr, "sme-milterctl stats: no daemon uses " STR_FMT "\n", STR_ARG(config->global.state_dir));
        status = EX_UNAVAILABLE;
    }
    config_unref(&config);
    return status == 0 ? print(ctl, answer, metrics) : status;
}

const struct ctl_command ctl_stats = {
    .words = "stats",
    .usage = "[--metrics]",
    .summary = "How the running daemon is, and what it has counted since its start",
    .help = "  --metrics       everything in the OpenMetrics text format, as metrics { listen = ... } tells it\n"
            "The state of a store is starting, fine, locked, full, read-only, broken or newer; mail flows in each of them.\n",
    .run = run,
};
