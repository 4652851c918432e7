/* database.c - the queue in front of a file, waiting for its writer, and what is said about the file's state. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "database_inside.h"

#define LOOK_MOST_MS 3000    /* a command that changed the file waits no longer for the daemon to notice */
#define BLOCK_IN_HASTE 8     /* blocks of waiting items that are written without waiting for more */

const char *const database_state_words[] = {"starting", "fine", "locked", "full", "read-only", "broken", "newer"};

int64_t database_real_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct timespec database_real_time(int64_t real_ms)
{
    return (struct timespec){.tv_sec = real_ms / 1000, .tv_nsec = (long)(real_ms % 1000) * 1000000};
}

/* ---- states ---- */

static void log_state(const struct database *db, const struct database_status *was, enum database_state state,
                      struct str why)
{
    if (state == DATABASE_FINE && was->state != DATABASE_STARTING)
        log_info("%s: written again (was %s); lost in the mean time: %llu", db->file, database_state_words[was->state],
                 (unsigned long long)(was->dropped - db->dropped_before));
    else if (state == DATABASE_LOCKED)
        log_warn("%s: locked by another process (" STR_FMT "): what is learned waits in memory", db->file,
                 STR_ARG(why));
    else if (state == DATABASE_NEWER)
        log_error("%s: " STR_FMT "; it is left alone and not used", db->path, STR_ARG(why));
    else if (state != DATABASE_FINE)
        log_error("%s: %s: " STR_FMT "; what is learned waits in memory, tried again every few seconds", db->path,
                  database_state_words[state], STR_ARG(why));
}

void database_set_state(struct database *db, enum database_state state, struct str why)
{
    struct database_status *s = &db->status;
    struct database_status was;

    pthread_mutex_lock(&db->lock);
    was = *s;
    pthread_mutex_unlock(&db->lock);
    if (state != was.state) /* nobody else changes it; whoever sees it shall find it in the log */
        log_state(db, &was, state, why);
    pthread_mutex_lock(&db->lock);
    if (state != was.state) {
        s->state = state;
        s->since_ms = clock_wall_ms();
        if (state == DATABASE_FINE || was.state == DATABASE_FINE)
            db->dropped_before = was.dropped;
        pthread_cond_broadcast(&db->done);
    }
    snprintf(s->why, sizeof s->why, STR_FMT, STR_ARG(why));
    pthread_mutex_unlock(&db->lock);
}

void database_status(struct database *db, struct database_status *status)
{
    pthread_mutex_lock(&db->lock);
    *status = db->status;
    status->waiting = db->queued + db->taken;
    pthread_mutex_unlock(&db->lock);
    status->wal_bytes = file_wal_bytes(db->path);
}

/* ---- the queue ---- */

static struct block *block_new(size_t item_size)
{
    struct block *b = malloc(sizeof *b + BLOCK_ITEMS * item_size);

    if (!b)
        log_panic("out of memory for a queue");
    b->next = NULL;
    b->count = 0;
    b->first_ms = database_real_ms();
    return b;
}

/* refuse - the queue is full; true the first time since it was not. Under the lock. */
static bool refuse(struct database *db)
{
    bool first = !db->dropping;

    db->status.dropped++;
    db->dropping = true;
    return first;
}

bool database_add(struct database *db, const void *item)
{
    size_t size = db->kind->item_size;
    bool added = false, wake = false, say = false;

    pthread_mutex_lock(&db->lock);
    if (db->queued + db->taken >= db->kind->items_most) {
        say = refuse(db);
    } else {
        if (!db->last || db->last->count == BLOCK_ITEMS) {
            struct block *b = block_new(size);

            *(db->last ? &db->last->next : &db->first) = b;
            db->last = b;
        }
        memcpy(db->last->items + db->last->count++ * size, item, size);
        db->queued++;
        db->added++;
        wake = db->queued == 1 || db->queued == BLOCK_IN_HASTE * BLOCK_ITEMS;
        added = true;
    }
    if (wake)
        pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->lock);
    if (say)
        log_error("%s: %zu items wait for the disk: further ones are lost", db->file, db->kind->items_most);
    return added;
}

/* ---- waiting for the writer ---- */

bool database_flush(struct database *db, int wait_ms)
{
    struct timespec until = database_real_time(database_real_ms() + wait_ms);
    uint64_t target;
    bool done;

    pthread_mutex_lock(&db->lock);
    target = db->added;
    if (target > db->flush_to)
        db->flush_to = target;
    pthread_cond_signal(&db->wake);
    while (db->settled < target && pthread_cond_timedwait(&db->done, &db->lock, &until) == 0)
        ;
    done = db->settled >= target;
    pthread_mutex_unlock(&db->lock);
    return done;
}

void database_tidy_soon(struct database *db)
{
    atomic_store(&db->tidy_soon, true); /* the writer looks around every second, and after every batch */
}

void database_look(struct database *db)
{
    struct timespec until = database_real_time(database_real_ms() + LOOK_MOST_MS);
    uint64_t ticket;

    pthread_mutex_lock(&db->lock);
    ticket = ++db->looks_asked;
    pthread_cond_signal(&db->wake);
    while (db->looks_done < ticket && pthread_cond_timedwait(&db->done, &db->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&db->lock);
}

/* ---- begin and end ---- */

/* sqlite_begin - once, before its first use: its counters of memory cost a lock that all readers would share. */
static void sqlite_begin(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

void database_forget(const struct database *db, const struct block *b)
{
    for (size_t i = 0; db->kind->forget && i < b->count; i++)
        db->kind->forget(b->items + i * db->kind->item_size, db->ctx);
}

static void free_blocks(const struct database *db, struct block *b)
{
    while (b) {
        struct block *next = b->next;

        database_forget(db, b);
        free(b);
        b = next;
    }
}

static void database_free(struct database *db)
{
    free_blocks(db, db->first);
    free_blocks(db, db->batch);
    readers_end(db);
    pthread_cond_destroy(&db->wake);
    pthread_cond_destroy(&db->done);
    pthread_mutex_destroy(&db->lock);
    free(db->path);
    free(db);
}

static struct database *database_new(const struct database_kind *kind, struct str directory, void *ctx)
{
    struct database *db = calloc(1, sizeof *db);
    pthread_condattr_t monotonic;

    if (!db || asprintf(&db->path, STR_FMT "/%s.sqlite", STR_ARG(directory), kind->name) < 0)
        log_panic("out of memory for a database");
    db->kind = kind;
    db->ctx = ctx;
    snprintf(db->file, sizeof db->file, "%s.sqlite", kind->name);
    db->status.since_ms = clock_wall_ms();
    db->next_tidy = clock_ms();
    pthread_mutex_init(&db->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&db->wake, &monotonic);
    pthread_cond_init(&db->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    readers_begin(&db->readers);
    return db;
}

struct database *database_start(const struct database_kind *kind, struct str directory, void *ctx, int wait_ms)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct timespec until = database_real_time(database_real_ms() + wait_ms);
    struct database *db;
    sigset_t all, before;
    int error;

    pthread_once(&once, sqlite_begin);
    db = database_new(kind, directory, ctx);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that waits for them */
    error = pthread_create(&db->thread, NULL, database_writer_main, db);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        log_error("%s: no thread can be started: %s", db->file, strerrordesc_np(error));
        database_free(db);
        return NULL;
    }
    pthread_mutex_lock(&db->lock);
    while (db->status.state == DATABASE_STARTING && pthread_cond_timedwait(&db->done, &db->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&db->lock);
    return db;
}

void database_stop(struct database **pointer, int wait_ms)
{
    struct database *db = *pointer;

    if (!db)
        return;
    pthread_mutex_lock(&db->lock);
    db->stop = true;
    db->stop_at = database_real_ms() + wait_ms;
    pthread_cond_signal(&db->wake);
    pthread_mutex_unlock(&db->lock);
    pthread_join(db->thread, NULL);
    if (db->queued + db->taken)
        log_error("%s: ended before %zu items could be written: they are lost", db->file, db->queued + db->taken);
    database_free(db);
    *pointer = NULL;
}
