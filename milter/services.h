/* services.h - what the serving child keeps running beside libmilter: the resolver, the watch over DNS lists, the memory
 * of clients, the door for sme-milterctl. */
#ifndef SERVICES_H
#define SERVICES_H

#include "config.h"

/* services_start - in the child, after callbacks_use(). What cannot be started is logged; mail flows without it. */
void services_start(const struct config *config);
void services_reload(const struct config *config);

/* services_stop - at the end of the child: what was learned gets onto the disk. Takes some seconds at most. */
void services_stop(void);

#endif
