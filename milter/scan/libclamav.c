/* libclamav.c - the scan of a message, in a job of the worker.
 *
 * One engine, one set of options, no cache: an answer depends on the message and the signatures alone. All that
 * libclamav would call clean without having looked at all of it is told as what it is.
 */
#include <clamav.h>
#include <iconv.h>
#include <stdio.h>
#include <string.h>

#include "worker_frame.h"
#include "worker_server.h"

#define SCAN_BYTES_MOST (400ULL * 1024 * 1024) /* of all that is unpacked */
/* What a zip holds is cut at this and then called clean: the limit above must be met before. */
#define FILE_BYTES_MOST SCAN_BYTES_MOST
#define FILES_MOST 10000
#define DEPTH_MOST 17
#define NAME_MOST 200
#define EARLIER_MS 500 /* libclamav is to give up by itself before it is killed */

static struct cl_engine *engine;

/* What of one message's alerts matters most: it is all that the answer has room for. */
static struct alerts {
    char virus[NAME_MOST + 1], encrypted[NAME_MOST + 1], limits[NAME_MOST + 1];
} alerts;

static void be_silent(enum cl_msg severity, const char *full, const char *text, void *context)
{
    (void)severity, (void)full, (void)text, (void)context;
}

static void keep(char to[NAME_MOST + 1], const char *name)
{
    if (!to[0])
        snprintf(to, NAME_MOST + 1, "%s", name);
}

static void found(int fd, const char *name, void *context)
{
    (void)fd, (void)context;
    if (!name || !name[0])
        name = "unnamed";
    if (strncmp(name, "Heuristics.Limits.Exceeded", 26) == 0)
        keep(alerts.limits, name);
    else if (strncmp(name, "Heuristics.Encrypted.", 21) == 0)
        keep(alerts.encrypted, name);
    else
        keep(alerts.virus, name);
}

static bool fail(struct arena *a, struct str *why, const char *what, cl_error_t error)
{
    *why = arena_printf(a, "libclamav: %s: %s", what, cl_strerror(error));
    return false;
}

/* open_charsets - what the C library loads for a conversion it cannot load in the sandbox. */
static void open_charsets(void)
{
    static const char *const names[] = {"UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-7", "ISO-8859-1", "ISO-8859-2",
                                        "ISO-8859-5", "ISO-8859-15", "CP1250", "CP1251", "CP1252", "CP437", "CP850",
                                        "KOI8-R", "GB18030", "BIG5", "SHIFT_JIS", "EUC-JP", "EUC-KR", "ISO-2022-JP"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)iconv_open("UTF-8", names[i]); /* and it stays open */
}

static bool scan_init(struct arena *a, struct str *why)
{
    cl_error_t error;

    cl_set_clcb_msg(be_silent);
    error = cl_init(CL_INIT_DEFAULT);
    if (error != CL_SUCCESS)
        return fail(a, why, "cl_init", error);
    open_charsets();
    return true;
}

static bool set_limits(void)
{
    static const struct {
        enum cl_engine_field field;
        long long value;
    } numbers[] = {
        {CL_ENGINE_MAX_SCANSIZE, SCAN_BYTES_MOST}, {CL_ENGINE_MAX_FILESIZE, FILE_BYTES_MOST},
        {CL_ENGINE_MAX_RECURSION, DEPTH_MOST}, {CL_ENGINE_MAX_FILES, FILES_MOST}, {CL_ENGINE_DISABLE_CACHE, 1},
        {CL_ENGINE_BYTECODE_MODE, CL_BYTECODE_MODE_INTERPRETER}, {CL_ENGINE_KEEPTMP, 0},
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (cl_engine_set_num(engine, numbers[i].field, numbers[i].value) != CL_SUCCESS)
            return false;
    return cl_engine_set_str(engine, CL_ENGINE_TMPDIR, ".") == CL_SUCCESS;
}

static bool scan_load(struct arena *a, const char *directory, struct str *version, uint64_t *count, struct str *why)
{
    unsigned signatures = 0;
    cl_error_t error;
    int unused;

    engine = cl_engine_new();
    if (!engine || !set_limits()) {
        *why = STR("libclamav: no engine can be made");
        return false;
    }
    error = cl_load(directory, engine, &signatures, CL_DB_STDOPT);
    if (error != CL_SUCCESS)
        return fail(a, why, directory, error);
    if (signatures == 0) { /* it would call everything clean */
        *why = arena_printf(a, "%s: there are no signatures", directory);
        return false;
    }
    error = cl_engine_compile(engine);
    if (error != CL_SUCCESS)
        return fail(a, why, directory, error);
    cl_engine_set_clcb_virus_found(engine, found);
    *version = arena_printf(a, "libclamav %s, version %lld", cl_retver(),
                            cl_engine_get_num(engine, CL_ENGINE_DB_VERSION, &unused));
    *count = signatures;
    return true;
}

static void answer(struct buf *b, enum frame_scan says, struct str text)
{
    frame_add_u32(b, says);
    frame_add_str(b, str_slice(text, 0, NAME_MOST));
}

/* judge - a virus outweighs what could not be looked at, and that outweighs what is encrypted. */
static void judge(struct buf *b, cl_error_t said, const char *name)
{
    if (said == CL_VIRUS && name)
        found(-1, name, NULL);
    if (alerts.virus[0])
        answer(b, SCAN_VIRUS, str_of(alerts.virus));
    else if (said == CL_ETIMEOUT || said == CL_EMAXREC || said == CL_EMAXSIZE || said == CL_EMAXFILES)
        answer(b, SCAN_LIMITS, str_of(cl_strerror(said)));
    else if (alerts.limits[0])
        answer(b, SCAN_LIMITS, str_of(alerts.limits));
    else if (said != CL_CLEAN && said != CL_VIRUS)
        answer(b, SCAN_ERROR, str_of(cl_strerror(said)));
    else if (alerts.encrypted[0])
        answer(b, SCAN_VIRUS, str_of(alerts.encrypted));
    else if (said == CL_VIRUS)
        answer(b, SCAN_VIRUS, STR("unnamed"));
    else
        answer(b, SCAN_CLEAN, STR_NONE);
}

static bool scan_run(struct arena *a, struct str bytes, uint64_t ms, struct buf *b, struct str *why)
{
    struct cl_scan_options options = {
        .general = CL_SCAN_GENERAL_HEURISTICS | CL_SCAN_GENERAL_ALLMATCHES,
        .parse = ~0U,
        .heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX | CL_SCAN_HEURISTIC_ENCRYPTED_ARCHIVE |
                     CL_SCAN_HEURISTIC_ENCRYPTED_DOC | CL_SCAN_HEURISTIC_PHISHING_SSL_MISMATCH,
    };
    unsigned long scanned = 0;
    const char *name = NULL;
    cl_error_t said;
    cl_fmap_t *map;

    (void)a;
    cl_engine_set_num(engine, CL_ENGINE_MAX_SCANTIME, (long long)(ms > 2 * EARLIER_MS ? ms - EARLIER_MS : ms));
    map = cl_fmap_open_memory(bytes.p, bytes.n);
    if (!map) {
        *why = STR("libclamav: the message cannot be opened");
        return false;
    }
    said = cl_scanmap_callback(map, NULL, &name, &scanned, engine, &options, NULL);
    judge(b, said, name);
    return true;
}

const struct worker_kind worker_kind_scan = {
    .name = "scan", .files = true, .init = scan_init, .load = scan_load, .run = scan_run,
};
