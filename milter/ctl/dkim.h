/* dkim.h - what the commands `dkim new`, `dkim show` and `dkim check` share. */
#ifndef CTL_DKIM_H
#define CTL_DKIM_H

#include "../auth/dkim.h"
#include "ctl.h"

#define DKIM_DAEMON_GROUP "sme-milter"

/* dkim_ctl_arguments - words[0] is DOMAIN, which is checked and given in A-labels; up to `most` words, the others
 * NULL. Zone is the value of --dns where that is taken (else NULL). False: said, *status is what to return. */
bool dkim_ctl_arguments(struct ctl *ctl, const struct ctl_command *command, struct str *domain, const char **words,
                        size_t most, const char **zone, int *status);

/* dkim_ctl_keys - the keys of that very domain; complaints about them go to standard error. NULL: there are none. */
const struct dkim_domain *dkim_ctl_keys(struct ctl *ctl, struct str key_dir, struct str domain);

struct str dkim_ctl_name(struct ctl *ctl, const struct dkim_domain *d, const struct dkim_key *key); /* in the DNS */
bool dkim_ctl_signs(const struct dkim_domain *d, const struct dkim_key *key);

/* dkim_ctl_print - the records to publish, as lines of a zone file or as JSON. */
void dkim_ctl_print(struct ctl *ctl, const struct dkim_domain *d, struct str only_selectors);

#endif
