/* scenario_postfix.c - the driver that speaks SMTP to a private Postfix, behind which the test daemon filters.
 *
 * scenario_postfix.py starts the Postfix once for all files and starts this program again beside it. XCLIENT makes it
 * tell the filter the addresses and the login of the scenario.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "scenario_daemon.h"
#include "scenario_postfix.h"

#include "milter/base/ip.h"

#define ANSWER_S 90
#define OWN_ADDRESS "127.99.0.1" /* gets no filter before XCLIENT, see scenario_postfix.py */

struct smtp {
    struct play *play;
    struct daemon *daemon;
    int fd;
    char in[16384];
    size_t from, to;
    struct str line; /* the last line of the last answer */
    int code;        /* its code; -1: the connection is gone */
    struct str hello;  /* the last HELO or EHLO, whole */
    struct seen early; /* report lines that came before their time */
};

/* ---- SMTP ---- */

static bool read_line(struct smtp *s, struct str *line)
{
    for (;;) {
        char *end = memchr(s->in + s->from, '\n', s->to - s->from);
        ssize_t n;

        if (end) {
            *line = str_trim((struct str){s->in + s->from, (size_t)(end - s->in) - s->from});
            s->from = (size_t)(end + 1 - s->in);
            return true;
        }
        memmove(s->in, s->in + s->from, s->to - s->from);
        s->to -= s->from;
        s->from = 0;
        n = s->to < sizeof s->in ? recv(s->fd, s->in + s->to, sizeof s->in - s->to, 0) : 0;
        if (n <= 0)
            return false;
        s->to += (size_t)n;
    }
}

static int answer(struct smtp *s)
{
    struct str line = STR_NONE;
    long code = -1;

    do {
        if (!read_line(s, &line) || line.n < 3 || !str_to_long(str_slice(line, 0, 3), &code)) {
            s->line = STR("(the connection is gone)");
            return s->code = -1;
        }
    } while (line.n > 3 && line.p[3] == '-');
    s->line = str_dup(s->play->arena, line);
    play_note(s->play, "S: " STR_FMT, STR_ARG(str_escaped(s->play->arena, line)));
    return s->code = (int)code;
}

static void put(struct smtp *s, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

        if (n <= 0)
            return; /* the answer that does not come will tell */
        bytes = str_slice(bytes, (size_t)n, bytes.n);
    }
}

static int command(struct smtp *s, struct str text)
{
    struct buf b = buf_in(s->play->arena);

    play_note(s->play, "C: " STR_FMT, STR_ARG(str_escaped(s->play->arena, text)));
    buf_add(&b, text);
    buf_add(&b, STR("\r\n"));
    put(s, buf_str(&b));
    return answer(s);
}

static bool dial(struct smtp *s)
{
    const char *port = getenv("SME_SCENARIO_PORT");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from = to;
    struct timeval wait = {.tv_sec = ANSWER_S};

    to.sin_port = htons((uint16_t)strtoul(port ? port : "0", NULL, 10));
    inet_pton(AF_INET, OWN_ADDRESS, &from.sin_addr);
    s->from = s->to = 0;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return s->fd >= 0 && setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
           bind(s->fd, (struct sockaddr *)&from, sizeof from) == 0 &&
           connect(s->fd, (struct sockaddr *)&to, sizeof to) == 0;
}

static void hang_up(struct smtp *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* ---- steps ---- */

/* hear - the answer just read is the step's. */
static void hear(struct smtp *s, struct seen *seen)
{
    if (s->code >= 400 || s->code < 0)
        seen->reply = s->line;
    seen->closed = s->code == 421 || s->code == 521 || s->code < 0;
}

static bool refusal_expected(const struct step *step)
{
    for (const struct check *c = step->checks; c; c = c->next)
        if (c->kind == CHECK_REPLY)
            return !c->go_on;
    return false;
}

/* probe - a refusal at connect or HELO is told at MAIL; ask for it where one is expected, or where the banner hints. */
static void probe(struct smtp *s, struct seen *seen)
{
    if (command(s, STR("MAIL FROM:<>")) < 400 && s->code > 0)
        command(s, STR("RSET"));
    else
        hear(s, seen);
}

/* login - the user of the connection, which XCLIENT tells at its start: the filter hears of it only at MAIL. *wrong is
 * set when one message is to be sent before and another one after AUTH. */
static struct str login(const struct step *connect, bool *wrong)
{
    struct str user = STR_NONE;
    bool mailed = false;

    for (const struct step *s = connect->next; s && s->kind != STEP_CLOSE; s = s->next) {
        mailed |= s->kind == STEP_MAIL;
        if (s->kind != STEP_AUTH)
            continue;
        *wrong |= mailed || user.n;
        user = s->args.items[0];
    }
    return user;
}

static void add_xtext(struct buf *b, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (c <= ' ' || c >= 0x7f || c == '+' || c == '=')
            buf_addf(b, "+%02X", c);
        else
            buf_addc(b, (char)c);
    }
}

static struct str xclient(struct smtp *s, const struct step *step, struct str user)
{
    struct buf b = buf_in(s->play->arena);
    struct ip ip;

    buf_add(&b, STR("XCLIENT NAME="));
    add_xtext(&b, step->name.n ? step->name : STR("[UNAVAILABLE]"));
    buf_add(&b, STR(" ADDR="));
    if (ip_parse(step->client, &ip) && !ip_is_v4(ip))
        buf_add(&b, STR("IPV6:"));
    add_xtext(&b, str_is(step->client, STR("unknown")) ? STR("[UNAVAILABLE]") : step->client);
    buf_addf(&b, " PORT=%u", step->client_port);
    if (step->server_port)
        buf_addf(&b, " DESTPORT=%u", step->server_port);
    if (user.n) {
        buf_add(&b, STR(" LOGIN="));
        add_xtext(&b, user);
    }
    return buf_str(&b);
}

static void connect_to(struct smtp *s, const struct step *step, struct seen *seen)
{
    bool wrong = false;
    struct str user = login(step, &wrong);

    s->hello = STR_NONE;

    if (wrong || step->daemon_name.n || !step->server_port) {
        seen->error = STR("through Postfix this cannot be played (AUTH after a message, a daemon's name, no port): "
                          "say `only inprocess wire`");
        return;
    }
    if (!dial(s) || answer(s) != 220 || command(s, STR("EHLO scenario")) != 250) {
        seen->error = STR("Postfix does not answer");
        return;
    }
    command(s, xclient(s, step, user));
    if (s->code == 421) { /* Postfix has words of its own for that */
        hear(s, seen);
        seen->reply_unseen = true;
    } else if (s->code != 220 || refusal_expected(step)) {
        probe(s, seen);
    }
}

static void helo(struct smtp *s, const struct step *step, struct seen *seen)
{
    s->hello = arena_printf(s->play->arena, "%s " STR_FMT, step->kind == STEP_HELO ? "HELO" : "EHLO",
                            STR_ARG(step->args.items[0]));
    command(s, s->hello);
    if (s->code == 250 && refusal_expected(step))
        probe(s, seen);
    else
        hear(s, seen);
}

static void envelope(struct smtp *s, const char *verb, const struct step *step, struct seen *seen)
{
    struct buf b = buf_in(s->play->arena);

    buf_add(&b, str_of(verb));
    for (size_t i = 0; i < step->args.count; i++)
        buf_addf(&b, "%s" STR_FMT, i ? " " : "", STR_ARG(step->args.items[i]));
    command(s, buf_str(&b));
    hear(s, seen);
}

/* put_text - the message with the dots of SMTP, and the end. */
static void put_text(struct smtp *s, struct str text)
{
    struct buf b = buf_in(s->play->arena);
    bool begins = true;

    buf_add(&b, STR_NONE);
    for (size_t i = 0; i < text.n; i++) {
        if (begins && text.p[i] == '.')
            buf_addc(&b, '.');
        buf_addc(&b, text.p[i]);
        begins = i > 0 && text.p[i] == '\n' && text.p[i - 1] == '\r';
    }
    buf_add(&b, begins ? STR(".\r\n") : STR("\r\n.\r\n"));
    play_note(s->play, "C: (%zu bytes)", b.len);
    put(s, buf_str(&b));
}

static void message(struct smtp *s, const struct step *step, struct seen *seen)
{
    static const struct str queued = {"queued as ", 10};
    struct play *p = s->play;
    const char *at;

    if (!p->in_data && command(s, STR("DATA")) != 354) {
        hear(s, seen);
        return;
    }
    put_text(s, step->text);
    answer(s);
    hear(s, seen);
    if (seen->reply.n)
        return;
    at = strstr(s->line.p, queued.p);
    if (!at)
        seen->error = STR("Postfix does not tell the queue id");
    else
        queue_edits(p, step, str_of(at + queued.n), p->rcpts, seen);
}

/* unknown - Postfix refuses such a command anyway; ours are the answers with a reference. */
static void unknown(struct smtp *s, const struct step *step, struct seen *seen)
{
    command(s, step->args.items[0]);
    if (s->code < 0 || strstr(s->line.p, "(ref "))
        hear(s, seen);
}

/* reset - Postfix tells the filter of a RSET, but keeps that in its buffer until there is more to say, since no answer
 * comes to it. A greeting with the same name is more to say, and does nothing else. */
static void reset(struct smtp *s, struct seen *seen)
{
    if (s->play->in_data) {
        seen->error = STR("after DATA a client can only hang up: say `close`, or `only inprocess wire`");
        return;
    }
    command(s, STR("RSET"));
    if (s->play->in_message && s->hello.n)
        command(s, s->hello);
}

static void play_one(struct smtp *s, const struct step *step, struct seen *seen)
{
    switch (step->kind) {
    case STEP_CONNECT:
        connect_to(s, step, seen);
        break;
    case STEP_HELO:
    case STEP_EHLO:
        helo(s, step, seen);
        break;
    case STEP_TLS:
        seen->error = STR("through Postfix a TLS version cannot be played: say `only inprocess wire`");
        break;
    case STEP_MAIL:
        if (s->play->in_message) /* a second MAIL is refused by Postfix itself; RSET is what such clients mean */
            command(s, STR("RSET"));
        envelope(s, "MAIL FROM:", step, seen);
        break;
    case STEP_RCPT:
        envelope(s, "RCPT TO:", step, seen);
        break;
    case STEP_UNKNOWN:
        unknown(s, step, seen);
        break;
    case STEP_DATA:
        if (command(s, STR("DATA")) != 354)
            hear(s, seen);
        break;
    case STEP_MESSAGE:
        message(s, step, seen);
        break;
    case STEP_ABORT:
        reset(s, seen);
        break;
    case STEP_CLOSE:
        if (!s->play->hung_up && !s->play->in_data)
            command(s, STR("QUIT"));
        hang_up(s);
        break;
    default:
        break;
    }
}

/* ---- the driver ---- */

/* link_socket - Postfix finds this play's daemon under the name it knows. */
static bool link_socket(struct play *p)
{
    const char *name = getenv("SME_SCENARIO_SOCKET");
    struct str new_name = arena_printf(p->arena, "%s.new", name ? name : "");
    struct str target = arena_printf(p->arena, STR_FMT "/milter.sock", STR_ARG(p->dir));

    unlink(new_name.p);
    return name && symlink(target.p, new_name.p) == 0 && rename(new_name.p, name) == 0;
}

static bool postfix_begin(struct play *p, struct str config, struct str *error)
{
    struct smtp *s = arena_zalloc(p->arena, sizeof *s);

    (void)config;
    s->play = p;
    s->fd = -1;
    p->state = s;
    s->daemon = daemon_start(p, error);
    if (!s->daemon)
        return false;
    if (link_socket(p))
        return true;
    *error = STR("cannot show Postfix the daemon's socket");
    daemon_end(s->daemon);
    return false;
}

/* take_lines - Postfix leaves a filter that refused the connection at once, other drivers only at `close`: a line that
 * comes early waits for the step that it is due at. */
static void take_lines(struct smtp *s, const struct step *step, struct seen *seen)
{
    struct play *p = s->play;
    unsigned due = seen->error.n ? 0 : play_lines_due(p, step, seen->reply.n > 0);
    size_t now;

    daemon_lines(s->daemon, p, &s->early, due);
    now = step->kind == STEP_CLOSE ? s->early.line_count : due;
    for (size_t i = 0; i < now && i < s->early.line_count; i++)
        seen_line(p, seen, s->early.lines[i]);
    for (size_t i = now; i < s->early.line_count; i++)
        s->early.lines[i - now] = s->early.lines[i];
    s->early.line_count = s->early.line_count > now ? s->early.line_count - now : 0;
    seen->asked = s->early.asked;
    seen->unscripted = s->early.unscripted;
    s->early.asked = s->early.unscripted = (struct words){NULL, 0};
}

static void postfix_step(struct play *p, const struct step *step, struct seen *seen)
{
    struct smtp *s = p->state;

    daemon_world(s->daemon, p);
    if (!play_stuck(p, step, seen))
        play_one(s, step, seen);
    take_lines(s, step, seen);
}

static void postfix_end(struct play *p)
{
    struct smtp *s = p->state;

    hang_up(s);
    daemon_end(s->daemon);
}

/* postfix_prepare - become the command that scenario_postfix.py runs beside its Postfix. */
static int postfix_prepare(char **argv)
{
    static char python[] = "/usr/bin/python3";
    char self[4096], helper[4200], **args;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    size_t count = 0;

    if (getenv("SME_SCENARIO_PORT"))
        return -1;
    if (geteuid() != 0 || access("/usr/sbin/postfix", X_OK) != 0 || access("/usr/sbin/dovecot", X_OK) != 0) {
        printf("1..0 # SKIP the Postfix driver needs root, Postfix and Dovecot\n");
        return 0;
    }
    self[n > 0 ? n : 0] = '\0';
    while (argv[count])
        count++;
    args = calloc(count + 3, sizeof *args);
    if (!args)
        return EX_OSERR;
    snprintf(helper, sizeof helper, "%s/scenario_postfix.py", T_LIB_DIR);
    args[0] = python;
    args[1] = helper;
    args[2] = self;
    memcpy(args + 3, argv + 1, count * sizeof *args);
    args[count + 2] = NULL;
    fflush(stdout);
    execv(python, args);
    fprintf(stderr, "cannot run %s: %s\n", python, strerror(errno));
    free(args);
    return EX_UNAVAILABLE;
}

const struct driver driver_postfix = {
    .name = "postfix",
    .bit = DRIVER_POSTFIX,
    .begin = postfix_begin,
    .step = postfix_step,
    .end = postfix_end,
    .prepare = postfix_prepare,
    .finish = daemons_finish,
};
