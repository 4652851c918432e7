/* virus - messages with a virus in them, as a scanner knows them.
 *
 * The scan begins in the ask pass, so that it goes on beside the spam scanner's, and is waited for in the other. What
 * is infected never passes because the scanner is down, unless on_error says so.
 */
#include "mail/mime.h"
#include "policy.h"
#include "scan/clamd.h"
#include "worker.h"

#define FORGED STR("X-Virus-")
#define STATUS_FIELD STR("X-Virus-Status")

#define BLOCKS_MOST 50 /* of one message that are scanned by themselves */

enum on_error { ERROR_TEMPFAIL, ERROR_ACCEPT };
enum encrypted { ENCRYPTED_ACCEPT, ENCRYPTED_REJECT };

static const char *const engine_words[] = {"clamd", "libclamav", NULL};
static const char *const error_words[] = {"tempfail", "accept", NULL};
static const char *const encrypted_words[] = {"accept", "reject", NULL};
static const struct engine *const engines[] = {&engine_clamd, &engine_libclamav};

struct virus_options {
    int engine; /* index into engines */
    struct str socket, database;
    uint64_t max_size;
    int on_error;  /* enum on_error */
    int encrypted; /* enum encrypted */
    int64_t timeout;
    struct talk_where where;
};

static const struct option virus_rows[] = {
    OPT_WORD(struct virus_options, engine, "clamd", engine_words, "what scans"),
    OPT_STRING(struct virus_options, socket, "/run/clamav/clamd.ctl",
               "where clamd listens: /path, unix:/path or inet:PORT@HOST"),
    OPT_STRING(struct virus_options, database, "/var/lib/clamav", "libclamav's signatures; clamd has its own"),
    OPT_SIZE(struct virus_options, max_size, "25000000", 1, 4e9,
             "larger messages are not scanned; clamd's StreamMaxLength should not be below it"),
    OPT_WORD(struct virus_options, on_error, "tempfail", error_words,
             "what becomes of a message that the scanner could not judge"),
    OPT_WORD(struct virus_options, encrypted, "accept", encrypted_words,
             "what becomes of encrypted archives and documents, where clamd is set to tell of them"),
    OPT_DURATION(struct virus_options, timeout, "60s", 100, 600000, "how long to wait for the scanner"),
    OPTION_END,
};

struct scanning {
    const struct engine *engine;
    void *scan;      /* NULL: it was not begun */
    struct str why;  /* why not */
    bool failed;     /* because something is wrong */
};

static void virus_prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct virus_options *o = options;
    struct str error;

    if (engines[o->engine] == &engine_libclamav) {
        o->where.shown = o->database;
        if (!str_starts(o->database, STR("/")))
            problem_error(problems, at, "virus: database = \"" STR_FMT "\" is no absolute path", STR_ARG(o->database));
        return;
    }
    if (!talk_where(a, o->socket, &o->where, &error))
        problem_error(problems, at, "virus: socket = \"" STR_FMT "\": " STR_FMT, STR_ARG(o->socket), STR_ARG(error));
}

static void virus_ask(struct context *c)
{
    const struct virus_options *o = OPTIONS(struct virus_options, c);
    struct scanning *s = message_state(c, sizeof *s);
    struct raw raw;

    s->engine = engines[o->engine];
    if (raw_size(c->message) > o->max_size) {
        s->why = STR("too large");
    } else if (!raw_message(c->message, &raw)) {
        s->why = STR("the message cannot be read");
        s->failed = true;
    } else {
        s->scan = s->engine->begin(c->arena, &o->where, &raw, clock_ms() + o->timeout);
    }
}

/* not_judged - what is not scanned does not pass, unless the administrator or the profile says so. */
static struct finding not_judged(struct context *c, struct str why)
{
    struct finding f = unsure(c, "the virus scanner could not be asked, try again later");

    fact_set(c, FACT_SCANNER, why);
    f.temporary = OPTIONS(struct virus_options, c)->on_error == ERROR_TEMPFAIL;
    return f;
}

static void say_status(struct context *c, const char *format, struct str name)
{
    struct str shown = str_escaped(c->arena, name);
    struct buf b = buf_in(c->arena);

    buf_addf(&b, "%s", format);
    if (name.n)
        buf_addf(&b, " (" STR_FMT ")", STR_ARG(shown));
    edit_add_header(c->arena, c->message->edits, STATUS_FIELD, buf_str(&b));
}

static struct finding found(struct context *c, struct str name)
{
    fact_set(c, FACT_VIRUS, name);
    if (!str_starts(name, STR("Heuristics.Encrypted."))) {
        say_status(c, "infected", name); /* for who only wants to see what it would refuse */
        return bad(c, "5.7.1", "Virus found: " STR_FMT, STR_ARG(name));
    }
    say_status(c, "encrypted", name);
    if (OPTIONS(struct virus_options, c)->encrypted == ENCRYPTED_ACCEPT)
        return NO_OPINION;
    return bad(c, "5.7.1", "encrypted content is not accepted here: " STR_FMT, STR_ARG(name));
}

/* ---- what scanners do not unpack ---- */

struct blocks {
    struct context *c;
    const struct scanning *scanning;
    struct virus_answer *answer;
    int64_t deadline;
    size_t count, left; /* bytes */
};

/* goes_on - base64 with more of it behind its padding, where scanners stop and readers need not. */
static bool goes_on(const struct mime_part *part)
{
    size_t padding = part->coding == MIME_BASE64 ? str_find(part->raw, '=') : part->raw.n;

    for (size_t i = padding; i < part->raw.n; i++)
        if (!memchr("= \t\r\n", part->raw.p[i], 5))
            return true;
    return false;
}

/* is_piece - inside a message/partial, which may be all of it. */
static bool is_piece(const struct mime_part *part)
{
    for (const struct mime_part *p = part->inside; p; p = p->inside)
        if (str_is(p->type, STR("message/partial")))
            return true;
    return false;
}

static bool is_unseen(const struct mime_part *part)
{
    switch (part->found) {
    case MIME_INLINE:
        return part->coding != MIME_UU;
    case MIME_WRAPPED:
        return true;
    case MIME_DECLARED:
    case MIME_HIDDEN:
        return goes_on(part) || is_piece(part);
    case MIME_RAW:
    case MIME_ADDED:
        break;
    }
    return false;
}

/* scan_block - begin-base64, yEnc, parts of a multipart that is encoded itself or of a message in pieces: scanners do
 * not unpack them, readers do. One after the other, since a scan that nobody waits for keeps others from theirs. What
 * there are too many of is not clean. */
static bool scan_block(void *data, const struct mime_part *part)
{
    struct blocks *b = data;
    const struct virus_options *o = OPTIONS(struct virus_options, b->c);
    struct raw raw = {.bytes = 0};
    struct str bytes;

    if (!is_unseen(part))
        return true;
    if (b->count++ == BLOCKS_MOST) {
        *b->answer = (struct virus_answer){.said = VIRUS_ERROR, .text = STR("there are too many encoded blocks")};
        return false;
    }
    if (!mime_decode(b->c->arena, part, b->left + 1, 0, &bytes) || bytes.n > b->left) {
        *b->answer = (struct virus_answer){.said = VIRUS_TOO_LARGE, .text = STR("an encoded block is too large")};
        return false;
    }
    if (bytes.n == 0)
        return true;
    b->left -= bytes.n;
    raw.pieces[0] = bytes;
    raw.bytes = bytes.n;
    *b->answer = b->scanning->engine->finish(b->scanning->engine->begin(b->c->arena, &o->where, &raw, b->deadline));
    return b->answer->said == VIRUS_CLEAN;
}

static void scan_blocks(struct context *c, const struct scanning *s, struct virus_answer *answer)
{
    const struct virus_options *o = OPTIONS(struct virus_options, c);
    struct blocks b = {.c = c, .scanning = s, .answer = answer, .deadline = clock_ms() + o->timeout,
                       .left = o->max_size < MIME_DECODED_MOST ? (size_t)o->max_size : MIME_DECODED_MOST};
    struct mime *mime = message_mime(c->message);

    if (mime)
        mime_each(mime, scan_block, &b);
}

static struct finding virus_message(struct context *c)
{
    struct scanning *s = message_state(c, sizeof *s);
    struct virus_answer answer;

    if (!forged_remove(c->message, FORGED))
        return bad(c, "5.6.0", "the header has more than %d X-Virus fields", FORGED_MOST);
    if (s->failed)
        return not_judged(c, s->why);
    if (!s->scan) {
        fact_set(c, FACT_SCANNER, s->why);
        return NO_OPINION;
    }
    answer = s->engine->finish(s->scan);
    if (answer.known)
        fact_set(c, FACT_SCANNER, STR("known"));
    if (answer.said == VIRUS_CLEAN)
        scan_blocks(c, s, &answer);
    switch (answer.said) {
    case VIRUS_CLEAN:
        say_status(c, "clean", STR_NONE);
        return NO_OPINION;
    case VIRUS_FOUND:
        return found(c, answer.text);
    case VIRUS_TOO_LARGE: /* for the scanner, not for max_size: it was to be scanned */
        say_status(c, "not scanned", answer.text);
        break;
    case VIRUS_ERROR:
        break;
    }
    return not_judged(c, answer.text);
}

/* virus_finish - nobody's word counts but ours, not even that of a client who is not scanned. */
static void virus_finish(struct context *c)
{
    forged_remove(c->message, FORGED);
}

/* ---- the past ---- */

/* virus_again - size is known but for the line ends of the header, the scanner's word as it was. */
static struct finding virus_again(struct context *c, enum stage stage, const struct then *then)
{
    const struct virus_options *o = OPTIONS(struct virus_options, c);
    struct str name = then_fact(then, FACT_VIRUS), why = then_fact(then, FACT_SCANNER);
    bool too_large = str_is(why, STR("too large"));
    struct finding f;

    (void)stage;
    switch (past_larger(c, o->max_size)) {
    case LARGER:
        return then && then->finding.result == BAD && name.n == 0 ? then_keep(c, then) : NO_OPINION;
    case PERHAPS_LARGER:
        if (then && then->finding.result == NOTHING && name.n == 0)
            return NO_OPINION;
        return not_kept(c, "whether it is just larger than max_size was not recorded");
    case NOT_LARGER:
        break;
    }
    if (then && too_large)
        return not_kept(c, "it was too large to be scanned then");
    f = then_keep(c, then);
    if (f.result == UNSURE)
        f.temporary = o->on_error == ERROR_TEMPFAIL;
    if (!str_starts(name, STR("Heuristics.Encrypted.")))
        return f;
    return o->encrypted == ENCRYPTED_ACCEPT ? NO_OPINION
           : bad(c, "5.7.1", "encrypted content is not accepted here: " STR_FMT, STR_ARG(name));
}

#define ANOTHER_SCAN "what another scan would have said"
static const struct told_again virus_told[] = {
    CAN_TELL("max_size"), CAN_TELL("on_error"), CAN_TELL("encrypted"), CANNOT_TELL("engine", ANOTHER_SCAN),
    CANNOT_TELL("socket", ANOTHER_SCAN), CANNOT_TELL("database", ANOTHER_SCAN), CANNOT_TELL("timeout", ANOTHER_SCAN),
    TOLD_AGAIN_END,
};

const struct policy policy_virus = {
    .name = "virus",
    .summary = "refuse messages in which a scanner finds a virus",
    .options = virus_rows,
    .options_size = sizeof(struct virus_options),
    .presets = {.enabled = "no", .karma = "-1"},
    .ask = {[AT_MESSAGE] = virus_ask},
    .at = {[AT_MESSAGE] = virus_message},
    .prepare = virus_prepare,
    .finish = virus_finish,
    .wants_body = true,
    .edits = true,
    .again = virus_again,
    .told_again = virus_told,
};
