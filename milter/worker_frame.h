/* worker_frame.h - what the serving process, a worker's server and its jobs say to each other.
 *
 * A frame is 12 bytes (magic, type, length of the payload; the machine's own byte order, for nobody else reads it) and
 * the payload: numbers of 4 and 8 bytes, and strings with their length before them. Nobody's length is believed.
 */
#ifndef WORKER_FRAME_H
#define WORKER_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define FRAME_HEAD 12
#define FRAME_CONTROL_MOST 2048                    /* of a whole frame between the daemon and a server */
#define FRAME_SCAN_MOST 1024                       /* payload of a job's answer */
#define FRAME_TNEF_MOST (128U * 1024 * 1024)

enum frame_type {
    FRAME_READY = 1, /* server: version of the signatures, their number, what the administrator should know or "" */
    FRAME_FAILED,    /* server, job: why */
    FRAME_JOB,       /* to the server: bytes of the message, ms until the deadline; two descriptors go with it */
    FRAME_ANSWER,    /* job: as its kind does */
    FRAME_PING,      /* to the server: does it still look after its jobs? */
    FRAME_PONG,      /* server: it does */
    FRAME_TYPES,
};

struct frame {
    enum frame_type type;
    struct str payload;
};

enum frame_read { FRAME_PART, FRAME_WHOLE, FRAME_BAD };

/* frame_read - of everything heard so far; more than one frame, or a longer payload than `most`, is bad. */
enum frame_read frame_read(struct str heard, size_t most, struct frame *f);

/* frame_size - of the whole frame whose first FRAME_HEAD bytes these are; 0: it is bad. */
size_t frame_size(struct str head, size_t most);

/* frame_begin - in an empty buffer; then add; frame_end() puts the length in and gives the whole. */
void frame_begin(struct buf *b, enum frame_type type);
void frame_add_u32(struct buf *b, uint32_t n);
void frame_add_u64(struct buf *b, uint64_t n);
void frame_add_str(struct buf *b, struct str s);
struct str frame_end(struct buf *b);

/* Reading takes from the front of *rest; false: it is not there, or longer than `most`. */
bool frame_u32(struct str *rest, uint32_t *n);
bool frame_u64(struct str *rest, uint64_t *n);
bool frame_str(struct str *rest, size_t most, struct str *s);

/* What a scan says: frame_u32, then a text. */
enum frame_scan { SCAN_CLEAN, SCAN_VIRUS, SCAN_LIMITS, SCAN_ERROR, SCAN_SAYS };

#include "base/banned.h"
#endif
