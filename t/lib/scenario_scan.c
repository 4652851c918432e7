/* scenario_scan.c - `clamd = ...`, `spamd = ...`: scanners that say what the play says. In process they stand where
 * milter/talk.c would connect; for the other drivers they listen in the play's directory, each in a thread of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "scenario_reader.h"

#include "milter/scan/known.h"
#include "milter/talk.h"

#define REQUEST_MOST (64U * 1024 * 1024)
#define HELD_MOST 64 /* connections to one that is mute */
#define PLAIN_VERSION STR("ClamAV 1.0.0") /* tells of no signatures: nothing is known from before */

struct server {
    const char *name;
    const struct scanner *says; /* the play's, under the lock */
    struct str path;
    pthread_t thread;
    int listener, stop[2];
    int held[HELD_MOST];
    size_t held_count;
    bool runs;
};

static struct {
    pthread_mutex_t lock;
    struct server servers[2]; /* clamd, spamd */
    bool sockets;
} scan = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the language ---- */

/* cut_tail - "... WORD VALUE" at the end of *rest; false when it does not end that way. */
static bool cut_tail(struct str *rest, struct str word, struct str *value)
{
    size_t blank = str_rfind(*rest, ' '), before;
    struct str head;

    if (blank >= rest->n)
        return false;
    head = str_trim(str_slice(*rest, 0, blank));
    before = str_rfind(head, ' ');
    if (before >= head.n || !str_is(str_slice(head, before + 1, head.n), word))
        return false;
    *value = str_slice(*rest, blank + 1, rest->n);
    *rest = str_trim(str_slice(head, 0, before));
    return true;
}

static bool clamd_says(struct reader *r, struct scanner *s, struct str rest)
{
    struct buf b = buf_in(r->a);

    if (str_is(rest, STR("OK")))
        buf_add(&b, STR("stream: OK"));
    else if (str_starts(rest, STR("FOUND ")))
        buf_addf(&b, "stream: " STR_FMT " FOUND", STR_ARG(reader_unquote(r->a, str_trim(str_slice(rest, 6, rest.n)))));
    else if (str_starts(rest, STR("ERROR ")))
        buf_addf(&b, STR_FMT " ERROR", STR_ARG(reader_unquote(r->a, str_trim(str_slice(rest, 6, rest.n)))));
    else
        return reader_fail(r, "clamd: OK, FOUND NAME, ERROR TEXT, says TEXT, down or mute is expected");
    buf_addc(&b, '\0');
    s->reply = buf_str(&b);
    return true;
}

static bool spamd_says(struct reader *r, struct scanner *s, struct str rest)
{
    struct str score = STR_NONE, tests = STR_NONE, required;
    size_t slash;

    str_token(&rest, &score);
    str_token(&rest, &tests);
    slash = str_find(score, '/');
    required = str_slice(score, slash + 1, score.n);
    if (slash == 0 || required.n == 0 || str_trim(rest).n)
        return reader_fail(r, "spamd: SCORE/REQUIRED [TEST,TEST], says TEXT, down or mute is expected");
    s->reply = arena_printf(r->a, "SPAMD/1.1 0 EX_OK\r\nContent-length: %zu\r\nSpam: %s ; " STR_FMT " / " STR_FMT
                            "\r\n\r\n" STR_FMT "\r\n", tests.n + 2,
                            strtod(str_c(r->a, score), NULL) >= strtod(str_c(r->a, required), NULL) ? "True" : "False",
                            STR_ARG(str_slice(score, 0, slash)), STR_ARG(required), STR_ARG(tests));
    return true;
}

bool reader_scanner(struct reader *r, struct step *step, struct str rest)
{
    struct scanner *s = &step->scanner;
    struct str word;

    s->version = PLAIN_VERSION;
    rest = str_trim(str_slice(rest, str_find(rest, '=') + 1, rest.n));
    if (cut_tail(&rest, STR("after"), &word) && !reader_duration(word, &s->after_ms))
        return reader_fail(r, "%s: a duration like 300ms is expected after `after`", step_names[step->kind]);
    if (step->kind == STEP_CLAMD && cut_tail(&rest, STR("signatures"), &word))
        s->version = arena_printf(r->a, "ClamAV 1.0.0/" STR_FMT "/Mon Jan  5 09:00:00 2026", STR_ARG(word));
    if (str_is(rest, STR("down")) || str_is(rest, STR("mute"))) {
        s->how = str_is(rest, STR("mute")) ? SCANNER_MUTE : SCANNER_DOWN;
        return true;
    }
    s->how = SCANNER_SAYS;
    if (str_starts(rest, STR("says "))) {
        s->reply = reader_unquote(r->a, str_trim(str_slice(rest, 5, rest.n)));
        return true;
    }
    return step->kind == STEP_CLAMD ? clamd_says(r, s, rest) : spamd_says(r, s, rest);
}

/* ---- what they say ---- */

/* clamd_complete - a command, and for INSTREAM its chunks up to the empty one. */
static bool clamd_complete(struct str request)
{
    struct str rest = str_slice(request, sizeof "zINSTREAM", request.n);

    if (!str_starts(request, STR("zINSTREAM")))
        return request.n && request.p[request.n - 1] == '\0';
    while (rest.n >= 4) {
        const unsigned char *p = (const unsigned char *)rest.p;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];

        if (n == 0)
            return true;
        rest = str_slice(rest, 4 + n, rest.n);
    }
    return false;
}

/* spamd_complete - the length it names is the length that came. */
static bool spamd_complete(struct str request)
{
    char *body = memmem(request.p ? request.p : "", request.n, "\r\n\r\n", 4);
    struct str rest = {request.p, body ? (size_t)(body - request.p) : 0}, line;
    long length = -1;

    if (!str_starts(request, STR("SYMBOLS SPAMC/1.5\r\n")))
        return false;
    while (str_split(&rest, '\n', &line))
        if (str_starts_nocase(line, STR("Content-length:")))
            str_to_long(str_trim(str_slice(line, 15, line.n)), &length);
    return length >= 0 && request.p + request.n == body + 4 + length;
}

/* answer_to - the reply to a whole request; false: none is ever given. */
static bool answer_to(const struct scanner *s, struct str request, struct str *reply)
{
    bool spamd = str_starts(request, STR("SYMBOLS"));

    *reply = s->reply;
    if (s->how != SCANNER_SAYS)
        return false;
    if (str_starts(request, STR("zVERSION")))
        *reply = (struct str){s->version.p, s->version.n + 1}; /* with its NUL */
    else if (spamd ? !spamd_complete(request) : !clamd_complete(request))
        *reply = STR("this is not what a client should have said");
    return true;
}

/* ---- in process ---- */

static bool act(void *ctx, const struct talk_where *where, struct str said, struct talk_act *a)
{
    const struct play *p = ctx;
    const struct scanner *s = str_starts(said, STR("z")) ? &p->clamd : &p->spamd;

    (void)where;
    if (s->how == SCANNER_DOWN)
        return false;
    a->mute = !answer_to(s, said, &a->answer);
    a->after_ms = s->after_ms;
    return true;
}

/* ---- on sockets ---- */

static bool told_to_stop(const struct server *s, int64_t ms)
{
    struct pollfd p = {.fd = s->stop[0], .events = POLLIN};

    return poll(&p, 1, (int)ms) > 0;
}

/* read_request - false when the client is gone or wants too much. */
static bool read_request(const struct server *s, int fd, struct buf *b)
{
    bool clamd = strcmp(s->name, "clamd") == 0;
    char bytes[65536];

    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};
        ssize_t n;

        if (poll(p, 2, -1) < 0 || p[1].revents)
            return false;
        n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return n == 0 && !clamd;
        buf_add(b, (struct str){bytes, (size_t)n});
        if (clamd && clamd_complete(buf_str(b)))
            return true;
        if (b->len > REQUEST_MOST)
            return false;
    }
}

static void serve(struct server *s, int fd)
{
    struct arena *a = arena_new(0);
    struct buf request = buf_in(a);
    struct scanner says;
    struct str reply;
    bool whole;

    buf_add(&request, STR_NONE);
    whole = read_request(s, fd, &request);
    pthread_mutex_lock(&scan.lock);
    says = *s->says;
    pthread_mutex_unlock(&scan.lock);
    if (whole && !answer_to(&says, buf_str(&request), &reply) && s->held_count < HELD_MOST) {
        s->held[s->held_count++] = fd;
        fd = -1;
    } else if (whole && says.how == SCANNER_SAYS && !told_to_stop(s, says.after_ms)) {
        if (send(fd, reply.p, reply.n, MSG_NOSIGNAL) < 0)
            whole = false; /* the client did not wait */
    }
    if (fd >= 0)
        close(fd);
    arena_free(&a);
}

static void *run(void *ptr)
{
    struct server *s = ptr;

    for (;;) {
        struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};
        int fd;

        if (poll(p, 2, -1) < 0 || p[1].revents)
            return NULL;
        fd = accept(s->listener, NULL, NULL);
        if (fd >= 0)
            serve(s, fd);
    }
}

static void server_stop(struct server *s)
{
    if (!s->runs)
        return;
    s->runs = false;
    close(s->stop[1]);
    pthread_join(s->thread, NULL);
    close(s->stop[0]);
    close(s->listener);
    unlink(s->path.p);
    while (s->held_count)
        close(s->held[--s->held_count]);
}

static bool server_start(struct server *s)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (s->runs)
        return true;
    memcpy(un.sun_path, s->path.p, s->path.n);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0)
        return false;
    if (bind(s->listener, (struct sockaddr *)&un, sizeof un) != 0 || listen(s->listener, 64) != 0 ||
        chmod(s->path.p, 0777) != 0 || pipe2(s->stop, O_CLOEXEC) != 0) {
        close(s->listener);
        return false;
    }
    s->runs = pthread_create(&s->thread, NULL, run, s) == 0;
    return s->runs;
}

static bool sync_servers(void)
{
    bool fine = true;

    for (size_t i = 0; i < 2; i++) {
        struct server *s = &scan.servers[i];

        if (s->says->how == SCANNER_DOWN)
            server_stop(s);
        else
            fine &= server_start(s);
    }
    return fine;
}

/* ---- for the play ---- */

bool scanners_step(struct play *p, const struct step *step, struct str *error)
{
    pthread_mutex_lock(&scan.lock);
    *(step->kind == STEP_CLAMD ? &p->clamd : &p->spamd) = step->scanner;
    pthread_mutex_unlock(&scan.lock);
    if (scan.sockets && !sync_servers()) {
        *error = arena_printf(p->arena, "cannot serve: %s", strerror(errno));
        return false;
    }
    return true;
}

bool scanners_begin(struct play *p, bool sockets, struct str *error)
{
    known_forget();
    scan.sockets = sockets;
    if (!sockets) {
        talk_script(act, p);
        return true;
    }
    scan.servers[0] = (struct server){.name = "clamd", .says = &p->clamd};
    scan.servers[1] = (struct server){.name = "spamd", .says = &p->spamd};
    for (size_t i = 0; i < 2; i++)
        scan.servers[i].path = arena_printf(p->arena, STR_FMT "/%s.sock", STR_ARG(p->dir), scan.servers[i].name);
    if (sync_servers())
        return true;
    *error = arena_printf(p->arena, "cannot serve: %s", strerror(errno));
    return false;
}

void scanners_end(void)
{
    for (size_t i = 0; scan.sockets && i < 2; i++)
        server_stop(&scan.servers[i]);
    scan.sockets = false;
    talk_script(NULL, NULL);
}
