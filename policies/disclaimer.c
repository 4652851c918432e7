/* disclaimer - a text of the sender's domain at the end of what our own people send.
 *
 * All texts are read when the configuration is, and a domain's is found among the names that were in the directory
 * then: no file name is ever made of what a message says. A message that is signed or encrypted, of which any reader
 * might see another structure, or that carries a DKIM signature already, goes out as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "mail/mime_edit.h"
#include "mail/utf8.h"
#include "policy.h"

#define FILE_MOST (64 * 1024)
#define DOMAINS_MOST 10000

enum when { OUTGOING, EXTERNAL, ALL };

static const char *const when_words[] = {"outgoing", "external", "all", NULL};

struct disclaimer {
    struct str domain; /* lower-case, A-labels; empty: everybody else's */
    struct mime_footer footer;
};

struct disclaimer_options {
    struct str dir;
    int when; /* enum when */
    struct disclaimer *texts;
    size_t count;
};

static const struct option disclaimer_rows[] = {
    OPT_STRING(struct disclaimer_options, dir, "/etc/sme-milter/disclaimer",
               "directory of disclaimer_DOMAIN.txt and disclaimer.txt in UTF-8, beside each an .html if wanted"),
    OPT_WORD(struct disclaimer_options, when, "outgoing", when_words,
             "outgoing: from local or authenticated clients; external: those with a recipient elsewhere; all"),
    OPTION_END,
};

/* ---- loading ---- */

struct loading {
    struct arena *a;
    struct str dir;
    struct place at;
    struct problems *problems;
};

/* read_file - false when it is not there, or cannot be used, which is named. */
static bool read_file(struct loading *l, struct str name, struct str *text)
{
    const char *path = arena_printf(l->a, STR_FMT "/" STR_FMT, STR_ARG(l->dir), STR_ARG(name)).p, *wrong = NULL;
    char *data = arena_alloc(l->a, FILE_MOST + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n = 0;
    ssize_t got = 1;
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return false;
    if (fd < 0 || fstat(fd, &st) != 0)
        wrong = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        wrong = "it is no file";
    while (!wrong && n <= FILE_MOST && (got = read(fd, data + n, FILE_MOST + 1 - n)) > 0)
        n += (size_t)got;
    if (!wrong && got < 0)
        wrong = strerror(errno);
    if (fd >= 0)
        close(fd);
    *text = (struct str){data, n};
    if (!wrong && n > FILE_MOST)
        wrong = "it is larger than 64 KiB";
    if (!wrong && (!utf8_is_valid(*text) || memchr(data, '\0', n)))
        wrong = "it is not UTF-8";
    if (!wrong && str_trim(*text).n == 0)
        wrong = "it is empty";
    if (wrong)
        problem_warning(l->problems, l->at, "disclaimer: %s: %s; it is not used", path, wrong);
    return !wrong;
}

/* tidy - lines that end in LF, no byte order mark, no empty lines around them. */
static struct str tidy(struct arena *a, struct str text)
{
    struct buf b = buf_in(a);
    struct str line;

    text = str_starts(text, STR("\xef\xbb\xbf")) ? str_slice(text, 3, text.n) : text;
    while (text.n && (text.p[0] == '\n' || text.p[0] == '\r'))
        text = str_slice(text, 1, text.n);
    while (str_split(&text, '\n', &line)) {
        for (size_t i = 0; i < line.n; i++)
            if (line.p[i] != '\r')
                buf_addc(&b, line.p[i]);
        buf_addc(&b, '\n');
    }
    while (b.len > 1 && (b.data[b.len - 2] == '\n' || b.data[b.len - 2] == ' '))
        b.len--;
    if (b.len)
        b.data[b.len - 1] = '\n';
    return buf_str(&b);
}

static void add_text(struct loading *l, struct disclaimer_options *o, struct str stem, struct str domain)
{
    struct disclaimer one = {.domain = domain};
    struct str text, html;

    if (!read_file(l, arena_printf(l->a, STR_FMT ".txt", STR_ARG(stem)), &text))
        return;
    one.footer.text = tidy(l->a, text);
    if (read_file(l, arena_printf(l->a, STR_FMT ".html", STR_ARG(stem)), &html))
        one.footer.html = mime_footer_ascii(l->a, tidy(l->a, html));
    if (str_trim(one.footer.html).n == 0)
        one.footer.html = mime_footer_html(l->a, one.footer.text);
    o->texts = arena_grow(l->a, o->texts, o->count, sizeof *o->texts);
    o->texts[o->count++] = one;
}

/* add_name - a file of the directory, if it is one of ours. */
static void add_name(struct loading *l, struct disclaimer_options *o, struct str name)
{
    struct str stem = str_slice(name, 0, name.n - 4), domain;

    if (str_is(name, STR("disclaimer.txt"))) {
        add_text(l, o, stem, STR_NONE);
    } else if (str_starts(name, STR("disclaimer_")) && str_ends_nocase(name, STR(".txt"))) {
        struct str written = str_slice(stem, 11, stem.n);

        if (o->count >= DOMAINS_MOST)
            problem_warning(l->problems, l->at, "disclaimer: " STR_FMT " has too many files", STR_ARG(l->dir));
        else if (!domain_to_ascii(l->a, written, &domain) || !domain_is_hostname(domain, false))
            problem_warning(l->problems, l->at, "disclaimer: " STR_FMT "/" STR_FMT " is not named after a domain",
                            STR_ARG(l->dir), STR_ARG(name));
        else
            add_text(l, o, stem, domain);
    } else if (str_starts(name, STR("disclaimer")) && str_ends_nocase(name, STR(".html"))) {
        struct str beside = arena_printf(l->a, STR_FMT "/" STR_FMT ".txt", STR_ARG(l->dir),
                                         STR_ARG(str_slice(name, 0, name.n - 5)));

        if (access(beside.p, F_OK) != 0)
            problem_warning(l->problems, l->at,
                            "disclaimer: " STR_FMT "/" STR_FMT " is not used without a .txt beside it",
                            STR_ARG(l->dir), STR_ARG(name));
    }
}

static void disclaimer_prepare(struct arena *a, void *options, struct place at, struct problems *problems)
{
    struct disclaimer_options *o = options;
    struct loading l = {.a = a, .dir = o->dir, .at = at, .problems = problems};
    DIR *dir = opendir(str_c(a, o->dir));
    const struct dirent *entry;

    o->texts = NULL;
    o->count = 0;
    if (!dir) {
        problem_warning(problems, at, "disclaimer: " STR_FMT ": %s; nothing is added", STR_ARG(o->dir),
                        strerror(errno));
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && strlen(entry->d_name) > 5)
            add_name(&l, o, str_dup(a, str_of(entry->d_name)));
    closedir(dir);
    if (o->count == 0)
        problem_warning(problems, at, "disclaimer: " STR_FMT " holds no disclaimer.txt; nothing is added",
                        STR_ARG(o->dir));
}

/* ---- messages ---- */

/* author_domain - of the first address in From, else of the envelope's sender. */
static struct str author_domain(struct context *c)
{
    const struct header *from = header_find(&c->message->headers, STR("From"), 0);
    struct mailbox_list list = {0};
    struct str domain;

    if (from)
        list = mailboxes_parse(c->arena, from->value);
    if (list.count && domain_to_ascii(c->arena, list.domains[0], &domain) && domain.n)
        return domain;
    if (!domain_to_ascii(c->arena, c->message->sender.domain, &domain))
        return STR_NONE;
    return domain;
}

static const struct mime_footer *footer_of(const struct disclaimer_options *o, struct str domain)
{
    const struct mime_footer *others = NULL;

    for (size_t i = 0; i < o->count; i++) {
        if (o->texts[i].domain.n == 0)
            others = &o->texts[i].footer;
        else if (str_is(o->texts[i].domain, domain))
            return &o->texts[i].footer;
    }
    return others;
}

static bool is_wanted(struct context *c, const struct disclaimer_options *o)
{
    if (o->when == ALL)
        return true;
    if (!c->session->is_local && c->session->auth.n == 0)
        return false;
    for (const struct recipient *r = c->message->rcpt; r; r = r->next)
        if (!r->refused_by && (o->when == OUTGOING || (r->address.domain.n && !is_local_domain(c, r->address.domain))))
            return true;
    return false;
}

static struct finding disclaimer_message(struct context *c)
{
    const struct disclaimer_options *o = OPTIONS(struct disclaimer_options, c);
    struct message *m = c->message;
    const struct mime_footer *footer;
    struct mime_edit edit;
    struct edited view;
    struct str body;

    if (!is_wanted(c, o) || !m->spool || !spool_view(m->spool, &body))
        return NO_OPINION;
    footer = footer_of(o, author_domain(c));
    if (!footer)
        return NO_OPINION;
    /* whoever signed it will not sign it again */
    if (header_find(&m->headers, DKIM_FIELD, 0) || header_find(&m->headers, STR("ARC-Seal"), 0)) {
        fact_set(c, FACT_DISCLAIMER, STR("left out: it has a DKIM signature"));
        return NO_OPINION;
    }
    edits_view(c->arena, m->edits, &m->headers, body, &view);
    mime_edit_new(&edit, c->arena, &view.headers, view.body);
    if (mime_edit_footer(&edit, footer) && mime_edit_queue(&edit, m))
        fact_set(c, FACT_DISCLAIMER, STR("added"));
    else if (edit.why)
        fact_set(c, FACT_DISCLAIMER, arena_printf(c->arena, "left out: %s", edit.why));
    else
        fact_set(c, FACT_DISCLAIMER, STR("there already"));
    return NO_OPINION;
}

const struct policy policy_disclaimer = {
    .name = "disclaimer",
    .summary = "append a text of the sender's domain to what local and authenticated clients send",
    .options = disclaimer_rows,
    .options_size = sizeof(struct disclaimer_options),
    .presets = {.enabled = "no"},
    .at = {[AT_MESSAGE] = disclaimer_message},
    .prepare = disclaimer_prepare,
    .wants_body = true,
    .edits = true,
    .silent = true,
};
