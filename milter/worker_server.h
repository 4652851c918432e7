/* worker_server.h - the process that holds what its jobs need, and forks for each of them. */
#ifndef WORKER_SERVER_H
#define WORKER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct worker_kind {
    const char *name;
    bool files; /* its jobs make temporary files, in a directory of their own that is the current one */
    /* init - while the process may still open files (libraries' own data); load - in the server's sandbox, the current
     * directory is for temporary files. Either may be NULL. False: *why. */
    bool (*init)(struct arena *a, struct str *why);
    bool (*load)(struct arena *a, const char *directory, struct str *version, uint64_t *count, struct str *why);
    /* run - in the job; the answer is in the frame already begun. False: *why, and what was added is dropped. */
    bool (*run)(struct arena *a, struct str bytes, uint64_t ms, struct buf *answer, struct str *why);
};

extern const struct worker_kind worker_kind_scan, worker_kind_tnef;

/* worker_serve - the arguments are what the daemon started the program with: KIND TEMPORARY-DIRECTORY DIRECTORY. Its
 * socket is descriptor 3. Returns the exit status. */
#define WORKER_SOCKET 3
int worker_serve(const struct worker_kind *const *kinds, size_t count, int argc, char **argv);

#include "base/banned.h"
#endif
