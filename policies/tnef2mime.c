/* tnef2mime - what Outlook packs into a winmail.dat, as the parts that every other mail program reads.
 *
 * The winmail.dat is opened in a process of its own (worker.h), never here. Whatever goes wrong, the message stays as
 * it came, and a header field tells why. A DKIM signature of the sender does not hold it back: it was verified before,
 * and every message that Exchange sends has one.
 */
#include "mail/mime_edit.h"
#include "mail/mime_tnef.h"
#include "mail/winmail.h"
#include "policy.h"

#define TOLD_FIELD STR("X-TNEF2MIME")
#define TNEFS_MOST 10 /* in one message */
#define WAIT_MS 30000

struct tnef2mime_options {
    uint64_t max_size;
};

static const struct option tnef2mime_rows[] = {
    OPT_SIZE(struct tnef2mime_options, max_size, "25M", 1, 1e9, "a larger winmail.dat stays as it is"),
    OPTION_END,
};

static bool is_there(const struct mime *m)
{
    for (const struct mime_part *p = m->first; p; p = p->next)
        if (mime_is_tnef(p))
            return true;
    return false;
}

/* look_inside - NULL, or what is in the way. What was opened for another policy is not opened again. */
static const char *look_inside(struct context *c, const struct mime_part *part, struct tnef_content *content)
{
    uint64_t most = OPTIONS(struct tnef2mime_options, c)->max_size;
    const struct winmail *known = winmail_of(message_winmails(c->message), part);
    struct str winmail, other, why = STR_NONE;

    if (known && known->size <= most && (known->odd || known->why.n))
        return known->odd ? "it can be decoded in several ways" : str_c(c->arena, known->why);
    if (known && known->size <= most) {
        *content = known->content;
        return NULL;
    }
    if (!mime_decode(c->arena, part, most + 1, 0, &winmail) || mime_decode(c->arena, part, most + 1, 1, &other))
        return "it can be decoded in several ways";
    if (winmail.n > most)
        return "it is larger than max_size";
    if (!str_starts(winmail, WINMAIL_SIGNATURE))
        return str_is(part->type, STR("application/octet-stream")) ? "" : "it is no TNEF";
    if (!worker_tnef(c->arena, winmail, clock_ms() + WAIT_MS, content, &why))
        return str_c(c->arena, str_escaped(c->arena, why));
    return NULL;
}

/* convert - one of them. NULL, or what is in the way; *parts is how many it became. */
static const char *convert(struct context *c, struct mime_edit *edit, const struct mime_part *part, bool has_text,
                           size_t *parts)
{
    struct tnef_content content = {0};
    const char *why = look_inside(c, part, &content);
    struct mime_new *list;
    size_t count;
    bool keep;

    if (why)
        return why;
    list = mime_from_tnef(c->arena, &content, has_text, &count, &keep);
    if (count == 0)
        return "there is nothing in it";
    if (!mime_edit_replace(edit, part, list, count, keep))
        return edit->why;
    *parts += count;
    return NULL;
}

/* leave - the message as it is. */
static struct finding leave(struct context *c, const char *why)
{
    struct str told = arena_printf(c->arena, "not converted (%s)", why);

    fact_set(c, FACT_TNEF, told);
    edit_add_header(c->arena, c->message->edits, TOLD_FIELD, told);
    return NO_OPINION;
}

static struct finding tnef2mime_message(struct context *c)
{
    struct message *m = c->message;
    const struct mime *mime = message_mime(m);
    size_t done = 0, seen = 0, parts = 0;
    struct mime_edit edit;
    struct edited view;
    struct str body;
    bool has_text;

    if (!mime || !is_there(mime) || !spool_view(m->spool, &body))
        return NO_OPINION;
    edits_view(c->arena, m->edits, &m->headers, body, &view);
    mime_edit_new(&edit, c->arena, &view.headers, view.body);
    if (edit.why)
        return leave(c, edit.why);
    has_text = mime_has_text(c->arena, edit.mime);
    for (const struct mime_part *p = edit.mime->first; p; p = p->next) {
        const char *why;

        if (!mime_is_tnef(p))
            continue;
        why = ++seen > TNEFS_MOST ? "there are too many" : convert(c, &edit, p, has_text, &parts);
        if (why && *why)
            return leave(c, why);
        done += !why;
        has_text = true;
    }
    if (!done) /* files that only have that name */
        return NO_OPINION;
    if (!mime_edit_queue(&edit, m))
        return leave(c, edit.why);
    for (size_t i = header_count(&view.headers, STR("X-MS-TNEF-Correlator")); i > 0; i--)
        edit_delete_header(c->arena, m->edits, STR("X-MS-TNEF-Correlator"), (int)i);
    fact_set(c, FACT_TNEF, arena_printf(c->arena, "converted into %zu parts", parts));
    return NO_OPINION;
}

const struct policy policy_tnef2mime = {
    .name = "tnef2mime",
    .summary = "turn winmail.dat into ordinary attachments",
    .options = tnef2mime_rows,
    .options_size = sizeof(struct tnef2mime_options),
    .at = {[AT_MESSAGE] = tnef2mime_message},
    .wants_body = true,
    .edits = true,
    .silent = true,
};
