/* summary_read.c - counts. */
#include <stdlib.h>
#include <sys/random.h>

#include "../base/clock.h"
#include "mail/address.h"
#include "summary.h"

#define HOUR_MS ((int64_t)3600000)
#define SEEN_MOST 64 /* policies of one row that are told apart */

const double summary_score_bounds[SUMMARY_SCORES - 1] = {0, 2, 4, 5, 7, 10, 15};

/* ---- tallies ---- */

/* hash - strangers choose the names, so the key is ours. */
static uint64_t hash(struct str s)
{
    static uint64_t key;
    uint64_t h;

    if (key == 0 && (getrandom(&key, sizeof key, 0) != sizeof key || key == 0))
        key = 0x9e3779b97f4a7c15;
    h = key;
    for (size_t i = 0; i < s.n; i++) {
        h ^= (unsigned char)s.p[i];
        h *= 0x9e3779b97f4a7c15 ^ key << 1;
        h ^= h >> 29;
    }
    return h;
}

static uint32_t *slot_of(const struct tally *t, struct str name)
{
    size_t at = hash(name) & (t->slot_count - 1);

    while (t->slots[at] && !str_is(t->rows[t->slots[at] - 1].name, name))
        at = (at + 1) & (t->slot_count - 1);
    return &t->slots[at];
}

static void grow(struct tally *t)
{
    t->slot_count = t->slot_count ? t->slot_count * 2 : 64;
    t->slots = arena_array(t->arena, t->slot_count, sizeof *t->slots);
    for (size_t i = 0; i < t->count; i++)
        *slot_of(t, t->rows[i].name) = (uint32_t)i + 1;
}

void tally_add(struct tally *t, struct str name, unsigned column)
{
    uint32_t *slot;

    if (t->count * 2 >= t->slot_count)
        grow(t);
    slot = slot_of(t, name);
    if (*slot == 0) {
        t->rows = arena_grow(t->arena, t->rows, t->count, sizeof *t->rows);
        t->rows[t->count] = (struct tally_row){.name = str_dup(t->arena, name)};
        *slot = (uint32_t)++t->count;
    }
    t->rows[*slot - 1].n[column]++;
}

bool tally_has(const struct tally *t, struct str name)
{
    return t->count && *slot_of(t, name);
}

uint64_t tally_sum(const struct tally_row *row)
{
    return row->n[0] + row->n[1] + row->n[2] + row->n[3];
}

static int compare_rows(const void *a, const void *b)
{
    const struct tally_row *x = a, *y = b;
    uint64_t more = tally_sum(x), less = tally_sum(y);

    return more > less ? -1 : more < less ? 1 : str_compare(x->name, y->name);
}

void tally_sort(struct tally *t)
{
    if (t->count)
        qsort(t->rows, t->count, sizeof *t->rows, compare_rows);
}

/* ---- one row ---- */

static unsigned column_of(struct str verdict)
{
    return str_is(verdict, STR("accept"))     ? COUNT_ACCEPT
           : str_is(verdict, STR("reject"))   ? COUNT_REJECT
           : str_is(verdict, STR("tempfail")) ? COUNT_TEMPFAIL
                                              : COUNT_OTHER;
}

static struct str domain_of(struct arena *a, struct str path)
{
    struct address address = address_parse(a, path);

    if (address.text.n == 0)
        return STR("<>");
    return address.domain.n ? address.domain : STR("(none)");
}

static void count_score(struct summary *s, struct arena *a, struct str fact)
{
    double score = strtod(str_c(a, str_slice(fact, 0, str_find(fact, '/'))), NULL);
    unsigned i = 0;

    while (i < SUMMARY_SCORES - 1 && score >= summary_score_bounds[i])
        i++;
    s->scores[i]++;
    if (s->scored == 0 || score > s->score_most)
        s->score_most = score;
    s->score_sum += score;
    s->scored++;
}

static void count_facts(struct summary *s, struct arena *a, const struct journal_finding *f, bool *scored)
{
    bool found = str_is(f->result, STR("bad"));

    for (size_t i = 0; i < f->fact_count; i++) {
        struct str name = f->facts[i].name, value = f->facts[i].value;

        if (found && str_is(name, STR("list")))
            tally_add(&s->lists, str_slice(value, 0, str_find(value, '=')), 0);
        else if (found && str_is(name, STR("virus")))
            tally_add(&s->viruses, value, 0);
        else if (str_is(name, STR("spam.score")) && !*scored) {
            count_score(s, a, value);
            *scored = true;
        }
    }
}

/* count_findings - in how many messages, so that ten recipients who are refused count once. */
static void count_findings(struct summary *s, struct arena *a, const struct journal_message *m)
{
    struct {
        struct str policy;
        unsigned column;
    } seen[SEEN_MOST];
    size_t count = 0;
    bool scored = false;

    for (size_t i = 0; i < m->finding_count; i++) {
        const struct journal_finding *f = &m->findings[i];
        unsigned column = str_is(f->result, STR("good"))     ? FOUND_GOOD
                          : str_is(f->result, STR("bad"))    ? FOUND_BAD
                          : str_is(f->result, STR("unsure")) ? FOUND_UNSURE
                                                             : FOUND_WOULD + 1;
        size_t k = 0;

        count_facts(s, a, f, &scored);
        if (column == FOUND_BAD && str_is(f->judged, STR("never")))
            column = FOUND_WOULD;
        while (k < count && (seen[k].column != column || !str_is(seen[k].policy, f->policy)))
            k++;
        if (column > FOUND_WOULD || k < count)
            continue;
        if (count < SEEN_MOST) {
            seen[count].policy = f->policy;
            seen[count++].column = column;
        }
        tally_add(&s->findings, f->policy, column);
    }
}

static void count_message(struct summary *s, struct arena *a, const struct journal_message *m, unsigned column)
{
    s->messages++;
    s->verdicts[column]++;
    s->recipients += m->nrcpt;
    s->bytes += m->size;
    s->local += m->local;
    s->authenticated += m->auth.n > 0;
    s->tls += m->tls_version.n > 0;
    s->whitelisted += m->whitelisted;
    s->karma[m->karma < 0 ? 0 : m->karma == 0 ? 1 : 2]++;
    s->karma_lowest = m->karma < s->karma_lowest ? m->karma : s->karma_lowest;
    s->karma_highest = m->karma > s->karma_highest ? m->karma : s->karma_highest;
    tally_add(&s->senders, domain_of(a, m->sender), column);
    for (size_t i = 0; i < m->rcpt_count; i++) {
        bool refused = m->rcpt[i].reply.n > 0;

        s->recipients_refused += refused;
        tally_add(&s->recipient_domains, domain_of(a, m->rcpt[i].address),
                  refused ? m->rcpt[i].reply.p[0] == '4' ? COUNT_TEMPFAIL : COUNT_REJECT : column);
    }
    s->ms = arena_grow(s->arena, s->ms, s->ms_count, sizeof *s->ms);
    s->ms[s->ms_count++] = m->ms < 0 ? 0 : m->ms > UINT32_MAX ? UINT32_MAX : (uint32_t)m->ms;
}

struct counting {
    struct summary *summary;
    struct arena *arena;
    struct progress progress;
};

static bool count_row(const struct journal_message *m, void *ctx)
{
    struct counting *c = ctx;
    struct summary *s = c->summary;
    unsigned column = column_of(m->verdict);
    int64_t bar = (m->at_ms - s->first_bar_ms) / s->bar_ms;

    progress_step(&c->progress);
    if (s->host.n == 0)
        s->host = str_dup(s->arena, m->host);
    if (m->message) {
        count_message(s, c->arena, m, column);
    } else {
        s->connections++;
        s->refused_connections += column != COUNT_ACCEPT;
    }
    if (column != COUNT_ACCEPT)
        tally_add(&s->by, m->by.n ? m->by : STR("(none)"), column);
    if (m->message || column != COUNT_ACCEPT) {
        tally_add(&s->clients, ip_text(c->arena, m->client), column);
        if (bar >= 0 && bar < s->bars)
            s->volume[bar][column]++;
    }
    count_findings(s, c->arena, m);
    return true;
}

/* ---- all of them ---- */

static int compare_ms(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

uint32_t summary_percentile(const struct summary *s, double percent)
{
    size_t at = (size_t)((double)s->ms_count * percent / 100);

    return s->ms_count == 0 ? 0 : s->ms[at < s->ms_count ? at : s->ms_count - 1];
}

/* set_bars - of round length, and not too many. */
static void set_bars(struct summary *s)
{
    static const int64_t lengths[] = {HOUR_MS / 4, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS};
    int64_t span = s->to_ms - s->from_ms;
    size_t i = 0;

    while (i + 1 < sizeof lengths / sizeof lengths[0] && span / lengths[i] > 60)
        i++;
    s->bar_ms = lengths[i];
    while (span / s->bar_ms >= SUMMARY_BARS - 2)
        s->bar_ms *= 2;
    s->first_bar_ms = s->from_ms - s->from_ms % s->bar_ms;
    s->bars = (unsigned)((s->to_ms - s->first_bar_ms) / s->bar_ms) + 1;
}

int summary_read(struct summary *s, sqlite3 *db)
{
    struct tally *const tallies[] = {&s->by, &s->findings, &s->lists, &s->viruses, &s->clients, &s->senders,
                                     &s->recipient_domains};
    struct counting c = {.summary = s, .arena = arena_new(0)};
    struct journal_wish wish = {.from_ms = s->from_ms, .to_ms = s->to_ms};
    int64_t first = journal_oldest(db);
    int rc;

    if (first > s->from_ms && first < s->to_ms)
        s->from_ms = first; /* there is nothing before */
    set_bars(s);
    for (size_t i = 0; i < sizeof tallies / sizeof tallies[0]; i++)
        tallies[i]->arena = s->arena;
    progress_begin(&c.progress, "messages");
    rc = journal_each(db, c.arena, true, &wish, count_row, &c);
    progress_end(&c.progress);
    if (rc == SQLITE_OK)
        rc = journal_gaps(db, s->arena, s->from_ms, &s->gaps, &s->gap_count);
    for (size_t i = 0; i < sizeof tallies / sizeof tallies[0]; i++)
        tally_sort(tallies[i]);
    if (s->ms_count)
        qsort(s->ms, s->ms_count, sizeof *s->ms, compare_ms);
    arena_free(&c.arena);
    return rc;
}
