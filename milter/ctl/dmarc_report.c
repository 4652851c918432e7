/* dmarc_report.c - `dmarc report`: the aggregate reports that domains asked for, told about or sent. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "../auth/dmarc_options.h"
#include "../auth/report_own.h"
#include "../base/clock.h"
#include "../mail/domain.h"
#include "db/database.h"
#include "dmarc_report.h"

#ifndef SENDMAIL
#define SENDMAIL "/usr/sbin/sendmail"
#endif

/* ---- days ---- */

bool report_day_begin(struct str day, int64_t *seconds)
{
    char text[] = "0000-00-00T00:00:00Z";
    int64_t ms;

    if (day.n != 10)
        return false;
    memcpy(text, day.p, 10);
    if (!clock_parse_rfc3339(str_of(text), &ms))
        return false;
    *seconds = ms / 1000;
    return true;
}

static struct str day_of(struct arena *a, int64_t seconds)
{
    return str_slice(clock_rfc3339(a, seconds * 1000), 0, 10);
}

/* ---- telling ---- */

static json_t *json_of(struct report_work *w, struct str s)
{
    s = str_escaped(w->ctl->arena, s);
    return json_stringn(s.p, s.n);
}

static void tell_json(struct report_work *w, const struct dmarc_report *r, struct str file,
                      const struct report_said *said, size_t count)
{
    const struct report_published *p = &r->published;
    json_t *to = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(to, json_pack("{s:o, s:o, s:o}", "address", json_of(w, said[i].destination), "state",
                                            json_of(w, said[i].state), "said", json_of(w, said[i].said)));
    json_array_append_new(
        w->json,
        json_pack("{s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}, s:I, s:I, s:o, s:o, s:o, s:o}", "day",
                  json_of(w, r->day), "domain", json_of(w, p->domain), "policy", "discovery", json_of(w, p->discovery),
                  "p", json_of(w, p->p), "sp", json_of(w, p->sp), "np", json_of(w, p->np), "fo", json_of(w, p->fo),
                  "adkim", json_of(w, p->adkim), "aspf", json_of(w, p->aspf), "testing", json_of(w, p->testing),
                  "messages", (json_int_t)r->messages, "records", (json_int_t)r->records, "state",
                  json_of(w, r->state), "report_id", json_of(w, r->report_id), "file", json_of(w, file),
                  "destinations", to));
}

static struct str shown(struct report_work *w, struct str s)
{
    return str_escaped(w->ctl->arena, s);
}

void report_tell(struct report_work *w, const struct dmarc_report *r, struct str file, const struct report_said *said,
                 size_t count)
{
    const struct report_published *p = &r->published;

    if (w->json) {
        tell_json(w, r, file, said, count);
        return;
    }
    printf(STR_FMT " " STR_FMT ": %lld %s in %lld %s, p=" STR_FMT " sp=" STR_FMT " np=" STR_FMT " adkim=" STR_FMT
           " aspf=" STR_FMT " t=" STR_FMT " fo=" STR_FMT " (" STR_FMT "): " STR_FMT "\n",
           STR_ARG(shown(w, r->day)), STR_ARG(shown(w, p->domain)), (long long)r->messages,
           r->messages == 1 ? "message" : "messages", (long long)r->records, r->records == 1 ? "record" : "records",
           STR_ARG(shown(w, p->p)), STR_ARG(shown(w, p->sp)), STR_ARG(shown(w, p->np)), STR_ARG(shown(w, p->adkim)),
           STR_ARG(shown(w, p->aspf)), STR_ARG(shown(w, p->testing)), STR_ARG(shown(w, p->fo)),
           STR_ARG(shown(w, p->discovery)), STR_ARG(shown(w, r->state)));
    if (file.n)
        printf("    " STR_FMT "\n", STR_ARG(shown(w, file)));
    for (size_t i = 0; i < count; i++)
        printf("    " STR_FMT ": " STR_FMT "%s" STR_FMT "%s\n", STR_ARG(shown(w, said[i].destination)),
               STR_ARG(shown(w, said[i].state)), said[i].said.n ? " (" : "", STR_ARG(shown(w, said[i].said)),
               said[i].said.n ? ")" : "");
}

int report_failed(struct report_work *w, int result)
{
    fprintf(stderr, "the dmarc database: %s\n", w->db ? sqlite3_errmsg(w->db) : sqlite3_errstr(result));
    return (result & 0xff) == SQLITE_BUSY ? EX_TEMPFAIL : EX_IOERR;
}

/* tell_one - without asking anybody: where it is wanted, and what became of it so far. */
static int tell_one(struct report_work *w, const struct dmarc_report *r)
{
    struct arena *a = arena_new(0);
    struct report_said said[2 * RUA_MOST];
    struct dmarc_delivery *before;
    struct str rest = r->rua, address;
    size_t count, told = 0;
    int result = dmarc_file_deliveries(w->db, a, r->id, &before, &count);

    for (size_t i = 0; i < count && told < RUA_MOST; i++)
        said[told++] = (struct report_said){before[i].destination, before[i].state, before[i].said};
    while (told < sizeof said / sizeof said[0] && str_token(&rest, &address)) {
        bool known = false;

        for (size_t i = 0; i < count; i++)
            known |= str_is(before[i].destination, address);
        if (!known)
            said[told++] = (struct report_said){
                address, STR("wanted"),
                rua_is_external(r->published.domain, r->org_domain,
                                str_slice(address, str_rfind(address, '@') + 1, address.n))
                    ? STR("if its domain agrees")
                    : STR_NONE};
    }
    if (result == SQLITE_OK)
        report_tell(w, r, STR_NONE, said, told);
    arena_free(&a);
    return result;
}

static int tell_all(struct report_work *w)
{
    int result = SQLITE_OK;

    for (size_t i = 0; i < w->count && result == SQLITE_OK; i++)
        result = tell_one(w, &w->reports[i]);
    return result == SQLITE_OK ? CTL_FINE : report_failed(w, result);
}

/* ---- who reports ---- */

/* fill_reporter - as the first profile that runs dmarc says. */
static void fill_reporter(struct report_work *w)
{
    const struct policy *policy = policy_by_name(STR("dmarc"));
    const struct dmarc_options *options = NULL;

    for (size_t i = 0; i < w->config->profile_count; i++)
        for (size_t k = 0; k < w->config->profiles[i].count && !options; k++)
            if (policy && w->config->profiles[i].instances[k].policy == policy)
                options = w->config->profiles[i].instances[k].options;
    w->submitter = str_lower(w->ctl->arena, w->config->global.hostname);
    w->org_name = options && options->org_name.n ? options->org_name : w->submitter;
    w->email = report_email(w->ctl->arena, options ? options->email : STR_NONE, w->submitter);
}

static int check_reporter(struct report_work *w)
{
    if (!domain_is_hostname(w->submitter, false)) {
        fprintf(stderr, "hostname \"" STR_FMT "\" is no name to report under\n", STR_ARG(shown(w, w->submitter)));
        return EX_CONFIG;
    }
    if (!rua_address_valid(w->email)) {
        fprintf(stderr,
                "\"" STR_FMT "\" is no address to report from: set `hostname`, or `email` of the policy dmarc\n",
                STR_ARG(shown(w, w->email)));
        return EX_CONFIG;
    }
    return CTL_FINE;
}

/* ---- one at a time ---- */

/* lock - nobody else sends meanwhile. The descriptor, or -1 with *status. It is free when we end, however we do. */
static int lock(struct report_work *w, int *status)
{
    const char *directory = str_c(w->ctl->arena, w->config->global.state_dir);
    const char *path = arena_printf(w->ctl->arena, "%s/dmarc-report.lock", directory).p;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;

    *status = CTL_FINE;
    if (fd < 0) {
        fprintf(stderr, "%s: %s\n", path, strerrordesc_np(errno));
        *status = errno == EACCES || errno == EPERM ? EX_NOPERM : EX_CANTCREAT;
        return -1;
    }
    /* Made by root, it would keep the daemon's user out the next time. */
    if (geteuid() == 0 && stat(directory, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        fprintf(stderr, "%s: %s\n", path, strerrordesc_np(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    fprintf(stderr, "another `dmarc report --send` is at work\n");
    *status = EX_TEMPFAIL;
    close(fd);
    return -1;
}

/* ---- the command ---- */

struct report_wish {
    const char *day, *domain, *zone_file;
};

/* find - yesterday's reports and those of the days before that are still to be sent, or all of a day that is named. */
static int find(struct report_work *w, const struct report_wish *wish)
{
    struct arena *a = w->ctl->arena;
    struct dmarc_wish which = {
        .from = day_of(a, w->now - REPORT_TRIED_DAYS * REPORT_DAY_S),
        .to = day_of(a, w->now - REPORT_DAY_S),
        .domain = str_lower(a, str_of(wish->domain)),
        .open = w->send || !wish->day,
    };

    if (wish->day)
        which.from = which.to = str_of(wish->day);
    return dmarc_file_reports(w->db, a, &which, &w->reports, &w->count);
}

static int send_reports(struct report_work *w, const struct report_wish *wish)
{
    int status = ctl_dns_begin(w->ctl, w->config, wish->zone_file);

    if (status != CTL_FINE)
        return status;
    status = report_send_all(w);
    ctl_dns_end();
    return status;
}

static int with_file(struct report_work *w, const struct report_wish *wish)
{
    int result = find(w, wish), status;

    if (result != SQLITE_OK)
        return report_failed(w, result);
    if (w->count == 0 && !w->ctl->json)
        fprintf(stderr, "there is nothing to report\n");
    w->json = w->ctl->json ? json_array() : NULL;
    status = w->send && w->count ? send_reports(w, wish) : tell_all(w);
    if (w->json) {
        json_dumpf(w->json, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(w->json);
    }
    return status;
}

static int with_config(struct report_work *w, const struct report_wish *wish)
{
    struct ctl *ctl = w->ctl;
    struct str path = arena_printf(ctl->arena, STR_FMT "/dmarc.sqlite", STR_ARG(w->config->global.state_dir));
    bool write = w->send && !w->dry_run;
    struct str error = STR_NONE;
    int status = CTL_FINE, locked = -1;

    fill_reporter(w);
    if (w->send && (status = check_reporter(w)) != CTL_FINE)
        return status;
    if (access(path.p, F_OK) != 0 && errno == ENOENT) {
        fprintf(stderr, STR_FMT ": there is no such file: nothing has been recorded yet\n", STR_ARG(shown(w, path)));
        printf("%s", ctl->json ? "[]\n" : "");
        return CTL_FINE;
    }
    if (write && (locked = lock(w, &status)) < 0)
        return status;
    w->db = database_open_file(path.p, &dmarc_schema, false, write, ctl->arena, &error, &status);
    if (!w->db)
        fprintf(stderr, STR_FMT "\n", STR_ARG(shown(w, error)));
    /* What is noted must be on disk before the next step, or else a power failure gives a report a second name. */
    else if (write && sqlite3_exec(w->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK)
        status = report_failed(w, SQLITE_ERROR);
    else
        status = with_file(w, wish);
    sqlite3_close(w->db);
    if (locked >= 0)
        close(locked);
    return status;
}

/* check_day - of --day; a day that is not over is only told about. */
static int check_day(const struct report_work *w, const char *day)
{
    int64_t begin;

    if (!report_day_begin(str_of(day), &begin))
        return ctl_usage(&ctl_dmarc_report, "--day needs a day as 2026-01-05");
    if (w->send && begin + REPORT_DAY_S > w->now)
        return ctl_usage(&ctl_dmarc_report, "the day %s is not over (UTC)", day);
    return CTL_FINE;
}

static int report_run(struct ctl *ctl)
{
    struct report_work w = {.ctl = ctl, .dry_run = ctl->dry_run, .now = clock_wall_ms() / 1000, .sendmail = SENDMAIL};
    struct report_wish wish = {NULL, NULL, NULL};
    const char *value;
    int status;

    for (int i = 1; i < ctl->argc; i++) {
        if (strcmp(ctl->argv[i], "--send") == 0)
            w.send = true;
        else if ((value = ctl_option(ctl, &ctl_dmarc_report, &i, "--day")))
            wish.day = value;
        else if ((value = ctl_option(ctl, &ctl_dmarc_report, &i, "--domain")))
            wish.domain = value;
        else if ((value = ctl_option(ctl, &ctl_dmarc_report, &i, "--dns")))
            wish.zone_file = value;
        else if ((value = ctl_option(ctl, &ctl_dmarc_report, &i, "--sendmail")))
            w.sendmail = value;
        else
            return ctl_usage(&ctl_dmarc_report, "does not take \"%s\"", ctl->argv[i]);
    }
    if (wish.day && (status = check_day(&w, wish.day)) != CTL_FINE)
        return status;
    w.config = ctl_config(ctl);
    if (!w.config)
        return EX_CONFIG;
    status = with_config(&w, &wish);
    config_unref(&w.config);
    return status;
}

const struct ctl_command ctl_dmarc_report = {
    .words = "dmarc report",
    .usage = "[--send] [--day YYYY-MM-DD] [--domain DOMAIN] [--sendmail PROGRAM]",
    .summary = "DMARC aggregate reports: what they tell, or send them",
    .help = "  --send              send them; without it they are only listed. With -n all is done but the sending\n"
            "  --day YYYY-MM-DD    of this day (UTC); otherwise yesterday's, and those of the six days before\n"
            "                      that could not be sent yet\n"
            "  --domain DOMAIN     only about this domain\n"
            "  --sendmail PROGRAM  instead of " SENDMAIL ", called as PROGRAM -i -f FROM -- TO\n"
            "  --dns FILE          answers from a zone file as for `test`\n"
            "\n"
            "There is one report for each day, domain and policy that it published on that day. An address of\n"
            "another owner gets it only if its domain agrees, by a TXT record at\n"
            "DOMAIN._report._dmarc.ITS-DOMAIN. Reports come from the address that the policy dmarc's option\n"
            "email names, otherwise from postmaster at this host; that address must pass DMARC itself.\n"
            "Exit status 75: something could not be sent now and will be tried again, for seven days.\n",
    .run = report_run,
};
