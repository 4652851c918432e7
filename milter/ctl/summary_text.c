/* summary_text.c - the summary for terminals, mail and programs. */
#include "../base/clock.h"
#include "summary.h"

struct str summary_time(struct arena *a, int64_t ms)
{
    struct str t = clock_rfc3339(a, ms);

    return t.n < 16 ? t : arena_printf(a, "%.10s %.5s", t.p, t.p + 11);
}

struct str summary_bytes(struct arena *a, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    double n = (double)bytes;
    unsigned i = 0;

    while (n >= 1000 && i < 5) {
        n /= 1000;
        i++;
    }
    return i ? arena_printf(a, "%.1f %s", n, units[i]) : arena_printf(a, "%llu bytes", (unsigned long long)bytes);
}

struct str summary_gap(struct arena *a, const struct journal_gap *gap)
{
    struct str until = summary_time(a, gap->to_ms), why = str_escaped(a, gap->why);

    if (gap->lost == 0)
        return arena_printf(a, STR_FMT ": " STR_FMT, STR_ARG(until), STR_ARG(why));
    return arena_printf(a, STR_FMT " to " STR_FMT ": %lld lost: " STR_FMT, STR_ARG(summary_time(a, gap->from_ms)),
                        STR_ARG(until), (long long)gap->lost, STR_ARG(why));
}

static double share(uint64_t n, uint64_t of)
{
    return of ? 100.0 * (double)n / (double)of : 0;
}

static void line(struct buf *b, const char *name, uint64_t n, uint64_t of)
{
    buf_addf(b, "  %-28s %10llu", name, (unsigned long long)n);
    if (of)
        buf_addf(b, "  %5.1f %%", share(n, of));
    buf_addc(b, '\n');
}

/* name_of - escaped, and no longer than a line can bear. */
static struct str name_of(struct arena *a, struct str name)
{
    struct str shown = str_escaped(a, name);

    return shown.n <= 40 ? shown : arena_printf(a, "%.37s...", shown.p);
}

static void add_tally(struct buf *b, const struct summary *s, const char *title, const struct tally *t,
                      const char *const columns[4], size_t top)
{
    if (t->count == 0)
        return;
    buf_addf(b, "\n%s\n  %-40s", title, "");
    for (unsigned i = 0; i < 4; i++)
        if (columns[i])
            buf_addf(b, " %9s", columns[i]);
    buf_addc(b, '\n');
    for (size_t k = 0; k < t->count && k < top; k++) {
        struct str name = name_of(s->arena, t->rows[k].name);

        buf_addf(b, "  " STR_FMT "%*s", STR_ARG(name), (int)(40 - name.n), "");
        for (unsigned i = 0; i < 4; i++)
            if (columns[i])
                buf_addf(b, " %9llu", (unsigned long long)t->rows[k].n[i]);
        buf_addc(b, '\n');
    }
    if (t->count > top)
        buf_addf(b, "  ... and %zu others\n", t->count - top);
}

static void add_scores(struct buf *b, const struct summary *s)
{
    if (s->scored == 0)
        return;
    buf_addf(b, "\nSpam scores: %llu messages, %.1f on average, %.1f at most\n", (unsigned long long)s->scored,
             s->score_sum / (double)s->scored, s->score_most);
    for (unsigned i = 0; i < SUMMARY_SCORES; i++) {
        struct str name = i == 0 ? arena_printf(s->arena, "below %g", summary_score_bounds[0])
                          : i == SUMMARY_SCORES - 1
                              ? arena_printf(s->arena, "%g and more", summary_score_bounds[i - 1])
                              : arena_printf(s->arena, "%g to %g", summary_score_bounds[i - 1], summary_score_bounds[i]);

        line(b, name.p, s->scores[i], s->scored);
    }
}

struct str summary_text(const struct summary *s, size_t top)
{
    static const char *const verdicts[4] = {"accepted", "rejected", "put off", NULL};
    static const char *const results[4] = {"good", "bad", "unsure", "would"};
    static const char *const once[4] = {"times", NULL};
    static const char *const refusals[4] = {NULL, "for good", "for now", NULL};
    static const double percents[] = {50, 90, 95, 99, 100};
    struct buf b = buf_in(s->arena);

    buf_addf(&b, "Mail of " STR_FMT ", %s to %s UTC\n\n", STR_ARG(str_escaped(s->arena, s->host)),
             summary_time(s->arena, s->from_ms).p, summary_time(s->arena, s->to_ms).p);
    line(&b, "messages", s->messages, 0);
    line(&b, "  accepted", s->verdicts[COUNT_ACCEPT], s->messages);
    line(&b, "  rejected", s->verdicts[COUNT_REJECT], s->messages);
    line(&b, "  put off", s->verdicts[COUNT_TEMPFAIL], s->messages);
    if (s->verdicts[COUNT_OTHER])
        line(&b, "  discarded or quarantined", s->verdicts[COUNT_OTHER], s->messages);
    line(&b, "connections without a message", s->connections, 0);
    line(&b, "  of them refused", s->refused_connections, s->connections);
    line(&b, "recipients", s->recipients, 0);
    line(&b, "  of them refused", s->recipients_refused, s->recipients);
    line(&b, "of our own networks", s->local, s->messages);
    line(&b, "authenticated", s->authenticated, s->messages);
    line(&b, "with TLS", s->tls, s->messages);
    line(&b, "whitelisted", s->whitelisted, s->messages);
    buf_addf(&b, "  %-28s %10s\n", "size", summary_bytes(s->arena, s->bytes).p);
    add_tally(&b, s, "Refused by (messages and connections)", &s->by, refusals, top);
    add_tally(&b, s, "Found by (would: reject = never)", &s->findings, results, 64);
    add_tally(&b, s, "DNS lists", &s->lists, once, top);
    add_tally(&b, s, "Viruses", &s->viruses, once, top);
    add_scores(&b, s);
    add_tally(&b, s, "Clients", &s->clients, verdicts, top);
    add_tally(&b, s, "Sender domains", &s->senders, verdicts, top);
    add_tally(&b, s, "Recipients' domains", &s->recipient_domains, verdicts, top);
    buf_addf(&b, "\nMilliseconds from MAIL to the end\n ");
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
        buf_addf(&b, " %g %%: %u%s", percents[i], summary_percentile(s, percents[i]), i < 4 ? "," : "\n");
    buf_addf(&b, "\nKarma of the connections\n");
    line(&b, "below 0", s->karma[0], s->messages);
    line(&b, "0", s->karma[1], s->messages);
    line(&b, "above 0", s->karma[2], s->messages);
    buf_addf(&b, "  from %ld to %ld\n", s->karma_lowest, s->karma_highest);
    for (size_t i = 0; i < s->gap_count; i++)
        buf_addf(&b, "%s  %s\n", i ? "" : "\nGaps in the journal\n", summary_gap(s->arena, &s->gaps[i]).p);
    return buf_str(&b);
}

/* ---- JSON ---- */

static json_t *text_of(const struct summary *s, struct str text)
{
    struct str safe = str_escaped(s->arena, text);

    return json_stringn(safe.p ? safe.p : "", safe.n);
}

static json_t *tally_json(const struct summary *s, const struct tally *t, const char *const columns[4], size_t top)
{
    json_t *list = json_array();

    for (size_t k = 0; k < t->count && k < top; k++) {
        json_t *row = json_object();

        json_object_set_new(row, "name", text_of(s, t->rows[k].name));
        for (unsigned i = 0; i < 4; i++)
            if (columns[i])
                json_object_set_new(row, columns[i], json_integer((json_int_t)t->rows[k].n[i]));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *verdicts_json(const uint64_t n[COUNTS])
{
    return json_pack("{s:I, s:I, s:I, s:I}", "accept", (json_int_t)n[COUNT_ACCEPT], "reject", (json_int_t)n[COUNT_REJECT],
                     "tempfail", (json_int_t)n[COUNT_TEMPFAIL], "other", (json_int_t)n[COUNT_OTHER]);
}

static json_t *rest_json(const struct summary *s)
{
    json_t *o = json_object(), *list = json_array(), *volume = json_array(), *gaps = json_array();

    for (unsigned i = 0; i < SUMMARY_SCORES; i++)
        json_array_append_new(
            list, json_pack("{s:o, s:I}", "below", i < SUMMARY_SCORES - 1 ? json_real(summary_score_bounds[i]) : json_null(),
                            "messages", (json_int_t)s->scores[i]));
    for (unsigned i = 0; i < s->bars; i++)
        json_array_append_new(volume, json_pack("{s:s, s:o}", "from",
                                                clock_rfc3339(s->arena, s->first_bar_ms + i * s->bar_ms).p, "verdicts",
                                                verdicts_json(s->volume[i])));
    for (size_t i = 0; i < s->gap_count; i++)
        json_array_append_new(
            gaps, json_pack("{s:s, s:s, s:I, s:o}", "from", clock_rfc3339(s->arena, s->gaps[i].from_ms).p, "to",
                            clock_rfc3339(s->arena, s->gaps[i].to_ms).p, "lost", (json_int_t)s->gaps[i].lost, "why",
                            text_of(s, s->gaps[i].why)));
    json_object_set_new(o, "spam_scores", list);
    json_object_set_new(o, "volume", volume);
    json_object_set_new(o, "gaps", gaps);
    json_object_set_new(o, "ms", json_pack("{s:I, s:I, s:I, s:I, s:I}", "p50", (json_int_t)summary_percentile(s, 50),
                                           "p90", (json_int_t)summary_percentile(s, 90), "p95",
                                           (json_int_t)summary_percentile(s, 95), "p99",
                                           (json_int_t)summary_percentile(s, 99), "max",
                                           (json_int_t)summary_percentile(s, 100)));
    json_object_set_new(o, "karma", json_pack("{s:I, s:I, s:I, s:I, s:I}", "below_0", (json_int_t)s->karma[0], "at_0",
                                              (json_int_t)s->karma[1], "above_0", (json_int_t)s->karma[2], "lowest",
                                              (json_int_t)s->karma_lowest, "highest", (json_int_t)s->karma_highest));
    return o;
}

json_t *summary_json(const struct summary *s, size_t top)
{
    static const char *const verdicts[4] = {"accept", "reject", "tempfail", "other"};
    static const char *const results[4] = {"good", "bad", "unsure", "would_reject"};
    static const char *const once[4] = {"times", NULL};
    json_t *o = json_pack("{s:o, s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "host",
                          text_of(s, s->host), "from", clock_rfc3339(s->arena, s->from_ms).p, "to",
                          clock_rfc3339(s->arena, s->to_ms).p, "messages", (json_int_t)s->messages, "verdicts",
                          verdicts_json(s->verdicts), "connections", (json_int_t)s->connections, "connections_refused",
                          (json_int_t)s->refused_connections, "recipients", (json_int_t)s->recipients,
                          "recipients_refused", (json_int_t)s->recipients_refused, "bytes", (json_int_t)s->bytes, "local",
                          (json_int_t)s->local, "authenticated", (json_int_t)s->authenticated, "tls", (json_int_t)s->tls,
                          "whitelisted", (json_int_t)s->whitelisted);

    json_object_set_new(o, "refused_by", tally_json(s, &s->by, verdicts, top));
    json_object_set_new(o, "findings", tally_json(s, &s->findings, results, 64));
    json_object_set_new(o, "lists", tally_json(s, &s->lists, once, top));
    json_object_set_new(o, "viruses", tally_json(s, &s->viruses, once, top));
    json_object_set_new(o, "clients", tally_json(s, &s->clients, verdicts, top));
    json_object_set_new(o, "sender_domains", tally_json(s, &s->senders, verdicts, top));
    json_object_set_new(o, "recipient_domains", tally_json(s, &s->recipient_domains, verdicts, top));
    json_object_update_new(o, rest_json(s));
    return o;
}
