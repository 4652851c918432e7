/* karma_lines.h - the lines that `karma import` reads: our own export, or the listing of the original's karma_tool. */
#ifndef CTL_KARMA_LINES_H
#define CTL_KARMA_LINES_H

#include <sqlite3.h>

#include "../base/arena.h"
#include "db/karma_store.h"

#define KARMA_LINE_MOST 4096 /* bytes of a line that is read */

enum karma_dialect {
    KARMA_EXPORT, /* JSON objects, one a line */
    KARMA_TOOL,   /* columns: address, begin of the penalty, naughty, nice, connects, and what else there may be */
};

enum karma_line {
    KARMA_LINE_ROW,     /* net and record are filled */
    KARMA_LINE_NOTHING, /* blank, a heading, totals */
    KARMA_LINE_SKIPPED, /* nothing that can be kept; *why tells */
    KARMA_LINE_BAD,     /* not understood; *why tells */
};

struct karma_line_rules {
    int64_t now;       /* seconds since 1970: the listing has no years, and does not say when a client was seen */
    int64_t penalty_s; /* the listing has the begin of a penalty, we its end */
};

enum karma_line karma_line_read(struct arena *a, enum karma_dialect dialect, struct str line,
                                const struct karma_line_rules *rules, struct karma_net *net, struct karma_record *r,
                                struct str *why);

#endif
