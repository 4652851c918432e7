/* journal.h - every message, and every connection refused before MAIL, with all that was found: what `why`, `shadow`,
 * `whatif` and `summary` read, weeks later.
 *
 *   report.c ─▶ journal_add ─▶ queue of db/database.c ─▶ message, finding ─▶ sqlite3, sme-milterctl
 *
 * Mail never waits for it: 32 MB may wait for the disk. What cannot be written is dropped, counted, and told as a gap. Of
 * what was written only the Message-ID is kept, and the Subject with journal { subject = yes }. Long texts are cut.
 */
#ifndef DB_JOURNAL_H
#define DB_JOURNAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ip.h"
#include "base/str.h"
#include "database.h"

extern const struct schema journal_schema;

struct journal_fact {
    struct str name;  /* fact_name(): "spf.result" */
    struct str value;
};

struct journal_finding {
    struct str policy;
    struct str stage;   /* "connect" ... "close" */
    struct str result;  /* "good" "bad" "unsure"; "nothing": it weighed, or noted facts */
    struct str judged;  /* "none" "now" "later" "never" "cleared" */
    struct str status;  /* "5.7.1"; empty: none */
    int code;           /* 0: the usual */
    struct str text;
    long karma;         /* what it weighed */
    bool permanent, temporary, again; /* see policy.h */
    int rcpt;           /* number of the recipient it is about, from 0; -1: none */
    int64_t micros;     /* how long the policy took */
    const struct journal_fact *facts;
    size_t fact_count;
};

struct journal_rcpt {
    struct str address;    /* as SMTP writes it, with its brackets */
    struct str refused_by; /* policy; empty: accepted */
    struct str reply;      /* what its client heard; empty: accepted */
};

struct journal_message { /* or a connection that never reached MAIL: then message is false */
    int64_t id;            /* of the row; 0 while it is not written */
    bool message;
    int64_t at_ms;         /* wall clock of its end */
    struct str host;       /* ours */
    struct str ref, queue_id, profile;
    struct str message_id; /* read back without its brackets */
    struct ip client;
    unsigned client_port, server_port;
    struct str name, helo, auth, tls_version, daemon_name;
    struct str sender;     /* with its brackets */
    struct journal_rcpt *rcpt;
    size_t rcpt_count;     /* listed, at most JOURNAL_RCPT_MOST */
    unsigned nrcpt;        /* all */
    uint64_t size, declared_size, body_bytes;
    bool local, whitelisted; /* at its end: of the connection or of the message */
    unsigned unknown_commands;
    struct str verdict;    /* "accept" "reject" "tempfail" "discard" "quarantine" */
    struct str by, stage;  /* deciding policy, "limits" or empty; where the client heard: "mail", "abort" */
    struct str reply;      /* the whole line; empty for a plain accept */
    long karma_before;     /* of the connection, when the message began */
    long karma;            /* at its end */
    struct str history;    /* the client's, nice minus naughty, as it was at CONNECT; empty: not known */
    int64_t ms;
    struct str subject;    /* only with journal { subject = yes } */
    struct str ran;        /* which policies were run: "connect:loadcheck,relay;helo:helo;..."; kept once per spelling */
    struct journal_finding *findings; /* the connection's first */
    size_t finding_count;  /* at most JOURNAL_FINDINGS_MOST */
};

#define JOURNAL_RCPT_MOST 100
#define JOURNAL_FINDINGS_MOST 200

/* ---- in the daemon; one journal per process ---- */

struct journal_settings {
    int64_t keep_ms;   /* rows older than that are forgotten */
    uint64_t max_size; /* bytes of the file and its log; the oldest rows go first */
};

void journal_start(struct str directory, const struct journal_settings *settings, int wait_ms);
void journal_configure(const struct journal_settings *settings); /* after a reload; holds from the next tidying on */
void journal_stop(int wait_ms);
bool journal_running(void);
bool journal_status(struct database_status *status); /* false: not started */
bool journal_flush(int wait_ms);
void journal_add(const struct journal_message *m);   /* copied; never waits */

/* ---- on a file, for sme-milterctl and tests (database_open_file); each returns an SQLite result code ---- */

struct journal_wish { /* which rows; empty fields do not narrow */
    int64_t from_ms, to_ms;   /* 0: open */
    struct str ref, queue_id, message_id; /* exactly; message_id with or without its brackets */
    struct str address;       /* sender or recipient, without brackets, whatever the case */
    struct ip client;         /* .known false: any */
    struct str policy;        /* has a finding of it */
    bool newest_first;
    bool by_writing;          /* in the order they were written: the clock may have jumped */
    int64_t limit;            /* 0: all */
};

/* journal_each - the rows with their recipients and findings, oldest first unless newest_first. What `each` gets lives
 * in `a`, which is reset between rows when `reset` is true; it returns false to stop. Texts are as they came: whoever
 * prints them escapes them. */
int journal_each(sqlite3 *db, struct arena *a, bool reset, const struct journal_wish *wish,
                 bool (*each)(const struct journal_message *m, void *ctx), void *ctx);

struct journal_gap { /* rows that were lost, and when */
    int64_t from_ms, to_ms;
    int64_t lost; /* 0: nobody counted them, or the journal begins at to_ms */
    struct str why;
};
int journal_gaps(sqlite3 *db, struct arena *a, int64_t from_ms, struct journal_gap **list, size_t *count);

int64_t journal_oldest(sqlite3 *db); /* time of the oldest row, ms; 0: there is none, or it cannot be read */

/* journal_tidy - forget at most `most` rows that are too old or too many; *more: there may be others. */
int journal_tidy(sqlite3 *db, const struct journal_settings *settings, int64_t now_ms, int most, bool *more);

#include "base/banned.h"
#endif
