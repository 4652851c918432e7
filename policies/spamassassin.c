/* spamassassin and forcespamcheck - what SpamAssassin thinks of strangers' mail, and of our own people's.
 *
 * The scan begins in the ask pass, so that it goes on beside the virus scanner's. A message that could not be scanned
 * is neither spam nor ham; what its sender claims about that is removed all the same.
 */
#include <stdlib.h>

#include "policy.h"
#include "scan/spamd.h"

#define FORGED STR("X-Spam-")
#define STARS_MOST 50
#define LINE_MOST 78 /* of a folded field */
#define ENCODED_PREFIX_MOST 60 /* RFC 2047: an encoded word has 75 bytes at most */

struct spam_options {
    struct str server;
    double reject_at, tag_at;
    uint64_t size_limit;
    struct str subject_prefix, user;
    int64_t timeout;
    struct talk_where where;
    struct str tag; /* the prefix as it stands in a header, with its blank */
};

static const struct option spamassassin_rows[] = {
    OPT_STRING(struct spam_options, server, "inet:783@127.0.0.1",
               "where spamd listens: inet:PORT@HOST, /path or unix:/path"),
    OPT_NUMBER(struct spam_options, reject_at, "0", 0, 1e6, "refuse from this score on; 0: never"),
    OPT_NUMBER(struct spam_options, tag_at, "0", 0, 1e6, "mark the subject from this score on; 0: never"),
    OPT_SIZE(struct spam_options, size_limit, "500000", 1, 1e9, "larger messages are not scanned"),
    OPT_STRING(struct spam_options, subject_prefix, "*** SPAM ***", "what a marked subject begins with"),
    OPT_STRING(struct spam_options, user, "", "whose preferences spamd is to use; empty: its own"),
    OPT_DURATION(struct spam_options, timeout, "60s", 100, 600000, "how long to wait for spamd"),
    OPTION_END,
};

struct scanning {
    struct spamd_scan *scan; /* NULL: it was not begun */
    struct str why;          /* why not; empty: this client is not to be scanned */
    bool failed;             /* because something is wrong */
};

/* ---- configuration ---- */

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] >= 0x7f)
            return false;
    return true;
}

/* tag_of - the prefix and a blank. Between two encoded words a blank does not count, so it goes into ours. */
static struct str tag_of(struct arena *a, struct str prefix)
{
    struct buf b = buf_in(a);

    prefix = str_trim(prefix);
    if (is_plain(prefix))
        return arena_printf(a, STR_FMT " ", STR_ARG(prefix));
    buf_add(&b, STR("=?UTF-8?Q?"));
    for (size_t i = 0; i < prefix.n; i++) {
        unsigned char c = (unsigned char)prefix.p[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
            buf_addc(&b, (char)c);
        else if (c == ' ')
            buf_addc(&b, '_');
        else
            buf_addf(&b, "=%02X", c);
    }
    buf_add(&b, STR("_?= "));
    return buf_str(&b);
}

static bool is_user(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
            return false;
    return s.n <= 255;
}

static void spam_prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct spam_options *o = options;
    struct str error;

    if (!talk_where(a, o->server, &o->where, &error))
        problem_error(problems, at, "spamassassin: server = \"" STR_FMT "\": " STR_FMT, STR_ARG(o->server),
                      STR_ARG(error));
    if (!is_user(o->user))
        problem_error(problems, at, "spamassassin: user: a name of printable ASCII is expected");
    if (str_trim(o->subject_prefix).n == 0)
        o->subject_prefix = STR("*** SPAM ***");
    o->tag = tag_of(a, o->subject_prefix);
    if (!is_plain(o->subject_prefix) && o->tag.n > 2 + ENCODED_PREFIX_MOST)
        problem_error(problems, at, "spamassassin: subject_prefix is too long for a header");
}

/* ---- the scan ---- */

static void begin(struct context *c)
{
    const struct spam_options *o = OPTIONS(struct spam_options, c);
    struct scanning *s = message_state(c, sizeof *s);
    struct raw raw;

    if (raw_size(c->message) > o->size_limit) {
        s->why = STR("too large");
    } else if (!raw_message(c->message, &raw)) {
        s->why = STR("the message cannot be read");
        s->failed = true;
    } else {
        raw_add_envelope(c->message, &raw);
        s->scan = spamd_begin(c->arena, &o->where, o->user, &raw, clock_ms() + o->timeout);
    }
}

static void forcespamcheck_ask(struct context *c)
{
    if (c->session->is_local || c->session->auth.n)
        begin(c);
}

/* ---- the header ---- */

static void add_tests(struct buf *b, size_t line, struct str tests)
{
    struct str test;

    buf_add(b, STR(" tests="));
    line += 7;
    if (tests.n == 0)
        buf_add(b, STR("none"));
    while (str_split(&tests, ',', &test)) {
        if (line + test.n + 1 > LINE_MOST) {
            buf_add(b, STR("\n\t"));
            line = 8;
        }
        buf_add(b, test);
        if (tests.n)
            buf_addc(b, ',');
        line += test.n + 1;
    }
}

static void add_fields(struct context *c, const struct spam_answer *answer)
{
    static const char stars[STARS_MOST + 1] = "**************************************************";
    size_t level = answer->score < 1 ? 0 : answer->score >= STARS_MOST ? STARS_MOST : (size_t)answer->score;
    bool spam = answer->score >= answer->required;
    struct edits *edits = c->message->edits;
    struct buf b = buf_in(c->arena);

    if (spam)
        edit_add_header(c->arena, edits, STR("X-Spam-Flag"), STR("YES"));
    buf_addf(&b, "%s, score=" STR_FMT " required=" STR_FMT, spam ? "Yes" : "No", STR_ARG(answer->score_text),
             STR_ARG(answer->required_text));
    add_tests(&b, b.len + sizeof "X-Spam-Status: " - 1, answer->tests);
    edit_add_header(c->arena, edits, STR("X-Spam-Status"), buf_str(&b));
    if (level)
        edit_add_header(c->arena, edits, STR("X-Spam-Level"), (struct str){stars, level});
}

/* tag_subject - every Subject, should there be several; what follows the prefix stays as it was written. */
static void tag_subject(struct context *c)
{
    struct str tag = OPTIONS(struct spam_options, c)->tag;
    struct message *m = c->message;
    int index = 0;

    for (const struct header *h = m->headers.first; h; h = h->next) {
        struct str value = str_trim(h->value);

        if (!str_is_nocase(h->name, STR("Subject")))
            continue;
        index++;
        if (!str_starts(value, str_trim(tag)))
            edit_change_header(c->arena, m->edits, STR("Subject"), index,
                               arena_printf(c->arena, STR_FMT STR_FMT, STR_ARG(tag), STR_ARG(value)));
    }
    if (index == 0)
        edit_add_header(c->arena, m->edits, STR("Subject"), str_trim(tag));
}

/* ---- the judgement ---- */

static struct finding could_not(struct context *c, struct str why)
{
    fact_set(c, FACT_SCANNER, why);
    return unsure(c, "the spam scanner could not be asked");
}

static struct finding by_score(struct context *c, double score, double required, struct str text, long ham)
{
    const struct spam_options *o = OPTIONS(struct spam_options, c);
    struct finding f;

    if (o->reject_at > 0 && score >= o->reject_at)
        return bad(c, "5.7.1", "this looks like spam (score " STR_FMT ")", STR_ARG(text));
    if (score >= (o->tag_at > 0 ? o->tag_at : required))
        return weigh(c, c->instance->common.karma);
    f = good(c);
    f.karma = ham;
    return f;
}

static struct finding judge(struct context *c, const struct spam_answer *answer, long ham)
{
    const struct spam_options *o = OPTIONS(struct spam_options, c);

    fact_set(c, FACT_SPAM_SCORE,
             arena_printf(c->arena, STR_FMT "/" STR_FMT, STR_ARG(answer->score_text), STR_ARG(answer->required_text)));
    if (answer->tests.n)
        fact_set(c, FACT_SPAM_TESTS, answer->tests);
    add_fields(c, answer);
    if (o->tag_at > 0 && answer->score >= o->tag_at)
        tag_subject(c);
    return by_score(c, answer->score, answer->required, answer->score_text, ham);
}

static struct finding look(struct context *c, long ham)
{
    struct scanning *s = message_state(c, sizeof *s);
    const struct spam_answer *answer;

    if (!forged_remove(c->message, FORGED))
        return bad(c, "5.6.0", "the header has more than %d X-Spam fields", FORGED_MOST);
    if (s->failed)
        return could_not(c, s->why);
    if (!s->scan) {
        if (s->why.n)
            fact_set(c, FACT_SCANNER, s->why);
        return NO_OPINION;
    }
    answer = spamd_finish(s->scan);
    return answer->ok ? judge(c, answer, ham) : could_not(c, answer->problem);
}

static struct finding spamassassin_message(struct context *c)
{
    return look(c, 1);
}

static struct finding forcespamcheck_message(struct context *c)
{
    return look(c, 0);
}

/* spam_finish - a client that is not scanned cannot say that he was. */
static void spam_finish(struct context *c)
{
    forged_remove(c->message, FORGED);
}

/* ---- the past ---- */

/* again - by the score of then, if it was scanned. */
static struct finding again(struct context *c, const struct then *then, long ham)
{
    struct str rest = then_fact(then, FACT_SPAM_SCORE), score, why = then_fact(then, FACT_SCANNER);
    enum larger larger = past_larger(c, OPTIONS(struct spam_options, c)->size_limit);

    if (larger == LARGER)
        return then && then->finding.result == BAD && rest.n == 0 ? then_keep(c, then) : NO_OPINION;
    if (larger == PERHAPS_LARGER)
        return not_kept(c, "whether it is just larger than size_limit was not recorded");
    if (then && str_is(why, STR("too large")))
        return not_kept(c, "it was too large to be scanned then");
    then_keep(c, then);
    if (!then || !str_split(&rest, '/', &score))
        return then ? then->finding : NO_OPINION;
    return by_score(c, strtod(str_c(c->arena, score), NULL), strtod(str_c(c->arena, rest), NULL), score, ham);
}

static struct finding spamassassin_again(struct context *c, enum stage stage, const struct then *then)
{
    (void)stage;
    return again(c, then, 1);
}

static struct finding forcespamcheck_again(struct context *c, enum stage stage, const struct then *then)
{
    (void)stage;
    return c->session->is_local || c->session->auth.n ? again(c, then, 0) : NO_OPINION;
}

#define ANOTHER_SCAN "what another scan would have said"
static const struct told_again spam_told[] = {
    CAN_TELL("reject_at"), CAN_TELL("tag_at"), CAN_TELL("size_limit"), CAN_TELL("subject_prefix"),
    CANNOT_TELL("server", ANOTHER_SCAN), CANNOT_TELL("user", ANOTHER_SCAN), CANNOT_TELL("timeout", ANOTHER_SCAN),
    TOLD_AGAIN_END,
};

const struct policy policy_spamassassin = {
    .name = "spamassassin",
    .summary = "mark or refuse what SpamAssassin takes for spam",
    .options = spamassassin_rows,
    .options_size = sizeof(struct spam_options),
    .presets = {.enabled = "no", .karma = "-1", .skip = "local, auth, whitelisted"},
    .ask = {[AT_MESSAGE] = begin},
    .at = {[AT_MESSAGE] = spamassassin_message},
    .prepare = spam_prepare,
    .finish = spam_finish,
    .wants_body = true,
    .edits = true,
    .again = spamassassin_again,
    .told_again = spam_told,
};

const struct policy policy_forcespamcheck = {
    .name = "forcespamcheck",
    .summary = "the same for mail of local and authenticated clients",
    .options = spamassassin_rows,
    .options_size = sizeof(struct spam_options),
    .presets = {.enabled = "no"},
    .ask = {[AT_MESSAGE] = forcespamcheck_ask},
    .at = {[AT_MESSAGE] = forcespamcheck_message},
    .prepare = spam_prepare,
    .finish = spam_finish,
    .wants_body = true,
    .edits = true,
    .again = forcespamcheck_again,
    .told_again = spam_told,
};
