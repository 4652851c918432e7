/* worker.h - a process of its own for strangers' bytes: libclamav's scan, and what is in a winmail.dat.
 *
 *   serving process ──▶ server (sme-milter-worker: holds the signatures, never looks at a message)
 *          ╲                  │ forks for every job
 *           ╲── the job's ────▶ job: no network, no other files, limited memory, one message; answers and ends
 *               own socket
 *
 * One kind of work has one server; a job is a fork of it, so all jobs share the signatures' memory, and none can change
 * what another one says. The server is a program of its own, started by posix_spawn(): a fork of a process with threads
 * could do nothing safely, and libclamav and libytnef are in no process that the network reaches. New signatures are
 * loaded by a new server while the old one still serves. Whatever comes back is read as a stranger's.
 */
#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scan/engine.h"

/* ---- running them: services.c ---- */

struct config;

struct worker_settings {
    const char *program; /* NULL: sme-milter-worker beside the running program, or where it was installed */
    const char *tmp;     /* where temporary directories are made; NULL: /tmp */
    unsigned jobs;       /* at once, of each kind of work; 0: as there are processors */
    int64_t look_ms;     /* how often the directories of signatures are looked at; 0: every minute */
    int64_t pong_ms;     /* how long a server may say nothing when it is asked whether it lives; 0: 5 seconds */
};

bool worker_start(const struct worker_settings *settings); /* false, and logged: there will be no workers */
bool worker_running(void);

/* worker_configure - have servers for what the configuration uses, end the others; look at the signatures now. Starts
 * everything when it is needed for the first time. */
void worker_configure(const struct config *config);

/* worker_want - servers for these kinds of work and no others; `directories` are of signatures, or empty. */
void worker_want(const char *const *kinds, const struct str *directories, size_t count);
void worker_stop(void); /* everything ends, unfinished jobs too */

struct worker_state {
    unsigned servers, loading, jobs;
    unsigned long starts; /* of servers, since worker_start() */
};
struct worker_state worker_look(void);

/* ---- one job ---- */

struct worker_job;

/* worker_begin - a job for the server of that kind ("scan", with its directory, or "tnef"); does not wait. The pieces
 * live as long as the arena. */
struct worker_job *worker_begin(struct arena *a, const char *kind, struct str database, const struct str *pieces,
                                size_t count, int64_t deadline);

/* worker_finish - waits, until the deadline at most. False: *why. *answer is a stranger's. */
bool worker_finish(struct worker_job *job, struct str *answer, struct str *why);

/* worker_version - of the signatures that a job begun now is judged by; empty: none are loaded. */
struct str worker_version(struct arena *a, struct str database);

/* ---- viruses ---- */

/* engine_libclamav - `where->shown` is the directory of signatures. */
extern const struct engine engine_libclamav;

struct virus_answer worker_scan_answer(struct arena *a, struct str bytes); /* what a job says */

/* ---- winmail.dat ---- */

#define TNEF_PARTS_MOST 200
#define TNEF_NAME_MOST 120                     /* bytes */
#define TNEF_DATA_MOST (100U * 1024 * 1024)    /* of all parts */

enum tnef_kind {
    TNEF_FILE,      /* an attachment */
    TNEF_OBJECT,    /* an embedded message or OLE object, as it is in the winmail.dat */
    TNEF_BODY_TEXT, /* the message's own text, in UTF-8 where it was told or made from RTF; the sender's charset else */
    TNEF_BODY_HTML, /* ... in the sender's charset */
    TNEF_BODY_RTF,
    TNEF_FIELD, /* of the message itself, in UTF-8; named "subject", "from", "address" or "date" (RFC 5322) */
    TNEF_KINDS,
};

struct tnef_content;

struct tnef_part {
    enum tnef_kind kind;
    bool utf8;       /* the data of a TNEF_BODY_TEXT is valid UTF-8 */
    struct str name; /* UTF-8, no directory, no control or quoting characters, at most TNEF_NAME_MOST; never empty */
    struct str type; /* "application/pdf", lower case, by the name's extension */
    struct str data;
    const struct tnef_content *inside; /* what the data hold in turn, if they were opened too: mail/winmail.c */
};

struct tnef_content {
    struct tnef_part *parts;
    size_t count;
};

/* worker_tnef - what is in a winmail.dat; waits. False: *why, and nothing of it is to be used. */
bool worker_tnef(struct arena *a, struct str winmail, int64_t deadline, struct tnef_content *out, struct str *why);
bool worker_tnef_answer(struct arena *a, struct str bytes, struct tnef_content *out, struct str *why);

#include "base/banned.h"
#endif
