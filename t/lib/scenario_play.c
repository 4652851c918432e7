/* scenario_play.c - plays a scenario's steps with a driver and compares what was seen with what was to be. */
#include <ftw.h>
#include <regex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

#include "milter/base/clock.h"

#define DEFAULT_CLOCK STR("2026-01-05T10:00:00Z")

struct judge { /* one play and its checks */
    struct play play;
    struct tap *tap;
    const struct driver *driver;
    const struct scenario *scn;
    unsigned failed_before;
    /* What `found` listed and no report line has confirmed yet, for drivers that see findings only there. */
    struct seen_finding *of_session, *of_message;
    size_t session_count, message_count;
};

void play_note(struct play *p, const char *format, ...)
{
    va_list ap;

    buf_add(&p->transcript, STR("        "));
    va_start(ap, format);
    buf_vaddf(&p->transcript, format, ap);
    va_end(ap);
    buf_addc(&p->transcript, '\n');
}

static bool is_hello(enum step_kind kind)
{
    return kind == STEP_HELO || kind == STEP_EHLO;
}

unsigned play_lines_due(const struct play *p, const struct step *step, bool refused)
{
    unsigned open = p->in_message;

    if (p->sticky.n && step->kind != STEP_CLOSE)
        return 0;
    switch (step->kind) {
    case STEP_MAIL:
        return open + refused;
    case STEP_HELO:
    case STEP_EHLO:
    case STEP_ABORT:
        return open;
    case STEP_DATA:
        return refused;
    case STEP_MESSAGE:
        return 1;
    case STEP_CLOSE:
        return open + (p->mails == 0 || p->told);
    default:
        return 0;
    }
}

bool play_stuck(struct play *p, const struct step *step, struct seen *seen)
{
    if (!p->sticky.n || step->kind == STEP_CONNECT || step->kind == STEP_CLOSE)
        return false;
    if (step->kind == STEP_MAIL)
        seen->reply = p->sticky;
    else if (step->kind > STEP_AUTH && step->kind != STEP_ABORT)
        seen->error = arena_printf(p->arena, "%s cannot follow a refusal at connect or helo", step_names[step->kind]);
    return true;
}

/* after_step - what the step has made of the connection. */
static void after_step(struct play *p, const struct step *step, const struct seen *seen)
{
    bool refused = seen->reply.n > 0;

    switch (step->kind) {
    case STEP_CONNECT:
        p->connected = true;
        p->told = refused;
        p->sticky = seen->reply;
        break;
    case STEP_HELO:
    case STEP_EHLO:
        p->in_message = p->in_data = false;
        p->told |= refused;
        if (refused && !p->sticky.n)
            p->sticky = seen->reply;
        break;
    case STEP_UNKNOWN:
        p->told |= refused;
        break;
    case STEP_MAIL:
        if (p->sticky.n)
            break;
        p->mails++;
        p->rcpts = 0;
        p->in_message = !refused;
        p->in_data = false;
        break;
    case STEP_RCPT:
        p->rcpts += !refused;
        break;
    case STEP_DATA:
        p->in_data = !refused;
        p->in_message &= !refused;
        break;
    case STEP_MESSAGE:
    case STEP_ABORT:
        p->in_message = p->in_data = false;
        break;
    case STEP_CLOSE:
        p->connected = false;
        p->early.scripted = false;
        break;
    default:
        break;
    }
    p->hung_up = p->connected && (p->hung_up || seen->closed || str_starts(seen->reply, STR("421")) ||
                                  str_starts(seen->reply, STR("521")));
}

/* ---- checks ---- */

static bool point(struct judge *j, unsigned line, const char *what, bool ok, struct str why)
{
    if (!play_point(j->tap, j->scn, line, what, ok)) {
        if (!j->tap->must_fail)
            tap_lines(why);
        play_note(&j->play, "^ FAILED: %s, line %u", what, line);
    }
    return ok;
}

static struct str next_field(struct str *rest)
{
    struct str part;

    return str_split(rest, ' ', &part) ? part : STR_NONE;
}

static bool contains(struct str text, struct str part)
{
    return part.n == 0 || (text.n && memmem(text.p, text.n, part.p, part.n));
}

static bool reply_fits(const struct check *c, const struct seen *seen)
{
    struct str rest = seen->reply, code, status;
    long n = 0;

    if (c->go_on || !seen->reply.n)
        return c->go_on == !seen->reply.n;
    code = next_field(&rest);
    str_to_long(code, &n);
    if (c->code && n != c->code)
        return false;
    if (c->closed && !seen->closed && n != 421 && n != 521)
        return false;
    if (seen->reply_unseen)
        return true;
    status = next_field(&rest);
    return (!c->status.n || str_is(c->status, status)) && contains(rest, c->fragment);
}

static void check_reply(struct judge *j, const struct step *step, const struct seen *seen)
{
    static const struct check go_on = {.kind = CHECK_REPLY, .go_on = true, .text = {"reply continue", 14}};
    const struct check *c = step->checks;
    struct arena *a = j->play.arena;

    while (c && c->kind != CHECK_REPLY)
        c = c->next;
    if (!c)
        c = &go_on;
    if (step->kind >= STEP_HELO || c->line)
        point(j, c->line ? c->line : step->line, step_names[step->kind], reply_fits(c, seen),
              arena_printf(a, "expected: " STR_FMT "\nseen:     reply " STR_FMT "%s", STR_ARG(c->text),
                           STR_ARG(seen->reply.n ? str_escaped(a, seen->reply) : STR("continue")),
                           seen->closed ? " (closed)" : ""));
}

static bool matches(struct str value, const struct pair *want)
{
    regex_t re;
    bool found;

    if (!want->regex)
        return str_is(value, want->value);
    if (regcomp(&re, want->value.p, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    found = regexec(&re, value.p ? value.p : "", 0, NULL, 0) == 0;
    regfree(&re);
    return found;
}

static bool facts_fit(const struct check *c, const struct seen_finding *f)
{
    for (size_t i = 0; i < c->pair_count; i++) {
        bool found = false;

        for (size_t k = 0; k < f->fact_count && !found; k++)
            found = str_is(f->facts[k].key, c->pairs[i].key) && matches(f->facts[k].value, &c->pairs[i]);
        if (!found)
            return false;
    }
    return true;
}

static void add_finding(struct arena *a, struct buf *b, const struct seen_finding *f)
{
    buf_addf(b, "found " STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(f->policy), STR_ARG(f->result), STR_ARG(f->status));
    for (size_t i = 0; i < f->fact_count; i++)
        buf_addf(b, " " STR_FMT "=\"" STR_FMT "\"", STR_ARG(f->facts[i].key),
                 STR_ARG(str_escaped(a, f->facts[i].value)));
}

static const struct check *next_check(const struct check *c, enum check_kind kind)
{
    while (c && c->kind != kind)
        c = c->next;
    return c;
}

/* check_findings - those of this very step, in order, for a driver that sees them. */
static void check_findings(struct judge *j, const struct step *step, const struct seen *seen)
{
    const struct check *c = next_check(step->checks, CHECK_FOUND);
    struct buf b = buf_in(j->play.arena);

    for (size_t i = 0; i < seen->finding_count; i++) {
        const struct seen_finding *f = &seen->findings[i];
        bool fits = c && str_is(c->policy, f->policy) && str_is(c->result, f->result) &&
                    (!c->status.n || str_is(c->status, f->status)) && facts_fit(c, f);

        b.len = 0;
        buf_addf(&b, c ? "expected: " STR_FMT "\nseen:     " : "nobody listed: " STR_FMT,
                 STR_ARG(c ? c->text : STR_NONE));
        add_finding(j->play.arena, &b, f);
        point(j, c ? c->line : step->line, "found", fits, buf_str(&b));
        c = c ? next_check(c->next, CHECK_FOUND) : NULL;
    }
    for (; c; c = next_check(c->next, CHECK_FOUND))
        point(j, c->line, "found", false,
              arena_printf(j->play.arena, "expected: " STR_FMT "\nseen:     no such finding", STR_ARG(c->text)));
}

/* expect_findings - for a driver that sees them only in the report line: keep in mind what is listed. */
static void expect_findings(struct judge *j, const struct step *step)
{
    bool session = step->kind == STEP_CONNECT || is_hello(step->kind) || step->kind == STEP_UNKNOWN ||
                   step->kind == STEP_CLOSE;
    struct seen_finding **list = session ? &j->of_session : &j->of_message;
    size_t *count = session ? &j->session_count : &j->message_count;

    for (const struct check *c = step->checks; (c = next_check(c, CHECK_FOUND)); c = c->next) {
        *list = arena_grow(j->play.arena, *list, *count, sizeof **list);
        (*list)[(*count)++] = (struct seen_finding){.policy = c->policy, .result = c->result};
    }
}

static void add_expected(struct buf *b, const struct seen_finding *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_addf(b, "%s" STR_FMT ":" STR_FMT, b->len ? "," : "", STR_ARG(list[i].policy), STR_ARG(list[i].result));
}

/* check_line_findings - a report line confirms what was found of the connection, and of the message that ended. */
static void check_line_findings(struct judge *j, const struct step *step, struct str line)
{
    struct arena *a = j->play.arena;
    struct buf b = buf_in(a);
    struct str found, from;

    if (!line_field(a, line, STR("findings"), &found) || !line_field(a, line, STR("from"), &from))
        return; /* another format: nothing to compare */
    buf_add(&b, STR_NONE);
    add_expected(&b, j->of_session, j->session_count);
    if (from.n) {
        add_expected(&b, j->of_message, j->message_count);
        j->message_count = 0;
    }
    point(j, step->line, "findings of the report line", str_is(found, buf_str(&b)),
          arena_printf(a, "expected: " STR_FMT "\nseen:     " STR_FMT, STR_ARG(buf_str(&b)), STR_ARG(found)));
}

static void check_learned(struct judge *j, const struct step *step)
{
    struct str seen;

    for (const struct check *c = step->checks; (c = next_check(c, CHECK_LEARNED)); c = c->next) {
        bool ok = karma_learned(&j->play, &c->memory, &seen);

        point(j, c->line, "learned", ok,
              arena_printf(j->play.arena, "expected: " STR_FMT "\nseen:     " STR_FMT, STR_ARG(c->text), STR_ARG(seen)));
    }
}

static void check_edits(struct judge *j, const struct step *step, const struct seen *seen)
{
    const struct check *c = next_check(step->checks, CHECK_EDIT);
    struct arena *a = j->play.arena;

    if (!seen->edits_known || step->kind != STEP_MESSAGE)
        return;
    for (size_t i = 0; i < seen->edit_count; i++) {
        point(j, c ? c->line : step->line, "edit", c && str_is(c->edit, seen->edits[i]),
              arena_printf(a, "expected: " STR_FMT "\nseen:     edit " STR_FMT, STR_ARG(c ? c->text : STR("edit none")),
                           STR_ARG(seen->edits[i])));
        c = c ? next_check(c->next, CHECK_EDIT) : NULL;
    }
    for (; c; c = next_check(c->next, CHECK_EDIT))
        point(j, c->line, "edit", !c->edit.n,
              arena_printf(a, "expected: " STR_FMT "\nseen:     no such edit", STR_ARG(c->text)));
}

static bool line_fits(struct arena *a, const struct check *c, struct str line)
{
    for (size_t i = 0; i < c->pair_count; i++) {
        struct str value = line;

        if (c->pairs[i].key.n && !line_field(a, line, c->pairs[i].key, &value))
            return false;
        if (!matches(value, &c->pairs[i]))
            return false;
    }
    return true;
}

static void check_logs(struct judge *j, const struct step *step, const struct seen *seen, unsigned due)
{
    struct arena *a = j->play.arena;
    struct buf lines = buf_in(a);

    buf_add(&lines, STR_NONE);
    for (size_t i = 0; i < seen->line_count; i++)
        buf_addf(&lines, "\nseen:     " STR_FMT, STR_ARG(seen->lines[i]));
    if (due || seen->line_count)
        point(j, step->line, "report lines", due == seen->line_count,
              arena_printf(a, "expected: %u lines of the log, seen: %zu" STR_FMT, due, seen->line_count,
                           STR_ARG(buf_str(&lines))));
    for (const struct check *c = step->checks; (c = next_check(c, CHECK_LOG)); c = c->next) {
        bool fits = false;

        for (size_t i = 0; i < seen->line_count && !fits; i++)
            fits = line_fits(a, c, seen->lines[i]);
        point(j, c->line, "log", fits, arena_printf(a, "expected: " STR_FMT STR_FMT, STR_ARG(c->text),
                                                    STR_ARG(lines.len ? buf_str(&lines) : STR("\nseen:     no line"))));
    }
}

static void check_karma(struct judge *j, const struct step *step, const struct seen *seen)
{
    const struct check *c = next_check(step->checks, CHECK_KARMA);
    struct arena *a = j->play.arena;
    struct str text;
    long karma = seen->karma;
    bool known = seen->karma_known;

    if (!c)
        return;
    if (!known && seen->line_count)
        known = line_field(a, seen->lines[seen->line_count - 1], STR("karma"), &text) && str_to_long(text, &karma);
    if (!known && !j->tap->must_fail)
        tap_skip(j->tap, arena_printf(a, "%s:%u karma", j->scn->path, c->line).p, "seen only in report lines");
    else if (known)
        point(j, c->line, "karma", karma == c->karma,
              arena_printf(a, "expected: karma %ld\nseen:     karma %ld", c->karma, karma));
}

/* check_asked - what the DNS was asked. A driver that sees it late owes the answer until the connection's close. */
static void check_asked(struct judge *j, const struct step *step, const struct seen *seen)
{
    struct play *p = &j->play;
    struct arena *a = p->arena;
    struct buf b = buf_in(a);

    buf_add(&b, STR_NONE);
    for (size_t i = 0; i < seen->asked.count; i++) {
        buf_addf(&b, "\nseen:     asked " STR_FMT, STR_ARG(seen->asked.items[i]));
        words_add(a, &p->asked, seen->asked.items[i]);
    }
    for (size_t i = 0; i < seen->unscripted.count; i++)
        point(j, step->line, "asked", false,
              arena_printf(a, "no dns line mentions: " STR_FMT, STR_ARG(seen->unscripted.items[i])));
    for (const struct check *c = step->checks; (c = next_check(c, CHECK_ASKED)); c = c->next) {
        if (seen->asked_known || c->never) {
            point(j, c->line, "asked", asked_fits(p, c, seen),
                  arena_printf(a, "expected: " STR_FMT STR_FMT, STR_ARG(c->text), STR_ARG(buf_str(&b))));
        } else {
            p->owed = arena_grow(a, p->owed, p->owed_count, sizeof *p->owed);
            p->owed[p->owed_count++] = c;
        }
    }
    for (size_t i = 0; step->kind == STEP_CLOSE && i < p->owed_count; i++)
        point(j, p->owed[i]->line, "asked", asked_fits(p, p->owed[i], seen),
              arena_printf(a, "expected: " STR_FMT "\nnot asked on the whole connection", STR_ARG(p->owed[i]->text)));
}

/* ---- the play ---- */

/* impossible - steps that the answers so far leave no room for; NULL: it can be played. */
static const char *impossible(const struct play *p, enum step_kind kind)
{
    if (p->hung_up && kind != STEP_CLOSE)
        return "the connection has been closed by a reply: only `close` can follow";
    if (p->sticky.n)
        return NULL;
    if ((kind == STEP_RCPT || kind == STEP_DATA || kind == STEP_MESSAGE) && !p->in_message)
        return "the message was refused: `abort`, a new `mail` or `close` can follow";
    if ((kind == STEP_DATA || kind == STEP_MESSAGE) && p->rcpts == 0)
        return "no recipient was accepted";
    return NULL;
}

static bool world_step(struct play *p, const struct step *step, struct str *error)
{
    if (step->kind == STEP_KARMA || step->kind == STEP_RELEASE || step->kind == STEP_CAPTURE) {
        return karma_world_step(p, step, error);
    } else if (step->kind == STEP_CLAMD || step->kind == STEP_SPAMD) {
        return scanners_step(p, step, error);
    } else if (step->kind == STEP_INNER) {
        return inner_step(p, step, error);
    } else if (step->kind == STEP_TALKS || step->kind == STEP_LEAVES || step->kind == STEP_BLIND) {
        p->early = step->early;
    } else if (step->kind == STEP_CLOCK) {
        p->wall_ms = step->ms;
    } else if (step->kind == STEP_ADVANCE) {
        p->wall_ms += step->ms;
        p->passed_ms += step->ms;
    } else {
        p->load = step->load;
    }
    return true;
}

/* before_connect - nothing of an earlier connection may shine through. */
static void before_connect(struct judge *j)
{
    struct play *p = &j->play;

    p->auth = p->tls = p->sticky = STR_NONE;
    p->connected = p->hung_up = p->in_message = p->in_data = p->told = false;
    p->mails = p->rcpts = 0;
    p->asked.count = p->owed_count = 0;
    j->session_count = j->message_count = 0;
}

/* note_seen - for the transcript. */
static void note_seen(struct play *p, const struct seen *seen)
{
    play_note(p, "reply " STR_FMT, STR_ARG(seen->reply.n ? str_escaped(p->arena, seen->reply) : STR("continue")));
    for (size_t i = 0; i < seen->finding_count; i++) {
        struct buf b = buf_in(p->arena);

        add_finding(p->arena, &b, &seen->findings[i]);
        play_note(p, STR_FMT, STR_ARG(buf_str(&b)));
    }
    for (size_t i = 0; i < seen->line_count; i++)
        play_note(p, "log " STR_FMT, STR_ARG(seen->lines[i]));
    for (size_t i = 0; i < seen->edit_count; i++)
        play_note(p, "edit " STR_FMT, STR_ARG(seen->edits[i]));
    for (size_t i = 0; i < seen->asked.count; i++)
        play_note(p, "asked " STR_FMT, STR_ARG(seen->asked.items[i]));
}

/* play_step - false when the play cannot go on. */
static bool play_step(struct judge *j, const struct step *step)
{
    struct play *p = &j->play;
    struct seen seen = {0};
    const char *why;
    unsigned due;

    buf_addf(&p->transcript, "%4u " STR_FMT "\n", step->line, STR_ARG(step->written));
    if (step->kind <= STEP_LOAD && !world_step(p, step, &seen.error))
        return point(j, step->line, step_names[step->kind], false, seen.error);
    if (step->kind == STEP_CONNECT)
        before_connect(j);
    else if (step->kind == STEP_TLS)
        p->tls = step->args.items[0];
    else if (step->kind == STEP_AUTH)
        p->auth = step->args.items[0];
    why = impossible(p, step->kind);
    if (why && j->scn->lenient)
        return true;
    if (why)
        return point(j, step->line, step_names[step->kind], false, str_of(why));
    j->driver->step(p, step, &seen);
    if (seen.error.n && j->scn->lenient)
        return true;
    if (seen.error.n)
        return point(j, step->line, step_names[step->kind], false, seen.error);
    if (step->kind <= STEP_LOAD)
        return true;
    note_seen(p, &seen);
    due = play_lines_due(p, step, seen.reply.n > 0);
    check_reply(j, step, &seen);
    if (seen.findings_known)
        check_findings(j, step, &seen);
    else
        expect_findings(j, step);
    for (size_t i = 0; !seen.findings_known && i < seen.line_count; i++)
        check_line_findings(j, step, seen.lines[i]);
    check_edits(j, step, &seen);
    check_logs(j, step, &seen, due);
    check_karma(j, step, &seen);
    if (!j->scn->lenient) /* it waits for what is not to come */
        check_learned(j, step);
    check_asked(j, step, &seen);
    after_step(p, step, &seen);
    return true;
}

static bool write_file(struct play *p, const char *name, struct str text)
{
    FILE *f = fopen(arena_printf(p->arena, STR_FMT "/%s", STR_ARG(p->dir), name).p, "w");
    bool ok;

    if (!f)
        return false;
    ok = fwrite(text.p ? text.p : "", 1, text.n, f) == text.n;
    return fclose(f) == 0 && ok;
}

/* make_mmdb - the file becomes what its lines say. */
static bool make_mmdb(struct play *p, const char *name)
{
    struct str path = arena_printf(p->arena, STR_FMT "/%s", STR_ARG(p->dir), name);
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/usr/bin/python3", "python3", T_LIB_DIR "/mmdb.py", path.p, path.p, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    remove(path); /* a daemon on its way out may have been faster */
    return 0;
}

static bool begin(struct judge *j, struct str *error)
{
    struct play *p = &j->play;
    char dir[] = "/tmp/sme-scn-XXXXXX";
    struct str config, listen;

    if (!mkdtemp(dir) || chmod(dir, 0755) != 0) {
        *error = STR("cannot make a directory in /tmp");
        return false;
    }
    p->dir = str_dup(p->arena, str_of(dir));
    for (const struct scenario_file *f = j->scn->files; f; f = f->next)
        if (!write_file(p, f->name.p, f->text) || (f->mmdb && !make_mmdb(p, f->name.p))) {
            *error = arena_printf(p->arena, "cannot write %s/%s", dir, f->name.p);
            return false;
        }
    if (!write_file(p, DNS_FILE, j->scn->dns)) {
        *error = arena_printf(p->arena, "cannot write %s/" DNS_FILE, dir);
        return false;
    }
    if (!inner_begin(p, j->driver->bit != DRIVER_INPROCESS, error))
        return false;
    listen = arena_printf(p->arena, "unix:%s/milter.sock", dir);
    config = scenario_config(p, listen, geteuid() == 0 ? STR("postfix") : STR_NONE);
    if (!write_file(p, "sme-milter.conf", config)) {
        *error = arena_printf(p->arena, "cannot write %s/sme-milter.conf", dir);
        return false;
    }
    clock_parse_rfc3339(DEFAULT_CLOCK, &p->wall_ms);
    for (const struct step *s = j->scn->steps; s && s->kind <= STEP_LOAD; s = s->next)
        if (!world_step(p, s, error))
            return false;
    p->passed_ms = 0;
    if (!scanners_begin(p, j->driver->bit != DRIVER_INPROCESS, error))
        return false;
    if (j->driver->begin(p, config, error))
        return true;
    scanners_end();
    play_note(p, "the configuration:\n" STR_FMT, STR_ARG(config));
    return false;
}

bool play_run(struct tap *tap, const struct scenario *scn, const struct driver *driver, bool verbose)
{
    struct judge j = {.tap = tap, .driver = driver, .scn = scn, .failed_before = tap->failed};
    struct play *p = &j.play;
    struct str error = STR_NONE;

    p->arena = arena_new(0);
    p->scenario = scn;
    p->transcript = buf_in(p->arena);
    buf_add(&p->transcript, STR_NONE);
    if (begin(&j, &error)) {
        const struct step *step = scn->steps;

        while (step && step->kind <= STEP_LOAD) /* begin() has done them */
            step = step->next;
        while (step && play_step(&j, step))
            step = step->next;
        driver->end(p);
        scanners_end();
    } else {
        point(&j, scn->config_line, "begin", false, error);
    }
    inner_end();
    if (p->dir.n)
        nftw(p->dir.p, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (verbose || (tap->failed > j.failed_before && !tap->must_fail))
        tap_lines(arena_printf(p->arena, "%s, driver %s:\n" STR_FMT, scn->path, driver->name,
                               STR_ARG(buf_str(&p->transcript))));
    arena_free(&p->arena);
    return tap->failed == j.failed_before;
}
