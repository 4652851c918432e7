/* migrate.c - one transaction from the version that the file has to the newest. */
#include <stdbool.h>

#include "migrate.h"

struct version {
    int64_t application, number, tables;
};

static int number_of(sqlite3 *db, const char *sql, int64_t *number)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        *number = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return rc;
}

static int version_of(sqlite3 *db, struct version *v)
{
    int rc = number_of(db, "PRAGMA application_id", &v->application);

    if (rc == SQLITE_OK)
        rc = number_of(db, "PRAGMA user_version", &v->number);
    if (rc == SQLITE_OK)
        rc = number_of(db, "SELECT count(*) FROM sqlite_schema", &v->tables);
    return rc;
}

/* judge - what is to be done; MIGRATED: nothing speaks against bringing it to the newest version. */
static enum migrated judge(const struct version *v, const struct schema *schema, int64_t newest, struct arena *a,
                           struct str *error)
{
    bool marked = v->application == (int64_t)schema->application_id;

    /* Whoever set a number that we do not know may have left the mark out. */
    if ((marked || v->application == 0) && (v->number > newest || v->number < 0)) {
        *error = arena_printf(a,
                              "the %s database has schema version %lld, this program knows versions up to %lld: "
                              "a newer sme-milter wrote it",
                              schema->name, (long long)v->number, (long long)newest);
        return MIGRATE_NEWER;
    }
    if (v->tables > 0 && !marked) {
        *error = arena_printf(a, "this is the database of another program, not one of %s", schema->name);
        return MIGRATE_FOREIGN;
    }
    return MIGRATED;
}

static int take_steps(sqlite3 *db, const struct schema *schema, int64_t from, int64_t to, struct arena *a)
{
    struct str last = arena_printf(a, "PRAGMA application_id = %u; PRAGMA user_version = %lld", schema->application_id,
                                   (long long)to);
    int rc = SQLITE_OK;

    for (int64_t i = from; i < to && rc == SQLITE_OK; i++)
        rc = sqlite3_exec(db, schema->steps[i], NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_exec(db, last.p, NULL, NULL, NULL) : rc;
}

/* failed - with words only where there was an older version: that is what is wrong then. */
static enum migrated failed(sqlite3 *db, const struct schema *schema, const struct version *v, struct arena *a,
                            struct str *error, int rc, int *code)
{
    *code = rc;
    *error = STR_NONE;
    if (v->tables > 0)
        *error = arena_printf(a, "the %s database cannot be brought to this version: %s", schema->name,
                              sqlite3_errmsg(db));
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return MIGRATE_FAILED;
}

enum migrated migrate_code(sqlite3 *db, const struct schema *schema, struct arena *a, struct str *error, int *code)
{
    int64_t newest = 0;
    struct version v = {0};
    enum migrated verdict;
    int rc = version_of(db, &v);

    *code = SQLITE_OK;
    while (schema->steps[newest])
        newest++;
    if (rc != SQLITE_OK)
        return failed(db, schema, &(struct version){0}, a, error, rc, code);
    verdict = judge(&v, schema, newest, a, error);
    if (verdict != MIGRATED || (v.tables > 0 && v.number == newest))
        return verdict;
    if (schema->before && v.tables == 0)
        rc = sqlite3_exec(db, schema->before, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = version_of(db, &v); /* somebody else may have been faster */
    if (rc == SQLITE_OK) {
        verdict = judge(&v, schema, newest, a, error);
        if (verdict == MIGRATED && !(v.tables > 0 && v.number == newest))
            rc = take_steps(db, schema, v.tables > 0 ? v.number : 0, newest, a);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    return rc == SQLITE_OK ? verdict : failed(db, schema, &v, a, error, rc, code);
}

bool migrate_is_current(sqlite3 *db, const struct schema *schema)
{
    struct version v = {0};
    int64_t newest = 0;

    while (schema->steps[newest])
        newest++;
    return version_of(db, &v) == SQLITE_OK && v.tables > 0 && v.application == (int64_t)schema->application_id
           && v.number == newest;
}

enum migrated migrate(sqlite3 *db, const struct schema *schema, struct arena *a, struct str *error)
{
    enum migrated verdict;
    int code;

    verdict = migrate_code(db, schema, a, error, &code);
    if (verdict == MIGRATE_FAILED && error->n == 0)
        *error = arena_printf(a, "the %s database: %s", schema->name, sqlite3_errmsg(db));
    return verdict;
}
