/* import.c - `import sme`: the configuration of an SME Server, or of a qpsmtpd, becomes ours. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sysexits.h>

#include "import_inside.h"

static int read_options(struct import *im)
{
    struct ctl *ctl = im->ctl;

    for (int i = 1; i < ctl->argc; i++) {
        const char *value;

        if ((value = ctl_option(ctl, &ctl_import_sme, &i, "--db")))
            im->db_dir = str_of(value);
        else if ((value = ctl_option(ctl, &ctl_import_sme, &i, "--qpsmtpd")))
            im->qpsmtpd_dir = str_of(value);
        else if ((value = ctl_option(ctl, &ctl_import_sme, &i, "--out")))
            im->out_dir = str_of(value);
        else if (str_is(str_of(ctl->argv[i]), STR("-q")) || str_is(str_of(ctl->argv[i]), STR("--quiet")))
            im->quiet = true;
        else
            return ctl_usage(&ctl_import_sme, "there is no option \"" STR_FMT "\"",
                             STR_ARG(str_escaped(im->a, str_of(ctl->argv[i]))));
    }
    if (im->db_dir.n == 0 && im->qpsmtpd_dir.n == 0)
        return ctl_usage(&ctl_import_sme, "needs --db DIR, or --qpsmtpd DIR");
    return CTL_FINE;
}

/* absolute - the directory that the files will be in: some of them name it. It need not be there yet. */
static struct str absolute(struct import *im, struct str dir)
{
    char *real = realpath(str_c(im->a, dir), NULL), *here;
    struct str path = dir;

    if (real) {
        path = str_dup(im->a, str_of(real));
    } else if (dir.n && dir.p[0] != '/' && (here = realpath(".", NULL))) {
        path = arena_printf(im->a, "%s/" STR_FMT, here, STR_ARG(dir));
        free(here);
    }
    free(real);
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path = str_dup(im->a, str_slice(path, 0, path.n - 1));
    return path;
}

static void postfix(struct import *im)
{
    struct buf main_cf = buf_in(im->a), master_cf = buf_in(im->a);

    /* False means that it has left something out, which is among the notes then. */
    import_postfix(im->a, &im->sme, &main_cf, &master_cf, &im->notes);
    import_add_file(im, STR("postfix/main.cf"), buf_str(&main_cf), false);
    import_add_file(im, STR("postfix/master.cf"), buf_str(&master_cf), false);
}

static int make(struct import *im)
{
    int status = CTL_FINE;

    if (im->db_dir.n)
        status = import_read_databases(im);
    if (status != CTL_FINE)
        return status;
    import_lists_begin(im);
    import_model(im);
    if (im->qpsmtpd_dir.n)
        status = import_read_folder(im);
    if (status != CTL_FINE)
        return status;
    import_model_mail(im);
    import_lists(im);
    if (im->qpsmtpd_dir.n)
        import_folder_keys(im);
    import_conf(im);
    import_systemd(im);
    postfix(im);
    import_model_rest(im);
    if (im->db_dir.n)
        import_config_files(im);
    return status;
}

static void next_steps(const struct import *im)
{
    struct str dir = str_escaped(im->a, im->out_dir);

    if (im->ctl->json || im->quiet || im->ctl->dry_run)
        return;
    printf("next: sme-milter -t -c " STR_FMT "/sme-milter.conf\n", STR_ARG(dir));
    printf("      sme-milterctl -c " STR_FMT "/sme-milter.conf postfix snippet --settings " STR_FMT "/postfix\n",
           STR_ARG(dir), STR_ARG(dir));
}

static int run(struct ctl *ctl)
{
    struct import im = {.ctl = ctl, .a = ctl->arena, .out_dir = STR(SYSCONFDIR)};
    int status;

    im.notes.arena = im.problems.arena = im.a;
    status = read_options(&im);
    if (status != CTL_FINE)
        return status;
    im.out_dir = absolute(&im, im.out_dir);
    status = make(&im);
    if (status == CTL_FINE)
        status = import_write(&im);
    if (status != CTL_FINE) {
        for (size_t i = 0; i < im.problems.count; i++)
            fprintf(stderr, STR_FMT "\n", STR_ARG(problem_text(im.a, &im.problems.items[i])));
        return status;
    }
    import_notes_print(&im);
    next_steps(&im);
    return im.notes.left_out || im.problems.count ? CTL_FINDINGS : CTL_FINE;
}

const struct ctl_command ctl_import_sme = {
    .words = "import sme",
    .usage = "--db DIR [--qpsmtpd DIR] [--out DIR] [-q]",
    .summary = "Make a configuration of an SME Server's databases, or of a qpsmtpd's",
    .help = "  --db DIR       the databases (/home/e-smith/db): configuration, accounts, domains, networks, hosts,\n"
            "                 mailpatterns\n"
            "  --qpsmtpd DIR  a configuration of qpsmtpd (/var/service/qpsmtpd/config): plugins, peers, lists, DKIM\n"
            "                 keys, texts of the disclaimer, a listing of karma. What the databases say too is theirs\n"
            "  --out DIR      where to write (" SYSCONFDIR ")\n"
            "  -q             do not print what was imported, only what was not\n"
            "  -n             write nothing, say what would be written\n"
            "\nWritten are sme-milter.conf, a file for each list beside it, postfix/main.cf and postfix/master.cf for\n"
            "`postfix snippet --settings`, and sme-milter.service.d/50koozali.conf for systemd. What was there is\n"
            "kept as NAME.previous. For each property is printed what it became, or why it has no effect.\n"
            "exit: 0 all of it, 1 some of it was left out, 65 a database cannot be read, 66 it is not there\n",
    .run = run,
};
