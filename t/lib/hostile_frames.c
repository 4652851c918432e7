/* hostile_frames.c - nonsense in frames, their order and their fields. */
#include <stdlib.h>
#include <string.h>

#include "hostile.h"

struct bytes { /* with NULs inside */
    const char *p;
    size_t n;
};

#define BYTES(text) {text, sizeof(text) - 1}
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Frames */

static void with_length(long length, size_t bytes)
{
    char *data = calloc(bytes + 1, 1);
    struct wire w;

    if (data != NULL && begin(&w)) {
        if (greet(&w))
            wire_raw(&w, 'M', data, bytes, length);
        end(&w);
    }
    free(data);
}

void case_truncated(void)
{
    with_length(100, 10);
    with_length(65536, 1000);
}

void case_oversized(void)
{
    with_length(0x7fffffff, 10);
    with_length(0x7fffffff, 3 * MEGABYTE);
    with_length(0xffffffff, 10);
    with_length(0x80000000, 10);
}

void case_oversized_2mb(void)
{
    with_length(2 * MEGABYTE, 2 * MEGABYTE);
    with_length(2 * MEGABYTE, 10);
}

void case_zero(void)
{
    struct wire w;

    if (!begin(&w))
        return;
    for (int i = 0; i < 100 && raw_bytes(&w, "\0\0\0\0", 4); i++)
        continue;
    end(&w);
}

void case_unknown_commands(void)
{
    for (int c = 0; c < 256 && !hostile_failed; c++) {
        struct wire w;

        if (!begin(&w))
            return;
        if (greet(&w))
            frame(&w, (char)c, "some\0data\0", 10);
        end(&w);
        if (!begin(&w))
            return;
        frame(&w, (char)c, NULL, 0); /* and before CONNECT, with nothing in it */
        end(&w);
    }
}

void case_negotiation(void)
{
    static const struct bytes bodies[] = {
        BYTES(""), BYTES("\0\0\0\6"), BYTES("\0\0\0\0\0\0\0\0\0\0\0\0"),
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), BYTES("\0\0\0\6\0\0\1\xff\0\0\0\0"),
        BYTES("\0\0\0\2\0\0\0\0\0\0\0\0"), BYTES("\0\0\0\6\0\0\1\xff\0\x1f\xff\xff" "and more"),
    };
    struct wire w;

    for (size_t i = 0; i < COUNT(bodies); i++) {
        if (!begin(&w))
            return;
        frame(&w, 'O', bodies[i].p, bodies[i].n); /* a second negotiation, and a bad one */
        frame(&w, 'O', bodies[i].p, bodies[i].n);
        FRAME(&w, 'H', "late.example\0");
        end(&w);
        if (!dial_only(&w)) /* and a first one */
            return;
        frame(&w, 'O', bodies[i].p, bodies[i].n);
        FRAME(&w, 'C', "mail.example.net\0" "4\x9c\x40" "192.0.2.7\0");
        FRAME(&w, 'M', "<sender@example.net>\0");
        end(&w);
    }
    if (!dial_only(&w))
        return;
    raw_bytes(&w, "EHLO me\r\nMAIL FROM:<a@b>\r\n", 26);
    end(&w);
    for (const char *at = "CHMRTLNBEUDAQK"; *at != '\0' && dial_only(&w); at++) {
        frame(&w, *at, "x\0", 2);
        end(&w);
    }
}

/* Order */

static void in_order(const char *commands, bool greeted)
{
    struct wire w;

    if (!begin(&w))
        return;
    if (!greeted || greet(&w)) {
        for (; *commands != '\0'; commands++) {
            switch (*commands) {
            case 'C': FRAME(&w, 'C', "mail.example.net\0" "4\x9c\x40" "192.0.2.7\0"); break;
            case 'H': FRAME(&w, 'H', "again.example.net\0"); break;
            case 'M': FRAME(&w, 'M', "<sender@example.net>\0"); break;
            case 'R': FRAME(&w, 'R', "<reader@example.org>\0"); break;
            case 'L': FRAME(&w, 'L', "Subject\0 text\0"); break;
            case 'B': FRAME(&w, 'B', "text\r\n"); break;
            case 'U': FRAME(&w, 'U', "XFOO\0"); break;
            case 'O': FRAME(&w, 'O', "\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"); break;
            default: frame(&w, *commands, NULL, 0); break;
            }
        }
    }
    end(&w);
}

void case_order(void)
{
    static const char *const cold[] = {
        "B", "E", "M", "R", "L", "N", "T", "A", "H", "BE", "CC", "MRTLNBE", "HMRTLNBE", "EEEE", "AAAA", "UUUUUUUUUU",
        "KKKK", "NCHM", "KCHMRTLNBE", "KOCHMRTLNBE",
    };
    static const char *const greeted[] = {
        "E", "R", "RM", "MM", "MMMM", "MH", "MRH", "MC", "MRC", "BMR", "T", "N", "L", "B", "MT", "ML", "MB", "ME",
        "MRE", "MRTE", "MRTEE", "MRTLNEB", "MRTLLNNBBEE", "MRTNLBE", "MRTBLNE", "AMARA", "MRTLA", "MRTLNBAE",
        "MRTLNBU", "MUR", "MRTLNBEMRTLNBE", "MRMRMRTLNBE", "CHMRTLNBE", "MRTLNBK", "MRTLNBKCHMRTLNBE", "KOCHMRTLNBE",
        "MRTLNBO", "EMRTLNBE",
    };

    for (size_t i = 0; i < COUNT(cold) && !hostile_failed; i++)
        in_order(cold[i], false);
    for (size_t i = 0; i < COUNT(greeted) && !hostile_failed; i++)
        in_order(greeted[i], true);
}

/* QUIT_NC after a message: the same connection carries another session. libmilter knows no other place for it. */
void case_quit_nc(void)
{
    struct wire w;

    if (!begin(&w))
        return;
    for (int i = 0; i < 20 && !hostile_failed; i++) {
        if (!greet(&w) || !normal_message(&w))
            complain("a session after QUIT_NC was refused");
        frame(&w, 'K', NULL, 0);
    }
    end(&w);
}

/* Fields */

static const char nasty[] = "a\r\nb: c\n\rd\x80\xff\xfe\x1b[31m\t\"\\%n%s%%\x7f\x01\xc3\xa9\xed\xa0\x80";

/* nasty_field - the command `at` with such bytes, in a state where it belongs. */
static void nasty_field(struct wire *w, char at, const char *data, size_t n)
{
    if (at == 'C') {
        char connect[3 * sizeof nasty];
        size_t to = sizeof nasty;

        memcpy(connect, nasty, to);
        memcpy(connect + to, "4\x9c\x40", 3);
        memcpy(connect + to + 3, data, n);
        frame(w, 'C', connect, to + 3 + n);
        return;
    }
    if (greet(w) && (strchr("HMU", at) != NULL || mail(w)) && (strchr("LTNB", at) == NULL || rcpt(w)))
        frame(w, at, data, n);
}

static void nasty_session(struct wire *w, const char *data, size_t n)
{
    for (const char *at = "CHMRTNE"; *at != '\0'; at++)
        wire_macros(w, *at, (const char *const[]){"i", nasty, "{auth_authen}", nasty, "{daemon_name}", nasty,
                                                  "{daemon_port}", nasty, "{tls_version}", nasty,
                                                  "{client_addr}", nasty, nasty, nasty, NULL});
    frame(w, 'H', data, n);
    wire_macros(w, 'M', (const char *const[]){"{auth_authen}", nasty, "i", nasty, NULL});
    FRAME(w, 'M', "<\"quoted local\\\" part\"@example.net>\0SMTPUTF8\0");
    FRAME(w, 'R', "<\xc3\xa9t\xc3\xa9@\xc3\xa9t\xc3\xa9.example>\0");
    FRAME(w, 'R', "<@a,@b:user%other@[127.0.0.1]>\0NOTIFY=\r\nRCPT TO:<x>\0");
    frame(w, 'L', data, n);
    FRAME(w, 'L', "\0\0");
    FRAME(w, 'L', "X: Y\0 a\r\n b\r\n\r\nbody?\0");
    frame(w, 'B', data, n);
    FRAME(w, 'E', "\0\r\n.\r\n\n.\n");
    frame(w, 'M', data, n);
    frame(w, 'R', data, n);
    frame(w, 'A', NULL, 0);
}

void case_bytes(void)
{
    char with_nul[sizeof nasty + 8]; /* NUL ends a field: what follows is one field too many */
    struct wire w;

    memcpy(with_nul, nasty, sizeof nasty - 1);
    memcpy(with_nul + sizeof nasty - 1, "\0tail\0\0\0", 9);
    for (const char *at = "CHMRTLUNB"; *at != '\0' && !hostile_failed; at++) {
        for (int nul = 0; nul < 2 && begin(&w); nul++) {
            const char *data = nul ? with_nul : nasty;
            size_t n = nul ? sizeof with_nul : sizeof nasty;

            nasty_field(&w, *at, data, n);
            nasty_session(&w, data, n);
            end(&w);
        }
    }
}

void case_empty(void)
{
    for (const char *at = "CHMRTLNBEUDAO"; *at != '\0' && !hostile_failed; at++) {
        struct wire w;

        if (!begin(&w))
            return;
        if (*at != 'C' && !greet(&w))
            return;
        if (strchr("RTLNBE", *at) != NULL)
            mail(&w);
        frame(&w, *at, NULL, 0);
        frame(&w, *at, "\0", 1);
        frame(&w, *at, "x", 1); /* not ended by a NUL */
        frame(&w, *at, "x\0y", 3);
        frame(&w, *at, "\0\0\0\0\0\0\0\0", 8);
        end(&w);
    }
}

/* with_macros - a session with these bytes as macros before each of its commands. */
static void with_macros(const char *bytes, size_t n)
{
    struct wire w;

    if (!begin(&w))
        return;
    frame(&w, 'D', bytes, n);
    if (greet(&w)) {
        frame(&w, 'D', bytes, n);
        mail(&w);
        frame(&w, 'D', bytes, n);
        rcpt(&w);
    }
    end(&w);
}

void case_macros(void)
{
    static const struct bytes bodies[] = {
        BYTES(""), BYTES("C"), BYTES("Cname"), BYTES("Cname\0value\0cut"), BYTES("C\0\0\0\0"), BYTES("?x\0y\0"),
        BYTES("\0"), BYTES("\xff" "x\0y\0"), BYTES("M{auth_authen\0x\0"), BYTES("M{}\0x\0"),
        BYTES("M{auth_authen}\0\0"), BYTES("M{daemon_port}\0" "99999999999999\0"), BYTES("C{daemon_port}\0-1\0"),
        BYTES("C{daemon_port}\0" "465 587\0"), BYTES("C{client_addr}\0IPv6:\0"),
    };
    char *big = calloc(64999, 1);

    for (size_t i = 0; i < COUNT(bodies) && !hostile_failed; i++)
        with_macros(bodies[i].p, bodies[i].n);
    if (big != NULL) {
        big[0] = 'C'; /* tens of thousands of empty ones */
        with_macros(big, 64999);
        memset(big + 1, 'x', 64996); /* one that is all name */
        with_macros(big, 64999);
    }
    free(big);
}

/* A name without a value: Debian 12's smfi_getsymval() then reads past the end of its list, and may crash. */
void case_odd_macros(void)
{
    static const struct bytes bodies[] = {
        BYTES("Cname\0"), BYTES("Cname\0cut"), BYTES("Cname\0value\0odd\0"), BYTES("C\0\0\0\0\0"),
        BYTES("M{auth_authen}\0"), BYTES("Ma\0b\0c\0d\0e\0"), BYTES("Ra\0"),
    };

    for (size_t i = 0; i < COUNT(bodies) && !hostile_failed; i++)
        with_macros(bodies[i].p, bodies[i].n);
}

void case_connect(void)
{
    static const struct bytes bodies[] = {
        BYTES("n\0" "7\0\x19" "192.0.2.7\0"), BYTES("n\0" "4\0\x19" "2001:db8::1\0"),
        BYTES("n\0" "6\0\x19" "192.0.2.7\0"), BYTES("n\0" "6\0\x19" "IPv6:zz::\0"), BYTES("n\0" "4\0"),
        BYTES("n\0" "4"), BYTES("n\0" "4\0\x19" "1.2.3.4"), BYTES("n\0" "4\0\x19" "999.1.1.1\0"),
        BYTES("n\0" "4\0\x19\0"), BYTES("\0" "4\0\x19" "1.2.3.4\0"), BYTES("n\0U\0"), BYTES("n\0U"),
        BYTES("n\0Utrailing"), BYTES("n\0L\0\0/tmp/x\0"), BYTES("n\0L\0\0\0"), BYTES("n"), BYTES("n\0"), BYTES("\0"),
        BYTES(""), BYTES("n\0" "4\0\x19" "1.2.3.4\0more\0"), BYTES("n\0" "6\0\x19" "::1%lo\0"),
    };

    for (size_t i = 0; i < COUNT(bodies) && !hostile_failed; i++) {
        struct wire w;

        if (!begin(&w))
            return;
        frame(&w, 'C', bodies[i].p, bodies[i].n);
        FRAME(&w, 'H', "mail.example.net\0");
        FRAME(&w, 'M', "<sender@example.net>\0");
        FRAME(&w, 'R', "<reader@example.org>\0");
        end(&w);
    }
}
