/* metrics_text.h - the state of the serving process for people, programs and OpenMetrics. */
#ifndef METRICS_TEXT_H
#define METRICS_TEXT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/str.h"

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

void metrics_process_began(void); /* remembers when; at the start of the serving process */

/* metrics_openmetrics - everything, in the OpenMetrics 1.0 text format, with its end mark. */
struct str metrics_openmetrics(struct arena *a);

/* metrics_json - the same as an object, for `sme-milterctl stats`; names are stable. */
json_t *metrics_json(struct arena *a);

#include "base/banned.h"
#endif
