/* import_inside.h - what the files of `import sme` share among themselves. */
#ifndef CTL_IMPORT_INSIDE_H
#define CTL_IMPORT_INSIDE_H

#include "ctl.h"
#include "db/esmith.h"
#include "import.h"

/* A list that goes into a file of its own, beside sme-milter.conf. */
struct import_list {
    const char *file;       /* "badhelo": its name, and qpsmtpd's */
    const char *policy, *option; /* "helo", "badhelo" */
    struct sme_source from; /* of the first entry */
    struct buf text;        /* comments and entries */
    size_t count;           /* entries */
};

enum import_lists { LIST_BADHELO, LIST_BADMAILFROM, LIST_BADMAILFROMTO, LIST_BADRCPTTO, LIST_BADRCPTTO_EXT,
                    LIST_GOODRCPTTO, LIST_DNSBL_ALLOW, LIST_URIBL_ALLOW, LIST_PATTERNS, LIST_BCC_IGNORE_FROM,
                    LIST_BCC_IGNORE_TO, LIST_KARMA_TLDS, LISTS };

struct import_file {
    struct str name; /* below the directory: "sme-milter.conf", "dkim/example.org/may2013.private" */
    struct str text;
    bool secret;       /* of the daemon alone */
    struct str leads_to; /* a link instead: its target */
};

/* One plugin of qpsmtpd's lists, with its arguments. */
struct import_plugin {
    struct str name, args;
    struct sme_source from;
    bool local; /* of peers/local */
};

struct import {
    struct ctl *ctl;
    struct arena *a;
    struct str db_dir, qpsmtpd_dir, out_dir; /* the first two may be empty */
    bool quiet;
    struct sme sme;
    struct import_notes notes;
    struct problems problems; /* of databases that could be read in part */
    struct esmith configuration, accounts, domains, networks, hosts, mailpatterns;
    bool has_accounts; /* the list of accounts was read, or goodrcptto of a folder */
    struct import_list lists[LISTS];
    struct import_file *files;
    size_t file_count;
    /* What only a qpsmtpd folder tells. */
    struct import_plugin *plugins;
    size_t plugin_count;
    struct sme_text earlytalker_wait; /* seconds */
    struct sme_number unrecognized_max;
    bool has_keys, has_disclaimers;
};

/* ---- notes (import_notes.c) ---- */

struct sme_source source_of(struct arena *a, const struct esmith *db, const struct esmith_record *record,
                            const char *name, bool set);
struct sme_source source_named(struct str name, struct place at);
void import_notes_print(struct import *im);

/* ---- values (import_values.c): false with a note when the text is none; the value is then unchanged ---- */

enum import_kind { KIND_FLAG, KIND_NUMBER, KIND_TEXT, KIND_LIST };

struct import_row {
    const char *name;     /* of the property */
    enum import_kind kind;
    size_t offset;
    const char *preset[SME_PORTS]; /* NULL: what qpsmtpd has */
    double min, max;
    const char *words;    /* of a text: "cc bcc off"; NULL: any */
};

extern const struct import_row import_filter_rows[], import_service_rows[], import_spam_rows[];

bool import_set(struct import *im, const struct import_row *row, void *values, struct str text, struct sme_source from);
void import_preset(struct import *im, const struct import_row *row, void *values, const char *text,
                   struct sme_source from);
bool import_flag(struct str text, bool *value); /* enabled, yes, on, true, 1, or their opposites */

/* ---- reading ---- */

int import_read_databases(struct import *im); /* import_databases.c; CTL_FINE or an exit status that was explained */
void import_model(struct import *im);         /* import_model.c: configuration */
void import_model_rest(struct import *im);    /* a note for each property of the services that has none yet */
void import_model_mail(struct import *im);    /* import_mail.c: domains, networks, mailpatterns; accounts by */
void import_accounts(struct import *im);      /* import_accounts.c */
struct str import_shown(struct str text);     /* its beginning, for a note */
struct str import_prop(const struct esmith_record *record, const char *name); /* trimmed; empty: it is not there */
int import_read_folder(struct import *im);    /* import_folder.c: qpsmtpd's own */
void import_folder_keys(struct import *im);   /* import_keys.c: dkim/, karma, disclaimers */
void import_plugins(struct import *im);       /* import_plugins.c: plugins, peers/0, peers/local */
bool import_domain_name(struct arena *a, struct str text, struct str *name); /* lower case, A-labels */
bool import_folder_text(struct import *im, struct str name, struct str *text); /* false: it is not there */

/* ---- writing ---- */

void import_list_add(struct import *im, enum import_lists which, struct sme_source from, struct str entry);
void import_lists_begin(struct import *im);
void import_lists(struct import *im);      /* import_lists.c: the lists that the databases give */
void import_old_pattern(struct import *im, enum import_lists which, struct sme_source from, struct str line);
void import_conf(struct import *im);       /* import_conf.c: sme-milter.conf */
void import_config_files(struct import *im); /* import_rows.c: a note for each file that qpsmtpd was configured by */
void import_systemd(struct import *im);
void import_add_file(struct import *im, struct str name, struct str text, bool secret);
int import_write(struct import *im);       /* import_files.c */

#endif
