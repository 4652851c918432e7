/* metrics_text.c - OpenMetrics 1.0: one family after the other, each with its type and what it means. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <dirent.h>

#include "base/clock.h"
#include "db/dmarc_store.h"
#include "db/journal.h"
#include "db/karma_store.h"
#include "dns/dns.h"
#include "dns/health.h"
#include "metrics.h"
#include "metrics_text.h"
#include "report.h"
#include "worker.h"

static int64_t began_ms;

static const struct store {
    const char *name;
    bool (*status)(struct database_status *);
} stores[] = {{"karma", karma_store_status}, {"dmarc", dmarc_store_status}, {"journal", journal_status}};

#define STORES (sizeof stores / sizeof stores[0])

void metrics_process_began(void)
{
    began_ms = clock_wall_ms();
}

/* ---- the machine's view of the process ---- */

static uint64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long all = 0, resident = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &all, &resident) != 2)
        resident = 0;
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", "..", and the directory itself */
}

static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- the format ---- */

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_addf(b, "# TYPE sme_milter_%s %s\n# HELP sme_milter_%s %s\n", name, type, name, help);
}

static void sample(struct buf *b, const char *name, const char *labels, uint64_t value)
{
    buf_addf(b, "sme_milter_%s%s%s%s %llu\n", name, *labels ? "{" : "", labels, *labels ? "}" : "",
             (unsigned long long)value);
}

static void single(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
    bool counter = str_is(str_of(type), STR("counter"));

    family(b, name, type, help);
    buf_addf(b, "sme_milter_%s%s %llu\n", name, counter ? "_total" : "", (unsigned long long)value);
}

/* label - name="value", the value as the format wants it; an administrator's list may have any name. */
static const char *label(struct arena *a, const char *name, struct str value)
{
    struct buf b = buf_in(a);

    buf_addf(&b, "%s=\"", name);
    buf_add(&b, str_escaped(a, value)); /* ASCII: backslashes doubled */
    for (size_t i = 0; i < b.len; i++)
        if (b.data[i] == '"' && i != strlen(name) + 1)
            b.data[i] = '\'';
    buf_addc(&b, '"');
    return buf_str(&b).p;
}

static void bucket(struct buf *b, const char *name, const char *labels, unsigned ms, uint64_t count)
{
    buf_addf(b, "sme_milter_%s_bucket{%s%sle=\"", name, labels, *labels ? "," : "");
    if (ms)
        buf_addf(b, "%u.%03u\"} %llu\n", ms / 1000, ms % 1000, (unsigned long long)count);
    else
        buf_addf(b, "+Inf\"} %llu\n", (unsigned long long)count);
}

static void histogram(struct buf *b, const char *name, const char *labels, const struct metrics_histogram *h)
{
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    uint64_t count = 0;

    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        count += h->bucket[i];
        bucket(b, name, labels, i < METRICS_BUCKETS - 1 ? metrics_bounds_ms[i] : 0, count);
    }
    buf_addf(b, "sme_milter_%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)count);
    buf_addf(b, "sme_milter_%s_sum%s%s%s %.6f\n", name, open, labels, close, (double)h->micros / 1e6);
}

/* ---- the families ---- */

static void mail_families(struct arena *a, struct buf *b, const struct metrics *m)
{
    single(b, "sessions", "gauge", "SMTP connections open now.", m->sessions > 0 ? (uint64_t)m->sessions : 0);
    single(b, "sessions_begun", "counter", "SMTP connections.", m->sessions_begun);
    family(b, "messages", "counter", "Messages by what became of them.");
    for (size_t i = 0; i <= VERDICT_QUARANTINE; i++)
        sample(b, "messages_total", label(a, "verdict", str_of(verdict_names[i])), m->messages[i]);
    family(b, "connections", "counter", "Connections that ended without a message, or were refused beside them.");
    for (size_t i = 0; i <= VERDICT_QUARANTINE; i++)
        sample(b, "connections_total", label(a, "verdict", str_of(verdict_names[i])), m->connections[i]);
    single(b, "message_bytes", "counter", "Bytes of messages that were seen.", m->bytes);
    family(b, "recipients", "counter", "Recipients of messages.");
    sample(b, "recipients_total", "reply=\"accepted\"", m->recipients);
    sample(b, "recipients_total", "reply=\"refused\"", m->recipients_refused);
}

static void policy_families(struct arena *a, struct buf *b, const struct metrics *m)
{
    family(b, "findings", "counter", "What the policies found.");
    for (size_t p = 0; p < policy_table_count; p++)
        for (size_t k = GOOD; k <= UNSURE; k++)
            sample(b, "findings_total", arena_printf(a, "policy=\"%s\",result=\"%s\"", policy_table[p]->name,
                                                     result_names[k]).p, m->findings[p][k]);
    family(b, "would_reject", "counter", "Bad findings of policies that only watch (reject = never).");
    for (size_t p = 0; p < policy_table_count; p++)
        sample(b, "would_reject_total", label(a, "policy", str_of(policy_table[p]->name)), m->would_reject[p]);
    family(b, "refused", "counter", "Messages and connections refused, by the policy that decided.");
    for (size_t p = 0; p <= policy_table_count; p++)
        for (size_t k = 0; k < 2; k++)
            sample(b, "refused_total",
                   arena_printf(a, "policy=\"%s\",reply=\"%s\"",
                                p < policy_table_count ? policy_table[p]->name : "limits", k ? "temporary" : "permanent").p,
                   m->refused[p < policy_table_count ? p : METRICS_POLICIES][k]);
}

static void time_families(struct arena *a, struct buf *b, const struct metrics *m)
{
    family(b, "stage_seconds", "histogram", "What all policies of a stage took together.");
    for (size_t i = 0; i < STAGES; i++)
        histogram(b, "stage_seconds", label(a, "stage", str_of(stage_names[i])), &m->stage[i]);
    family(b, "message_seconds", "histogram", "From MAIL to the end of a message.");
    histogram(b, "message_seconds", "", &m->message);
}

static void dns_families(struct arena *a, struct buf *b)
{
    struct dns_counters d = {0};
    struct zone_status *z;
    size_t count = health_list(a, &z);

    dns_count(&d);
    single(b, "dns_questions", "counter", "Questions that policies asked.", d.asked);
    single(b, "dns_cached", "counter", "Of these answered from the cache.", d.cached);
    single(b, "dns_merged", "counter", "Of these asked by somebody else at the same time.", d.merged);
    single(b, "dns_sent", "counter", "Questions sent to a resolver.", d.sent);
    single(b, "dns_answered", "counter", "Usable answers of resolvers.", d.answered);
    single(b, "dns_failed", "counter", "Questions without a usable answer.", d.failed);
    single(b, "dns_timeouts", "counter", "Of these because of time.", d.timeouts);
    single(b, "dns_wait_milliseconds", "counter", "Time between question and answer, summed.", (uint64_t)d.total_ms);
    single(b, "dns_cache_entries", "gauge", "Answers in the cache.", d.entries);
    single(b, "dns_cache_bytes", "gauge", "Their size.", d.bytes);
    family(b, "list_trusted", "gauge", "1: the DNS list is believed; 0: unknown, suspended or tripped.");
    for (size_t i = 0; i < count; i++)
        sample(b, "list_trusted", label(a, "list", z[i].name), z[i].health == ZONE_TRUSTED);
    family(b, "list_answers", "counter", "What a DNS list said.");
    for (size_t i = 0; i < count; i++) {
        const char *list = label(a, "list", z[i].name);

        sample(b, "list_answers_total", arena_printf(a, "%s,said=\"listed\"", list).p, z[i].listed);
        sample(b, "list_answers_total", arena_printf(a, "%s,said=\"unsure\"", list).p, z[i].unsure);
        sample(b, "list_answers_total", arena_printf(a, "%s,said=\"not_listed\"", list).p,
               z[i].asked > z[i].listed + z[i].unsure ? z[i].asked - z[i].listed - z[i].unsure : 0);
    }
}

static void store_families(struct arena *a, struct buf *b)
{
    static const struct {
        const char *name, *type, *suffix, *help;
    } of[] = {
        {"store_fine", "gauge", "", "1: the store can be written; 0: see `sme-milterctl stats`."},
        {"store_written", "counter", "_total", "Events on disk."},
        {"store_lost", "counter", "_total", "Events that were dropped."},
        {"store_waiting", "gauge", "", "Events that wait for the disk."},
        {"store_log_bytes", "gauge", "", "Size of the write-ahead log."},
    };
    struct database_status s[STORES];
    bool known[STORES];

    for (size_t i = 0; i < STORES; i++)
        known[i] = stores[i].status(&s[i]);
    for (size_t k = 0; k < sizeof of / sizeof of[0]; k++) {
        family(b, of[k].name, of[k].type, of[k].help);
        for (size_t i = 0; i < STORES; i++) {
            uint64_t value[] = {s[i].state == DATABASE_FINE, s[i].written, s[i].dropped, s[i].waiting, s[i].wal_bytes};

            if (known[i])
                sample(b, arena_printf(a, "%s%s", of[k].name, of[k].suffix).p, label(a, "store", str_of(stores[i].name)),
                       value[k]);
        }
    }
}

static void process_families(struct buf *b)
{
    struct worker_state w = worker_look();

    single(b, "workers", "gauge", "Scanner processes that serve.", w.servers);
    single(b, "worker_jobs", "gauge", "Jobs they are at.", w.jobs);
    single(b, "worker_starts", "counter", "Scanner processes started.", w.starts);
    single(b, "resident_bytes", "gauge", "Resident memory of the serving process.", resident_bytes());
    single(b, "open_descriptors", "gauge", "Its open descriptors.", open_descriptors());
    family(b, "cpu_seconds", "counter", "Processor time of the serving process.");
    buf_addf(b, "sme_milter_cpu_seconds_total %.3f\n", cpu_seconds());
    family(b, "start_time_seconds", "gauge", "When the serving process began, since 1970.");
    buf_addf(b, "sme_milter_start_time_seconds %.3f\n", (double)began_ms / 1000);
    family(b, "build", "info", "The program.");
    buf_addf(b, "sme_milter_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
}

struct str metrics_openmetrics(struct arena *a)
{
    struct buf b = buf_in(a);
    struct metrics m;

    metrics_read(&m);
    mail_families(a, &b, &m);
    policy_families(a, &b, &m);
    time_families(a, &b, &m);
    dns_families(a, &b);
    store_families(a, &b);
    process_families(&b);
    buf_add(&b, STR("# EOF\n"));
    return buf_str(&b);
}

/* ---- JSON ---- */

static json_t *histogram_json(const struct metrics_histogram *h)
{
    uint64_t count = 0;

    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        count += h->bucket[i];
    return json_pack("{s:I, s:f}", "count", (json_int_t)count, "mean_ms",
                     count ? (double)h->micros / 1000 / (double)count : 0.0);
}

static json_t *by_verdict(const uint64_t *counts)
{
    json_t *o = json_object();

    for (size_t i = 0; i <= VERDICT_QUARANTINE; i++)
        json_object_set_new(o, verdict_names[i], json_integer((json_int_t)counts[i]));
    return o;
}

/* policies_json - those that found something. */
static json_t *policies_json(const struct metrics *m)
{
    json_t *o = json_object();

    for (size_t p = 0; p < policy_table_count; p++) {
        const uint64_t *f = m->findings[p];

        if (f[GOOD] || f[BAD] || f[UNSURE])
            json_object_set_new(o, policy_table[p]->name,
                                json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "good", (json_int_t)f[GOOD], "bad",
                                          (json_int_t)f[BAD], "unsure", (json_int_t)f[UNSURE], "would_reject",
                                          (json_int_t)m->would_reject[p], "rejected", (json_int_t)m->refused[p][0],
                                          "tempfailed", (json_int_t)m->refused[p][1]));
    }
    return o;
}

static json_t *lists_json(struct arena *a)
{
    struct zone_status *z;
    size_t count = health_list(a, &z);
    json_t *o = json_object();

    for (size_t i = 0; i < count; i++)
        json_object_set_new(o, str_escaped(a, z[i].name).p,
                            json_pack("{s:s, s:s, s:I, s:I, s:I, s:f}", "state", zone_health_names[z[i].health], "why",
                                      str_escaped(a, z[i].why).p, "asked", (json_int_t)z[i].asked, "listed",
                                      (json_int_t)z[i].listed, "unsure", (json_int_t)z[i].unsure, "mean_ms",
                                      z[i].mean_ms));
    return o;
}

static json_t *dns_json(void)
{
    struct dns_counters d = {0};

    dns_count(&d);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:I}", "asked", (json_int_t)d.asked, "cached",
                     (json_int_t)(d.cached + d.merged), "sent", (json_int_t)d.sent, "failed", (json_int_t)d.failed,
                     "timeouts", (json_int_t)d.timeouts, "mean_ms",
                     d.answered ? (double)d.total_ms / (double)d.answered : 0.0, "cache_entries",
                     (json_int_t)d.entries);
}

json_t *metrics_json(struct arena *a)
{
    struct worker_state w = worker_look();
    struct metrics m;
    json_t *o, *stages = json_object();

    metrics_read(&m);
    for (size_t i = 0; i < STAGES; i++)
        json_object_set_new(stages, stage_names[i], histogram_json(&m.stage[i]));
    o = json_pack("{s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "sessions",
                  (json_int_t)(m.sessions > 0 ? m.sessions : 0), "sessions_begun", (json_int_t)m.sessions_begun,
                  "messages", by_verdict(m.messages), "connections", by_verdict(m.connections), "bytes",
                  (json_int_t)m.bytes, "recipients", (json_int_t)m.recipients, "recipients_refused",
                  (json_int_t)m.recipients_refused, "message_time", histogram_json(&m.message), "stages", stages,
                  "policies", policies_json(&m), "dns", dns_json(), "lists", lists_json(a));
    json_object_set_new(o, "workers", json_pack("{s:i, s:i, s:I}", "serving", (int)w.servers, "jobs", (int)w.jobs,
                                                "starts", (json_int_t)w.starts));
    json_object_set_new(o, "process", json_pack("{s:I, s:I, s:f}", "resident_bytes", (json_int_t)resident_bytes(),
                                                "descriptors", (json_int_t)open_descriptors(), "cpu_seconds",
                                                cpu_seconds()));
    return o;
}
