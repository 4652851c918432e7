/* karma_lines.c - one line of what `karma import` reads. */
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "karma_lines.h"
#include "base/clock.h"

#define COUNT_MOST INT64_C(1000000000000000)
#define TIME_MOST INT64_C(253402300799) /* the year 9999 */

static enum karma_line is_bad(struct str *why, struct str words)
{
    *why = words;
    return KARMA_LINE_BAD;
}

/* ---- our export ---- */

static const char *const keys[] = {"network",    "nice",       "naughty",   "connects",   "penalty_until",
                                   "cleared_at", "first_seen", "last_seen", "last_reason"};

static bool is_key(const char *key)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static bool read_integer(const json_t *object, const char *key, int64_t most, int64_t *value)
{
    const json_t *v = json_object_get(object, key);

    *value = json_integer_value(v);
    return json_is_integer(v) && *value >= 0 && *value <= most;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* read_reason - buf_add_escaped() backwards. A text that it has not written is not ours. */
static bool read_reason(struct str text, char reason[KARMA_REASON_MOST])
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; n++) {
        char c = text.p[i++];

        if (c == '\\' && i < text.n && text.p[i] == '\\') {
            i++;
        } else if (c == '\\') {
            if (i + 3 > text.n || text.p[i] != 'x' || hex(text.p[i + 1]) < 0 || hex(text.p[i + 2]) < 0)
                return false;
            c = (char)(hex(text.p[i + 1]) * 16 + hex(text.p[i + 2]));
            i += 3;
        }
        if (n + 1 >= KARMA_REASON_MOST || c == '\0')
            return false;
        reason[n] = c;
    }
    return true;
}

static enum karma_line read_object(struct arena *a, json_t *object, struct karma_net *net, struct karma_record *r,
                                   struct str *why)
{
    const struct {
        const char *key;
        int64_t most, *to;
    } integers[] = {
        {"nice", COUNT_MOST, &r->nice},
        {"naughty", COUNT_MOST, &r->naughty},
        {"connects", COUNT_MOST, &r->connects},
        {"penalty_until", TIME_MOST, &r->penalty_until},
        {"first_seen", TIME_MOST, &r->first_seen},
        {"last_seen", TIME_MOST, &r->last_seen},
    };
    const char *network = json_string_value(json_object_get(object, "network")), *key;
    const json_t *cleared = json_object_get(object, "cleared_at"), *reason = json_object_get(object, "last_reason");
    json_t *value;

    json_object_foreach(object, key, value)
        if (!is_key(key))
            return is_bad(why, arena_printf(a, "\"" STR_FMT "\" is not known", STR_ARG(str_escaped(a, str_of(key)))));
    if (!network || !karma_net_parse(str_of(network), net))
        return is_bad(why, STR("network is not an address, nor a /64"));
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        if (!read_integer(object, integers[i].key, integers[i].most, integers[i].to))
            return is_bad(why, arena_printf(a, "%s is missing, or not a number from 0 to %lld", integers[i].key,
                                            (long long)integers[i].most));
    r->cleared_at = json_number_value(cleared);
    if (!json_is_number(cleared) || !(r->cleared_at >= 0 && r->cleared_at <= (double)TIME_MOST))
        return is_bad(why, STR("cleared_at is missing, or not a time"));
    if (!json_is_string(reason) || !read_reason(str_of(json_string_value(reason)), r->last_reason))
        return is_bad(why, arena_printf(a, "last_reason is missing, longer than %d bytes or wrongly escaped",
                                        KARMA_REASON_MOST - 1));
    return KARMA_LINE_ROW;
}

static enum karma_line read_export(struct arena *a, struct str line, struct karma_net *net, struct karma_record *r,
                                   struct str *why)
{
    json_error_t error;
    json_t *object;
    enum karma_line result;

    if (line.n == 0)
        return KARMA_LINE_NOTHING;
    object = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        return is_bad(why, arena_printf(a, "not JSON: " STR_FMT, STR_ARG(str_escaped(a, str_of(error.text)))));
    result = json_is_object(object) ? read_object(a, object, net, r, why) : is_bad(why, STR("not a JSON object"));
    json_decref(object);
    return result;
}

/* ---- karma_tool list: what it writes is " %-18s  %24s    %3s     %3s     %3s    NAME", each but the address may be
 * blank; lines that somebody has laid out anew are read by words ---- */

struct columns {
    struct str address, penalty, naughty, nice, connects;
};

static char byte_at(struct str line, size_t at)
{
    return at < line.n ? line.p[at] : ' ';
}

static bool blanks(struct str line, size_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (byte_at(line, (*at)++) != ' ')
            return false;
    return true;
}

/* count_column - right-aligned in three columns or as many as it needs. */
static bool count_column(struct str line, size_t *at, struct str *text)
{
    size_t from = *at, to;

    while (from < *at + 3 && byte_at(line, from) == ' ')
        from++;
    for (to = from; byte_at(line, to) != ' '; to++)
        if (byte_at(line, to) < '0' || byte_at(line, to) > '9')
            return false;
    if (to < *at + 3)
        return false;
    *text = str_slice(line, from, to);
    *at = to;
    return true;
}

static bool split_layout(struct str line, struct columns *c)
{
    size_t at = 0, to;

    if (!blanks(line, &at, 1))
        return false;
    for (to = at; byte_at(line, to) != ' '; to++)
        ;
    c->address = str_slice(line, at, to);
    at = to;
    if (at < 1 + 18 && !blanks(line, &at, 1 + 18 - at))
        return false;
    if (!blanks(line, &at, 2))
        return false;
    c->penalty = str_trim(str_slice(line, at, at + 24));
    at += 24;
    if (!blanks(line, &at, 4) || !count_column(line, &at, &c->naughty) || !blanks(line, &at, 5) ||
        !count_column(line, &at, &c->nice) || !blanks(line, &at, 5) || !count_column(line, &at, &c->connects))
        return false;
    return byte_at(line, at) == ' ' && c->naughty.n + c->nice.n + c->connects.n > 0;
}

static bool is_count(struct str word)
{
    bool digits = word.n > 0;

    for (size_t i = 0; i < word.n; i++)
        digits = digits && word.p[i] >= '0' && word.p[i] <= '9';
    return digits || str_is(word, STR("-"));
}

static bool is_clock(struct str word)
{
    return word.n >= 5 && word.p[2] == ':' && word.p[0] >= '0' && word.p[0] <= '9';
}

/* split_words - address, then "Thu Jan  1 00:00" or a number or nothing, then three numbers; "-" for what is blank. */
static bool split_words(struct str line, struct columns *c)
{
    struct str words[8] = {{0}}, rest = line, tail;
    size_t n = 0, at = 1;

    while (n < 8 && str_token(&rest, &words[n]))
        n++;
    c->address = words[0];
    if (n >= 5 && is_clock(words[4])) { /* the views are of one line: the date is what lies between them */
        tail = words[4];
        c->penalty = (struct str){words[1].p, (size_t)(tail.p + tail.n - words[1].p)};
        at = 5;
    } else if (n >= 5 && (is_count(words[1]) || words[1].n == 20) && is_count(words[4])) {
        c->penalty = words[1];
        at = 2;
    }
    if (n < at + 3 || !is_count(words[at]) || !is_count(words[at + 1]) || !is_count(words[at + 2]))
        return false;
    c->naughty = words[at];
    c->nice = words[at + 1];
    c->connects = words[at + 2];
    return true;
}

/* read_address - dotted, or the original's key: the address as one number, from 2^32 on of IPv6. */
static bool read_address(struct str text, struct ip *ip)
{
    *ip = (struct ip){.known = true};
    if (!is_count(text) || text.p[0] == '-')
        return ip_parse(text, ip);
    for (size_t i = 0; i < text.n; i++) {
        unsigned carry = (unsigned)(text.p[i] - '0');

        for (size_t k = 16; k-- > 0;) {
            carry += ip->b[k] * 10u;
            ip->b[k] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry)
            return false;
    }
    for (size_t k = 0; k < 12; k++)
        if (ip->b[k])
            return true;
    ip->b[10] = ip->b[11] = 0xff;
    return true;
}

static int name_index(struct str word, const char *names)
{
    for (int i = 0; word.n == 3 && names[3 * i]; i++)
        if (str_is_nocase(word, (struct str){names + 3 * i, 3}))
            return i;
    return -1;
}

/* in_year - the seconds of this moment of local time, if the year has it, on that day of the week. */
static bool in_year(const struct tm *want, int year, int64_t *seconds)
{
    struct tm tm = *want;
    time_t t;

    tm.tm_year = year;
    tm.tm_isdst = -1;
    t = mktime(&tm);
    *seconds = t;
    return t != (time_t)-1 && tm.tm_mon == want->tm_mon && tm.tm_mday == want->tm_mday && tm.tm_wday == want->tm_wday;
}

static bool number_in(struct str s, long most, int *value)
{
    long n;

    if (s.n == 0 || s.n > 2 || s.p[0] == '-' || !str_to_long(s, &n) || n > most)
        return false;
    *value = (int)n;
    return true;
}

/* read_date - "Thu Jan  1 00:00", local time. It has no year: the day of the week tells which one is nearest. */
static bool read_date(struct str text, int64_t now, int64_t *seconds)
{
    struct str weekday, month, day, hour, minute;
    struct tm want = {0}, today;
    time_t t = (time_t)now;
    int64_t found;
    bool any = false;

    if (!str_token(&text, &weekday) || !str_token(&text, &month) || !str_token(&text, &day) ||
        !str_split(&text, ':', &hour))
        return false;
    minute = str_slice(str_trim(text), 0, 2);
    want.tm_wday = name_index(weekday, "SunMonTueWedThuFriSat");
    want.tm_mon = name_index(month, "JanFebMarAprMayJunJulAugSepOctNovDec");
    if (want.tm_wday < 0 || want.tm_mon < 0 || !number_in(day, 31, &want.tm_mday) ||
        !number_in(str_trim(hour), 23, &want.tm_hour) || !number_in(minute, 59, &want.tm_min) ||
        !localtime_r(&t, &today))
        return false;
    for (int year = today.tm_year - 12; year <= today.tm_year + 12; year++)
        if (in_year(&want, year, &found) && (!any || llabs(found - now) < llabs(*seconds - now))) {
            *seconds = found;
            any = true;
        }
    return any;
}

static bool read_penalty(struct str text, int64_t now, int64_t *start)
{
    int64_t ms;
    long n;

    *start = 0;
    if (text.n == 0 || str_is(text, STR("-")))
        return true;
    if (is_count(text)) {
        *start = str_to_long(text, &n) ? n : -1;
        return *start >= 0 && *start <= TIME_MOST;
    }
    if (clock_parse_rfc3339(text, &ms)) {
        *start = ms / 1000;
        return *start > 0;
    }
    return read_date(text, now, start);
}

static bool read_count(struct str text, int64_t *value)
{
    long n = 0;

    if (text.n && !str_is(text, STR("-")) && (!str_to_long(text, &n) || n < 0 || n > COUNT_MOST))
        return false;
    *value = n;
    return true;
}

/* is_around - the heading, rules of dashes, the path at the top and the totals at the end. */
static bool is_around(struct str line)
{
    struct str word, rest = line, text = str_trim(line);
    bool rule = true;

    for (size_t i = 0; i < text.n; i++)
        rule = rule && memchr("-=+| ", text.p[i], 5) != NULL;
    if (rule || !str_token(&rest, &word))
        return true;
    return str_starts(text, STR("IP Address")) || str_starts(text, STR("using karma db ")) ||
           str_starts(text, STR("$VAR1")) || str_starts(text, STR("'")) || str_starts(text, STR("}"));
}

static enum karma_line read_listed(struct arena *a, struct str line, const struct karma_line_rules *rules,
                                   struct karma_net *net, struct karma_record *r, struct str *why)
{
    struct columns c = {.address = STR_NONE};
    struct ip ip;
    int64_t start;

    if (is_around(line))
        return KARMA_LINE_NOTHING;
    if (!split_layout(line, &c) && !split_words(line, &c))
        return is_bad(why, STR("not a line of `karma_tool list`: address, penalty, naughty, nice, connects"));
    if (c.address.n == 0) {
        *why = STR("no address: karma_tool cannot print an IPv6 one");
        return KARMA_LINE_SKIPPED;
    }
    if (!read_address(c.address, &ip))
        return is_bad(why, arena_printf(a, "\"" STR_FMT "\" is not an address", STR_ARG(str_escaped(a, c.address))));
    if (!read_count(c.naughty, &r->naughty) || !read_count(c.nice, &r->nice) || !read_count(c.connects, &r->connects))
        return is_bad(why, STR("a number is too large"));
    if (!read_penalty(c.penalty, rules->now, &start))
        return is_bad(why, arena_printf(a, "\"" STR_FMT "\" is not a date like \"Thu Jan  1 00:00\"",
                                        STR_ARG(str_escaped(a, c.penalty))));
    if (ip_is_v4(ip) && ip.b[12] == 0) {
        *why = arena_printf(a, STR_FMT " is no client's address, but what karma_tool makes of an IPv6 one",
                            STR_ARG(ip_text(a, ip)));
        return KARMA_LINE_SKIPPED;
    }
    *net = karma_net_of(ip);
    r->penalty_until = start > 0 ? start + rules->penalty_s : 0;
    r->first_seen = r->last_seen = rules->now; /* it does not say, and what was not seen for long would be pruned */
    if (start > 0 || r->naughty > 0)
        memcpy(r->last_reason, "imported", sizeof "imported");
    return KARMA_LINE_ROW;
}

enum karma_line karma_line_read(struct arena *a, enum karma_dialect dialect, struct str line,
                                const struct karma_line_rules *rules, struct karma_net *net, struct karma_record *r,
                                struct str *why)
{
    memset(net, 0, sizeof *net);
    memset(r, 0, sizeof *r);
    *why = STR_NONE;
    if (line.n > KARMA_LINE_MOST)
        return is_bad(why, arena_printf(a, "longer than %d bytes", KARMA_LINE_MOST));
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (dialect == KARMA_EXPORT)
        return read_export(a, str_trim(line), net, r, why);
    return read_listed(a, line, rules, net, r, why);
}
