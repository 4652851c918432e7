/* ask.c - the conversation. */
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/waiting.h"
#include "../dns/dns.h"
#include "ask.h"
#include "line.h"

#define ADDRESSES_MOST 4
#define ADDRESS_BYTES_MOST 1000
#define HELD_MOST 8     /* connections that wait for a next recipient, in the whole process */
#define REFUSALS_MOST 8 /* of one connection: servers slow down whom they refuse too often */

enum phase { NOT_CONNECTED, RESOLVING, CONNECTING, TALKING, SHAKING, READY };
enum turn { GREETING, EHLO, HELO, STARTTLS, MAIL, RCPT }; /* what the next reply is to */

struct smtp_asker {
    struct arena *arena;
    struct smtp_question q;
    struct smtp_answer answer;
    bool done;
    enum phase phase;
    enum turn turn;
    struct smtp_line *line;  /* NULL: none, or scripted */
    struct str server, sender; /* of the connection, `shown`; of its MAIL */
    bool in_tls, no_tls;
    bool said_utf8;          /* in MAIL */
    bool reused;             /* it has answered before: what fails now is tried again on a new one */
    bool held;               /* counted in `held` */
    bool entered;            /* see answers_enter() */
    unsigned offers, refusals;
    struct dns_question *dns[2];
    struct ip addresses[ADDRESSES_MOST];
    size_t count, at;
    int64_t step_deadline;   /* of CONNECTING and SHAKING */
    struct str said;         /* scripted: what it answers next */
    int64_t due;
};

static struct {
    void (*fn)(void *, struct str, struct smtp_act *);
    void *ctx;
} script;

static atomic_uint held;
static void connect_next(struct smtp_asker *s);
static void begin(struct smtp_asker *s);

/* tell - the log, of what keeps us from asking. */
static void tell(struct smtp_asker *s, const char *kind, struct str problem)
{
    struct str safe = str_escaped(s->arena, problem);

    if (answers_tell(s->q.where->shown, kind))
        log_warn("smtp_forward: " STR_FMT " " STR_FMT " (told once a minute)", STR_ARG(s->q.where->shown),
                 STR_ARG(safe));
}

/* ---- ends ---- */

static void release(struct smtp_asker *s)
{
    if (s->held)
        atomic_fetch_sub(&held, 1);
    s->held = false;
}

static void drop(struct smtp_asker *s)
{
    release(s);
    line_close(&s->line);
    s->phase = NOT_CONNECTED;
}

static void say_goodbye(struct smtp_asker *s)
{
    if (s->line)
        line_say(s->line, STR("QUIT\r\n"));
    drop(s);
}

void smtp_hang_up(struct smtp_asker *s)
{
    if (s->phase == READY)
        say_goodbye(s);
    drop(s);
}

static void leave(struct smtp_asker *s)
{
    if (s->entered)
        answers_leave(s->q.where->shown, s->q.sender, s->q.rcpt);
    s->entered = false;
}

static void forget(void *ptr)
{
    leave(ptr);
    smtp_hang_up(ptr);
}

static void answered(struct smtp_asker *s, enum smtp_said said, const char *status, struct str text)
{
    s->answer = (struct smtp_answer){.said = said, .status = status, .text = text};
    s->answer.of_host = said == SMTP_UNKNOWN && (s->phase != TALKING || s->turn < MAIL);
    s->done = true;
    leave(s);
    answers_add(s->q.where->shown, s->q.sender, s->q.rcpt, &s->answer);
}

/* cannot_ask - ends the connection too. What is wrong is said behind the server's name. */
static void cannot_ask(struct smtp_asker *s, const char *status, struct str what)
{
    tell(s, status, what);
    answered(s, SMTP_UNKNOWN, status,
             arena_printf(s->arena, STR_FMT " " STR_FMT, STR_ARG(s->q.where->shown), STR_ARG(what)));
    drop(s);
}

static void is_loop(struct smtp_asker *s)
{
    s->phase = CONNECTING; /* of the host, wherever it was noticed */
    cannot_ask(s, "5.4.6", STR("is this server itself: its route leads back to where the recipient came from"));
}

static void without_tls(struct smtp_asker *s, struct str problem)
{
    s->no_tls = true;
    answers_add_no_tls(s->q.where->shown);
    tell(s, "plain", arena_printf(s->arena, "is asked without TLS: " STR_FMT, STR_ARG(problem)));
    connect_next(s);
}

/* broken - the connection is of no more use. */
static void broken(struct smtp_asker *s, struct str problem)
{
    if (s->line && line_came_back(s->line)) {
        is_loop(s);
    } else if (s->reused) {
        drop(s);
        begin(s);
    } else if (s->phase == SHAKING || (s->phase == TALKING && s->in_tls && s->turn == EHLO)) {
        without_tls(s, problem); /* or the server did not like it and says so late, as TLS 1.3 has it */
    } else if (s->phase == CONNECTING) {
        s->at++;
        if (s->at < s->count)
            connect_next(s);
        else
            cannot_ask(s, "5.4.1", arena_printf(s->arena, "cannot be connected to: " STR_FMT, STR_ARG(problem)));
    } else {
        cannot_ask(s, "5.4.2", problem);
    }
}

static void late(struct smtp_asker *s)
{
    s->reused = false;
    cannot_ask(s, s->phase == RESOLVING ? "5.4.3" : "5.4.1", STR("does not answer in time"));
}

/* ---- what is said ---- */

static void say(struct smtp_asker *s, enum turn turn, struct str line)
{
    s->phase = TALKING;
    s->turn = turn;
    s->said = line;
    if (s->line)
        line_say(s->line, line);
}

static void say_hello(struct smtp_asker *s, enum turn turn)
{
    say(s, turn, arena_printf(s->arena, "%s " STR_FMT "\r\n", turn == EHLO ? "EHLO" : "HELO", STR_ARG(s->q.hello)));
}

/* can_be_said - whether a server reads back what we mean. */
static bool can_be_said(struct str address, bool well_formed)
{
    for (size_t i = 0; i < address.n; i++) {
        unsigned char c = (unsigned char)address.p[i];

        if (c < 0x20 || c == 0x7f || (!well_formed && (c == '<' || c == '>' || c == ' ')))
            return false;
    }
    return address.n <= ADDRESS_BYTES_MOST;
}

static bool has_8bit(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return true;
    return false;
}

/* say_mail - a sender whom this server cannot read is left out, which says nothing against the recipient. */
static void say_mail(struct smtp_asker *s)
{
    bool can_utf8 = s->offers & SMTP_OFFERS_UTF8;
    struct str sender = s->q.sender;

    if (has_8bit(s->q.rcpt) && !can_utf8) {
        answered(s, SMTP_REFUSES, "5.6.7", STR("addresses beyond ASCII are not known there"));
        say_goodbye(s);
        return;
    }
    if (!can_be_said(sender, false) || (has_8bit(sender) && !can_utf8))
        sender = STR_NONE;
    s->said_utf8 = has_8bit(sender) || has_8bit(s->q.rcpt);
    s->sender = s->q.sender;
    say(s, MAIL, arena_printf(s->arena, "MAIL FROM:<" STR_FMT ">%s\r\n", STR_ARG(sender),
                              s->said_utf8 ? " SMTPUTF8" : ""));
}

static void say_rcpt(struct smtp_asker *s)
{
    say(s, RCPT, arena_printf(s->arena, "RCPT TO:<" STR_FMT ">\r\n", STR_ARG(s->q.rcpt)));
}

/* ---- what is heard ---- */

static void unexpected(struct smtp_asker *s, const char *to, const struct smtp_reply *r)
{
    broken(s, arena_printf(s->arena, "says %d " STR_FMT " to %s", r->code, STR_ARG(r->text), to));
}

static void greeted(struct smtp_asker *s, const struct smtp_reply *r)
{
    struct str words = r->text, name = STR_NONE;
    bool at_our_door = s->q.where->port == 25 || s->q.where->port == s->q.our_port;

    str_token(&words, &name);
    if (r->code != 220)
        unexpected(s, "a new connection", r);
    else if (at_our_door && str_is_nocase(name, s->q.hello))
        is_loop(s);
    else
        say_hello(s, EHLO);
}

static void begin_tls(struct smtp_asker *s)
{
    int64_t now = clock_ms();

    s->phase = SHAKING;
    s->step_deadline = now + (s->q.deadline - now) / 2; /* so that there is time for another try */
    if (s->line && line_heard(s->line).n)
        without_tls(s, STR("it spoke on before the TLS handshake"));
    else if (!s->line || !line_tls(s->line, s->q.where->host))
        without_tls(s, STR("there is no TLS"));
}

/* mailbox_answer - to RCPT. The connection stays for the next one if it can. */
static void mailbox_answer(struct smtp_asker *s, const struct smtp_reply *r)
{
    const char *status = str_dup(s->arena, str_of(r->status)).p;
    int class = r->code / 100;

    if (s->line && line_came_back(s->line)) {
        is_loop(s);
        return;
    }
    if ((r->code == 421 && s->reused) || class == 3) {
        unexpected(s, "RCPT", r);
        return;
    }
    answered(s, class == 2 ? SMTP_TAKES : class == 5 ? SMTP_REFUSES : SMTP_LATER, status, r->text);
    s->refusals += class != 2;
    s->phase = READY;
    s->held = true;
    if (atomic_fetch_add(&held, 1) >= HELD_MOST || s->refusals >= REFUSALS_MOST || r->code == 421)
        smtp_hang_up(s);
}

static void on_reply(struct smtp_asker *s, const struct smtp_reply *r)
{
    bool fine = r->code / 100 == 2;

    switch (s->turn) {
    case GREETING:
        greeted(s, r);
        return;
    case EHLO:
        s->offers = r->offers;
        if (r->code / 100 == 5)
            say_hello(s, HELO);
        else if (!fine)
            unexpected(s, "EHLO", r);
        else if (!s->in_tls && !s->no_tls && (r->offers & SMTP_OFFERS_TLS))
            say(s, STARTTLS, STR("STARTTLS\r\n"));
        else
            say_mail(s);
        return;
    case HELO:
        if (fine)
            say_mail(s);
        else
            unexpected(s, "HELO", r);
        return;
    case STARTTLS:
        if (r->code == 220)
            begin_tls(s);
        else
            say_mail(s);
        return;
    case MAIL:
        if (fine) {
            say_rcpt(s);
            return;
        }
        tell(s, "sender", arena_printf(s->arena, "does not take the sender: %d " STR_FMT, r->code, STR_ARG(r->text)));
        answered(s, SMTP_LATER, str_dup(s->arena, str_of(r->status)).p, r->text);
        say_goodbye(s);
        return;
    case RCPT:
        mailbox_answer(s, r);
        return;
    }
}

/* hear - the next reply in `heard`: what a scripted server says, or what the line has. False: it is not complete. */
static bool hear(struct smtp_asker *s, struct str heard, bool over, struct str problem)
{
    struct smtp_reply r;
    size_t taken;

    switch (smtp_reply_read(s->arena, heard, &r, &taken)) {
    case SMTP_WHOLE:
        if (s->line)
            line_take(s->line, taken);
        on_reply(s, &r);
        return true;
    case SMTP_JUNK:
        broken(s, STR("says what is no SMTP reply"));
        return true;
    case SMTP_MORE:
        break;
    }
    if (over)
        broken(s, problem);
    return over;
}

/* after_pump - false: nothing more can be done now. */
static bool after_pump(struct smtp_asker *s)
{
    bool over = line_is_over(s->line);

    if (s->phase == TALKING)
        return hear(s, line_heard(s->line), over, line_problem(s->line));
    if (!line_is_connected(s->line)) {
        if (over)
            broken(s, line_problem(s->line));
        return over;
    }
    if (s->phase == SHAKING) {
        s->in_tls = true;
        say_hello(s, EHLO);
    } else {
        s->phase = TALKING;
        s->turn = GREETING;
    }
    return true;
}

/* step - all that can be done without waiting. */
static void step(struct smtp_asker *s)
{
    do {
        if (s->done || !s->line)
            return;
        line_pump(s->line);
    } while (after_pump(s));
}

/* ---- beginnings ---- */

static void connect_next(struct smtp_asker *s)
{
    int64_t now = clock_ms();
    struct ip ip = s->addresses[s->at];

    drop(s);
    s->reused = s->in_tls = false;
    s->offers = s->refusals = 0;
    s->phase = CONNECTING;
    s->server = s->q.where->shown;
    s->step_deadline = now + (s->q.deadline - now) / (int64_t)(s->count - s->at);
    s->said = STR_NONE;
    if (s->q.our_port == s->q.where->port && ip_equal(ip, s->q.our_ip))
        is_loop(s);
    else if (!script.fn)
        s->line = line_open(ip, s->q.where->port);
}

static void resolved(struct smtp_asker *s)
{
    const char *why = NULL;

    for (size_t i = 0; i < 2; i++) {
        const struct dns_answer *d = dns_harvest(s->dns[i], s->q.deadline);

        if (d->status == DNS_FAIL && !why)
            why = d->why;
        for (size_t k = 0; d->status == DNS_OK && k < d->count && s->count < ADDRESSES_MOST; k++)
            s->addresses[s->count++] = d->records[k].ip;
    }
    if (s->count)
        connect_next(s);
    else if (why)
        cannot_ask(s, "5.4.3", arena_printf(s->arena, "cannot be looked up: %s", why));
    else
        cannot_ask(s, "5.4.4", STR("has no address"));
}

static void begin(struct smtp_asker *s)
{
    s->at = s->count = 0;
    s->reused = false;
    s->no_tls = answers_no_tls(s->q.where->shown, s->q.keep_ms);
    s->due = clock_ms();
    if (s->q.where->ip.known) {
        s->addresses[s->count++] = s->q.where->ip;
        connect_next(s);
        return;
    }
    s->phase = RESOLVING;
    s->dns[0] = dns_ask(s->arena, NULL, s->q.where->host, DNS_A);
    s->dns[1] = dns_ask(s->arena, NULL, s->q.where->host, DNS_AAAA);
    if (dns_is_done(s->dns[0]) && dns_is_done(s->dns[1]))
        resolved(s);
}

static bool can_be_reused(const struct smtp_asker *s)
{
    return s->phase == READY && str_is(s->server, s->q.where->shown) && str_is(s->sender, s->q.sender) &&
           (s->said_utf8 || !has_8bit(s->q.rcpt));
}

struct smtp_asker *smtp_asker(struct arena *a)
{
    struct smtp_asker *s = arena_zalloc(a, sizeof *s);

    s->arena = a;
    arena_on_reset(a, forget, s);
    return s;
}

void smtp_ask(struct smtp_asker *s, const struct smtp_question *q)
{
    leave(s);
    s->q = *q;
    s->done = false;
    if (answers_find(s->arena, q->where->shown, q->sender, q->rcpt, q->keep_ms, &s->answer)) {
        s->done = true;
        return;
    }
    if (!can_be_said(q->rcpt, q->well_formed)) {
        s->answer = (struct smtp_answer){.said = SMTP_REFUSES, .status = "5.1.3", .text = STR("this is no address")};
        s->done = true;
        return;
    }
    s->entered = answers_enter(q->where->shown, q->sender, q->rcpt);
    if (!s->entered) {
        s->answer = (struct smtp_answer){.said = SMTP_UNKNOWN, .status = "5.4.6",
                                         .text = STR("the same is being asked too often at this moment")};
        s->done = true;
        tell(s, "same", STR("is being asked the same too often at once: does its route lead back to this server?"));
        return;
    }
    if (can_be_reused(s)) {
        release(s);
        s->reused = true;
        s->due = clock_ms();
        say_rcpt(s);
    } else {
        smtp_hang_up(s);
        begin(s);
    }
    step(s);
}

/* ---- waiting ---- */

static void time_passed(struct smtp_asker *s)
{
    int64_t now = clock_ms();

    if (s->done)
        return;
    if (now >= s->q.deadline)
        late(s);
    else if ((s->phase == CONNECTING || s->phase == SHAKING) && now >= s->step_deadline)
        broken(s, STR("no answer in time"));
}

static void wait_and_step(struct smtp_asker *s)
{
    int64_t until = s->q.deadline, now = clock_ms();
    struct pollfd p = {.fd = s->line ? line_fd(s->line) : -1, .events = s->line ? line_events(s->line) : 0};

    if (s->phase == CONNECTING || s->phase == SHAKING)
        until = s->step_deadline < until ? s->step_deadline : until;
    if (until > now && s->line && !line_is_over(s->line))
        poll(&p, 1, (int)waiting_slice(until - now > 60000 ? 60000 : until - now));
    step(s);
    time_passed(s);
}

/* play - one reply of a scripted server. */
static void play(struct smtp_asker *s)
{
    struct smtp_act act = {.reply = STR_NONE};

    script.fn(script.ctx, s->said, &act);
    s->due = act.mute ? s->q.deadline : s->due + act.after_ms;
    if (s->due > s->q.deadline)
        s->due = s->q.deadline;
    if (clock_ms() < s->due)
        clock_script_advance(s->due - clock_ms());
    if (clock_ms() >= s->q.deadline) {
        late(s);
        return;
    }
    if (act.refused) {
        broken(s, STR("Connection refused"));
        return;
    }
    if (s->phase == CONNECTING) {
        s->phase = TALKING;
        s->turn = GREETING;
    }
    hear(s, act.reply, true, STR("hung up"));
    if (act.hangs_up && s->phase == READY)
        drop(s);
}

const struct smtp_answer *smtp_finish(struct smtp_asker *s)
{
    if (s->done)
        return &s->answer;
    waiting_begin();
    while (!s->done)
        if (s->phase == RESOLVING)
            resolved(s);
        else if (script.fn)
            play(s);
        else
            wait_and_step(s);
    waiting_end();
    return &s->answer;
}

void smtp_script(void (*fn)(void *, struct str, struct smtp_act *), void *ctx)
{
    script.fn = fn;
    script.ctx = ctx;
}
