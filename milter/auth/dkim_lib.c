/* dkim_lib.c - libopendkim at its narrowest: well-formed signatures in, per signature one result out.
 *
 * Keys come from the library's key lookup, not its DNS callbacks: they have been asked for and judged before, so there
 * is always one, and it is never put off (which would cost all other signatures of the message their results). Its
 * only lib handle is shared by all threads and never changed after it was made.
 */
#include <pthread.h>
#include <sys/types.h>

#include <dkim.h>

#include "../base/log.h"
#include "dkim_lib.h"

struct work {
    const struct dkim_trial *trials;
    size_t count;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static DKIM_LIB *lib;

/* find_key - the library asks by d= and s= as they are written. Trials of the same name have the same record, and where
 * one of them wanted another algorithm it is not here. */
static DKIM_CBSTAT find_key(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t room)
{
    const struct work *w = dkim_get_user_context(dkim);
    struct str domain = str_of((const char *)dkim_sig_getdomain(sig));
    struct str selector = str_of((const char *)dkim_sig_getselector(sig));

    for (size_t i = 0; i < w->count; i++) {
        const struct dkim_signature *s = w->trials[i].signature;
        struct str p = w->trials[i].key->p;
        const char *algorithm = s->algorithm == DKIM_RSA ? "rsa" : "ed25519";

        if (!str_is(s->written, domain) || !str_is(s->selector, selector))
            continue;
        if ((size_t)snprintf((char *)buf, room, "k=%s; p=" STR_FMT, algorithm, STR_ARG(p)) >= room)
            break;
        return DKIM_CBSTAT_CONTINUE;
    }
    return DKIM_CBSTAT_NOTFOUND;
}

static void start(void)
{
    /* Delayed: keys are looked up at the end. Handles for bad signatures: so that a From that the library cannot read
     * does not end it all, and every field that it was given has its place in the list. */
    unsigned flags = DKIM_LIBFLAGS_DELAYSIGPROC | DKIM_LIBFLAGS_BADSIGHANDLES;
    unsigned no_bits = 0; /* we know the sizes */

    lib = dkim_init(NULL, NULL);
    if (!lib || dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof flags) != DKIM_STAT_OK ||
        dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_MINKEYBITS, &no_bits, sizeof no_bits) != DKIM_STAT_OK ||
        dkim_set_key_lookup(lib, find_key) != DKIM_STAT_OK)
        log_panic("libopendkim cannot be set up");
}

/* field_text - "Name: value" with CRLF before each continuation line, as it went over the wire. */
static struct str field_text(struct buf *b, const struct header *h)
{
    b->len = 0;
    buf_add(b, h->name);
    buf_addc(b, ':');
    for (size_t i = 0, from = 0; i <= h->raw.n; i++) {
        if (i == h->raw.n) {
            buf_add(b, str_slice(h->raw, from, i));
        } else if (h->raw.p[i] == '\n' && (i == 0 || h->raw.p[i - 1] != '\r')) {
            buf_add(b, str_slice(h->raw, from, i));
            buf_addc(b, '\r');
            from = i;
        }
    }
    return buf_str(b);
}

static const struct dkim_trial *trial_of(const struct dkim_trial *trials, size_t count, const struct header *h)
{
    for (size_t i = 0; i < count; i++)
        if (trials[i].field == h)
            return &trials[i];
    return NULL;
}

/* give_headers - all fields; of signatures only those to be tried. What the library will not have is left out, and a
 * signature that covers it fails. */
static bool give_headers(struct arena *a, DKIM *dkim, const struct headers *headers, const struct dkim_trial *trials,
                         size_t count)
{
    struct buf b = buf_in(a);
    size_t given = 0;

    for (const struct header *h = headers->first; h; h = h->next) {
        bool is_signature = str_is_nocase(h->name, DKIM_FIELD);
        struct str text;

        if (is_signature && !trial_of(trials, count, h))
            continue;
        text = field_text(&b, h);
        if (memchr(text.p, '\0', text.n))
            continue;
        given += is_signature;
        if (dkim_header(dkim, (unsigned char *)b.data, text.n) == DKIM_STAT_NORESOURCE)
            return false;
    }
    return given == count;
}

static bool give_body(DKIM *dkim, struct str body)
{
    if (body.n && dkim_body(dkim, (unsigned char *)body.p, body.n) != DKIM_STAT_OK)
        return false;
    /* The library gives up all signatures of a message whose last line has no end. */
    return body.n == 0 || (body.n > 1 && body.p[body.n - 2] == '\r' && body.p[body.n - 1] == '\n') ||
           dkim_body(dkim, (unsigned char *)"\r\n", 2) == DKIM_STAT_OK;
}

static void judge(DKIM_SIGINFO *sig, struct dkim_trial *t)
{
    int error = dkim_sig_geterror(sig);

    t->problem = NULL;
    t->result = AUTH_FAIL;
    if (DKIM_SIG_CHECK(sig) && error == DKIM_SIGERROR_OK) {
        t->result = AUTH_PASS;
    } else if (error == DKIM_SIGERROR_EXPIRED) {
        t->problem = "the signature has expired";
    } else if (error == DKIM_SIGERROR_FUTURE) {
        t->problem = "the signature is of the future";
    } else if (error == DKIM_SIGERROR_TOOLARGE_L) {
        t->problem = "the body is shorter than l=";
    } else if (dkim_sig_getbh(sig) == DKIM_SIGBH_MISMATCH) {
        t->problem = "the body was changed";
    } else if (error == DKIM_SIGERROR_BADSIG) {
        t->problem = "the signature does not fit the header";
    } else {
        t->result = AUTH_PERMERROR;
        t->problem = "the signature cannot be verified";
    }
}

/* is_same - the list is in the order of the fields; this makes sure. */
static bool is_same(DKIM_SIGINFO *sig, const struct dkim_trial *t)
{
    return str_is(str_of((const char *)dkim_sig_getdomain(sig)), t->signature->written) &&
           str_is(str_of((const char *)dkim_sig_getselector(sig)), t->signature->selector);
}

static bool run(struct arena *a, DKIM *dkim, const struct headers *headers, struct str body, struct dkim_trial *trials,
                size_t count)
{
    DKIM_SIGINFO **sigs = NULL;
    int n = 0;

    if (!give_headers(a, dkim, headers, trials, count))
        return false;
    if (dkim_eoh(dkim) != DKIM_STAT_OK || !give_body(dkim, body))
        return false;
    dkim_eom(dkim, NULL);
    if (dkim_getsiglist(dkim, &sigs, &n) != DKIM_STAT_OK || (size_t)n != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (is_same(sigs[i], &trials[i]))
            judge(sigs[i], &trials[i]);
    return true;
}

void dkim_lib_try(struct arena *a, const struct headers *headers, struct str body, struct dkim_trial *trials,
                  size_t count)
{
    struct work work = {trials, count};
    DKIM_STAT status;
    DKIM *dkim;

    for (size_t i = 0; i < count; i++) {
        trials[i].result = AUTH_PERMERROR;
        trials[i].problem = "the signature cannot be verified";
    }
    if (count == 0)
        return;
    pthread_once(&once, start);
    dkim = dkim_verify(lib, (const unsigned char *)"message", NULL, &status);
    if (!dkim) {
        log_error("libopendkim gives no handle (%d); signatures are not verified", status);
        for (size_t i = 0; i < count; i++)
            trials[i].result = AUTH_TEMPERROR;
        return;
    }
    dkim_set_user_context(dkim, &work);
    run(a, dkim, headers, body, trials, count);
    dkim_free(dkim);
}
