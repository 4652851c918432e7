/* karma.c - keys of clients, and the arithmetic of their records. */
#include <string.h>

#include "karma_store.h"

#define AHEAD_MOST 3600     /* s: a release or a visit so much later than the event was stamped by a wrong clock */
#define BONUS_BEYOND 5      /* naughty connections of a client that never was nice */

static const struct str captured = {"captured", 8};

/* ---- keys ---- */

struct karma_net karma_net_of(struct ip ip)
{
    struct karma_net net = {{0}};
    bool v4 = ip_is_v4(ip);

    net.b[0] = v4 ? 128 : 64;
    memcpy(net.b + 1, ip.b, v4 ? 16 : 8);
    return net;
}

static struct ip address_of(const struct karma_net *net)
{
    struct ip ip = {.known = true};

    memcpy(ip.b, net->b + 1, sizeof ip.b);
    return ip;
}

struct str karma_net_text(struct arena *a, const struct karma_net *net)
{
    struct str address = ip_text(a, address_of(net));

    return net->b[0] == 128 ? address : arena_printf(a, STR_FMT "/%u", STR_ARG(address), net->b[0]);
}

bool karma_net_parse(struct str text, struct karma_net *net)
{
    size_t slash = str_find(text, '/');
    struct str bits = str_slice(text, slash + 1, text.n);
    struct ip ip;

    if (!ip_parse(str_slice(text, 0, slash), &ip))
        return false;
    *net = karma_net_of(ip);
    if (slash == text.n || str_is(bits, ip_is_v4(ip) ? STR("32") : STR("64")))
        return true;
    return ip_is_v4(ip) && str_is(bits, STR("128")) && str_find(text, ':') < text.n;
}

/* ---- arithmetic ---- */

int64_t karma_history(const struct karma_record *r)
{
    int64_t history;

    if (__builtin_sub_overflow(r->nice, r->naughty, &history)) /* only somebody's own SQL can have made that */
        return r->nice < 0 ? INT64_MIN : INT64_MAX;
    return history;
}

bool karma_boxed(const struct karma_record *r, int64_t now, int64_t max_penalty_s, int64_t *until)
{
    int64_t left;

    *until = r->penalty_until;
    if (r->penalty_until <= now)
        return false;
    if (str_starts(str_of(r->last_reason), captured))
        return true;
    return !__builtin_sub_overflow(r->penalty_until, now, &left) && left <= max_penalty_s;
}

/* penalty - how long the client is boxed by a naughty connection that is already counted; 0: not at all. */
static int64_t penalty(const struct karma_record *r, const struct karma_rules *rules)
{
    int64_t history = karma_history(r), times = 1, length;

    if (history > -rules->negative)
        return 0;
    if (r->nice == 0 && history < -BONUS_BEYOND)
        times += r->naughty - BONUS_BEYOND;
    if (__builtin_mul_overflow(rules->penalty_s, times, &length) || length > rules->max_penalty_s)
        return rules->max_penalty_s;
    return length;
}

static void be_naughty(struct karma_record *r, const struct karma_event *e)
{
    int64_t at = (int64_t)e->at, length, until;
    bool boxed = karma_boxed(r, at, e->rules.max_penalty_s, &until);

    r->naughty++;
    length = penalty(r, &e->rules);
    /* A time that is not believed is replaced: otherwise a clock that once was wrong would keep the client out of the
     * box for years. */
    if (length && (!boxed || at + length > until))
        r->penalty_until = at + length;
    /* What an administrator did stays written there as long as it holds: karma_boxed() asks for it. */
    if (!boxed || !str_starts(str_of(r->last_reason), captured))
        memcpy(r->last_reason, e->reason, sizeof r->last_reason);
}

void karma_apply(struct karma_record *r, const struct karma_event *e)
{
    int64_t at = (int64_t)e->at;
    bool older = e->at < r->cleared_at && r->cleared_at <= e->at + AHEAD_MOST;

    r->connects++;
    if (e->nice)
        r->nice++;
    if (r->first_seen == 0 || at < r->first_seen)
        r->first_seen = at;
    if (at > r->last_seen || r->last_seen > at + AHEAD_MOST)
        r->last_seen = at;
    if (e->naughty && !older)
        be_naughty(r, e);
}
