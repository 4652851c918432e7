/* date.c - RFC 5322 dates. */
#include <time.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../../milter/mail/header.h"
#include "../lib/tap.h"

struct row {
    const char *text, *want; /* RFC 3339; NULL: no date */
};

static const struct row rows[] = {
    {"Mon, 5 Jan 2026 10:00:00 +0000", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 +0000", "2026-01-05T10:00:00Z"},
    {"Mon, 05 Jan 2026 10:00 +0000", "2026-01-05T10:00:00Z"},
    {"  MON ,\r\n\t5 jan 2026 10:00:00 +0000  ", "2026-01-05T10:00:00Z"},
    {"Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00Z"},
    {"31 Dec 1969 23:59:59 +0000", "1969-12-31T23:59:59Z"},
    {"29 Feb 2024 12:00:00 +0000", "2024-02-29T12:00:00Z"},
    {"29 Feb 2000 12:00:00 +0000", "2000-02-29T12:00:00Z"},
    {"31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59Z"},
    /* zones */
    {"5 Jan 2026 10:00:00 +0100", "2026-01-05T09:00:00Z"},
    {"5 Jan 2026 10:00:00 -0530", "2026-01-05T15:30:00Z"},
    {"5 Jan 2026 00:30:00 +1400", "2026-01-04T10:30:00Z"},
    {"5 Jan 2026 10:00:00 -0000", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 GMT", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 UT", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 UTC", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 EST", "2026-01-05T15:00:00Z"},
    {"5 Jan 2026 10:00:00 EDT", "2026-01-05T14:00:00Z"},
    {"5 Jan 2026 10:00:00 CST", "2026-01-05T16:00:00Z"},
    {"5 Jan 2026 10:00:00 CDT", "2026-01-05T15:00:00Z"},
    {"5 Jan 2026 10:00:00 MST", "2026-01-05T17:00:00Z"},
    {"5 Jan 2026 10:00:00 MDT", "2026-01-05T16:00:00Z"},
    {"5 Jan 2026 10:00:00 PST", "2026-01-05T18:00:00Z"},
    {"5 Jan 2026 10:00:00 pdt", "2026-01-05T17:00:00Z"},
    {"5 Jan 2026 10:00:00 A", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 z", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 CEST", "2026-01-05T10:00:00Z"},
    {"5 Jan 2026 10:00:00 +0160", NULL},
    {"5 Jan 2026 10:00:00 +100", NULL},
    {"5 Jan 2026 10:00:00 +01000", NULL},
    {"5 Jan 2026 10:00:00 +01:00", NULL},
    {"5 Jan 2026 10:00:00 + 0100", NULL},
    {"5 Jan 2026 10:00:00 0100", NULL},
    {"5 Jan 2026 10:00:00 J", NULL},
    {"5 Jan 2026 10:00:00 XY", NULL},
    {"5 Jan 2026 10:00:00 GREENWICH", NULL},
    {"5 Jan 2026 10:00:00", NULL},
    /* obsolete years */
    {"5 Jan 26 10:00:00 +0000", "2026-01-05T10:00:00Z"},
    {"5 Jan 49 10:00:00 +0000", "2049-01-05T10:00:00Z"},
    {"5 Jan 50 10:00:00 +0000", "1950-01-05T10:00:00Z"},
    {"5 Jan 99 10:00:00 +0000", "1999-01-05T10:00:00Z"},
    {"5 Jan 126 10:00:00 +0000", "2026-01-05T10:00:00Z"},
    {"5 Jan 1900 10:00:00 +0000", "1900-01-05T10:00:00Z"},
    {"5 Jan 1899 10:00:00 +0000", NULL},
    {"5 Jan 6 10:00:00 +0000", NULL},
    {"5 Jan 12026 10:00:00 +0000", NULL},
    {"5 Jan 99999999999999999999 10:00:00 +0000", NULL},
    /* leap second: the first of the next minute */
    {"31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"},
    {"31 Dec 2016 23:59:61 +0000", NULL},
    /* comments */
    {"Mon, 5 Jan 2026 10:00:00 +0100 (CET)", "2026-01-05T09:00:00Z"},
    {"(a)Mon(b),(c)5(d)Jan(e)2026(f)10(g):(h)00(i):(j)00(k)+0100(l (m \\) n) \\( o)", "2026-01-05T09:00:00Z"},
    {"5 Jan 2026 10:00 (no seconds) : 07 +0000", "2026-01-05T10:00:07Z"},
    {"5 Jan 2026 10:00:00 +0000 (open", NULL},
    {"5 Jan 2026 10:00:00 +0000 (open\\)", NULL},
    {"5 Jan 2026 10:00:00 +0000 )", NULL},
    {"5 Jan 2026 10:00:00 + (x) 0000", NULL},
    /* nonsense */
    {"", NULL},
    {"yesterday", NULL},
    {"Xyz, 5 Jan 2026 10:00:00 +0000", NULL},
    {"Mon 5 Jan 2026 10:00:00 +0000", NULL},
    {"Monday, 5 Jan 2026 10:00:00 +0000", NULL},
    {"5 January 2026 10:00:00 +0000", NULL},
    {"5 Foo 2026 10:00:00 +0000", NULL},
    {"0 Jan 2026 10:00:00 +0000", NULL},
    {"32 Jan 2026 10:00:00 +0000", NULL},
    {"30 Feb 2026 10:00:00 +0000", NULL},
    {"29 Feb 2026 10:00:00 +0000", NULL},
    {"29 Feb 1900 10:00:00 +0000", NULL},
    {"31 Apr 2026 10:00:00 +0000", NULL},
    {"-5 Jan 2026 10:00:00 +0000", NULL},
    {"005 Jan 2026 10:00:00 +0000", NULL},
    {"5 Jan 2026 24:00:00 +0000", NULL},
    {"5 Jan 2026 25:00:00 +0000", NULL},
    {"5 Jan 2026 10:60:00 +0000", NULL},
    {"5 Jan 2026 1:00:00 +0000", NULL},
    {"5 Jan 2026 10:00:0 +0000", NULL},
    {"5 Jan 2026 10 +0000", NULL},
    {"5 Jan 2026 10:00: +0000", NULL},
    {"5 Jan 2026 10:00:00.5 +0000", NULL},
    {"5 Jan 2026 10:00:00 +0000 x", NULL},
    {"2026-01-05T10:00:00Z", NULL},
    {"Jan 5 2026 10:00:00 +0000", NULL},
};

static void test_rows(struct arena *a)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        int64_t ms = 0;

        if (!row->want)
            ok(!header_date(str_of(row->text), &ms), "'%s' is no date", row->text);
        else if (ok(header_date(str_of(row->text), &ms), "'%s' is a date", row->text))
            is_str(clock_rfc3339(a, ms), str_of(row->want), "'%s' is that one", row->text);
    }
}

/* Every day of two centuries, written and read again. */
static void test_days(struct arena *a)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    long wrong = 0;

    for (int64_t day = -25567; day < 47482; day++) { /* 1900 to 2099 */
        time_t t = (time_t)(day * 86400 + 3661);
        struct str text;
        struct tm tm;
        int64_t ms;

        gmtime_r(&t, &tm);
        text = arena_printf(a, "%d %s %d %02d:%02d:%02d -0130", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                            tm.tm_hour, tm.tm_min, tm.tm_sec);
        wrong += !header_date(text, &ms) || ms != (t + 5400) * (int64_t)1000;
        if (day % 1000 == 0)
            arena_reset(a);
    }
    is_long(wrong, 0, "every day from 1900 to 2099");
}

static void test_bytes(struct arena *a)
{
    static const char *const fillers[] = {"(", "()", "(\\", " ", "1", "a", "5 Jan 2026 (", "\0"};
    struct buf deep = buf_in(a);
    size_t n = 1 << 20;
    char *big = arena_alloc(a, n);
    int64_t ms;

    ok(!header_date(STR_NONE, &ms), "nothing is no date");
    ok(!header_date(STR("5 Jan 2026 10:00:00 +0000\0"), &ms), "a NUL byte is no part of a date");
    buf_add(&deep, STR("5 Jan 2026 10:00:00 +0000 "));
    for (int i = 0; i < 64; i++)
        buf_addc(&deep, '(');
    for (int i = 0; i < 64; i++)
        buf_addc(&deep, ')');
    ok(header_date(buf_str(&deep), &ms), "comments 64 deep are read");
    buf_add(&deep, STR(" ("));
    for (int i = 0; i < 64; i++)
        buf_add(&deep, STR("()("));
    for (int i = 0; i < 65; i++)
        buf_addc(&deep, ')');
    ok(!header_date(buf_str(&deep), &ms), "65 deep are too deep");
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        size_t length = strlen(fillers[i]) ? strlen(fillers[i]) : 1;
        long long before = tap_cpu_ms();

        for (size_t k = 0; k < n; k++)
            big[k] = fillers[i][k % length];
        ok(!header_date((struct str){big, n}, &ms) && tap_cpu_ms() - before < 500,
           "a MiB of the %zuth filler in %lld ms", i, tap_cpu_ms() - before);
    }
}

int main(void)
{
    struct arena *a = arena_new(0);

    test_rows(a);
    test_days(a);
    test_bytes(a);
    arena_free(&a);
    return tap_end();
}
