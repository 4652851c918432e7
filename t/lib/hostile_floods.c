/* hostile_floods.c - too much of everything, and too little. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "hostile.h"

/* Too much */

void case_abort_in_body(void)
{
    char chunk[60000];
    struct wire w;

    memset(chunk, 'x', sizeof chunk);
    if (!begin(&w))
        return;
    if (!greet(&w))
        complain("the greeting was refused");
    for (int i = 0; i < 20 && !hostile_failed; i++) {
        if (!mail(&w) || !rcpt(&w) || !alive(note(&w, wire_data(&w))) || !headers(&w)
            || !alive(note(&w, wire_eoh(&w))))
            complain("an ordinary message was refused");
        wire_body(&w, chunk, sizeof chunk);
        wire_abort(&w);
    }
    if (!hostile_failed && !normal_message(&w))
        complain("no message after an ABORT");
    end(&w);
}

void case_recipients(void)
{
    struct wire w;

    if (!begin(&w))
        return;
    if (greet(&w) && mail(&w)) {
        for (int i = 0; i < 10000; i++) {
            char address[64];
            int got;

            snprintf(address, sizeof address, "<recipient-number-%d@example.org>", i);
            got = note(&w, wire_rcpt(&w, (const char *const[]){address, NULL}));
            if (got < 0)
                break;
        }
        note(&w, wire_data(&w));
        headers(&w);
        note(&w, wire_eoh(&w));
        note(&w, wire_eom(&w));
    }
    end(&w);
}

/* 100 MB, also when the filter has said that it wants no body: a broken peer would send it. */
void case_body(void)
{
    static char chunk[65535];
    struct wire w;

    for (size_t i = 0; i < sizeof chunk; i++)
        chunk[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : 'x';
    if (!begin(&w))
        return;
    printf("the filter wants %s body\n", w.protocol & 0x10 ? "no" : "the");
    if (greet(&w) && mail(&w) && rcpt(&w) && alive(note(&w, wire_data(&w))) && headers(&w)
        && alive(note(&w, wire_eoh(&w)))) {
        bool silent = (w.protocol & 0x80000) != 0;

        for (long sent = 0; sent < 100 * MEGABYTE; sent += (long)sizeof chunk)
            if (!frame(&w, 'B', chunk, sizeof chunk) || (!silent && !alive(note(&w, wire_next(&w)))))
                break;
        note(&w, wire_eom(&w));
    }
    end(&w);
}

static void header_flood(size_t value_size, int count)
{
    char *value = malloc(value_size + 1);
    struct wire w;

    if (value != NULL && begin(&w)) {
        memset(value, 'h', value_size);
        value[value_size] = '\0';
        if (greet(&w) && mail(&w) && rcpt(&w) && alive(note(&w, wire_data(&w)))) {
            for (int i = 0; i < count; i++)
                if (!alive(note(&w, wire_header(&w, "X-Long", value))))
                    break;
            note(&w, wire_eoh(&w));
            note(&w, wire_eom(&w));
        }
        end(&w);
    }
    free(value);
}

void case_header_lines(void)
{
    header_flood(65500, 1);
    header_flood(65525, 300);
    header_flood(65536, 2); /* one byte more than a frame may carry */
    header_flood(10 * MEGABYTE, 1);
}

void case_many_headers(void)
{
    header_flood(1, 50000);
    header_flood(0, 1000);
}

void case_words(void)
{
    static char words[65000];

    for (size_t i = 0; i < sizeof words; i += 2)
        words[i] = 'a';
    for (const char *at = "MR"; *at != '\0' && !hostile_failed; at++) {
        struct wire w;

        if (!begin(&w))
            return;
        if (greet(&w) && (*at == 'M' || mail(&w))) {
            frame(&w, *at, words, sizeof words);
            memset(words, 'a', sizeof words - 1);
            frame(&w, *at, words, sizeof words); /* one word of 65 kB */
        }
        end(&w);
    }
}

/* A peer that does not read: its answers pile up until neither side can write. */
void case_never_reads(void)
{
    struct wire w;
    struct timeval wait = {.tv_usec = 200000};

    if (!begin(&w))
        return;
    if (greet(&w)) {
        long sent = 0;

        w.timeout_ms = 200;
        setsockopt(w.fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        while (sent < 2000000 && FRAME(&w, 'H', "mail.example.net\0"))
            sent++;
        printf("it took %s commands unread\n", sent < 2000000 ? "some" : "all");
    }
    wire_drop(&w);
    case_normal();
}

/* Silence */

static void crowd(int count, const char *bytes, size_t n)
{
    struct wire *all = calloc((size_t)count, sizeof *all);

    for (int i = 0; all != NULL && i < count; i++) {
        if (!begin(&all[i]))
            break;
        if (n > 0)
            raw_bytes(&all[i], bytes, n);
    }
    case_normal(); /* somebody who does speak is served meanwhile */
    for (int i = 0; all != NULL && i < count; i++)
        wire_drop(&all[i]);
    free(all);
}

void case_half_frames(void)
{
    crowd(200, "\0\0\0\x20" "C", 5);
    crowd(200, "\0\0", 2);
}

void case_silent(void)
{
    crowd(500, NULL, 0);
}

void case_come_and_go(void)
{
    for (int i = 0; i < 1000 && !hostile_failed; i++) {
        struct wire w;

        if (!begin(&w))
            return;
        if (i % 2 == 1)
            FRAME(&w, 'H', "gone.example.net\0");
        wire_drop(&w);
    }
}
