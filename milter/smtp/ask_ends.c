/* ask_ends.c - what becomes of a question. */
#include "../base/clock.h"
#include "../base/log.h"
#include "ask_inside.h"

#define AGAIN_MS 250 /* before a server that takes no more of us is tried again */

/* ask_tell - the log, of what keeps us from asking. */
void ask_tell(struct smtp_asker *s, const char *kind, struct str problem)
{
    struct str safe = str_escaped(s->arena, problem);

    if (answers_tell(s->q.where->shown, kind))
        log_warn("smtp_forward: " STR_FMT " " STR_FMT " (told once a minute)", STR_ARG(s->q.where->shown),
                 STR_ARG(safe));
}

/* ---- ends ---- */

void ask_drop(struct smtp_asker *s)
{
    if (s->place) {
        line_close(&s->place->line);
        places_free(&s->place);
    }
    s->phase = QUEUED;
}

void ask_goodbye(struct smtp_asker *s)
{
    if (s->place->line)
        line_say(s->place->line, STR("QUIT\r\n"));
    ask_drop(s);
}

void smtp_hang_up(struct smtp_asker *s)
{
    while ((s->place = places_idle_of(s)) != NULL)
        ask_goodbye(s);
}

void ask_leave(struct smtp_asker *s)
{
    if (!s->entered)
        return;
    answers_leave(s->q.where->shown, s->q.sender, s->q.rcpt);
    s->entered = false;
    places_changed(); /* for the others who ask the same */
}

/* is_of_host - what failed has to do with the server, and not with this recipient or with how often we ask. */
static bool is_of_host(const struct smtp_asker *s)
{
    return s->place && (s->phase != TALKING || s->turn < RSET) && (s->loops || places_others(s->place) == 0);
}

void ask_answered(struct smtp_asker *s, enum smtp_said said, const char *status, struct str text)
{
    s->answer = (struct smtp_answer){.said = said, .status = status, .text = text};
    s->answer.of_host = said == SMTP_UNKNOWN && is_of_host(s);
    s->done = true;
    if (s->phase != QUEUED) /* it was not even asked */
        answers_add(s->q.where->shown, s->q.sender, s->q.rcpt, &s->answer);
    ask_leave(s);
}

/* crowded - a server that works for others of ours takes no more of us: when one of them ends, it is tried again. */
static bool crowded(struct smtp_asker *s, struct str problem)
{
    unsigned others = s->phase == TALKING && s->turn > GREETING ? 0 : places_others(s->place);

    if (others == 0)
        return false;
    s->below = others;
    s->turned_away = problem;
    s->again_at = clock_ms() + AGAIN_MS;
    ask_drop(s);
    return true;
}

/* ask_cannot - ends the connection too. What is wrong is said behind the server's name. */
void ask_cannot(struct smtp_asker *s, const char *status, struct str what)
{
    ask_tell(s, status, what);
    ask_answered(s, SMTP_UNKNOWN, status,
             arena_printf(s->arena, STR_FMT " " STR_FMT, STR_ARG(s->q.where->shown), STR_ARG(what)));
    ask_drop(s);
}

void ask_is_loop(struct smtp_asker *s)
{
    s->phase = CONNECTING; /* of the host, wherever it was noticed */
    s->loops = true;
    ask_cannot(s, "5.4.6", STR("is this server itself: its route leads back to where the recipient came from"));
}

void ask_without_tls(struct smtp_asker *s, struct str problem)
{
    s->no_tls = true;
    answers_add_no_tls(s->q.where->shown);
    ask_tell(s, "plain", arena_printf(s->arena, "is asked without TLS: " STR_FMT, STR_ARG(problem)));
    ask_connect_next(s);
}

/* ask_broken - the connection is of no more use. */
void ask_broken(struct smtp_asker *s, struct str problem)
{
    if (s->place->line && line_came_back(s->place->line)) {
        ask_is_loop(s);
    } else if (s->reused) {
        ask_drop(s);
    } else if (s->phase == SHAKING || (s->phase == TALKING && s->place->in_tls && s->turn == EHLO)) {
        ask_without_tls(s, problem); /* or the server did not like it and says so late, as TLS 1.3 has it */
    } else if (s->phase == CONNECTING) {
        s->at++;
        if (s->at < s->count)
            ask_connect_next(s);
        else if (!crowded(s, problem))
            ask_cannot(s, "5.4.1", arena_printf(s->arena, "cannot be connected to: " STR_FMT, STR_ARG(problem)));
    } else if (!crowded(s, problem)) {
        ask_cannot(s, "5.4.2", problem);
    }
}

void ask_late(struct smtp_asker *s)
{
    bool at_rcpt = s->phase == TALKING && s->turn == RCPT;

    if (at_rcpt && answers_is_wanted(s->q.where->shown, s->q.sender, s->q.rcpt))
        ask_tell(s, "same", STR("does not answer in time, and we were asked the same meanwhile: does its route lead "
                                "back to this server?"));
    if (s->phase == QUEUED && s->turned_away.n)
        ask_cannot(s, "5.4.1", arena_printf(s->arena, "takes no more connections of ours: " STR_FMT,
                                            STR_ARG(s->turned_away)));
    else if (s->phase == QUEUED)
        ask_cannot(s, "5.4.1", STR("has no connection free for this question in time"));
    else
        ask_cannot(s, s->phase == RESOLVING ? "5.4.3" : "5.4.1", STR("does not answer in time"));
}
