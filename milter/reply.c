/* reply.c - a finding's text becomes one safe line that fits, with the reference an administrator can ask about. */
#include <stdio.h>

#include "reply.h"

struct reply *reply_make(struct arena *a, const struct finding *f, enum reply_kind kind, struct str ref)
{
    struct reply *r = arena_zalloc(a, sizeof *r);
    bool temporary = kind == REPLY_TEMP || kind == REPLY_TEMP_DISCONNECT;
    const char *status = f->status ? f->status : "5.7.1";
    struct buf b = buf_in(a);
    struct str tail = arena_printf(a, " (ref " STR_FMT ")", STR_ARG(ref));
    size_t room;

    if (kind == REPLY_DISCONNECT)
        r->code = 521;
    else if (kind == REPLY_TEMP_DISCONNECT)
        r->code = 421;
    else if (temporary)
        r->code = f->code == 552 ? 452 : 451;
    else
        r->code = f->code ? f->code : 550;
    snprintf(r->status, sizeof r->status, "%c%s", temporary ? '4' : '5', status + 1);
    buf_add_escaped(&b, f->text, "");
    /* "550 5.7.1 " before it, CRLF after it. An escape may be cut in two; it stays printable. */
    room = REPLY_LINE_MAX - 2 - 4 - str_of(r->status).n - 1 - tail.n;
    r->text = arena_printf(a, STR_FMT STR_FMT, STR_ARG(str_slice(buf_str(&b), 0, room)), STR_ARG(tail));
    return r;
}

struct str reply_line(struct arena *a, const struct reply *r)
{
    return arena_printf(a, "%d %s " STR_FMT, r->code, r->status, STR_ARG(r->text));
}
