/* str.c - views, numbers, buffers and escaping. */
#include <limits.h>
#include <stdio.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/str.h"
#include "../lib/tap.h"

static struct arena *arena;

static void test_comparing(void)
{
    ok(str_is(STR("a\0b"), STR("a\0b")), "NUL bytes are bytes");
    ok(!str_is(STR("a\0b"), STR("a\0c")), "what follows a NUL counts");
    ok(str_is(STR_NONE, STR("")), "nothing is the empty string");
    ok(!str_is(STR("A"), STR("a")), "str_is tells A from a");
    ok(str_is_nocase(STR("MAIL From"), STR("mail fROM")), "str_is_nocase does not");
    ok(!str_is_nocase(STR("\xc4"), STR("\xe4")), "only ASCII has case");
    ok(!str_is_nocase(STR("@"), STR("`")) && !str_is_nocase(STR("["), STR("{")), "neighbours of letters have none");
    ok(str_starts(STR("abc"), STR("ab")) && !str_starts(STR("a"), STR("ab")), "str_starts");
    ok(str_starts(STR("abc"), STR_NONE) && str_starts(STR_NONE, STR_NONE), "everything starts with nothing");
    ok(str_starts_nocase(STR("IPv6:x"), STR("ipv6:")), "str_starts_nocase");
    ok(str_ends_nocase(STR("a.Example"), STR(".exAMPLE")) && !str_ends_nocase(STR("e"), STR(".e")), "str_ends_nocase");
    ok(str_compare(STR("a"), STR("b")) < 0 && str_compare(STR("b"), STR("a")) > 0, "order of bytes");
    ok(str_compare(STR("a"), STR("ab")) < 0 && str_compare(STR("ab"), STR("a")) > 0, "the shorter comes first");
    ok(str_compare(STR("a"), STR("\xff")) < 0, "bytes are not signed");
    is_long(str_compare(STR_NONE, STR("")), 0, "nothing equals the empty string");
}

static void test_slicing(void)
{
    struct str s = STR("key=value=x");

    is_long(str_find(s, '='), 3, "the first =");
    is_long(str_rfind(s, '='), 9, "the last =");
    is_long(str_find(s, '#'), s.n, "none: the length");
    is_long(str_rfind(s, '#'), s.n, "none from the end: the length");
    is_long(str_find(STR_NONE, 'a'), 0, "in nothing");
    is_str(str_slice(s, 4, 9), STR("value"), "a slice");
    is_str(str_slice(s, 9, 100), STR("=x"), "is capped at the end");
    is_str(str_slice(s, 100, 200), STR_NONE, "behind the end is nothing");
    is_str(str_slice(s, 5, 3), STR_NONE, "backwards is nothing");
    is_str(str_slice(STR_NONE, 0, 5), STR_NONE, "a slice of nothing");
    is_str(str_trim(STR(" \t\r\n a b\r\n")), STR("a b"), "trimmed");
    is_str(str_trim(STR(" \t ")), STR_NONE, "nothing but blanks");
}

static void test_taking(void)
{
    struct str s = STR("  one\ttwo "), part;

    ok(str_token(&s, &part), "a token");
    is_str(part, STR("one"), "the first");
    ok(str_token(&s, &part), "another");
    is_str(part, STR("two"), "the second");
    ok(!str_token(&s, &part), "no third");
    s = STR("a,,b,");
    ok(str_split(&s, ',', &part) && str_is(part, STR("a")), "split: a");
    ok(str_split(&s, ',', &part) && part.n == 0, "split: empty");
    ok(str_split(&s, ',', &part) && str_is(part, STR("b")), "split: b");
    ok(!str_split(&s, ',', &part), "split: nothing after the last separator");
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        bool good;
        long value;
    } rows[] = {
        {"0", true, 0},
        {"-17", true, -17},
        {"9223372036854775807", true, LONG_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, LONG_MIN},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x10", false, 0},
        {"1e3", false, 0},
        {"000000000000000000000000000000001", false, 0},
    };
    long value;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool good = str_to_long(str_of(rows[i].text), &value);

        ok(good == rows[i].good && (!good || value == rows[i].value), "number '%s'", rows[i].text);
    }
    ok(!str_to_long(STR("1\0002"), &value), "a NUL byte is no digit");
}

static void test_hex(void)
{
    is_long(str_hex('0'), 0, "0 is a hexadecimal digit");
    is_long(str_hex('F') * 16 + str_hex('a'), 250, "letters are, in both cases");
    ok(str_hex('g') < 0 && str_hex('/') < 0 && str_hex(':') < 0 && str_hex('\x10') < 0 && str_hex('\xe1') < 0,
       "others are none");
    is_str(str_unpercent(arena, STR("a%41%zz%4%")), STR("aA%zz%4%"), "percent and two digits are a byte");
    is_str(str_unpercent(arena, STR("%00%ff")), STR("\0\xff"), "any byte");
    is_str(str_unpercent(arena, STR_NONE), STR_NONE, "nothing stays nothing");
}

static void test_copies(void)
{
    struct str s = str_dup(arena, STR("a\0b"));

    is_str(s, STR("a\0b"), "a copy");
    is_long(s.p[3], 0, "ends with a NUL beyond its length");
    is_str(str_dup(arena, STR_NONE), STR_NONE, "a copy of nothing");
    is_str(str_lower(arena, STR("Stra\xc3\x9f" "E.EXAMPLE")), STR("stra\xc3\x9f" "e.example"),
           "lower case, ASCII only");
    is_str(str_of(str_c(arena, STR("a\0b"))), STR("a"), "for C the first NUL ends it");
    is_str(str_of(NULL), STR_NONE, "NULL is nothing");
}

static void test_buffer(void)
{
    struct buf b = buf_in(arena);
    char want[5000];

    is_str(buf_str(&b), STR_NONE, "a new buffer is empty");
    ok(b.data && b.data[0] == '\0', "but has its NUL");
    for (int i = 0; i < 5000; i++) {
        want[i] = (char)('a' + i % 26);
        buf_addc(&b, want[i]);
    }
    is_str(buf_str(&b), (struct str){want, sizeof want}, "5000 single bytes");
    is_long(b.data[5000], 0, "and a NUL");
    buf_addf(&b, "%s|%0100d", "x", 7);
    is_long(b.len, 5102, "a format longer than the room");
    is_str(str_slice(buf_str(&b), 4999, 5004), STR("hx|00"), "is added whole");
    is_long(b.data[b.len - 1], '7', "to its last byte");
    b = buf_in(arena);
    buf_addf(&b, "%0*d", 64, 1);
    is_long(b.len, 64, "a format of exactly the first room");
    is_long(b.data[63], '1', "is whole too");
}

static void test_escaping(void)
{
    struct buf b = buf_in(arena);

    is_str(str_escaped(arena, STR("plain text ~!")), STR("plain text ~!"), "printable ASCII stays");
    is_str(str_escaped(arena, STR("a\r\nb\0c\x1b[31m")), STR("a\\x0d\\x0ab\\x00c\\x1b[31m"), "control bytes");
    is_str(str_escaped(arena, STR("\x7f\x80\xff")), STR("\\x7f\\x80\\xff"), "DEL and 8-bit bytes");
    is_str(str_escaped(arena, STR("\\x41")), STR("\\\\x41"), "a backslash cannot be faked");
    buf_add_escaped(&b, STR("a b=\"c\""), " =\"");
    is_str(buf_str(&b), STR("a\\x20b\\x3d\\x22c\\x22"), "further bytes on demand");
}

int main(void)
{
    arena = arena_new(0);
    test_comparing();
    test_slicing();
    test_taking();
    test_numbers();
    test_hex();
    test_copies();
    test_buffer();
    test_escaping();
    arena_free(&arena);
    return tap_end();
}
