/* pattern.c - one hash table for all literal entries, a row of compiled expressions for the others.
 *
 * Hashes are computed from the last byte to the first, so that one walk over an address gives the hash of its every
 * suffix: .dom entries of all lengths, @dom, and the whole.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <string.h>

#include "../base/log.h"
#include "domain.h"
#include "pattern.h"
#include "pattern_entry.h"

#define REGEX_MAX_BYTES 4096
/* PCRE2 counts anew at each place where a match may begin, so the limit of one place shrinks as the subject grows. */
#define MATCH_LIMIT 100000
#define MATCH_LIMIT_LEAST 100
#define MATCH_BUDGET 10000000 /* of all places */
#define DEPTH_LIMIT 10000
#define HEAP_LIMIT_KIB 1024

struct slot {
    uint64_t hash;
    struct str key; /* as written, without a trailing dot, the domain in A-labels */
    size_t item;    /* 1 + index into items; 0: free */
    enum pattern_kind kind;
};

struct regex {
    pcre2_code *code;
    size_t item;
};

struct pattern_index {
    enum pattern_of of;
    struct slot *slots;
    size_t room, used; /* room is a power of two, at most half of it used */
    struct regex *regexes;
    size_t regex_count;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* hash_add - FNV-1a; the words come from the administrator, so nobody can choose them to collide. */
static uint64_t hash_add(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)lower(c)) * 0x100000001b3u;
}

#define HASH_BEGIN 0xcbf29ce484222325u

static uint64_t hash_of(struct str s)
{
    uint64_t hash = HASH_BEGIN;

    for (size_t i = s.n; i > 0; i--)
        hash = hash_add(hash, s.p[i - 1]);
    return hash;
}

/* slot_find - the slot with that key, or the free one where it would be. */
static struct slot *slot_find(const struct pattern_index *x, enum pattern_kind kind, struct str key, uint64_t hash)
{
    for (size_t i = hash ^ hash >> 32;; i++) {
        struct slot *slot = &x->slots[i & (x->room - 1)];

        if (!slot->item)
            return slot;
        if (slot->hash == hash && slot->kind == kind && str_is_nocase(slot->key, key))
            return slot;
    }
}

static void slots_grow(struct arena *a, struct pattern_index *x)
{
    struct slot *old = x->slots;
    size_t room = x->room;

    if (x->used * 2 < room)
        return;
    x->room = room ? room * 2 : 4;
    x->slots = arena_array(a, x->room, sizeof *x->slots);
    for (size_t i = 0; i < room; i++)
        if (old[i].item)
            *slot_find(x, old[i].kind, old[i].key, old[i].hash) = old[i];
}

static struct str without_dot(struct str name)
{
    return name.n && name.p[name.n - 1] == '.' ? str_slice(name, 0, name.n - 1) : name;
}

static bool is_8bit(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return true;
    return false;
}

/* with_alabels - the same with the domain that begins at `from` as the DNS has it; s itself where it is that already,
 * or has no such form. Whoever may choose the spelling must not get past a list by it. */
static struct str with_alabels(struct arena *a, struct str s, size_t from)
{
    struct buf b = buf_in(a);
    struct str ascii;

    if (!is_8bit(str_slice(s, from, s.n)) || !domain_to_ascii(a, str_slice(s, from, s.n), &ascii))
        return s;
    buf_add(&b, str_slice(s, 0, from));
    buf_add(&b, ascii);
    return buf_str(&b);
}

static size_t domain_of_entry(enum pattern_of of, enum pattern_kind kind, struct str word)
{
    if (kind == PATTERN_BELOW)
        return 1;
    return of == PATTERN_HOSTS ? 0 : str_rfind(word, '@') + 1;
}

static void free_code(void *code)
{
    pcre2_code_free(code);
}

static bool regex_compile(struct arena *a, struct str written, pcre2_code **code, struct str *error)
{
    struct str body = str_slice(written, 1, written.n - 1);
    PCRE2_UCHAR text[256];
    PCRE2_SIZE offset;
    int number;

    if (body.n == 0) {
        *error = STR("is an empty regular expression, which everything would match");
        return false;
    }
    if (body.n > REGEX_MAX_BYTES) {
        *error = arena_printf(a, "is a regular expression of more than %d bytes", REGEX_MAX_BYTES);
        return false;
    }
    *code = pcre2_compile((PCRE2_SPTR)body.p, body.n, PCRE2_CASELESS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF, &number,
                          &offset, NULL);
    if (!*code) {
        pcre2_get_error_message(number, text, sizeof text);
        *error = arena_printf(a, "is no regular expression: %s at offset %zu", (char *)text, offset);
        return false;
    }
    pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); /* where there is none, the interpreter does it */
    return true;
}

static struct pattern_index *index_of(struct arena *a, struct pattern_list *list, enum pattern_of of)
{
    if (!list->index) {
        list->index = arena_zalloc(a, sizeof *list->index);
        list->index->of = of;
    }
    return list->index;
}

bool pattern_add(struct arena *a, struct pattern_list *list, enum pattern_of of, bool allow_bare, struct str entry,
                 struct str *error)
{
    struct str rest = str_trim(entry), word;
    struct pattern_index *x;
    enum pattern_kind kind = PATTERN_WHOLE;
    pcre2_code *code = NULL;

    if (rest.n == 0) {
        *error = STR("is empty");
        return false;
    }
    if (!pattern_take_word(&rest, &word)) {
        *error = STR("begins a regular expression, but no slash before a blank or the end closes it");
        return false;
    }
    word = str_dup(a, word);
    if (word.p[0] == '/' ? !regex_compile(a, word, &code, error)
                         : !pattern_kind_of(a, of, allow_bare, word, &kind, error))
        return false;

    x = index_of(a, list, of);
    list->items = arena_grow(a, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = (struct pattern){word, str_dup(a, rest)};
    if (code) {
        arena_on_reset(a, free_code, code);
        x->regexes = arena_grow(a, x->regexes, x->regex_count, sizeof *x->regexes);
        x->regexes[x->regex_count++] = (struct regex){code, list->count - 1};
    } else {
        struct str key = kind == PATTERN_BARE ? word
                                              : with_alabels(a, without_dot(word), domain_of_entry(of, kind, word));
        uint64_t hash = hash_of(key);
        struct slot *slot;

        slots_grow(a, x);
        slot = slot_find(x, kind, key, hash);
        if (!slot->item) { /* of two equal entries the first one counts */
            *slot = (struct slot){hash, key, list->count, kind};
            x->used++;
        }
    }
    return true;
}

static size_t probe(const struct pattern_index *x, enum pattern_kind kind, struct str key, uint64_t hash)
{
    return slot_find(x, kind, key, hash)->item;
}

/* find_literal - 1 + the index of the literal entry that matches, or 0. */
static size_t find_literal(const struct pattern_index *x, struct str address)
{
    size_t at = str_rfind(address, '@'), domain_from = at + 1, below = 0, at_domain = 0, whole;
    uint64_t hash = HASH_BEGIN;
    struct str s;

    if (x->used == 0 || address.n == 0)
        return 0;
    if (x->of == PATTERN_HOSTS)
        domain_from = 0;
    else if (at == address.n)
        return probe(x, PATTERN_BARE, address, hash_of(address));
    s = without_dot(address);
    for (size_t i = s.n; i > 0; i--) {
        struct str suffix = str_slice(s, i - 1, s.n);

        hash = hash_add(hash, s.p[i - 1]);
        /* Not the domain itself: something must stand before the dot. The longest is met last and stays. */
        if (s.p[i - 1] == '.' && i - 1 > domain_from) {
            size_t item = probe(x, PATTERN_BELOW, suffix, hash);

            below = item ? item : below;
        } else if (i - 1 == at && x->of == PATTERN_ADDRESSES) {
            at_domain = probe(x, PATTERN_AT_DOMAIN, suffix, hash);
        }
    }
    whole = probe(x, PATTERN_WHOLE, s, hash);
    if (whole || at_domain || below || x->of == PATTERN_HOSTS)
        return whole ? whole : at_domain ? at_domain : below;
    s = str_slice(address, 0, at);
    return s.n ? probe(x, PATTERN_BARE, s, hash_of(s)) : 0;
}

static bool regex_matches(const pcre2_code *code, struct str s, pcre2_match_data *data, pcre2_match_context *limits)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)(s.p ? s.p : "");
    int found = pcre2_match(code, subject, s.n, 0, 0, data, limits);

    if (found == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter has the heap */
        found = pcre2_match(code, subject, s.n, 0, PCRE2_NO_JIT, data, limits);
    return found >= 0;
}

/* find_regex - the same for expressions. A match, or none: errors and limits are none. */
static size_t find_regex(const struct pattern_index *x, struct str address)
{
    size_t limit = MATCH_BUDGET / (address.n + 1), item = 0;
    pcre2_match_context *limits;
    pcre2_match_data *data;

    if (x->regex_count == 0)
        return 0;
    data = pcre2_match_data_create(1, NULL);
    limits = pcre2_match_context_create(NULL);
    if (!data || !limits)
        log_panic("out of memory for a regular expression");
    limit = limit > MATCH_LIMIT ? MATCH_LIMIT : limit < MATCH_LIMIT_LEAST ? MATCH_LIMIT_LEAST : limit;
    pcre2_set_match_limit(limits, (uint32_t)limit);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_LIMIT_KIB);
    for (size_t i = 0; i < x->regex_count && !item; i++)
        if (regex_matches(x->regexes[i].code, address, data, limits))
            item = x->regexes[i].item + 1;
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    return item;
}

/* find_alabels - the same for an address whose domain has bytes above ASCII, as the DNS has that. */
static size_t find_alabels(const struct pattern_index *x, struct str address)
{
    struct arena *a = arena_new(0);
    struct str ascii = with_alabels(a, address, x->of == PATTERN_HOSTS ? 0 : str_rfind(address, '@') + 1);
    size_t item = 0;

    if (ascii.p != address.p) {
        item = find_literal(x, ascii);
        if (!item)
            item = find_regex(x, ascii);
    }
    arena_free(&a);
    return item;
}

const struct pattern *pattern_find(const struct pattern_list *list, struct str address)
{
    size_t item;

    if (!list->index)
        return NULL;
    item = find_literal(list->index, address);
    if (!item)
        item = find_regex(list->index, address);
    if (!item && is_8bit(address))
        item = find_alabels(list->index, address);
    return item ? &list->items[item - 1] : NULL;
}

bool pattern_pair_add(struct arena *a, struct pattern_pairs *pairs, struct str entry, struct str *error)
{
    struct pattern_pair pair = {.written = str_dup(a, str_trim(entry))};
    struct str rest = pair.written, from;

    if (!pattern_take_word(&rest, &from) || rest.n == 0) {
        *error = STR("is not two patterns, \"from to\"");
        return false;
    }
    if (!pattern_add(a, &pair.from, PATTERN_ADDRESSES, false, from, error) ||
        !pattern_add(a, &pair.to, PATTERN_ADDRESSES, false, rest, error))
        return false;
    pairs->items = arena_grow(a, pairs->items, pairs->count, sizeof *pairs->items);
    pairs->items[pairs->count++] = pair;
    return true;
}

const struct pattern_pair *pattern_pair_find(const struct pattern_pairs *pairs, struct str from, struct str to)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (pattern_find(&pairs->items[i].from, from) && pattern_find(&pairs->items[i].to, to))
            return &pairs->items[i];
    return NULL;
}
