/* karma_import.c - `karma import`: what `karma export` wrote, or the listing of the original's karma_tool. */
#include <errno.h>
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "../base/clock.h"
#include "karma.h"
#include "karma_lines.h"

#define LINES_MOST 20000000
#define BATCH 1000    /* rows at most, */
#define BATCH_MS 30   /* and so much time at most, between which the daemon may write, */
#define PAUSE_MS 40   /* for which it is given so much time: it asks for the lock every few milliseconds */
#define TOLD_MOST 100 /* lines that are complained of one by one */

struct import {
    struct karma_work k;
    struct arena *arena; /* of a line */
    const char *name;    /* of the file, for people */
    FILE *f;
    FILE *rows;          /* struct row of every good line: nothing is written before all lines are read */
    bool replace, skip_bad;
    enum karma_dialect dialect;
    struct karma_line_rules rules;
    uint64_t line, added, replaced, there, skipped, bad;
    unsigned told, pending; /* rows of the open transaction, */
    unsigned pending_changes; /* and how many of them changed something */
    int64_t began;            /* clock_ms() of the transaction */
};

struct row {
    struct karma_net net;
    struct karma_record record;
};

/* complain - each bad line by its number, until there are too many. */
static void complain(struct import *in, const char *what, struct str why)
{
    if (in->told++ < TOLD_MOST)
        fprintf(stderr, "%s:%llu: %s" STR_FMT "\n", in->name, (unsigned long long)in->line, what, STR_ARG(why));
    else if (in->told == TOLD_MOST + 1)
        fprintf(stderr, "%s: further lines are only counted\n", in->name);
}

/* next_line - with at most one byte more than a line may have; the rest of a longer one is passed over. False: end. */
static bool next_line(struct import *in, char *line, size_t *n)
{
    int c = getc_unlocked(in->f);

    *n = 0;
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc_unlocked(in->f))
        if (*n <= KARMA_LINE_MOST)
            line[(*n)++] = (char)c;
    in->line++;
    return true;
}

/* choose_dialect - by the first bytes that are not blank. */
static int choose_dialect(struct import *in, struct str line)
{
    struct str text = str_trim(line);

    if (str_starts(text, STR("["))) {
        fprintf(stderr, "%s:%llu: a list in JSON, as `karma list --json` prints it; what can be imported is written by "
                "`karma export`\n", in->name, (unsigned long long)in->line);
        return EX_DATAERR;
    }
    in->dialect = str_starts(text, STR("{")) ? KARMA_EXPORT : KARMA_TOOL;
    return CTL_FINE;
}

static int execute(struct import *in, const char *sql)
{
    return sqlite3_exec(in->k.db, sql, NULL, NULL, NULL);
}

static int commit(struct import *in)
{
    int result = execute(in, "COMMIT");

    if (result == SQLITE_OK)
        in->pending = in->pending_changes = 0;
    if (in->k.daemon)
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    return result;
}

/* keep - a row, in the transaction that is open or is begun for it; an SQLite result code. */
static int keep(struct import *in, const struct karma_net *net, const struct karma_record *r)
{
    bool write = !in->k.ctl->dry_run;
    struct karma_record old;
    int result = SQLITE_OK;
    bool there;

    if (write && in->pending == 0) {
        result = execute(in, "BEGIN IMMEDIATE");
        in->began = clock_ms();
    }
    if (result != SQLITE_OK)
        return result;
    result = in->k.db ? karma_file_get(in->k.db, net, &old) : SQLITE_DONE;
    there = result == SQLITE_OK;
    if (result != SQLITE_OK && result != SQLITE_DONE)
        return result;
    if (there && !in->replace) {
        in->there++;
    } else {
        in->added += !there;
        in->replaced += there;
        in->pending_changes++;
        if (write && (result = karma_file_put(in->k.db, net, r)) != SQLITE_OK)
            return result;
    }
    return write && (++in->pending == BATCH || clock_ms() > in->began + BATCH_MS) ? commit(in) : SQLITE_OK;
}

/* one_line - false: the row cannot be kept for later. */
static bool one_line(struct import *in, struct str line)
{
    struct row row = {.net = {{0}}};
    struct str why;

    switch (karma_line_read(in->arena, in->dialect, line, &in->rules, &row.net, &row.record, &why)) {
    case KARMA_LINE_ROW:
        return fwrite(&row, sizeof row, 1, in->rows) == 1;
    case KARMA_LINE_SKIPPED:
        in->skipped++;
        complain(in, "left out: ", why);
        break;
    case KARMA_LINE_BAD:
        in->bad++;
        complain(in, "", why);
        break;
    case KARMA_LINE_NOTHING:
        break;
    }
    return true;
}

static int no_room(void)
{
    fprintf(stderr, "a temporary file for what is read: %s\n", strerror(errno));
    return EX_IOERR;
}

/* read_all - every line, into in->rows. */
static int read_all(struct import *in)
{
    char line[KARMA_LINE_MOST + 1];
    bool chosen = false;
    size_t n;

    while (next_line(in, line, &n)) {
        if (in->line > LINES_MOST) {
            fprintf(stderr, "%s: has more than %d lines\n", in->name, LINES_MOST);
            in->bad++;
            break;
        }
        if (!chosen && str_trim((struct str){line, n}).n) {
            if (choose_dialect(in, (struct str){line, n}) != CTL_FINE)
                return EX_DATAERR;
            chosen = true;
        }
        if (chosen && !one_line(in, (struct str){line, n}))
            return no_room();
        arena_reset(in->arena);
    }
    if (ferror(in->f)) {
        fprintf(stderr, "%s: %s\n", in->name, strerror(errno));
        return EX_IOERR;
    }
    return fflush(in->rows) == 0 ? CTL_FINE : no_room();
}

/* write_all - what was read, in transactions between which the daemon gets its turn. */
static int write_all(struct import *in)
{
    int result = SQLITE_OK;
    struct row row;

    rewind(in->rows);
    while (result == SQLITE_OK && fread(&row, sizeof row, 1, in->rows) == 1)
        result = keep(in, &row.net, &row.record);
    if (result == SQLITE_OK && in->pending)
        result = commit(in);
    if (result != SQLITE_OK) {
        result = karma_failed(&in->k, result);
        fprintf(stderr, "%s: %llu clients were read in before; they are there when you try again\n", in->name,
                (unsigned long long)(in->added + in->replaced - in->pending_changes));
        return result;
    }
    return ferror(in->rows) ? no_room() : CTL_FINE;
}

static void tell_counts(const struct import *in)
{
    bool dry = in->k.ctl->dry_run;

    if (in->k.ctl->json) {
        json_t *one = json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "added", (json_int_t)in->added, "replaced",
                                (json_int_t)in->replaced, "there", (json_int_t)in->there, "left_out",
                                (json_int_t)in->skipped, "bad", (json_int_t)in->bad, "dry_run", dry);

        json_dumpf(one, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(one);
        return;
    }
    printf("%llu %sadded, %llu %sreplaced, %llu already there, %llu left out, %llu bad lines\n",
           (unsigned long long)in->added, dry ? "would be " : "", (unsigned long long)in->replaced,
           dry ? "would be " : "", (unsigned long long)in->there, (unsigned long long)in->skipped,
           (unsigned long long)in->bad);
}

static int import(struct import *in)
{
    int status, told = CTL_FINE;

    in->rules.now = (int64_t)in->k.now;
    in->rules.penalty_s = in->k.policy.rules.penalty_s;
    in->rows = tmpfile();
    if (!in->rows)
        return no_room();
    in->arena = arena_new(0);
    status = read_all(in);
    arena_free(&in->arena);
    if (status == CTL_FINE && in->bad && !in->skip_bad) {
        fprintf(stderr, "%s: %llu bad line%s: nothing is imported; with --skip-bad the other lines are\n", in->name,
                (unsigned long long)in->bad, in->bad == 1 ? "" : "s");
        status = EX_DATAERR;
    } else if (status == CTL_FINE) {
        status = write_all(in);
        if (status == CTL_FINE)
            tell_counts(in);
        fflush(stdout);
        told = !in->k.ctl->dry_run && in->added + in->replaced ? karma_tell(&in->k) : CTL_FINE;
    }
    fclose(in->rows);
    return status != CTL_FINE ? status : in->bad ? EX_DATAERR : told;
}

static int run(struct ctl *ctl)
{
    const char *file = NULL;
    struct import in = {.f = stdin, .name = "standard input"};
    int status;

    for (int i = 1; i < ctl->argc; i++) {
        if (strcmp(ctl->argv[i], "--replace") == 0)
            in.replace = true;
        else if (strcmp(ctl->argv[i], "--skip-bad") == 0)
            in.skip_bad = true;
        else if (file || (ctl->argv[i][0] == '-' && ctl->argv[i][1]))
            return ctl_usage(&ctl_karma_import, "does not take \"%s\"", ctl->argv[i]);
        else
            file = ctl->argv[i];
    }
    if (file && strcmp(file, "-") != 0) {
        in.name = str_escaped(ctl->arena, str_of(file)).p;
        in.f = fopen(file, "rb");
        if (!in.f) {
            fprintf(stderr, "%s: %s\n", in.name, strerror(errno));
            return errno == EACCES ? EX_NOPERM : EX_NOINPUT;
        }
    }
    status = karma_begin(&in.k, ctl, &ctl_karma_import, ctl->dry_run ? KARMA_READ : KARMA_CREATE);
    if (status == CTL_FINE)
        status = karma_end(&in.k, import(&in));
    if (in.f != stdin)
        fclose(in.f);
    return status;
}

const struct ctl_command ctl_karma_import = {
    .words = "karma import",
    .usage = "[--replace] [--skip-bad] [FILE]",
    .summary = "Read what `karma export` wrote, or what the original's `karma_tool list` prints",
    .help = "  FILE        - or nothing: standard input\n"
            "  --replace   also clients that are remembered here already; if not given, they are left as they are\n"
            "  --skip-bad  import the other lines when some cannot be read; if not given, nothing is imported then\n"
            "  -n          only say what would be done\n"
            "\n"
            "Which of both it is, the first line tells. A line that cannot be read is named.\n"
            "Of karma_tool: a penalty is as long as the policy's penalty, its date is local time, and the name is\n"
            "ignored; a client counts as seen now. It prints nothing for IPv6 addresses, which are left out.\n"
            "exit: 0 fine, 65 some lines could not be read, 75 done, but the running daemon does not answer\n",
    .run = run,
};
