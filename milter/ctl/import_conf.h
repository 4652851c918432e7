/* import_conf.h - writing sme-milter.conf: import_conf.c, and import_profiles.c for what may differ between ports. */
#ifndef CTL_IMPORT_CONF_H
#define CTL_IMPORT_CONF_H

#include "import_inside.h"

#define SECTIONS_MOST 64

struct writer {
    struct import *im;
    struct buf b; /* options of the top level, and profiles */
    struct {
        const char *name;
        struct buf body;
    } sections[SECTIONS_MOST]; /* each name once: the file may have none twice */
    size_t count;
    const char *section; /* that is open; NULL: none */
    const char *indent;  /* "    " within a profile, whose sections are written at once */
    bool open;           /* there: its first option has been written */
};

void conf_begin(struct writer *w, const char *section); /* until conf_end(); one without options is not written */
void conf_end(struct writer *w);
void conf_line(struct writer *w, struct sme_source from, struct str text); /* below a comment that names the source */

/* conf_accepts - whether the daemon's own reader takes this option in the section that is open; else *why. */
bool conf_accepts(struct writer *w, struct str text, struct str *why);

/* conf_put - one option; what it says is noted as what became of its property. One that is not accepted is left out. */
void conf_put(struct writer *w, struct sme_source from, const char *format, ...) __attribute__((format(printf, 3, 4)));
void conf_put_list(struct writer *w, enum import_lists which); /* the file of the list, when it has entries */

/* conf_quoted - as a string of the file. A C string, so NUL bytes must have been refused. */
const char *conf_quoted(struct writer *w, struct str text);
const char *conf_yes(bool on);

void import_everywhere(struct writer *w, const struct sme_filter *f); /* the policies of all ports */
void import_profiles(struct writer *w);

#endif
