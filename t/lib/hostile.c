/* hostile.c - a broken milter peer: what no MTA would send, and what too much of one would.
 *
 *   hostile SOCKET CASE     prints what came back; 0 when the connection ended, or was answered, within 10 s
 *   hostile list            the cases and what they are
 *
 * A case ends by closing our half of the connection, so a filter that skips nonsense without a word is fine as long as
 * it then lets go.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

#define ANSWER_MS 10000

static const char *where;
bool hostile_failed;
static unsigned long answers[256]; /* by command */
static char last_reply[WIRE_REPLY_MAX];

static void print_escaped(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c < 0x7f && c != '\\')
            putchar(c);
        else
            printf("\\x%02x", c);
    }
}

void complain(const char *what)
{
    printf("failed: %s\n", what);
    hostile_failed = true;
}

static bool opened(bool ok)
{
    if (!ok) {
        printf("failed: no session: %s\n", strerror(errno));
        hostile_failed = true;
    }
    return ok;
}

bool begin(struct wire *w)
{
    *w = (struct wire){.fd = -1, .timeout_ms = ANSWER_MS};
    return opened(wire_open(w, where));
}

bool dial_only(struct wire *w)
{
    *w = (struct wire){.fd = -1, .timeout_ms = ANSWER_MS};
    return opened(wire_dial(w, where));
}

/* note - count an answer. */
int note(struct wire *w, int got)
{
    if (got > 0)
        answers[got & 0xff]++;
    if (got == WIRE_REPLYCODE)
        memcpy(last_reply, w->reply, sizeof last_reply);
    if (got == WIRE_TIMEOUT)
        complain("neither an answer nor the end within 10 s");
    if (got == WIRE_BAD)
        complain("an answer that is none");
    return got;
}

/* end - close our half and read until the filter closes the other. */
void end(struct wire *w)
{
    int got;

    if (w->fd >= 0) {
        shutdown(w->fd, SHUT_WR);
        do
            got = note(w, wire_next(w));
        while (got > 0);
    }
    wire_drop(w);
}

bool alive(int got)
{
    return got == WIRE_CONTINUE || got == WIRE_NONE || got == WIRE_ACCEPT;
}

bool greet(struct wire *w)
{
    wire_macros(w, 'C', (const char *const[]){"j", "mx.example.org", "{daemon_name}", "mx.example.org", "{daemon_port}",
                                              "25", "{client_addr}", "192.0.2.7", NULL});
    return alive(note(w, wire_connect(w, "mail.example.net", "192.0.2.7", 40000)))
           && alive(note(w, wire_helo(w, "mail.example.net")));
}

bool mail(struct wire *w)
{
    return alive(note(w, wire_mail(w, (const char *const[]){"<sender@example.net>", "SIZE=1000", NULL})));
}

bool rcpt(struct wire *w)
{
    return alive(note(w, wire_rcpt(w, (const char *const[]){"<reader@example.org>", NULL})));
}

bool headers(struct wire *w)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(date, sizeof date, " %a, %d %b %Y %H:%M:%S +0000", &tm);
    return alive(note(w, wire_header(w, "From", " sender@example.net")))
           && alive(note(w, wire_header(w, "To", " reader@example.org")))
           && alive(note(w, wire_header(w, "Date", date)))
           && alive(note(w, wire_header(w, "Message-ID", " <1@example.net>")))
           && alive(note(w, wire_header(w, "Subject", " plain")));
}

bool normal_message(struct wire *w)
{
    return mail(w) && rcpt(w) && alive(note(w, wire_data(w))) && headers(w) && alive(note(w, wire_eoh(w)))
           && alive(note(w, wire_body(w, "hello\r\n", 7))) && alive(note(w, wire_eom(w)));
}

/* frame - any frame, without waiting for an answer. */
bool frame(struct wire *w, char command, const void *bytes, size_t n)
{
    return wire_raw(w, command, bytes, n, -1);
}

/* raw_bytes - not even a frame. */
bool raw_bytes(struct wire *w, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t sent = send(w->fd, p, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Well-behaved */

void case_normal(void)
{
    struct wire w;

    if (!begin(&w))
        return;
    if (!greet(&w) || !normal_message(&w) || !normal_message(&w))
        complain("a plain message was not accepted");
    wire_close(&w);
}

static const struct {
    const char *name;
    void (*run)(void);
    const char *what;
} cases[] = {
    {"normal", case_normal, "two plain messages, to be accepted"},
    {"truncated", case_truncated, "a frame longer than what follows"},
    {"oversized", case_oversized, "length fields of 2 to 4 GB"},
    {"oversized-2mb", case_oversized_2mb, "a frame of 2 MB, sent and not sent"},
    {"zero", case_zero, "frames of length 0"},
    {"unknown-commands", case_unknown_commands, "each of the 256 command bytes"},
    {"negotiation", case_negotiation, "negotiated twice, short, with other versions; SMTP instead"},
    {"order", case_order, "commands in orders that SMTP does not have"},
    {"quit-nc", case_quit_nc, "sessions one after the other on one connection"},
    {"bytes", case_bytes, "NUL, CR, LF, escapes and 8-bit in every field"},
    {"empty", case_empty, "empty and unterminated fields"},
    {"macros", case_macros, "macros without an end, with empty names or nonsense values"},
    {"connect", case_connect, "bad families and addresses"},
    {"abort-in-body", case_abort_in_body, "ABORT in the middle of the body"},
    {"recipients-10000", case_recipients, "ten thousand recipients"},
    {"body-100mb", case_body, "a body of 100 MB"},
    {"header-lines-64k", case_header_lines, "header lines of 64 KiB and more"},
    {"many-headers", case_many_headers, "50 000 header lines"},
    {"words", case_words, "MAIL and RCPT with 32 500 words, and with one of 65 kB"},
    {"never-reads", case_never_reads, "a peer that sends and does not read"},
    {"half-frames", case_half_frames, "200 peers silent in the middle of a frame"},
    {"silent-500", case_silent, "500 peers that say nothing"},
    {"come-and-go", case_come_and_go, "1000 peers that leave at once"},
    {"odd-macros", case_odd_macros, "macros without a value"},
};

static int list_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        printf("%s\t%s\n", cases[i].name, cases[i].what);
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;

    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list_cases();
    if (argc != 3) {
        fputs("usage: hostile SOCKET CASE | hostile list\n", stderr);
        return 64;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    where = argv[1];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, argv[2]) != 0)
            continue;
        cases[i].run();
        for (size_t c = 0; c < 256; c++)
            if (answers[c] > 0)
                printf("answer %c: %lu\n", c > 0x20 && c < 0x7f ? (int)c : '?', answers[c]);
        if (last_reply[0] != '\0') {
            printf("last reply: ");
            print_escaped(last_reply);
            putchar('\n');
        }
        puts(hostile_failed ? "FAILED" : "ended");
        return hostile_failed ? 1 : 0;
    }
    fputs("hostile: no such case\n", stderr);
    return 64;
}
