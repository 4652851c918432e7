/* hostile.h - what the cases of hostile.c share. */
#ifndef T_HOSTILE_H
#define T_HOSTILE_H

#include "wire.h"

#define MEGABYTE (1024L * 1024L)

extern bool hostile_failed;

void complain(const char *what);

/* begin - a negotiated session, or a complaint. dial_only - a connection, nothing said. end - close our half and read
 * until the filter closes the other. */
bool begin(struct wire *w);
bool dial_only(struct wire *w);
void end(struct wire *w);

int note(struct wire *w, int got); /* counts an answer */
bool alive(int got);

/* The steps of a plain session; true as long as it goes on. */
bool greet(struct wire *w);
bool mail(struct wire *w);
bool rcpt(struct wire *w);
bool headers(struct wire *w);
bool normal_message(struct wire *w);

/* frame - any frame, without waiting for an answer. raw_bytes - not even a frame. */
bool frame(struct wire *w, char command, const void *bytes, size_t n);
bool raw_bytes(struct wire *w, const void *bytes, size_t n);

#define FRAME(w, command, text) frame(w, command, text, sizeof(text) - 1)

void case_normal(void);

/* hostile_frames.c */
void case_truncated(void);
void case_oversized(void);
void case_oversized_2mb(void);
void case_zero(void);
void case_unknown_commands(void);
void case_negotiation(void);
void case_order(void);
void case_quit_nc(void);
void case_bytes(void);
void case_empty(void);
void case_macros(void);
void case_odd_macros(void);
void case_connect(void);

/* hostile_floods.c */
void case_abort_in_body(void);
void case_recipients(void);
void case_body(void);
void case_header_lines(void);
void case_many_headers(void);
void case_words(void);
void case_never_reads(void);
void case_half_frames(void);
void case_silent(void);
void case_come_and_go(void);

#endif
