/* migrate.h - schema versions: PRAGMA user_version, and the steps from each to the next. */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

struct schema {
    const char *name;         /* "karma" */
    unsigned application_id;  /* PRAGMA application_id: whose file it is; tables and another one: not ours */
    const char *const *steps; /* steps[0]: from nothing to version 1, steps[1]: from 1 to 2, ...; NULL-terminated */
    const char *before;       /* SQL for an empty file, outside of the transaction: what cannot be set later. Or NULL */
};

extern const struct schema karma_schema;

enum migrated { MIGRATED, MIGRATE_NEWER, MIGRATE_FOREIGN, MIGRATE_FAILED };

/* migrate - bring the file to the newest version, in one transaction: after a kill it is of the old or of the new
 * one. *error names the file's version and ours when it is newer. */
enum migrated migrate(sqlite3 *db, const struct schema *schema, struct arena *a, struct str *error);

/* migrate_code - the same; *code is what SQLite said, where it failed. *error is then empty unless there was an older
 * version to be brought up: the file cannot be read or begun, and the caller has better words for that. */
enum migrated migrate_code(sqlite3 *db, const struct schema *schema, struct arena *a, struct str *error, int *code);

/* migrate_is_current - ours, and of the newest version: nothing is to be done. */
bool migrate_is_current(sqlite3 *db, const struct schema *schema);

#endif
