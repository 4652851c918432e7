/* describe.c - the option tables, read aloud. */
#include "describe.h"

#define COMMON_COUNT 5

const struct option *describe_common(struct arena *a, const struct policy *p)
{
    const char *presets[COMMON_COUNT] = {p->presets.enabled, p->presets.reject, p->presets.reply, p->presets.karma,
                                         p->presets.skip};
    struct option *rows = arena_array(a, COMMON_COUNT + 1, sizeof *rows);

    for (size_t i = 0; i < COMMON_COUNT; i++) {
        rows[i] = common_options[i];
        if (presets[i])
            rows[i].preset = presets[i];
    }
    return rows;
}

/* preset_text - a default as it could be written in the file. */
static struct str preset_text(struct arena *a, const struct option *o)
{
    static const struct option end = OPTION_END;
    struct option rows[2] = {*o, end};
    char *field = arena_zalloc(a, 256 + sizeof(void *));

    rows[0].offset = 0;
    option_presets(a, rows, field);
    return option_text(a, &rows[0], field);
}

/* range_text - " (1 to 65535)", or nothing where there is no limit. */
static struct str range_text(struct arena *a, const struct option *o)
{
    struct buf b = buf_in(a);

    if (o->words) {
        buf_add(&b, STR(": "));
        for (size_t i = 0; o->words[i]; i++)
            buf_addf(&b, "%s%s", i ? ", " : "", o->words[i]);
    } else if ((o->type == OPTION_INT || o->type == OPTION_NUMBER || o->type == OPTION_NUMBERS) &&
               (o->min != 0 || o->max != 0)) {
        buf_addf(&b, ", %.15g to %.15g", o->min, o->max);
    }
    return buf_str(&b);
}

static void sample_row(struct arena *a, struct buf *b, const struct option *o, const char *indent)
{
    struct str range = range_text(a, o), preset = preset_text(a, o);

    buf_addf(b, "%s# %s (%s" STR_FMT ").\n", indent, o->doc, option_type_name(o), STR_ARG(range));
    if (option_takes_file(o))
        buf_addf(b, "%s# %s_file = \"...\" adds the entries of a file, one a line.\n", indent, o->name);
    buf_addf(b, "%s# %s = " STR_FMT "\n", indent, o->name, STR_ARG(preset));
}

static void sample_rows(struct arena *a, struct buf *b, const struct option *rows, const char *indent)
{
    for (const struct option *o = rows; o && o->name; o++)
        sample_row(a, b, o, indent);
}

struct str describe_sample(struct arena *a)
{
    struct buf b = buf_in(a);
    struct str builtin = str_of(config_builtin), line;

    buf_add(&b, STR("# sme-milter.conf - every option with its default. Take the # away to change one.\n"
                    "# See sme-milter.conf(5); `sme-milter -t` checks this file.\n\n"));
    for (const struct section *s = config_sections; s->name; s++) {
        if (str_is(str_of(s->name), STR("profile")))
            continue;
        buf_addf(&b, "# --- %s ---\n", s->doc);
        if (*s->name)
            buf_addf(&b, "%s {\n", s->name);
        sample_rows(a, &b, s->options, *s->name ? "    " : "");
        buf_add(&b, *s->name ? STR("}\n\n") : STR("\n"));
    }
    buf_add(&b, STR("# --- policies: what is set here holds in every profile ---\n"));
    for (size_t i = 0; i < policy_table_count; i++) {
        const struct policy *p = policy_table[i];

        buf_addf(&b, "# %s.\n%s {\n", p->summary, p->name);
        sample_rows(a, &b, p->options, "    ");
        sample_rows(a, &b, describe_common(a, p), "    ");
        buf_add(&b, STR("}\n\n"));
    }
    buf_add(&b, STR("# --- profiles: which policies apply to which connections; the first whose conditions hold is used."
                    " ---\n# With no profile section in the file these are the ones. A section with one of these names"
                    " inherits what it does\n# not set; any other may set:\n"));
    for (const struct section *s = config_sections; s->name; s++)
        if (str_is(str_of(s->name), STR("profile")))
            sample_rows(a, &b, s->options, "#   ");
    while (str_split(&builtin, '\n', &line))
        buf_addf(&b, str_starts(line, STR("#")) ? STR_FMT "\n" : "# " STR_FMT "\n", STR_ARG(line));
    return buf_str(&b);
}

static void stages_text(struct buf *b, const struct policy *p)
{
    bool first = true;

    for (unsigned stage = 0; stage < STAGES; stage++)
        if (p->at[stage] || p->ask[stage]) {
            buf_addf(b, "%s%s", first ? "" : ", ", stage_names[stage]);
            first = false;
        }
}

static void policy_rows_text(struct arena *a, struct buf *b, const struct option *rows)
{
    for (const struct option *o = rows; o && o->name; o++) {
        struct str preset = preset_text(a, o), range = range_text(a, o);

        buf_addf(b, "  %s = " STR_FMT "\n      %s (%s" STR_FMT "%s)\n", o->name, STR_ARG(preset), o->doc,
                 option_type_name(o), STR_ARG(range), option_takes_file(o) ? "; also as _file" : "");
    }
}

struct str describe_policy(struct arena *a, const struct policy *p)
{
    struct buf b = buf_in(a);

    buf_addf(&b, "%s - %s\nlooks at: ", p->name, p->summary);
    stages_text(&b, p);
    if (p->needs) {
        buf_add(&b, STR("\nneeds before it: "));
        for (const char *const *need = p->needs; *need; need++)
            buf_addf(&b, "%s%s", need == p->needs ? "" : ", ", *need);
    }
    buf_add(&b, p->options ? STR("\noptions:\n") : STR("\n"));
    policy_rows_text(a, &b, p->options);
    buf_add(&b, STR("options that every policy has, with the defaults of this one:\n"));
    policy_rows_text(a, &b, describe_common(a, p));
    return buf_str(&b);
}

struct str describe_flow(struct arena *a)
{
    struct buf b = buf_in(a);

    buf_addf(&b, "%-24s", "");
    for (unsigned stage = 0; stage < STAGES; stage++)
        buf_addf(&b, stage + 1 < STAGES ? "%-9s" : "%s\n", stage_names[stage]);
    for (size_t i = 0; i < policy_table_count; i++) {
        const struct policy *p = policy_table[i];

        buf_addf(&b, "%-24s", p->name);
        for (unsigned stage = 0; stage < STAGES; stage++)
            buf_addf(&b, "%-9s", p->at[stage] ? "finds" : p->ask[stage] ? "asks" : ".");
        while (b.len && b.data[b.len - 1] == ' ')
            b.data[--b.len] = '\0';
        buf_addc(&b, '\n');
    }
    return buf_str(&b);
}

/* man_text - for roff: a backslash and a leading dot or quote mean something there. */
static void man_text(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            buf_add(b, STR("\\e"));
        else if (s.p[i] == '-')
            buf_add(b, STR("\\-"));
        else if (i == 0 && (s.p[i] == '.' || s.p[i] == '\''))
            buf_addf(b, "\\&%c", s.p[i]);
        else
            buf_addc(b, s.p[i]);
    }
}

static void man_rows(struct arena *a, struct buf *b, const struct option *rows)
{
    for (const struct option *o = rows; o && o->name; o++) {
        struct str range = range_text(a, o);

        buf_add(b, STR(".TP\n"));
        buf_addf(b, "\\fB%s\\fR = ", o->name);
        man_text(b, preset_text(a, o));
        buf_addc(b, '\n');
        man_text(b, str_of(o->doc));
        buf_addf(b, " (%s", option_type_name(o));
        man_text(b, range);
        buf_add(b, STR(").\n"));
        if (option_takes_file(o))
            buf_addf(b, "Also \\fB%s_file\\fR.\n", o->name);
    }
}

struct str describe_man(struct arena *a)
{
    struct buf b = buf_in(a);

    for (const struct section *s = config_sections; s->name; s++) {
        buf_addf(&b, ".SS \"%s%s%s\"\n", *s->name ? "Section " : "", s->name, *s->name ? "" : "Top level");
        man_text(&b, arena_printf(a, "%s.\n", s->doc));
        man_rows(a, &b, s->options);
    }
    buf_add(&b, STR(".SS \"Options that every policy has\"\nThe defaults are those of a policy that does not say "
                    "otherwise.\n"));
    man_rows(a, &b, common_options);
    for (size_t i = 0; i < policy_table_count; i++) {
        const struct policy *p = policy_table[i];
        const struct option *common = describe_common(a, p);

        buf_addf(&b, ".SS \"Policy %s\"\n", p->name);
        man_text(&b, arena_printf(a, "%s.\nLooks at: ", p->summary));
        stages_text(&b, p);
        buf_add(&b, STR(".\nCommon options:"));
        for (const struct option *o = common; o->name; o++) {
            buf_addf(&b, "%s %s = ", o == common ? "" : ",", o->name);
            man_text(&b, preset_text(a, o));
        }
        buf_add(&b, STR(".\n"));
        man_rows(a, &b, p->options);
    }
    return buf_str(&b);
}
