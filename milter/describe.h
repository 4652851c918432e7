/* describe.h - what is generated from the option tables: the sample file, the man page's options, the flow map. */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include "config.h"

/* describe_sample - a complete configuration file in which every option stands commented with its default. */
struct str describe_sample(struct arena *a);

/* describe_policy - summary, stages, options with types and defaults. */
struct str describe_policy(struct arena *a, const struct policy *p);

/* describe_flow - the map of policies by stages. */
struct str describe_flow(struct arena *a);

/* describe_man - the options as man page source (mdoc-free, plain man macros), for sme-milter.conf(5). */
struct str describe_man(struct arena *a);

/* describe_common - the common options' rows with this policy's defaults; the table ends with OPTION_END. */
const struct option *describe_common(struct arena *a, const struct policy *p);

#endif
