/* summary.c - sme-milterctl summary: what became of the mail of some days. */
#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

#include "../base/clock.h"
#include "dmarc_report.h"
#include "summary.h"

#define SENDMAIL "/usr/sbin/sendmail"


struct request {
    const char *since, *html, *mail, *sendmail;
    long top;
};

static int complain(const char *what, const char *name, int error)
{
    fprintf(stderr, "sme-milterctl summary: %s %s: %s\n", what, name, strerrordesc_np(error));
    return error == EACCES || error == EPERM ? EX_NOPERM : EX_CANTCREAT;
}

/* write_page - beside its name first: who looks at it never sees half of it. "-" is standard output. */
static int write_page(struct ctl *ctl, const char *name, struct str page)
{
    const char *made = arena_printf(ctl->arena, "%s.new", name).p;
    FILE *f;
    int fd, error = 0;

    if (str_is(str_of(name), STR("-"))) {
        fwrite(page.p, 1, page.n, stdout);
        return CTL_FINE;
    }
    fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f)
        return complain("cannot make", made, errno);
    if (fwrite(page.p, 1, page.n, f) != page.n)
        error = errno;
    if (fclose(f) != 0 && !error)
        error = errno;
    if (!error && rename(made, name) != 0)
        error = errno;
    if (!error)
        return CTL_FINE;
    unlink(made);
    return complain("cannot write", name, error);
}

/* mail_of - the text, and the page as a file beside it. */
static struct str mail_of(const struct summary *s, struct str to, struct str from)
{
    struct arena *a = s->arena;
    struct str day = str_slice(clock_rfc3339(a, s->to_ms), 0, 10);
    struct buf b = buf_in(a);

    buf_addf(&b, "From: <" STR_FMT ">\nTo: <" STR_FMT ">\n", STR_ARG(from), STR_ARG(to));
    buf_addf(&b, "Subject: Mail summary " STR_FMT ": %llu messages, %llu rejected\n", STR_ARG(day),
             (unsigned long long)s->messages,
             (unsigned long long)(s->verdicts[COUNT_REJECT] + s->refused_connections));
    buf_addf(&b, "Date: " STR_FMT "\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n"
                 "Content-Type: multipart/mixed; boundary=\"summary-%lld\"\n\n",
             STR_ARG(mail_date(a, clock_wall_ms() / 1000)), (long long)s->to_ms);
    buf_addf(&b, "--summary-%lld\nContent-Type: text/plain; charset=us-ascii\n\n", (long long)s->to_ms);
    buf_add(&b, summary_text(s, 10));
    buf_addf(&b, "\n--summary-%lld\nContent-Type: text/html; charset=utf-8; name=\"mail-" STR_FMT ".html\"\n"
                 "Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"mail-" STR_FMT
                 ".html\"\n\n",
             (long long)s->to_ms, STR_ARG(day), STR_ARG(day));
    buf_add(&b, mail_base64(a, summary_page(s, 20)));
    buf_addf(&b, "\n--summary-%lld--\n", (long long)s->to_ms);
    return buf_str(&b);
}

/* mail_it - to an address of an administrator's; a bare name is this machine's. */
static int mail_it(struct ctl *ctl, const struct request *r, const struct summary *s)
{
    struct str to = str_of(r->mail), why = STR_NONE;
    struct str message = mail_of(s, to, to);

    if (ctl->dry_run) {
        fwrite(message.p, 1, message.n, stdout);
        return CTL_FINE;
    }
    switch (mail_send(ctl->arena, r->sendmail, to, to, message, &why)) {
    case MAILED:
        return CTL_FINE;
    case MAILED_REFUSED:
        fprintf(stderr, "sme-milterctl summary: " STR_FMT "\n", STR_ARG(why));
        return EX_DATAERR;
    case MAILED_LATER:
        break;
    }
    fprintf(stderr, "sme-milterctl summary: " STR_FMT "\n", STR_ARG(why));
    return EX_TEMPFAIL;
}

static bool is_address(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] == 0x7f || s.p[i] == '<' || s.p[i] == '>' || s.p[i] == ',')
            return false;
    return s.n > 0 && s.n < 320 && s.p[0] != '-';
}

static int request_of(struct ctl *ctl, struct request *r)
{
    const struct ctl_command *me = &ctl_summary;
    const char *value;

    for (int i = 1; i < ctl->argc; i++)
        if ((value = ctl_option(ctl, me, &i, "--since")))
            r->since = value;
        else if ((value = ctl_option(ctl, me, &i, "--html")))
            r->html = value;
        else if ((value = ctl_option(ctl, me, &i, "--mail")))
            r->mail = value;
        else if ((value = ctl_option(ctl, me, &i, "--sendmail")))
            r->sendmail = value;
        else if ((value = ctl_option(ctl, me, &i, "--top"))) {
            if (!str_to_long(str_of(value), &r->top) || r->top < 1 || r->top > 1000)
                return ctl_usage(me, "--top takes a number from 1 to 1000");
        } else
            return ctl_usage(me, "does not take \"" STR_FMT "\"",
                             STR_ARG(str_escaped(ctl->arena, str_of(ctl->argv[i]))));
    if (r->mail && !is_address(str_of(r->mail)))
        return ctl_usage(me, "--mail takes one address");
    if (r->html && *r->html == '\0')
        return ctl_usage(me, "--html takes the name of a file, or -");
    return CTL_FINE;
}

static int tell(struct ctl *ctl, const struct request *r, const struct summary *s)
{
    int status = CTL_FINE;

    if (r->html)
        status = write_page(ctl, r->html, summary_page(s, (size_t)r->top));
    if (r->mail && status == CTL_FINE)
        status = mail_it(ctl, r, s);
    if (ctl->json) {
        json_t *o = summary_json(s, (size_t)r->top);

        json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(o);
    } else if (!r->html && !r->mail) {
        struct str text = summary_text(s, (size_t)r->top);

        fwrite(text.p, 1, text.n, stdout);
    }
    return status;
}

static int run(struct ctl *ctl)
{
    struct request r = {.since = "1d", .sendmail = SENDMAIL, .top = 10};
    struct summary *s = arena_zalloc(ctl->arena, sizeof *s);
    int status = request_of(ctl, &r), rc;
    struct config *config;
    sqlite3 *db;

    if (status != CTL_FINE)
        return status;
    if (!ctl_since(ctl, &ctl_summary, r.since, &s->from_ms))
        return EX_USAGE;
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    s->arena = ctl->arena;
    s->to_ms = clock_wall_ms() + 1;
    s->host = str_dup(ctl->arena, config->global.hostname);
    if (s->from_ms >= s->to_ms) {
        config_unref(&config);
        return ctl_usage(&ctl_summary, "--since %s lies ahead", r.since);
    }
    db = ctl_journal(ctl, &ctl_summary, config, &status);
    config_unref(&config);
    if (!db)
        return status;
    rc = summary_read(s, db);
    if (rc != SQLITE_OK)
        fprintf(stderr, "sme-milterctl summary: the journal cannot be read: %s\n", sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc == SQLITE_OK ? tell(ctl, &r, s) : EX_IOERR;
}

const struct ctl_command ctl_summary = {
    .words = "summary",
    .usage = "[--since 1d] [--top N] [--html FILE] [--mail ADDRESS]",
    .summary = "What became of the mail of some days: verdicts, policies, lists, clients, domains, times",
    .help = "  --since TIME        12h, 7d, a day (2026-01-05) or a time (2026-01-05T10:00:00Z); 1d if not told\n"
            "  --top N             so many lines of what there is much of; 10 if not told\n"
            "  --html FILE         a page for a browser, complete in one file; - is standard output\n"
            "  --mail ADDRESS      the text, and the page, by mail; with -n it is only shown\n"
            "  --sendmail PROGRAM  instead of " SENDMAIL ", called as PROGRAM -i -f FROM -- TO\n",
    .run = run,
};
