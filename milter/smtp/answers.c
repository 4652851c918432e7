/* answers.c - a table of fixed size, four entries to a row, the oldest of which makes room. */
#include <pthread.h>
#include <string.h>

#include "../base/clock.h"
#include "../scan/known.h"
#include "answers.h"
#include "places.h"
#include "reply.h"

#define ROWS 1024
#define WAYS 4
#define STATUS_MOST 9
#define QUIET_MS 60000
#define ON_THEIR_WAY_MOST 512 /* different questions; those beyond are asked without a look */

struct entry {
    struct known_key key;
    int64_t when; /* clock_ms(); 0: free */
    enum smtp_said said;
    bool of_host;
    char status[STATUS_MOST + 1], text[SMTP_TEXT_MOST];
    size_t text_n;
};

static struct {
    pthread_mutex_t lock;
    struct entry rows[ROWS][WAYS];
    struct {
        struct known_key key;
        bool used, wanted;
    } on_their_way[ON_THEIR_WAY_MOST];
} answers = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* key_of - of a recipient for that sender, for everybody ("every"), or of the server itself ("host", "tls" ...). */
static struct known_key key_of(const char *kind, struct str server, struct str sender, struct str rcpt)
{
    return known_key(server, str_of(kind), sender, &rcpt, 1);
}

static struct entry *row_of(const struct known_key *key)
{
    return answers.rows[(key->bytes[0] | (unsigned)key->bytes[1] << 8) % ROWS];
}

static bool holds(const struct entry *e, int64_t keep_ms, int64_t since)
{
    bool for_long = e->said == SMTP_TAKES || e->said == SMTP_REFUSES;
    int64_t most = for_long || keep_ms < ANSWERS_SOON_MS ? keep_ms : ANSWERS_SOON_MS;

    return e->when && (e->when >= since || clock_ms() - e->when < most);
}

static bool find(struct arena *a, struct known_key key, int64_t keep_ms, int64_t since, struct smtp_answer *answer)
{
    struct entry *row = row_of(&key);
    bool found = false;

    pthread_mutex_lock(&answers.lock);
    for (size_t i = 0; i < WAYS && !found; i++)
        if (memcmp(&row[i].key, &key, sizeof key) == 0 && holds(&row[i], keep_ms, since)) {
            *answer = (struct smtp_answer){
                .said = row[i].said, .status = str_dup(a, str_of(row[i].status)).p,
                .text = str_dup(a, (struct str){row[i].text, row[i].text_n}), .known = true,
                .of_host = row[i].of_host,
            };
            found = true;
        }
    pthread_mutex_unlock(&answers.lock);
    return found;
}

static void add(struct known_key key, const struct smtp_answer *answer)
{
    struct entry *row = row_of(&key), *oldest = row;
    struct str text = str_slice(answer->text, 0, SMTP_TEXT_MOST);
    struct str status = str_slice(str_of(answer->status), 0, STATUS_MOST);
    int64_t now = clock_ms();

    pthread_mutex_lock(&answers.lock);
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(&row[i].key, &key, sizeof key) == 0) {
            oldest = &row[i];
            break;
        }
        if (row[i].when < oldest->when)
            oldest = &row[i];
    }
    memset(oldest, 0, sizeof *oldest);
    oldest->key = key;
    oldest->when = now ? now : 1;
    oldest->said = answer->said;
    oldest->of_host = answer->of_host;
    memcpy(oldest->status, status.p ? status.p : "", status.n);
    memcpy(oldest->text, text.p ? text.p : "", text.n);
    oldest->text_n = text.n;
    pthread_mutex_unlock(&answers.lock);
}

/* of_mailbox - RFC 3463, 3.2: it is the recipient's address that is wrong, whoever writes. Not 5.1.7 and 5.1.8, which
 * are of the sender's. */
static bool of_mailbox(struct str status)
{
    static const char *const list[] = {"5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10", "5.2.1", NULL};

    for (size_t i = 0; list[i]; i++)
        if (str_is(status, str_of(list[i])))
            return true;
    return false;
}

bool answers_find(struct arena *a, struct str server, struct str sender, struct str rcpt, int64_t keep_ms,
                  int64_t since, struct smtp_answer *answer)
{
    return find(a, key_of("sender", server, sender, rcpt), keep_ms, since, answer) ||
           find(a, key_of("every", server, STR_NONE, rcpt), keep_ms, since, answer) ||
           find(a, key_of("host", server, STR_NONE, STR_NONE), keep_ms, since, answer);
}

void answers_add(struct str server, struct str sender, struct str rcpt, const struct smtp_answer *answer)
{
    if (answer->of_host)
        add(key_of("host", server, STR_NONE, STR_NONE), answer);
    else if (answer->said == SMTP_TAKES || (answer->said == SMTP_REFUSES && of_mailbox(str_of(answer->status))))
        add(key_of("every", server, STR_NONE, rcpt), answer);
    else
        add(key_of("sender", server, sender, rcpt), answer);
}

/* slot_of - where that question is, under the lock; ON_THEIR_WAY_MOST: nowhere. *unused: where it may go. */
static size_t slot_of(const struct known_key *key, size_t *unused)
{
    *unused = ON_THEIR_WAY_MOST;
    for (size_t i = 0; i < ON_THEIR_WAY_MOST; i++) {
        if (answers.on_their_way[i].used && memcmp(&answers.on_their_way[i].key, key, sizeof *key) == 0)
            return i;
        if (!answers.on_their_way[i].used && *unused == ON_THEIR_WAY_MOST)
            *unused = i;
    }
    return ON_THEIR_WAY_MOST;
}

bool answers_enter(struct str server, struct str sender, struct str rcpt)
{
    struct known_key key = key_of("sender", server, sender, rcpt);
    size_t slot, unused;

    pthread_mutex_lock(&answers.lock);
    slot = slot_of(&key, &unused);
    if (slot < ON_THEIR_WAY_MOST) {
        answers.on_their_way[slot].wanted = true;
    } else if (unused < ON_THEIR_WAY_MOST) {
        answers.on_their_way[unused].key = key;
        answers.on_their_way[unused].used = true;
        answers.on_their_way[unused].wanted = false;
    }
    pthread_mutex_unlock(&answers.lock);
    return slot == ON_THEIR_WAY_MOST;
}

bool answers_is_wanted(struct str server, struct str sender, struct str rcpt)
{
    struct known_key key = key_of("sender", server, sender, rcpt);
    size_t slot, unused;
    bool wanted;

    pthread_mutex_lock(&answers.lock);
    slot = slot_of(&key, &unused);
    wanted = slot < ON_THEIR_WAY_MOST && answers.on_their_way[slot].wanted;
    pthread_mutex_unlock(&answers.lock);
    return wanted;
}

void answers_leave(struct str server, struct str sender, struct str rcpt)
{
    struct known_key key = key_of("sender", server, sender, rcpt);
    size_t slot, unused;

    pthread_mutex_lock(&answers.lock);
    slot = slot_of(&key, &unused);
    if (slot < ON_THEIR_WAY_MOST)
        answers.on_their_way[slot].used = false;
    pthread_mutex_unlock(&answers.lock);
}

static bool noted(struct str server, const char *kind, int64_t keep_ms)
{
    struct arena *a = arena_new(0);
    struct smtp_answer ignored;
    bool found = find(a, key_of(kind, server, STR_NONE, STR_NONE), keep_ms, INT64_MAX, &ignored);

    arena_free(&a);
    return found;
}

static void take_note(struct str server, const char *kind)
{
    struct smtp_answer for_long = {.said = SMTP_REFUSES};

    add(key_of(kind, server, STR_NONE, STR_NONE), &for_long);
}

bool answers_no_tls(struct str server, int64_t keep_ms)
{
    return noted(server, "tls", keep_ms);
}

void answers_add_no_tls(struct str server)
{
    take_note(server, "tls");
}

bool answers_tell(struct str server, const char *kind)
{
    if (noted(server, kind, QUIET_MS))
        return false;
    take_note(server, kind);
    return true;
}

void answers_forget(void)
{
    pthread_mutex_lock(&answers.lock);
    memset(answers.rows, 0, sizeof answers.rows);
    memset(answers.on_their_way, 0, sizeof answers.on_their_way);
    pthread_mutex_unlock(&answers.lock);
    places_forget();
}
