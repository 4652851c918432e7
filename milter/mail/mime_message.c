/* mime_message.c - the reading of a message in the flow. */
#include "../message.h"
#include "../spool.h"
#include "mime.h"

struct mime *message_mime(struct message *m)
{
    struct str body;

    if (m->mime || !m->spool)
        return m->mime;
    if (spool_view(m->spool, &body))
        m->mime = mime_read(m->arena, &m->headers, body);
    return m->mime;
}
