/* top.c - sme-milterctl top: what the daemon does just now, drawn again every second or two. */
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../config.h"
#include "control_client.h"
#include "ctl.h"

#define HOME "\033[H"
#define CLEAR_LINE "\033[K\n"
#define CLEAR_REST "\033[J"
#define OTHER_SCREEN "\033[?1049h\033[?25l"
#define OWN_SCREEN "\033[?25h\033[?1049l"

static struct {
    struct termios before;
    bool raw;
} terminal;

static void give_terminal_back(void)
{
    if (!terminal.raw)
        return;
    terminal.raw = false;
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    fputs(OWN_SCREEN, stdout);
    fflush(stdout);
}

static void on_signal(int number)
{
    static const char own[] = OWN_SCREEN;

    if (terminal.raw && write(STDOUT_FILENO, own, sizeof own - 1) > 0)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    signal(number, SIG_DFL);
    raise(number);
}

static void take_terminal(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct termios raw;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &terminal.before) != 0)
        return;
    raw = terminal.before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        signal(ends[i], on_signal);
    terminal.raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    fputs(OTHER_SCREEN, stdout);
}

/* quit_within - wait; true when q was typed. */
static bool quit_within(int ms)
{
    struct pollfd p = {.fd = terminal.raw ? STDIN_FILENO : -1, .events = POLLIN};
    char key;

    if (poll(&p, 1, ms) <= 0 || read(STDIN_FILENO, &key, 1) != 1)
        return false;
    return key == 'q' || key == 'Q' || key == 4;
}

/* ---- the picture ---- */

struct view {
    struct ctl *ctl;
    json_t *now, *before; /* before: NULL at first */
    double seconds;       /* between them */
    int lines, columns;   /* left of the window */
    const char *end;      /* of a line */
};

static long long number(json_t *o, const char *name)
{
    return (long long)json_integer_value(json_object_get(o, name));
}

static void line(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct view *v, const char *format, ...)
{
    char text[512];
    va_list ap;

    if (v->lines <= 0)
        return;
    v->lines--;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    printf("%.*s%s", v->columns, text, v->end);
}

/* rate - of a counter below `group`, a second; 0 at first. */
static double rate(const struct view *v, const char *group, const char *name, const char *key)
{
    json_t *now = v->now, *before = v->before;
    const char *path[] = {group, name};

    if (!before || v->seconds <= 0)
        return 0;
    for (size_t i = 0; i < 2; i++)
        if (path[i]) {
            now = json_object_get(now, path[i]);
            before = json_object_get(before, path[i]);
        }
    return (double)(number(now, key) - number(before, key)) / v->seconds;
}

static void draw_mail(struct view *v)
{
    json_t *messages = json_object_get(v->now, "messages"), *process = json_object_get(v->now, "process"),
           *dns = json_object_get(v->now, "dns");

    line(v, "sme-milter, process %lld   sessions %lld   memory %.1f MB   descriptors %lld", number(v->now, "pid"),
         number(v->now, "sessions"), (double)number(process, "resident_bytes") / 1e6, number(process, "descriptors"));
    line(v, "messages   accept %lld (%.1f/s)   reject %lld (%.1f/s)   tempfail %lld (%.1f/s)   refused before MAIL %lld",
         number(messages, "accept"), rate(v, "messages", NULL, "accept"), number(messages, "reject"),
         rate(v, "messages", NULL, "reject"), number(messages, "tempfail"), rate(v, "messages", NULL, "tempfail"),
         number(json_object_get(v->now, "connections"), "reject"));
    line(v, "dns        asked %lld (%.1f/s)   sent %lld   failed %lld   in memory %lld", number(dns, "asked"),
         rate(v, "dns", NULL, "asked"), number(dns, "sent"), number(dns, "failed"), number(dns, "cache_entries"));
}

static void draw_stores(struct view *v)
{
    static const char *const names[] = {"karma", "dmarc", "journal"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *s = json_object_get(v->now, names[i]);

        if (s)
            line(v, "%-10s %s   %lld written   %lld waiting   %lld lost", names[i],
                 json_string_value(json_object_get(s, "state")), number(s, "written"), number(s, "waiting"),
                 number(s, "dropped"));
    }
}

static void draw_policies(struct view *v)
{
    json_t *policies = json_object_get(v->now, "policies"), *p;
    const char *name;

    line(v, "%s", "");
    line(v, "%-22s %9s %9s %9s %13s %9s %10s %7s", "policy", "good", "bad", "unsure", "would reject", "rejected",
         "tempfailed", "bad/s");
    json_object_foreach(policies, name, p)
        line(v, "%-22s %9lld %9lld %9lld %13lld %9lld %10lld %7.1f", name, number(p, "good"), number(p, "bad"),
             number(p, "unsure"), number(p, "would_reject"), number(p, "rejected"), number(p, "tempfailed"),
             rate(v, "policies", name, "bad"));
}

static void draw_lists(struct view *v)
{
    json_t *lists = json_object_get(v->now, "lists"), *l;
    const char *name;

    if (json_object_size(lists) == 0)
        return;
    line(v, "%s", "");
    line(v, "%-40s %-10s %9s %9s %9s", "DNS list", "state", "asked", "listed", "unsure");
    json_object_foreach(lists, name, l)
        line(v, "%-40s %-10s %9lld %9lld %9lld", str_escaped(v->ctl->arena, str_of(name)).p,
             json_string_value(json_object_get(l, "state")), number(l, "asked"), number(l, "listed"),
             number(l, "unsure"));
}

static void draw(struct view *v)
{
    struct winsize w;
    bool live = terminal.raw;

    v->lines = 1000;
    v->columns = 500;
    v->end = live ? CLEAR_LINE : "\n";
    if (live && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 1 && w.ws_col > 1) {
        v->lines = w.ws_row - 1;
        v->columns = w.ws_col - 1;
    }
    if (live)
        fputs(HOME, stdout);
    draw_mail(v);
    draw_stores(v);
    draw_policies(v);
    draw_lists(v);
    if (live)
        fputs(CLEAR_REST, stdout);
    fflush(stdout);
}

/* ask - the daemon's state; NULL and *status when there is none. */
static json_t *ask(struct ctl *ctl, const struct config *config, int *status)
{
    struct str answer;
    json_t *o;

    *status = control_tell(ctl, config, "stats", &answer);
    if (*status != 0)
        return NULL;
    o = json_loadb(answer.p, answer.n, 0, NULL);
    if (!o)
        *status = EX_UNAVAILABLE;
    return o;
}

static int show(struct ctl *ctl, const struct config *config, double seconds, long most)
{
    struct view v = {.ctl = ctl};
    int64_t asked = 0;
    int status = CTL_FINE;

    for (long i = 0; most == 0 || i < most; i++) {
        struct ctl once = *ctl; /* what one picture needs goes with it */
        int64_t now = clock_ms();

        if (i && quit_within((int)(seconds * 1000)))
            break;
        once.arena = arena_new(0);
        v.ctl = &once;
        json_decref(v.before);
        v.before = v.now;
        now = clock_ms();
        v.now = ask(&once, config, &status);
        v.seconds = (double)(now - asked) / 1000;
        asked = now;
        if (v.now && ctl->json) {
            json_dumpf(v.now, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
            putchar('\n');
            fflush(stdout);
        } else if (v.now) {
            draw(&v);
        }
        arena_free(&once.arena);
        if (!v.now)
            break;
    }
    json_decref(v.before);
    json_decref(v.now);
    return status;
}

static int run(struct ctl *ctl)
{
    struct config *config;
    const char *value;
    long seconds = 2, count = 0;
    int status;

    for (int i = 1; i < ctl->argc; i++) {
        if ((value = ctl_option(ctl, &ctl_top, &i, "--every"))) {
            if (!str_to_long(str_of(value), &seconds) || seconds < 1 || seconds > 3600)
                return ctl_usage(&ctl_top, "--every needs seconds, from 1 to 3600");
        } else if ((value = ctl_option(ctl, &ctl_top, &i, "--count"))) {
            if (!str_to_long(str_of(value), &count) || count < 1)
                return ctl_usage(&ctl_top, "--count needs a number");
        } else {
            return ctl_usage(&ctl_top, "unknown word \"%s\"", str_escaped(ctl->arena, str_of(ctl->argv[i])).p);
        }
    }
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    if (isatty(STDOUT_FILENO) && !ctl->json)
        take_terminal();
    else if (count == 0)
        count = 1;
    status = show(ctl, config, (double)seconds, count);
    give_terminal_back();
    if (status == EX_UNAVAILABLE)
        fprintf(stderr, "sme-milterctl top: no daemon uses " STR_FMT "\n", STR_ARG(config->global.state_dir));
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_top = {
    .words = "top",
    .usage = "[--every SECONDS] [--count N]",
    .summary = "What the running daemon does just now, drawn again and again",
    .help = "  --every SECONDS  how often (2)\n"
            "  --count N        end after so many pictures; one where the output is no terminal\n"
            "  --json           instead of each picture what `stats --json` prints, on a line\n"
            "q ends it.\n",
    .run = run,
};
