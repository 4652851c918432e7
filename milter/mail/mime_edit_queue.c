/* mime_edit_queue.c - from a change of the content to edits of the message in the flow. */
#include "../config.h"
#include "../edits.h"
#include "../message.h"
#include "../spool.h"
#include "mime_edit_inside.h"

bool mime_edit_queue(struct mime_edit *e, struct message *m)
{
    const struct config *config = m->session->config;
    struct edits fields = {0};
    struct edited view;
    size_t count;
    struct str *pieces = mime_edit_body(e, &count), body;
    struct spool *spool;

    if (e->why)
        return false;
    if (!pieces)
        return mime_refuse(e, "two changes overlap");
    spool = spool_new(m->arena, config->limits.memory, str_c(m->arena, config->global.state_dir));
    for (size_t i = 0; i < count; i++)
        if (pieces[i].n && !spool_add(spool, pieces[i]))
            return mime_refuse(e, "the changed message could not be kept");
    if (!spool_view(spool, &body))
        return mime_refuse(e, "the changed message could not be kept");
    mime_edit_fields(e, &fields);
    edits_view(m->arena, &fields, e->headers, body, &view);
    if (!mime_edit_holds(e, &view.headers, body))
        return false;
    edit_replace_body(m->arena, m->edits, body);
    edits_append(m->edits, &fields);
    return true;
}
