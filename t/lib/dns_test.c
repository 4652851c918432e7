/* dns_test.c - puts itself before the resolver in the test daemon (ld --wrap): the DNS is what the scenario says, every
 * question is written down, and every list is trusted, since nobody scripts their test points. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#include "milter/base/log.h"
#include "milter/dns/dns.h"
#include "milter/dns/health.h"
#include "milter/dns/scripted.h"

#define SCRIPT_MOST (1024 * 1024)

bool __real_dns_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena);
void __real_scripted_note(struct str name, enum dns_type type);
void __real_health_watch_start(size_t (*zones)(struct arena *a, const struct zone ***list), struct str state_dir);
bool __wrap_dns_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena);
void __wrap_scripted_note(struct str name, enum dns_type type);
void __wrap_health_watch_start(size_t (*zones)(struct arena *a, const struct zone ***list), struct str state_dir);

static int asked = -1;

bool __wrap_dns_start(const struct dns_settings *settings, struct str *error, struct arena *error_arena)
{
    const char *path = getenv(DNS_ENV), *to = getenv(ASKED_ENV);
    char *text;
    size_t n;
    FILE *f;

    if (!path)
        return __real_dns_start(settings, error, error_arena);
    f = fopen(path, "r");
    if (!f)
        log_panic("%s cannot be opened", path);
    text = arena_alloc(error_arena, SCRIPT_MOST);
    n = fread(text, 1, SCRIPT_MOST, f);
    fclose(f);
    if (to)
        asked = open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return dns_configure(settings, error, error_arena) &&
           dns_script(STR("dns"), (struct str){text, n}, true, error, error_arena);
}

static void write_lines(struct arena *a, const char *word, struct str lines)
{
    struct buf b = buf_in(a);
    struct str line;

    buf_add(&b, STR_NONE);
    while (str_split(&lines, '\n', &line))
        buf_addf(&b, "%s " STR_FMT "\n", word, STR_ARG(line));
    if (b.len && write(asked, b.data, b.len) != (ssize_t)b.len)
        log_panic("questions cannot be written down");
}

void __wrap_scripted_note(struct str name, enum dns_type type)
{
    struct arena *a = arena_new(0);

    __real_scripted_note(name, type);
    if (asked >= 0) {
        write_lines(a, "asked", dns_script_asked(a));
        write_lines(a, "unscripted", dns_script_unscripted(a));
    }
    arena_free(&a);
}

void __wrap_health_watch_start(size_t (*zones)(struct arena *a, const struct zone ***list), struct str state_dir)
{
    if (!getenv(DNS_ENV))
        __real_health_watch_start(zones, state_dir);
}
