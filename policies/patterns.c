/* patterns - attachments that begin with certain bytes, or have certain names.
 *
 * What is compared is the decoded part, in every way in which a reader might find and decode it (mail/mime.h), also
 * inside a winmail.dat, and never a line of text that only looks like one.
 */
#include "mail/mime.h"
#include "mail/winmail.h"
#include "policy.h"

#define MAGIC_MOST 256 /* bytes */
#define NAME_MOST 1024 /* bytes of a file's name that globs look at */

struct signature {
    struct str name;
    unsigned char magic[MAGIC_MOST];
    size_t bits; /* of it: a base64 prefix need not end with a byte */
};

struct patterns_options {
    struct str_list signatures, names;
    struct signature *compiled;
    struct str_list globs; /* lower-case */
};

static const struct option patterns_rows[] = {
    OPT_STRINGS(struct patterns_options, signatures, "",
                "\"name magic\": the first bytes of what is refused, in hex or base64 (exe TVqQAAMAA)"),
    OPT_STRINGS(struct patterns_options, names, "", "file names that are refused: *.exe, *.pdf.*"),
    OPTION_END,
};

/* ---- entries ---- */

static int base64(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = memchr(digits, c, 64);

    return at ? (int)(at - digits) : -1;
}

static void add_bits(struct signature *s, unsigned value, unsigned count)
{
    for (unsigned i = count; i-- > 0 && s->bits < 8 * MAGIC_MOST; s->bits++)
        if (value >> i & 1)
            s->magic[s->bits / 8] |= (unsigned char)(0x80 >> s->bits % 8);
}

/* read_magic - NULL, or what is wrong with it. */
static const char *read_magic(struct str text, struct signature *s)
{
    bool all_hex = true, all_base64 = true, only_hex = false, only_base64 = false;

    if (str_starts_nocase(text, STR("base64:"))) {
        text = str_slice(text, 7, text.n);
        only_base64 = true;
    } else if (str_starts_nocase(text, STR("hex:")) || str_starts_nocase(text, STR("0x"))) {
        text = str_slice(text, (text.p[0] | 0x20) == 'h' ? 4 : 2, text.n);
        only_hex = true;
    }
    while (!only_hex && text.n && text.p[text.n - 1] == '=') /* padding says nothing of the bytes before it */
        text.n--;
    for (size_t i = 0; i < text.n; i++) {
        all_hex = all_hex && str_hex(text.p[i]) >= 0;
        all_base64 = all_base64 && base64(text.p[i]) >= 0;
    }
    if (text.n > 2 * MAGIC_MOST)
        return "has a magic of more than 256 bytes";
    if (!only_base64 && all_hex && text.n % 2 && !only_hex)
        return "can be hex with a digit missing, or base64: write \"hex:...\" or \"base64:...\"";
    if (only_hex ? !all_hex || text.n % 2 : !all_hex && !all_base64)
        return only_hex ? "needs pairs of hex digits behind \"hex:\"" : "has a magic that is neither hex nor base64";
    if (only_base64 && !all_base64)
        return "has a magic that is not base64";
    for (size_t i = 0; i < text.n; i++) {
        if (all_hex && !only_base64)
            add_bits(s, (unsigned)str_hex(text.p[i]), 4);
        else
            add_bits(s, (unsigned)base64(text.p[i]), 6);
    }
    return s->bits < 16 ? "has a magic of less than two bytes, which too much would begin with" : NULL;
}

static bool read_signature(struct str entry, struct signature *s, const char **error)
{
    size_t blank;

    entry = str_trim(entry);
    for (blank = entry.n; blank && entry.p[blank - 1] != ' ' && entry.p[blank - 1] != '\t'; blank--)
        ;
    s->name = str_trim(str_slice(entry, 0, blank));
    *error = "needs a name and the first bytes, like \"exe TVqQAAMAA\" or \"exe 4d5a9000\"";
    if (s->name.n)
        *error = read_magic(str_slice(entry, blank, entry.n), s);
    return !*error;
}

static void patterns_prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct patterns_options *o = options;

    o->compiled = arena_array(a, o->signatures.count + 1, sizeof *o->compiled);
    for (size_t i = 0; i < o->signatures.count; i++) {
        const char *error;

        if (!read_signature(o->signatures.items[i], &o->compiled[i], &error))
            problem_error(problems, at, "patterns.signatures: \"" STR_FMT "\" %s", STR_ARG(o->signatures.items[i]),
                          error);
    }
    o->globs.items = arena_array(a, o->names.count + 1, sizeof *o->globs.items);
    for (size_t i = 0; i < o->names.count; i++) {
        struct str name = o->names.items[i];
        bool wild = str_find(name, '*') < name.n || str_find(name, '?') < name.n;

        o->globs.items[o->globs.count++] = str_lower(a, name);
        if (!wild && (str_find(name, '.') == name.n || name.p[0] == '.'))
            problem_error(problems, at, "patterns.names: \"" STR_FMT "\" is the whole name of a file; did you mean "
                          "\"*%s" STR_FMT "\"?", STR_ARG(name), name.p[0] == '.' ? "" : ".", STR_ARG(name));
        else if (str_find(name, '/') < name.n || str_find(name, '\\') < name.n)
            problem_error(problems, at, "patterns.names: \"" STR_FMT "\" has a path; names are compared without",
                          STR_ARG(name));
    }
}

/* ---- names ---- */

/* unseen - how many bytes of a character that is not shown s begins with: it could turn a name round, or split it. */
static size_t unseen(struct str s)
{
    unsigned char c0 = (unsigned char)s.p[0], c1 = s.n > 1 ? (unsigned char)s.p[1] : 0;
    unsigned char c2 = s.n > 2 ? (unsigned char)s.p[2] : 0;

    if (c0 < 0x20 || c0 == 0x7f)
        return 1;
    if (c0 == 0xc2 && (c1 == 0xad || (c1 >= 0x80 && c1 <= 0x9f)))
        return 2;
    if (c0 == 0xe2 && c1 == 0x80 && ((c2 >= 0x8b && c2 <= 0x8f) || (c2 >= 0xaa && c2 <= 0xae)))
        return 3;
    if (c0 == 0xe2 && c1 == 0x81 && c2 >= 0xa0 && c2 <= 0xaf)
        return 3;
    return c0 == 0xef && c1 == 0xbb && c2 == 0xbf ? 3 : 0;
}

/* without_end - what Windows, or a mail reader, leaves out at the end of a name. */
static struct str without_end(struct str name)
{
    while (name.n && memchr(". \"'/\\", name.p[name.n - 1], 6))
        name.n--;
    return name;
}

/* plain_name - the name of the file that Windows would make: lower-case, without path and quotes, without dots and
 * blanks at the end. What follows a colon is a stream of the same file. */
static struct str plain_name(struct arena *a, struct str name)
{
    char *out = arena_alloc(a, name.n + 1);
    struct str plain = {out, 0};
    size_t colon;

    for (size_t i = 0; i < name.n; i++) {
        size_t skip = unseen(str_slice(name, i, name.n));

        if (skip)
            i += skip - 1;
        else
            out[plain.n++] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 0x20) : name.p[i];
    }
    plain = without_end(plain);
    for (size_t i = plain.n; i-- > 0;) {
        if (plain.p[i] == '/' || plain.p[i] == '\\') {
            plain = str_slice(plain, i + 1, plain.n);
            break;
        }
    }
    colon = str_find(plain, ':');
    if (colon > 1)
        plain.n = colon < plain.n ? colon : plain.n;
    while (plain.n && memchr(" \"'", plain.p[0], 3))
        plain = str_slice(plain, 1, plain.n);
    return without_end(plain);
}

/* short_name - of a very long one its beginning and its end: the end says what it is, and a glob may name both. */
static struct str short_name(struct arena *a, struct str name)
{
    if (name.n <= NAME_MOST)
        return name;
    return arena_printf(a, STR_FMT STR_FMT, STR_ARG(str_slice(name, 0, NAME_MOST / 2)),
                        STR_ARG(str_slice(name, name.n - NAME_MOST / 2, name.n)));
}

/* glob - * any bytes, ? one; goes back to the last star only, so it costs at most name times pattern. */
static bool glob(struct str pattern, struct str name)
{
    size_t p = 0, n = 0, star = pattern.n, mark = 0;

    while (n < name.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = n;
        } else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == name.p[n])) {
            p++;
            n++;
        } else if (star < pattern.n) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

/* ---- parts ---- */

struct look {
    const struct patterns_options *options;
    struct arena *arena;   /* of the message: what is found */
    struct arena *scratch;
    struct str pattern, name;
    bool by_name;
};

static bool begins(struct str bytes, const struct signature *s)
{
    size_t whole = s->bits / 8;
    unsigned char mask = (unsigned char)(0xff00u >> s->bits % 8);

    if (bytes.n * 8 < s->bits || memcmp(bytes.p, s->magic, whole) != 0)
        return false;
    return s->bits % 8 == 0 || (((unsigned char)bytes.p[whole] ^ s->magic[whole]) & mask) == 0;
}

/* readings_of - as given, as Windows writes it, and what is left of it where C's strings end. */
#define READINGS 3
static void readings_of(struct arena *a, struct str name, struct str readings[READINGS])
{
    readings[0] = short_name(a, str_lower(a, name));
    readings[1] = short_name(a, plain_name(a, name));
    readings[2] = short_name(a, plain_name(a, str_slice(name, 0, str_find(name, '\0'))));
}

static bool is_named(struct str pattern, const struct str readings[READINGS])
{
    for (size_t i = 0; i < READINGS; i++)
        if (glob(pattern, readings[i]))
            return true;
    return false;
}

static bool look_at_names(struct look *l, const struct mime_part *part)
{
    for (size_t i = 0; i < part->names.count; i++) {
        struct str name = part->names.items[i], readings[READINGS];

        readings_of(l->scratch, name, readings);
        for (size_t k = 0; k < l->options->globs.count; k++) {
            if (!is_named(l->options->globs.items[k], readings))
                continue;
            l->by_name = true;
            l->pattern = l->options->names.items[k];
            l->name = str_dup(l->arena, str_slice(name, 0, 255));
            return true;
        }
    }
    return false;
}

static bool look_at(void *data, const struct mime_part *part)
{
    struct look *l = data;
    struct str bytes;
    bool found = look_at_names(l, part);

    for (unsigned reading = 0; l->options->signatures.count && !found && part->raw.n &&
                               mime_decode(l->scratch, part, MAGIC_MOST, reading, &bytes); reading++) {
        for (size_t i = 0; i < l->options->signatures.count && !found; i++) {
            if (!begins(bytes, &l->options->compiled[i]))
                continue;
            found = true;
            l->pattern = l->options->compiled[i].name;
            if (part->names.count)
                l->name = str_dup(l->arena, str_slice(part->names.items[0], 0, 255));
        }
    }
    if (arena_bytes(l->scratch) > 1 << 18)
        arena_reset(l->scratch);
    return !found;
}

static struct finding patterns_message(struct context *c)
{
    const struct patterns_options *o = OPTIONS(struct patterns_options, c);
    struct mime *mime = message_mime(c->message);
    struct look l = {.options = o, .arena = c->arena};
    struct str trouble;

    if (!mime || (o->signatures.count == 0 && o->globs.count == 0))
        return NO_OPINION;
    trouble = winmail_trouble(message_winmails(c->message));
    if (trouble.n)
        fact_set(c, FACT_TNEF, arena_printf(c->arena, "not opened (" STR_FMT ")", STR_ARG(trouble)));
    l.scratch = arena_new(0);
    mime_each(mime, look_at, &l);
    arena_free(&l.scratch);
    if (l.pattern.n == 0)
        return mime->truncated ? unsure(c, "the message has more parts than can be looked at") : NO_OPINION;
    fact_set(c, FACT_PATTERN, l.pattern);
    if (l.name.n)
        fact_set(c, FACT_FILE_NAME, l.name);
    if (l.by_name)
        return bad(c, "5.7.1", "attachments with names like " STR_FMT " are not accepted here", STR_ARG(l.pattern));
    return bad(c, "5.7.1", "attachments of the type " STR_FMT " are not accepted here", STR_ARG(l.pattern));
}

static bool patterns_idle(const void *options, enum stage stage)
{
    const struct patterns_options *o = options;

    return stage == AT_MESSAGE && o->signatures.count == 0 && o->names.count == 0;
}

#define ATTACHMENTS "the first bytes and the names of all attachments"
static const struct told_again patterns_told[] = {
    CANNOT_TELL("signatures", ATTACHMENTS), CANNOT_TELL("names", ATTACHMENTS), TOLD_AGAIN_END,
};

const struct policy policy_patterns = {
    .name = "patterns",
    .summary = "refuse attachments by their first bytes and by their names",
    .options = patterns_rows,
    .options_size = sizeof(struct patterns_options),
    .presets = {.enabled = "no", .karma = "-1"},
    .at = {[AT_MESSAGE] = patterns_message},
    .prepare = patterns_prepare,
    .idle = patterns_idle,
    .wants_body = true,
    .told_again = patterns_told,
};
