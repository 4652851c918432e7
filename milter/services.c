/* services.c - start and reload, in the one right order. */
#include "callbacks.h"
#include "control.h"
#include "db/dmarc_store.h"
#include "db/journal.h"
#include "db/karma_store.h"
#include "dns/dns.h"
#include "dns/health.h"
#include "metrics_listen.h"
#include "metrics_text.h"
#include "services.h"
#include "worker.h"

#define STORE_WAIT_MS 2000

static struct dns_settings dns_settings(const struct config *config)
{
    return (struct dns_settings){
        .servers = config->dns.servers.items,
        .server_count = config->dns.servers.count,
        .timeout_ms = config->dns.timeout,
        .cache_entries = (size_t)config->dns.cache_entries,
    };
}

static void apply_dns(const struct config *config, bool (*apply)(const struct dns_settings *, struct str *, struct arena *))
{
    struct dns_settings settings = dns_settings(config);
    struct arena *a = arena_new(0);
    struct str error = STR_NONE;

    if (!apply(&settings, &error, a))
        log_error("the resolver: " STR_FMT, STR_ARG(error));
    arena_free(&a);
}

static void release(void *ptr)
{
    struct config *config = ptr;

    config_unref(&config);
}

/* zones_in_force - of the configuration in use, which is kept for as long as the list. */
static size_t zones_in_force(struct arena *a, const struct zone ***list)
{
    struct config *config = callbacks_config();

    arena_on_reset(a, release, config);
    return config_zones(a, config, list);
}

/* remember - a large memory is checked while mail flows; a usual one before the first client comes. */
static void remember(const struct config *config)
{
    if (!karma_store_running() && config_uses(config, "karma"))
        karma_store_start(config->global.state_dir, STORE_WAIT_MS);
    if (!dmarc_store_running() && config_uses(config, "dmarc"))
        dmarc_store_start(config->global.state_dir, STORE_WAIT_MS);
    if (config->journal.enabled) {
        struct journal_settings settings = {config->journal.keep, config->journal.max_size};

        journal_start(config->global.state_dir, &settings, STORE_WAIT_MS);
        journal_configure(&settings);
    }
}

void services_start(const struct config *config)
{
    apply_dns(config, dns_start);
    health_watch_start(zones_in_force, config->global.state_dir);
    remember(config);
    worker_configure(config);
    metrics_process_began();
    metrics_listen(config->metrics.listen, config->global.listen_group);
    control_start(config->global.state_dir);
}

void services_reload(const struct config *config)
{
    apply_dns(config, dns_configure);
    health_watch_again();
    remember(config);
    worker_configure(config);
    metrics_listen(config->metrics.listen, config->global.listen_group);
}

void services_stop(void)
{
    control_stop(); /* these two first: they ask the stores */
    metrics_listen_stop();
    worker_stop();
    karma_store_stop(STORE_WAIT_MS);
    dmarc_store_stop(STORE_WAIT_MS);
    journal_stop(STORE_WAIT_MS);
}
