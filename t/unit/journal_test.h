/* journal_test.h - what the tests of the journal share: a directory, a message with something in every field, plain SQL. */
#ifndef T_JOURNAL_TEST_H
#define T_JOURNAL_TEST_H

#include "../../db/journal_inside.h"
#include "../../milter/base/arena.h"
#include "../../milter/base/clock.h"
#include "../lib/tap.h"

#define SOON_MS 20000
#define DAY_MS ((int64_t)86400000)

extern struct arena *test_arena;
extern const char *test_path; /* of the file */
extern const struct journal_settings usual;
extern const struct journal_message whole;

void test_begin(void); /* the directory; errors alone are logged */
int test_end(void);    /* what main() returns */

void nap(void);
int64_t now_ms(void); /* that only grows */
void clean_up(void);  /* no file is left */
void begin(const struct journal_settings *settings);
sqlite3 *open_file(bool write);
long long number(sqlite3 *db, const char *sql);
void execute(sqlite3 *db, const char *sql);

/* add_numbered - messages "R00000000" ..., of the times `time` and `step` ms later each; written when it returns. */
void add_numbered(int from, int to, int64_t time, int64_t step);

#endif
