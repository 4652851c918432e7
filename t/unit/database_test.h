/* database_test.h - what the tests of a database share: a kind of it, its log lines, a file system that fails. */
#ifndef T_UNIT_DATABASE_TEST_H
#define T_UNIT_DATABASE_TEST_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../db/database.h"
#include "../../milter/base/arena.h"
#include "../lib/tap.h"

#define SOON_MS 20000 /* what is waited for comes much earlier, except on a very busy machine */
#define QUEUE_MOST 5000

struct item { /* of sums by key, with something to fill pages */
    int64_t key, amount;
    int padding; /* bytes */
};

extern const struct schema test_schema;
extern struct arena *arena;
extern const char *directory, *path;
extern atomic_int changes, written_items, tidied; /* how often the kind was told */
extern atomic_int fault;                          /* what writing says */
extern atomic_int no_logs;                        /* an errno: no log can be made */

void test_begin(void); /* a directory; as nobody, for root sees no permissions */
int test_end(void);    /* the exit status */

bool add(struct database *db, int64_t key, int64_t amount);
long long sum_of(struct database *db, int64_t key); /* as a reader sees it; -1: not there, -2: cannot be read */
unsigned lines_with(const char *word); /* logged since forget_lines() */
void tell_lines(void);
void forget_lines(void);
struct database_status status_of(struct database *db);
void nap(void);
int64_t now_ms(void);
bool becomes(struct database *db, enum database_state state);
struct database *start(void);
sqlite3 *other_process(void);
void execute(sqlite3 *db, const char *sql);
unsigned files_like(const char *pattern);
void clean_up(void);
void overwrite(off_t from, off_t to); /* with junk, by another process */
off_t size_of(const char *name);
void fill(int rows, int padding); /* a file with `rows` rows of so many bytes, closed */
void install_faults(void);

#endif
