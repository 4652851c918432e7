/* postfix_snippet.c - `postfix snippet`: the postconf commands that put Postfix in front of the daemon.
 *
 * Here are its options and the printing; what is printed is made by snippet_lines.c and snippet_services.c.
 */
#include <jansson.h>
#include <sysexits.h>

#include "snippet.h"

enum { COMMENT_COLUMNS = 100, HOSTNAME_MOST = 253 };

/* ---- making ---- */

void because(struct snippet *s, const char *format, ...)
{
    struct buf b = buf_in(s->arena);
    va_list ap;

    va_start(ap, format);
    buf_vaddf(&b, format, ap);
    va_end(ap);
    s->why = buf_str(&b);
}

void snippet_step(struct snippet *s, enum step_kind kind, struct str name, struct str value)
{
    s->steps = arena_grow(s->arena, s->steps, s->count, sizeof *s->steps);
    s->steps[s->count++] = (struct step){kind, name, str_trim(value), s->why};
}

/* ---- printing ---- */

static void comment(struct str text)
{
    struct str word;
    size_t column = 0;

    while (str_token(&text, &word)) {
        if (column + 1 + word.n > COMMENT_COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf(column ? " " STR_FMT : "# " STR_FMT, STR_ARG(word));
    }
    putchar('\n');
}

/* flag_of - postconf's flag for the step, and its argument. */
static const char *flag_of(struct snippet *s, const struct step *step, struct str *argument)
{
    static const char *const flags[] = {[STEP_SET] = "-e", [STEP_ENTRY] = "-M", [STEP_OPTION] = "-P",
                                        [STEP_REMOVE] = "-MX"};
    const char *between = step->kind == STEP_SET ? " = " : step->kind == STEP_ENTRY ? "=" : "/";
    struct buf b = buf_in(s->arena);

    buf_add(&b, step->name);
    if (step->kind != STEP_REMOVE) {
        buf_add(&b, str_of(between));
        buf_add(&b, step->value);
    }
    *argument = str_trim(buf_str(&b));
    return flags[step->kind];
}

static void print_command(struct snippet *s, const struct step *step)
{
    struct str argument;
    const char *flag = flag_of(s, step, &argument);

    printf("postconf ");
    if (s->config_dir.n)
        printf("-c " STR_FMT " ", STR_ARG(shell_quoted(s->arena, s->config_dir)));
    printf("%s ", flag);
    argument = shell_quoted(s->arena, argument);
    fwrite(argument.p, 1, argument.n, stdout); /* it may be longer than STR_FMT shows */
    putchar('\n');
}

static void print_json(struct snippet *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->count; i++) {
        const struct step *step = &s->steps[i];
        json_t *arguments;
        struct str argument;
        const char *flag;

        if (step->kind == STEP_WORDS)
            continue;
        flag = flag_of(s, step, &argument);
        arguments = json_array();
        if (s->config_dir.n) {
            json_array_append_new(arguments, json_string("-c"));
            json_array_append_new(arguments, json_stringn(s->config_dir.p, s->config_dir.n));
        }
        json_array_append_new(arguments, json_string(flag));
        json_array_append_new(arguments, json_stringn(argument.p, argument.n));
        json_array_append_new(list, json_pack("{s:s, s:o, s:s%}", "command", "postconf", "arguments", arguments, "why",
                                              step->why.p, step->why.n));
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

static int print(struct snippet *s)
{
    const char *old = postfix_is(&s->postfix.version, 3, 7, 0)
                          ? "" : " sme-milter is tested with Postfix 3.7 and later; this one is older.";

    if (s->ctl->json) {
        print_json(s);
        return CTL_FINE;
    }
    comment(arena_printf(s->arena, "Postfix " STR_FMT " in front of sme-milter. Run these lines as root; running them "
                         "again changes nothing.%s", STR_ARG(s->postfix.version.text), old));
    comment(STR("Afterwards: postfix check, postfix reload, and sme-milterctl postfix doctor."));
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0 || s->steps[i].why.p != s->steps[i - 1].why.p) {
            putchar('\n');
            comment(s->steps[i].why);
        }
        if (s->steps[i].kind != STEP_WORDS)
            print_command(s, &s->steps[i]);
    }
    return CTL_FINE;
}

/* ---- options ---- */

static bool is_hostname(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return name.n > 0 && name.n <= HOSTNAME_MOST && name.p[0] != '-' && name.p[0] != '.';
}

/* networks - "192.168.1.0/24,2001:db8::/32" as mynetworks wants it. A network of millions is a typing mistake that
 * would make an open relay. */
static int networks(struct snippet *s, struct str text)
{
    struct buf b = buf_in(s->arena);
    struct str item;

    buf_add(&b, STR("127.0.0.0/8 [::1]/128"));
    while (postfix_item(&text, &item)) {
        struct cidr net;
        struct str error, address;
        bool is_v4;

        if (!cidr_parse(s->arena, item, &net, &error))
            return ctl_usage(&ctl_postfix_snippet, "--networks: \"" STR_FMT "\" " STR_FMT,
                             STR_ARG(str_escaped(s->arena, item)), STR_ARG(error));
        is_v4 = ip_is_v4(net.net) && net.bits >= 96;
        if (net.bits < (is_v4 ? 96 + 8 : 16))
            return ctl_usage(&ctl_postfix_snippet, "--networks: " STR_FMT " is wider than /%d: all of it could relay",
                             STR_ARG(item), is_v4 ? 8 : 16);
        address = ip_text(s->arena, net.net);
        if (is_v4)
            buf_addf(&b, " " STR_FMT "/%u", STR_ARG(address), net.bits - 96);
        else
            buf_addf(&b, " [" STR_FMT "]/%u", STR_ARG(address), net.bits);
    }
    s->networks = buf_str(&b);
    return 0;
}

/* read_options - and which of them cannot stand together. */
static int read_options(struct snippet *s, struct str *version, const char **settings)
{
    struct ctl *ctl = s->ctl;

    for (int i = 1; i < ctl->argc; i++) {
        const char *value;
        int status = 0;

        if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--postfix-version"))) {
            *version = str_of(value);
        } else if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--config-dir"))) {
            s->config_dir = str_of(value);
            if (value[0] != '/' || !shell_quotable(s->config_dir))
                status = ctl_usage(&ctl_postfix_snippet, "--config-dir needs an absolute path of printable ASCII");
        } else if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--hostname"))) {
            s->hostname = str_of(value);
            if (!is_hostname(s->hostname))
                status = ctl_usage(&ctl_postfix_snippet, "--hostname needs the name of a host");
        } else if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--networks"))) {
            status = networks(s, str_of(value));
        } else if ((value = ctl_option(ctl, &ctl_postfix_snippet, &i, "--settings"))) {
            *settings = value;
        } else if (str_is(str_of(ctl->argv[i]), STR("--apply"))) {
            s->apply = true;
        } else if (str_is(str_of(ctl->argv[i]), STR("--revert"))) {
            s->revert = true;
        } else if (str_is(str_of(ctl->argv[i]), STR("--reload"))) {
            s->reload = true;
        } else {
            status = ctl_usage(&ctl_postfix_snippet, "there is no option \"" STR_FMT "\"",
                               STR_ARG(str_escaped(s->arena, str_of(ctl->argv[i]))));
        }
        if (status)
            return status;
    }
    if (s->apply && s->revert)
        return ctl_usage(&ctl_postfix_snippet, "--apply and --revert are opposites");
    if (s->reload && !s->apply && !s->revert)
        return ctl_usage(&ctl_postfix_snippet, "--reload goes with --apply or --revert");
    if ((s->apply || s->revert) && version->n)
        return ctl_usage(&ctl_postfix_snippet, "--postfix-version prints for another machine: only this one's Postfix "
                         "can be changed");
    if (s->revert && (*settings || s->hostname.n || s->networks.n))
        return ctl_usage(&ctl_postfix_snippet, "--revert puts back what there was, and takes no settings");
    return 0;
}

/* ask - what Postfix is there, or which one we are told to write for. */
static int ask(struct snippet *s, struct str version)
{
    struct postfix_version told;
    struct str why = STR_NONE;
    bool ask_settings = version.n == 0 || s->config_dir.n;

    if (version.n && !postfix_version_parse(version, &told))
        return ctl_usage(&ctl_postfix_snippet, "--postfix-version needs a version such as 3.7 or 3.7.11");
    s->postfix.arena = s->arena;
    if (ask_settings && (!postfix_ask_version(&s->postfix, s->arena, &why) ||
                         !postfix_ask_settings(&s->postfix, s->config_dir, &why))) {
        fprintf(stderr, "sme-milterctl postfix snippet: " STR_FMT "; --postfix-version X.Y prints the lines for "
                "another machine\n", STR_ARG(why));
        return EX_UNAVAILABLE;
    }
    s->asked = ask_settings;
    if (version.n) {
        s->postfix.version = told;
        s->postfix.known = (struct postfix_settings){0}; /* what is known is this machine's, not the other's */
    }
    if (!postfix_is(&s->postfix.version, 2, 11, 0)) {
        fprintf(stderr, "sme-milterctl postfix snippet: Postfix before 2.11 has no postconf -P\n");
        return EX_UNAVAILABLE;
    }
    return 0;
}

static int find_listen(struct snippet *s)
{
    if (!endpoint_of_listen(s->arena, s->config->global.listen, &s->ours) ||
        !shell_quotable(s->listen = endpoint_text(s->arena, &s->ours)) || str_find(s->listen, ' ') < s->listen.n ||
        str_find(s->listen, ',') < s->listen.n) {
        fprintf(stderr, "sme-milterctl postfix snippet: listen = \"" STR_FMT "\" cannot be written in main.cf\n",
                STR_ARG(str_escaped(s->arena, s->config->global.listen)));
        return EX_CONFIG;
    }
    return 0;
}

/* read_settings - and whether this Postfix knows what they name. */
static int read_settings(struct snippet *s, const char *directory)
{
    struct problems problems = {.arena = s->arena};
    const struct postfix_settings *known = &s->postfix.known;
    const char **names = arena_array(s->arena, known->count + 1, sizeof *names);

    if (!directory)
        return 0;
    if (!settings_read(s->arena, directory, &s->settings, &problems)) {
        fprintf(stderr, "sme-milterctl postfix snippet: --settings: there is no main.cf or master.cf in " STR_FMT "\n",
                STR_ARG(str_escaped(s->arena, str_of(directory))));
        return EX_NOINPUT;
    }
    for (size_t i = 0; i < known->count; i++)
        names[i] = str_c(s->arena, known->items[i].name);
    for (size_t i = 0; i < s->settings.count && known->count; i++) {
        const struct setting *p = &s->settings.parameters[i];
        const char *near;

        if (postfix_knows(&s->postfix, str_c(s->arena, p->name)))
            continue;
        near = nearest(p->name, names, known->count);
        problem_error(&problems, p->at, "Postfix " STR_FMT " has no parameter " STR_FMT "%s%s%s",
                      STR_ARG(s->postfix.version.text), STR_ARG(p->name), near ? "; did you mean " : "",
                      near ? near : "", near ? "?" : "");
    }
    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(s->arena, &problems.items[i])));
    return problems.errors ? EX_DATAERR : 0;
}

static int make_and_use(struct snippet *s)
{
    snippet_lines(s);
    snippet_services(s);
    return s->apply ? snippet_apply(s) : print(s);
}

static int run(struct ctl *ctl)
{
    struct snippet s = {.ctl = ctl, .arena = ctl->arena};
    const char *settings = NULL;
    struct str version = STR_NONE;
    struct config *config;
    int status = read_options(&s, &version, &settings);

    if (status || (status = ask(&s, version)))
        return status;
    if (s.revert)
        return snippet_revert(&s);
    config = ctl_config(ctl);
    if (!config)
        return EX_CONFIG;
    s.config = config;
    status = find_listen(&s);
    if (!status)
        status = read_settings(&s, settings);
    if (!status)
        status = make_and_use(&s);
    config_unref(&config);
    return status;
}

const struct ctl_command ctl_postfix_snippet = {
    .words = "postfix snippet",
    .usage = "[--settings DIR] [--apply|--revert [--reload]] [--postfix-version X.Y[.Z]] [--config-dir DIR] "
             "[--hostname NAME] [--networks NET,...]",
    .summary = "Print the postconf commands that wire Postfix to this configuration, or take them and take them back",
    .help = "  --postfix-version X.Y[.Z]  write for this version; without it Postfix is asked\n"
            "  --config-dir DIR           Postfix's configuration directory, if not its own\n"
            "  --hostname NAME            also set myhostname\n"
            "  --networks NET,...         also set mynetworks: this machine and these networks may relay on port 25\n"
            "  --settings DIR             also what main.cf and master.cf in DIR name, as import sme writes them; of\n"
            "                             the ports 25, 465 and 587 only those in that master.cf stay open\n"
            "  --apply                    show what is and what will be, and change Postfix; all is put back when\n"
            "                             postfix check finds fault with it. -n only shows\n"
            "  --revert                   put back what was there before --apply, but for what somebody has changed\n"
            "                             since. -n only shows\n"
            "  --reload                   then have a running Postfix read its files; otherwise that is left to you\n"
            "\nWithout --apply nothing is changed: look at the lines, then run them as root. With --json the same is\n"
            "a list of objects (command, arguments, why). What --apply has found is kept beside main.cf in\n"
            "sme-milter.revert until --revert.\n",
    .run = run,
};
