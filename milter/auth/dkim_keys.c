/* dkim_keys.c - the keys to sign with: read once per configuration, and never from a file that others may read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mail/domain.h"
#include "../mail/suffix.h"
#include "dkim.h"

#define FILE_MOST 32768
#define ENTRIES_MOST 100000 /* of one directory */
#define RSA_BITS_LEAST 1024
#define RSA_BITS_GOOD 2048

const char *const dkim_algorithm_words[] = {"rsa", "ed25519", NULL};

struct loading {
    struct arena *a;
    struct problems *problems;
    uid_t user;  /* of the daemon */
    gid_t group;
};

static void warn(struct loading *l, struct str path, const char *what)
{
    problem_warning(l->problems, (struct place){path, 0}, "%s", what);
}

static void warn_errno(struct loading *l, struct str path)
{
    int error = errno;
    char text[128];

    warn(l, path, strerror_r(error, text, sizeof text));
}

static struct str join(struct loading *l, struct str dir, struct str name)
{
    return arena_printf(l->a, STR_FMT "/" STR_FMT, STR_ARG(dir), STR_ARG(name));
}

/* daemon_group - sme-milter's where there is one: an administrator checks keys as root. */
static gid_t daemon_group(void)
{
    struct group entry, *found = NULL;
    char buf[16384];

    if (getgrnam_r("sme-milter", &entry, buf, sizeof buf, &found) == 0 && found)
        return found->gr_gid;
    return getegid();
}

static int compare_names(const void *x, const void *y)
{
    return str_compare(*(const struct str *)x, *(const struct str *)y);
}

/* daemon_user - the same. */
static uid_t daemon_user(void)
{
    struct passwd entry, *found = NULL;
    char buf[16384];

    if (getpwnam_r("sme-milter", &entry, buf, sizeof buf, &found) == 0 && found)
        return found->pw_uid;
    return geteuid();
}

/* is_ours - whoever may write in a directory puts keys of his own there, and mail is signed with them. One that is not
 * there, or cannot be read, is said elsewhere. */
static bool is_ours(struct loading *l, struct str dir)
{
    struct stat st;

    if (stat(str_c(l->a, dir), &st) != 0 || !S_ISDIR(st.st_mode))
        return true;
    if (st.st_uid != 0 && st.st_uid != l->user && st.st_uid != geteuid())
        warn(l, dir, "belongs neither to root nor to the daemon; its keys are not used");
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        warn(l, dir, "can be written by others (chmod 0750); its keys are not used");
    else
        return true;
    return false;
}

/* names_in - of a directory, sorted, without those that begin with a dot. */
static struct str *names_in(struct loading *l, struct str path, size_t *count)
{
    DIR *dir = opendir(str_c(l->a, path));
    const struct dirent *entry;
    struct str *names = NULL;

    *count = 0;
    if (!dir) {
        if (errno != ENOENT)
            warn_errno(l, path);
        return NULL;
    }
    while ((entry = readdir(dir)) && *count < ENTRIES_MOST) {
        if (entry->d_name[0] == '.')
            continue;
        names = arena_grow(l->a, names, *count, sizeof *names);
        names[(*count)++] = str_dup(l->a, str_of(entry->d_name));
    }
    closedir(dir);
    if (*count)
        qsort(names, *count, sizeof *names, compare_names);
    return names;
}

/* ---- files ---- */

/* is_private - a key that others can read is no secret, and what others can write is not ours. */
static bool is_private(struct loading *l, struct str path, const struct stat *st)
{
    bool our_group = st->st_gid == l->group || st->st_gid == getegid() || st->st_gid == 0;

    if (!S_ISREG(st->st_mode))
        warn(l, path, "is no regular file; the key is not used");
    else if (st->st_mode & (S_IRWXO | S_IWGRP))
        warn(l, path, "can be read or written by others (chmod 0640); the key is not used");
    else if ((st->st_mode & S_IRGRP) && !our_group)
        warn(l, path, "can be read by a group that is not the daemon's; the key is not used");
    else
        return true;
    return false;
}

/* read_file - at most FILE_MOST bytes; a link is not followed, and nothing is waited for. */
static bool read_file(struct loading *l, struct str path, bool secret, struct str *text)
{
    int fd = open(str_c(l->a, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    char *bytes = arena_alloc(l->a, FILE_MOST);
    struct stat st;
    ssize_t got = 0;
    size_t n = 0;

    if (fd < 0 || fstat(fd, &st) != 0) {
        if (errno == ELOOP)
            warn(l, path, "is a link; the key is not used");
        else
            warn_errno(l, path);
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (secret ? !is_private(l, path, &st) : !S_ISREG(st.st_mode)) {
        close(fd);
        return false;
    }
    while (n < FILE_MOST && (got = read(fd, bytes + n, FILE_MOST - n)) > 0)
        n += (size_t)got;
    close(fd);
    if (got < 0)
        warn_errno(l, path);
    *text = (struct str){bytes, n};
    return got >= 0;
}

/* ---- keys ---- */

/* no_password - a key with a password cannot be used; OpenSSL would ask for it on the terminal. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static void free_key(void *pkey)
{
    EVP_PKEY_free(pkey);
}

static bool read_key(struct loading *l, struct str path, struct dkim_key *key)
{
    struct str text;
    EVP_PKEY *pkey;
    BIO *bio;

    if (!read_file(l, path, true, &text))
        return false;
    bio = BIO_new_mem_buf(text.p, (int)text.n);
    pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    OPENSSL_cleanse((void *)text.p, text.n);
    if (!pkey) {
        warn(l, path, "is no private key in PEM without a password; the key is not used");
        return false;
    }
    arena_on_reset(l->a, free_key, pkey);
    key->pkey = pkey;
    key->file = path;
    key->algorithm = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 ? DKIM_ED25519 : DKIM_RSA;
    if (key->algorithm == DKIM_ED25519)
        return true;
    key->bits = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA ? (unsigned)EVP_PKEY_get_bits(pkey) : 0;
    if (key->bits < RSA_BITS_LEAST || key->bits > DKIM_RSA_BITS_MOST) {
        warn(l, path, "is neither Ed25519 nor RSA of 1024 to 4096 bits; the key is not used");
        return false;
    }
    if (key->bits < RSA_BITS_GOOD)
        warn(l, path, "is an RSA key of less than 2048 bits");
    return true;
}

static void add_key(struct loading *l, struct dkim_domain *d, struct str path, struct str selector)
{
    struct dkim_key key = {.selector = selector};

    if (!domain_is_hostname(selector, false) || selector.p[selector.n - 1] == '.') {
        warn(l, path, "its name is no selector; the key is not used");
        return;
    }
    if (!read_key(l, path, &key))
        return;
    d->all = arena_grow(l->a, d->all, d->count, sizeof *d->all);
    d->all[d->count++] = key;
}

static int compare_selectors(const void *x, const void *y)
{
    const struct dkim_key *a = x, *b = y;

    return str_compare(a->selector, b->selector);
}

/* read_old_layout - DOMAIN/selector and DOMAIN/private, as the predecessor had them. */
static void read_old_layout(struct loading *l, struct dkim_domain *d, struct str dir)
{
    struct str selector;

    if (read_file(l, join(l, dir, STR("selector")), false, &selector))
        add_key(l, d, join(l, dir, STR("private")), str_dup(l->a, str_trim(selector)));
}

static void read_domain(struct loading *l, struct dkim_domain *d, struct str dir)
{
    static const char suffix[] = ".private";
    size_t count, n = sizeof suffix - 1;
    struct str *names = names_in(l, dir, &count);

    for (size_t i = 0; i < count; i++)
        if (str_is(names[i], STR("private")))
            read_old_layout(l, d, dir);
        else if (names[i].n > n && str_ends_nocase(names[i], STR(".private")))
            add_key(l, d, join(l, dir, names[i]), str_slice(names[i], 0, names[i].n - n));
    if (d->count)
        qsort(d->all, d->count, sizeof *d->all, compare_selectors);
    for (size_t i = 0; i < d->count; i++)
        d->key[d->all[i].algorithm] = &d->all[i];
}

/* link_target - the directory beside it that a link leads to; empty when it leads elsewhere. */
static struct str link_target(struct loading *l, struct str key_dir, struct str path)
{
    char *target = arena_alloc(l->a, 4096);
    ssize_t n = readlink(str_c(l->a, path), target, 4096);
    struct str to = {target, n > 0 && n < 4096 ? (size_t)n : 0}, beside = join(l, key_dir, STR_NONE);

    while (to.n > 1 && to.p[to.n - 1] == '/')
        to.n--;
    if (str_starts(to, STR("./")))
        to = str_slice(to, 2, to.n);
    else if (str_starts(to, beside))
        to = str_slice(to, beside.n, to.n);
    return str_find(to, '/') < to.n ? STR_NONE : to;
}

/* add_domain - a directory, or a link to one beside it whose domain it may sign with. */
static void add_domain(struct loading *l, struct dkim_keys *keys, struct str key_dir, struct str name)
{
    struct dkim_domain d = {.name = str_lower(l->a, name)};
    struct str path = join(l, key_dir, name);
    struct stat st;

    if (lstat(str_c(l->a, path), &st) != 0 || (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)))
        return;
    d.signs_as = d.name;
    if (!str_is(dkim_ascii(l->a, name), d.name)) {
        warn(l, path, "its name is no domain; its keys are not used");
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        struct str to = link_target(l, key_dir, path);

        d.signs_as = dkim_ascii(l->a, to);
        if (d.signs_as.n == 0 || !domain_same_organization(d.name, d.signs_as)) {
            warn(l, path,
                 "is a link, but not to a domain of the same organisation in this directory; mail of this domain "
                          "is not signed");
            return;
        }
        path = join(l, key_dir, to);
        if (lstat(str_c(l->a, path), &st) != 0 || !S_ISDIR(st.st_mode)) {
            warn(l, path, "is the target of a link and no directory");
            return;
        }
    }
    if (!is_ours(l, path))
        return;
    read_domain(l, &d, path);
    if (d.count == 0)
        return;
    keys->domains = arena_grow(l->a, keys->domains, keys->count, sizeof *keys->domains);
    keys->domains[keys->count++] = d;
}

static int compare_domains(const void *x, const void *y)
{
    const struct dkim_domain *a = x, *b = y;

    return str_compare(a->name, b->name);
}

struct dkim_keys *dkim_keys_load(struct arena *a, struct str key_dir, struct problems *problems)
{
    struct dkim_keys *keys = arena_zalloc(a, sizeof *keys);
    struct loading l = {.a = a, .problems = problems, .user = daemon_user(), .group = daemon_group()};
    struct str *names;
    size_t count;

    if (!is_ours(&l, key_dir))
        return keys;
    names = names_in(&l, key_dir, &count);
    for (size_t i = 0; i < count; i++)
        add_domain(&l, keys, key_dir, names[i]);
    if (keys->count)
        qsort(keys->domains, keys->count, sizeof *keys->domains, compare_domains);
    return keys;
}

/* ---- choosing ---- */

/* is_suffix - nobody registered it: what is below belongs to strangers. */
static bool is_suffix(struct arena *a, struct str domain)
{
    struct str below = arena_printf(a, "x." STR_FMT, STR_ARG(domain));

    return domain_organizational(below).n > domain.n;
}

static const struct dkim_domain *find_domain(const struct dkim_keys *keys, struct str name)
{
    size_t from = 0, to = keys->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = str_compare(name, keys->domains[middle].name);

        if (order == 0)
            return &keys->domains[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

const struct dkim_domain *dkim_keys_for(const struct dkim_keys *keys, struct str domain)
{
    struct arena *a = arena_new(1024);
    struct str name = dkim_ascii(a, domain);
    const struct dkim_domain *found = NULL;

    while (name.n && !found && !is_suffix(a, name)) {
        found = find_domain(keys, name);
        name = str_slice(name, str_find(name, '.') + 1, name.n);
    }
    arena_free(&a);
    return found;
}

struct str dkim_record(struct arena *a, const struct dkim_key *key)
{
    unsigned char raw[32], *der = raw;
    size_t n = sizeof raw;
    struct str record = STR_NONE;
    char *text;
    int got;

    if (key->algorithm == DKIM_ED25519) {
        if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &n) != 1)
            return STR_NONE;
    } else {
        der = NULL;
        got = i2d_PUBKEY(key->pkey, &der);
        if (got <= 0)
            return STR_NONE;
        n = (size_t)got;
    }
    text = arena_alloc(a, (n + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, der, (int)n);
    record = arena_printf(a, "v=DKIM1; k=%s; p=%s", dkim_algorithm_words[key->algorithm], text);
    if (der != raw)
        OPENSSL_free(der);
    return record;
}
