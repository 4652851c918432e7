/* known.c - a table of fixed size, four entries to a row, the oldest of which makes room. */
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "mapped.h"
#include "scan/known.h"

#define HASHED_AT_ONCE 1048576 /* bytes */
#define ROWS 1024
#define WAYS 4
#define SCANNERS 8
#define TEXT_MOST 199
#define ASKING_MS 60000 /* who has not heard by then was given up with his message, or there is nothing to hear */

struct entry {
    struct known_key key;
    int64_t until; /* clock_ms(); 0: free */
    char name[KNOWN_NAME_MOST + 1];
};

struct scanner {
    char where[TEXT_MOST + 1], version[TEXT_MOST + 1];
    int64_t heard, asking; /* clock_ms(); 0: never, nobody */
};

static struct {
    pthread_mutex_t lock;
    struct entry rows[ROWS][WAYS];
    struct scanner scanners[SCANNERS];
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void copy(char to[TEXT_MOST + 1], struct str s)
{
    memcpy(to, s.p, s.n);
    to[s.n] = '\0';
}

/* scanner_of - its slot, a new one where there is room; NULL: it is not kept. Under the lock. */
static struct scanner *scanner_of(struct str where)
{
    if (where.n == 0 || where.n > TEXT_MOST)
        return NULL;
    for (size_t i = 0; i < SCANNERS; i++) {
        struct scanner *s = &known.scanners[i];

        if (!s->where[0])
            copy(s->where, where);
        if (str_is(str_of(s->where), where))
            return s;
    }
    return NULL;
}

struct str known_version(struct arena *a, struct str where, bool *ask)
{
    struct str version = STR_NONE;
    int64_t now = clock_ms();
    struct scanner *s;

    *ask = false;
    pthread_mutex_lock(&known.lock);
    s = scanner_of(where);
    if (s && s->heard && now - s->heard < KNOWN_VERSION_MS) {
        version = str_dup(a, str_of(s->version));
    } else if (s && (!s->asking || now - s->asking >= ASKING_MS)) {
        s->asking = now ? now : 1;
        *ask = true;
    }
    pthread_mutex_unlock(&known.lock);
    return version;
}

/* has_signatures - "ClamAV 1.4.6/27500/Mon Nov 16 ...": what follows the first slash is the signatures' version. */
static bool has_signatures(struct str version)
{
    size_t slash = str_find(version, '/');

    return slash + 1 < version.n && version.p[slash + 1] >= '1' && version.p[slash + 1] <= '9';
}

void known_heard(struct str where, struct str version)
{
    struct scanner *s;

    pthread_mutex_lock(&known.lock);
    s = scanner_of(where);
    if (s) {
        int64_t now = clock_ms();

        s->asking = 0;
        s->heard = now ? now : 1;
        copy(s->version, version.n <= TEXT_MOST && has_signatures(version) ? version : STR(""));
    }
    pthread_mutex_unlock(&known.lock);
}

static void add(EVP_MD_CTX *ctx, struct str s)
{
    uint64_t n = s.n;

    if (EVP_DigestUpdate(ctx, &n, sizeof n) != 1)
        log_panic("SHA-256 fails");
    while (s.n) {
        struct str part = str_slice(s, 0, HASHED_AT_ONCE);

        if (EVP_DigestUpdate(ctx, part.p, part.n) != 1)
            log_panic("SHA-256 fails");
        mapped_seen(part);
        s = str_slice(s, part.n, s.n);
    }
}

struct known_key known_key(struct str scanner, struct str version, struct str options, const struct str *content,
                           size_t pieces)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    struct known_key key;

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        log_panic("there is no SHA-256");
    add(ctx, scanner);
    add(ctx, version);
    add(ctx, options);
    for (size_t i = 0; i < pieces; i++)
        add(ctx, content[i]);
    if (EVP_DigestFinal_ex(ctx, key.bytes, NULL) != 1)
        log_panic("SHA-256 fails");
    EVP_MD_CTX_free(ctx);
    return key;
}

static struct entry *row_of(const struct known_key *key)
{
    return known.rows[(key->bytes[0] | (unsigned)key->bytes[1] << 8) % ROWS];
}

bool known_find(struct arena *a, const struct known_key *key, struct str *virus)
{
    struct entry *row = row_of(key);
    int64_t now = clock_ms();
    bool found = false;

    pthread_mutex_lock(&known.lock);
    for (size_t i = 0; i < WAYS && !found; i++)
        if (row[i].until > now && memcmp(&row[i].key, key, sizeof *key) == 0) {
            *virus = str_dup(a, str_of(row[i].name));
            found = true;
        }
    pthread_mutex_unlock(&known.lock);
    return found;
}

void known_add(const struct known_key *key, struct str virus)
{
    struct entry *row = row_of(key), *oldest = row;

    if (virus.n > KNOWN_NAME_MOST)
        return;
    pthread_mutex_lock(&known.lock);
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(&row[i].key, key, sizeof *key) == 0) {
            oldest = &row[i];
            break;
        }
        if (row[i].until < oldest->until)
            oldest = &row[i];
    }
    oldest->key = *key;
    oldest->until = clock_ms() + KNOWN_ENTRY_MS;
    memcpy(oldest->name, virus.p ? virus.p : "", virus.n);
    oldest->name[virus.n] = '\0';
    pthread_mutex_unlock(&known.lock);
}

void known_forget(void)
{
    pthread_mutex_lock(&known.lock);
    memset(known.rows, 0, sizeof known.rows);
    memset(known.scanners, 0, sizeof known.scanners);
    pthread_mutex_unlock(&known.lock);
}
