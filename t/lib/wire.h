/* wire.h - Postfix's side of the milter protocol (version 6), for tests and the benchmark.
 *
 * Small and honest: it sends what it is told, also what no MTA would send, and reports what came back.
 */
#ifndef T_WIRE_H
#define T_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_REPLY_MAX 1024

struct wire_edit { /* one modification the filter asked for at the end of a message */
    char command;  /* '+' add rcpt, '-' delete rcpt, 'h' add header, 'm' change, 'i' insert, 'b' body, 'q' quarantine */
    uint32_t index;
    char *name;  /* header name, recipient, reason; owned by the wire */
    char *value; /* header value; NULL where there is none */
    size_t length; /* of a body chunk in name */
};

struct wire {
    int fd;
    uint32_t actions, protocol;  /* as negotiated */
    char *symbols[8];            /* SMFIR_SETSYMLIST answers by stage, NULL when not asked for */
    char reply[WIRE_REPLY_MAX];  /* text of the last SMFIR_REPLYCODE: "550 5.7.1 text"; empty otherwise */
    struct wire_edit *edits;     /* of the last end of message */
    size_t edit_count;
    int timeout_ms;              /* for each answer; 0: 10 s */
    struct {                     /* of wire.c alone */
        char *out;               /* frames not yet sent, as Postfix writes: macros and command in one go */
        size_t out_n, out_max;
        char *in;
        size_t in_from, in_to, in_max;
        char *data;              /* of the last frame, after its command; NUL-terminated */
        size_t data_n;
        int applied_ms;          /* timeout the socket has */
    } io;
};

/* Answers, as libmilter sends them; WIRE_NONE where the negotiated protocol says that no reply comes. */
enum wire_answer {
    WIRE_NONE = 0, WIRE_CONTINUE = 'c', WIRE_ACCEPT = 'a', WIRE_REJECT = 'r', WIRE_TEMPFAIL = 't', WIRE_DISCARD = 'd',
    WIRE_REPLYCODE = 'y', WIRE_SKIP = 's', WIRE_CLOSED = -1, WIRE_TIMEOUT = -2, WIRE_BAD = -3
};

/* wire_open - connect to "unix:PATH", "inet:PORT@HOST" or "inet6:PORT@HOST" and negotiate; false with errno on failure.
 * *w is zero or what wire_close() or wire_drop() left; of it only timeout_ms is kept. */
bool wire_open(struct wire *w, const char *socket);
bool wire_dial(struct wire *w, const char *socket); /* connects, and negotiates nothing */
void wire_close(struct wire *w);      /* SMFIC_QUIT and close; frees what the wire owns */
void wire_drop(struct wire *w);       /* close without a word */

/* wire_macros - name/value pairs, NULL-terminated, for the given stage's command ('C', 'H', 'M', 'R', 'T', 'N', 'E');
 * they are sent together with the next command. */
bool wire_macros(struct wire *w, char command, const char *const *pairs);
/* address: "192.0.2.7", "IPv6:2001:db8::1" or "unknown" */
int wire_connect(struct wire *w, const char *name, const char *address, unsigned port);
int wire_helo(struct wire *w, const char *name);
int wire_mail(struct wire *w, const char *const *args); /* NULL-terminated: "<a@b>", "SIZE=1" */
int wire_rcpt(struct wire *w, const char *const *args);
int wire_data(struct wire *w);
/* value is what follows the colon; Postfix drops its first space unless SMFIP_HDR_LEADSPC was negotiated, so do we. */
int wire_header(struct wire *w, const char *name, const char *value);
int wire_eoh(struct wire *w);
int wire_body(struct wire *w, const void *bytes, size_t n); /* cut into chunks of at most 65535 */
int wire_eom(struct wire *w);         /* collects edits until the verdict */
int wire_eom_with(struct wire *w, const void *bytes, size_t n); /* the body's last chunk in it; Postfix never does that, and
    libmilter does not call xxfi_eom then, when xxfi_body gives no answer (SMFIP_NR_BODY) */
int wire_abort(struct wire *w);       /* never answered: WIRE_NONE, or WIRE_CLOSED */
int wire_unknown(struct wire *w, const char *verb);

/* wire_raw - any frame at all; with length_field not -1 that is claimed instead of the true length. wire_next - the
 * next frame's command, or WIRE_CLOSED, WIRE_TIMEOUT, WIRE_BAD. */
bool wire_raw(struct wire *w, char command, const void *bytes, size_t n, long length_field);
int wire_next(struct wire *w);

/* wire_queue - a frame that goes out together with the next one, as Postfix's SMFIC_ABORT before SMFIC_QUIT does. */
void wire_queue(struct wire *w, char command, const void *bytes, size_t n);

/* wire_asks - does Postfix send this macro at this command: by the filter's list, else by Postfix's default. */
bool wire_asks(const struct wire *w, char command, const char *name);

#endif
