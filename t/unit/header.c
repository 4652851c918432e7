/* header.c - lists of fields, unfolding, splitting. */
#include "../../milter/base/arena.h"
#include "../../milter/mail/header.h"
#include "../lib/tap.h"

static struct arena *arena;

static void test_list(void)
{
    struct headers h = {0};
    char name[] = "Received", value[] = " from a";
    const struct header *found;

    ok(header_find(&h, STR("From"), 0) == NULL && header_count(&h, STR("From")) == 0, "an empty list has no field");
    header_add(arena, &h, str_of(name), str_of(value));
    memset(name, 'x', sizeof name - 1);
    memset(value, 'x', sizeof value - 1);
    header_add(arena, &h, STR("From"), STR(" joe@x"));
    header_add(arena, &h, STR("RECEIVED"), STR(" from b"));
    is_long(h.count, 3, "three fields");
    is_long(h.bytes, 8 + 7 + 4 + 6 + 8 + 7, "of so many bytes");
    is_long(header_count(&h, STR("received")), 2, "case does not count");
    found = header_find(&h, STR("received"), 0);
    is_str(found->value, STR(" from a"), "the first, a copy as it was written");
    is_str(found->name, STR("Received"), "its name too");
    is_str(header_find(&h, STR("Received"), 1)->value, STR(" from b"), "the second");
    ok(header_find(&h, STR("Received"), 2) == NULL, "there is no third");
    ok(header_find(&h, STR("Receive"), 0) == NULL, "a shorter name is another one");
    ok(h.first->next->next == h.last && h.last->next == NULL, "in order");
}

static void test_unfold(void)
{
    static const struct {
        struct str value, want;
    } rows[] = {
        {STR(" plain "), STR("plain")},
        {STR(" one\r\n two"), STR("one two")},
        {STR(" one\n\ttwo"), STR("one\ttwo")},
        {STR("\r\n one"), STR("one")},
        {STR("one\r\n \r\n  two"), STR("one   two")},
        {STR("one\r\n"), STR("one")},
        {STR("one\r\nEvil: two"), STR("one Evil: two")},
        {STR("one\nEvil: two"), STR("one Evil: two")},
        {STR("one\rtwo"), STR("one two")},
        {STR("one\r\r\n two"), STR("one  two")},
        {STR("a\0b"), STR("a\0b")},
        {STR(""), STR("")},
        {STR(" \r\n "), STR("")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str shown = str_escaped(arena, rows[i].value);

        is_str(header_unfold(arena, rows[i].value), rows[i].want, "'" STR_FMT "' unfolded", STR_ARG(shown));
    }
    is_str(header_unfold(arena, STR_NONE), STR_NONE, "nothing unfolded");
}

/* written - the fields as "name=value;" and the body behind a bar. */
static struct str written(struct str message)
{
    struct buf b = buf_in(arena);
    struct headers h;
    struct str body;

    headers_split(arena, message, &h, &body);
    for (const struct header *one = h.first; one; one = one->next) {
        buf_add(&b, one->name);
        buf_addc(&b, '=');
        buf_add(&b, one->value);
        buf_addc(&b, ';');
    }
    buf_addc(&b, '|');
    buf_add(&b, body);
    return buf_str(&b);
}

static void test_split(void)
{
    static const struct {
        struct str message, want;
    } rows[] = {
        {STR("From: a\r\nTo: b\r\n\r\nbody\r\n"), STR("From= a;To= b;|body\r\n")},
        {STR("From: a\nTo: b\n\nbody\n"), STR("From= a;To= b;|body\n")},
        {STR("Subject: one\r\n two\r\n\tthree\r\n\r\n"), STR("Subject= one\r\n two\r\n\tthree;|")},
        {STR("Subject: one\r\n \r\n\r\nbody"), STR("Subject= one\r\n ;|body")},
        {STR("From: a"), STR("From= a;|")},
        {STR("From: a\r\n"), STR("From= a;|")},
        {STR("From:a:b\r\n"), STR("From=a:b;|")},
        {STR("From:\r\nTo:\r\n\r\n"), STR("From=;To=;|")},
        {STR("Subject \t: x\r\n\r\n"), STR("Subject= x;|")},
        {STR("\r\nbody"), STR("|body")},
        {STR("\nbody"), STR("|body")},
        {STR(""), STR("|")},
        {STR("no field\r\nFrom: a\r\n"), STR("|no field\r\nFrom: a\r\n")},
        {STR("From: a\r\nno field\r\nTo: b\r\n"), STR("From= a;|no field\r\nTo: b\r\n")},
        {STR("From: a\r\nno field: b\r\n"), STR("From= a;|no field: b\r\n")},
        {STR(" folded: a\r\n"), STR("| folded: a\r\n")},
        {STR(": a\r\n"), STR("|: a\r\n")},
        {STR("N\xc3\xa4me: a\r\n"), STR("|N\xc3\xa4me: a\r\n")},
        {STR("A\0B: a\r\n"), STR("|A\0B: a\r\n")},
        {STR("A\x7f: a\r\n"), STR("|A\x7f: a\r\n")},
        {STR("From: a\0b\r\n\r\n"), STR("From= a\0b;|")},
        {STR("From: a\rb\r\n\r\n"), STR("From= a\rb;|")},
        {STR("From: a\r\r\n\r\nbody"), STR("From= a\r;|body")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str shown = str_escaped(arena, rows[i].message);

        is_str(written(rows[i].message), rows[i].want, "'" STR_FMT "' split", STR_ARG(shown));
    }
    is_str(written(STR_NONE), STR("|"), "nothing split");
}

static void test_large(void)
{
    static const char *const fillers[] = {"A:\n", "A: b\n c\n", "A:\n \n", "\n", "A", ":", "A: \r", " \n"};
    size_t n = 1 << 20;
    char *big = arena_alloc(arena, n);

    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        struct headers h;
        struct str body, unfolded;
        long long before = tap_cpu_ms();

        for (size_t k = 0; k < n; k++)
            big[k] = fillers[i][k % strlen(fillers[i])];
        headers_split(arena, (struct str){big, n}, &h, &body);
        unfolded = header_unfold(arena, (struct str){big, n});
        ok(h.bytes + body.n <= n && unfolded.n <= n && tap_cpu_ms() - before < 500,
           "a MiB of the %zuth filler in %lld ms", i, tap_cpu_ms() - before);
    }
}

int main(void)
{
    arena = arena_new(0);
    test_list();
    test_unfold();
    test_split();
    test_large();
    arena_free(&arena);
    return tap_end();
}
