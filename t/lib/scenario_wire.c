/* scenario_wire.c - the driver that speaks the milter protocol to the daemon, as Postfix does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenario.h"
#include "scenario_daemon.h"
#include "wire.h"

#include "milter/base/ip.h"
#include "milter/edits.h"

#define CHUNK 65535
#define MACROS_MOST 16
#define LEADING_BLANK 0x100000U /* SMFIP_HDR_LEADSPC */

struct wire_driver {
    struct play *play;
    struct daemon *daemon;
    struct wire wire;
    struct str socket;
    bool open;
};

/* Macros of one command, of which only those are sent that the filter asked for. */
struct macros {
    const char *items[MACROS_MOST * 2 + 1];
    size_t count;
};

static void macro(struct wire_driver *wd, struct macros *m, char command, const char *name, struct str value)
{
    if (!value.n || m->count == MACROS_MOST * 2 || !wire_asks(&wd->wire, command, name))
        return;
    m->items[m->count++] = name;
    m->items[m->count++] = str_c(wd->play->arena, value);
}

static void send_macros(struct wire_driver *wd, struct macros *m, char command)
{
    m->items[m->count] = NULL;
    if (m->count)
        wire_macros(&wd->wire, command, m->items);
}

/* hear - the filter's answer in the words Postfix has for it. */
static void hear(struct wire_driver *wd, int answer, struct seen *seen)
{
    struct arena *a = wd->play->arena;
    const char *what;

    switch (answer) {
    case WIRE_NONE:
    case WIRE_CONTINUE:
    case WIRE_ACCEPT:
    case WIRE_SKIP:
        return;
    case WIRE_REPLYCODE:
        seen->reply = str_dup(a, str_of(wd->wire.reply));
        seen->closed = str_starts(seen->reply, STR("421")) || str_starts(seen->reply, STR("521"));
        return;
    case WIRE_REJECT:
        seen->reply = STR("550 5.7.1 Command rejected");
        return;
    case WIRE_TEMPFAIL:
        seen->reply = STR("451 4.7.1 Service unavailable - try again later");
        return;
    default:
        what = answer == WIRE_CLOSED    ? "the end of the connection"
               : answer == WIRE_TIMEOUT ? "none in time"
               : answer == WIRE_DISCARD ? "to discard"
                                        : "not of the protocol";
        seen->error = arena_printf(a, "the daemon's answer is %s", what);
    }
}

static void connect_to(struct wire_driver *wd, const struct step *step, struct seen *seen)
{
    struct arena *a = wd->play->arena;
    struct macros m = {.count = 0};
    struct str address = step->client;
    struct ip ip;

    if (!wire_open(&wd->wire, wd->socket.p)) {
        seen->error = STR("the daemon does not negotiate");
        return;
    }
    wd->open = true;
    if (ip_parse(step->client, &ip) && !ip_is_v4(ip))
        address = arena_printf(a, "IPv6:" STR_FMT, STR_ARG(ip_text(a, ip)));
    macro(wd, &m, 'C', "{daemon_name}", step->daemon_name);
    if (step->server_port)
        macro(wd, &m, 'C', "{daemon_port}", arena_printf(a, "%u", step->server_port));
    macro(wd, &m, 'C', "{client_addr}", address);
    if (step->client_port)
        macro(wd, &m, 'C', "{client_port}", arena_printf(a, "%u", step->client_port));
    macro(wd, &m, 'C', "{client_name}", step->name.n ? step->name : STR("unknown"));
    send_macros(wd, &m, 'C');
    hear(wd, wire_connect(&wd->wire,
                          step->name.n ? str_c(a, step->name) : arena_printf(a, "[" STR_FMT "]", STR_ARG(address)).p,
                          str_c(a, address), step->client_port),
         seen);
}

static const char *const *c_words(struct arena *a, const struct words *w)
{
    const char **list = arena_array(a, w->count + 1, sizeof *list);

    for (size_t i = 0; i < w->count; i++)
        list[i] = str_c(a, w->items[i]);
    return list;
}

static void mail(struct wire_driver *wd, const struct step *step, struct seen *seen)
{
    struct macros m = {.count = 0};

    if (wd->play->in_message)
        wire_abort(&wd->wire);
    macro(wd, &m, 'M', "{auth_authen}", wd->play->auth);
    macro(wd, &m, 'M', "{tls_version}", wd->play->tls);
    send_macros(wd, &m, 'M');
    hear(wd, wire_mail(&wd->wire, c_words(wd->play->arena, &step->args)), seen);
    if (seen->reply.n)
        wire_abort(&wd->wire);
}

/* queue_id - Postfix has one from the first accepted recipient on. */
static void queue_id(struct wire_driver *wd, char command)
{
    struct macros m = {.count = 0};

    if (wd->play->rcpts)
        macro(wd, &m, command, "i", STR("4ZQueueId0"));
    send_macros(wd, &m, command);
}

static void data(struct wire_driver *wd, struct seen *seen)
{
    queue_id(wd, 'T');
    hear(wd, wire_data(&wd->wire), seen);
}

/* edit_seen - in edit_text()'s words, so that all drivers say the same. */
static struct str edit_seen(struct wire_driver *wd, const struct wire_edit *from)
{
    struct str name = str_of(from->name), value = str_of(from->value);
    struct edit edit = {.name = name, .index = (int)from->index};

    /* The blank behind the colon is the filter's to send when it was negotiated so, and no part of the value. */
    if ((wd->wire.protocol & LEADING_BLANK) && str_starts(value, STR(" ")))
        value = str_slice(value, 1, value.n);
    edit.value = value;

    switch (from->command) {
    case 'h':
        edit.kind = EDIT_ADD_HEADER;
        break;
    case 'i':
        edit.kind = EDIT_INSERT_HEADER;
        break;
    case 'm':
        edit.kind = value.n ? EDIT_CHANGE_HEADER : EDIT_DELETE_HEADER;
        break;
    case '+':
    case '-':
        edit.kind = from->command == '+' ? EDIT_ADD_RCPT : EDIT_DELETE_RCPT;
        if (name.n > 1 && name.p[0] == '<' && name.p[name.n - 1] == '>')
            edit.name = str_slice(name, 1, name.n - 1);
        break;
    case 'b':
        edit.kind = EDIT_REPLACE_BODY;
        edit.value = (struct str){from->name, from->length};
        edit.name = STR_NONE;
        break;
    case 'q':
        edit.kind = EDIT_QUARANTINE;
        edit.value = name;
        edit.name = STR_NONE;
        break;
    default:
        return arena_printf(wd->play->arena, "unknown edit %c", from->command);
    }
    return edit_text(wd->play->arena, &edit);
}

static void message(struct wire_driver *wd, const struct step *step, struct seen *seen)
{
    struct play *p = wd->play;
    struct str rest = step->text, name, value;
    int answer = WIRE_NONE;

    seen->edits_known = true;
    if (!p->in_data)
        data(wd, seen);
    while (!seen->reply.n && !seen->error.n && scenario_field(p->arena, &rest, &name, &value))
        hear(wd, wire_header(&wd->wire, str_c(p->arena, name), str_c(p->arena, value)), seen);
    if (!seen->reply.n && !seen->error.n) {
        queue_id(wd, 'N');
        hear(wd, wire_eoh(&wd->wire), seen);
    }
    while (rest.n && !seen->reply.n && !seen->error.n && answer != WIRE_SKIP) {
        answer = wire_body(&wd->wire, rest.p, rest.n < CHUNK ? rest.n : CHUNK);
        hear(wd, answer, seen);
        rest = str_slice(rest, CHUNK, rest.n);
    }
    if (seen->reply.n || seen->error.n)
        return;
    queue_id(wd, 'E');
    hear(wd, wire_eom(&wd->wire), seen);
    for (size_t i = 0; i < wd->wire.edit_count; i++) {
        seen->edits = arena_grow(p->arena, seen->edits, seen->edit_count, sizeof *seen->edits);
        seen->edits[seen->edit_count++] = edit_seen(wd, &wd->wire.edits[i]);
    }
}

static void helo(struct wire_driver *wd, const struct step *step, struct seen *seen)
{
    struct macros m = {.count = 0};

    if (wd->play->in_message)
        wire_abort(&wd->wire);
    macro(wd, &m, 'H', "{tls_version}", wd->play->tls);
    send_macros(wd, &m, 'H');
    hear(wd, wire_helo(&wd->wire, str_c(wd->play->arena, step->args.items[0])), seen);
}

/* close_it - say QUIT and wait until the daemon has closed: then everything about the connection is in the log. */
static void close_it(struct wire_driver *wd, struct seen *seen)
{
    int answer;

    if (!wd->open)
        return;
    wd->open = false;
    wire_raw(&wd->wire, 'Q', NULL, 0, -1);
    answer = wire_next(&wd->wire);
    if (answer != WIRE_CLOSED)
        seen->error = STR("the daemon does not close the connection after QUIT");
    wire_drop(&wd->wire);
}

static void play_one(struct wire_driver *wd, const struct step *step, struct seen *seen)
{
    switch (step->kind) {
    case STEP_CONNECT:
        connect_to(wd, step, seen);
        break;
    case STEP_HELO:
    case STEP_EHLO:
        helo(wd, step, seen);
        break;
    case STEP_MAIL:
        mail(wd, step, seen);
        break;
    case STEP_RCPT:
        queue_id(wd, 'R');
        hear(wd, wire_rcpt(&wd->wire, c_words(wd->play->arena, &step->args)), seen);
        break;
    case STEP_UNKNOWN:
        hear(wd, wire_unknown(&wd->wire, str_c(wd->play->arena, step->args.items[0])), seen);
        break;
    case STEP_DATA:
        data(wd, seen);
        break;
    case STEP_MESSAGE:
        message(wd, step, seen);
        break;
    case STEP_ABORT:
        wire_abort(&wd->wire);
        break;
    case STEP_CLOSE:
        close_it(wd, seen);
        break;
    default:
        break;
    }
}

static bool wire_begin(struct play *p, struct str config, struct str *error)
{
    struct wire_driver *wd = arena_zalloc(p->arena, sizeof *wd);

    (void)config;
    wd->play = p;
    wd->socket = arena_printf(p->arena, "unix:" STR_FMT "/milter.sock", STR_ARG(p->dir));
    wd->daemon = daemon_start(p, error);
    p->state = wd;
    return wd->daemon;
}

static void wire_step(struct play *p, const struct step *step, struct seen *seen)
{
    struct wire_driver *wd = p->state;

    daemon_world(wd->daemon, p);
    if (!play_stuck(p, step, seen))
        play_one(wd, step, seen);
    daemon_lines(wd->daemon, p, seen, seen->error.n ? 0 : play_lines_due(p, step, seen->reply.n > 0));
}

static void wire_end(struct play *p)
{
    struct wire_driver *wd = p->state;

    if (wd->open)
        wire_drop(&wd->wire);
    daemon_end(wd->daemon);
}

const struct driver driver_wire = {
    .name = "wire",
    .bit = DRIVER_WIRE,
    .begin = wire_begin,
    .step = wire_step,
    .end = wire_end,
    .finish = daemons_finish,
};
