/* worker_scan.c - libclamav as an engine for the virus policy, and which directories of signatures are in use. */
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "scan/known.h"
#include "scan/trouble.h"
#include "worker.h"
#include "worker_frame.h"

#define TEXT_MOST 200
#define KINDS_MOST 8

static struct trouble trouble;

struct scan {
    struct arena *arena;
    const struct talk_where *where;
    struct raw raw;
    struct str version; /* of the signatures when it began; empty: none were loaded yet */
    struct worker_job *job; /* NULL: known */
    struct virus_answer answer;
};

struct virus_answer worker_scan_answer(struct arena *a, struct str bytes)
{
    uint32_t says;
    struct str text;

    if (frame_u32(&bytes, &says) && frame_str(&bytes, TEXT_MOST, &text) && bytes.n == 0) {
        if (says == SCAN_CLEAN && text.n == 0)
            return (struct virus_answer){.said = VIRUS_CLEAN};
        if (says == SCAN_VIRUS && text.n)
            return (struct virus_answer){VIRUS_FOUND, text, false};
        if (says == SCAN_LIMITS && text.n)
            return (struct virus_answer){
                VIRUS_ERROR, arena_printf(a, "libclamav did not look at everything: " STR_FMT, STR_ARG(text)), false};
        if (says == SCAN_ERROR && text.n)
            return (struct virus_answer){VIRUS_ERROR, arena_printf(a, "libclamav: " STR_FMT, STR_ARG(text)), false};
    }
    return (struct virus_answer){VIRUS_ERROR, STR("the worker says something else than it should"), false};
}

static struct known_key key_of(const struct scan *s)
{
    return known_key(s->where->shown, s->version, STR("libclamav"), s->raw.pieces, RAW_PIECES);
}

static void *scan_begin(struct arena *a, const struct talk_where *where, const struct raw *raw, int64_t deadline)
{
    struct scan *s = arena_zalloc(a, sizeof *s);

    s->arena = a;
    s->where = where;
    s->raw = *raw;
    s->version = worker_version(a, where->shown);
    if (s->version.n) {
        struct known_key key = key_of(s);
        struct str virus;

        if (known_find(a, &key, &virus)) {
            s->answer = (struct virus_answer){virus.n ? VIRUS_FOUND : VIRUS_CLEAN, virus, true};
            return s;
        }
    }
    s->job = worker_begin(a, "scan", where->shown, s->raw.pieces, RAW_PIECES, deadline);
    return s;
}

static struct virus_answer scan_finish(void *ptr)
{
    struct scan *s = ptr;
    struct str bytes, why;

    if (!s->job)
        return s->answer;
    s->answer = worker_finish(s->job, &bytes, &why) ? worker_scan_answer(s->arena, bytes)
                                                    : (struct virus_answer){VIRUS_ERROR, why, false};
    s->job = NULL;
    if (s->answer.said == VIRUS_ERROR) {
        trouble_warn(&trouble, "virus", s->answer.text);
    } else if (s->version.n && str_is(s->version, worker_version(s->arena, s->where->shown))) {
        /* Only where one set of signatures was in use from the first to the last moment. */
        struct known_key key = key_of(s);

        known_add(&key, s->answer.said == VIRUS_FOUND ? s->answer.text : STR_NONE);
    }
    return s->answer;
}

const struct engine engine_libclamav = {.name = "libclamav", .begin = scan_begin, .finish = scan_finish};

/* ---- what the configuration uses ---- */

static const void *field(const struct instance *in, const char *option)
{
    const struct option *o = option_find(in->policy->options, str_of(option), &(bool){false});

    return o ? (const char *)in->options + o->offset : NULL;
}

/* database_of - empty: this instance does not scan with libclamav. */
static struct str database_of(const struct instance *in)
{
    const int *engine;
    const struct str *database;
    const struct option *o;

    if (!in->common.enabled || !str_is(str_of(in->policy->name), STR("virus")))
        return STR_NONE;
    o = option_find(in->policy->options, STR("engine"), &(bool){false});
    engine = field(in, "engine");
    database = field(in, "database");
    if (!o || !engine || !database || strcmp(o->words[*engine], engine_libclamav.name) != 0)
        return STR_NONE;
    return *database;
}

void worker_configure(const struct config *config)
{
    const char *kinds[KINDS_MOST];
    struct str directories[KINDS_MOST];
    size_t n = 0;

    for (size_t k = 0; k < config->profile_count; k++)
        for (size_t i = 0; i < config->profiles[k].count; i++) {
            struct str database = database_of(&config->profiles[k].instances[i]);

            if (!database.n || n == KINDS_MOST - 1)
                continue;
            kinds[n] = "scan";
            directories[n++] = database;
        }
    if (config_uses(config, "tnef2mime") || config_uses(config, "patterns") || config_uses(config, "uribl")) {
        kinds[n] = "tnef";
        directories[n++] = STR_NONE;
    }
    if (n && !worker_running() && !worker_start(&(struct worker_settings){0}))
        return;
    if (worker_running())
        worker_want(kinds, directories, n);
}
