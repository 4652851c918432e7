/* ask.c - the conversation. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/waiting.h"
#include "ask_inside.h"

#define ADDRESS_BYTES_MOST 1000
#define REFUSALS_MOST 8 /* of one connection: servers slow down whom they refuse too often */
#define MESSAGES_MOST 100 /* of one connection */

static struct {
    void (*fn)(void *, struct str, struct smtp_act *);
    void *ctx;
} script;

/* ---- what is said ---- */

static void say(struct smtp_asker *s, enum turn turn, struct str line)
{
    s->phase = TALKING;
    s->turn = turn;
    s->said = line;
    if (s->place->line)
        line_say(s->place->line, line);
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
    bool can_utf8 = s->place->offers & SMTP_OFFERS_UTF8;
    struct str sender = s->q.sender;

    if (has_8bit(s->q.rcpt) && !can_utf8) {
        ask_answered(s, SMTP_REFUSES, "5.6.7", STR("addresses beyond ASCII are not known there"));
        ask_goodbye(s);
        return;
    }
    if (!can_be_said(sender, false) || (has_8bit(sender) && !can_utf8))
        sender = STR_NONE;
    s->place->said_utf8 = has_8bit(sender) || has_8bit(s->q.rcpt);
    s->place->messages++;
    s->place->sender = str_dup(s->place->arena, s->q.sender);
    say(s, MAIL, arena_printf(s->arena, "MAIL FROM:<" STR_FMT ">%s\r\n", STR_ARG(sender),
                              s->place->said_utf8 ? " SMTPUTF8" : ""));
}

static void say_rcpt(struct smtp_asker *s)
{
    say(s, RCPT, arena_printf(s->arena, "RCPT TO:<" STR_FMT ">\r\n", STR_ARG(s->q.rcpt)));
}

/* ---- what is heard ---- */

static void unexpected(struct smtp_asker *s, const char *to, const struct smtp_reply *r)
{
    ask_broken(s, arena_printf(s->arena, "says %d " STR_FMT " to %s", r->code, STR_ARG(r->text), to));
}

static void greeted(struct smtp_asker *s, const struct smtp_reply *r)
{
    struct str words = r->text, name = STR_NONE;
    bool at_our_door = s->q.where->port == 25 || s->q.where->port == s->q.our_port;

    str_token(&words, &name);
    if (r->code != 220) {
        unexpected(s, "a new connection", r);
    } else if (at_our_door && str_is_nocase(name, s->q.hello)) {
        ask_is_loop(s);
    } else {
        places_works(s->place);
        say_hello(s, EHLO);
    }
}

static void begin_tls(struct smtp_asker *s)
{
    struct smtp_line *line = s->place->line;
    int64_t now = clock_ms();

    s->phase = SHAKING;
    s->step_deadline = now + (s->q.deadline - now) / 2; /* so that there is time for another try */
    if (line && line_heard(line).n)
        ask_without_tls(s, STR("it spoke on before the TLS handshake"));
    else if (!line || !line_tls(line, s->q.where->host))
        ask_without_tls(s, STR("there is no TLS"));
}

/* mailbox_answer - to RCPT. The connection stays for the next one if it can. */
static void mailbox_answer(struct smtp_asker *s, const struct smtp_reply *r)
{
    const char *status = str_dup(s->arena, str_of(r->status)).p;
    int class = r->code / 100;

    if (s->place->line && line_came_back(s->place->line)) {
        ask_is_loop(s);
        return;
    }
    if ((r->code == 421 && s->reused) || class == 3) {
        unexpected(s, "RCPT", r);
        return;
    }
    ask_answered(s, class == 2 ? SMTP_TAKES : class == 5 ? SMTP_REFUSES : SMTP_LATER, status, r->text);
    s->place->refusals += class != 2;
    if (s->place->refusals >= REFUSALS_MOST || r->code == 421 || s->ends || s->place->messages >= MESSAGES_MOST ||
        !places_park(s->place))
        ask_goodbye(s);
    s->place = NULL;
}

static void on_reply(struct smtp_asker *s, const struct smtp_reply *r)
{
    bool fine = r->code / 100 == 2;

    switch (s->turn) {
    case GREETING:
        greeted(s, r);
        return;
    case EHLO:
        s->place->offers = r->offers;
        if (r->code / 100 == 5)
            say_hello(s, HELO);
        else if (!fine)
            unexpected(s, "EHLO", r);
        else if (!s->place->in_tls && !s->no_tls && (r->offers & SMTP_OFFERS_TLS))
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
    case RSET:
        if (fine)
            say_mail(s);
        else
            unexpected(s, "RSET", r);
        return;
    case MAIL:
        if (r->code == 421 && s->reused) {
            unexpected(s, "MAIL", r);
            return;
        }
        if (fine) {
            say_rcpt(s);
            return;
        }
        ask_tell(s, "sender",
                 arena_printf(s->arena, "does not take the sender: %d " STR_FMT, r->code, STR_ARG(r->text)));
        ask_answered(s, SMTP_LATER, str_dup(s->arena, str_of(r->status)).p, r->text);
        ask_goodbye(s);
        return;
    case RCPT:
        mailbox_answer(s, r);
        return;
    }
}

/* hear - the next reply in `heard`: what a scripted server says, or what the line has; over: nothing will follow.
 * False: it is not complete. */
static bool hear(struct smtp_asker *s, struct str heard, bool over, struct str problem)
{
    struct smtp_reply r;
    size_t taken;

    switch (smtp_reply_read(s->arena, heard, &r, &taken)) {
    case SMTP_WHOLE:
        if (s->place->line)
            line_take(s->place->line, taken);
        on_reply(s, &r);
        return true;
    case SMTP_JUNK:
        ask_broken(s, STR("says what is no SMTP reply"));
        return true;
    case SMTP_MORE:
        break;
    }
    if (over)
        ask_broken(s, problem);
    return over;
}

/* after_pump - false: nothing more can be done now. */
static bool after_pump(struct smtp_asker *s)
{
    struct smtp_line *line = s->place->line;
    bool over = line_is_over(line);

    s->ends = over;
    if (s->phase == TALKING)
        return hear(s, line_heard(line), over, str_dup(s->arena, line_problem(line)));
    if (!line_is_connected(line)) {
        if (over)
            ask_broken(s, str_dup(s->arena, line_problem(line)));
        return over;
    }
    if (s->phase == SHAKING) {
        s->place->in_tls = true;
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
        if (s->done || !s->place || !s->place->line)
            return;
        line_pump(s->place->line);
    } while (after_pump(s));
}

/* ---- beginnings ---- */

void ask_connect_next(struct smtp_asker *s)
{
    int64_t now = clock_ms();
    struct ip ip = s->addresses[s->at];

    line_close(&s->place->line);
    s->reused = s->place->in_tls = false;
    s->place->offers = s->place->refusals = 0;
    s->phase = CONNECTING;
    s->step_deadline = now + (s->q.deadline - now) / (int64_t)(s->count - s->at);
    s->said = STR_NONE;
    if (s->q.our_port == s->q.where->port && ip_equal(ip, s->q.our_ip))
        ask_is_loop(s);
    else if (!script.fn)
        s->place->line = line_open(ip, s->q.where->port);
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
        ask_connect_next(s);
    else if (why)
        ask_cannot(s, "5.4.3", arena_printf(s->arena, "cannot be looked up: %s", why));
    else
        ask_cannot(s, "5.4.4", STR("has no address"));
}

static void begin(struct smtp_asker *s)
{
    s->at = s->count = 0;
    s->reused = false;
    s->no_tls = answers_no_tls(s->q.where->shown, s->q.keep_ms);
    s->due = clock_ms();
    if (s->q.where->ip.known) {
        s->addresses[s->count++] = s->q.where->ip;
        ask_connect_next(s);
        return;
    }
    s->phase = RESOLVING;
    s->dns[0] = dns_ask(s->arena, NULL, s->q.where->host, DNS_A);
    s->dns[1] = dns_ask(s->arena, NULL, s->q.where->host, DNS_AAAA);
    if (dns_is_done(s->dns[0]) && dns_is_done(s->dns[1]))
        resolved(s);
}

/* go_on - with a connection that has answered before; it may be another message's, or have hung up meanwhile. */
static void go_on(struct smtp_asker *s)
{
    const struct place *p = s->place;

    s->reused = true;
    s->phase = TALKING;
    s->due = clock_ms();
    if (p->line && line_heard(p->line).n) {
        ask_drop(s); /* it said what nobody asked it */
        return;
    }
    if (str_is(p->sender, s->q.sender) && (p->said_utf8 || !has_8bit(s->q.rcpt)))
        say_rcpt(s);
    else
        say(s, RSET, STR("RSET\r\n"));
}

/* wait_for_others - for a free place, or for who asks the same; each of them tells. */
static void wait_for_others(struct smtp_asker *s, unsigned seen)
{
    int64_t now = clock_ms(), left = s->q.deadline - now;

    if (now < s->again_at && s->again_at - now < left)
        left = s->again_at - now;
    if (left <= 0)
        ask_late(s);
    else if (script.fn)
        clock_script_advance(left); /* nobody else is there */
    else
        places_wait(seen, waiting_slice(left));
}

/* try_to_begin - one of those who ask the same at once asks; the others have his answer. That ends servers that ask
 * each other in a circle as well, whoever is in it: nobody asks what he is being asked for. */
static void try_to_begin(struct smtp_asker *s)
{
    const struct smtp_question *q = &s->q;
    unsigned seen = places_changes();
    int64_t now = clock_ms();

    if (answers_find(s->arena, q->where->shown, q->sender, q->rcpt, q->keep_ms, s->asked, &s->answer)) {
        s->done = true;
        ask_leave(s);
        return;
    }
    if (!s->entered)
        s->entered = answers_enter(q->where->shown, q->sender, q->rcpt);
    if (s->entered && now < q->deadline && now >= s->again_at)
        s->place = places_take(q->where->shown, s, s->below, &s->waiter);
    if (!s->place)
        wait_for_others(s, seen);
    else if (s->place->is_talking)
        go_on(s);
    else
        begin(s);
}

static void forget(void *ptr)
{
    smtp_hang_up(ptr);
}

struct smtp_asker *smtp_asker(struct arena *a)
{
    struct smtp_asker *s = arena_zalloc(a, sizeof *s);

    s->arena = a;
    arena_on_reset(a, forget, s);
    return s;
}

/* ---- waiting ---- */

static void time_passed(struct smtp_asker *s)
{
    int64_t now = clock_ms();

    if (s->done || s->phase == QUEUED)
        return;
    if (now >= s->q.deadline)
        ask_late(s);
    else if ((s->phase == CONNECTING || s->phase == SHAKING) && now >= s->step_deadline)
        ask_broken(s, STR("no answer in time"));
}

static void wait_and_step(struct smtp_asker *s)
{
    int64_t until = s->q.deadline, now = clock_ms();
    const struct smtp_line *line = s->place->line;
    struct pollfd p = {.fd = line ? line_fd(line) : -1, .events = line ? line_events(line) : 0};

    if (s->phase == CONNECTING || s->phase == SHAKING)
        until = s->step_deadline < until ? s->step_deadline : until;
    if (until > now && line && !line_is_over(line))
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
        ask_late(s);
        return;
    }
    if (act.refused) {
        ask_broken(s, STR("Connection refused"));
        return;
    }
    if (s->phase == CONNECTING) {
        s->phase = TALKING;
        s->turn = GREETING;
    }
    s->ends = act.hangs_up;
    hear(s, act.reply, true, STR("hung up"));
}

static void converse(struct smtp_asker *s)
{
    waiting_begin();
    while (!s->done)
        if (s->phase == QUEUED)
            try_to_begin(s);
        else if (s->phase == RESOLVING)
            resolved(s);
        else if (script.fn)
            play(s);
        else
            wait_and_step(s);
    waiting_end();
    places_give_up(&s->waiter);
}

const struct smtp_answer *smtp_ask(struct smtp_asker *s, const struct smtp_question *q)
{
    s->q = *q;
    s->done = s->loops = false;
    s->phase = QUEUED;
    s->below = PLACES_MOST;
    s->turned_away = STR_NONE;
    s->asked = s->again_at = clock_ms();
    if (answers_find(s->arena, q->where->shown, q->sender, q->rcpt, q->keep_ms, INT64_MAX, &s->answer))
        return &s->answer;
    if (!can_be_said(q->rcpt, q->well_formed))
        s->answer = (struct smtp_answer){.said = SMTP_REFUSES, .status = "5.1.3", .text = STR("this is no address")};
    else
        converse(s);
    return &s->answer;
}

void smtp_script(void (*fn)(void *, struct str, struct smtp_act *), void *ctx)
{
    script.fn = fn;
    script.ctx = ctx;
}
