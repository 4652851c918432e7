/* karma_list.c - `karma list`: a table of what is remembered; `karma export`: all of it, for `karma import`. */
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>
#include <sysexits.h>

#include "../base/clock.h"
#include "../dns/peer_names.h"
#include "karma.h"

#define BATCH 100 /* rows whose names are asked for at once */

struct row {
    struct karma_net net;
    struct karma_record record;
    struct peer_names *names;
};

struct list {
    struct karma_work *k;
    struct arena *arena; /* of a batch */
    struct row rows[BATCH];
    size_t count;
    bool resolve;
    uint64_t told;
};

/* ---- names ---- */

/* ask - only a whole address has a name; a /64 is many. */
static void ask(struct list *l, struct row *row)
{
    struct ip ip = {.known = true};

    memcpy(ip.b, row->net.b + 1, sizeof ip.b);
    row->names = row->net.b[0] == 128 ? peer_names_ask(l->arena, NULL, ip) : NULL;
}

/* name_of - the name that leads back, else any; *verified says which it is. */
static struct str name_of(struct list *l, const struct row *row, bool *verified)
{
    *verified = false;
    if (!row->names || row->names->count == 0)
        return STR_NONE;
    for (size_t i = 0; i < row->names->count; i++)
        if (row->names->verified[i]) {
            *verified = true;
            return str_escaped(l->arena, row->names->name[i]);
        }
    return str_escaped(l->arena, row->names->name[0]);
}

static void harvest(struct list *l)
{
    int64_t deadline = clock_ms() + l->k->config->dns.timeout;

    for (size_t i = 0; i < l->count; i++)
        ask(l, &l->rows[i]);
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].names)
            peer_names_harvest(l->arena, NULL, l->rows[i].names, deadline);
}

/* ---- telling ---- */

static void print_head(const struct list *l)
{
    printf("%-24s %7s %7s %7s %8s  %-19s  %-19s  %s%s\n", "NETWORK", "NICE", "NAUGHTY", "HISTORY", "CONNECTS",
           "BOXED UNTIL (UTC)", "LAST SEEN (UTC)", l->resolve ? "NAME, " : "", "LAST REASON");
}

static struct str shown_name(struct list *l, const struct row *row)
{
    bool verified;
    struct str name = name_of(l, row, &verified);

    if (row->names && row->names->result == PEER_NAMES_UNSURE)
        return arena_printf(l->arena, STR_FMT "%s(not known: %s), ", STR_ARG(name), name.n ? " " : "", row->names->why);
    if (name.n == 0)
        return STR("(no name), ");
    return arena_printf(l->arena, STR_FMT "%s, ", STR_ARG(name), verified ? "" : " (does not lead back)");
}

static void print_row(struct list *l, const struct row *row)
{
    const struct karma_record *r = &row->record;
    struct arena *a = l->arena;
    int64_t until;
    bool boxed = karma_boxed(r, (int64_t)l->k->now, l->k->policy.rules.max_penalty_s, &until);
    struct str reason = str_escaped(a, str_of(r->last_reason));
    struct str name = l->resolve ? shown_name(l, row) : STR_NONE;

    printf("%-24s %7lld %7lld %7lld %8lld  %-19s  %-19s  " STR_FMT STR_FMT "\n", karma_net_text(a, &row->net).p,
           (long long)r->nice, (long long)r->naughty, (long long)karma_history(r), (long long)r->connects,
           boxed ? karma_time(a, until).p : "-", r->connects ? karma_time(a, r->last_seen).p : "-", STR_ARG(name),
           STR_ARG(reason.n ? reason : STR("-")));
}

static void print_row_json(struct list *l, const struct row *row)
{
    json_t *one = karma_json(l->k, l->arena, &row->net, &row->record);
    bool verified;
    struct str name = name_of(l, row, &verified);

    if (l->resolve) {
        json_object_set_new(one, "name", name.n ? karma_json_str(name) : json_null());
        json_object_set_new(one, "name_verified", json_boolean(verified));
    }
    printf("%s  ", l->told ? ",\n" : "\n");
    json_dumpf(one, stdout, 0);
    json_decref(one);
}

static void flush(struct list *l)
{
    if (l->resolve)
        harvest(l);
    for (size_t i = 0; i < l->count; i++) {
        if (l->told == 0 && !l->k->ctl->json)
            print_head(l);
        (l->k->ctl->json ? print_row_json : print_row)(l, &l->rows[i]);
        l->told++;
    }
    l->count = 0;
    arena_reset(l->arena);
}

static bool take_row(const struct karma_net *net, const struct karma_record *r, void *ctx)
{
    struct list *l = ctx;

    l->rows[l->count++] = (struct row){.net = *net, .record = *r};
    if (l->count == BATCH)
        flush(l);
    return true;
}

static void no_file(const struct karma_work *k)
{
    fprintf(stderr, STR_FMT ": there is no such file: nothing has been learned yet\n", STR_ARG(k->path));
}

struct wish {
    enum karma_order order;
    long top;
    bool resolve;
    const char *zone_file;
};

static int list(struct karma_work *k, const struct wish *w)
{
    struct list l = {.k = k, .arena = arena_new(0), .resolve = w->resolve};
    int status = CTL_FINE, result = SQLITE_OK;

    if (w->resolve && k->db)
        status = ctl_dns_begin(k->ctl, k->config, w->zone_file);
    if (status != CTL_FINE) {
        arena_free(&l.arena);
        return status;
    }
    if (k->ctl->json)
        printf("[");
    if (k->db)
        result = karma_file_list(k->db, w->order, w->top, take_row, &l);
    else
        no_file(k);
    flush(&l);
    if (k->ctl->json)
        printf("%s]\n", l.told ? "\n" : "");
    else if (k->db && l.told == 0 && result == SQLITE_OK)
        fprintf(stderr, "there is nobody to list\n");
    arena_free(&l.arena);
    if (w->resolve && k->db)
        ctl_dns_end();
    return result == SQLITE_OK ? CTL_FINE : karma_failed(k, result);
}

static int list_run(struct ctl *ctl)
{
    struct wish w = {.order = KARMA_BY_ADDRESS};
    struct karma_work k;
    const char *value;
    int status;

    for (int i = 1; i < ctl->argc; i++) {
        if (strcmp(ctl->argv[i], "--naughty") == 0 || strcmp(ctl->argv[i], "--nice") == 0) {
            if (w.order != KARMA_BY_ADDRESS)
                return ctl_usage(&ctl_karma_list, "takes one of --naughty and --nice");
            w.order = strcmp(ctl->argv[i], "--nice") == 0 ? KARMA_NICE_FIRST : KARMA_NAUGHTY_FIRST;
        } else if (strcmp(ctl->argv[i], "--resolve") == 0) {
            w.resolve = true;
        } else if ((value = ctl_option(ctl, &ctl_karma_list, &i, "--top"))) {
            if (!str_to_long(str_of(value), &w.top) || w.top < 1)
                return ctl_usage(&ctl_karma_list, "--top needs a number from 1 on");
        } else if ((value = ctl_option(ctl, &ctl_karma_list, &i, "--dns"))) {
            w.resolve = true;
            w.zone_file = value;
        } else {
            return ctl_usage(&ctl_karma_list, "does not take \"%s\"", ctl->argv[i]);
        }
    }
    status = karma_begin(&k, ctl, &ctl_karma_list, KARMA_READ);
    return status == CTL_FINE ? karma_end_read(&k, list(&k, &w)) : status;
}

const struct ctl_command ctl_karma_list = {
    .words = "karma list",
    .usage = "[--naughty | --nice] [--top N] [--resolve]",
    .summary = "What is remembered of every client",
    .help = "  --naughty   the naughtiest first: who was naughty more often than nice, or is in the penalty box\n"
            "  --nice      the nicest first: who was nice more often than naughty\n"
            "  --top N     only the first N; without an order they are sorted by address\n"
            "  --resolve   also their names, asked of the DNS\n"
            "  --dns FILE  the same, with answers from a zone file as for `test`\n"
            "\n"
            "Times are UTC. IPv6 clients are known by their /64.\n"
            "exit: 0 fine, 75 the running daemon could not write what it learned last: that is missing\n",
    .run = list_run,
};

/* ---- export ---- */

struct export {
    struct arena *arena;
};

/* export_row - times as numbers, so that nothing is lost. */
static bool export_row(const struct karma_net *net, const struct karma_record *r, void *ctx)
{
    struct export *e = ctx;
    json_t *one = json_pack("{s:o, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:o}", "network",
                            karma_json_str(karma_net_text(e->arena, net)), "nice", (json_int_t)r->nice, "naughty",
                            (json_int_t)r->naughty, "connects", (json_int_t)r->connects, "penalty_until",
                            (json_int_t)r->penalty_until, "cleared_at", r->cleared_at, "first_seen",
                            (json_int_t)r->first_seen, "last_seen", (json_int_t)r->last_seen, "last_reason",
                            karma_json_str(str_escaped(e->arena, str_of(r->last_reason))));

    json_dumpf(one, stdout, JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(one);
    arena_reset(e->arena);
    return !ferror(stdout);
}

static int export_run(struct ctl *ctl)
{
    struct export e;
    struct karma_work k;
    int status, result;

    if (ctl->argc > 1)
        return ctl_usage(&ctl_karma_export, "takes no arguments");
    status = karma_begin(&k, ctl, &ctl_karma_export, KARMA_READ);
    if (status != CTL_FINE)
        return status;
    if (!k.db) {
        no_file(&k);
        return karma_end_read(&k, CTL_FINE);
    }
    e.arena = arena_new(0);
    result = karma_file_list(k.db, KARMA_BY_ADDRESS, 0, export_row, &e);
    arena_free(&e.arena);
    return karma_end_read(&k, result == SQLITE_OK ? CTL_FINE : karma_failed(&k, result));
}

const struct ctl_command ctl_karma_export = {
    .words = "karma export",
    .summary = "Everything that is remembered, one JSON object a line, for `karma import`",
    .help = "Times are seconds since 1970-01-01 UTC, 0 for never.\n"
            "exit: 0 fine, 75 the running daemon could not write what it learned last: that is missing\n",
    .run = export_run,
};
