/* arena.c - alignment, growth, cleanups, resets. */
#include <stdint.h>
#include <stdio.h>

#include "../../milter/base/arena.h"
#include "../lib/tap.h"

static char order[8];
static size_t order_n;

static void note(void *ptr)
{
    if (order_n < sizeof order)
        order[order_n++] = *(const char *)ptr;
}

static void test_alloc(void)
{
    struct arena *a = arena_new(128);
    bool aligned = true, apart = true;
    unsigned char *before = NULL;
    size_t first = arena_bytes(a);
    char *big;

    for (size_t size = 0; size < 600; size++) {
        unsigned char *p = arena_alloc(a, size);

        aligned = aligned && (uintptr_t)p % _Alignof(max_align_t) == 0;
        memset(p, (int)(size & 0xff), size);
        if (before && size > 1)
            apart = apart && before[0] == ((size - 1) & 0xff) && before[size - 2] == ((size - 1) & 0xff);
        before = p;
    }
    ok(aligned, "every allocation is aligned");
    ok(apart, "no allocation overlaps the one before");
    ok(arena_bytes(a) > first, "the arena has grown");
    big = arena_alloc(a, 3000000);
    memset(big, 'x', 3000000);
    ok(arena_bytes(a) >= 3000000, "an allocation larger than any chunk");
    arena_reset(a);
    is_long(arena_bytes(a), first, "a reset gives all but the first chunk back");
    arena_free(&a);
    ok(a == NULL, "arena_free clears the pointer");
    arena_free(&a);
    ok(a == NULL, "and takes NULL");
}

static void test_cleared(void)
{
    struct arena *a = arena_new(0);
    unsigned char *p = arena_alloc(a, 256), sum = 0;

    memset(p, 0xff, 256);
    arena_reset(a);
    p = arena_zalloc(a, 256);
    for (int i = 0; i < 256; i++)
        sum |= p[i];
    is_long(sum, 0, "arena_zalloc clears what was used before");
    arena_reset(a);
    p = arena_array(a, 16, 16);
    for (int i = 0; i < 256; i++)
        sum |= p[i];
    is_long(sum, 0, "so does arena_array");
    arena_free(&a);
}

static void test_cleanups(void)
{
    struct arena *a = arena_new(64);

    arena_on_reset(a, note, (void *)"1");
    for (int i = 0; i < 100; i++)
        arena_alloc(a, 100);
    arena_on_reset(a, note, (void *)"2");
    arena_on_reset(a, note, (void *)"3");
    arena_reset(a);
    is_str((struct str){order, order_n}, STR("321"), "cleanups run newest first");
    arena_reset(a);
    is_long(order_n, 3, "and once");
    arena_on_reset(a, note, (void *)"4");
    arena_free(&a);
    is_str((struct str){order, order_n}, STR("3214"), "arena_free runs them too");
}

static void test_grow(void)
{
    struct arena *a = arena_new(0);
    size_t *items = NULL, moved = 0, wrong = 0;

    for (size_t i = 0; i < 10000; i++) {
        size_t *more = arena_grow(a, items, i, sizeof *items);

        moved += more != items;
        items = more;
        items[i] = i;
    }
    for (size_t i = 0; i < 10000; i++)
        wrong += items[i] != i;
    is_long(wrong, 0, "10000 items in a growing array");
    is_long(moved, 13, "which moved 13 times: at 0, 4, 8, ... 8192");
    ok(arena_bytes(a) < 16 * 10000 * sizeof *items, "and left only a few times its size behind");
    arena_free(&a);
}

static void test_printf(void)
{
    struct arena *a = arena_new(0);
    struct str s = arena_printf(a, "%d %s", 42, "things");

    is_str(s, STR("42 things"), "arena_printf");
    is_long(s.p[s.n], 0, "ends with a NUL");
    is_long(arena_printf(a, "%0500d", 1).n, 500, "longer than its first guess");
    arena_free(&a);
}

int main(void)
{
    test_alloc();
    test_cleared();
    test_cleanups();
    test_grow();
    test_printf();
    return tap_end();
}
