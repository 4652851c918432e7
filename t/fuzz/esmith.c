/* esmith.c - fuzz target: esmith_parse. */
#include "../../db/esmith.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct problems problems = {.arena = a};
    struct esmith db;

    esmith_parse(a, STR("db"), (struct str){(const char *)data, size}, &db, &problems);
    must(problems.errors == 0 && problems.count <= 101);
    for (size_t i = 0; i < db.count; i++) {
        const struct esmith_record *record = &db.records[i];

        must(record->key.n > 0 && record->line > 0 && esmith_find(&db, record->key) == record);
        must(i == 0 || str_compare(db.records[i - 1].key, record->key) < 0);
        touch(record->type);
        for (size_t k = 0; k < record->count; k++) {
            struct str value;

            must(record->props[k].name.n > 0 && esmith_prop(record, record->props[k].name, &value));
            must(str_is(value, record->props[k].value));
            must(k == 0 || str_compare(record->props[k - 1].name, record->props[k].name) < 0);
            for (size_t n = 0; n < value.n; n++)
                must((unsigned char)value.p[n] >= ' ' || value.p[n] == '\t' || value.p[n] == '\n');
        }
    }
    arena_free(&a);
    return 0;
}
