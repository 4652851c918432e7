/* fuzz.h - what the fuzz targets share. A target aborts when a promise of the header file it tests is broken. */
#ifndef T_FUZZ_H
#define T_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                                                                               \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                   \
            abort();                                                                                                  \
        }                                                                                                             \
    } while (0)

/* touch - read every byte, so that a sanitizer sees a view that does not hold. */
static inline void touch(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        (void)*(const volatile char *)(s.p + i);
}

#endif
