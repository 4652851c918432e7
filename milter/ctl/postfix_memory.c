/* postfix_memory.c - the file that remembers what --apply has found, and main.cf and master.cf as they were.
 *
 * The file is complete before the first change is made, so that whatever stops an --apply, --revert knows both sides of
 * everything it may have changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "postfix_change.h"

enum { FILE_MOST = 32 << 20, CHANGES_MOST = 5000 };

static const char *const file_names[2] = {"main.cf", "master.cf"};

static const char head[] =
    "# What `sme-milterctl postfix snippet --apply` has found in main.cf and master.cf, and what it made of it.\n"
    "# `sme-milterctl postfix snippet --revert` puts it back and removes this file. Do not edit it.\n";

/* ---- writing ---- */

static void put_side(struct buf *b, const char *word, const struct change_text *t)
{
    if (t->there)
        buf_addf(b, "%s ", word);
    else
        buf_addf(b, "%s-not", word);
    buf_add(b, t->text);
    buf_addc(b, '\n');
}

/* write_all - true when all of it has reached the disk. */
static bool write_all(int fd, struct str text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            text = str_slice(text, (size_t)n, text.n);
    }
    return fsync(fd) == 0;
}

/* replace - the whole file at once; `as`: with the owner and the rights of that one, else for us alone. */
static bool replace(struct arena *a, struct str path, struct str text, const struct stat *as)
{
    const char *temporary = arena_printf(a, STR_FMT ".new", STR_ARG(path)).p;
    const char *final = str_c(a, path), *directory = str_c(a, str_slice(path, 0, str_rfind(path, '/')));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), error;
    bool done;

    if (fd < 0)
        return false;
    done = (!as || (fchown(fd, as->st_uid, as->st_gid) == 0 && fchmod(fd, as->st_mode & 07777) == 0)) &&
           write_all(fd, text);
    error = errno;
    close(fd);
    errno = error;
    if (!done || rename(temporary, final) < 0) {
        error = errno;
        unlink(temporary);
        errno = error;
        return false;
    }
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the new name must last too */
    done = fd >= 0 && fsync(fd) == 0;
    error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return done;
}

bool revert_write(const struct changes *c, struct str path)
{
    struct buf b = buf_in(c->arena);

    buf_add(&b, str_of(head));
    for (size_t i = 0; i < c->count; i++) {
        const struct change *change = &c->items[i];

        buf_addf(&b, "\n%s ", change->is_service ? "service" : "parameter");
        buf_add(&b, change->name);
        buf_addc(&b, '\n');
        put_side(&b, "was", &change->side[SIDE_BEFORE]);
        put_side(&b, "became", &change->side[SIDE_AFTER]);
    }
    for (int i = 0; i < 2; i++) {
        const struct original *o = &c->original[i];

        if (!o->kept)
            continue;
        buf_addf(&b, "\nfile %s %zu " STR_FMT "\n", file_names[i], o->text.n, STR_ARG(o->left.n ? o->left : STR("-")));
        buf_add(&b, o->text);
        buf_addc(&b, '\n');
    }
    return replace(c->arena, path, buf_str(&b), NULL);
}

/* ---- reading ---- */

static bool take_side(struct str line, const char *word, struct change_text *t)
{
    size_t n = strlen(word);

    if (!str_starts(line, str_of(word)))
        return false;
    line = str_slice(line, n, line.n);
    if (str_is(line, STR("-not"))) {
        *t = (struct change_text){.there = false};
        return true;
    }
    *t = (struct change_text){.there = true, .text = str_slice(line, 1, line.n)};
    return line.n == 0 || line.p[0] == ' ';
}

static bool take_name(struct changes *c, struct str line, struct change **change)
{
    bool is_service = str_starts(line, STR("service "));

    if ((!is_service && !str_starts(line, STR("parameter "))) || c->count >= CHANGES_MOST)
        return false;
    line = str_slice(line, str_find(line, ' ') + 1, line.n);
    if (line.n == 0 || line.p[0] == '-' || (is_service && str_rfind(line, '/') == line.n) ||
        (!is_service && str_find(line, '=') < line.n))
        return false;
    *change = change_of(c, is_service, line);
    return true;
}

/* take_file - "file main.cf BYTES DIGEST", and that many bytes behind it. */
static bool take_file(struct changes *c, struct str line, struct str *text, unsigned *number)
{
    struct str word, name, size, digest;
    struct original *o = c->original;
    long n;

    if (!str_token(&line, &word) || !str_is(word, STR("file")) || !str_token(&line, &name) ||
        !str_token(&line, &size) || !str_token(&line, &digest) || !str_to_long(size, &n) || n < 0 ||
        (size_t)n >= text->n || text->p[n] != '\n')
        return false;
    if (str_is(name, str_of(file_names[1])))
        o++;
    else if (!str_is(name, str_of(file_names[0])))
        return false;
    *o = (struct original){true, str_slice(*text, 0, (size_t)n), str_is(digest, STR("-")) ? STR_NONE : digest};
    *text = str_slice(*text, (size_t)n + 1, text->n);
    for (size_t i = 0; i < o->text.n; i++)
        *number += o->text.p[i] == '\n';
    return true;
}

/* parse - true when every line is one of ours and every change complete; else *line is where it is not. */
static bool parse(struct changes *c, struct str text, unsigned *number)
{
    struct change *change = NULL;
    struct str line;
    int want = 0; /* 0: a name, 1: was, 2: became */

    for (*number = 1; str_split(&text, '\n', &line); (*number)++) {
        if (want == 0 && (line.n == 0 || line.p[0] == '#' || take_file(c, line, &text, number)))
            continue;
        if (want == 0 ? !take_name(c, line, &change)
                      : !take_side(line, want == 1 ? "was" : "became",
                                   &change->side[want == 1 ? SIDE_BEFORE : SIDE_AFTER]))
            return false;
        want = (want + 1) % 3;
    }
    return want == 0;
}

/* read_all - a regular file, not too long; false, and errno. */
static bool read_all(struct arena *a, struct str path, struct stat *st, struct str *text)
{
    int fd = open(str_c(a, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), error;
    struct buf b = buf_in(a);
    char chunk[16384];
    ssize_t n = -1;

    if (fd < 0)
        return false;
    errno = EINVAL;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        while (b.len <= FILE_MOST && ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR)))
            if (n > 0)
                buf_add(&b, (struct str){chunk, (size_t)n});
    error = b.len > FILE_MOST ? EFBIG : errno;
    close(fd);
    errno = error;
    *text = buf_str(&b);
    return n == 0;
}

int revert_read(struct changes *c, struct str path)
{
    struct str text;
    struct stat st;
    unsigned line;

    if (!read_all(c->arena, path, &st, &text)) {
        int error = errno;

        if (error == ENOENT)
            return EX_NOINPUT;
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT " cannot be read: %s\n",
                STR_ARG(str_escaped(c->arena, path)), strerror(error));
        return error == EACCES ? EX_NOPERM : EX_IOERR;
    }
    if (!parse(c, text, &line)) {
        fprintf(stderr, STR_FMT ":%u: this is not what --apply writes; nothing has been changed\n",
                STR_ARG(str_escaped(c->arena, path)), line);
        return EX_DATAERR;
    }
    return 0;
}

/* ---- main.cf and master.cf as a whole ---- */

static struct str file_path(struct arena *a, struct str directory, int i)
{
    return arena_printf(a, STR_FMT "/%s", STR_ARG(directory), file_names[i]);
}

static struct str digest_of(struct arena *a, struct str text)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    struct buf b = buf_in(a);
    unsigned n = 0;

    if (EVP_Digest(text.n ? text.p : "", text.n, sum, &n, EVP_sha256(), NULL) != 1)
        return STR_NONE;
    for (unsigned i = 0; i < n; i++)
        buf_addf(&b, "%02x", sum[i]);
    return buf_str(&b);
}

void originals_begin(struct changes *c, struct str directory, bool first)
{
    for (int i = 0; i < 2; i++) {
        struct original *o = &c->original[i];
        struct str text;
        struct stat st;

        if (!read_all(c->arena, file_path(c->arena, directory, i), &st, &text))
            o->kept = false;
        else if (first)
            *o = (struct original){.kept = true, .text = text};
        else if (!o->left.n || !str_is(o->left, digest_of(c->arena, text)))
            o->kept = false;
        o->left = STR_NONE;
    }
}

void originals_end(struct changes *c, struct str directory)
{
    for (int i = 0; i < 2; i++) {
        struct str text;
        struct stat st;

        if (c->original[i].kept && read_all(c->arena, file_path(c->arena, directory, i), &st, &text))
            c->original[i].left = digest_of(c->arena, text);
    }
}

bool originals_restore(struct changes *c, struct str directory)
{
    for (int i = 0; i < 2; i++) {
        const struct original *o = &c->original[i];
        struct str path = file_path(c->arena, directory, i), text;
        struct stat st;

        if (!o->kept || !o->left.n || !read_all(c->arena, path, &st, &text) ||
            !str_is(o->left, digest_of(c->arena, text)))
            continue;
        if (!replace(c->arena, path, o->text, &st))
            return false;
        for (size_t k = 0; k < c->count; k++)
            c->items[k].made = c->items[k].made || c->items[k].is_service == (i == 1);
    }
    return true;
}
