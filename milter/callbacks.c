/* callbacks.c - libmilter's callbacks, a few lines each: what SMTP said goes to session.c and message.c, their answer goes
 * back. The only file that includes libmilter's header.
 *
 * What is negotiated follows from the configuration (`stages`): steps that no policy looks at are not sent at all, and
 * steps that nobody may refuse get no answer, so that an unused stage costs nothing. A session keeps the configuration
 * that it was negotiated with.
 */
#include <errno.h>
#include <libmilter/mfapi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/waiting.h"
#include "callbacks.h"
#include "edits.h"
#include "mapped.h"
#include "stage.h"

#define ARGS_MOST 64 /* words of one MAIL or RCPT; RFC 5321 knows a handful */
#define PROGRESS_MS 2000 /* Postfix gives up a message's end after milter_content_timeout, 300 s if nobody changed it */

/* What libmilter keeps for us, from the negotiation to the close. */
struct link {
    struct config *config;
    struct session *session;
    bool quiet[STAGES]; /* stages to which no answer is sent */
    bool exact;         /* header values come, and go, with the white space after the colon */
};

static struct {
    pthread_mutex_t lock;
    struct config *config;
    void (*ready)(void);
} serving = {.lock = PTHREAD_MUTEX_INITIALIZER};

void callbacks_use(struct config *config)
{
    struct config *old;

    config_ref(config);
    pthread_mutex_lock(&serving.lock);
    old = serving.config;
    serving.config = config;
    pthread_mutex_unlock(&serving.lock);
    config_unref(&old);
}

struct config *callbacks_config(void)
{
    struct config *config;

    pthread_mutex_lock(&serving.lock);
    config = config_ref(serving.config);
    pthread_mutex_unlock(&serving.lock);
    return config;
}

/* ---- answers ---- */

static struct link *link_of(SMFICTX *ctx)
{
    return smfi_getpriv(ctx);
}

static struct session *session_of(SMFICTX *ctx)
{
    struct link *l = link_of(ctx);

    return l ? l->session : NULL;
}

/* macro - its value, or the empty view; Postfix sends an empty {mail_addr} for <>, so empty is not "missing" there. */
static struct str macro(SMFICTX *ctx, const char *name)
{
    return str_of(smfi_getsymval(ctx, (char *)name));
}

/* answer - hand a reply to libmilter, which takes printf-like text: a percent sign is doubled. */
static sfsistat answer(SMFICTX *ctx, const struct reply *r)
{
    char code[8], text[REPLY_LINE_MAX * 2];
    size_t n = 0;

    if (!r)
        return SMFIS_CONTINUE;
    for (size_t i = 0; i < r->text.n && n + 2 < sizeof text; i++) {
        if (r->text.p[i] == '%')
            text[n++] = '%';
        text[n++] = r->text.p[i];
    }
    text[n] = '\0';
    snprintf(code, sizeof code, "%d", r->code);
    if (smfi_setreply(ctx, code, (char *)r->status, text) != MI_SUCCESS)
        log_error("libmilter refuses the reply %s %s", code, r->status);
    return r->code >= 500 ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}

static sfsistat answer_at(SMFICTX *ctx, enum stage stage, const struct reply *r)
{
    struct link *l = link_of(ctx);

    return l && l->quiet[stage] ? SMFIS_NOREPLY : answer(ctx, r);
}

/* ---- negotiation ---- */

struct step {
    enum stage stage;
    unsigned long skip;  /* SMFIP_NO...: do not send it */
    unsigned long quiet; /* SMFIP_NR_...: expect no answer */
};

static bool used(const struct config *config, enum stage stage)
{
    return config->stages & 1u << stage;
}

static bool may_refuse(const struct config *config, enum stage stage)
{
    return config->stages & 1u << (16 + stage);
}

/* steps_for - the protocol flags for this configuration, of those that the MTA offers. MAIL, RCPT and the end of the
 * message are always wanted: the log line tells of them, and deferred findings and caps are answered there. */
static unsigned long steps_for(const struct config *config, unsigned long offered, struct link *l)
{
    bool headers = used(config, AT_HEADERS) || used(config, AT_MESSAGE);
    unsigned long flags = 0;

    if (!used(config, AT_UNKNOWN))
        flags |= SMFIP_NOUNKNOWN;
    if (!used(config, AT_DATA))
        flags |= SMFIP_NODATA;
    if (!headers)
        flags |= SMFIP_NOHDRS | SMFIP_NOEOH;
    if (!config->wants_body)
        flags |= SMFIP_NOBODY;
    /* Not SMFIP_NR_CONN, even where nobody may refuse: a client that only connects is then gone before libmilter has
     * read its CONNECT, and would have no line in the log. */
    if (!may_refuse(config, AT_DATA))
        flags |= SMFIP_NR_DATA;
    /* NR_BODY: libmilter then loses the end of a message whose last chunk comes in the same frame. Postfix sends it apart. */
    flags |= SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY;
    flags |= SMFIP_HDR_LEADSPC; /* signatures are made of it, too */
    flags &= offered;
    l->exact = flags & SMFIP_HDR_LEADSPC;
    l->quiet[AT_DATA] = flags & SMFIP_NR_DATA;
    l->quiet[AT_HEADERS] = (flags & SMFIP_NR_HDR) && (flags & SMFIP_NR_EOH);
    l->quiet[AT_MESSAGE] = flags & SMFIP_NR_BODY;
    return flags;
}

/* Postfix sends none of {daemon_port} and {client_...} by default; asking for a stage replaces its whole list. */
static void ask_for_macros(SMFICTX *ctx)
{
    static const struct {
        int stage;
        const char *names;
    } wanted[] = {
        {SMFIM_CONNECT, "{daemon_name} {daemon_addr} {daemon_port} {client_addr} {client_port} {client_name} "
                        "{tls_version}"},
        {SMFIM_HELO, "{tls_version}"},
        {SMFIM_ENVFROM, "i {auth_authen} {tls_version}"},
        {SMFIM_ENVRCPT, "i"},
        {SMFIM_DATA, "i"},
        {SMFIM_EOH, "i"},
        {SMFIM_EOM, "i"},
    };

    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (smfi_setsymlist(ctx, wanted[i].stage, (char *)wanted[i].names) != MI_SUCCESS)
            log_error("libmilter refuses the macro list \"%s\"", wanted[i].names);
}

static struct link *link_new(SMFICTX *ctx)
{
    struct link *l = calloc(1, sizeof *l);

    if (!l)
        log_panic("out of memory for a connection");
    l->config = callbacks_config();
    smfi_setpriv(ctx, l);
    return l;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3,
                             unsigned long *pf0, unsigned long *pf1, unsigned long *pf2, unsigned long *pf3)
{
    struct link *l = link_of(ctx);

    (void)f2;
    (void)f3;
    if (!l)
        l = link_new(ctx);
    ask_for_macros(ctx);
    *pf0 = l->config->edits ? f0 & (SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY | SMFIF_ADDRCPT | SMFIF_DELRCPT |
                                    SMFIF_QUARANTINE | SMFIF_SETSYMLIST)
                            : f0 & SMFIF_SETSYMLIST;
    *pf1 = steps_for(l->config, f1, l);
    *pf2 = *pf3 = 0;
    return SMFIS_CONTINUE;
}

/* ---- the connection ---- */

/* on_connect - the socket address is the client's as Postfix knows it; Postfix puts brackets around the address where
 * there is no verified name. */
static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *sa)
{
    struct link *l = link_of(ctx);
    struct peer peer = {.daemon_name = macro(ctx, "{daemon_name}")};
    long port;

    if (!l)
        l = link_new(ctx); /* a connection that is used again (QUIT_NC) is not negotiated again */
    session_close(&l->session);
    if (!ip_from_sockaddr((const struct sockaddr *)sa, &peer.ip))
        ip_parse(macro(ctx, "{client_addr}"), &peer.ip);
    if (host && host[0] != '[' && !str_is_nocase(str_of(host), STR("unknown")))
        peer.name = str_of(host);
    ip_parse(macro(ctx, "{daemon_addr}"), &peer.server_ip);
    if (str_to_long(macro(ctx, "{client_port}"), &port) && port > 0 && port < 65536)
        peer.port = (unsigned)port;
    if (str_to_long(macro(ctx, "{daemon_port}"), &port) && port > 0 && port < 65536)
        peer.server_port = (unsigned)port;
    l->session = session_open(l->config, &peer);
    return answer(ctx, session_connect(l->session));
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
    struct session *s = session_of(ctx);

    return s ? answer(ctx, session_helo(s, str_of(name), macro(ctx, "{tls_version}"))) : SMFIS_TEMPFAIL;
}

static sfsistat on_unknown(SMFICTX *ctx, const char *command)
{
    struct session *s = session_of(ctx);

    return s ? answer(ctx, session_unknown(s, str_of(command))) : SMFIS_TEMPFAIL;
}

static sfsistat on_close(SMFICTX *ctx)
{
    struct link *l = link_of(ctx);

    if (l) { /* libmilter also closes connections that never said anything */
        session_close(&l->session);
        config_unref(&l->config);
        free(l);
        smfi_setpriv(ctx, NULL);
    }
    return SMFIS_CONTINUE;
}

/* ---- the message ---- */

static size_t words(char **argv, struct str args[ARGS_MOST])
{
    size_t n = 0;

    for (; argv && argv[n] && n < ARGS_MOST; n++)
        args[n] = str_of(argv[n]);
    return n;
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
    struct session *s = session_of(ctx);
    struct str args[ARGS_MOST];
    size_t n = words(argv, args);

    if (!s)
        return SMFIS_TEMPFAIL;
    return answer(ctx, message_mail(s, args, n, macro(ctx, "{auth_authen}"), macro(ctx, "i")));
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
    struct session *s = session_of(ctx);
    struct str args[ARGS_MOST];
    size_t n = words(argv, args);

    return s ? answer(ctx, message_rcpt(s, args, n, macro(ctx, "i"))) : SMFIS_TEMPFAIL;
}

static sfsistat on_data(SMFICTX *ctx)
{
    struct session *s = session_of(ctx);

    return s ? answer_at(ctx, AT_DATA, message_data(s, macro(ctx, "i"))) : SMFIS_TEMPFAIL;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
    struct session *s = session_of(ctx);

    if (s && s->message && !link_of(ctx)->exact) /* then the MTA has cut off one blank */
        message_header(s, str_of(name), arena_printf(s->message->arena, " %s", value));
    else if (s)
        message_header(s, str_of(name), str_of(value));
    return answer_at(ctx, AT_HEADERS, NULL);
}

static sfsistat on_headers_end(SMFICTX *ctx)
{
    struct session *s = session_of(ctx);

    return answer_at(ctx, AT_HEADERS, s ? message_headers_end(s) : NULL);
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *bytes, size_t n)
{
    struct session *s = session_of(ctx);

    if (s)
        message_body(s, (struct str){(const char *)bytes, n});
    return answer_at(ctx, AT_MESSAGE, NULL);
}

/* field_value - with the blank that the MTA puts before it, or leaves to us. */
static char *field_value(SMFICTX *ctx, const struct edit *e)
{
    const char *value = e->value.p ? e->value.p : "";

    if (!link_of(ctx)->exact)
        return (char *)value;
    return (char *)arena_printf(session_of(ctx)->message->arena, " %s", value).p;
}

/* apply - one queued edit, as libmilter has it. */
static bool apply(void *ctx, const struct edit *e)
{
    char *name = (char *)(e->name.p ? e->name.p : ""), *value = (char *)(e->value.p ? e->value.p : "");
    int r = MI_FAILURE;

    switch (e->kind) {
    case EDIT_ADD_HEADER:
        r = smfi_addheader(ctx, name, field_value(ctx, e));
        break;
    case EDIT_INSERT_HEADER:
        r = smfi_insheader(ctx, e->index, name, field_value(ctx, e));
        break;
    case EDIT_CHANGE_HEADER:
        r = smfi_chgheader(ctx, name, e->index, field_value(ctx, e));
        break;
    case EDIT_DELETE_HEADER:
        r = smfi_chgheader(ctx, name, e->index, NULL);
        break;
    case EDIT_ADD_RCPT:
        r = smfi_addrcpt(ctx, name);
        break;
    case EDIT_DELETE_RCPT:
        r = smfi_delrcpt(ctx, name);
        break;
    case EDIT_REPLACE_BODY:
        r = smfi_replacebody(ctx, (unsigned char *)value, (int)e->value.n);
        break;
    case EDIT_QUARANTINE:
        r = smfi_quarantine(ctx, value);
        break;
    }
    if (r != MI_SUCCESS)
        log_error("an edit of a message was refused by libmilter or Postfix");
    return r == MI_SUCCESS;
}

/* tell_progress - Postfix counts from anew. If it is gone the next thing that is said to it fails. */
static void tell_progress(void *ctx)
{
    if (smfi_progress(ctx) != MI_SUCCESS)
        log_debug("nobody takes note that a message's end takes long");
}

/* on_end - scanners may be slow. */
static sfsistat on_end(SMFICTX *ctx)
{
    struct session *s = session_of(ctx);
    const struct edit_target target = {apply, ctx};
    const struct reply *r;

    if (!s)
        return SMFIS_TEMPFAIL;
    waiting_tell(tell_progress, ctx, PROGRESS_MS);
    r = message_end(s, macro(ctx, "i"), &target);
    waiting_tell(NULL, NULL, 0);
    mapped_turn_end();
    return answer(ctx, r);
}

static sfsistat on_abort(SMFICTX *ctx)
{
    struct session *s = session_of(ctx);

    if (s)
        message_abort(s);
    return SMFIS_CONTINUE;
}

int callbacks_serve(int fd, void (*ready)(void))
{
    static struct smfiDesc filter = {
        .xxfi_name = "sme-milter",
        .xxfi_version = SMFI_VERSION,
        .xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY | SMFIF_ADDRCPT | SMFIF_DELRCPT |
                      SMFIF_QUARANTINE | SMFIF_SETSYMLIST,
        .xxfi_connect = on_connect,
        .xxfi_helo = on_helo,
        .xxfi_envfrom = on_mail,
        .xxfi_envrcpt = on_rcpt,
        .xxfi_header = on_header,
        .xxfi_eoh = on_headers_end,
        .xxfi_body = on_body,
        .xxfi_eom = on_end,
        .xxfi_abort = on_abort,
        .xxfi_close = on_close,
        .xxfi_unknown = on_unknown,
        .xxfi_data = on_data,
        .xxfi_negotiate = on_negotiate,
    };
    static char connection[16]; /* libmilter keeps the pointer */

    snprintf(connection, sizeof connection, "fd:%d", fd);
    if (smfi_register(filter) != MI_SUCCESS || smfi_setconn(connection) != MI_SUCCESS ||
        smfi_opensocket(0) != MI_SUCCESS)
        return errno ? errno : EINVAL;
    if (ready)
        ready();
    return smfi_main() == MI_SUCCESS ? 0 : EIO;
}
