/* services.h - what the serving child keeps running beside libmilter: the resolver, and the watch over DNS lists. */
#ifndef SERVICES_H
#define SERVICES_H

#include "config.h"

/* services_start - in the child, after callbacks_use(). What cannot be started is logged; mail flows without it. */
void services_start(const struct config *config);
void services_reload(const struct config *config);

#endif
