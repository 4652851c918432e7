/* utf8.h - is it UTF-8 (RFC 3629)? Overlong forms, surrogates and what lies beyond U+10FFFF are not. */
#ifndef MAIL_UTF8_H
#define MAIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/str.h"

static inline bool utf8_is_valid(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i++];
        unsigned char low = 0x80, high = 0xbf; /* of the second byte */
        size_t more;

        if (c < 0x80)
            continue;
        if (c < 0xc2 || c > 0xf4)
            return false;
        more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0xe0)
            low = 0xa0;
        else if (c == 0xed)
            high = 0x9f;
        else if (c == 0xf0)
            low = 0x90;
        else if (c == 0xf4)
            high = 0x8f;
        for (; more; more--, low = 0x80, high = 0xbf) {
            if (i == s.n || (unsigned char)s.p[i] < low || (unsigned char)s.p[i] > high)
                return false;
            i++;
        }
    }
    return true;
}

#endif
