/* url.c - the set of hosts, and links in plain text. */
#include "domain.h"
#include "suffix.h"
#include "url.h"
#include "url_inside.h"

#define HOST_MOST 1024 /* bytes of an authority that are looked at */
#define SCRATCH_MOST (256 << 10)

/* ---- the set ---- */

static void scratch_free(void *ptr)
{
    struct arena *a = ptr;

    arena_free(&a);
}

struct links links_in(struct arena *a)
{
    struct links l = {.arena = a, .scratch = arena_new(0)};

    arena_on_reset(a, scratch_free, l.scratch);
    return l;
}

/* hash_of - with a seed of the process's own, so that nobody can choose names that collide. */
static size_t hash_of(struct str s)
{
    static const char seed;
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)&seed;

    for (size_t i = 0; i < s.n; i++)
        hash = (hash ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return (size_t)(hash ^ hash >> 29);
}

static size_t *slot_of(struct links *l, struct str host)
{
    for (size_t i = hash_of(host);; i++) {
        size_t *slot = &l->slots[i & (l->room - 1)];

        if (!*slot || str_is(l->items[*slot - 1].host, host))
            return slot;
    }
}

static void slots_grow(struct links *l)
{
    if (l->count * 2 < l->room)
        return;
    l->room = l->room ? l->room * 2 : 64;
    l->slots = arena_array(l->arena, l->room, sizeof *l->slots);
    for (size_t i = 0; i < l->count; i++)
        *slot_of(l, l->items[i].host) = i + 1;
}

static void links_add(struct links *l, struct str host, struct ip ip, bool bare)
{
    size_t *slot;

    slots_grow(l);
    slot = slot_of(l, host);
    if (*slot) {
        l->items[*slot - 1].bare &= bare;
        return;
    }
    if (l->count == LINKS_MOST) {
        l->more = true;
        return;
    }
    l->items = arena_grow(l->arena, l->items, l->count, sizeof *l->items);
    host = str_dup(l->arena, host);
    l->items[l->count++] = (struct link){.host = host, .ip = ip, .bare = bare,
                                         .asked = ip.known ? host : domain_organizational(host)};
    *slot = l->count;
}

/* ascii_core - the first run of plain bytes. */
static struct str ascii_core(struct str s)
{
    size_t from = 0, end;

    while (from < s.n && (unsigned char)s.p[from] >= 0x80)
        from++;
    for (end = from; end < s.n && (unsigned char)s.p[end] < 0x80; end++)
        ;
    return str_slice(s, from, end);
}

/* add_last_labels - a label may hold nearly every byte (a*b.evil.example), and a name server answers for all of them:
 * what stands behind the last one that is no host's. */
static void add_last_labels(struct links *l, struct str authority)
{
    struct str text = str_unpercent(l->scratch, str_slice(authority, 0, str_find(authority, ':'))), host;
    size_t from = text.n;
    struct ip ip;

    while (from > 0 && !strchr("\"'`{}(),;&=!*$+~", text.p[from - 1]))
        from--;
    if (from > 0 && url_host(l->scratch, str_slice(text, from, text.n), &host, &ip) && !ip.known &&
        url_is_public_name(host))
        links_add(l, host, ip, true);
}

void links_add_authority(struct links *l, struct str authority, bool bare)
{
    char memory[HOST_MOST];
    size_t n = 0, at = str_rfind(authority, '@');
    struct str host;
    struct ip ip;
    bool found;

    if (at < authority.n) /* a user may be longer than everything that is kept */
        authority = str_slice(authority, at + 1, authority.n);

    /* browsers leave tabs and line ends out, wherever they stand */
    for (size_t i = 0; i < authority.n && n < sizeof memory; i++)
        if (!memchr("\t\r\n", authority.p[i], 3))
            memory[n++] = authority.p[i];
    if (arena_bytes(l->scratch) > SCRATCH_MOST)
        arena_reset(l->scratch);
    add_last_labels(l, (struct str){memory, n});
    found = url_host(l->scratch, (struct str){memory, n}, &host, &ip);
    if (!found || (!ip.known && !url_is_public_name(host))) {
        /* quotation marks of other alphabets, or a sentence that goes on without a blank */
        struct str core = ascii_core((struct str){memory, n}), other;
        struct ip other_ip;

        if (core.n < n && url_host(l->scratch, core, &other, &other_ip)) {
            found = true;
            host = other;
            ip = other_ip;
        }
    }
    if (!found)
        return;
    if (bare && (ip.known || !url_is_public_name(host)))
        return;
    links_add(l, host, ip, bare);
}

/* ---- plain text ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* is_host_byte - 8-bit bytes too: labels in other scripts. */
static bool is_host_byte(char c)
{
    return is_alnum(c) || c == '-' || c == '_' || c == '.' || (unsigned char)c >= 0x80;
}

static bool ends_authority(char c)
{
    return (unsigned char)c <= ' ' || strchr("/\\?#<>\"')({}|`^\x7f", c);
}

/* scheme_before - whether a scheme that leads to a host ends before the colon at `colon`. */
bool url_scheme_before(struct str text, size_t colon)
{
    static const struct str schemes[] = {{"http", 4}, {"https", 5}, {"ftp", 3}, {"ftps", 4}, {"wss", 3}, {"ws", 2}};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (colon >= schemes[i].n && str_is_nocase(str_slice(text, colon - schemes[i].n, colon), schemes[i]))
            return true;
    return false;
}

/* url_authority_at - the user may hold anything in a URL that stands alone: quotes, blanks, brackets. */
size_t url_authority_at(struct links *l, struct str text, size_t pos, bool alone)
{
    size_t end;

    while (pos < text.n && (text.p[pos] == '/' || text.p[pos] == '\\'))
        pos++;
    end = pos;
    while (end < text.n && !(alone ? memchr("/\\?#", text.p[end], 4) != NULL : ends_authority(text.p[end])))
        end++;
    links_add_authority(l, str_slice(text, pos, end), false);
    return end;
}

void url_schemes(struct links *l, struct str text)
{
    size_t pos = 0;

    while (pos < text.n) {
        size_t colon = pos + str_find(str_slice(text, pos, text.n), ':');

        if (colon + 1 >= text.n)
            return;
        pos = colon + 1;
        if ((text.p[pos] == '/' || text.p[pos] == '\\') && url_scheme_before(text, colon))
            pos = url_authority_at(l, text, pos, false);
        else if (colon >= 6 && str_is_nocase(str_slice(text, colon - 6, colon), STR("mailto")))
            pos += url_mailto(l, str_slice(text, pos, text.n));
    }
}

size_t url_mailto(struct links *l, struct str rest)
{
    size_t end = 0, at;

    rest = str_slice(rest, 0, HOST_MOST);
    while (end < rest.n && (unsigned char)rest.p[end] > ' ' && !strchr("?&,;<>\"'", rest.p[end]))
        end++;
    rest = str_slice(rest, 0, end);
    at = str_rfind(rest, '@');
    if (at >= rest.n) { /* %40 */
        const char *coded = rest.n ? memmem(rest.p, rest.n, "%40", 3) : NULL;

        at = coded ? (size_t)(coded - rest.p) + 2 : rest.n;
    }
    if (at < rest.n)
        links_add_authority(l, str_slice(rest, at + 1, rest.n), false);
    return end;
}

static bool has(struct str text, const char *word)
{
    return text.p && memmem(text.p, text.n, word, strlen(word));
}

/* url_decoded - links inside links: ?url=http%3A%2F%2Fother.example. */
void url_decoded(struct links *l, struct str text)
{
    struct arena *a;
    char *out;
    size_t n = 0;

    if (!has(text, "%3A") && !has(text, "%3a") && !has(text, "%2F") && !has(text, "%2f") &&
        !has(text, "%25"))
        return;
    a = arena_new(0);
    out = arena_alloc(a, text.n);
    for (int round = 0; round < 2; round++) {
        struct str from = round ? (struct str){out, n} : text;

        n = 0;
        for (size_t i = 0; i < from.n; i++) {
            struct str code = str_slice(from, i, i + 3);

            if (code.n == 3 && code.p[0] == '%' && str_is_nocase(code, STR("%3a"))) {
                out[n++] = ':';
                i += 2;
            } else if (code.n == 3 && code.p[0] == '%' && str_is_nocase(code, STR("%2f"))) {
                out[n++] = '/';
                i += 2;
            } else if (code.n == 3 && code.p[0] == '%' && code.p[1] == '2' && code.p[2] == '5') {
                out[n++] = '%';
                i += 2;
            } else {
                out[n++] = from.p[i];
            }
        }
        url_schemes(l, (struct str){out, n});
    }
    arena_free(&a);
}

/* looks_like_file - main.py, report.zip: top-level domains that are file types to everybody. */
static bool looks_like_file(struct str host)
{
    static const char *const types[] = {".zip", ".mov", ".py", ".sh", ".md", ".rs", ".ps", ".so", ".cab", ".java",
                                        ".foo"};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_ends_nocase(host, str_of(types[i])))
            return true;
    return false;
}

/* bare - a run of bytes that hosts are made of, in a text, without a scheme. */
static void bare(struct links *l, struct str text, size_t from, size_t end)
{
    struct str host = str_slice(text, from, end);
    bool slash = end < text.n && text.p[end] == '/';

    while (host.n && (host.p[host.n - 1] == '.' || host.p[host.n - 1] == '-' || host.p[host.n - 1] == '_'))
        host.n--;
    if (str_starts_nocase(host, STR("www."))) {
        links_add_authority(l, host, false);
        return;
    }
    if (looks_like_file(host) && !slash)
        return;
    links_add_authority(l, host, true);
}

void links_from_text(struct links *l, struct str text)
{
    size_t pos = 0;

    url_schemes(l, text);
    url_decoded(l, text);
    /* every dot between two bytes of a host: the run around it */
    while (pos < text.n) {
        size_t dot = pos + str_find(str_slice(text, pos, text.n), '.'), from, end, limit;
        char before;

        if (dot + 1 >= text.n)
            return;
        limit = pos;
        for (from = dot; from > limit && is_host_byte(text.p[from - 1]); from--)
            ;
        for (end = dot; end < text.n && is_host_byte(text.p[end]); end++)
            ;
        pos = end;
        before = from ? text.p[from - 1] : ' ';
        /* an address's domain, a path's part, and what url_schemes() saw */
        if (before == '@' || before == '/' || before == '\\' || before == '%' || end - from > 253 ||
            (end < text.n && text.p[end] == '@'))
            continue;
        bare(l, text, from, end);
    }
}
