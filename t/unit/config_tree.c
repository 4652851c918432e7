/* config_tree.c - the configuration language: what is read, and every complaint word for word. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../milter/base/arena.h"
#include "../../milter/config_tree.h"
#include "../lib/tap.h"

/* dump - a tree on one line: a=1 b={x,y} c+={z} dns{d=2} profile[smtp]{} */
static void dump(struct buf *b, const struct conf_entry *e)
{
    const char *gap = "";

    for (; e; e = e->next) {
        buf_addf(b, "%s" STR_FMT, gap, STR_ARG(e->name));
        gap = " ";
        if (e->kind == CONF_SECTION) {
            if (e->title.n)
                buf_addf(b, "[" STR_FMT "]", STR_ARG(e->title));
            buf_addc(b, '{');
            dump(b, e->children);
            buf_addc(b, '}');
            continue;
        }
        buf_add(b, e->append ? STR("+=") : STR("="));
        if (e->kind == CONF_LIST)
            buf_addc(b, '{');
        for (size_t i = 0; i < e->count; i++) {
            buf_add(b, i ? STR(",") : STR(""));
            buf_add_escaped(b, e->values[i].text, "");
        }
        if (e->kind == CONF_LIST)
            buf_addc(b, '}');
    }
}

static struct str dumped(struct arena *a, const struct conf_entry *e)
{
    struct buf b = buf_in(a);

    dump(&b, e);
    return buf_str(&b);
}

/* told - all problems in order, one a line, without the path of the test's directory. */
static struct str told(struct arena *a, struct problems *p, const char *directory)
{
    struct buf b = buf_in(a);

    problems_sort(p);
    for (size_t i = 0; i < p->count; i++) {
        struct str text = problem_text(a, &p->items[i]), dir = str_of(directory);

        for (size_t at = 0; at < text.n; at++) {
            if (dir.n && str_starts(str_slice(text, at, text.n), dir))
                at += dir.n;
            if (at < text.n)
                buf_addc(&b, text.p[at]);
        }
        buf_addc(&b, '\n');
    }
    return buf_str(&b);
}

static void check(struct str text, const char *tree, const char *problems)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct conf_entry *e = conf_parse_text(a, STR("x.conf"), text, &p);
    struct str shown = str_escaped(a, str_slice(text, 0, 60));

    is_str(dumped(a, e), str_of(tree), "read: " STR_FMT, STR_ARG(shown));
    is_str(told(a, &p, ""), str_of(problems), "complaints: " STR_FMT, STR_ARG(shown));
    arena_free(&a);
}

struct row {
    const char *text, *tree, *problems;
};

#define ROWS(rows) for (size_t i = 0; i < sizeof(rows) / sizeof(rows)[0]; i++) \
        check(str_of(rows[i].text), rows[i].tree, rows[i].problems ? rows[i].problems : "")

static void test_good(void)
{
    static const struct row rows[] = {
        {"", "", NULL},
        {"\n\n# nothing\n", "", NULL},
        {"a = 1", "a=1", NULL},
        {"a=1 b=2\tc=\"3\"", "a=1 b=2 c=3", NULL},
        {"a = 1\r\nb = two\r\nc = {x,\r\n y}\r\n", "a=1 b=two c={x,y}", NULL},
        {"\xef\xbb\xbf" "a = 1\n", "a=1", NULL},
        {"dns { servers = {}  timeout = 5s }", "dns{servers={} timeout=5s}", NULL},
        {"log { format = keyvalue  level = info }", "log{format=keyvalue level=info}", NULL},
        {"profile \"smtp\" {\n port = {25}\n helo { level = strict }\n}\n",
         "profile[smtp]{port={25} helo{level=strict}}", NULL},
        {"profile smtp-local { }", "profile[smtp-local]{}", NULL},
        {"section\n{\na = 1\n}", "section{a=1}", NULL},
        {"a = {x, y,}", "a={x,y}", NULL},
        {"a = {\n  \"x y\", # first\n  'z', // second\n  /* third */ w,\n}\n", "a={x y,z,w}", NULL},
        {"a =\n  1\nb =\n{2}\n", "a=1 b={2}", NULL},
        {"a += {1} a += 2 b = {3} b += {4}", "a+={1} a+=2 b={3} b+={4}", NULL},
        {"a+=1", "a+=1", NULL},
        {"a = 127.0.0.1:5353 b = user@dom.example c = /etc/x/*.conf d = [::1] e = 5% f = -1 g = +5",
         "a=127.0.0.1:5353 b=user@dom.example c=/etc/x/*.conf d=[::1] e=5% f=-1 g=+5", NULL},
        {"a = http://example/?ip=%IP%", "a=http://example/?ip", "x.conf:1: \"=\" follows the value of \"a\": text with "
                                                                "such bytes needs quotes\n"},
        {"a = http://example/x b = ~$!^|&<>_", "a=http://example/x b=~$!^|&<>_", NULL},
        {"a = 1# comment\nb = 2 // c = 3\nc = /* { */ 4 /* } */", "a=1 b=2 c=4", NULL},
        {"a = 1 /* two\nlines */ b = 2", "a=1 b=2", NULL},
        {"a = \"# no // comment /* here\"", "a=# no // comment /* here", NULL},
        {"a = \"q \\\" b \\\\ t \\t n \\n x \\x41\\x7f\\xff\"", "a=q \" b \\\\ t \\x09 n \\x0a x A\\x7f\\xff", NULL},
        {"a = 'C:\\n \"as it is\"'", "a=C:\\\\n \"as it is\"", NULL},
        {"a = \"gr\xc3\xbc\xc3\x9f\" b = 'Latin \xfc'", "a=gr\\xc3\\xbc\\xc3\\x9f b=Latin \\xfc", NULL},
        {"a = \"\" b = '' c = {\"\"}", "a= b= c={}", NULL},
        {"include = 5", "include=5", NULL},
        {"s \"a\" {} s \"b\" {} s {} t { x = 1 } u { x = 1 }", "s[a]{} s[b]{} s{} t{x=1} u{x=1}", NULL},
    };

    ROWS(rows);
}

static void test_bad_entries(void)
{
    static const struct row rows[] = {
        {"hostname mail.example.org\nb = 2", "b=2", "x.conf:1: \"=\" is missing after \"hostname\"\n"},
        {"hostname: mail.example.org\nb = 2", "b=2",
         "x.conf:1: \"hostname:\" is not a name: an option is written NAME = VALUE\n"},
        {"[smtp]\nb = 2", "b=2", "x.conf:1: \"[smtp]\" is not a name: an option is written NAME = VALUE\n"},
        {"lonely\nb = 2", "b=2",
         "x.conf:1: \"lonely\" stands alone: write lonely = VALUE, or lonely { ... } for a section\n"},
        {"a =\nb = 2", "b=2", "x.conf:1: \"a\" has no value\n"},
        {"a =", "", "x.conf:1: \"a\" has no value\n"},
        {"s { a = }\nb = 2", "s{} b=2", "x.conf:1: \"a\" has no value\n"},
        {"a =\nprofile \"x\" { c = 1 }", "profile[x]{c=1}", "x.conf:1: \"a\" has no value\n"},
        {"a = = 1\nb = 2", "b=2", "x.conf:1: \"a\" has no value\n"},
        {"a = , 1\nb = 2", "b=2", "x.conf:1: \"a\" has no value\n"},
        {"= 1\nb = 2", "b=2", "x.conf:1: \"=\" without a name before it\n"},
        {"a = 1, 2\nb = 2", "a=1 b=2",
         "x.conf:1: a comma follows the value of \"a\": a list is written a = {\"a\", \"b\"}\n"},
        {"text = please go away\nb = 2", "text=please b=2",
         "x.conf:1: \"go\" follows the value of \"text\": text with blanks needs quotes, several values need braces\n"},
        {"text = \"please\" \"go\"\nb = 2", "text=please b=2",
         "x.conf:1: \"go\" follows the value of \"text\": text with blanks needs quotes, several values need braces\n"},
        {"profile = smtp {\n a = 1\n}\nb = 2", "profile=smtp b=2",
         "x.conf:1: \"{\" follows the value of \"profile\": a section has no \"=\" before its \"{\"\n"},
        {"dns = {\n servers = {}\n timeout = 5s\n}\nb = 2", "dns{servers={} timeout=5s} b=2",
         "x.conf:1: \"dns\" opens a list, but entries follow: a section has no \"=\", and a list needs its \"}\"\n"},
        {"{ a = 1 }\nb = 2", "b=2", "x.conf:1: \"{\" without the name of a section before it\n"},
        {"\"a\" = 1\nb = 2", "a=1 b=2", "x.conf:1: a name is written without quotes: a\n"},
        {"\"a\"\nb = 2", "b=2", "x.conf:1: the string \"a\" belongs to nothing: an option is written NAME = VALUE\n"},
        {"env(\"X\")\nb = 2", "b=2", "x.conf:1: \"env(\": only include(\"FILE\") is written with parentheses\n"},
        {"a = (1)\nb = 2", "b=2", "x.conf:1: \"a\" has no value\n"},
        {"a = f(1)\nb = 2", "a=f b=2",
         "x.conf:1: \"(\" follows the value of \"a\": text with such bytes needs quotes\n"},
        {"include \"x\"\nb = 2", "b=2", "x.conf:1: \"=\" is missing after \"include\"\n"},
        {"include(x y)\nb = 2", "b=2", "x.conf:1: include is written include(\"FILE\")\n"},
        {"include(\"x\")\nb = 2", "b=2", "x.conf:1: include() is possible in a file only\n"},
        {"a = 1; b = 2;\nc = 3", "a=1 b=2 c=3",
         "x.conf:1: \";\" is not needed: entries are separated by blanks or line ends\n"},
        {"a = caf\xc3\xa9\nb = 2", "a=caf b=2", "x.conf:1: stray \"\\xc3\\xa9\": text with such bytes needs quotes\n"},
        {"a = \xe2\x80\x9csmtp\xe2\x80\x9d\nb = 2", "a=smtp b=2",
         "x.conf:1: a typographic quotation mark: write a plain \" or '\n"},
        {"a = x\\y\x01\nb = 2", "a=x b=2", "x.conf:1: stray \"\\\\\": text with such bytes needs quotes\n"},
        /* one forgotten value, one missing sign and one wrong name: three complaints, and all else is read */
        {"a =\nb 2\nc = 3\n[d]\ne = 5\n", "c=3 e=5",
         "x.conf:1: \"a\" has no value\nx.conf:2: \"=\" is missing after \"b\"\n"
         "x.conf:4: \"[d]\" is not a name: an option is written NAME = VALUE\n"},
    };

    ROWS(rows);
}

static void test_bad_lists(void)
{
    static const struct row rows[] = {
        {"a = {1 2}\nb = 2", "a={1,2} b=2", "x.conf:1: a comma is missing before \"2\" in the list of \"a\"\n"},
        {"a = {\"1\"\n\"2\"}\nb = 2", "a={1,2} b=2",
         "x.conf:2: a comma is missing before \"2\" in the list of \"a\"\n"},
        {"a = {1,,2}\nb = 2", "a={1,2} b=2", "x.conf:1: a comma without a value before it in the list of \"a\"\n"},
        {"a = {,}\nb = 2", "a={} b=2", "x.conf:1: a comma without a value before it in the list of \"a\"\n"},
        {"a = {1, {2, 3}, 4}\nb = 2", "a={1,4} b=2", "x.conf:1: a list within the list of \"a\"\n"},
        {"a = {zen.example=127.0.0.2, x}\nb = 2", "a={zen.example,x} b=2",
         "x.conf:1: \"=\" in the list of \"a\": text with such bytes needs quotes\n"},
        {"a = {f(1), x}\nb = 2", "a={f,x} b=2",
         "x.conf:1: \"(\" in the list of \"a\": text with such bytes needs quotes\n"},
        {"a = {1, 2\nb = 2\nc = 3", "a={1,2} b=2 c=3", "x.conf:1: the list of \"a\" opened here is never closed\n"},
        {"a = {1,\n2,\nb = 2\nc = 3", "a={1,2} b=2 c=3", "x.conf:1: the list of \"a\" opened here is never closed\n"},
        {"a = {1, 2\nprofile \"x\" {\n b = 2\n}\n", "a={1,2} profile[x]{b=2}",
         "x.conf:1: the list of \"a\" opened here is never closed\n"},
        {"dns { servers = {\"x\" timeout = 5s }\nb = 2", "dns{servers={x} timeout=5s} b=2",
         "x.conf:1: the list of \"servers\" opened here is never closed\n"},
        {"a = {1, 2", "a={1,2}", "x.conf:1: the list of \"a\" opened here is never closed\n"},
        {"port {25, 26}\nb = 2", "port={25,26} b=2", "x.conf:1: \"=\" is missing between \"port\" and its list\n"},
        {"port {25}\nzones {\"x\"}\nb = 2", "port={25} zones={x} b=2",
         "x.conf:1: \"=\" is missing between \"port\" and its list\n"
         "x.conf:2: \"=\" is missing between \"zones\" and its list\n"},
        {"a = {1} 2\nb = 2", "a={1} b=2",
         "x.conf:1: \"2\" follows the value of \"a\": text with blanks needs quotes, several values need braces\n"},
    };

    ROWS(rows);
}

static void test_bad_strings(void)
{
    static const struct row rows[] = {
        {"a = \"x y\nb = 2", "b=2", "x.conf:1: the string \"x y has no closing \" on its line\n"},
        {"a = 'x\r\nb = 2", "b=2", "x.conf:1: the string 'x has no closing ' on its line\n"},
        {"a = don't\nb = 2", "a=don b=2", "x.conf:1: the string 't has no closing ' on its line\n"},
        {"a = {\"x, \"y\"}\nb = 2", "a={x, ,y} b=2", "x.conf:1: the string \"} has no closing \" on its line\n"},
        {"s {\n a = {\"x\", \"y}\n c = 1\n}\nb = 2", "s{a={x} c=1} b=2",
         "x.conf:2: the string \"y} has no closing \" on its line\n"},
        {"s { a = \"x }\nb = 2", "s{} b=2", "x.conf:1: the string \"x } has no closing \" on its line\n"},
        {"a = {\n\"x,\n\"y\",\n}\nb = 2", "a={y} b=2", "x.conf:2: the string \"x, has no closing \" on its line\n"},
        {"a = \"x\\\"\nb = 2", "b=2", "x.conf:1: the string \"x\\\\\" has no closing \" on its line\n"},
        {"a = \"\\.x\"\nb = 2", "a=x b=2",
         "x.conf:1: a backslash before \".\" means nothing: write it twice, or use 'single quotes'\n"},
        {"a = \"\\x4\"\nb = 2", "a= b=2",
         "x.conf:1: a backslash and \"x\" in a string need two hexadecimal digits after them\n"},
        {"a = \"\\xzz\"\nb = 2", "a= b=2",
         "x.conf:1: a backslash and \"x\" in a string need two hexadecimal digits after them\n"},
        {"a = \"x\\x00y\"\nb = 2", "a=xy b=2", "x.conf:1: a NUL byte is not possible in a string\n"},
        {"a = \"x\x1b[0m\"\nb = 2", "a=x\\x1b[0m b=2", "x.conf:1: a control byte in a string: \\x1b\n"},
        {"a = \"x\" /* comment\nb = 2\n", "a=x", "x.conf:1: the comment that starts here is never closed\n"},
        /* what is open because of the comment is not worth a word */
        {"s {\n a = {1, /* comment\n b = 2\n}\n", "s{a={1}}",
         "x.conf:2: the comment that starts here is never closed\n"},
        {"/*/", "", "x.conf:1: the comment that starts here is never closed\n"},
    };

    ROWS(rows);
    check(STR("a = 1\nb = \"x\0y\"\nc = 3"), "a=1", "x.conf:2: a NUL byte: this is not a text file, and what "
                                                          "follows is not read\n");
    check(STR("s {\n a = 1\n\0\n}"), "s{a=1}", "x.conf:3: a NUL byte: this is not a text file, and what follows is not "
                                               "read\n");
}

static void test_bad_sections(void)
{
    static const struct row rows[] = {
        {"profile \"smtp\" {\n port = {25}\n", "profile[smtp]{port={25}}",
         "x.conf:1: section \"smtp\" opened here is never closed\n"},
        {"a = 1\nhelo {", "a=1 helo{}", "x.conf:2: section \"helo\" opened here is never closed\n"},
        /* what follows belongs to the parent: nobody is told that "profile" is unknown in "helo" */
        {"helo {\n    level = strict\n\nprofile \"smtp\" {\n    port = {25}\n}\nb = 2\n",
         "helo{level=strict} profile[smtp]{port={25}} b=2", "x.conf:1: section \"helo\" opened here is never closed\n"},
        {"profile \"a\" {\n  helo {\n    level = strict\n  port = {25}\n}\nprofile \"b\" {\n}\n",
         "profile[a]{helo{level=strict port={25}}} profile[b]{}",
         "x.conf:1: section \"a\" opened here is never closed\n"},
        {"a {\n b {\n  c = 1\n", "a{b{c=1}}",
         "x.conf:1: section \"a\" opened here is never closed\nx.conf:2: section \"b\" opened here is never closed\n"},
        {"a = 1\n}\nb = 2", "a=1 b=2", "x.conf:2: unexpected \"}\": no section is open here\n"},
        {"s { a = 1 } }\nb = 2", "s{a=1} b=2", "x.conf:1: unexpected \"}\": no section is open here\n"},
        {"profile \"a\" \"b\" { c = 1 }\nb = 2", "b=2", "x.conf:1: \"=\" is missing after \"profile\"\n"},
        {"a = 1\na = 2\na = 3", "a=1 a=2 a=3",
         "x.conf:2: \"a\" is already set at line 1\nx.conf:3: \"a\" is already set at line 1\n"},
        {"a = {1}\na = {2}", "a={1} a={2}", "x.conf:2: \"a\" is already set at line 1\n"},
        {"a += {1}\na = {2}\na = 3", "a+={1} a={2} a=3",
         "x.conf:2: warning: \"a\" is set with = here, which forgets the += of line 1\n"
         "x.conf:3: \"a\" is already set at line 2\n"},
        {"s {\n a = 1\n a = 2\n}\ns {\n}\n", "s{a=1 a=2} s{}",
         "x.conf:3: \"a\" is already set at line 2\nx.conf:5: section \"s\" is already opened at line 1\n"},
        {"s \"x\" {}\ns \"y\" {}\ns \"x\" {}", "s[x]{} s[y]{} s[x]{}",
         "x.conf:3: section \"x\" is already opened at line 1\n"},
        {"s{s{s{s{s{s{s{s{s{s{s{s{s{s{s{s{s{a=1}}}}}}}}}}}}}}}}} b = 2",
         "s{s{s{s{s{s{s{s{s{s{s{s{s{s{s{s{s{}}}}}}}}}}}}}}}}} b=2", "x.conf:1: sections nest deeper than 16\n"},
    };

    ROWS(rows);
}

static void test_caps(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct conf_entry *e;
    struct buf b = buf_in(a);
    size_t count = 0;

    for (int i = 0; i < 100010; i++)
        buf_addf(&b, "a%d = 1\n", i);
    for (e = conf_parse_text(a, STR("x.conf"), buf_str(&b), &p); e; e = e->next)
        count++;
    is_long((long)count, 100001, "entries are read up to the cap");
    is_str(told(a, &p, ""), STR("x.conf:100001: more than 100000 entries: the rest is not read\n"), "and that is said");

    b = buf_in(a);
    p = (struct problems){.arena = a};
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "nonsense %d\n", i);
    e = conf_parse_text(a, STR("x.conf"), buf_str(&b), &p);
    ok(!e, "nothing is read of nonsense");
    is_long((long)p.count, 101, "100 complaints and the last word");
    is_str(problem_text(a, &p.items[100]), STR("x.conf:100: 100 errors are enough: the rest is not read"),
           "and the last word");

    b = buf_in(a);
    p = (struct problems){.arena = a};
    buf_add(&b, STR("a = {"));
    for (int i = 0; i < 1000010; i++)
        buf_add(&b, STR("1,"));
    e = conf_parse_text(a, STR("x.conf"), buf_str(&b), &p);
    is_long((long)e->count, 1000001, "values are read up to the cap");
    is_str(told(a, &p, ""), STR("x.conf:1: more than 1000000 values: the rest is not read\n"), "and that is said");
    arena_free(&a);
}

static void test_places(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct str text = STR("# 1\na = {\n x,\n /* 4\n*/ y }\ns \"t\" {\n b =\n 1 }");
    struct conf_entry *e = conf_parse_text(a, STR("x.conf"), text, &p);

    is_long(e->at.line, 2, "an entry is where its name is");
    is_long(e->values[0].at.line, 3, "a value where it is itself");
    is_long(e->values[1].at.line, 5, "also behind a comment of two lines");
    is_long(e->next->at.line, 6, "a section");
    is_long(e->next->children->at.line, 7, "an entry of it");
    is_long(e->next->children->values[0].at.line, 8, "and its value");
    is_str(e->next->at.file, STR("x.conf"), "the file");
    arena_free(&a);
}

/* ---- files ---- */

static char directory[] = "/tmp/config_tree.XXXXXX";

static const char *path_of(const char *name)
{
    static char path[4][200];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
    return path[turn];
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        bail("cannot write %s", path_of(name));
}

static void check_file(const char *name, const char *tree, const char *problems)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    char prefix[64];
    struct conf_entry *e;

    snprintf(prefix, sizeof prefix, "%s/", directory);
    e = conf_parse_file(a, str_of(path_of(name)), &p);
    is_str(dumped(a, e), str_of(tree), "read: file %s", name);
    is_str(told(a, &p, prefix), str_of(problems), "complaints: file %s", name);
    arena_free(&a);
}

static void test_includes(void)
{
    write_file("plain.conf", "a = 1\ninclude(\"conf.d/one.conf\")\nc = 3\n");
    write_file("conf.d/one.conf", "b = 2\ninclude('two.conf')\n");
    write_file("conf.d/two.conf", "deep = yes\n");
    check_file("plain.conf", "a=1 b=2 deep=yes c=3", "");
    write_file("glob.conf", "s { include(\"conf.d/*.conf\") include(none.d/*.conf) z = 1 }\n");
    check_file("glob.conf", "s{b=2 deep=yes deep=yes z=1}",
               "conf.d/two.conf:1: \"deep\" is here twice: this file is included twice\n");
    write_file("order.d/10.conf", "x = 10\n");
    write_file("order.d/9.conf", "y = 9\n");
    write_file("order.d/A.conf", "z = A\n");
    write_file("order.d/.hidden.conf", "hidden = 1\n");
    write_file("order.d/a.conf~", "backup = 1\n");
    write_file("order.conf", "include(\"order.d/*.conf\")");
    check_file("order.conf", "x=10 y=9 z=A", "");

    /* a section may be opened again in another file, for what it does not have yet */
    write_file("join.d/1.conf", "h { b = 2 }\np \"x\" { h { d = 1 } }\nnew { }\nh2 { x = 1 }\n");
    write_file("join.d/2.conf", "p \"x\" { h { e = 1 } g { } }\np \"y\" { h { e = 1 } }\n"
               "new { f = 1 }\nh2 { x += {2} }\n");
    write_file("join.conf", "h { a = 1 }\nz = 1\np \"x\" { c = 1 }\ninclude(\"join.d/*.conf\")\nlast = 1\n");
    check_file("join.conf", "h{a=1 b=2} z=1 p[x]{c=1 h{d=1 e=1} g{}} new{f=1} h2{x=1 x+={2}} p[y]{h{e=1}} last=1", "");
    write_file("twice.conf", "h { a = 1 }\np \"x\" { g { c = 1 } }\ninclude(\"twice.inc\")\n");
    write_file("twice.inc", "p \"x\" { g {\n c = 2 } }\nh { a = 2 }\nh { b = 2 }\n");
    check_file("twice.conf", "h{a=1 a=2 b=2} p[x]{g{c=1 c=2}}",
               "twice.inc:2: \"c\" is already set at twice.conf:2\ntwice.inc:3: \"a\" is already set at twice.conf:1\n"
               "twice.inc:4: section \"h\" is already opened at line 3\n");

    write_file("missing.conf", "a = 1\ninclude(\"none.conf\")\nb = 2\n");
    check_file("missing.conf", "a=1 b=2",
               "missing.conf:2: include: none.conf cannot be read: No such file or directory\n");
    write_file("directory.conf", "a = 1\ninclude(\"conf.d\")\ninclude(\"conf.?\")\ninclude(\"\")\n");
    check_file("directory.conf", "a=1", "directory.conf:2: include: conf.d is a directory, not a file\n"
                                        "directory.conf:3: include: conf.d is a directory, not a file\n"
                                        "directory.conf:4: include needs the name of a file\n");
    check_file("conf.d", "", "conf.d: is a directory, not a file\n");
    check_file("none.conf", "", "none.conf: cannot be read: No such file or directory\n");
    if (mkfifo(path_of("fifo"), 0600) != 0)
        bail("cannot make a FIFO");
    check_file("fifo", "", "fifo: is not a regular file\n");

    write_file("self.conf", "a = 1\ninclude(\"self.conf\")\nb = 2\n");
    check_file("self.conf", "a=1 b=2", "self.conf:2: include goes in a circle: self.conf -> self.conf\n");
    write_file("circle1.conf", "a = 1\n\ninclude(\"circle2.conf\")\n");
    write_file("circle2.conf", "b = 2\ninclude(\"./circle1.conf\")\nc = 3\n");
    check_file("circle1.conf", "a=1 b=2 c=3",
               "circle2.conf:2: include goes in a circle: circle1.conf -> circle2.conf -> ./circle1.conf\n");

    /* sections are closed in the file that opens them */
    write_file("outer.conf", "s {\ninclude(\"open.conf\")\nb = 2\n}\n");
    write_file("open.conf", "}\nt {\n c = 1\n");
    check_file("outer.conf", "s{t{c=1} b=2}", "open.conf:1: unexpected \"}\": no section is open here\n"
                                              "open.conf:2: section \"t\" opened here is never closed\n");
    check_file("circle1.conf", "a=1 b=2 c=3",
               "circle2.conf:2: include goes in a circle: circle1.conf -> circle2.conf -> ./circle1.conf\n");
}

static void test_include_caps(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    FILE *f;

    for (int i = 0; i <= 17; i++)
        write_file(arena_printf(a, "deep%d.conf", i).p,
                   arena_printf(a, "include(\"deep%d.conf\")\na%d = 1\n", i + 1, i).p);
    check_file("deep0.conf",
               "a16=1 a15=1 a14=1 a13=1 a12=1 a11=1 a10=1 a9=1 a8=1 a7=1 a6=1 a5=1 a4=1 a3=1 a2=1 a1=1 a0=1",
               "deep16.conf:1: includes nest deeper than 16 files\n");

    /* no circle, but 10 to the power of 16 files */
    for (int i = 0; i < 16; i++) {
        struct buf b = buf_in(a);

        for (int k = 0; k < 10; k++)
            buf_addf(&b, "include(\"wide%d.conf\")\n", i + 1);
        write_file(arena_printf(a, "wide%d.conf", i).p, buf_str(&b).p);
    }
    write_file("wide16.conf", "");
    conf_parse_file(a, str_of(path_of("wide0.conf")), &p);
    is_long((long)p.count, 1, "files that include too many end in one complaint");
    ok(p.count && str_starts(p.items[0].text, STR("more than 100000 entries")), "which names the cap");

    f = fopen(path_of("huge.conf"), "w");
    if (!f || ftruncate(fileno(f), (64 << 20) + 1) != 0 || fclose(f) != 0)
        bail("cannot make a large file");
    check_file("huge.conf", "", "huge.conf: is larger than 64 MiB\n");
    arena_free(&a);
}

/* The including file's directory is no pattern, and is escaped in complaints. */
static void test_odd_directory(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct conf_entry *e;

    if (mkdir(path_of("[x]*\n"), 0700) != 0)
        bail("cannot make a directory");
    write_file("[x]*\n/a.conf", "a = 1\ninclude(\"?.inc\")\n");
    write_file("[x]*\n/b.inc", "b = 2\nlonely\n");
    e = conf_parse_file(a, str_of(path_of("[x]*\n/a.conf")), &p);
    is_str(dumped(a, e), STR("a=1 b=2"), "include() in an odd directory");
    is_str(told(a, &p, directory),
           STR("/[x]*\\x0a/b.inc:2: \"lonely\" stands alone: write lonely = VALUE, or lonely { ... } for a section\n"),
           "whose name is escaped");
    arena_free(&a);
}

static void remove_all(void)
{
    struct arena *a = arena_new(0);
    static const char *const names[] = {
        "join.conf", "join.d/1.conf", "join.d/2.conf", "twice.conf", "twice.inc",
        "conf.d/one.conf", "conf.d/two.conf", "order.d/10.conf", "order.d/9.conf", "order.d/A.conf",
        "order.d/.hidden.conf", "order.d/a.conf~", "plain.conf", "glob.conf", "order.conf", "missing.conf",
        "directory.conf", "fifo", "self.conf", "circle1.conf", "circle2.conf", "outer.conf", "open.conf", "huge.conf",
        "[x]*\n/a.conf", "[x]*\n/b.inc",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    for (int i = 0; i <= 17; i++) {
        unlink(path_of(arena_printf(a, "deep%d.conf", i).p));
        unlink(path_of(arena_printf(a, "wide%d.conf", i).p));
    }
    rmdir(path_of("conf.d"));
    rmdir(path_of("order.d"));
    rmdir(path_of("join.d"));
    rmdir(path_of("[x]*\n"));
    ok(rmdir(directory) == 0, "the directory is empty again");
    arena_free(&a);
}

int main(void)
{
    if (!mkdtemp(directory) || mkdir(path_of("conf.d"), 0700) != 0 || mkdir(path_of("order.d"), 0700) != 0 ||
        mkdir(path_of("join.d"), 0700) != 0)
        bail("cannot make a directory");
    test_good();
    test_bad_entries();
    test_bad_lists();
    test_bad_strings();
    test_bad_sections();
    test_caps();
    test_places();
    test_includes();
    test_include_caps();
    test_odd_directory();
    remove_all();
    return tap_end();
}
