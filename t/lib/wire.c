/* wire.c - Postfix's side of the milter protocol: frames, negotiation, commands, answers. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmilter/mfdef.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire.h"

#define OFFERED_ACTIONS 0x1ffU      /* what Postfix 3.7 offers */
#define OFFERED_PROTOCOL 0x1fffffU
#define FRAME_MAX (1024 * 1024)     /* no filter of ours answers more in one frame */
#define EDITS_MAX 100000
#define BUFFER_FIRST 4096           /* Postfix's stream buffer: what is not waited for is sent when it is full */
#define DEFAULT_TIMEOUT_MS 10000

static void *wire_grow(void *p, size_t n)
{
    p = realloc(p, n);
    if (p == NULL) {
        fputs("wire: out of memory\n", stderr);
        abort();
    }
    return p;
}

static char *wire_copy(const char *p, size_t n)
{
    char *copy = wire_grow(NULL, n + 1);

    memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

/* Out: frames are collected and sent when an answer is waited for. */

static void out_add(struct wire *w, const void *bytes, size_t n)
{
    if (w->io.out_n + n > w->io.out_max) {
        w->io.out_max = (w->io.out_n + n) * 2 + BUFFER_FIRST;
        w->io.out = wire_grow(w->io.out, w->io.out_max);
    }
    if (n > 0)
        memcpy(w->io.out + w->io.out_n, bytes, n);
    w->io.out_n += n;
}

static void out_u32(struct wire *w, uint32_t value)
{
    uint32_t net = htonl(value);

    out_add(w, &net, sizeof net);
}

static void out_text(struct wire *w, const char *text)
{
    out_add(w, text, strlen(text) + 1);
}

static size_t frame_begin(struct wire *w, char command)
{
    size_t at = w->io.out_n;

    out_u32(w, 0);
    out_add(w, &command, 1);
    return at;
}

static void frame_end(struct wire *w, size_t at)
{
    uint32_t net = htonl((uint32_t)(w->io.out_n - at - 4));

    memcpy(w->io.out + at, &net, sizeof net);
}

void wire_queue(struct wire *w, char command, const void *bytes, size_t n)
{
    size_t at = frame_begin(w, command);

    out_add(w, bytes, n);
    frame_end(w, at);
}

static void apply_timeout(struct wire *w)
{
    int ms = w->timeout_ms > 0 ? w->timeout_ms : DEFAULT_TIMEOUT_MS;
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

    if (ms == w->io.applied_ms)
        return;
    setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    w->io.applied_ms = ms;
}

/* out_flush - 0, WIRE_CLOSED or WIRE_TIMEOUT. */
static int out_flush(struct wire *w)
{
    size_t sent = 0;

    if (w->fd < 0)
        return WIRE_CLOSED;
    apply_timeout(w);
    while (sent < w->io.out_n) {
        ssize_t n = send(w->fd, w->io.out + sent, w->io.out_n - sent, MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else if (errno != EINTR)
            break;
    }
    if (sent < w->io.out_n) {
        bool late = errno == EAGAIN || errno == EWOULDBLOCK;

        w->io.out_n = 0;
        return late ? WIRE_TIMEOUT : WIRE_CLOSED;
    }
    w->io.out_n = 0;
    return 0;
}

/* In */

/* in_need - n bytes in the buffer: 0, WIRE_CLOSED or WIRE_TIMEOUT. */
static int in_need(struct wire *w, size_t n)
{
    while (w->io.in_to - w->io.in_from < n) {
        ssize_t got;

        if (w->io.in_from > 0) {
            memmove(w->io.in, w->io.in + w->io.in_from, w->io.in_to - w->io.in_from);
            w->io.in_to -= w->io.in_from;
            w->io.in_from = 0;
        }
        if (n + 1 > w->io.in_max) {
            w->io.in_max = n + BUFFER_FIRST;
            w->io.in = wire_grow(w->io.in, w->io.in_max);
        }
        got = recv(w->fd, w->io.in + w->io.in_to, w->io.in_max - w->io.in_to, 0);
        if (got > 0)
            w->io.in_to += (size_t)got;
        else if (got == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK))
            return WIRE_CLOSED;
        else if (errno != EINTR)
            return WIRE_TIMEOUT;
    }
    return 0;
}

static uint32_t get_u32(const char *p)
{
    uint32_t net;

    memcpy(&net, p, sizeof net);
    return ntohl(net);
}

/* keep_reply - what a client would read: "%%" stands for "%", as in Postfix; false where Postfix calls it malformed. */
static bool keep_reply(struct wire *w)
{
    const char *s = w->io.data;
    size_t n = 0;

    if (strlen(s) < 4 || (s[0] != '4' && s[0] != '5') || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9')
        return false;
    if ((s[3] != ' ' && s[3] != '-') || (s[4] >= '0' && s[4] <= '9' && s[5] == '.' && s[4] != s[0]))
        return false;
    for (; *s != '\0'; s++) {
        if (*s == '%' && s[1] == '%')
            s++;
        else if (*s == '%')
            continue;
        if (n + 1 >= sizeof w->reply)
            return false;
        w->reply[n++] = *s;
    }
    w->reply[n] = '\0';
    return true;
}

int wire_next(struct wire *w)
{
    int failed = out_flush(w);
    uint32_t length;
    char command;

    /* A filter that has closed may have answered before: what it said is still to be read. */
    if (w->fd < 0 || failed == WIRE_TIMEOUT)
        return failed;
    w->reply[0] = '\0';
    if ((failed = in_need(w, 5)) != 0)
        return failed;
    length = get_u32(w->io.in + w->io.in_from);
    if (length < 1 || length > FRAME_MAX)
        return WIRE_BAD;
    if ((failed = in_need(w, 4 + (size_t)length)) != 0)
        return failed;
    command = w->io.in[w->io.in_from + 4];
    w->io.data_n = length - 1;
    w->io.data = wire_grow(w->io.data, w->io.data_n + 1);
    memcpy(w->io.data, w->io.in + w->io.in_from + 5, w->io.data_n);
    w->io.data[w->io.data_n] = '\0';
    w->io.in_from += 4 + (size_t)length;
    if (command == SMFIR_REPLYCODE && !keep_reply(w))
        return WIRE_BAD;
    return (unsigned char)command;
}

static bool is_verdict(int command)
{
    return command > 0 && strchr("cartds", command) != NULL;
}

/* wire_verdict - the verdict on what was sent. A filter that still works says so, and the time begins anew. */
static int wire_verdict(struct wire *w)
{
    for (;;) {
        int got = wire_next(w);

        if (got == SMFIR_PROGRESS && w->io.data_n == 0)
            continue;
        if (got < 0 || got == WIRE_REPLYCODE)
            return got;
        return is_verdict(got) && w->io.data_n == 0 ? got : WIRE_BAD;
    }
}

/* wire_reply - the answer to the frame just queued, unless the filter said that none comes. */
static int wire_reply(struct wire *w, uint32_t no_reply)
{
    if ((w->protocol & no_reply) == 0)
        return wire_verdict(w);
    w->reply[0] = '\0';
    if (w->io.out_n >= BUFFER_FIRST)
        return out_flush(w);
    return WIRE_NONE;
}

/* Connection and negotiation */

static int dial(const struct sockaddr *address, socklen_t n)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, address, n) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    if (n >= sizeof sun.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sun.sun_path, path, n + 1);
    return dial((struct sockaddr *)&sun, sizeof sun);
}

/* connect_inet - "PORT@HOST". */
static int connect_inet(const char *where, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *found = NULL;
    size_t n = strcspn(where, "@");
    char port[16];
    int fd = -1, saved;

    errno = EINVAL;
    if (where[n] == '\0' || n >= sizeof port)
        return -1;
    memcpy(port, where, n);
    port[n] = '\0';
    if (getaddrinfo(where + n + 1, port, &hints, &found) != 0) {
        errno = EINVAL;
        return -1;
    }
    for (struct addrinfo *ai = found; ai != NULL && fd < 0; ai = ai->ai_next)
        fd = dial(ai->ai_addr, ai->ai_addrlen);
    saved = errno;
    freeaddrinfo(found);
    errno = saved;
    return fd;
}

static bool take_symbols(struct wire *w, const char *p, size_t n)
{
    while (n > 0) {
        const char *end;
        uint32_t stage;

        if (n < 5 || (end = memchr(p + 4, '\0', n - 4)) == NULL)
            return false;
        stage = get_u32(p);
        if (stage > 6 || w->symbols[stage] != NULL)
            return false;
        w->symbols[stage] = wire_copy(p + 4, (size_t)(end - p - 4));
        n -= (size_t)(end + 1 - p);
        p = end + 1;
    }
    return true;
}

static bool wire_negotiate(struct wire *w)
{
    size_t at = frame_begin(w, SMFIC_OPTNEG);
    int got;

    out_u32(w, 6);
    out_u32(w, OFFERED_ACTIONS);
    out_u32(w, OFFERED_PROTOCOL);
    frame_end(w, at);
    got = wire_next(w);
    if (got != SMFIC_OPTNEG || w->io.data_n < 12) {
        errno = got == WIRE_TIMEOUT ? ETIMEDOUT : got == WIRE_CLOSED ? ECONNRESET : EPROTO;
        return false;
    }
    w->actions = get_u32(w->io.data + 4);
    w->protocol = get_u32(w->io.data + 8);
    if (get_u32(w->io.data) > 6 || (w->actions & ~OFFERED_ACTIONS) != 0 || (w->protocol & ~OFFERED_PROTOCOL) != 0
        || !take_symbols(w, w->io.data + 12, w->io.data_n - 12)) {
        errno = EPROTO;
        return false;
    }
    return true;
}

bool wire_dial(struct wire *w, const char *socket)
{
    int timeout_ms = w->timeout_ms;

    *w = (struct wire){.fd = -1, .timeout_ms = timeout_ms};
    errno = EINVAL;
    if (strncmp(socket, "unix:", 5) == 0)
        w->fd = connect_unix(socket + 5);
    else if (strncmp(socket, "inet:", 5) == 0)
        w->fd = connect_inet(socket + 5, AF_INET);
    else if (strncmp(socket, "inet6:", 6) == 0)
        w->fd = connect_inet(socket + 6, AF_INET6);
    return w->fd >= 0;
}

bool wire_open(struct wire *w, const char *socket)
{
    int saved;

    if (!wire_dial(w, socket))
        return false;
    if (wire_negotiate(w))
        return true;
    saved = errno;
    wire_drop(w);
    errno = saved;
    return false;
}

static void forget_edits(struct wire *w)
{
    for (size_t i = 0; i < w->edit_count; i++) {
        free(w->edits[i].name);
        free(w->edits[i].value);
    }
    free(w->edits);
    w->edits = NULL;
    w->edit_count = 0;
}

void wire_drop(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    forget_edits(w);
    for (size_t i = 0; i < sizeof w->symbols / sizeof w->symbols[0]; i++) {
        free(w->symbols[i]);
        w->symbols[i] = NULL;
    }
    free(w->io.out);
    free(w->io.in);
    free(w->io.data);
    memset(&w->io, 0, sizeof w->io);
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0) {
        wire_queue(w, SMFIC_QUIT, NULL, 0);
        out_flush(w);
    }
    wire_drop(w);
}

/* Macros */

/* stage_of - libmilter's SMFIM_ number of a command, or -1. */
static int stage_of(char command)
{
    static const char stages[] = "CHMRTEN";
    const char *at = command != '\0' ? strchr(stages, command) : NULL;

    return at != NULL ? (int)(at - stages) : -1;
}

static const char *const postfix_macros[] = {
    "_ j v {daemon_name} {daemon_addr}",
    "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
    "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
    "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
    "i", "i", "i",
};

bool wire_asks(const struct wire *w, char command, const char *name)
{
    int stage = stage_of(command);
    size_t n = strlen(name);
    const char *list;

    if (stage < 0)
        return false;
    list = w->symbols[stage] != NULL ? w->symbols[stage] : postfix_macros[stage];
    while (*list != '\0') {
        size_t word = strcspn(list, " ,");

        if (word == n && memcmp(list, name, n) == 0)
            return true;
        list += word + strspn(list + word, " ,");
    }
    return false;
}

bool wire_macros(struct wire *w, char command, const char *const *pairs)
{
    size_t at = frame_begin(w, SMFIC_MACRO);

    out_add(w, &command, 1);
    for (; *pairs != NULL; pairs++)
        out_text(w, *pairs);
    frame_end(w, at);
    return w->fd >= 0;
}

/* Commands, in the order of SMTP */

int wire_connect(struct wire *w, const char *name, const char *address, unsigned port)
{
    uint16_t net_port = htons((uint16_t)port);
    char family = strcmp(address, "unknown") == 0 ? SMFIA_UNKNOWN
                  : strchr(address, ':') != NULL  ? SMFIA_INET6
                                                  : SMFIA_INET;
    size_t at;

    if (w->protocol & SMFIP_NOCONNECT)
        return WIRE_NONE;
    at = frame_begin(w, SMFIC_CONNECT);
    out_text(w, name);
    out_add(w, &family, 1);
    if (family != SMFIA_UNKNOWN) {
        out_add(w, &net_port, sizeof net_port);
        out_text(w, address);
    }
    frame_end(w, at);
    return wire_reply(w, SMFIP_NR_CONN);
}

static int wire_words(struct wire *w, char command, const char *const *words, uint32_t no_step, uint32_t no_reply)
{
    size_t at;

    if (w->protocol & no_step)
        return WIRE_NONE;
    at = frame_begin(w, command);
    for (; *words != NULL; words++)
        out_text(w, *words);
    frame_end(w, at);
    return wire_reply(w, no_reply);
}

int wire_helo(struct wire *w, const char *name)
{
    return wire_words(w, SMFIC_HELO, (const char *const[]){name, NULL}, SMFIP_NOHELO, SMFIP_NR_HELO);
}

int wire_mail(struct wire *w, const char *const *args)
{
    return wire_words(w, SMFIC_MAIL, args, SMFIP_NOMAIL, SMFIP_NR_MAIL);
}

int wire_rcpt(struct wire *w, const char *const *args)
{
    return wire_words(w, SMFIC_RCPT, args, SMFIP_NORCPT, SMFIP_NR_RCPT);
}

int wire_data(struct wire *w)
{
    return wire_words(w, SMFIC_DATA, (const char *const[]){NULL}, SMFIP_NODATA, SMFIP_NR_DATA);
}

int wire_unknown(struct wire *w, const char *verb)
{
    return wire_words(w, SMFIC_UNKNOWN, (const char *const[]){verb, NULL}, SMFIP_NOUNKNOWN, SMFIP_NR_UNKN);
}

int wire_header(struct wire *w, const char *name, const char *value)
{
    if ((w->protocol & SMFIP_HDR_LEADSPC) == 0 && *value == ' ')
        value++;
    return wire_words(w, SMFIC_HEADER, (const char *const[]){name, value, NULL}, SMFIP_NOHDRS, SMFIP_NR_HDR);
}

int wire_eoh(struct wire *w)
{
    return wire_words(w, SMFIC_EOH, (const char *const[]){NULL}, SMFIP_NOEOH, SMFIP_NR_EOH);
}

int wire_body(struct wire *w, const void *bytes, size_t n)
{
    const char *p = bytes;
    int got = WIRE_NONE;

    if (w->protocol & SMFIP_NOBODY)
        return WIRE_NONE;
    do {
        size_t chunk = n < MILTER_CHUNK_SIZE ? n : MILTER_CHUNK_SIZE;

        wire_queue(w, SMFIC_BODY, p, chunk);
        got = wire_reply(w, SMFIP_NR_BODY);
        p += chunk;
        n -= chunk;
    } while (n > 0 && (got == WIRE_CONTINUE || got == WIRE_NONE));
    return got;
}

/* End of message */

static bool keep_edit(struct wire *w, int command)
{
    bool has_index = command == SMFIR_CHGHEADER || command == SMFIR_INSHEADER;
    bool has_value = has_index || command == SMFIR_ADDHEADER;
    bool may_have_value = command == SMFIR_ADDRCPT_PAR || command == SMFIR_CHGFROM;
    const char *p = w->io.data, *value = NULL;
    size_t n = w->io.data_n, name_n;
    struct wire_edit edit = {.command = (char)command};

    if (strchr("+-2bhimqe", command) == NULL || w->edit_count >= EDITS_MAX)
        return false;
    if (has_index) {
        if (n < 4)
            return false;
        edit.index = get_u32(p);
        p += 4;
        n -= 4;
    }
    name_n = n;
    if (command != SMFIR_REPLBODY) {
        if (n == 0 || p[n - 1] != '\0')
            return false;
        name_n = strlen(p);
        if (name_n + 1 < n && (has_value || may_have_value))
            value = p + name_n + 1;
        if ((has_value && value == NULL) || name_n + 1 + (value != NULL ? strlen(value) + 1 : 0) != n)
            return false;
    }
    edit.name = wire_copy(p, name_n);
    edit.length = name_n;
    edit.value = value != NULL ? wire_copy(value, strlen(value)) : NULL;
    w->edits = wire_grow(w->edits, (w->edit_count + 1) * sizeof *w->edits);
    w->edits[w->edit_count++] = edit;
    return true;
}

int wire_eom_with(struct wire *w, const void *bytes, size_t n)
{
    wire_queue(w, SMFIC_BODYEOB, bytes, w->protocol & SMFIP_NOBODY ? 0 : n);
    forget_edits(w);
    for (;;) {
        int got = wire_next(w);

        if (got < 0 || got == WIRE_REPLYCODE)
            return got;
        if (got == SMFIR_PROGRESS)
            continue;
        if (is_verdict(got))
            return w->io.data_n == 0 && got != WIRE_SKIP ? got : WIRE_BAD;
        if (!keep_edit(w, got))
            return WIRE_BAD;
    }
}

int wire_eom(struct wire *w)
{
    return wire_eom_with(w, NULL, 0);
}

int wire_abort(struct wire *w)
{
    wire_queue(w, SMFIC_ABORT, NULL, 0);
    return out_flush(w);
}

/* Anything at all */

bool wire_raw(struct wire *w, char command, const void *bytes, size_t n, long length_field)
{
    size_t at = w->io.out_n;

    wire_queue(w, command, bytes, n);
    if (length_field != -1) {
        uint32_t net = htonl((uint32_t)length_field);

        memcpy(w->io.out + at, &net, sizeof net);
    }
    return out_flush(w) == 0;
}
