/* date.c - RFC 5322 dates (3.3) with their obsolete forms (4.3). */
#include <string.h>
#include <time.h>

#include "header.h"

#define COMMENT_DEPTH 64

struct scan {
    struct str s;
    size_t at;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

/* skip_comment - at an opening parenthesis; false when it is not closed or too deep. */
static bool skip_comment(struct scan *d)
{
    unsigned depth = 0;

    for (; d->at < d->s.n; d->at++) {
        char c = d->s.p[d->at];

        if (c == '\\') {
            d->at++;
        } else if (c == '(') {
            if (++depth > COMMENT_DEPTH)
                return false;
        } else if (c == ')' && --depth == 0) {
            d->at++;
            return true;
        }
    }
    return false;
}

/* skip_cfws - white space and comments. A comment that does not end stays, where nothing else will take it. */
static void skip_cfws(struct scan *d)
{
    while (d->at < d->s.n) {
        struct scan ahead = *d;

        if (d->s.p[d->at] == '(') {
            if (!skip_comment(&ahead))
                return;
            *d = ahead;
        } else if (memchr(" \t\r\n", d->s.p[d->at], 4)) {
            d->at++;
        } else {
            return;
        }
    }
}

static bool take(struct scan *d, char c)
{
    skip_cfws(d);
    if (d->at == d->s.n || d->s.p[d->at] != c)
        return false;
    d->at++;
    return true;
}

/* take_number - all digits that stand here, at least min and at most max; *digits tells how many. */
static bool take_number(struct scan *d, int min, int max, int *value, int *digits)
{
    *value = *digits = 0;
    skip_cfws(d);
    for (; d->at < d->s.n && is_digit(d->s.p[d->at]); d->at++) {
        if (++*digits > max)
            return false;
        *value = *value * 10 + (d->s.p[d->at] - '0');
    }
    return *digits >= min;
}

static struct str take_word(struct scan *d)
{
    size_t from;

    skip_cfws(d);
    for (from = d->at; d->at < d->s.n && is_alpha(d->s.p[d->at]); d->at++)
        continue;
    return str_slice(d->s, from, d->at);
}

/* which - the place of a three-letter word in a row of them, or -1. */
static int which(struct str word, const char *row)
{
    for (int i = 0; word.n == 3 && row[i * 3]; i++)
        if (str_is_nocase(word, (struct str){row + i * 3, 3}))
            return i;
    return -1;
}

static bool take_date(struct scan *d, struct tm *tm)
{
    struct str word = take_word(d);
    int digits;

    if (word.n && (which(word, "MonTueWedThuFriSatSun") < 0 || !take(d, ',')))
        return false;
    if (!take_number(d, 1, 2, &tm->tm_mday, &digits))
        return false;
    tm->tm_mon = which(take_word(d), "JanFebMarAprMayJunJulAugSepOctNovDec");
    if (tm->tm_mon < 0 || !take_number(d, 2, 4, &tm->tm_year, &digits))
        return false;
    if (digits == 4)
        tm->tm_year -= 1900;
    else if (digits == 2 && tm->tm_year < 50)
        tm->tm_year += 100;
    return tm->tm_year >= 0;
}

static bool take_time(struct scan *d, struct tm *tm)
{
    int digits;

    if (!take_number(d, 2, 2, &tm->tm_hour, &digits) || !take(d, ':') || !take_number(d, 2, 2, &tm->tm_min, &digits))
        return false;
    if (take(d, ':') && !take_number(d, 2, 2, &tm->tm_sec, &digits))
        return false;
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

/* take_zone - seconds east of Greenwich. Letters that nobody agreed on count as -0000 (RFC 5322, 4.3). */
static bool take_zone(struct scan *d, long *east)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
    bool west = take(d, '-');
    struct str word;
    int value, digits;

    *east = 0;
    if (west || take(d, '+')) {
        if (d->at == d->s.n || !is_digit(d->s.p[d->at]) || !take_number(d, 4, 4, &value, &digits) || value % 100 > 59)
            return false;
        *east = (value / 100 * 60 + value % 100) * (west ? -60L : 60L);
        return true;
    }
    word = take_word(d);
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
        if (str_is_nocase(word, str_of(zones[i].name)))
            *east = zones[i].hours * 3600L;
    if (word.n < 3)
        return str_is_nocase(word, STR("UT")) || (word.n == 1 && !str_is_nocase(word, STR("J")));
    return word.n <= 5;
}

/* to_seconds - false when the day is not in that month, which timegm() would quietly make the next one's. */
static bool to_seconds(const struct tm *tm, time_t *seconds)
{
    struct tm day = {.tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday};

    *seconds = timegm(&day);
    if (day.tm_mday != tm->tm_mday || day.tm_mon != tm->tm_mon)
        return false;
    *seconds += tm->tm_hour * 3600L + tm->tm_min * 60L + tm->tm_sec;
    return true;
}

bool header_date(struct str value, int64_t *wall_ms)
{
    struct scan d = {value, 0};
    struct tm tm = {0};
    time_t seconds;
    long east;

    if (!take_date(&d, &tm) || !take_time(&d, &tm) || !take_zone(&d, &east))
        return false;
    skip_cfws(&d);
    if (d.at != value.n || !to_seconds(&tm, &seconds))
        return false;
    *wall_ms = ((int64_t)seconds - east) * 1000;
    return true;
}
