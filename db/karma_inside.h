/* karma_inside.h - the daemon's side of karma: the cache in karma_store.c, the writer's SQL in karma_write.c. */
#ifndef DB_KARMA_INSIDE_H
#define DB_KARMA_INSIDE_H

#include <sqlite3.h>

#include "database.h"
#include "karma_store.h"

/* karma_write - one event, inside the writer's transaction. */
int karma_write(struct database_writer *w, const void *event, void *ctx);

/* karma_read - the row of a client; SQLITE_ROW with *r filled, SQLITE_DONE: not there. The statement is left reset. */
extern const char karma_read_sql[];
int karma_read(sqlite3_stmt *s, const struct karma_net *net, struct karma_record *r);

/* ---- housekeeping: karma_tidy.c ---- */

struct karma_limits {
    int64_t rows_most;  /* beyond it the least recently seen go */
    int64_t keep_s;     /* not seen for longer: forgotten */
    int piece_rows;     /* looked at in one piece */
};
extern struct karma_limits karma_limits; /* tests make them smaller */

/* karma_tidy - one piece; true while there is more. */
bool karma_tidy(struct database_writer *w, void *ctx);
void karma_tidy_begin(void); /* forget everything: for the start of a store */

/* karma_forget - the row was deleted: what is cached of it is not true any more. */
void karma_forget(const struct karma_net *net);

#endif
