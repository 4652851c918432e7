/* dmarc_options.h - the options of the policy dmarc, which the command that sends the reports reads too. */
#ifndef AUTH_DMARC_OPTIONS_H
#define AUTH_DMARC_OPTIONS_H

#include "../option.h"

enum dmarc_policy_word { DMARC_OFF, DMARC_CONFORM, DMARC_STRICT };
enum dmarc_quarantine_word { DMARC_TAG, DMARC_HOLD, DMARC_REFUSE, DMARC_IGNORE };

struct dmarc_options {
    int policy;     /* enum dmarc_policy_word */
    int discovery;  /* enum dmarc_discovery */
    int quarantine; /* enum dmarc_quarantine_word */
    bool reporting;
    struct str org_name, email;
    bool exclude_lists;
    struct str_list trusted_sealers;
};

#endif
