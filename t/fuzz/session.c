/* session.c - fuzz target: a whole milter session through libmilter and the callbacks, over a socket. The input is a
 * row of frames with "\xff\xfe" between them: the command, then its bytes; a frame that begins with 0x01 is sent
 * without its length, as bytes that are no frame. A negotiation goes before, unless the input begins with one.
 *
 * What comes back must be whole frames: replies and header fields that end no line and hold no control byte. What is
 * logged must be printable. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../milter/base/clock.h"
#include "../../milter/base/log.h"
#include "../../milter/callbacks.h"
#include "../../milter/dns/dns.h"
#include "fuzz.h"

#define INPUT_MOST 60000 /* less than a socket takes while nobody reads */
#define FRAME_MOST (1024 * 1024)
#define ANSWER_MS 20000
#define NUDGE_MS 1000

static const char configuration[] =
    "hostname = \"mx.here.test\"\n"
    "local_domains = {\"here.test\"}\n"
    "local_networks = {\"10.0.0.0/8\"}\n"
    "journal { enabled = no }\n"
    "profile \"all\" {\n"
    "port = {}\n daemon_name = {}\n network = any\n auth = any\n"
    "policies = {\"whitelist\", \"relay\", \"karma\", \"fcrdns\", \"dnsbl\", \"helo\", \"unrecognized_commands\",\n"
    "    \"tls\", \"resolvable_fromhost\", \"rhsbl\", \"badmailfrom\", \"badmailfromto\", \"spf\",\n"
    "    \"bogus_bounce\", \"badrcptto\", \"badrcptto_ext\", \"goodrcptto\", \"bcc\",\n"
    "    \"headers\", \"dkim\", \"dmarc\", \"uribl\", \"patterns\", \"disclaimer\"}\n"
    "dnsbl { zones = {\"bl.test\"} }\n"
    "helo { level = strict }\n"
    "rhsbl { enabled = yes  zones = {\"rhsbl.test\"} }\n"
    "badmailfrom { senders = {\"bad@a.test  go %FROM% away\", \"/^spam.*@/\"} }\n"
    "badmailfromto { pairs = {\"a@a.test b@here.test\"} }\n"
    "badrcptto { recipients = {\"bad@here.test\"} }\n"
    "goodrcptto { recipients = {\"@here.test\"} }\n"
    "uribl { enabled = yes  zones = {\"uribl.test\"}  scan_headers = yes }\n"
    "whitelist { senders = {\"@good.test\"} }\n"
    "}\n";

static const char world[] =
    "7.2.0.192.in-addr.arpa PTR mx.a.test\n"
    "mx.a.test A 192.0.2.7\n"
    "a.test MX 10 mx.a.test\n"
    "a.test TXT \"v=spf1 +all\"\n"
    "_dmarc.a.test TXT \"v=DMARC1; p=reject; rua=mailto:r@a.test\"\n"
    "_dmarc.test TXT nodata\n"
    "_dmarc.bad.test TXT \"v=DMARC1; p=quarantine\"\n"
    "bad.test TXT \"v=spf1 include:a.test -all exp=why.bad.test\"\n"
    "why.bad.test TXT \"%{s} is not %{i} of %{h}\"\n";

static struct sockaddr_un place;
static socklen_t place_size;

static void check_log(int level, struct str line, void *ctx)
{
    (void)level;
    (void)ctx;
    for (size_t i = 0; i < line.n; i++)
        must((unsigned char)line.p[i] >= 0x20 && (unsigned char)line.p[i] < 0x7f);
}

static void *serve(void *listener)
{
    callbacks_serve(*(int *)listener, NULL);
    return NULL;
}

static void begin(void)
{
    static int listener;
    struct arena *a = arena_new(0);
    struct problems problems = {.arena = a};
    struct dns_settings dns = {.cache_entries = 1000};
    struct config *config;
    struct str error = STR_NONE;
    pthread_t thread;

    signal(SIGPIPE, SIG_IGN);
    log_capture(check_log, NULL);
    clock_script_wall(INT64_C(1767607200000));
    clock_script_load(0);
    config = config_from_text(STR("session"), str_of(configuration), &problems);
    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(a, &problems.items[i])));
    must(config && problems.count == 0);
    must(dns_configure(&dns, &error, a));
    if (!dns_script(STR("world"), str_of(world), false, &error, a))
        fprintf(stderr, STR_FMT "\n", STR_ARG(error));
    must(error.n == 0);
    callbacks_use(config);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    place.sun_family = AF_UNIX;
    must(listener >= 0 && bind(listener, (struct sockaddr *)&place, sizeof place.sun_family) == 0); /* any free name */
    place_size = sizeof place;
    must(getsockname(listener, (struct sockaddr *)&place, &place_size) == 0 && listen(listener, 16) == 0);
    must(pthread_create(&thread, NULL, serve, &listener) == 0);
    arena_free(&a);
}

/* ---- what is sent ---- */

/* missing - NULs that libmilter needs and does not miss: an unknown command is handed on as it was read, without its
 * length, and macros are looked up in pairs. Nobody behind libmilter can know better. */
static size_t missing(struct str frame)
{
    bool open = frame.p[frame.n - 1] != '\0';
    size_t strings = open;

    if (frame.p[0] != 'D' || frame.n < 3)
        return frame.p[0] == 'U' && open;
    for (size_t i = 2; i < frame.n; i++)
        strings += frame.p[i] == '\0';
    return open + strings % 2;
}

static void add_frame(struct buf *b, struct str frame)
{
    size_t more = missing(frame);
    uint32_t n = (uint32_t)(frame.n + more);
    char head[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};

    if (frame.p[0] != 1) {
        buf_add(b, (struct str){head, 4});
        buf_add(b, frame);
        buf_add(b, (struct str){"\0", more});
    } else {
        buf_add(b, str_slice(frame, 1, frame.n));
    }
}

static struct str frames_of(struct arena *a, struct str input)
{
    static const char negotiation[] = "O\0\0\0\6\0\0\1\xff\0\x1f\xff\xff";
    struct buf b = buf_in(a);

    if (input.n == 0 || input.p[0] != 'O')
        add_frame(&b, (struct str){negotiation, sizeof negotiation - 1});
    while (input.n) {
        const char *end = memmem(input.p, input.n, "\xff\xfe", 2);
        struct str frame = str_slice(input, 0, end ? (size_t)(end - input.p) : input.n);

        if (frame.n)
            add_frame(&b, frame);
        input = str_slice(input, frame.n + 2, input.n);
    }
    return buf_str(&b);
}

/* ---- what comes back ---- */

static void must_be_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        must((unsigned char)s.p[i] >= 0x20 && (unsigned char)s.p[i] < 0x7f);
}

static void check_reply(struct str text)
{
    must(text.n > 4 && (text.p[0] == '4' || text.p[0] == '5'));
    must(text.p[text.n - 1] == '\0');
    must_be_printable(str_slice(text, 0, text.n - 1)); /* ours have one line */
}

/* check_field - name, NUL, value, NUL. A line that ends is folded. */
static void check_field(struct str text)
{
    size_t at = str_find(text, '\0');
    struct str name = str_slice(text, 0, at), value = str_slice(text, at + 1, text.n);

    must(name.n > 0 && str_find(name, ':') == name.n && str_find(name, ' ') == name.n);
    must_be_printable(name);
    must(value.n > 0 && str_find(value, '\0') == value.n - 1);
    for (size_t i = 0; i + 1 < value.n; i++) {
        must(value.p[i] != '\r' || value.p[i + 1] == '\n');
        must(value.p[i] != '\n' || value.p[i + 1] == ' ' || value.p[i + 1] == '\t');
    }
}

static void check_frame(struct str frame)
{
    struct str bytes = str_slice(frame, 1, frame.n);

    switch (frame.p[0]) {
    case 'y':
        check_reply(bytes);
        break;
    case 'h':
        check_field(bytes);
        break;
    case 'i':
    case 'm':
        must(bytes.n > 4);
        check_field(str_slice(bytes, 4, bytes.n));
        break;
    case '+':
    case '-':
        must(bytes.n > 1 && str_find(bytes, '\0') == bytes.n - 1);
        break;
    default:
        must(strchr("Octardlsbpq", frame.p[0]) && frame.p[0]);
    }
}

/* nudge - libmilter's pool may leave a command lying that came in the instant when a worker went to sleep, until
 * somebody else connects; see waiting.h. */
static void nudge(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd >= 0) {
        (void)!connect(fd, (struct sockaddr *)&place, place_size);
        close(fd);
    }
}

/* hear - everything until the filter closes; it must close, since we have. */
static struct str hear(struct arena *a, int fd)
{
    struct buf b = buf_in(a);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char block[65536];
    int waited = 0;
    ssize_t n;

    do {
        for (; poll(&p, 1, NUDGE_MS) != 1; waited += NUDGE_MS) {
            must(waited < ANSWER_MS);
            nudge();
        }
        n = recv(fd, block, sizeof block, 0);
        if (n > 0)
            buf_add(&b, (struct str){block, (size_t)n});
    } while (n > 0);
    return buf_str(&b);
}

static void check_answers(struct str heard)
{
    while (heard.n >= 4) {
        const unsigned char *p = (const unsigned char *)heard.p;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];

        must(n > 0 && n <= FRAME_MOST && n + 4 <= heard.n);
        check_frame(str_slice(heard, 4, n + 4));
        heard = str_slice(heard, n + 4, heard.n);
    }
    must(heard.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct arena *a;
    struct str frames;
    int fd;

    if (size > INPUT_MOST)
        return 0;
    if (!begun)
        begin();
    begun = true;
    a = arena_new(0);
    frames = frames_of(a, (struct str){(const char *)data, size});
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&place, place_size) == 0);
    if (send(fd, frames.p, frames.n, MSG_NOSIGNAL) < 0)
        must(errno == EPIPE || errno == ECONNRESET); /* it has hung up on nonsense already */
    shutdown(fd, SHUT_WR);
    check_answers(hear(a, fd));
    close(fd);
    arena_free(&a);
    return 0;
}
