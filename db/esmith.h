/* esmith.h - an e-smith database: one record a line, key=type|property|value|property|value...
 *
 *     # comment, or a blank line
 *     DomainName=example.org
 *     qpsmtpd=service|Instances|40|RBLList|zen.spamhaus.org,b.example:Blocked \| see http://x/?ip=%IP%|status|enabled
 *
 * The key ends at the first =. In what follows \| is a bar and \n a line end; every other byte means itself, the
 * percent sign too. A value may be empty; a property without one is not there. Of a key that stands twice, or a
 * property that does, the last one counts. What cannot be read is named with its line and key, and left out.
 */
#ifndef DB_ESMITH_H
#define DB_ESMITH_H

#include <stdbool.h>
#include <stddef.h>

#include "../milter/base/arena.h"
#include "../milter/base/err.h"
#include "../milter/base/str.h"

struct esmith_prop {
    struct str name, value; /* value: without escapes; never with NUL or control bytes but tab and line end */
};

struct esmith_record {
    struct str key, type; /* type: of a plain key=value the value */
    unsigned line;
    struct esmith_prop *props; /* in the order of names */
    size_t count;
};

struct esmith {
    struct str file;
    struct esmith_record *records; /* in the order of keys; each key once */
    size_t count;
    size_t bad; /* lines of which nothing could be read */
};

/* Caps: 256 MiB and 1 000 000 records a file, 64 KiB a line, 500 properties a record. Beyond the first 100 of a file,
 * problems are counted only. */

/* esmith_parse - the text, which must live as long as the records. Every problem is a warning. */
void esmith_parse(struct arena *a, struct str file, struct str text, struct esmith *db, struct problems *problems);

const struct esmith_record *esmith_find(const struct esmith *db, struct str key); /* NULL: there is none */

/* esmith_prop - its value; false when it is not there. Names are compared as they are written. */
bool esmith_prop(const struct esmith_record *record, struct str name, struct str *value);

#include "../milter/base/banned.h"
#endif
