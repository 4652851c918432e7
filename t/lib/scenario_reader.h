/* scenario_reader.h - what the two halves of the parser share: scenario_parse.c and scenario_checks.c. */
#ifndef T_SCENARIO_READER_H
#define T_SCENARIO_READER_H

#include "scenario.h"

struct reader {
    struct arena *a;
    struct scenario *scn;
    struct str rest;        /* of the file */
    unsigned line;
    struct str written;     /* the line being read, trimmed */
    struct step *last;
    bool connected, mailed, in_data; /* what the steps so far make of the connection */
    unsigned tls_line;      /* of a `tls` that no ehlo has followed yet */
    unsigned connect_line;  /* of the last connect */
};

extern const char *const check_names[];

/* reader_fail - the first thing that is wrong is kept, with its line. Always false. */
bool reader_fail(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* reader_word - up to a blank that stands outside "quotes" and, in a path, outside <brackets>. Still as written. */
bool reader_word(struct str *rest, struct str *word);
struct str reader_unquote(struct arena *a, struct str s); /* without its quotes, and \xHH as that byte */

/* reader_dns - `dns NAME TYPE = ANSWER...`; reader_question - `NAME TYPE` as dns_script_asked() writes it. */
bool reader_dns(struct reader *r, struct str rest);
bool reader_question(struct reader *r, struct str rest, struct str *question);

/* reader_duration - 500ms, 5s, 10m, 2h or 1d; false without a word. reader_memory - `IP [nice N] ...`, see the README. */
bool reader_duration(struct str word, int64_t *ms);
bool reader_memory(struct reader *r, const char *what, struct str rest, struct memory *m);

/* reader_early - `talks 300ms`, `talks at data`, `leaves 300ms`, `blind`. */
bool reader_early(struct reader *r, struct step *step, const struct words *w);

/* reader_scanner - `clamd = OK`, `spamd = 7.3/5.0 TEST`, ...: see the README. */
bool reader_scanner(struct reader *r, struct step *step, struct str rest);

/* reader_inner - `inner = rcpt "550 no"`, ...: see the README. */
bool reader_inner(struct reader *r, struct step *step, struct str rest);

/* reader_check - one check of the last step. */
bool reader_check(struct reader *r, enum check_kind kind, struct str rest);

#endif
