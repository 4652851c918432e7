/* import_keys.c - of a qpsmtpd folder: keys to sign with, texts of the disclaimer, a listing of karma. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../config_tree.h"
#include "../mail/domain.h"
#include "import_inside.h"
#include "karma_lines.h"

#define KEY_MOST ((size_t)32768)
#define TEXT_MOST ((size_t)65536)
#define KARMA_MOST ((size_t)256 << 20)
#define ENTRIES_MOST 10000
#define TOLD_MOST 20

static struct str beside(struct import *im, struct str name)
{
    return arena_printf(im->a, STR_FMT "/" STR_FMT, STR_ARG(im->qpsmtpd_dir), STR_ARG(name));
}

static int compare_names(const void *x, const void *y)
{
    return str_compare(*(const struct str *)x, *(const struct str *)y);
}

static struct str *entries(struct import *im, struct str path, size_t *count)
{
    DIR *dir = opendir(str_c(im->a, path));
    const struct dirent *entry;
    struct str *names = NULL;

    *count = 0;
    while (dir && (entry = readdir(dir)) && *count < ENTRIES_MOST) {
        if (entry->d_name[0] == '.')
            continue;
        names = arena_grow(im->a, names, *count, sizeof *names);
        names[(*count)++] = str_dup(im->a, str_of(entry->d_name));
    }
    if (dir)
        closedir(dir);
    if (*count)
        qsort(names, *count, sizeof *names, compare_names);
    return names;
}

/* ---- keys ---- */

/* read_small - false, with a note, when it is not there or cannot be read. */
static bool read_small(struct import *im, struct sme_source from, struct str path, size_t most, struct str *text)
{
    struct str error;

    if (conf_read_file(im->a, path, most, text, &error))
        return true;
    import_left_out(&im->notes, from, STR_FMT " " STR_FMT, STR_ARG(path), STR_ARG(error));
    return false;
}

/* link_target - the domain beside it that a link leads to; empty when it leads elsewhere. */
static struct str link_target(struct import *im, struct str path)
{
    char *target = arena_alloc(im->a, 4096);
    ssize_t n = readlink(str_c(im->a, path), target, 4096);
    struct str to = {target, n > 0 && n < 4096 ? (size_t)n : 0}, domain;
    size_t slash;

    while (to.n > 1 && to.p[to.n - 1] == '/')
        to.n--;
    slash = str_rfind(to, '/');
    if (slash < to.n)
        to = str_slice(to, slash + 1, to.n);
    return import_domain_name(im->a, to, &domain) ? domain : STR_NONE;
}

static void one_key(struct import *im, struct str name)
{
    struct str path = beside(im, arena_printf(im->a, "dkim/" STR_FMT, STR_ARG(name))), domain, selector, key, to;
    struct sme_source from = source_named(arena_printf(im->a, "dkim/" STR_FMT, STR_ARG(str_escaped(im->a, name))),
                                          (struct place){path, 1});
    struct stat st;

    if (lstat(path.p, &st) != 0 || (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)))
        return;
    if (!import_domain_name(im->a, name, &domain)) {
        import_left_out(&im->notes, from, "is no domain name");
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        to = link_target(im, path);
        if (to.n == 0) {
            import_left_out(&im->notes, from, "is a link that leads to no domain beside it");
            return;
        }
        if (stat(beside(im, arena_printf(im->a, "dkim/" STR_FMT, STR_ARG(to))).p, &st) != 0 || !S_ISDIR(st.st_mode)) {
            import_left_out(&im->notes, from, "is a link to " STR_FMT ", which is not there", STR_ARG(to));
            return;
        }
        import_add_file(im, arena_printf(im->a, "dkim/" STR_FMT, STR_ARG(domain)), STR_NONE, false);
        im->files[im->file_count - 1].leads_to = to;
        im->has_keys = true;
        import_done(&im->notes, from, "dkim/" STR_FMT ": signs with the key of " STR_FMT, STR_ARG(domain), STR_ARG(to));
        return;
    }
    if (!read_small(im, from, arena_printf(im->a, STR_FMT "/selector", STR_ARG(path)), KEY_MOST, &selector) ||
        !read_small(im, from, arena_printf(im->a, STR_FMT "/private", STR_ARG(path)), KEY_MOST, &key))
        return;
    selector = str_lower(im->a, str_trim(selector));
    if (!domain_is_hostname(selector, false) || selector.p[selector.n - 1] == '.') {
        import_left_out(&im->notes, from, "its selector \"" STR_FMT "\" is none", STR_ARG(str_slice(selector, 0, 64)));
        return;
    }
    if (!str_starts(str_trim(key), STR("-----BEGIN "))) {
        import_left_out(&im->notes, from, "private is no key in PEM");
        return;
    }
    import_add_file(im, arena_printf(im->a, "dkim/" STR_FMT "/" STR_FMT ".private", STR_ARG(domain), STR_ARG(selector)),
                    key, true);
    im->has_keys = true;
    import_done(&im->notes, from, "dkim/" STR_FMT "/" STR_FMT ".private", STR_ARG(domain), STR_ARG(selector));
}

static void keys(struct import *im)
{
    size_t count;
    struct str *names = entries(im, beside(im, STR("dkim")), &count);

    for (size_t i = 0; i < count; i++)
        one_key(im, names[i]);
}

/* ---- disclaimers ---- */

/* is_utf8 - as the policy disclaimer wants its texts; a plain check of the sequences. */
static bool is_utf8(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;

        if (more == 9 || i + more >= s.n)
            return false;
        while (more--)
            if (((unsigned char)s.p[++i] & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* to_utf8 - of a text in ISO 8859-1, as those of older servers are. */
static struct str to_utf8(struct arena *a, struct str s)
{
    struct buf b = buf_in(a);

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x80)
            buf_addc(&b, (char)(0xc0 | c >> 6));
        buf_addc(&b, c >= 0x80 ? (char)(0x80 | (c & 0x3f)) : (char)c);
    }
    return buf_str(&b);
}

static void disclaimer(struct import *im, struct str name)
{
    struct sme_source from = source_named(arena_printf(im->a, "file " STR_FMT, STR_ARG(str_escaped(im->a, name))),
                                          (struct place){beside(im, name), 1});
    struct str text, domain, rest = str_slice(name, 10, name.n);

    if (str_ends_nocase(rest, STR(".txt")))
        rest.n -= 4;
    if (rest.n && (!str_starts(rest, STR("_")) || !import_domain_name(im->a, str_slice(rest, 1, rest.n), &domain))) {
        import_left_out(&im->notes, from, "is neither disclaimer nor disclaimer_DOMAIN");
        return;
    }
    if (!read_small(im, from, beside(im, name), TEXT_MOST, &text))
        return;
    if (!is_utf8(text)) {
        text = to_utf8(im->a, text);
        import_notice(&im->notes, from, "is not UTF-8: read as ISO 8859-1");
    }
    name = rest.n ? arena_printf(im->a, "disclaimer/disclaimer_" STR_FMT ".txt", STR_ARG(domain))
                  : STR("disclaimer/disclaimer.txt");
    import_add_file(im, name, text, false);
    im->has_disclaimers = true;
    import_done(&im->notes, from, STR_FMT, STR_ARG(name));
}

/* ---- karma ---- */

/* karma - the listing of the original's karma_tool, without the lines that `karma import` would not take. */
static void karma(struct import *im, struct str name)
{
    struct sme_source from = source_named(arena_printf(im->a, "file " STR_FMT, STR_ARG(str_escaped(im->a, name))),
                                          (struct place){beside(im, name), 1});
    struct karma_line_rules rules = {.now = clock_wall_ms() / 1000, .penalty_s = 86400};
    struct arena *scratch = arena_new(0);
    struct buf kept = buf_in(im->a);
    struct str text = STR_NONE, line;
    size_t rows = 0, bad = 0;
    enum karma_dialect dialect;

    if (!read_small(im, from, beside(im, name), KARMA_MOST, &text) || str_find(text, '\0') < text.n) {
        if (text.n)
            import_left_out(&im->notes, from, "is a database, not a listing: on the old server run `karma_tool list` "
                            "into a file karma.list of that folder");
        arena_free(&scratch);
        return;
    }
    dialect = str_starts(str_trim(text), STR("{")) ? KARMA_EXPORT : KARMA_TOOL;
    for (from.at.line = 0; str_split(&text, '\n', &line);) {
        struct karma_net net;
        struct karma_record record;
        struct str why = STR_NONE;
        enum karma_line what = KARMA_LINE_BAD;

        from.at.line++;
        if (line.n <= KARMA_LINE_MOST)
            what = karma_line_read(scratch, dialect, line, &rules, &net, &record, &why);
        if (what == KARMA_LINE_ROW) {
            buf_add(&kept, line);
            buf_addc(&kept, '\n');
            rows++;
        } else if (what != KARMA_LINE_NOTHING && ++bad <= TOLD_MOST) {
            import_left_out(&im->notes, from, "\"" STR_FMT "\": " STR_FMT, STR_ARG(str_slice(line, 0, 80)),
                            STR_ARG(why.n ? str_dup(im->a, why) : STR("longer than a line may be")));
        }
        arena_reset(scratch);
    }
    arena_free(&scratch);
    from.at.line = 1;
    if (bad > TOLD_MOST)
        import_left_out(&im->notes, from, "%zu further lines are not understood", bad - TOLD_MOST);
    if (rows == 0)
        return;
    import_add_file(im, STR("karma.import"), buf_str(&kept), false);
    import_done(&im->notes, from, "karma.import: %zu clients, for `sme-milterctl karma import`", rows);
}

void import_folder_keys(struct import *im)
{
    size_t count;
    struct str *names = entries(im, im->qpsmtpd_dir, &count);
    bool has_karma = false;

    keys(im);
    for (size_t i = 0; i < count; i++) {
        struct stat st;

        if (stat(beside(im, names[i]).p, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (str_starts(names[i], STR("disclaimer"))) {
            disclaimer(im, names[i]);
        } else if (str_starts(names[i], STR("karma")) && !str_is(names[i], STR("karma_tlds"))) {
            struct sme_source from = source_named(arena_printf(im->a, "file " STR_FMT,
                                                               STR_ARG(str_escaped(im->a, names[i]))),
                                                  (struct place){beside(im, names[i]), 1});

            if (has_karma)
                import_left_out(&im->notes, from, "is a second listing of karma; only one is read");
            else
                karma(im, names[i]);
            has_karma = true;
        }
    }
}
