/* err.c - the list of problems and the nearest word. */
#include "../../milter/base/arena.h"
#include "../../milter/base/err.h"
#include "../lib/tap.h"

static void test_problems(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct place at = {STR("/etc/x.conf"), 7};

    problem_error(&p, at, "unknown option '%s'", "hlo");
    problem_warning(&p, (struct place){STR("lists/bad\n1"), 0}, "is empty");
    for (int i = 0; i < 50; i++)
        problem_error(&p, (struct place){STR_NONE, 0}, "number %d\x1b", i);
    is_long(p.count, 52, "all are kept");
    is_long(p.errors, 51, "warnings are no errors");
    is_str(problem_text(a, &p.items[0]), STR("/etc/x.conf:7: unknown option 'hlo'"), "file, line and text");
    is_str(problem_text(a, &p.items[1]), STR("lists/bad\\x0a1: warning: is empty"), "a whole file; escaped; a warning");
    is_str(problem_text(a, &p.items[51]), STR("number 49\\x1b"), "no file at all");
    arena_free(&a);
}

static void test_sorted(void)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};
    struct place two = {STR("c"), 2}, one = {STR("c"), 1};

    problem_error(&p, two, "wrong");
    problem_error(&p, one, "wrong");
    problem_warning(&p, two, "wrong");
    problem_error(&p, two, "bad");
    problem_error(&p, two, "wrong");
    problem_warning(&p, two, "wrong");
    problems_sort(&p);
    is_long(p.count, 4, "what is said twice of one line is kept once");
    is_long(p.errors, 3, "and counted once");
    is_str(problem_text(a, &p.items[0]), STR("c:1: wrong"), "by line");
    is_str(problem_text(a, &p.items[1]), STR("c:2: wrong"), "the first of a line first");
    is_str(problem_text(a, &p.items[2]), STR("c:2: warning: wrong"), "a warning is not the same as an error");
    is_str(problem_text(a, &p.items[3]), STR("c:2: bad"), "nor are other words");
    arena_free(&a);
}

static void test_nearest(void)
{
    static const char *const words[] = {"helo", "dnsbl", "rhsbl", "badmailfrom", "badmailfromto", "tls"};
    static const struct {
        const char *word, *want; /* NULL: none is near enough */
    } rows[] = {
        {"helo", "helo"},
        {"hleo", "helo"},
        {"hello", "helo"},
        {"HELO", "helo"},
        {"dsnbl", "dnsbl"},
        {"badmailform", "badmailfrom"},
        {"bad_mail_from", "badmailfrom"},
        {"badmailfromt", "badmailfrom"},
        {"xyz", NULL},
        {"spamassassin", NULL},
        {"", NULL},
    };
    char huge[1000];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = nearest(str_of(rows[i].word), words, sizeof words / sizeof words[0]);

        is_str(str_of(got), str_of(rows[i].want), "nearest to '%s'", rows[i].word);
    }
    memset(huge, 'a', sizeof huge);
    ok(nearest((struct str){huge, sizeof huge}, words, 6) == NULL, "a word of 1000 bytes is near to none");
    ok(nearest(STR("helo"), words, 0) == NULL, "of no words none is near");
}

int main(void)
{
    test_problems();
    test_sorted();
    test_nearest();
    return tap_end();
}
