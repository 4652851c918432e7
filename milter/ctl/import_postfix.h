/* import_postfix.h - what the two parts of import_postfix() share: main.cf in import_postfix.c, master.cf in
 * import_postfix_services.c.
 */
#ifndef CTL_IMPORT_POSTFIX_H
#define CTL_IMPORT_POSTFIX_H

#include "import.h"

struct postfix_import {
    struct arena *arena;
    const struct sme *sme;
    struct import_notes *notes;
};

/* import_banner - smtpd_banner for a greeting: it must begin with $myhostname, and a $ of the text is doubled. False,
 * with a note, when the text cannot stand there. */
bool import_banner(struct postfix_import *p, const struct sme_text *greeting, struct str *banner);

/* import_net - as Postfix writes networks: 192.168.1.0/24, [2001:db8::]/32. */
struct str import_net(struct arena *a, const struct cidr *net);

/* import_services - the entries of master.cf. */
void import_services(struct postfix_import *p, struct buf *master_cf);

#endif
