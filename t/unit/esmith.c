/* esmith.c - reading e-smith databases. */
#include "../../db/esmith.h"
#include "../lib/tap.h"

static struct arena *arena;
static struct problems problems;
static struct esmith db;

static void parse(const char *text)
{
    problems = (struct problems){.arena = arena};
    esmith_parse(arena, STR("accounts"), str_of(text), &db, &problems);
}

static struct str value(const char *key, const char *prop)
{
    struct str found = STR("(none)");

    esmith_prop(esmith_find(&db, str_of(key)), str_of(prop), &found);
    return found;
}

static struct str type(const char *key)
{
    const struct esmith_record *record = esmith_find(&db, str_of(key));

    return record ? record->type : STR("(none)");
}

static struct str problem(size_t i)
{
    return i < problems.count ? problem_text(arena, &problems.items[i]) : STR("(none)");
}

static void test_records(void)
{
    parse("# DO NOT MODIFY THIS FILE.\n\n   # also a comment\n"
          "DomainName=example.org\n"
          "bart=user|FirstName|Bart|LastName|Simpson\n"
          "empty=service|a||b|\n"
          "with=equals|x|a=b\n"
          " key =user \n"
          "bar=service|status|enabled|\n"
          "crlf=user|x|y\r\n");
    is_long(db.count, 7, "records");
    is_long(problems.count, 0, "nothing to complain of: " STR_FMT, STR_ARG(problem(0)));
    is_str(type("DomainName"), STR("example.org"), "a plain value is the type");
    is_str(type("bart"), STR("user"), "a type");
    is_str(value("bart", "LastName"), STR("Simpson"), "a property");
    is_str(value("bart", "lastname"), STR("(none)"), "names are as written");
    is_str(value("bart", "user"), STR("(none)"), "the type is no property");
    is_str(value("empty", "a"), STR(""), "an empty value");
    is_str(value("empty", "b"), STR(""), "an empty value at the end");
    is_str(type("with"), STR("equals"), "the key ends at the first =");
    is_str(value("with", "x"), STR("a=b"), "and no other counts");
    is_str(type("key"), STR("user"), "blanks around key and type go");
    is_str(value("bar", "status"), STR("enabled"), "a bar at the end is nothing");
    is_str(value("crlf", "x"), STR("y"), "CR LF");
    is_long(esmith_find(&db, STR("bart"))->line, 5, "the line is known");
    ok(!esmith_find(&db, STR("nobody")), "who is not there");
    ok(!esmith_prop(NULL, STR("x"), &(struct str){NULL, 0}), "of nothing there is no property");
}

static void test_escapes(void)
{
    parse("a=t|list|x\\|y|text|two\\nlines|back|c:\\dir|percent|100%20 %IP%|double|a\\\\|b|end|\\\n");
    is_str(value("a", "list"), STR("x|y"), "\\| is a bar");
    is_str(value("a", "text"), STR("two\nlines"), "\\n is a line end");
    is_str(value("a", "back"), STR("c:\\dir"), "any other backslash is one");
    is_str(value("a", "percent"), STR("100%20 %IP%"), "percent signs stay");
    is_str(value("a", "double"), STR("a\\|b"), "as e-smith reads it: the byte before the bar is a backslash");
    is_str(value("a", "end"), STR("\\"), "a backslash at the end");
}

static void test_bad(void)
{
    parse("good=user|a|b\n"
          "noequals\n"
          "=user|a|b\n"
          "bin\001ary=user|a|b\n"
          "odd=user|a|b|c\n"
          "twice=user|a|1|a|2\n"
          "good=group|x|y\n"
          "nameless=user||v|a|b\n"
          "raw=user|a|\001|b|\177|c|d\n"
          "last=user|a|b|c|d");
    is_str(problem(0), STR("accounts:2: warning: \"noequals\": there is no = in it; the record is left out"), "no =");
    is_str(problem(1), STR("accounts:3: warning: \"\": it has no key; the record is left out"), "no key");
    is_str(problem(2), STR("accounts:4: warning: \"bin\\x01ary\": it has binary bytes; the record is left out"),
           "binary");
    is_str(problem(3), STR("accounts:5: warning: odd: cut off at the property c, which is left out"), "odd");
    is_str(problem(4), STR("accounts:6: warning: twice: the property a stands twice; the last one counts"), "twice");
    is_str(problem(5), STR("accounts:8: warning: nameless: a property without a name is left out"), "nameless");
    is_str(problem(6), STR("accounts:9: warning: raw: the property a has binary bytes and is left out"),
           "a binary value");
    is_str(problem(8), STR("accounts:10: warning: last: cut off at the property c, which is left out"),
           "a file without an end");
    is_str(problem(9), STR("accounts:1: warning: good: the key stands again on line 7, which counts"), "a key twice");
    is_long(problems.count, 10, "and nothing else");
    is_str(value("raw", "c"), STR("d"), "what is around binary bytes is read");
    is_long(db.bad, 3, "three lines of which nothing could be read");
    is_str(type("good"), STR("group"), "of a key that stands twice the last record counts");
    is_str(value("good", "a"), STR("(none)"), "all of it");
    is_str(value("twice", "a"), STR("2"), "of a property the last value");
    is_str(value("odd", "a"), STR("b"), "the rest of an odd record is read");
    is_str(value("last", "a"), STR("b"), "and of one that is cut off");
    is_str(value("last", "c"), STR("(none)"), "but for what may be half of a value");
    parse("DomainName=exam");
    is_long(db.count, 0, "a plain value that may be half of one is left out");
    parse("\xef\xbb\xbf" "a=b\n");
    is_str(type("a"), STR("b"), "a byte order mark");
}

static void test_caps(void)
{
    struct buf b = buf_in(arena);

    for (int i = 0; i < 70000; i++)
        buf_addc(&b, 'x');
    buf_add(&b, STR("=user\nnext=user\nmany=user"));
    for (int i = 0; i < 600; i++)
        buf_addf(&b, "|p%d|v", i);
    buf_addc(&b, '\n');
    for (int i = 0; i < 300; i++)
        buf_addf(&b, "bad%d\n", i);
    parse(buf_str(&b).p);
    is_long(db.count, 2, "what is too long does not hide what follows");
    is_long(esmith_find(&db, STR("many"))->count, 500, "properties are limited");
    is_long(problems.count, 101, "and so are complaints");
    is_str(problem(100), STR("accounts: warning: 202 further problems are not named"), "the others are counted");
}

static void test_speed(void)
{
    struct buf b = buf_in(arena);
    long long before;

    for (int i = 0; i < 100000; i++)
        buf_addf(&b, "user%d=user|FirstName|First%d|LastName|Last|Uid|%d|Visible|internal\n", i * 7919 % 100000, i, i);
    before = tap_cpu_ms();
    parse(buf_str(&b).p);
    is_long(db.count, 100000, "100000 accounts");
    ok(tap_cpu_ms() - before < 2000, "in less than 2 s: %lld ms", tap_cpu_ms() - before);
    is_str(value("user99999", "Visible"), STR("internal"), "and each is found");
}

int main(void)
{
    arena = arena_new(0);
    test_records();
    test_escapes();
    test_bad();
    test_caps();
    test_speed();
    arena_free(&arena);
    return tap_end();
}
