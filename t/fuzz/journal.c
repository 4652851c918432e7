/* journal.c - fuzz target: text and facts as they stand in the journal: safe to show, and the same when they come back. */
#include "../../db/journal_inside.h"
#include "../../milter/mail/utf8.h"
#include "fuzz.h"

/* there_and_back - what a stranger sent. */
static void there_and_back(struct arena *a, struct str s)
{
    struct str kept = journal_text(a, s), facts;
    struct journal_fact fact = {s, s};
    const struct journal_fact *list;
    size_t count;

    must(utf8_is_valid(kept));
    for (size_t i = 0; i < kept.n; i++)
        must((unsigned char)kept.p[i] >= 0x20 && kept.p[i] != 0x7f);
    must(str_is(journal_untext(a, kept), s));
    facts = journal_facts_text(a, &fact, 1);
    journal_facts_parse(a, facts, &list, &count);
    must(count == 1 && str_is(list[0].name, s) && str_is(list[0].value, s));
}

/* from_file - what somebody else may have written into it. */
static void from_file(struct arena *a, struct str s)
{
    const struct journal_fact *list;
    size_t count;

    touch(journal_untext(a, s));
    journal_facts_parse(a, s, &list, &count);
    must(count <= JOURNAL_FACTS_MOST);
    for (size_t i = 0; i < count; i++) {
        touch(list[i].name);
        touch(list[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    struct arena *a = arena_new(0);

    there_and_back(a, s);
    from_file(a, s);
    arena_free(&a);
    return 0;
}
