/* database_inside.h - what the database_*.c files share; nobody else includes it, except their tests.
 *
 *   database.c          the interface: queue, waiting for the writer, states and their log lines
 *   database_writer.c   the writer's thread: batches, foreign changes, housekeeping
 *   database_open.c     the writer's file: opened, given up, set aside; what an error means
 *   database_log.c      the write-ahead log, and its bound
 *   database_readers.c  the pool of connections for reading
 *   database_file.c     one file and one connection, without threads; what commands use
 *
 * Locks: database.lock (queue, states, requests) and readers.lock are never held together, nor while SQLite works or a
 * kind's function runs. Waits use real time: in tests the clock of base/clock.h may stand still.
 */
#ifndef DB_DATABASE_INSIDE_H
#define DB_DATABASE_INSIDE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "database.h"

/* ---- database_file.c ---- */

struct statements { /* of one connection, found by the address of their text */
    struct statement {
        const char *sql;
        sqlite3_stmt *prepared;
    } *items;
    size_t count;
};

sqlite3_stmt *statements_get(struct statements *s, sqlite3 *db, const char *sql);
void statements_rest(struct statements *s); /* reset, without bindings */
void statements_free(struct statements *s);

struct database_writer {
    sqlite3 *db; /* NULL: not open */
    struct statements statements;
    uint64_t opened; /* how often a file was opened: another number, perhaps another file */
};

struct file_id {
    bool there;
    dev_t dev;
    ino_t ino;
};

struct file_id file_id_of(const char *path);
bool file_id_same(struct file_id a, struct file_id b);
struct file_id file_id_beside(const char *path, const char *suffix); /* of PATHsuffix */
uint64_t file_wal_bytes(const char *path);
void file_remove_beside(const char *path, const char *suffix, struct file_id id); /* PATHsuffix, if it is still id */

/* file_create - an empty file if there is none, of the directory's owner when root makes it; 0 or errno. */
int file_create(const char *path);

/* file_open - a connection with the settings every one of ours has; an SQLite result code. On failure *db may be a
 * connection that has the words of the error. */
int file_open(const char *path, int flags, int busy_ms, sqlite3 **db);
void file_close(sqlite3 **db); /* leaves -wal and -shm alone: by then they may be another file's */

/* file_prepare - write-ahead log, and what goes with it; for connections that write. */
int file_prepare(sqlite3 *db);

/* file_check - PRAGMA quick_check; SQLITE_CORRUPT with the first thing that is wrong in *why. */
int file_check(sqlite3 *db, struct arena *a, struct str *why);

/* file_mend - a file that could not be written, and now can: so shall its log. */
void file_mend(const char *path);

/* file_set_aside - rename it with what belongs to it; *name is the new one. 0 or errno. */
int file_set_aside(const char *path, struct arena *a, struct str *name);

/* file_open_frozen - to read a file that has no log where SQLite cannot make one: the file system takes no writes. As
 * long as nobody else writes it is what is in it; damage that is seen in this way proves nothing. */
int file_open_frozen(const char *path, sqlite3 **db);
bool file_has_log(const char *path); /* something that was written is not in the file itself */

/* file_errno - the system's reason, where SQLite's code has one; EROFS and ENOSPC also where it hides them. Or 0. */
int file_errno(sqlite3 *db, const char *path, int rc);

int64_t file_number(sqlite3 *db, const char *sql, int *rc); /* the first column of the first row */
struct str file_words(sqlite3 *db, int rc, struct arena *a); /* SQLite's words, with the system's where it has some */
bool file_is_damage(int rc);

/* ---- the pool of readers ---- */

#define READERS_MOST 16

struct database_reader {
    struct database *owner;
    sqlite3 *db;
    struct statements statements;
    uint64_t generation;
    struct database_reader *next;
};

struct readers {
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct database_reader *idle;
    unsigned count, waiters;
    uint64_t generation; /* counts files: those of an older one are closed when they come back */
    bool allowed;
    bool frozen; /* opened by file_open_frozen() */
    bool paused; /* whoever wants one waits: it does not take long */
    struct file_id id; /* the file that was checked */
};

void readers_begin(struct readers *r);
void readers_allow(struct database *db, struct file_id id, bool frozen);
void readers_forbid(struct database *db); /* and close those that are idle */
void readers_pause(struct database *db); /* close them all: an attempt to write begins, and must find nothing open */
void readers_resume(struct database *db);
void readers_end(struct database *db);

/* ---- the daemon's side ---- */

#define BLOCK_ITEMS 256

struct block { /* of items, in the order they came */
    struct block *next;
    size_t count;
    int64_t first_ms; /* real time of its first item */
    _Alignas(max_align_t) unsigned char items[];
};

struct database {
    const struct database_kind *kind;
    void *ctx;
    char *path;
    char file[64]; /* its name, for the log */
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t wake; /* the writer */
    pthread_cond_t done; /* whoever waits for it */
    struct block *first, *last; /* the queue */
    size_t queued;              /* items in it */
    size_t taken;               /* items that the writer has taken and not yet written */
    uint64_t added, settled;    /* items accepted; items written or given up */
    uint64_t flush_to;          /* somebody waits for settled to become this */
    uint64_t looks_asked, looks_done;
    bool stop;
    int64_t stop_at; /* real time */
    struct database_status status;
    bool dropping; /* said that the queue is full */
    uint64_t dropped_before; /* the present state */

    atomic_bool doubt; /* a reader met an error: look at the file anew */
    struct readers readers;

    /* of the writer's thread alone */
    struct database_writer writer;
    struct block *batch; /* taken from the queue, not yet committed */
    struct file_id id, wal_id, shm_id, checked;
    int64_t data_version;
    int log_pages; /* in the write-ahead log since it began anew */
    uint64_t page_bytes;
    bool log_held; /* somebody read in the log when it was last written into the file */
    bool log_long; /* said that somebody keeps it from shrinking */
    bool lost_said;
    bool at_once; /* the next round is due now */
    int64_t log_tried, next_look, next_try, pause_ms; /* real time */
    int64_t next_tidy;                                /* clock_ms() */
    bool tidying;
    atomic_bool tidy_soon; /* of all threads */
};

int64_t database_real_ms(void);
struct timespec database_real_time(int64_t real_ms);

void database_forget(const struct database *db, const struct block *b); /* its items */

/* database_set_state - and log its beginning, and the end of the one before. */
void database_set_state(struct database *db, enum database_state state, struct str why);

void *database_writer_main(void *db);

/* ---- of the writer's thread: database_open.c ---- */

/* writer_open - true: open, sound, of our version, and it can be written as far as can be known. */
bool writer_open(struct database *db, struct arena *a);
void writer_close(struct database *db);
void writer_give_up(struct database *db); /* nobody shall use the file any more */

/* writer_set_aside - true: the name is free for another file. */
bool writer_set_aside(struct database *db, struct str why, struct arena *a);

/* writer_state_of - what cannot be made or made longer says little: the system's reason says more. */
enum database_state writer_state_of(const struct database *db, int rc);

/* writer_in_trouble - the state, its words, and when it is tried again; always false. */
bool writer_in_trouble(struct database *db, enum database_state state, struct str why);

/* ---- of the writer's thread: database_log.c ---- */

extern uint64_t database_log_most; /* bytes of a log that somebody reads in; tests make it smaller */

void writer_watch_log(struct database *db); /* of a connection that was opened */

/* writer_tend_log - write the log into the file when it is long; the next transaction then begins it anew, unless
 * somebody still reads in it. */
int writer_tend_log(struct database *db);
bool writer_log_is_full(const struct database *db); /* nothing is written until its reader has gone */

#endif
