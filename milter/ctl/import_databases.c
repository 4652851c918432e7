/* import_databases.c - the files of --db DIR. */
#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#include "../config_tree.h"
#include "import_inside.h"

#define FILE_MOST ((size_t)256 << 20)

/* read_one - a file that is not there is an empty database, but for the one without which there is no server. */
static int read_one(struct import *im, const char *name, bool needed, struct esmith *db)
{
    struct str path = arena_printf(im->a, STR_FMT "/%s", STR_ARG(im->db_dir), name), text, error;
    const char *shown = str_c(im->a, str_escaped(im->a, path));

    *db = (struct esmith){.file = path};
    if (access(path.p, F_OK) != 0 && errno == ENOENT) {
        if (needed)
            fprintf(stderr, "sme-milterctl import sme: %s is not there; --db needs the directory that has "
                    "SME Server's databases (/home/e-smith/db)\n", shown);
        else
            import_notice(&im->notes, source_named(str_of(name), (struct place){0}), "there is no such database in "
                          STR_FMT, STR_ARG(im->db_dir));
        return needed ? EX_NOINPUT : CTL_FINE;
    }
    if (!conf_read_file(im->a, path, FILE_MOST, &text, &error)) {
        fprintf(stderr, "sme-milterctl import sme: %s " STR_FMT "\n", shown, STR_ARG(error));
        return errno == EACCES ? EX_NOPERM : EX_DATAERR;
    }
    esmith_parse(im->a, path, text, db, &im->problems);
    if (db->count == 0 && (db->bad || needed)) {
        fprintf(stderr, "sme-milterctl import sme: %s has no record that can be read; is it an e-smith database?\n",
                shown);
        return EX_DATAERR;
    }
    return CTL_FINE;
}

int import_read_databases(struct import *im)
{
    const struct {
        const char *name;
        bool needed;
        struct esmith *db;
    } rows[] = {
        {"configuration", true, &im->configuration}, {"accounts", false, &im->accounts},
        {"domains", false, &im->domains},            {"networks", false, &im->networks},
        {"hosts", false, &im->hosts},                {"mailpatterns", false, &im->mailpatterns},
    };
    int status = CTL_FINE;

    for (size_t i = 0; i < sizeof rows / sizeof *rows && status == CTL_FINE; i++)
        status = read_one(im, rows[i].name, rows[i].needed, rows[i].db);
    im->has_accounts = im->accounts.count > 0;
    return status;
}
