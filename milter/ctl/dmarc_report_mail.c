/* dmarc_report_mail.c - one report as a message, handed to sendmail.
 *
 * The message is complete before sendmail starts, in a file without a name: if we are killed meanwhile, sendmail has
 * all of it or never had any. A pipe would end where we end, and half a report would be sent.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include <zlib.h>

#include "../base/clock.h"
#include "dmarc_report.h"

#define SENDMAIL_MS 300000
#define CHUNK 32768
#define LINE_BYTES 57 /* of the file, in a line of 76 */

/* ---- the file ---- */

struct making {
    struct buf gzip;
    z_stream stream;
    char in[CHUNK];
    size_t used;
    int error; /* zlib's */
    const struct report_sink *sink;
};

static void compress_in(struct making *m, int flush)
{
    unsigned char out[CHUNK];

    m->stream.next_in = (unsigned char *)m->in;
    m->stream.avail_in = (unsigned)m->used;
    m->used = 0;
    do {
        m->stream.next_out = out;
        m->stream.avail_out = sizeof out;
        m->error = deflate(&m->stream, flush);
        buf_add(&m->gzip, (struct str){(char *)out, sizeof out - m->stream.avail_out});
    } while (m->stream.avail_out == 0 && m->error >= 0);
    if (m->error == Z_BUF_ERROR) /* the room was just enough, and there was nothing left to do */
        m->error = Z_OK;
}

static void put(void *ctx, struct str bytes)
{
    struct making *m = ctx;

    while (bytes.n && m->error >= 0) {
        size_t n = sizeof m->in - m->used < bytes.n ? sizeof m->in - m->used : bytes.n;

        memcpy(m->in + m->used, bytes.p, n);
        m->used += n;
        bytes = str_slice(bytes, n, bytes.n);
        if (m->used == sizeof m->in)
            compress_in(m, Z_NO_FLUSH);
    }
}

static bool put_record(const struct report_record *r, void *ctx)
{
    struct making *m = ctx;

    report_xml_record(m->sink, r);
    return m->error >= 0;
}

static struct report_head head_of(const struct report_work *w, const struct dmarc_report *r)
{
    struct report_head head = {
        .org_name = w->org_name,
        .email = w->email,
        .report_id = r->report_id,
        .published = r->published,
    };

    report_day_begin(r->day, &head.begin);
    head.end = head.begin + REPORT_DAY_S - 1;
    return head;
}

struct str mail_base64(struct arena *a, struct str data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = arena_alloc(a, (data.n / 3 + 1) * 4 + data.n / LINE_BYTES + 2);
    size_t n = 0;

    for (size_t i = 0; i < data.n; i += 3) {
        unsigned char b[3] = {0};
        size_t left = data.n - i < 3 ? data.n - i : 3;

        memcpy(b, data.p + i, left);
        to[n++] = digits[b[0] >> 2];
        to[n++] = digits[(b[0] & 3) << 4 | b[1] >> 4];
        to[n++] = left > 1 ? digits[(b[1] & 15) << 2 | b[2] >> 6] : '=';
        to[n++] = left > 2 ? digits[b[2] & 63] : '=';
        if (i % LINE_BYTES == LINE_BYTES - 3 || i + 3 >= data.n)
            to[n++] = '\n';
    }
    return (struct str){to, n};
}

bool report_file_make(struct report_work *w, struct arena *a, const struct dmarc_report *r, struct report_file *file,
                      int *result)
{
    struct making *m = arena_zalloc(a, sizeof *m);
    struct report_sink sink = {put, m};
    struct report_head head = head_of(w, r);

    m->gzip = buf_in(a);
    m->sink = &sink;
    *result = SQLITE_OK;
    /* 16: with gzip's header, which holds no time: the same report is the same file. */
    m->error = deflateInit2(&m->stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    if (m->error == Z_OK) {
        report_xml_begin(&sink, &head);
        *result = dmarc_file_records(w->db, r->id, put_record, m);
        report_xml_end(&sink);
        compress_in(m, Z_FINISH);
        deflateEnd(&m->stream);
    }
    if (*result != SQLITE_OK)
        return false;
    if (m->error != Z_STREAM_END) {
        fprintf(stderr, "zlib cannot compress the report: %s\n", zError(m->error));
        return false;
    }
    file->name = arena_printf(a, STR_FMT "!" STR_FMT "!%lld!%lld%s" STR_FMT ".xml.gz", STR_ARG(r->submitter),
                              STR_ARG(r->published.domain), (long long)head.begin, (long long)head.end,
                              r->unique_id.n ? "!" : "", STR_ARG(r->unique_id));
    file->bytes = m->gzip.len;
    file->base64 = mail_base64(a, buf_str(&m->gzip));
    return true;
}

/* ---- the message ---- */

/* From RFC 3339's. */
struct str mail_date(struct arena *a, int64_t seconds)
{
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"}; /* 1970-01-01 was the first */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct str t = clock_rfc3339(a, seconds * 1000);
    long month = 1;

    str_to_long(str_slice(t, 5, 7), &month);
    return arena_printf(a, "%s, %.2s %.3s %.4s %.8s +0000", days[seconds / REPORT_DAY_S % 7], t.p + 8,
                        months + 3 * (month - 1), t.p, t.p + 11);
}

/* add_name - a display name, as a quoted string; what could not stand there is left out. */
static void add_name(struct buf *b, struct str name)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < name.n && i < 200; i++)
        if (name.p[i] >= 0x20 && name.p[i] < 0x7f && name.p[i] != '"' && name.p[i] != '\\')
            buf_addc(b, name.p[i]);
    buf_add(b, STR("\" "));
}

static struct str message_of(struct report_work *w, struct arena *a, const struct dmarc_report *r,
                             const struct report_file *file, struct str address)
{
    struct buf b = buf_in(a);

    buf_add(&b, STR("From: "));
    add_name(&b, w->org_name);
    buf_addf(&b, "<" STR_FMT ">\nTo: <" STR_FMT ">\n", STR_ARG(w->email), STR_ARG(address));
    buf_addf(&b, "Subject: Report Domain: " STR_FMT "\n Submitter: " STR_FMT "\n Report-ID: <" STR_FMT ">\n",
             STR_ARG(r->published.domain), STR_ARG(r->submitter), STR_ARG(r->report_id));
    buf_addf(&b, "Date: " STR_FMT "\nMessage-ID: <" STR_FMT ">\nAuto-Submitted: auto-generated\n",
             STR_ARG(mail_date(a, w->now)), STR_ARG(r->report_id));
    buf_addf(&b, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"report-" STR_FMT "\"\n\n",
             STR_ARG(r->unique_id));
    buf_addf(&b, "--report-" STR_FMT "\nContent-Type: text/plain; charset=us-ascii\n\n", STR_ARG(r->unique_id));
    buf_addf(&b, "This is the DMARC aggregate report of " STR_FMT "\nabout messages that claim to come from " STR_FMT
             ",\nfor the day " STR_FMT " (UTC): %lld messages in %lld records.\n\n",
             STR_ARG(r->submitter), STR_ARG(r->published.domain), STR_ARG(r->day), (long long)r->messages,
             (long long)r->records);
    buf_addf(&b, "--report-" STR_FMT "\nContent-Type: application/gzip;\n name=\"" STR_FMT "\"\n"
             "Content-Transfer-Encoding: base64\nContent-Disposition: attachment;\n filename=\"" STR_FMT "\"\n\n",
             STR_ARG(r->unique_id), STR_ARG(file->name), STR_ARG(file->name));
    buf_add(&b, file->base64);
    buf_addf(&b, "\n--report-" STR_FMT "--\n", STR_ARG(r->unique_id));
    return buf_str(&b);
}

/* ---- sendmail ---- */

/* in_file - the text in a file without a name, to be read from its beginning; -1 with errno. */
static int in_file(struct str text)
{
    int fd = memfd_create("report", MFD_CLOEXEC), error;

    while (fd >= 0 && text.n) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            error = n ? errno : EIO;
            close(fd);
            errno = error;
            return -1;
        }
        text = str_slice(text, (size_t)n, text.n);
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

/* start - what it says goes to our standard error; 0 or an errno. */
static int start(const char *program, char *const argv[], int input, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int error;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawn(pid, program, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* finish - its wait status; one that does not end in time is killed. */
static int finish(pid_t pid)
{
    struct pollfd p = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    int64_t until = clock_ms() + SENDMAIL_MS, left;
    int status = 0, ready = 1;

    while (p.fd >= 0) {
        left = until - clock_ms();
        ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (ready >= 0 || errno != EINTR)
            break;
    }
    if (ready == 0)
        kill(pid, SIGKILL);
    if (p.fd >= 0)
        close(p.fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* judge - what sendmail's end means for this address. */
static enum mailed judge(struct arena *a, int status, struct str *why)
{
    if (WIFSIGNALED(status)) {
        *why = arena_printf(a, "sendmail was ended by signal %d", WTERMSIG(status));
        return MAILED_LATER;
    }
    switch (WEXITSTATUS(status)) {
    case EX_OK:
        return MAILED;
    case EX_DATAERR: /* the address or the message: neither gets better */
    case EX_NOUSER:
    case EX_NOHOST:
        *why = arena_printf(a, "sendmail refuses it with exit status %d", WEXITSTATUS(status));
        return MAILED_REFUSED;
    default:
        *why = arena_printf(a, "sendmail failed with exit status %d", WEXITSTATUS(status));
        return MAILED_LATER;
    }
}

enum mailed mail_send(struct arena *a, const char *sendmail, struct str from, struct str to, struct str text,
                      struct str *why)
{
    char *argv[] = {(char *)"sendmail", (char *)"-i", (char *)"-f", (char *)str_c(a, from), (char *)"--",
                    (char *)str_c(a, to), NULL};
    int input = in_file(text), error;
    pid_t pid;

    if (input < 0) {
        *why = arena_printf(a, "no memory for the message: %s", strerrordesc_np(errno));
        return MAILED_LATER;
    }
    fflush(NULL); /* what we said comes before what it says */
    error = start(sendmail, argv, input, &pid);
    close(input);
    if (error) {
        *why = arena_printf(a, "%s cannot be run: %s", sendmail, strerrordesc_np(error));
        return MAILED_LATER;
    }
    return judge(a, finish(pid), why);
}

enum mailed report_mail(struct report_work *w, struct arena *a, const struct dmarc_report *r,
                        const struct report_file *file, struct str address, struct str *why)
{
    return mail_send(a, w->sendmail, w->email, address, message_of(w, a, r, file, address), why);
}
