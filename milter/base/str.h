/* str.h - a view on bytes, and a buffer that grows in an arena.
 *
 * A struct str is never modified through and is not promised to be NUL-terminated; it may hold NUL bytes. What it
 * points to belongs to whoever made it: an arena, the configuration, or a literal. `char *` stays at the borders of
 * libmilter and of other libraries.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena;

struct str {
    const char *p; /* may be NULL only when n is 0 */
    size_t n;      /* bytes */
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf: "%.*s" takes an int, so what is printed this way is cut at 64 KiB. */
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)((s).n > 65535 ? 65535 : (s).n), ((s).p ? (s).p : "")

/* str_of - view a C string; NULL becomes the empty view. */
static inline struct str str_of(const char *c)
{
    return c ? (struct str){c, strlen(c)} : STR_NONE;
}

bool str_is(struct str a, struct str b);
bool str_is_nocase(struct str a, struct str b); /* ASCII only, as SMTP compares keywords and domains */
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);
int str_compare(struct str a, struct str b); /* order of bytes, as qsort wants it */

/* str_find - offset of the first byte c, or s.n when there is none; str_rfind - of the last one. */
size_t str_find(struct str s, char c);
size_t str_rfind(struct str s, char c);

/* str_slice - the part from offset `from` up to, not including, `to`; both are capped at s.n. */
struct str str_slice(struct str s, size_t from, size_t to);
struct str str_trim(struct str s); /* without blanks, tabs, CR and LF at both ends */

/* str_token - take the next run of bytes that are not blanks or tabs off *s; false at the end. */
bool str_token(struct str *s, struct str *token);

/* str_split - take everything before the first `sep` off *rest; false when nothing is left. */
bool str_split(struct str *rest, char sep, struct str *part);

/* str_to_long - the whole of s as a decimal number; false when it is not one or does not fit. */
bool str_to_long(struct str s, long *value);

int str_hex(char c); /* the value of a hexadecimal digit; -1: it is none */

/* str_unpercent - "%41" becomes "A"; a % before anything else stays. s itself when there is none. */
struct str str_unpercent(struct arena *a, struct str s);

struct str str_dup(struct arena *a, struct str s);     /* NUL-terminated copy */
struct str str_lower(struct arena *a, struct str s);   /* ASCII lower-case copy, NUL-terminated */
const char *str_c(struct arena *a, struct str s);      /* copy for a C interface; cut at the first NUL byte */

/* A buffer: data is never NULL after the first buf_ call and always has a NUL beyond len. */
struct buf {
    struct arena *arena;
    char *data;
    size_t len, room;
};

struct buf buf_in(struct arena *a);
void buf_add(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
struct str buf_str(const struct buf *b); /* valid until the next buf_ call */

/* buf_add_escaped - add s so that it can stand in a log, a reply, a terminal or a header: printable ASCII stays,
 * backslash becomes \\ and every other byte \xHH. `also` names further bytes to write as \xHH ("" for none). */
void buf_add_escaped(struct buf *b, struct str s, const char *also);
struct str str_escaped(struct arena *a, struct str s);

#include "banned.h"
#endif
