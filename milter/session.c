/* session.c - one connection: the calls before MAIL, and its end.
 *
 *            session_open
 *                 │
 *             CONNECTED ── session_connect, session_helo (again after STARTTLS), session_unknown
 *                 │ message_mail                          ▲
 *                 ▼                                       │ message_end, message_abort
 *           IN A MESSAGE ── message_rcpt, _data, _header, _headers_end, _body
 *                 │ session_close (from anywhere)
 *                 ▼
 *               gone
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "config.h"
#include "metrics.h"
#include "report.h"
#include "stage.h"
#include "verdict.h"

#define GREETINGS_MOST 100 /* different HELO names; every one is kept until the close */
#define QUESTIONS_MOST 200 /* to the DNS, about the connection */
#define NAME_MOST 1024     /* bytes of a HELO name or an unknown verb that are looked at */

/* ref_digits - Crockford's base 32: nothing that is misread over the telephone. */
static void ref_digits(struct buf *b, uint64_t value, unsigned digits)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    for (unsigned i = digits; i-- > 0;)
        buf_addc(b, alphabet[(value >> (5 * i)) & 31]);
}

/* ref_new - seconds and a counter that begins anywhere: unique over restarts unless a million sessions begin in one
 * second. Always 11 characters; a message appends its number. */
static struct str ref_new(struct arena *a)
{
    static atomic_uint_least32_t counter;
    static atomic_flag seeded = ATOMIC_FLAG_INIT;
    struct buf b = buf_in(a);

    if (!atomic_flag_test_and_set(&seeded)) {
        uint32_t seed = 0;

        if (getrandom(&seed, sizeof seed, 0) == sizeof seed)
            atomic_fetch_add(&counter, seed);
    }
    ref_digits(&b, (uint64_t)clock_wall_ms() / 1000, 7);
    ref_digits(&b, atomic_fetch_add(&counter, 1), 4);
    return buf_str(&b);
}

struct str session_keep(struct session *s, struct str text)
{
    return str_dup(s->arena, text);
}

struct session *session_open(struct config *config, const struct peer *peer)
{
    struct arena *a = arena_new(2048);
    struct session *s = arena_zalloc(a, sizeof *s);

    s->arena = a;
    s->config = config_ref(config);
    s->peer = *peer;
    s->peer.name = session_keep(s, peer->name);
    s->peer.daemon_name = session_keep(s, peer->daemon_name);
    s->ref = ref_new(a);
    s->dns.left = QUESTIONS_MOST;
    s->is_local = cidr_find(&config->global.local_networks, peer->ip) != NULL;
    s->began_ms = clock_ms();
    s->profile = profile_choose(config, s);
    metrics_session_begun();
    return s;
}

static const struct reply *tell(struct session *s, const struct record *by)
{
    return by ? verdict_refuse_connection(s, by) : NULL;
}

const struct reply *session_connect(struct session *s)
{
    return tell(s, stage_run(s, AT_CONNECT, NULL, STR_NONE));
}

const struct reply *session_helo(struct session *s, struct str name, struct str tls_version)
{
    message_abort(s); /* RFC 5321, 4.1.4: a new HELO or EHLO ends the transaction */
    if (!str_is(s->tls_version, tls_version))
        s->tls_version = session_keep(s, tls_version);
    name = str_slice(name, 0, NAME_MOST);
    /* EHLO, then HELO, then EHLO again under TLS is one greeting: it is judged, and weighs, once. */
    if (s->greetings && str_is_nocase(s->helo, name))
        return NULL;
    if (++s->greetings > GREETINGS_MOST) {
        static const struct finding busy = {.result = BAD, .status = "5.7.0", .text = {"too many greetings", 18}};

        s->told = reply_make(s->arena, &busy, REPLY_TEMP_DISCONNECT, s->ref);
        s->told_at = AT_HELO;
        return s->told;
    }
    s->helo = session_keep(s, name);
    return tell(s, stage_run(s, AT_HELO, NULL, STR_NONE));
}

const struct reply *session_unknown(struct session *s, struct str verb)
{
    s->unknown_commands++;
    return tell(s, stage_run(s, AT_UNKNOWN, NULL, str_slice(verb, 0, NAME_MOST)));
}

void session_close(struct session **sp)
{
    struct session *s = *sp;
    struct config *config;

    if (!s)
        return;
    *sp = NULL;
    message_abort(s);
    stage_run(s, AT_CLOSE, NULL, STR_NONE);
    if (s->messages == 0 || s->told) {
        struct verdict v = verdict_of_connection(s);

        report_connection(s, &v);
    }
    metrics_session_ended(s);
    config = s->config;
    arena_free(&s->message_arena);
    arena_free(&s->arena);
    config_unref(&config);
}
