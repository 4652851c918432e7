/* why.c - `why`: one message or connection of the journal: what every policy found, what came of it, and what would
 * have changed it. */
#include <jansson.h>
#include <string.h>
#include <sysexits.h>

#include "../past.h"
#include "../report.h"
#include "journal_file.h"

#define LISTED_MOST 20
#define VALUE_MOST 200 /* bytes of one value, on a terminal */

struct work {
    struct ctl *ctl;
    struct arena *arena; /* of the rows that were found */
    struct config *config;
    struct str word;
    const struct journal_message *found[LISTED_MOST + 1];
    size_t count;
};

/* ---- safe text ---- */

static struct str shown(const struct work *w, struct str s)
{
    struct str cut = str_slice(s, 0, VALUE_MOST);

    return cut.n < s.n ? arena_printf(w->ctl->arena, STR_FMT "...", STR_ARG(str_escaped(w->ctl->arena, cut)))
                       : str_escaped(w->ctl->arena, s);
}

static json_t *json_text(const struct work *w, struct str s)
{
    s = str_escaped(w->ctl->arena, s);
    return json_stringn(s.n ? s.p : "", s.n);
}

static void json_set(const struct work *w, json_t *o, const char *key, struct str s)
{
    json_object_set_new(o, key, json_text(w, s));
}

/* ---- what is wanted ---- */

static bool keep(const struct journal_message *m, void *ctx)
{
    struct work *w = ctx;
    struct journal_message *mine = arena_alloc(w->arena, sizeof *mine);

    *mine = *m; /* what it points to is in the arena already */
    w->found[w->count++] = mine;
    return w->count <= LISTED_MOST;
}

static int look_up(struct work *w, sqlite3 *db, struct journal_wish wish)
{
    wish.newest_first = true;
    wish.limit = LISTED_MOST + 1;
    return w->count ? SQLITE_OK : journal_each(db, w->arena, false, &wish, keep, w);
}

/* find - the word may be any of these; the first kind that finds something is meant. */
static int find(struct work *w, sqlite3 *db)
{
    struct str word = w->word;
    bool bracketed = str_starts(word, STR("<")) && word.n > 2 && word.p[word.n - 1] == '>';
    struct str plain = bracketed ? str_slice(word, 1, word.n - 1) : word;
    struct journal_wish wish = {.limit = 1, .newest_first = true, .by_writing = true};
    struct ip ip;
    int rc;

    if (str_is(word, STR("last")))
        return journal_each(db, w->arena, false, &wish, keep, w);
    if (ip_parse(word, &ip))
        return look_up(w, db, (struct journal_wish){.client = ip});
    rc = look_up(w, db, (struct journal_wish){.ref = word});
    if (rc == SQLITE_OK)
        rc = look_up(w, db, (struct journal_wish){.queue_id = word});
    if (rc == SQLITE_OK)
        rc = look_up(w, db, (struct journal_wish){.message_id = word});
    if (rc == SQLITE_OK && str_find(plain, '@') < plain.n)
        rc = look_up(w, db, (struct journal_wish){.address = plain});
    return rc;
}

/* ---- several ---- */

static void list(struct work *w)
{
    struct arena *a = w->ctl->arena;
    size_t n = w->count < LISTED_MOST ? w->count : LISTED_MOST;
    json_t *all = json_array();

    for (size_t i = 0; i < n; i++) {
        const struct journal_message *m = w->found[i];
        struct str to = m->rcpt_count ? m->rcpt[0].address : STR_NONE;
        json_t *row = json_object();

        json_set(w, row, "ref", m->ref);
        json_set(w, row, "time", clock_rfc3339(a, m->at_ms));
        json_set(w, row, "client", ip_text(a, m->client));
        json_set(w, row, "sender", m->sender);
        json_set(w, row, "rcpt", to);
        json_set(w, row, "verdict", m->verdict);
        json_set(w, row, "by", m->by);
        json_array_append_new(all, row);
        if (!w->ctl->json)
            printf(STR_FMT "  %s  " STR_FMT "%s" STR_FMT "  " STR_FMT "  " STR_FMT " -> " STR_FMT "\n",
                   STR_ARG(shown(w, m->ref)), clock_rfc3339(a, m->at_ms).p, STR_ARG(shown(w, m->verdict)),
                   m->by.n ? " by " : "", STR_ARG(shown(w, m->by)), STR_ARG(ip_text(a, m->client)),
                   STR_ARG(m->message ? shown(w, m->sender) : STR("(no message)")), STR_ARG(shown(w, to)));
    }
    if (w->ctl->json) {
        json_t *o = json_pack("{s:o, s:b}", "several", json_incref(all), "more", w->count > n);

        json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(o);
    } else {
        printf("%s; sme-milterctl why REF tells of one\n", w->count > n ? "these are the newest" : "that is all");
    }
    json_decref(all);
}

/* ---- one ---- */

static void print_envelope(struct work *w, const struct journal_message *m)
{
    struct arena *a = w->ctl->arena;

    printf("ref        " STR_FMT "%s" STR_FMT "%s" STR_FMT "\n", STR_ARG(shown(w, m->ref)),
           m->queue_id.n ? ", queue id " : "", STR_ARG(shown(w, m->queue_id)), m->message_id.n ? ", Message-ID " : "",
           STR_ARG(shown(w, m->message_id)));
    printf("time       %s, it took %lld ms\n", clock_rfc3339(a, m->at_ms).p, (long long)m->ms);
    printf("client     %s%s" STR_FMT "%s, HELO " STR_FMT ", port %u%s" STR_FMT "%s" STR_FMT "\n",
           ip_text(a, m->client).p, m->name.n ? " (" : "", STR_ARG(shown(w, m->name)), m->name.n ? ")" : "",
           STR_ARG(shown(w, m->helo)), m->server_port, m->tls_version.n ? ", " : ", no TLS",
           STR_ARG(shown(w, m->tls_version)), m->auth.n ? ", authenticated as " : "", STR_ARG(shown(w, m->auth)));
    printf("profile    " STR_FMT "%s%s\n", STR_ARG(shown(w, m->profile)), m->local ? ", a client of our own" : "",
           m->whitelisted ? ", whitelisted" : "");
    if (m->message)
        printf("from       " STR_FMT ", %llu bytes\n", STR_ARG(shown(w, m->sender)), (unsigned long long)m->size);
    for (size_t i = 0; i < m->rcpt_count; i++)
        printf("to         " STR_FMT "%s" STR_FMT "%s" STR_FMT "\n", STR_ARG(shown(w, m->rcpt[i].address)),
               m->rcpt[i].refused_by.n ? "  refused by " : "", STR_ARG(shown(w, m->rcpt[i].refused_by)),
               m->rcpt[i].refused_by.n ? ": " : "", STR_ARG(shown(w, m->rcpt[i].reply)));
    if (m->nrcpt > m->rcpt_count)
        printf("           and %zu others\n", m->nrcpt - m->rcpt_count);
    printf("karma      %ld before, %ld after%s" STR_FMT "\n", m->karma_before, m->karma,
           m->history.n ? "; its history was " : "; its history is not known", STR_ARG(shown(w, m->history)));
}

static const char *judged_text(struct str judged)
{
    static const struct {
        const char *word, *text;
    } words[] = {{"now", ", told at once"}, {"later", ", told later"}, {"never", ", in shadow"},
                 {"cleared", ", cleared"}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (str_is(judged, str_of(words[i].word)))
            return words[i].text;
    return "";
}

static void print_findings(struct work *w, const struct journal_message *m)
{
    printf("\n");
    for (size_t i = 0; i < m->finding_count; i++) {
        const struct journal_finding *f = &m->findings[i];

        printf(STR_FMT " " STR_FMT ": " STR_FMT "%s", STR_ARG(shown(w, f->stage)), STR_ARG(shown(w, f->policy)),
               STR_ARG(shown(w, f->result)), judged_text(f->judged));
        if (f->karma)
            printf(", weighs %+ld", f->karma);
        if (f->rcpt >= 0 && (size_t)f->rcpt < m->rcpt_count)
            printf(", about " STR_FMT, STR_ARG(shown(w, m->rcpt[f->rcpt].address)));
        if (f->micros >= 1000)
            printf(", %.0f ms", (double)f->micros / 1000);
        if (f->text.n)
            printf("\n    " STR_FMT, STR_ARG(shown(w, f->text)));
        for (size_t k = 0; k < f->fact_count; k++)
            printf("%s" STR_FMT "=" STR_FMT, k ? "  " : "\n    ", STR_ARG(shown(w, f->facts[k].name)),
                   STR_ARG(shown(w, f->facts[k].value)));
        printf("\n");
    }
    printf("run        " STR_FMT "\n", STR_ARG(str_escaped(w->ctl->arena, m->ran)));
}

static struct str outcome(struct work *w, const struct past_answer *x)
{
    struct arena *a = w->ctl->arena;

    if (!x->known)
        return arena_printf(a, "not known: " STR_FMT, STR_ARG(str_escaped(a, x->unknown)));
    if (x->kind == VERDICT_ACCEPT)
        return x->rcpt_refused ? arena_printf(a, "accepted, but for %u recipients", x->rcpt_refused) : STR("accepted");
    return arena_printf(a, "%s, %d " STR_FMT " by " STR_FMT " at " STR_FMT,
                        x->kind == VERDICT_REJECT ? "refused" : "put off", x->code, STR_ARG(str_escaped(a, x->status)),
                        STR_ARG(str_escaped(a, x->by)), STR_ARG(str_escaped(a, x->at)));
}

/* for_sender - to be pasted into an answer: nothing in it that only we understand. */
static struct str for_sender(struct work *w, const struct journal_message *m)
{
    struct arena *a = w->ctl->arena;
    struct str to = m->rcpt_count ? shown(w, m->rcpt[0].address) : STR_NONE;
    struct str reply = m->reply.n ? m->reply : STR_NONE;

    for (size_t i = 0; i < m->rcpt_count && reply.n == 0; i++)
        reply = m->rcpt[i].reply;
    if (!m->message)
        return arena_printf(a, "Your mail server %s called " STR_FMT " on %s, and was answered: " STR_FMT,
                            ip_text(a, m->client).p, STR_ARG(shown(w, m->host)), clock_rfc3339(a, m->at_ms).p,
                            STR_ARG(reply.n ? str_escaped(a, reply) : STR("nothing against it")));
    return arena_printf(a, "Your message from " STR_FMT "%s" STR_FMT ", sent by your mail server %s, came to " STR_FMT
                        " on %s. %s" STR_FMT, STR_ARG(shown(w, m->sender)), to.n ? " to " : "", STR_ARG(to),
                        ip_text(a, m->client).p, STR_ARG(shown(w, m->host)), clock_rfc3339(a, m->at_ms).p,
                        reply.n ? "Our answer was: " : "It was accepted.",
                        STR_ARG(reply.n ? str_escaped(a, reply) : STR_NONE));
}

static struct config *load(void *ctx, struct conf_entry *changes, struct problems *problems)
{
    const struct work *w = ctx;

    return config_load_changed(w->ctl->config_path, changes, problems);
}

static void print_one(struct work *w, const struct journal_message *m, const struct past_answer *then,
                      const struct past_answer *now, const struct past_counter *counters, size_t count)
{
    print_envelope(w, m);
    print_findings(w, m);
    printf("\noutcome    " STR_FMT "\n", STR_ARG(outcome(w, then)));
    if (m->reply.n)
        printf("           " STR_FMT "\n", STR_ARG(str_escaped(w->ctl->arena, m->reply)));
    if (!past_same(then, now))
        printf("today      " STR_FMT ": the configuration is another one than then\n", STR_ARG(outcome(w, now)));
    if (count)
        printf("\nWith one of these lines it would be otherwise today:\n");
    else if (then->code || then->rcpt_refused)
        printf("\nNo single line of the configuration is known that would change it.\n");
    for (size_t i = 0; i < 2 * count; i++) { /* what is known first */
        const struct past_counter *c = &counters[i % count];

        if (c->answer.known == (i < count))
            printf("  " STR_FMT "\n      " STR_FMT "\n", STR_ARG(str_escaped(w->ctl->arena, c->line)),
                   STR_ARG(outcome(w, &c->answer)));
    }
    printf("\nFor the sender:\n  " STR_FMT "\n", STR_ARG(for_sender(w, m)));
}

static json_t *json_answer(struct work *w, const struct past_answer *x)
{
    json_t *o = json_object();

    json_object_set_new(o, "known", json_boolean(x->known));
    json_object_set_new(o, "verdict", json_string(x->known ? verdict_names[x->kind] : ""));
    json_set(w, o, "by", x->by);
    json_set(w, o, "at", x->at);
    json_object_set_new(o, "code", json_integer(x->code));
    json_set(w, o, "status", x->status);
    json_object_set_new(o, "rcpt_refused", json_integer(x->rcpt_refused));
    json_set(w, o, "unknown", x->unknown);
    return o;
}

static json_t *json_findings(struct work *w, const struct journal_message *m)
{
    json_t *all = json_array();

    for (size_t i = 0; i < m->finding_count; i++) {
        const struct journal_finding *f = &m->findings[i];
        json_t *o = json_object(), *facts = json_object();

        json_set(w, o, "stage", f->stage);
        json_set(w, o, "policy", f->policy);
        json_set(w, o, "result", f->result);
        json_set(w, o, "judged", f->judged);
        json_set(w, o, "status", f->status);
        json_set(w, o, "text", f->text);
        json_object_set_new(o, "karma", json_integer(f->karma));
        json_object_set_new(o, "rcpt", json_integer(f->rcpt));
        json_object_set_new(o, "micros", json_integer(f->micros));
        for (size_t k = 0; k < f->fact_count; k++)
            json_object_set_new(facts, str_escaped(w->ctl->arena, f->facts[k].name).p, json_text(w, f->facts[k].value));
        json_object_set_new(o, "facts", facts);
        json_array_append_new(all, o);
    }
    return all;
}

static void print_json(struct work *w, const struct journal_message *m, const struct past_answer *then,
                       const struct past_answer *now, const struct past_counter *counters, size_t count)
{
    struct arena *a = w->ctl->arena;
    const struct {
        const char *name;
        struct str value;
    } texts[] = {
        {"ref", m->ref},
        {"queue_id", m->queue_id},
        {"message_id", m->message_id},
        {"time", clock_rfc3339(a, m->at_ms)},
        {"profile", m->profile},
        {"name", m->name},
        {"client", ip_text(a, m->client)},
        {"helo", m->helo},
        {"auth", m->auth},
        {"tls", m->tls_version},
        {"sender", m->sender},
        {"reply", m->reply},
        {"history", m->history},
        {"ran", m->ran},
        {"for_sender", for_sender(w, m)},
    };
    json_t *o = json_object(), *rcpt = json_array(), *list = json_array();

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        json_set(w, o, texts[i].name, texts[i].value);
    for (size_t i = 0; i < m->rcpt_count; i++) {
        json_t *one = json_object();

        json_set(w, one, "address", m->rcpt[i].address);
        json_set(w, one, "refused_by", m->rcpt[i].refused_by);
        json_set(w, one, "reply", m->rcpt[i].reply);
        json_array_append_new(rcpt, one);
    }
    for (size_t i = 0; i < count; i++) {
        json_t *one = json_object();

        json_set(w, one, "line", counters[i].line);
        json_set(w, one, "set", counters[i].change);
        json_object_set_new(one, "outcome", json_answer(w, &counters[i].answer));
        json_array_append_new(list, one);
    }
    json_object_set_new(o, "rcpt", rcpt);
    json_object_set_new(o, "nrcpt", json_integer(m->nrcpt));
    json_object_set_new(o, "size", json_integer((json_int_t)m->size));
    json_object_set_new(o, "ms", json_integer(m->ms));
    json_object_set_new(o, "karma_before", json_integer(m->karma_before));
    json_object_set_new(o, "karma", json_integer(m->karma));
    json_object_set_new(o, "local", json_boolean(m->local));
    json_object_set_new(o, "whitelisted", json_boolean(m->whitelisted));
    json_object_set_new(o, "findings", json_findings(w, m));
    json_object_set_new(o, "outcome", json_answer(w, then));
    json_object_set_new(o, "today", json_answer(w, now));
    json_object_set_new(o, "otherwise_with", list);
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(o);
}

static void one(struct work *w, const struct journal_message *m)
{
    const struct past_row *row = past_read(w->arena, m);
    const struct past_loader loader = {load, w};
    struct past_counter *counters = NULL;
    struct past_answer then, now;
    size_t count;

    past_then(w->arena, row, &then);
    past_judge(w->arena, w->config, row, NULL, &now);
    count = past_counters(w->arena, w->config, row, &loader, &counters);
    (w->ctl->json ? print_json : print_one)(w, m, &then, &now, counters, count);
}

/* none - nothing was found; perhaps because it was lost. */
static void none(struct work *w, sqlite3 *db)
{
    struct arena *a = w->ctl->arena;
    struct journal_gap *gaps = NULL;
    size_t count = 0;

    fprintf(stderr, "sme-milterctl why: the journal has nothing of \"" STR_FMT "\"\n", STR_ARG(shown(w, w->word)));
    if (journal_gaps(db, a, 0, &gaps, &count) != SQLITE_OK)
        return;
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "it has a gap from %s to %s: %lld rows were lost, " STR_FMT "\n",
                clock_rfc3339(a, gaps[i].from_ms).p, clock_rfc3339(a, gaps[i].to_ms).p, (long long)gaps[i].lost,
                STR_ARG(shown(w, gaps[i].why)));
}

static int answer(struct work *w, sqlite3 *db)
{
    int rc;

    w->arena = arena_new(65536);
    rc = find(w, db);
    if (rc != SQLITE_OK)
        fprintf(stderr, "sme-milterctl why: the journal cannot be read: %s\n", sqlite3_errmsg(db));
    else if (w->count == 0)
        none(w, db);
    else if (w->count == 1)
        one(w, w->found[0]);
    else
        list(w);
    arena_free(&w->arena);
    return rc != SQLITE_OK ? EX_IOERR : w->count ? CTL_FINE : CTL_FINDINGS;
}

static int run(struct ctl *ctl)
{
    struct work w = {.ctl = ctl};
    int status = EX_CONFIG;
    sqlite3 *db;

    if (ctl->argc != 2 || ctl->argv[1][0] == '-' || ctl->argv[1][0] == '\0')
        return ctl_usage(&ctl_why, "needs one REF, QUEUE-ID, MESSAGE-ID, ADDRESS, IP, or last");
    w.word = str_of(ctl->argv[1]);
    w.config = ctl_config(ctl);
    db = w.config ? ctl_journal(ctl, &ctl_why, w.config, &status) : NULL;
    if (db)
        status = answer(&w, db);
    sqlite3_close(db);
    if (w.config)
        config_unref(&w.config);
    return status;
}

const struct ctl_command ctl_why = {
    .words = "why",
    .usage = "REF|QUEUE-ID|MESSAGE-ID|ADDRESS|IP|last",
    .summary = "Every finding of a past decision, and what would have changed it",
    .help = "  REF          as every refusal ends with: (ref REF)\n"
            "  QUEUE-ID     Postfix's\n"
            "  MESSAGE-ID   with or without its brackets\n"
            "  ADDRESS      a sender or recipient\n"
            "  IP           a client\n"
            "  last         the newest\n\n"
            "Of several the newest are listed. What would have changed it is found by judging the message again, as\n"
            "whatif does, with the configuration of today and one line more: without the finding, with the client or the\n"
            "sender on the whitelist, with another threshold, without the list's entry.\n"
            "exit: 0 found, 1 there is nothing of it in the journal\n",
    .run = run,
};
