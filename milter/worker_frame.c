/* worker_frame.c - frames: written, and read without belief. */
#include <string.h>

#include "worker_frame.h"

#define MAGIC 0x4d53776bU

static uint32_t get_u32(const char *p)
{
    uint32_t n;

    memcpy(&n, p, sizeof n);
    return n;
}

size_t frame_size(struct str head, size_t most)
{
    uint32_t type = get_u32(head.p + 4), length = get_u32(head.p + 8);

    if (get_u32(head.p) != MAGIC || type == 0 || type >= FRAME_TYPES || length > most)
        return 0;
    return FRAME_HEAD + (size_t)length;
}

enum frame_read frame_read(struct str heard, size_t most, struct frame *f)
{
    size_t size;

    if (heard.n < FRAME_HEAD)
        return FRAME_PART;
    size = frame_size(heard, most);
    if (size == 0 || heard.n > size)
        return FRAME_BAD;
    if (heard.n < size)
        return FRAME_PART;
    *f = (struct frame){(enum frame_type)get_u32(heard.p + 4), str_slice(heard, FRAME_HEAD, heard.n)};
    return FRAME_WHOLE;
}

void frame_add_u32(struct buf *b, uint32_t n)
{
    buf_add(b, (struct str){(const char *)&n, sizeof n});
}

void frame_add_u64(struct buf *b, uint64_t n)
{
    buf_add(b, (struct str){(const char *)&n, sizeof n});
}

void frame_add_str(struct buf *b, struct str s)
{
    frame_add_u32(b, (uint32_t)s.n);
    buf_add(b, (struct str){s.p ? s.p : "", (uint32_t)s.n});
}

void frame_begin(struct buf *b, enum frame_type type)
{
    frame_add_u32(b, MAGIC);
    frame_add_u32(b, type);
    frame_add_u32(b, 0);
}

struct str frame_end(struct buf *b)
{
    uint32_t length = (uint32_t)(b->len - FRAME_HEAD);

    memcpy(b->data + 8, &length, sizeof length);
    return buf_str(b);
}

bool frame_u32(struct str *rest, uint32_t *n)
{
    if (rest->n < sizeof *n)
        return false;
    *n = get_u32(rest->p);
    *rest = str_slice(*rest, sizeof *n, rest->n);
    return true;
}

bool frame_u64(struct str *rest, uint64_t *n)
{
    if (rest->n < sizeof *n)
        return false;
    memcpy(n, rest->p, sizeof *n);
    *rest = str_slice(*rest, sizeof *n, rest->n);
    return true;
}

bool frame_str(struct str *rest, size_t most, struct str *s)
{
    uint32_t length;

    if (!frame_u32(rest, &length) || length > most || length > rest->n)
        return false;
    *s = str_slice(*rest, 0, length);
    *rest = str_slice(*rest, length, rest->n);
    return true;
}
