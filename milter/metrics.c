/* metrics.c - counters of the whole process. */
#include <stdatomic.h>

#include "metrics.h"

typedef _Atomic uint64_t counter;

const unsigned metrics_bounds_ms[METRICS_BUCKETS - 1] = {1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};

struct histogram {
    counter bucket[METRICS_BUCKETS];
    counter micros;
};

static struct {
    _Atomic int64_t sessions;
    counter sessions_begun;
    counter messages[VERDICT_QUARANTINE + 1], connections[VERDICT_QUARANTINE + 1];
    counter bytes, recipients, recipients_refused;
    counter findings[METRICS_POLICIES][UNSURE + 1];
    counter would_reject[METRICS_POLICIES];
    counter refused[METRICS_POLICIES + 1][2];
    struct histogram stage[STAGES], message;
} counted;

static void add(counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static void observe(struct histogram *h, int64_t micros)
{
    size_t i = 0;

    micros = micros < 0 ? 0 : micros;
    while (i < METRICS_BUCKETS - 1 && micros > (int64_t)metrics_bounds_ms[i] * 1000)
        i++;
    add(&h->bucket[i], 1);
    add(&h->micros, (uint64_t)micros);
}

static void count_records(const struct records *list)
{
    for (const struct record *r = list->first; r; r = r->next) {
        size_t policy = policy_index(r->instance->policy);

        if (policy >= METRICS_POLICIES || r->finding.result == NOTHING)
            continue;
        add(&counted.findings[policy][r->finding.result], 1);
        if (r->finding.result == BAD && r->judged == JUDGED_NEVER)
            add(&counted.would_reject[policy], 1);
    }
}

static void count_refusal(const struct verdict *v)
{
    size_t policy = v->by ? policy_index(v->by->instance->policy) : METRICS_POLICIES;

    if (v->reply)
        add(&counted.refused[policy < METRICS_POLICIES ? policy : METRICS_POLICIES][v->reply->code < 500], 1);
}

void metrics_message(const struct message *m)
{
    uint64_t seen = m->headers.bytes + m->body_bytes;

    add(&counted.messages[m->verdict.kind], 1);
    add(&counted.bytes, seen);
    add(&counted.recipients, m->rcpt_accepted);
    add(&counted.recipients_refused, m->rcpt_count - m->rcpt_accepted);
    count_records(&m->records);
    count_refusal(&m->verdict);
    observe(&counted.message, (clock_ms() - m->began_ms) * 1000);
}

void metrics_connection(const struct verdict *v)
{
    add(&counted.connections[v->kind], 1);
    count_refusal(v);
}

void metrics_stage(enum stage stage, int64_t micros)
{
    observe(&counted.stage[stage], micros);
}

void metrics_session_begun(void)
{
    atomic_fetch_add_explicit(&counted.sessions, 1, memory_order_relaxed);
    add(&counted.sessions_begun, 1);
}

void metrics_session_ended(const struct session *s)
{
    atomic_fetch_sub_explicit(&counted.sessions, 1, memory_order_relaxed);
    count_records(&s->records);
}

static uint64_t get(counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void read_histogram(struct histogram *from, struct metrics_histogram *to)
{
    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        to->bucket[i] = get(&from->bucket[i]);
    to->micros = get(&from->micros);
}

void metrics_read(struct metrics *m)
{
    m->sessions = atomic_load_explicit(&counted.sessions, memory_order_relaxed);
    m->sessions_begun = get(&counted.sessions_begun);
    for (size_t i = 0; i <= VERDICT_QUARANTINE; i++) {
        m->messages[i] = get(&counted.messages[i]);
        m->connections[i] = get(&counted.connections[i]);
    }
    m->bytes = get(&counted.bytes);
    m->recipients = get(&counted.recipients);
    m->recipients_refused = get(&counted.recipients_refused);
    for (size_t i = 0; i <= METRICS_POLICIES; i++) {
        for (size_t k = 0; i < METRICS_POLICIES && k <= UNSURE; k++)
            m->findings[i][k] = get(&counted.findings[i][k]);
        if (i < METRICS_POLICIES)
            m->would_reject[i] = get(&counted.would_reject[i]);
        for (size_t k = 0; k < 2; k++)
            m->refused[i][k] = get(&counted.refused[i][k]);
    }
    for (size_t i = 0; i < STAGES; i++)
        read_histogram(&counted.stage[i], &m->stage[i]);
    read_histogram(&counted.message, &m->message);
}
