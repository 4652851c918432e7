/* postconf.c - running postconf(1) and postfix(1), and reading what they print. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "postconf.h"

enum { RUN_MS = 20000, RUN_BYTES = 8 << 20, EDIT_BYTES = 512 << 10 };

/* ---- running it ---- */

/* find_program - where it is: PATH, and the places PATH lacks for ordinary users. NULL when nowhere. */
static const char *find_program(struct arena *a, const char *name)
{
    const char *path = getenv("PATH");
    struct str rest = arena_printf(a, "%s:/usr/sbin:/sbin:/usr/local/sbin", path ? path : "/usr/bin:/bin");
    struct str part;

    while (str_split(&rest, ':', &part)) {
        const char *file;

        if (part.n == 0 || part.p[0] != '/') /* never from the current directory */
            continue;
        file = arena_printf(a, STR_FMT "/%s", STR_ARG(part), name).p;
        if (access(file, X_OK) == 0)
            return file;
    }
    return NULL;
}

/* become - in the child. Its words are to be read by a program, so the language is C. */
static _Noreturn void become(const char *file, const char *const *args, int out, int err)
{
    int null = open("/dev/null", O_RDONLY);

    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(127);
    setenv("LC_ALL", "C", 1);
    execv(file, (char *const *)(void *)args);
    _exit(127);
}

/* drain - read both pipes to their ends. False when that took too long or was too much. */
static bool drain(int fd[2], struct buf *text[2])
{
    int64_t deadline = clock_ms() + RUN_MS;
    bool open[2] = {true, true};
    char chunk[16384];

    while (open[0] || open[1]) {
        struct pollfd ready[2] = {{.fd = open[0] ? fd[0] : -1, .events = POLLIN},
                                  {.fd = open[1] ? fd[1] : -1, .events = POLLIN}};
        int64_t left = deadline - clock_ms();

        if (left <= 0 || (poll(ready, 2, (int)left) < 0 && errno != EINTR))
            return false;
        for (int i = 0; i < 2; i++) {
            ssize_t n;

            if (!open[i] || !ready[i].revents)
                continue;
            n = read(fd[i], chunk, sizeof chunk);
            if (n > 0)
                buf_add(text[i], (struct str){chunk, (size_t)n});
            else if (n == 0 || errno != EINTR)
                open[i] = false;
            if (text[i]->len > RUN_BYTES)
                return false;
        }
    }
    return true;
}

/* run - one of Postfix's programs, args[0], with these arguments. False, with *why, when it did not end well. */
static bool run(struct arena *a, const char **args, struct str *out, struct str *err, struct str *why)
{
    const char *file = find_program(a, args[0]);
    struct buf text[2] = {buf_in(a), buf_in(a)};
    int fd[2][2], status;
    pid_t pid;
    bool read_all;

    *why = arena_printf(a, "Postfix is not installed: %s was not found", args[0]);
    if (!file)
        return false;
    args[0] = file;
    if (pipe2(fd[0], O_CLOEXEC) < 0 || pipe2(fd[1], O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        *why = arena_printf(a, "%s could not be started: %s", file, strerror(errno));
        return false;
    }
    if (pid == 0)
        become(file, args, fd[0][1], fd[1][1]);
    close(fd[0][1]);
    close(fd[1][1]);
    read_all = drain((int[]){fd[0][0], fd[1][0]}, (struct buf *[]){&text[0], &text[1]});
    if (!read_all)
        kill(pid, SIGKILL);
    close(fd[0][0]);
    close(fd[1][0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *out = buf_str(&text[0]);
    *err = buf_str(&text[1]);
    if (read_all && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (!read_all)
        *why = arena_printf(a, "%s did not end within %d seconds, or printed too much", file, RUN_MS / 1000);
    else if (err->n)
        *why = str_escaped(a, str_slice(*err, 0, str_find(*err, '\n')));
    else
        *why = arena_printf(a, "%s failed", file);
    return false;
}

/* ---- reading it ---- */

static void settings_add(struct arena *a, struct postfix_settings *s, struct str name, struct str value)
{
    s->items = arena_grow(a, s->items, s->count, sizeof *s->items);
    s->items[s->count++] = (struct postfix_setting){name, value};
}

static const struct postfix_setting *settings_find(const struct postfix_settings *s, struct str name)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_is(s->items[i].name, name))
            return &s->items[i];
    return NULL;
}

/* next_setting - take one "name = value" line off *text. */
static bool next_setting(struct str *text, struct str *name, struct str *value)
{
    struct str line;

    while (str_split(text, '\n', &line)) {
        size_t at = str_find(line, '=');

        if (at == line.n)
            continue;
        *name = str_trim(str_slice(line, 0, at));
        *value = str_trim(str_slice(line, at + 1, line.n));
        return true;
    }
    return false;
}

static void read_settings(struct arena *a, struct str text, struct postfix_settings *s)
{
    struct str name, value;

    while (next_setting(&text, &name, &value))
        settings_add(a, s, name, value);
}

/* keep_warnings - each complaint once, though postconf is run several times. */
static void keep_warnings(struct postfix *p, struct str text)
{
    struct str line;

    while (str_split(&text, '\n', &line)) {
        size_t i = 0;

        if (str_starts(line, STR("postconf: warning: ")))
            line = str_slice(line, strlen("postconf: warning: "), line.n);
        while (i < p->warning_count && !str_is(p->warnings[i], line))
            i++;
        if (line.n == 0 || i < p->warning_count)
            continue;
        p->warnings = arena_grow(p->arena, p->warnings, p->warning_count, sizeof *p->warnings);
        p->warnings[p->warning_count++] = line;
    }
}

/* service_of - the entry called "NAME/TYPE", made when it is new. */
static struct postfix_service *service_of(struct postfix *p, struct str id)
{
    struct postfix_service *s;
    size_t slash = str_rfind(id, '/');

    for (size_t i = 0; i < p->service_count; i++)
        if (str_is(p->services[i].id, id))
            return &p->services[i];
    p->services = arena_grow(p->arena, p->services, p->service_count, sizeof *p->services);
    s = &p->services[p->service_count++];
    *s = (struct postfix_service){.id = id, .name = str_slice(id, 0, slash), .type = str_slice(id, slash + 1, id.n)};
    return s;
}

/* read_fields - lines "NAME/TYPE/FIELD = value" (-F), or "NAME/TYPE/PARAMETER = value" (-P): a service's name may have
 * slashes, the last two parts have none. */
static void read_fields(struct postfix *p, struct str text, bool are_options)
{
    struct str name, value;

    while (next_setting(&text, &name, &value)) {
        size_t slash = str_rfind(name, '/');
        struct str field = str_slice(name, slash + 1, name.n);
        struct postfix_service *s;

        if (slash == name.n)
            continue;
        s = service_of(p, str_slice(name, 0, slash));
        if (are_options)
            settings_add(p->arena, &s->options, field, value);
        else if (str_is(field, STR("chroot")))
            s->chroot = value;
        else if (str_is(field, STR("command")))
            str_token(&value, &s->command);
    }
}

/* is_suffix - nothing, or what follows the numbers of a snapshot: "3.9-20240101", "3.8-RC2". */
static bool is_suffix(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (i == 0 ? s.p[i] != '-' : !((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'A' && s.p[i] <= 'Z')))
            return false;
    return true;
}

bool postfix_version_parse(struct str text, struct postfix_version *v)
{
    long *part[3] = {&v->major, &v->minor, &v->patch};
    struct str rest = text;

    *v = (struct postfix_version){.text = text};
    for (int i = 0; i < 3; i++) {
        size_t n = 0;

        while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
            n++;
        if (n > 6 || !str_to_long(str_slice(rest, 0, n), part[i]))
            return false;
        rest = str_slice(rest, n, rest.n);
        if (rest.n == 0 || rest.p[0] != '.')
            return i > 0 && is_suffix(rest);
        rest = str_slice(rest, 1, rest.n);
    }
    return false;
}

bool postfix_is(const struct postfix_version *v, long major, long minor, long patch)
{
    if (v->major != major)
        return v->major > major;
    if (v->minor != minor)
        return v->minor > minor;
    return v->patch >= patch;
}

bool postfix_ask_version(struct postfix *p, struct arena *a, struct str *why)
{
    struct str out, err;

    *p = (struct postfix){.arena = a};
    if (!run(a, (const char *[]){"postconf", "-d", NULL}, &out, &err, why))
        return false;
    read_settings(a, out, &p->known);
    for (size_t i = 0; i < p->known.count; i++)
        if (str_is(p->known.items[i].name, STR("mail_version")) &&
            postfix_version_parse(p->known.items[i].value, &p->version))
            return true;
    *why = STR("postconf -d does not tell mail_version");
    return false;
}

bool postfix_ask_settings(struct postfix *p, struct str config_dir, struct str *why)
{
    static const char *const what[] = {"-x", "-F", "-Px"};

    p->config_dir = config_dir;
    for (int i = 0; i < 3; i++) {
        const char *args[5] = {"postconf", what[i], NULL};
        struct str out, err;

        if (config_dir.n) {
            args[2] = "-c";
            args[3] = str_c(p->arena, config_dir);
        }
        if (!run(p->arena, args, &out, &err, why))
            return false;
        keep_warnings(p, err);
        if (i == 0)
            read_settings(p->arena, out, &p->main);
        else
            read_fields(p, out, i == 2);
    }
    return true;
}

/* ---- as it stands in the files ---- */

/* ask_plainly - `postconf FLAG`, without what it complains about: that was told by postfix_ask_settings(). */
static bool ask_plainly(const struct postfix *p, const char *flag, struct str *out, struct str *why)
{
    const char *args[5] = {"postconf", flag, NULL};
    struct str err;

    if (p->config_dir.n) {
        args[2] = "-c";
        args[3] = str_c(p->arena, p->config_dir);
    }
    return run(p->arena, args, out, &err, why);
}

struct str postfix_words(struct arena *a, struct str text)
{
    struct buf b = buf_in(a);
    struct str word;

    while (str_token(&text, &word)) {
        if (b.len)
            buf_addc(&b, ' ');
        buf_add(&b, word);
    }
    return buf_str(&b);
}

bool postfix_ask_files(const struct postfix *p, struct postfix_settings *main, struct postfix_settings *entries,
                       struct str *why)
{
    struct str out, line;

    *main = *entries = (struct postfix_settings){0};
    if (!ask_plainly(p, "-n", &out, why))
        return false;
    read_settings(p->arena, out, main);
    if (!ask_plainly(p, "-M", &out, why))
        return false;
    while (str_split(&out, '\n', &line)) {
        struct str rest = line, name, type;

        if (str_token(&rest, &name) && str_token(&rest, &type))
            settings_add(p->arena, entries, arena_printf(p->arena, STR_FMT "/" STR_FMT, STR_ARG(name), STR_ARG(type)),
                         postfix_words(p->arena, line));
    }
    return true;
}

bool postfix_find(const struct postfix_settings *settings, struct str name, struct str *value)
{
    const struct postfix_setting *s = settings_find(settings, name);

    if (s)
        *value = s->value;
    return s != NULL;
}

/* edit_some - one postconf, which changes its file at once or not at all. */
static bool edit_some(const struct postfix *p, const char *flag, const struct str *arguments, size_t count,
                      struct str *why)
{
    const char **args = arena_array(p->arena, count + 5, sizeof *args);
    struct str out, err;
    size_t n = 0;

    args[n++] = "postconf";
    if (p->config_dir.n) {
        args[n++] = "-c";
        args[n++] = str_c(p->arena, p->config_dir);
    }
    args[n++] = flag;
    for (size_t i = 0; i < count; i++)
        args[n++] = str_c(p->arena, arguments[i]);
    return run(p->arena, args, &out, &err, why);
}

bool postfix_edit(const struct postfix *p, const char *flag, const struct str *arguments, size_t count,
                  struct str *why)
{
    size_t from = 0, bytes = 0;

    for (size_t i = 0; i < count; i++) {
        bytes += arguments[i].n;
        if (bytes < EDIT_BYTES && i + 1 < count) /* a program's arguments have a limit */
            continue;
        if (!edit_some(p, flag, arguments + from, i + 1 - from, why))
            return false;
        from = i + 1;
        bytes = 0;
    }
    return true;
}

bool postfix_command(const struct postfix *p, const char *verb, struct str *why)
{
    const char *args[5] = {"postfix", verb, NULL};
    struct str out, err;

    if (p->config_dir.n) {
        args[1] = "-c";
        args[2] = str_c(p->arena, p->config_dir);
        args[3] = verb;
    }
    return run(p->arena, args, &out, &err, why);
}

/* ---- asking it ---- */

bool postfix_knows(const struct postfix *p, const char *name)
{
    return settings_find(&p->known, str_of(name)) != NULL;
}

bool postfix_overrides(const struct postfix_service *service, const char *name)
{
    return service && settings_find(&service->options, str_of(name));
}

struct str postfix_value(const struct postfix *p, const struct postfix_service *service, const char *name)
{
    const struct postfix_setting *s = service ? settings_find(&service->options, str_of(name)) : NULL;

    if (!s)
        s = settings_find(&p->main, str_of(name));
    return s ? s->value : STR_NONE;
}

bool postfix_is_yes(struct str value)
{
    return str_is_nocase(value, STR("yes"));
}

bool postfix_time_ms(struct str value, int64_t *ms)
{
    static const char units[] = "smhdw";
    static const long seconds[] = {1, 60, 3600, 86400, 604800};
    const char *unit = units;
    long n;

    value = str_trim(value);
    if (value.n && memchr(units, value.p[value.n - 1], sizeof units - 1)) {
        unit = strchr(units, value.p[value.n - 1]);
        value.n--;
    }
    if (!str_to_long(value, &n) || n < 0 || n > 1000000000)
        return false;
    *ms = (int64_t)n * seconds[unit - units] * 1000;
    return true;
}

static bool separates(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\r' || c == '\n';
}

bool postfix_item(struct str *rest, struct str *item)
{
    size_t from = 0, to;
    int depth = 0;

    while (from < rest->n && separates(rest->p[from]))
        from++;
    for (to = from; to < rest->n && (depth > 0 || !separates(rest->p[to])); to++)
        depth += (rest->p[to] == '{') - (rest->p[to] == '}');
    *item = str_slice(*rest, from, to);
    *rest = str_slice(*rest, to, rest->n);
    return item->n > 0;
}

long postfix_port(const struct postfix_service *s)
{
    static const struct { const char *name; long port; } usual[] = {
        {"smtp", 25}, {"submission", 587}, {"submissions", 465}, {"smtps", 465}, {"ssmtp", 465}, {"urd", 465},
    };
    size_t colon = str_rfind(s->name, ':');
    struct str name = colon < s->name.n ? str_slice(s->name, colon + 1, s->name.n) : s->name;
    const struct servent *entry;
    char text[64];
    long port;

    if (!str_is(s->type, STR("inet")) || name.n == 0 || name.n >= sizeof text)
        return 0;
    if (str_to_long(name, &port))
        return port > 0 && port <= 65535 ? port : 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (str_is(name, str_of(usual[i].name)))
            return usual[i].port;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    entry = getservbyname(text, "tcp");
    return entry ? ntohs((uint16_t)entry->s_port) : 0;
}

bool shell_quotable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] > 0x7e)
            return false;
    return true;
}

struct str shell_quoted(struct arena *a, struct str s)
{
    struct buf b = buf_in(a);

    buf_addc(&b, '\'');
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\'')
            buf_add(&b, STR("'\\''"));
        else
            buf_addc(&b, s.p[i]);
    buf_addc(&b, '\'');
    return buf_str(&b);
}
