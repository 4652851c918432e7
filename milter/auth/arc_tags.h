/* arc_tags.h - tag lists (RFC 6376, 3.2) of ARC fields and of their key records. */
#ifndef AUTH_ARC_TAGS_H
#define AUTH_ARC_TAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/arena.h"
#include "../base/str.h"

#define ARC_TAGS_MOST 64

struct arc_tag {
    struct str name;
    struct str value; /* trimmed, folding kept: a view into the field */
    struct str whole; /* all between = and ; */
};

struct arc_tags {
    struct arc_tag items[ARC_TAGS_MOST];
    size_t count;
};

/* arc_tags_read - false: malformed, a name twice, or too many. */
bool arc_tags_read(struct str text, struct arc_tags *tags);
bool arc_tag_get(const struct arc_tags *tags, const char *name, struct arc_tag *tag); /* false, and empty: absent */

struct str arc_without_space(struct arena *a, struct str s); /* no blanks, tabs, CR and LF */
bool arc_base64(struct arena *a, struct str text, struct str *bytes); /* white space in it is skipped */

#include "../base/banned.h"
#endif
