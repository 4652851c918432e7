/* test.c - `test FILE`: the real policies on one message with an envelope from the command line. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "../config.h"
#include "../edits.h"
#include "../report.h"
#include "../stage.h"
#include "ctl.h"

#define FILE_MOST (256u << 20)
#define RCPT_MOST 1000

struct envelope {
    const char *file, *ip, *helo, *from, *auth, *name, *tls, *dns;
    const char *rcpt[RCPT_MOST];
    size_t rcpt_count;
    long port;
};

struct trial {
    struct ctl *ctl;
    json_t *json;          /* with --json */
    json_t *findings, *replies, *edits;
    int code;              /* of the refusal that counts, 0 for none */
};

static struct str read_message(struct ctl *ctl, const char *path)
{
    struct buf b = buf_in(ctl->arena);
    char block[65536];
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t n;

    if (!f) {
        perror(path);
        exit(EX_NOINPUT);
    }
    while ((n = fread(block, 1, sizeof block, f)) > 0 && b.len < FILE_MOST)
        buf_add(&b, (struct str){block, n});
    if (ferror(f)) {
        perror(path);
        exit(EX_NOINPUT);
    }
    if (b.len >= FILE_MOST) {
        fprintf(stderr, "%s: larger than 256 MiB\n", path);
        exit(EX_DATAERR);
    }
    if (f != stdin)
        fclose(f);
    return buf_str(&b);
}

static void say_record(void *ctx, const struct record *r, const struct facts *facts)
{
    struct trial *t = ctx;
    struct arena *a = t->ctl->arena;
    static const char *const judged[] = {
        [JUDGED_NONE] = "", [JUDGED_NOW] = "told now", [JUDGED_LATER] = "told later",
        [JUDGED_NEVER] = "would be refused, but reject = never", [JUDGED_CLEARED] = "cleared",
    };
    struct str text = str_escaped(a, r->finding.text);
    json_t *known = json_object();

    if (!t->json)
        printf("%-8s %-22s %-7s %-6s " STR_FMT "%s%s%s", stage_names[r->stage], r->instance->policy->name,
               result_names[r->finding.result], r->finding.status ? r->finding.status : "", STR_ARG(text),
               *judged[r->judged] ? " [" : "", judged[r->judged], *judged[r->judged] ? "]" : "");
    for (size_t i = r->facts_from; i < r->facts_from + r->facts_count; i++) {
        struct str value = str_escaped(a, facts->items[i].value);

        if (!t->json)
            printf(" %s=" STR_FMT, fact_name(facts->items[i].fact), STR_ARG(value));
        json_object_set_new(known, fact_name(facts->items[i].fact), json_stringn(value.p, value.n));
    }
    if (!t->json)
        putchar('\n');
    json_array_append_new(t->findings, json_pack("{s:s, s:s, s:s, s:s, s:s%, s:s, s:o}", "stage", stage_names[r->stage],
                                                 "policy", r->instance->policy->name, "result",
                                                 result_names[r->finding.result], "status",
                                                 r->finding.status ? r->finding.status : "", "text", text.p, text.n,
                                                 "judged", judged[r->judged], "facts", known));
}

/* step - print what was answered at one step. True when the client would go on. */
static bool step(struct trial *t, const char *what, const struct reply *reply)
{
    struct str line;

    if (!reply)
        return true;
    line = reply_line(t->ctl->arena, reply);
    if (!t->json)
        printf("%-8s " STR_FMT "\n", what, STR_ARG(line));
    json_array_append_new(t->replies, json_pack("{s:s, s:s%}", "at", what, "reply", line.p, line.n));
    t->code = reply->code;
    return false;
}

static bool record_edit(void *ctx, const struct edit *edit)
{
    struct trial *t = ctx;
    struct str text = edit_text(t->ctl->arena, edit);

    if (!t->json)
        printf("%-8s " STR_FMT "\n", "edit", STR_ARG(text));
    json_array_append_new(t->edits, json_stringn(text.p, text.n));
    return true;
}

/* send_content - header and body as Postfix would pass them on, the body with CRLF line ends. */
static void send_content(struct trial *t, struct session *s, struct str message)
{
    struct headers h = {0};
    struct str body, line;

    headers_split(t->ctl->arena, message, &h, &body);
    for (const struct header *f = h.first; f; f = f->next)
        message_header(s, f->name, f->value);
    step(t, "headers", message_headers_end(s));
    while (str_split(&body, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        message_body(s, line);
        message_body(s, STR("\r\n"));
    }
}

/* The line for the log is of no use here. */
static void ignore_line(int level, struct str line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static bool play_rcpts(struct trial *t, struct session *s, const struct envelope *e)
{
    bool any = false;

    for (size_t i = 0; i < e->rcpt_count; i++) {
        struct str path = str_of(e->rcpt[i]);

        if (!str_starts(path, STR("<")))
            path = arena_printf(t->ctl->arena, "<" STR_FMT ">", STR_ARG(path));
        if (step(t, "rcpt", message_rcpt(s, &path, 1, STR_NONE)))
            any = true;
        else if (t->code == 421 || t->code == 521)
            return false;
    }
    return any;
}

static void play(struct trial *t, struct config *config, const struct envelope *e, struct str message)
{
    struct peer peer = {.name = str_of(e->name), .server_port = (unsigned)e->port, .port = 12345};
    struct edit_target target = {record_edit, t};
    struct watcher watcher = {.found = say_record, .ctx = t};
    struct session *s;
    struct str from = str_of(e->from);

    ip_parse(str_of(e->ip), &peer.ip);
    s = session_open(config, &peer);
    s->watcher = &watcher;
    if (!str_starts(from, STR("<")))
        from = arena_printf(t->ctl->arena, "<" STR_FMT ">", STR_ARG(from));
    if (step(t, "connect", session_connect(s)) && step(t, "helo", session_helo(s, str_of(e->helo), str_of(e->tls))) &&
        step(t, "mail", message_mail(s, &from, 1, str_of(e->auth), STR_NONE)) && play_rcpts(t, s, e)) {
        t->code = 0; /* a refused recipient among accepted ones does not refuse the message */
        if (step(t, "data", message_data(s, STR_NONE))) {
            send_content(t, s, message);
            if (step(t, "message", message_end(s, STR_NONE, &target)) && !t->json)
                printf("%-8s 250 2.0.0 Ok\n", "message");
        }
    }
    if (!t->json)
        printf("profile  " STR_FMT "\nkarma    %ld\n", STR_ARG(s->profile->name), s->karma);
    else
        json_object_set_new(t->json, "profile", json_stringn(s->profile->name.p, s->profile->name.n));
    session_close(&s);
}

static void parse(struct ctl *ctl, struct envelope *e)
{
    const char *value;

    for (int i = 1; i < ctl->argc; i++) {
        if ((value = ctl_option(ctl, &ctl_test, &i, "--ip")))
            e->ip = value;
        else if ((value = ctl_option(ctl, &ctl_test, &i, "--helo")))
            e->helo = value;
        else if ((value = ctl_option(ctl, &ctl_test, &i, "--from")))
            e->from = value;
        else if ((value = ctl_option(ctl, &ctl_test, &i, "--rcpt"))) {
            if (e->rcpt_count == RCPT_MOST)
                exit(ctl_usage(&ctl_test, "takes %d recipients at most", RCPT_MOST));
            e->rcpt[e->rcpt_count++] = value;
        } else if ((value = ctl_option(ctl, &ctl_test, &i, "--port"))) {
            if (!str_to_long(str_of(value), &e->port) || e->port < 1 || e->port > 65535)
                exit(ctl_usage(&ctl_test, "--port needs a number from 1 to 65535"));
        } else if ((value = ctl_option(ctl, &ctl_test, &i, "--auth")))
            e->auth = value;
        else if ((value = ctl_option(ctl, &ctl_test, &i, "--name")))
            e->name = value;
        else if ((value = ctl_option(ctl, &ctl_test, &i, "--tls")))
            e->tls = value;
        else if ((value = ctl_option(ctl, &ctl_test, &i, "--dns")))
            e->dns = value;
        else if (ctl->argv[i][0] == '-' && ctl->argv[i][1])
            exit(ctl_usage(&ctl_test, "there is no option %s", ctl->argv[i]));
        else if (e->file)
            exit(ctl_usage(&ctl_test, "takes one file"));
        else
            e->file = ctl->argv[i];
    }
}

/* open_karma - what the daemon remembers of clients; NULL where it remembers nothing, or cannot be read by us. */
static sqlite3 *open_karma(struct ctl *ctl, const struct config *config)
{
    struct str path = arena_printf(ctl->arena, STR_FMT "/karma.sqlite", STR_ARG(config->global.state_dir)), error;
    sqlite3 *db;
    int status;

    if (!config_uses(config, "karma") || access(path.p, F_OK) != 0)
        return NULL;
    db = database_open_file(path.p, &karma_schema, false, false, ctl->arena, &error, &status);
    if (!db)
        fprintf(stderr, "sme-milterctl test: karma is not known: " STR_FMT "\n", STR_ARG(error));
    return db;
}

static int run(struct ctl *ctl)
{
    struct envelope e = {.port = 25};
    struct trial t = {.ctl = ctl};
    struct config *config;
    struct str message;
    struct ip ip;
    sqlite3 *karma;
    const char *verdict;
    int status;

    parse(ctl, &e);
    if (!e.file || !e.ip || !e.helo || !e.from || !e.rcpt_count)
        return ctl_usage(&ctl_test, "needs FILE, --ip, --helo, --from and --rcpt");
    if (!ip_parse(str_of(e.ip), &ip))
        return ctl_usage(&ctl_test, "--ip needs an IPv4 or IPv6 address");
    message = read_message(ctl, e.file);
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    status = ctl_dns_begin(ctl, config, e.dns);
    if (status != CTL_FINE) {
        config_unref(&config);
        return status;
    }
    t.findings = json_array();
    t.replies = json_array();
    t.edits = json_array();
    if (ctl->json)
        t.json = json_object();
    log_capture(ignore_line, NULL);
    karma = open_karma(ctl, config);
    karma_store_lend(karma);
    play(&t, config, &e, message);
    karma_store_lend(NULL);
    sqlite3_close(karma);
    config_unref(&config);
    ctl_dns_end();
    verdict = t.code == 0 ? "accept" : t.code >= 500 ? "reject" : "tempfail";
    if (t.json) {
        json_object_set(t.json, "findings", t.findings);
        json_object_set(t.json, "replies", t.replies);
        json_object_set(t.json, "edits", t.edits);
        json_object_set_new(t.json, "verdict", json_string(verdict));
        json_dumpf(t.json, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(t.json);
    } else {
        printf("verdict  %s\n", verdict);
    }
    json_decref(t.findings);
    json_decref(t.replies);
    json_decref(t.edits);
    return t.code == 0 ? CTL_FINE : t.code >= 500 ? CTL_FINDINGS : EX_TEMPFAIL;
}

const struct ctl_command ctl_test = {
    .words = "test",
    .usage = "FILE --ip A --helo H --from S --rcpt R... [--port N] [--auth U] [--name PTR] [--tls VERSION]"
             " [--dns ZONEFILE]",
    .summary = "Run the real policies on one message and say what each found",
    .help = "  FILE            the message (RFC 5322); - for standard input\n"
            "  --ip A          address of the client\n"
            "  --helo H        what it says at HELO\n"
            "  --from S        envelope sender; \"<>\" for a bounce\n"
            "  --rcpt R        envelope recipient; may be given several times\n"
            "  --port N        port of the server (25), which chooses the profile\n"
            "  --auth U        authenticated as U\n"
            "  --name PTR      the client's verified name\n"
            "  --tls VERSION   TLS version, e.g. TLSv1.3\n"
            "  --dns ZONEFILE  every question to the DNS is answered from this file: `name TYPE data` a line;\n"
            "                  instead of data SERVFAIL, TIMEOUT, REFUSED, NXDOMAIN, NODATA or MALFORMED; names that\n"
            "                  no line mentions do not exist\n"
            "exit: 0 accepted, 1 refused, 75 put off\n",
    .run = run,
};
