/* clamd.c - asks clamd, and known.c before it. */
#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "scan/clamd.h"
#include "scan/known.h"
#include "scan/trouble.h"

#define ANSWER_MOST 4096
#define NAME_MOST 200
#define CHUNK_MOST (64U * 1024 * 1024)
#define VERSION_MOST 1024
#define VERSION_MS 250 /* clamd answers at once; who does not is asked again in a minute */

static struct trouble trouble, size;

struct clamd_scan {
    struct arena *arena;
    const struct talk_where *where;
    struct raw raw;
    struct talk *talk;    /* NULL: known */
    struct talk *asking;  /* for the version; NULL: not needed, or somebody else is */
    struct str version;   /* empty: not known when this began */
    struct virus_answer answer;
};

/* ---- what it says ---- */

static struct virus_answer error_answer(struct arena *a, const char *what, struct str reply)
{
    return (struct virus_answer){
        VIRUS_ERROR, arena_printf(a, "%s: \"" STR_FMT "\"", what, STR_ARG(str_slice(reply, 0, NAME_MOST))), false};
}

struct virus_answer clamd_parse(struct arena *a, struct str reply)
{
    static const struct str stream = {"stream: ", 8}, found = {" FOUND", 6}, error = {" ERROR", 6};
    static const struct str limit = {"INSTREAM size limit exceeded", 28};

    if (reply.n && reply.p[reply.n - 1] == '\n')
        reply.n--;
    if (str_is(reply, STR("stream: OK")))
        return (struct virus_answer){.said = VIRUS_CLEAN};
    if (str_starts(reply, stream) && reply.n > stream.n + found.n &&
        str_is(str_slice(reply, reply.n - found.n, reply.n), found)) {
        struct str name = str_slice(reply, stream.n, reply.n - found.n);

        return (struct virus_answer){VIRUS_FOUND, str_slice(name, 0, NAME_MOST), false};
    }
    if (str_starts(reply, limit))
        return (struct virus_answer){.said = VIRUS_TOO_LARGE, .text = STR("larger than clamd's StreamMaxLength")};
    if (reply.n >= error.n && str_is(str_slice(reply, reply.n - error.n, reply.n), error))
        return error_answer(a, "clamd has an error", reply);
    return error_answer(a, "clamd says something else than it should", reply);
}

/* ---- asking ---- */

static struct talk *ask(struct clamd_scan *scan, const struct str *say, size_t pieces, size_t most, int64_t deadline)
{
    struct talk_plan plan = {.where = scan->where, .say = say, .pieces = pieces, .until = '\0', .most = most,
                             .deadline = deadline};

    return talk_begin(scan->arena, &plan);
}

static void add_length(struct clamd_scan *scan, struct str *say, size_t *n, size_t length)
{
    uint32_t net = htonl((uint32_t)length);

    say[(*n)++] = str_dup(scan->arena, (struct str){(const char *)&net, sizeof net});
}

/* stream - zINSTREAM, chunks that begin with their length, and one of length 0. */
static struct talk *stream(struct clamd_scan *scan, int64_t deadline)
{
    size_t chunks = RAW_PIECES + (size_t)(scan->raw.bytes / CHUNK_MOST), n = 0;
    struct str *say = arena_array(scan->arena, 2 * chunks + 2, sizeof *say);

    say[n++] = (struct str){"zINSTREAM", sizeof "zINSTREAM"}; /* with its NUL */
    for (size_t i = 0; i < RAW_PIECES; i++)
        for (struct str rest = scan->raw.pieces[i]; rest.n;) {
            struct str chunk = str_slice(rest, 0, CHUNK_MOST);

            add_length(scan, say, &n, chunk.n);
            say[n++] = chunk;
            rest = str_slice(rest, chunk.n, rest.n);
        }
    add_length(scan, say, &n, 0);
    return ask(scan, say, n, ANSWER_MOST, deadline);
}

static struct known_key key_of(const struct clamd_scan *scan, struct str version)
{
    return known_key(scan->where->shown, version, STR_NONE, scan->raw.pieces, RAW_PIECES);
}

static void *clamd_begin(struct arena *a, const struct talk_where *where, const struct raw *raw, int64_t deadline)
{
    static const struct str version_command = {"zVERSION", sizeof "zVERSION"};
    struct clamd_scan *scan = arena_zalloc(a, sizeof *scan);
    bool should_ask;

    scan->arena = a;
    scan->where = where;
    scan->raw = *raw;
    scan->version = known_version(a, where->shown, &should_ask);
    if (scan->version.n) {
        struct known_key key = key_of(scan, scan->version);
        struct str virus;

        if (known_find(a, &key, &virus)) {
            scan->answer = (struct virus_answer){virus.n ? VIRUS_FOUND : VIRUS_CLEAN, virus, true};
            return scan;
        }
    }
    scan->talk = stream(scan, deadline);
    if (should_ask)
        scan->asking = ask(scan, &version_command, 1, VERSION_MOST,
                           clock_ms() + VERSION_MS < deadline ? clock_ms() + VERSION_MS : deadline);
    return scan;
}

/* hear_version - it has usually come long before; nobody waits for more than a moment, once a minute. */
static void hear_version(struct clamd_scan *scan)
{
    const struct talk_answer *heard = scan->asking ? talk_finish(scan->asking) : NULL;
    bool again;

    if (!heard || !heard->ok)
        return;
    known_heard(scan->where->shown, heard->text);
    scan->version = known_version(scan->arena, scan->where->shown, &again); /* as it is believed */
}

static struct virus_answer clamd_finish(void *ptr)
{
    struct clamd_scan *scan = ptr;
    const struct talk_answer *answer;

    if (!scan->talk)
        return scan->answer;
    answer = talk_finish(scan->talk);
    hear_version(scan);
    scan->answer = answer->ok ? clamd_parse(scan->arena, answer->text)
                              : (struct virus_answer){VIRUS_ERROR, answer->problem, false};
    if (scan->answer.said == VIRUS_CLEAN && answer->more)
        scan->answer = error_answer(scan->arena, "clamd says more than one thing", answer->text);
    if (scan->answer.said == VIRUS_CLEAN && answer->early)
        scan->answer = error_answer(scan->arena, "clamd answers before it has the whole message", answer->text);
    if (scan->answer.said == VIRUS_TOO_LARGE) /* whoever set max_size believes that everything below it is scanned */
        trouble_warn(&size, "virus", arena_printf(scan->arena, "a message of %llu bytes is not scanned: clamd's "
                     "StreamMaxLength is below max_size", (unsigned long long)scan->raw.bytes));
    if (scan->answer.said == VIRUS_ERROR)
        trouble_warn(&trouble, "virus", scan->answer.text);
    if (scan->version.n && (scan->answer.said == VIRUS_CLEAN || scan->answer.said == VIRUS_FOUND)) {
        struct known_key key = key_of(scan, scan->version);

        known_add(&key, scan->answer.said == VIRUS_FOUND ? scan->answer.text : STR_NONE);
    }
    return scan->answer;
}

const struct engine engine_clamd = {.name = "clamd", .begin = clamd_begin, .finish = clamd_finish};
