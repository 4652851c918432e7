/* summary_page.c - the summary as one page that needs nothing else: no script, no font, no picture of others.
 *
 * Every byte that is not ours goes through add_html(), which lets nothing but text through.
 */
#include "summary.h"

#define CHART_WIDTH 960
#define CHART_HEIGHT 220
#define CHART_LEFT 48
#define CHART_BOTTOM 24
#define LABEL_WIDTH 110 /* of a time below the axis */

static const char *const verdict_words[COUNTS] = {"accepted", "rejected", "put off", "other"};
static const char *const verdict_classes[COUNTS] = {"accept", "reject", "later", "other"};

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<style>\n"
    ":root { --back: #fff; --card: #f4f5f7; --text: #1c2126; --soft: #5d6671; --line: #d6dae0;\n"
    "  --accept: #2f6fbf; --reject: #c4472f; --later: #c98a12; --other: #7a6a9a }\n"
    "@media (prefers-color-scheme: dark) { :root { --back: #14171a; --card: #1f2428; --text: #e6e9ec;\n"
    "  --soft: #9aa4ae;\n"
    "  --line: #363d44; --accept: #6ba3e8; --reject: #e9795f; --later: #e3b04b; --other: #ab9bd0 } }\n"
    "* { box-sizing: border-box }\n"
    "body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--back); color: var(--text);\n"
    "  font: 16px/1.45 system-ui, sans-serif }\n"
    "h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.05rem; margin: 0 0 .6rem } p { margin: .2rem 0 1rem }\n"
    ".soft, small { color: var(--soft) }\n"
    ".tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem;\n"
    "  margin: 1rem 0 }\n"
    ".tile, section { background: var(--card); border-radius: .5rem; padding: .8rem 1rem }\n"
    ".tile small { display: block } .tile b { display: block; font-size: 1.5rem; font-weight: 600;\n"
    "  font-variant-numeric: tabular-nums }\n"
    "main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: .8rem;\n"
    "  align-items: start }\n"
    "section.wide { grid-column: 1 / -1 } section { min-width: 0 }\n"
    "svg { display: block; width: 100%; height: auto; overflow: visible } svg text { fill: var(--soft);\n"
    "  font-size: 13px }\n"
    "svg line { stroke: var(--line) } .scroll { overflow-x: auto } .scroll svg { min-width: 34rem }\n"
    ".accept { fill: var(--accept); background: var(--accept) } .reject { fill: var(--reject);\n"
    "  background: var(--reject) }\n"
    ".later { fill: var(--later); background: var(--later) } .other { fill: var(--other); background: var(--other) }\n"
    ".key { margin: .5rem 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem }\n"
    ".key i, .bar i { display: inline-block; height: .75em } .key i { width: .75em; margin-right: .4em;\n"
    "  border-radius: 2px }\n"
    "table { width: 100%; border-collapse: collapse; font-size: .92rem }\n"
    "td, th { padding: .22rem .3rem; text-align: right; font-variant-numeric: tabular-nums; vertical-align: top }\n"
    "th { font-weight: 500; color: var(--soft) } tr + tr td { border-top: 1px solid var(--line) }\n"
    "td:first-child, th:first-child { text-align: left; overflow-wrap: anywhere; width: 50% }\n"
    ".bar { display: flex; height: .4em; margin-top: .15em; border-radius: 2px; overflow: hidden }\n"
    "  .bar i { height: 100% }\n"
    "footer { margin: 1.2rem 0 .2rem; font-size: .85rem }\n"
    "</style>\n";

/* add_html - as text: what could begin a tag or end an attribute becomes a reference, what does not show becomes \xHH. */
static void add_html(struct buf *b, struct arena *a, struct str text)
{
    struct str s = str_escaped(a, text);

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '<' || s.p[i] == '>' || s.p[i] == '&' || s.p[i] == '"' || s.p[i] == '\'')
            buf_addf(b, "&#%d;", s.p[i]);
        else
            buf_addc(b, s.p[i]);
}

static void tile(struct buf *b, const char *name, struct str value, const char *note)
{
    buf_addf(b, "<div class=\"tile\"><b>" STR_FMT "</b>%s <small>%s</small></div>\n", STR_ARG(value), name, note);
}

static struct str digits(struct arena *a, uint64_t n)
{
    struct str plain = arena_printf(a, "%llu", (unsigned long long)n);
    struct buf b = buf_in(a);

    for (size_t i = 0; i < plain.n; i++) {
        if (i && (plain.n - i) % 3 == 0)
            buf_add(&b, STR("&#8239;"));
        buf_addc(&b, plain.p[i]);
    }
    return buf_str(&b);
}

static const char *percent(struct arena *a, uint64_t n, uint64_t of)
{
    return of ? arena_printf(a, "%.1f %%", 100.0 * (double)n / (double)of).p : "";
}

static void add_tiles(struct buf *b, const struct summary *s)
{
    struct arena *a = s->arena;

    buf_add(b, STR("<div class=\"tiles\">\n"));
    tile(b, "messages", digits(a, s->messages), summary_bytes(a, s->bytes).p);
    tile(b, "accepted", digits(a, s->verdicts[COUNT_ACCEPT]), percent(a, s->verdicts[COUNT_ACCEPT], s->messages));
    tile(b, "rejected", digits(a, s->verdicts[COUNT_REJECT]), percent(a, s->verdicts[COUNT_REJECT], s->messages));
    tile(b, "put off", digits(a, s->verdicts[COUNT_TEMPFAIL]), percent(a, s->verdicts[COUNT_TEMPFAIL], s->messages));
    tile(b, "connections", digits(a, s->connections),
         arena_printf(a, "without a message, " STR_FMT " refused", STR_ARG(digits(a, s->refused_connections))).p);
    tile(b, "recipients", digits(a, s->recipients),
         arena_printf(a, STR_FMT " refused", STR_ARG(digits(a, s->recipients_refused))).p);
    tile(b, "with TLS", digits(a, s->tls), percent(a, s->tls, s->messages));
    tile(b, "authenticated", digits(a, s->authenticated), percent(a, s->authenticated, s->messages));
    buf_add(b, STR("</div>\n"));
}

/* round_up - 1, 2 or 5 times a power of ten. */
static uint64_t round_up(uint64_t n)
{
    uint64_t power = 1;

    while (power * 10 <= n && power < UINT64_MAX / 100)
        power *= 10;
    return n <= power ? power : n <= 2 * power ? 2 * power : n <= 5 * power ? 5 * power : 10 * power;
}

static void add_key(struct buf *b, unsigned columns)
{
    buf_add(b, STR("<ul class=\"key\">"));
    for (unsigned i = 0; i < columns; i++)
        buf_addf(b, "<li><i class=\"%s\"></i>%s</li>", verdict_classes[i], verdict_words[i]);
    buf_add(b, STR("</ul>\n"));
}

static void add_bar(struct buf *b, const struct summary *s, unsigned i, uint64_t most)
{
    double width = (double)(CHART_WIDTH - CHART_LEFT) / s->bars, y = CHART_HEIGHT;
    uint64_t sum = 0;

    for (unsigned k = 0; k < COUNTS; k++)
        sum += s->volume[i][k];
    if (sum == 0)
        return;
    buf_addf(b, "<g><title>%s:", summary_time(s->arena, s->first_bar_ms + i * s->bar_ms).p);
    for (unsigned k = 0; k < COUNTS; k++)
        if (s->volume[i][k])
            buf_addf(b, " %llu %s", (unsigned long long)s->volume[i][k], verdict_words[k]);
    buf_add(b, STR("</title>"));
    for (unsigned k = 0; k < COUNTS; k++) {
        double height = (double)s->volume[i][k] / (double)most * CHART_HEIGHT;

        y -= height;
        if (s->volume[i][k])
            buf_addf(b, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", verdict_classes[k],
                     CHART_LEFT + i * width, y, width > 3 ? width - 1.5 : width, height);
    }
    buf_add(b, STR("</g>\n"));
}

static void add_volume(struct buf *b, const struct summary *s)
{
    uint64_t most = 1;
    unsigned every = s->bars / 6 + 1;

    for (unsigned i = 0; i < s->bars; i++) {
        uint64_t sum = 0;

        for (unsigned k = 0; k < COUNTS; k++)
            sum += s->volume[i][k];
        most = sum > most ? sum : most;
    }
    most = round_up(most);
    buf_addf(b, "<section class=\"wide\"><h2>Messages and refused connections</h2>\n<div class=\"scroll\">"
                "<svg role=\"img\" aria-label=\"volume over time\" viewBox=\"0 -8 %d %d\">\n",
             CHART_WIDTH, CHART_HEIGHT + CHART_BOTTOM + 8);
    for (unsigned i = 0; i <= 2; i++)
        if (most * i % 2 == 0)
            buf_addf(b, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%llu"
                        "</text>\n",
                     CHART_LEFT, CHART_WIDTH, CHART_HEIGHT - (int)i * CHART_HEIGHT / 2,
                     CHART_HEIGHT - (int)i * CHART_HEIGHT / 2, CHART_LEFT - 6,
                     CHART_HEIGHT - (int)i * CHART_HEIGHT / 2 + 4, (unsigned long long)(most * i / 2));
    for (unsigned i = 0; i < s->bars; i++)
        add_bar(b, s, i, most);
    for (unsigned i = 0; i < s->bars; i += every) {
        struct str time = summary_time(s->arena, s->first_bar_ms + i * s->bar_ms);
        double x = CHART_LEFT + i * (double)(CHART_WIDTH - CHART_LEFT) / s->bars;
        bool is_last = x + LABEL_WIDTH > CHART_WIDTH; /* it would be cut off */

        buf_addf(b, "<text x=\"%.0f\" y=\"%d\"%s>%s</text>\n", is_last ? (double)CHART_WIDTH : x, CHART_HEIGHT + 18,
                 is_last ? " text-anchor=\"end\"" : "",
                 str_slice(time, s->bar_ms < 86400000 ? 5 : 0, time.n).p);
    }
    buf_add(b, STR("</svg></div>\n"));
    add_key(b, s->verdicts[COUNT_OTHER] ? COUNTS : COUNT_OTHER);
    buf_add(b, STR("</section>\n"));
}

/* add_tally - a table with a bar under every name: how its columns divide, and how long it is beside the longest. */
static void add_tally(struct buf *b, const struct summary *s, const char *title, const struct tally *t,
                      const char *const columns[4], const char *const classes[4], size_t top)
{
    uint64_t most = t->count ? tally_sum(&t->rows[0]) : 0;

    if (t->count == 0)
        return;
    buf_addf(b, "<section><h2>%s</h2>\n<table><tr><th></th>", title);
    for (unsigned i = 0; i < 4; i++)
        if (columns[i])
            buf_addf(b, "<th>%s</th>", columns[i]);
    buf_add(b, STR("</tr>\n"));
    for (size_t k = 0; k < t->count && k < top; k++) {
        buf_add(b, STR("<tr><td>"));
        add_html(b, s->arena, str_slice(t->rows[k].name, 0, 120));
        buf_add(b, STR("<span class=\"bar\">"));
        for (unsigned i = 0; i < 4; i++)
            if (columns[i] && t->rows[k].n[i])
                buf_addf(b, "<i class=\"%s\" style=\"width:%.2f%%\"></i>", classes[i],
                         100.0 * (double)t->rows[k].n[i] / (double)most);
        buf_add(b, STR("</span></td>"));
        for (unsigned i = 0; i < 4; i++)
            if (columns[i])
                buf_addf(b, "<td>" STR_FMT "</td>", STR_ARG(digits(s->arena, t->rows[k].n[i])));
        buf_add(b, STR("</tr>\n"));
    }
    buf_add(b, STR("</table>"));
    if (t->count > top)
        buf_addf(b, "<small>and %zu others</small>", t->count - top);
    buf_add(b, STR("</section>\n"));
}

static void add_latency(struct buf *b, const struct summary *s)
{
    static const double percents[] = {50, 75, 90, 95, 99, 99.9, 100};
    uint32_t most = summary_percentile(s, 100);

    if (s->ms_count == 0)
        return;
    buf_add(b, STR("<section><h2>Milliseconds from MAIL to the end</h2>\n<table><tr><th>of the messages</th>"
                   "<th>within</th></tr>\n"));
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        uint32_t ms = summary_percentile(s, percents[i]);

        buf_addf(b, "<tr><td>%g %%<span class=\"bar\"><i class=\"accept\" style=\"width:%.2f%%\"></i></span></td>"
                    "<td>" STR_FMT "</td></tr>\n",
                 percents[i], most ? 100.0 * ms / most : 0, STR_ARG(digits(s->arena, ms)));
    }
    buf_add(b, STR("</table></section>\n"));
}

static void add_scores(struct buf *b, const struct summary *s)
{
    uint64_t most = 1;

    if (s->scored == 0)
        return;
    for (unsigned i = 0; i < SUMMARY_SCORES; i++)
        most = s->scores[i] > most ? s->scores[i] : most;
    buf_addf(b, "<section><h2>Spam scores <small>%.1f on average, %.1f at most</small></h2>\n<table>",
             s->score_sum / (double)s->scored, s->score_most);
    for (unsigned i = 0; i < SUMMARY_SCORES; i++) {
        buf_add(b, STR("<tr><td>"));
        if (i == 0)
            buf_addf(b, "below %g", summary_score_bounds[0]);
        else if (i == SUMMARY_SCORES - 1)
            buf_addf(b, "%g and more", summary_score_bounds[i - 1]);
        else
            buf_addf(b, "%g to %g", summary_score_bounds[i - 1], summary_score_bounds[i]);
        buf_addf(b, "<span class=\"bar\"><i class=\"%s\" style=\"width:%.2f%%\"></i></span></td>"
                    "<td>" STR_FMT "</td></tr>\n",
                 i < 4 ? "accept" : "reject", 100.0 * (double)s->scores[i] / (double)most,
                 STR_ARG(digits(s->arena, s->scores[i])));
    }
    buf_add(b, STR("</table></section>\n"));
}

static void add_karma(struct buf *b, const struct summary *s)
{
    static const char *const names[] = {"below 0", "0", "above 0"}, *const classes[] = {"reject", "other", "accept"};

    buf_addf(b, "<section><h2>Karma of the connections <small>%ld to %ld</small></h2>\n<table>", s->karma_lowest,
             s->karma_highest);
    for (unsigned i = 0; i < 3; i++)
        buf_addf(b, "<tr><td>%s<span class=\"bar\"><i class=\"%s\" style=\"width:%.2f%%\"></i></span></td><td>" STR_FMT
                    "</td></tr>\n",
                 names[i], classes[i], s->messages ? 100.0 * (double)s->karma[i] / (double)s->messages : 0,
                 STR_ARG(digits(s->arena, s->karma[i])));
    buf_add(b, STR("</table></section>\n"));
}

static void add_gaps(struct buf *b, const struct summary *s)
{
    if (s->gap_count == 0)
        return;
    buf_add(b, STR("<section class=\"wide\"><h2>Gaps in the journal</h2>\n"));
    for (size_t i = 0; i < s->gap_count; i++) {
        buf_add(b, STR("<p>"));
        add_html(b, s->arena, summary_gap(s->arena, &s->gaps[i]));
        buf_add(b, STR("</p>\n"));
    }
    buf_add(b, STR("</section>\n"));
}

struct str summary_page(const struct summary *s, size_t top)
{
    static const char *const verdicts[4] = {"accepted", "rejected", "put off", NULL};
    static const char *const refusals[4] = {NULL, "for good", "for now", NULL};
    static const char *const results[4] = {"good", "bad", "unsure", "would reject"};
    static const char *const kinds[4] = {"accept", "reject", "later", "other"};
    static const char *const once[4] = {"times", NULL}, *const bad[4] = {"reject", NULL};
    struct buf b = buf_in(s->arena);

    buf_add(&b, str_of(head));
    buf_add(&b, STR("<title>Mail of "));
    add_html(&b, s->arena, s->host);
    buf_add(&b, STR("</title>\n</head>\n<body>\n<header><h1>Mail of "));
    add_html(&b, s->arena, s->host);
    buf_addf(&b, "</h1>\n<p class=\"soft\">%s to %s UTC</p></header>\n", summary_time(s->arena, s->from_ms).p,
             summary_time(s->arena, s->to_ms).p);
    add_tiles(&b, s);
    buf_add(&b, STR("<main>\n"));
    add_volume(&b, s);
    add_tally(&b, s, "Refused by", &s->by, refusals, verdict_classes, top);
    add_tally(&b, s, "Found by", &s->findings, results, kinds, 64);
    add_tally(&b, s, "DNS lists", &s->lists, once, bad, top);
    add_tally(&b, s, "Viruses", &s->viruses, once, bad, top);
    add_scores(&b, s);
    add_latency(&b, s);
    add_karma(&b, s);
    add_tally(&b, s, "Clients", &s->clients, verdicts, verdict_classes, top);
    add_tally(&b, s, "Sender domains", &s->senders, verdicts, verdict_classes, top);
    add_tally(&b, s, "Recipients' domains", &s->recipient_domains, verdicts, verdict_classes, top);
    add_gaps(&b, s);
    buf_add(&b, STR("</main>\n<footer class=\"soft\">sme-milterctl summary --html</footer>\n</body>\n</html>\n"));
    return buf_str(&b);
}
