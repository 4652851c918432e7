/* karma_test.h - what the tests of karma's store share. */
#ifndef T_UNIT_KARMA_TEST_H
#define T_UNIT_KARMA_TEST_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../db/karma_inside.h"
#include "../../milter/base/arena.h"
#include "../lib/tap.h"

#define SOON_MS 20000 /* what is waited for comes much earlier, except on a very busy machine */
#define DAY 86400

extern const struct karma_rules rules;
extern struct arena *arena;
extern const char *directory, *path;

void test_begin(void); /* a directory */
int test_end(void);    /* the exit status */

void nap(void);
int64_t now_ms(void);
struct karma_net net_of(const char *text);
struct karma_net net_number(unsigned n);
void learn(const struct karma_net *net, double at, bool nice, bool naughty, const char *reason);
double wall(void);
sqlite3 *open_file(void);
struct karma_record in_file(sqlite3 *db, const struct karma_net *net);
struct karma_record cached(const struct karma_net *net);
bool same(const struct karma_record *a, const struct karma_record *b);
void tell(const char *what, const struct karma_record *r);
void store_begin(void);
void store_end(void);
long long number(sqlite3 *db, const char *sql);

#endif
