/* shadow.c - sme-milterctl shadow: what policies on reject = never would have rejected, and whether that was right. */
#include <jansson.h>
#include <sysexits.h>

#include "../base/clock.h"
#include "../profile.h"
#include "../stage.h"
#include "summary.h"

#define SENDERS_TOLD 5
#define CLIENTS_MOST 100000 /* of one policy that are looked at again */

/* What one policy would have done. */
struct shadow {
    const struct policy *policy;
    struct str profiles;     /* on reject = never there: "smtp, submission"; empty: nowhere any more */
    uint64_t would;          /* messages and connections */
    uint64_t accepted;       /* of them: messages that nobody else refused */
    struct tally senders;    /* domains, of those */
    struct tally clients;
    uint64_t good_clients;   /* that were seen to be good: see is_good() */
    uint64_t good_messages;  /* of those accepted, the messages that came from them */
};

struct work {
    struct ctl *ctl;
    const struct config *config;
    struct shadow *all; /* by policy_index */
    struct tally proven; /* clients with good messages */
    struct arena *arena; /* of a row */
    struct progress progress;
    uint64_t rows;
};

static struct str domain_of(struct arena *a, struct str path)
{
    struct address address = address_parse(a, path);

    return address.text.n == 0 ? STR("<>") : address.domain.n ? address.domain : STR("(none)");
}

/* is_good - a message that was accepted of a client whom its connection made nice: karma above 0 and nothing bad but for
 * what is in question. One is proof enough that somebody wanted to hear from there. */
static bool is_good(const struct journal_message *m)
{
    bool proven = m->auth.n > 0 || m->whitelisted || m->karma > 0;

    if (!m->message || !str_is(m->verdict, STR("accept")) || !str_is(m->stage, STR("message")))
        return false;
    for (size_t i = 0; i < m->finding_count; i++) {
        const struct journal_finding *f = &m->findings[i];

        if (str_is(f->result, STR("bad")) && !str_is(f->judged, STR("never")))
            return false;
        for (size_t k = 0; k < f->fact_count; k++)
            proven |= (str_is(f->facts[k].name, STR("spf.result")) || str_is(f->facts[k].name, STR("dkim.aligned"))
                       || str_is(f->facts[k].name, STR("dmarc.result")))
                      && str_is(f->facts[k].value, STR("pass"));
    }
    return proven;
}

static bool would_reject(const struct journal_message *m, size_t i)
{
    if (!str_is(m->findings[i].judged, STR("never")))
        return false;
    for (size_t k = 0; k < i; k++) /* once a message */
        if (str_is(m->findings[k].judged, STR("never")) && str_is(m->findings[k].policy, m->findings[i].policy))
            return false;
    return true;
}

static bool look(const struct journal_message *m, void *ctx)
{
    struct work *w = ctx;
    bool accepted = m->message && str_is(m->verdict, STR("accept"));
    struct str client = m->client.known ? ip_text(w->arena, m->client) : STR_NONE;

    progress_step(&w->progress);
    w->rows++;
    if (client.n && is_good(m))
        tally_add(&w->proven, client, 0);
    for (size_t i = 0; i < m->finding_count; i++) {
        const struct policy *policy = policy_by_name(m->findings[i].policy);
        struct shadow *s = policy ? &w->all[policy_index(policy)] : NULL;

        if (!s || !would_reject(m, i))
            continue;
        s->would++;
        if (!accepted)
            continue;
        s->accepted++;
        tally_add(&s->senders, domain_of(w->arena, m->sender), 0);
        if (client.n && s->clients.count < CLIENTS_MOST)
            tally_add(&s->clients, client, 0);
    }
    return true;
}

static void compare(struct work *w, struct shadow *s)
{
    for (size_t i = 0; i < s->clients.count; i++)
        if (tally_has(&w->proven, s->clients.rows[i].name)) {
            s->good_clients++;
            s->good_messages += tally_sum(&s->clients.rows[i]);
        }
    tally_sort(&s->senders);
}

static void find_profiles(struct work *w)
{
    for (size_t k = 0; k < w->config->profile_count; k++) {
        const struct profile *p = &w->config->profiles[k];

        for (size_t i = 0; i < p->count; i++) {
            struct shadow *s = &w->all[policy_index(p->instances[i].policy)];

            if (p->instances[i].common.reject == REJECT_NEVER)
                s->profiles = arena_printf(w->ctl->arena, STR_FMT "%s" STR_FMT, STR_ARG(s->profiles),
                                           s->profiles.n ? ", " : "", STR_ARG(p->name));
        }
    }
}

static const char *advice(const struct shadow *s)
{
    if (s->profiles.n == 0)
        return "not on reject = never any more";
    if (s->would == 0)
        return "would have rejected nothing: it does no harm, and no good";
    if (s->accepted == 0)
        return "all that it would have rejected was refused anyway";
    if (s->accepted < 20)
        return "too few messages to judge by: watch it longer";
    if (s->good_messages * 100 >= s->accepted)
        return "would have rejected good mail: look at the senders, and whitelist or loosen it first";
    if (s->good_messages)
        return "nearly all of it looks bad: look at the senders, then promote it";
    return "none of its clients ever proved good: promote it";
}

static bool is_told(const struct shadow *s)
{
    return s->profiles.n > 0 || s->would > 0;
}

static void print_text(struct work *w)
{
    struct arena *a = w->ctl->arena;
    bool any = false;

    for (size_t i = 0; i < policy_table_count; i++) {
        const struct shadow *s = &w->all[i];

        if (!is_told(s))
            continue;
        printf("%s%s  (reject = never in: %s)\n", any ? "\n" : "", s->policy->name,
               s->profiles.n ? str_escaped(a, s->profiles).p : "no profile");
        printf("  would have rejected  %llu, of which %llu were accepted\n", (unsigned long long)s->would,
               (unsigned long long)s->accepted);
        if (s->accepted)
            printf("  proved good          %llu of %zu clients, with %llu of these messages\n",
                   (unsigned long long)s->good_clients, s->clients.count, (unsigned long long)s->good_messages);
        for (size_t k = 0; k < s->senders.count && k < SENDERS_TOLD; k++)
            printf("  %s %8llu  " STR_FMT "\n", k ? "       " : "senders", (unsigned long long)s->senders.rows[k].n[0],
                   STR_ARG(str_escaped(a, str_slice(s->senders.rows[k].name, 0, 100))));
        if (s->senders.count > SENDERS_TOLD)
            printf("                    and %zu others\n", s->senders.count - SENDERS_TOLD);
        printf("  advice               %s\n", advice(s));
        any = true;
    }
    if (!any)
        printf("no policy is on reject = never, and none was\n");
}

static void print_json(struct work *w)
{
    json_t *list = json_array();

    for (size_t i = 0; i < policy_table_count; i++) {
        const struct shadow *s = &w->all[i];
        json_t *senders = json_array();

        for (size_t k = 0; k < s->senders.count && k < 100; k++) {
            struct str name = str_escaped(w->ctl->arena, s->senders.rows[k].name);

            json_array_append_new(senders, json_pack("{s:s%, s:I}", "domain", name.p, name.n, "messages",
                                                     (json_int_t)s->senders.rows[k].n[0]));
        }
        if (is_told(s))
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:O, s:s}", "policy", s->policy->name, "profiles",
                                s->profiles.n ? str_escaped(w->ctl->arena, s->profiles).p : "", "would_reject",
                                (json_int_t)s->would, "accepted", (json_int_t)s->accepted, "clients",
                                (json_int_t)s->clients.count, "good_clients", (json_int_t)s->good_clients,
                                "good_messages", (json_int_t)s->good_messages, "senders", senders, "advice", advice(s)));
        json_decref(senders);
    }
    json_dumpf(list, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(list);
}

static int judge(struct work *w, sqlite3 *db, int64_t from_ms)
{
    struct journal_wish wish = {.from_ms = from_ms};
    int rc;

    w->arena = arena_new(0);
    w->all = arena_array(w->ctl->arena, policy_table_count, sizeof *w->all);
    w->proven.arena = w->ctl->arena;
    for (size_t i = 0; i < policy_table_count; i++) {
        w->all[i].policy = policy_table[i];
        w->all[i].senders.arena = w->all[i].clients.arena = w->ctl->arena;
    }
    find_profiles(w);
    progress_begin(&w->progress, "messages");
    rc = journal_each(db, w->arena, true, &wish, look, w);
    progress_end(&w->progress);
    for (size_t i = 0; i < policy_table_count; i++)
        compare(w, &w->all[i]);
    arena_free(&w->arena);
    if (rc != SQLITE_OK) {
        fprintf(stderr, "sme-milterctl shadow: the journal cannot be read: %s\n", sqlite3_errmsg(db));
        return EX_IOERR;
    }
    if (w->ctl->json)
        print_json(w);
    else
        print_text(w);
    return CTL_FINE;
}

static int run(struct ctl *ctl)
{
    struct work w = {.ctl = ctl};
    const char *since = "7d", *value;
    struct config *config;
    int64_t from_ms = 0;
    int status = EX_CONFIG;
    sqlite3 *db;

    for (int i = 1; i < ctl->argc; i++)
        if ((value = ctl_option(ctl, &ctl_shadow, &i, "--since")))
            since = value;
        else
            return ctl_usage(&ctl_shadow, "does not take \"" STR_FMT "\"",
                             STR_ARG(str_escaped(ctl->arena, str_of(ctl->argv[i]))));
    if (!ctl_since(ctl, &ctl_shadow, since, &from_ms))
        return EX_USAGE;
    config = ctl_config(ctl);
    db = config ? ctl_journal(ctl, &ctl_shadow, config, &status) : NULL;
    w.config = config;
    if (db)
        status = judge(&w, db, from_ms);
    sqlite3_close(db);
    if (config)
        config_unref(&config);
    return status;
}

const struct ctl_command ctl_shadow = {
    .words = "shadow",
    .usage = "[--since 7d]",
    .summary = "Policies on reject = never: what they would have rejected, and whether that was right",
    .help = "  --since TIME   12h, 7d, a day (2026-01-05) or a time (2026-01-05T10:00:00Z); 7d if not told\n\n"
            "A client has proved good when the journal has a message of its that was accepted with nothing against it,\n"
            "and with SPF, DKIM or DMARC passed, or karma above 0, or that was whitelisted or authenticated.\n"
            "shadow promote POLICY lets a policy reject.\n",
    .run = run,
};
