/* journal.c - the daemon's side of the journal: copies of what sessions report, a queue that is bounded in bytes, and
 * the gaps where something was lost. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "journal_inside.h"

#define ITEMS_MOST 500000               /* the bytes are the limit */
#define MESSAGE_BYTES_MOST (128 * 1024) /* of texts of one message; what goes beyond is cut */
#define FIRST_CHUNK 2048
#define TIDY_ROWS 1000                  /* forgotten in one piece */
#define TIDY_BYTES_MOST (4 * 1024 * 1024) /* written, then the size is looked at again */
#define JUMP_MS 60000                   /* an hour of correcting a clock slowly is not so much */
#define DAY_MS (24 * (int64_t)3600000)

struct item {
    struct arena *arena; /* of what it points to */
    const struct journal_message *message; /* or: */
    const struct journal_gap *gap;
};

static _Atomic(struct database *) store;
static atomic_size_t waiting_bytes;
static atomic_ullong lost; /* since the start */

static struct {
    pthread_mutex_t lock;
    struct journal_settings settings;
    struct journal_gap gap; /* that is not in the queue yet; lost 0: none */
    char why[240];
} journal = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of the writer's thread. */
static struct {
    uint64_t opened, opened_now;       /* the file whose beginning was looked at; now: that is not committed yet */
    unsigned set_aside, set_aside_now; /* database_status()'s, when that was done */
    uint64_t bytes; /* written since the size was last looked at */
    bool watching;
    int64_t offset, jumped; /* of the wall clock against the one that only grows; when it last jumped, 0: never */
    struct arena *arena;
} writer;

/* ---- copies ---- */

struct copying {
    struct arena *arena;
    size_t left; /* bytes of texts */
};

static struct str copy(struct copying *c, struct str s)
{
    s = str_slice(s, 0, s.n < JOURNAL_TEXT_MOST ? s.n : JOURNAL_TEXT_MOST);
    s = str_slice(s, 0, c->left);
    c->left -= s.n;
    return s.n ? str_dup(c->arena, s) : STR_NONE;
}

static void copy_findings(struct copying *c, struct journal_message *to, const struct journal_message *from)
{
    to->finding_count = from->finding_count < JOURNAL_FINDINGS_MOST ? from->finding_count : JOURNAL_FINDINGS_MOST;
    to->findings = arena_array(c->arena, to->finding_count, sizeof *to->findings);
    for (size_t i = 0; i < to->finding_count; i++) {
        struct journal_finding *f = &to->findings[i];
        struct journal_fact *facts;

        *f = from->findings[i];
        f->policy = copy(c, f->policy);
        f->stage = copy(c, f->stage);
        f->result = copy(c, f->result);
        f->judged = copy(c, f->judged);
        f->status = copy(c, f->status);
        f->text = copy(c, f->text);
        f->fact_count = f->fact_count < JOURNAL_FACTS_MOST ? f->fact_count : JOURNAL_FACTS_MOST;
        facts = arena_array(c->arena, f->fact_count, sizeof *facts);
        for (size_t k = 0; k < f->fact_count; k++)
            facts[k] = (struct journal_fact){copy(c, f->facts[k].name), copy(c, f->facts[k].value)};
        f->facts = facts;
    }
}

static const struct journal_message *copy_message(struct copying *c, const struct journal_message *from)
{
    struct journal_message *to = arena_alloc(c->arena, sizeof *to);

    *to = *from;
    struct str *const texts[] = {
        &to->host,        &to->ref,    &to->queue_id, &to->message_id, &to->profile, &to->name,    &to->helo,  &to->auth,
        &to->tls_version, &to->daemon_name, &to->sender,   &to->verdict,    &to->by,      &to->stage, &to->reply,
        &to->history,     &to->ran,    &to->subject,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = copy(c, *texts[i]);
    to->rcpt_count = from->rcpt_count < JOURNAL_RCPT_MOST ? from->rcpt_count : JOURNAL_RCPT_MOST;
    to->rcpt = arena_array(c->arena, to->rcpt_count, sizeof *to->rcpt);
    for (size_t i = 0; i < to->rcpt_count; i++)
        to->rcpt[i] = (struct journal_rcpt){copy(c, from->rcpt[i].address), copy(c, from->rcpt[i].refused_by),
                                            copy(c, from->rcpt[i].reply)};
    copy_findings(c, to, from);
    return to;
}

const struct journal_message *journal_copy(struct arena *a, const struct journal_message *m)
{
    struct copying c = {.arena = a, .left = MESSAGE_BYTES_MOST};

    return copy_message(&c, m);
}

/* ---- the writer's side ---- */

/* note_beginning - in a file that has just begun: why there is nothing before. */
static int note_beginning(struct database_writer *w)
{
    struct database *db = store;
    struct database_status status = {.set_aside = 0};
    struct journal_gap gap = {.to_ms = clock_wall_ms(), .why = STR("the journal begins here")};
    sqlite3_stmt *s;
    int rc;

    writer.opened_now = database_writer_opened(w);
    s = database_writer_statement(w, "SELECT EXISTS (SELECT 1 FROM message) OR EXISTS (SELECT 1 FROM gap)");
    if (!s)
        return sqlite3_extended_errcode(database_writer_db(w));
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        rc = sqlite3_column_int(s, 0) ? SQLITE_DONE : SQLITE_ROW;
    sqlite3_reset(s);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    if (db)
        database_status(db, &status);
    if (status.set_aside > writer.set_aside)
        gap.why = STR("the file was damaged and set aside: what it had is not in this one");
    else if (writer.opened)
        gap.why = STR("the file was removed or replaced: what it had is not in this one");
    writer.set_aside_now = status.set_aside;
    return journal_write_gap(w, &gap, writer.arena);
}

static void look_at_size_soon(size_t bytes)
{
    struct database *db = store;
    uint64_t most;

    pthread_mutex_lock(&journal.lock);
    most = journal.settings.max_size / 32;
    pthread_mutex_unlock(&journal.lock);
    writer.bytes += bytes;
    if (writer.bytes < (most < TIDY_BYTES_MOST ? most : TIDY_BYTES_MOST) || !db)
        return;
    writer.bytes = 0;
    database_tidy_soon(db);
}

static int write_item(struct database_writer *w, const void *pointer, void *ctx)
{
    const struct item *item = pointer;
    int rc = SQLITE_OK;

    (void)ctx;
    if (!writer.arena)
        writer.arena = arena_new(0);
    if (writer.opened != database_writer_opened(w))
        rc = note_beginning(w);
    if (rc == SQLITE_OK)
        rc = item->gap ? journal_write_gap(w, item->gap, writer.arena) : journal_write(w, item->message, writer.arena);
    arena_reset(writer.arena);
    look_at_size_soon(arena_bytes(item->arena));
    return rc;
}

static void written(const void *items, size_t count, void *ctx)
{
    (void)items, (void)count, (void)ctx;
    writer.opened = writer.opened_now;
    writer.set_aside = writer.set_aside_now;
}

static void forget(const void *pointer, void *ctx)
{
    struct item item = *(const struct item *)pointer;

    (void)ctx;
    atomic_fetch_sub(&waiting_bytes, arena_bytes(item.arena));
    arena_free(&item.arena);
}

/* jumped_lately - a clock that jumps must not cost the journal. */
static bool jumped_lately(void)
{
    int64_t now = clock_ms(), offset = clock_wall_ms() - now;

    if (writer.watching && (offset - writer.offset > JUMP_MS || writer.offset - offset > JUMP_MS))
        writer.jumped = now;
    writer.watching = true;
    writer.offset = offset;
    return writer.jumped && now - writer.jumped < DAY_MS;
}

static bool tidy(struct database_writer *w, void *ctx)
{
    struct journal_settings settings;
    bool more = false;

    (void)ctx;
    pthread_mutex_lock(&journal.lock);
    settings = journal.settings;
    pthread_mutex_unlock(&journal.lock);
    if (jumped_lately())
        settings.keep_ms = 0;
    return journal_tidy(database_writer_db(w), &settings, clock_wall_ms(), TIDY_ROWS, &more) == SQLITE_OK && more;
}

static const struct database_kind kind = {
    .name = "journal",
    .schema = &journal_schema,
    .item_size = sizeof(struct item),
    .items_most = ITEMS_MOST,
    .write = write_item,
    .written = written,
    .tidy = tidy,
    .forget = forget,
};

/* ---- the sessions' side ---- */

/* lose - one that cannot be kept begins a gap, or makes it longer. */
static void lose(struct database *db)
{
    int64_t now = clock_wall_ms();
    struct database_status status;
    bool first;

    database_status(db, &status);
    atomic_fetch_add(&lost, 1);
    pthread_mutex_lock(&journal.lock);
    first = journal.gap.lost++ == 0;
    if (first) {
        journal.gap.from_ms = now;
        if (status.state == DATABASE_FINE)
            snprintf(journal.why, sizeof journal.why, "more came than the disk could take");
        else
            snprintf(journal.why, sizeof journal.why, "the file was %s%s%s", database_state_words[status.state],
                     *status.why ? ": " : "", status.why);
    }
    journal.gap.to_ms = now;
    pthread_mutex_unlock(&journal.lock);
    if (first)
        log_error("journal.sqlite: %u MB wait for the disk: what comes now is not in the journal",
                  JOURNAL_QUEUE_BYTES / 1024 / 1024);
}

static bool add(struct database *db, struct item *item)
{
    atomic_fetch_add(&waiting_bytes, arena_bytes(item->arena));
    if (database_add(db, item))
        return true;
    forget(item, NULL);
    return false;
}

/* end_gap - there is room again: what was lost goes into the queue before what follows it. */
static void end_gap(struct database *db)
{
    struct arena *a;
    struct journal_gap *gap;

    pthread_mutex_lock(&journal.lock);
    if (journal.gap.lost > 0) {
        a = arena_new(512);
        gap = arena_alloc(a, sizeof *gap);
        *gap = journal.gap;
        gap->why = str_dup(a, str_of(journal.why));
        if (add(db, &(struct item){.arena = a, .gap = gap}))
            journal.gap.lost = 0;
    }
    pthread_mutex_unlock(&journal.lock);
}

void journal_add(const struct journal_message *m)
{
    struct database *db = store;
    struct copying c = {.left = MESSAGE_BYTES_MOST};

    if (!db)
        return;
    if (atomic_load(&waiting_bytes) > JOURNAL_QUEUE_BYTES) {
        lose(db);
        return;
    }
    end_gap(db);
    c.arena = arena_new(FIRST_CHUNK);
    if (!add(db, &(struct item){.arena = c.arena, .message = copy_message(&c, m)}))
        lose(db);
}

/* ---- begin and end ---- */

void journal_start(struct str directory, const struct journal_settings *settings, int wait_ms)
{
    struct database *db;

    if (journal_running())
        return;
    journal_configure(settings);
    memset(&writer, 0, sizeof writer);
    lost = 0;
    db = database_start(&kind, directory, NULL, wait_ms);
    store = db;
}

void journal_configure(const struct journal_settings *settings)
{
    struct database *db = store;

    pthread_mutex_lock(&journal.lock);
    journal.settings = *settings;
    pthread_mutex_unlock(&journal.lock);
    if (db)
        database_tidy_soon(db);
}

void journal_stop(int wait_ms)
{
    struct database *db = atomic_exchange(&store, NULL);

    if (!db)
        return;
    end_gap(db);
    database_stop(&db, wait_ms);
    arena_free(&writer.arena);
}

bool journal_running(void)
{
    return atomic_load(&store) != NULL;
}

bool journal_status(struct database_status *status)
{
    struct database *db = store;

    if (db)
        database_status(db, status);
    if (db)
        status->dropped = lost > status->dropped ? lost : status->dropped;
    return db != NULL;
}

bool journal_flush(int wait_ms)
{
    struct database *db = store;

    return db && database_flush(db, wait_ms);
}
