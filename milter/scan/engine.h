/* engine.h - what looks for viruses: a few functions, so that the policy need not know which. */
#ifndef SCAN_ENGINE_H
#define SCAN_ENGINE_H

#include "scan/raw.h"
#include "talk.h"

enum virus_said { VIRUS_CLEAN, VIRUS_FOUND, VIRUS_TOO_LARGE /* for the scanner */, VIRUS_ERROR };

struct virus_answer {
    enum virus_said said;
    struct str text; /* the virus's name, outside bytes; or what is wrong */
    bool known;      /* from known.h: nothing was scanned */
};

struct engine {
    const char *name;
    /* begin - does not wait; finish - does, until the deadline (clock_ms()) at most. */
    void *(*begin)(struct arena *a, const struct talk_where *where, const struct raw *raw, int64_t deadline);
    struct virus_answer (*finish)(void *scan);
};

extern const struct engine engine_clamd;

#endif
