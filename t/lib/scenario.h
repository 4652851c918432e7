/* scenario.h - a scenario as read, what a driver sees of each step, and the three drivers.
 *
 *   FILE ─ scenario_parse.c ─▶ struct scenario ─ scenario_play.c ─▶ driver ─▶ the daemon's code
 *                                                    │  ▲              in process, over the milter protocol, or
 *                                     checks, TAP ◀──┘  └─ struct seen    through Postfix
 *
 * The language is told in t/scenario/README.
 */
#ifndef T_SCENARIO_H
#define T_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "milter/base/arena.h"
#include "milter/base/str.h"

struct conf_entry;
struct config;
struct journal_message;

enum { DRIVER_INPROCESS = 1, DRIVER_WIRE = 2, DRIVER_POSTFIX = 4, DRIVER_ALL = 7 };

enum step_kind {
    STEP_CLOCK, STEP_ADVANCE, STEP_KARMA, STEP_RELEASE, STEP_CAPTURE,
    STEP_TALKS, STEP_LEAVES, STEP_BLIND, STEP_CLAMD, STEP_SPAMD, STEP_INNER,
    STEP_LOAD, /* change the world; nobody answers */
    STEP_CONNECT, STEP_HELO, STEP_EHLO, STEP_TLS, STEP_AUTH, STEP_MAIL, STEP_RCPT, STEP_UNKNOWN, STEP_DATA,
    STEP_MESSAGE, STEP_ABORT, STEP_CLOSE, STEPS
};
extern const char *const step_names[STEPS];

enum check_kind { CHECK_REPLY, CHECK_FOUND, CHECK_EDIT, CHECK_LOG, CHECK_KARMA, CHECK_LEARNED, CHECK_ASKED, CHECKS };

struct words {
    struct str *items;
    size_t count;
};

struct pair { /* of `log` and of a finding's facts */
    struct str key, value;
    bool regex;
};

struct memory { /* of karma and learned: what is remembered of a client; -1: not said */
    struct str net;
    bool nothing;
    long nice, naughty, connects, boxed_s;
    struct str reason;
};

struct early { /* of talks, leaves, blind: see scenario_early.c */
    bool scripted;
    int seen, turn; /* enum pregreet_seen, enum pregreet_turn */
    int64_t after_ms;
    bool is_data;
};

enum scanner_how { SCANNER_DOWN, SCANNER_MUTE, SCANNER_SAYS };

struct scanner { /* of clamd, spamd: see scenario_scan.c */
    enum scanner_how how;
    struct str reply;   /* to a scan, byte by byte */
    struct str version; /* of clamd, with a NUL behind it */
    int64_t after_ms;
};

struct inner_says { /* of inner: see scenario_inner.c */
    struct inner_says *next;
    struct str command; /* "connect", "ehlo" ..., or "ok", "down", "mute" */
    struct str about;   /* rcpt, mail: only of that address */
    struct str reply;   /* with its CRLF */
    bool hangs_up;
    int64_t after_ms;
};

struct inner {
    bool down, mute;
    struct inner_says *list; /* the newest first */
};

struct check {
    struct check *next;
    enum check_kind kind;
    unsigned line;
    struct str text;         /* as written, for messages */
    bool go_on;              /* reply: continue */
    bool closed;             /* reply: and the connection is over */
    int code;                /* reply: 550 */
    struct str status;       /* reply, found: "5.7.1", or empty: any */
    struct str fragment;     /* reply: part of its text, or empty */
    struct str policy;       /* found */
    struct str result;       /* found: "good", "bad", "unsure" */
    struct str edit;         /* edit: as edit_text() writes it; empty for none */
    struct str question;     /* asked: "name TYPE"; empty for none */
    bool never;              /* asked: not */
    struct pair *pairs;      /* found: facts; log: fields */
    size_t pair_count;
    long karma;
    struct memory memory;    /* learned */
};

struct step {
    struct step *next;
    enum step_kind kind;
    unsigned line;
    struct str written;      /* the line, for the transcript */
    struct words args;       /* helo NAME, mail and rcpt words, unknown VERB, auth USER, tls VERSION */
    struct str client, name; /* connect: IP or "unknown"; name or empty */
    unsigned client_port, server_port;
    struct str daemon_name;
    struct str text;         /* message: as sent, CRLF and all, without the dots of SMTP */
    int64_t ms;              /* clock: wall time; advance: by how much */
    double load;             /* negative: the system does not tell */
    struct memory memory;    /* karma, release, capture */
    struct early early;      /* talks, leaves, blind */
    struct scanner scanner;  /* clamd, spamd */
    struct inner_says inner; /* inner */
    struct check *checks;
};

struct scenario_file { /* `file NAME`, `mmdb NAME` */
    struct scenario_file *next;
    struct str name, text;
    bool mmdb; /* a country database is made out of the text */
};

struct scenario {
    struct arena *arena;
    const char *path;
    unsigned drivers;             /* DRIVER_ bits of `only` */
    struct str profile;           /* `profile NAME`, or empty */
    struct words policies;        /* `policies` */
    struct str literal;           /* `config` block, or empty */
    unsigned config_line;         /* of `profile`, `policies` or `config` */
    struct pair *sets;            /* `set`: key as written, value as written; regex: += */
    size_t set_count;
    struct scenario_file *files;
    struct str dns;               /* `dns`: as dns_script() takes it */
    struct step *steps;
    struct rows *rows;            /* wanted; NULL: nobody wants them. See scenario_past.c */
    struct conf_entry *changes;   /* of its configuration: see config_change_add() */
    bool lenient;                 /* steps for which the answers leave no room are left out */
    unsigned error_line;          /* of the first thing that is wrong */
    struct str error;             /* empty: fine */
};

/* scenario_parse - read a scenario; its error field says what is wrong, if anything. */
struct scenario *scenario_parse(struct arena *a, const char *path, struct str text);

struct play;

/* scenario_config - the configuration text of a scenario, with {dir} and {inner} replaced; listen and group are for the
 * socket. */
struct str scenario_config(const struct play *p, struct str listen, struct str group);

/* scenario_field - the next header field of a message as Postfix gives it to a filter: name, and the value as it was
 * written after the colon, with LF between folded lines. False at the end of the header; *rest is then the body. */
bool scenario_field(struct arena *a, struct str *rest, struct str *name, struct str *value);

struct seen_finding {
    struct str policy, result, status;
    struct pair *facts;
    size_t fact_count;
};

/* What a driver saw of one step. Everything in the play's arena. */
struct seen {
    struct str reply;               /* "550 5.7.1 text"; empty: go on */
    bool closed;                    /* the connection is over */
    bool reply_unseen;              /* the driver could see the code only: Postfix keeps the text to itself */
    struct seen_finding *findings;  /* of this step, when findings_known */
    size_t finding_count;
    struct str *edits;              /* of the message, when edits_known */
    size_t edit_count;
    struct str *lines;              /* report lines written during this step */
    size_t line_count;
    long karma;                     /* when karma_known */
    struct words asked;             /* questions to the DNS, "name TYPE"; of this very step when asked_known */
    struct words unscripted;        /* those of them that no `dns` line mentions */
    bool findings_known, edits_known, karma_known, asked_known;
    struct str error;               /* the driver could not play the step */
};

/* A play: one scenario in one driver. What the steps so far have made of the connection is kept by scenario_play.c. */
struct play {
    struct arena *arena;
    const struct scenario *scenario;
    struct str dir;            /* its own directory, for files and sockets */
    struct str auth, tls;      /* as the last steps said */
    struct str sticky;         /* refused at connect or HELO: Postfix asks no filter any more, and says this at MAIL */
    bool connected;            /* a connection is open */
    bool hung_up;              /* a reply ended it: only `close` may follow */
    bool in_message;           /* the filter has an open message: one report line is still to come */
    bool in_data;              /* DATA was answered 354 */
    bool told;                 /* a refusal before MAIL was told: the connection has a line of its own */
    unsigned mails, rcpts;     /* begun on the connection; accepted of the transaction */
    int64_t wall_ms, passed_ms; /* scripted time: now, and what the steps `advance` added to it */
    double load;
    struct early early;        /* of the next client, or the one that is connected */
    struct scanner clamd, spamd;
    struct inner inner;
    struct str inner_at;       /* {inner}: "127.0.0.1:port" */
    struct words asked;        /* on this connection, as far as seen */
    const struct check **owed; /* `asked` that no driver could confirm at its step: judged at close */
    size_t owed_count;
    struct buf transcript;
    void *state;               /* the driver's */
};

/* play_lines_due - how many report lines this step brings, given whether it was refused. */
unsigned play_lines_due(const struct play *p, const struct step *step, bool refused);

/* play_stuck - what Postfix answers by itself once a filter has refused a connection; false: the filter is asked. */
bool play_stuck(struct play *p, const struct step *step, struct seen *seen);

void play_note(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3))); /* into the transcript */
void seen_line(struct play *p, struct seen *seen, struct str line);                         /* a report line came */

/* line_field - a field of a keyvalue report line, unescaped; false when it is not there. */
bool line_field(struct arena *a, struct str line, struct str key, struct str *value);

#define DNS_FILE "dns"     /* in the play's directory: the script */
#define ASKED_FILE "asked" /* the same: what a test daemon asked, see dns_test.c */

/* words_add - a copy at the end; words_have - whether it is there. asked_add - one "name TYPE" a line. */
void words_add(struct arena *a, struct words *w, struct str word);
bool words_have(const struct words *w, struct str word);
void asked_add(struct arena *a, struct words *w, struct str lines);

/* asked_fits - whether the check holds of what was asked at this step, or on the connection so far. */
bool asked_fits(const struct play *p, const struct check *c, const struct seen *seen);

/* karma_world_step - what the steps karma, release and capture do to the file; false with *error when they cannot.
 * karma_learned - whether the file says so, or comes to say so; *seen is what it says. */
bool karma_world_step(struct play *p, const struct step *step, struct str *error);
bool karma_learned(struct play *p, const struct memory *m, struct str *seen);

void early_begin(struct play *p); /* from now on the clients are as the play says; early_end - as they are */
void early_end(void);

/* scanners_begin - from now on clamd and spamd say what the play says, in process or on sockets in its directory. */
bool scanners_begin(struct play *p, bool sockets, struct str *error);
bool scanners_step(struct play *p, const struct step *step, struct str *error);
void scanners_end(void);

/* inner_begin - from now on there is an inner mail server, and where: {inner}. Before scenario_config(). */
bool inner_begin(struct play *p, bool sockets, struct str *error);
bool inner_step(struct play *p, const struct step *step, struct str *error);
void inner_end(void);

/* What the journal would have kept of a play, in the rows' own arena. */
struct rows {
    struct arena *arena;
    const struct journal_message **items;
    size_t count;
    /* after - the last step was played; the configuration is the play's. May be NULL. */
    void (*after)(struct play *p, struct rows *rows, struct config *config);
    void *ctx;
};
void rows_add(struct rows *rows, const struct journal_message *row);

/* tap - one point; what is wrong is told below it. */
struct tap {
    unsigned points, failed;
    bool must_fail;           /* the points of a play are not told but kept: the lines of those that failed */
    unsigned lines[256], line_count;
};
bool tap_point(struct tap *t, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* play_point - one about that line of the scenario. */
bool play_point(struct tap *t, const struct scenario *scn, unsigned line, const char *what, bool ok);
void tap_skip(struct tap *t, const char *what, const char *why);
void tap_lines(struct str text); /* as comments */

struct driver {
    const char *name;
    unsigned bit;
    /* begin - with the configuration's text; files are written. False with *error when it cannot. */
    bool (*begin)(struct play *p, struct str config, struct str *error);
    /* step - play it and tell what was seen; clock, advance and load have changed the play already. */
    void (*step)(struct play *p, const struct step *step, struct seen *seen);
    void (*end)(struct play *p);
    /* prepare - before the first scenario: -1 to go on, else the exit status; finish - after the last. May be NULL. */
    int (*prepare)(char **argv);
    void (*finish)(struct tap *tap);
};
extern const struct driver driver_inprocess, driver_wire, driver_postfix;

/* past_run - play it in process, then judge again what the journal would have kept: with the same configuration, which
 * must come to the same; and with others, which must come to what playing it under those comes to. */
bool past_run(struct tap *tap, const struct scenario *scn, bool verbose);

/* play_run - play the scenario with the driver and check everything. */
bool play_run(struct tap *tap, const struct scenario *scn, const struct driver *driver, bool verbose);

#endif
