/* snippet_settings.h - the folder that `postfix snippet --settings` names: main.cf and master.cf in Postfix's own
 * notation, with only the lines that matter. `import sme` writes one; an administrator may.
 */
#ifndef CTL_SNIPPET_SETTINGS_H
#define CTL_SNIPPET_SETTINGS_H

#include "../base/err.h"
#include "postconf.h"

struct setting {
    struct str name, value;
    struct str why; /* the comment above it, in one line, escaped; empty: none */
    struct place at;
};

struct setting_service { /* an entry of master.cf */
    struct str id;       /* "smtp/inet" */
    struct str fields[7]; /* private, unprivileged, chroot, wakeup, maxproc, command, and what follows but -o */
    struct setting *options;
    size_t count;
    struct str why;
    struct place at;
};

struct snippet_settings {
    struct setting *parameters;
    size_t count;
    struct setting_service *services;
    size_t service_count;
    bool has_master; /* there is a master.cf: it names all the services that shall listen */
};

/* settings_read - both files, of which one may be missing. What is wrong with them is added to the problems; false when
 * there is none to read. */
bool settings_read(struct arena *a, const char *directory, struct snippet_settings *s, struct problems *problems);

const struct setting *setting_of(const struct snippet_settings *s, struct str name); /* NULL: not named */

#endif
