/* scenario_karma.c - `karma IP = ...`, `release`, `capture`, and the check `learned`: on the file, as others use it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

#include "db/karma_store.h"

#define LEARNED_MS 5000 /* a daemon needs some time from the client's QUIT to its disk */

static struct str store_path(const struct play *p)
{
    return arena_printf(p->arena, STR_FMT "/karma.sqlite", STR_ARG(p->dir));
}

/* tell_daemon - as sme-milterctl does. Without a daemon yet there is nobody to tell. */
static bool tell_daemon(const struct play *p)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[8] = "";
    bool ok;

    snprintf(un.sun_path, sizeof un.sun_path, STR_FMT "/control", STR_ARG(p->dir));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&un, sizeof un) != 0) {
        close(fd);
        return true;
    }
    ok = send(fd, "karma\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, answer, sizeof answer, 0) >= 2 &&
         memcmp(answer, "ok", 2) == 0;
    close(fd);
    return ok;
}

/* sync_daemon - what it learned so far is in the file, and what is in the file is known to it. */
static bool sync_daemon(const struct play *p)
{
    if (!karma_store_running())
        return tell_daemon(p);
    karma_store_look();
    return karma_store_flush(LEARNED_MS);
}

static struct karma_record record_of(const struct play *p, const struct memory *m)
{
    struct karma_record r = {.nice = m->nice, .naughty = m->naughty, .connects = m->connects};

    r.first_seen = r.last_seen = p->wall_ms / 1000;
    r.penalty_until = m->boxed_s > 0 ? p->wall_ms / 1000 + m->boxed_s : 0;
    return r;
}

bool karma_world_step(struct play *p, const struct step *step, struct str *error)
{
    const struct memory *m = &step->memory;
    struct karma_record record = record_of(p, m);
    struct karma_net net;
    int status, rc = SQLITE_OK;
    sqlite3 *db;

    if (!karma_net_parse(m->net, &net)) {
        *error = STR("that is no address");
        return false;
    }
    if (!sync_daemon(p)) {
        *error = STR("the daemon does not answer on its control socket");
        return false;
    }
    db = database_open_file(store_path(p).p, &karma_schema, true, true, p->arena, error, &status);
    if (!db)
        return false;
    if (step->kind == STEP_RELEASE)
        rc = karma_file_release(db, &net, (double)p->wall_ms / 1000);
    else if (step->kind == STEP_CAPTURE)
        rc = karma_file_capture(db, &net, (double)p->wall_ms / 1000, m->boxed_s);
    else
        rc = karma_file_put(db, &net, &record);
    if (rc != SQLITE_OK)
        *error = str_dup(p->arena, str_of(sqlite3_errmsg(db)));
    sqlite3_close(db);
    return rc == SQLITE_OK && sync_daemon(p);
}

static bool fits(const struct play *p, const struct memory *m, const struct karma_record *r)
{
    int64_t boxed = r->penalty_until - p->wall_ms / 1000;

    return (m->nice < 0 || m->nice == r->nice) && (m->naughty < 0 || m->naughty == r->naughty) &&
           (m->connects < 0 || m->connects == r->connects) &&
           (m->boxed_s < 0 || (m->boxed_s == 0 ? boxed <= 0 : boxed == m->boxed_s)) &&
           (!m->reason.n || str_is(m->reason, str_of(r->last_reason)));
}

static struct str told(struct play *p, int rc, const struct karma_record *r)
{
    if (rc == SQLITE_DONE)
        return STR("nothing");
    if (rc != SQLITE_OK)
        return str_of(sqlite3_errstr(rc));
    return arena_printf(p->arena, "nice %lld naughty %lld connects %lld boxed %llds reason \"%s\"", (long long)r->nice,
                        (long long)r->naughty, (long long)r->connects,
                        (long long)(r->penalty_until ? r->penalty_until - p->wall_ms / 1000 : 0), r->last_reason);
}

static int64_t real_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts); /* not clock_ms(): that may be scripted */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool karma_learned(struct play *p, const struct memory *m, struct str *seen)
{
    int64_t until = real_ms() + LEARNED_MS;
    struct karma_record record;
    struct karma_net net;
    struct str error;
    sqlite3 *db;
    bool ok;

    if (!karma_net_parse(m->net, &net)) {
        *seen = STR("that is no address");
        return false;
    }
    for (;;) {
        int status, rc = SQLITE_DONE;

        sync_daemon(p);
        db = database_open_file(store_path(p).p, &karma_schema, false, false, p->arena, &error, &status);
        if (db)
            rc = karma_file_get(db, &net, &record);
        sqlite3_close(db);
        *seen = told(p, rc, &record);
        ok = m->nothing ? rc == SQLITE_DONE : rc == SQLITE_OK && fits(p, m, &record);
        if (ok || real_ms() > until)
            return ok;
        usleep(10000); /* between two looks, with the deadline above */
    }
}
