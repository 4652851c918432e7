/* config_tree.c - any bytes are a configuration or a list of complaints, and quoted values are read as they were. */
#include "../../milter/config_tree.h"
#include "../../milter/option.h"
#include "fuzz.h"

static const struct option row = {.name = "a", .type = OPTION_STRING};

/* check_value - no NUL byte gets in, and what option_text() writes is read as the same bytes. */
static void check_value(struct arena *a, struct str value)
{
    struct problems p = {.arena = a};
    struct str written = option_text(a, &row, &value);
    struct conf_entry *e;

    must(str_find(value, '\0') == value.n);
    e = conf_parse_text(a, STR("y"), arena_printf(a, "a = %s", str_c(a, written)), &p);
    must(p.count == 0 && e && !e->next && e->kind == CONF_SCALAR && str_is(e->values[0].text, value));
}

static void check_entries(struct arena *a, const struct conf_entry *entries, unsigned depth)
{
    must(!entries || depth <= 16);
    for (const struct conf_entry *e = entries; e; e = e->next) {
        must(e->name.n > 0 && e->at.line > 0);
        must(e->kind != CONF_SCALAR || e->count == 1);
        if (e->kind == CONF_SECTION)
            must(e->count == 0 && !e->append);
        else
            must(!e->children && e->title.n == 0);
        for (size_t i = 0; i < e->count; i++)
            check_value(a, e->values[i].text);
        check_entries(a, e->children, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct problems p = {.arena = a};

    check_entries(a, conf_parse_text(a, STR("x"), (struct str){(const char *)data, size}, &p), 0);
    for (size_t i = 0; i < p.count; i++) {
        struct str text = problem_text(a, &p.items[i]);

        for (size_t k = 0; k < text.n; k++)
            must(text.p[k] >= 0x20 && text.p[k] <= 0x7e);
    }
    arena_free(&a);
    return 0;
}
