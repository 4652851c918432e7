/* pattern.c - lists of addresses and host names. */
#include <pthread.h>

#include "../../milter/base/arena.h"
#include "../../milter/mail/pattern.h"
#include "../lib/tap.h"

static struct arena *arena;

static void take(struct pattern_list *list, enum pattern_of of, bool bare, const char *entry)
{
    struct str error = STR_NONE;

    if (!pattern_add(arena, list, of, bare, str_of(entry), &error))
        bail("entry '%s' " STR_FMT, entry, STR_ARG(error));
}

/* found - the entry as written that matches, or nothing. */
static struct str found(const struct pattern_list *list, struct str address)
{
    const struct pattern *p = pattern_find(list, address);

    return p ? p->written : STR_NONE;
}

static void test_addresses(void)
{
    static const char *const entries[] = {
        "user@dom.example", "@dom.example Nobody there", ".dom.example", ".sub.dom.example",
        "user+tag@x", "Case@Example.ORG", "@[192.0.2.1]", "\"joe smith\"@x  two words", "@trailing.example.",
        "/^spam-[0-9]+@/  is spam", "*@star", ".a@leading", "j\xc3\xb6@m\xc3\xbcnchen.example", "/@late/", "q@late",
        "user@dom.example a second one",
    };
    static const struct {
        struct str address, want;
    } rows[] = {
        {STR("user@dom.example"), STR("user@dom.example")},
        {STR("USER@DOM.example"), STR("user@dom.example")},
        {STR("other@dom.example"), STR("@dom.example")},
        {STR("user@mail.dom.example"), STR(".dom.example")},
        {STR("user@a.b.dom.example"), STR(".dom.example")},
        {STR("user@sub.dom.example"), STR(".dom.example")},
        {STR("user@x.sub.dom.example"), STR(".sub.dom.example")},
        {STR("user@notdom.example"), STR("")},
        {STR("user@dom.example.evil"), STR("")},
        {STR("x.dom.example@other"), STR("")},
        {STR("@dom.example"), STR("@dom.example")},
        {STR("user@.dom.example"), STR("")},
        {STR("user@"), STR("")},
        {STR("@"), STR("")},
        {STR(""), STR("")},
        {STR("dom.example"), STR("")},
        {STR("user"), STR("")},
        {STR("user+tag@x"), STR("user+tag@x")},
        {STR("userrtag@x"), STR("")},
        {STR("case@example.org"), STR("Case@Example.ORG")},
        {STR("a@[192.0.2.1]"), STR("@[192.0.2.1]")},
        {STR("j\xc3\xb6@xn--mnchen-3ya.example"), STR("j\xc3\xb6@m\xc3\xbcnchen.example")},
        {STR("j\xc3\xb6@M\xc3\x9cnchen.example."), STR("j\xc3\xb6@m\xc3\xbcnchen.example")},
        {STR("other@d\xe2\x80\x8bom.example"), STR("@dom.example")}, /* a blank of no width */
        {STR("user@x.\xe1\xb5\x88om.example"), STR(".dom.example")}, /* a raised d */
        {STR("other@d\xd0\xbem.example"), STR("")},                 /* a Cyrillic o */
        {STR("other@\xff.dom.example"), STR(".dom.example")},
        {STR("\"joe smith\"@x"), STR("\"joe smith\"@x")},
        {STR("\"a@b\"@dom.example"), STR("@dom.example")},
        {STR("a@trailing.example"), STR("@trailing.example.")},
        {STR("user@dom.example."), STR("user@dom.example")},
        {STR("SPAM-12@anywhere"), STR("/^spam-[0-9]+@/")},
        {STR("nospam-12@anywhere"), STR("")},
        {STR("any@star"), STR("")},
        {STR("*@star"), STR("*@star")},
        {STR(".a@leading"), STR(".a@leading")},
        {STR("j\xc3\xb6@m\xc3\xbcnchen.example"), STR("j\xc3\xb6@m\xc3\xbcnchen.example")},
        {STR("j\xc3\x96@m\xc3\xbcnchen.example"), STR("")},
        {STR("q@late"), STR("q@late")},
        {STR("r@late"), STR("/@late/")},
        {STR("spam-1@late"), STR("/^spam-[0-9]+@/")},
        {STR("user@dom.example\0"), STR("")},
    };
    struct pattern_list list = {0};

    ok(pattern_find(&list, STR("a@b")) == NULL, "an empty list has nothing");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        take(&list, PATTERN_ADDRESSES, false, entries[i]);
    is_long(list.count, sizeof entries / sizeof entries[0], "all entries are counted");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str shown = str_escaped(arena, rows[i].address);

        is_str(found(&list, rows[i].address), rows[i].want, "'" STR_FMT "' among addresses", STR_ARG(shown));
    }
    ok(pattern_find(&list, STR_NONE) == NULL, "nothing is in no list");
    is_str(pattern_find(&list, STR("other@dom.example"))->text, STR("Nobody there"), "the text of a domain");
    is_str(pattern_find(&list, STR("\"joe smith\"@x"))->text, STR("two words"), "of a quoted local part");
    is_str(pattern_find(&list, STR("spam-1@x"))->text, STR("is spam"), "of a regular expression");
    ok(pattern_find(&list, STR("user@dom.example")) == &list.items[0], "of two equal entries the first counts");
    is_str(list.items[0].text, STR_NONE, "an entry without text has none");
}

static void test_bare(void)
{
    struct pattern_list list = {0};

    take(&list, PATTERN_ADDRESSES, true, "postmaster");
    take(&list, PATTERN_ADDRESSES, true, "john.doe");
    take(&list, PATTERN_ADDRESSES, true, "@dom.example");
    take(&list, PATTERN_ADDRESSES, true, ".doe");
    is_str(found(&list, STR("PostMaster@any.example")), STR("postmaster"), "a local part in any domain");
    is_str(found(&list, STR("postmaster")), STR("postmaster"), "and in none");
    is_str(found(&list, STR("john.doe@x")), STR("john.doe"), "with dots");
    is_str(found(&list, STR("postmaster@dom.example")), STR("@dom.example"), "a domain comes before a local part");
    is_str(found(&list, STR("master@x")), STR_NONE, "not a part of it");
    is_str(found(&list, STR("john.doe.")), STR_NONE, "a dot belongs to the local part");
    is_str(found(&list, STR("x.doe")), STR_NONE, "an address without domain lies below none");
    is_str(found(&list, STR("@x")), STR_NONE, "an empty local part is no entry");
}

static void test_hosts(void)
{
    static const struct {
        struct str name, want;
    } rows[] = {
        {STR("mail.example.org"), STR("mail.example.org")},
        {STR("MAIL.Example.Org."), STR("mail.example.org")},
        {STR("a.mail.example.org"), STR("")},
        {STR("example.net"), STR("")},
        {STR("a.example.net"), STR(".example.net")},
        {STR("b.a.example.net."), STR(".example.net")},
        {STR(".example.net"), STR("")},
        {STR("192.0.2.1"), STR("192.0.2.1")},
        {STR("[192.0.2.7]"), STR("[192.0.2.7]")},
        {STR("localhost"), STR("localhost")},
        {STR("dsl-12.example"), STR("/^dsl-/")},
        {STR("x@mail.example.org"), STR("")},
        {STR("x@a.example.net"), STR(".example.net")},
        {STR("."), STR("")},
        {STR(""), STR("")},
    };
    static const char *const entries[] = {"mail.example.org", ".example.net", "192.0.2.1", "[192.0.2.7]", "localhost",
                                          "/^dsl-/ dynamic"};
    struct pattern_list list = {0};

    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        take(&list, PATTERN_HOSTS, false, entries[i]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        is_str(found(&list, rows[i].name), rows[i].want, "'%s' among hosts", rows[i].name.p);
}

static void test_regexes(void)
{
    static const struct {
        const char *entry, *written, *text, *matches, *not;
    } rows[] = {
        {"/a/", "/a/", "", "xAx", "b"},
        {"/a/b/", "/a/b/", "", "a/b", "ab"},
        {"/a\\/ b/ text", "/a\\/ b/", "text", "a/ b", "a/b"},
        {"/a b/\tmany  words ", "/a b/", "many  words", "A B", "ab"},
        {"/\\S+\\D@x$/", "/\\S+\\D@x$/", "", "abc@x", "ab1@x"},
        {"/^(?:a|b)@/", "/^(?:a|b)@/", "", "B@x", "c@x"},
        {"/(?-i)A/", "/(?-i)A/", "", "A", "a"},
        {"/\\x{e4}/", "/\\x{e4}/", "", "\xe4", "\xc3\xa4"},
        {"/^x$/", "/^x$/", "", "x", "x\n"},
        {"/\\\\/ text", "/\\\\/", "text", "\\", "/"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pattern_list list = {0};

        take(&list, PATTERN_ADDRESSES, false, rows[i].entry);
        is_str(list.items[0].written, str_of(rows[i].written), "'%s' as written", rows[i].entry);
        is_str(list.items[0].text, str_of(rows[i].text), "'%s': its text", rows[i].entry);
        ok(pattern_find(&list, str_of(rows[i].matches)) != NULL, "'%s' matches", rows[i].entry);
        ok(pattern_find(&list, str_of(rows[i].not)) == NULL, "'%s' does not match", rows[i].entry);
    }
}

static void test_long_regex(void)
{
    struct pattern_list list = {0};
    struct str error = STR_NONE;
    char entry[5000];

    memset(entry, 'a', sizeof entry);
    entry[0] = entry[4097] = '/';
    ok(pattern_add(arena, &list, PATTERN_HOSTS, false, (struct str){entry, 4098}, &error), "a regex of 4096 bytes");
    entry[4097] = 'a';
    entry[4098] = '/';
    ok(!pattern_add(arena, &list, PATTERN_HOSTS, false, (struct str){entry, 4099}, &error), "4097 are too many");
    is_str(error, STR("is a regular expression of more than 4096 bytes"), "and why");
}

static void test_errors(void)
{
    static const struct {
        enum pattern_of of;
        bool bare;
        const char *entry, *error;
    } rows[] = {
        {PATTERN_ADDRESSES, false, "", "is empty"},
        {PATTERN_ADDRESSES, false, " \t", "is empty"},
        {PATTERN_ADDRESSES, false, "user", "has no @; did you mean @user or user@domain?"},
        {PATTERN_ADDRESSES, false, "u\x1b ser", "has no @; did you mean @u\\x1b or u\\x1b@domain?"},
        {PATTERN_ADDRESSES, false, "user@",
         "has no domain name after its @; a regular expression stands between slashes: /user@/"},
        {PATTERN_ADDRESSES, false, "@.*@",
         "has no domain name after its @; a regular expression stands between slashes: /@.*@/"},
        {PATTERN_ADDRESSES, true, "@*.example",
         "has no domain name after its @; a regular expression stands between slashes: /@*.example/"},
        {PATTERN_ADDRESSES, false, ".", "has no domain name after its dot"},
        {PATTERN_ADDRESSES, true, "..x", "has no domain name after its dot"},
        {PATTERN_ADDRESSES, false, "/",
         "begins a regular expression, but no slash before a blank or the end closes it"},
        {PATTERN_ADDRESSES, false, "/a",
         "begins a regular expression, but no slash before a blank or the end closes it"},
        {PATTERN_HOSTS, false, "/a\\/ b",
         "begins a regular expression, but no slash before a blank or the end closes it"},
        {PATTERN_ADDRESSES, false, "// text", "is an empty regular expression, which everything would match"},
        {PATTERN_ADDRESSES, false, "/(x/", "is no regular expression: missing closing parenthesis at offset 2"},
        {PATTERN_ADDRESSES, false, "/a/ /*/", NULL},
        {PATTERN_ADDRESSES, false, "/*/", "is no regular expression: quantifier does not follow a repeatable item at "
                                          "offset 0"},
        {PATTERN_HOSTS, false, "user@dom", "is an address; this list has host names"},
        {PATTERN_HOSTS, false, "a*.example", "is no host name; a regular expression stands between slashes"},
        {PATTERN_HOSTS, false, ".", "is no host name; a regular expression stands between slashes"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pattern_list list = {0};
        struct str error = STR_NONE;
        bool good;

        take(&list, rows[i].of, false, "/kept/");
        good = pattern_add(arena, &list, rows[i].of, rows[i].bare, str_of(rows[i].entry), &error);
        ok(good == !rows[i].error && list.count == 1u + good, "'%s' is %s", rows[i].entry, good ? "good" : "refused");
        is_str(error, str_of(rows[i].error), "'%s' and why", rows[i].entry);
        ok(pattern_find(&list, STR("kept")) == &list.items[0], "'%s' leaves the others", rows[i].entry);
    }
}

static void test_catastrophes(void)
{
    static const char *const entries[] = {
        "/^(a+)+$/", "/(a|a)*$/", "/(.*)*b\\1c/", "/^(a?){30}a{30}$x/", "/(a*)*[^a]z/", "/((a{0,5}){0,5}){0,5}[c]/",
        "/(?R)?a(?R)?b/", "/^(?:(a)|.(?R))*z/", "/(a+)+[cd]/", "/(a|aa)+[cd]/", "/(?:a?){20}[cd]/", "/(a+)+$/",
        "/(*NO_JIT)(a+)+[cd]/", "/(*NO_JIT)(a|aa)+[cd]/", "/(?=(a+)+[cd])/", "/(.+)+\\1[cd]/", "/(a*?)*?[cd]/",
    };
    static const size_t sizes[] = {40, 2048, 65536};
    char *subject = arena_alloc(arena, 65536);

    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct pattern_list list = {0};

        take(&list, PATTERN_ADDRESSES, false, entries[i]);
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            long long before = tap_cpu_ms();
            const struct pattern *hit;

            memset(subject, 'a', sizes[k]);
            subject[sizes[k] - 1] = 'b';
            hit = pattern_find(&list, (struct str){subject, sizes[k]});
            ok((i >= 1 || !hit) && tap_cpu_ms() - before < 2000, "%s on %zu bytes in %lld ms", entries[i], sizes[k],
               tap_cpu_ms() - before);
        }
    }
}

/* What meets its limit does not match, even where patience would find a match. */
static void test_limit(void)
{
    static const char *const entries[] = {"/^(?:(?:a+)+$|a+b)/", "/(*NO_JIT)^(?:(?:a+)+$|a+b)/"};

    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct pattern_list list = {0};

        take(&list, PATTERN_ADDRESSES, false, entries[i]);
        ok(pattern_find(&list, STR("aaab")) != NULL, "%s matches aaab", entries[i]);
        ok(pattern_find(&list, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")) == NULL,
           "%s meets its limit on 40 bytes more", entries[i]);
        take(&list, PATTERN_ADDRESSES, false, "/b$/");
        ok(pattern_find(&list, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")) == &list.items[1],
           "and the next entry is still asked");
    }
}

static void test_many(void)
{
    struct pattern_list list = {0};
    size_t missed = 0, n = 65536;
    char *dots = arena_alloc(arena, n);
    struct str address, error;
    long long before = tap_cpu_ms();

    for (int i = 0; i < 100000; i++)
        if (!pattern_add(arena, &list, PATTERN_ADDRESSES, false,
                         arena_printf(arena, "%s%d@d%d.example", i % 3 ? "user" : "", i, i), &error))
            bail("an entry " STR_FMT, STR_ARG(error));
    for (int i = 0; i < 100000; i++) {
        address = arena_printf(arena, "%s%d@d%d.EXAMPLE", i % 3 ? "User" : "", i, i);
        missed += pattern_find(&list, address) != &list.items[i];
    }
    is_long(missed, 0, "100000 entries are found");
    ok(pattern_find(&list, STR("user1@d2.example")) == NULL, "others are not");
    ok(tap_cpu_ms() - before < 5000, "in %lld ms", tap_cpu_ms() - before);

    take(&list, PATTERN_ADDRESSES, false, "..." "@x"); /* keys that many suffixes might resemble */
    take(&list, PATTERN_ADDRESSES, false, ".x");
    memset(dots, '.', n);
    dots[n - 1] = 'x';
    dots[0] = 'a';
    dots[1] = '@';
    address = (struct str){dots, n};
    before = tap_cpu_ms();
    is_str(found(&list, address), STR(".x"), "64 KiB of dots lie below .x");
    ok(tap_cpu_ms() - before < 100, "which is found in %lld ms", tap_cpu_ms() - before);
}

static void test_pairs(void)
{
    static const char *const entries[] = {"a@b c@d", "@e.example  /^f g/ not \"f g\"", "/^x y/ .h.example",
                                          "a@b c@e with text"};
    static const char *const wrong[] = {"", "a@b", "a@b ", "a b@c", "a@b c", "/a@b c", "/(/ a@b"};
    struct pattern_pairs pairs = {0};
    struct str error = STR_NONE;
    const struct pattern_pair *hit;

    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (!pattern_pair_add(arena, &pairs, str_of(entries[i]), &error))
            bail("pair '%s' " STR_FMT, entries[i], STR_ARG(error));
    ok(pattern_pair_find(&pairs, STR("A@B"), STR("c@D")) == &pairs.items[0], "both match");
    ok(pattern_pair_find(&pairs, STR("a@b"), STR("x@d")) == NULL, "only the first");
    ok(pattern_pair_find(&pairs, STR("x@b"), STR("c@d")) == NULL, "only the second");
    ok(pattern_pair_find(&pairs, STR("c@d"), STR("a@b")) == NULL, "the wrong way round");
    ok(pattern_pair_find(&pairs, STR("q@e.example"), STR("f g@x")) == &pairs.items[1], "a domain and an expression");
    ok(pattern_pair_find(&pairs, STR("x y@z"), STR("q@i.h.example")) == &pairs.items[2], "an expression with a blank");
    ok(pattern_pair_find(&pairs, STR(""), STR("c@d")) == NULL, "the null sender is nobody");
    hit = pattern_pair_find(&pairs, STR("a@b"), STR("c@e"));
    ok(hit == &pairs.items[3], "the same sender again");
    is_str(hit->written, STR("a@b c@e with text"), "as it was written");
    is_str(hit->to.items[0].text, STR("with text"), "its text belongs to the second pattern");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error = STR_NONE;
        ok(!pattern_pair_add(arena, &pairs, str_of(wrong[i]), &error) && error.n > 0, "'%s' is no pair", wrong[i]);
    }
    is_long(pairs.count, 4, "what is refused is not kept");
}

static void *search(void *ctx)
{
    const struct pattern_list *list = ctx;
    size_t wrong = 0;

    for (int i = 0; i < 2000; i++)
        wrong += pattern_find(list, STR("user@dom")) != &list->items[0] ||
                 pattern_find(list, STR("spam12@x")) != &list->items[1] || pattern_find(list, STR("ham@x"));
    return (void *)wrong;
}

static void test_threads(void)
{
    struct pattern_list list = {0};
    pthread_t threads[4];
    size_t wrong = 0;

    take(&list, PATTERN_ADDRESSES, false, "user@dom");
    take(&list, PATTERN_ADDRESSES, false, "/^(spam)+\\d+@/");
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, search, &list) != 0)
            bail("no thread");
    for (int i = 0; i < 4; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong += (size_t)result;
    }
    is_long(wrong, 0, "four threads search one list");
}

int main(void)
{
    arena = arena_new(0);
    test_addresses();
    test_bare();
    test_hosts();
    test_regexes();
    test_long_regex();
    test_errors();
    test_catastrophes();
    test_limit();
    test_many();
    test_pairs();
    test_threads();
    arena_free(&arena);
    return tap_end();
}
