/* database_open.c - the writer's file: opened, checked and brought up, set aside when it is damaged; what its errors
 * mean, and who may read meanwhile. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "database_inside.h"

#define BUSY_MS 100            /* how long SQLite itself waits for another writer */
#define PAUSE_FIRST_MS 100     /* between attempts, growing */
#define PAUSE_LOCKED_MS 20
#define PAUSE_MOST_MS 5000
#define SET_ASIDE_MOST 8       /* files of one process: where all is damaged, the disk must not be filled */

static enum database_state state_of_errno(int error)
{
    return error == EROFS                       ? DATABASE_READ_ONLY
           : error == ENOSPC || error == EDQUOT ? DATABASE_FULL
                                                : DATABASE_BROKEN;
}

enum database_state writer_state_of(const struct database *db, int rc)
{
    enum database_state state = state_of_errno(file_errno(db->writer.db, db->path, rc));

    if (state != DATABASE_BROKEN)
        return state;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DATABASE_LOCKED;
    case SQLITE_FULL:
        return DATABASE_FULL;
    case SQLITE_READONLY:
        return DATABASE_READ_ONLY;
    default:
        return DATABASE_BROKEN;
    }
}

void writer_close(struct database *db)
{
    statements_free(&db->writer.statements);
    file_close(&db->writer.db);
}

bool writer_in_trouble(struct database *db, enum database_state state, struct str why)
{
    if (state == DATABASE_LOCKED)
        db->pause_ms = PAUSE_LOCKED_MS;
    else
        db->pause_ms = db->pause_ms < PAUSE_FIRST_MS ? PAUSE_FIRST_MS : db->pause_ms * 2;
    if (db->pause_ms > PAUSE_MOST_MS)
        db->pause_ms = PAUSE_MOST_MS;
    db->next_try = database_real_ms() + db->pause_ms;
    database_set_state(db, state, why);
    return false;
}

static bool trouble_of_errno(struct database *db, int error)
{
    return writer_in_trouble(db, state_of_errno(error), str_of(strerrordesc_np(error)));
}

void writer_give_up(struct database *db)
{
    readers_forbid(db);
    writer_close(db);
    db->id = db->checked = (struct file_id){.there = false};
}

bool writer_set_aside(struct database *db, struct str why, struct arena *a)
{
    struct str name;
    int error;

    writer_give_up(db);
    if (db->status.set_aside >= SET_ASIDE_MOST)
        return writer_in_trouble(db, DATABASE_BROKEN, arena_printf(a, "damaged again and again: " STR_FMT, STR_ARG(why)));
    error = file_set_aside(db->path, a, &name);
    if (error)
        return writer_in_trouble(db, state_of_errno(error),
                          arena_printf(a, "damaged (" STR_FMT "), and cannot be set aside: %s", STR_ARG(why),
                                       strerrordesc_np(error)));
    pthread_mutex_lock(&db->lock);
    db->status.set_aside++;
    pthread_mutex_unlock(&db->lock);
    db->at_once = true;
    log_error("%s: damaged (" STR_FMT "): set aside as " STR_FMT ", an empty one is begun", db->path, STR_ARG(why),
              STR_ARG(name));
    return true;
}

static int stop_asked(void *pointer)
{
    struct database *db = pointer;
    bool stop;

    pthread_mutex_lock(&db->lock);
    stop = db->stop && database_real_ms() >= db->stop_at;
    pthread_mutex_unlock(&db->lock);
    return stop;
}

static int check_through(struct database *db, struct arena *a, struct str *why)
{
    int rc;

    sqlite3_progress_handler(db->writer.db, 10000, stop_asked, db);
    rc = file_check(db->writer.db, a, why);
    sqlite3_progress_handler(db->writer.db, 0, NULL, NULL);
    return rc;
}

/* open_it - an SQLite result code with words; *state when the file is sound and still not to be used. */
static int open_it(struct database *db, struct arena *a, struct str *why, enum database_state *state)
{
    enum migrated migrated;
    int rc, moved = 0;

    *state = DATABASE_FINE;
    rc = file_open(db->path, SQLITE_OPEN_READWRITE, BUSY_MS, &db->writer.db);
    if (rc == SQLITE_OK) {
        db->id = file_id_of(db->path);
        migrated = migrate_code(db->writer.db, db->kind->schema, a, why, &rc);
        if (migrated == MIGRATE_NEWER || migrated == MIGRATE_FOREIGN)
            *state = migrated == MIGRATE_NEWER ? DATABASE_NEWER : DATABASE_BROKEN;
        if (*state != DATABASE_FINE)
            return SQLITE_OK;
    }
    if (rc == SQLITE_OK && sqlite3_db_readonly(db->writer.db, "main") != 1)
        rc = file_prepare(db->writer.db);
    if (rc == SQLITE_OK && !file_id_same(db->id, db->checked))
        rc = check_through(db, a, why);
    if (rc == SQLITE_OK)
        db->data_version = file_number(db->writer.db, "PRAGMA data_version", &rc);
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(db->writer.db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (rc == SQLITE_OK && moved)
        rc = SQLITE_BUSY; /* replaced in this moment: soon again */
    if (rc != SQLITE_OK && why->n == 0)
        *why = file_words(db->writer.db, rc, a);
    return rc;
}

/* use_it - what was opened is sound: let readers in; true when it can also be written. */
static bool use_it(struct database *db)
{
    db->checked = db->id;
    db->wal_id = file_id_beside(db->path, "-wal");
    db->shm_id = file_id_beside(db->path, "-shm");
    db->writer.opened++;
    readers_allow(db, db->id, false);
    if (db->kind->changed)
        db->kind->changed(db->ctx);
    if (sqlite3_db_readonly(db->writer.db, "main") == 1)
        return writer_in_trouble(db, DATABASE_READ_ONLY, STR("the file cannot be written"));
    return true;
}

/* read_frozen - what cannot be written now, since even the log cannot be made, may well be read: who is in the penalty
 * box is known on a disk that is full or read-only. */
static void read_frozen(struct database *db, struct arena *a)
{
    struct file_id id = file_id_of(db->path);
    bool known = id.there && file_id_same(id, db->checked), sound = false;
    struct str why = STR_NONE;
    sqlite3 *sql = NULL;

    if (id.there && !file_has_log(db->path) && file_open_frozen(db->path, &sql) == SQLITE_OK)
        sound = migrate_is_current(sql, db->kind->schema) && (known || file_check(sql, a, &why) == SQLITE_OK);
    file_close(&sql);
    if (!sound || !file_id_same(id, file_id_of(db->path)))
        return;
    db->id = db->checked = id;
    db->wal_id = file_id_beside(db->path, "-wal");
    db->shm_id = file_id_beside(db->path, "-shm");
    readers_allow(db, id, true);
    if (!known && db->kind->changed)
        db->kind->changed(db->ctx);
}

/* open_failed - the state that follows from it, and who may read. Always false. */
static bool open_failed(struct database *db, int rc, enum database_state state, struct str why, struct arena *a)
{
    if (rc != SQLITE_OK)
        state = writer_state_of(db, rc);
    if (rc == SQLITE_OK || !file_id_same(db->id, db->checked))
        writer_give_up(db);
    else
        writer_close(db); /* readers go on: it was sound */
    if (rc != SQLITE_OK && state != DATABASE_LOCKED && !file_is_damage(rc))
        read_frozen(db, a);
    return writer_in_trouble(db, state, why);
}

bool writer_open(struct database *db, struct arena *a)
{
    for (unsigned attempt = 0;; attempt++) {
        struct str why = STR_NONE;
        enum database_state state;
        struct stat st;
        int rc;

        rc = file_create(db->path);
        if (rc)
            return trouble_of_errno(db, rc);
        if (lstat(db->path, &st) == 0 && !S_ISREG(st.st_mode))
            return writer_in_trouble(db, DATABASE_BROKEN, STR("not a regular file"));
        file_mend(db->path);
        rc = open_it(db, a, &why, &state);
        if (rc == SQLITE_OK && state == DATABASE_FINE)
            return use_it(db);
        if (file_is_damage(rc) && attempt == 0) {
            if (writer_set_aside(db, why, a))
                continue;
            return false;
        }
        return open_failed(db, rc, state, why, a);
    }
}
