/* raw.c - header fields back into bytes, and away with those that are not the sender's to write. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "config.h"
#include "edits.h"
#include "scan/raw.h"
#include "spool.h"

#define TOKEN_MOST 255 /* of a name in our Received field */

uint64_t raw_size(const struct message *m)
{
    return m->headers.bytes + m->headers.count * 3 + 2 + m->body_bytes;
}

/* add_value - with CRLF where the filter protocol has a lone LF between folded lines. */
static void add_value(struct buf *b, struct str value)
{
    size_t from = 0;

    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '\n' && (i == 0 || value.p[i - 1] != '\r')) {
            buf_add(b, str_slice(value, from, i));
            buf_add(b, STR("\r\n"));
            from = i + 1;
        }
    buf_add(b, str_slice(value, from, value.n));
}

bool raw_message(struct message *m, struct raw *raw)
{
    struct buf b = buf_in(m->arena);
    struct str body;

    *raw = (struct raw){.bytes = 0};
    if (!m->spool || !spool_view(m->spool, &body))
        return false;
    for (const struct header *h = m->headers.first; h; h = h->next) {
        buf_add(&b, h->name);
        buf_addc(&b, ':');
        add_value(&b, h->raw);
        buf_add(&b, STR("\r\n"));
    }
    buf_add(&b, STR("\r\n"));
    raw->pieces[1] = buf_str(&b);
    raw->pieces[2] = body;
    raw->bytes = raw->pieces[1].n + body.n;
    return true;
}

/* ---- the envelope ---- */

/* add_token - what could end its place in the field becomes a question mark. */
static void add_token(struct buf *b, struct str s, const char *instead)
{
    if (s.n == 0)
        s = str_of(instead);
    for (size_t i = 0; i < s.n && i < TOKEN_MOST; i++) {
        char c = s.p[i];

        buf_addc(b, c <= ' ' || c >= 0x7f || strchr("()[]<>;\\\"", c) ? '?' : c);
    }
}

static void add_date(struct buf *b)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        return;
    buf_addf(b, "%s, %02d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void add_received(struct buf *b, const struct message *m)
{
    const struct session *s = m->session;

    buf_add(b, STR("Received: from "));
    add_token(b, s->helo, "unknown");
    buf_add(b, STR(" ("));
    add_token(b, s->peer.name, "unknown");
    buf_addf(b, " [%s" STR_FMT "])\r\n\t", ip_is_v4(s->peer.ip) ? "" : "IPv6:",
             STR_ARG(ip_text(m->arena, s->peer.ip)));
    if (s->auth.n) {
        buf_add(b, STR("(Authenticated sender: "));
        add_token(b, s->auth, "");
        buf_add(b, STR(")\r\n\t"));
    }
    buf_add(b, STR("by "));
    add_token(b, s->config->global.hostname, "localhost");
    buf_addf(b, " (Postfix) with ESMTP%s%s id ", s->tls_version.n ? "S" : "", s->auth.n ? "A" : "");
    add_token(b, m->queue_id.n ? m->queue_id : m->ref, "unknown");
    buf_add(b, STR(";\r\n\t"));
    add_date(b);
    buf_add(b, STR("\r\n"));
}

void raw_add_envelope(struct message *m, struct raw *raw)
{
    struct buf b = buf_in(m->arena);

    buf_add(&b, STR("X-Envelope-From: <"));
    add_token(&b, m->sender.text, "");
    buf_add(&b, STR(">\r\n"));
    if (m->session->peer.ip.known)
        add_received(&b, m);
    raw->pieces[0] = buf_str(&b);
    raw->bytes += b.len;
}

/* ---- forged fields ---- */

struct forged {
    struct str name;
    size_t order;
};

static int by_name(const void *pa, const void *pb)
{
    const struct forged *a = pa, *b = pb;
    int order = str_compare(a->name, b->name);

    return order ? order : a->order < b->order ? -1 : a->order > b->order;
}

/* is_queued - another policy may have been here. */
static bool is_queued(const struct edits *edits, struct str name, int index)
{
    for (const struct edit *e = edits->first; e; e = e->next)
        if (e->kind == EDIT_DELETE_HEADER && e->index == index && str_is_nocase(e->name, name))
            return true;
    return false;
}

/* is_forged - "X-Spam-" means X-Spam too, but not X-Spammer. */
static bool is_forged(struct str name, struct str prefix)
{
    return str_starts_nocase(name, prefix) ||
           (prefix.p[prefix.n - 1] == '-' && str_is_nocase(name, str_slice(prefix, 0, prefix.n - 1)));
}

bool forged_remove(struct message *m, struct str prefix)
{
    struct forged list[FORGED_MOST];
    bool all = true;
    size_t n = 0;
    int index = 0;

    for (const struct header *h = m->headers.first; h && all; h = h->next)
        if (is_forged(h->name, prefix)) {
            all = n < FORGED_MOST;
            if (all) {
                list[n] = (struct forged){str_lower(m->arena, h->name), n};
                n++;
            }
        }
    qsort(list, n, sizeof list[0], by_name); /* the index of an edit counts the fields of one name */
    for (size_t i = 0; i < n; i++) {
        index = i && str_is(list[i].name, list[i - 1].name) ? index + 1 : 1;
        if (!is_queued(m->edits, list[i].name, index))
            edit_delete_header(m->arena, m->edits, list[i].name, index);
    }
    return all;
}
