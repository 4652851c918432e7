/* option.c - option tables: values read, written and refused, and every complaint word for word. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../milter/base/arena.h"
#include "../../milter/option.h"
#include "../lib/tap.h"

struct values {
    bool flag;
    long count, free_count;
    double load, ratio;
    int64_t wait, delay;
    uint64_t room, most;
    struct str text;
    int level;
    unsigned skip;
    struct str_list names;
    struct str_list port;
    struct cidr_list networks;
    struct pattern_list senders, users, hosts;
    struct pattern_pairs pairs;
};

static const char *const level_words[] = {"lenient", "rfc", "strict", NULL};
static const char *const skip_words[] = {"local", "auth", "whitelisted", NULL};

static const struct option rows[] = {
    OPT_BOOL(struct values, flag, "no", "a flag"),
    OPT_INT(struct values, count, "4", 1, 1000, "a count"),
    OPT_INT(struct values, free_count, "-7", 0, 0, "a count without limits"),
    OPT_NUMBER(struct values, load, "7", 0, 100, "a load"),
    OPT_NUMBER(struct values, ratio, "0.1", 0, 0, "a ratio"),
    OPT_DURATION(struct values, wait, "90s", 0, 3600000, "a time"),
    OPT_DURATION(struct values, delay, "1500ms", 0, 0, "a time without limits"),
    OPT_SIZE(struct values, room, "1M", 1024, 1073741824, "a size"),
    OPT_SIZE(struct values, most, "0", 0, 0, "a size without limits"),
    OPT_STRING(struct values, text, "some text", "a text"),
    OPT_WORD(struct values, level, "lenient", level_words, "a word"),
    OPT_WORDS(struct values, skip, "local, auth", skip_words, "words"),
    OPT_STRINGS(struct values, names, "a, \"b, c\" ,d", "texts"),
    OPT_NUMBERS(struct values, port, "25, 0587", 1, 65535, "numbers"),
    OPT_CIDRS(struct values, networks, "127.0.0.0/8, ::1/128", "networks"),
    OPT_ADDRESSES(struct values, senders, "@bad.example, /^x@/ go away", "addresses"),
    OPT_MAILBOXES(struct values, users, "postmaster", "mailboxes"),
    OPT_HOSTS(struct values, hosts, ".example", "hosts"),
    OPT_PAIRS(struct values, pairs, "@a.example b@c.example", "pairs"),
    OPTION_END,
};

static struct str told(struct arena *a, struct problems *p)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < p->count; i++) {
        struct str text = problem_text(a, &p->items[i]);

        buf_addf(&b, "%s" STR_FMT, i ? "\n" : "", STR_ARG(text));
    }
    return buf_str(&b);
}

/* apply - every entry of a text to the values. */
static void apply(struct arena *a, const char *text, struct values *v, struct problems *p)
{
    for (const struct conf_entry *e = conf_parse_text(a, STR("x.conf"), str_of(text), p); e; e = e->next) {
        bool is_file;
        const struct option *o = option_find(rows, e->name, &is_file);

        if (o)
            option_apply(a, o, is_file, e, v, p);
        else
            bail("the test's own option in: %s", text);
    }
}

static struct str text_of(struct arena *a, const char *name, const struct values *v)
{
    bool is_file;
    const struct option *o = option_find(rows, str_of(name), &is_file);

    return o ? option_text(a, o, v) : STR("?");
}

/* What is written, the option to look at, how it is then written out, and what is complained about. */
struct row {
    const char *text, *name, *want, *problems;
};

static void check(const struct row *row)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct values v = {0};

    option_presets(a, rows, &v);
    apply(a, row->text, &v, &p);
    is_str(text_of(a, row->name, &v), str_of(row->want), "%s", row->text);
    is_str(told(a, &p), str_of(row->problems ? row->problems : ""), "complaints: %s", row->text);
    arena_free(&a);
}

#define CHECK_ALL(table) for (size_t i = 0; i < sizeof(table) / sizeof(table)[0]; i++) check(&(table)[i])

static void test_presets(void)
{
    static const struct row table[] = {
        {"", "flag", "no", NULL},
        {"", "count", "4", NULL},
        {"", "free_count", "-7", NULL},
        {"", "load", "7", NULL},
        {"", "ratio", "0.1", NULL},
        {"", "wait", "90s", NULL},
        {"", "delay", "1500ms", NULL},
        {"", "room", "1M", NULL},
        {"", "most", "0", NULL},
        {"", "text", "\"some text\"", NULL},
        {"", "level", "lenient", NULL},
        {"", "skip", "{local, auth}", NULL},
        {"", "names", "{\"a\", \"b, c\", \"d\"}", NULL},
        {"", "port", "{25, 587}", NULL},
        {"", "networks", "{\"127.0.0.0/8\", \"::1/128\"}", NULL},
        {"", "senders", "{\"@bad.example\", \"/^x@/ go away\"}", NULL},
        {"", "users", "{\"postmaster\"}", NULL},
        {"", "hosts", "{\".example\"}", NULL},
        {"", "pairs", "{\"@a.example b@c.example\"}", NULL},
    };

    CHECK_ALL(table);
}

static void test_scalars(void)
{
    static const struct row table[] = {
        {"flag = yes", "flag", "yes", NULL},
        {"flag = ON", "flag", "yes", NULL},
        {"flag = true", "flag", "yes", NULL},
        {"flag = Enabled", "flag", "yes", NULL},
        {"flag = 1", "flag", "yes", NULL},
        {"flag = \"off\"", "flag", "no", NULL},
        {"flag = 0", "flag", "no", NULL},
        {"flag = 2", "flag", "no", "x.conf:1: flag = \"2\": needs yes or no"},
        {"flag = ye", "flag", "no", "x.conf:1: flag = \"ye\": needs yes or no; did you mean \"yes\"?"},
        {"flag = disable", "flag", "no", "x.conf:1: flag = \"disable\": needs yes or no; did you mean \"disabled\"?"},
        {"flag = \"\"", "flag", "no", "x.conf:1: flag = \"\": needs yes or no"},
        {"count = 1", "count", "1", NULL},
        {"count = +5", "count", "5", NULL},
        {"count = 1000", "count", "1000", NULL},
        {"count = 1001", "count", "4", "x.conf:1: count = \"1001\": needs a whole number from 1 to 1000"},
        {"count = 0", "count", "4", "x.conf:1: count = \"0\": needs a whole number from 1 to 1000"},
        {"count = 2.5", "count", "4", "x.conf:1: count = \"2.5\": needs a whole number from 1 to 1000"},
        {"count = five", "count", "4", "x.conf:1: count = \"five\": needs a whole number from 1 to 1000"},
        {"count = +-5", "count", "4", "x.conf:1: count = \"+-5\": needs a whole number from 1 to 1000"},
        {"count = \"5 \"", "count", "4", "x.conf:1: count = \"5 \": needs a whole number from 1 to 1000"},
        {"free_count = -9223372036854775808", "free_count", "-9223372036854775808", NULL},
        {"free_count = 9223372036854775808", "free_count", "-7",
         "x.conf:1: free_count = \"9223372036854775808\": needs a whole number"},
        {"load = 2.5", "load", "2.5", NULL},
        {"load = 1e1", "load", "10", NULL},
        {"load = -1", "load", "7", "x.conf:1: load = \"-1\": needs a number from 0 to 100"},
        {"load = 1e9999", "load", "7", "x.conf:1: load = \"1e9999\": needs a number from 0 to 100"},
        {"load = nan", "load", "7", "x.conf:1: load = \"nan\": needs a number from 0 to 100"},
        {"load = 0x10", "load", "7", "x.conf:1: load = \"0x10\": needs a number from 0 to 100"},
        {"load = \"2,5\"", "load", "7", "x.conf:1: load = \"2,5\": needs a number from 0 to 100"},
        {"load = \"\"", "load", "7", "x.conf:1: load = \"\": needs a number from 0 to 100"},
        {"ratio = 0.30000000000000004", "ratio", "0.30000000000000004", NULL},
        {"ratio = x", "ratio", "0.1", "x.conf:1: ratio = \"x\": needs a number"},
        {"wait = 500ms", "wait", "500ms", NULL},
        {"wait = 5", "wait", "5s", NULL},
        {"wait = 60s", "wait", "1m", NULL},
        {"wait = 1h", "wait", "1h", NULL},
        {"wait = 0", "wait", "0s", NULL},
        {"wait = 0d", "wait", "0s", NULL},
        {"wait = 61m", "wait", "90s",
         "x.conf:1: wait = \"61m\": needs a duration from 0 to 1h, like 500ms, 5s, 10m, 2h or 1d"},
        {"wait = 5x", "wait", "90s",
         "x.conf:1: wait = \"5x\": needs a duration from 0 to 1h, like 500ms, 5s, 10m, 2h or 1d"},
        {"wait = -5s", "wait", "90s",
         "x.conf:1: wait = \"-5s\": needs a duration from 0 to 1h, like 500ms, 5s, 10m, 2h or 1d"},
        {"wait = s", "wait", "90s",
         "x.conf:1: wait = \"s\": needs a duration from 0 to 1h, like 500ms, 5s, 10m, 2h or 1d"},
        {"delay = 36h", "delay", "36h", NULL},
        {"delay = 30d", "delay", "30d", NULL},
        {"delay = 99999999999999999d", "delay", "1500ms",
         "x.conf:1: delay = \"99999999999999999d\": needs a duration, like 500ms, 5s, 10m, 2h or 1d"},
        {"delay = 9223372036854775808ms", "delay", "1500ms",
         "x.conf:1: delay = \"9223372036854775808ms\": needs a duration, like 500ms, 5s, 10m, 2h or 1d"},
        {"delay = 99999999999999999999999", "delay", "1500ms",
         "x.conf:1: delay = \"99999999999999999999999\": needs a duration, like 500ms, 5s, 10m, 2h or 1d"},
        {"room = 2048", "room", "2K", NULL},
        {"room = 64K", "room", "64K", NULL},
        {"room = 1025", "room", "1025", NULL},
        {"room = 1G", "room", "1G", NULL},
        {"room = 100", "room", "1M", "x.conf:1: room = \"100\": needs a size from 1K to 1G, like 100, 64K, 25M or 1G"},
        {"room = 5MB", "room", "1M", "x.conf:1: room = \"5MB\": needs a size from 1K to 1G, like 100, 64K, 25M or 1G"},
        {"most = 9999999999G", "most", "0", "x.conf:1: most = \"9999999999G\": needs a size, like 100, 64K, 25M or 1G"},
        {"text = plain-1.example", "text", "plain-1.example", NULL},
        {"text = \"\"", "text", "\"\"", NULL},
        {"text = 'a \"b\" \\ # \xc3\xbc'", "text", "\"a \\x22b\\x22 \\\\ # \\xc3\\xbc\"", NULL},
        {"text = '//x'", "text", "\"//x\"", NULL},
        {"level = strict", "level", "strict", NULL},
        {"level = RFC", "level", "rfc", NULL},
        {"\n\nlevel = lenent", "level", "lenient",
         "x.conf:3: level = \"lenent\": not one of lenient, rfc, strict; did you mean \"lenient\"?"},
        {"level = harsh", "level", "lenient", "x.conf:1: level = \"harsh\": not one of lenient, rfc, strict"},
        {"level = \"x\\x1b\\xff\"", "level", "lenient",
         "x.conf:1: level = \"x\\x1b\\xff\": not one of lenient, rfc, strict"},
        {"level = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "level", "lenient",
         "x.conf:1: level = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\": not one of "
         "lenient, rfc, strict"},
        /* the wrong kind of entry */
        {"level = {strict, rfc}", "level", "lenient", "x.conf:1: level needs one value, not a list"},
        {"level = {}", "level", "lenient", "x.conf:1: level needs one value, not a list"},
        {"level += strict", "level", "lenient", "x.conf:1: level holds one value: write = instead of +="},
        {"level { a = 1 }", "level", "lenient", "x.conf:1: level is an option, not a section: write level = VALUE"},
        {"names { a = 1 }", "names", "{\"a\", \"b, c\", \"d\"}",
         "x.conf:1: names is an option, not a section: write names = {...}"},
        {"names_file = {a, b}", "names", "{\"a\", \"b, c\", \"d\"}",
         "x.conf:1: names_file needs one value, not a list"},
    };

    CHECK_ALL(table);
}

static void test_lists(void)
{
    static const struct row table[] = {
        {"skip = {whitelisted}", "skip", "{whitelisted}", NULL},
        {"skip = auth", "skip", "{auth}", NULL},
        {"skip += {whitelisted}", "skip", "{local, auth, whitelisted}", NULL},
        {"skip = {}", "skip", "{}", NULL},
        {"skip = {local,\nauht,\nwhite}", "skip", "{local}",
         "x.conf:2: skip = \"auht\": not one of local, auth, whitelisted; did you mean \"auth\"?\n"
         "x.conf:3: skip = \"white\": not one of local, auth, whitelisted"},
        {"names = {x}", "names", "{\"x\"}", NULL},
        {"names = x", "names", "{\"x\"}", NULL},
        {"names = {}", "names", "{}", NULL},
        {"names += {x, x}", "names", "{\"a\", \"b, c\", \"d\", \"x\", \"x\"}", NULL},
        {"names = {x, \"\"}", "names", "{\"x\"}",
         "x.conf:1: names = \"\": empty; a list without entries is written {}"},
        {"names = {a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t}", "names",
         "{\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\", \"j\", \"k\", \"l\", \"m\", \"n\", \"o\", "
         "\"p\", \"q\", \"r\", \"s\", \"t\"}", NULL},
        {"names = {a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u}", "names", "{ ... 21 entries ... }", NULL},
        {"port = {25, 0465, +587}", "port", "{25, 465, 587}", NULL},
        {"port = {25, 99999, smtp}", "port", "{25}",
         "x.conf:1: port = \"99999\": needs a whole number from 1 to 65535\n"
         "x.conf:1: port = \"smtp\": needs a whole number from 1 to 65535"},
        {"networks = {10.0.0.0/8}", "networks", "{\"10.0.0.0/8\"}", NULL},
        {"networks = {10.0.0.1/8,\n10.0.0.300,\n10.0.0.0/33}", "networks", "{}",
         "x.conf:1: networks = \"10.0.0.1/8\": has bits beyond its prefix; did you mean 10.0.0.0/8?\n"
         "x.conf:2: networks = \"10.0.0.300\": not an address or network\n"
         "x.conf:3: networks = \"10.0.0.0/33\": needs a prefix length from 0 to 32 after the slash"},
        {"senders += {user+tag@x.example}", "senders",
         "{\"@bad.example\", \"/^x@/ go away\", \"user+tag@x.example\"}", NULL},
        {"senders = {\"bare\"}", "senders", "{}",
         "x.conf:1: senders = \"bare\": has no @; did you mean @bare or bare@domain?"},
        {"senders = {\"/(/\"}", "senders", "{}",
         "x.conf:1: senders = \"/(/\": no regular expression: missing closing parenthesis at offset 1"},
        {"users = {bare, a@b.example}", "users", "{\"bare\", \"a@b.example\"}", NULL},
        {"hosts = {host.example, \"/^dsl/ no, you\"}", "hosts", "{\"host.example\", \"/^dsl/ no, you\"}", NULL},
        {"hosts = {a@b.example}", "hosts", "{}",
         "x.conf:1: hosts = \"a@b.example\": an address; this list has host names"},
        {"pairs = {\"a@b.example  @c.example\"}", "pairs", "{\"a@b.example  @c.example\"}", NULL},
        {"pairs = {\"a@b.example\"}", "pairs", "{}",
         "x.conf:1: pairs = \"a@b.example\": not two patterns, \"from to\""},
    };
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct values v = {0};
    struct buf b = buf_in(a);

    CHECK_ALL(table);
    buf_add(&b, STR("port = {0"));
    for (int i = 0; i < 30; i++)
        buf_add(&b, STR(", x"));
    buf_add(&b, STR(", 25}"));
    option_presets(a, rows, &v);
    apply(a, buf_str(&b).p, &v, &p);
    is_long((long)p.count, 21, "of 31 bad values 20 are named");
    is_str(p.items[20].text, STR("port has 11 further bad values"), "and the others counted");
    is_str(text_of(a, "port", &v), STR("{25}"), "the good one is kept");
    arena_free(&a);
}

/* What option_text() writes is read as what it was. */
static void test_round_trip(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct values v = {0}, again = {0};

    option_presets(a, rows, &v);
    option_presets(a, rows, &again);
    apply(a, "flag = yes count = 9 load = 0.3 wait = 1ms room = 1025 level = strict skip = {} port = {1,2}\n"
             "text = \"tab\\t quote\\\" nl\\n back\\\\ \\x01\\xfe {}=,'\" names = {'a b', \"c\\\"d\", '{', \"\\n\"}\n"
             "senders = {'/a\\.b\"c/ told', 'x@y.example also told'} pairs = {'a@b.example /x y/'}\n",
          &v, &p);
    for (const struct option *o = rows; o->name; o++) {
        struct str text = option_text(a, o, &v);

        apply(a, arena_printf(a, "%s = " STR_FMT, o->name, STR_ARG(text)).p, &again, &p);
        is_str(option_text(a, o, &again), text, "%s written and read again", o->name);
    }
    is_str(again.text, v.text, "the text itself");
    is_str(again.names.items[1], STR("c\"d"), "an item of a list");
    is_str(again.senders.items[0].text, STR("told"), "a pattern's text");
    is_long((long)p.count, 0, "without a complaint");
    arena_free(&a);
}

static void test_table(void)
{
    bool is_file;

    is_long((long)option_count(rows), 19, "rows are counted");
    is_long((long)option_count(NULL), 0, "no table, no rows");
    ok(option_find(rows, STR("level"), &is_file) == &rows[10] && !is_file, "an option is found");
    ok(option_find(rows, STR("senders_file"), &is_file) == &rows[15] && is_file, "a list's file is found");
    ok(!option_find(rows, STR("level_file"), &is_file), "a scalar has no file");
    ok(!option_find(rows, STR("leve"), &is_file), "part of a name is none");
    ok(!option_find(rows, STR("_file"), &is_file) && !option_find(rows, STR(""), &is_file), "nor is nothing");
    for (const struct option *o = rows; o->name; o++)
        ok(option_type_name(o) && *option_type_name(o), "%s has a type for humans: %s", o->name, option_type_name(o));
    ok(option_is_list(&rows[11]) && option_is_list(&rows[18]) && !option_is_list(&rows[10]), "what is a list");
}

/* ---- list files ---- */

static char directory[] = "/tmp/option.XXXXXX";

static struct str path_of(struct arena *a, const char *name)
{
    return arena_printf(a, "%s/%s", directory, name);
}

static void write_file(struct arena *a, const char *name, struct str text)
{
    FILE *f = fopen(path_of(a, name).p, "w");

    if (!f || (text.n && fwrite(text.p, text.n, 1, f) != 1) || fclose(f) != 0)
        bail("cannot write %s", name);
}

/* check_file - the configuration names the list file "list" with the given text. */
static void check_file(const char *config, struct str list, const char *name, const char *want, const char *problems)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct values v = {0};
    struct buf b = buf_in(a);

    option_presets(a, rows, &v);
    write_file(a, "list", list);
    write_file(a, "x.conf", str_of(config));
    for (const struct conf_entry *e = conf_parse_file(a, path_of(a, "x.conf"), &p); e; e = e->next) {
        bool is_file;
        const struct option *o = option_find(rows, e->name, &is_file);

        option_apply(a, o, is_file, e, &v, &p);
    }
    for (size_t i = 0; i < p.count; i++) {
        struct str text = problem_text(a, &p.items[i]);

        buf_addf(&b, STR_FMT "\n", STR_ARG(str_slice(text, strlen(directory) + 1, text.n)));
    }
    is_str(text_of(a, name, &v), str_of(want), "%s", config);
    is_str(buf_str(&b), str_of(problems), "complaints: %s", config);
    arena_free(&a);
}

static void test_files(void)
{
    struct arena *a = arena_new(0);
    struct buf b = buf_in(a);

    check_file("names_file = list", STR("x\n\n# comment\n  # comment\n y z \r\n\xef\xbb\xbfx\nlast"), "names",
               "{\"a\", \"b, c\", \"d\", \"x\", \"y z\", \"\\xef\\xbb\\xbfx\", \"last\"}", "");
    check_file("names = {i}\nnames_file = \"list\"", STR("\xef\xbb\xbfx\r\nx\r\n"), "names",
               "{\"i\", \"x\", \"x\"}", "");
    check_file("names_file += \"list\"", STR(""), "names", "{\"a\", \"b, c\", \"d\"}", "");
    check_file("skip = {}\nskip_file = list", STR("auth\nlocl\n"), "skip", "{auth}",
               "list:2: warning: skip: \"locl\" is not one of local, auth, whitelisted; did you mean \"local\"? (line "
               "left out)\n");
    check_file("networks = {}\nnetworks_file = list", STR("10.0.0.0/8\n10.0.0.1/8\nfoo\n::1\n"), "networks",
               "{\"10.0.0.0/8\", \"::1\"}",
               "list:2: warning: networks: \"10.0.0.1/8\" has bits beyond its prefix; did you mean 10.0.0.0/8? (line "
               "left out)\nlist:3: warning: networks: \"foo\" is not an address or network (line left out)\n");
    check_file("senders = {}\nsenders_file = list", STR("a@b.example go away\nbare\n/^x/\n/(/\n"), "senders",
               "{\"a@b.example go away\", \"/^x/\"}",
               "list:2: warning: senders: \"bare\" has no @; did you mean @bare or bare@domain? (line left out)\n"
               "list:4: warning: senders: \"/(/\" is no regular expression: missing closing parenthesis at offset 1 "
               "(line left out)\n");
    check_file("names = {}\nnames_file = list", STR("a\nb\0c\nd\n"), "names", "{\"a\", \"d\"}",
               "list:2: warning: names: \"b\" has a NUL byte (line left out)\n");
    buf_add(&b, STR("a\n"));
    for (int i = 0; i < 65537; i++)
        buf_addc(&b, 'x');
    buf_add(&b, STR("\nb\n"));
    check_file("names = {}\nnames_file = list", buf_str(&b), "names", "{\"a\", \"b\"}",
               "list:2: warning: names: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is longer "
               "than 65536 bytes (line left out)\n");

    check_file("\nnames_file = none", STR(""), "names", "{\"a\", \"b, c\", \"d\"}",
               arena_printf(a, "x.conf:2: names_file: %s/none cannot be read: No such file or directory\n",
                            directory).p);
    check_file("names_file = /", STR(""), "names", "{\"a\", \"b, c\", \"d\"}",
               "x.conf:1: names_file: / is a directory, not a file\n");
    check_file("names_file = \"\"", STR(""), "names", "{\"a\", \"b, c\", \"d\"}",
               "x.conf:1: names_file needs the path of a file\n");
    arena_free(&a);
}

static void test_large_files(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct values v = {0};
    struct buf b = buf_in(a);
    struct str config = arena_printf(a, "names_file = \"%s\" port_file = \"%s\" networks_file = \"%s\"",
                                     path_of(a, "many").p, path_of(a, "bad").p, path_of(a, "huge").p);
    FILE *f;

    for (int i = 0; i < 1000001; i++)
        buf_addf(&b, "%d\n", i);
    write_file(a, "many", buf_str(&b));
    b = buf_in(a);
    for (int i = 0; i < 250; i++)
        buf_add(&b, STR("bad\n"));
    buf_add(&b, STR("25\n"));
    write_file(a, "bad", buf_str(&b));
    f = fopen(path_of(a, "huge").p, "w");
    if (!f || ftruncate(fileno(f), (256l << 20) + 1) != 0 || fclose(f) != 0)
        bail("cannot make a large file");
    apply(a, config.p, &v, &p);
    is_long((long)v.names.count, 1000000, "a list file has a million entries at most");
    is_str(p.items[0].text, STR("names_file: more than 1000000 entries"), "more is an error");
    is_long(p.items[0].at.line, 1000001, "with its line");
    is_long((long)p.count, 1 + 101 + 1, "of 250 bad lines 100 are named");
    is_str(p.items[101].text, STR("port: 150 further bad lines left out"), "and the others counted");
    is_long((long)p.errors, 2, "as warnings");
    is_long((long)v.port.count, 1, "the good one is kept");
    is_str(p.items[102].text, arena_printf(a, "networks_file: %s is larger than 256 MiB", path_of(a, "huge").p),
           "a file beyond the cap");
    for (size_t i = 0; i < 3; i++)
        unlink(path_of(a, (const char *const[]){"many", "bad", "huge"}[i]).p);
    arena_free(&a);
}

int main(void)
{
    struct arena *a = arena_new(0);

    if (!mkdtemp(directory))
        bail("cannot make a directory");
    test_table();
    test_presets();
    test_scalars();
    test_lists();
    test_round_trip();
    test_files();
    test_large_files();
    unlink(path_of(a, "list").p);
    unlink(path_of(a, "x.conf").p);
    ok(rmdir(directory) == 0, "the directory is empty again");
    arena_free(&a);
    return tap_end();
}
