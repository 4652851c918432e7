/* journal_file.h - what commands that read the journal share: the file, since when, and how far they are. */
#ifndef CTL_JOURNAL_FILE_H
#define CTL_JOURNAL_FILE_H

#include <sqlite3.h>

#include "../config.h"
#include "ctl.h"
#include "db/journal.h"

/* ctl_journal - the journal of the configuration's state_dir, to be read; NULL with *status set, and said why. */
sqlite3 *ctl_journal(struct ctl *ctl, const struct ctl_command *command, const struct config *config, int *status);

/* ctl_since - "7d", "12h", a day "2026-01-05" or a time "2026-01-05T10:00:00Z": milliseconds since 1970; false, and said,
 * when it is none of them. */
bool ctl_since(struct ctl *ctl, const struct ctl_command *command, const char *word, int64_t *from_ms);

/* progress - for what may take longer than a second: a line on standard error when that is a terminal. */
struct progress {
    const char *what;     /* "messages" */
    int64_t began, shown; /* clock_ms() */
    uint64_t done;
    bool terminal;
};
void progress_begin(struct progress *p, const char *what);
void progress_step(struct progress *p);
void progress_end(struct progress *p); /* takes the line away again */

#endif
