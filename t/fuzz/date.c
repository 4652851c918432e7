/* date.c - fuzz target: header_date. */
#include "../../milter/base/clock.h"
#include "../../milter/mail/header.h"
#include "fuzz.h"

#define DAY_MS INT64_C(86400000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = {(const char *)data, size};
    int64_t ms;

    if (header_date(value, &ms)) {
        must(ms % 1000 == 0);
        /* 1900 to 9999, and zones of up to 99 hours and 59 minutes */
        must(ms >= -25567 * DAY_MS - 5 * DAY_MS && ms < 2932897 * DAY_MS + 5 * DAY_MS);
    }
    return 0;
}
