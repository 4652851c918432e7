/* stats.c - sme-milterctl stats: how the running daemon and its memory are. */
#include <jansson.h>
#include <sysexits.h>

#include "../config.h"
#include "control_client.h"
#include "ctl.h"

static void print_store(const char *name, json_t *store)
{
    const char *why = json_string_value(json_object_get(store, "why"));

    printf("%-8s %s since %s%s%s\n", name, json_string_value(json_object_get(store, "state")),
           json_string_value(json_object_get(store, "since")), why && *why ? ": " : "", why ? why : "");
    printf("         %lld written, %lld waiting, %lld lost, write-ahead log %lld bytes, damaged files set aside: %lld\n",
           (long long)json_integer_value(json_object_get(store, "written")),
           (long long)json_integer_value(json_object_get(store, "waiting")),
           (long long)json_integer_value(json_object_get(store, "dropped")),
           (long long)json_integer_value(json_object_get(store, "wal_bytes")),
           (long long)json_integer_value(json_object_get(store, "set_aside")));
}

static int run(struct ctl *ctl)
{
    static const char *const stores[] = {"karma", "dmarc"};
    struct config *config;
    struct str answer;
    json_t *o, *store;
    int status;

    if (ctl->argc > 1)
        return ctl_usage(&ctl_stats, "unknown word \"%s\"", ctl->argv[1]);
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    status = control_tell(ctl, config, "stats", &answer);
    if (status == 0 && answer.n == 0) {
        fprintf(stderr, "sme-milterctl stats: no daemon uses " STR_FMT "\n", STR_ARG(config->global.state_dir));
        status = EX_UNAVAILABLE;
    }
    config_unref(&config);
    if (status != 0)
        return status;
    if (ctl->json) {
        printf(STR_FMT "\n", STR_ARG(answer));
        return CTL_FINE;
    }
    o = json_loadb(answer.p, answer.n, 0, NULL);
    if (!o) {
        fprintf(stderr, "sme-milterctl stats: the daemon's answer is not understood\n");
        return EX_PROTOCOL;
    }
    printf("daemon   process %lld since %s\n", (long long)json_integer_value(json_object_get(o, "pid")),
           json_string_value(json_object_get(o, "since")));
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++)
        if ((store = json_object_get(o, stores[i])))
            print_store(stores[i], store);
    json_decref(o);
    return CTL_FINE;
}

const struct ctl_command ctl_stats = {
    .words = "stats",
    .usage = "",
    .summary = "How the running daemon and its memory of clients are",
    .help = "The state of a store is starting, fine, locked, full, read-only, broken or newer; mail flows in each of them.\n",
    .run = run,
};
