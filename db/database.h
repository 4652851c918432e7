/* database.h - one SQLite file that the daemon keeps: opened, checked, written in batches by one thread, set aside when
 * it is damaged. Mail never waits for it, and whatever happens to the file, mail flows.
 *
 *   sessions ── database_add ─▶ queue ── writer thread: BEGIN IMMEDIATE, write() each, COMMIT ─▶ file (WAL)
 *   sessions ── database_reader_borrow ─▶ a connection for reading ── database_reader_return
 *   others   ── sqlite3, sme-milterctl ─▶ file ─▶ noticed by the writer (or at once, database_look): changed()
 *
 * What must stay true:
 * (1) An item leaves the queue only after its COMMIT. What cannot be written now waits (bounded: items_most, the newest
 *     are then dropped, counted and said once) and is tried again.
 * (2) A state is logged when it begins and when it ends, not at every failure.
 * (3) A file that is damaged, or is no database, is renamed to NAME.sqlite.damaged-YYYYMMDDTHHMMSSZ (with its -wal and
 *     -shm) and an empty one takes its place. A file of a newer schema, or of another program (then the state is
 *     "broken"), is left alone and not used: nothing is learned until the daemon is updated or the file removed.
 *     Nothing is invented in the mean time: readers get NULL.
 */
#ifndef DB_DATABASE_H
#define DB_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "migrate.h"

/* An item is on disk at the latest so long after it was added, if the disk can: a second when somebody has been reading
 * for so long that the write-ahead log has grown to 64 MB, which SQLite cannot shorten before he ends. At 1 GiB nothing
 * more is written until then, and the state is "locked". */
#define DATABASE_BATCH_MS 50

struct database_writer;

struct database_kind {
    const char *name;              /* "karma": the file is DIRECTORY/karma.sqlite */
    const struct schema *schema;   /* see migrate.h */
    size_t item_size;
    size_t items_most;             /* that wait for the disk */
    /* write - one item, inside the writer's transaction; an SQLite result code. */
    int (*write)(struct database_writer *w, const void *item, void *ctx);
    /* written - after the COMMIT of `count` items, on the writer's thread. May be NULL. */
    void (*written)(const void *items, size_t count, void *ctx);
    /* changed - somebody else wrote to the file, or it is another file now: forget what was cached. May be NULL. */
    void (*changed)(void *ctx);
    /* tidy - housekeeping on the writer's thread with nothing else to do: a short piece of it at a time, outside of a
     * transaction; true while there is more. Called after the start and then every hour. May be NULL. */
    bool (*tidy)(struct database_writer *w, void *ctx);
    /* forget - an item that leaves memory, written or lost: for those that point to more. May be NULL. */
    void (*forget)(const void *item, void *ctx);
};

/* database_writer_* - what a kind's functions work with: prepared statements that live as long as the connection. */
sqlite3 *database_writer_db(struct database_writer *w);
sqlite3_stmt *database_writer_statement(struct database_writer *w, const char *sql); /* kept by the address of sql */
uint64_t database_writer_opened(const struct database_writer *w); /* grows whenever it may be another file */

enum database_state {
    DATABASE_STARTING,   /* being opened and checked */
    DATABASE_FINE,
    DATABASE_LOCKED,     /* another process holds a write lock */
    DATABASE_FULL,       /* no room on the disk */
    DATABASE_READ_ONLY,
    DATABASE_BROKEN,     /* I/O errors, no permission, no directory */
    DATABASE_NEWER,      /* of a newer version of this program */
};
extern const char *const database_state_words[]; /* "starting" "fine" "locked" "full" "read-only" "broken" "newer" */

struct database;

/* database_start - begin to use DIRECTORY/NAME.sqlite; returns at once, at the latest after wait_ms (checking a large
 * file goes on behind). NULL only when no thread can be started (logged). ctx is handed to the kind's functions. */
struct database *database_start(const struct database_kind *kind, struct str directory, void *ctx, int wait_ms);

/* database_stop - write what waits (at the latest after wait_ms), close, free. Nobody may use it any more, and no
 * reader be out. For the end of a drained child, tests. */
void database_stop(struct database **db, int wait_ms);

bool database_add(struct database *db, const void *item); /* copied; false: dropped, the queue is full. Never waits. */

/* database_flush - until everything added so far is on disk; false after wait_ms. For tests and commands. */
bool database_flush(struct database *db, int wait_ms);

/* database_each_waiting - fn with every item that is not committed, oldest first. Inside of written() and changed(). */
void database_each_waiting(struct database *db, void (*fn)(const void *item, void *ctx), void *ctx);

/* database_tidy_soon - do not wait for the next hour's housekeeping. */
void database_tidy_soon(struct database *db);

/* database_look - another process says that it changed the file: notice it before this returns. */
void database_look(struct database *db);

/* database_reader_borrow - a connection nobody else uses, in no transaction; NULL: the file cannot be read now.
 * A reader that met an error is returned with it, so that damage is noticed. */
struct database_reader;
struct database_reader *database_reader_borrow(struct database *db);
sqlite3_stmt *database_reader_statement(struct database_reader *r, const char *sql); /* kept; NULL on error */
void database_reader_return(struct database_reader *r, int sqlite_result);

struct database_status {
    enum database_state state;
    int64_t since_ms;      /* clock_wall_ms() of its beginning */
    char why[200];         /* SQLite's or the system's words; empty when fine */
    uint64_t written;      /* items committed since the start */
    uint64_t dropped;      /* items lost to a full queue */
    size_t waiting;        /* items in the queue */
    uint64_t wal_bytes;
    unsigned set_aside;    /* damaged files since the start */
};
void database_status(struct database *db, struct database_status *status);

/* database_open_file - for commands: open (create: also make) the file as the daemon would, checked and migrated; NULL
 * with *error said, and *status one of sysexits. A file created by root belongs to the owner of its directory. */
sqlite3 *database_open_file(const char *path, const struct schema *schema, bool create, bool write, struct arena *a,
                            struct str *error, int *status);

#endif
