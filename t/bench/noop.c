/* noop.c - a filter on libmilter that does nothing: what the benchmark measures the daemon against.
 *
 * noop [-n] SOCKET      every step is negotiated and answered with "continue"; with -n none that can be left out.
 */
#include <sys/resource.h>
#include <sys/types.h>

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool nothing; /* -n */

static sfsistat noop_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3,
                               unsigned long *actions, unsigned long *steps, unsigned long *unused2,
                               unsigned long *unused3)
{
    (void)ctx, (void)f0, (void)f2, (void)f3;
    *actions = 0;
    *steps = 0;
    if (nothing)
        *steps = f1 & (SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NORCPT | SMFIP_NODATA | SMFIP_NOHDRS
                       | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN);
    *unused2 = *unused3 = 0;
    return SMFIS_CONTINUE;
}

static sfsistat noop_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *address)
{
    (void)ctx, (void)name, (void)address;
    return SMFIS_CONTINUE;
}

static sfsistat noop_text(SMFICTX *ctx, char *text)
{
    (void)ctx, (void)text;
    return SMFIS_CONTINUE;
}

static sfsistat noop_words(SMFICTX *ctx, char **words)
{
    (void)ctx, (void)words;
    return SMFIS_CONTINUE;
}

static sfsistat noop_header(SMFICTX *ctx, char *name, char *value)
{
    (void)ctx, (void)name, (void)value;
    return SMFIS_CONTINUE;
}

static sfsistat noop_body(SMFICTX *ctx, unsigned char *bytes, size_t n)
{
    (void)ctx, (void)bytes, (void)n;
    return SMFIS_CONTINUE;
}

static sfsistat noop_unknown(SMFICTX *ctx, const char *verb)
{
    (void)ctx, (void)verb;
    return SMFIS_CONTINUE;
}

static sfsistat noop_plain(SMFICTX *ctx)
{
    (void)ctx;
    return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
    struct smfiDesc filter = {
        .xxfi_name = "noop",
        .xxfi_version = SMFI_VERSION,
        .xxfi_connect = noop_connect,
        .xxfi_helo = noop_text,
        .xxfi_envfrom = noop_words,
        .xxfi_envrcpt = noop_words,
        .xxfi_header = noop_header,
        .xxfi_eoh = noop_plain,
        .xxfi_body = noop_body,
        .xxfi_eom = noop_plain,
        .xxfi_abort = noop_plain,
        .xxfi_close = noop_plain,
        .xxfi_unknown = noop_unknown,
        .xxfi_data = noop_plain,
        .xxfi_negotiate = noop_negotiate,
    };
    struct rlimit files;
    int option;

    while ((option = getopt(argc, argv, "n")) == 'n')
        nothing = true;
    if (option != -1 || optind + 1 != argc) {
        fputs("usage: noop [-n] unix:PATH\n", stderr);
        return 64;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (smfi_register(filter) != MI_SUCCESS || smfi_setconn(argv[optind]) != MI_SUCCESS
        || smfi_opensocket(0) != MI_SUCCESS) {
        fputs("noop: cannot listen\n", stderr);
        return 69;
    }
    return smfi_main() == MI_SUCCESS ? 0 : 70;
}
