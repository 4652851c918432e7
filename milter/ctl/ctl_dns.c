/* ctl_dns.c - the DNS of a command: the real one with the configuration's settings, or a zone file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "../config.h"
#include "../dns/dns.h"
#include "ctl.h"

#define ZONE_FILE_MOST (16u << 20)

static int begin_script(struct ctl *ctl, const char *path)
{
    struct buf b = buf_in(ctl->arena);
    FILE *f = fopen(path, "r");
    struct str error;
    char block[8192];
    size_t n;

    buf_add(&b, STR_NONE);
    while (f && b.len < ZONE_FILE_MOST && (n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(&b, (struct str){block, n});
    if (!f || ferror(f)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (f)
            fclose(f);
        return EX_NOINPUT;
    }
    fclose(f);
    if (b.len >= ZONE_FILE_MOST) {
        fprintf(stderr, "%s: larger than 16 MiB\n", path);
        return EX_DATAERR;
    }
    if (dns_script(str_of(path), buf_str(&b), false, &error, ctl->arena))
        return CTL_FINE;
    fprintf(stderr, STR_FMT "\n", STR_ARG(error));
    return EX_DATAERR;
}

int ctl_dns_begin(struct ctl *ctl, const struct config *config, const char *zone_file)
{
    struct dns_settings settings = {
        .servers = config->dns.servers.items,
        .server_count = config->dns.servers.count,
        .timeout_ms = config->dns.timeout,
        .cache_entries = (size_t)config->dns.cache_entries,
    };
    struct str error = STR_NONE;

    if (zone_file)
        return begin_script(ctl, zone_file);
    if (dns_start(&settings, &error, ctl->arena))
        return CTL_FINE;
    fprintf(stderr, "the resolver: " STR_FMT "\n", STR_ARG(error));
    return EX_UNAVAILABLE;
}

void ctl_dns_end(void)
{
    dns_script_end();
    dns_stop();
}
