/* doctor_edits.c - what else in Postfix changes a message: before we verify its signatures, or after we made one.
 *
 * header_checks and its kin on the cleanup service act before a milter sees the message (it is shown the queue file);
 * those of the smtp client act on the way out, after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "doctor.h"

enum { TABLE_MOST = 1 << 20 };

static const char before_us[] = "changes messages before the filter sees them: signatures that were good may fail here";
static const char after_us[] = "changes messages after the filter: a signature made here may break";
static const char on_ours[] = "changes the fields that the filter adds, as Authentication-Results";

struct rule {
    unsigned line;     /* of the first; 0: none found */
    unsigned count;
    struct str action; /* its first word */
};

/* is_edit - does the action change the message? Those that only judge it do not matter here. */
static bool is_edit(struct str action)
{
    static const char *const edits[] = {"REPLACE", "PREPEND", "IGNORE", "STRIP"};

    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
        if (str_is_nocase(action, str_of(edits[i])))
            return true;
    return false;
}

/* is_unsigned - a rule for nothing but trace fields, which no signer may sign (RFC 6376, 5.4.1). */
static bool is_unsigned(struct str pattern)
{
    return str_starts_nocase(pattern, STR("^Received:")) || str_starts_nocase(pattern, STR("^Return-Path:"));
}

/* read_rule - "/pattern/flags ACTION text" with any delimiter, maybe negated; if and endif are no rules. */
static void read_rule(struct str text, unsigned line, struct rule *found)
{
    struct str action;
    size_t end = 1;
    char delimiter;

    text = str_trim(text);
    if (text.n && text.p[0] == '!')
        text = str_trim(str_slice(text, 1, text.n));
    if (text.n < 2)
        return;
    delimiter = text.p[0];
    if ((delimiter >= 'a' && delimiter <= 'z') || (delimiter >= 'A' && delimiter <= 'Z'))
        return;
    while (end < text.n && text.p[end] != delimiter)
        end += text.p[end] == '\\' ? 2 : 1;
    if (is_unsigned(str_slice(text, 1, end)))
        return;
    text = str_slice(text, end + 1, text.n);
    while (text.n && text.p[0] != ' ' && text.p[0] != '\t') /* flags */
        text = str_slice(text, 1, text.n);
    if (!str_token(&text, &action) || !is_edit(action))
        return;
    if (found->count++ == 0) {
        found->line = line;
        found->action = action;
    }
}

/* read_rules - the logical lines of a regexp or pcre file: one that begins with a blank goes on with the last. */
static struct rule read_rules(struct arena *a, struct str text)
{
    struct rule found = {0};
    struct buf logical = buf_in(a);
    struct str line;
    unsigned number = 0, began = 0;

    while (str_split(&text, '\n', &line)) {
        number++;
        if (str_trim(line).n == 0 || str_trim(line).p[0] == '#')
            continue;
        if (line.p[0] != ' ' && line.p[0] != '\t') {
            read_rule(buf_str(&logical), began, &found);
            logical.len = 0;
            began = number;
        }
        buf_add(&logical, line);
        buf_addc(&logical, ' ');
    }
    read_rule(buf_str(&logical), began, &found);
    return found;
}

/* read_inline - regexp:{{/pattern/ ACTION}, {...}}. */
static struct rule read_inline(struct str text)
{
    struct rule found = {0};
    struct str item;

    text = str_slice(text, 1, text.n - 1);
    while (postfix_item(&text, &item))
        if (item.n >= 2 && item.p[0] == '{')
            read_rule(str_slice(item, 1, item.n - 1), 1, &found);
    return found;
}

/* read_table - a whole file, or *why it could not be. Postfix opens it as root; we may be somebody else. */
static bool read_table(struct arena *a, struct str path, struct str *text, const char **why)
{
    struct buf b = buf_in(a);
    char chunk[16384];
    ssize_t n = -1;
    int fd = open(str_c(a, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    while (fd >= 0 && b.len < TABLE_MOST && (n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(&b, (struct str){chunk, (size_t)n});
    *why = fd < 0 || n < 0 ? strerror(errno) : "it is too large";
    if (fd >= 0)
        close(fd);
    *text = buf_str(&b);
    return fd >= 0 && n == 0;
}

/* check_table - one "type:name" of a list of lookup tables. */
static void check_table(struct doctor *d, const struct postfix_service *s, const char *parameter, struct str table,
                        const char *consequence)
{
    size_t colon = str_find(table, ':');
    struct str type = str_slice(table, 0, colon), name = str_slice(table, colon + 1, table.n), text;
    struct rule found;
    const char *why;

    if (!str_is(type, STR("regexp")) && !str_is(type, STR("pcre"))) {
        doctor_says(d, DOCTOR_NOTE, "edits", s, STR_NONE, "%s: " STR_FMT " was not looked into", parameter,
                    STR_ARG(table));
        return;
    }
    if (name.n >= 2 && name.p[0] == '{') {
        found = read_inline(name);
    } else if (read_table(d->arena, name, &text, &why)) {
        found = read_rules(d->arena, text);
    } else {
        doctor_says(d, DOCTOR_NOTE, "edits", s, STR_NONE, "%s: " STR_FMT " cannot be read: %s", parameter,
                    STR_ARG(name), why);
        return;
    }
    if (found.count)
        doctor_says(d, DOCTOR_WARNING, "edits", s,
                    arena_printf(d->arena, "take the rule%s with REPLACE, PREPEND, IGNORE or STRIP out of " STR_FMT,
                                 found.count == 1 ? "" : "s", STR_ARG(str_escaped(d->arena, table))),
                    "%s, " STR_FMT " line %u (" STR_FMT "%s) %s", parameter, STR_ARG(table), found.line,
                    STR_ARG(found.action), found.count > 1 ? ", and more below" : "", consequence);
}

static void check_tables(struct doctor *d, const struct postfix_service *s, const char *parameter,
                         const char *consequence)
{
    struct str list = postfix_value(&d->postfix, s, parameter), table;

    while (postfix_item(&list, &table))
        check_table(d, postfix_overrides(s, parameter) ? s : NULL, parameter, table, consequence);
}

/* check_inherited - mime_ and nested_header_checks take over header_checks unless they are set: say that once. */
static void check_inherited(struct doctor *d, const struct postfix_service *s, const char *parameter)
{
    if (!str_is(postfix_value(&d->postfix, s, parameter), postfix_value(&d->postfix, s, "header_checks")))
        check_tables(d, s, parameter, before_us);
}

static void check_smtp_client(struct doctor *d, const struct postfix_service *s)
{
    static const char *const parameters[] = {"smtp_header_checks", "smtp_mime_header_checks",
                                             "smtp_nested_header_checks", "smtp_body_checks"};
    struct str value = postfix_value(&d->postfix, s, "smtp_generic_maps");

    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        check_tables(d, s, parameters[i], after_us);
    if (value.n)
        doctor_says(d, DOCTOR_WARNING, "edits", postfix_overrides(s, "smtp_generic_maps") ? s : NULL,
                    remedy_set(d, s, "smtp_generic_maps", STR_NONE),
                    "smtp_generic_maps is " STR_FMT ": it rewrites From and To after the filter, which breaks the "
                    "signature made here",
                    STR_ARG(value));
}

static void check_parameters(struct doctor *d)
{
    struct str value = postfix_value(&d->postfix, NULL, "always_add_missing_headers");

    if (postfix_is_yes(value))
        doctor_says(d, DOCTOR_WARNING, "edits", NULL, remedy_set(d, NULL, "always_add_missing_headers", STR("no")),
                    "always_add_missing_headers is yes: Postfix adds From, Date and Message-ID before the filter "
                    "looks, so that the policy headers never misses them");
    value = postfix_value(&d->postfix, NULL, "remote_header_rewrite_domain");
    if (value.n)
        doctor_says(d, DOCTOR_WARNING, "edits", NULL, remedy_set(d, NULL, "remote_header_rewrite_domain", STR_NONE),
                    "remote_header_rewrite_domain is " STR_FMT ": it %s", STR_ARG(value), before_us);
}

/* check_dropped - the fields Postfix has always dropped are in nobody's signature; others may be. */
static void check_dropped(struct doctor *d)
{
    static const char *const usual[] = {"bcc", "content-length", "resent-bcc", "return-path"};
    struct str list = postfix_value(&d->postfix, NULL, "message_drop_headers"), field;
    struct str good = STR("bcc, content-length, resent-bcc, return-path");
    struct str remedy = remedy_set(d, NULL, "message_drop_headers", good);

    while (postfix_item(&list, &field)) {
        bool is_usual = false;

        for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
            is_usual = is_usual || str_is_nocase(field, str_of(usual[i]));
        if (!is_usual)
            doctor_says(d, DOCTOR_WARNING, "edits", NULL, remedy, "message_drop_headers has " STR_FMT ": it %s",
                        STR_ARG(field), before_us);
    }
}

void doctor_edits(struct doctor *d)
{
    const struct postfix_service *cleanup = NULL;
    size_t before = d->findings;

    for (size_t i = 0; i < d->postfix.service_count; i++) {
        const struct postfix_service *s = &d->postfix.services[i];

        if (str_is(s->id, STR("cleanup/unix")))
            cleanup = s;
        if (str_is(s->command, STR("smtp")))
            check_smtp_client(d, s);
    }
    check_tables(d, cleanup, "header_checks", before_us);
    check_inherited(d, cleanup, "mime_header_checks");
    check_inherited(d, cleanup, "nested_header_checks");
    check_tables(d, cleanup, "body_checks", before_us);
    check_tables(d, cleanup, "milter_header_checks", on_ours);
    check_parameters(d);
    check_dropped(d);
    doctor_sound(d, before, "edits", NULL, "nothing else in Postfix is seen to change messages");
}
