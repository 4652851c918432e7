/* database_readers.c - connections for reading, opened when there are not enough, borrowed by one thread at a time. */
#include <stdlib.h>

#include "base/log.h"
#include "database_inside.h"

#define READER_BUSY_MS 20
#define WAIT_MOST_MS 100 /* for a connection, when all are in use */

void readers_begin(struct readers *r)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->returned, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void reader_free(struct database_reader *reader)
{
    statements_free(&reader->statements);
    file_close(&reader->db);
    free(reader);
}

static void free_all(struct database_reader *list)
{
    while (list) {
        struct database_reader *reader = list;

        list = reader->next;
        reader_free(reader);
    }
}

/* retire - every connection that there is: the idle ones at once, the others when they come back. Under the lock; the
 * list that is returned is to be freed without it. */
static struct database_reader *retire(struct readers *r)
{
    struct database_reader *idle = r->idle;

    r->generation++;
    r->idle = NULL;
    for (struct database_reader *reader = idle; reader; reader = reader->next)
        r->count--;
    pthread_cond_broadcast(&r->returned);
    return idle;
}

void readers_allow(struct database *db, struct file_id id, bool frozen)
{
    struct readers *r = &db->readers;
    struct database_reader *idle = NULL;

    pthread_mutex_lock(&r->lock);
    if (r->allowed && r->frozen != frozen)
        idle = retire(r);
    r->allowed = true;
    r->frozen = frozen;
    r->id = id;
    pthread_mutex_unlock(&r->lock);
    free_all(idle);
}

void readers_forbid(struct database *db)
{
    struct readers *r = &db->readers;
    struct database_reader *idle;

    pthread_mutex_lock(&r->lock);
    r->allowed = false;
    idle = retire(r);
    pthread_mutex_unlock(&r->lock);
    free_all(idle);
}

void readers_pause(struct database *db)
{
    struct timespec until = database_real_time(database_real_ms() + WAIT_MOST_MS);
    struct readers *r = &db->readers;
    struct database_reader *idle;

    pthread_mutex_lock(&r->lock);
    r->paused = true;
    idle = retire(r);
    r->waiters++;
    while (r->count && pthread_cond_timedwait(&r->returned, &r->lock, &until) == 0)
        ;
    r->waiters--;
    pthread_mutex_unlock(&r->lock);
    free_all(idle);
}

void readers_resume(struct database *db)
{
    struct readers *r = &db->readers;

    pthread_mutex_lock(&r->lock);
    r->paused = false;
    pthread_cond_broadcast(&r->returned);
    pthread_mutex_unlock(&r->lock);
}

void readers_end(struct database *db)
{
    readers_forbid(db);
    if (db->readers.count)
        log_panic("%s: %u readers were not returned", db->file, db->readers.count);
    pthread_cond_destroy(&db->readers.returned);
    pthread_mutex_destroy(&db->readers.lock);
}

/* reader_open - NULL: it cannot be read, or it is not the file that was checked. */
static struct database_reader *reader_open(struct database *db, struct file_id id, bool frozen, uint64_t generation)
{
    struct database_reader *reader = calloc(1, sizeof *reader);
    int rc, moved = 0;

    if (!reader)
        log_panic("out of memory for a reader");
    reader->owner = db;
    reader->generation = generation;
    if (frozen && file_has_log(db->path))
        rc = SQLITE_CANTOPEN; /* somebody can write after all */
    else if (frozen)
        rc = file_open_frozen(db->path, &reader->db);
    else
        rc = file_open(db->path, SQLITE_OPEN_READONLY, READER_BUSY_MS, &reader->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(reader->db, "PRAGMA cache_size = -1000; PRAGMA query_only = 1", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(reader->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (rc == SQLITE_OK && !moved && file_id_same(file_id_of(db->path), id))
        return reader;
    reader_free(reader);
    return NULL;
}

/* wait_for_one - until a connection is idle or may be opened; false: not in time. Under the lock. */
static bool wait_for_one(struct readers *r)
{
    struct timespec until = database_real_time(database_real_ms() + WAIT_MOST_MS);
    bool in_time = true;

    r->waiters++;
    while (r->allowed && (r->paused || (!r->idle && r->count >= READERS_MOST)) && in_time)
        in_time = pthread_cond_timedwait(&r->returned, &r->lock, &until) == 0;
    r->waiters--;
    return r->allowed && !r->paused && (r->idle || r->count < READERS_MOST);
}

struct database_reader *database_reader_borrow(struct database *db)
{
    struct readers *r = &db->readers;
    struct database_reader *reader = NULL;
    struct file_id id;
    uint64_t generation;
    bool free_place, frozen;

    pthread_mutex_lock(&r->lock);
    free_place = wait_for_one(r);
    if (free_place && r->idle) {
        reader = r->idle;
        r->idle = reader->next;
    } else if (free_place) {
        r->count++;
    }
    id = r->id;
    frozen = r->frozen;
    generation = r->generation;
    pthread_mutex_unlock(&r->lock);
    if (reader || !free_place)
        return reader;
    reader = reader_open(db, id, frozen, generation);
    if (!reader) { /* if it is another file, the writer will see that within a second */
        pthread_mutex_lock(&r->lock);
        r->count--;
        pthread_cond_broadcast(&r->returned);
        pthread_mutex_unlock(&r->lock);
    }
    return reader;
}

sqlite3_stmt *database_reader_statement(struct database_reader *r, const char *sql)
{
    return statements_get(&r->statements, r->db, sql);
}

void database_reader_return(struct database_reader *reader, int sqlite_result)
{
    struct database *db = reader->owner;
    struct readers *r = &db->readers;
    int rc = sqlite_result & 0xff;
    bool good = rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE || rc == SQLITE_BUSY;

    statements_rest(&reader->statements);
    pthread_mutex_lock(&r->lock);
    if ((file_is_damage(rc) || rc == SQLITE_IOERR) && reader->generation == r->generation)
        atomic_store(&db->doubt, true);
    good = good && r->allowed && reader->generation == r->generation;
    if (good) {
        reader->next = r->idle;
        r->idle = reader;
    } else {
        r->count--;
    }
    if (r->waiters)
        pthread_cond_broadcast(&r->returned);
    pthread_mutex_unlock(&r->lock);
    if (!good)
        reader_free(reader);
}
