/* journal_inside.h - what the journal_*.c files share; nobody else includes it, except their tests.
 *
 *   journal.c         the daemon's side: copies, the queue, what is lost
 *   journal_write.c   one message into the tables
 *   journal_read.c    and back
 *   journal_tidy.c    old rows, too many rows
 *   journal_text.c    how text and facts stand in the file
 *   journal_schema.c  the tables
 */
#ifndef DB_JOURNAL_INSIDE_H
#define DB_JOURNAL_INSIDE_H

#include "journal.h"

#define JOURNAL_QUEUE_BYTES (32u * 1024 * 1024) /* that wait for the disk */
#define JOURNAL_TEXT_MOST 2048                  /* bytes of one text of a stranger; what is longer is cut */
#define JOURNAL_FACTS_MOST 64                   /* of one finding */

/* journal_copy - in an arena, cut as the journal keeps it. */
const struct journal_message *journal_copy(struct arena *a, const struct journal_message *m);

/* journal_text - as the file has it: valid UTF-8 that shows as itself stays; a backslash becomes \\, every other byte
 * \xHH. s itself when nothing is to be done. journal_untext - back; what was not written so stays as it is. */
struct str journal_text(struct arena *a, struct str s);
struct str journal_untext(struct arena *a, struct str s);

/* journal_facts_text - as JSON, of texts that journal_text() made. journal_facts_parse - back:
 * as many as can be understood. */
struct str journal_facts_text(struct arena *a, const struct journal_fact *facts, size_t count);
void journal_facts_parse(struct arena *a, struct str text, const struct journal_fact **facts, size_t *count);

/* journal_bare - a message id without its brackets. */
struct str journal_bare(struct str id);

/* journal_write - in the writer's transaction; SQLite result codes. */
int journal_write(struct database_writer *w, const struct journal_message *m, struct arena *a);
int journal_write_gap(struct database_writer *w, const struct journal_gap *gap, struct arena *a);

#include "base/banned.h"
#endif
